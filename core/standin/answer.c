#include "core/standin/answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/standin/batch.h"
#include "core/standin/catalog.h"
#include "core/standin/query.h"
#include "core/standin/transfer.h"

/* A batch while it is answered. */
struct answer {
        struct standin_session *session;
        const struct tds_request *request;
        struct batch batch;
        struct statement *statements;         /* of BATCH_TRANSFER; as many as the batch has */
        char **queries;                       /* of BATCH_QUERY, as SQLite has to be told */
        const struct batch_statement *failed; /* to be read; NULL: none */
        int done_fd;
};

/* ---- statements ---- */

static const struct batch_token *answer_token(const struct answer *answer, const struct batch_statement *statement,
                                              size_t index)
{
        static const struct batch_token end = { .kind = SQL_END, .text = "" };

        return index < statement->count ? &answer->batch.tokens[statement->first + index] : &end;
}

static int answer_use(struct answer *answer, const struct batch_statement *statement)
{
        struct standin_session *session = answer->session;
        const char *name = answer_token(answer, statement, 1)->text;
        CLEANUP(freep) char *known = NULL;
        enum standin_db_state state = STANDIN_ONLINE;

        if (!standin_find_database(&session->standin->state, name, &known, NULL, &state) &&
            !standin_system_database(name))
                return standin_tell(session, statement->line, MESSAGE_NO_SUCH_DATABASE, name);
        if (state == STANDIN_RESTORING)
                return standin_tell(session, statement->line, MESSAGE_RESTORING, name);
        standin_set_database(&session->standin->state, &session->activity, known ? known : name);
        return tds_send_database(session->tds, known ? known : name);
}

/* What drivers set when they have logged in. Two of them mean something here. */
static const char set_options[] =
        "ANSI_DEFAULTS ANSI_NULL_DFLT_OFF ANSI_NULL_DFLT_ON ANSI_NULLS ANSI_PADDING ANSI_WARNINGS ARITHABORT "
        "ARITHIGNORE CONCAT_NULL_YIELDS_NULL CONTEXT_INFO CURSOR_CLOSE_ON_COMMIT DATEFIRST DATEFORMAT "
        "DEADLOCK_PRIORITY IMPLICIT_TRANSACTIONS LANGUAGE LOCK_TIMEOUT NOCOUNT NUMERIC_ROUNDABORT QUOTED_IDENTIFIER "
        "QUERY_GOVERNOR_COST_LIMIT ROWCOUNT STATISTICS TEXTSIZE TRANSACTION XACT_ABORT";

static int answer_set(struct answer *answer, const struct batch_statement *statement)
{
        const struct batch_token *last = answer_token(answer, statement, statement->count - 1);
        const char *name = answer_token(answer, statement, 1)->text;
        bool on = batch_token_is(last, "ON");

        if (strcasecmp(name, "NOCOUNT") == 0)
                answer->session->no_count = on;
        if (strcasecmp(name, "QUOTED_IDENTIFIER") == 0 || strcasecmp(name, "ANSI_DEFAULTS") == 0)
                answer->session->quoted_identifiers = on;
        return 0;
}

static int answer_print(struct answer *answer, const struct batch_statement *statement)
{
        struct server_message message = { .state = 1, .line = 1 };

        snprintf(message.text, sizeof message.text, "%s", answer_token(answer, statement, 1)->text);
        standin_send(answer->session, statement->line, &message);
        return 0;
}

static int answer_transaction(struct answer *answer, const struct batch_statement *statement)
{
        struct standin_session *session = answer->session;
        const struct batch_token *word = answer_token(answer, statement, 0);
        bool commits = batch_token_is(word, "COMMIT");

        if (batch_token_is(word, "BEGIN"))
                session->transactions++;
        else if (commits && session->transactions)
                session->transactions--;
        else if (batch_token_is(word, "ROLLBACK") && session->transactions)
                session->transactions = 0;
        else if (!batch_token_is(word, "SAVE"))
                return standin_tell(session, statement->line, MESSAGE_NO_TRANSACTION, commits ? "COMMIT" : "ROLLBACK");
        return 0;
}

static int answer_procedure(struct answer *answer, const struct batch_statement *statement)
{
        const struct batch_token *word = answer_token(answer, statement, 0);
        bool said = batch_token_is(word, "EXEC") || batch_token_is(word, "EXECUTE");
        CLEANUP(freep) char *name = query_object_name(&answer->batch, statement->first + said);

        return standin_tell(answer->session, statement->line, MESSAGE_PROCEDURE, name ? name : "");
}

static int answer_run_statement(struct answer *answer, size_t index, int64_t *ret_rows)
{
        const struct batch_statement *statement = &answer->batch.statements[index];

        switch (statement->kind) {
        case BATCH_TRANSFER:
                return standin_transfer(answer->session, statement, &answer->statements[index], ret_rows);
        case BATCH_QUERY:
                return catalog_answer(answer->session, statement, answer->queries[index], answer->request, ret_rows);
        case BATCH_USE:
                return answer_use(answer, statement);
        case BATCH_SET:
                return answer_set(answer, statement);
        case BATCH_PRINT:
                return answer_print(answer, statement);
        case BATCH_TRANSACTION:
                return answer_transaction(answer, statement);
        default:
                return answer_procedure(answer, statement);
        }
}

/* ---- a batch: all of it is read before any of it is done ---- */

static int answer_refuse_near(const struct batch_token *token, struct server_message *message)
{
        server_message_make(message, MESSAGE_SYNTAX, token->text);
        message->line = token->line;
        return -1;
}

/* Of a statement of `count` tokens, whose second one has to be there. */
static int answer_check_length(const struct answer *answer, const struct batch_statement *statement, size_t count,
                               struct server_message *message)
{
        if (statement->count < 2)
                return answer_refuse_near(answer_token(answer, statement, 0), message);
        return statement->count <= count ? 0 : answer_refuse_near(answer_token(answer, statement, count), message);
}

static int answer_read_simple(struct answer *answer, const struct batch_statement *statement,
                              struct server_message *message)
{
        const struct batch_token *second = answer_token(answer, statement, 1);

        switch (statement->kind) {
        case BATCH_USE:
                return batch_token_is_name(second) ? answer_check_length(answer, statement, 2, message)
                                                   : answer_refuse_near(second, message);
        case BATCH_PRINT:
                if (second->kind != SQL_STRING && second->kind != SQL_DOUBLE)
                        return answer_refuse_near(second, message);
                return answer_check_length(answer, statement, 2, message);
        case BATCH_SET:
                if (second->text[0] == '@')
                        server_message_make(message, MESSAGE_VARIABLE, second->text);
                else if (!words_have(set_options, second->text))
                        server_message_make(message, MESSAGE_SET_OPTION, second->text);
                else
                        return answer_check_length(answer, statement, SIZE_MAX, message);
                message->line = second->line;
                return -1;
        case BATCH_TRANSACTION:
                if (!batch_token_is(answer_token(answer, statement, 0), "BEGIN") || batch_token_is(second, "TRAN") ||
                    batch_token_is(second, "TRANSACTION"))
                        return 0;
                break;
        case BATCH_OTHER:
                break;
        default:
                return 0;
        }
        server_message_make(message, MESSAGE_WORDS,
                            "This statement is none of a backup tool's, so the stand-in server does not know it.");
        message->line = statement->line;
        return -1;
}

static int answer_read_statement(struct answer *answer, size_t index, struct server_message *message)
{
        const struct batch_statement *statement = &answer->batch.statements[index];
        const struct query_context context = {
                .parameters = answer->request->parameters,
                .parameter_count = answer->request->parameter_count,
                .database = answer->session->activity.database,
                .quoted_identifiers = answer->session->quoted_identifiers,
        };

        if (statement->kind == BATCH_QUERY)
                return query_rewrite(&answer->batch, statement, &context, &answer->queries[index], message);
        if (statement->kind != BATCH_TRANSFER)
                return answer_read_simple(answer, statement, message);
        if (statement_parse(statement->text, &answer->statements[index], message) < 0) {
                message->line += statement->line - 1;
                return -1;
        }
        return 0;
}

static int answer_read_batch(struct answer *answer, struct server_message *message)
{
        size_t count;

        if (batch_parse(&answer->batch, answer->request->text, message) < 0)
                return -1;
        count = answer->batch.statement_count;
        answer->statements = calloc(count + 1, sizeof *answer->statements);
        answer->queries = calloc(count + 1, sizeof *answer->queries);
        if (!answer->statements || !answer->queries) {
                server_message_make(message, MESSAGE_MEMORY);
                return -1;
        }
        for (size_t i = 0; i < count; i++) {
                if (answer_read_statement(answer, i, message) == 0)
                        continue;
                answer->failed = &answer->batch.statements[i];
                return -1;
        }
        return 0;
}

static void answer_release(struct answer *answer)
{
        for (size_t i = 0; i < answer->batch.statement_count; i++) {
                if (answer->statements)
                        statement_deinit(&answer->statements[i]);
                if (answer->queries)
                        free(answer->queries[i]);
        }
        free(answer->statements);
        free(answer->queries);
        batch_deinit(&answer->batch);
}

/* What is wrong with the meaning of a BACKUP or RESTORE ends with 3013, as when it fails; the parser stands alone. */
static void answer_refuse_batch(struct answer *answer, const struct server_message *message)
{
        struct tds_session *tds = answer->session->tds;
        struct server_message terminated;

        tds_send_message(tds, message);
        if (answer->failed && answer->failed->kind == BATCH_TRANSFER && message->number >= 900) {
                const struct statement *parsed = &answer->statements[answer->failed - answer->batch.statements];

                server_message_make(&terminated, MESSAGE_TERMINATED, statement_verb_name(parsed->verb));
                terminated.line = answer->failed->line;
                tds_send_message(tds, &terminated);
        }
        tds_send_done(tds, &(struct tds_done){ .error = true });
}

static void answer_run_batch(struct answer *answer)
{
        struct standin_session *session = answer->session;
        size_t count = answer->batch.statement_count;

        if (count == 0)
                tds_send_done(session->tds, &(struct tds_done){ .error = false });
        for (size_t i = 0; i < count; i++) {
                int64_t rows = -1;
                int rc = answer_run_statement(answer, i, &rows);
                struct tds_done done = {
                        .error = rc < 0,
                        .more = i + 1 < count,
                        .has_count = rows >= 0 && !session->no_count,
                        .rows = rows < 0 ? 0 : (uint64_t)rows,
                };

                standin_end_activity(&session->standin->state, &session->activity);
                /* What was cancelled is answered by whoever heard of it. */
                if (standin_session_end(session) != STANDIN_END_NONE)
                        return;
                tds_send_done(session->tds, &done);
        }
}

static void *answer_main(void *answer_at)
{
        struct answer *answer = answer_at;
        const uint64_t one = 1;
        struct server_message message;

        if (answer_read_batch(answer, &message) < 0)
                answer_refuse_batch(answer, &message);
        else
                answer_run_batch(answer);
        while (write(answer->done_fd, &one, sizeof one) < 0 && errno == EINTR)
                ;
        return NULL;
}

/* ---- two threads ---- */

/* Watches while the other thread answers. A cancellation may go unheard; the connection's end does not. */
static void answer_watch(struct answer *answer)
{
        struct standin_session *session = answer->session;
        enum tds_event event;

        do {
                event = tds_watch(session->tds, answer->done_fd);
                if (event == TDS_EVENT_ATTENTION)
                        standin_interrupt(session, STANDIN_END_CANCELLED);
                else if (event == TDS_EVENT_CLOSED)
                        standin_interrupt(session, STANDIN_END_CLOSED);
        } while (event == TDS_EVENT_ATTENTION);
}

int standin_answer(struct standin_session *session, const struct tds_request *request)
{
        struct answer answer = { .session = session, .request = request, .done_fd = eventfd(0, EFD_CLOEXEC) };
        pthread_t thread;

        if (answer.done_fd < 0 || pthread_create(&thread, NULL, answer_main, &answer) != 0) {
                standin_tell(session, 1, MESSAGE_MEMORY);
                tds_send_done(session->tds, &(struct tds_done){ .error = true });
        } else {
                answer_watch(&answer);
                pthread_join(thread, NULL);
                answer_release(&answer);
        }
        fd_closep(&answer.done_fd);
        if (standin_session_end(session) == STANDIN_END_CANCELLED)
                tds_send_done(session->tds, &(struct tds_done){ .attention = true });
        standin_forget_cancellation(session);
        return standin_session_end(session) == STANDIN_END_NONE ? 0 : -1;
}
