#include "cli/databases/mssql.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/message.h"
#include "cli/databases/statement_watch.h"
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

        STATEMENT_GRACE_MS = 8000, /* from the end of the set to the end of the statement by itself */
        ABSENT_GRACE_MS = 1000,    /* the same, of a server that has not opened the set, and will not notice its end */
        CANCEL_GRACE_MS = 4000,    /* and then from our asking the server to cancel it */
        FURTHER_ERRORS = 8,        /* that are shown beside the one that says what happened */

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
        struct statement_watch *watch;
        bool awaited; /* the statement's end, for as long as it is by itself */

        /* The statement's thread's own until it has ended. */
        bool told;      /* the error that the last line will repeat has come */
        bool confirmed; /* the message has come that a server ends such a statement with */
        struct server_message further[FURTHER_ERRORS];
        size_t further_count;
};

/* ---- what the server says ---- */

/* The message by which a server confirms that it has done such a statement; 0: there is none. */
static int mssql_confirmation(enum statement_verb verb)
{
        static const int numbers[STATEMENT_VERBS] = {
                [STATEMENT_BACKUP_DATABASE] = NUMBER_DONE,  [STATEMENT_BACKUP_LOG] = NUMBER_DONE,
                [STATEMENT_RESTORE_DATABASE] = NUMBER_DONE, [STATEMENT_RESTORE_LOG] = NUMBER_DONE,
                [STATEMENT_VERIFYONLY] = NUMBER_VALID,
        };

        return numbers[verb];
}

static bool mssql_is_chatter(int number)
{
        return number == NUMBER_PERCENT || number == NUMBER_DATABASE_CHANGED || number == NUMBER_LANGUAGE_CHANGED ||
               number == NUMBER_TERMINATED;
}

/* The first error that says what happened becomes the line that the command ends with. What further ones say is for
 * the end, too: they may be consequences of what failed here. */
static void mssql_show_message(struct mssql_part *part, const struct server_message *message)
{
        bool telling = message->severity >= ERROR_SEVERITY && message->number != NUMBER_TERMINATED;

        if (telling || mssql_is_chatter(message->number))
                message_verbose("server: %d: %s", message->number, message->text);
        else
                message_summary("server: %s", message->text);
        if (telling && part->told && part->further_count < FURTHER_ERRORS)
                part->further[part->further_count++] = *message;
        part->told = part->told || telling;
}

static void mssql_on_message(const struct server_message *message, void *context)
{
        struct mssql_part *part = context;
        char *end;
        long percent;

        statement_watch_note(part->watch);
        percent = strtol(message->text, &end, 10);
        if (message->number == NUMBER_PERCENT && end != message->text && percent >= 0 && percent <= 100)
                atomic_store(&part->operation->member.progress.percent, (int)percent);
        part->confirmed = part->confirmed || message->number == mssql_confirmation(part->verb);
        mssql_show_message(part, message);
}

static void mssql_on_row(const struct mssql_row *row, void *context)
{
        struct mssql_part *part = context;

        statement_watch_note(part->watch);
        if (part->rows)
                rows_add(part->rows, row);
}

/* ---- its side of the set ---- */

/* The server notices the end of the set by itself, and then says what it has to say. Once is enough.
 * 0: it has ended. */
static int mssql_await_end(struct mssql_part *part)
{
        int64_t grace_ms = part->operation->member.joined ? STATEMENT_GRACE_MS : ABSENT_GRACE_MS;

        if (part->awaited)
                grace_ms = 0;
        part->awaited = true;
        return mssql_task_wait(part->task, grace_ms);
}

/* A supervised_end. A success that comes before the devices are closed must not leave us waiting for them. */
static bool mssql_statement_ended(void *context, struct error *reason)
{
        struct mssql_part *part = context;

        if (mssql_task_result(part->task, reason) == 0) {
                statement_watch_ended(part->watch);
                return false;
        }
        reason->code = ERR_PEER_DIED;
        return true;
}

static int mssql_start(struct member *member, struct error *err)
{
        struct mssql_part *part = member->part;
        const struct mssql_events events = { .context = part, .message = mssql_on_message, .row = mssql_on_row };

        part->awaited = false;
        message_verbose("session %d: %s", part->session, part->sql);
        if (statement_watch_start(&part->operation->login, part->session, member, &part->watch, err) < 0 ||
            mssql_task_start(part->connection, part->sql, &events, &part->task, err) < 0)
                return -1;
        supervisor_watch_server(member->supervisor, mssql_task_fd(part->task), mssql_statement_ended, part);
        return 0;
}

static void mssql_describe(struct member *member, char words[MEMBER_WORDS_MAX])
{
        const struct mssql_part *part = member->part;

        statement_watch_words(part->watch, words);
}

static int mssql_joined(struct member *member, struct error *err)
{
        const struct mssql_part *part = member->part;

        (void)err;
        member->has_info = true;
        snprintf(member->info.kind, sizeof member->info.kind, "mssql");
        snprintf(member->info.version, sizeof member->info.version, "%s", mssql_server_version(part->connection));
        message_verbose("server: %s", member->info.version);
        return 0;
}

/* Ends the statement if it has not ended, and says so if the server will not have it. */
static void mssql_end_statement(struct mssql_part *part)
{
        if (!part->task)
                return;
        supervisor_watch_server(part->operation->member.supervisor, -1, NULL, NULL);
        if (!mssql_task_free(take_ptr(&part->task), CANCEL_GRACE_MS))
                message_warning("session %d of the server has not ended, and may hold locks; look for it in "
                                "sys.dm_exec_requests, and end it with KILL %d",
                                part->session, part->session);
        statement_watch_stop(take_ptr(&part->watch));
}

/* Nobody asks for the server's further errors where the failure is ours. */
static void mssql_show_further(struct mssql_part *part)
{
        struct error reason = ERROR_INIT;

        if (supervisor_check(part->operation->member.supervisor, &reason) < 0 && reason.code != ERR_PEER_DIED)
                return;
        for (size_t i = 0; i < part->further_count; i++)
                message_error("server: Msg %d, Level %d, State %d: %s", part->further[i].number,
                              part->further[i].severity, part->further[i].state, part->further[i].text);
        part->further_count = 0;
}

/* The statement has ended. */
static int mssql_raise_result(struct mssql_part *part, struct error *err)
{
        if (mssql_task_result(part->task, err) == 0)
                return 0;
        mssql_show_further(part);
        return err->code == ERR_PEER_DIED ? error_prefix(err, "session %d: ", part->session) : -1;
}

static bool mssql_raise_words(struct member *member, enum vds_abort_reason reason, struct error *err)
{
        struct mssql_part *part = member->part;

        (void)reason;
        return part->task && mssql_await_end(part) == 0 && mssql_raise_result(part, err) < 0;
}

/* The statement has no words of its own: it has not ended, or without an error. */
static bool mssql_raise_end(struct member *member, enum vds_abort_reason reason, struct error *err)
{
        struct mssql_part *part = member->part;
        char words[MEMBER_WORDS_MAX];

        (void)reason;
        if (part->task && mssql_task_wait(part->task, /* timeout_ms= */ 0) != 0) {
                statement_watch_words(part->watch, words);
                member_raise_abort(member, err);
                error_prefix(err, "the statement did not end by itself (%s%ssession %d): ", words, words[0] ? "; " : "",
                             part->session);
        } else if (!member->joined) {
                error_raise(err, ERR_FAILED, "the statement ended without opening the device set");
        } else {
                member_raise_abort(member, err);
                error_prefix(err, part->confirmed || !mssql_confirmation(part->verb)
                                          ? "the server said success, but "
                                          : "the server ended the statement without confirming it, and ");
        }
        return true;
}

/* What msdb knows of the backup: 0, 1 where it knows nothing, or -1. */
static int mssql_find_record(const struct mssql_part *part, struct mssql_backup_record *record, struct error *err)
{
        return mssql_history_find(part->connection, part->operation->member.set_name, record, err);
}

/* The statement has ended without an error. An end alone is no success: who swallows an error in a batch, or breaks off
 * with nothing but a bit of the protocol, ends so as well. */
static int mssql_check_confirmed(const struct mssql_part *part, struct error *err)
{
        bool is_backup = statement_is_backup(part->verb);
        struct mssql_backup_record record;
        struct error ignored = ERROR_INIT;

        if (part->confirmed || !mssql_confirmation(part->verb) ||
            (is_backup && mssql_find_record(part, &record, &ignored) == 0))
                return 0;
        return error_raise(err, ERR_FAILED,
                           "the server ended the statement without an error and without confirming it (no message "
                           "%d%s)",
                           mssql_confirmation(part->verb),
                           is_backup ? ", and no record of the backup in msdb that this login may read" : "");
}

/* Without the record a backup can still be restored, but its place is not to be known from the files alone. */
static void mssql_take_record(const struct mssql_part *part, struct member *member)
{
        struct mssql_backup_record record;
        struct error err = ERROR_INIT;
        int rc = mssql_find_record(part, &record, &err);

        if (rc == 0)
                member->report_json = mssql_record_encode(&record);
        else
                snprintf(member->report.note, sizeof member->report.note,
                         "backup of '%s': the streams do not tell its place in the chain of backups: %s",
                         part->operation->database.name,
                         rc < 0 ? err.message : "the server's msdb has no record of it, or this login may not read it");
}

static int mssql_await_success(struct member *member, struct error *err)
{
        struct mssql_part *part = member->part;
        struct error reason = ERROR_INIT;

        while (mssql_task_wait(part->task, VERDICT_SLICE_MS) != 0)
                if (supervisor_check(member->supervisor, &reason) < 0 && reason.code != ERR_PEER_DIED)
                        return -1;
        if (mssql_raise_result(part, err) < 0)
                return -1;
        mssql_end_statement(part);
        if (mssql_check_confirmed(part, err) < 0)
                return -1;
        if (statement_is_backup(part->verb))
                mssql_take_record(part, member);
        return 0;
}

static void mssql_end(struct member *member)
{
        struct mssql_part *part = member->part;

        if (part->task)
                mssql_await_end(part);
        mssql_end_statement(part);
        statement_watch_stop(part->watch);
        mssql_close(part->connection);
        sqlvdi_library_close(part->library);
        free(part->sql);
        free(part);
}

/* ---- what it is told ---- */

int mssql_begin(struct operation *operation, struct error *err)
{
        const struct args *args = operation->args;
        struct member *member = &operation->member;
        struct mssql_part *part = calloc(1, sizeof *part);

        if (!part)
                return error_no_memory(err);
        part->operation = operation;
        member->part = part;
        member->server = &operation_mssql.server;
        operation->login.end = supervisor_cancel_flag(member->supervisor);
        if (mssql_open(&operation->login, /* events= */ NULL, &part->connection, err) < 0)
                return -1;
        part->session = mssql_session_id(part->connection);
        if (sqlvdi_choose(args, mssql_is_stand_in(part->connection), &part->library, err) < 0)
                return -1;
        member->library = part->library;
        if (part->library && args_was_given(args, "group"))
                return error_raise(err, ERR_USAGE,
                                   "--group is for sets of our own engine; who may open the library's is the "
                                   "library's affair: leave it out");
        return 0;
}

struct mssql *mssql_connection(const struct operation *operation)
{
        const struct mssql_part *part = operation->member.part;

        return part->connection;
}

struct mssql_devices mssql_devices(const struct operation *operation)
{
        const struct args *args = operation->args;

        return (struct mssql_devices){
                .names = (const char *const *)operation->member.devices,
                .count = operation->member.device_count,
                .block_size = (uint32_t)args->block_size,
                .buffer_count = (uint32_t)args->buffer_count,
                .max_transfer = (uint32_t)args->max_transfer,
        };
}

struct mssql_target mssql_target(const struct operation *operation)
{
        const struct args *args = operation->args;

        return (struct mssql_target){
                .database = operation->database.uri.database,
                .files = args->files.items,
                .file_count = args->files.count,
                .filegroups = args->filegroups.items,
                .filegroup_count = args->filegroups.count,
        };
}

int mssql_tell(struct operation *operation, enum statement_verb verb, char *sql, struct rows *rows, struct error *err)
{
        struct mssql_part *part = operation->member.part;

        free(part->sql);
        part->sql = sql;
        part->verb = verb;
        part->confirmed = false;
        part->rows = rows;
        part->told = false;
        part->further_count = 0;
        return sql ? 0 : error_no_memory(err);
}

const struct operation_kind operation_mssql = {
        .logs_in = true,
        .server = {
                .start = mssql_start,
                .describe = mssql_describe,
                .joined = mssql_joined,
                .await_success = mssql_await_success,
                .raise_words = mssql_raise_words,
                .raise_end = mssql_raise_end,
                .end = mssql_end,
        },
        .check_backup = mssql_check_backup,
        .begin_backup = mssql_begin_backup,
        .check_restore = mssql_check_restore,
        .check_target = mssql_check_target,
        .show_restore = mssql_show_restore,
        .run_restore = mssql_run_restore,
};
