/*
 * operation_sqlite.h - an operation whose server is the embedded SQLite one, in a child process
 */
#ifndef VDIPIPE_CLI_DATABASES_OPERATION_SQLITE_H
#define VDIPIPE_CLI_DATABASES_OPERATION_SQLITE_H

#include "cli/run/operation.h"
#include "core/servers/server.h"

/* Chooses this server. *ret_job has the common fields filled from the options; the caller sets verb and what is
 * particular to it. It belongs to the operation. */
int operation_use_sqlite(struct operation *operation, const char *path, uint32_t devices, struct server_job **ret_job,
                         struct error *err);

#endif
