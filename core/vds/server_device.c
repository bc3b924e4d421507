/* The server's side of vds.h: one device. Its completions are in completion_agent.c. */
#include "core/vds/internal.h"

#include "core/base/fault.h"

/* The completion code that goes with a refusal. */
static int32_t code_of_refusal(int result)
{
        switch (result) {
        case VD_E_QUEUE_FULL:
                return ERROR_NO_SYSTEM_RESOURCES;
        case VD_E_IO_ERROR:
                return ERROR_IO_DEVICE;
        case VD_E_ABORT:
                return ERROR_OPERATION_ABORTED;
        default:
                return ERROR_INVALID_HANDLE;
        }
}

/* Checks a command and turns it into a record, all but slot and generation. */
static int make_record(struct vds_server *server, const struct VDS_Command *command, struct command_record *ret_record)
{
        const struct VDConfig *config = &server->set.config;
        struct server_buffer buffer = { 0 };

        if (command->commandCode < VDC_Read || command->commandCode > VDC_Complete)
                return VD_E_INVALID;
        if (command_moves_data(command->commandCode) &&
            (command->size <= 0 || (uint32_t)command->size > config->maxTransferSize ||
             (uint32_t)command->size % config->blockSize || !command->buffer))
                return VD_E_INVALID;
        /* An address inside a buffer will do, a whole number of blocks from its start: which the offset tells, since
         * buffers begin at multiples of the alignment, which is one of the block size. */
        if (command->buffer &&
            (!server_find_buffer(server, command->buffer, &buffer) || buffer.offset % config->blockSize ||
             (command->size > 0 && (uint64_t)command->size > buffer.left)))
                return VD_E_INVALID;
        *ret_record = (struct command_record){
                .code = command->commandCode,
                .size = command->size,
                .position = command->inPosition,
                .area = buffer.area,
                .has_buffer = command->buffer != NULL,
                .offset = buffer.offset,
        };
        return NOERROR;
}

/* May the device take this command now? Under its lock. */
static int server_check_device(const struct vds_server_device *device, int32_t code)
{
        if (!device->opened || device->closed)
                return VD_E_PROTOCOL;
        if (device->dead)
                return VD_E_ABORT;
        if (device->io_error && code != VDC_ClearError)
                return VD_E_IO_ERROR;
        return device->outstanding == VDS_QUEUE_DEPTH ? VD_E_QUEUE_FULL : NOERROR;
}

/* Puts the command into a slot and its record into the queue. */
static int server_enqueue(struct vds_server_device *device, struct VDS_Command *command, struct command_record *record)
{
        struct vds_server *server = device->server;
        struct server_slot *slot;

        LOCKED(&device->lock);
        SET_PASS_ON(server_check_device(device, record->code));
        while (device->slots[device->next_slot % VDS_QUEUE_DEPTH].command)
                device->next_slot++;
        record->slot = device->next_slot % VDS_QUEUE_DEPTH;
        slot = &device->slots[record->slot];
        record->generation = slot->generation;
        switch (ring_push(&device->commands, record)) {
        case RING_OK:
                break;
        case RING_FULL: /* it has room for as many as there are slots */
        case RING_EMPTY:
        case RING_BROKEN:
                return VD_E_UNEXPECTED;
        }
        slot->command = command;
        slot->size = command->size;
        slot->code = command->commandCode;
        device->next_slot++;
        device->outstanding++;
        /* In this order: an agent that sees a command outstanding must not measure from before the quiet time. */
        if (atomic_load(&server->outstanding) == 0)
                atomic_store_explicit(&server->progress_ns, monotonic_ns(), memory_order_relaxed);
        atomic_fetch_add(&server->outstanding, 1);
        return NOERROR;
}

static int send_command(struct vds_server_device *device, struct VDS_Command *command)
{
        struct vds_set *set = &device->server->set;
        struct error err = ERROR_INIT;
        struct command_record record;
        int result;

        SET_PASS_ON(make_record(device->server, command, &record));
        fault_point("server.send_command");
        result = server_enqueue(device, command, &record);
        if (result == VD_E_UNEXPECTED) {
                error_raise(&err, ERR_PROTOCOL, "the client left the device's queue in an impossible state");
                return set_fail(set, VDS_ABORT_MISBEHAVED, &err);
        }
        if (result == NOERROR)
                wake_signal(&device->shared->client_wake);
        fault_point("server.send_command.done");
        return result;
}

int vds_server_device_send_command(struct vds_server_device *device, struct VDS_Command *command)
{
        CLEANUP(set_leave) struct set_call call = { 0 };
        int result;

        if (!command || !command->completionRoutine)
                return VD_E_INVALID;
        result = set_enter(&device->server->set, &call, CALL_SEND_COMMAND);
        if (result == NOERROR)
                result = send_command(device, command);
        /* Inside the call, so that Close waits for this callback as it does for the agent's. */
        if (result != NOERROR)
                server_call_back(command, code_of_refusal(result), 0);
        return result;
}

/* Closes the device here. VD_E_PROTOCOL: it is not open; VD_E_CLOSE: it was closed already. */
static int server_mark_closed(struct vds_server_device *device, bool *ret_outstanding)
{
        bool closed;

        LOCKED(&device->lock);
        if (!device->opened)
                return VD_E_PROTOCOL;
        closed = device->closed;
        device->closed = true;
        *ret_outstanding = device->outstanding > 0;
        return closed ? VD_E_CLOSE : NOERROR;
}

int vds_server_device_close(struct vds_server_device *device)
{
        struct vds_server *server = device->server;
        struct vds_set *set = &server->set;
        bool outstanding;

        SET_ENTER_OR_RETURN(set, CALL_CLOSE_DEVICE);
        SET_PASS_ON(server_mark_closed(device, &outstanding));
        /* First here, then in public: a client that sees its last device closed may leave at once, and the service
         * thread must not take that for a death. */
        if (atomic_fetch_add(&server->closed_count, 1) + 1 == set->device_count)
                set_all_closed(set);
        fault_point("server.close_device");
        atomic_store_explicit(&device->shared->phase, DEVICE_CLOSED, memory_order_release);
        wake_signal(&device->shared->client_wake);
        wake_signal(&set->layout->client_wake);
        if (outstanding && !atomic_load(&server->agent_running))
                server_drain_device(device, ERROR_OPERATION_ABORTED, /* dead= */ false);
        wake_signal(&device->shared->server_wake);
        wake_signal(&set->layout->agent_wake);
        fault_point("server.close_device.done");
        return NOERROR;
}
