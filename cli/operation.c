#include "cli/operation.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/message.h"
#include "cli/set_options.h"

enum {
        BUSY_TIMEOUT_MS = 10000, /* how long the server waits for somebody else's lock */
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
        return set_options_check(args, err);
}

int operation_open(struct operation *operation, const struct args *args, const char *verb, struct error *err)
{
        memset(operation, 0, sizeof *operation);
        operation->process.pidfd = -1;
        ident_uuid(operation->set_id);
        return serving_open(&operation->serving, args, verb, err);
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
        const struct args *args = operation->serving.args;
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
        job->client_is_parent = true;
        job->block_size = (uint32_t)args->block_size;
        job->buffer_count = (uint32_t)args->buffer_count;
        job->max_transfer = (uint32_t)args->max_transfer;
        /* The server's own words about a lock come before the client loses patience. */
        job->busy_timeout_ms = smaller(BUSY_TIMEOUT_MS, args->open_timeout_ms / 2);
        return 0;
}

static int create_set(struct operation *operation, struct error *err)
{
        const struct VDConfig wishes = {
                .deviceCount = operation->job.device_count,
                .features = VDF_LikePipe | VDF_RequestComplete,
                .alignment = BUFFER_ALIGNMENT,
                .serverTimeOut = (uint32_t)operation->serving.args->vdi_timeout_ms,
        };
        struct vds_options options;

        options = set_options(operation->serving.args);
        return serving_create(&operation->serving, &options, operation->job.set_name, &wishes, err);
}

/* Why a set that is aborted, or whose server failed, came to that: its own words, else how its process ended, else the
 * engine's reason. */
static int server_failure(struct operation *operation, struct error *err)
{
        enum vds_abort_reason reason = vds_client_abort_reason(operation->serving.client);
        enum vds_verdict verdict = VDS_VERDICT_NONE;
        char text[VDS_TEXT_MAX] = "";
        bool killed;
        int status;

        if (vds_client_verdict(operation->serving.client, LAST_WORDS_MS, &verdict, text) == NOERROR && text[0]) {
                server_report_decode(text, &operation->report);
                if (operation->report.code != ERR_NONE && operation->report.message[0])
                        return error_raise(err, operation->report.code, "%s", operation->report.message);
        }
        supervisor_watch_child(operation->serving.supervisor, -1);
        status = server_process_end(&operation->process, LAST_WORDS_MS, &killed);
        operation->server_lost = operation->server_lost || status != 0;
        /* A server that never joined cannot have been heard by the engine; what it was aborted for was our noticing. */
        if (!killed &&
            (!operation->joined || WIFSIGNALED(status) || reason == VDS_ABORT_SERVER_DIED || reason == VDS_ABORT_NONE))
                return server_process_raise_end(WIFSIGNALED(status),
                                                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), err);
        if (reason == VDS_ABORT_NONE)
                return error_raise(err, ERR_TIMEOUT, "the server process did not end, and was killed");
        return serving_abort_reason(&operation->serving, err);
}

int operation_failed(struct operation *operation, struct error *err)
{
        struct error reason = ERROR_INIT;

        if (!operation->serving.supervisor || supervisor_check(operation->serving.supervisor, &reason) == 0)
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
        int rc = serving_configure(&operation->serving, err);

        if (rc != 0)
                return rc < 0 ? -1 : server_failure(operation, err);
        supervisor_child_joined(operation->serving.supervisor);
        operation->joined = true;
        rc = vds_client_server_info(operation->serving.client, text);
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
        supervisor_watch_child(operation->serving.supervisor, operation->process.pidfd);
        if (await_configuration(operation, err) < 0)
                return operation_failed(operation, err);
        message_verbose("server: %s %s, process %d; buffer area of %u bytes, blocks of %u, transfers up to %u",
                        operation->info.kind, operation->info.version, vds_client_server_pid(operation->serving.client),
                        operation->serving.config.bufferAreaSize, operation->serving.config.blockSize,
                        operation->serving.config.maxTransferSize);
        return 0;
}

static int await_verdict(struct operation *operation, struct error *err)
{
        char text[VDS_TEXT_MAX] = "";

        if (serving_verdict(&operation->serving, text) != VDS_VERDICT_SUCCESS)
                return server_failure(operation, err);
        server_report_decode(text, &operation->report);
        return 0;
}

int operation_transfer(struct operation *operation, struct media *const *media, const char *doing,
                       const char *const *names, struct error *err)
{
        struct served devices[VDS_DEVICES_MAX];
        int rc;

        for (uint32_t i = 0; i < operation->job.device_count; i++)
                devices[i] = (struct served){
                        .device = i, .name = operation->job.devices[i], .media = media[i], .what = names[i]
                };
        rc = serving_transfer(&operation->serving, devices, operation->job.device_count, doing, err);
        if (rc > 0)
                rc = server_failure(operation, err);
        if (rc < 0 || await_verdict(operation, err) < 0)
                return operation_failed(operation, err);
        /* It has said success; how its process ends matters no more. */
        supervisor_watch_child(operation->serving.supervisor, -1);
        return 0;
}

void operation_close(struct operation *operation)
{
        bool killed;
        int status;

        serving_leave(&operation->serving);
        if (operation->serving.supervisor)
                supervisor_watch_child(operation->serving.supervisor, -1);
        status = server_process_end(&operation->process, SERVER_GRACE_MS, &killed);
        serving_close(&operation->serving);
        if (operation->job.database && (status != 0 || operation->server_lost || operation->report.code != ERR_NONE))
                server_sweep(&operation->job);
        server_job_deinit(&operation->job);
}
