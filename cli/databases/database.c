#include "cli/databases/database.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/config.h"
#include "cli/message.h"
#include "core/base/cleanup.h"
#include "core/base/rights.h"
#include "core/sqlite/format.h"

/* What other servers will be called, so that nobody gets a file of that name instead. */
static const char *const foreign_prefixes[] = { "mssql:", "@" };

static int database_refuse_foreign(const char *text, struct error *err)
{
        for (size_t i = 0; i < sizeof foreign_prefixes / sizeof foreign_prefixes[0]; i++)
                if (strncmp(text, foreign_prefixes[i], strlen(foreign_prefixes[i])) == 0)
                        return error_raise(err, ERR_USAGE,
                                           "'%s' is no SQLite database file; give a path (./%s if that is its name)",
                                           text, text);
        return 0;
}

static int database_parse_uri(const char *text, struct database *ret_database, struct error *err)
{
        struct database database = { .kind = "mssql" };

        if (mssql_uri_parse(text, &database.uri, err) < 0) {
                database_deinit(&database);
                return -1;
        }
        database.name = strdup(database.uri.database ? database.uri.database : database.uri.host);
        database.origin = strdup(text);
        *ret_database = database;
        return database.name && database.origin ? 0 : error_no_memory(err);
}

int database_parse(const char *text, struct database *ret_database, struct error *err)
{
        return mssql_uri_is(text) ? database_parse_uri(text, ret_database, err)
                                  : database_parse_file(text, ret_database, err);
}

int database_parse_file(const char *text, struct database *ret_database, struct error *err)
{
        static const char prefix[] = "sqlite:";
        CLEANUP(freep) char *folder = NULL;
        CLEANUP(freep) char *real = NULL;
        CLEANUP(freep) char *name = NULL;
        const char *path = text;
        const char *slash;
        char *full;

        if (database_refuse_foreign(text, err) < 0)
                return -1;
        if (strncmp(text, prefix, sizeof prefix - 1) == 0)
                path = text + sizeof prefix - 1;
        slash = strrchr(path, '/');
        name = strdup(slash ? slash + 1 : path);
        if (!slash)
                folder = strdup(".");
        else
                folder = slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
        if (!name || !folder)
                return error_no_memory(err);
        if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return error_raise(err, ERR_USAGE, "'%s' names no file", text);
        real = realpath(folder, NULL);
        if (!real) {
                int cause = errno;

                error_raise_errno(err, cause, "folder '%s' of '%s'", folder, name);
                if (err)
                        err->code = ERR_USAGE;
                return -1;
        }
        if (asprintf(&full, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name) < 0)
                return error_no_memory(err);
        *ret_database = (struct database){ .kind = "sqlite", .path = full, .name = take_ptr(&name) };
        if (geteuid() == 0 && rights_find_owner(path, &ret_database->owner) < 0)
                return error_raise_errno(err, errno, "finding the owner of '%s'", path);
        ret_database->origin = strdup(full);
        return ret_database->origin ? 0 : error_no_memory(err);
}

int database_find_section(const struct config *config, const char *text, const char **ret_section, struct error *err)
{
        const char *name = text[0] == '@' ? text + 1 : text;

        *ret_section = NULL;
        if (text[0] == '@' && !config_has(config, name))
                return error_raise(err, ERR_USAGE, "there is no section [%s] in the configuration; files read: %s",
                                   name, config_files(config));
        if (!config_has(config, name) || (name == text && database_exists(text)))
                return 0;
        if (!config_database(config, name))
                return error_raise(err, ERR_USAGE, "section [%s] names no database; add to it: database = /PATH", name);
        *ret_section = name;
        return 0;
}

int database_from_args(const struct args *args, struct database *ret_database, struct error *err)
{
        const char *text = args->operands.items[0];
        const char *section = args->database_section;

        if (section) {
                text = config_database(args->config, section);
                message_verbose("[%s] of the configuration is taken: database '%s'", section, text);
        } else if (config_has(args->config, text)) {
                message_verbose("file '%s' is taken; for section [%s] of the configuration give @%s", text, text, text);
        }
        return database_parse(text, ret_database, err);
}

void database_deinit(struct database *database)
{
        free(database->path);
        free(database->name);
        free(database->origin);
        mssql_uri_deinit(&database->uri);
        memset(database, 0, sizeof *database);
}

bool database_exists(const char *path)
{
        struct stat st;

        for (enum format_file i = FORMAT_DATABASE; i < FORMAT_FILES; i++) {
                CLEANUP(freep) char *file = format_file_path(path, i);

                if (file && lstat(file, &st) == 0)
                        return true;
        }
        return false;
}
