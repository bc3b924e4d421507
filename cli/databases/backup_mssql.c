/*
 * backup_mssql.c - a SQL Server's part in a backup
 */
#include <stdio.h>
#include <strings.h>

#include "cli/databases/mssql.h"
#include "cli/databases/mssql_options.h"
#include "codecs/codecs.h"
#include "core/base/cleanup.h"
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

enum { LABEL_MAX = 128, DESCRIPTION_MAX = 255 /* characters */ };

/* What the options, or the administrator's statement, come to. */
struct backup_plan {
        enum mssql_backup_type type;
        bool copy_only;
        bool checksum;
        bool cuts_log; /* nobody can take this backup again */
};

/* The streams bear the name of the URI's database, so it has to be theirs. What a variable holds is not known here. */
static int plan_check_name(const struct sql_token *token, const char *database, struct error *err)
{
        if (token->kind == SQL_END || token->kind == SQL_NUMBER || token->kind == SQL_SIGN || token->text[0] == '@' ||
            strcasecmp(token->text, database) == 0)
                return 0;
        return error_raise(err, ERR_USAGE, "--sql backs up '%s', and the URI names '%s': name one and the same",
                           token->text, database);
}

/* A statement's words tell what it does; whatever else it says is the administrator's affair. */
static int plan_from_sql(const char *sql, const char *database, struct backup_plan *plan, struct error *err)
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
                        plan_check_name(&lexer.token, database, &other);
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
        return error_hand_over(err, &other);
}

static int plan_check_sql_alone(const struct args *args, struct error *err)
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

static int plan_from_options(const struct args *args, struct backup_plan *plan, struct error *err)
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

static int plan_make(const struct args *args, const char *database, struct backup_plan *plan, struct error *err)
{
        *plan = (struct backup_plan){ .type = MSSQL_FULL };
        if (!args->sql)
                return plan_from_options(args, plan, err);
        return plan_check_sql_alone(args, err) < 0 ? -1 : plan_from_sql(args->sql, database, plan, err);
}

static int plan_refuse_risk(const char *output, struct error *err)
{
        return error_raise(
                err, ERR_USAGE,
                "a log backup to %s may be lost after the server has cut the log, and cannot be taken again; "
                "give -o FILE, --copy-only, or --accept-pipe-risk",
                output);
}

static void plan_describe(struct operation *operation, const struct backup_plan *plan)
{
        static const char *const names[] = {
                [MSSQL_FULL] = "full", [MSSQL_DIFF] = "differential", [MSSQL_LOG] = "log"
        };

        operation->type = mssql_backup_type_name(plan->type);
        snprintf(operation->type_in_words, sizeof operation->type_in_words, " (%s%s)", names[plan->type],
                 plan->copy_only ? ", copy-only" : "");
}

int mssql_check_backup(struct operation *operation, struct error *err)
{
        const struct args *args = operation->args;
        struct backup_plan plan;

        if (!operation->database.uri.database)
                return error_raise(err, ERR_USAGE, "'%s' names no database; append /DATABASE",
                                   operation->database.origin);
        if (plan_make(args, operation->database.uri.database, &plan, err) < 0)
                return -1;
        if (mssql_options_check_length("label", args->label, LABEL_MAX, err) < 0 ||
            mssql_options_check_length("description", args->description, DESCRIPTION_MAX, err) < 0)
                return -1;
        if (plan.cuts_log && !args->output && !args->accept_pipe_risk)
                return plan_refuse_risk("standard output", err);
        if (args->accept_pipe_risk && args_was_given(args, "accept-pipe-risk") && !plan.cuts_log)
                return error_raise(err, ERR_USAGE,
                                   "--accept-pipe-risk is for a log backup that cuts the log; this one "
                                   "does not");
        plan_describe(operation, &plan);
        if (!args->sql)
                operation->label = args->label;
        return 0;
}

static char *plan_statement(const struct backup_plan *plan, const struct operation *operation)
{
        const struct args *args = operation->args;
        const struct mssql_devices devices = mssql_devices(operation);
        const struct mssql_backup statement = {
                .type = plan->type,
                .target = mssql_target(operation),
                .name = args->label,
                .description = args->description,
                .checksum = plan->checksum,
                .copy_only = plan->copy_only,
                .stats = MSSQL_STATS_PERCENT,
        };

        return mssql_backup_statement(&statement, &devices);
}

/* A fifo or a device keeps nothing, either. */
static int plan_check_files(const struct backup_plan *plan, const struct member *member, struct error *err)
{
        for (uint32_t i = 0; plan->cuts_log && !member->args->accept_pipe_risk && i < member->volume_count; i++)
                if (member->volumes[i].path && file_sink_fd(member->volumes[i].file) < 0)
                        return plan_refuse_risk(member->volumes[i].path, err);
        return 0;
}

int mssql_begin_backup(struct operation *operation, struct error *err)
{
        const struct args *args = operation->args;
        struct mssql_devices devices;
        struct backup_plan plan;
        char *sql = NULL;

        if (plan_make(args, operation->database.uri.database, &plan, err) < 0 ||
            plan_check_files(&plan, &operation->member, err) < 0 || mssql_begin(operation, err) < 0 ||
            member_name_devices(&operation->member, (uint32_t)args->devices, err) < 0)
                return -1;
        devices = mssql_devices(operation);
        if (!args->sql)
                sql = plan_statement(&plan, operation);
        else if (mssql_expand_statement(args->sql, &devices, &sql, err) < 0)
                return -1;
        return mssql_tell(operation, plan.type == MSSQL_LOG ? STATEMENT_BACKUP_LOG : STATEMENT_BACKUP_DATABASE, sql,
                          /* rows= */ NULL, err);
}
