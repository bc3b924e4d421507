/*
 * mssql.h - one connection to a SQL Server, over FreeTDS
 *
 * A connection runs one statement at a time, on the thread that calls; mssql_cancel() may come from any other.
 * Messages are handed over as they come. Without FreeTDS, in the build or on the machine, no connection is made:
 * ERR_USAGE, with words that say so.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/tsql/messages.h"

/* Opens FreeTDS, as mssql_open() and mssql_library_version() do, when it was not yet. ERR_USAGE, with the remedy, when
 * that cannot be, or in a build without it. Thread safe. */
int mssql_library_check(struct error *err);

/* FreeTDS's, "1.3.17"; NULL when it cannot be had. */
const char *mssql_library_version(void);

/* ---- mssql://[user@]host[:port]/DATABASE ---- */

struct mssql_uri {
        char *user;     /* NULL: not said */
        char *host;     /* without the brackets of an IPv6 address */
        uint16_t port;  /* 1433 when not said */
        char *database; /* NULL: not said */
};

/* Whether the text is meant as such a URI. */
bool mssql_uri_is(const char *text);

/* Parts are percent-decoded. A password in it is refused, and not repeated in the words. ERR_USAGE. Free with
 * mssql_uri_deinit(), in any case. */
int mssql_uri_parse(const char *text, struct mssql_uri *ret_uri, struct error *err);
void mssql_uri_deinit(struct mssql_uri *uri);

/* The virtual device interface works within one machine: raises ERR_USAGE when the host is not this one. */
int mssql_uri_check_local(const struct mssql_uri *uri, struct error *err);

/* ---- a connection ---- */

enum mssql_encryption {
        MSSQL_ENCRYPT_REQUEST, /* as the server wants it */
        MSSQL_ENCRYPT_OFF,
        MSSQL_ENCRYPT_REQUIRE,
};

struct mssql_login {
        const char *host;
        uint16_t port;
        const char *user;
        const char *password; /* NULL: Kerberos, as the system is set up for it */
        const char *database; /* NULL: the login's default */
        enum mssql_encryption encryption;
        const char *application; /* NULL: "vdipipe" */
        int64_t timeout_ms;      /* of connecting and logging in */
        const atomic_bool *end;  /* once true, the login and questions end within a second; outlives the connection.
                                    NULL: nothing ends them but their time */
};

struct mssql;

/* A row of a result, valid within the call. */
struct mssql_row {
        size_t count;
        const char *const *names; /* "" without one */
        char *const *texts;       /* UTF-8, as the server's default conversion to text has it; NULL for NULL */
};

struct mssql_events {
        void *context;
        void (*message)(const struct server_message *message, void *context);
        void (*row)(const struct mssql_row *row, void *context);
};

/* Connects and logs in; with login->end, signals are held off meanwhile. ERR_ABORTED when that ended it, ERR_TIMEOUT,
 * ERR_FAILED with the server's number and words (18456: login failed), ERR_USAGE in a build without FreeTDS. `events`
 * may be NULL; it hears what the server says at login. */
int mssql_open(const struct mssql_login *login, const struct mssql_events *events, struct mssql **ret_connection,
               struct error *err);
void mssql_close(struct mssql *connection);

/* Number of the session at the server; 0: not known. */
int mssql_session_id(const struct mssql *connection);

/* "Microsoft SQL Server 2019 ...", first line of @@VERSION; and whether that is `vdipipe serve`. */
const char *mssql_server_version(const struct mssql *connection);
bool mssql_is_stand_in(const struct mssql *connection);

/* Runs a batch to its end. An error of severity 11 and more fails it: *err has the words of the first that says what
 * happened ("Msg 3201, Level 16, State 1: ..."), 3013 only when there is no other; its class is ERR_FAILED, or by the
 * number ERR_BUSY, ERR_DAMAGED, ERR_NO_SPACE, ERR_MEMORY or ERR_TIMEOUT. Negative `timeout_ms`: no limit;
 * ERR_TIMEOUT; only with a limit does the login's `end` count. ERR_ABORTED after mssql_cancel(). A connection that
 * broke: ERR_PEER_DIED, and nothing but mssql_close() is of use then. `events` may be NULL. */
int mssql_execute(struct mssql *connection, const char *sql, int64_t timeout_ms, const struct mssql_events *events,
                  struct error *err);

/* Ends what mssql_execute() does on another thread, or will do next: the server is asked to cancel, and the connection
 * is given up when it does not within `grace_ms`. */
void mssql_cancel(struct mssql *connection, int64_t grace_ms);

/* ---- a statement on a thread of its own ---- */

struct mssql_task;

/* Runs `sql` (copied) on a thread. `events` is called from there and must outlive the task. */
int mssql_task_start(struct mssql *connection, const char *sql, const struct mssql_events *events,
                     struct mssql_task **ret_task, struct error *err);

/* Readable once the statement has ended. Belongs to the task. */
int mssql_task_fd(const struct mssql_task *task);

/* Waits for the end, `timeout_ms` at most (negative: no limit). 0: it has ended; 1: not yet. */
int mssql_task_wait(struct mssql_task *task, int64_t timeout_ms);

/* After the end: 0 when the server said success, else -1 with the error. Before: ERR_PROTOCOL. */
int mssql_task_result(const struct mssql_task *task, struct error *err);

/* Cancels what still runs, giving it `grace_ms`; joins the thread; frees. NULL is allowed. False when the server did
 * not answer in time, so that its session may live on. */
bool mssql_task_free(struct mssql_task *task, int64_t grace_ms);

/* ---- what a session at the server is doing ---- */

struct mssql_activity {
        bool found;         /* the session has a running request */
        char command[64];   /* "BACKUP DATABASE" */
        char status[64];    /* "suspended" */
        char wait_type[64]; /* "BACKUPTHREAD"; "" when it waits for nothing */
        double percent;
        int blocked_by; /* session id; 0: nobody */
};

/* Asks sys.dm_exec_requests over another connection than the one that works. */
int mssql_activity(struct mssql *connection, int session_id, struct mssql_activity *ret_activity, struct error *err);

/* ---- databases ---- */

struct mssql_database {
        char *name;
        char *state;          /* "ONLINE" */
        char *recovery_model; /* "FULL" */
};

/* The databases that can be backed up (not tempdb, no snapshots), by name. Freed with mssql_databases_free(). */
int mssql_databases(struct mssql *connection, struct mssql_database **ret_databases, size_t *ret_count,
                    struct error *err);
void mssql_databases_free(struct mssql_database *databases, size_t count);
