/*
 * row.h - rows of FreeTDS as text; for mssql.c only
 */
#pragma once

#include "core/mssql/mssql.h"
#include "core/mssql/dblib.h"

/* Hands every row of the current result to events->row, which is set. 0, or -1 when memory is short. A row that the
 * connection could not deliver ends the result; whoever looks at the connection next sees why. */
int mssql_rows(DBPROCESS *process, const struct mssql_events *events, struct error *err);
