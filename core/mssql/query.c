#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/cleanup.h"
#include "core/mssql/internal.h"

/* The column of that name; "" for NULL. */
static const char *column_text(const struct mssql_row *row, const char *name)
{
        const char *text = mssql_column(row, name);

        return text ? text : "";
}

/* ---- what a session is doing ---- */

static void activity_read(const struct mssql_row *row, void *context)
{
        struct mssql_activity *activity = context;

        activity->found = true;
        snprintf(activity->command, sizeof activity->command, "%s", column_text(row, "command"));
        snprintf(activity->status, sizeof activity->status, "%s", column_text(row, "status"));
        snprintf(activity->wait_type, sizeof activity->wait_type, "%s", column_text(row, "wait_type"));
        activity->percent = strtod(column_text(row, "percent_complete"), NULL);
        activity->blocked_by = (int)strtol(column_text(row, "blocking_session_id"), NULL, 10);
}

int mssql_activity(struct mssql *connection, int session_id, struct mssql_activity *ret_activity, struct error *err)
{
        struct mssql_events events = { .row = activity_read, .context = ret_activity };
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

static void database_list_add(const struct mssql_row *row, void *context)
{
        struct database_list *list = context;
        const char *name = mssql_column(row, "name");
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
                                         .state = strdup(column_text(row, "state_desc")),
                                         .recovery_model = strdup(column_text(row, "recovery_model_desc")) };
        list->failed = !item->name || !item->state || !item->recovery_model;
}

static int database_compare(const void *a, const void *b)
{
        return strcmp(((const struct mssql_database *)a)->name, ((const struct mssql_database *)b)->name);
}

int mssql_databases(struct mssql *connection, struct mssql_database **ret_databases, size_t *ret_count,
                    struct error *err)
{
        struct database_list list = { 0 };
        struct mssql_events events = { .row = database_list_add, .context = &list };
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
                qsort(list.items, list.count, sizeof *list.items, database_compare);
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
