/*
 * internal.h - what the files of the SQL Server client know of each other
 */
#pragma once

#include "core/mssql/mssql.h"

struct mssql {
        void *process; /* the library's */
        int session_id;
        bool is_stand_in;
        bool given_up; /* the last batch did not stop when it was asked to */
        char version[256];
        const atomic_bool *end;
        atomic_bool cancel;
        atomic_llong cancel_grace_ms;
};

/* Forgets a cancellation that came too late to end anything. False when the server was asked to stop what it did, and
 * did not in time. For a connection at rest. */
bool mssql_settle(struct mssql *connection);

/* The text of the column `name`, NULL for NULL, or when there is no such column. */
const char *mssql_column(const struct mssql_row *row, const char *name);

enum { MSSQL_QUERY_TIMEOUT_MS = 30000 }; /* of questions that take a server no time */
