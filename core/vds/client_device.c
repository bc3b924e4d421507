/* The client's side of vds.h: one device. */
#include "core/vds/internal.h"

#include "core/base/fault.h"

/* What came out of one look at the queue. */
enum command_take {
        TAKE_COMMAND = 0,
        TAKE_NOTHING,
        TAKE_CLOSED,
        TAKE_BROKEN, /* the server misbehaves; `err` says how */
};

/* Queues the outcome of a command. -1: the server misbehaves. Under the device's lock. */
static int push_completion(struct vds_client_device *device, const struct command_record *command, int32_t code,
                           uint32_t bytes, int64_t position)
{
        const struct completion_record record = {
                .slot = command->slot,
                .generation = command->generation,
                .code = code,
                .bytes = bytes,
                .position = position,
        };

        /* Every slot of the server's has at most one completion on its way, so the ring has room for all of them. */
        return ring_push(&device->completions, &record) == RING_OK ? 0 : -1;
}

/* The address behind a record's buffer reference. NULL with *ret_mapped false: the area is not there yet; with true: it
 * is no place for a buffer. */
static uint8_t *client_resolve_record(struct vds_client *client, const struct command_record *record, bool *ret_mapped)
{
        *ret_mapped = record->area < atomic_load_explicit(&client->area_count, memory_order_acquire);
        return *ret_mapped ? client_resolve(client, record->area, record->offset, command_length(record)) : NULL;
}

static int check_record(const struct vds_client_device *device, const struct command_record *record, struct error *err)
{
        const struct VDConfig *config = &device->client->set.config;

        if (record->slot >= VDS_QUEUE_DEPTH || device->slots[record->slot].busy)
                return error_raise(err, ERR_PROTOCOL, "the server sent a command in slot %u, which is in use",
                                   record->slot);
        if (record->code < VDC_Read || record->code > VDC_Complete)
                return error_raise(err, ERR_PROTOCOL, "the server sent command %d, which is none", record->code);
        if (command_moves_data(record->code) &&
            (record->size <= 0 || (uint32_t)record->size > config->maxTransferSize ||
             (uint32_t)record->size % config->blockSize || !record->has_buffer))
                return error_raise(err, ERR_PROTOCOL,
                                   "the server sent a %s of %d bytes; that takes a buffer, and blocks of %u up to %u",
                                   vds_command_name(record->code), record->size, config->blockSize,
                                   config->maxTransferSize);
        if (record->has_buffer && record->area >= SET_AREAS_MAX)
                return error_raise(err, ERR_PROTOCOL, "the server named buffer area %u", record->area);
        /* Buffers begin at multiples of the alignment, which is one of the block size. */
        if (record->has_buffer && record->offset % config->blockSize)
                return error_raise(err, ERR_PROTOCOL, "the server named a buffer that is not aligned");
        return 0;
}

/* Hands a checked command to the user, or keeps it back until it can be. */
static enum command_take client_deliver(struct vds_client_device *device, const struct command_record *record,
                                        struct VDC_Command **ret_command, struct error *err)
{
        struct client_slot *slot = &device->slots[record->slot];
        uint8_t *buffer = NULL;
        bool mapped = true;

        if (record->code == VDC_ClearError && device->io_error && device->held > 0) {
                device->pending = PENDING_CLEAR_ERROR;
                device->pending_record = *record;
                return TAKE_NOTHING;
        }
        if (record->has_buffer)
                buffer = client_resolve_record(device->client, record, &mapped);
        if (!mapped) {
                if (device->pending != PENDING_AREA)
                        device->pending_deadline = deadline_after_ms(SET_AREA_WAIT_MS);
                device->pending = PENDING_AREA;
                device->pending_record = *record;
                if (!deadline_passed(device->pending_deadline))
                        return TAKE_NOTHING;
                return SET_REFUSE(TAKE_BROKEN, err, ERR_PROTOCOL, "the server named buffer area %u and never sent it",
                                  record->area);
        }
        if (record->has_buffer && !buffer)
                return SET_REFUSE(TAKE_BROKEN, err, ERR_PROTOCOL, "the server named a buffer outside its area");
        device->pending = PENDING_NONE;
        slot->busy = true;
        slot->deliveries++;
        slot->record = *record;
        slot->command = (struct VDC_Command){
                .commandCode = record->code,
                .size = record->size,
                .position = record->position,
                .buffer = buffer,
        };
        device->held++;
        client_begin_held(device, record->slot);
        atomic_fetch_add_explicit(&device->command_count, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&device->shared->commands, 1, memory_order_relaxed);
        *ret_command = &slot->command;
        return TAKE_COMMAND;
}

static enum command_take broken_queue(struct error *err)
{
        return SET_REFUSE(TAKE_BROKEN, err, ERR_PROTOCOL, "the server left the device's queue in an impossible state");
}

/* Takes one record off the queue and checks it. TAKE_COMMAND: *ret_record holds it. */
static enum command_take pop_record(struct vds_client_device *device, struct command_record *ret_record,
                                    struct error *err)
{
        switch (ring_pop(&device->commands, ret_record)) {
        case RING_EMPTY:
                return TAKE_NOTHING;
        case RING_OK:
                return check_record(device, ret_record, err) < 0 ? TAKE_BROKEN : TAKE_COMMAND;
        case RING_FULL:
        case RING_BROKEN:
                break;
        }
        return broken_queue(err);
}

/*
 * In the IO-ERROR state: what was not delivered goes back with 1117, up to a ClearError, which is kept for deliver().
 * There are as many of these as a queue holds, since the server sends nothing but ClearError once it knows; a server
 * that went on would keep the thread here, under the lock, for ever. Returns TAKE_NOTHING, or TAKE_BROKEN.
 */
static enum command_take flush_queue(struct vds_client_device *device, bool *ret_completed, struct error *err)
{
        struct command_record record = device->pending_record;
        enum command_take taken = TAKE_COMMAND;
        int flushed = 0;

        if (device->pending == PENDING_NONE)
                taken = pop_record(device, &record, err);
        for (; taken == TAKE_COMMAND; taken = pop_record(device, &record, err)) {
                device->pending = record.code == VDC_ClearError ? PENDING_CLEAR_ERROR : PENDING_NONE;
                device->pending_record = record;
                if (device->pending == PENDING_CLEAR_ERROR)
                        return TAKE_NOTHING;
                if (flushed++ == VDS_QUEUE_DEPTH || push_completion(device, &record, ERROR_IO_DEVICE, 0, 0) < 0)
                        return broken_queue(err);
                *ret_completed = true;
        }
        return taken;
}

/* Takes the next command that the user may see; in the IO-ERROR state that is nothing but ClearError. */
static enum command_take take_command(struct vds_client_device *device, struct VDC_Command **ret_command,
                                      bool *ret_completed, struct error *err)
{
        struct command_record record;
        enum command_take taken;

        if (device->io_error && flush_queue(device, ret_completed, err) == TAKE_BROKEN)
                return TAKE_BROKEN;
        if (device->pending != PENDING_NONE) {
                record = device->pending_record;
                return client_deliver(device, &record, ret_command, err);
        }
        if (device->io_error)
                return TAKE_NOTHING;
        taken = pop_record(device, &record, err);
        return taken == TAKE_COMMAND ? client_deliver(device, &record, ret_command, err) : taken;
}

/* Changes bits of the device's word in the layout. Under the device's lock. */
static void set_outcome(struct vds_client_device *device, uint32_t clear, uint32_t set)
{
        uint32_t outcome = (device->outcome & ~clear) | set;

        if (outcome == device->outcome)
                return;
        device->outcome = outcome;
        atomic_store_explicit(&device->shared->outcome, outcome, memory_order_release);
}

/* One look at the device, under its lock. */
static enum command_take client_look_at_device(struct vds_client_device *device, struct VDC_Command **ret_command,
                                               bool *ret_completed, bool *ret_first_close, struct error *err)
{
        *ret_completed = *ret_first_close = false;
        /* Closing first: what the server did not wait for is never delivered. */
        if (device->closed_seen)
                return TAKE_CLOSED;
        if (atomic_load_explicit(&device->shared->phase, memory_order_acquire) == DEVICE_CLOSED) {
                device->closed_seen = *ret_first_close = true;
                set_outcome(device, 0, OUTCOME_CLOSED_SEEN);
                return TAKE_CLOSED;
        }
        return take_command(device, ret_command, ret_completed, err);
}

/* There is a completion: for the device's thread, or for the agent of all. */
static void signal_server(struct vds_client_device *device)
{
        wake_signal(&device->shared->server_wake);
        wake_signal(&device->client->set.layout->agent_wake);
}

static int get_command(struct vds_client_device *device, struct deadline deadline, struct VDC_Command **ret_command)
{
        struct vds_set *set = &device->client->set;
        struct wake_cell *cell = &device->shared->client_wake;

        for (;;) {
                uint32_t seen = wake_key(cell);
                struct deadline wait_until = deadline;
                struct error err = ERROR_INIT;
                enum command_take taken;
                bool completed;
                bool first_close;

                SET_PASS_ON(set_may_wait(set));
                pthread_mutex_lock(&device->lock);
                taken = client_look_at_device(device, ret_command, &completed, &first_close, &err);
                if (device->pending == PENDING_AREA)
                        wait_until = deadline_earlier(deadline, device->pending_deadline);
                pthread_mutex_unlock(&device->lock);
                if (completed)
                        signal_server(device);
                if (first_close)
                        wake_signal(&set->layout->client_wake);
                switch (taken) {
                case TAKE_COMMAND:
                        fault_point("client.get_command.done");
                        return NOERROR;
                case TAKE_CLOSED:
                        client_note_closed(device->client);
                        return VD_E_CLOSE;
                case TAKE_BROKEN:
                        return set_fail(set, VDS_ABORT_MISBEHAVED, &err);
                case TAKE_NOTHING:
                        break;
                }
                if (deadline_passed(deadline))
                        return VD_E_TIMEOUT;
                wake_wait(cell, seen, wait_until, &device->patience);
        }
}

static bool client_device_is_opened(struct vds_client_device *device)
{
        LOCKED(&device->lock);

        return device->opened;
}

int vds_client_device_get_command(struct vds_client_device *device, int64_t timeout_ms,
                                  struct VDC_Command **ret_command)
{
        struct vds_set *set = &device->client->set;

        *ret_command = NULL;
        SET_ENTER_OR_RETURN(set, CALL_GET_COMMAND);
        if (!client_device_is_opened(device))
                return VD_E_PROTOCOL;
        return get_command(device, deadline_after_ms(timeout_ms), ret_command);
}

/* The slot whose command this is, or NULL. Any address may be asked about. */
static struct client_slot *find_slot(struct vds_client_device *device, const struct VDC_Command *command)
{
        uintptr_t from_first = (uintptr_t)command - (uintptr_t)device->slots;

        if (from_first % sizeof device->slots[0] || from_first / sizeof device->slots[0] >= VDS_QUEUE_DEPTH)
                return NULL;
        return &device->slots[from_first / sizeof device->slots[0]];
}

/* What a completion says about whether the medium holds what was written: see vds_client_verdict(). */
static void note_outcome(struct vds_client_device *device, int32_t command, int code)
{
        if (code != ERROR_SUCCESS)
                set_outcome(device, OUTCOME_FLUSHED | OUTCOME_FINISHED, OUTCOME_IO_ERROR);
        else if (command == VDC_Write)
                set_outcome(device, OUTCOME_FLUSHED | OUTCOME_FINISHED, 0);
        else if (command == VDC_Flush)
                set_outcome(device, 0, OUTCOME_FLUSHED);
        else if (command == VDC_Complete)
                set_outcome(device, 0, OUTCOME_FINISHED);
        else if (command == VDC_ClearError)
                set_outcome(device, OUTCOME_IO_ERROR, 0);
}

static int client_complete(struct vds_client_device *device, struct VDC_Command *command, int code, uint64_t bytes,
                           int64_t position, struct error *err)
{
        struct client_slot *slot = find_slot(device, command);
        struct command_record record;
        bool completed = false;

        if (!device->opened)
                return VD_E_PROTOCOL;
        if (!slot || !slot->busy)
                return VD_E_INVALID;
        record = slot->record;
        if (!command_moves_data(record.code))
                bytes = 0;
        else if (bytes > (uint64_t)record.size)
                return VD_E_INVALID;
        /* In front of the completion: whoever hears of that can rely on these. */
        note_outcome(device, record.code, code);
        client_end_held(device, record.slot);
        if (push_completion(device, &record, code, (uint32_t)bytes, position) < 0) {
                broken_queue(err);
                return VD_E_ABORT;
        }
        slot->busy = false;
        device->held--;
        atomic_fetch_add_explicit(&device->completion_count, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&device->shared->completions, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&device->byte_count, bytes, memory_order_relaxed);
        atomic_fetch_add_explicit(&device->shared->bytes, bytes, memory_order_relaxed);
        if (code != ERROR_SUCCESS) {
                device->io_error = true;
                return flush_queue(device, &completed, err) == TAKE_BROKEN ? VD_E_ABORT : NOERROR;
        }
        if (record.code == VDC_ClearError)
                device->io_error = false;
        return NOERROR;
}

int vds_client_device_complete_command(struct vds_client_device *device, struct VDC_Command *command,
                                       int completion_code, uint64_t bytes_transferred, int64_t position)
{
        struct vds_set *set = &device->client->set;
        struct error err = ERROR_INIT;
        int result;
        bool waiting;

        SET_ENTER_OR_RETURN(set, CALL_COMPLETE);
        fault_point("client.complete_command");
        pthread_mutex_lock(&device->lock);
        result = client_complete(device, command, completion_code, bytes_transferred, position, &err);
        waiting = result == NOERROR && device->pending == PENDING_CLEAR_ERROR && device->held == 0;
        pthread_mutex_unlock(&device->lock);
        if (result == VD_E_ABORT)
                return set_fail(set, VDS_ABORT_MISBEHAVED, &err);
        if (result == NOERROR)
                signal_server(device);
        /* Another thread may sit in GetCommand while its ClearError was held back. */
        if (waiting)
                wake_signal(&device->shared->client_wake);
        fault_point("client.complete_command.done");
        return result;
}

void vds_client_device_counters(struct vds_client_device *device, struct vds_device_counters *ret_counters)
{
        *ret_counters = (struct vds_device_counters){
                .commands = atomic_load_explicit(&device->command_count, memory_order_relaxed),
                .completions = atomic_load_explicit(&device->completion_count, memory_order_relaxed),
                .bytes = atomic_load_explicit(&device->byte_count, memory_order_relaxed),
        };
}
