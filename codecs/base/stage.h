/*
 * stage.h - what a device's data passes through on its way out: a chain of stages
 *
 * A chain is built from its end: a sink (a descriptor or a file), then each codec around it; the caller writes into the
 * outermost codec. Order of calls, each at most once except writev and flush:
 *
 *     writev*, flush*, complete, finish        or, at any point,        abort        and always last: free
 *
 * A stage forwards every call to the next one after doing its own part; a file that implements a stage holds only what
 * differs. A failed call leaves the chain fit for abort and free alone. A chain belongs to one thread at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/base/error.h"

struct stage;

/* A NULL in place of a function forwards the call to the next stage, or does nothing in a sink. */
struct stage_ops {
        const char *name;

        /* Takes all bytes, or fails. The memory is the caller's again when the call returns, so a stage that keeps
         * bytes copies them. When the next stage is slow the call waits for it: this is the back-pressure. */
        int (*writev)(struct stage *stage, const struct iovec *iov, int count, struct error *err);

        /* Everything taken so far leaves the process and, where the sink is a file,
         * is on disk when the call returns. */
        int (*flush)(struct stage *stage, struct error *err);

        /* `bytes` more are certain to follow and must not fail for want of room. Called by a codec just before it
         * completes the next stage; sinks that can, reserve. */
        int (*reserve)(struct stage *stage, uint64_t bytes, struct error *err);

        /* No more data comes; everything of it leaves as with flush, marked as complete but without the verdict, and
         * room for the rest is reserved. After this only finish or abort. */
        int (*complete)(struct stage *stage, struct error *err);

        /* The server said success; `report_json` (an object, or NULL) is what it reports. Writes the end that readers
         * insist on and makes it durable. Calls complete first if the caller has not. */
        int (*finish)(struct stage *stage, const char *report_json, struct error *err);

        /* From here on a write that would have to wait for longer than about a second fails. A codec calls it on the
         * next stage before it writes the end of an aborted stream; a sink obeys, nobody else needs it. */
        void (*hurry)(struct stage *stage);

        /* Makes what was written so far unacceptable to every reader, as far as it can still be written. Never fails,
         * never waits for long; does nothing after finish. */
        void (*abort)(struct stage *stage, const char *reason);

        /* Releases this stage's struct and what it holds; stage_free() walks the chain. NULL: free(). */
        void (*free)(struct stage *stage);
};

/* Embedded first in every stage's own struct. */
struct stage {
        const struct stage_ops *ops;
        struct stage *next; /* owned; NULL for a sink */
};

/* A stage of `size` bytes, which begin with struct stage and are 0 behind it. `next` is owned from here on, also on
 * failure; NULL makes a sink. NULL: out of memory, and err says so. */
void *stage_make(size_t size, const struct stage_ops *ops, struct stage *next, struct error *err);

int stage_writev(struct stage *stage, const struct iovec *iov, int count, struct error *err);
int stage_write(struct stage *stage, const void *data, size_t size, struct error *err);
int stage_flush(struct stage *stage, struct error *err);
int stage_reserve(struct stage *stage, uint64_t bytes, struct error *err);
int stage_complete(struct stage *stage, struct error *err);
int stage_finish(struct stage *stage, const char *report_json, struct error *err);
void stage_hurry(struct stage *stage);
void stage_abort(struct stage *stage, const char *reason);

/* Frees the stage and everything behind it. NULL is allowed. */
void stage_free(struct stage *stage);
void stage_freep(struct stage **stage);
