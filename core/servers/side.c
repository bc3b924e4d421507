#include "core/servers/side.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/deadline.h"
#include "core/base/lock.h"
#include "core/servers/report.h"

enum {
        ALIGNMENT = 4096,
        CONFIGURATION_TIMEOUT_MS = 60000,
        OPEN_SLICE_MS = 50, /* between two looks for a set that is not there yet */
        HOLD_SLICE_MS = 50, /* between two looks at a client that may abort */
};

/* ---- failures ---- */

/* What a client may have meant with a completion code. */
static const struct {
        int32_t code;
        enum err_code class;
        const char *words;
} completions[] = {
        { ERROR_HANDLE_EOF, ERR_FAILED, "unexpected end of data" },
        { ERROR_HANDLE_DISK_FULL, ERR_NO_SPACE, "disk full" },
        { ERROR_NOT_SUPPORTED, ERR_PROTOCOL, "command not supported" },
        { ERROR_DISK_FULL, ERR_NO_SPACE, "disk full" },
        { ERROR_OPERATION_ABORTED, ERR_ABORTED, "operation aborted" },
        { ERROR_END_OF_MEDIA, ERR_NO_SPACE, "end of media" },
        { ERROR_EOM_OVERFLOW, ERR_NO_SPACE, "end of media" },
        { ERROR_IO_DEVICE, ERR_IO, "input or output error" },
        { ERROR_NO_SYSTEM_RESOURCES, ERR_PROTOCOL, "too many commands outstanding" },
};

/* The verb of "the client could not ..." for a command. */
static const char *side_verb_of(int32_t command_code)
{
        static const char *const verbs[] = {
                [VDC_Read] = "read",
                [VDC_Write] = "write",
                [VDC_ClearError] = "recover from an error",
                [VDC_Rewind] = "rewind",
                [VDC_WriteMark] = "write a file mark",
                [VDC_SkipMarks] = "skip file marks",
                [VDC_GetPosition] = "tell its position",
                [VDC_Flush] = "flush its data",
                [VDC_Complete] = "finish the backup",
        };
        size_t at = (size_t)command_code;

        return at < sizeof verbs / sizeof verbs[0] && verbs[at] ? verbs[at] : "execute a command";
}

static void explain_completion(struct channel *channel, const struct VDS_Command *command)
{
        const char *reason = server_message_os_error(command->completionCode);

        if (command->commandCode == VDC_Write)
                side_explain(channel->side, MESSAGE_WRITE, channel_name(channel), reason);
        else if (command->commandCode == VDC_Read)
                side_explain(channel->side, MESSAGE_READ, channel_name(channel), reason);
        else
                side_explain(channel->side, MESSAGE_COMMAND, vds_command_name(command->commandCode),
                             channel_name(channel), reason);
}

int channel_raise(struct channel *channel, const struct VDS_Command *command, struct error *err)
{
        const char *verb = side_verb_of(command->commandCode);

        if (side_is_aborted(channel->side))
                return side_raise(channel->side, VD_E_ABORT, verb, err);
        explain_completion(channel, command);
        for (size_t i = 0; i < sizeof completions / sizeof completions[0]; i++)
                if (completions[i].code == command->completionCode)
                        return error_raise(err, completions[i].class, "the client could not %s: %s (%d)", verb,
                                           completions[i].words, (int)command->completionCode);
        return error_raise(err, ERR_FAILED, "the client could not %s: error %d", verb, (int)command->completionCode);
}

/* For the engine, a client whose devices are all closed is free to go. For our work it is not: it must hear the
 * verdict. */
static bool is_orphan(const struct server_side *side)
{
        return side->job->client_is_parent && getppid() != side->parent;
}

bool side_is_aborted(void *side_at)
{
        const struct server_side *side = side_at;

        return atomic_load(&side->stopped) ||
               (side->server && (vds_server_abort_reason(side->server) != VDS_ABORT_NONE || is_orphan(side)));
}

static enum err_code class_of_abort(enum vds_abort_reason reason)
{
        switch (reason) {
        case VDS_ABORT_CLIENT_DIED:
                return ERR_PEER_DIED;
        case VDS_ABORT_TIMEOUT:
                return ERR_TIMEOUT;
        default:
                return ERR_ABORTED;
        }
}

int side_raise(struct server_side *side, int result, const char *doing, struct error *err)
{
        enum vds_abort_reason reason = vds_server_abort_reason(side->server);
        const char *words = vds_server_error_text(side->server);

        if (reason != VDS_ABORT_NONE)
                return error_raise(err, class_of_abort(reason), "the device set '%s' was aborted: %s",
                                   side->job->set_name, vds_abort_text(reason));
        if (atomic_load(&side->stopped))
                return error_raise(err, ERR_ABORTED, "the device set '%s' was aborted: %s", side->job->set_name,
                                   vds_abort_text(VDS_ABORT_SERVER));
        if (is_orphan(side))
                return error_raise(err, ERR_PEER_DIED, "the device set '%s' was aborted: %s", side->job->set_name,
                                   vds_abort_text(VDS_ABORT_CLIENT_DIED));
        return error_raise(err, result == VD_E_MEMORY ? ERR_MEMORY : ERR_PROTOCOL,
                           "cannot %s the device set '%s': %s%s%s", doing, side->job->set_name, vds_result_name(result),
                           words[0] ? ": " : "", words);
}

/* Ends everything early, from any thread. `side_at` is a struct server_side. */
static void side_abort(void *side_at)
{
        struct server_side *side = side_at;

        pthread_mutex_lock(&side->lock);
        atomic_store(&side->stopped, true);
        pthread_cond_broadcast(&side->met);
        pthread_mutex_unlock(&side->lock);
        vds_server_signal_abort(side->server);
}

/* ---- what is told ---- */

/* Under `telling`. */
static void side_tell_locked(struct server_side *side, enum server_message_id id, const char *const *words)
{
        struct server_message message;

        if (!side->events->message)
                return;
        server_message_fill(&message, id, words);
        side->events->message(&message, side->events->context);
}

void side_tell_words(struct server_side *side, enum server_message_id id, const char *const *words)
{
        LOCKED(&side->telling);

        side_tell_locked(side, id, words);
}

void side_explain_words(struct server_side *side, enum server_message_id id, const char *const *words)
{
        LOCKED(&side->telling);

        if (!side->explained)
                side_tell_locked(side, id, words);
        side->explained = true;
}

void side_set_total(struct server_side *side, uint64_t bytes, uint32_t page_size)
{
        LOCKED(&side->telling);

        side->total = bytes;
        side->page_size = page_size;
}

/* Nobody tells when a client aborts, so one looks again. */
static void side_hold(struct server_side *side)
{
        struct error err = ERROR_INIT;

        pthread_mutex_lock(&side->lock);
        while (!side_is_aborted(side) && !side_is_failing(side)) {
                struct deadline slice = deadline_after_ms(HOLD_SLICE_MS);
                struct timespec until = deadline_timespec(slice);

                pthread_cond_timedwait(&side->met, &side->lock, &until);
        }
        pthread_mutex_unlock(&side->lock);
        side_raise(side, VD_E_ABORT, "serve", &err);
        side_fail(side, &err);
}

static void tell_moved(struct server_side *side, uint64_t bytes)
{
        struct error err = ERROR_INIT;
        int rc;

        if (!side->events->moved)
                return;
        rc = side->events->moved(bytes, side->events->context, &err);
        if (rc < 0)
                side_fail(side, &err);
        else if (rc == SERVER_HOLD)
                side_hold(side);
}

void side_progress(struct server_side *side, uint64_t bytes)
{
        uint32_t stats = side->job->stats;
        uint32_t percent = 0;
        char shown[16];

        tell_moved(side, bytes);
        if (!stats)
                return;
        LOCKED(&side->telling);
        side->moved += bytes;
        if (side->total && side->moved <= side->total)
                percent = (uint32_t)((double)side->moved / (double)side->total * 100) / stats * stats;
        if (percent > side->percent) {
                side->percent = percent;
                snprintf(shown, sizeof shown, "%u", percent);
                side_tell_locked(side, MESSAGE_PERCENT, (const char *const[]){ shown, NULL });
        }
}

/* ---- how the channels meet ---- */

void side_fail(struct server_side *side, const struct error *err)
{
        LOCKED(&side->lock);

        error_keep_first(&side->failure, err);
        atomic_store(&side->failing, true);
        pthread_cond_broadcast(&side->met);
}

bool side_is_failing(struct server_side *side)
{
        return atomic_load(&side->failing);
}

bool side_meet(struct server_side *side)
{
        LOCKED(&side->lock);

        side->arrived++;
        pthread_cond_broadcast(&side->met);
        while (side->arrived < side->channel_count && !atomic_load(&side->failing))
                pthread_cond_wait(&side->met, &side->lock);
        return !atomic_load(&side->failing);
}

/* ---- joining and configuring ---- */

static void side_init(struct server_side *side, const struct server_job *job, const struct server_events *events)
{
        static const struct server_events nobody;
        pthread_condattr_t monotonic;

        memset(side, 0, sizeof *side);
        side->job = job;
        side->events = events ? events : &nobody;
        side->parent = getppid();
        side->began_ns = monotonic_ns();
        side->file = 1;
        pthread_mutex_init(&side->lock, NULL);
        pthread_mutex_init(&side->telling, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&side->met, &monotonic);
        pthread_condattr_destroy(&monotonic);
}

/* Nobody tells when a set appears: its folder may not exist yet. Waits a slice, less once it is to end early. */
static bool side_wait_for_set(struct server_side *side, struct deadline deadline)
{
        struct deadline slice = deadline_earlier(deadline, deadline_after_ms(OPEN_SLICE_MS));
        struct timespec until = deadline_timespec(slice);

        if (deadline_passed(deadline))
                return false;
        LOCKED(&side->lock);
        if (!atomic_load(&side->stopped))
                pthread_cond_timedwait(&side->met, &side->lock, &until);
        return !atomic_load(&side->stopped);
}

static int raise_no_set(struct server_side *side, struct error *err)
{
        const char *name = side->job->set_name;

        if (atomic_load(&side->stopped))
                return side_raise(side, VD_E_ABORT, "join", err);
        side_explain(side, MESSAGE_SET_OPEN, name, server_message_os_error(VD_E_INVALID));
        side_tell(side, MESSAGE_DEVICE_OPEN, name, server_message_os_error(VD_E_INVALID));
        return error_raise(err, side->job->open_wait_ms ? ERR_TIMEOUT : ERR_FAILED,
                           "there is no device set '%s' to join: its client has to create it first", name);
}

static int raise_device_count(struct server_side *side, struct error *err)
{
        char has[16];
        char given[16];

        snprintf(has, sizeof has, "%u", side->config.deviceCount);
        snprintf(given, sizeof given, "%u", side->job->device_count);
        side_explain(side, MESSAGE_DEVICE_COUNT, has, given);
        return error_raise(err, ERR_USAGE, "the device set '%s' has %s device%s, the server was told of %s",
                           side->job->set_name, has, side->config.deviceCount == 1 ? "" : "s", given);
}

int side_join(struct server_side *side, const struct server_job *job, const struct vds_options *options,
              const struct server_events *events, struct error *err)
{
        struct deadline deadline = deadline_after_ms(job->open_wait_ms);
        int result;

        side_init(side, job, events);
        side->server = vds_server_new(options);
        if (!side->server)
                return error_raise_errno(err, ENOMEM, "cannot join the device set '%s'", job->set_name);
        if (side->events->abortable)
                side->events->abortable(side_abort, side, side->events->context);
        do
                result = vds_server_open(side->server, job->set_name);
        while (result == VD_E_INVALID && side_wait_for_set(side, deadline));
        if (result == VD_E_INVALID)
                return raise_no_set(side, err);
        if (result != NOERROR)
                return side_raise(side, result, "join", err);
        result = vds_server_get_configuration(side->server, &side->config);
        if (result != NOERROR)
                return side_raise(side, result, "read the wishes of", err);
        if (side->config.deviceCount != job->device_count)
                return raise_device_count(side, err);
        return 0;
}

static void channel_on_completion(struct VDS_Command *command)
{
        struct slot *slot = (struct slot *)(void *)command->completionContext;
        struct channel *channel = slot->channel;

        trace_completion(channel->side->events->trace, channel->index + 1, slot->serial, command->commandCode,
                         command->completionCode, (uint64_t)command->bytesTransferred, command->outPosition);
        atomic_store(&slot->outstanding, false);
}

/* Buffers of the pool are dealt out evenly, and stay with their device. */
static int open_channel(struct server_side *side, uint32_t index, uint32_t depth, struct error *err)
{
        struct channel *channel = &side->channels[index];
        const char *name = index == 0 ? side->job->set_name : side->job->devices[index];
        int result;

        channel->side = side;
        channel->index = index;
        channel->depth = depth < CHANNEL_DEPTH_MAX ? depth : CHANNEL_DEPTH_MAX;
        channel->control.channel = channel;
        if (!name)
                return error_raise(err, ERR_USAGE, "device %u of the set '%s' has no name", index + 1,
                                   side->job->set_name);
        result = vds_server_open_device(side->server, name, &channel->device);
        for (uint32_t i = 0; result == NOERROR && i < channel->depth; i++) {
                channel->slots[i].channel = channel;
                result = vds_server_allocate_buffer(side->server, &channel->slots[i].command.buffer,
                                                    side->shape.max_transfer, /* alignment= */ 0);
        }
        return result == NOERROR ? 0 : side_raise(side, result, "open a device of", err);
}

static int side_agree(struct server_side *side, const char *info, struct error *err)
{
        const struct side_shape *shape = &side->shape;
        uint32_t alignment = shape->block_size > ALIGNMENT ? shape->block_size : ALIGNMENT;
        int result = vds_server_begin_configuration(side->server, shape->features, shape->block_size, alignment,
                                                    shape->max_transfer, CONFIGURATION_TIMEOUT_MS);

        if (result == NOERROR)
                result = vds_server_set_info(side->server, info);
        if (result == NOERROR)
                result = vds_server_request_buffers(side->server, shape->max_transfer, /* alignment= */ 0,
                                                    shape->buffer_count);
        if (result == NOERROR)
                result = vds_server_end_configuration(side->server);
        if (result == NOERROR)
                result = vds_server_get_configuration(side->server, &side->config);
        return result == NOERROR ? 0 : side_raise(side, result, "configure", err);
}

static int side_check_shape(const struct side_shape *shape, uint32_t devices, struct error *err)
{
        if (shape->block_size < VDS_BLOCK_SIZE_MIN || shape->block_size > VDS_BLOCK_SIZE_MAX ||
            (shape->block_size & (shape->block_size - 1)) != 0)
                return error_raise(err, ERR_USAGE,
                                   "a block size of %u is not possible: it is a power of two from %d to %d",
                                   shape->block_size, VDS_BLOCK_SIZE_MIN, VDS_BLOCK_SIZE_MAX);
        if (shape->max_transfer == 0 || shape->max_transfer > VDS_TRANSFER_MAX ||
            shape->max_transfer % VDS_TRANSFER_UNIT != 0)
                return error_raise(err, ERR_USAGE,
                                   "transfers of %u bytes are not possible: they are multiples of %d up to %d",
                                   shape->max_transfer, VDS_TRANSFER_UNIT, VDS_TRANSFER_MAX);
        if (shape->buffer_count < devices)
                return error_raise(err, ERR_USAGE, "%u buffers are too few for %u devices: each needs one",
                                   shape->buffer_count, devices);
        return 0;
}

/* Enough to keep each device busy, and no more than there is to move: pages that nobody uses have to be made, too. */
static uint32_t side_buffers(const struct server_side *side, uint32_t devices)
{
        uint32_t buffers = 2 * devices > VDS_IO_DEPTH ? 2 * devices : VDS_IO_DEPTH;
        uint64_t room = (uint64_t)devices * side->shape.max_transfer;
        uint64_t used = room ? (side->total + room - 1) / room * devices : 0;

        return used && used < buffers ? (uint32_t)used : buffers;
}

int side_configure(struct server_side *side, const struct side_shape *shape, const char *info, struct error *err)
{
        uint32_t devices = side->config.deviceCount;

        side->shape = *shape;
        if (side->shape.buffer_count == 0)
                side->shape.buffer_count = side_buffers(side, devices);
        if (side_check_shape(&side->shape, devices, err) < 0 || side_agree(side, info, err) < 0)
                return -1;
        for (uint32_t i = 0; i < devices; i++) {
                uint32_t buffers = side->shape.buffer_count;

                if (open_channel(side, i, buffers / devices + (i < buffers % devices), err) < 0)
                        return -1;
        }
        side->channel_count = devices;
        return 0;
}

/* ---- commands ---- */

/* A refused command's callback runs inside this. */
static void send_slot(struct slot *slot, int command_code, uint32_t size, uint64_t position)
{
        struct channel *channel = slot->channel;
        uint8_t *buffer = slot->command.buffer;

        slot->command = (struct VDS_Command){
                .commandCode = command_code,
                .size = (int32_t)size,
                .inPosition = (int64_t)position,
                .buffer = buffer,
                .completionRoutine = (uint8_t *)(uintptr_t)channel_on_completion,
                .completionContext = (uint8_t *)slot,
        };
        atomic_store(&slot->outstanding, true);
        slot->serial = ++channel->sent;
        trace_command(channel->side->events->trace, channel->index + 1, slot->serial, command_code, (int32_t)size,
                      (int64_t)position);
        vds_server_device_send_command(channel->device, &slot->command);
}

/* The channel's own thread runs the callbacks that it waits for. */
static void wait_slot(struct slot *slot)
{
        int result = NOERROR;

        while (result == NOERROR && atomic_load(&slot->outstanding))
                result = vds_server_device_run_callbacks(slot->channel->device, /* timeout_ms= */ -1);
        /* The engine has given back what it had; nothing else comes. */
        if (atomic_exchange(&slot->outstanding, false))
                slot->command.completionCode = ERROR_OPERATION_ABORTED;
}

struct slot *channel_next(struct channel *channel)
{
        struct slot *slot = &channel->slots[channel->next];

        wait_slot(slot);
        return slot;
}

void channel_send(struct channel *channel, struct slot *slot, int command_code, uint32_t size, uint64_t position)
{
        send_slot(slot, command_code, size, position);
        channel->next = (channel->next + 1) % channel->depth;
}

void channel_drain(struct channel *channel)
{
        for (uint32_t i = 0; i < channel->depth; i++)
                wait_slot(&channel->slots[i]);
}

const struct VDS_Command *channel_execute(struct channel *channel, int command_code, int32_t size)
{
        struct slot *slot = &channel->control;

        slot->command.buffer = NULL;
        send_slot(slot, command_code, (uint32_t)size, /* position= */ 0);
        wait_slot(slot);
        return &slot->command;
}

const struct VDS_Command *channel_write(struct channel *channel, uint8_t *buffer, uint32_t size)
{
        struct slot *slot = &channel->control;

        slot->command.buffer = buffer;
        send_slot(slot, VDC_Write, size, /* position= */ 0);
        wait_slot(slot);
        return &slot->command;
}

int channel_control(struct channel *channel, int command_code, struct error *err)
{
        const struct VDS_Command *command = channel_execute(channel, command_code, /* size= */ 0);

        return command->completionCode == ERROR_SUCCESS ? 0 : channel_raise(channel, command, err);
}

const char *channel_name(const struct channel *channel)
{
        const struct server_job *job = channel->side->job;

        return channel->index == 0 ? job->set_name : job->devices[channel->index];
}

/* ---- the run and its end ---- */

struct serve_call {
        struct channel *channel;
        void (*serve)(struct channel *channel, void *context);
        void *context;
        pthread_t thread;
        bool has_thread;
};

static void *channel_main(void *call_at)
{
        struct serve_call *call = call_at;

        call->serve(call->channel, call->context);
        /* In the Abort state this does nothing; commands still outstanding come back when the set is closed. */
        vds_server_device_close(call->channel->device);
        return NULL;
}

static void start_channel(struct serve_call *call)
{
        struct channel *channel = call->channel;
        int result = pthread_create(&call->thread, NULL, channel_main, call);
        struct error err = ERROR_INIT;

        call->has_thread = result == 0;
        if (call->has_thread)
                return;
        error_raise_errno(&err, result, "cannot start a thread for device %u", channel->index + 1);
        side_fail(channel->side, &err);
        vds_server_device_close(channel->device);
}

int side_transfer(struct server_side *side, void (*serve)(struct channel *channel, void *context), void *context,
                  struct error *err)
{
        struct serve_call calls[VDS_DEVICES_MAX] = { 0 };

        for (uint32_t i = 0; i < side->channel_count; i++)
                calls[i] = (struct serve_call){ .channel = &side->channels[i], .serve = serve, .context = context };
        for (uint32_t i = 1; i < side->channel_count; i++)
                start_channel(&calls[i]);
        if (side->channel_count > 0)
                channel_main(&calls[0]);
        for (uint32_t i = 1; i < side->channel_count; i++)
                if (calls[i].has_thread)
                        pthread_join(calls[i].thread, NULL);
        side->transferred = true;
        if (!side_is_failing(side))
                return 0;
        error_keep_first(err, &side->failure);
        return -1;
}

static void side_state_verdict(struct server_side *side, const struct error *failure, const char *note)
{
        struct server_report report = { .code = failure->code };
        char text[VDS_TEXT_MAX];

        snprintf(report.message, sizeof report.message, "%s", failure->message);
        snprintf(report.note, sizeof report.note, "%s", note);
        server_report_encode(&report, text);
        trace_event(side->events->trace, /* device= */ 0, "verdict", error_is_set(failure) ? "failed" : "success");
        vds_server_set_verdict(side->server, error_is_set(failure) ? VDS_VERDICT_FAILED : VDS_VERDICT_SUCCESS, text);
}

void side_end(struct server_side *side, const struct error *failure, const char *note)
{
        if (side->events->abortable)
                side->events->abortable(/* abort= */ NULL, /* run= */ NULL, side->events->context);
        if (side->server) {
                side_state_verdict(side, failure, note);
                /* A client that waits for the configuration, for devices or for commands would wait for ever. */
                if (!side->transferred)
                        vds_server_signal_abort(side->server);
                vds_server_close(side->server);
        }
        vds_server_free(side->server);
        side->server = NULL;
        pthread_cond_destroy(&side->met);
        pthread_mutex_destroy(&side->telling);
        pthread_mutex_destroy(&side->lock);
}
