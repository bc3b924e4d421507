#include "core/standin/transfer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/servers/events.h"
#include "core/script/run.h"
#include "core/servers/server.h"
#include "core/sqlite/sqlite.h"

enum { BUSY_TIMEOUT_MS = 10000 };

struct standin_transfer {
        struct standin_session *session;
        const struct batch_statement *batch;
        const struct statement *statement;
        struct server_job job;
        struct standin_deed deed;
        uint32_t stats; /* percent between two messages that the client wants */
        uint32_t told;  /* percent */
        _Atomic uint64_t moved;
        atomic_bool faults[STANDIN_FAULTS]; /* that have happened */
        bool said_cancelled;
        int64_t rows;
};

/* ---- what is told ---- */

#define transfer_tell(transfer, id, ...) \
        standin_tell((transfer)->session, (transfer)->batch->line, (id)__VA_OPT__(, ) __VA_ARGS__)

/* Every percent is told here; the client hears of those that it asked for. */
static void transfer_take_percent(struct standin_transfer *transfer, const struct server_message *message)
{
        uint32_t percent = (uint32_t)strtoul(message->text, NULL, 10);
        uint32_t step = transfer->stats ? percent / transfer->stats * transfer->stats : 0;
        char shown[16];

        standin_set_percent(&transfer->session->standin->state, &transfer->session->activity, percent);
        if (step <= transfer->told)
                return;
        transfer->told = step;
        snprintf(shown, sizeof shown, "%u", step);
        transfer_tell(transfer, MESSAGE_PERCENT, shown);
}

static void transfer_on_message(const struct server_message *message, void *transfer_at)
{
        struct standin_transfer *transfer = transfer_at;

        if (message->number == 3211) {
                transfer_take_percent(transfer, message);
                return;
        }
        if (server_message_is_error(message) && !transfer->said_cancelled &&
            standin_session_end(transfer->session) == STANDIN_END_CANCELLED) {
                transfer->said_cancelled = true;
                transfer_tell(transfer, MESSAGE_CANCELLED);
        }
        standin_send(transfer->session, transfer->batch->line, message);
}

static int transfer_send_failure(struct standin_transfer *transfer, const struct server_message *message)
{
        standin_send(transfer->session, transfer->batch->line, message);
        return transfer_tell(transfer, MESSAGE_TERMINATED, statement_verb_name(transfer->statement->verb));
}

/* Tells why the statement failed, and that it did. -1. */
#define transfer_fail(transfer, id, ...)                            \
        (transfer_tell((transfer), (id)__VA_OPT__(, ) __VA_ARGS__), \
         transfer_tell((transfer), MESSAGE_TERMINATED, statement_verb_name((transfer)->statement->verb)))

/* ---- results ---- */

static enum tds_type result_type(const struct result_set *results, size_t column)
{
        enum result_kind kind = RESULT_NULL;

        for (size_t row = 0; row < results->row_count; row++) {
                const struct result_cell *cell = &results->cells[row * results->column_count + column];

                if (cell->kind != RESULT_NULL)
                        kind = cell->kind;
        }
        return kind == RESULT_NUMBER ? TDS_TYPE_BIGINT : TDS_TYPE_TEXT;
}

static int result_send_row(struct tds_session *tds, const struct result_cell *cells, const struct tds_column *columns,
                           size_t count)
{
        struct tds_value values[TDS_COLUMNS_MAX];

        for (size_t i = 0; i < count; i++)
                values[i] = (struct tds_value){
                        .is_null = cells[i].kind == RESULT_NULL ||
                                   (cells[i].kind == RESULT_TEXT) != (columns[i].type == TDS_TYPE_TEXT),
                        .number = cells[i].number,
                        .text = cells[i].text,
                };
        return tds_send_row(tds, values);
}

static void transfer_on_results(const struct result_set *results, void *transfer_at)
{
        struct standin_transfer *transfer = transfer_at;
        struct tds_session *tds = transfer->session->tds;
        struct tds_column columns[TDS_COLUMNS_MAX];
        size_t count = results->column_count < TDS_COLUMNS_MAX ? results->column_count : TDS_COLUMNS_MAX;

        for (size_t i = 0; i < count; i++)
                columns[i] = (struct tds_column){ .name = results->columns[i], .type = result_type(results, i) };
        if (tds_send_columns(tds, columns, count) < 0)
                return;
        transfer->rows = 0;
        for (size_t row = 0; row < results->row_count; row++, transfer->rows++)
                if (result_send_row(tds, results->cells + row * results->column_count, columns, count) < 0)
                        return;
}

/* ---- how it is cut short ---- */

static void transfer_on_abortable(void (*abort_run)(void *run), void *run, void *transfer_at)
{
        struct standin_session *session = ((struct standin_transfer *)transfer_at)->session;

        pthread_mutex_lock(&session->lock);
        session->abort_run = abort_run;
        session->run = run;
        if (abort_run && session->end > (session->is_deaf ? STANDIN_END_CANCELLED : STANDIN_END_NONE))
                abort_run(run);
        pthread_mutex_unlock(&session->lock);
}

static void transfer_be_deaf(struct standin_transfer *transfer)
{
        struct standin_session *session = transfer->session;

        pthread_mutex_lock(&session->lock);
        session->is_deaf = true;
        pthread_mutex_unlock(&session->lock);
        standin_wait_end(session, STANDIN_END_CLOSED);
}

static int transfer_make_fault(struct standin_transfer *transfer, enum standin_fault fault, bool moving,
                               struct error *err)
{
        switch (fault) {
        case STANDIN_FAIL_AFTER_DATA:
                return error_raise(err, ERR_IO, "the stand-in server was told to fail after the data");
        case STANDIN_DISCONNECT:
                tds_break(transfer->session->tds);
                return error_raise(err, ERR_ABORTED, "the connection was broken");
        case STANDIN_HANG:
                /* While the data moves, the device set's abort has to end it too; then, only the session can. */
                if (moving)
                        return SERVER_HOLD;
                standin_wait_end(transfer->session, STANDIN_END_CANCELLED);
                return error_raise(err, ERR_ABORTED, "the statement was cancelled");
        case STANDIN_DEAF:
                transfer_be_deaf(transfer);
                return error_raise(err, ERR_ABORTED, "the connection was closed");
        case STANDIN_CRASH:
                kill(getpid(), SIGKILL);
                return 0;
        default:
                return 0;
        }
}

/* Those whose time has come: of bytes, or of the end. What keeps a device still keeps all of them. */
static int transfer_look_for_faults(struct standin_transfer *transfer, uint64_t moved, bool moving, struct error *err)
{
        const struct standin_plan *plans = transfer->session->standin->options->plans;

        for (size_t i = 0; i < STANDIN_FAULTS; i++) {
                bool lasts = i == STANDIN_HANG || i == STANDIN_DEAF;
                int rc;

                if (!plans[i].wanted || !standin_faults[i].takes_bytes ||
                    (moving && (!plans[i].has_bytes || moved < plans[i].bytes)))
                        continue;
                if (!atomic_exchange(&transfer->faults[i], true))
                        standin_log(transfer->session, "fault: %s", standin_faults[i].name);
                else if (!lasts)
                        continue;
                rc = transfer_make_fault(transfer, (enum standin_fault)i, moving, err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

static int transfer_on_moved(uint64_t bytes, void *transfer_at, struct error *err)
{
        struct standin_transfer *transfer = transfer_at;
        uint64_t moved = atomic_fetch_add(&transfer->moved, bytes) + bytes;

        return transfer_look_for_faults(transfer, moved, /* moving= */ true, err);
}

static int transfer_on_concluding(void *transfer_at, struct error *err)
{
        struct standin_transfer *transfer = transfer_at;

        return transfer_look_for_faults(transfer, atomic_load(&transfer->moved), /* moving= */ false, err);
}

/* ---- a script instead of SQLite ---- */

static void transfer_leave(const struct script_report *report, void *context)
{
        (void)report;
        (void)context;
        _exit(0);
}

static void transfer_log_failures(struct standin_transfer *transfer, const struct script_report *report)
{
        for (uint32_t i = 0; i < report->failure_count && i < SCRIPT_FAILURES_MAX; i++)
                standin_log(transfer->session, "%s:%u: %s", report->path, report->failures[i].line,
                            report->failures[i].text);
}

/* What a scripted database consists of: two files, so that a restore has something to move. */
enum { SCRIPTED_FILES = 2, SCRIPTED_COLUMNS = 7 };

static const char *const scripted_columns[SCRIPTED_COLUMNS] = { "LogicalName", "PhysicalName", "Type",  "FileGroupName",
                                                                "Size",        "MaxSize",      "FileId" };

static const struct result_cell scripted_files[SCRIPTED_FILES][SCRIPTED_COLUMNS] = {
        { { RESULT_TEXT, 0, "data" },
          { RESULT_TEXT, 0, "/var/opt/mssql/data/data.mdf" },
          { RESULT_TEXT, 0, "D" },
          { RESULT_TEXT, 0, "PRIMARY" },
          { RESULT_NUMBER, 0, NULL },
          { RESULT_NUMBER, 0, NULL },
          { RESULT_NUMBER, 1, NULL } },
        { { RESULT_TEXT, 0, "log" },
          { RESULT_TEXT, 0, "/var/opt/mssql/data/log.ldf" },
          { RESULT_TEXT, 0, "L" },
          { RESULT_NULL, 0, NULL },
          { RESULT_NUMBER, 0, NULL },
          { RESULT_NUMBER, 0, NULL },
          { RESULT_NUMBER, 2, NULL } },
};

static const struct result_set scripted_file_list = { .columns = scripted_columns,
                                                      .column_count = SCRIPTED_COLUMNS,
                                                      .cells = scripted_files[0],
                                                      .row_count = SCRIPTED_FILES };

static int transfer_check_moves(struct standin_transfer *transfer)
{
        const struct statement *statement = transfer->statement;

        for (uint32_t i = 0; i < statement->move_count; i++) {
                const char *logical = statement->moves[i].logical;
                bool found = false;

                for (int file = 0; file < SCRIPTED_FILES; file++)
                        found = found || strcasecmp(logical, scripted_files[file][0].text) == 0;
                if (!found)
                        return transfer_fail(transfer, MESSAGE_NO_FILE_IN_SET, logical, statement->database);
        }
        return 0;
}

static int transfer_run_script(struct standin_transfer *transfer, const char *path)
{
        const struct standin_options *options = transfer->session->standin->options;
        const struct statement *statement = transfer->statement;
        struct script_report *report = calloc(1, sizeof *report);
        struct script_call call = {
                .path = path,
                .set_name = statement->devices[0],
                .open_wait_ms = options->open_wait_ms,
                .options = options->vds,
                .leave = transfer_leave,
                .abortable = transfer_on_abortable,
                .context = transfer,
        };
        struct server_message message;
        struct error err = ERROR_INIT;
        int rc;

        if (!report)
                return transfer_fail(transfer, MESSAGE_MEMORY);
        rc = script_main(&call, report, &err);
        transfer_log_failures(transfer, report);
        free(report);
        if (rc < 0) {
                server_message_make(&message, MESSAGE_WORDS, err.message);
                transfer_on_message(&message, transfer);
                return transfer_tell(transfer, MESSAGE_TERMINATED, statement_verb_name(statement->verb));
        }
        if (statement->verb == STATEMENT_FILELISTONLY)
                transfer_on_results(&scripted_file_list, transfer);
        else if (statement->verb < STATEMENT_VERIFYONLY)
                transfer_tell(transfer, MESSAGE_DONE, statement_verb_name(statement->verb), "0", "0.000", "0.000");
        else if (statement->verb == STATEMENT_VERIFYONLY)
                transfer_tell(transfer, MESSAGE_VALID, "1");
        return 0;
}

/* ---- the database ---- */

static int transfer_place_restore(struct standin_transfer *transfer)
{
        struct server_job *job = &transfer->job;
        struct server_message message;
        CLEANUP(freep) char *folder = NULL;
        char *name;

        if (server_job_move(job, transfer->statement, &message) < 0)
                return transfer_send_failure(transfer, &message);
        name = strrchr(job->database, '/');
        if (name)
                folder = strndup(job->database, name == job->database ? 1 : (size_t)(name - job->database));
        if (job->database[0] != '/' || !name || !name[1] || !folder || access(folder, F_OK) < 0)
                return transfer_fail(transfer, MESSAGE_BAD_PLACE, server_job_logical_name(job), job->database);
        return 0;
}

/* A name that becomes that of a file. */
static bool name_fits_file(const char *name)
{
        return name[0] != '.' && !strchr(name, '/') && strlen(name) <= STANDIN_NAME_MAX;
}

static int transfer_place_new(struct standin_transfer *transfer, char **ret_path)
{
        const struct standin_options *options = transfer->session->standin->options;
        const char *name = transfer->statement->database;

        if (standin_system_database(name) || strlen(name) > STANDIN_NAME_MAX)
                return transfer_fail(transfer, MESSAGE_BAD_PLACE, name, name);
        if (!options->data_dir || !name_fits_file(name)) {
                *ret_path = strdup(name);
                return transfer->statement->move_count > 0 ? 0 : transfer_fail(transfer, MESSAGE_BAD_PLACE, name, name);
        }
        return asprintf(ret_path, "%s/%s.db", options->data_dir, name) < 0 ? transfer_fail(transfer, MESSAGE_MEMORY)
                                                                           : 0;
}

/* The statement's database by the path that it stands for. */
static int transfer_resolve(struct standin_transfer *transfer)
{
        struct standin_session *session = transfer->session;
        struct server_job *job = &transfer->job;
        const char *name = transfer->statement->database;
        char *path = NULL;

        if (!job->database)
                return 0;
        if (standin_find_database(&session->standin->state, name, NULL, &path, NULL)) {
                if (!path)
                        return transfer_fail(transfer, MESSAGE_WORDS,
                                             "the database has no file: only a script can serve it");
        } else if (job->verb == SERVER_BACKUP) {
                return transfer_fail(transfer, MESSAGE_NO_SUCH_DATABASE, name);
        } else if (transfer_place_new(transfer, &path) < 0) {
                free(path);
                return -1;
        }
        free(job->database);
        job->database = path;
        if (!path)
                return transfer_fail(transfer, MESSAGE_MEMORY);
        return job->verb == SERVER_RESTORE ? transfer_place_restore(transfer) : 0;
}

static int transfer_check_use(struct standin_transfer *transfer)
{
        struct standin_session *session = transfer->session;
        const char *name = transfer->statement->database;

        if (session->transactions > 0)
                return transfer_fail(transfer, MESSAGE_IN_TRANSACTION);
        if (!name || statement_is_backup(transfer->statement->verb))
                return 0;
        if (strcasecmp(session->activity.database, name) == 0)
                return transfer_fail(transfer, MESSAGE_IN_USE_HERE, name);
        if (standin_database_in_use(&session->standin->state, name, &session->activity))
                return transfer_fail(transfer, MESSAGE_BUSY);
        return 0;
}

/* ---- the run ---- */

static int transfer_run_server(struct standin_transfer *transfer)
{
        struct standin *standin = transfer->session->standin;
        const struct standin_options *options = standin->options;
        struct server_job *job = &transfer->job;
        const char *temporary = getenv("TMPDIR");
        const struct server_events events = {
                .context = transfer,
                .message = transfer_on_message,
                .results = transfer_on_results,
                .abortable = transfer_on_abortable,
                .moved = transfer_on_moved,
                .concluding = transfer_on_concluding,
        };
        const char *spool = options->spool_dir;
        struct error err = ERROR_INIT;
        int rc;

        if (!spool && job->verb == SERVER_VERIFYONLY)
                spool = temporary && *temporary ? temporary : "/var/tmp";
        job->spool_dir = spool ? strdup(spool) : NULL;
        job->open_wait_ms = options->open_wait_ms;
        job->busy_timeout_ms = BUSY_TIMEOUT_MS;
        job->max_lock_ms = options->max_lock_ms;
        transfer->stats = job->stats;
        job->stats = 1;
        rc = server_run(&sqlite_server, job, options->vds, &events, &err);
        transfer->deed.size = atomic_load(&transfer->moved);
        transfer->deed.path = job->verb == SERVER_RESTORE ? job->database : NULL;
        return rc;
}

static int transfer_run_sqlite(struct standin_transfer *transfer)
{
        struct server_message message;

        if (server_job_from_statement(&transfer->job, transfer->statement, &message) < 0)
                return transfer_send_failure(transfer, &message);
        return transfer_resolve(transfer) < 0 ? -1 : transfer_run_server(transfer);
}

static int transfer_run_scripted(struct standin_transfer *transfer, const char *script)
{
        struct standin_state *state = &transfer->session->standin->state;
        const struct statement *statement = transfer->statement;
        enum server_message_id id;

        if (statement_is_backup(statement->verb) &&
            !standin_find_database(state, statement->database, NULL, NULL, NULL))
                return transfer_fail(transfer, MESSAGE_NO_SUCH_DATABASE, statement->database);
        id = standin_check_sequence(state, statement);
        if (id != MESSAGE_COUNT)
                return transfer_fail(transfer, id, statement->database);
        if (transfer_check_moves(transfer) < 0)
                return -1;
        return transfer_run_script(transfer, script);
}

/* Faults that keep the set from being opened. 1: there is none. */
static int transfer_fail_early(struct standin_transfer *transfer)
{
        struct standin_session *session = transfer->session;
        const struct standin_plan *plans = session->standin->options->plans;
        const struct statement *statement = transfer->statement;

        if (plans[STANDIN_PERMISSION_DENIED].wanted)
                return transfer_fail(transfer, MESSAGE_NOT_PERMITTED, statement_verb_name(statement->verb),
                                     statement->database ? statement->database : "master");
        if (plans[STANDIN_FAIL_BEFORE_OPEN].wanted)
                return transfer_fail(transfer, MESSAGE_DEVICE_OPEN, statement->devices[0], "5(Access is denied.)");
        if (!plans[STANDIN_NEVER_OPEN].wanted)
                return 1;
        standin_set_wait(&session->standin->state, &session->activity, "LCK_M_U", STANDIN_BLOCKER);
        standin_wait_end(session, STANDIN_END_CANCELLED);
        return transfer_fail(transfer, MESSAGE_CANCELLED);
}

static int transfer_run(struct standin_transfer *transfer)
{
        const struct standin_options *options = transfer->session->standin->options;
        bool is_backup = statement_is_backup(transfer->statement->verb);
        const char *script = is_backup || !options->restore_script ? options->script : options->restore_script;
        int rc = transfer_fail_early(transfer);

        if (rc <= 0)
                return rc;
        if (transfer_check_use(transfer) < 0)
                return -1;
        standin_set_wait(&transfer->session->standin->state, &transfer->session->activity, "BACKUPTHREAD", 0);
        return script ? transfer_run_scripted(transfer, script) : transfer_run_sqlite(transfer);
}

static void transfer_record(struct standin_transfer *transfer)
{
        struct standin *standin = transfer->session->standin;
        enum statement_verb verb = transfer->statement->verb;

        if (!statement_is_backup(verb) && verb <= STATEMENT_VERIFYONLY)
                standin_record_restore(&standin->state, &transfer->deed);
        else if (statement_is_backup(verb) && !standin->options->plans[STANDIN_NO_HISTORY].wanted)
                standin_record_backup(&standin->state, &transfer->deed);
}

int standin_transfer(struct standin_session *session, const struct batch_statement *batch,
                     const struct statement *statement, int64_t *ret_rows)
{
        struct standin_transfer *transfer = calloc(1, sizeof *transfer);
        struct standin_state *state = &session->standin->state;
        int rc;

        *ret_rows = -1;
        if (!transfer)
                return -1;
        transfer->session = session;
        transfer->batch = batch;
        transfer->statement = statement;
        transfer->rows = -1;
        transfer->deed = (struct standin_deed){ .statement = statement, .user = session->activity.user };
        standin_now(transfer->deed.started);
        standin_begin_activity(state, &session->activity, statement_verb_name(statement->verb), batch->text);
        rc = transfer_run(transfer);
        if (rc == 0)
                transfer_record(transfer);
        standin_log(session, "%s: %s", statement_verb_name(statement->verb), rc == 0 ? "done" : "failed");
        *ret_rows = transfer->rows;
        server_job_deinit(&transfer->job);
        free(transfer);
        return rc;
}
