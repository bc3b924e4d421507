#include "cli/run/transfer.h"

#include <stdio.h>

#include "cli/media/completion_code.h"

static long transfer_execute(struct device_transfer *transfer, const struct VDC_Command *command,
                             struct media_outcome *outcome)
{
        struct error err = ERROR_INIT;
        long code;

        /* After a failure nothing is executed any more: a medium that lost bytes must not look whole. */
        if (error_is_set(&transfer->err) && command->commandCode != VDC_ClearError)
                return completion_code_of_error(&transfer->err);
        worker_begin(&transfer->worker);
        code = media_execute(transfer->volume->media, command, outcome, &err);
        worker_end(&transfer->worker);
        if (command->commandCode == VDC_Read || command->commandCode == VDC_Write)
                progress_add(&transfer->member->progress, outcome->bytes);
        error_keep_first(&transfer->err, &err);
        return code;
}

/* Commands are executed in the order of the queue, which every personality allows. */
static int transfer_serve_one(struct device_transfer *transfer, struct engine_device *device, uint64_t serial)
{
        struct media_outcome outcome = { .bytes = 0 };
        struct VDC_Command *command;
        uint32_t number = transfer->volume->device + 1;
        int32_t what;
        long code;
        int rc = engine_get_command(transfer->member->engine, device, &command);

        if (rc != NOERROR)
                return rc;
        what = command->commandCode;
        trace_command(transfer->member->trace, number, serial, what, command->size, command->position);
        code = transfer_execute(transfer, command, &outcome);
        rc = engine_complete_command(transfer->member->engine, device, command, (int)code, outcome.bytes,
                                     outcome.position);
        trace_completion(transfer->member->trace, number, serial, what, (int32_t)code, outcome.bytes, outcome.position);
        return rc;
}

static void transfer_serve(struct device_transfer *transfer, struct engine_device *device)
{
        uint64_t serial = 0;
        int rc;

        do
                rc = transfer_serve_one(transfer, device, ++serial);
        while (rc == NOERROR);
        transfer->closed = rc == VD_E_CLOSE;
        trace_event(transfer->member->trace, transfer->volume->device + 1, transfer->closed ? "close" : "abort",
                    transfer->closed ? NULL : engine_abort_text(transfer->member->engine));
        if (rc != VD_E_CLOSE && rc != VD_E_ABORT)
                error_raise(&transfer->err, ERR_PROTOCOL, "device '%s': %s", transfer->name, vds_result_name(rc));
}

static int transfer_open_device(struct device_transfer *transfer, struct engine_device **ret_device)
{
        const struct member *member = transfer->member;
        uint32_t device = transfer->volume->device;
        int rc = NOERROR;

        if (device < member->device_count)
                snprintf(transfer->name, sizeof transfer->name, "%s", member->devices[device]);
        else
                rc = engine_device_name(member->engine, device, /* timeout_ms= */ -1, transfer->name);
        if (rc == NOERROR)
                rc = engine_open_device(transfer->member->engine, transfer->name, ret_device);
        transfer->opened = rc == NOERROR;
        return rc;
}

static void transfer_raise_not_opened(struct device_transfer *transfer, int rc)
{
        if (rc == VD_E_PROTOCOL || rc == VD_E_OPEN)
                error_raise(&transfer->err, ERR_BUSY, "device %u ('%s') is served already",
                            transfer->volume->device + 1, transfer->name);
        else if (rc != VD_E_ABORT)
                error_raise(&transfer->err, rc == VD_E_TIMEOUT ? ERR_TIMEOUT : ERR_PROTOCOL,
                            "device %u ('%s') cannot be opened: %s", transfer->volume->device + 1, transfer->name,
                            vds_result_name(rc));
}

void transfer_run(struct device_transfer *transfer)
{
        struct engine_device *device;
        int rc;

        supervisor_enter(transfer->member->supervisor, &transfer->worker,
                         transfer->member->writes ? "writing to" : "reading", volume_name(transfer->volume));
        rc = transfer_open_device(transfer, &device);
        if (rc == NOERROR)
                transfer_serve(transfer, device);
        else
                transfer_raise_not_opened(transfer, rc);
        supervisor_leave(transfer->member->supervisor, &transfer->worker);
        /* One device alone does not make a backup: without this one the others need not go on. */
        if (!transfer->closed && (transfer->opened || !transfer->member->secondary))
                engine_signal_abort(transfer->member->engine);
}

static void *transfer_main(void *argument)
{
        transfer_run(argument);
        return NULL;
}

int transfer_start(struct device_transfer *transfer, struct error *err)
{
        int rc = pthread_create(&transfer->thread, NULL, transfer_main, transfer);

        if (rc)
                return error_raise_errno(err, rc, "starting the thread of device %u", transfer->volume->device + 1);
        transfer->started = true;
        return 0;
}

void transfer_join(struct device_transfer *transfer)
{
        if (transfer->started)
                pthread_join(transfer->thread, NULL);
        transfer->started = false;
}
