#include <poll.h>
#include <string.h>

#include "core/servers/tds_internal.h"

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

void tds_forget_request(struct tds_session *session)
{
        tds_message_free(take_ptr(&session->message));
        freep(&session->procedure);
        session->rest = tds_cursor_on(NULL, 0);
        session->is_call = false;
        session->output_handle = 0;
        session->failed_number = 0;
}

int tds_skip_headers(const struct tds_session *session, struct tds_cursor *cursor, struct error *err)
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
        if (tds_skip_headers(session, &session->rest, err) < 0)
                return TDS_PARSE_FAILED;
        if (message->type == TDS_PACKET_BATCH)
                return parse_batch(session, request, err);
        session->rest.left = 0;
        tds_refuse(session, NUMBER_WORDS, "Transactions and procedure calls are not offered here.");
        return TDS_PARSE_ANSWERED;
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
        return true;
}

int tds_next(struct tds_session *session, struct tds_request *ret_request, struct error *err)
{
        enum tds_parse_result result = TDS_PARSE_ANSWERED;
        struct error own = ERROR_INIT;

        *ret_request = (struct tds_request){ .kind = TDS_REQUEST_CLOSED };
        tds_acknowledge(session);
        while (result == TDS_PARSE_ANSWERED && !atomic_load(&session->ended)) {
                tds_forget_request(session);
                tds_request_deinit(ret_request);
                ret_request->kind = TDS_REQUEST_CLOSED;
                if (!await_message(session, ret_request, &own))
                        break;
                result = parse_message(session, ret_request, &own);
        }
        if (!error_is_set(&own))
                return 0;
        tds_request_deinit(ret_request);
        error_keep_first(err, &own);
        return -1;
}
