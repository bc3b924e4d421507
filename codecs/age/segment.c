#include "codecs/age/segment.h"

#include <stdlib.h>

int age_segments_init(struct pool_ring *ring, struct pool *pool, unsigned count, const uint8_t *key,
                      void (*run)(struct pool_job *job), struct error *err)
{
        if (pool_ring_init(ring, pool, count, sizeof(struct age_segment), run, err) < 0)
                return -1;
        for (unsigned i = 0; i < count; i++) {
                struct age_segment *segment = pool_ring_place(ring, i);

                segment->key = key;
                segment->bytes = malloc(SEGMENT_SEALED + 1);
                if (!segment->bytes)
                        return error_no_memory(err);
        }
        return 0;
}

static void segment_release(void *place)
{
        free(((struct age_segment *)place)->bytes);
}

void age_segments_deinit(struct pool_ring *ring)
{
        pool_ring_deinit(ring, segment_release);
}
