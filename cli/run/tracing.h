/*
 * tracing.h - the file of --trace
 */
#pragma once

#include "core/base/error.h"
#include "core/vds/trace.h"

/* Opens the trace that --trace asks for, NULL where it does not. A file that holds something other than a trace is left
 * alone (ERR_USAGE), so that a slip of the hand costs no database. `side` is "client" or "server". */
int tracing_open(const char *path, const char *side, struct trace **ret_trace, struct error *err);

/* A trace that could not be written is worth a warning and no more. NULL is allowed. */
void tracing_close(struct trace *trace);
