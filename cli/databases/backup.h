/*
 * backup.h - the backup command: what all servers have in common, and what each does in its own way
 */
#ifndef VDIPIPE_CLI_DATABASES_BACKUP_H
#define VDIPIPE_CLI_DATABASES_BACKUP_H

#include "cli/args.h"
#include "cli/databases/database.h"
#include "cli/run/operation.h"
#include "cli/options.h"
#include "cli/media/outputs.h"
#include "cli/run/run_as.h"
#include "core/mssql/mssql.h"

struct backup;

struct backup_server {
        /* Checks the options before anything is started, and says what kind of backup it is to be. */
        int (*check)(struct backup *backup, struct error *err);
        /* Chooses the operation's server. */
        int (*use)(struct backup *backup, struct error *err);
        /* Configuration has ended: whether the set is as it was meant to be. NULL: it is. */
        int (*joined)(struct backup *backup, struct error *err);
        /* The server has said success: fills backup->report_json. NULL: it has nothing to report. */
        void (*succeeded)(struct backup *backup);
};

struct backup {
        const struct args *args;
        const struct backup_server *server;
        struct database database;
        struct mssql_login login;
        struct operation operation;
        struct outputs outputs;
        struct run_as *run_as; /* NULL: nobody else */
        const char *type;      /* "full", "diff", "log" */
        char kind[64];         /* ", full, copy-only", for the summary; "" */
        const char *label;     /* NULL: none */
        char *report_json;     /* what the server reports, for the streams' ends; NULL: nothing */
};

extern const struct backup_server backup_sqlite;
extern const struct backup_server backup_mssql;

extern const struct opt_spec options_backup_sqlite[];
extern const struct opt_spec options_backup_mssql[];

#endif
