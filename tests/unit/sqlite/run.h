/*
 * run.h - a whole backup or restore: a client of memory buffers on threads of this process, and the embedded server
 *
 * run_new(), settings in run->job, run->features and run->media, run_go(), then what both sides said, run_deinit(). The
 * server runs on a thread, or with `fault` set in a process of its own, with that fault (see core/base/fault.h).
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "core/servers/events.h"
#include "core/servers/server.h"
#include "core/vds/vds.h"
#include "tests/unit/sqlite/sandbox.h"

/* One device's medium. */
struct medium {
        struct vds_client_device *device;
        uint8_t *bytes;
        size_t size;
        size_t at;     /* of a read */
        int fail_code; /* given to the data command number `fail_at`, counted from 1; 0: none */
        int fail_at;
        int commands;
        int flushes;
        int completes;
        /* Executes every command instead of the above: returns the completion code. */
        int (*execute)(struct medium *medium, const struct VDC_Command *command, uint64_t *ret_bytes,
                       int64_t *ret_position);
        void *context;
};

struct run {
        struct vds_options options;
        const struct server_events *events; /* NULL: nobody listens */
        struct vds_client *client;
        struct server_job job;
        struct medium media[VDS_DEVICES_MAX];
        uint32_t features;
        pthread_t server;
        struct error server_error;
        int server_result;
        struct VDConfig agreed;
        struct server_info info;
        struct server_report report;
        enum vds_verdict verdict;
        bool configured;
        const char *fault; /* NULL: the server is a thread */
        pid_t server_pid;
        int go_fd;
};

struct run *run_new(void **state, enum server_verb verb, const char *database, uint32_t devices);

/* Plays both sides to the end. */
void run_go(struct run *run);
void run_deinit(struct run *run);

/* For main() of tests with faults: plays the server and returns true, if this process was started for that. */
int run_is_server(int argc, char **argv);

/* A backup that has to succeed. */
struct run *run_backup(void **state, const char *database, uint32_t devices);

/* A restore, not begun yet, that will be fed with what the backup wrote. */
struct run *run_restore(void **state, const struct run *backup, const char *database);
