/*
 * restore.c - a backup back into a database
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/media/coding.h"
#include "cli/command.h"
#include "cli/media/media.h"
#include "cli/databases/mssql_login.h"
#include "cli/databases/mssql_options.h"
#include "cli/databases/origin.h"
#include "cli/databases/restore.h"
#include "cli/databases/server_options.h"
#include "cli/run/set_options.h"
#include "cli/run/sqlvdi.h"
#include "cli/text/secrets.h"
#include "core/base/deadline.h"

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

static int check_args(const struct args *args, struct error *err)
{
        if (operation_check_args(args, err) < 0)
                return -1;
        if (!args->inputs.count && isatty(STDIN_FILENO))
                return error_raise(err, ERR_USAGE, "no backup on standard input; give -i FILE, or < FILE");
        return 0;
}

/* What is to be restored is known: its server says whether the options suit it. */
static int choose_server(struct restore *restore, struct error *err)
{
        restore->server = database_is_mssql(&restore->database) ? &restore_mssql : &restore_sqlite;
        if (server_options_check(restore->args, &restore->database, err) < 0)
                return -1;
        return restore->server->check(restore, err);
}

/* Without the operand DB a backup goes back to where it came from. */
static int choose_origin(struct restore *restore, struct error *err)
{
        const struct args *args = restore->args;
        const struct stream_info *info = inputs_info(&restore->inputs);

        if (origin_check(info, args->config, args->inputs.count ? "-i FILE" : "< FILE", err) < 0 ||
            database_parse_file(info->origin, &restore->database, err) < 0)
                return -1;
        return choose_server(restore, err);
}

int restore_transfer(struct restore *restore, uint32_t count, struct error *err)
{
        struct media_pipe pipes[VDS_DEVICES_MAX];
        struct media *media[VDS_DEVICES_MAX];
        const char *names[VDS_DEVICES_MAX];

        for (uint32_t i = 0; i < count; i++) {
                media_pipe_init_read(&pipes[i], restore->operation.serving.config.features,
                                     restore->inputs.items[i].reader->source);
                media[i] = &pipes[i].media;
                names[i] = restore->inputs.items[i].name;
        }
        return operation_transfer(&restore->operation, media, "reading", names, err);
}

void restore_amount(const struct restore *restore, char text[64])
{
        const struct progress *progress = &restore->operation.serving.progress;
        double seconds = (double)(monotonic_ns() - progress->started_ns) / 1e9;
        char size[32];

        progress_format_bytes(atomic_load(&progress->done), size);
        snprintf(text, 64, ": %s in %.1f s", size, seconds);
}

static int run_operation(struct restore *restore, struct error *err)
{
        struct operation *operation = &restore->operation;

        worker_begin(&operation->serving.worker);
        if (inputs_open(&restore->inputs, restore->args, supervisor_cancel_flag(operation->serving.supervisor), err) <
            0)
                return operation_failed(operation, err);
        worker_end(&operation->serving.worker);
        if ((!restore->server && choose_origin(restore, err) < 0) || restore->server->check_target(restore, err) < 0)
                return -1;
        if (restore->args->dry_run)
                return restore->server->show_plan(restore, err);
        /* The configuration may name a user for all databases; SQLite's need none. */
        if ((restore->server == &restore_mssql &&
             run_as_begin(restore->args, /* secret= */ NULL, NULL, 0, &restore->run_as, err) < 0) ||
            restore->server->run(restore, err) < 0)
                return operation_failed(operation, err);
        return 0;
}

/* Everything that can be found wrong, or has to be asked for, before anything is started. */
static int prepare(struct restore *restore, struct error *err)
{
        const struct args *args = restore->args;
        bool from_stdin = !args->inputs.count;

        if (check_args(args, err) < 0)
                return -1;
        if (args->operands.count &&
            (database_from_args(args, &restore->database, err) < 0 || choose_server(restore, err) < 0))
                return -1;
        if ((restore->server == &restore_mssql && run_as_check(args, err) < 0) ||
            coding_load_reading(args, from_stdin, err) < 0)
                return -1;
        if (!database_is_mssql(&restore->database) || args->dry_run)
                return 0;
        return mssql_login_load(args, &restore->database.uri, from_stdin, &restore->login, err);
}

static int run_restore(const struct args *args, struct error *err)
{
        struct restore restore;
        int rc;

        memset(&restore, 0, sizeof restore);
        restore.args = args;
        rc = prepare(&restore, err);
        if (rc == 0) {
                rc = operation_open(&restore.operation, args, "restore", err);
                if (rc == 0)
                        rc = run_operation(&restore, err);
                if (rc < 0 && restore.database.name)
                        error_prefix(err, "restore of '%s': ", restore.database.name);
                operation_close(&restore.operation);
        }
        run_as_end(restore.run_as);
        inputs_deinit(&restore.inputs);
        secrets_forget(&restore.login.password);
        database_deinit(&restore.database);
        return rc;
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
