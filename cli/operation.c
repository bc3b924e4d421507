#include "cli/operation.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/message.h"
#include "core/base/deadline.h"

enum {
        BUSY_TIMEOUT_MS = 10000, /* how long the server waits for somebody else's lock */
        VERDICT_SLICE_MS = 500,  /* between two looks at the cancel flag while the server finishes */
        LAST_WORDS_MS = 1500,    /* for the verdict of a server that was aborted */
        SERVER_GRACE_MS = 3000,  /* from the end of the set to the end of the server's process */
        BUFFER_ALIGNMENT = 4096,
};

int operation_check_args(const struct args *args, struct error *err)
{
        if (args->block_size & (args->block_size - 1))
                return error_raise(err, ERR_USAGE, "--block-size %lld is not a power of two",
                                   (long long)args->block_size);
        if (args->max_transfer % VDS_TRANSFER_UNIT)
                return error_raise(err, ERR_USAGE, "--max-transfer %lld is not a multiple of 64K",
                                   (long long)args->max_transfer);
        return 0;
}

int operation_open(struct operation *operation, const struct args *args, const char *verb, struct error *err)
{
        memset(operation, 0, sizeof *operation);
        operation->args = args;
        operation->process.pidfd = -1;
        ident_uuid(operation->set_id);
        if (progress_init(&operation->progress, args, verb, err) < 0)
                return -1;
        if (tracing_open(args->trace, "client", &operation->trace, err) < 0)
                return -1;
        if (supervisor_start(args->stall_timeout_ms, &operation->progress, &operation->supervisor, err) < 0)
                return -1;
        supervisor_enter(operation->supervisor, &operation->worker, verb, "");
        return 0;
}

static char *device_name(const struct operation *operation, uint32_t device)
{
        char *name = NULL;

        if (device == 0 ? asprintf(&name, "vdipipe-%s", operation->set_id) < 0
                        : asprintf(&name, "vdipipe-%s-%u", operation->set_id, device + 1) < 0)
                return NULL;
        return name;
}

static int64_t smaller(int64_t a, int64_t b)
{
        return a < b ? a : b;
}

int operation_prepare_job(struct operation *operation, const char *kind, const char *path, uint32_t devices,
                          struct error *err)
{
        const struct args *args = operation->args;
        struct server_job *job = &operation->job;

        job->kind = strdup(kind);
        job->database = strdup(path);
        job->set_name = device_name(operation, 0);
        job->device_count = devices;
        for (uint32_t i = 0; i < devices; i++) {
                job->devices[i] = device_name(operation, i);
                if (!job->devices[i])
                        return error_raise(err, ERR_MEMORY, "out of memory");
        }
        if (!job->kind || !job->database || !job->set_name)
                return error_raise(err, ERR_MEMORY, "out of memory");
        job->block_size = (uint32_t)args->block_size;
        job->buffer_count = (uint32_t)args->buffer_count;
        job->max_transfer = (uint32_t)args->max_transfer;
        /* The server's own words about a lock come before the client loses patience. */
        job->busy_timeout_ms = smaller(BUSY_TIMEOUT_MS, args->open_timeout_ms / 2);
        return 0;
}

static int create_set(struct operation *operation, struct error *err)
{
        struct VDConfig wishes = {
                .deviceCount = operation->job.device_count,
                .features = VDF_LikePipe | VDF_RequestComplete,
                .alignment = BUFFER_ALIGNMENT,
                .serverTimeOut = (uint32_t)operation->args->vdi_timeout_ms,
        };
        int rc;

        operation->client = vds_client_new(/* options= */ NULL);
        if (!operation->client)
                return error_raise(err, ERR_MEMORY, "out of memory");
        rc = vds_client_create(operation->client, operation->job.set_name, &wishes);
        if (rc != NOERROR)
                return error_raise(err, ERR_FAILED, "the device set cannot be created: %s (%s)",
                                   vds_client_error_text(operation->client), vds_result_name(rc));
        supervisor_watch_client(operation->supervisor, operation->client);
        return 0;
}

/* Why a set that is aborted, or whose server failed, came to that: its own words, else how its process ended, else the
 * engine's reason. */
static int server_failure(struct operation *operation, struct error *err)
{
        enum vds_abort_reason reason = vds_client_abort_reason(operation->client);
        enum vds_verdict verdict = VDS_VERDICT_NONE;
        char text[VDS_TEXT_MAX] = "";
        bool killed;
        int status;

        if (vds_client_verdict(operation->client, LAST_WORDS_MS, &verdict, text) == NOERROR && text[0]) {
                server_report_decode(text, &operation->report);
                if (operation->report.code != ERR_NONE && operation->report.message[0])
                        return error_raise(err, operation->report.code, "%s", operation->report.message);
        }
        supervisor_watch_child(operation->supervisor, -1);
        status = server_process_end(&operation->process, LAST_WORDS_MS, &killed);
        operation->server_lost = operation->server_lost || status != 0;
        /* A server that never joined cannot have been heard by the engine; what it was aborted for was our noticing. */
        if (!killed &&
            (!operation->joined || WIFSIGNALED(status) || reason == VDS_ABORT_SERVER_DIED || reason == VDS_ABORT_NONE))
                return server_process_raise_end(WIFSIGNALED(status),
                                                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), err);
        if (reason == VDS_ABORT_NONE)
                return error_raise(err, ERR_TIMEOUT, "the server process did not end, and was killed");
        return error_raise(err, reason == VDS_ABORT_TIMEOUT ? ERR_TIMEOUT : ERR_ABORTED,
                           "the device set was aborted: %s", vds_abort_text(reason));
}

int operation_failed(struct operation *operation, struct error *err)
{
        struct error reason = ERROR_INIT;

        if (!operation->supervisor || supervisor_check(operation->supervisor, &reason) == 0)
                return -1;
        /* A server that fails because we did is no reason; and the one that failed first may have left words. */
        if (reason.code != ERR_PEER_DIED)
                *err = reason;
        else if (operation->process.pid && (!error_is_set(err) || err->code == ERR_ABORTED))
                server_failure(operation, err);
        return -1;
}

static int await_configuration(struct operation *operation, struct error *err)
{
        char text[VDS_TEXT_MAX];
        int rc = vds_client_get_configuration(operation->client, operation->args->open_timeout_ms, &operation->config);

        if (rc == VD_E_TIMEOUT)
                return error_raise(err, ERR_TIMEOUT,
                                   "the server did not open the device set within %lld s (--open-timeout)",
                                   (long long)(operation->args->open_timeout_ms / 1000));
        if (rc != NOERROR)
                return server_failure(operation, err);
        supervisor_child_joined(operation->supervisor);
        operation->joined = true;
        rc = vds_client_server_info(operation->client, text);
        if (rc == VD_E_ABORT)
                return server_failure(operation, err);
        if (rc != NOERROR)
                return error_raise(err, ERR_PROTOCOL, "the server says nothing about itself: %s", vds_result_name(rc));
        return server_info_decode(text, &operation->info, err);
}

int operation_connect(struct operation *operation, struct error *err)
{
        if (create_set(operation, err) < 0)
                return operation_failed(operation, err);
        message_verbose("device set '%s', %u device%s", operation->job.set_name, operation->job.device_count,
                        operation->job.device_count == 1 ? "" : "s");
        if (server_process_start(&operation->process, &operation->job, err) < 0)
                return operation_failed(operation, err);
        supervisor_watch_child(operation->supervisor, operation->process.pidfd);
        if (await_configuration(operation, err) < 0)
                return operation_failed(operation, err);
        message_verbose("server: %s %s, process %d; buffer area of %u bytes, blocks of %u, transfers up to %u",
                        operation->info.kind, operation->info.version, vds_client_server_pid(operation->client),
                        operation->config.bufferAreaSize, operation->config.blockSize,
                        operation->config.maxTransferSize);
        return 0;
}

/* Waits without limit while the server works (a check of a restored database may take long), but not past a
 * cancellation. */
static int await_verdict(struct operation *operation, struct error *err)
{
        enum vds_verdict verdict = VDS_VERDICT_NONE;
        char text[VDS_TEXT_MAX] = "";
        int rc;

        do
                rc = vds_client_verdict(operation->client, VERDICT_SLICE_MS, &verdict, text);
        while (rc == VD_E_TIMEOUT && supervisor_check(operation->supervisor, /* err= */ NULL) == 0);
        if (rc == VD_E_TIMEOUT)
                rc = vds_client_verdict(operation->client, LAST_WORDS_MS, &verdict, text);
        trace_event(operation->trace, /* device= */ 0, "verdict",
                    verdict == VDS_VERDICT_SUCCESS ? "success" : "failed");
        if (rc != NOERROR || verdict != VDS_VERDICT_SUCCESS)
                return server_failure(operation, err);
        server_report_decode(text, &operation->report);
        return 0;
}

static int start_transfers(struct operation *operation, struct media *const *media, const char *doing,
                           const char *const *names, struct error *err)
{
        operation->transfers = calloc(operation->job.device_count, sizeof *operation->transfers);
        if (!operation->transfers)
                return error_raise(err, ERR_MEMORY, "out of memory");
        for (uint32_t i = 0; i < operation->job.device_count; i++) {
                struct transfer *transfer = &operation->transfers[i];

                transfer->client = operation->client;
                transfer->device = i;
                transfer->device_name = operation->job.devices[i];
                transfer->media = media[i];
                transfer->doing = doing;
                transfer->what = names[i];
                transfer->supervisor = operation->supervisor;
                transfer->progress = &operation->progress;
                transfer->trace = operation->trace;
                if (transfer_start(transfer, err) < 0) {
                        vds_client_signal_abort(operation->client);
                        return -1;
                }
        }
        return 0;
}

/* Joins all; the first failure of our own is the cause of whatever the server says afterwards. */
static int join_transfers(struct operation *operation, struct error *err)
{
        struct error own = ERROR_INIT;
        bool closed = true;

        for (uint32_t i = 0; operation->transfers && i < operation->job.device_count; i++) {
                transfer_join(&operation->transfers[i]);
                closed = closed && operation->transfers[i].closed;
                error_keep_first(&own, &operation->transfers[i].err);
        }
        if (error_is_set(&own)) {
                vds_client_signal_abort(operation->client);
                *err = own;
                return -1;
        }
        return closed ? 0 : server_failure(operation, err);
}

int operation_transfer(struct operation *operation, struct media *const *media, const char *doing,
                       const char *const *names, struct error *err)
{
        int rc = start_transfers(operation, media, doing, names, err);

        if (rc < 0) {
                struct error ignored = ERROR_INIT;

                join_transfers(operation, &ignored);
                return operation_failed(operation, err);
        }
        if (join_transfers(operation, err) < 0 || await_verdict(operation, err) < 0)
                return operation_failed(operation, err);
        /* It has said success; how its process ends matters no more. */
        supervisor_watch_child(operation->supervisor, -1);
        return 0;
}

void operation_close(struct operation *operation)
{
        bool killed;
        int status;

        if (operation->supervisor)
                supervisor_watch_client(operation->supervisor, NULL);
        vds_client_free(operation->client);
        operation->client = NULL;
        if (operation->supervisor)
                supervisor_watch_child(operation->supervisor, -1);
        status = server_process_end(&operation->process, SERVER_GRACE_MS, &killed);
        if (operation->supervisor)
                supervisor_leave(operation->supervisor, &operation->worker);
        supervisor_stop(operation->supervisor);
        operation->supervisor = NULL;
        if (operation->job.database && (status != 0 || operation->server_lost || operation->report.code != ERR_NONE))
                server_sweep(&operation->job);
        server_job_deinit(&operation->job);
        free(operation->transfers);
        operation->transfers = NULL;
        tracing_close(operation->trace);
        operation->trace = NULL;
}
