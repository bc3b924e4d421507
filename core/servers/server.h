/*
 * server.h - databases that speak the server side of a device set
 *
 * The client process describes the work in a struct server_job, starts a child of its own executable, and hands the job
 * over as JSON; the child calls server_run(), which joins the set, does the work and states the verdict. What goes
 * wrong reaches the client as the verdict's text; the child's exit status only tells that it ended.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/tsql/options.h"
#include "core/vds/vds.h"

enum server_verb {
        SERVER_BACKUP,
        SERVER_RESTORE,
        SERVER_VERIFYONLY,   /* read everything, restore nothing */
        SERVER_HEADERONLY,   /* results: the backup sets */
        SERVER_FILELISTONLY, /* results: the files in a backup set */
        SERVER_LABELONLY,    /* results: the medium */
        SERVER_VERBS,
};

/* What a restore may do to an existing target. */
enum server_replace {
        SERVER_REPLACE_NO,       /* refuse */
        SERVER_REPLACE_IN_PLACE, /* in one transaction of the database */
        SERVER_REPLACE_ASIDE,    /* rename the old one away first */
};

enum server_check {
        SERVER_CHECK_NONE,
        SERVER_CHECK_QUICK,
        SERVER_CHECK_FULL,
};

struct server_events;
struct server_job;
struct server_message;
struct server_side;
struct statement;

/* A kind of server: what can be done with its databases. */
struct server_kind {
        const char *name; /* "sqlite" */

        /* Each verb does its work on a joined side. `note` is one line for the user, or "". */
        int (*run[SERVER_VERBS])(struct server_side *side, char note[ERROR_MESSAGE_MAX], struct error *err);

        /* Removes what killed restores left beside a database. */
        void (*sweep)(const char *database);
};

/* The part of the database image that one device carries, bytes. */
struct server_part {
        uint64_t offset;
        uint64_t length;
};

struct server_job {
        enum server_verb verb;
        char *kind;                     /* of server: "sqlite" */
        char *database;                 /* absolute path; NULL where the verb has none */
        char *shown_database;           /* as the statement names it; NULL: the path is its name */
        char *logical_name;             /* of its file; NULL: the last part of the path */
        char *set_name;                 /* also the first device's name */
        char *devices[VDS_DEVICES_MAX]; /* names in clause order */
        uint32_t device_count;

        uint32_t block_size;   /* 0: the server's choice */
        uint32_t buffer_count; /* 0: the server's choice */
        uint32_t max_transfer; /* bytes, 0: the server's choice */

        bool checksum;     /* WITH CHECKSUM. Backup: check the content before anything is sent */
        bool overwrite;    /* backup: begin the medium anew; else append, where a medium holds several sets */
        uint32_t file;     /* position of the set on the medium, from 1; 0: not said */
        uint32_t stats;    /* percent between two messages of progress; 0: none */
        char *backup_name; /* backup: these describe set and medium for the client to record; NULL: not said */
        char *description;
        char *media_name;
        char *media_description;

        uid_t as_uid;  /* the user whose rights the server takes before it looks at the database; 0: its own, or ... */
        bool as_owner; /* ... those of whoever is the owner by then */

        int64_t open_wait_ms;    /* how long the set may take to appear */
        bool client_is_parent;   /* the process that started this one is the client: when it is gone, so is the set */
        int64_t busy_timeout_ms; /* how long to wait for somebody else's lock */
        int64_t max_lock_ms;     /* backup: a read lock that keeps writers out is held no longer; negative: no limit */
        uint64_t max_wal;        /* backup: bytes the log may grow to before the rest is spooled; 0: warn at 1 GiB */
        char *spool_dir;         /* backup: NULL: beside the database. VERIFYONLY: where the set is checked */
        bool immutable;          /* backup: the caller swears that nobody writes, so no locks and no -shm are needed */

        enum server_replace replace;               /* restore */
        enum server_check check;                   /* restore */
        bool has_parts;                            /* restore: `parts` is known; of several devices it has to be */
        struct server_part parts[VDS_DEVICES_MAX]; /* restore: of each device; all zero where it is not known */
        bool has_owner;                            /* restore: the three below are to be applied, as far as permitted */
        uid_t uid;
        gid_t gid;
        mode_t mode;
};

/* Frees what the job's fields point to; the struct itself is the caller's. */
void server_job_deinit(struct server_job *job);

/* The job as JSON, allocated (free()): its statement, and beside it what the language has no words for. Strings that
 * are not UTF-8 survive. */
int server_job_encode(const struct server_job *job, char **ret_json, struct error *err);
int server_job_decode(const char *json, struct server_job *ret_job, struct error *err);

/* The statement's verb that the job's stands for. */
enum statement_verb server_statement_verb(enum server_verb verb);

/* The job's statement, allocated; NULL when memory is short. */
char *server_job_statement(const struct server_job *job);

/* Sets what a statement says in a zeroed job; job->database is still the statement's name for it. Returns 0, or -1 with
 * *message filled when the statement is one that cannot be done. In both cases call server_job_deinit(). */
int server_job_from_statement(struct server_job *job, const struct statement *statement,
                              struct server_message *message);

/* Once job->database is a path: puts the file where the statement's MOVE says. The path is as the statement has it. */
int server_job_move(struct server_job *job, const struct statement *statement, struct server_message *message);

/* The file's logical name: the last part of the path that the database's name stands for. */
const char *server_job_logical_name(const struct server_job *job);

/* Does the whole job of that kind of server on the calling thread (and threads of its own): joins the set, configures
 * it, moves the data, states the verdict, closes. `events` (may be NULL) hears of it. Returns 0, or -1 with `err`
 * holding what the verdict said. */
int server_run(const struct server_kind *kind, const struct server_job *job, const struct vds_options *options,
               const struct server_events *events, struct error *err);

/* Removes what killed runs of such a job left beside the database: temporary files that no living process has locked.
 * Called by the client when its server died, and by every run before it begins. Never fails; a file it may not remove
 * stays. */
void server_sweep(const struct server_kind *kind, const struct server_job *job);

/* The verdict's text: what server_run() sends and the client reads. */
struct server_report {
        enum err_code code;              /* ERR_NONE with a success */
        char message[ERROR_MESSAGE_MAX]; /* the failure in one line; "" with a success */
        char note[ERROR_MESSAGE_MAX];    /* something the user should know all the same: "" or one line */
};

/* Reads a verdict's text; one that is not ours yields ERR_FAILED and its words. */
void server_report_decode(const char *text, struct server_report *ret_report);

enum { SERVER_VERSION_MAX = 256, SERVER_WORDS_MAX = 512, SERVER_ORIGIN_MAX = 1024 };

/* What the server says of the database before the data flows (vds_client_server_info). */
struct server_info {
        char kind[32];                    /* "sqlite" */
        char version[SERVER_VERSION_MAX]; /* of the database library; of a SQL Server the first line of @@VERSION */
        uint32_t page_size;               /* bytes; 0 for an empty database */
        uint64_t size;                    /* bytes of the image; unknown to a restore: 0 */
        uint32_t part_count;              /* 0 for a restore */
        struct server_part parts[VDS_DEVICES_MAX]; /* backup: what each device will carry */
        uid_t uid;                                 /* backup: of the database file */
        gid_t gid;
        mode_t mode;                        /* permission bits */
        char origin[SERVER_ORIGIN_MAX];     /* backup: path of the database; "": not said, or too long to say */
        char backup_name[SERVER_WORDS_MAX]; /* the four of the job, printable; "": not said */
        char description[SERVER_WORDS_MAX];
        char media_name[SERVER_WORDS_MAX];
        char media_description[SERVER_WORDS_MAX];
};

int server_info_decode(const char *text, struct server_info *ret_info, struct error *err);
