#include "cli/run/operation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "cli/run/set_options.h"

enum { BUFFER_ALIGNMENT = 4096 };

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
        ident_uuid(operation->set_id);
        return serving_open(&operation->serving, args, verb, err);
}

static char *device_name(const char *set_id, uint32_t device)
{
        char *name = NULL;

        if (device == 0 ? asprintf(&name, "vdipipe-%s", set_id) < 0
                        : asprintf(&name, "vdipipe-%s-%u", set_id, device + 1) < 0)
                return NULL;
        return name;
}

static void forget_devices(struct operation *operation)
{
        for (uint32_t i = 0; i < operation->device_count; i++)
                free(operation->devices[i]);
        memset(operation->devices, 0, sizeof operation->devices);
        operation->device_count = 0;
}

int operation_name_devices(struct operation *operation, uint32_t devices, struct error *err)
{
        char another[IDENT_UUID_SIZE];
        const char *set_id = operation->set_id;

        /* A set that was there a moment ago may still be known to the server. */
        if (operation->started) {
                ident_uuid(another);
                set_id = another;
        }
        forget_devices(operation);
        operation->device_count = devices;
        for (uint32_t i = 0; i < devices; i++) {
                operation->devices[i] = device_name(set_id, i);
                if (!operation->devices[i])
                        return error_no_memory(err);
        }
        return 0;
}

static int create_set(struct operation *operation, struct error *err)
{
        const struct VDConfig wishes = {
                .deviceCount = operation->device_count,
                .features = VDF_LikePipe | VDF_RequestComplete,
                .alignment = BUFFER_ALIGNMENT,
                .serverTimeOut = (uint32_t)operation->serving.args->vdi_timeout_ms,
        };
        struct vds_options options;

        if (operation->library)
                return serving_create_library(&operation->serving, operation->library, operation->devices[0], &wishes,
                                              err);
        options = set_options(operation->serving.args);
        options.connection = operation->connection;
        operation->connection = 0;
        return serving_create(&operation->serving, &options, operation->devices[0], &wishes, err);
}

int operation_failed(struct operation *operation, struct error *err)
{
        struct error reason = ERROR_INIT;

        if (!operation->serving.supervisor || supervisor_check(operation->serving.supervisor, &reason) == 0)
                return -1;
        /* A server that fails because we did is no reason; and the one that failed first may have left words. */
        if (reason.code != ERR_PEER_DIED)
                *err = reason;
        else if (operation->started && (!error_is_set(err) || err->code == ERR_ABORTED))
                operation->server->raise_failure(operation, err);
        return -1;
}

static int await_configuration(struct operation *operation, struct error *err)
{
        int rc = serving_configure(&operation->serving, err);

        if (rc < 0 && err->code == ERR_TIMEOUT && operation->server->explain_absence)
                operation->server->explain_absence(operation, err);
        if (rc != 0)
                return rc < 0 ? -1 : operation->server->raise_failure(operation, err);
        supervisor_server_joined(operation->serving.supervisor);
        operation->joined = true;
        return operation->server->joined(operation, err);
}

int operation_connect(struct operation *operation, struct error *err)
{
        operation->joined = false;
        if (operation->server->prepare && operation->server->prepare(operation, err) < 0)
                return operation_failed(operation, err);
        if (create_set(operation, err) < 0)
                return operation_failed(operation, err);
        message_verbose("device set '%s', %u device%s", operation->devices[0], operation->device_count,
                        operation->device_count == 1 ? "" : "s");
        operation->started = true;
        if (operation->server->start(operation, err) < 0 || await_configuration(operation, err) < 0)
                return operation_failed(operation, err);
        message_verbose("buffer area of %u bytes, blocks of %u, transfers up to %u",
                        operation->serving.config.bufferAreaSize, operation->serving.config.blockSize,
                        operation->serving.config.maxTransferSize);
        return 0;
}

int operation_transfer(struct operation *operation, struct media *const *media, const char *doing,
                       const char *const *names, struct error *err)
{
        struct served devices[VDS_DEVICES_MAX];
        int rc;

        for (uint32_t i = 0; i < operation->device_count; i++)
                devices[i] = (struct served){
                        .device = i, .name = operation->devices[i], .media = media[i], .what = names[i]
                };
        rc = serving_transfer(&operation->serving, devices, operation->device_count, doing, err);
        if (rc > 0)
                rc = operation->server->raise_failure(operation, err);
        if (rc < 0 || operation->server->await_success(operation, err) < 0)
                return operation_failed(operation, err);
        /* It has said success; how it ends matters no more. */
        supervisor_watch_server(operation->serving.supervisor, -1, NULL, NULL);
        return 0;
}

void operation_leave(struct operation *operation)
{
        if (operation->serving.supervisor)
                supervisor_watch_server(operation->serving.supervisor, -1, NULL, NULL);
        serving_leave(&operation->serving);
}

void operation_close(struct operation *operation)
{
        operation_leave(operation);
        if (operation->server)
                operation->server->end(operation);
        operation->server = NULL;
        serving_close(&operation->serving);
        forget_devices(operation);
}
