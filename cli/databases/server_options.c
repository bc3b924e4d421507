#include "cli/databases/server_options.h"

#include <string.h>

#include "cli/config.h"

static const struct {
        const char *option;
        const char *kind; /* the only kind of server that has a use for it */
} rows[] = {
        { "max-lock", "sqlite" },
        { "max-wal", "sqlite" },
        { "spool-dir", "sqlite" },
        { "immutable", "sqlite" },
        { "check", "sqlite" },
        { "password-file", "mssql" },
        { "user", "mssql" },
        { "ask-password", "mssql" },
        { "application-name", "mssql" },
        { "password-fd", "mssql" },
        { "encrypt", "mssql" },
        { "login-timeout", "mssql" },
        { "server-timeout", "mssql" },
        { "sqlvdi", "mssql" },
        { "run-as", "mssql" },
        { "copy-only", "mssql" },
        { "no-copy-only", "mssql" },
        { "file", "mssql" },
        { "filegroup", "mssql" },
        { "no-checksum", "mssql" },
        { "description", "mssql" },
        { "sql", "mssql" },
        { "accept-pipe-risk", "mssql" },
        { "recovery", "mssql" },
        { "norecovery", "mssql" },
        { "standby", "mssql" },
        { "move", "mssql" },
        { "move-to", "mssql" },
        { "stop-at", "mssql" },
        { "no-preverify", "mssql" },
        { "verify-only", "mssql" },
        { "header-only", "mssql" },
        { "filelist-only", "mssql" },
        { "label-only", "mssql" },
        { "json", "mssql" },
};

static const char *name_of(const char *kind)
{
        return strcmp(kind, "mssql") == 0 ? "SQL Server" : "SQLite";
}

int server_options_check(const struct args *args, const struct database *database, struct error *err)
{
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                if (strcmp(rows[i].kind, database->kind) == 0)
                        continue;
                if (args_was_given(args, rows[i].option))
                        return error_raise(
                                err, ERR_USAGE, "--%s is for databases of %s, and '%s' is one of %s; leave it out",
                                rows[i].option, name_of(rows[i].kind), database->name, name_of(database->kind));
                if (config_says(args->config, args->database_section, rows[i].option))
                        return error_raise(err, ERR_USAGE,
                                           "section [%s] has '%s', which is for databases of %s; its database is one "
                                           "of %s",
                                           args->database_section, rows[i].option, name_of(rows[i].kind),
                                           name_of(database->kind));
        }
        return 0;
}
