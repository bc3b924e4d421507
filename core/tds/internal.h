/*
 * internal.h - what the files of the TDS server know of each other
 *
 * The thread of the requests owns `input`, the request and the prepared statements; whoever answers owns `output`. What
 * both touch is atomic.
 */
#ifndef VDIPIPE_CORE_TDS_INTERNAL_H
#define VDIPIPE_CORE_TDS_INTERNAL_H

#include <stdatomic.h>

#include "core/base/cleanup.h"
#include "core/base/deadline.h"
#include "core/tds/tds.h"

enum tds_packet_type {
        TDS_PACKET_BATCH = 0x01,
        TDS_PACKET_OLD_LOGIN = 0x02, /* before TDS 7 */
        TDS_PACKET_RPC = 0x03,
        TDS_PACKET_ANSWER = 0x04,
        TDS_PACKET_ATTENTION = 0x06,
        TDS_PACKET_BULK = 0x07,
        TDS_PACKET_TRANSACTION = 0x0e,
        TDS_PACKET_LOGIN7 = 0x10,
        TDS_PACKET_PRELOGIN = 0x12,
        TDS_PACKET_TLS = 0x16, /* no TDS: what TLS begins with */
};

enum tds_packet_status {
        TDS_STATUS_END = 0x01, /* of the message */
        TDS_STATUS_IGNORE = 0x02,
        TDS_STATUS_RESET = 0x08,
        TDS_STATUS_RESET_KEEP = 0x10, /* the transaction */
};

enum {
        TDS_HEADER = 8,
        TDS_LOGIN_MESSAGE_MAX = (128 << 10) - 1, /* bytes, as the protocol has it */
        TDS_QUEUE_MAX = 16,                      /* requests that wait while one is answered */
        TDS_PREPARED_MAX = 64,
        TDS_PREPARED_BYTES_MAX = 2 * TDS_REQUEST_MAX, /* of all together */
};

#define TDS_VERSION_7_1 0x71000000u
#define TDS_VERSION_7_2 0x72000000u
#define TDS_VERSION_7_4 0x74000000u

/* ---- bytes in: sticky, so that a parser asks once at its end ---- */

struct tds_cursor {
        const uint8_t *at;
        size_t left;
        bool bad; /* something was asked for that is not there */
};

static inline struct tds_cursor tds_cursor_on(const uint8_t *bytes, size_t size)
{
        return (struct tds_cursor){ .at = bytes, .left = size };
}

/* The next `size` bytes; NULL when they are not all there. */
const uint8_t *tds_get(struct tds_cursor *cursor, size_t size);

/* Little-endian numbers of 1 to 8 bytes; 0 when they are not there. */
uint64_t tds_get_number(struct tds_cursor *cursor, size_t size);

static inline uint8_t tds_get_u8(struct tds_cursor *cursor)
{
        return (uint8_t)tds_get_number(cursor, 1);
}

static inline uint16_t tds_get_u16(struct tds_cursor *cursor)
{
        return (uint16_t)tds_get_number(cursor, 2);
}

static inline uint32_t tds_get_u32(struct tds_cursor *cursor)
{
        return (uint32_t)tds_get_number(cursor, 4);
}

/* ---- texts ---- */

enum tds_text_result {
        TDS_TEXT_BAD = -2,    /* half a character, half a surrogate pair, or U+0000 */
        TDS_TEXT_MEMORY = -1, /* none left */
        TDS_TEXT_GOOD = 0,
};

/* UTF-16LE to an allocated UTF-8 text. */
enum tds_text_result tds_text_decode(const uint8_t *bytes, size_t size, char **ret_text);

/* How many UTF-16 units of `text` fit into `max`, whole characters only. What is no UTF-8 counts as U+FFFD. */
size_t tds_text_units(const char *text, size_t max);

/* Writes the next characters, as many as fit `max` units, and moves *text on. Returns the units. */
size_t tds_text_encode(const char **text, uint8_t *out, size_t max);

/* ---- bytes out: one token, or a part of one ---- */

struct tds_token {
        size_t size;
        uint8_t bytes[6144]; /* the largest: a message of ERROR_MESSAGE_MAX characters with its names */
};

void tds_put(struct tds_token *token, const void *bytes, size_t size);
void tds_put_number(struct tds_token *token, uint64_t value, size_t size); /* little-endian */

/* UTF-16 with its count of characters before it, in `prefix` bytes (1 or 2); cut at `max` characters. */
void tds_put_text(struct tds_token *token, const char *text, size_t prefix, size_t max);

/* Begins a token that has its length, 16 bits, behind its first byte; tds_token_close() fills that in. */
void tds_token_open(struct tds_token *token, uint8_t kind);
void tds_token_close(struct tds_token *token);

/* ---- the session ---- */

struct tds_message {
        struct tds_message *next;
        uint8_t type;
        uint8_t status; /* of the first packet, with TDS_STATUS_IGNORE of the last */
        uint8_t *body;
        size_t size;
        size_t room;
};

struct tds_input {
        size_t have; /* bytes of the packet */
        struct tds_message *partial;
        struct tds_message *first; /* complete ones */
        size_t count;
        size_t bytes; /* of the complete ones */
        size_t limit; /* bytes of a message */
        uint8_t packet[TDS_PACKET_MAX];
};

struct tds_output {
        size_t size; /* of the packet so far, its header counted */
        size_t packet_size;
        uint8_t id;
        uint8_t packet[TDS_PACKET_MAX];
};

struct tds_prepared {
        int32_t handle; /* 0: free */
        char *text;
        char *declarations;
};

struct tds_session {
        int fd;
        int wake_fd;              /* readable once the session has ended */
        atomic_bool ended;        /* by either side: nothing is sent or received any more */
        atomic_bool unacked;      /* an attention signal waits for its acknowledgement */
        struct deadline deadline; /* of the login; never afterwards */
        char *name;
        uint16_t id;
        uint32_t version; /* of the protocol */
        bool wants_encryption;
        struct tds_login login;
        char *database;

        struct tds_input input;
        struct tds_output output;

        /* the request that is being answered */
        struct tds_message *message; /* of several procedure calls the later ones are still in there */
        struct tds_cursor rest;
        bool is_answering;     /* the end of the answer was not sent yet */
        bool is_call;          /* ends with RETURNSTATUS and DONEPROC */
        char *procedure;       /* named by messages; NULL in a batch */
        int32_t output_handle; /* returned in the first parameter, unless it is 0 */
        char *output_name;     /* of that parameter, as the client has it */
        int32_t failed_number; /* of the last error of the answer: its RETURNSTATUS */
        size_t column_count;
        struct tds_column columns[TDS_COLUMNS_MAX]; /* without names */

        struct tds_prepared prepared[TDS_PREPARED_MAX];
        int32_t last_handle;
        uint64_t transaction; /* 0: none */
        uint64_t last_transaction;
};

/* ---- packets (packet.c) ---- */

enum tds_input_event {
        TDS_INPUT_NOTHING, /* more has to come */
        TDS_INPUT_MESSAGE, /* one is complete, and queued */
        TDS_INPUT_ATTENTION,
        TDS_INPUT_CLOSED,
        TDS_INPUT_FAILED, /* words in err */
};

/* Takes what has arrived, up to the next event, without waiting. */
enum tds_input_event tds_input_step(struct tds_session *session, struct error *err);

/* Whether a further message may be received before the queued ones are taken. */
bool tds_input_has_room(const struct tds_session *session);

/* The oldest complete message, now the caller's; NULL when there is none. */
struct tds_message *tds_input_take(struct tds_session *session);

/* Forgets all messages, complete or not. */
void tds_input_drop(struct tds_session *session);
void tds_message_free(struct tds_message *message);

enum tds_wait_result {
        TDS_WAIT_READY,
        TDS_WAIT_OTHER,  /* `other_fd` is readable */
        TDS_WAIT_ENDED,  /* by us */
        TDS_WAIT_PASSED, /* the session's deadline */
};

/* Waits for `events` (of poll()) of the connection, and for `other_fd` to become readable unless it is negative. */
enum tds_wait_result tds_wait(struct tds_session *session, short events, int other_fd);

/* Appends to the answer; whole packets leave. After a failure nothing is sent, and tds_output_result() says so. */
void tds_output_bytes(struct tds_session *session, const void *bytes, size_t size);
void tds_output_token(struct tds_session *session, const struct tds_token *token);
void tds_output_flush(struct tds_session *session, bool end);
int tds_output_result(const struct tds_session *session);

/* ---- login (prelogin.c, login.c) ---- */

/* The answer to a pre-login message. -1 when it cannot be read. */
int tds_prelogin_answer(struct tds_session *session, const struct tds_server *server, const struct tds_message *message,
                        struct error *err);

struct tds_login_wishes {
        uint32_t version;
        uint32_t packet_size;
        bool integrated;      /* it has no password, but a ticket of the operating system */
        bool foreign_numbers; /* big-endian, EBCDIC, or floats that are not IEEE's */
};

/* Fills session->login in. -1: the message is not sound. */
int tds_login_parse(const struct tds_message *message, struct tds_login *login, struct tds_login_wishes *ret_wishes,
                    struct error *err);
void tds_login_deinit(struct tds_login *login);

/* ---- requests (request.c, call.c, transaction.c) ---- */

/* Refuses a request with message 50000; the connection stays. */
void tds_refuse(struct tds_session *session, int32_t number, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

enum tds_parse_result {
        TDS_PARSE_FAILED = -1, /* the connection is of no use; words in err */
        TDS_PARSE_REQUEST,
        TDS_PARSE_ANSWERED, /* by us: it is not the caller's concern */
};

/* The procedure call at session->rest. */
enum tds_parse_result tds_call_parse(struct tds_session *session, struct tds_request *request, struct error *err);
void tds_forget_prepared(struct tds_session *session);

/* Answers the request at session->rest to a transaction manager. */
void tds_transaction_answer(struct tds_session *session);

/* ---- tokens (token.c) ---- */

/* ENVCHANGE with numbers, of which 0 is none. */
void tds_send_change_number(struct tds_session *session, uint8_t what, uint64_t value, uint64_t old);

/* The session is as after its login. */
void tds_send_reset(struct tds_session *session);

/* The database of the login. */
const char *tds_first_database(const struct tds_session *session);

/* The answer to a login that is let in. */
void tds_send_login_answer(struct tds_session *session, const struct tds_server *server, size_t packet_size);

/* Acknowledges an attention signal, if there is one that waits for it. */
void tds_acknowledge(struct tds_session *session);

void tds_forget_request(struct tds_session *session);

#endif
