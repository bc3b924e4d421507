/*
 * trace.h - one JSON line for each command and each completion, for those who want to see what goes over a set
 *
 *   {"time":0.001234,"side":"client","device":1,"serial":7,"event":"command","command":"Write","size":65536,"position":0}
 *   {"time":0.001301,"side":"client","device":1,"serial":7,"event":"completion","command":"Write","code":0,
 *    "bytes":65536,"position":0,"after":0.000067}                                                        (one line)
 *
 * Times are seconds since trace_open(), on CLOCK_MONOTONIC. `device` counts from 1; `serial` counts a device's commands
 * from 1. Every function but open and close may be called from any thread and takes a NULL trace as nothing to do. A
 * line is written by one write(2) to a descriptor opened for appending, so several processes may share a file.
 */
#pragma once

#include <stdint.h>

#include "core/base/error.h"

struct trace;

/* `path` is emptied if it exists. `side` is "client" or "server". */
int trace_open(const char *path, const char *side, struct trace **ret_trace, struct error *err);

void trace_command(struct trace *trace, uint32_t device, uint64_t serial, int32_t command_code, int32_t size,
                   int64_t position);
void trace_completion(struct trace *trace, uint32_t device, uint64_t serial, int32_t command_code, int32_t completion,
                      uint64_t bytes, int64_t position);

/* Something else that happened: "abort", "close", "verdict". `text` may be NULL; device 0: the whole set. */
void trace_event(struct trace *trace, uint32_t device, const char *event, const char *text);

/* -1 when a line could not be written. NULL is allowed. */
int trace_close(struct trace *trace, struct error *err);
