/*
 * source.h - where a device's data comes from: a chain of sources, pulled by the reader
 *
 * A source hands out bytes in order. Its end is a statement: source_read() returns 0 only after everything that the
 * source's format says about its end (checksums, totals, verdict, nothing behind it) has been checked. A reader that
 * must not act on a damaged stream therefore withholds the last bytes it was given until it has seen the 0. A source
 * belongs to one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"

struct source;

struct source_ops {
        const char *name;

        /* Gives 1 to `size` bytes, or 0 at the verified end, or -1.
         * After an error or the end it is not called again. */
        ssize_t (*read)(struct source *source, void *buffer, size_t size, struct error *err);

        /* Whether read would return at once, as far as can be told. NULL: asks the source inside it; where there is
         * none, no. */
        bool (*ready)(struct source *source);

        /* Releases the source's own struct and what it holds, but neither the label nor the source inside it.
         * NULL: free(). */
        void (*free)(struct source *source);
};

/* Embedded first in every source's own struct. */
struct source {
        const struct source_ops *ops;
        struct source *next; /* owned; NULL for a descriptor */
        char *label;         /* what messages call the input; owned; NULL where the source has no use for it */
};

/* A source of `size` bytes, which begin with struct source and are 0 behind it. `next` is owned from here on, also on
 * failure; `label` is copied, or NULL. NULL: out of memory, and err says so. */
void *source_make(size_t size, const struct source_ops *ops, struct source *next, const char *label, struct error *err);

ssize_t source_read(struct source *source, void *buffer, size_t size, struct error *err);

/* Reads until `size` bytes are there or the verified end comes. Returns the number of bytes. */
ssize_t source_read_full(struct source *source, void *buffer, size_t size, struct error *err);

bool source_ready(struct source *source);

void source_free(struct source *source);
