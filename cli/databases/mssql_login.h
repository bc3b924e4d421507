/*
 * mssql_login.h - how to log in to a SQL Server, as the options and the environment have it
 *
 * A password is never an argument: it comes from a file, a descriptor or the terminal, or from the file that
 * VDIPIPE_PASSWORD_FILE names. Without a user the login is Kerberos's. Used from the main thread.
 */
#pragma once

#include <stdbool.h>

#include "cli/args.h"
#include "cli/options.h"
#include "core/base/error.h"
#include "core/mssql/mssql.h"

extern const struct opt_spec options_mssql_login[];

/* Fills *ret_login, which borrows from `args` and `uri`; to be called once the other arguments were found right and
 * before threads are started, since it may ask at the terminal. The host has to be this machine. `from_stdin`: a backup
 * comes from standard input, so no password can. From then on the process leaves no core file. ERR_USAGE. In any case
 * call secrets_forget(&ret_login->password). */
int mssql_login_load(const struct args *args, const struct mssql_uri *uri, bool from_stdin,
                     struct mssql_login *ret_login, struct error *err);
