/*
 * pool.h - threads that work on the frames and chunks of every stream of a process
 *
 * A job is embedded in what its owner keeps for it, input and output buffers included; so work in progress is bounded
 * by what the owners have, and nothing is allocated here. Order is the owner's affair too: it keeps its jobs in a ring,
 * and waits for the oldest.
 *
 * The thread that waits for a job that nobody has begun does it itself. So a pool of no threads is no special case, and
 * no job waits for another: jobs neither submit nor wait.
 */
#ifndef VDIPIPE_CODECS_POOL_H
#define VDIPIPE_CODECS_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

struct pool;

struct pool_job {
        void (*run)(struct pool_job *job);

        /* The pool's own. Zero-initialise. */
        struct pool_job *next;
        struct pool_job *previous;
        int state; /* under the pool's lock */
};

/* `threads` that work at a time, the waiting one included: threads - 1 are started. 0: as many as there are processors
 * that this process may use. */
int pool_new(unsigned threads, struct pool **ret_pool, struct error *err);
unsigned pool_threads(const struct pool *pool);

/* No job may be in it. NULL is allowed. */
void pool_free(struct pool *pool);

/* Any thread; `pool` may be NULL, then pool_wait() does the job. The job belongs to the pool until pool_wait() has
 * returned. */
void pool_submit(struct pool *pool, struct pool_job *job);

/* Whether pool_wait() would return at once without working. */
bool pool_is_done(struct pool *pool, struct pool_job *job);

/* Returns when the job has run; what it wrote is then visible. A job is waited for once, by any one thread. */
void pool_wait(struct pool *pool, struct pool_job *job);

#endif
