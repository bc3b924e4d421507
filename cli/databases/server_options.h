/*
 * server_options.h - which options are for which kind of server
 */
#pragma once

#include "cli/args.h"
#include "cli/databases/database.h"
#include "core/base/error.h"

/* Refuses an option that the database's server has no use for, whether it stood on the command line or in the
 * database's section. What [defaults] say is for all databases, and passed over where it does not fit. */
int server_options_check(const struct args *args, const struct database *database, struct error *err);
