/* The client's side of vds.h: the set. Its devices are in client_device.c, its service thread in client_service.c. */
#include "core/vds/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/shm/fork_guard.h"
#include "core/shm/peer.h"

static void client_release(struct vds_set *set);

int vds_connection_pair(int *ret_client, int *ret_server)
{
        int fds[2];

        if (peer_pair(fds) < 0)
                return VD_E_MEMORY;
        *ret_client = fds[0];
        *ret_server = fds[1];
        return NOERROR;
}

static void client_make_devices(struct vds_client *client, uint32_t count)
{
        for (; client->devices_made < count; client->devices_made++) {
                client->devices[client->devices_made].client = client;
                pthread_mutex_init(&client->devices[client->devices_made].lock, NULL);
        }
}

struct vds_client *vds_client_new(const struct vds_options *options)
{
        struct vds_client *client = calloc(1, sizeof *client);

        if (!client)
                return NULL;
        client->rendezvous = (struct rendezvous)RENDEZVOUS_INIT;
        client->server_fd = client->server_pidfd = client->primary_fd = client->primary_pidfd = -1;
        for (int i = 0; i < CLIENT_HALF_OPEN_MAX; i++)
                client->half_open[i].fd = -1;
        for (int i = 0; i < CLIENT_MEMBERS_MAX; i++)
                client->members[i].fd = client->members[i].pidfd = -1;
        for (int i = 0; i < CLIENT_WATCHERS_MAX; i++)
                client->watchers[i].fd = -1;
        client_make_devices(client, 1);
        client->abort_when_secondary_dies = options && options->abort_when_secondary_dies;
        if (set_init(&client->set, SIDE_CLIENT, options, client_release) < 0 ||
            (options && options->info && !(client->own_info = strdup(options->info)))) {
                vds_client_free(client);
                return NULL;
        }
        return client;
}

void vds_client_free(struct vds_client *client)
{
        /* A forked child has no service thread to stop and no mapping to release; it leaves everything alone. */
        if (!client || !set_is_ours(&client->set))
                return;
        vds_client_close(client);
        for (uint32_t i = 0; i < client->devices_made; i++)
                pthread_mutex_destroy(&client->devices[i].lock);
        set_deinit(&client->set);
        free(client->own_info);
        free(client);
}

/* Ends a connection here, also if a forked child still holds it. */
static void client_hang_up(int *fd)
{
        if (*fd >= 0)
                shutdown(*fd, SHUT_RDWR);
        fork_guard_close(fd);
}

/* Gives everything of a set back; also half a set's, after a Create that failed. */
static void client_release(struct vds_set *set)
{
        struct vds_client *client = (struct vds_client *)set;

        set_stop_service(set);
        fault_point("client.close.stopped");
        client_hang_up(&client->server_fd);
        fork_guard_close(&client->server_pidfd);
        client_hang_up(&client->primary_fd);
        fork_guard_close(&client->primary_pidfd);
        for (int i = 0; i < CLIENT_HALF_OPEN_MAX; i++)
                fork_guard_close(&client->half_open[i].fd);
        for (int i = 0; i < CLIENT_MEMBERS_MAX; i++) {
                client_hang_up(&client->members[i].fd);
                fork_guard_close(&client->members[i].pidfd);
        }
        for (int i = 0; i < CLIENT_WATCHERS_MAX; i++)
                fork_guard_close(&client->watchers[i].fd);
        rendezvous_close(&client->rendezvous);
        for (uint32_t i = 0; i < atomic_load(&client->area_count); i++)
                region_deinit(&client->areas[i]);
        atomic_store(&client->area_count, 0);
        set->layout = NULL;
        region_deinit(&set->control);
        fault_point("client.close.released");
}

/* `shared` is NULL for a device that the new set does not have: a pointer to it may be left from the last set. */
static void client_reset_device(struct vds_client_device *device, struct layout_device *shared)
{
        LOCKED(&device->lock);

        device->shared = shared;
        device->opened = device->closed_seen = device->io_error = false;
        device->pending = PENDING_NONE;
        device->held = device->outcome = 0;
        device->named = false;
        memset(device->slots, 0, sizeof device->slots);
        if (shared) {
                ring_init(&device->commands, &shared->command_indices, shared->commands_ring, VDS_QUEUE_DEPTH,
                          sizeof(struct command_record));
                ring_init(&device->completions, &shared->completion_indices, shared->completions_ring, VDS_QUEUE_DEPTH,
                          sizeof(struct completion_record));
        }
        atomic_store(&device->command_count, 0);
        atomic_store(&device->completion_count, 0);
        atomic_store(&device->byte_count, 0);
}

void client_begin_set(struct vds_client *client)
{
        struct vds_set *set = &client->set;

        client->secret = set->layout->secret;
        set_copy_text(client->primary_info, set->layout->primary_info, sizeof client->primary_info);
        client_make_devices(client, set->device_count);
        for (uint32_t i = 0; i < client->devices_made; i++)
                client_reset_device(&client->devices[i], i < set->device_count ? &set->layout->devices[i] : NULL);
        /* The set's name is the first device's, known before any server has come. */
        config_copy_name(client->devices[0].name, set->name);
        client->devices[0].named = true;
        client->server_came = false;
        client->last_number = MEMBER_PRIMARY;
        client->secondaries = (struct vds_secondaries){ 0 };
        client->info[0] = '\0';
        atomic_store(&client->server_pid, 0);
        atomic_store(&client->server_connected, false);
        atomic_store(&client->server_gone, false);
        atomic_store(&client->configured, false);
}

/* Makes the control region and this side's view of it. */
static int make_region(struct vds_client *client, const char *name, const struct VDConfig *wishes, struct error *err)
{
        struct vds_set *set = &client->set;
        struct layout *layout;

        if (region_create("vdipipe-control", layout_size(wishes->deviceCount), &set->control, err) < 0)
                return -1;
        layout = set->layout = (struct layout *)(void *)set->control.base;
        set->device_count = wishes->deviceCount;
        set->wishes = set->config = *wishes;
        config_copy_name(set->name, name);
        layout->magic = LAYOUT_MAGIC;
        layout->version = LAYOUT_VERSION;
        layout->size = (uint32_t)set->control.size;
        layout->device_count = wishes->deviceCount;
        /* It need not be secret; without random bytes the clock will do. */
        if (getrandom(&layout->secret, sizeof layout->secret, GRND_NONBLOCK) != sizeof layout->secret)
                layout->secret = (uint32_t)monotonic_ns();
        if (client->own_info)
                memcpy(layout->primary_info, client->own_info, strlen(client->own_info) + 1);
        client->secondary = false;
        client->number = MEMBER_PRIMARY;
        client->created_ns = monotonic_ns();
        client_begin_set(client);
        return 0;
}

static int check_creation(const struct vds_client *client, const char *name, const struct VDConfig *wishes,
                          struct error *err)
{
        gid_t ignored;

        if (!config_name_ok(name))
                return SET_REFUSE(VD_E_INVALID, err, ERR_USAGE, "a set's name has 1 to %d bytes and no backslash",
                                  VDS_NAME_MAX);
        if (client->own_info && strlen(client->own_info) >= VDS_TEXT_MAX)
                return SET_REFUSE(VD_E_INVALID, err, ERR_USAGE,
                                  "the client's text about itself is longer than %d bytes", VDS_TEXT_MAX - 1);
        if (config_check_wishes(wishes, err) < 0)
                return VD_E_NOTSUPPORTED;
        if (client->set.group && peer_group_id(client->set.group, &ignored, err) < 0)
                return VD_E_NOTSUPPORTED;
        return NOERROR;
}

static int listen_for_others(struct vds_client *client, const char *name, struct error *err)
{
        const struct vds_set *set = &client->set;

        switch (rendezvous_listen(set->runtime_dir, set->group, name, &client->rendezvous, err)) {
        case RENDEZVOUS_OK:
                return NOERROR;
        case RENDEZVOUS_TAKEN:
                return SET_REFUSE(VD_E_PROTOCOL, err, ERR_BUSY, "the name '%s' is in use by another set", name);
        case RENDEZVOUS_NONE:
        case RENDEZVOUS_BUSY:
        case RENDEZVOUS_DENIED:
        case RENDEZVOUS_FAILED:
                break;
        }
        return err->code == ERR_MEMORY ? VD_E_MEMORY : VD_E_SECURITY;
}

/* The server at the other end of the handle's connection may take its time to greet. */
static void await_own_server(struct vds_client *client)
{
        client->server_is_own = client->set.connection >= 0;
        if (client->server_is_own)
                client->half_open[0] = (struct half_open){
                        .fd = take_fd(&client->set.connection),
                        .own_server = true,
                        .deadline = DEADLINE_NEVER,
                };
}

static int client_create_set(struct vds_client *client, const char *name, const struct VDConfig *wishes,
                             struct error *err)
{
        struct vds_set *set = &client->set;
        int result;

        SET_PASS_ON(check_creation(client, name, wishes, err));
        if (make_region(client, name, wishes, err) < 0)
                return VD_E_MEMORY;
        fault_point("client.create.region");
        result = listen_for_others(client, name, err);
        /* A server of its own needs no folder. */
        if (result == VD_E_SECURITY && set->connection >= 0 && !set->group)
                result = NOERROR;
        if (result != NOERROR)
                return result;
        fault_point("client.create.listen");
        await_own_server(client);
        return set_start_service(set, client_service_run, client, err) < 0 ? VD_E_MEMORY : NOERROR;
}

int vds_client_create(struct vds_client *client, const char *name, const struct VDConfig *config)
{
        struct error err = ERROR_INIT;
        int result;

        SET_PASS_ON(set_begin_create(&client->set, CALL_CREATE));
        result = client_create_set(client, name, config, &err);
        set_note_error(&client->set, &err);
        set_end_create(&client->set, CALL_CREATE, result, &err);
        fault_point("client.create.done");
        return result;
}

/* Waits until the flag is up. */
static int wait_configured(struct vds_client *client, struct deadline deadline)
{
        struct wake_cell *cell = &client->set.layout->client_wake;

        for (;;) {
                uint32_t seen = wake_key(cell);

                SET_PASS_ON(set_may_wait(&client->set));
                if (atomic_load_explicit(&client->configured, memory_order_acquire))
                        return NOERROR;
                if (deadline_passed(deadline))
                        return VD_E_TIMEOUT;
                wake_wait(cell, seen, deadline, NULL);
        }
}

int vds_client_get_configuration(struct vds_client *client, int64_t timeout_ms, struct VDConfig *config)
{
        SET_ENTER_OR_RETURN(&client->set, CALL_GET_CONFIGURATION);
        SET_PASS_ON(wait_configured(client, deadline_after_ms(timeout_ms)));
        *config = client->set.config;
        set_succeeded(&client->set, CALL_GET_CONFIGURATION);
        fault_point("client.get_configuration.done");
        return NOERROR;
}

/* ---- devices by name ---- */

enum lookup { LOOKUP_FOUND = 0, LOOKUP_UNKNOWN, LOOKUP_NOT_YET };

/* Latches the name of device `index` if the server has given it one. Under the set's lock. -1: it may not have that
 * name. */
static int client_latch_name(struct vds_client *client, uint32_t index)
{
        struct vds_client_device *device = &client->devices[index];
        const struct layout_device *shared = &client->set.layout->devices[index];

        if (device->named || atomic_load_explicit(&shared->phase, memory_order_acquire) == DEVICE_UNOPENED)
                return 0;
        set_copy_text(device->name, shared->name, sizeof device->name);
        if (!config_name_ok(device->name))
                return -1;
        for (uint32_t i = 0; i < client->set.device_count; i++)
                if (client->devices[i].named && strcmp(client->devices[i].name, device->name) == 0)
                        return -1;
        device->named = true;
        return 0;
}

/* A device by its name, or with `name` NULL by its index. */
struct wanted_device {
        const char *name;
        uint32_t index; /* found, or given */
};

static enum lookup client_find_device(struct vds_client *client, struct wanted_device *wanted, bool *ret_broken)
{
        enum lookup result = LOOKUP_UNKNOWN;

        *ret_broken = false;
        LOCKED(&client->set.lock);
        for (uint32_t i = 0; i < client->set.device_count && result != LOOKUP_FOUND; i++) {
                if (client_latch_name(client, i) < 0)
                        *ret_broken = true;
                if (!client->devices[i].named)
                        result = LOOKUP_NOT_YET;
                else if (wanted->name ? strcmp(client->devices[i].name, wanted->name) == 0 : i == wanted->index) {
                        wanted->index = i;
                        result = LOOKUP_FOUND;
                }
        }
        return result;
}

/* Waits until the server has a device of that name or index, or has named them all. */
static int client_wait_name(struct vds_client *client, struct wanted_device *wanted, struct deadline deadline)
{
        struct wake_cell *cell = &client->set.layout->client_wake;

        for (;;) {
                uint32_t seen = wake_key(cell);
                struct error err = ERROR_INIT;
                bool broken;
                enum lookup found = client_find_device(client, wanted, &broken);

                if (broken) {
                        error_raise(&err, ERR_PROTOCOL, "the server gave a device a name that it may not have");
                        return set_fail(&client->set, VDS_ABORT_MISBEHAVED, &err);
                }
                /* What has a name keeps it; but an aborted set opens nothing. */
                if (found == LOOKUP_FOUND && !wanted->name)
                        return NOERROR;
                SET_PASS_ON(set_may_wait(&client->set));
                if (found != LOOKUP_NOT_YET)
                        return found == LOOKUP_FOUND ? NOERROR : VD_E_INVALID;
                if (deadline_passed(deadline))
                        return VD_E_TIMEOUT;
                wake_wait(cell, seen, deadline, NULL);
        }
}

/* Have clients opened every device of the set? */
static bool client_all_open(struct vds_client *client)
{
        for (uint32_t i = 0; i < client->set.device_count; i++)
                if (layout_claimant(&client->set.layout->devices[i]) == 0)
                        return false;
        return true;
}

/* Claims the device for this client. VD_E_PROTOCOL: a client has it, or Close is at work, which shuts the gate before
 * it looks, under the same lock, for devices that are open. */
static int client_claim_device(struct vds_client *client, struct vds_client_device *device)
{
        uint32_t nobody = 0;

        LOCKED(&device->lock);
        if (device->opened || (atomic_load(&client->set.gate) & SET_GATE_CLOSED) ||
            !atomic_compare_exchange_strong(&device->shared->client_opened, &nobody, client->number))
                return VD_E_PROTOCOL;
        atomic_store_explicit(&device->shared->client_pid, (uint32_t)getpid(), memory_order_relaxed);
        device->opened = true;
        return NOERROR;
}

int vds_client_open_device(struct vds_client *client, const char *name, struct vds_client_device **ret_device)
{
        struct wanted_device wanted = { .name = name };

        *ret_device = NULL;
        SET_ENTER_OR_RETURN(&client->set, CALL_OPEN_DEVICE);
        if (client_all_open(client))
                return VD_E_OPEN;
        if (!config_name_ok(name))
                return VD_E_INVALID;
        SET_PASS_ON(client_wait_name(client, &wanted, deadline_after_ms(SET_NAME_WAIT_MS)));
        SET_PASS_ON(client_claim_device(client, &client->devices[wanted.index]));
        set_succeeded(&client->set, CALL_OPEN_DEVICE);
        *ret_device = &client->devices[wanted.index];
        fault_point("client.open_device.done");
        return NOERROR;
}

int vds_client_signal_abort(struct vds_client *client)
{
        SET_ENTER_OR_RETURN(&client->set, CALL_SIGNAL_ABORT);
        fault_point("client.abort");
        set_abort(&client->set, VDS_ABORT_CLIENT);
        fault_point("client.abort.done");
        return NOERROR;
}

bool client_has_open_device(struct vds_client *client)
{
        for (uint32_t i = 0; i < client->set.device_count; i++) {
                struct vds_client_device *device = &client->devices[i];

                LOCKED(&device->lock);
                if (device->opened && !device->closed_seen && !layout_is_closed(device->shared))
                        return true;
        }
        return false;
}

bool client_holds_device(struct vds_client *client, uint32_t number)
{
        for (uint32_t i = 0; i < client->set.device_count; i++) {
                const struct layout_device *shared = &client->set.layout->devices[i];
                uint32_t claimant = layout_claimant(shared);

                if (claimant != 0 && (number == 0 || claimant == number) && !layout_is_closed(shared))
                        return true;
        }
        return false;
}

void client_note_closed(struct vds_client *client)
{
        for (uint32_t i = 0; i < client->set.device_count; i++) {
                struct vds_client_device *device = &client->devices[i];
                const struct layout_device *shared = device->shared;

                LOCKED(&device->lock);
                if (device->opened ? !device->closed_seen : !layout_claimant(shared) || !layout_is_closed(shared))
                        return;
        }
        set_all_closed(&client->set);
}

/* Close of the primary: what it has to tell the others. */
static int close_primary(struct vds_client *client)
{
        int result = NOERROR;

        if (!set_aborted(&client->set)) {
                result = client_holds_device(client, /* number= */ 0) ? VD_E_OPEN : NOERROR;
                /* A server whose devices are not done must not wait for a client that is gone. */
                if (result != NOERROR ||
                    (atomic_load(&client->server_connected) && !client_all_closed_by_server(client)))
                        set_abort(&client->set, VDS_ABORT_CLIENT_CLOSED);
        }
        atomic_store_explicit(&client->set.layout->client_closed, 1, memory_order_release);
        return result;
}

int vds_client_close(struct vds_client *client)
{
        int result;

        SET_PASS_ON(set_begin_close(&client->set));
        fault_point(client->secondary ? "secondary.close" : "client.close");
        result = client->secondary ? client_close_secondary(client) : close_primary(client);
        set_wake_all(&client->set);
        fault_point(client->secondary ? "secondary.close.said" : "client.close.said");
        set_finish_close(&client->set);
        return result;
}

/* ---- beyond the published interface ---- */

int vds_client_server_info(struct vds_client *client, char *text)
{
        text[0] = '\0';
        SET_ENTER_OR_RETURN(&client->set, CALL_INFO);
        if (atomic_load_explicit(&client->configured, memory_order_acquire))
                memcpy(text, client->info, sizeof client->info);
        return NOERROR;
}

/* What is known of a device: from here, or from the hint of the client that has it open. */
static bool client_confirms_device(struct vds_client_device *device, bool granted)
{
        const struct layout_device *shared = device->shared;
        uint32_t wanted = OUTCOME_FLUSHED | (granted ? OUTCOME_FINISHED : 0);
        uint32_t outcome;
        bool closed;

        LOCKED(&device->lock);
        if (device->opened) {
                outcome = device->outcome;
                closed = device->closed_seen;
        } else {
                /* Its owner may not have seen the closing yet, but does. */
                closed = layout_is_closed(shared) && layout_claimant(shared) != 0;
                outcome = atomic_load_explicit(&shared->outcome, memory_order_acquire);
        }
        return closed && !(outcome & OUTCOME_IO_ERROR) && (outcome & wanted);
}

/* What is to be thought of a server that ended without a word. */
static enum vds_verdict infer_verdict(struct vds_client *client)
{
        /* Before it is configured the service thread may be writing the configuration. */
        bool granted = atomic_load_explicit(&client->configured, memory_order_acquire) &&
                       (client->set.config.features & VDF_CompleteEnabled);
        bool confirmed = !set_aborted(&client->set);

        for (uint32_t i = 0; i < client->set.device_count; i++)
                confirmed &= client_confirms_device(&client->devices[i], granted);
        return confirmed ? VDS_VERDICT_UNCONFIRMED : VDS_VERDICT_FAILED;
}

/* Will the server say no more? */
static bool server_ended(struct vds_client *client, bool aborted)
{
        const struct layout *layout = client->set.layout;

        return atomic_load(&client->server_gone) ||
               atomic_load_explicit(&layout->server_phase, memory_order_acquire) == SERVER_CLOSED ||
               (client->secondary && atomic_load_explicit(&layout->server_gone, memory_order_acquire) != 0) ||
               (aborted && !atomic_load(&client->server_connected));
}

static int wait_verdict(struct vds_client *client, struct deadline deadline, enum vds_verdict *ret_verdict, char *text)
{
        struct layout *layout = client->set.layout;

        for (;;) {
                uint32_t seen = wake_key(&layout->client_wake);
                bool ended = server_ended(client, set_aborted(&client->set));
                uint32_t stated = atomic_load_explicit(&layout->verdict, memory_order_acquire);

                if (stated != VDS_VERDICT_NONE) {
                        set_copy_text(text, layout->verdict_text, VDS_TEXT_MAX);
                        *ret_verdict =
                                stated <= VDS_VERDICT_UNCONFIRMED ? (enum vds_verdict)stated : VDS_VERDICT_FAILED;
                        return NOERROR;
                }
                if (ended) {
                        *ret_verdict = infer_verdict(client);
                        return NOERROR;
                }
                if (atomic_load(&client->set.gate) & SET_GATE_CLOSED)
                        return VD_E_PROTOCOL;
                if (deadline_passed(deadline))
                        return VD_E_TIMEOUT;
                wake_wait(&layout->client_wake, seen, deadline, NULL);
        }
}

int vds_client_verdict(struct vds_client *client, int64_t timeout_ms, enum vds_verdict *ret_verdict, char *text)
{
        *ret_verdict = VDS_VERDICT_NONE;
        text[0] = '\0';
        SET_ENTER_OR_RETURN(&client->set, CALL_VERDICT);
        return wait_verdict(client, deadline_after_ms(timeout_ms), ret_verdict, text);
}

enum vds_abort_reason vds_client_abort_reason(struct vds_client *client)
{
        return set_abort_reason(&client->set);
}

const char *vds_client_error_text(struct vds_client *client)
{
        return set_error_text(&client->set);
}

int vds_client_server_pid(struct vds_client *client)
{
        return atomic_load(&client->server_pid);
}

int vds_client_device_name(struct vds_client *client, uint32_t index, int64_t timeout_ms, char *name)
{
        struct wanted_device wanted = { .index = index };

        name[0] = '\0';
        SET_ENTER_OR_RETURN(&client->set, CALL_INFO);
        if (index >= client->set.device_count)
                return VD_E_INVALID;
        SET_PASS_ON(client_wait_name(client, &wanted, deadline_after_ms(timeout_ms)));
        config_copy_name(name, client->devices[index].name);
        return NOERROR;
}

static bool is_unserved(const struct layout_device *shared)
{
        return atomic_load_explicit(&shared->phase, memory_order_acquire) == DEVICE_OPENED &&
               !atomic_load_explicit(&shared->client_pid, memory_order_relaxed);
}

bool vds_client_unserved(struct vds_client *client, uint32_t *ret_index)
{
        CLEANUP(set_leave) struct set_call call;

        if (set_enter(&client->set, &call, CALL_INFO) != NOERROR)
                return false;
        for (uint32_t i = 0; i < client->set.device_count; i++) {
                if (!is_unserved(&client->set.layout->devices[i]))
                        continue;
                *ret_index = i;
                return true;
        }
        return false;
}

int vds_client_primary_info(struct vds_client *client, char *text)
{
        text[0] = '\0';
        SET_ENTER_ANY_OR_RETURN(&client->set);
        memcpy(text, client->primary_info, sizeof client->primary_info);
        return NOERROR;
}

void vds_client_secondaries(struct vds_client *client, struct vds_secondaries *ret_secondaries)
{
        *ret_secondaries = (struct vds_secondaries){ 0 };
        if (!set_is_ours(&client->set))
                return;
        LOCKED(&client->set.lock);
        *ret_secondaries = client->secondaries;
}
