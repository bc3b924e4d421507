#include <inttypes.h>
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
#include "core/standin/internal.h"

enum { BUSY_TIMEOUT_MS = 10000 };

struct transfer {
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

static void tell(struct transfer *transfer, const struct server_message *message)
{
        const struct standin_plan *plans = transfer->session->standin->options->plans;

        if (plans[STANDIN_NO_CONFIRMATION].wanted && (message->number == 3014 || message->number == 3262))
                return;
        standin_tell(transfer->session, transfer->batch->line, message);
}

#define TELL(transfer, id, ...)                                                 \
        do {                                                                    \
                struct server_message message_;                                 \
                server_message_make(&message_, (id)__VA_OPT__(, ) __VA_ARGS__); \
                tell((transfer), &message_);                                    \
        } while (0)

/* Every percent is told here; the client hears of those that it asked for. */
static void take_percent(struct transfer *transfer, const struct server_message *message)
{
        uint32_t percent = (uint32_t)strtoul(message->text, NULL, 10);
        uint32_t step = transfer->stats ? percent / transfer->stats * transfer->stats : 0;
        char shown[16];

        standin_set_percent(&transfer->session->standin->state, &transfer->session->activity, percent);
        if (step <= transfer->told)
                return;
        transfer->told = step;
        snprintf(shown, sizeof shown, "%u", step);
        TELL(transfer, MESSAGE_PERCENT, shown);
}

static void on_message(const struct server_message *message, void *transfer_at)
{
        struct transfer *transfer = transfer_at;

        if (message->number == 3211) {
                take_percent(transfer, message);
                return;
        }
        if (server_message_is_error(message) && !transfer->said_cancelled &&
            standin_session_end(transfer->session) == STANDIN_END_CANCELLED) {
                transfer->said_cancelled = true;
                TELL(transfer, MESSAGE_CANCELLED);
        }
        tell(transfer, message);
}

static int fail(struct transfer *transfer, const struct server_message *message)
{
        tell(transfer, message);
        TELL(transfer, MESSAGE_TERMINATED, statement_verb_name(transfer->statement->verb));
        return -1;
}

#define FAIL(transfer, id, ...)                                                 \
        ({                                                                      \
                struct server_message message_;                                 \
                server_message_make(&message_, (id)__VA_OPT__(, ) __VA_ARGS__); \
                fail((transfer), &message_);                                    \
        })

/* ---- results ---- */

static enum tds_type type_of(const struct result_set *results, size_t column)
{
        enum result_kind kind = RESULT_NULL;

        for (size_t row = 0; row < results->row_count; row++) {
                const struct result_cell *cell = &results->cells[row * results->column_count + column];

                if (cell->kind != RESULT_NULL)
                        kind = cell->kind;
        }
        return kind == RESULT_NUMBER ? TDS_TYPE_BIGINT : TDS_TYPE_TEXT;
}

static int send_row(struct tds_session *tds, const struct result_cell *cells, const struct tds_column *columns,
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

static void on_results(const struct result_set *results, void *transfer_at)
{
        struct transfer *transfer = transfer_at;
        struct tds_session *tds = transfer->session->tds;
        struct tds_column columns[TDS_COLUMNS_MAX];
        size_t count = results->column_count < TDS_COLUMNS_MAX ? results->column_count : TDS_COLUMNS_MAX;

        for (size_t i = 0; i < count; i++)
                columns[i] = (struct tds_column){ .name = results->columns[i], .type = type_of(results, i) };
        if (tds_send_columns(tds, columns, count) < 0)
                return;
        transfer->rows = 0;
        for (size_t row = 0; row < results->row_count; row++, transfer->rows++)
                if (send_row(tds, results->cells + row * results->column_count, columns, count) < 0)
                        return;
}

/* ---- how it is cut short ---- */

static void on_abortable(void (*abort_run)(void *run), void *run, void *transfer_at)
{
        struct standin_session *session = ((struct transfer *)transfer_at)->session;

        pthread_mutex_lock(&session->lock);
        session->abort_run = abort_run;
        session->run = run;
        if (abort_run && session->end > (session->is_deaf ? STANDIN_END_CANCELLED : STANDIN_END_NONE))
                abort_run(run);
        pthread_mutex_unlock(&session->lock);
}

static int break_connection(struct transfer *transfer, struct error *err)
{
        tds_break(transfer->session->tds);
        return error_raise(err, ERR_ABORTED, "the connection was broken");
}

static int be_deaf(struct transfer *transfer, struct error *err)
{
        struct standin_session *session = transfer->session;

        pthread_mutex_lock(&session->lock);
        session->is_deaf = true;
        pthread_mutex_unlock(&session->lock);
        standin_wait_end(session, STANDIN_END_CLOSED);
        return error_raise(err, ERR_ABORTED, "the connection was closed");
}

/* While the data moves, the device set's abort has to end it too; then, only the session can. */
static int hang(struct transfer *transfer, bool moving, struct error *err)
{
        if (moving)
                return SERVER_HOLD;
        standin_wait_end(transfer->session, STANDIN_END_CANCELLED);
        return error_raise(err, ERR_ABORTED, "the statement was cancelled");
}

static int make_fault(struct transfer *transfer, enum standin_fault fault, bool moving, struct error *err)
{
        switch (fault) {
        case STANDIN_FAIL_AFTER_DATA:
                return error_raise(err, ERR_IO, "the stand-in server was told to fail after the data");
        case STANDIN_DISCONNECT:
                return break_connection(transfer, err);
        case STANDIN_HANG:
                return hang(transfer, moving, err);
        case STANDIN_DEAF:
                return be_deaf(transfer, err);
        case STANDIN_CRASH:
                kill(getpid(), SIGKILL);
                return 0;
        default:
                return 0;
        }
}

/* Those whose time has come: of bytes, or of the end. What keeps a device still keeps all of them. */
static int look_for_faults(struct transfer *transfer, uint64_t moved, bool moving, struct error *err)
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
                rc = make_fault(transfer, (enum standin_fault)i, moving, err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

static int on_moved(uint64_t bytes, void *transfer_at, struct error *err)
{
        struct transfer *transfer = transfer_at;
        uint64_t moved = atomic_fetch_add(&transfer->moved, bytes) + bytes;

        return look_for_faults(transfer, moved, /* moving= */ true, err);
}

static int on_concluding(void *transfer_at, struct error *err)
{
        struct transfer *transfer = transfer_at;

        return look_for_faults(transfer, atomic_load(&transfer->moved), /* moving= */ false, err);
}

/* ---- a script instead of SQLite ---- */

static void leave(const struct script_report *report, void *context)
{
        (void)report;
        (void)context;
        _exit(0);
}

static void log_failures(struct transfer *transfer, const struct script_report *report)
{
        for (uint32_t i = 0; i < report->failure_count && i < SCRIPT_FAILURES_MAX; i++)
                standin_log(transfer->session, "%s:%u: %s", report->path, report->failures[i].line,
                            report->failures[i].text);
}

/* What a scripted database consists of: two files, so that a restore has something to move. */
enum { SCRIPTED_FILES = 2 };

static const char *const scripted_files[SCRIPTED_FILES][4] = {
        { "data", "/var/opt/mssql/data/data.mdf", "D", "PRIMARY" },
        { "log", "/var/opt/mssql/data/log.ldf", "L", NULL },
};

static void list_scripted_files(struct transfer *transfer)
{
        static const char *const columns[] = { "LogicalName", "PhysicalName", "Type",  "FileGroupName",
                                               "Size",        "MaxSize",      "FileId" };
        enum { COLUMNS = sizeof columns / sizeof columns[0], TEXTS = 4 };
        struct result_cell cells[SCRIPTED_FILES * COLUMNS];
        struct result_set results = {
                .columns = columns, .column_count = COLUMNS, .cells = cells, .row_count = SCRIPTED_FILES
        };

        for (int64_t file = 0; file < SCRIPTED_FILES; file++) {
                struct result_cell *row = cells + file * COLUMNS;

                for (int i = 0; i < COLUMNS; i++)
                        row[i] = (struct result_cell){ .kind = RESULT_NUMBER, .number = 0 };
                for (int i = 0; i < TEXTS; i++)
                        row[i] = (struct result_cell){ .kind = scripted_files[file][i] ? RESULT_TEXT : RESULT_NULL,
                                                       .text = scripted_files[file][i] };
                row[COLUMNS - 1].number = file + 1;
        }
        on_results(&results, transfer);
}

static int check_scripted_moves(struct transfer *transfer)
{
        const struct statement *statement = transfer->statement;

        for (uint32_t i = 0; i < statement->move_count; i++) {
                const char *logical = statement->moves[i].logical;
                bool found = false;

                for (int file = 0; file < SCRIPTED_FILES; file++)
                        found = found || strcasecmp(logical, scripted_files[file][0]) == 0;
                if (!found)
                        return FAIL(transfer, MESSAGE_NO_FILE_IN_SET, logical, statement->database);
        }
        return 0;
}

static int run_script(struct transfer *transfer, const char *path)
{
        const struct standin_options *options = transfer->session->standin->options;
        const struct statement *statement = transfer->statement;
        struct script_report *report = calloc(1, sizeof *report);
        struct script_call call = {
                .path = path,
                .set_name = statement->devices[0],
                .open_wait_ms = options->open_wait_ms,
                .options = options->vds,
                .leave = leave,
                .abortable = on_abortable,
                .context = transfer,
        };
        struct error err = ERROR_INIT;
        int rc;

        if (!report)
                return FAIL(transfer, MESSAGE_MEMORY);
        rc = script_main(&call, report, &err);
        log_failures(transfer, report);
        free(report);
        if (rc < 0) {
                struct server_message message;

                server_message_make(&message, MESSAGE_WORDS, err.message);
                on_message(&message, transfer);
                TELL(transfer, MESSAGE_TERMINATED, statement_verb_name(statement->verb));
                return -1;
        }
        if (statement->verb == STATEMENT_FILELISTONLY)
                list_scripted_files(transfer);
        else if (statement->verb < STATEMENT_VERIFYONLY)
                TELL(transfer, MESSAGE_DONE, statement_verb_name(statement->verb), "0", "0.000", "0.000");
        else if (statement->verb == STATEMENT_VERIFYONLY)
                TELL(transfer, MESSAGE_VALID, "1");
        return 0;
}

/* ---- the database ---- */

static int place_restore(struct transfer *transfer)
{
        struct server_job *job = &transfer->job;
        struct server_message message;
        CLEANUP(freep) char *folder = NULL;
        char *name;

        if (server_job_move(job, transfer->statement, &message) < 0)
                return fail(transfer, &message);
        name = strrchr(job->database, '/');
        if (name)
                folder = strndup(job->database, name == job->database ? 1 : (size_t)(name - job->database));
        if (job->database[0] != '/' || !name || !name[1] || !folder || access(folder, F_OK) < 0)
                return FAIL(transfer, MESSAGE_BAD_PLACE, server_job_logical_name(job), job->database);
        return 0;
}

/* A name that becomes that of a file. */
static bool is_file_name(const char *name)
{
        return name[0] != '.' && !strchr(name, '/') && strlen(name) <= STANDIN_NAME_MAX;
}

static int place_new(struct transfer *transfer, char **ret_path)
{
        const struct standin_options *options = transfer->session->standin->options;
        const char *name = transfer->statement->database;

        if (standin_system_database(name) || strlen(name) > STANDIN_NAME_MAX)
                return FAIL(transfer, MESSAGE_BAD_PLACE, name, name);
        if (!options->data_dir || !is_file_name(name)) {
                *ret_path = strdup(name);
                return transfer->statement->move_count > 0 ? 0 : FAIL(transfer, MESSAGE_BAD_PLACE, name, name);
        }
        return asprintf(ret_path, "%s/%s.db", options->data_dir, name) < 0 ? FAIL(transfer, MESSAGE_MEMORY) : 0;
}

/* The statement's database by the path that it stands for. */
static int resolve(struct transfer *transfer)
{
        struct standin_session *session = transfer->session;
        struct server_job *job = &transfer->job;
        const char *name = transfer->statement->database;
        char *path = NULL;

        if (!job->database)
                return 0;
        if (standin_find_database(&session->standin->state, name, NULL, &path, NULL)) {
                if (!path)
                        return FAIL(transfer, MESSAGE_WORDS, "the database has no file: only a script can serve it");
        } else if (job->verb == SERVER_BACKUP) {
                return FAIL(transfer, MESSAGE_NO_SUCH_DATABASE, name);
        } else if (place_new(transfer, &path) < 0) {
                free(path);
                return -1;
        }
        free(job->database);
        job->database = path;
        if (!path)
                return FAIL(transfer, MESSAGE_MEMORY);
        return job->verb == SERVER_RESTORE ? place_restore(transfer) : 0;
}

static int check_use(struct transfer *transfer)
{
        struct standin_session *session = transfer->session;
        const char *name = transfer->statement->database;

        if (session->transactions > 0)
                return FAIL(transfer, MESSAGE_IN_TRANSACTION);
        if (!name || statement_is_backup(transfer->statement->verb))
                return 0;
        if (strcasecmp(session->activity.database, name) == 0)
                return FAIL(transfer, MESSAGE_IN_USE_HERE, name);
        if (standin_database_in_use(&session->standin->state, name, &session->activity))
                return FAIL(transfer, MESSAGE_BUSY);
        return 0;
}

/* ---- the run ---- */

static int run_server(struct transfer *transfer)
{
        struct standin *standin = transfer->session->standin;
        const struct standin_options *options = standin->options;
        struct server_job *job = &transfer->job;
        const char *temporary = getenv("TMPDIR");
        const struct server_events events = {
                .context = transfer,
                .message = on_message,
                .results = on_results,
                .abortable = on_abortable,
                .moved = on_moved,
                .concluding = on_concluding,
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

static int run_sqlite(struct transfer *transfer)
{
        struct server_message message;

        if (server_job_from_statement(&transfer->job, transfer->statement, &message) < 0)
                return fail(transfer, &message);
        return resolve(transfer) < 0 ? -1 : run_server(transfer);
}

static int run_scripted(struct transfer *transfer, const char *script)
{
        struct standin_state *state = &transfer->session->standin->state;
        const struct statement *statement = transfer->statement;
        enum server_message_id id;

        if (statement_is_backup(statement->verb) &&
            !standin_find_database(state, statement->database, NULL, NULL, NULL))
                return FAIL(transfer, MESSAGE_NO_SUCH_DATABASE, statement->database);
        id = standin_check_chain(state, statement);
        if (id != MESSAGE_COUNT)
                return FAIL(transfer, id, statement->database);
        if (check_scripted_moves(transfer) < 0)
                return -1;
        return run_script(transfer, script);
}

/* Faults that keep the set from being opened. 1: there is none. */
static int fail_early(struct transfer *transfer)
{
        struct standin_session *session = transfer->session;
        const struct standin_plan *plans = session->standin->options->plans;
        const struct statement *statement = transfer->statement;

        if (plans[STANDIN_PERMISSION_DENIED].wanted)
                return FAIL(transfer, MESSAGE_NOT_PERMITTED, statement_verb_name(statement->verb),
                            statement->database ? statement->database : "master");
        if (plans[STANDIN_FAIL_BEFORE_OPEN].wanted)
                return FAIL(transfer, MESSAGE_DEVICE_OPEN, statement->devices[0], "5(Access is denied.)");
        if (!plans[STANDIN_NEVER_OPEN].wanted)
                return 1;
        standin_set_wait(&session->standin->state, &session->activity, "LCK_M_U", STANDIN_BLOCKER);
        standin_wait_end(session, STANDIN_END_CANCELLED);
        return FAIL(transfer, MESSAGE_CANCELLED);
}

static int run(struct transfer *transfer)
{
        const struct standin_options *options = transfer->session->standin->options;
        bool is_backup = statement_is_backup(transfer->statement->verb);
        const char *script = is_backup || !options->restore_script ? options->script : options->restore_script;
        int rc = fail_early(transfer);

        if (rc <= 0)
                return rc;
        if (check_use(transfer) < 0)
                return -1;
        standin_set_wait(&transfer->session->standin->state, &transfer->session->activity, "BACKUPTHREAD", 0);
        return script ? run_scripted(transfer, script) : run_sqlite(transfer);
}

static void record(struct transfer *transfer)
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
        struct transfer *transfer = calloc(1, sizeof *transfer);
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
        rc = run(transfer);
        if (rc == 0)
                record(transfer);
        standin_log(session, "%s: %s", statement_verb_name(statement->verb), rc == 0 ? "done" : "failed");
        *ret_rows = transfer->rows;
        server_job_deinit(&transfer->job);
        free(transfer);
        return rc;
}
