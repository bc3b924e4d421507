#include "core/tds/request.h"

#include <errno.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/tds/token.h"

enum { HEADER_MIN = 6 };

void tds_request_deinit(struct tds_request *request)
{
        for (size_t i = 0; i < request->parameter_count; i++) {
                free(request->parameters[i].name);
                free(request->parameters[i].text);
        }
        free(request->parameters);
        free(request->text);
        *request = (struct tds_request){ .kind = request->kind };
}

/* Further calls of the same message stay. */
void tds_forget_request(struct tds_session *session)
{
        if (session->rest.left == 0 || atomic_load(&session->connection.ended))
                tds_message_free(take_ptr(&session->message));
        freep(&session->procedure);
        freep(&session->output_name);
        session->is_call = false;
        session->output_handle = 0;
        session->failed_number = 0;
}

/* Passes over the headers that begin a request since TDS 7.2. */
static int request_skip_headers(const struct tds_session *session, struct tds_cursor *cursor, struct error *err)
{
        size_t total;
        struct tds_cursor headers;

        if (session->connection.version < TDS_VERSION_7_2)
                return 0;
        total = tds_get_u32(cursor);
        headers = tds_cursor_on(cursor->at, cursor->left);
        if (total < 4 || !tds_get(cursor, total - 4))
                return error_raise(err, ERR_PROTOCOL, "TDS client sent a request whose headers are cut off");
        headers.left = total - 4;
        while (headers.left > 0) {
                size_t length = tds_get_u32(&headers);

                if (length < HEADER_MIN || !tds_get(&headers, length - 4))
                        return error_raise(err, ERR_PROTOCOL, "TDS client sent a request with a damaged header");
        }
        return 0;
}

static int request_parse_batch(struct tds_session *session, struct tds_request *request, struct error *err)
{
        struct tds_cursor rest = session->rest;

        session->rest.left = 0;
        request->kind = TDS_REQUEST_BATCH;
        request->text = tds_text_decode(TDS_UTF16, rest.at, rest.left);
        if (request->text)
                return TDS_PARSE_REQUEST;
        if (errno != EILSEQ)
                return error_no_memory(err);
        if (rest.left % 2 != 0)
                return error_raise(err, ERR_PROTOCOL, "TDS client sent a batch with half a character");
        return tds_refuse(session, TDS_NUMBER_WORDS, "The batch holds U+0000 or half of a surrogate pair.");
}

/* A pool of connections hands this one to somebody else: nothing of the former user stays. */
static int request_reset_session(struct tds_session *session, struct error *err)
{
        char *database = strdup(tds_first_database(session));

        if (!database)
                return error_no_memory(err);
        free(session->database);
        session->database = database;
        session->transaction = 0;
        tds_forget_prepared(session);
        tds_send_reset(session);
        return 0;
}

static int request_parse(struct tds_session *session, struct tds_request *request, struct error *err)
{
        const struct tds_message *message = session->message;

        if (message->status & TDS_STATUS_IGNORE) {
                tds_send_done(session, &(struct tds_done){ .error = true });
                return TDS_PARSE_ANSWERED;
        }
        if (message->type == TDS_PACKET_BULK)
                return tds_refuse(session, TDS_NUMBER_WORDS, "Bulk loads are not offered here.");
        session->rest = tds_cursor_on(message->body, message->size);
        if (request_skip_headers(session, &session->rest, err) < 0)
                return -1;
        request->reset = (message->status & (TDS_STATUS_RESET | TDS_STATUS_RESET_KEEP)) != 0;
        if (request->reset && request_reset_session(session, err) < 0)
                return -1;
        switch (message->type) {
        case TDS_PACKET_BATCH:
                return request_parse_batch(session, request, err);
        case TDS_PACKET_RPC:
                return tds_call_parse(session, request, err);
        default:
                return tds_transaction_answer(session);
        }
}

/* Waits for the next message. False: `request` says what came instead, or there is an error. */
static bool request_await(struct tds_session *session, struct tds_request *request, struct error *err)
{
        struct tds_connection *connection = &session->connection;

        while (!(session->message = tds_input_take(connection))) {
                switch (tds_input_await(connection, err)) {
                case TDS_INPUT_MESSAGE:
                        break;
                case TDS_INPUT_ATTENTION:
                        atomic_store(&session->unacked, true);
                        tds_acknowledge(session);
                        request->kind = TDS_REQUEST_CANCEL;
                        return false;
                case TDS_INPUT_CLOSED:
                        tds_connection_shutdown(connection);
                        return false;
                default:
                        return false;
                }
        }
        session->is_answering = true;
        return true;
}

static int request_next(struct tds_session *session, struct tds_request *request, struct error *err)
{
        int result;
        bool reset = request->reset;

        tds_forget_request(session);
        tds_request_deinit(request);
        request->kind = TDS_REQUEST_CLOSED;
        if (session->message)
                result = tds_call_parse(session, request, err);
        else if (request_await(session, request, err))
                result = request_parse(session, request, err);
        else
                return error_is_set(err) ? -1 : TDS_PARSE_REQUEST;
        /* One that was answered here, or refused, leaves it to the next. */
        request->reset |= reset;
        request->in_transaction = session->transaction != 0;
        return result;
}

int tds_next(struct tds_session *session, struct tds_request *ret_request, struct error *err)
{
        int result = TDS_PARSE_ANSWERED;
        struct error own = ERROR_INIT;

        *ret_request = (struct tds_request){ .kind = TDS_REQUEST_CLOSED };
        tds_acknowledge(session);
        while (result == TDS_PARSE_ANSWERED && !atomic_load(&session->connection.ended))
                result = request_next(session, ret_request, &own);
        if (result == TDS_PARSE_REQUEST)
                return 0;
        tds_request_deinit(ret_request);
        ret_request->kind = TDS_REQUEST_CLOSED;
        if (result == TDS_PARSE_ANSWERED)
                return 0;
        error_keep_first(err, &own);
        return -1;
}
