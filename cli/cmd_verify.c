/*
 * cmd_verify.c - read everything, check everything, restore nothing
 */
#include <stddef.h>

#include "cli/command.h"
#include "cli/message.h"
#include "cli/reading.h"

static const struct opt_spec verify_options[] = {
        { .type = OPT_STRINGS,
          .name = "input",
          .letter = 'i',
          .value = "FILE",
          .offset = offsetof(struct args, inputs),
          .help = "the same as FILE" },
        { .type = OPT_SECONDS,
          .name = "stall-timeout",
          .value = "SECONDS",
          .offset = offsetof(struct args, stall_timeout_ms),
          .min = 1,
          .max = 604800000,
          .help = "give up when input stands still for so long (default: 600)" },
        { .type = OPT_END },
};

static const struct opt_spec *const option_tables[] = { verify_options, options_reading, options_common, NULL };

static void say_ok(const struct input *input, uint64_t bytes)
{
        const struct reader *reader = input->reader;
        const struct stream_tail *tail = reader_tail(reader);
        char size[32];

        progress_format_bytes(bytes, size);
        if (!reader->has_info)
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
        int rc = input_open(&input, path, args, supervisor_cancel_flag(reading->supervisor), err);

        if (rc == 0)
                rc = reading_pump(reading, &input, /* sink= */ NULL, &bytes, err);
        if (rc == 0)
                say_ok(&input, bytes);
        input_deinit(&input);
        return rc;
}

static int run_verify(const struct args *args, struct error *err)
{
        struct reading reading;
        int rc;

        if (reading_begin(&reading, args, "verify", err) < 0)
                return -1;
        rc = reading_for_each(&reading, args, verify_one, err);
        reading_end(&reading);
        return rc;
}

const struct command command_verify = {
        .name = "verify",
        .operands = "[FILE...]",
        .summary = "check backups without restoring them",
        .text = "Reads each FILE, or standard input, to its end and checks everything that the format protects: every "
                "byte, the\n"
                "order, the totals, and that the server confirmed the backup.",
        .example = "  vdipipe verify app.1.vdi app.2.vdi\n"
                   "  zstd -dc app.vdi.zst | vdipipe verify\n",
        .options = option_tables,
        .operands_max = 1 << 20,
        .run = run_verify,
};
