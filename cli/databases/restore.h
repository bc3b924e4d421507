/*
 * restore.h - the restore command: what all servers have in common, and what each does in its own way
 */
#ifndef VDIPIPE_CLI_DATABASES_RESTORE_H
#define VDIPIPE_CLI_DATABASES_RESTORE_H

#include "cli/args.h"
#include "cli/databases/database.h"
#include "cli/media/inputs.h"
#include "cli/run/operation.h"
#include "cli/options.h"
#include "cli/run/run_as.h"
#include "core/mssql/mssql.h"

struct restore;

struct restore_server {
        /* Checks the options before anything is started. */
        int (*check)(struct restore *restore, struct error *err);
        /* The inputs are open: whether they can become that database. */
        int (*check_target)(struct restore *restore, struct error *err);
        /* For --dry-run: says what would be done. */
        int (*show_plan)(struct restore *restore, struct error *err);
        /* Does it. Keys are forgotten (coding_forget()) once the streams need not be opened again. */
        int (*run)(struct restore *restore, struct error *err);
};

struct restore {
        const struct args *args;
        const struct restore_server *server; /* NULL until the database is known */
        struct database database;
        struct mssql_login login;
        struct operation operation;
        struct inputs inputs;
        struct run_as *run_as; /* NULL: nobody else */
};

extern const struct restore_server restore_sqlite;
extern const struct restore_server restore_mssql;

extern const struct opt_spec options_restore_sqlite[];
extern const struct opt_spec options_restore_mssql[];

/* Serves the first `count` inputs to the operation's server, and waits for its verdict. */
int restore_transfer(struct restore *restore, uint32_t count, struct error *err);

/* ": 23.9 MB in 0.1 s", for summaries. */
void restore_amount(const struct restore *restore, char text[64]);

#endif
