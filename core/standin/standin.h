/*
 * standin.h - a stand-in SQL Server: logins over TDS, BACKUP and RESTORE on SQLite databases, what was done to be asked
 *
 * No SQL Server: there is no T-SQL beyond the statements that backup tools send, and nothing is encrypted. For tests.
 *
 * A standin is served by one thread; every connection has a thread of its own, and while it answers a second one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/vds/vds.h"

/* What goes wrong on purpose. */
enum standin_fault {
        STANDIN_WRONG_PASSWORD,    /* every login fails */
        STANDIN_PERMISSION_DENIED, /* 262 */
        STANDIN_FAIL_BEFORE_OPEN,  /* 3201, the set is left alone */
        STANDIN_NEVER_OPEN,        /* the statement waits for a lock, and the set is left alone */
        STANDIN_FAIL_AFTER_DATA,   /* 3202 */
        STANDIN_DISCONNECT,        /* the connection breaks, and with it the statement */
        STANDIN_HANG,              /* nothing moves any more, until the statement is cancelled */
        STANDIN_DEAF,              /* the same, and cancelling does not help: only the connection's end */
        STANDIN_CRASH,             /* the server's process kills itself */
        STANDIN_DENY_HISTORY,      /* 229 for what is in msdb */
        STANDIN_DENY_STATE,        /* 300 for sys.dm_exec_requests */
        STANDIN_NO_HISTORY,
        STANDIN_NO_CONFIRMATION, /* backups are not recorded */
        STANDIN_FAULTS,
};

struct standin_fault_row {
        const char *name;
        bool takes_bytes; /* happens once that many have moved; else, or by default, when all have */
        const char *words;
};

extern const struct standin_fault_row standin_faults[STANDIN_FAULTS];

/* What is wanted of one fault. */
struct standin_plan {
        bool wanted;
        bool has_bytes;
        uint64_t bytes;
};

/* "hang", "hang:64K": adds it to `plans`, which has a place for every fault. ERR_USAGE. */
int standin_parse_fault(const char *text, struct standin_plan *plans, struct error *err);

struct standin_database {
        const char *name;
        const char *path; /* absolute; NULL: there is none, and only a script can play its server */
};

/* What a standin is to be. Everything is borrowed, and outlives it. */
struct standin_options {
        const char *name; /* of the server */
        const char *user;
        const char *password;
        const struct standin_database *databases;
        size_t database_count;
        const char *data_dir;       /* where databases go that a restore makes without MOVE; NULL: nowhere */
        const char *script;         /* plays the server of every BACKUP; NULL: SQLite does */
        const char *restore_script; /* of every RESTORE */
        struct standin_plan plans[STANDIN_FAULTS];
        uint32_t connections_max;
        const struct vds_options *vds;
        int64_t open_wait_ms; /* for the device set to be created */
        int64_t max_lock_ms;
        const char *spool_dir;
        /* Hears what happens, one line at a time, from any thread; NULL: nobody does. */
        void (*log)(const char *line, void *context);
        void *context;
};

struct standin;

int standin_new(const struct standin_options *options, struct standin **ret_standin, struct error *err);

/* NULL is allowed. */
void standin_free(struct standin *standin);

/* Opens a listening socket on `address` ("127.0.0.1:1433", ":0", "[::1]:1433", "1433"). Without `allow_remote` only
 * this machine's own loopback is good. *ret_shown (allocated) is the address with the port that was taken. ERR_USAGE,
 * ERR_BUSY. */
int standin_listen(const char *address, bool allow_remote, int *ret_fd, char **ret_shown, struct error *err);

/* Takes connections until `stop_fd` is readable; then ends what runs, and returns once every thread is gone. */
int standin_serve(struct standin *standin, int listen_fd, int stop_fd, struct error *err);
