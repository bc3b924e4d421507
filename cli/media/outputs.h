/*
 * outputs.h - where a backup's streams go: standard output, or files named by a pattern
 */
#ifndef VDIPIPE_CLI_MEDIA_OUTPUTS_H
#define VDIPIPE_CLI_MEDIA_OUTPUTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/args.h"
#include "codecs/codecs.h"
#include "core/base/error.h"
#include "core/vds/abi.h"

struct outputs {
        uint32_t count;
        struct stage *sinks[VDS_DEVICES_MAX]; /* ends of the chains; owned by the chain once one is built on them */
        char *names[VDS_DEVICES_MAX];         /* for messages */
        bool to_stdout;
};

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

/* Opens the sink of every device. */
int outputs_open(struct outputs *outputs, const struct args *args, const struct output_words *words, const char *set_id,
                 const atomic_bool *cancel, struct error *err);

void outputs_deinit(struct outputs *outputs);

#endif
