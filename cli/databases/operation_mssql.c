#include "cli/databases/operation_mssql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "cli/databases/session_watch.h"
#include "cli/run/sqlvdi.h"
#include "core/base/cleanup.h"
#include "core/mssql/history.h"

enum {
        ERROR_SEVERITY = 11,      /* from here on a message is an error */
        NUMBER_TERMINATED = 3013, /* says that a statement failed, never why */
        NUMBER_DONE = 3014,       /* a backup or restore is done, whatever the language of the words */
        NUMBER_PERCENT = 3211,
        NUMBER_VALID = 3262, /* VERIFYONLY has found nothing */
        NUMBER_DATABASE_CHANGED = 5701,
        NUMBER_LANGUAGE_CHANGED = 5703,

        SESSION_GRACE_MS = 8000, /* from the end of the set to the end of the statement by itself */
        ABSENT_GRACE_MS = 1000,  /* the same, of a server that has not opened the set, and will not notice its end */
        CANCEL_GRACE_MS = 4000,  /* and then from our asking the server to cancel it */
        FURTHER_ERRORS = 8,      /* that are shown beside the one that says what happened */

        VERDICT_SLICE_MS = 500, /* between two looks at the cancel flag while the server finishes */
};

struct mssql_part {
        struct operation *operation;
        struct mssql *connection;
        int session;
        char *sql;
        enum statement_verb verb;
        struct rows *rows; /* borrowed; NULL: not wanted */
        struct sqlvdi_library *library;
        struct mssql_task *task;
        struct session_watch *watch;
        struct mssql_login login; /* its texts are borrowed */
        bool awaited;             /* the statement's end, for as long as it is by itself */

        /* The statement's thread's own until it has ended. */
        bool told;      /* the error that the last line will repeat has come */
        bool confirmed; /* the message has come that a server ends such a statement with */
        struct server_message further[FURTHER_ERRORS];
        size_t further_count;
};

static struct mssql_part *part_of(const struct operation *operation)
{
        return operation->part;
}

/* ---- what the server says ---- */

/* The message by which a server confirms that it has done such a statement; 0: there is none. */
static int confirmation_of(enum statement_verb verb)
{
        static const int numbers[STATEMENT_VERBS] = {
                [STATEMENT_BACKUP_DATABASE] = NUMBER_DONE,  [STATEMENT_BACKUP_LOG] = NUMBER_DONE,
                [STATEMENT_RESTORE_DATABASE] = NUMBER_DONE, [STATEMENT_RESTORE_LOG] = NUMBER_DONE,
                [STATEMENT_VERIFYONLY] = NUMBER_VALID,
        };

        return numbers[verb];
}

static bool is_chatter(int number)
{
        return number == NUMBER_PERCENT || number == NUMBER_DATABASE_CHANGED || number == NUMBER_LANGUAGE_CHANGED ||
               number == NUMBER_TERMINATED;
}

/* The first error that says what happened becomes the line that the command ends with. What further ones say is for
 * the end, too: they may be consequences of what failed here. */
static void show(struct mssql_part *part, const struct server_message *message)
{
        bool telling = message->severity >= ERROR_SEVERITY && message->number != NUMBER_TERMINATED;

        if (telling || is_chatter(message->number))
                message_verbose("server: %d: %s", message->number, message->text);
        else
                message_summary("server: %s", message->text);
        if (telling && part->told && part->further_count < FURTHER_ERRORS)
                part->further[part->further_count++] = *message;
        part->told = part->told || telling;
}

static void on_message(const struct server_message *message, void *context)
{
        struct mssql_part *part = context;
        char *end;
        long percent;

        session_watch_note(part->watch);
        percent = strtol(message->text, &end, 10);
        if (message->number == NUMBER_PERCENT && end != message->text && percent >= 0 && percent <= 100)
                atomic_store(&part->operation->serving.progress.percent, (int)percent);
        part->confirmed = part->confirmed || message->number == confirmation_of(part->verb);
        show(part, message);
}

static void on_row(const struct mssql_row *row, void *context)
{
        struct mssql_part *part = context;

        session_watch_note(part->watch);
        if (part->rows)
                rows_add(part->rows, row);
}

/* ---- the operation ---- */

/* The server notices the end of the set by itself, and then says what it has to say. Once is enough.
 * 0: it has ended. */
static int await_end(struct mssql_part *part)
{
        int64_t grace_ms = part->operation->joined ? SESSION_GRACE_MS : ABSENT_GRACE_MS;

        if (part->awaited)
                grace_ms = 0;
        part->awaited = true;
        return mssql_task_wait(part->task, grace_ms);
}

/* A supervised_end. A success that comes before the devices are closed must not leave us waiting for them. */
static bool statement_ended(void *context, struct error *reason)
{
        struct mssql_part *part = context;

        if (mssql_task_result(part->task, reason) == 0) {
                session_watch_statement_ended(part->watch);
                return false;
        }
        reason->code = ERR_PEER_DIED;
        return true;
}

static int start(struct operation *operation, struct error *err)
{
        struct mssql_part *part = part_of(operation);
        const struct mssql_events events = { .context = part, .message = on_message, .row = on_row };

        part->awaited = false;
        message_verbose("session %d: %s", part->session, part->sql);
        if (session_watch_start(&part->login, part->session, operation->serving.args->server_timeout_ms,
                                &operation->serving.progress, operation->serving.supervisor, &part->watch, err) < 0 ||
            mssql_task_start(part->connection, part->sql, &events, &part->task, err) < 0)
                return -1;
        supervisor_watch_server(operation->serving.supervisor, mssql_task_fd(part->task), statement_ended, part);
        return 0;
}

static int joined(struct operation *operation, struct error *err)
{
        struct server_info *info = &operation->info;

        (void)err;
        snprintf(info->kind, sizeof info->kind, "mssql");
        snprintf(info->version, sizeof info->version, "%s", mssql_server_version(part_of(operation)->connection));
        message_verbose("server: %s", info->version);
        return 0;
}

/* Ends the statement if it has not ended, and says so if the server will not have it. */
static void end_statement(struct operation *operation)
{
        struct mssql_part *part = part_of(operation);

        if (!part->task)
                return;
        supervisor_watch_server(operation->serving.supervisor, -1, NULL, NULL);
        if (!mssql_task_free(take_ptr(&part->task), CANCEL_GRACE_MS))
                message_warning("session %d of the server has not ended, and may hold locks; look for it in "
                                "sys.dm_exec_requests, and end it with KILL %d",
                                part->session, part->session);
        session_watch_stop(take_ptr(&part->watch));
}

static void show_further(const struct mssql_part *part)
{
        struct error reason = ERROR_INIT;

        if (supervisor_check(part->operation->serving.supervisor, &reason) < 0 && reason.code != ERR_PEER_DIED)
                return;
        for (size_t i = 0; i < part->further_count; i++)
                message_error("server: Msg %d, Level %d, State %d: %s", part->further[i].number,
                              part->further[i].severity, part->further[i].state, part->further[i].text);
}

/* The statement has ended. */
static int raise_result(const struct mssql_part *part, struct error *err)
{
        if (mssql_task_result(part->task, err) == 0)
                return 0;
        show_further(part);
        return err->code == ERR_PEER_DIED ? error_prefix(err, "session %d: ", part->session) : -1;
}

/* The statement has ended without an error. An end alone is no success: who swallows an error in a batch, or breaks off
 * with nothing but a bit of the protocol, ends so as well. */
static bool is_confirmed(const struct mssql_part *part)
{
        struct mssql_backup_record record;
        struct error ignored = ERROR_INIT;

        if (part->confirmed || !confirmation_of(part->verb))
                return true;
        return statement_is_backup(part->verb) &&
               mssql_history_find(part->connection, part->operation->devices[0], &record, &ignored) == 0;
}

static int raise_unconfirmed(const struct mssql_part *part, struct error *err)
{
        bool is_backup = statement_is_backup(part->verb);

        return error_raise(err, ERR_FAILED,
                           "the server ended the statement without an error and without confirming it (no message "
                           "%d%s)",
                           confirmation_of(part->verb),
                           is_backup ? ", and no record of the backup in msdb that this login may read" : "");
}

static void explain_absence(struct operation *operation, struct error *err)
{
        const struct error plain = *err;
        char words[SESSION_WORDS_MAX];

        session_watch_words(part_of(operation)->watch, words);
        if (words[0])
                error_raise(err, plain.code, "%s; %s", plain.message, words);
}

/* Why a set that is aborted, or whose statement failed, came to that: the server's own words, else the engine's. */
static int raise_failure(struct operation *operation, struct error *err)
{
        struct mssql_part *part = part_of(operation);
        char words[SESSION_WORDS_MAX];

        if (await_end(part) != 0) {
                session_watch_words(part->watch, words);
                serving_abort_reason(&operation->serving, err);
                return error_prefix(err, "the statement did not end by itself (%s%ssession %d): ", words,
                                    words[0] ? "; " : "", part->session);
        }
        if (raise_result(part, err) < 0)
                return -1;
        if (!operation->joined)
                return error_raise(err, ERR_FAILED, "the statement ended without opening the device set");
        serving_abort_reason(&operation->serving, err);
        return error_prefix(err, part->confirmed || !confirmation_of(part->verb)
                                         ? "the server said success, but "
                                         : "the server ended the statement without confirming it, and ");
}

static int await_success(struct operation *operation, struct error *err)
{
        struct mssql_part *part = part_of(operation);
        struct error reason = ERROR_INIT;
        int rc;

        while (mssql_task_wait(part->task, VERDICT_SLICE_MS) != 0) {
                if (supervisor_check(operation->serving.supervisor, &reason) == 0 || reason.code == ERR_PEER_DIED)
                        continue;
                *err = reason;
                return -1;
        }
        rc = raise_result(part, err);
        end_statement(operation);
        return rc == 0 && !is_confirmed(part) ? raise_unconfirmed(part, err) : rc;
}

static void end(struct operation *operation)
{
        struct mssql_part *part = part_of(operation);

        if (part->task)
                await_end(part);
        end_statement(operation);
        session_watch_stop(part->watch);
        mssql_close(part->connection);
        sqlvdi_library_close(part->library);
        free(part->sql);
        free(part);
        operation->part = NULL;
}

static const struct operation_server mssql_server = {
        .start = start,
        .joined = joined,
        .await_success = await_success,
        .raise_failure = raise_failure,
        .explain_absence = explain_absence,
        .end = end,
};

static int choose_engine(struct operation *operation, struct mssql_part *part, struct error *err)
{
        const struct args *args = operation->serving.args;

        if (sqlvdi_choose(args, mssql_is_stand_in(part->connection), &part->library, err) < 0)
                return -1;
        operation->library = part->library;
        if (part->library && args_was_given(args, "group"))
                return error_raise(err, ERR_USAGE,
                                   "--group is for sets of our own engine; who may open the library's is the "
                                   "library's affair: leave it out");
        return 0;
}

int operation_use_mssql(struct operation *operation, const struct mssql_login *login, struct error *err)
{
        struct mssql_part *part = calloc(1, sizeof *part);

        if (!part)
                return error_no_memory(err);
        part->operation = operation;
        part->login = *login;
        part->login.end = supervisor_cancel_flag(operation->serving.supervisor);
        operation->part = part;
        operation->server = &mssql_server;
        if (mssql_open(&part->login, /* events= */ NULL, &part->connection, err) < 0)
                return -1;
        part->session = mssql_session_id(part->connection);
        return choose_engine(operation, part, err);
}

struct mssql *operation_mssql_connection(const struct operation *operation)
{
        return part_of(operation)->connection;
}

struct mssql_devices operation_mssql_devices(const struct operation *operation)
{
        const struct args *args = operation->serving.args;

        return (struct mssql_devices){
                .names = (const char *const *)operation->devices,
                .count = operation->device_count,
                .block_size = (uint32_t)args->block_size,
                .buffer_count = (uint32_t)args->buffer_count,
                .max_transfer = (uint32_t)args->max_transfer,
        };
}

int operation_mssql_send(struct operation *operation, enum statement_verb verb, char *sql, struct rows *rows,
                         struct error *err)
{
        struct mssql_part *part = part_of(operation);

        free(part->sql);
        part->sql = sql;
        part->verb = verb;
        part->confirmed = false;
        part->rows = rows;
        part->told = false;
        part->further_count = 0;
        return sql ? 0 : error_no_memory(err);
}
