/*
 * server_process.h - the child that is the server: this executable again, with a job
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/servers/server.h"

struct server_process {
        pid_t pid; /* 0: none */
        int pidfd; /* -1: none */
};

#define SERVER_PROCESS_INIT \
        {                   \
                .pidfd = -1 \
        }

/* Starts the child. It has no standard input or output, inherits no descriptor but standard error, the job and a
 * connection, and ends when the calling thread does: call it from the main thread. *ret_connection is the client's end
 * of the connection, for vds_options.connection. */
int server_process_start(struct server_process *process, const struct server_job *job, int *ret_connection,
                         struct error *err);

/* Waits up to `grace_ms` for it to end, then kills it and says so in *ret_killed. Returns its wait status, or 0 when
 * there was none. */
int server_process_end(struct server_process *process, int grace_ms, bool *ret_killed);

/* Raises ERR_PEER_DIED for a server that ended too early: by the signal `number`, or with the exit status `number`.
 * Returns -1. */
int server_process_raise_end(bool signalled, int number, struct error *err);

/* A supervised_end: `process` is a struct server_process whose pidfd became readable. Where the main thread has waited
 * for it before, there is nothing to say. */
bool server_process_ended(void *process, struct error *reason);

/* The child's side: becomes the server for the job that server_process_start() left on its descriptor. */
int server_process_main(const char *parent_pid, struct error *err);
