/* The client's side of vds.h: the set. Its devices are in client_device.c, its service thread in client_service.c. */
#include "core/vds/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/shm/fork_guard.h"

static void client_release(struct vds_set *set);

struct vds_client *vds_client_new(const struct vds_options *options)
{
        struct vds_client *client = calloc(1, sizeof *client);

        if (!client)
                return NULL;
        client->rendezvous = (struct rendezvous)RENDEZVOUS_INIT;
        client->server_fd = client->server_pidfd = -1;
        for (int i = 0; i < CLIENT_HALF_OPEN_MAX; i++)
                client->half_open[i].fd = -1;
        for (uint32_t i = 0; i < VDS_DEVICES_MAX; i++) {
                client->devices[i].client = client;
                pthread_mutex_init(&client->devices[i].lock, NULL);
        }
        if (set_init(&client->set, SIDE_CLIENT, options, client_release) < 0) {
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
        for (uint32_t i = 0; i < VDS_DEVICES_MAX; i++)
                pthread_mutex_destroy(&client->devices[i].lock);
        set_deinit(&client->set);
        free(client);
}

/* Gives everything of a set back; also half a set's, after a Create that failed. */
static void client_release(struct vds_set *set)
{
        struct vds_client *client = (struct vds_client *)set;

        set_stop_service(set);
        fault_point("client.close.stopped");
        if (client->server_fd >= 0)
                shutdown(client->server_fd, SHUT_RDWR);
        fork_guard_close(&client->server_fd);
        fork_guard_close(&client->server_pidfd);
        for (int i = 0; i < CLIENT_HALF_OPEN_MAX; i++)
                fork_guard_close(&client->half_open[i].fd);
        rendezvous_close(&client->rendezvous);
        for (uint32_t i = 0; i < atomic_load(&client->area_count); i++)
                region_deinit(&client->areas[i]);
        atomic_store(&client->area_count, 0);
        set->layout = NULL;
        region_deinit(&set->control);
        fault_point("client.close.released");
}

/* `shared` is NULL for a device that the new set does not have: a pointer to it may be left from the last set. */
static void reset_device(struct vds_client_device *device, struct layout_device *shared)
{
        pthread_mutex_lock(&device->lock);
        device->shared = shared;
        device->opened = device->closed_seen = device->io_error = device->flushed = device->finished = false;
        device->pending = PENDING_NONE;
        device->held = 0;
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
        pthread_mutex_unlock(&device->lock);
}

/* Makes the control region and this side's view of it. */
static int make_region(struct vds_client *client, const char *name, const struct VDConfig *wishes, struct error *err)
{
        struct vds_set *set = &client->set;

        if (region_create("vdipipe-control", layout_size(wishes->deviceCount), &set->control, err) < 0)
                return -1;
        set->layout = (struct layout *)(void *)set->control.base;
        set->device_count = wishes->deviceCount;
        set->wishes = set->config = *wishes;
        config_copy_name(set->name, name);
        set->layout->magic = LAYOUT_MAGIC;
        set->layout->version = LAYOUT_VERSION;
        set->layout->size = (uint32_t)set->control.size;
        set->layout->device_count = wishes->deviceCount;
        for (uint32_t i = 0; i < VDS_DEVICES_MAX; i++)
                reset_device(&client->devices[i], i < wishes->deviceCount ? &set->layout->devices[i] : NULL);
        /* The set's name is the first device's, known before any server has come. */
        config_copy_name(client->devices[0].name, name);
        client->devices[0].named = true;
        client->server_came = false;
        client->info[0] = '\0';
        atomic_store(&client->server_pid, 0);
        atomic_store(&client->server_connected, false);
        atomic_store(&client->server_gone, false);
        atomic_store(&client->configured, false);
        atomic_store(&client->opened_count, 0);
        atomic_store(&client->closed_count, 0);
        return 0;
}

static int result_of(const struct error *err)
{
        return err->code == ERR_MEMORY ? VD_E_MEMORY : err->code == ERR_USAGE ? VD_E_NOTSUPPORTED : VD_E_SECURITY;
}

static int create(struct vds_client *client, const char *name, const struct VDConfig *wishes, struct error *err)
{
        struct vds_set *set = &client->set;

        if (!config_name_ok(name)) {
                error_raise(err, ERR_USAGE, "a set's name has 1 to %d bytes and no backslash", VDS_NAME_MAX);
                return VD_E_INVALID;
        }
        if (config_check_wishes(wishes, err) < 0)
                return VD_E_NOTSUPPORTED;
        if (make_region(client, name, wishes, err) < 0)
                return VD_E_MEMORY;
        fault_point("client.create.region");
        switch (rendezvous_listen(set->runtime_dir, set->group, name, &client->rendezvous, err)) {
        case RENDEZVOUS_TAKEN:
                error_raise(err, ERR_BUSY, "the name '%s' is in use by another set", name);
                return VD_E_PROTOCOL;
        case RENDEZVOUS_OK:
                break;
        case RENDEZVOUS_NONE:
        case RENDEZVOUS_BUSY:
        case RENDEZVOUS_FAILED:
                return result_of(err);
        }
        fault_point("client.create.listen");
        return set_start_service(set, client_service_run, client, err) < 0 ? VD_E_MEMORY : NOERROR;
}

int vds_client_create(struct vds_client *client, const char *name, const struct VDConfig *config)
{
        struct error err = ERROR_INIT;
        int result = set_begin_create(&client->set);

        if (result != NOERROR)
                return result;
        result = create(client, name, config, &err);
        if (result != NOERROR) {
                set_note_error(&client->set, &err);
                client_release(&client->set);
        }
        set_end_create(&client->set, result == NOERROR);
        fault_point("client.create.done");
        return result;
}

/* Waits until the flag is up. */
static int wait_configured(struct vds_client *client, struct deadline deadline)
{
        struct wake_cell *cell = &client->set.layout->client_wake;

        for (;;) {
                uint32_t seen = wake_key(cell);

                if (set_aborted(&client->set))
                        return VD_E_ABORT;
                if (atomic_load(&client->set.gate) & SET_GATE_CLOSED)
                        return VD_E_PROTOCOL;
                if (atomic_load_explicit(&client->configured, memory_order_acquire))
                        return NOERROR;
                if (deadline_passed(deadline))
                        return VD_E_TIMEOUT;
                wake_wait(cell, seen, deadline, NULL);
        }
}

int vds_client_get_configuration(struct vds_client *client, int64_t timeout_ms, struct VDConfig *config)
{
        struct set_call call;
        int result = set_enter(&client->set, &call, CALL_GET_CONFIGURATION);

        if (result != NOERROR)
                return result;
        result = wait_configured(client, deadline_after_ms(timeout_ms));
        if (result == NOERROR) {
                *config = client->set.config;
                set_succeeded(&client->set, CALL_GET_CONFIGURATION);
                fault_point("client.get_configuration.done");
        }
        return set_leave(&call, result);
}

/* ---- devices by name ---- */

enum lookup { LOOKUP_FOUND = 0, LOOKUP_UNKNOWN, LOOKUP_NOT_YET };

/* Latches the name of device `index` if the server has given it one. Under the set's lock. -1: it may not have that
 * name. */
static int latch_name(struct vds_client *client, uint32_t index)
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

static enum lookup look_up(struct vds_client *client, const char *name, uint32_t *ret_index, bool *ret_broken)
{
        enum lookup result = LOOKUP_UNKNOWN;

        *ret_broken = false;
        pthread_mutex_lock(&client->set.lock);
        for (uint32_t i = 0; i < client->set.device_count; i++) {
                if (latch_name(client, i) < 0)
                        *ret_broken = true;
                if (!client->devices[i].named)
                        result = LOOKUP_NOT_YET;
                else if (strcmp(client->devices[i].name, name) == 0) {
                        *ret_index = i;
                        result = LOOKUP_FOUND;
                        break;
                }
        }
        pthread_mutex_unlock(&client->set.lock);
        return result;
}

/* Waits until the server has a device of that name, or has named them all. */
static int wait_name(struct vds_client *client, const char *name, uint32_t *ret_index)
{
        struct deadline deadline = deadline_after_ms(SET_NAME_WAIT_MS);
        struct wake_cell *cell = &client->set.layout->client_wake;

        for (;;) {
                uint32_t seen = wake_key(cell);
                struct error err = ERROR_INIT;
                bool broken;
                enum lookup found = look_up(client, name, ret_index, &broken);

                if (broken) {
                        error_raise(&err, ERR_PROTOCOL, "the server gave a device a name that it may not have");
                        return set_fail(&client->set, VDS_ABORT_MISBEHAVED, &err);
                }
                if (set_aborted(&client->set))
                        return VD_E_ABORT;
                if (atomic_load(&client->set.gate) & SET_GATE_CLOSED)
                        return VD_E_PROTOCOL;
                if (found != LOOKUP_NOT_YET)
                        return found == LOOKUP_FOUND ? NOERROR : VD_E_INVALID;
                if (deadline_passed(deadline))
                        return VD_E_TIMEOUT;
                wake_wait(cell, seen, deadline, NULL);
        }
}

static int open_device(struct vds_client *client, const char *name, struct vds_client_device **ret_device)
{
        struct vds_client_device *device;
        uint32_t index = 0;
        int result;

        if (atomic_load(&client->opened_count) == client->set.device_count)
                return VD_E_OPEN;
        if (!config_name_ok(name))
                return VD_E_INVALID;
        result = wait_name(client, name, &index);
        if (result != NOERROR)
                return result;
        device = &client->devices[index];
        pthread_mutex_lock(&device->lock);
        if (device->opened)
                result = VD_E_PROTOCOL;
        device->opened = true;
        pthread_mutex_unlock(&device->lock);
        if (result != NOERROR)
                return result;
        atomic_store_explicit(&device->shared->client_opened, (uint32_t)getpid(), memory_order_relaxed);
        atomic_fetch_add(&client->opened_count, 1);
        set_succeeded(&client->set, CALL_OPEN_DEVICE);
        *ret_device = device;
        fault_point("client.open_device.done");
        return NOERROR;
}

int vds_client_open_device(struct vds_client *client, const char *name, struct vds_client_device **ret_device)
{
        struct set_call call;
        int result = set_enter(&client->set, &call, CALL_OPEN_DEVICE);

        *ret_device = NULL;
        if (result != NOERROR)
                return result;
        return set_leave(&call, open_device(client, name, ret_device));
}

int vds_client_signal_abort(struct vds_client *client)
{
        struct set_call call;
        int result = set_enter(&client->set, &call, CALL_SIGNAL_ABORT);

        if (result != NOERROR)
                return result;
        fault_point("client.abort");
        set_abort(&client->set, VDS_ABORT_CLIENT);
        fault_point("client.abort.done");
        return set_leave(&call, NOERROR);
}

/* Is a device open here that the server has not closed? */
static bool has_open_device(struct vds_client *client)
{
        bool open = false;

        for (uint32_t i = 0; i < client->set.device_count && !open; i++) {
                struct vds_client_device *device = &client->devices[i];

                pthread_mutex_lock(&device->lock);
                open = device->opened && !device->closed_seen &&
                       atomic_load_explicit(&device->shared->phase, memory_order_acquire) != DEVICE_CLOSED;
                pthread_mutex_unlock(&device->lock);
        }
        return open;
}

int vds_client_close(struct vds_client *client)
{
        int result = set_begin_close(&client->set);

        if (result != NOERROR)
                return result;
        fault_point("client.close");
        if (!set_aborted(&client->set)) {
                result = has_open_device(client) ? VD_E_OPEN : NOERROR;
                /* A server whose devices are not done must not wait for a client that is gone. */
                if (result != NOERROR ||
                    (atomic_load(&client->server_connected) && !client_all_closed_by_server(client)))
                        set_abort(&client->set, VDS_ABORT_CLIENT_CLOSED);
        }
        atomic_store_explicit(&client->set.layout->client_closed, 1, memory_order_release);
        set_wake_all(&client->set);
        fault_point("client.close.said");
        set_finish_close(&client->set);
        return result;
}

/* ---- beyond the published interface ---- */

int vds_client_server_info(struct vds_client *client, char *text)
{
        struct set_call call;
        int result = set_enter(&client->set, &call, CALL_INFO);

        text[0] = '\0';
        if (result != NOERROR)
                return result;
        if (atomic_load_explicit(&client->configured, memory_order_acquire))
                memcpy(text, client->info, sizeof client->info);
        return set_leave(&call, NOERROR);
}

/* What is to be thought of a server that ended without a word. */
static enum vds_verdict infer_verdict(struct vds_client *client)
{
        /* Before it is configured the service thread may be writing the configuration. */
        bool granted = atomic_load_explicit(&client->configured, memory_order_acquire) &&
                       (client->set.config.features & VDF_CompleteEnabled);
        bool confirmed = !set_aborted(&client->set);

        for (uint32_t i = 0; i < client->set.device_count; i++) {
                struct vds_client_device *device = &client->devices[i];

                pthread_mutex_lock(&device->lock);
                if (!device->closed_seen || device->io_error || !(device->flushed || (granted && device->finished)))
                        confirmed = false;
                pthread_mutex_unlock(&device->lock);
        }
        return confirmed ? VDS_VERDICT_UNCONFIRMED : VDS_VERDICT_FAILED;
}

static int wait_verdict(struct vds_client *client, struct deadline deadline, enum vds_verdict *ret_verdict, char *text)
{
        struct layout *layout = client->set.layout;

        for (;;) {
                uint32_t seen = wake_key(&layout->client_wake);
                bool aborted = set_aborted(&client->set);
                bool ended = atomic_load(&client->server_gone) ||
                             atomic_load_explicit(&layout->server_phase, memory_order_acquire) == SERVER_CLOSED ||
                             (aborted && !atomic_load(&client->server_connected));
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
        struct set_call call;
        int result = set_enter(&client->set, &call, CALL_VERDICT);

        *ret_verdict = VDS_VERDICT_NONE;
        text[0] = '\0';
        if (result != NOERROR)
                return result;
        return set_leave(&call, wait_verdict(client, deadline_after_ms(timeout_ms), ret_verdict, text));
}

enum vds_abort_reason vds_client_abort_reason(struct vds_client *client)
{
        struct set_call call;

        if (set_enter_any(&client->set, &call) == NOERROR) {
                set_aborted(&client->set);
                set_leave(&call, NOERROR);
        }
        return (enum vds_abort_reason)atomic_load(&client->set.abort_reason);
}

const char *vds_client_error_text(struct vds_client *client)
{
        return set_error_text(&client->set);
}

int vds_client_server_pid(struct vds_client *client)
{
        return atomic_load(&client->server_pid);
}
