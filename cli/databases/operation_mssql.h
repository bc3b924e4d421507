/*
 * operation_mssql.h - an operation whose server is a SQL Server, told by a statement over its own connection
 *
 * The set is made first, then the statement is sent, on a thread of its own; its end, not the devices', decides
 * success, and the server has to confirm it: by message 3014 (VERIFYONLY: 3262), a backup else by its record in msdb.
 */
#ifndef VDIPIPE_CLI_DATABASES_OPERATION_MSSQL_H
#define VDIPIPE_CLI_DATABASES_OPERATION_MSSQL_H

#include "cli/run/operation.h"
#include "cli/databases/rows.h"
#include "core/mssql/mssql.h"
#include "core/mssql/statement.h"

/* Chooses this server and logs in. `login` outlives the operation. */
int operation_use_mssql(struct operation *operation, const struct mssql_login *login, struct error *err);

/* For questions, while no statement runs. */
struct mssql *operation_mssql_connection(const struct operation *operation);

/* The set's devices, as the statement names them, and their shape as the options have it. Borrowed. */
struct mssql_devices operation_mssql_devices(const struct operation *operation);

/* What the next operation_connect() sends. `verb` says how the server has to confirm it: of a batch, that of the
 * statement which moves the data. Takes `sql`; NULL means that memory is short. Rows that the server answers with go to
 * `rows`, unless that is NULL. */
int operation_mssql_send(struct operation *operation, enum statement_verb verb, char *sql, struct rows *rows,
                         struct error *err);

#endif
