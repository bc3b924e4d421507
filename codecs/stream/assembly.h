/*
 * assembly.h - content on its way into compressed frames: a ring of assembly buffers
 *
 * Content is copied once, into the buffer being filled. A full buffer goes to the pool as a job; frames are taken in
 * order. The number of buffers is fixed, so a caller that finds none free must take the oldest frame first: this is the
 * back-pressure. Belongs to one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/base/pool_ring.h"
#include "codecs/stream/zstd_frame.h"
#include "core/base/error.h"

struct assembly {
        struct frame_settings settings;
        size_t content_max;
        struct pool_ring ring; /* of the buffers; the next one is being filled */
};

/* The pool is borrowed, and may be NULL. All 0, or after a failure: only to be released. */
int assembly_init(struct assembly *assembly, const struct frame_settings *settings, struct pool *pool,
                  struct error *err);

/* Takes back what nobody began, and waits for the rest. */
void assembly_deinit(struct assembly *assembly);

/* Copies the beginning of `bytes` into the buffer being filled. Returns how much of it: 0 when no buffer is free. */
size_t assembly_add(struct assembly *assembly, const void *bytes, size_t size);

/* Ends the frame being filled, if there is content for one. */
void assembly_close(struct assembly *assembly);

/* Whether there is content that was not released yet. Also where there are no buffers. */
bool assembly_is_empty(const struct assembly *assembly);

struct assembled {
        const uint8_t *frame; /* until released */
        size_t size;
        uint32_t content;
};

/* Waits for the oldest frame of the ring. */
int assembly_oldest(struct assembly *assembly, struct assembled *ret_frame, struct error *err);

/* The oldest frame's buffers may be used again. Only after assembly_oldest(). */
void assembly_release(struct assembly *assembly);
