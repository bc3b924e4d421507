#include <poll.h>
#include <string.h>

#include "core/tds/internal.h"

enum { NUMBER_WORDS = 50000, HEADER_MIN = 6 };

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
        if (session->rest.left == 0 || atomic_load(&session->ended))
                tds_message_free(take_ptr(&session->message));
        freep(&session->procedure);
        freep(&session->output_name);
        session->is_call = false;
        session->output_handle = 0;
        session->failed_number = 0;
}

/* Passes over the headers that begin a request since TDS 7.2. */
static int skip_headers(const struct tds_session *session, struct tds_cursor *cursor, struct error *err)
{
        size_t total;
        struct tds_cursor headers;

        if (session->version < TDS_VERSION_7_2)
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

static enum tds_parse_result parse_batch(struct tds_session *session, struct tds_request *request, struct error *err)
{
        struct tds_cursor rest = session->rest;

        session->rest.left = 0;
        request->kind = TDS_REQUEST_BATCH;
        switch (tds_text_decode(rest.at, rest.left, &request->text)) {
        case TDS_TEXT_MEMORY:
                return (enum tds_parse_result)error_raise(err, ERR_MEMORY, "out of memory for a batch");
        case TDS_TEXT_BAD:
                if (rest.left % 2 != 0)
                        return (enum tds_parse_result)error_raise(err, ERR_PROTOCOL,
                                                                  "TDS client sent a batch with half a character");
                tds_refuse(session, NUMBER_WORDS, "The batch holds U+0000 or half of a surrogate pair.");
                return TDS_PARSE_ANSWERED;
        case TDS_TEXT_GOOD:
                break;
        }
        return TDS_PARSE_REQUEST;
}

/* A pool of connections hands this one to somebody else: nothing of the former user stays. */
static int reset_session(struct tds_session *session, struct error *err)
{
        char *database = strdup(tds_first_database(session));

        if (!database)
                return error_raise(err, ERR_MEMORY, "out of memory for a reset of a connection");
        free(session->database);
        session->database = database;
        session->transaction = 0;
        tds_forget_prepared(session);
        tds_send_reset(session);
        return 0;
}

static enum tds_parse_result parse_body(struct tds_session *session, struct tds_request *request, struct error *err)
{
        switch (session->message->type) {
        case TDS_PACKET_BATCH:
                return parse_batch(session, request, err);
        case TDS_PACKET_RPC:
                return tds_call_parse(session, request, err);
        default:
                tds_transaction_answer(session);
                session->rest.left = 0;
                return TDS_PARSE_ANSWERED;
        }
}

static enum tds_parse_result parse_message(struct tds_session *session, struct tds_request *request, struct error *err)
{
        const struct tds_message *message = session->message;

        if (message->status & TDS_STATUS_IGNORE) {
                tds_send_done(session, &(struct tds_done){ .error = true });
                return TDS_PARSE_ANSWERED;
        }
        if (message->type == TDS_PACKET_BULK) {
                tds_refuse(session, NUMBER_WORDS, "Bulk loads are not offered here.");
                return TDS_PARSE_ANSWERED;
        }
        session->rest = tds_cursor_on(message->body, message->size);
        if (skip_headers(session, &session->rest, err) < 0)
                return TDS_PARSE_FAILED;
        request->reset = (message->status & (TDS_STATUS_RESET | TDS_STATUS_RESET_KEEP)) != 0;
        if (request->reset && reset_session(session, err) < 0)
                return TDS_PARSE_FAILED;
        return parse_body(session, request, err);
}

/* Waits for the next message. False: `request` says what came instead, or there is an error. */
static bool await_message(struct tds_session *session, struct tds_request *request, struct error *err)
{
        while (!(session->message = tds_input_take(session))) {
                switch (tds_input_step(session, err)) {
                case TDS_INPUT_MESSAGE:
                        break;
                case TDS_INPUT_ATTENTION:
                        atomic_store(&session->unacked, true);
                        tds_acknowledge(session);
                        request->kind = TDS_REQUEST_CANCEL;
                        return false;
                case TDS_INPUT_FAILED:
                        return false;
                case TDS_INPUT_CLOSED:
                        tds_shutdown(session);
                        return false;
                case TDS_INPUT_NOTHING:
                        if (tds_wait(session, POLLIN, -1) != TDS_WAIT_READY)
                                return false;
                }
        }
        session->is_answering = true;
        return true;
}

static enum tds_parse_result next_request(struct tds_session *session, struct tds_request *request, struct error *err)
{
        enum tds_parse_result result;
        bool reset = request->reset;

        tds_forget_request(session);
        tds_request_deinit(request);
        request->kind = TDS_REQUEST_CLOSED;
        if (session->message)
                result = tds_call_parse(session, request, err);
        else if (await_message(session, request, err))
                result = parse_message(session, request, err);
        else
                return error_is_set(err) ? TDS_PARSE_FAILED : TDS_PARSE_REQUEST;
        /* One that was answered here, or refused, leaves it to the next. */
        request->reset |= reset;
        request->in_transaction = session->transaction != 0;
        return result;
}

int tds_next(struct tds_session *session, struct tds_request *ret_request, struct error *err)
{
        enum tds_parse_result result = TDS_PARSE_ANSWERED;
        struct error own = ERROR_INIT;

        *ret_request = (struct tds_request){ .kind = TDS_REQUEST_CLOSED };
        tds_acknowledge(session);
        while (result == TDS_PARSE_ANSWERED && !atomic_load(&session->ended))
                result = next_request(session, ret_request, &own);
        if (result == TDS_PARSE_REQUEST)
                return 0;
        tds_request_deinit(ret_request);
        ret_request->kind = TDS_REQUEST_CLOSED;
        if (result == TDS_PARSE_ANSWERED)
                return 0;
        error_keep_first(err, &own);
        return -1;
}
