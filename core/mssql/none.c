/* A build without FreeTDS: nothing can be connected to, so no connection ever comes to the last two functions. */
#include "core/mssql/internal.h"

const char *mssql_library_version(void)
{
        return NULL;
}

int mssql_library_check(struct error *err)
{
        return error_raise(err, ERR_USAGE,
                           "this vdipipe was built without FreeTDS, so it cannot talk to a SQL Server; install the "
                           "package freetds-dev and build it again");
}

int mssql_open(const struct mssql_login *login, const struct mssql_events *events, struct mssql **ret_connection,
               struct error *err)
{
        (void)login;
        (void)events;
        (void)ret_connection;
        return mssql_library_check(err);
}

void mssql_close(struct mssql *connection)
{
        (void)connection;
}

int mssql_execute(struct mssql *connection, const char *sql, int64_t timeout_ms, const struct mssql_events *events,
                  struct error *err)
{
        (void)connection;
        (void)sql;
        (void)timeout_ms;
        (void)events;
        return mssql_library_check(err);
}
