/*
 * backup_mssql.c - a SQL Server's part in a backup
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/databases/backup.h"
#include "cli/databases/mssql_options.h"
#include "cli/databases/operation_mssql.h"
#include "cli/databases/server_options.h"
#include "codecs/codecs.h"
#include "core/base/cleanup.h"
#include "core/mssql/history.h"
#include "core/tsql/lexer.h"

const struct opt_spec options_backup_mssql[] = {
        OPTION_FLAG(MSSQL, "copy-only", 0, copy_only,
                    "leave no trace in the order of backups (default for a full one)"),
        OPTION_FLAG(MSSQL, "no-copy-only", 0, no_copy_only, "make a full backup that differential ones build on"),
        OPTION_FLAG(MSSQL, "no-checksum", 0, no_checksum, "check no page, and write no checksums"),
        OPTION_STRING(MSSQL, "description", 0, "TEXT", description, "DESCRIPTION of the backup set"),
        OPTION_STRING(MSSQL, "sql", 0, "STATEMENT", sql,
                      "send this BACKUP statement, in which {devices} stands for the VIRTUAL_DEVICE list"),
        OPTION_FLAG(
                MSSQL, "accept-pipe-risk", 0, accept_pipe_risk,
                "write a log backup to a pipe, although the server cuts the log before whoever reads it has kept it"),
        { .type = OPT_END },
};

enum { STATS_PERCENT = 5, LABEL_MAX = 128, DESCRIPTION_MAX = 255 /* characters */ };

/* What the options, or the administrator's statement, come to. */
struct plan {
        enum mssql_backup_type type;
        bool copy_only;
        bool checksum;
        bool cuts_log; /* nobody can take this backup again */
};

/* The streams bear the name of the URI's database, so it has to be theirs. What a variable holds is not known here. */
static int check_name(const struct sql_token *token, const char *database, struct error *err)
{
        if (token->kind == SQL_END || token->kind == SQL_NUMBER || token->kind == SQL_SIGN || token->text[0] == '@' ||
            strcasecmp(token->text, database) == 0)
                return 0;
        return error_raise(err, ERR_USAGE, "--sql backs up '%s', and the URI names '%s': name one and the same",
                           token->text, database);
}

/* A statement's words tell what it does; whatever else it says is the administrator's affair. */
static int read_sql(const char *sql, const char *database, struct plan *plan, struct error *err)
{
        struct server_message message;
        struct sql_lexer lexer;
        bool backup = false;
        bool named = false;
        bool kept = false;
        bool placed = false; /* {devices} was there, so the names that follow are of other statements */
        bool expected = false;
        struct error other = ERROR_INIT;
        int rc = sql_lexer_init(&lexer, sql, &message);

        for (; rc == 0 && lexer.token.kind != SQL_END; rc = sql_lexer_next(&lexer)) {
                if (backup && sql_token_is(&lexer.token, "LOG"))
                        plan->type = MSSQL_LOG;
                if (expected && !placed) {
                        other = (struct error)ERROR_INIT;
                        check_name(&lexer.token, database, &other);
                }
                expected = backup && (sql_token_is(&lexer.token, "LOG") || sql_token_is(&lexer.token, "DATABASE"));
                named = named || expected;
                placed = placed || (named && sql_token_is_sign(&lexer.token, '{'));
                if (named && sql_token_is(&lexer.token, "DIFFERENTIAL"))
                        plan->type = MSSQL_DIFF;
                plan->copy_only = plan->copy_only || (named && sql_token_is(&lexer.token, "COPY_ONLY"));
                kept = kept || (named && sql_token_is(&lexer.token, "NO_TRUNCATE"));
                backup = sql_token_is(&lexer.token, "BACKUP");
        }
        sql_lexer_deinit(&lexer);
        plan->cuts_log = plan->type == MSSQL_LOG && !plan->copy_only && !kept;
        if (rc < 0)
                return error_raise(err, ERR_USAGE, "--sql: %s", message.text);
        if (!named)
                return error_raise(err, ERR_USAGE, "--sql holds no BACKUP DATABASE or BACKUP LOG statement");
        error_keep_first(err, &other);
        return error_is_set(&other) ? -1 : 0;
}

static int check_sql_alone(const struct args *args, struct error *err)
{
        static const char *const others[] = {
                "type",     "copy-only",   "no-copy-only", "file",       "filegroup",    "label",
                "checksum", "no-checksum", "description",  "block-size", "buffer-count", "max-transfer",
        };

        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
                if (args_was_given(args, others[i]))
                        return error_raise(err, ERR_USAGE,
                                           "--sql and --%s exclude each other: the statement says it all", others[i]);
        return 0;
}

static int plan_by_options(const struct args *args, struct plan *plan, struct error *err)
{
        plan->type = args->type < 0 ? MSSQL_FULL : (enum mssql_backup_type)args->type;
        if (mssql_options_choose(args, "copy-only", args->copy_only, "no-copy-only", args->no_copy_only,
                                 plan->type == MSSQL_FULL, &plan->copy_only, err) < 0 ||
            mssql_options_choose(args, "checksum", args->checksum, "no-checksum", args->no_checksum, true,
                                 &plan->checksum, err) < 0)
                return -1;
        if (plan->type == MSSQL_DIFF && plan->copy_only && args_was_given(args, "copy-only"))
                return error_raise(err, ERR_USAGE,
                                   "a differential backup is never copy-only: leave --copy-only or --type diff out");
        if (plan->type == MSSQL_DIFF)
                plan->copy_only = false;
        if (plan->type == MSSQL_LOG && args->files.count + args->filegroups.count)
                return error_raise(err, ERR_USAGE, "a log backup has no --file and no --filegroup: the log is one");
        plan->cuts_log = plan->type == MSSQL_LOG && !plan->copy_only;
        return 0;
}

static int make_plan(const struct args *args, const char *database, struct plan *plan, struct error *err)
{
        *plan = (struct plan){ .type = MSSQL_FULL };
        if (!args->sql)
                return plan_by_options(args, plan, err);
        return check_sql_alone(args, err) < 0 ? -1 : read_sql(args->sql, database, plan, err);
}

static int refuse_risk(const char *output, struct error *err)
{
        return error_raise(
                err, ERR_USAGE,
                "a log backup to %s may be lost after the server has cut the log, and cannot be taken again; "
                "give -o FILE, --copy-only, or --accept-pipe-risk",
                output);
}

static void describe_kind(struct backup *backup, const struct plan *plan)
{
        static const char *const names[] = {
                [MSSQL_FULL] = "full", [MSSQL_DIFF] = "differential", [MSSQL_LOG] = "log"
        };

        backup->type = mssql_backup_type_name(plan->type);
        snprintf(backup->kind, sizeof backup->kind, " (%s%s)", names[plan->type], plan->copy_only ? ", copy-only" : "");
}

static int check(struct backup *backup, struct error *err)
{
        const struct args *args = backup->args;
        struct plan plan;

        if (!backup->database.uri.database)
                return error_raise(err, ERR_USAGE, "'%s' names no database; append /DATABASE", backup->database.origin);
        if (make_plan(args, backup->database.uri.database, &plan, err) < 0)
                return -1;
        if (mssql_options_check_length("label", args->label, LABEL_MAX, err) < 0 ||
            mssql_options_check_length("description", args->description, DESCRIPTION_MAX, err) < 0)
                return -1;
        if (plan.cuts_log && !args->output && !args->accept_pipe_risk)
                return refuse_risk("standard output", err);
        if (args->accept_pipe_risk && args_was_given(args, "accept-pipe-risk") && !plan.cuts_log)
                return error_raise(err, ERR_USAGE,
                                   "--accept-pipe-risk is for a log backup that cuts the log; this one "
                                   "does not");
        describe_kind(backup, &plan);
        if (!args->sql)
                backup->label = args->label;
        return 0;
}

static char *make_statement(const struct backup *backup, const struct plan *plan)
{
        const struct args *args = backup->args;
        const struct mssql_devices devices = operation_mssql_devices(&backup->operation);
        const struct mssql_backup statement = {
                .type = plan->type,
                .target.database = backup->database.uri.database,
                .target.files = args->files.items,
                .target.file_count = args->files.count,
                .target.filegroups = args->filegroups.items,
                .target.filegroup_count = args->filegroups.count,
                .name = args->label,
                .description = args->description,
                .checksum = plan->checksum,
                .copy_only = plan->copy_only,
                .stats = STATS_PERCENT,
        };

        return mssql_backup_statement(&statement, &devices);
}

/* A fifo or a device keeps nothing, either. */
static int check_files(const struct backup *backup, const struct plan *plan, struct error *err)
{
        const struct outputs *outputs = &backup->outputs;

        if (!plan->cuts_log || backup->args->accept_pipe_risk || outputs->to_stdout)
                return 0;
        for (uint32_t i = 0; i < outputs->count; i++)
                if (file_sink_fd(outputs->sinks[i]) < 0)
                        return refuse_risk(outputs->names[i], err);
        return 0;
}

static int use(struct backup *backup, struct error *err)
{
        const struct args *args = backup->args;
        struct operation *operation = &backup->operation;
        struct mssql_devices devices;
        struct plan plan;
        char *sql = NULL;

        if (make_plan(args, backup->database.uri.database, &plan, err) < 0 || check_files(backup, &plan, err) < 0 ||
            operation_use_mssql(operation, &backup->login, err) < 0 ||
            operation_name_devices(operation, (uint32_t)args->devices, err) < 0)
                return -1;
        devices = operation_mssql_devices(operation);
        if (!args->sql)
                sql = make_statement(backup, &plan);
        else if (mssql_expand_statement(args->sql, &devices, &sql, err) < 0)
                return -1;
        return operation_mssql_send(operation,
                                    plan.type == MSSQL_LOG ? STATEMENT_BACKUP_LOG : STATEMENT_BACKUP_DATABASE, sql,
                                    /* rows= */ NULL, err);
}

/* Without the record a chain can still be restored, but not be put in order from the files alone. */
static void succeeded(struct backup *backup)
{
        struct operation *operation = &backup->operation;
        struct mssql_backup_record record;
        struct error err = ERROR_INIT;
        int rc = mssql_history_find(operation_mssql_connection(operation), operation->devices[0], &record, &err);

        if (rc == 0)
                backup->report_json = mssql_record_encode(&record);
        else
                snprintf(operation->note, sizeof operation->note,
                         "backup of '%s': the streams do not tell its place in the chain of backups: %s",
                         backup->database.name,
                         rc < 0 ? err.message : "the server's msdb has no record of it, or this login may not read it");
}

const struct backup_server backup_mssql = { .check = check, .use = use, .succeeded = succeeded };
