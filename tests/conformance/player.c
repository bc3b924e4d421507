#include "tests/conformance/player.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/deadline.h"
#include "core/vds/internal.h"

/* A command of the server's, and what became of it. */
struct slot {
        struct VDS_Command command; /* first */
        struct player *player;
        pthread_t sender;
        bool sending; /* `sender` is inside SendCommand */
        bool sent;    /* a callback is due, or was made */
        bool in_sending;
        uint32_t calls;
        uint32_t order;
        struct vds_server_device *device;
        uint32_t then; /* the slot of the command that the callback sends; 0: none */
};

struct player {
        enum part part;
        struct vds_options options;
        char runtime_dir[128];
        pthread_t hands[PLAYER_HANDS];
        int fds[PLAYER_HANDS];

        pthread_mutex_t lock; /* guards what follows */
        pthread_cond_t changed;
        uint32_t busy_hands;
        uint32_t callbacks;
        struct vds_client *client;
        struct vds_server *server;
        struct vds_client_device *client_devices[VDS_DEVICES_MAX];
        struct vds_server_device *server_devices[VDS_DEVICES_MAX];
        struct VDC_Command *held[CALL_SLOTS];
        uint8_t *mapped[CALL_SLOTS];
        struct slot slots[CALL_SLOTS];
        uint8_t *buffers[CALL_BUFFERS + 1];
};

typedef void (*executor)(struct player *player, const struct call_request *request, struct call_result *ret);

static uint8_t foreign_memory[65536];
static struct VDC_Command foreign_command;

/* ---- arguments ---- */

static const char *name_of(const struct call_request *request, char *space, size_t size)
{
        if (request->odd == ODD_NULL)
                return NULL;
        if (request->odd == ODD_EMPTY)
                return "";
        if (request->name[0])
                return request->name;
        if (request->device)
                snprintf(space, size, "set%u", request->device);
        else
                snprintf(space, size, "set");
        return space;
}

/* A device that was never opened is the engine's own object of that number, as a pointer from an earlier set would
 * be. */
static struct vds_client_device *client_device(struct player *player, uint32_t number)
{
        struct vds_client_device *device;

        pthread_mutex_lock(&player->lock);
        device = player->client_devices[number];
        pthread_mutex_unlock(&player->lock);
        return device ? device : &player->client->devices[number < player->client->devices_made ? number : 0];
}

static struct vds_server_device *server_device(struct player *player, uint32_t number)
{
        struct vds_server_device *device;

        pthread_mutex_lock(&player->lock);
        device = player->server_devices[number];
        pthread_mutex_unlock(&player->lock);
        return device ? device : &player->server->devices[number < player->server->devices_made ? number : 0];
}

static uint8_t *buffer_of(struct player *player, const struct call_request *request)
{
        uint8_t *buffer;

        if (request->odd == ODD_NULL)
                return NULL;
        if (request->odd == ODD_FOREIGN)
                return foreign_memory;
        pthread_mutex_lock(&player->lock);
        buffer = player->buffers[request->buffer];
        pthread_mutex_unlock(&player->lock);
        return buffer ? buffer + request->offset : NULL;
}

static struct VDC_Command *held_command(struct player *player, const struct call_request *request)
{
        struct VDC_Command *command;

        if (request->odd == ODD_NULL)
                return NULL;
        pthread_mutex_lock(&player->lock);
        command = request->odd == ODD_FOREIGN ? NULL : player->held[request->slot];
        pthread_mutex_unlock(&player->lock);
        return command ? command : &foreign_command;
}

/* ---- both ---- */

static void both_state(struct player *player, const struct call_request *request, struct call_result *ret)
{
        (void)request;
        /* Asking for the reason has this end notice what the other one did. */
        if (player->part == PART_CLIENT)
                vds_client_abort_reason(player->client);
        else
                vds_server_abort_reason(player->server);
        ret->state = (uint32_t)atomic_load(player->part == PART_CLIENT ? &player->client->set.state
                                                                       : &player->server->set.state);
}

static void both_reason(struct player *player, const struct call_request *request, struct call_result *ret)
{
        (void)request;
        ret->result = player->part == PART_CLIENT ? (int)vds_client_abort_reason(player->client)
                                                  : (int)vds_server_abort_reason(player->server);
}

/* Ends the calls of the other hands, then frees. The lock is not held: callbacks run meanwhile. */
static void drop_handle(struct player *player)
{
        if (player->part == PART_CLIENT)
                vds_client_close(player->client);
        else
                vds_server_close(player->server);
        pthread_mutex_lock(&player->lock);
        while (player->busy_hands > 1)
                pthread_cond_wait(&player->changed, &player->lock);
        pthread_mutex_unlock(&player->lock);
        vds_client_free(player->client);
        vds_server_free(player->server);
        player->client = NULL;
        player->server = NULL;
}

static bool make_handle(struct player *player)
{
        if (player->part == PART_CLIENT)
                player->client = vds_client_new(&player->options);
        else
                player->server = vds_server_new(&player->options);
        return player->client || player->server;
}

static void both_new(struct player *player, const struct call_request *request, struct call_result *ret)
{
        drop_handle(player);
        pthread_mutex_lock(&player->lock);
        for (uint32_t i = 0; i < CALL_SLOTS; i++)
                ret->result += player->slots[i].sent && player->slots[i].calls != 1;
        player->callbacks = 0;
        memset(player->client_devices, 0, sizeof player->client_devices);
        memset(player->server_devices, 0, sizeof player->server_devices);
        memset(player->held, 0, sizeof player->held);
        memset(player->mapped, 0, sizeof player->mapped);
        memset(player->slots, 0, sizeof player->slots);
        memset(player->buffers, 0, sizeof player->buffers);
        pthread_mutex_unlock(&player->lock);
        player->options = (struct vds_options){ .runtime_dir = player->runtime_dir,
                                                .info = request->text[0] ? request->text : NULL,
                                                .abort_when_secondary_dies = request->count != 0 };
        if (!make_handle(player))
                abort();
}

static uint8_t *place_of(struct player *player, const struct call_request *request)
{
        uint8_t *start = NULL;

        pthread_mutex_lock(&player->lock);
        if (request->place == PLACE_BUFFER)
                start = player->buffers[request->buffer];
        else if (request->place == PLACE_MAPPED)
                start = player->mapped[request->slot];
        else if (player->held[request->slot])
                start = player->held[request->slot]->buffer;
        pthread_mutex_unlock(&player->lock);
        return start ? start + request->offset : NULL;
}

static uint8_t pattern(uint32_t seed, int32_t index)
{
        return (uint8_t)(seed * 31 + (uint32_t)index * 7 + ((uint32_t)index >> 8));
}

static void both_fill(struct player *player, const struct call_request *request, struct call_result *ret)
{
        uint8_t *at = place_of(player, request);

        ret->result = at ? NOERROR : VD_E_INVALID;
        for (int32_t i = 0; at && i < request->size; i++)
                at[i] = pattern(request->seed, i);
}

static void both_match(struct player *player, const struct call_request *request, struct call_result *ret)
{
        const uint8_t *at = place_of(player, request);

        ret->result = at != NULL;
        for (int32_t i = 0; at && i < request->size; i++)
                if (at[i] != pattern(request->seed, i))
                        ret->result = 0;
}

/* ---- client ---- */

static void client_create(struct player *player, const struct call_request *request, struct call_result *ret)
{
        char space[64];

        ret->result = vds_client_create(player->client, name_of(request, space, sizeof space), &request->config);
}

static void client_open_in_secondary(struct player *player, const struct call_request *request, struct call_result *ret)
{
        char space[64];

        ret->result = vds_client_open_in_secondary(player->client, name_of(request, space, sizeof space));
}

static void client_get_configuration(struct player *player, const struct call_request *request, struct call_result *ret)
{
        ret->result = vds_client_get_configuration(player->client, request->timeout_ms, &ret->config);
}

static void client_open_device(struct player *player, const struct call_request *request, struct call_result *ret)
{
        struct vds_client_device *device = (struct vds_client_device *)(void *)foreign_memory;
        char space[64];

        ret->result = vds_client_open_device(player->client, name_of(request, space, sizeof space), &device);
        pthread_mutex_lock(&player->lock);
        if (ret->result == NOERROR)
                player->client_devices[request->device] = device;
        pthread_mutex_unlock(&player->lock);
        ret->has_buffer = device != NULL;
}

static void client_get_command(struct player *player, const struct call_request *request, struct call_result *ret)
{
        struct VDC_Command *command = &foreign_command;

        ret->result =
                vds_client_device_get_command(client_device(player, request->device), request->timeout_ms, &command);
        if (ret->result != NOERROR) {
                ret->has_buffer = command != NULL;
                return;
        }
        ret->code = command->commandCode;
        ret->size = command->size;
        ret->position = command->position;
        ret->has_buffer = command->buffer != NULL;
        ret->address = (uint64_t)(uintptr_t)command->buffer;
        pthread_mutex_lock(&player->lock);
        player->held[request->slot] = command;
        pthread_mutex_unlock(&player->lock);
}

static void client_complete_command(struct player *player, const struct call_request *request, struct call_result *ret)
{
        ret->result = vds_client_device_complete_command(client_device(player, request->device),
                                                         held_command(player, request), request->code, request->bytes,
                                                         request->position);
}

static void client_get_buffer_handle(struct player *player, const struct call_request *request, struct call_result *ret)
{
        const uint8_t *buffer = request->odd == ODD_FOREIGN ? foreign_memory : NULL;

        if (request->odd == ODD_NO)
                buffer = held_command(player, request)->buffer;
        ret->result =
                vds_client_get_buffer_handle(player->client, buffer ? buffer + request->offset : NULL, &ret->handle);
}

static void client_map_buffer_handle(struct player *player, const struct call_request *request, struct call_result *ret)
{
        uint8_t *buffer = NULL;

        ret->result = vds_client_map_buffer_handle(player->client, request->handle, &buffer);
        ret->address = (uint64_t)(uintptr_t)buffer;
        pthread_mutex_lock(&player->lock);
        player->mapped[request->slot] = ret->result == NOERROR ? buffer : NULL;
        pthread_mutex_unlock(&player->lock);
}

static void client_signal_abort(struct player *player, const struct call_request *request, struct call_result *ret)
{
        (void)request;
        ret->result = vds_client_signal_abort(player->client);
}

static void client_close(struct player *player, const struct call_request *request, struct call_result *ret)
{
        (void)request;
        ret->result = vds_client_close(player->client);
}

static void client_server_info(struct player *player, const struct call_request *request, struct call_result *ret)
{
        char text[VDS_TEXT_MAX] = "";

        (void)request;
        ret->result = vds_client_server_info(player->client, text);
        snprintf(ret->text, sizeof ret->text, "%s", text);
}

static void client_primary_info(struct player *player, const struct call_request *request, struct call_result *ret)
{
        char text[VDS_TEXT_MAX] = "";

        (void)request;
        ret->result = vds_client_primary_info(player->client, text);
        snprintf(ret->text, sizeof ret->text, "%s", text);
}

static void client_verdict(struct player *player, const struct call_request *request, struct call_result *ret)
{
        char text[VDS_TEXT_MAX] = "";

        ret->result = vds_client_verdict(player->client, request->timeout_ms, &ret->verdict, text);
        snprintf(ret->text, sizeof ret->text, "%s", text);
}

static void client_device_name(struct player *player, const struct call_request *request, struct call_result *ret)
{
        ret->result = vds_client_device_name(player->client, request->device, request->timeout_ms, ret->name);
}

static void client_secondaries(struct player *player, const struct call_request *request, struct call_result *ret)
{
        (void)request;
        vds_client_secondaries(player->client, &ret->secondaries);
}

static void client_counters(struct player *player, const struct call_request *request, struct call_result *ret)
{
        vds_client_device_counters(client_device(player, request->device), &ret->counters);
}

/* ---- server ---- */

static void server_open(struct player *player, const struct call_request *request, struct call_result *ret)
{
        char space[64];

        ret->result = vds_server_open(player->server, name_of(request, space, sizeof space));
}

static void server_get_configuration(struct player *player, const struct call_request *request, struct call_result *ret)
{
        (void)request;
        ret->result = vds_server_get_configuration(player->server, &ret->config);
}

static void server_begin(struct player *player, const struct call_request *request, struct call_result *ret)
{
        ret->result = vds_server_begin_configuration(player->server, request->features, request->block_size,
                                                     request->alignment, (uint32_t)request->size,
                                                     (uint32_t)request->timeout_ms);
}

static void server_request(struct player *player, const struct call_request *request, struct call_result *ret)
{
        ret->result =
                vds_server_request_buffers(player->server, (uint32_t)request->size, request->alignment, request->count);
}

static void server_query(struct player *player, const struct call_request *request, struct call_result *ret)
{
        ret->count = UINT32_MAX;
        ret->result = vds_server_query_available_buffers(player->server, (uint32_t)request->size, request->alignment,
                                                         &ret->count);
}

static void server_end(struct player *player, const struct call_request *request, struct call_result *ret)
{
        (void)request;
        ret->result = vds_server_end_configuration(player->server);
}

static void server_open_device(struct player *player, const struct call_request *request, struct call_result *ret)
{
        struct vds_server_device *device = (struct vds_server_device *)(void *)foreign_memory;
        char space[64];

        ret->result = vds_server_open_device(player->server, name_of(request, space, sizeof space), &device);
        pthread_mutex_lock(&player->lock);
        if (ret->result == NOERROR)
                player->server_devices[request->device] = device;
        pthread_mutex_unlock(&player->lock);
        ret->has_buffer = device != NULL;
}

static void server_agent(struct player *player, const struct call_request *request, struct call_result *ret)
{
        (void)request;
        ret->result = vds_server_execute_completion_agent(player->server);
}

static void server_await_agent(struct player *player, const struct call_request *request, struct call_result *ret)
{
        struct deadline deadline = deadline_after_ms(CALL_WAIT_MS);

        (void)request;
        while (!atomic_load(&player->server->agent_running) ||
               atomic_load(&player->server->set.state) == STATE_INITIALIZING) {
                if (deadline_passed(deadline)) {
                        ret->result = VD_E_TIMEOUT;
                        return;
                }
                sched_yield();
        }
}

static void server_allocate(struct player *player, const struct call_request *request, struct call_result *ret)
{
        uint8_t *buffer = foreign_memory;

        ret->result = vds_server_allocate_buffer(player->server, &buffer, (uint32_t)request->size, request->alignment);
        ret->has_buffer = buffer != NULL;
        ret->address = (uint64_t)(uintptr_t)buffer;
        pthread_mutex_lock(&player->lock);
        if (ret->result == NOERROR)
                player->buffers[request->buffer] = buffer;
        pthread_mutex_unlock(&player->lock);
}

static void server_free(struct player *player, const struct call_request *request, struct call_result *ret)
{
        ret->result = vds_server_free_buffer(player->server, buffer_of(player, request), (uint32_t)request->size);
}

static void server_is_shared(struct player *player, const struct call_request *request, struct call_result *ret)
{
        ret->result = vds_server_is_shared_buffer(player->server, buffer_of(player, request));
}

static void send_from_callback(struct player *player, struct vds_server_device *device, uint32_t number);

static void on_completion(struct VDS_Command *command)
{
        struct slot *slot = (struct slot *)(void *)command->completionContext;
        struct player *player = slot->player;

        if (slot->then)
                send_from_callback(player, slot->device, slot->then);
        pthread_mutex_lock(&player->lock);
        slot->calls++;
        slot->order = ++player->callbacks;
        slot->in_sending = slot->sending && pthread_equal(slot->sender, pthread_self());
        pthread_cond_broadcast(&player->changed);
        pthread_mutex_unlock(&player->lock);
}

/* Fields that come back are set to what no engine writes. */
static void prepare(struct slot *slot, struct player *player, const struct call_request *request, uint8_t *buffer)
{
        slot->player = player;
        slot->sender = pthread_self();
        slot->sending = true;
        slot->sent = request->odd != ODD_NO_ROUTINE;
        slot->in_sending = false;
        slot->calls = slot->order = slot->then = 0;
        slot->command = (struct VDS_Command){
                .commandCode = request->code,
                .size = request->size,
                .inPosition = request->position,
                .outPosition = -77,
                .buffer = buffer,
                .completionRoutine = request->odd == ODD_NO_ROUTINE ? NULL : (uint8_t *)(uintptr_t)on_completion,
                .completionContext = (uint8_t *)slot,
                .completionCode = -78,
                .bytesTransferred = -79,
        };
}

static void send_from_callback(struct player *player, struct vds_server_device *device, uint32_t number)
{
        const struct call_request request = { .code = VDC_Flush };
        struct slot *slot = &player->slots[number];

        pthread_mutex_lock(&player->lock);
        prepare(slot, player, &request, NULL);
        pthread_mutex_unlock(&player->lock);
        vds_server_device_send_command(device, &slot->command);
}

static void server_send(struct player *player, const struct call_request *request, struct call_result *ret)
{
        struct vds_server_device *device = server_device(player, request->device);
        struct slot *slot = &player->slots[request->slot];
        uint8_t *buffer = buffer_of(player, request);

        pthread_mutex_lock(&player->lock);
        prepare(slot, player, request, buffer);
        slot->device = device;
        slot->then = request->then;
        pthread_mutex_unlock(&player->lock);
        ret->result = vds_server_device_send_command(device, &slot->command);
        pthread_mutex_lock(&player->lock);
        slot->sending = false;
        pthread_mutex_unlock(&player->lock);
}

static void report_slot(const struct slot *slot, struct call_result *ret)
{
        ret->calls = slot->calls;
        ret->order = slot->order;
        ret->in_sending = slot->in_sending;
        /* Until the callback the command is the engine's. */
        if (slot->calls == 0)
                return;
        ret->code = slot->command.completionCode;
        ret->bytes = slot->command.bytesTransferred;
        ret->position = slot->command.outPosition;
}

static void server_look(struct player *player, const struct call_request *request, struct call_result *ret)
{
        pthread_mutex_lock(&player->lock);
        report_slot(&player->slots[request->slot], ret);
        pthread_mutex_unlock(&player->lock);
}

static void server_await_callback(struct player *player, const struct call_request *request, struct call_result *ret)
{
        struct slot *slot = &player->slots[request->slot];
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += CALL_WAIT_MS / 1000;
        pthread_mutex_lock(&player->lock);
        while (slot->calls == 0 && ret->result == NOERROR)
                if (pthread_cond_timedwait(&player->changed, &player->lock, &until) != 0)
                        ret->result = VD_E_TIMEOUT;
        report_slot(slot, ret);
        pthread_mutex_unlock(&player->lock);
}

static void server_close_device(struct player *player, const struct call_request *request, struct call_result *ret)
{
        ret->result = vds_server_device_close(server_device(player, request->device));
}

static void server_signal_abort(struct player *player, const struct call_request *request, struct call_result *ret)
{
        (void)request;
        ret->result = vds_server_signal_abort(player->server);
}

static void server_close(struct player *player, const struct call_request *request, struct call_result *ret)
{
        (void)request;
        ret->result = vds_server_close(player->server);
}

static void server_set_info(struct player *player, const struct call_request *request, struct call_result *ret)
{
        ret->result = vds_server_set_info(player->server, request->text);
}

static void server_verdict(struct player *player, const struct call_request *request, struct call_result *ret)
{
        ret->result = vds_server_set_verdict(player->server, request->verdict, request->text);
}

/* ---- the hands ---- */

static const struct {
        const char *name;
        executor of_client;
        executor of_server;
} ops[OP_COUNT] = {
        [OP_NEW] = { "a new handle", both_new, both_new },
        [OP_STATE] = { "the state", both_state, both_state },
        [OP_REASON] = { "the reason of the abort", both_reason, both_reason },
        [OP_CREATE] = { "Create", client_create, NULL },
        [OP_OPEN_IN_SECONDARY] = { "OpenInSecondary", client_open_in_secondary, NULL },
        [OP_GET_BUFFER_HANDLE] = { "GetBufferHandle", client_get_buffer_handle, NULL },
        [OP_MAP_BUFFER_HANDLE] = { "MapBufferHandle", client_map_buffer_handle, NULL },
        [OP_GET_COMMAND] = { "GetCommand", client_get_command, NULL },
        [OP_COMPLETE_COMMAND] = { "CompleteCommand", client_complete_command, NULL },
        [OP_SERVER_INFO] = { "the server's text", client_server_info, NULL },
        [OP_PRIMARY_INFO] = { "the primary's text", client_primary_info, NULL },
        [OP_DEVICE_NAME] = { "a device's name", client_device_name, NULL },
        [OP_SECONDARIES] = { "the secondaries", client_secondaries, NULL },
        [OP_COUNTERS] = { "a device's counters", client_counters, NULL },
        [OP_GET_CONFIGURATION] = { "GetConfiguration", client_get_configuration, server_get_configuration },
        [OP_OPEN_DEVICE] = { "OpenDevice", client_open_device, server_open_device },
        [OP_SIGNAL_ABORT] = { "SignalAbort", client_signal_abort, server_signal_abort },
        [OP_CLOSE] = { "Close", client_close, server_close },
        [OP_VERDICT] = { "the verdict", client_verdict, server_verdict },
        [OP_OPEN] = { "Open", NULL, server_open },
        [OP_BEGIN_CONFIGURATION] = { "BeginConfiguration", NULL, server_begin },
        [OP_REQUEST_BUFFERS] = { "RequestBuffers", NULL, server_request },
        [OP_QUERY_AVAILABLE_BUFFERS] = { "QueryAvailableBuffers", NULL, server_query },
        [OP_END_CONFIGURATION] = { "EndConfiguration", NULL, server_end },
        [OP_EXECUTE_COMPLETION_AGENT] = { "ExecuteCompletionAgent", NULL, server_agent },
        [OP_AWAIT_AGENT] = { "the agent's start", NULL, server_await_agent },
        [OP_ALLOCATE_BUFFER] = { "AllocateBuffer", NULL, server_allocate },
        [OP_FREE_BUFFER] = { "FreeBuffer", NULL, server_free },
        [OP_IS_SHARED_BUFFER] = { "IsSharedBuffer", NULL, server_is_shared },
        [OP_SEND_COMMAND] = { "SendCommand", NULL, server_send },
        [OP_CLOSE_DEVICE] = { "CloseDevice", NULL, server_close_device },
        [OP_SET_INFO] = { "publishing a text", NULL, server_set_info },
        [OP_AWAIT_CALLBACK] = { "the callback", NULL, server_await_callback },
        [OP_LOOK] = { "a look at the callback", NULL, server_look },
        [OP_FILL] = { "filling a buffer", both_fill, both_fill },
        [OP_MATCH] = { "comparing a buffer", both_match, both_match },
};

const char *call_name(enum op op)
{
        return ops[op].name;
}

static void count_busy(struct player *player, bool busy)
{
        pthread_mutex_lock(&player->lock);
        player->busy_hands += busy ? 1 : UINT32_MAX;
        pthread_cond_broadcast(&player->changed);
        pthread_mutex_unlock(&player->lock);
}

static void execute(struct player *player, const struct call_request *request, struct call_result *ret)
{
        executor run = player->part == PART_CLIENT ? ops[request->op].of_client : ops[request->op].of_server;
        int64_t began = monotonic_ns();

        count_busy(player, true);
        if (run)
                run(player, request, ret);
        else
                ret->refused = true;
        ret->waited_ms = (uint64_t)(monotonic_ns() - began) / 1000000;
        count_busy(player, false);
}

struct hand {
        struct player *player;
        int fd;
};

static void *play_hand(void *argument)
{
        struct hand hand = *(struct hand *)argument;
        struct call_request request;

        free(argument);
        while (recv(hand.fd, &request, sizeof request, 0) == (ssize_t)sizeof request) {
                struct call_result result = { 0 };

                execute(hand.player, &request, &result);
                if (send(hand.fd, &result, sizeof result, MSG_NOSIGNAL) < 0)
                        break;
        }
        close(hand.fd);
        return NULL;
}

struct player *player_start(enum part part, const char *runtime_dir, const int fds[PLAYER_HANDS])
{
        struct player *player = calloc(1, sizeof *player);

        if (!player)
                return NULL;
        player->part = part;
        snprintf(player->runtime_dir, sizeof player->runtime_dir, "%s", runtime_dir);
        player->options.runtime_dir = player->runtime_dir;
        pthread_mutex_init(&player->lock, NULL);
        pthread_cond_init(&player->changed, NULL);
        if (!make_handle(player))
                abort();
        for (int i = 0; i < PLAYER_HANDS; i++) {
                struct hand *hand = malloc(sizeof *hand);

                if (!hand)
                        abort();
                *hand = (struct hand){ .player = player, .fd = fds[i] };
                if (pthread_create(&player->hands[i], NULL, play_hand, hand) != 0)
                        abort();
        }
        return player;
}

void player_end(struct player *player)
{
        for (int i = 0; i < PLAYER_HANDS; i++)
                pthread_join(player->hands[i], NULL);
        vds_client_free(player->client);
        vds_server_free(player->server);
        pthread_cond_destroy(&player->changed);
        pthread_mutex_destroy(&player->lock);
        free(player);
}

/* ---- as a process ---- */

static const char player_word[] = "--play";

void player_arguments(enum part part, const char *runtime_dir, char *argv[PLAYER_ARGUMENTS])
{
        argv[0] = (char *)(uintptr_t) "player";
        argv[1] = (char *)(uintptr_t)player_word;
        argv[2] = (char *)(uintptr_t)(part == PART_CLIENT ? "client" : "server");
        argv[3] = (char *)(uintptr_t)runtime_dir;
        argv[4] = NULL;
}

bool player_is_wanted(int argc, char **argv)
{
        return argc == PLAYER_ARGUMENTS - 1 && strcmp(argv[1], player_word) == 0;
}

int player_main(char **argv)
{
        struct player *player;
        int fds[PLAYER_HANDS];

        /* A hand that sits in a call does not see its socket end. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int i = 0; i < PLAYER_HANDS; i++)
                fds[i] = PLAYER_FIRST_FD + i;
        player = player_start(strcmp(argv[2], "client") == 0 ? PART_CLIENT : PART_SERVER, argv[3], fds);
        if (!player)
                return 1;
        player_end(player);
        return 0;
}
