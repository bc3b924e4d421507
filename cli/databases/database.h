/*
 * database.h - what a DB argument names: a SQLite file, or a database of a SQL Server
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cli/args.h"
#include "core/base/error.h"
#include "core/mssql/mssql.h"

struct database {
        const char *kind;     /* "sqlite", "mssql" */
        char *path;           /* sqlite: absolute; its folder exists and has no symbolic links in it; owned */
        char *name;           /* for people: last part of the path, or the database's name at its server; owned */
        uid_t owner;          /* sqlite, as root: who may put another file there than root would expect; 0: nobody */
        char *origin;         /* what a backup's header calls it: the path or the URI; owned */
        struct mssql_uri uri; /* mssql; its database may be NULL */
};

/* A path, "sqlite:PATH", or "mssql://[user@]host[:port]/DATABASE". Of a path only the folder has to exist. */
int database_parse(const char *text, struct database *ret_database, struct error *err);

/* The same, but only a file. */
int database_parse_file(const char *text, struct database *ret_database, struct error *err);

static inline bool database_is_mssql(const struct database *database)
{
        return database->uri.host != NULL;
}

/* The section of the configuration that `text` names: with "@name" always, with a bare name when there is such a
 * section and no such file. NULL: none, it is a path. ERR_USAGE when there is no section of that name, or when it names
 * no database. *ret_section points into `text`. */
int database_find_section(const struct config *config, const char *text, const char **ret_section, struct error *err);

/* What the first operand names, by way of args->database_section. */
int database_from_args(const struct args *args, struct database *ret_database, struct error *err);

void database_deinit(struct database *database);

/* Whether the file, or one of the siblings that SQLite would take for part of it, exists. */
bool database_exists(const char *path);
