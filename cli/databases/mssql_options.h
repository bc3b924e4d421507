/*
 * mssql_options.h - options of statements for a SQL Server
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cli/args.h"
#include "cli/options.h"
#include "core/base/error.h"

extern const struct opt_spec options_statement_mssql[]; /* of backups and restores */

/* What two flags that contradict each other say: *ret is true for the first. The command line has the last word over
 * the configuration; both at once are ERR_USAGE; neither gives `otherwise`. */
int mssql_options_choose(const struct args *args, const char *yes_name, bool yes, const char *no_name, bool no,
                         bool otherwise, bool *ret, struct error *err);

/* Whether the text (NULL is allowed) has `limit` characters at most. */
int mssql_options_check_length(const char *option, const char *text, size_t limit, struct error *err);
