/*
 * inputs.h - the streams a restore reads: opened, recognised, checked to be one whole set, in the order of its devices
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/args.h"
#include "codecs/codecs.h"
#include "core/base/error.h"
#include "core/vds/abi.h"

struct input {
        char *name; /* as given, or as found; "standard input" */
        int fd;
        off_t begin;     /* where the descriptor stood; -1: it cannot be read again */
        bool only_shown; /* set before input_start(): a key may be given that is not needed */
        struct reader *reader;
        struct layer_facts facts; /* once input_start() was called, also when it failed */
};

struct inputs {
        uint32_t count;
        struct input items[VDS_DEVICES_MAX]; /* once inputs_open() returned: items[i] carries device i */
};

/* Opens one input; NULL means standard input, which must not be a terminal. Nothing is read yet. input_deinit() in any
 * case. */
int input_open(struct input *input, const char *path, struct error *err);

/* Recognises its layers and reads its header. */
int input_start(struct input *input, const struct args *args, const atomic_bool *cancel, struct error *err);
void input_deinit(struct input *input);

/* Both, and looks at the end of a seekable stream, too, before anything is read of it. Its data is one backup's. */
int input_take(struct input *input, const char *path, const struct args *args, const atomic_bool *cancel,
               struct error *err);

/* Opens the operation's inputs (-i, else standard input). Of a set of several devices, one file is enough if the others
 * lie beside it. Files that can be read out of order have their ends checked, too, before any data is read. Errors name
 * the file and its fault. */
int inputs_open(struct inputs *inputs, const struct args *args, const atomic_bool *cancel, struct error *err);
void inputs_deinit(struct inputs *inputs);

/* The parts of a database that the streams say they carry fit together without gap or overlap; several streams have to
 * say it. ERR_DAMAGED. */
int inputs_check_extents(const struct inputs *inputs, struct error *err);

/* Whether all inputs are files that can be read again. */
bool inputs_are_files(const struct inputs *inputs);

/* Has every stream begin anew, as inputs_open() left it. The keys are still needed. */
int inputs_restart(struct inputs *inputs, const struct args *args, const atomic_bool *cancel, struct error *err);

/* What the streams say of the backup; NULL when they say nothing (a raw image). */
const struct stream_info *inputs_info(const struct inputs *inputs);
