#include "codecs/base/pool_ring.h"

#include <stdlib.h>

int pool_ring_init(struct pool_ring *ring, struct pool *pool, unsigned count, size_t place_size,
                   void (*run)(struct pool_job *job), struct error *err)
{
        *ring = (struct pool_ring){ .pool = pool, .place_size = place_size };
        ring->places = calloc(count, place_size);
        if (!ring->places)
                return error_no_memory(err);
        ring->count = count;
        for (unsigned i = 0; i < count; i++)
                ((struct pool_job *)pool_ring_place(ring, i))->run = run;
        return 0;
}

void pool_ring_deinit(struct pool_ring *ring, void (*release)(void *place))
{
        for (unsigned i = 0; i < ring->count; i++) {
                void *place = pool_ring_place(ring, i);

                (void)pool_take_back(ring->pool, place);
                release(place);
        }
        free(ring->places);
        *ring = (struct pool_ring){ 0 };
}

void pool_ring_drop(struct pool_ring *ring)
{
        for (unsigned i = 0; i < ring->submitted; i++)
                if (!pool_is_running(ring->pool, pool_ring_place(ring, i)))
                        (void)pool_take_back(ring->pool, pool_ring_place(ring, i));
}

void *pool_ring_place(const struct pool_ring *ring, unsigned n)
{
        return ring->places + (ring->first + n) % ring->count * ring->place_size;
}

void pool_ring_submit(struct pool_ring *ring)
{
        pool_submit(ring->pool, pool_ring_place(ring, ring->submitted++));
}

bool pool_ring_is_done(struct pool_ring *ring)
{
        return ring->submitted > 0 && (ring->waited || pool_is_done(ring->pool, pool_ring_place(ring, 0)));
}

void *pool_ring_oldest(struct pool_ring *ring)
{
        void *oldest = pool_ring_place(ring, 0);

        if (!ring->waited)
                pool_wait(ring->pool, oldest);
        ring->waited = true;
        return oldest;
}

void pool_ring_release(struct pool_ring *ring)
{
        ring->first = (ring->first + 1) % ring->count;
        ring->submitted--;
        ring->waited = false;
}
