/*
 * transfer.h - a BACKUP or RESTORE statement, run by SQLite's server or by a script
 */
#pragma once

#include "core/standin/batch.h"
#include "core/standin/session.h"
#include "core/tsql/statement.h"

/* Runs the statement, and sends its messages and results. 0, or -1 when it failed. *ret_rows counts those of the
 * results; negative: there were none. */
int standin_transfer(struct standin_session *session, const struct batch_statement *batch,
                     const struct statement *statement, int64_t *ret_rows);
