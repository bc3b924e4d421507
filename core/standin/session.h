/*
 * session.h - one client's session with a stand-in server, as all its parts see it
 *
 * A session's own thread reads requests and watches for their cancellation; a second one answers a batch. `end` is how
 * the first tells the second to stop.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/standin/standin.h"
#include "core/standin/state.h"
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

/* Sends a message of the statement that begins in that line of the batch. */
void standin_send(struct standin_session *session, uint32_t line, const struct server_message *message);

/* The same, with words as for server_message_make(). Returns -1, since most of them tell of a failure. */
#define standin_tell(session, line, id, ...) \
        standin_tell_words((session), (line), (id), (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })
int standin_tell_words(struct standin_session *session, uint32_t line, enum server_message_id id,
                       const char *const *words);

/* Ends the session's statement, if it runs, and what comes after it. Thread safe. */
void standin_interrupt(struct standin_session *session, enum standin_end end);

/* Waits until the session is interrupted by `end` or something stronger. */
void standin_wait_end(struct standin_session *session, enum standin_end end);
enum standin_end standin_session_end(struct standin_session *session);

/* A cancellation ends one request, a closed connection all. */
void standin_forget_cancellation(struct standin_session *session);
