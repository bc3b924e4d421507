#include "codecs/stream/assembly.h"

#include <stdlib.h>
#include <string.h>

struct buffer {
        struct pool_job job; /* first */
        struct frame_encoder *encoder;
        uint8_t *content;
        uint8_t *frame;
        size_t content_size;
        size_t frame_room;
        size_t frame_size;
        int result;
        struct error error;
        bool submitted; /* and not yet waited for */
};

struct assembly {
        struct pool *pool;
        size_t content_max;
        unsigned count;
        unsigned first;  /* the oldest closed buffer */
        unsigned closed; /* the one behind them is being filled */
        struct buffer buffers[];
};

static void compress(struct pool_job *job)
{
        struct buffer *buffer = (struct buffer *)job;

        buffer->result = frame_encode(buffer->encoder, buffer->content, buffer->content_size, buffer->frame,
                                      buffer->frame_room, &buffer->frame_size, &buffer->error);
}

static struct buffer *nth(struct assembly *assembly, unsigned n)
{
        return &assembly->buffers[(assembly->first + n) % assembly->count];
}

int assembly_new(const struct frame_settings *settings, struct pool *pool, struct assembly **ret_assembly,
                 struct error *err)
{
        unsigned count = pool_ahead(pool);
        struct assembly *assembly = calloc(1, sizeof *assembly + count * sizeof assembly->buffers[0]);
        int result = 0;

        if (!assembly)
                return error_no_memory(err);
        assembly->pool = pool;
        assembly->count = count;
        assembly->content_max = frame_content_max(settings);
        for (unsigned i = 0; i < count && result == 0; i++) {
                struct buffer *buffer = &assembly->buffers[i];

                buffer->job.run = compress;
                buffer->frame_room = frame_bound(assembly->content_max);
                buffer->content = malloc(assembly->content_max);
                buffer->frame = malloc(buffer->frame_room);
                result = buffer->content && buffer->frame ? frame_encoder_new(settings, &buffer->encoder, err)
                                                          : error_no_memory(err);
        }
        if (result < 0) {
                assembly_free(assembly);
                return -1;
        }
        *ret_assembly = assembly;
        return 0;
}

void assembly_free(struct assembly *assembly)
{
        if (!assembly)
                return;
        for (unsigned i = 0; i < assembly->count; i++) {
                struct buffer *buffer = &assembly->buffers[i];

                if (buffer->submitted)
                        (void)pool_take_back(assembly->pool, &buffer->job);
                frame_encoder_free(buffer->encoder);
                free(buffer->content);
                free(buffer->frame);
        }
        free(assembly);
}

size_t assembly_add(struct assembly *assembly, const void *bytes, size_t size)
{
        struct buffer *buffer = nth(assembly, assembly->closed);
        size_t room;

        if (assembly->closed == assembly->count)
                return 0;
        room = assembly->content_max - buffer->content_size;
        if (size > room)
                size = room;
        memcpy(buffer->content + buffer->content_size, bytes, size);
        buffer->content_size += size;
        if (size == room)
                assembly_close(assembly);
        return size;
}

void assembly_close(struct assembly *assembly)
{
        struct buffer *buffer = nth(assembly, assembly->closed);

        if (assembly->closed == assembly->count || buffer->content_size == 0)
                return;
        assembly->closed++;
        buffer->submitted = true;
        pool_submit(assembly->pool, &buffer->job);
}

bool assembly_has_closed(const struct assembly *assembly)
{
        return assembly->closed > 0;
}

bool assembly_is_empty(const struct assembly *assembly)
{
        return assembly->closed == 0 && assembly->buffers[assembly->first].content_size == 0;
}

bool assembly_is_ready(struct assembly *assembly)
{
        return assembly->closed > 0 && pool_is_done(assembly->pool, &nth(assembly, 0)->job);
}

int assembly_oldest(struct assembly *assembly, struct assembled *ret_frame, struct error *err)
{
        struct buffer *buffer = nth(assembly, 0);

        pool_wait(assembly->pool, &buffer->job);
        buffer->submitted = false;
        if (buffer->result < 0) {
                *err = buffer->error;
                return -1;
        }
        *ret_frame = (struct assembled){ .frame = buffer->frame,
                                         .size = buffer->frame_size,
                                         .content = (uint32_t)buffer->content_size };
        return 0;
}

void assembly_release(struct assembly *assembly)
{
        nth(assembly, 0)->content_size = 0;
        assembly->first = (assembly->first + 1) % assembly->count;
        assembly->closed--;
}

void assembly_drop(struct assembly *assembly)
{
        for (unsigned i = 0; i < assembly->closed; i++) {
                struct buffer *buffer = nth(assembly, i);

                if (buffer->submitted && !pool_is_running(assembly->pool, &buffer->job)) {
                        (void)pool_take_back(assembly->pool, &buffer->job);
                        buffer->submitted = false;
                }
        }
}
