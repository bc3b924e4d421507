/*
 * internal.h - what the parts of the stand-in server know of each other
 *
 * A session's own thread reads requests and watches for their cancellation; a second one answers a batch. `end` is how
 * the first tells the second to stop.
 */
#ifndef VDIPIPE_CORE_STANDIN_INTERNAL_H
#define VDIPIPE_CORE_STANDIN_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/standin/standin.h"
#include "core/standin/batch.h"
#include "core/standin/state.h"
#include "core/tsql/statement.h"
#include "core/tds/tds.h"

enum {
        STANDIN_VERSION = 0x0f0007d0, /* 15.0.2000 */
        STANDIN_BLOCKER = 50,         /* the session that never-open waits for */
};

#define STANDIN_PRODUCT_VERSION "15.0.2000.5"

struct standin {
        const struct standin_options *options;
        struct standin_state state;
        struct tds_server tds;
        int wake_fd;               /* an eventfd: a session has finished */
        atomic_uint session_count; /* that were let in, or are about to be */

        pthread_mutex_t lock; /* guards what follows */
        struct standin_session *sessions;
        bool stopping;
};

/* Why a statement is to stop. The later ones are the stronger ones. */
enum standin_end { STANDIN_END_NONE, STANDIN_END_CANCELLED, STANDIN_END_CLOSED };

struct standin_session {
        struct standin *standin;
        struct standin_session *next;
        pthread_t thread;
        int fd;                  /* the socket, for tds_accept() */
        int stop_fd;             /* a duplicate, which ends a login early */
        struct tds_session *tds; /* set under the standin's lock, since stopping looks at it */
        bool finished;           /* under the standin's lock: the thread can be joined */

        struct standin_activity activity;
        bool no_count;
        bool quoted_identifiers;
        int transactions;

        /* Changed under the lock; read without, too: whoever tells of a run may not wait for whoever aborts it. */
        _Atomic enum standin_end end;

        pthread_mutex_t lock; /* guards what follows */
        pthread_cond_t changed;
        bool is_deaf; /* a cancellation is not heard */
        void (*abort_run)(void *run);
        void *run;
};

/* "session 51: ..." to the log. */
void standin_log(struct standin_session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- session.c ---- */

/* The whole life of a connection: the thread's function. */
void *standin_session_main(void *session_at);

/* Ends the session's statement, if it runs, and what comes after it. Thread safe. */
void standin_session_interrupt(struct standin_session *session, enum standin_end end);

/* Sends a message of the statement that begins in that line of the batch. */
void standin_tell(struct standin_session *session, uint32_t line, const struct server_message *message);

/* Waits until the session is interrupted by `end` or something stronger. */
void standin_wait_end(struct standin_session *session, enum standin_end end);
enum standin_end standin_session_end(struct standin_session *session);

/* ---- transfer.c ---- */

/* Runs a BACKUP or RESTORE statement, and sends its messages and results. 0, or -1 when it failed. *ret_rows counts
 * those of the results; negative: there were none. */
int standin_transfer(struct standin_session *session, const struct batch_statement *batch,
                     const struct statement *statement, int64_t *ret_rows);

#endif
