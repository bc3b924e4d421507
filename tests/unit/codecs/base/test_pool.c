#include "tests/unit/codecs/support.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "codecs/base/pool.h"

enum { JOBS = 2000, RING = 7, WAIT_SECONDS = 30 };

struct sum_job {
        struct pool_job job; /* first */
        unsigned value;
        unsigned square;
        int runs;
};

static void run_sum(struct pool_job *job)
{
        struct sum_job *sum = (struct sum_job *)job;

        sum->square = sum->value * sum->value;
        sum->runs++;
}

static struct pool *make_pool(unsigned threads)
{
        struct pool *pool;
        struct error err = ERROR_INIT;

        assert_ok(pool_new(threads, &pool, &err), &err);
        return pool;
}

/* A ring as the codecs use it: results come in order, each job runs once. */
static void *use_ring(void *argument)
{
        struct pool *pool = argument;
        struct sum_job ring[RING] = { 0 };

        for (unsigned i = 0; i < JOBS + RING; i++) {
                struct sum_job *slot = &ring[i % RING];

                if (i >= RING) {
                        pool_wait(pool, &slot->job);
                        assert_int_equal(slot->runs, 1);
                        assert_int_equal(slot->square, (i - RING) * (i - RING));
                }
                *slot = (struct sum_job){ .job.run = run_sum, .value = i };
                if (i < JOBS)
                        pool_submit(pool, &slot->job);
                else if (i == JOBS + RING - 1)
                        break;
        }
        return NULL;
}

static void rings_of_any_number_of_threads(void **state)
{
        static const unsigned counts[] = { 1, 2, 3, 8 };

        (void)state;
        use_ring(NULL);
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
                struct pool *pool = make_pool(counts[i]);

                assert_int_equal(pool_threads(pool), counts[i]);
                use_ring(pool);
                pool_free(pool);
        }
}

static void one_pool_for_several_owners(void **state)
{
        struct pool *pool = make_pool(4);
        pthread_t owners[3];

        (void)state;
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(pthread_create(&owners[i], NULL, use_ring, pool), 0);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(pthread_join(owners[i], NULL), 0);
        pool_free(pool);
}

static void as_many_threads_as_processors(void **state)
{
        struct pool *pool = make_pool(0);

        (void)state;
        assert_in_range(pool_threads(pool), 1, POOL_THREADS_MAX);
        pool_free(pool);
        pool = make_pool(POOL_THREADS_MAX + 1);
        assert_int_equal(pool_threads(pool), POOL_THREADS_MAX);
        pool_free(pool);
        assert_int_equal(pool_threads(NULL), 1);
        pool_free(NULL);
}

/* Says that it was begun, and ends when it may. */
struct gate_job {
        struct pool_job job; /* first */
        sem_t *begun;
        sem_t *go;
        bool went;
        bool signals_blocked;
        pthread_t thread;
};

static bool wait_for(sem_t *sem)
{
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += WAIT_SECONDS;
        return sem_timedwait(sem, &until) == 0;
}

static void run_gate(struct pool_job *job)
{
        struct gate_job *gate = (struct gate_job *)job;
        sigset_t mask;

        pthread_sigmask(SIG_SETMASK, NULL, &mask);
        gate->signals_blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGUSR1) == 1;
        gate->thread = pthread_self();
        sem_post(gate->begun);
        gate->went = wait_for(gate->go);
}

/* While its own job runs elsewhere, the waiting thread does another one: here the first job ends only after it. */
static void who_waits_helps(void **state)
{
        struct pool *pool = make_pool(2);
        struct gate_job first, second;
        sem_t begun, go, free_go;

        (void)state;
        sem_init(&begun, 0, 0);
        sem_init(&go, 0, 0);
        sem_init(&free_go, 0, 1);
        first = (struct gate_job){ .job.run = run_gate, .begun = &begun, .go = &go };
        second = (struct gate_job){ .job.run = run_gate, .begun = &go, .go = &free_go };
        pool_submit(pool, &first.job);
        assert_true(wait_for(&begun));
        assert_true(pool_is_running(pool, &first.job));
        pool_submit(pool, &second.job);
        pool_wait(pool, &first.job);
        assert_true(first.went);
        assert_true(first.signals_blocked);
        assert_true(pool_is_done(pool, &second.job));
        assert_true(pthread_equal(second.thread, pthread_self()));
        pool_wait(pool, &second.job);
        assert_true(second.went);
        pool_free(pool);
        sem_destroy(&begun);
        sem_destroy(&go);
        sem_destroy(&free_go);
}

static void taking_back(void **state)
{
        struct pool *pool = make_pool(2);
        struct sum_job waiting = { .job.run = run_sum, .value = 3 };
        struct sum_job last = { .job.run = run_sum, .value = 5 };
        struct gate_job gate;
        sem_t begun, go;

        (void)state;
        pool_submit(NULL, &waiting.job);
        assert_true(pool_take_back(NULL, &waiting.job));
        sem_init(&begun, 0, 0);
        sem_init(&go, 0, 0);
        gate = (struct gate_job){ .job.run = run_gate, .begun = &begun, .go = &go };
        pool_submit(pool, &gate.job);
        assert_true(wait_for(&begun));
        pool_submit(pool, &waiting.job);
        pool_submit(pool, &last.job);
        assert_false(pool_is_done(pool, &waiting.job));
        assert_true(pool_take_back(pool, &waiting.job));
        sem_post(&go);
        assert_false(pool_take_back(pool, &gate.job));
        assert_true(gate.went);
        pool_wait(pool, &last.job);
        assert_int_equal(last.square, 25);
        assert_int_equal(waiting.runs, 0);
        pool_free(pool);
        sem_destroy(&begun);
        sem_destroy(&go);
}

/* How many of them run at a time. */
struct crowd {
        struct pool *pool;
        atomic_int running;
        atomic_int most;
};

struct crowd_job {
        struct pool_job job; /* first */
        struct crowd *crowd;
};

static void run_in_crowd(struct pool_job *job)
{
        struct crowd *crowd = ((struct crowd_job *)job)->crowd;
        int running = atomic_fetch_add(&crowd->running, 1) + 1;
        int most = atomic_load(&crowd->most);

        while (running > most && !atomic_compare_exchange_weak(&crowd->most, &most, running))
                ;
        sched_yield();
        atomic_fetch_sub(&crowd->running, 1);
}

static void *wait_in_crowd(void *argument)
{
        struct crowd *crowd = argument;
        struct crowd_job own = { .job.run = run_in_crowd, .crowd = crowd };

        for (int i = 0; i < JOBS; i++) {
                pool_submit(crowd->pool, &own.job);
                pool_wait(crowd->pool, &own.job);
        }
        return NULL;
}

static void no_more_jobs_than_threads_at_a_time(void **state)
{
        enum { OWNERS = 8 };
        pthread_t owners[OWNERS];

        (void)state;
        for (int threads = 1; threads <= 3; threads++) {
                struct crowd crowd = { .pool = make_pool((unsigned)threads) };

                for (size_t i = 0; i < OWNERS; i++)
                        assert_int_equal(pthread_create(&owners[i], NULL, wait_in_crowd, &crowd), 0);
                for (size_t i = 0; i < OWNERS; i++)
                        assert_int_equal(pthread_join(owners[i], NULL), 0);
                assert_in_range(atomic_load(&crowd.most), 1, threads);
                pool_free(crowd.pool);
        }
}

static void streams_share_what_is_on_its_way(void **state)
{
        static const struct {
                unsigned threads, streams, ahead;
        } rows[] = {
                { 1, 1, 1 },  { 1, 64, 1 }, { 2, 0, 4 },  { 2, 1, 4 },  { 2, 2, 4 },   { 2, 3, 2 },
                { 2, 64, 1 }, { 8, 1, 10 }, { 8, 3, 10 }, { 8, 64, 1 }, { 64, 64, 4 }, { 256, 1, 258 },
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct pool *pool = make_pool(rows[i].threads);

                pool_share(pool, rows[i].streams);
                assert_int_equal(pool_ahead(pool), rows[i].ahead);
                pool_free(pool);
        }
        pool_share(NULL, 2);
        assert_int_equal(pool_ahead(NULL), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(rings_of_any_number_of_threads),
                cmocka_unit_test(one_pool_for_several_owners),
                cmocka_unit_test(as_many_threads_as_processors),
                cmocka_unit_test(who_waits_helps),
                cmocka_unit_test(taking_back),
                cmocka_unit_test(no_more_jobs_than_threads_at_a_time),
                cmocka_unit_test(streams_share_what_is_on_its_way),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
