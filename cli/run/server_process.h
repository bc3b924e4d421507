/*
 * server_process.h - the child that is the server of one job
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/servers/server.h"

struct server_process {
        pid_t pid;      /* 0: none */
        int pidfd;      /* -1: none, as the others */
        int job_fd;     /* where the child reads its job from */
        int connection; /* the client's end */
};

#define SERVER_PROCESS_INIT                                 \
        {                                                   \
                .pidfd = -1, .job_fd = -1, .connection = -1 \
        }

/* Starts the child, which waits for its job; it ends if it gets none. To be called by the main thread of a process that
 * has no other yet and has read no key: the child is a fork of it, with nothing open but standard error, the job's pipe
 * and the connection. It ends when its parent does. */
int server_process_start(struct server_process *process, struct error *err);

/* Tells the child its job, once. *ret_connection, for vds_options.connection, is the caller's then. */
int server_process_tell(struct server_process *process, const struct server_job *job, int *ret_connection,
                        struct error *err);

/* Waits up to `grace_ms` for it to end, then kills it and says so in *ret_killed. Returns its wait status, or 0 when
 * there was none. Idempotent. */
int server_process_end(struct server_process *process, int grace_ms, bool *ret_killed);

/* Raises ERR_PEER_DIED for a server that ended too early: by the signal `number`, or with the exit status `number`.
 * Returns -1. */
int server_process_raise_end(bool signalled, int number, struct error *err);

/* Removes what a server that ended too early left, with the rights that it had. */
void server_process_sweep(const struct server_job *job);

/* A supervised_end: `process` is a struct server_process whose pidfd became readable. Where the main thread has waited
 * for it before, there is nothing to say. */
bool server_process_ended(void *process, struct error *reason);
