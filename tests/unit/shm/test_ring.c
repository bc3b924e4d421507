#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>

#include "core/shm/ring.h"
#include "core/shm/wake.h"

enum { SLOTS = 8 };

struct record {
        uint64_t number;
        uint64_t check;
};

struct shared {
        struct ring_indices indices;
        struct wake_cell filled;
        struct wake_cell emptied;
        struct record records[SLOTS];
};

static struct shared shared;
static struct ring producer;
static struct ring consumer;

static int setup(void **state)
{
        (void)state;
        memset(&shared, 0, sizeof shared);
        ring_init(&producer, &shared.indices, shared.records, SLOTS, sizeof(struct record));
        ring_init(&consumer, &shared.indices, shared.records, SLOTS, sizeof(struct record));
        return 0;
}

static void full_and_empty_are_told(void **state)
{
        struct record record = { 0 };

        (void)state;
        assert_int_equal(ring_pop(&consumer, &record), RING_EMPTY);
        for (uint64_t i = 0; i < SLOTS; i++) {
                record.number = i;
                assert_int_equal(ring_push(&producer, &record), RING_OK);
        }
        assert_int_equal(ring_push(&producer, &record), RING_FULL);
        for (uint64_t i = 0; i < SLOTS; i++) {
                assert_int_equal(ring_pop(&consumer, &record), RING_OK);
                assert_int_equal(record.number, i);
        }
        assert_int_equal(ring_pop(&consumer, &record), RING_EMPTY);
}

static void indices_wrap(void **state)
{
        struct record record = { 0 };

        (void)state;
        producer.own = consumer.own = UINT32_MAX - 3;
        atomic_store(&shared.indices.head, consumer.own);
        atomic_store(&shared.indices.tail, producer.own);
        for (uint64_t i = 0; i < 5 * SLOTS; i++) {
                record.number = i;
                assert_int_equal(ring_push(&producer, &record), RING_OK);
                assert_int_equal(ring_pop(&consumer, &record), RING_OK);
                assert_int_equal(record.number, i);
        }
}

static void impossible_indices_are_noticed(void **state)
{
        static const uint32_t lies[] = { SLOTS + 1, 1000, 0x80000000u, UINT32_MAX - 100 };
        struct record record = { 0 };

        for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
                setup(state);
                atomic_store(&shared.indices.tail, lies[i]);
                assert_int_equal(ring_pop(&consumer, &record), RING_BROKEN);
                setup(state);
                atomic_store(&shared.indices.head, lies[i]);
                assert_int_equal(ring_push(&producer, &record), RING_BROKEN);
        }
}

/* The consumer's index is its own: what the peer writes there after the fact does not move it. */
static void own_index_is_not_read_back(void **state)
{
        struct record record = { .number = 1 };

        (void)state;
        assert_int_equal(ring_push(&producer, &record), RING_OK);
        record.number = 2;
        assert_int_equal(ring_push(&producer, &record), RING_OK);
        assert_int_equal(ring_pop(&consumer, &record), RING_OK);
        atomic_store(&shared.indices.head, 77);
        assert_int_equal(ring_pop(&consumer, &record), RING_OK);
        assert_int_equal(record.number, 2);
        assert_int_equal(atomic_load(&shared.indices.head), 2);
}

enum { MESSAGES = 200000 };

static void *produce(void *unused)
{
        struct wake_patience patience = { 0 };

        (void)unused;
        for (uint64_t i = 0; i < MESSAGES;) {
                struct record record = { .number = i, .check = ~i };
                uint32_t seen = wake_key(&shared.emptied);

                if (ring_push(&producer, &record) == RING_OK) {
                        wake_signal(&shared.filled);
                        i++;
                } else {
                        wake_wait(&shared.emptied, seen, DEADLINE_NEVER, &patience);
                }
        }
        return NULL;
}

static void threads_lose_nothing_and_keep_order(void **state)
{
        pthread_t thread;

        (void)state;
        assert_int_equal(pthread_create(&thread, NULL, produce, NULL), 0);
        for (uint64_t i = 0; i < MESSAGES;) {
                struct record record;
                uint32_t seen = wake_key(&shared.filled);

                if (ring_pop(&consumer, &record) != RING_OK) {
                        wake_wait(&shared.filled, seen, DEADLINE_NEVER, NULL);
                        continue;
                }
                assert_int_equal(record.number, i);
                assert_int_equal(record.check, ~i);
                wake_signal(&shared.emptied);
                i++;
        }
        pthread_join(thread, NULL);
}

static void a_wait_ends_at_its_deadline_and_after_a_slice(void **state)
{
        struct wake_cell cell = { 0 };
        int64_t start = monotonic_ns();

        (void)state;
        wake_wait(&cell, wake_key(&cell), deadline_after_ms(20), NULL);
        assert_true(monotonic_ns() - start >= 19000000);
        start = monotonic_ns();
        wake_wait(&cell, wake_key(&cell), DEADLINE_NEVER, NULL);
        assert_true(monotonic_ns() - start >= (int64_t)WAKE_SLICE_MS * 1000000 - 1000000);
        /* Whoever left says nothing; the next signal finds out. */
        wake_signal(&cell);
        assert_int_equal(atomic_load(&cell.waiting), 0);
}

static void a_signal_before_the_wait_is_not_lost(void **state)
{
        struct wake_cell cell = { 0 };
        uint32_t seen = wake_key(&cell);
        int64_t start = monotonic_ns();

        (void)state;
        wake_signal(&cell);
        wake_wait(&cell, seen, DEADLINE_NEVER, NULL);
        assert_true(monotonic_ns() - start < (int64_t)WAKE_SLICE_MS * 500000);
}

/* A waiter raises the flag after it has read the sequence; so no sequence that was there while a signal found the flag
 * may still be there when that signal has taken it down and wakes: who comes to sleep only then would miss the next. */
static void a_signal_outdates_every_key_whose_flag_it_takes(void **state)
{
        struct wake_cell cell = { 0 };
        uint32_t key = wake_key(&cell);

        (void)state;
        wake_signal(&cell);
        assert_int_equal(wake_key(&cell), key + 1);
        key = wake_key(&cell);
        atomic_store(&cell.waiting, 1);
        wake_signal(&cell);
        assert_int_equal(atomic_load(&cell.waiting), 0);
        /* One step before the flag is looked at, and one behind. */
        assert_int_equal(wake_key(&cell), key + 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(full_and_empty_are_told, setup),
                cmocka_unit_test_setup(indices_wrap, setup),
                cmocka_unit_test_setup(impossible_indices_are_noticed, setup),
                cmocka_unit_test_setup(own_index_is_not_read_back, setup),
                cmocka_unit_test_setup(threads_lose_nothing_and_keep_order, setup),
                cmocka_unit_test(a_wait_ends_at_its_deadline_and_after_a_slice),
                cmocka_unit_test(a_signal_before_the_wait_is_not_lost),
                cmocka_unit_test(a_signal_outdates_every_key_whose_flag_it_takes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
