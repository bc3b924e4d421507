#include "support.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "codecs/pool.h"

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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(rings_of_any_number_of_threads),
                cmocka_unit_test(one_pool_for_several_owners),
                cmocka_unit_test(as_many_threads_as_processors),
                cmocka_unit_test(who_waits_helps),
                cmocka_unit_test(taking_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
