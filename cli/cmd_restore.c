/*
 * cmd_restore.c - a backup back into a database
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/coding.h"
#include "cli/command.h"
#include "cli/database.h"
#include "cli/inputs.h"
#include "cli/media.h"
#include "cli/message.h"
#include "cli/origin.h"
#include "cli/operation.h"
#include "cli/operation_sqlite.h"
#include "cli/set_options.h"
#include "core/base/deadline.h"

static const struct opt_choice replace_modes[] = {
        { "in-place", SERVER_REPLACE_IN_PLACE },
        { "aside", SERVER_REPLACE_ASIDE },
        { NULL, 0 },
};

static const struct opt_choice check_modes[] = {
        { "none", SERVER_CHECK_NONE },
        { "quick", SERVER_CHECK_QUICK },
        { "full", SERVER_CHECK_FULL },
        { NULL, 0 },
};

static const struct opt_spec restore_options[] = {
        { .type = OPT_STRINGS,
          .name = "input",
          .letter = 'i',
          .value = "FILE",
          .offset = offsetof(struct args, inputs),
          .help = "read FILE instead of standard input; of a striped set one file, or all in any order" },
        { .type = OPT_CHOICE,
          .name = "replace",
          .value = "HOW",
          .offset = offsetof(struct args, replace),
          .choices = replace_modes,
          .optional = true,
          .fallback = SERVER_REPLACE_IN_PLACE,
          .help = "replace an existing database: in-place (the default: in one transaction, also while it is open), or "
                  "aside "
                  "(rename the old one away; also a damaged one)" },
        { .type = OPT_CHOICE,
          .name = "check",
          .value = "HOW",
          .offset = offsetof(struct args, check),
          .choices = check_modes,
          .help = "check the restored database: none, quick (default) or full" },
        { .type = OPT_FLAG,
          .name = "dry-run",
          .letter = 'n',
          .offset = offsetof(struct args, dry_run),
          .help = "say what would be done, and do nothing" },
        { .type = OPT_END },
};

static const struct opt_spec *const option_tables[] = { restore_options,    options_reading,
                                                        options_decrypting, options_passphrase,
                                                        options_threads,    options_set,
                                                        options_open,       options_server_wait,
                                                        options_group,      options_stall,
                                                        options_trace,      options_progress,
                                                        options_common,     NULL };

static int check_args(const struct args *args, struct error *err)
{
        if (operation_check_args(args, err) < 0)
                return -1;
        if (!args->inputs.count && isatty(STDIN_FILENO))
                return error_raise(err, ERR_USAGE, "no backup on standard input; give -i FILE, or < FILE");
        return 0;
}

/* The database to restore: the operand, or where the backup came from. */
static int choose_target(const struct args *args, const struct inputs *inputs, struct database *database,
                         struct error *err)
{
        const struct stream_info *info = inputs_info(inputs);
        int rc;

        if (args->operands.count)
                return database_from_args(args, database, err);
        rc = origin_check(info, args->config, args->inputs.count ? "-i FILE" : "< FILE", err);
        return rc < 0 ? rc : database_parse_file(info->origin, database, err);
}

static int check_target(const struct args *args, const struct database *database, const struct stream_info *info,
                        struct error *err)
{
        if (info && strcmp(info->server_kind, database->kind) != 0)
                return error_raise(err, ERR_USAGE, "the backup is of kind '%s' and cannot become a %s database",
                                   info->server_kind, database->kind);
        if (args->replace == SERVER_REPLACE_NO && database_exists(database->path))
                return error_raise(err, ERR_USAGE,
                                   "'%s' exists (or its -wal, -journal or -shm does); to overwrite it add --replace",
                                   database->path);
        return 0;
}

static int use_sqlite(struct operation *operation, const struct database *database, const struct inputs *inputs,
                      struct error *err)
{
        const struct args *args = operation->serving.args;
        const struct stream_info *info = inputs_info(inputs);
        struct server_job *job;

        if (operation_use_sqlite(operation, database->path, inputs->count, &job, err) < 0)
                return -1;
        job->verb = SERVER_RESTORE;
        job->replace = (enum server_replace)args->replace;
        job->check = (enum server_check)args->check;
        if (!info)
                return 0;
        if (!job->block_size)
                job->block_size = info->block_size;
        job->has_owner = info->has_owner;
        job->uid = info->uid;
        job->gid = info->gid;
        job->mode = info->mode;
        job->has_parts = info->has_extent;
        for (uint32_t i = 0; i < inputs->count && info->has_extent; i++) {
                job->parts[i].offset = inputs->items[i].reader->info.part_offset;
                job->parts[i].length = inputs->items[i].reader->info.part_length;
        }
        return 0;
}

static int transfer(struct operation *operation, struct inputs *inputs, struct error *err)
{
        struct media_pipe pipes[VDS_DEVICES_MAX];
        struct media *media[VDS_DEVICES_MAX];
        const char *names[VDS_DEVICES_MAX];

        for (uint32_t i = 0; i < inputs->count; i++) {
                media_pipe_init_read(&pipes[i], operation->serving.config.features, inputs->items[i].reader->source);
                media[i] = &pipes[i].media;
                names[i] = inputs->items[i].name;
        }
        return operation_transfer(operation, media, "reading", names, err);
}

static void print_plan(const struct args *args, const struct database *database, const struct inputs *inputs)
{
        const struct stream_info *info = inputs_info(inputs);
        static const char *const how[] = {
                [SERVER_REPLACE_NO] = "create",
                [SERVER_REPLACE_IN_PLACE] = "replace in place",
                [SERVER_REPLACE_ASIDE] = "replace, the old one renamed aside,",
        };
        bool exists = database_exists(database->path);

        message_notice("would %s '%s' from %u stream%s%s%s", how[exists ? args->replace : SERVER_REPLACE_NO],
                       database->path, inputs->count, inputs->count == 1 ? "" : "s", info ? ", a backup of " : "",
                       info ? info->time : "");
}

static void summarise(const struct operation *operation, const struct database *database)
{
        char size[32];
        double seconds = (double)(monotonic_ns() - operation->serving.progress.started_ns) / 1e9;

        if (operation->note[0])
                message_warning("%s", operation->note);
        progress_format_bytes(atomic_load(&operation->serving.progress.done), size);
        message_summary("restore of '%s': %s in %.1f s", database->path, size, seconds);
}

static int restore(struct operation *operation, struct database *database, struct inputs *inputs, struct error *err)
{
        const struct args *args = operation->serving.args;
        const struct stream_info *info;

        worker_begin(&operation->serving.worker);
        if (inputs_open(inputs, args, supervisor_cancel_flag(operation->serving.supervisor), err) < 0)
                return operation_failed(operation, err);
        worker_end(&operation->serving.worker);
        coding_forget(args);
        info = inputs_info(inputs);
        if (choose_target(args, inputs, database, err) < 0 || check_target(args, database, info, err) < 0)
                return -1;
        if (args->dry_run) {
                print_plan(args, database, inputs);
                return 0;
        }
        if (info && info->has_extent)
                atomic_store(&operation->serving.progress.total, info->total_size);
        if (use_sqlite(operation, database, inputs, err) < 0 || operation_connect(operation, err) < 0 ||
            transfer(operation, inputs, err) < 0)
                return operation_failed(operation, err);
        summarise(operation, database);
        return 0;
}

static int run_restore(const struct args *args, struct error *err)
{
        struct operation operation;
        struct database database = { 0 };
        struct inputs inputs;
        int rc;

        memset(&inputs, 0, sizeof inputs);
        if (check_args(args, err) < 0 || coding_load_reading(args, !args->inputs.count, err) < 0)
                return -1;
        rc = operation_open(&operation, args, "restore", err);
        if (rc == 0)
                rc = restore(&operation, &database, &inputs, err);
        if (rc < 0 && database.name)
                error_prefix(err, "restore of '%s': ", database.name);
        operation_close(&operation);
        inputs_deinit(&inputs);
        database_deinit(&database);
        return rc;
}

const struct command command_restore = {
        .name = "restore",
        .operands = "[DB] [-i FILE... | < FILE]",
        .summary = "restore a database from a backup",
        .text = "Reads what 'vdipipe backup' wrote, also through zstd, or a raw SQLite image, and makes a database of "
                "it. Without DB\n"
                "it goes back to where it came from, if the backup was made on this machine. An existing database is "
                "only touched\n"
                "with --replace, and stays as it was if anything fails.",
        .example = "  vdipipe restore copy.db < app.vdi\n"
                   "  vdipipe restore --replace -i app.1.vdi\n",
        .options = option_tables,
        .operands_max = 1,
        .takes_database = true,
        .run = run_restore,
};
