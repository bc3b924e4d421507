/*
 * query.h - a SELECT of Transact-SQL, written for SQLite
 *
 * Names of system views become those of the catalog's tables, variables and functions become functions of the catalog;
 * TOP, OFFSET, CAST, CONVERT, hints and APPLY are put as SQLite has them. What is not understood is passed on, and
 * SQLite refuses it. Pure and bounded; thread safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/tsql/messages.h"
#include "core/standin/batch.h"
#include "core/tds/tds.h"

struct query_context {
        const struct tds_parameter *parameters; /* those that may be used */
        size_t parameter_count;
        const char *database;    /* the session's */
        bool quoted_identifiers; /* "x" is a name, else a string */
};

/* *ret_sql is allocated. Returns 0, or -1 with *message filled. */
int query_rewrite(const struct batch *batch, const struct batch_statement *statement,
                  const struct query_context *context, char **ret_sql, struct server_message *message);

/* The name of several parts that begins at a token, as it was written without quotes; allocated. */
char *query_object_name(const struct batch *batch, size_t token);
