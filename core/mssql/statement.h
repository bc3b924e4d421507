/*
 * statement.h - BACKUP and RESTORE statements for a SQL Server
 *
 * Builds text only; names are quoted whatever they contain. Strings are borrowed from the caller.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/tsql/statement.h"

enum mssql_backup_type { MSSQL_FULL, MSSQL_DIFF, MSSQL_LOG };

/* "full", "diff", "log". Static. */
const char *mssql_backup_type_name(enum mssql_backup_type type);

/* The set that a statement names. */
struct mssql_devices {
        const char *const *names; /* in clause order; the first is the set's */
        uint32_t count;
        uint32_t block_size; /* bytes; here and below 0: not said */
        uint32_t buffer_count;
        uint32_t max_transfer; /* bytes */
};

/* What of a database. */
struct mssql_target {
        const char *database;
        const char *const *files; /* logical names; FILE = ... */
        size_t file_count;
        const char *const *filegroups;
        size_t filegroup_count;
};

struct mssql_backup {
        enum mssql_backup_type type;
        struct mssql_target target;
        const char *name; /* NULL: not said */
        const char *description;
        bool checksum;
        bool copy_only;   /* of full and log */
        bool no_truncate; /* of log: the tail of a damaged database */
        bool norecovery;  /* of log: the database is left restoring */
        uint32_t stats;   /* percent */
};

enum mssql_recovery { MSSQL_RECOVERY, MSSQL_NORECOVERY, MSSQL_STANDBY };

struct mssql_move {
        const char *logical;
        const char *path;
};

struct mssql_restore {
        enum statement_verb verb;   /* a RESTORE one */
        struct mssql_target target; /* empty where the verb has none */
        enum mssql_recovery recovery;
        const char *standby; /* its file */
        const struct mssql_move *moves;
        size_t move_count;
        bool replace;
        bool checksum;
        const char *stop_at; /* 'YYYY-MM-DDThh:mm:ss', checked by the caller; NULL: not said */
        uint32_t stats;
};

/* The statement, allocated; NULL when memory is short. */
char *mssql_backup_statement(const struct mssql_backup *backup, const struct mssql_devices *devices);
char *mssql_restore_statement(const struct mssql_restore *restore, const struct mssql_devices *devices);

/* The administrator's own statement with {devices} replaced by VIRTUAL_DEVICE = N'...', ...; ERR_USAGE when it has not
 * exactly one. Text in quotes, brackets and comments is left alone. Allocated. */
int mssql_expand_statement(const char *sql, const struct mssql_devices *devices, char **ret_sql, struct error *err);
