/*
 * operation.h - one backup or restore on a device set of our own: create it, start its server, move the data, learn the
 * verdict
 *
 * operation_open, operation_connect, operation_transfer, and in any case operation_close. Used by backup and restore
 * from the main thread.
 */
#ifndef VDIPIPE_CLI_OPERATION_H
#define VDIPIPE_CLI_OPERATION_H

#include "cli/args.h"
#include "cli/server_process.h"
#include "cli/serving.h"
#include "core/base/ident.h"
#include "core/servers/server.h"
#include "core/vds/vds.h"

struct operation {
        struct serving serving;
        char set_id[IDENT_UUID_SIZE];

        struct server_job job;
        struct server_process process;
        bool server_lost;            /* its process ended other than well, and may have left files */
        bool joined;                 /* the server has ended configuration */
        struct server_info info;     /* valid after operation_connect() */
        struct server_report report; /* the server's last words; valid after operation_transfer() */
};

/* Whether the options of the set's shape are such that a server could agree to them. */
int operation_check_args(const struct args *args, struct error *err);

/* Gives the operation its identity and starts the supervisor. `verb` is for progress. */
int operation_open(struct operation *operation, const struct args *args, const char *verb, struct error *err);

/* Fills the job's common fields from the options. The caller sets verb and what is particular to it. */
int operation_prepare_job(struct operation *operation, const char *kind, const char *path, uint32_t devices,
                          struct error *err);

/* Creates the set, starts the server process, waits until configuration has ended. */
int operation_connect(struct operation *operation, struct error *err);

/* Serves every device by media[i] until the server has closed it, then waits for the verdict. Returns 0 only when every
 * device was closed in order, nothing of ours failed, and the server said success. `doing` and
 * names[i] are for messages about a stall: "writing to" "standard output". */
int operation_transfer(struct operation *operation, struct media *const *media, const char *doing,
                       const char *const *names, struct error *err);

/* Aborts what is left, ends the server process, removes what it left behind if it was killed. Idempotent. */
void operation_close(struct operation *operation);

/* A failure after a cancellation is the cancellation's: replaces *err by the reason if there was one. Returns -1. */
int operation_failed(struct operation *operation, struct error *err);

#endif
