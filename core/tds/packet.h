/*
 * packet.h - a connection: packets in and out, messages put together, waiting
 *
 * The thread of the requests owns `input`, whoever answers owns `output`; what both touch is atomic. The socket is read
 * packet by packet, never beyond the one at hand, so what is held is bounded.
 */
#pragma once

#include <stdatomic.h>

#include "core/base/deadline.h"
#include "core/tds/bytes.h"
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

#define TDS_VERSION_7_1 0x71000000u
#define TDS_VERSION_7_2 0x72000000u
#define TDS_VERSION_7_4 0x74000000u

enum { TDS_QUEUE_MAX = 16 }; /* requests that wait while one is answered */

struct tds_message {
        uint8_t type;
        uint8_t status; /* of the first packet, with TDS_STATUS_IGNORE of the last */
        uint8_t *body;
        size_t size;
        size_t room;
};

struct tds_input {
        size_t have; /* bytes of the packet */
        struct tds_message *partial;
        struct tds_message *queue[TDS_QUEUE_MAX]; /* complete ones, the oldest first */
        size_t count;
        size_t limit; /* bytes of a message */
        uint8_t packet[TDS_PACKET_MAX];
};

struct tds_output {
        size_t size; /* of the packet so far, its header counted */
        size_t packet_size;
        uint8_t id;
        uint8_t packet[TDS_PACKET_MAX];
};

struct tds_connection {
        int fd;
        int wake_fd;              /* readable once the connection has ended */
        atomic_bool ended;        /* by either side: nothing is sent or received any more */
        struct deadline deadline; /* of the login; never afterwards */
        uint32_t version;         /* of the protocol; 0: not logged in yet */
        uint16_t session_id;
        struct tds_input input;
        struct tds_output output;
};

/* Takes `fd` over in any case, for a login until `deadline`. 0, or -1 with errno; tds_connection_deinit() either way.
 */
int tds_connection_init(struct tds_connection *connection, int fd, uint16_t session_id, struct deadline deadline);
void tds_connection_deinit(struct tds_connection *connection);

/* The login is over: requests may come, and be as long as requests are, without a deadline. */
void tds_connection_open(struct tds_connection *connection);

/* Makes every wait end as if the client had gone; from any thread. */
void tds_connection_shutdown(struct tds_connection *connection);

enum tds_input_event {
        TDS_INPUT_NOTHING, /* more has to come */
        TDS_INPUT_MESSAGE, /* one is complete, and queued */
        TDS_INPUT_ATTENTION,
        TDS_INPUT_CLOSED,
        TDS_INPUT_FAILED, /* words in err */
        TDS_INPUT_ENDED,  /* by us; only waiting comes to this and the next */
        TDS_INPUT_PASSED, /* the deadline */
};

/* Takes what has arrived, up to the next event, without waiting; and with waiting, until there is one. Both only while
 * there is room. */
enum tds_input_event tds_input_step(struct tds_connection *connection, struct error *err);
enum tds_input_event tds_input_await(struct tds_connection *connection, struct error *err);

/* Whether a further message may be received before the queued ones are taken. */
bool tds_input_has_room(const struct tds_connection *connection);

/* The oldest complete message, now the caller's; NULL when there is none. */
struct tds_message *tds_input_take(struct tds_connection *connection);
void tds_message_free(struct tds_message *message);

enum tds_wait_result {
        TDS_WAIT_READY,
        TDS_WAIT_OTHER,  /* `other_fd` is readable */
        TDS_WAIT_ENDED,  /* by us */
        TDS_WAIT_PASSED, /* the deadline */
};

/* Waits for `events` (of poll()) of the connection, and for `other_fd` to become readable unless it is negative. */
enum tds_wait_result tds_wait(struct tds_connection *connection, short events, int other_fd);

/* Appends to the answer; whole packets leave. After a failure nothing is sent, and tds_output_result() says so: 0, -1.
 */
void tds_output_bytes(struct tds_connection *connection, const void *bytes, size_t size);
void tds_output_token(struct tds_connection *connection, const struct tds_token *token);
void tds_output_flush(struct tds_connection *connection, bool end);
int tds_output_result(const struct tds_connection *connection);

/* Sends no more, and lets the client read what was sent last, for a moment: closing with bytes of it unread would take
 * that away from it. */
void tds_connection_linger(struct tds_connection *connection);
