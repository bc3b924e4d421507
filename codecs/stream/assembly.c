#include "codecs/stream/assembly.h"

#include <stdlib.h>
#include <string.h>

#include "codecs/base/pool_ring.h"

struct assembly_buffer {
        struct pool_job job; /* first */
        struct frame_encoder *encoder;
        uint8_t *content;
        uint8_t *frame;
        size_t content_size;
        size_t frame_room;
        size_t frame_size;
        int result;
        struct error error;
};

struct assembly {
        size_t content_max;
        struct pool_ring ring; /* of struct assembly_buffer; the next one is being filled */
};

static void buffer_compress(struct pool_job *job)
{
        struct assembly_buffer *buffer = (struct assembly_buffer *)job;

        buffer->result = frame_encode(buffer->encoder, buffer->content, buffer->content_size, buffer->frame,
                                      buffer->frame_room, &buffer->frame_size, &buffer->error);
}

static void buffer_release(void *place)
{
        struct assembly_buffer *buffer = place;

        frame_encoder_free(buffer->encoder);
        free(buffer->content);
        free(buffer->frame);
}

static struct assembly_buffer *assembly_filling(const struct assembly *assembly)
{
        return pool_ring_place(&assembly->ring, assembly->ring.submitted);
}

static int assembly_make_buffers(struct assembly *assembly, const struct frame_settings *settings, struct error *err)
{
        for (unsigned i = 0; i < assembly->ring.count; i++) {
                struct assembly_buffer *buffer = pool_ring_place(&assembly->ring, i);

                buffer->frame_room = frame_bound(assembly->content_max);
                buffer->content = malloc(assembly->content_max);
                buffer->frame = malloc(buffer->frame_room);
                if (!buffer->content || !buffer->frame)
                        return error_no_memory(err);
                if (frame_encoder_new(settings, &buffer->encoder, err) < 0)
                        return -1;
        }
        return 0;
}

int assembly_new(const struct frame_settings *settings, struct pool *pool, struct assembly **ret_assembly,
                 struct error *err)
{
        struct assembly *assembly = calloc(1, sizeof *assembly);

        if (!assembly)
                return error_no_memory(err);
        assembly->content_max = frame_content_max(settings);
        if (pool_ring_init(&assembly->ring, pool, pool_ahead(pool), sizeof(struct assembly_buffer), buffer_compress,
                           err) < 0 ||
            assembly_make_buffers(assembly, settings, err) < 0) {
                assembly_free(assembly);
                return -1;
        }
        *ret_assembly = assembly;
        return 0;
}

void assembly_free(struct assembly *assembly)
{
        if (assembly)
                pool_ring_deinit(&assembly->ring, buffer_release);
        free(assembly);
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

bool assembly_has_closed(const struct assembly *assembly)
{
        return assembly->ring.submitted > 0;
}

bool assembly_is_empty(const struct assembly *assembly)
{
        return assembly->ring.submitted == 0 && assembly_filling(assembly)->content_size == 0;
}

bool assembly_is_ready(struct assembly *assembly)
{
        return pool_ring_is_done(&assembly->ring);
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

void assembly_drop(struct assembly *assembly)
{
        pool_ring_drop(&assembly->ring);
}
