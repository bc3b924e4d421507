#include "cli/commands/exec_statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/config.h"
#include "cli/databases/database.h"
#include "cli/commands/exec_signals.h"
#include "cli/message.h"
#include "cli/run/set_options.h"
#include "cli/run/tracing.h"
#include "cli/text/results.h"
#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/servers/events.h"
#include "core/servers/server.h"
#include "core/tsql/statement.h"
#include "core/sqlite/sqlite.h"

enum { BUSY_TIMEOUT_MS = 10000 };

const struct opt_spec options_statement[] = {
        OPTION_SECONDS(TIMEOUTS, "open-timeout", set_wait_ms, 0, 86400000,
                       "wait so long for the device set to be created (default: not at all)"),
        OPTION_STRING(SQLITE, "spool-dir", 0, "FOLDER", spool_dir,
                      "where to spool, and to put together what VERIFYONLY WITH CHECKSUM looks at (default: beside the "
                      "database; $TMPDIR or /var/tmp)"),
        { .type = OPT_END },
};

struct execution {
        const struct args *args;
        struct statement statement;
        struct server_job job;
        struct exec_signals *signals;
        struct error shown; /* of results that could not be printed */
};

/* ---- what the server tells ---- */

static void execution_on_message(const struct server_message *message, void *execution_at)
{
        const struct execution *execution = execution_at;
        CLEANUP(freep) char *text = server_message_render(message);

        if (text && (server_message_is_error(message) || !execution->args->quiet))
                fprintf(stderr, "%s\n", text);
}

static void execution_on_results(const struct result_set *results, void *execution_at)
{
        struct execution *execution = execution_at;

        results_print(results, execution->args->json, stdout, &execution->shown);
}

static void execution_on_abortable(void (*abort_run)(void *run), void *run, void *execution_at)
{
        const struct execution *execution = execution_at;

        exec_signals_set_abort(execution->signals, abort_run, run);
}

/* Everything from the parser on ends with 3013, but a statement that could not be read has no name to end with. */
static int execution_refuse(struct execution *execution, const struct server_message *message, struct error *err)
{
        struct server_message terminated;

        execution_on_message(message, execution);
        server_message_make(&terminated, MESSAGE_TERMINATED, statement_verb_name(execution->statement.verb));
        if (message->number >= 900)
                execution_on_message(&terminated, execution);
        return error_replace(err, message->class, "%s", "");
}

/* ---- the database ---- */

static int execution_refuse_database(struct execution *execution, struct error *err)
{
        struct server_message message;

        server_message_make(&message, MESSAGE_NO_DATABASE, execution->job.shown_database);
        return execution_refuse(execution, &message, err);
}

static int execution_refuse_place(struct execution *execution, const char *path, struct error *err)
{
        struct server_message message;

        server_message_make(&message, MESSAGE_BAD_PLACE, server_job_logical_name(&execution->job), path);
        return execution_refuse(execution, &message, err);
}

/* The path that the statement's name stands for: of a section of the configuration, or a path itself. NULL: neither. */
static int find_database_path(const struct args *args, const char *name, char **ret_path, struct error *err)
{
        CLEANUP(database_deinit) struct database database = { 0 };
        const char *section = NULL;
        const char *text = name;
        int rc;

        *ret_path = NULL;
        if (database_find_section(args->config, name, &section, err) < 0)
                return -1;
        if (section)
                text = config_database(args->config, section);
        else if (!strchr(name, '/') && !database_exists(name))
                return 0;
        rc = database_parse_file(text, &database, err);
        *ret_path = take_ptr(&database.path);
        return rc;
}

/* A backup that finds nothing may find what a killed restore had taken away. */
static bool source_exists(const struct server_job *job)
{
        const struct server_job restore = { .verb = SERVER_RESTORE, .database = job->database };

        if (access(job->database, F_OK) == 0)
                return true;
        server_sweep(&sqlite_server, &restore);
        return access(job->database, F_OK) == 0;
}

static int execution_place_restore(struct execution *execution, struct error *err)
{
        struct server_job *job = &execution->job;
        struct server_message message;
        CLEANUP(database_deinit) struct database database = { 0 };

        if (server_job_move(job, &execution->statement, &message) < 0)
                return execution_refuse(execution, &message, err);
        if (database_parse_file(job->database, &database, err) < 0)
                return err->code == ERR_USAGE ? execution_refuse_place(execution, job->database, err) : -1;
        free(job->database);
        job->database = take_ptr(&database.path);
        return 0;
}

static int execution_resolve(struct execution *execution, struct error *err)
{
        struct server_job *job = &execution->job;
        CLEANUP(freep) char *path = NULL;
        bool moved = execution->statement.move_count > 0;

        if (!job->database)
                return 0;
        if (find_database_path(execution->args, job->database, &path, err) < 0)
                return job->verb == SERVER_BACKUP || err->code != ERR_USAGE
                               ? execution_refuse_database(execution, err)
                               : execution_refuse_place(execution, job->database, err);
        if (path) {
                free(job->database);
                job->database = take_ptr(&path);
        } else if (job->verb == SERVER_BACKUP || !moved) {
                return execution_refuse_database(execution, err);
        }
        if (job->verb == SERVER_RESTORE)
                return execution_place_restore(execution, err);
        return source_exists(job) ? 0 : execution_refuse_database(execution, err);
}

/* ---- the run ---- */

static int execution_fill_job(struct execution *execution, struct error *err)
{
        const struct args *args = execution->args;
        struct server_job *job = &execution->job;
        const char *temporary = getenv("TMPDIR");
        const char *spool = args->spool_dir;

        job->open_wait_ms = args->set_wait_ms;
        job->busy_timeout_ms = BUSY_TIMEOUT_MS;
        job->max_lock_ms = args->max_lock_ms;
        if (!spool && job->verb == SERVER_VERIFYONLY)
                spool = temporary && *temporary ? temporary : "/var/tmp";
        return spool ? args_find_folder("spool-dir", spool, &job->spool_dir, err) : 0;
}

static int execution_run(struct execution *execution, struct error *err)
{
        const struct vds_options options = set_options(execution->args);
        struct server_events events = {
                .context = execution,
                .message = execution_on_message,
                .results = execution_on_results,
                .abortable = execution_on_abortable,
        };
        int rc;

        if (tracing_open(execution->args->trace, "server", &events.trace, err) < 0)
                return -1;
        if (exec_signals_start(&execution->signals, err) < 0) {
                tracing_close(events.trace);
                return -1;
        }
        rc = server_run(&sqlite_server, &execution->job, &options, &events, err);
        tracing_close(events.trace);
        err->message[0] = '\0';
        if (rc < 0)
                exec_signals_check(execution->signals, err);
        exec_signals_stop(execution->signals);
        return rc < 0 ? rc : error_hand_over(err, &execution->shown);
}

static int execution_begin(struct execution *execution, const char *text, struct error *err)
{
        struct server_message message;

        if (statement_parse(text, &execution->statement, &message) < 0 ||
            server_job_from_statement(&execution->job, &execution->statement, &message) < 0)
                return execution_refuse(execution, &message, err);
        if (execution_resolve(execution, err) < 0 || execution_fill_job(execution, err) < 0)
                return -1;
        return execution_run(execution, err);
}

static void execution_deinit(struct execution *execution)
{
        statement_deinit(&execution->statement);
        server_job_deinit(&execution->job);
}

int exec_statement(const struct args *args, struct error *err)
{
        CLEANUP(execution_deinit) struct execution execution = { .args = args };

        fault_role("server");
        return set_options_check(args, err) < 0 ? -1 : execution_begin(&execution, args->operands.items[0], err);
}
