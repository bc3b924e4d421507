/*
 * extract.c - a device's data without any layer
 */
#include <stddef.h>
#include <unistd.h>

#include "cli/media/coding.h"
#include "cli/command.h"
#include "cli/media/outputs.h"
#include "cli/run/reading.h"
#include "core/base/cleanup.h"
#include "core/base/ident.h"

static const struct opt_choice layers[] = {
        { "age", LAYER_AGE },
        { "zstd", LAYER_ZSTD },
        { NULL, 0 },
};

static const struct opt_spec extract_options[] = {
        OPTION_STRING(FILES, "output", 'o', "FILE", output,
                      "write to FILE, which appears when everything was read and checked"),
        OPTION_FLAG(FILES, "force", 'f', force, "replace an existing FILE"),
        OPTION_CHOICE(FILES, "layer", "KIND", layer, layers,
                      "take off the outermost layer alone, which must be this one: age or zstd"),
        { .type = OPT_END },
};

static int open_sink(const struct args *args, const atomic_bool *cancel, struct stage **ret_sink, struct error *err)
{
        char id[IDENT_UUID_SIZE];

        if (args->output) {
                ident_uuid(id);
                return file_sink_new(args->output, id,
                                     args->force ? FILE_EXISTING_REPLACED : FILE_EXISTING_KEPT_FORCE_HELPS, cancel,
                                     ret_sink, err);
        }
        return fd_sink_new(STDOUT_FILENO, "standard output", cancel, ret_sink, err);
}

static int extract_one(struct reading *reading, const struct args *args, const char *path, struct error *err)
{
        const atomic_bool *cancel = supervisor_cancel_flag(reading->supervisor);
        CLEANUP(input_deinit) struct input input = { .fd = -1 };
        CLEANUP(stage_freep) struct stage *sink = NULL;
        bool started = input_open(&input, path, err) == 0 && input_start(&input, args, cancel, err) == 0;
        uint64_t bytes;

        coding_forget(args);
        if (!started || open_sink(args, cancel, &sink, err) < 0)
                return -1;
        if (reading_pump(reading, &input, sink, &bytes, err) == 0 &&
            stage_finish(sink, /* report_json= */ NULL, err) == 0 &&
            (!args->output || file_sink_publish(&sink, 1, err) == 0))
                return 0;
        stage_abort(sink, err->message);
        return -1;
}

static int run_extract(const struct args *args, struct error *err)
{
        if (args->operands.count + args->inputs.count > 1)
                return error_raise(err, ERR_USAGE, "extract takes one file");
        if (!args->output && outputs_check_stdout(args, err) < 0)
                return -1;
        return reading_run(args, "extract", extract_one, /* context= */ NULL, err);
}

const struct command command_extract = {
        .name = "extract",
        .operands = "[FILE] [-o FILE | > FILE]",
        .summary = "write a device's data without any layer",
        .text = "Takes every layer off FILE, or standard input (with --layer only the outermost), and writes the "
                "device's data: the SQLite database itself, or with several devices its part of it. What was written "
                "before a fault was found cannot be taken back from a pipe: heed the exit status, or use -o.",
        .example = "  vdipipe extract app.vdi -o app-copy.db\n",
        .options = OPTION_TABLES(extract_options, options_streams, options_reading, options_passphrase, options_threads,
                                 options_progress, options_common),
        .operands_max = 1,
        .run = run_extract,
};
