/*
 * sqlvdi.h - by which engine a SQL Server's devices are served: Microsoft's library, or ours where it is the stand-in
 */
#pragma once

#include <stdbool.h>

#include "cli/args.h"
#include "cli/options.h"
#include "core/base/error.h"
#include "core/sqlvdi/library.h"

extern const struct opt_spec options_sqlvdi[]; /* --sqlvdi, --run-as */

/* SQL Server's account on Linux. */
#define SQLVDI_ACCOUNT "mssql"

/* The library for serving_create_library(), or NULL in *ret_library: our own engine and serving_create(). `stand_in`:
 * the server at the other end says that it is 'vdipipe serve'; it is served by our engine, or by the library that
 * --sqlvdi names. Any other server needs Microsoft's library, and a user whose shared memory it may open: after
 * run_as_begin(). Errors as sqlvdi_library_open(), and ERR_USAGE for a user whom the server could not serve. */
int sqlvdi_choose(const struct args *args, bool stand_in, struct sqlvdi_library **ret_library, struct error *err);

/* The path that --sqlvdi gives, or the usual one. */
const char *sqlvdi_path(const struct args *args);

/* Whether SQL Server's account can open what this process makes: it is that account, or a member of its group; where
 * there is no such account nothing can be said against it. */
int sqlvdi_check_user(struct error *err);
