/* What a connection is, with and without FreeTDS. */
#include <strings.h>

#include "core/mssql/internal.h"

int mssql_session_id(const struct mssql *connection)
{
        return connection->session_id;
}

const char *mssql_server_version(const struct mssql *connection)
{
        return connection->version;
}

bool mssql_is_stand_in(const struct mssql *connection)
{
        return connection->is_stand_in;
}

void mssql_cancel(struct mssql *connection, int64_t grace_ms)
{
        atomic_store(&connection->cancel_grace_ms, grace_ms);
        atomic_store(&connection->cancel, true);
}

bool mssql_settle(struct mssql *connection)
{
        atomic_store(&connection->cancel, false);
        return !connection->given_up;
}

const char *mssql_column(const struct mssql_row *row, const char *name)
{
        for (size_t i = 0; i < row->count; i++)
                if (strcasecmp(row->names[i], name) == 0)
                        return row->texts[i];
        return NULL;
}
