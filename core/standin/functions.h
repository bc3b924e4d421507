/*
 * functions.h - the functions and variables of Transact-SQL, as functions of SQLite
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>

/* Defines those that are known here. Most of them are a SELECT on the catalog's tables: *trusted, which outlives the
 * database, is true while one of these is prepared, for the authorizer to know. Returns an SQLite result code. */
int catalog_define_functions(sqlite3 *db, bool *trusted);

/* Whether a query may call the function of that name: those defined here, and what SQLite has in common with T-SQL. */
bool catalog_may_call(const char *name);
