/*
 * verify.c - read everything, check everything, restore nothing
 */
#include <stddef.h>

#include "cli/media/coding.h"
#include "cli/command.h"
#include "cli/message.h"
#include "cli/run/reading.h"
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
        struct input input;
        uint64_t bytes;
        int rc;

        if (path && mssql_uri_is(path))
                return error_raise(err, ERR_USAGE,
                                   "verify reads files; to have the server look at one: vdipipe restore %s "
                                   "--verify-only -i FILE",
                                   path);
        rc = input_open(&input, path, err);
        if (rc == 0)
                rc = input_start(&input, args, supervisor_cancel_flag(reading->supervisor), err);
        if (rc == 0)
                rc = reading_pump(reading, &input, /* sink= */ NULL, &bytes, err);
        if (rc == 0)
                say_ok(&input, bytes);
        input_deinit(&input);
        return rc;
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
