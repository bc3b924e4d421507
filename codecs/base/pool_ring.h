/*
 * pool_ring.h - a row of jobs that a stream keeps on their way through the pool, taken in the order they were submitted
 *
 * A fixed number of places, each with a job and what its owner keeps for it. The next place is filled and submitted;
 * the oldest one is waited for, used, and released, which makes it the last to be filled. Without a free place the
 * owner takes the oldest first: this is the back-pressure. Belongs to one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "codecs/base/pool.h"

/* All 0 is one without places, fit for pool_ring_deinit(). */
struct pool_ring {
        struct pool *pool; /* borrowed; NULL: no threads */
        char *places;
        size_t place_size;
        unsigned count;     /* of the places */
        unsigned first;     /* the oldest */
        unsigned submitted; /* from the first on */
        bool waited;        /* for the oldest */
};

/* `count` places, at least 1, of `place_size` bytes, which begin with struct pool_job and are 0 behind it. */
int pool_ring_init(struct pool_ring *ring, struct pool *pool, unsigned count, size_t place_size,
                   void (*run)(struct pool_job *job), struct error *err);

/* Takes back what nobody began, waits for the rest, and calls `release` for each place. */
void pool_ring_deinit(struct pool_ring *ring, void (*release)(void *place));

/* Nobody wants the results any more: what no thread has begun is not run. Does not wait. Then only deinit. */
void pool_ring_drop(struct pool_ring *ring);

/* Place `n` from the oldest on; place `submitted` is the one to be filled, if it is below `count`. */
void *pool_ring_place(const struct pool_ring *ring, unsigned n);

static inline bool pool_ring_is_full(const struct pool_ring *ring)
{
        return ring->submitted == ring->count;
}

/* Gives the place that was filled to the pool. The ring is not full. */
void pool_ring_submit(struct pool_ring *ring);

/* Whether there is an oldest job, and it has run. */
bool pool_ring_is_done(struct pool_ring *ring);

/* Waits for the oldest job, of which there must be one. Returns its place, which stays the owner's until released. */
void *pool_ring_oldest(struct pool_ring *ring);
void pool_ring_release(struct pool_ring *ring);
