/*
 * verify.c - read everything, check everything, restore nothing
 */
#include <stddef.h>

#include "cli/media/coding.h"
#include "cli/command.h"
#include "cli/message.h"
#include "cli/run/reading.h"
#include "core/base/cleanup.h"
#include "core/mssql/mssql.h"

static bool is_sealed(const struct reader *reader)
{
        for (size_t i = 0; i < reader->layer_count; i++)
                if (reader->layers[i] == LAYER_AGE)
                        return true;
        return false;
}

static void say_ok(const struct input *input, uint64_t bytes)
{
        const struct reader *reader = input->reader;
        const struct stream_tail *tail = reader_tail(reader);
        char size[32];

        progress_format_bytes(bytes, size);
        if (!reader->has_info && is_sealed(reader))
                message_summary("'%s': raw image, %s, authentic to its end", input->name, size);
        else if (reader->layers[reader->layer_count - 1] == LAYER_MTF)
                message_warning("'%s': raw SQL Server backup, %s: nothing here can tell whether it is whole",
                                input->name, size);
        else if (!reader->has_info)
                message_warning("'%s': raw image, %s: complete by its own header, but nothing protects its content",
                                input->name, size);
        else if (tail && !tail->confirmed)
                message_warning("'%s': complete, but the server's verdict is missing", input->name);
        else
                message_summary("'%s': complete and confirmed, %s, device %u of %u, %s", input->name, size,
                                reader->info.device + 1, reader->info.device_count, reader->info.time);
}

static int verify_one(struct reading *reading, const struct args *args, const char *path, struct error *err)
{
        CLEANUP(input_deinit) struct input input = { .fd = -1 };
        uint64_t bytes;

        if (path && mssql_uri_is(path))
                return error_raise(err, ERR_USAGE,
                                   "verify reads files; to have the server look at one: vdipipe restore %s "
                                   "--verify-only -i FILE",
                                   path);
        if (input_open(&input, path, err) < 0 ||
            input_start(&input, args, supervisor_cancel_flag(reading->supervisor), err) < 0 ||
            reading_pump(reading, &input, /* sink= */ NULL, &bytes, err) < 0)
                return -1;
        say_ok(&input, bytes);
        return 0;
}

static int run_verify(const struct args *args, struct error *err)
{
        return reading_run(args, "verify", verify_one, /* context= */ NULL, err);
}

const struct command command_verify = {
        .name = "verify",
        .operands = "[FILE...]",
        .summary = "check backups without restoring them",
        .text = "Reads each FILE, or standard input, to its end and checks everything that the format protects: every "
                "byte, the order, the totals, and that the server confirmed the backup.",
        .example = "  vdipipe verify app.1.vdi app.2.vdi\n"
                   "  zstd -dc app.vdi.zst | vdipipe verify\n",
        .options = OPTION_TABLES(options_streams, options_reading, options_passphrase, options_threads,
                                 options_progress, options_common),
        .operands_max = 1 << 20,
        .run = run_verify,
};
