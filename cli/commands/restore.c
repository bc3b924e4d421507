/*
 * restore.c - a backup back into a database
 */
#include <unistd.h>

#include "cli/command.h"
#include "cli/databases/mssql_login.h"
#include "cli/databases/mssql_options.h"
#include "cli/databases/operation.h"
#include "cli/databases/origin.h"
#include "cli/media/coding.h"
#include "cli/run/set_options.h"
#include "cli/run/sqlvdi.h"

static const struct opt_choice replace_modes[] = {
        { "in-place", SERVER_REPLACE_IN_PLACE },
        { "aside", SERVER_REPLACE_ASIDE },
        { NULL, 0 },
};

static const struct opt_spec restore_options[] = {
        OPTION_STRINGS(FILES, "input", 'i', "FILE", inputs,
                       "read FILE instead of standard input; of a striped set one file, or all in any order"),
        { OPT_FIELDS(
                  CHOICE, FILES, "replace", 0, "HOW", OPT_PLACE(int64_t, replace), 0, 0, replace_modes,
                  "replace an existing database: in-place (the default: in one transaction, also while it is open), or "
                  "aside (rename the old one away; also a damaged one)"),
          .optional = true, .fallback = SERVER_REPLACE_IN_PLACE },
        OPTION_FLAG(FILES, "dry-run", 'n', dry_run, "say what would be done, and do nothing"),
        { .type = OPT_END },
};

static int restore_check_args(const struct args *args, struct error *err)
{
        if (set_options_check(args, err) < 0)
                return -1;
        if (!args->inputs.count && isatty(STDIN_FILENO))
                return error_raise(err, ERR_USAGE, "no backup on standard input; give -i FILE, or < FILE");
        return 0;
}

/* Without the operand DB a backup goes back to where it came from. */
static int restore_choose_origin(struct operation *operation, struct error *err)
{
        const struct args *args = operation->args;
        const struct stream_info *info = inputs_info(&operation->inputs);

        if (origin_check(info, args->config, args->inputs.count ? "-i FILE" : "< FILE", err) < 0 ||
            database_parse_file(info->origin, &operation->database, err) < 0)
                return -1;
        return operation_choose_kind(operation, err);
}

static int restore_open_inputs(struct operation *operation, struct error *err)
{
        struct member *member = &operation->member;
        int rc;

        worker_begin(&member->worker);
        rc = inputs_open(&operation->inputs, operation->args, supervisor_cancel_flag(member->supervisor), err);
        worker_end(&member->worker);
        return rc < 0 ? member_fail(member, err) : 0;
}

static int restore_run(struct operation *operation, struct error *err)
{
        if (restore_open_inputs(operation, err) < 0 ||
            (!operation->kind && restore_choose_origin(operation, err) < 0) ||
            operation->kind->check_target(operation, err) < 0)
                return -1;
        if (operation->args->dry_run)
                return operation->kind->show_restore(operation, err);
        if (operation_become_user(operation, err) < 0 || operation->kind->run_restore(operation, err) < 0)
                return member_fail(&operation->member, err);
        return 0;
}

static int run_restore(const struct args *args, struct error *err)
{
        if (restore_check_args(args, err) < 0)
                return -1;
        return operation_run(args, /* restores= */ true, restore_run, err);
}

const struct command command_restore = {
        .name = "restore",
        .operands = "[DB] [-i FILE... | < FILE]",
        .summary = "restore a database from a backup",
        .text = "Reads what 'vdipipe backup' wrote, also through zstd, or a raw SQLite image, and makes a database of "
                "it. Without DB it goes back to where it came from, if the backup was made on this machine. An "
                "existing database is only touched with --replace, and stays as it was if anything fails.\n\n"
                "A backup of a SQL Server goes back to one on this machine, mssql://[USER@]HOST[:PORT]/DATABASE, as "
                "the server says it: with --recovery, --norecovery or --standby FILE. Its own --replace destroys the "
                "old database early, so all streams are read and checked first, which a pipe cannot be "
                "(--no-preverify).",
        .example = "  vdipipe restore copy.db < app.vdi\n"
                   "  vdipipe restore --replace -i app.1.vdi\n"
                   "  vdipipe restore mssql://sa@localhost/pubs --norecovery -i pubs.1.vdi\n"
                   "  vdipipe restore mssql://sa@localhost/copy --recovery --move-to /data -i pubs.1.vdi\n"
                   "  vdipipe restore mssql://sa@localhost --header-only -i pubs.1.vdi\n",
        .options = OPTION_TABLES(restore_options, options_restore_sqlite, options_reading, options_passphrase,
                                 options_threads, options_set, options_open, options_server_wait, options_group,
                                 options_mssql_login, options_sqlvdi, options_statement_mssql, options_restore_mssql,
                                 options_trace, options_progress, options_common),
        .operands_max = 1,
        .takes_database = true,
        .run = run_restore,
};
