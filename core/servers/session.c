#include "core/servers/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/deadline.h"
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
static const char *verb_of(int32_t command_code)
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
                session_explain(channel->session, MESSAGE_WRITE, channel_name(channel), reason);
        else if (command->commandCode == VDC_Read)
                session_explain(channel->session, MESSAGE_READ, channel_name(channel), reason);
        else
                session_explain(channel->session, MESSAGE_COMMAND, vds_command_name(command->commandCode),
                                channel_name(channel), reason);
}

int channel_raise(struct channel *channel, const struct VDS_Command *command, struct error *err)
{
        const char *verb = verb_of(command->commandCode);

        if (session_is_aborted(channel->session))
                return session_raise(channel->session, VD_E_ABORT, verb, err);
        explain_completion(channel, command);
        for (size_t i = 0; i < sizeof completions / sizeof completions[0]; i++)
                if (completions[i].code == command->completionCode)
                        return error_raise(err, completions[i].class, "the client could not %s: %s (%d)", verb,
                                           completions[i].words, (int)command->completionCode);
        return error_raise(err, ERR_FAILED, "the client could not %s: error %d", verb, (int)command->completionCode);
}

/* For the engine, a client whose devices are all closed is free to go. For our work it is not: it must hear the
 * verdict. */
static bool is_orphan(const struct session *session)
{
        return session->job->client_is_parent && getppid() != session->parent;
}

bool session_is_aborted(void *session_at)
{
        const struct session *session = session_at;

        return atomic_load(&session->stopped) ||
               (session->server && (vds_server_abort_reason(session->server) != VDS_ABORT_NONE || is_orphan(session)));
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

int session_raise(struct session *session, int result, const char *doing, struct error *err)
{
        enum vds_abort_reason reason = vds_server_abort_reason(session->server);
        const char *words = vds_server_error_text(session->server);

        if (reason != VDS_ABORT_NONE)
                return error_raise(err, class_of_abort(reason), "the device set '%s' was aborted: %s",
                                   session->job->set_name, vds_abort_text(reason));
        if (atomic_load(&session->stopped))
                return error_raise(err, ERR_ABORTED, "the device set '%s' was aborted: %s", session->job->set_name,
                                   vds_abort_text(VDS_ABORT_SERVER));
        if (is_orphan(session))
                return error_raise(err, ERR_PEER_DIED, "the device set '%s' was aborted: %s", session->job->set_name,
                                   vds_abort_text(VDS_ABORT_CLIENT_DIED));
        return error_raise(err, result == VD_E_MEMORY ? ERR_MEMORY : ERR_PROTOCOL,
                           "cannot %s the device set '%s': %s%s%s", doing, session->job->set_name,
                           vds_result_name(result), words[0] ? ": " : "", words);
}

/* Ends everything early, from any thread. `session_at` is a struct session. */
static void abort_session(void *session_at)
{
        struct session *session = session_at;

        pthread_mutex_lock(&session->lock);
        atomic_store(&session->stopped, true);
        pthread_cond_broadcast(&session->met);
        pthread_mutex_unlock(&session->lock);
        vds_server_signal_abort(session->server);
}

/* ---- what is told ---- */

/* Under `telling`. */
static void tell(struct session *session, enum server_message_id id, const char *const *words)
{
        struct server_message message;

        if (!session->events->message)
                return;
        server_message_fill(&message, id, words);
        session->events->message(&message, session->events->context);
}

void session_tell_words(struct session *session, enum server_message_id id, const char *const *words)
{
        pthread_mutex_lock(&session->telling);
        tell(session, id, words);
        pthread_mutex_unlock(&session->telling);
}

void session_explain_words(struct session *session, enum server_message_id id, const char *const *words)
{
        pthread_mutex_lock(&session->telling);
        if (!session->explained)
                tell(session, id, words);
        session->explained = true;
        pthread_mutex_unlock(&session->telling);
}

void session_set_total(struct session *session, uint64_t bytes, uint32_t page_size)
{
        pthread_mutex_lock(&session->telling);
        session->total = bytes;
        session->page_size = page_size;
        pthread_mutex_unlock(&session->telling);
}

/* Nobody tells when a client aborts, so one looks again. */
static void hold(struct session *session)
{
        struct error err = ERROR_INIT;

        pthread_mutex_lock(&session->lock);
        while (!session_is_aborted(session) && !session_is_failing(session)) {
                struct deadline slice = deadline_after_ms(HOLD_SLICE_MS);
                struct timespec until = { .tv_sec = slice.at_ns / 1000000000, .tv_nsec = slice.at_ns % 1000000000 };

                pthread_cond_timedwait(&session->met, &session->lock, &until);
        }
        pthread_mutex_unlock(&session->lock);
        session_raise(session, VD_E_ABORT, "serve", &err);
        session_fail(session, &err);
}

static void tell_moved(struct session *session, uint64_t bytes)
{
        struct error err = ERROR_INIT;
        int rc;

        if (!session->events->moved)
                return;
        rc = session->events->moved(bytes, session->events->context, &err);
        if (rc < 0)
                session_fail(session, &err);
        else if (rc == SERVER_HOLD)
                hold(session);
}

void session_progress(struct session *session, uint64_t bytes)
{
        uint32_t stats = session->job->stats;
        uint32_t percent = 0;
        char shown[16];

        tell_moved(session, bytes);
        if (!stats)
                return;
        pthread_mutex_lock(&session->telling);
        session->moved += bytes;
        if (session->total && session->moved <= session->total)
                percent = (uint32_t)((double)session->moved / (double)session->total * 100) / stats * stats;
        if (percent > session->percent) {
                session->percent = percent;
                snprintf(shown, sizeof shown, "%u", percent);
                tell(session, MESSAGE_PERCENT, (const char *const[]){ shown, NULL });
        }
        pthread_mutex_unlock(&session->telling);
}

/* ---- how the channels meet ---- */

void session_fail(struct session *session, const struct error *err)
{
        pthread_mutex_lock(&session->lock);
        error_keep_first(&session->failure, err);
        atomic_store(&session->failing, true);
        pthread_cond_broadcast(&session->met);
        pthread_mutex_unlock(&session->lock);
}

bool session_is_failing(struct session *session)
{
        return atomic_load(&session->failing);
}

bool session_meet(struct session *session)
{
        bool failing;

        pthread_mutex_lock(&session->lock);
        session->arrived++;
        pthread_cond_broadcast(&session->met);
        while (session->arrived < session->channel_count && !atomic_load(&session->failing))
                pthread_cond_wait(&session->met, &session->lock);
        failing = atomic_load(&session->failing);
        pthread_mutex_unlock(&session->lock);
        return !failing;
}

/* ---- joining and configuring ---- */

static void session_init(struct session *session, const struct server_job *job, const struct server_events *events)
{
        static const struct server_events nobody;
        pthread_condattr_t monotonic;

        memset(session, 0, sizeof *session);
        session->job = job;
        session->events = events ? events : &nobody;
        session->parent = getppid();
        session->began_ns = monotonic_ns();
        session->file = 1;
        pthread_mutex_init(&session->lock, NULL);
        pthread_mutex_init(&session->telling, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&session->met, &monotonic);
        pthread_condattr_destroy(&monotonic);
}

/* Nobody tells when a set appears: its folder may not exist yet. Waits a slice, less once it is to end early. */
static bool wait_for_set(struct session *session, struct deadline deadline)
{
        struct deadline slice = deadline_earlier(deadline, deadline_after_ms(OPEN_SLICE_MS));
        struct timespec until = { .tv_sec = slice.at_ns / 1000000000, .tv_nsec = slice.at_ns % 1000000000 };

        if (deadline_passed(deadline))
                return false;
        pthread_mutex_lock(&session->lock);
        if (!atomic_load(&session->stopped))
                pthread_cond_timedwait(&session->met, &session->lock, &until);
        pthread_mutex_unlock(&session->lock);
        return !atomic_load(&session->stopped);
}

static int raise_no_set(struct session *session, struct error *err)
{
        const char *name = session->job->set_name;

        if (atomic_load(&session->stopped))
                return session_raise(session, VD_E_ABORT, "join", err);
        session_explain(session, MESSAGE_SET_OPEN, name, server_message_os_error(VD_E_INVALID));
        session_tell(session, MESSAGE_DEVICE_OPEN, name, server_message_os_error(VD_E_INVALID));
        return error_raise(err, session->job->open_wait_ms ? ERR_TIMEOUT : ERR_FAILED,
                           "there is no device set '%s' to join: its client has to create it first", name);
}

static int raise_device_count(struct session *session, struct error *err)
{
        char has[16];
        char given[16];

        snprintf(has, sizeof has, "%u", session->config.deviceCount);
        snprintf(given, sizeof given, "%u", session->job->device_count);
        session_explain(session, MESSAGE_DEVICE_COUNT, has, given);
        return error_raise(err, ERR_USAGE, "the device set '%s' has %s device%s, the server was told of %s",
                           session->job->set_name, has, session->config.deviceCount == 1 ? "" : "s", given);
}

int session_join(struct session *session, const struct server_job *job, const struct vds_options *options,
                 const struct server_events *events, struct error *err)
{
        struct deadline deadline = deadline_after_ms(job->open_wait_ms);
        int result;

        session_init(session, job, events);
        session->server = vds_server_new(options);
        if (!session->server)
                return error_raise_errno(err, ENOMEM, "cannot join the device set '%s'", job->set_name);
        if (session->events->abortable)
                session->events->abortable(abort_session, session, session->events->context);
        do
                result = vds_server_open(session->server, job->set_name);
        while (result == VD_E_INVALID && wait_for_set(session, deadline));
        if (result == VD_E_INVALID)
                return raise_no_set(session, err);
        if (result != NOERROR)
                return session_raise(session, result, "join", err);
        result = vds_server_get_configuration(session->server, &session->config);
        if (result != NOERROR)
                return session_raise(session, result, "read the wishes of", err);
        if (session->config.deviceCount != job->device_count)
                return raise_device_count(session, err);
        return 0;
}

static void *agent_main(void *session_at)
{
        struct session *session = session_at;

        vds_server_execute_completion_agent(session->server);
        atomic_store(&session->agent_gone, true);
        for (uint32_t i = 0; i < session->channel_count; i++) {
                pthread_mutex_lock(&session->channels[i].lock);
                pthread_cond_broadcast(&session->channels[i].completed);
                pthread_mutex_unlock(&session->channels[i].lock);
        }
        return NULL;
}

static void on_completion(struct VDS_Command *command)
{
        struct slot *slot = (struct slot *)(void *)command->completionContext;
        struct channel *channel = slot->channel;

        trace_completion(channel->session->events->trace, channel->index + 1, slot->serial, command->commandCode,
                         command->completionCode, (uint64_t)command->bytesTransferred, command->outPosition);
        pthread_mutex_lock(&channel->lock);
        slot->outstanding = false;
        pthread_cond_signal(&channel->completed);
        pthread_mutex_unlock(&channel->lock);
}

/* Buffers of the pool are dealt out evenly, and stay with their device. */
static int open_channel(struct session *session, uint32_t index, uint32_t depth, struct error *err)
{
        struct channel *channel = &session->channels[index];
        const char *name = index == 0 ? session->job->set_name : session->job->devices[index];
        int result;

        channel->session = session;
        channel->index = index;
        channel->depth = depth < CHANNEL_DEPTH_MAX ? depth : CHANNEL_DEPTH_MAX;
        channel->control.channel = channel;
        if (!name)
                return error_raise(err, ERR_USAGE, "device %u of the set '%s' has no name", index + 1,
                                   session->job->set_name);
        result = vds_server_open_device(session->server, name, &channel->device);
        for (uint32_t i = 0; result == NOERROR && i < channel->depth; i++) {
                channel->slots[i].channel = channel;
                result = vds_server_allocate_buffer(session->server, &channel->slots[i].command.buffer,
                                                    session->shape.max_transfer, /* alignment= */ 0);
        }
        return result == NOERROR ? 0 : session_raise(session, result, "open a device of", err);
}

static int agree(struct session *session, const char *info, struct error *err)
{
        const struct session_shape *shape = &session->shape;
        uint32_t alignment = shape->block_size > ALIGNMENT ? shape->block_size : ALIGNMENT;
        int result = vds_server_begin_configuration(session->server, shape->features, shape->block_size, alignment,
                                                    shape->max_transfer, CONFIGURATION_TIMEOUT_MS);

        if (result == NOERROR)
                result = vds_server_set_info(session->server, info);
        if (result == NOERROR)
                result = vds_server_request_buffers(session->server, shape->max_transfer, /* alignment= */ 0,
                                                    shape->buffer_count);
        if (result == NOERROR)
                result = vds_server_end_configuration(session->server);
        if (result == NOERROR)
                result = vds_server_get_configuration(session->server, &session->config);
        return result == NOERROR ? 0 : session_raise(session, result, "configure", err);
}

static int check_shape(const struct session_shape *shape, uint32_t devices, struct error *err)
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

int session_configure(struct session *session, const struct session_shape *shape, const char *info, struct error *err)
{
        uint32_t devices = session->config.deviceCount;
        int result;

        session->shape = *shape;
        if (session->shape.buffer_count == 0)
                session->shape.buffer_count = 2 * devices > VDS_IO_DEPTH ? 2 * devices : VDS_IO_DEPTH;
        if (check_shape(&session->shape, devices, err) < 0 || agree(session, info, err) < 0)
                return -1;
        for (; session->channel_count < devices; session->channel_count++) {
                pthread_mutex_init(&session->channels[session->channel_count].lock, NULL);
                pthread_cond_init(&session->channels[session->channel_count].completed, NULL);
        }
        for (uint32_t i = 0; i < devices; i++) {
                uint32_t buffers = session->shape.buffer_count;

                if (open_channel(session, i, buffers / devices + (i < buffers % devices), err) < 0)
                        return -1;
        }
        result = pthread_create(&session->agent, NULL, agent_main, session);
        if (result)
                return error_raise_errno(err, result, "cannot start the completion agent");
        session->has_agent = true;
        return 0;
}

/* ---- commands ---- */

/* The lock is not held across the call: a refused command's callback runs inside it. */
static void send_slot(struct slot *slot, int command_code, uint32_t size, uint64_t position)
{
        struct channel *channel = slot->channel;
        uint8_t *buffer = slot->command.buffer;

        slot->command = (struct VDS_Command){
                .commandCode = command_code,
                .size = (int32_t)size,
                .inPosition = (int64_t)position,
                .buffer = buffer,
                .completionRoutine = (uint8_t *)(uintptr_t)on_completion,
                .completionContext = (uint8_t *)slot,
        };
        pthread_mutex_lock(&channel->lock);
        slot->outstanding = true;
        pthread_mutex_unlock(&channel->lock);
        slot->serial = ++channel->sent;
        trace_command(channel->session->events->trace, channel->index + 1, slot->serial, command_code, (int32_t)size,
                      (int64_t)position);
        vds_server_device_send_command(channel->device, &slot->command);
}

static void wait_slot(struct slot *slot)
{
        struct channel *channel = slot->channel;

        pthread_mutex_lock(&channel->lock);
        while (slot->outstanding && !atomic_load(&channel->session->agent_gone))
                pthread_cond_wait(&channel->completed, &channel->lock);
        if (slot->outstanding)
                slot->command.completionCode = ERROR_OPERATION_ABORTED;
        slot->outstanding = false;
        pthread_mutex_unlock(&channel->lock);
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
        const struct server_job *job = channel->session->job;

        return channel->index == 0 ? job->set_name : job->devices[channel->index];
}

/* ---- the run and its end ---- */

struct serve_call {
        struct channel *channel;
        void (*serve)(struct channel *channel, void *context);
        void *context;
};

static void *channel_main(void *call_at)
{
        struct serve_call *call = call_at;

        call->serve(call->channel, call->context);
        /* In the Abort state this does nothing; commands still outstanding come back by the agent. */
        vds_server_device_close(call->channel->device);
        return NULL;
}

int session_transfer(struct session *session, void (*serve)(struct channel *channel, void *context), void *context,
                     struct error *err)
{
        struct serve_call calls[VDS_DEVICES_MAX];

        for (uint32_t i = 0; i < session->channel_count; i++) {
                struct channel *channel = &session->channels[i];
                struct error own = ERROR_INIT;
                int result;

                calls[i] = (struct serve_call){ .channel = channel, .serve = serve, .context = context };
                result = pthread_create(&channel->thread, NULL, channel_main, &calls[i]);
                channel->has_thread = result == 0;
                if (result) {
                        error_raise_errno(&own, result, "cannot start a thread for device %u", i + 1);
                        session_fail(session, &own);
                        vds_server_device_close(channel->device);
                }
        }
        for (uint32_t i = 0; i < session->channel_count; i++)
                if (session->channels[i].has_thread)
                        pthread_join(session->channels[i].thread, NULL);
        session->transferred = true;
        if (!session_is_failing(session))
                return 0;
        error_keep_first(err, &session->failure);
        return -1;
}

static void state_verdict(struct session *session, const struct error *failure, const char *note)
{
        struct server_report report = { .code = failure->code };
        char text[VDS_TEXT_MAX];

        snprintf(report.message, sizeof report.message, "%s", failure->message);
        snprintf(report.note, sizeof report.note, "%s", note);
        server_report_encode(&report, text);
        trace_event(session->events->trace, /* device= */ 0, "verdict", error_is_set(failure) ? "failed" : "success");
        vds_server_set_verdict(session->server, error_is_set(failure) ? VDS_VERDICT_FAILED : VDS_VERDICT_SUCCESS, text);
}

void session_end(struct session *session, const struct error *failure, const char *note)
{
        if (session->events->abortable)
                session->events->abortable(/* abort= */ NULL, /* run= */ NULL, session->events->context);
        if (session->server) {
                state_verdict(session, failure, note);
                /* A client that waits for the configuration, for devices or for commands would wait for ever. */
                if (!session->transferred)
                        vds_server_signal_abort(session->server);
                vds_server_close(session->server);
        }
        if (session->has_agent)
                pthread_join(session->agent, NULL);
        for (uint32_t i = 0; i < session->channel_count; i++) {
                pthread_cond_destroy(&session->channels[i].completed);
                pthread_mutex_destroy(&session->channels[i].lock);
        }
        vds_server_free(session->server);
        session->server = NULL;
        pthread_cond_destroy(&session->met);
        pthread_mutex_destroy(&session->telling);
        pthread_mutex_destroy(&session->lock);
}
