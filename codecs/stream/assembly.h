/*
 * assembly.h - content on its way into compressed frames: a ring of assembly buffers
 *
 * Content is copied once, into the buffer being filled. A full buffer goes to the pool as a job; frames are taken in
 * order. The number of buffers is fixed, so a caller that finds none free must take the oldest frame first: this is the
 * back-pressure. Belongs to one thread at a time.
 */
#ifndef VDIPIPE_CODECS_STREAM_ASSEMBLY_H
#define VDIPIPE_CODECS_STREAM_ASSEMBLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/stream/frame.h"
#include "codecs/base/pool.h"
#include "core/base/error.h"

struct assembly;

/* The pool is borrowed, and may be NULL. */
int assembly_new(const struct frame_settings *settings, struct pool *pool, struct assembly **ret_assembly,
                 struct error *err);

/* Takes back what nobody began, and waits for the rest. NULL is allowed. */
void assembly_free(struct assembly *assembly);

/* Copies the beginning of `bytes` into the buffer being filled. Returns how much of it: 0 when no buffer is free. */
size_t assembly_add(struct assembly *assembly, const void *bytes, size_t size);

/* Ends the frame being filled, if there is content for one. */
void assembly_close(struct assembly *assembly);

/* Whether there is content that was not released yet. */
bool assembly_is_empty(const struct assembly *assembly);

/* Whether assembly_oldest() would return at once. */
bool assembly_is_ready(struct assembly *assembly);

struct assembled {
        const uint8_t *frame; /* until released */
        size_t size;
        uint32_t content;
};

/* Waits for the oldest closed frame; there must be one. */
int assembly_oldest(struct assembly *assembly, struct assembled *ret_frame, struct error *err);

/* Whether assembly_oldest() has a frame to wait for. */
bool assembly_has_closed(const struct assembly *assembly);

/* The oldest frame's buffers may be used again. Only after assembly_oldest(). */
void assembly_release(struct assembly *assembly);

/* Nobody wants the content any more: what no thread has begun is not compressed. */
void assembly_drop(struct assembly *assembly);

#endif
