/*
 * The primary's service thread: observers. One greeting brings one answer; only who asks for a configuration that is
 * not there yet is kept waiting. Nothing is ever waited for here: an observer that does not read loses its answer.
 */
#include "core/vds/internal.h"

#include <string.h>

#include "core/base/cleanup.h"
#include "core/shm/fork_guard.h"
#include "core/shm/peer.h"

enum { WATCH_TICK_MS = 100 }; /* between looks at the abort word, which nobody announces to this thread */

/* ---- status ---- */

static enum vds_set_state observer_state_of(struct vds_client *client)
{
        enum vds_set_state state = VDS_SET_INITIALIZING;

        if (set_aborted(&client->set))
                return VDS_SET_ABORTED;
        if (!atomic_load(&client->configured))
                return VDS_SET_CONFIGURABLE;
        if (client_all_closed_by_server(client))
                return VDS_SET_TERMINATED;
        for (uint32_t i = 0; i < client->set.device_count; i++) {
                const struct layout_device *shared = &client->set.layout->devices[i];

                if (atomic_load_explicit(&shared->phase, memory_order_acquire) != DEVICE_UNOPENED &&
                    layout_claimant(shared) != 0)
                        state = VDS_SET_ACTIVE;
        }
        return state;
}

/* What the client processes hold, from words that any of them may have spoilt: numbers to look at. */
static void count_held(const struct layout_device *shared, struct vds_device_status *status)
{
        int64_t now = monotonic_ns();

        status->oldest_ms = -1;
        for (int i = 0; i < VDS_QUEUE_DEPTH; i++) {
                uint64_t since = atomic_load_explicit(&shared->slots[i].held_since, memory_order_relaxed);
                int64_t age_ms;

                if (since == 0)
                        continue;
                status->held++;
                age_ms = since < (uint64_t)now ? (now - (int64_t)since) / 1000000 : 0;
                if (age_ms > status->oldest_ms)
                        status->oldest_ms = age_ms;
        }
}

static uint32_t count_queued(const struct layout_device *shared)
{
        uint32_t head = atomic_load_explicit(&shared->command_indices.head, memory_order_relaxed);
        uint32_t queued = atomic_load_explicit(&shared->command_indices.tail, memory_order_relaxed) - head;

        return queued <= VDS_QUEUE_DEPTH ? queued : VDS_QUEUE_DEPTH;
}

static void observer_see_device(const struct layout_device *shared, struct vds_device_status *status)
{
        uint32_t phase = atomic_load_explicit(&shared->phase, memory_order_acquire);

        status->phase = phase <= DEVICE_CLOSED ? (enum vds_device_phase)phase : VDS_DEVICE_CLOSED;
        status->client_pid = (int)atomic_load_explicit(&shared->client_pid, memory_order_relaxed);
        status->commands = atomic_load_explicit(&shared->commands, memory_order_relaxed);
        status->completions = atomic_load_explicit(&shared->completions, memory_order_relaxed);
        status->bytes = atomic_load_explicit(&shared->bytes, memory_order_relaxed);
        count_held(shared, status);
        /* What was queued when the server closed the device is never delivered. */
        if (phase == DEVICE_OPENED)
                status->queued = count_queued(shared);
        if (phase != DEVICE_UNOPENED)
                set_copy_text(status->name, shared->name, sizeof status->name);
}

static void observer_send_status(struct vds_client *client, int fd)
{
        struct message_status message = { .kind = MESSAGE_STATUS };
        struct vds_status *status = &message.status;

        status->state = observer_state_of(client);
        status->abort_reason = (enum vds_abort_reason)atomic_load(&client->set.abort_reason);
        status->verdict = (enum vds_verdict)atomic_load_explicit(&client->set.layout->verdict, memory_order_acquire);
        status->config = atomic_load(&client->configured) ? client->set.config : client->set.wishes;
        status->server_pid = atomic_load(&client->server_pid);
        status->age_ms = (monotonic_ns() - client->created_ns) / 1000000;
        for (int i = 0; i < CLIENT_MEMBERS_MAX; i++)
                if (client->members[i].fd >= 0)
                        status->secondary_pids[status->secondary_count++] = (int)client->members[i].pid;
        memcpy(status->name, client->set.name, sizeof status->name);
        memcpy(status->primary_info, client->primary_info, sizeof status->primary_info);
        memcpy(status->server_info, client->info, sizeof status->server_info);
        status->device_count = client->set.device_count;
        for (uint32_t i = 0; i < status->device_count; i++)
                observer_see_device(&client->set.layout->devices[i], &status->devices[i]);
        peer_send(fd, &message, sizeof message, -1, DEADLINE_NOW, NULL);
}

/* ---- configuration ---- */

/* Sends the answer there is now. False: there is none yet. */
static bool answer_configuration(struct vds_client *client, int fd)
{
        struct message_configured answer = { .kind = MESSAGE_CONFIGURED };

        if (atomic_load(&client->configured)) {
                answer.config = client->set.config;
                peer_send(fd, &answer, sizeof answer, -1, DEADLINE_NOW, NULL);
                return true;
        }
        if (!set_aborted(&client->set))
                return false;
        client_refuse(fd, VD_E_ABORT, "the set was aborted");
        return true;
}

static void watch_configuration(struct vds_client *client, struct half_open *half)
{
        struct client_watcher *place = FREE_PLACE(client->watchers);

        if (answer_configuration(client, half->fd))
                return;
        if (!place)
                client_refuse(half->fd, VD_E_BUSY, "too many observers wait for the configuration");
        else
                *place = (struct client_watcher){
                        .fd = take_fd(&half->fd),
                        .deadline = deadline_after_ms(CLIENT_WATCH_MS),
                };
}

/* Has the observer gone? It has nothing to say. */
static bool observer_has_left(int fd)
{
        CLEANUP(fd_closep) int pass = -1;
        size_t size;
        char byte;

        return peer_receive(fd, &byte, sizeof byte, &size, &pass, DEADLINE_NOW, NULL) != PEER_NOTHING;
}

struct deadline client_serve_watchers(struct vds_client *client)
{
        struct deadline next = DEADLINE_NEVER;

        for (int i = 0; i < CLIENT_WATCHERS_MAX; i++) {
                struct client_watcher *watcher = &client->watchers[i];
                bool over;

                if (watcher->fd < 0)
                        continue;
                over = answer_configuration(client, watcher->fd) || observer_has_left(watcher->fd);
                if (!over && deadline_passed(watcher->deadline)) {
                        client_refuse(watcher->fd, VD_E_TIMEOUT, "the set is not configured yet");
                        over = true;
                }
                if (over)
                        fork_guard_close(&watcher->fd);
                else
                        next = deadline_after_ms(WATCH_TICK_MS);
        }
        return next;
}

void client_serve_observer(struct vds_client *client, struct half_open *half, enum message_request request)
{
        const struct message_welcome done = { .kind = MESSAGE_WELCOME, .result = NOERROR };

        switch (request) {
        case REQUEST_STATUS:
                observer_send_status(client, half->fd);
                return;
        case REQUEST_CONFIGURATION:
                watch_configuration(client, half);
                return;
        case REQUEST_ABORT:
                set_abort(&client->set, VDS_ABORT_OBSERVER);
                peer_send(half->fd, &done, sizeof done, -1, DEADLINE_NOW, NULL);
                return;
        case REQUEST_NONE:
                break;
        }
        client_refuse(half->fd, VD_E_INVALID, "the set does not know what this observer wants");
}
