/*
 * restore_sqlite.c - the embedded SQLite server's part in a restore
 */
#include <string.h>

#include "cli/media/coding.h"
#include "cli/message.h"
#include "cli/databases/operation_sqlite.h"
#include "cli/databases/restore.h"

static const struct opt_choice check_modes[] = {
        { "none", SERVER_CHECK_NONE },
        { "quick", SERVER_CHECK_QUICK },
        { "full", SERVER_CHECK_FULL },
        { NULL, 0 },
};

const struct opt_spec options_restore_sqlite[] = {
        OPTION_CHOICE(SQLITE, "check", "HOW", check, check_modes,
                      "check the restored database: none, quick (default) or full"),
        { .type = OPT_END },
};

static int check(struct restore *restore, struct error *err)
{
        if (args_was_given(restore->args, "type") && restore->args->type > 0)
                return error_raise(err, ERR_USAGE, "a SQLite database has full backups only; leave --type out");
        return 0;
}

static int check_target(struct restore *restore, struct error *err)
{
        const struct stream_info *info = inputs_info(&restore->inputs);
        const char *path = restore->database.path;

        if (info && strcmp(info->server_kind, "mssql") == 0)
                return error_raise(err, ERR_USAGE,
                                   "the backup is of a SQL Server and cannot become a SQLite database; restore it "
                                   "there: vdipipe restore mssql://USER@localhost/DATABASE");
        if (info && strcmp(info->server_kind, "sqlite") != 0)
                return error_raise(err, ERR_USAGE, "the backup is of kind '%s' and cannot become a sqlite database",
                                   info->server_kind);
        if (inputs_check_extents(&restore->inputs, err) < 0)
                return -1;
        if (restore->args->replace == SERVER_REPLACE_NO && database_exists(path))
                return error_raise(err, ERR_USAGE,
                                   "'%s' exists (or its -wal, -journal or -shm does); to overwrite it add --replace",
                                   path);
        return 0;
}

static int show_plan(struct restore *restore, struct error *err)
{
        static const char *const how[] = {
                [SERVER_REPLACE_NO] = "create",
                [SERVER_REPLACE_IN_PLACE] = "replace in place",
                [SERVER_REPLACE_ASIDE] = "replace, the old one renamed aside,",
        };
        const struct stream_info *info = inputs_info(&restore->inputs);
        const char *path = restore->database.path;
        bool exists = database_exists(path);

        (void)err;
        message_notice("would %s '%s' from %u stream%s%s%s", how[exists ? restore->args->replace : SERVER_REPLACE_NO],
                       path, restore->inputs.count, restore->inputs.count == 1 ? "" : "s", info ? ", a backup of " : "",
                       info ? info->time : "");
        return 0;
}

static int use(struct restore *restore, const struct stream_info *info, struct error *err)
{
        const struct args *args = restore->args;
        const struct inputs *inputs = &restore->inputs;
        struct server_job *job;

        if (operation_use_sqlite(&restore->operation, restore->database.path, inputs->count, &job, err) < 0)
                return -1;
        job->verb = SERVER_RESTORE;
        job->replace = (enum server_replace)args->replace;
        job->check = (enum server_check)args->check;
        job->checksum = args->checksum;
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

static int run(struct restore *restore, struct error *err)
{
        struct operation *operation = &restore->operation;
        const struct stream_info *info = inputs_info(&restore->inputs);
        char amount[64];

        coding_forget(restore->args);
        if (info && info->has_extent)
                atomic_store(&operation->serving.progress.total, info->total_size);
        if (use(restore, info, err) < 0 || operation_connect(operation, err) < 0 ||
            restore_transfer(restore, restore->inputs.count, err) < 0)
                return -1;
        if (operation->note[0])
                message_warning("%s", operation->note);
        restore_amount(restore, amount);
        message_summary("restore of '%s'%s", restore->database.path, amount);
        return 0;
}

const struct restore_server restore_sqlite = {
        .check = check,
        .check_target = check_target,
        .show_plan = show_plan,
        .run = run,
};
