/*
 * frame_queue.h - compressed frames on their way from the intake to their content: loaded in order, decompressed by the
 * pool, taken in order
 *
 * A fixed number of slots bounds it, and a slot's memory grows with the bytes that came, up to what was checked. A
 * frame is loaded in steps, so that its owner can stop where the input has nothing to give and do something else.
 * Belongs to one thread at a time.
 */
#ifndef VDIPIPE_CODECS_STREAM_FRAME_QUEUE_H
#define VDIPIPE_CODECS_STREAM_FRAME_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/stream/frame.h"
#include "codecs/base/intake.h"
#include "codecs/base/pool.h"
#include "core/base/error.h"

struct frame_queue;

/* The intake and the pool are borrowed; the pool may be NULL. Returns NULL when out of memory. */
struct frame_queue *frame_queue_new(struct intake *intake, struct pool *pool);

/* Waits for the frames in work. NULL is allowed. */
void frame_queue_free(struct frame_queue *queue);

bool frame_queue_is_empty(const struct frame_queue *queue);
bool frame_queue_is_full(const struct frame_queue *queue);
bool frame_queue_is_loading(const struct frame_queue *queue);

/* Begins the frame whose header was found at the intake's position. The caller has checked it: a content size that it
 * accepts, no dictionary. Where the frame does not say how much it holds (has_content_size), content_size is what the
 * caller bounds it by. Only when not full and not loading. */
int frame_queue_begin(struct frame_queue *queue, const struct frame_header *header, struct error *err);

enum frame_load {
        FRAME_LOAD_FAILED = -1, /* err says why */
        FRAME_LOAD_WAITS = 0,   /* the input has nothing right now; only where it may not wait */
        FRAME_LOAD_WHOLE = 1,   /* the frame is with the pool; frame_queue_last() has its bytes */
        FRAME_LOAD_CUT = 2,     /* the input ended inside */
        FRAME_LOAD_LONG = 3,    /* the frame is longer than one of its content can be; err says so */
};

/* Goes on loading the frame that was begun. Without `wait` it reads only what is there. */
enum frame_load frame_queue_load(struct frame_queue *queue, bool wait, struct error *err);

/* Gives up the frame that is being loaded. Its bytes so far, which began at *ret_start, stay until the next one is
 * begun. */
const uint8_t *frame_queue_give_up(struct frame_queue *queue, uint64_t *ret_start, size_t *ret_size);

/* The bytes of the frame that became whole last. Nobody changes them before the next frame is begun. */
const uint8_t *frame_queue_last(const struct frame_queue *queue, size_t *ret_size);

struct queued_frame {
        uint64_t start; /* position of its first byte */
        size_t size;
        const uint8_t *bytes;   /* until released */
        const uint8_t *content; /* until released */
        size_t content_size;
        enum frame_result result;
        const char *fault;
};

/* Waits for the oldest frame; there must be a whole one. It stays in the queue until released. */
void frame_queue_oldest(struct frame_queue *queue, struct queued_frame *ret_frame);
void frame_queue_release(struct frame_queue *queue);

#endif
