/*
 * tables.h - the system views and tables of history, as tables of SQLite
 */
#pragma once

#include <sqlite3.h>

#include "core/standin/session.h"

/* Makes the tables and fills them with what is known now. Returns an SQLite result code. */
int catalog_fill(sqlite3 *db, struct standin_session *session);

/* What a table shows, and whose it is. */
enum catalog_table {
        CATALOG_NO_TABLE, /* there is none of that name */
        CATALOG_SYS,      /* sys.NAME */
        CATALOG_STATE,    /* sys.NAME, of what runs now */
        CATALOG_HISTORY,  /* msdb.dbo.NAME */
        CATALOG_OLD,      /* NAME in every database */
};
enum catalog_table catalog_find_table(const char *name);
