/*
 * backup_sqlite.c - the embedded SQLite server's part in a backup
 */
#include <stdlib.h>
#include <string.h>

#include "cli/databases/backup.h"
#include "cli/databases/operation_sqlite.h"
#include "core/mssql/statement.h"

const struct opt_spec options_backup_sqlite[] = {
        OPTION_SIZE(SQLITE, "max-wal", max_wal, 1, INT64_MAX,
                    "spool the rest once the log has grown to SIZE (default: warn at 1G)"),
        OPTION_STRING(SQLITE, "spool-dir", 0, "FOLDER", spool_dir, "where to spool (default: beside the database)"),
        OPTION_FLAG(SQLITE, "immutable", 0, immutable, "read without locks; only for a database that nobody writes to"),
        { .type = OPT_END },
};

static int check(struct backup *backup, struct error *err)
{
        if (backup->args->type > MSSQL_FULL && args_was_given(backup->args, "type"))
                return error_raise(err, ERR_USAGE, "a SQLite database has no %s backups; leave --type out",
                                   mssql_backup_type_name((enum mssql_backup_type)backup->args->type));
        backup->type = "full";
        return 0;
}

static int use(struct backup *backup, struct error *err)
{
        const struct args *args = backup->args;
        struct server_job *job;

        if (operation_use_sqlite(&backup->operation, backup->database.path, (uint32_t)args->devices, &job, err) < 0)
                return -1;
        job->verb = SERVER_BACKUP;
        job->max_lock_ms = args->max_lock_ms;
        job->max_wal = (uint64_t)args->max_wal;
        job->immutable = args->immutable;
        job->checksum = args->checksum;
        if (args->label) {
                job->backup_name = strdup(args->label);
                if (!job->backup_name)
                        return error_no_memory(err);
        }
        return args->spool_dir ? args_find_folder("spool-dir", args->spool_dir, &job->spool_dir, err) : 0;
}

static int joined(struct backup *backup, struct error *err)
{
        if (backup->operation.info.part_count == backup->operation.device_count)
                return 0;
        return error_raise(err, ERR_PROTOCOL, "the server speaks of %u devices, not %u",
                           backup->operation.info.part_count, backup->operation.device_count);
}

const struct backup_server backup_sqlite = { .check = check, .use = use, .joined = joined };
