/*
 * intake.h - a buffered view of a source, for parsers
 *
 * Bytes can be looked at before they are taken, and a large request is read straight into the caller's memory when
 * nothing is buffered. The position counts bytes taken, so that every fault can name where it is.
 *
 * Every parser comes by here for each piece of its input, and a few bytes of input can stand for hours of output. So
 * this is where *cancel is looked at: once it is true, taking and peeking fail with ERR_ABORTED, also when the bytes
 * are there.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/base/source.h"

enum { INTAKE_ROOM = 256 << 10 };

struct intake {
        struct source *from; /* not owned */
        const char *label;   /* what messages call the input; not owned */
        const atomic_bool *cancel;
        uint8_t *buffer;
        size_t start, end;
        uint64_t position;
        bool ended; /* the source said so */
};

/* `label` must outlive the intake; `cancel` may be NULL. */
int intake_init(struct intake *intake, struct source *from, const char *label, const atomic_bool *cancel,
                struct error *err);
void intake_deinit(struct intake *intake);

/* -1 (ERR_ABORTED) when the run was cancelled. All calls below look themselves. */
int intake_look_at_cancel(const struct intake *intake, struct error *err);

/* In the words of label.h: what begins at the position is wrong; the input ends `behind` bytes after it. Return -1. */
int intake_raise_damaged(const struct intake *intake, const char *what, struct error *err);
int intake_raise_cut(const struct intake *intake, size_t behind, const char *what, struct error *err);

/* Makes `size` (at most INTAKE_ROOM) bytes visible at *ret_bytes. Returns how many there are, fewer only before the
 * end; -1 on failure. Nothing is taken. */
ssize_t intake_peek(struct intake *intake, size_t size, const uint8_t **ret_bytes, struct error *err);

/* Whether the next byte, or the end, is there without waiting. */
bool intake_ready(const struct intake *intake);

/* The same as intake_peek(), but reads only as long as that needs no waiting; so there may be fewer bytes. */
ssize_t intake_glance(struct intake *intake, size_t size, const uint8_t **ret_bytes, struct error *err);

/* Takes bytes that were peeked. */
void intake_skip(struct intake *intake, size_t size);

/* Takes 1 to `size` bytes into `buffer`; 0 at the end. */
ssize_t intake_some(struct intake *intake, void *buffer, size_t size, struct error *err);

/* Takes `size` bytes into `buffer`; fewer only before the end. */
ssize_t intake_full(struct intake *intake, void *buffer, size_t size, struct error *err);
