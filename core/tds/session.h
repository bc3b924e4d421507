/*
 * session.h - what is kept of a session between its login and its end
 *
 * The thread of the requests owns the request and the prepared statements; whoever answers owns the rest. `unacked` is
 * touched by both.
 */
#pragma once

#include "core/tds/packet.h"

enum {
        TDS_PREPARED_MAX = 64,
        TDS_PREPARED_BYTES_MAX = 2 * TDS_REQUEST_MAX, /* of all together */
};

/* Returned by what parses a request; negative, with words in err: the connection is of no use. */
enum tds_parse_result {
        TDS_PARSE_REQUEST = 0,
        TDS_PARSE_ANSWERED, /* by us: it is not the caller's concern */
};

enum { TDS_NUMBER_WORDS = 50000 }; /* of a refusal that has no number */

struct tds_prepared {
        int32_t handle; /* 0: free */
        char *text;
        char *declarations;
};

struct tds_session {
        struct tds_connection connection;
        atomic_bool unacked; /* an attention signal waits for its acknowledgement */
        char *name;
        struct tds_login login;
        char *database;

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
