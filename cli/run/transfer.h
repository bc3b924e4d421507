/*
 * transfer.h - the client's loop: the commands of one device against its medium, completions back
 */
#ifndef VDIPIPE_CLI_RUN_TRANSFER_H
#define VDIPIPE_CLI_RUN_TRANSFER_H

#include <pthread.h>
#include <stdbool.h>

#include "cli/media/media.h"
#include "cli/run/progress.h"
#include "cli/run/supervise.h"
#include "core/sqlvdi/engine.h"
#include "core/vds/trace.h"

struct transfer {
        /* set before transfer_start() */
        struct engine *engine;
        uint32_t device;         /* from 0, in the server's order */
        const char *device_name; /* NULL: what the server calls it */
        struct media *media;
        const char *doing; /* for stall messages: "writing to" */
        const char *what;  /* and "standard output" */
        struct supervisor *supervisor;
        struct progress *progress;
        struct trace *trace; /* NULL: none */
        bool secondary;      /* a device that cannot be opened here is no reason to end the whole set */

        /* owned by the thread until transfer_join() */
        char name[VDS_NAME_MAX + 1]; /* of the device; "" until it is known */
        bool opened;
        pthread_t thread;
        bool started;
        struct worker worker;
        bool closed;      /* the server closed the device in order */
        struct error err; /* our own failure, if any: of the medium, or of the protocol */
};

int transfer_start(struct transfer *transfer, struct error *err);

/* Returns when the device is closed, aborted or failed. Does nothing if it was not started. */
void transfer_join(struct transfer *transfer);

#endif
