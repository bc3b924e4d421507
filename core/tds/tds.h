/*
 * tds.h - the server's half of TDS 7.4: one connection of a SQL Server client
 *
 * tds_accept() carries a connection through pre-login and login; then tds_next() gives one request after the other, and
 * each is answered by tds_send_*() calls that end with tds_send_done(). Texts are UTF-8 here, UTF-16 on the wire.
 *
 * Requests belong to one thread; answers may be sent from another (the one that runs a statement), one at a time.
 * While a request is being answered the first thread calls tds_watch(), which notices an attention signal or the end
 * of the connection. Everything received is bounded and checked; what breaks the protocol ends the connection.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/tsql/messages.h"

enum {
        TDS_PACKET_MIN = 512,
        TDS_PACKET_MAX = 32767,    /* bytes */
        TDS_PACKET_DEFAULT = 4096, /* bytes */
        TDS_REQUEST_MAX = 4 << 20, /* bytes of one request */
        TDS_LOGIN_TEXT_MAX = 128,  /* characters of a login's field, as the protocol has it */
        TDS_COLUMNS_MAX = 64,
        TDS_PARAMETERS_MAX = 2100,
};

/* What the client says of itself. The password is wiped when tds_accept() returns. */
struct tds_login {
        char *user;
        char *password;
        char *application;
        char *host; /* the client's */
        char *server;
        char *library;
        char *database; /* "" when it names none */
};

/* What the server says of itself, and how it lets clients in. */
struct tds_server {
        const char *name;    /* of the server, in messages and in the login's answer */
        const char *program; /* "Microsoft SQL Server": drivers look at it */
        uint32_t version;    /* 0x0f0007d0 is 15.0.2000 */
        /* Answers a login: 0 lets it in; -1 refuses, with the message to send. */
        int (*authenticate)(const struct tds_login *login, struct server_message *refusal, void *context);
        void *context;
        int64_t login_timeout_ms;
        uint16_t session_id; /* @@SPID, which drivers show; 0: none */
};

struct tds_session;

/* Serves pre-login and login on a connected socket, which it takes over in any case. -1: the connection is of no use
 * (words in `err`, ERR_SKIPPED when the login was refused and the client told). */
int tds_accept(int fd, const struct tds_server *server, struct tds_session **ret_session, struct error *err);

/* Closes the connection and frees. NULL is allowed. */
void tds_free(struct tds_session *session);

/* The login without the password. Belongs to the session. */
const struct tds_login *tds_session_login(const struct tds_session *session);

enum tds_request_kind {
        TDS_REQUEST_BATCH,  /* text is a batch; of sp_executesql, sp_prepexec and sp_execute the statement inside */
        TDS_REQUEST_RPC,    /* another procedure: text is its name */
        TDS_REQUEST_CANCEL, /* an attention signal that came between requests: answered already */
        TDS_REQUEST_CLOSED, /* the client has gone */
};

/* A parameter of sp_executesql or of a procedure. */
struct tds_parameter {
        char *name; /* with its '@'; "" when it has none */
        char *text; /* its value as text; NULL for NULL */
};

struct tds_request {
        enum tds_request_kind kind;
        char *text;
        struct tds_parameter *parameters;
        size_t parameter_count;
        bool reset;          /* before it, everything becomes as after the login: the database above all */
        bool in_transaction; /* that the driver began for itself; nothing else is done about it here */
};

/* The next request, waiting without limit, or until tds_shutdown(). 0, or -1 when the client broke the protocol or the
 * connection failed. *ret_request is freed with tds_request_deinit(), in any case. */
int tds_next(struct tds_session *session, struct tds_request *ret_request, struct error *err);
void tds_request_deinit(struct tds_request *request);

enum tds_event {
        TDS_EVENT_DONE,      /* `done_fd` became readable: the answer is complete */
        TDS_EVENT_ATTENTION, /* the client cancels: finish the answer with tds_send_done(.attention = true) */
        TDS_EVENT_CLOSED,    /* the client has gone */
};

/* Waits, while another thread answers, for one of the events. */
enum tds_event tds_watch(struct tds_session *session, int done_fd);

/* Makes every wait of the session end as if the client had gone; from any thread. */
void tds_shutdown(struct tds_session *session);

/* ---- answers; each returns 0, or -1 when the connection failed ---- */

enum tds_type {
        TDS_TYPE_INT, /* 32 bits; nullable, as all are */
        TDS_TYPE_BIGINT,
        TDS_TYPE_BIT,
        TDS_TYPE_TEXT,     /* nvarchar */
        TDS_TYPE_NUMERIC,  /* numeric(25,0), as log sequence numbers are: given as decimal text */
        TDS_TYPE_REAL,     /* percent_complete */
        TDS_TYPE_DATETIME, /* given as "YYYY-MM-DD hh:mm:ss[.mmm]" */
        TDS_TYPE_GUID,     /* given as text, 36 characters */
        TDS_TYPES,
};

struct tds_column {
        const char *name; /* "": without a name */
        enum tds_type type;
        uint16_t length; /* of TEXT: characters at most, 1 to 4000, longer ones are cut; 0: nvarchar(max) */
};

struct tds_value {
        bool is_null;
        int64_t number;   /* INT, BIGINT, BIT */
        double real;      /* REAL */
        const char *text; /* the others */
};

int tds_send_columns(struct tds_session *session, const struct tds_column *columns, size_t count);

/* As many values as there are columns, in the columns' types. */
int tds_send_row(struct tds_session *session, const struct tds_value *values);

/* Information or an error, by the message's severity; leaves at once, so that a client sees progress. */
int tds_send_message(struct tds_session *session, const struct server_message *message);

/* The session's database is now `name`: ENVCHANGE, and message 5701. */
int tds_send_database(struct tds_session *session, const char *name);

/* Parts of an answer that a client must accept and a test may want. */
struct tds_done {
        bool error;     /* the statement failed */
        bool more;      /* another result follows */
        bool attention; /* acknowledges the cancellation */
        bool has_count;
        uint64_t rows;
};

/* Ends a result; without `more`, the answer. */
int tds_send_done(struct tds_session *session, const struct tds_done *done);

/* Ends the connection at once, without a word, as a server that dies would. */
void tds_break(struct tds_session *session);
