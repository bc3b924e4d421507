/*
 * sqlite.c - the embedded SQLite server of a backup or restore: a child process that is told its job
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/databases/operation.h"
#include "cli/media/coding.h"
#include "cli/message.h"
#include "core/mssql/statement.h"
#include "core/sqlite/sqlite.h"

static const struct opt_choice yes_or_no[] = {
        { "yes", true },
        { "no", false },
        { NULL, 0 },
};

#define OPTION_AS_OWNER                                                  \
        OPTION_CHOICE(SQLITE, "as-owner", "YES|NO", as_owner, yes_or_no, \
                      "as root: touch the database with no more rights than its owner has: yes (default) or no")

const struct opt_spec options_backup_sqlite[] = {
        OPTION_SIZE(SQLITE, "max-wal", max_wal, 1, INT64_MAX,
                    "spool the rest once the log has grown to SIZE (default: warn at 1G)"),
        OPTION_STRING(SQLITE, "spool-dir", 0, "FOLDER", spool_dir, "where to spool (default: beside the database)"),
        OPTION_AS_OWNER,
        OPTION_FLAG(SQLITE, "immutable", 0, immutable, "read without locks; only for a database that nobody writes to"),
        { .type = OPT_END },
};

static const struct opt_choice check_modes[] = {
        { "none", SERVER_CHECK_NONE },
        { "quick", SERVER_CHECK_QUICK },
        { "full", SERVER_CHECK_FULL },
        { NULL, 0 },
};

const struct opt_spec options_restore_sqlite[] = {
        OPTION_CHOICE(SQLITE, "check", "HOW", check, check_modes,
                      "check the restored database: none, quick (default) or full"),
        OPTION_AS_OWNER,
        { .type = OPT_END },
};

enum {
        BUSY_TIMEOUT_MS = 10000, /* how long the server waits for somebody else's lock */
        LAST_WORDS_MS = 1500,    /* from the abort of the set to the end of the server's process */
        SERVER_GRACE_MS = 3000,  /* from the end of the set in order */
};

struct sqlite_part {
        struct server_job job;
        struct server_process *process; /* the operation's */
        bool lost;                      /* its process ended other than well, and may have left files */
};

/* ---- its side of the set ---- */

static int sqlite_prepare(struct member *member, struct error *err)
{
        struct sqlite_part *part = member->part;

        return server_process_tell(part->process, &part->job, &member->connection, err);
}

static int sqlite_start(struct member *member, struct error *err)
{
        struct sqlite_part *part = member->part;

        (void)err;
        supervisor_watch_server(member->supervisor, part->process->pidfd, server_process_ended, part->process);
        return 0;
}

static int sqlite_joined(struct member *member, struct error *err)
{
        const struct sqlite_part *part = member->part;
        char text[VDS_TEXT_MAX];
        int rc = engine_server_info(member->engine, text);

        if (rc == VD_E_ABORT)
                return -1;
        if (rc != NOERROR)
                return error_raise(err, ERR_PROTOCOL, "the server says nothing about itself: %s", vds_result_name(rc));
        if (server_info_decode(text, &member->info, err) < 0)
                return -1;
        member->has_info = true;
        message_verbose("server: %s %s, process %d", member->info.kind, member->info.version,
                        engine_server_pid(member->engine));
        if (part->job.verb == SERVER_BACKUP && member->info.part_count != member->device_count)
                return error_raise(err, ERR_PROTOCOL, "the server speaks of %u devices, not %u",
                                   member->info.part_count, member->device_count);
        return 0;
}

static int sqlite_await_success(struct member *member, struct error *err)
{
        char text[VDS_TEXT_MAX] = "";

        (void)err;
        if (member_verdict(member, text) != VDS_VERDICT_SUCCESS)
                return -1;
        server_report_decode(text, &member->report);
        return 0;
}

static bool sqlite_raise_words(struct member *member, enum vds_abort_reason reason, struct error *err)
{
        const struct sqlite_part *part = member->part;

        (void)reason;
        if (!member_hear_report(member))
                return false;
        error_raise(err, member->report.code, "%s", member->report.message);
        if (part->job.as_uid && member->report.code != ERR_BUSY)
                error_prefix(err,
                             "done as its owner, user %lu (--as-owner=no: as root): ", (unsigned long)part->job.as_uid);
        return true;
}

static bool sqlite_raise_end(struct member *member, enum vds_abort_reason reason, struct error *err)
{
        struct sqlite_part *part = member->part;
        bool killed;
        int status;

        supervisor_watch_server(member->supervisor, -1, NULL, NULL);
        status = server_process_end(part->process, LAST_WORDS_MS, &killed);
        part->lost = part->lost || status != 0;
        /* A server that never joined cannot have been heard by the engine; what it was aborted for was our noticing. */
        if (!killed &&
            (!member->joined || WIFSIGNALED(status) || reason == VDS_ABORT_SERVER_DIED || reason == VDS_ABORT_NONE))
                server_process_raise_end(WIFSIGNALED(status),
                                         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), err);
        else if (reason == VDS_ABORT_NONE)
                error_raise(err, ERR_TIMEOUT, "the server process did not end, and was killed");
        return error_is_set(err);
}

static void sqlite_end(struct member *member)
{
        struct sqlite_part *part = member->part;
        bool killed;
        int status = server_process_end(part->process, SERVER_GRACE_MS, &killed);

        if (part->job.database && (status != 0 || part->lost || member->report.code != ERR_NONE))
                server_process_sweep(&part->job);
        server_job_deinit(&part->job);
        free(part);
}

/* ---- its job ---- */

static int64_t smaller(int64_t a, int64_t b)
{
        return a < b ? a : b;
}

/* Chooses this server, and fills what both verbs have in common. The job belongs to the member's part. NULL: failed. */
static struct server_job *sqlite_begin(struct operation *operation, enum server_verb verb, uint32_t devices,
                                       struct error *err)
{
        const struct args *args = operation->args;
        struct member *member = &operation->member;
        struct sqlite_part *part = calloc(1, sizeof *part);
        struct server_job *job;

        if (!part)
                return error_no_memory(err), NULL;
        part->process = &operation->server_process;
        member->part = part;
        member->server = &operation_sqlite.server;
        if (member_name_devices(member, devices, err) < 0)
                return NULL;
        job = &part->job;
        job->verb = verb;
        job->kind = strdup("sqlite");
        job->database = strdup(operation->database.path);
        job->set_name = strdup(member->set_name);
        for (; job->device_count < devices; job->device_count++) {
                job->devices[job->device_count] = strdup(member->devices[job->device_count]);
                if (!job->devices[job->device_count])
                        return error_no_memory(err), NULL;
        }
        if (!job->kind || !job->database || !job->set_name)
                return error_no_memory(err), NULL;
        if (args->as_owner && geteuid() == 0) {
                job->as_uid = operation->database.owner;
                job->as_owner = true;
        }
        job->client_is_parent = true;
        job->block_size = (uint32_t)args->block_size;
        job->buffer_count = (uint32_t)args->buffer_count;
        job->max_transfer = (uint32_t)args->max_transfer;
        job->checksum = args->checksum;
        /* The server's own words about a lock come before the client loses patience. */
        job->busy_timeout_ms = smaller(BUSY_TIMEOUT_MS, args->open_timeout_ms / 2);
        return job;
}

/* ---- backup ---- */

static int sqlite_check_backup(struct operation *operation, struct error *err)
{
        const struct args *args = operation->args;

        if (args->type > MSSQL_FULL && args_was_given(args, "type"))
                return error_raise(err, ERR_USAGE, "a SQLite database has no %s backups; leave --type out",
                                   mssql_backup_type_name((enum mssql_backup_type)args->type));
        operation->type = "full";
        return 0;
}

static int sqlite_begin_backup(struct operation *operation, struct error *err)
{
        const struct args *args = operation->args;
        struct server_job *job = sqlite_begin(operation, SERVER_BACKUP, (uint32_t)args->devices, err);

        if (!job)
                return -1;
        job->max_lock_ms = args->max_lock_ms;
        job->max_wal = (uint64_t)args->max_wal;
        job->immutable = args->immutable;
        if (args->label && !(job->backup_name = strdup(args->label)))
                return error_no_memory(err);
        return args->spool_dir ? args_find_folder("spool-dir", args->spool_dir, &job->spool_dir, err) : 0;
}

/* ---- restore ---- */

static int sqlite_check_restore(struct operation *operation, struct error *err)
{
        if (args_was_given(operation->args, "type") && operation->args->type > 0)
                return error_raise(err, ERR_USAGE, "a SQLite database has full backups only; leave --type out");
        return 0;
}

static int sqlite_check_target(struct operation *operation, struct error *err)
{
        const struct stream_info *info = inputs_info(&operation->inputs);
        const char *path = operation->database.path;

        if (info && strcmp(info->server_kind, "mssql") == 0)
                return error_raise(err, ERR_USAGE,
                                   "the backup is of a SQL Server and cannot become a SQLite database; restore it "
                                   "there: vdipipe restore mssql://USER@localhost/DATABASE");
        if (info && strcmp(info->server_kind, "sqlite") != 0)
                return error_raise(err, ERR_USAGE, "the backup is of kind '%s' and cannot become a sqlite database",
                                   info->server_kind);
        if (inputs_check_extents(&operation->inputs, err) < 0)
                return -1;
        if (operation->args->replace == SERVER_REPLACE_NO && database_exists(path))
                return error_raise(err, ERR_USAGE,
                                   "'%s' exists (or its -wal, -journal or -shm does); to overwrite it add --replace",
                                   path);
        return 0;
}

static int sqlite_show_restore(struct operation *operation, struct error *err)
{
        static const char *const how[] = {
                [SERVER_REPLACE_NO] = "create",
                [SERVER_REPLACE_IN_PLACE] = "replace in place",
                [SERVER_REPLACE_ASIDE] = "replace, the old one renamed aside,",
        };
        const struct stream_info *info = inputs_info(&operation->inputs);
        const char *path = operation->database.path;
        bool exists = database_exists(path);

        (void)err;
        message_notice("would %s '%s' from %u stream%s%s%s", how[exists ? operation->args->replace : SERVER_REPLACE_NO],
                       path, operation->inputs.count, operation->inputs.count == 1 ? "" : "s",
                       info ? ", a backup of " : "", info ? info->time : "");
        return 0;
}

static int sqlite_begin_restore(struct operation *operation, const struct stream_info *info, struct error *err)
{
        const struct args *args = operation->args;
        const struct inputs *inputs = &operation->inputs;
        struct server_job *job = sqlite_begin(operation, SERVER_RESTORE, inputs->count, err);

        if (!job)
                return -1;
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

static int sqlite_run_restore(struct operation *operation, struct error *err)
{
        struct progress *progress = &operation->member.progress;
        const struct stream_info *info = inputs_info(&operation->inputs);
        double seconds;
        char size[32];

        coding_forget(operation->args);
        if (info && info->has_extent)
                atomic_store(&progress->total, info->total_size);
        if (sqlite_begin_restore(operation, info, err) < 0 ||
            operation_serve_inputs(operation, operation->inputs.count, err) < 0)
                return -1;
        seconds = progress_done(progress, size);
        message_summary("restore of '%s': %s in %.1f s", operation->database.path, size, seconds);
        return 0;
}

const struct operation_kind operation_sqlite = {
        .server = {
                .prepare = sqlite_prepare,
                .start = sqlite_start,
                .joined = sqlite_joined,
                .await_success = sqlite_await_success,
                .raise_words = sqlite_raise_words,
                .raise_end = sqlite_raise_end,
                .end = sqlite_end,
        },
        .check_backup = sqlite_check_backup,
        .begin_backup = sqlite_begin_backup,
        .check_restore = sqlite_check_restore,
        .check_target = sqlite_check_target,
        .show_restore = sqlite_show_restore,
        .run_restore = sqlite_run_restore,
};
