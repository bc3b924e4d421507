/*
 * catalog.h - a SELECT on what a stand-in SQL Server knows
 *
 * Every SELECT gets a database of its own in memory, filled from the state; nothing but reading its tables is allowed,
 * and time and size are bounded.
 */
#pragma once

#include "core/standin/batch.h"
#include "core/standin/session.h"

/* Runs a rewritten SELECT and sends its rows, or a message. 0, or -1 when it failed. *ret_rows counts the rows. */
int catalog_answer(struct standin_session *session, const struct batch_statement *statement, const char *sql,
                   const struct tds_request *request, int64_t *ret_rows);
