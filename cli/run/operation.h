/*
 * operation.h - one backup or restore on a device set of our own: create it, have a server open it, move the data,
 * learn the verdict
 *
 * operation_open; the server's part (operation_sqlite.h or operation_mssql.h); operation_connect, operation_transfer,
 * and in any case operation_close. From the main thread.
 */
#ifndef VDIPIPE_CLI_RUN_OPERATION_H
#define VDIPIPE_CLI_RUN_OPERATION_H

#include "cli/args.h"
#include "cli/run/serving.h"
#include "core/base/ident.h"
#include "core/servers/server.h"
#include "core/vds/vds.h"

struct operation;
struct sqlvdi_library;

/* What the kinds of server do in their own ways. All but `end` are called in this order, once for each set. */
struct operation_server {
        /* Before the set is made: starts a server of our own, which begins meanwhile, and leaves in
         * operation->connection what leads to it. NULL: it comes by itself. */
        int (*prepare)(struct operation *operation, struct error *err);
        /* The set is made: makes the server open it, or watches the one that does. */
        int (*start)(struct operation *operation, struct error *err);
        /* Configuration has ended: fills operation->info. */
        int (*joined)(struct operation *operation, struct error *err);
        /* All devices are closed in order. Returns 0 when the server said success; else raises its words. */
        int (*await_success)(struct operation *operation, struct error *err);
        /* The set is aborted, or the server did not succeed: raises why, in the server's words if it has any. -1. */
        int (*raise_failure)(struct operation *operation, struct error *err);
        /* The server did not open the set in time: adds to *err what is known of it. NULL: nothing is. */
        void (*explain_absence)(struct operation *operation, struct error *err);
        /* Ends what is left of the server, once the set is left. Idempotent. */
        void (*end)(struct operation *operation);
};

struct operation {
        struct serving serving;
        char set_id[IDENT_UUID_SIZE];
        char *devices[VDS_DEVICES_MAX]; /* names, the first of which is the set's */
        uint32_t device_count;

        const struct operation_server *server; /* NULL until it is chosen */
        void *part;                            /* the server's */
        const struct sqlvdi_library *library;  /* what carries the set; NULL: our own engine */
        int connection;                        /* to a server of our own, until the set has it; 0: none */
        bool started;                          /* the server was made to open the set */
        bool joined;                           /* it has ended configuration */
        struct server_info info;               /* valid after operation_connect() */
        char note[ERROR_MESSAGE_MAX];          /* the user should know after a success: "" or one line */
};

/* Whether the options of the set's shape are such that a server could agree to them. */
int operation_check_args(const struct args *args, struct error *err);

/* Gives the operation its identity and starts the supervisor. `verb` is for progress. */
int operation_open(struct operation *operation, const struct args *args, const char *verb, struct error *err);

/* Names the devices of the set. Again, with another set, once operation_leave() was called. */
int operation_name_devices(struct operation *operation, uint32_t devices, struct error *err);

/* Creates the set, starts the server, waits until configuration has ended. */
int operation_connect(struct operation *operation, struct error *err);

/* Serves every device by media[i] until the server has closed it, then waits for the verdict. Returns 0 only when every
 * device was closed in order, nothing of ours failed, and the server said success. `doing` and
 * names[i] are for messages about a stall: "writing to" "standard output". */
int operation_transfer(struct operation *operation, struct media *const *media, const char *doing,
                       const char *const *names, struct error *err);

/* Leaves the set, aborting what is not done; another may be made for the same server. Idempotent. */
void operation_leave(struct operation *operation);

/* The same, and ends the server and the supervisor. Idempotent. */
void operation_close(struct operation *operation);

/* A failure after a cancellation is the cancellation's: replaces *err by the reason if there was one. Returns -1. */
int operation_failed(struct operation *operation, struct error *err);

#endif
