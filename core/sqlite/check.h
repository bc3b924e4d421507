/*
 * check.h - whether a file that nobody else has open is a whole and sound SQLite database
 */
#pragma once

#include "core/base/error.h"
#include "core/servers/server.h"
#include "core/sqlite/db.h"

/* Checks header and length always, the contents as `check` says. `fd` is open on the file at `path`; `shown` is the
 * name it will have, for messages. ERR_DAMAGED with what SQLite says first. Ends early when `patience` is cancelled. */
int check_database(const char *path, int fd, enum server_check check, const struct db_patience *patience,
                   const char *shown, struct error *err);

/* Runs the check on an open database that `what` and `shown` name in messages: "the restored database", "x.db". Ends
 * early when `patience` (may be NULL) is cancelled. */
int check_content(sqlite3 *db, enum server_check check, const struct db_patience *patience, const char *what,
                  const char *shown, struct error *err);
