/*
 * frame_queue.h - compressed frames on their way from the intake to their content: loaded in order, decompressed by the
 * pool, taken in order
 *
 * A fixed number of slots bounds it, and a slot's memory grows with the bytes that came, up to what was checked. Frames
 * are loaded ahead for as long as the input has something to give; it is waited for only when nothing else can be
 * handed out. What goes wrong while loading counts when all before it was taken. Belongs to one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/base/intake.h"
#include "codecs/base/pool.h"
#include "codecs/stream/zstd_frame.h"
#include "core/base/error.h"

struct frame_queue;

/* Where a frame for the queue comes next, as far as can be told without waiting, begins it. Returns 1 when it did, 0
 * when not, -1. Called between frames. */
typedef int (*frame_queue_begin_ahead)(struct source *owner, struct error *err);

/* The intake and the pool are borrowed; the pool may be NULL. */
int frame_queue_new(struct intake *intake, struct pool *pool, frame_queue_begin_ahead begin_ahead, struct source *owner,
                    struct frame_queue **ret_queue, struct error *err);

/* Waits for the frames in work. NULL is allowed. */
void frame_queue_free(struct frame_queue *queue);

/* Begins the frame whose header was found at the intake's position. The caller has checked it: a content size that it
 * accepts, no dictionary. Where the frame does not say how much it holds (has_content_size), content_size is what the
 * caller bounds it by. Only where nothing is in use, or when asked by begin_ahead. */
int frame_queue_begin(struct frame_queue *queue, const struct frame_header *header, struct error *err);

/* Whether frames are in the queue, or on their way into it, or could not be brought there. NULL is allowed: no. */
bool frame_queue_is_used(const struct frame_queue *queue);

struct queued_frame {
        uint64_t start; /* position of its first byte */
        size_t size;
        const uint8_t *bytes; /* until the next step */
        size_t content_size;
        enum frame_result result;
        const char *fault;
};

/* Lets the frame that was taken before go, loads, and takes the oldest. Returns 1 with it, its content for
 * frame_queue_read() if its result is FRAME_OK; 0 when there is none: frame_queue_stop() says why; -1 (ERR_ABORTED). */
int frame_queue_step(struct frame_queue *queue, struct queued_frame *ret_frame, struct error *err);

/* Hands out what is left of the content of the frame that was taken: up to `size` bytes. 0: nothing is. */
size_t frame_queue_read(struct frame_queue *queue, void *buffer, size_t size);

enum frame_stop {
        FRAME_STOP_NONE = 0, /* something else comes, or the end of the input */
        FRAME_STOP_CUT,      /* the input ended inside the frame that was begun */
        FRAME_STOP_LONG,     /* the frame that was begun is longer than one of its content can be */
        FRAME_STOP_FAILED,   /* reading failed, or the frame that was begun is wrong */
};

enum frame_stop frame_queue_stop(const struct frame_queue *queue);

/* The error with which it stopped (but for FRAME_STOP_CUT). Returns -1. */
int frame_queue_raise(const struct frame_queue *queue, struct error *err);

/* Gives up the frame that was begun and could not be loaded. Its bytes so far, which began at *ret_start, stay until
 * the next one is begun. NULL: none was begun. */
const uint8_t *frame_queue_give_up(struct frame_queue *queue, uint64_t *ret_start, size_t *ret_size);
