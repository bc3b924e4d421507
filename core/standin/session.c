#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/text.h"
#include "core/standin/catalog.h"
#include "core/standin/internal.h"
#include "core/standin/query.h"

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

void standin_log(struct standin_session *session, const char *format, ...)
{
        const struct standin_options *options = session->standin->options;
        char line[ERROR_MESSAGE_MAX];
        va_list arguments;
        int used;

        if (!options->log)
                return;
        used = snprintf(line, sizeof line, "session %d: ", session->activity.session_id);
        va_start(arguments, format);
        vsnprintf(line + used, sizeof line - (size_t)used, format, arguments);
        va_end(arguments);
        options->log(line, options->context);
}

/* ---- the end ---- */

void standin_session_interrupt(struct standin_session *session, enum standin_end end)
{
        pthread_mutex_lock(&session->lock);
        if (session->end < end)
                session->end = end;
        if (session->abort_run && (end == STANDIN_END_CLOSED || !session->is_deaf))
                session->abort_run(session->run);
        pthread_cond_broadcast(&session->changed);
        pthread_mutex_unlock(&session->lock);
}

void standin_wait_end(struct standin_session *session, enum standin_end end)
{
        pthread_mutex_lock(&session->lock);
        while (session->end < end)
                pthread_cond_wait(&session->changed, &session->lock);
        pthread_mutex_unlock(&session->lock);
}

enum standin_end standin_session_end(struct standin_session *session)
{
        return atomic_load(&session->end);
}

/* A cancellation ends one request, a closed connection all. */
static void forget_cancellation(struct standin_session *session)
{
        pthread_mutex_lock(&session->lock);
        if (session->end == STANDIN_END_CANCELLED)
                session->end = STANDIN_END_NONE;
        session->is_deaf = false;
        pthread_mutex_unlock(&session->lock);
}

/* ---- statements ---- */

void standin_tell(struct standin_session *session, uint32_t line, const struct server_message *message)
{
        struct server_message sent = *message;

        sent.line = message->line + line - 1;
        tds_send_message(session->tds, &sent);
}

#define TELL(session, line, id, ...)                                            \
        do {                                                                    \
                struct server_message message_;                                 \
                server_message_make(&message_, (id)__VA_OPT__(, ) __VA_ARGS__); \
                standin_tell((session), (line), &message_);                     \
        } while (0)

static const struct batch_token *token_of(const struct answer *answer, const struct batch_statement *statement,
                                          size_t index)
{
        static const struct batch_token end = { .kind = SQL_END, .text = "" };

        return index < statement->count ? &answer->batch.tokens[statement->first + index] : &end;
}

static int use_database(struct answer *answer, const struct batch_statement *statement)
{
        struct standin_session *session = answer->session;
        const char *name = token_of(answer, statement, 1)->text;
        CLEANUP(freep) char *known = NULL;
        enum standin_db_state state = STANDIN_ONLINE;

        if (!standin_find_database(&session->standin->state, name, &known, NULL, &state) &&
            !standin_system_database(name)) {
                TELL(session, statement->line, MESSAGE_NO_SUCH_DATABASE, name);
                return -1;
        }
        if (state == STANDIN_RESTORING) {
                TELL(session, statement->line, MESSAGE_RESTORING, name);
                return -1;
        }
        standin_set_database(&session->standin->state, &session->activity, known ? known : name);
        return tds_send_database(session->tds, known ? known : name);
}

/* What drivers set when they have logged in. Two of them mean something here. */
static const char *const set_options[] = {
        "ANSI_DEFAULTS",
        "ANSI_NULL_DFLT_OFF",
        "ANSI_NULL_DFLT_ON",
        "ANSI_NULLS",
        "ANSI_PADDING",
        "ANSI_WARNINGS",
        "ARITHABORT",
        "ARITHIGNORE",
        "CONCAT_NULL_YIELDS_NULL",
        "CONTEXT_INFO",
        "CURSOR_CLOSE_ON_COMMIT",
        "DATEFIRST",
        "DATEFORMAT",
        "DEADLOCK_PRIORITY",
        "IMPLICIT_TRANSACTIONS",
        "LANGUAGE",
        "LOCK_TIMEOUT",
        "NOCOUNT",
        "NUMERIC_ROUNDABORT",
        "QUOTED_IDENTIFIER",
        "QUERY_GOVERNOR_COST_LIMIT",
        "ROWCOUNT",
        "STATISTICS",
        "TEXTSIZE",
        "TRANSACTION",
        "XACT_ABORT",
};

static bool is_set_option(const char *name)
{
        for (size_t i = 0; i < sizeof set_options / sizeof set_options[0]; i++)
                if (strcasecmp(set_options[i], name) == 0)
                        return true;
        return false;
}

static int set_option(struct answer *answer, const struct batch_statement *statement)
{
        const struct batch_token *last = token_of(answer, statement, statement->count - 1);
        const char *name = token_of(answer, statement, 1)->text;
        bool on = batch_token_is(last, "ON");

        if (strcasecmp(name, "NOCOUNT") == 0)
                answer->session->no_count = on;
        if (strcasecmp(name, "QUOTED_IDENTIFIER") == 0 || strcasecmp(name, "ANSI_DEFAULTS") == 0)
                answer->session->quoted_identifiers = on;
        return 0;
}

static int print(struct answer *answer, const struct batch_statement *statement)
{
        struct server_message message = { .state = 1, .line = 1 };

        snprintf(message.text, sizeof message.text, "%s", token_of(answer, statement, 1)->text);
        standin_tell(answer->session, statement->line, &message);
        return 0;
}

static int do_transaction(struct answer *answer, const struct batch_statement *statement)
{
        struct standin_session *session = answer->session;
        const struct batch_token *word = token_of(answer, statement, 0);

        if (batch_token_is(word, "BEGIN")) {
                session->transactions++;
        } else if (batch_token_is(word, "COMMIT") || batch_token_is(word, "ROLLBACK")) {
                if (!session->transactions) {
                        TELL(session, statement->line, MESSAGE_NO_TRANSACTION,
                             batch_token_is(word, "COMMIT") ? "COMMIT" : "ROLLBACK");
                        return -1;
                }
                session->transactions = batch_token_is(word, "COMMIT") ? session->transactions - 1 : 0;
        }
        return 0;
}

static int call_procedure(struct answer *answer, const struct batch_statement *statement)
{
        const struct batch_token *word = token_of(answer, statement, 0);
        bool said = batch_token_is(word, "EXEC") || batch_token_is(word, "EXECUTE");
        CLEANUP(freep) char *name = query_object_name(&answer->batch, statement->first + said);

        TELL(answer->session, statement->line, MESSAGE_PROCEDURE, name ? name : "");
        return -1;
}

static int run_statement(struct answer *answer, size_t index, int64_t *ret_rows)
{
        const struct batch_statement *statement = &answer->batch.statements[index];

        switch (statement->kind) {
        case BATCH_TRANSFER:
                return standin_transfer(answer->session, statement, &answer->statements[index], ret_rows);
        case BATCH_QUERY:
                return catalog_answer(answer->session, statement, answer->queries[index], answer->request, ret_rows);
        case BATCH_USE:
                return use_database(answer, statement);
        case BATCH_SET:
                return set_option(answer, statement);
        case BATCH_PRINT:
                return print(answer, statement);
        case BATCH_TRANSACTION:
                return do_transaction(answer, statement);
        default:
                return call_procedure(answer, statement);
        }
}

/* ---- a batch: all of it is read before any of it is done ---- */

static int raise_near(const struct batch_token *token, struct server_message *message)
{
        server_message_make(message, MESSAGE_SYNTAX, token->text);
        message->line = token->line;
        return -1;
}

/* Of a statement of `count` tokens, whose second one has to be there. */
static int check_length(const struct answer *answer, const struct batch_statement *statement, size_t count,
                        struct server_message *message)
{
        if (statement->count < 2)
                return raise_near(token_of(answer, statement, 0), message);
        return statement->count <= count ? 0 : raise_near(token_of(answer, statement, count), message);
}

static int read_simple(struct answer *answer, const struct batch_statement *statement, struct server_message *message)
{
        const struct batch_token *second = token_of(answer, statement, 1);

        switch (statement->kind) {
        case BATCH_USE:
                return batch_token_is_name(second) ? check_length(answer, statement, 2, message)
                                                   : raise_near(second, message);
        case BATCH_PRINT:
                if (second->kind != SQL_STRING && second->kind != SQL_DOUBLE)
                        return raise_near(second, message);
                return check_length(answer, statement, 2, message);
        case BATCH_SET:
                if (second->text[0] == '@')
                        server_message_make(message, MESSAGE_VARIABLE, second->text);
                else if (!is_set_option(second->text))
                        server_message_make(message, MESSAGE_SET_OPTION, second->text);
                else
                        return check_length(answer, statement, SIZE_MAX, message);
                message->line = second->line;
                return -1;
        case BATCH_TRANSACTION:
                if (!batch_token_is(token_of(answer, statement, 0), "BEGIN") || batch_token_is(second, "TRAN") ||
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

static int read_statement(struct answer *answer, size_t index, struct server_message *message)
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
                return read_simple(answer, statement, message);
        if (statement_parse(statement->text, &answer->statements[index], message) < 0) {
                message->line += statement->line - 1;
                return -1;
        }
        return 0;
}

static int read_batch(struct answer *answer, struct server_message *message)
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
                if (read_statement(answer, i, message) == 0)
                        continue;
                answer->failed = &answer->batch.statements[i];
                return -1;
        }
        return 0;
}

static void release(struct answer *answer)
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
static void refuse_batch(struct answer *answer, const struct server_message *message)
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

static void run_batch(struct answer *answer)
{
        struct standin_session *session = answer->session;
        size_t count = answer->batch.statement_count;

        if (count == 0)
                tds_send_done(session->tds, &(struct tds_done){ .error = false });
        for (size_t i = 0; i < count; i++) {
                int64_t rows = -1;
                int rc = run_statement(answer, i, &rows);
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

        if (read_batch(answer, &message) < 0)
                refuse_batch(answer, &message);
        else
                run_batch(answer);
        while (write(answer->done_fd, &one, sizeof one) < 0 && errno == EINTR)
                ;
        return NULL;
}

/* ---- requests ---- */

/* Watches while the other thread answers. A cancellation may go unheard; the connection's end does not. */
static void watch(struct answer *answer)
{
        struct standin_session *session = answer->session;
        enum tds_event event;

        do {
                event = tds_watch(session->tds, answer->done_fd);
                if (event == TDS_EVENT_ATTENTION)
                        standin_session_interrupt(session, STANDIN_END_CANCELLED);
                else if (event == TDS_EVENT_CLOSED)
                        standin_session_interrupt(session, STANDIN_END_CLOSED);
        } while (event == TDS_EVENT_ATTENTION);
}

static int serve_batch(struct standin_session *session, const struct tds_request *request)
{
        struct answer answer = { .session = session, .request = request, .done_fd = eventfd(0, EFD_CLOEXEC) };
        pthread_t thread;

        if (answer.done_fd < 0 || pthread_create(&thread, NULL, answer_main, &answer) != 0) {
                TELL(session, 1, MESSAGE_MEMORY);
                tds_send_done(session->tds, &(struct tds_done){ .error = true });
        } else {
                watch(&answer);
                pthread_join(thread, NULL);
                release(&answer);
        }
        fd_closep(&answer.done_fd);
        if (standin_session_end(session) == STANDIN_END_CANCELLED)
                tds_send_done(session->tds, &(struct tds_done){ .attention = true });
        forget_cancellation(session);
        return standin_session_end(session) == STANDIN_END_NONE ? 0 : -1;
}

static void reset(struct standin_session *session)
{
        const char *database = tds_session_login(session->tds)->database;

        standin_set_database(&session->standin->state, &session->activity, database[0] ? database : "master");
        session->no_count = false;
        session->quoted_identifiers = true;
        session->transactions = 0;
}

static int serve_request(struct standin_session *session, const struct tds_request *request)
{
        if (request->reset)
                reset(session);
        switch (request->kind) {
        case TDS_REQUEST_BATCH:
                return serve_batch(session, request);
        case TDS_REQUEST_RPC:
                TELL(session, 1, MESSAGE_PROCEDURE, request->text);
                return tds_send_done(session->tds, &(struct tds_done){ .error = true });
        case TDS_REQUEST_CANCEL:
                return 0;
        default:
                return -1;
        }
}

static void serve(struct standin_session *session)
{
        struct error err = ERROR_INIT;
        int rc;

        do {
                struct tds_request request = { 0 };

                rc = tds_next(session->tds, &request, &err);
                if (rc == 0)
                        rc = serve_request(session, &request);
                tds_request_deinit(&request);
        } while (rc == 0);
        standin_log(session, error_is_set(&err) ? "closed: %s" : "closed%s", err.message);
}

/* ---- login ---- */

/* Takes as long whatever the difference is. */
static bool same_text(const char *a, const char *b)
{
        size_t length = strlen(a);
        unsigned difference = (unsigned)(length != strlen(b));

        for (size_t i = 0; i < length; i++)
                difference |= (unsigned char)a[i] ^ (unsigned char)b[difference & 1 ? 0 : i];
        return difference == 0;
}

static int authenticate(const struct tds_login *login, struct server_message *refusal, void *session_at)
{
        struct standin_session *session = session_at;
        struct standin *standin = session->standin;
        const struct standin_options *options = standin->options;
        enum server_message_id id = MESSAGE_COUNT;
        char max[16];

        snprintf(max, sizeof max, "%u", options->connections_max);
        if (atomic_load(&standin->session_count) > options->connections_max)
                id = MESSAGE_CONNECTIONS;
        else if (!login->user[0])
                id = MESSAGE_LOGIN_UNTRUSTED;
        else if (strcasecmp(login->user, options->user) != 0 || !same_text(login->password, options->password) ||
                 options->plans[STANDIN_WRONG_PASSWORD].wanted)
                id = MESSAGE_LOGIN;
        else if (login->database[0] && !standin_system_database(login->database) &&
                 !standin_find_database(&standin->state, login->database, NULL, NULL, NULL))
                id = MESSAGE_LOGIN_DATABASE;
        if (id == MESSAGE_COUNT)
                return 0;
        server_message_make(refusal, id,
                            id == MESSAGE_CONNECTIONS      ? max
                            : id == MESSAGE_LOGIN_DATABASE ? login->database
                                                           : login->user);
        return -1;
}

static void settle_in(struct standin_session *session)
{
        const struct tds_login *login = tds_session_login(session->tds);
        struct standin_activity *activity = &session->activity;
        struct standin_state *state = &session->standin->state;

        pthread_mutex_lock(&state->lock);
        activity->user = strdup(login->user);
        activity->host = strdup(login->host);
        activity->application = strdup(login->application);
        standin_now(activity->login_time);
        pthread_mutex_unlock(&state->lock);
        reset(session);
        standin_log(session, "%s logged in from %s (%s)", login->user, login->host, login->application);
}

/* The standin may be stopping already, and then has missed this one. */
static bool adopt(struct standin_session *session, struct tds_session *tds)
{
        bool stopping;

        pthread_mutex_lock(&session->standin->lock);
        session->tds = tds;
        stopping = session->standin->stopping;
        pthread_mutex_unlock(&session->standin->lock);
        return !stopping;
}

void *standin_session_main(void *session_at)
{
        static const uint64_t one = 1;
        struct standin_session *session = session_at;
        struct standin *standin = session->standin;
        struct tds_server server = standin->tds;
        struct tds_session *tds = NULL;
        struct error err = ERROR_INIT;

        server.authenticate = authenticate;
        server.context = session;
        server.session_id = (uint16_t)session->activity.session_id;
        if (tds_accept(take_fd(&session->fd), &server, &tds, &err) < 0)
                standin_log(session, "%s", err.message);
        else if (adopt(session, tds)) {
                settle_in(session);
                serve(session);
        }
        adopt(session, NULL);
        tds_free(tds);
        pthread_mutex_lock(&standin->lock);
        session->finished = true;
        pthread_mutex_unlock(&standin->lock);
        /* Can only fail when the counter is full, and then somebody has been woken. */
        (void)!write(standin->wake_fd, &one, sizeof one);
        return NULL;
}
