#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/cleanup.h"
#include "core/mssql/internal.h"

const char *mssql_column(const char *const *names, const struct mssql_value *values, size_t count, const char *name)
{
        for (size_t i = 0; i < count; i++)
                if (strcasecmp(names[i], name) == 0)
                        return values[i].text;
        return NULL;
}

/* ---- what a session is doing ---- */

static void keep_text(char *place, size_t size, const char *text)
{
        snprintf(place, size, "%s", text ? text : "");
}

static void read_activity(const char *const *names, const struct mssql_value *values, size_t count, void *context)
{
        struct mssql_activity *activity = context;
        const char *percent = mssql_column(names, values, count, "percent_complete");
        const char *blocker = mssql_column(names, values, count, "blocking_session_id");

        activity->found = true;
        keep_text(activity->command, sizeof activity->command, mssql_column(names, values, count, "command"));
        keep_text(activity->status, sizeof activity->status, mssql_column(names, values, count, "status"));
        keep_text(activity->wait_type, sizeof activity->wait_type, mssql_column(names, values, count, "wait_type"));
        activity->percent = percent ? strtod(percent, NULL) : 0;
        activity->blocked_by = blocker ? (int)strtol(blocker, NULL, 10) : 0;
}

int mssql_activity(struct mssql *connection, int session_id, struct mssql_activity *ret_activity, struct error *err)
{
        struct mssql_events events = { .row = read_activity, .context = ret_activity };
        char sql[256];

        *ret_activity = (struct mssql_activity){ 0 };
        snprintf(sql, sizeof sql,
                 "SELECT command, status, wait_type, percent_complete, blocking_session_id "
                 "FROM sys.dm_exec_requests WHERE session_id = %d",
                 session_id);
        return mssql_execute(connection, sql, MSSQL_QUERY_TIMEOUT_MS, &events, err);
}

/* ---- databases ---- */

struct database_list {
        struct mssql_database *items;
        size_t count;
        bool failed; /* memory was short */
};

static void add_database(const char *const *names, const struct mssql_value *values, size_t count, void *context)
{
        struct database_list *list = context;
        const char *name = mssql_column(names, values, count, "name");
        const char *state = mssql_column(names, values, count, "state_desc");
        const char *model = mssql_column(names, values, count, "recovery_model_desc");
        struct mssql_database *items;
        struct mssql_database *item;

        if (list->failed || !name || strcasecmp(name, "tempdb") == 0)
                return;
        items = reallocarray(list->items, list->count + 1, sizeof *items);
        list->failed = !items;
        if (!items)
                return;
        list->items = items;
        item = &items[list->count++];
        *item = (struct mssql_database){ .name = strdup(name),
                                         .state = strdup(state ? state : ""),
                                         .recovery_model = strdup(model ? model : "") };
        list->failed = !item->name || !item->state || !item->recovery_model;
}

static int compare_databases(const void *a, const void *b)
{
        return strcmp(((const struct mssql_database *)a)->name, ((const struct mssql_database *)b)->name);
}

int mssql_databases(struct mssql *connection, struct mssql_database **ret_databases, size_t *ret_count,
                    struct error *err)
{
        struct database_list list = { 0 };
        struct mssql_events events = { .row = add_database, .context = &list };
        int rc = mssql_execute(
                connection,
                "SELECT name, state_desc, recovery_model_desc FROM sys.databases WHERE source_database_id IS NULL",
                MSSQL_QUERY_TIMEOUT_MS, &events, err);

        if (rc == 0 && list.failed)
                rc = error_no_memory(err);
        if (rc < 0) {
                mssql_databases_free(list.items, list.count);
                return -1;
        }
        if (list.count > 1)
                qsort(list.items, list.count, sizeof *list.items, compare_databases);
        *ret_databases = list.items;
        *ret_count = list.count;
        return 0;
}

void mssql_databases_free(struct mssql_database *databases, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                free(databases[i].name);
                free(databases[i].state);
                free(databases[i].recovery_model);
        }
        free(databases);
}
