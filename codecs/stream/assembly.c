#include "codecs/stream/assembly.h"

#include <stdlib.h>
#include <string.h>

struct assembly_buffer {
        struct pool_job job; /* first */
        const struct frame_settings *settings;
        ZSTD_CCtx *encoder;
        uint8_t *content;
        uint8_t *frame;
        size_t content_size;
        size_t frame_room;
        size_t frame_size;
        int result;
        struct error error;
};

static void buffer_compress(struct pool_job *job)
{
        struct assembly_buffer *buffer = (struct assembly_buffer *)job;

        buffer->result = frame_encode(&buffer->encoder, buffer->settings, buffer->content, buffer->content_size,
                                      buffer->frame, buffer->frame_room, &buffer->frame_size, &buffer->error);
}

static void buffer_release(void *place)
{
        struct assembly_buffer *buffer = place;

        ZSTD_freeCCtx(buffer->encoder);
        free(buffer->content);
        free(buffer->frame);
}

int assembly_init(struct assembly *assembly, const struct frame_settings *settings, struct pool *pool,
                  struct error *err)
{
        *assembly = (struct assembly){ .settings = *settings };
        assembly->content_max = settings->zstd_long ? FRAME_CONTENT_MAX_LONG : FRAME_CONTENT_MAX;
        if (pool_ring_init(&assembly->ring, pool, pool_ahead(pool), sizeof(struct assembly_buffer), buffer_compress,
                           err) < 0)
                return -1;
        for (unsigned i = 0; i < assembly->ring.count; i++) {
                struct assembly_buffer *buffer = pool_ring_place(&assembly->ring, i);

                buffer->settings = &assembly->settings;
                buffer->frame_room = frame_bound(assembly->content_max);
                buffer->content = malloc(assembly->content_max);
                buffer->frame = malloc(buffer->frame_room);
                if (!buffer->content || !buffer->frame)
                        return error_no_memory(err);
        }
        return 0;
}

void assembly_deinit(struct assembly *assembly)
{
        pool_ring_deinit(&assembly->ring, buffer_release);
}

static struct assembly_buffer *assembly_filling(const struct assembly *assembly)
{
        return pool_ring_place(&assembly->ring, assembly->ring.submitted);
}

size_t assembly_add(struct assembly *assembly, const void *bytes, size_t size)
{
        struct assembly_buffer *buffer = assembly_filling(assembly);
        size_t room;

        if (pool_ring_is_full(&assembly->ring))
                return 0;
        room = assembly->content_max - buffer->content_size;
        if (size > room)
                size = room;
        memcpy(buffer->content + buffer->content_size, bytes, size);
        buffer->content_size += size;
        if (size == room)
                pool_ring_submit(&assembly->ring);
        return size;
}

void assembly_close(struct assembly *assembly)
{
        if (!pool_ring_is_full(&assembly->ring) && assembly_filling(assembly)->content_size > 0)
                pool_ring_submit(&assembly->ring);
}

bool assembly_is_empty(const struct assembly *assembly)
{
        return assembly->ring.count == 0 ||
               (assembly->ring.submitted == 0 && assembly_filling(assembly)->content_size == 0);
}

int assembly_oldest(struct assembly *assembly, struct assembled *ret_frame, struct error *err)
{
        const struct assembly_buffer *buffer = pool_ring_oldest(&assembly->ring);

        if (buffer->result < 0) {
                error_keep_first(err, &buffer->error);
                return -1;
        }
        *ret_frame = (struct assembled){ .frame = buffer->frame,
                                         .size = buffer->frame_size,
                                         .content = (uint32_t)buffer->content_size };
        return 0;
}

void assembly_release(struct assembly *assembly)
{
        ((struct assembly_buffer *)pool_ring_place(&assembly->ring, 0))->content_size = 0;
        pool_ring_release(&assembly->ring);
}
