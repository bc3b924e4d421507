#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/shm/arena.h"

static void uniform_blocks_pack_without_loss(void **state)
{
        struct arena arena;
        uint64_t offset;

        (void)state;
        arena_init(&arena, 10 * arena_block_space(65536, 4096, 100));
        assert_int_equal(arena_count_fit(&arena, 65536, 4096, 100), 10);
        for (int i = 0; i < 10; i++) {
                assert_int_equal(arena_alloc(&arena, 65536, 4096, 100, &offset), ARENA_OK);
                assert_int_equal(offset % 4096, 0);
                assert_true(offset >= 100);
        }
        assert_int_equal(arena_alloc(&arena, 65536, 4096, 100, &offset), ARENA_FULL);
        assert_int_equal(arena_count_fit(&arena, 1, 1, 0), 0);
        arena_deinit(&arena);
}

static void a_block_is_found_by_any_of_its_bytes(void **state)
{
        struct arena arena;
        uint64_t first;
        uint64_t second;

        (void)state;
        arena_init(&arena, 65536);
        assert_int_equal(arena_alloc(&arena, 1000, 512, 10, &first), ARENA_OK);
        assert_int_equal(arena_alloc(&arena, 1000, 512, 10, &second), ARENA_OK);
        assert_int_equal(arena_find(&arena, first)->data, first);
        assert_int_equal(arena_find(&arena, first + 999)->data, first);
        assert_null(arena_find(&arena, first + 1000));
        assert_null(arena_find(&arena, first - 1));
        assert_null(arena_find(&arena, second - 1));
        assert_int_equal(arena_find(&arena, second + 1)->data, second);
        assert_null(arena_find(&arena, UINT64_MAX));
        assert_int_equal(arena_free(&arena, first, 999), ARENA_UNKNOWN);
        assert_int_equal(arena_free(&arena, first + 1, 1000), ARENA_UNKNOWN);
        assert_int_equal(arena_free(&arena, first, 1000), ARENA_OK);
        assert_int_equal(arena_free(&arena, first, 1000), ARENA_UNKNOWN);
        assert_null(arena_find(&arena, first));
        arena_deinit(&arena);
}

static void sizes_beyond_counting_do_not_fit(void **state)
{
        struct arena arena;
        uint64_t offset;

        (void)state;
        arena_init(&arena, 1048576);
        assert_int_equal(arena_alloc(&arena, UINT64_MAX, 4096, 0, &offset), ARENA_FULL);
        assert_int_equal(arena_alloc(&arena, UINT64_MAX - 10, 4096, UINT64_MAX - 10, &offset), ARENA_FULL);
        assert_int_equal(arena_count_fit(&arena, UINT64_MAX, 4096, 0), 0);
        arena_deinit(&arena);
}

enum { LIVE = 200, OPERATIONS = 1000000 };

/* No two blocks overlap (each byte is owned by at most one, told by a map),
 * and after all are freed the arena is whole. */
static void a_million_operations_leave_it_whole(void **state)
{
        enum { SIZE = 1 << 20, GRAIN = 512 };
        struct {
                uint64_t data;
                uint64_t length;
        } live[LIVE] = { 0 };
        uint8_t *owner = calloc(SIZE / GRAIN, 1);
        struct arena arena;
        unsigned seed = 4711;

        (void)state;
        arena_init(&arena, SIZE);
        for (int i = 0; i < OPERATIONS; i++) {
                size_t at = (size_t)rand_r(&seed) % LIVE;

                if (live[at].length) {
                        assert_int_equal(arena_free(&arena, live[at].data, live[at].length), ARENA_OK);
                        memset(owner + live[at].data / GRAIN, 0, (live[at].length + GRAIN - 1) / GRAIN);
                        live[at].length = 0;
                        continue;
                }
                live[at].length = 1 + (uint64_t)rand_r(&seed) % 20000;
                if (arena_alloc(&arena, live[at].length, (uint64_t)GRAIN << (rand_r(&seed) % 4), 0, &live[at].data) !=
                    ARENA_OK) {
                        live[at].length = 0;
                        continue;
                }
                for (uint64_t grain = live[at].data / GRAIN; grain <= (live[at].data + live[at].length - 1) / GRAIN;
                     grain++)
                        assert_int_equal(owner[grain]++, 0);
        }
        for (size_t at = 0; at < LIVE; at++)
                if (live[at].length)
                        assert_int_equal(arena_free(&arena, live[at].data, live[at].length), ARENA_OK);
        assert_int_equal(arena.count, 0);
        assert_int_equal(arena_count_fit(&arena, SIZE, GRAIN, 0), 1);
        arena_deinit(&arena);
        free(owner);
}

/* Sizes, alignments and prefix zones of all kinds, for millions of operations: then all the room is there again, for
 * any mix that was promised. */
static void millions_of_blocks_leave_the_full_capacity(void **state)
{
        enum { MIXED = 3000000, BLOCKS = 24, BLOCK = 65536, PREFIX = 1048576 };
        struct {
                uint64_t data;
                uint64_t length;
        } live[LIVE] = { 0 };
        struct arena arena;
        unsigned seed = 815;
        uint64_t offset;

        (void)state;
        arena_init(&arena, BLOCKS * arena_block_space(BLOCK, 65536, PREFIX));
        for (int i = 0; i < MIXED; i++) {
                size_t at = (size_t)rand_r(&seed) % LIVE;

                if (live[at].length) {
                        assert_int_equal(arena_free(&arena, live[at].data, live[at].length), ARENA_OK);
                        live[at].length = 0;
                        continue;
                }
                live[at].length = UINT64_C(1) << (rand_r(&seed) % 22);
                if (arena_alloc(&arena, live[at].length, UINT64_C(512) << (rand_r(&seed) % 8),
                                (rand_r(&seed) & 3) ? 0 : PREFIX >> (rand_r(&seed) % 12), &live[at].data) != ARENA_OK)
                        live[at].length = 0;
        }
        for (size_t at = 0; at < LIVE; at++)
                if (live[at].length)
                        assert_int_equal(arena_free(&arena, live[at].data, live[at].length), ARENA_OK);
        assert_int_equal(arena_count_fit(&arena, BLOCK, 65536, PREFIX), BLOCKS);
        for (int i = 0; i < BLOCKS; i++)
                assert_int_equal(arena_alloc(&arena, BLOCK, 65536, PREFIX, &offset), ARENA_OK);
        assert_int_equal(arena_alloc(&arena, BLOCK, 65536, PREFIX, &offset), ARENA_FULL);
        arena_deinit(&arena);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(uniform_blocks_pack_without_loss),
                cmocka_unit_test(a_block_is_found_by_any_of_its_bytes),
                cmocka_unit_test(sizes_beyond_counting_do_not_fit),
                cmocka_unit_test(a_million_operations_leave_it_whole),
                cmocka_unit_test(millions_of_blocks_leave_the_full_capacity),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
