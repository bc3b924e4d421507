/*
 * state.h - what a stand-in SQL Server knows: its databases, the backups it made, what its sessions do
 *
 * All of it is in memory and ends with the process. Every function is thread safe; what standin_state_lock() guards is
 * read directly by the catalog.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/ident.h"
#include "core/tsql/statement.h"
#include "core/vds/vds.h"

enum {
        STANDIN_NAME_MAX = 128, /* bytes of a database's name */
        STANDIN_DATABASES_MAX = 1000,
        STANDIN_HISTORY_MAX = 4096, /* backups, and restores; the oldest are forgotten */
        STANDIN_TIME_MAX = 24,
        STANDIN_FIRST_DATABASE = 5, /* id; before it come master, tempdb, model and msdb */
        STANDIN_FIRST_SESSION = 51, /* id */
};

#define STANDIN_COLLATION "SQL_Latin1_General_CP1_CI_AS"

enum standin_db_state { STANDIN_ONLINE, STANDIN_RESTORING, STANDIN_STANDBY };

struct standin_db {
        char *name;
        char *path; /* NULL: none */
        int id;
        enum standin_db_state state;
        char created[STANDIN_TIME_MAX];
        char family[IDENT_UUID_SIZE];
        char fork[IDENT_UUID_SIZE];
        int64_t lsn;                /* where the log ends */
        int64_t base_lsn;           /* checkpoint of the last full backup that is not copy-only; 0: none */
        char base[IDENT_UUID_SIZE]; /* and its backup set */
        int64_t log_lsn;            /* where the next log backup begins; 0: there is no chain */
};

/* A backup set and its media. */
struct standin_backup {
        uint32_t id; /* from 1 */
        char type;   /* 'D', 'I', 'L' */
        bool copy_only;
        bool checksums;
        bool begins_chain; /* of log backups */
        char *database;
        char *name; /* NULL: not said, as the three below */
        char *description;
        char *media_name;
        char *media_description;
        char *user;
        char database_created[STANDIN_TIME_MAX];
        char started[STANDIN_TIME_MAX];
        char finished[STANDIN_TIME_MAX];
        char uuid[IDENT_UUID_SIZE];
        char media[IDENT_UUID_SIZE];
        char family[IDENT_UUID_SIZE];
        char fork[IDENT_UUID_SIZE];
        int64_t first_lsn;
        int64_t last_lsn;
        int64_t checkpoint_lsn;
        int64_t database_lsn; /* checkpoint of the full backup before it; 0: none */
        int64_t base_lsn;     /* of a differential */
        char base[IDENT_UUID_SIZE];
        uint64_t size;
        uint32_t block_size;
        char *devices[VDS_DEVICES_MAX];
        uint32_t device_count;
};

struct standin_restore {
        uint32_t id; /* from 1 */
        char *database;
        char *user;
        char type; /* 'D', 'I', 'L'; 'V' for VERIFYONLY */
        bool replaced;
        bool recovered;
        char date[STANDIN_TIME_MAX];
};

/* A session, and what its statement does. */
struct standin_activity {
        int session_id;
        char *user;
        char *host;
        char *application;
        char *database;
        char login_time[STANDIN_TIME_MAX];
        bool is_running;
        char *text;       /* of the statement; NULL: none */
        char command[32]; /* "BACKUP DATABASE" */
        char started[STANDIN_TIME_MAX];
        int64_t started_ns; /* CLOCK_MONOTONIC */
        double percent;
        const char *wait_type; /* NULL: it does not wait. Static */
        int blocked_by;
        struct standin_activity *next;
};

struct standin_state {
        pthread_mutex_t lock; /* guards all that follows */
        struct standin_db *databases;
        size_t database_count;
        struct standin_backup *backups; /* oldest first */
        size_t backup_count;
        uint32_t last_backup_id;
        struct standin_restore *restores;
        size_t restore_count;
        uint32_t last_restore_id;
        struct standin_activity *activities;
        bool full_recovery; /* the recovery model of all databases is FULL, else SIMPLE */
};

void standin_state_init(struct standin_state *state);
void standin_state_deinit(struct standin_state *state);

/* "2026-11-21 15:30:00.123", local time. */
void standin_now(char text[STANDIN_TIME_MAX]);

/* ---- databases ---- */

/* The id of one of the four that SQL Server itself has; 0: none of them. Letter case does not matter. */
int standin_system_database(const char *name);

/* Lists a database; one of that name gets the path. -1: memory is short, or there are too many. */
int standin_add_database(struct standin_state *state, const char *name, const char *path);

/* A copy of what is known: *ret_name and *ret_path are allocated (path: NULL when it has none). False: there is none
 * (or memory is short). The last two may be NULL. */
bool standin_find_database(struct standin_state *state, const char *name, char **ret_name, char **ret_path,
                           enum standin_db_state *ret_state);

/* ---- history ---- */

/* Why a statement's backup has nothing to go on: MESSAGE_DIFFERENTIAL, MESSAGE_NO_LOG_CHAIN, MESSAGE_RESTORING;
 * MESSAGE_COUNT: nothing is in its way. */
enum server_message_id standin_check_sequence(struct standin_state *state, const struct statement *statement);

struct standin_deed {
        const struct statement *statement;
        const char *user;
        const char *path; /* of a restored database; NULL: none */
        char started[STANDIN_TIME_MAX];
        uint64_t size; /* bytes moved */
};

/* Records what has succeeded. Memory that is short leaves it out. */
void standin_record_backup(struct standin_state *state, const struct standin_deed *deed);
void standin_record_restore(struct standin_state *state, const struct standin_deed *deed);

/* ---- sessions ---- */

/* Takes the lowest free id and lists the activity, which belongs to the caller. */
void standin_list_activity(struct standin_state *state, struct standin_activity *activity);
/* Takes it off the list and frees its texts. */
void standin_unlist_activity(struct standin_state *state, struct standin_activity *activity);

/* A statement begins; `text` is copied. */
void standin_begin_activity(struct standin_state *state, struct standin_activity *activity, const char *command,
                            const char *text);
void standin_end_activity(struct standin_state *state, struct standin_activity *activity);
void standin_set_wait(struct standin_state *state, struct standin_activity *activity, const char *wait_type,
                      int blocked_by);
void standin_set_percent(struct standin_state *state, struct standin_activity *activity, double percent);
/* The session's database; `name` is copied. */
void standin_set_database(struct standin_state *state, struct standin_activity *activity, const char *name);

/* Whether another session than `own` uses the database. */
bool standin_database_in_use(struct standin_state *state, const char *name, const struct standin_activity *own);
