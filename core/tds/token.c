#include "core/tds/token.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/tds/value.h"

enum token_kind {
        TOKEN_RETURN_STATUS = 0x79,
        TOKEN_COLUMNS = 0x81,
        TOKEN_ERROR = 0xaa,
        TOKEN_INFO = 0xab,
        TOKEN_RETURN_VALUE = 0xac,
        TOKEN_LOGIN_ACK = 0xad,
        TOKEN_ROW = 0xd1,
        TOKEN_CHANGE = 0xe3,
        TOKEN_DONE = 0xfd,
        TOKEN_DONE_CALL = 0xfe,
        TOKEN_DONE_IN_CALL = 0xff,
};

enum done_status {
        DONE_MORE = 0x01,
        DONE_ERROR = 0x02,
        DONE_COUNT = 0x10,
        DONE_ATTENTION = 0x20,
};

enum change {
        CHANGE_DATABASE = 1,
        CHANGE_LANGUAGE = 2,
        CHANGE_PACKET_SIZE = 4,
        CHANGE_COLLATION = 7,
        CHANGE_RESET = 18,
};

enum {
        COMMAND_SELECT = 0xc1,
        INTERFACE_SQL = 1,
        NAME_MAX_UNITS = 128,
        NUMBER_DATABASE_CHANGED = 5701,
        NUMBER_LANGUAGE_CHANGED = 5703,
        COLUMN_FLAGS = 0x09, /* may be NULL; nobody knows whether it can be written */
        VALUE_IS_OUTPUT = 1,
};

/* Since TDS 7.2 several numbers are 4 bytes wide that were 2 before. */
static size_t wide_size(const struct tds_session *session)
{
        return session->connection.version >= TDS_VERSION_7_2 ? 4 : 2;
}

/* Sends a token that was opened. */
static void send_closed(struct tds_session *session, struct tds_token *token)
{
        tds_token_close(token);
        tds_output_token(&session->connection, token);
}

int tds_send_message(struct tds_session *session, const struct server_message *message)
{
        struct tds_token token;
        bool is_error = server_message_is_error(message);

        tds_token_open(&token, is_error ? TOKEN_ERROR : TOKEN_INFO);
        tds_put_number(&token, (uint32_t)message->number, 4);
        tds_put_number(&token, (uint8_t)message->state, 1);
        tds_put_number(&token, (uint8_t)message->severity, 1);
        tds_put_text(&token, message->text, 2, ERROR_MESSAGE_MAX);
        tds_put_text(&token, session->name, 1, NAME_MAX_UNITS);
        tds_put_text(&token, session->procedure ? session->procedure : "", 1, NAME_MAX_UNITS);
        tds_put_number(&token, message->line, wide_size(session));
        if (is_error)
                session->failed_number = message->number;
        send_closed(session, &token);
        tds_output_flush(&session->connection, /* end= */ false);
        return tds_output_result(&session->connection);
}

/* ENVCHANGE with texts. */
static void send_change(struct tds_session *session, uint8_t what, const char *value, const char *old)
{
        struct tds_token token;

        tds_token_open(&token, TOKEN_CHANGE);
        tds_put_number(&token, what, 1);
        tds_put_text(&token, value, 1, NAME_MAX_UNITS);
        tds_put_text(&token, old, 1, NAME_MAX_UNITS);
        send_closed(session, &token);
}

/* ENVCHANGE with bytes; no size: none. */
static void send_change_bytes(struct tds_session *session, uint8_t what, const void *value, size_t size,
                              const void *old, size_t old_size)
{
        struct tds_token token;

        tds_token_open(&token, TOKEN_CHANGE);
        tds_put_number(&token, what, 1);
        tds_put_number(&token, size, 1);
        tds_put(&token, value, size);
        tds_put_number(&token, old_size, 1);
        tds_put(&token, old, old_size);
        send_closed(session, &token);
}

void tds_send_change_number(struct tds_session *session, uint8_t what, uint64_t value, uint64_t old)
{
        uint64_t little = htole64(value);
        uint64_t little_old = htole64(old);

        send_change_bytes(session, what, &little, value ? sizeof little : 0, &little_old, old ? sizeof little_old : 0);
}

void tds_send_reset(struct tds_session *session)
{
        tds_send_change_number(session, CHANGE_RESET, 0, 0);
}

const char *tds_first_database(const struct tds_session *session)
{
        return session->login.database[0] ? session->login.database : "master";
}

static void send_note(struct tds_session *session, int number, const char *words)
{
        struct server_message message = { .number = number, .state = 1, .line = 1 };

        snprintf(message.text, sizeof message.text, "%s", words);
        tds_send_message(session, &message);
}

int tds_send_database(struct tds_session *session, const char *name)
{
        CLEANUP(freep) char *copy = strdup(name);
        char words[ERROR_MESSAGE_MAX];

        if (!copy) {
                tds_connection_shutdown(&session->connection);
                return -1;
        }
        send_change(session, CHANGE_DATABASE, name, session->database);
        free(session->database);
        session->database = take_ptr(&copy);
        snprintf(words, sizeof words, "Changed database context to '%s'.", name);
        send_note(session, NUMBER_DATABASE_CHANGED, words);
        return tds_output_result(&session->connection);
}

static void send_login_ack(struct tds_session *session, const struct tds_server *server)
{
        uint32_t version = htobe32(session->connection.version);
        uint32_t program_version = htobe32(server->version);
        struct tds_token token;

        tds_token_open(&token, TOKEN_LOGIN_ACK);
        tds_put_number(&token, INTERFACE_SQL, 1);
        tds_put(&token, &version, sizeof version);
        tds_put_text(&token, server->program, 1, NAME_MAX_UNITS);
        tds_put(&token, &program_version, sizeof program_version);
        send_closed(session, &token);
}

void tds_send_login_answer(struct tds_session *session, const struct tds_server *server, size_t packet_size)
{
        char new_size[16];
        char old_size[16];

        snprintf(new_size, sizeof new_size, "%zu", packet_size);
        snprintf(old_size, sizeof old_size, "%d", TDS_PACKET_DEFAULT);
        tds_send_database(session, tds_first_database(session));
        send_change_bytes(session, CHANGE_COLLATION, tds_collation, sizeof tds_collation, NULL, 0);
        send_change(session, CHANGE_LANGUAGE, "us_english", "");
        send_note(session, NUMBER_LANGUAGE_CHANGED, "Changed language setting to us_english.");
        send_login_ack(session, server);
        send_change(session, CHANGE_PACKET_SIZE, new_size, old_size);
        tds_send_done(session, &(struct tds_done){ .error = false });
        session->connection.output.packet_size = packet_size;
}

int tds_send_columns(struct tds_session *session, const struct tds_column *columns, size_t count)
{
        struct tds_token token = { .size = 0 };

        if (count > TDS_COLUMNS_MAX)
                abort();
        tds_put_number(&token, TOKEN_COLUMNS, 1);
        tds_put_number(&token, count, 2);
        for (size_t i = 0; i < count; i++) {
                tds_put_number(&token, 0, wide_size(session));
                tds_put_number(&token, COLUMN_FLAGS, 2);
                tds_put_type(&token, session->connection.version, &columns[i]);
                tds_put_text(&token, columns[i].name, 1, NAME_MAX_UNITS);
                tds_output_token(&session->connection, &token);
                token.size = 0;
                session->columns[i] = columns[i];
                session->columns[i].name = NULL;
        }
        session->column_count = count;
        return tds_output_result(&session->connection);
}

int tds_send_row(struct tds_session *session, const struct tds_value *values)
{
        static const uint8_t kind[] = { TOKEN_ROW };

        tds_output_bytes(&session->connection, kind, sizeof kind);
        for (size_t i = 0; i < session->column_count; i++)
                tds_send_value(&session->connection, &session->columns[i], &values[i]);
        return tds_output_result(&session->connection);
}

static void send_done_token(struct tds_session *session, uint8_t kind, uint16_t status, uint64_t rows)
{
        struct tds_token token = { .size = 0 };

        tds_put_number(&token, kind, 1);
        tds_put_number(&token, status, 2);
        tds_put_number(&token, status & DONE_COUNT ? COMMAND_SELECT : 0, 2);
        tds_put_number(&token, rows, 2 * wide_size(session));
        tds_output_token(&session->connection, &token);
}

/* The handle of a prepared statement, as the procedure's first parameter. */
static void send_handle(struct tds_session *session)
{
        static const struct tds_column column = { .type = TDS_TYPE_INT };
        const struct tds_value value = { .number = session->output_handle };
        struct tds_token token = { .size = 0 };

        tds_put_number(&token, TOKEN_RETURN_VALUE, 1);
        tds_put_number(&token, 0, 2);
        tds_put_text(&token, session->output_name, 1, NAME_MAX_UNITS);
        tds_put_number(&token, VALUE_IS_OUTPUT, 1);
        tds_put_number(&token, 0, wide_size(session));
        tds_put_number(&token, 0, 2);
        tds_put_type(&token, session->connection.version, &column);
        tds_output_token(&session->connection, &token);
        tds_send_value(&session->connection, &column, &value);
}

static void end_answer(struct tds_session *session, uint16_t status, uint64_t rows)
{
        session->is_answering = false;
        send_done_token(session, session->is_call ? TOKEN_DONE_CALL : TOKEN_DONE, status, rows);
        tds_output_flush(&session->connection, /* end= */ true);
}

static void end_call(struct tds_session *session, uint16_t status)
{
        bool more_calls = session->rest.left > 0;
        struct tds_token token = { .size = 0 };

        tds_put_number(&token, TOKEN_RETURN_STATUS, 1);
        tds_put_number(&token, (uint32_t)session->failed_number, 4);
        tds_output_token(&session->connection, &token);
        if (session->output_handle != 0)
                send_handle(session);
        if (more_calls)
                send_done_token(session, TOKEN_DONE_CALL, (status & DONE_ERROR) | DONE_MORE, 0);
        else
                end_answer(session, status & DONE_ERROR, 0);
}

void tds_acknowledge(struct tds_session *session)
{
        if (!atomic_exchange(&session->unacked, false))
                return;
        /* Procedure calls that were to follow are cancelled as well. */
        session->rest.left = 0;
        /* In a message of its own: tedious waits for two, FreeTDS takes either. */
        if (session->is_answering)
                end_answer(session, DONE_ERROR, 0);
        send_done_token(session, TOKEN_DONE, DONE_ATTENTION, 0);
        tds_output_flush(&session->connection, /* end= */ true);
}

int tds_send_done(struct tds_session *session, const struct tds_done *done)
{
        uint16_t status = (done->error ? DONE_ERROR : 0) | (done->has_count ? DONE_COUNT : 0);
        uint64_t rows = done->has_count ? done->rows : 0;

        session->column_count = 0;
        if (done->attention && atomic_load(&session->unacked)) {
                tds_acknowledge(session);
        } else if (done->more) {
                send_done_token(session, session->is_call ? TOKEN_DONE_IN_CALL : TOKEN_DONE, status | DONE_MORE, rows);
        } else if (session->is_call) {
                if (done->has_count)
                        send_done_token(session, TOKEN_DONE_IN_CALL, status | DONE_MORE, rows);
                end_call(session, status);
        } else {
                end_answer(session, status, rows);
        }
        return tds_output_result(&session->connection);
}

int tds_answer_done(struct tds_session *session)
{
        tds_send_done(session, &(struct tds_done){ .error = false });
        return TDS_PARSE_ANSWERED;
}

int tds_refuse(struct tds_session *session, int32_t number, const char *format, ...)
{
        struct server_message message = { .number = number, .severity = 16, .state = 1, .class = ERR_USAGE, .line = 1 };
        va_list args;

        va_start(args, format);
        vsnprintf(message.text, sizeof message.text, format, args);
        va_end(args);
        tds_send_message(session, &message);
        tds_send_done(session, &(struct tds_done){ .error = true });
        return TDS_PARSE_ANSWERED;
}
