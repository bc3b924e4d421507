/*
 * outputs.h - where a backup's streams go: standard output, or files named by a pattern
 */
#pragma once

#include <stdint.h>

#include "cli/args.h"
#include "core/base/error.h"

/* What the placeholders of a name pattern stand for. */
struct output_words {
        const char *db;
        const char *source; /* path of the database: no placeholder, but no output may be a file of it; NULL: none */
        const char *type;
        const char *date; /* 20260131T235959Z */
};

/* Expands {db} {date} {type} {device} in `pattern`, a slash in them becomes '_'; `device` counts from 1. Unknown
 * placeholders are errors. Allocated. */
int outputs_expand(const char *pattern, const struct output_words *words, uint32_t device, char **ret_name,
                   struct error *err);

/* A header's time as {date} has it. */
void outputs_date(const char *time_text, char ret_date[32]);

/* Checks what can be checked before anything is started: patterns, the number of devices, a terminal as output. */
int outputs_check(const struct args *args, struct error *err);

/* Whether standard output may take data: no terminal, and not where progress is written. */
int outputs_check_stdout(const struct args *args, struct error *err);

/* The path of a device's output, allocated: `pattern` expanded; NULL: standard output. ERR_USAGE when it is a file of
 * the database that is being read. *ret_path is the caller's in any case. */
int outputs_name(const char *pattern, const struct output_words *words, uint32_t device, char **ret_path,
                 struct error *err);
