/*
 * internal.h - what the files of the SQL Server client know of each other
 */
#ifndef VDIPIPE_CORE_MSSQL_INTERNAL_H
#define VDIPIPE_CORE_MSSQL_INTERNAL_H

#include "core/mssql/mssql.h"

/* Forgets a cancellation that came too late to end anything. False when the server was asked to stop what it did, and
 * did not in time. For a connection at rest. */
bool mssql_settle(struct mssql *connection);

/* The text of the column `name`, "" for NULL; NULL when there is no such column. */
const char *mssql_column(const char *const *names, const struct mssql_value *values, size_t count, const char *name);

enum { MSSQL_QUERY_TIMEOUT_MS = 30000 }; /* of questions that take a server no time */

#endif
