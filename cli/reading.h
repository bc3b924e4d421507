/*
 * reading.h - what the commands that only read streams share: a supervisor for signals and stalls, and reading to the
 * verified end
 */
#ifndef VDIPIPE_CLI_READING_H
#define VDIPIPE_CLI_READING_H

#include "cli/args.h"
#include "cli/inputs.h"
#include "cli/progress.h"
#include "cli/supervise.h"
#include "codecs/stage.h"

struct reading {
        struct progress progress;
        struct supervisor *supervisor;
        struct worker worker;
};

int reading_begin(struct reading *reading, const struct args *args, const char *verb, struct error *err);
void reading_end(struct reading *reading);

/* Pulls the input to its verified end, into `sink` unless that is NULL. *ret_bytes is the device's data. */
int reading_pump(struct reading *reading, struct input *input, struct stage *sink, uint64_t *ret_bytes,
                 struct error *err);

/* Runs `each` for every operand (-i works too), or for standard input when there is none. All are tried; the first
 * failure is returned, the others are printed. */
int reading_for_each(struct reading *reading, const struct args *args,
                     int (*each)(struct reading *, const struct args *, const char *path, struct error *),
                     struct error *err);

#endif
