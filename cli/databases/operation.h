/*
 * operation.h - a backup or restore of a database: what is the same for every kind of server, and the row in which each
 * kind does it in its own way
 *
 *   operation_run: all that comes before and after the command's own work
 *
 * From the main thread.
 */
#pragma once

#include "cli/args.h"
#include "cli/databases/database.h"
#include "cli/media/inputs.h"
#include "cli/options.h"
#include "cli/run/member.h"
#include "cli/run/server_process.h"
#include "core/mssql/mssql.h"

struct operation;

struct operation_kind {
        bool logs_in;                /* over TDS: --run-as and the options of the login are for such servers */
        struct member_server server; /* its side of the set; the part is made by begin_backup and run_restore */

        /* Checks the options before anything is started, and says what kind of backup it is to be. */
        int (*check_backup)(struct operation *operation, struct error *err);
        /* The outputs are open: chooses the server, names the devices, and says what to tell it. */
        int (*begin_backup)(struct operation *operation, struct error *err);

        /* Checks the options before anything is started. */
        int (*check_restore)(struct operation *operation, struct error *err);
        /* The inputs are open: whether they can become that database. */
        int (*check_target)(struct operation *operation, struct error *err);
        /* For --dry-run: says what would be done. */
        int (*show_restore)(struct operation *operation, struct error *err);
        /* Does it. Keys are forgotten (coding_forget()) once the streams need not be opened again. */
        int (*run_restore)(struct operation *operation, struct error *err);
};

struct operation {
        const struct args *args;
        bool restores;
        const struct operation_kind *kind; /* NULL until the database is known */
        struct database database;
        struct mssql_login login;
        struct server_process server_process; /* for the embedded server, if it may be needed */
        struct member member;
        struct inputs inputs; /* of a restore */

        /* of a backup */
        const char *type;       /* "full", "diff", "log" */
        const char *label;      /* NULL: none */
        char type_in_words[64]; /* " (full, copy-only)", for the summary; "" */
};

extern const struct operation_kind operation_sqlite;
extern const struct operation_kind operation_mssql;

/* Tables of the two commands. */
extern const struct opt_spec options_backup_sqlite[];
extern const struct opt_spec options_backup_mssql[];
extern const struct opt_spec options_restore_sqlite[];
extern const struct opt_spec options_restore_mssql[];

/* Finds what is wrong, and asks for what has to be asked for, before anything is started: the database, if an operand
 * names it, what suits it, keys and password. Then runs the command's work with operation->member open, and ends
 * everything. */
int operation_run(const struct args *args, bool restores, int (*work)(struct operation *operation, struct error *err),
                  struct error *err);

/* operation->database is known: its kind of server says whether the options suit it. */
int operation_choose_kind(struct operation *operation, struct error *err);

/* Outputs and inputs are open: becomes the user of --run-as, where the kind of server is one for that. */
int operation_become_user(struct operation *operation, struct error *err);

/* Serves the first `count` inputs by a set of its own, whose devices are named. */
int operation_serve_inputs(struct operation *operation, uint32_t count, struct error *err);
