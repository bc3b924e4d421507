/*
 * functions.h - the functions and variables of Transact-SQL, as functions of SQLite
 */
#ifndef VDIPIPE_CORE_STANDIN_FUNCTIONS_H
#define VDIPIPE_CORE_STANDIN_FUNCTIONS_H

#include <sqlite3.h>

#include "core/standin/session.h"

/* Defines those that are known here. Returns an SQLite result code. */
int catalog_define_functions(sqlite3 *db, struct standin_session *session);

/* Whether a query may call the function of that name: those defined here, and what SQLite has in common with T-SQL. */
bool catalog_may_call(const char *name);

/* Whether there is a variable @@name. */
bool catalog_has_global(const char *name);

#endif
