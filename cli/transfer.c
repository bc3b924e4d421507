#include "cli/transfer.h"

/* What one command came to. */
struct outcome {
        long code;
        size_t bytes;
};

static struct outcome run_read(struct transfer *transfer, const struct VDC_Command *command, struct error *err)
{
        struct outcome outcome = { .bytes = 0 };

        outcome.code = transfer->media->ops->read(transfer->media, command->buffer, (size_t)command->size,
                                                  &outcome.bytes, err);
        progress_add(transfer->progress, outcome.bytes);
        return outcome;
}

static struct outcome run_write(struct transfer *transfer, const struct VDC_Command *command, struct error *err)
{
        size_t size = (size_t)command->size;
        long code = transfer->media->ops->write(transfer->media, command->buffer, size, err);

        if (code != ERROR_SUCCESS)
                return (struct outcome){ .code = code };
        progress_add(transfer->progress, size);
        return (struct outcome){ .bytes = size };
}

static struct outcome run_flush(struct transfer *transfer, const struct VDC_Command *command, struct error *err)
{
        (void)command;
        return (struct outcome){ .code = transfer->media->ops->flush(transfer->media, err) };
}

static struct outcome run_complete(struct transfer *transfer, const struct VDC_Command *command, struct error *err)
{
        (void)command;
        return (struct outcome){ .code = transfer->media->ops->complete(transfer->media, err) };
}

static struct outcome run_clear_error(struct transfer *transfer, const struct VDC_Command *command, struct error *err)
{
        (void)transfer;
        (void)command;
        (void)err;
        return (struct outcome){ .code = ERROR_SUCCESS };
}

/* What is not here is answered with ERROR_NOT_SUPPORTED, as the interface asks of every client. */
static struct outcome (*const runners[])(struct transfer *, const struct VDC_Command *, struct error *) = {
        [VDC_Read] = run_read,         [VDC_Write] = run_write,
        [VDC_Flush] = run_flush,       [VDC_ClearError] = run_clear_error,
        [VDC_Complete] = run_complete,
};

static struct outcome execute(struct transfer *transfer, const struct VDC_Command *command)
{
        size_t code = (size_t)command->commandCode;
        struct outcome outcome;
        struct error err = ERROR_INIT;

        if (command->commandCode < 0 || code >= sizeof runners / sizeof runners[0] || !runners[code])
                return (struct outcome){ .code = ERROR_NOT_SUPPORTED };
        /* After a failure nothing is executed any more: a medium that lost bytes must not look whole. */
        if (error_is_set(&transfer->err) && command->commandCode != VDC_ClearError)
                return (struct outcome){ .code = media_code_of_error(&transfer->err) };
        worker_begin(&transfer->worker);
        outcome = runners[code](transfer, command, &err);
        worker_end(&transfer->worker);
        error_keep_first(&transfer->err, &err);
        return outcome;
}

static void serve(struct transfer *transfer, struct vds_client_device *device)
{
        for (;;) {
                struct VDC_Command *command;
                struct outcome outcome;
                int rc = vds_client_device_get_command(device, /* timeout_ms= */ -1, &command);

                if (rc == NOERROR) {
                        outcome = execute(transfer, command);
                        rc = vds_client_device_complete_command(device, command, (int)outcome.code, outcome.bytes, 0);
                }
                if (rc == VD_E_CLOSE)
                        transfer->closed = true;
                else if (rc != NOERROR && rc != VD_E_ABORT)
                        error_raise(&transfer->err, ERR_PROTOCOL, "device '%s': %s", transfer->device_name,
                                    vds_result_name(rc));
                if (rc != NOERROR)
                        return;
        }
}

static void *transfer_main(void *argument)
{
        struct transfer *transfer = argument;
        struct vds_client_device *device;
        int rc;

        supervisor_enter(transfer->supervisor, &transfer->worker, transfer->doing, transfer->what);
        rc = vds_client_open_device(transfer->client, transfer->device_name, &device);
        if (rc == NOERROR)
                serve(transfer, device);
        else if (rc != VD_E_ABORT)
                error_raise(&transfer->err, rc == VD_E_TIMEOUT ? ERR_TIMEOUT : ERR_PROTOCOL,
                            "device '%s' cannot be opened: %s", transfer->device_name, vds_result_name(rc));
        supervisor_leave(transfer->supervisor, &transfer->worker);
        /* One device alone does not make a backup: without this one the others need not go on. */
        if (!transfer->closed)
                vds_client_signal_abort(transfer->client);
        return NULL;
}

int transfer_start(struct transfer *transfer, struct error *err)
{
        int rc = pthread_create(&transfer->thread, NULL, transfer_main, transfer);

        if (rc)
                return error_raise_errno(err, rc, "starting the thread of device '%s'", transfer->device_name);
        transfer->started = true;
        return 0;
}

void transfer_join(struct transfer *transfer)
{
        if (transfer->started)
                pthread_join(transfer->thread, NULL);
        transfer->started = false;
}
