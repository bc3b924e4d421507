/*
 * mssql.h - a SQL Server's backup or restore: a statement over its own connection
 *
 * The set is made first, then the statement is sent, on a thread of its own; its end, not the devices', decides
 * success, and the server has to confirm it: by message 3014 (VERIFYONLY: 3262), a backup else by its record in msdb.
 */
#pragma once

#include "cli/databases/operation.h"
#include "cli/databases/rows.h"
#include "core/mssql/mssql.h"
#include "core/mssql/statement.h"

enum { MSSQL_STATS_PERCENT = 5 };

/* Chooses this server, logs in, and finds out who carries its devices. */
int mssql_begin(struct operation *operation, struct error *err);

/* For questions, while no statement runs. */
struct mssql *mssql_connection(const struct operation *operation);

/* The set's devices, as the statement names them, and their shape as the options have it. Borrowed. */
struct mssql_devices mssql_devices(const struct operation *operation);

/* Of which database and which of its files the statement speaks. Borrowed. */
struct mssql_target mssql_target(const struct operation *operation);

/* What the next set's server is told. `verb` says how it has to confirm it: of a batch, that of the statement which
 * moves the data. Takes `sql`; NULL means that memory is short. Rows that the server answers with go to `rows`, unless
 * that is NULL. */
int mssql_tell(struct operation *operation, enum statement_verb verb, char *sql, struct rows *rows, struct error *err);

/* For operation_mssql: backup_mssql.c, restore_mssql.c. */
int mssql_check_backup(struct operation *operation, struct error *err);
int mssql_begin_backup(struct operation *operation, struct error *err);
int mssql_check_restore(struct operation *operation, struct error *err);
int mssql_check_target(struct operation *operation, struct error *err);
int mssql_show_restore(struct operation *operation, struct error *err);
int mssql_run_restore(struct operation *operation, struct error *err);
