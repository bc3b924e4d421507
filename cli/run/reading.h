/*
 * reading.h - what the commands that only read streams share: a supervisor for signals and stalls, and reading to the
 * verified end
 */
#pragma once

#include "cli/args.h"
#include "cli/media/inputs.h"
#include "cli/run/progress.h"
#include "cli/run/supervise.h"
#include "codecs/base/stage.h"

struct reading {
        struct progress progress;
        struct supervisor *supervisor;
        struct worker worker;
        void *context; /* the command's */
};

/* Pulls the input to its verified end, into `sink` unless that is NULL. *ret_bytes is the device's data. */
int reading_pump(struct reading *reading, struct input *input, struct stage *sink, uint64_t *ret_bytes,
                 struct error *err);

/* What a command does with one stream; NULL as path means standard input. */
typedef int (*reading_function)(struct reading *reading, const struct args *args, const char *path, struct error *err);

/* Runs `each` with `context` under a supervisor for every operand (-i works too), or for standard input when there is
 * none. All are tried, and every failure gets its line; the first one's class is returned. */
int reading_run(const struct args *args, const char *verb, reading_function each, void *context, struct error *err);
