/*
 * create.c - a device set under a name of the user's, for a server that somebody else starts
 */
#include <string.h>

#include "cli/media/coding.h"
#include "cli/command.h"
#include "cli/run/foreign.h"
#include "cli/media/outputs.h"
#include "cli/run/set_options.h"

static const struct opt_choice personalities[] = {
        { "pipe", PERSONALITY_PIPE },
        { "tape", PERSONALITY_TAPE },
        { "disk", PERSONALITY_DISK },
        { NULL, 0 },
};

static const struct opt_spec create_options[] = {
        OPTION_NUMBER(DEVICES, "devices", devices, 1, VDS_DEVICES_MAX,
                      "devices of the set (default: 1); those without a FILE here are served by 'vdipipe attach'"),
        OPTION_CHOICE(DEVICES, "features", "KIND", personality, personalities,
                      "what the devices pose as: pipe (default), tape or disk"),
        OPTION_SIZE(DEVICES, "media-size", media_size, 1 << 20, INT64_MAX,
                    "how much a tape holds (default: as much as there is room for)"),
        OPTION_SIZE(DEVICES, "soft-marks", soft_mark_size, VDS_BLOCK_SIZE_MIN, VDS_BLOCK_SIZE_MAX,
                    "let a tape's file marks be soft and take SIZE, a power of two (default: hard marks)"),
        OPTION_FLAG(FILES, "append", 0, append, "begin with the tape that FILE holds already"),
        { .type = OPT_END },
};

static int create_check_tape_args(const struct args *args, struct error *err)
{
        if (args->media_size || args->soft_mark_size || args->append)
                return error_raise(err, ERR_USAGE, "%s goes with --features tape",
                                   args->append       ? "--append"
                                   : args->media_size ? "--media-size"
                                                      : "--soft-marks");
        return 0;
}

static int create_check_personality(const struct args *args, struct error *err)
{
        if (args->personality != PERSONALITY_TAPE && create_check_tape_args(args, err) < 0)
                return -1;
        if (args->soft_mark_size & (args->soft_mark_size - 1))
                return error_raise(err, ERR_USAGE, "--soft-marks %lld is not a power of two",
                                   (long long)args->soft_mark_size);
        if (args->personality == PERSONALITY_TAPE && args->raw)
                return error_raise(err, ERR_USAGE, "--raw does not go with --features tape: file marks need a stream");
        if (args->personality != PERSONALITY_PIPE && !args->inputs.count && coding_encrypts(args))
                return error_raise(err, ERR_USAGE,
                                   "a %s is not encrypted: it is written and read at positions, and age has none; "
                                   "encrypt its file afterwards",
                                   personality_name((enum personality)args->personality));
        if (args->personality == PERSONALITY_DISK && args->zstd)
                return error_raise(err, ERR_USAGE,
                                   "--zstd does not go with --features disk: a disk's file is bare data");
        if (args->inputs.count && (args->append || args->media_size))
                return error_raise(err, ERR_USAGE, "%s goes with -o FILE", args->append ? "--append" : "--media-size");
        return 0;
}

static int create_check_files(const struct args *args, struct error *err)
{
        size_t count = args->outputs.count + args->inputs.count;

        if ((int64_t)count > args->devices)
                return error_raise(err, ERR_USAGE, "%zu files for %lld device%s; add --devices %zu", count,
                                   (long long)args->devices, args->devices == 1 ? "" : "s", count);
        if (args->force && args->devices > 1)
                return error_raise(err, ERR_USAGE,
                                   "--force does not go with several devices: a striped set is never replaced "
                                   "file by file; choose another name");
        if (args->force && !args->outputs.count)
                return error_raise(err, ERR_USAGE, "--force goes with -o FILE");
        if (count || args->devices > 1)
                return 0;
        if (args->personality != PERSONALITY_PIPE)
                return error_raise(err, ERR_USAGE, "a %s needs a file: -o FILE, or -i FILE",
                                   personality_name((enum personality)args->personality));
        return outputs_check_stdout(args, err);
}

static int create_check_args(const struct args *args, struct error *err)
{
        if (args->operands.count != 1)
                return error_raise(err, ERR_USAGE, "which name is the set to have? vdipipe create NAME -o FILE");
        if (foreign_check_args(args, err) < 0 || create_check_files(args, err) < 0)
                return -1;
        return create_check_personality(args, err);
}

/* One pattern with {device} in it names the files of all devices. */
static bool names_all(const struct string_list *files)
{
        return files->count == 1 && strstr(files->items[0], "{device}");
}

static int create_add_volumes(struct member *member, struct error *err)
{
        const struct args *args = member->args;
        const struct string_list *files = member->writes ? &args->outputs : &args->inputs;
        uint32_t count = (uint32_t)args->devices;
        char date[32];
        const struct output_words words = { .db = member->set_name, .type = "full", .date = date };

        outputs_date(member->primary.time, date);
        if (!files->count)
                return count == 1 ? member_add_volume(member, 0, 1, /* path= */ NULL, err) : 0;
        for (uint32_t i = 0; i < count && (names_all(files) || i < files->count); i++)
                if (member_add_output(member, i, count, files->items[names_all(files) ? 0 : i], &words, err) < 0)
                        return -1;
        return 0;
}

static int create_serve(struct member *member, struct error *err)
{
        const struct args *args = member->args;

        member->primary.personality = (enum personality)args->personality;
        member->primary.media_size = (uint64_t)args->media_size;
        member->primary.soft_mark_size = (uint32_t)args->soft_mark_size;
        if (create_add_volumes(member, err) < 0 || member_create(member, (uint32_t)args->devices, err) < 0)
                return -1;
        return member_serve(member, err);
}

static int run_create(const struct args *args, struct error *err)
{
        if (create_check_args(args, err) < 0)
                return -1;
        if (foreign_run(args, "create", create_serve, err) == 0)
                return 0;
        return error_prefix(err, "create '%s': ", args->operands.items[0]);
}

const struct command command_create = {
        .name = "create",
        .topic = TOPIC_SETS,
        .operands = "NAME [-o FILE... | -i FILE... | > FILE]",
        .summary = "make a device set, and be its client when a server comes",
        .text = "Makes the virtual device set NAME, waits for a server to open it with BACKUP ... TO (or RESTORE ... "
                "FROM) VIRTUAL_DEVICE='NAME', and writes what it backs up to the FILEs of -o, or gives it what the "
                "FILEs of -i hold. The i-th FILE is the i-th device's, {device} in a name all devices'; other devices "
                "are served by 'vdipipe attach'. An output FILE appears when the server has said success and "
                "everything is on disk.",
        .example = "  vdipipe create demo -o demo.vdi\n"
                   "  vdipipe create demo --features tape -i demo.vdi\n",
        .options = OPTION_TABLES(options_files, create_options, options_force, options_writing, options_reading,
                                 options_passphrase, options_threads, options_group, options_open, options_server_wait,
                                 options_trace, options_progress, options_common),
        .operands_max = 1,
        .run = run_create,
};
