#include "codecs/base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* AHEAD_SPARE: beside one for each thread, a stream may have one that is filled or read from, and one that waits. */
enum { AHEAD_SPARE = 2, AHEAD_FOR_EACH_THREAD = 4 };

enum job_state { JOB_IDLE = 0, JOB_QUEUED, JOB_RUNNING, JOB_DONE };

struct pool {
        pthread_mutex_t lock; /* of everything below */
        pthread_cond_t work;  /* for workers: a job came, or the end */
        pthread_cond_t done;  /* for those who wait: a job is done, or one came that they may run */
        TAILQ_HEAD(, pool_job) queue;
        unsigned threads;
        unsigned streams; /* that share what may be on its way */
        unsigned working; /* jobs being run, also by waiting threads: at most `threads` */
        bool begun;       /* the workers were started, as far as they could be */
        bool ending;
        unsigned started;
        pthread_t workers[];
};

static unsigned usable_processors(void)
{
        cpu_set_t set;
        long online;

        if (sched_getaffinity(0, sizeof set, &set) == 0)
                return (unsigned)CPU_COUNT(&set);
        online = sysconf(_SC_NPROCESSORS_ONLN);
        return online > 0 ? (unsigned)online : 1;
}

/* ---- running, under the lock ---- */

static bool may_run(const struct pool *pool)
{
        return !TAILQ_EMPTY(&pool->queue) && pool->working < pool->threads;
}

/* Lets the lock go while the job runs. */
static void run_queued(struct pool *pool, struct pool_job *job)
{
        TAILQ_REMOVE(&pool->queue, job, queued);
        job->state = JOB_RUNNING;
        pool->working++;
        pthread_mutex_unlock(&pool->lock);
        job->run(job);
        pthread_mutex_lock(&pool->lock);
        pool->working--;
        job->state = JOB_DONE;
        if (!TAILQ_EMPTY(&pool->queue))
                pthread_cond_signal(&pool->work);
        pthread_cond_broadcast(&pool->done);
}

/* ---- the workers ---- */

static void *worker_main(void *argument)
{
        struct pool *pool = argument;

        pthread_mutex_lock(&pool->lock);
        while (!pool->ending) {
                if (may_run(pool))
                        run_queued(pool, TAILQ_FIRST(&pool->queue));
                else
                        pthread_cond_wait(&pool->work, &pool->lock);
        }
        pthread_mutex_unlock(&pool->lock);
        return NULL;
}

/* Signals are for the threads that know what to do with them. What the system refuses is done by those who wait. */
static void start_workers(struct pool *pool)
{
        sigset_t all, old;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        pool->begun = true;
        while (pool->started < pool->threads - 1 &&
               pthread_create(&pool->workers[pool->started], NULL, worker_main, pool) == 0)
                pool->started++;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
}

int pool_new(unsigned threads, struct pool **ret_pool, struct error *err)
{
        unsigned count = threads > 0 ? threads : usable_processors();
        struct pool *pool;

        if (count > POOL_THREADS_MAX)
                count = POOL_THREADS_MAX;
        pool = calloc(1, sizeof *pool + count * sizeof pool->workers[0]);
        if (!pool)
                return error_no_memory(err);
        pool->threads = count;
        pool->streams = 1;
        TAILQ_INIT(&pool->queue);
        pthread_mutex_init(&pool->lock, NULL);
        pthread_cond_init(&pool->work, NULL);
        pthread_cond_init(&pool->done, NULL);
        *ret_pool = pool;
        return 0;
}

unsigned pool_threads(const struct pool *pool)
{
        return pool ? pool->threads : 1;
}

void pool_share(struct pool *pool, unsigned streams)
{
        if (!pool)
                return;
        pthread_mutex_lock(&pool->lock);
        pool->streams = streams > 0 ? streams : 1;
        pthread_mutex_unlock(&pool->lock);
}

unsigned pool_ahead(struct pool *pool)
{
        unsigned most, ahead;

        if (!pool || pool->threads == 1)
                return 1;
        most = pool->threads + AHEAD_SPARE;
        pthread_mutex_lock(&pool->lock);
        ahead = AHEAD_FOR_EACH_THREAD * pool->threads / pool->streams;
        pthread_mutex_unlock(&pool->lock);
        if (ahead > most)
                return most;
        return ahead > 0 ? ahead : 1;
}

void pool_free(struct pool *pool)
{
        if (!pool)
                return;
        pthread_mutex_lock(&pool->lock);
        pool->ending = true;
        pthread_cond_broadcast(&pool->work);
        pthread_mutex_unlock(&pool->lock);
        for (unsigned i = 0; i < pool->started; i++)
                pthread_join(pool->workers[i], NULL);
        pthread_cond_destroy(&pool->done);
        pthread_cond_destroy(&pool->work);
        pthread_mutex_destroy(&pool->lock);
        free(pool);
}

/* ---- jobs ---- */

void pool_submit(struct pool *pool, struct pool_job *job)
{
        if (!pool) {
                job->state = JOB_QUEUED;
                return;
        }
        pthread_mutex_lock(&pool->lock);
        if (!pool->begun)
                start_workers(pool);
        job->state = JOB_QUEUED;
        TAILQ_INSERT_TAIL(&pool->queue, job, queued);
        pthread_cond_signal(&pool->work);
        pthread_cond_broadcast(&pool->done);
        pthread_mutex_unlock(&pool->lock);
}

static int job_state(struct pool *pool, const struct pool_job *job)
{
        int state;

        if (!pool)
                return job->state;
        pthread_mutex_lock(&pool->lock);
        state = job->state;
        pthread_mutex_unlock(&pool->lock);
        return state;
}

bool pool_is_done(struct pool *pool, struct pool_job *job)
{
        return job_state(pool, job) == JOB_DONE;
}

bool pool_is_running(struct pool *pool, struct pool_job *job)
{
        return job_state(pool, job) == JOB_RUNNING;
}

void pool_wait(struct pool *pool, struct pool_job *job)
{
        if (!pool) {
                job->run(job);
                job->state = JOB_IDLE;
                return;
        }
        pthread_mutex_lock(&pool->lock);
        while (job->state != JOB_DONE) {
                if (may_run(pool))
                        run_queued(pool, job->state == JOB_QUEUED ? job : TAILQ_FIRST(&pool->queue));
                else
                        pthread_cond_wait(&pool->done, &pool->lock);
        }
        job->state = JOB_IDLE;
        pthread_mutex_unlock(&pool->lock);
}

bool pool_take_back(struct pool *pool, struct pool_job *job)
{
        bool unbegun;

        if (!pool) {
                job->state = JOB_IDLE;
                return true;
        }
        pthread_mutex_lock(&pool->lock);
        unbegun = job->state == JOB_QUEUED;
        if (unbegun)
                TAILQ_REMOVE(&pool->queue, job, queued);
        while (job->state == JOB_RUNNING)
                pthread_cond_wait(&pool->done, &pool->lock);
        job->state = JOB_IDLE;
        pthread_mutex_unlock(&pool->lock);
        return unbegun;
}
