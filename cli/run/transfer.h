/*
 * transfer.h - the client's loop: the commands of one device against its medium, completions back
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "cli/run/member.h"

struct device_transfer {
        /* set before transfer_start() or transfer_run() */
        struct member *member;
        const struct volume *volume; /* has its medium */

        /* owned by the thread until transfer_join() */
        char name[VDS_NAME_MAX + 1]; /* of the device; "" until it is known */
        bool opened;
        pthread_t thread;
        bool started;
        struct worker worker;
        bool closed;      /* the server closed the device in order */
        struct error err; /* our own failure, if any: of the medium, or of the protocol */
};

/* Serves the device until it is closed, aborted or failed. */
void transfer_run(struct device_transfer *transfer);

/* The same by a thread of its own. */
int transfer_start(struct device_transfer *transfer, struct error *err);

/* Returns when that thread is done. Does nothing if it was not started. */
void transfer_join(struct device_transfer *transfer);
