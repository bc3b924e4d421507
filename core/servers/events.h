/*
 * events.h - what a server tells whoever runs it, while it works
 *
 * Every member may be NULL. Messages and results come one at a time, from any thread of the run.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/tsql/messages.h"
#include "core/vds/trace.h"

/* One value of a row. */
struct result_cell {
        enum result_kind { RESULT_NULL, RESULT_NUMBER, RESULT_TEXT } kind;
        int64_t number;
        const char *text; /* static */
};

/* The rows that a statement answers with. */
struct result_set {
        const char *const *columns;
        size_t column_count;
        const struct result_cell *cells; /* row by row */
        size_t row_count;
};

enum { SERVER_HOLD = 1 };

struct server_events {
        void *context;
        void (*message)(const struct server_message *message, void *context);
        void (*results)(const struct result_set *results, void *context);
        /* Gives the way to end the run early, which any thread may take until this is called again with NULL. */
        void (*abortable)(void (*abort)(void *run), void *run, void *context);
        struct trace *trace; /* of the commands and their completions */
        /* Hears of every transfer, on its device's thread. A failure that it raises is the run's; SERVER_HOLD keeps the
         * device still until the run is aborted. */
        int (*moved)(uint64_t bytes, void *context, struct error *err);
        /* Everything is moved and every device closed, and the verdict is still to come: a failure is the run's. */
        int (*concluding)(void *context, struct error *err);
};
