/*
 * list_databases.c - the databases of a SQL Server, for shell loops
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/text/json.h"
#include "cli/text/secrets.h"
#include "cli/message.h"
#include "cli/databases/mssql_login.h"
#include "core/base/cleanup.h"

static const struct opt_spec list_databases_options[] = {
        OPTION_FLAG(MAIN, "null", '0', null_separated, "end each name with a NUL instead of a newline"),
        { .type = OPT_END },
};

struct databases {
        struct mssql_database *items;
        size_t count;
};

static void databases_deinit(struct databases *databases)
{
        mssql_databases_free(databases->items, databases->count);
}

static bool is_online(const struct mssql_database *database)
{
        return strcmp(database->state, "ONLINE") == 0;
}

static int databases_print_json(const struct databases *databases, struct error *err)
{
        json_t *array = json_array();

        for (size_t i = 0; i < databases->count; i++)
                json_array_append_new(array, json_pack("{s:s, s:s, s:s}", "name", databases->items[i].name, "state",
                                                       databases->items[i].state, "recovery_model",
                                                       databases->items[i].recovery_model));
        return json_print(array, stdout, err);
}

/* The bytes of the names, as they are: a shell is to hand them on. */
static int databases_print_names(const struct args *args, const struct databases *databases, struct error *err)
{
        for (size_t i = 0; i < databases->count && !args->null_separated; i++)
                if (strchr(databases->items[i].name, '\n'))
                        return error_raise(err, ERR_USAGE,
                                           "the name of database '%s' holds a newline; separate the names with -0",
                                           databases->items[i].name);
        for (size_t i = 0; i < databases->count; i++) {
                const struct mssql_database *database = &databases->items[i];

                if (!is_online(database)) {
                        message_warning("database '%s' is %s, so it cannot be backed up: left out", database->name,
                                        database->state);
                        continue;
                }
                fputs(database->name, stdout);
                putchar(args->null_separated ? '\0' : '\n');
        }
        return 0;
}

static int databases_ask_server(const struct args *args, const struct mssql_uri *uri, struct databases *databases,
                                struct error *err)
{
        struct mssql *connection = NULL;
        struct mssql_login login;
        int rc = mssql_login_load(args, uri, /* from_stdin= */ false, &login, err);

        if (rc == 0)
                rc = mssql_open(&login, /* events= */ NULL, &connection, err);
        secrets_forget(&login.password);
        if (rc == 0)
                rc = mssql_databases(connection, &databases->items, &databases->count, err);
        mssql_close(connection);
        return rc;
}

static int run_list_databases(const struct args *args, struct error *err)
{
        CLEANUP(databases_deinit) struct databases databases = { 0 };
        CLEANUP(mssql_uri_deinit) struct mssql_uri uri = { 0 };

        if (args->operands.count != 1)
                return error_raise(err, ERR_USAGE, "which server? Write mssql://[USER@]HOST[:PORT]");
        if (mssql_uri_parse(args->operands.items[0], &uri, err) < 0)
                return -1;
        if (uri.database)
                return error_raise(err, ERR_USAGE, "'%s' is one database; leave it out of the URI", uri.database);
        if (databases_ask_server(args, &uri, &databases, err) < 0)
                return -1;
        return args->json ? databases_print_json(&databases, err) : databases_print_names(args, &databases, err);
}

const struct command command_list_databases = {
        .name = "list-databases",
        .topic = TOPIC_MSSQL,
        .operands = "[-0 | --json] mssql://[USER@]HOST[:PORT]",
        .summary = "list the databases of a SQL Server",
        .text = "Prints the names of the databases that can be backed up, one a line, for a shell loop: all that are "
                "online but tempdb. Of the others a warning tells. With --json it is an array of all, with state and "
                "recovery model.",
        .example = "  vdipipe list-databases mssql://sa@localhost --password-file sa.txt\n"
                   "  vdipipe list-databases -0 mssql://localhost |\n"
                   "      while IFS= read -r -d '' db; do ...; done\n"
                   "  vdipipe list-databases --json mssql://localhost |\n"
                   "      jq -r '.[] | select(.recovery_model == \"FULL\") | .name'\n",
        .options = OPTION_TABLES(list_databases_options, options_json, options_mssql_login, options_common),
        .operands_max = 1,
        .run = run_list_databases,
};
