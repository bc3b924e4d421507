/*
 * catalog.h - what a stand-in SQL Server knows, as tables that a SELECT can be run on
 *
 * Every SELECT gets a database of its own in memory, filled from the state; nothing but reading its tables is allowed,
 * and time and size are bounded.
 */
#ifndef VDIPIPE_CORE_STANDIN_CATALOG_H
#define VDIPIPE_CORE_STANDIN_CATALOG_H

#include <sqlite3.h>
#include <stdint.h>

#include "core/standin/internal.h"

/* Runs a rewritten SELECT and sends its rows, or a message. 0, or -1 when it failed. *ret_rows counts the rows. */
int catalog_answer(struct standin_session *session, const struct batch_statement *statement, const char *sql,
                   const struct tds_request *request, int64_t *ret_rows);

/* ---- tables.c ---- */

/* Makes the tables and fills them. Returns an SQLite result code. */
int catalog_fill(sqlite3 *db, struct standin_session *session);

/* What a table shows; CATALOG_NO_TABLE: there is none of that name. */
enum catalog_table { CATALOG_NO_TABLE, CATALOG_PLAIN, CATALOG_HISTORY, CATALOG_STATE };
enum catalog_table catalog_find_table(const char *name);

/* ---- functions.c ---- */

/* Defines the functions and variables of Transact-SQL that are known here. Returns an SQLite result code. */
int catalog_define_functions(sqlite3 *db, struct standin_session *session);

/* Whether a query may call the function of that name: those defined here, and what SQLite has in common with T-SQL. */
bool catalog_may_call(const char *name);

#endif
