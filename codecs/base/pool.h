/*
 * pool.h - threads that work on the frames and chunks of every stream of a process
 *
 * A job is embedded in what its owner keeps for it, input and output buffers included; so work in progress is bounded
 * by what the owners have, and nothing is allocated here. Order is the owner's affair too: it keeps its jobs in a ring,
 * and waits for the oldest.
 *
 * The thread that waits for a job that nobody has begun does it itself, as soon as fewer than the pool's number of
 * threads are at work. So a pool of no threads is no special case, and no job waits for another: jobs neither submit
 * nor wait.
 *
 * The threads take no signals and hold no descriptors. They do not exist in a child of fork(): a child that does not
 * exec leaves the pool alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "core/base/error.h"

struct pool;

struct pool_job {
        void (*run)(struct pool_job *job);

        /* The pool's own. Zero-initialise. */
        TAILQ_ENTRY(pool_job) queued;
        int state; /* under the pool's lock */
};

enum { POOL_THREADS_MAX = 256 };

/* `threads` that work at a time, waiting ones included, however many wait: threads - 1 are started, with the first job.
 * 0: as many as there are processors that this process may use. At most POOL_THREADS_MAX. Where the system refuses a
 * thread there are fewer. */
int pool_new(unsigned threads, struct pool **ret_pool, struct error *err);

/* NULL: 1. */
unsigned pool_threads(const struct pool *pool);

/* So many streams are coded at a time; 1, unless this is called. NULL is allowed. */
void pool_share(struct pool *pool, unsigned streams);

/* How many jobs a stream should have on their way at most, which bounds what it keeps for them: enough for all threads
 * if it is the only one. All streams together have 4 for each thread, or one each where that is more. NULL: 1. */
unsigned pool_ahead(struct pool *pool);

/* No job may be in it. NULL is allowed. */
void pool_free(struct pool *pool);

/* Any thread; `pool` may be NULL, then pool_wait() does the job. The job belongs to the pool until pool_wait() or
 * pool_take_back() has returned. */
void pool_submit(struct pool *pool, struct pool_job *job);

/* Whether pool_wait() would return at once without working. */
bool pool_is_done(struct pool *pool, struct pool_job *job);

/* Returns when the job has run; what it wrote is then visible. A job is waited for once, by any one thread. While
 * another thread runs it, this one may run somebody else's job, as long as no more work than the pool has threads. */
void pool_wait(struct pool *pool, struct pool_job *job);

/* In place of pool_wait(), for a job whose result nobody needs: one that was not begun is not run any more. Returns
 * true when that is so, and false when it has run, after having waited for its end. A job that the pool does not have
 * is left alone. */
bool pool_take_back(struct pool *pool, struct pool_job *job);

/* Whether pool_take_back() would have to wait. */
bool pool_is_running(struct pool *pool, struct pool_job *job);
