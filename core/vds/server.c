/* The server's side of vds.h: the set. Buffers are in server_buffers.c, devices in server_device.c, the completion
 * agent in completion_agent.c, the service thread in server_service.c. */
#include "core/vds/internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/shm/fork_guard.h"
#include "core/shm/peer.h"
#include "core/shm/rendezvous.h"
#include "core/vds/join.h"
#include "core/vds/message.h"

enum { BURY_WAIT_MS = 1000 }; /* from the end of a killed client's connection to the end of its process */

static void server_release(struct vds_set *set);

static void server_make_devices(struct vds_server *server, uint32_t count)
{
        for (; server->devices_made < count; server->devices_made++) {
                server->devices[server->devices_made].server = server;
                pthread_mutex_init(&server->devices[server->devices_made].lock, NULL);
        }
}

struct vds_server *vds_server_new(const struct vds_options *options)
{
        struct vds_server *server = calloc(1, sizeof *server);

        if (!server)
                return NULL;
        server->connection_fd = server->client_pidfd = -1;
        pthread_mutex_init(&server->send_lock, NULL);
        pthread_mutex_init(&server->config_lock, NULL);
        pthread_mutex_init(&server->buffer_lock, NULL);
        server_make_devices(server, 1);
        if (set_init(&server->set, SIDE_SERVER, options, server_release) < 0) {
                vds_server_free(server);
                return NULL;
        }
        return server;
}

void vds_server_free(struct vds_server *server)
{
        /* A forked child has no service thread to stop and no mapping to release; it leaves everything alone. */
        if (!server || !set_is_ours(&server->set))
                return;
        vds_server_close(server);
        for (uint32_t i = 0; i < server->devices_made; i++)
                pthread_mutex_destroy(&server->devices[i].lock);
        pthread_mutex_destroy(&server->buffer_lock);
        pthread_mutex_destroy(&server->config_lock);
        pthread_mutex_destroy(&server->send_lock);
        set_deinit(&server->set);
        free(server);
}

/* A killed client leaves its socket and lock file; we are the one who outlived it. */
static void bury_dead_client(struct vds_server *server)
{
        struct pollfd client = { .fd = server->client_pidfd, .events = POLLIN };
        bool died = atomic_load(&server->set.abort_reason) == VDS_ABORT_CLIENT_DIED;

        /* Its connection may have ended a moment before its lock goes. */
        if (server->client_pidfd >= 0 && poll(&client, 1, died ? BURY_WAIT_MS : 0) == 1)
                rendezvous_bury(server->set.runtime_dir, server->set.name);
}

/* Gives everything of a set back; also half a set's, after an Open that failed. */
static void server_release(struct vds_set *set)
{
        struct vds_server *server = (struct vds_server *)set;

        set_stop_service(set);
        /* The agent gave back what it could; without one it is left to us. */
        if (set->layout)
                for (uint32_t i = 0; i < set->device_count; i++)
                        server_drain_device(&server->devices[i], ERROR_OPERATION_ABORTED, /* dead= */ true);
        fault_point("server.close.stopped");
        bury_dead_client(server);
        if (server->connection_fd >= 0)
                shutdown(server->connection_fd, SHUT_RDWR);
        fork_guard_close(&server->connection_fd);
        fork_guard_close(&server->client_pidfd);
        for (uint32_t i = 0; i < server->area_count; i++) {
                arena_deinit(&server->areas[i].arena);
                region_deinit(&server->areas[i].region);
        }
        server->area_count = 0;
        set->layout = NULL;
        region_deinit(&set->control);
        fault_point("server.close.released");
}

/* ---- Open ---- */

static void server_reset_device(struct vds_server_device *device, struct layout_device *shared)
{
        LOCKED(&device->lock);

        device->shared = shared;
        device->name[0] = '\0';
        device->opened = device->closed = device->dead = device->io_error = false;
        device->outstanding = device->next_slot = 0;
        memset(device->slots, 0, sizeof device->slots);
        ring_init(&device->commands, &shared->command_indices, shared->commands_ring, VDS_QUEUE_DEPTH,
                  sizeof(struct command_record));
        ring_init(&device->completions, &shared->completion_indices, shared->completions_ring, VDS_QUEUE_DEPTH,
                  sizeof(struct completion_record));
}

/* Makes this side's view of a set that was attached. */
static void server_begin_set(struct vds_server *server)
{
        struct vds_set *set = &server->set;

        server->requests = (struct server_requests){ 0 };
        server->opened_count = 0;
        atomic_store(&server->closed_count, 0);
        atomic_store(&server->outstanding, 0);
        atomic_store(&server->progress_ns, monotonic_ns());
        atomic_store(&server->verdict_stated, false);
        server_make_devices(server, set->device_count);
        for (uint32_t i = 0; i < set->device_count; i++)
                server_reset_device(&server->devices[i], &set->layout->devices[i]);
        for (uint32_t i = set->device_count; i < server->devices_made; i++)
                server->devices[i].opened = false;
}

static int server_open_set(struct vds_server *server, const char *name, struct error *err)
{
        CLEANUP(joined_deinit) struct joined joined = JOINED_INIT;
        struct vds_set *set = &server->set;
        int result = join_set(set, name, ROLE_SERVER, &joined, err);

        if (result != NOERROR)
                return result == VD_E_TIMEOUT || result == VD_E_MEMORY ? result : VD_E_INVALID;
        if (join_attach(set, name, &joined, err) < 0)
                return err->code == ERR_MEMORY ? VD_E_MEMORY : VD_E_INVALID;
        server_begin_set(server);
        server->connection_fd = take_fd(&joined.fd);
        server->client_pidfd = peer_pidfd(server->connection_fd, joined.pid);
        fork_guard_add(server->client_pidfd);
        if (set_start_service(set, server_service_run, server, err) < 0)
                return VD_E_MEMORY;
        atomic_store_explicit(&set->layout->server_phase, SERVER_CONNECTED, memory_order_release);
        return NOERROR;
}

int vds_server_open(struct vds_server *server, const char *set_name)
{
        struct error err = ERROR_INIT;
        int result;

        SET_PASS_ON(set_begin_create(&server->set, CALL_CREATE));
        result = server_open_set(server, set_name, &err);
        set_end_create(&server->set, CALL_CREATE, result, &err);
        fault_point("server.open.done");
        return result;
}

/* ---- configuration ---- */

int server_tell(struct vds_server *server, const void *message, size_t size, int pass)
{
        struct error err = ERROR_INIT;
        enum peer_result result;

        pthread_mutex_lock(&server->send_lock);
        result = peer_send(server->connection_fd, message, size, pass, deadline_after_ms(SET_SEND_MS), &err);
        pthread_mutex_unlock(&server->send_lock);
        if (result == PEER_OK)
                return NOERROR;
        if (result == PEER_NOTHING)
                error_raise(&err, ERR_TIMEOUT, "the client does not read its messages");
        /* A send fails when the client is gone; which the service thread knows better, but may learn later. */
        return set_fail(&server->set, result == PEER_NOTHING ? VDS_ABORT_INTERNAL : VDS_ABORT_CLIENT_DIED, &err);
}

int vds_server_get_configuration(struct vds_server *server, struct VDConfig *config)
{
        SET_ENTER_OR_RETURN(&server->set, CALL_GET_CONFIGURATION);
        LOCKED(&server->config_lock);
        /* Until configuration has ended the client's wishes are the answer. */
        *config = atomic_load(&server->set.state) <= STATE_CONFIGURABLE ? server->set.wishes : server->set.config;
        return NOERROR;
}

int vds_server_begin_configuration(struct vds_server *server, uint32_t features, uint32_t block_size,
                                   uint32_t alignment, uint32_t max_transfer_size, uint32_t timeout_ms)
{
        const struct config_shape shape = {
                .features = features,
                .block_size = block_size,
                .alignment = alignment,
                .max_transfer_size = max_transfer_size,
        };
        struct error err = ERROR_INIT;
        int result = NOERROR;

        /* It would bound a wait for the client's declaration of areas; areas are the server's here,
         * so nothing waits. */
        (void)timeout_ms;
        SERVER_CONFIGURE_OR_RETURN(server, CALL_BEGIN_CONFIGURATION);
        if (config_merge(&server->set.wishes, &shape, &server->set.config, &err) < 0) {
                set_note_error(&server->set, &err);
                result = VD_E_INVALID;
        }
        if (result == NOERROR)
                set_succeeded(&server->set, CALL_BEGIN_CONFIGURATION);
        fault_point("server.begin_configuration.done");
        return result;
}

int vds_server_end_configuration(struct vds_server *server)
{
        struct message_configured message = { .kind = MESSAGE_CONFIGURED };
        int result;

        SERVER_CONFIGURE_OR_RETURN(server, CALL_END_CONFIGURATION);
        SET_PASS_ON(server_make_first_area(server));
        fault_point("server.end_configuration.area");
        atomic_store_explicit(&server->set.layout->server_phase, SERVER_CONFIGURED, memory_order_release);
        message.config = server->set.config;
        result = server_tell(server, &message, sizeof message, -1);
        if (result == NOERROR)
                set_succeeded(&server->set, CALL_END_CONFIGURATION);
        fault_point("server.end_configuration.sent");
        return result;
}

/* ---- devices ---- */

static bool name_is_free(const struct vds_server *server, const char *name)
{
        if (!config_name_ok(name))
                return false;
        if (server->opened_count == 0)
                return strcmp(name, server->set.name) == 0;
        for (uint32_t i = 0; i < server->opened_count; i++)
                if (strcmp(server->devices[i].name, name) == 0)
                        return false;
        return true;
}

int vds_server_open_device(struct vds_server *server, const char *name, struct vds_server_device **ret_device)
{
        struct vds_server_device *device;

        *ret_device = NULL;
        SERVER_CONFIGURE_OR_RETURN(server, CALL_OPEN_DEVICE);
        if (server->opened_count == server->set.device_count)
                return VD_E_OPEN;
        if (!name_is_free(server, name))
                return VD_E_INVALID;
        device = &server->devices[server->opened_count];
        pthread_mutex_lock(&device->lock);
        config_copy_name(device->name, name);
        device->opened = true;
        pthread_mutex_unlock(&device->lock);
        server->opened_count++;
        set_succeeded(&server->set, CALL_OPEN_DEVICE);
        config_copy_name(device->shared->name, name);
        atomic_store_explicit(&device->shared->phase, DEVICE_OPENED, memory_order_release);
        wake_signal(&server->set.layout->client_wake);
        *ret_device = device;
        fault_point("server.open_device.done");
        return NOERROR;
}

/* ---- end ---- */

int vds_server_signal_abort(struct vds_server *server)
{
        SET_ENTER_OR_RETURN(&server->set, CALL_SIGNAL_ABORT);
        fault_point("server.abort");
        set_abort(&server->set, VDS_ABORT_SERVER);
        fault_point("server.abort.done");
        return NOERROR;
}

static bool server_has_open_device(struct vds_server *server)
{
        for (uint32_t i = 0; i < server->set.device_count; i++) {
                LOCKED(&server->devices[i].lock);

                if (server->devices[i].opened && !server->devices[i].closed)
                        return true;
        }
        return false;
}

int vds_server_close(struct vds_server *server)
{
        struct vds_set *set = &server->set;
        int result = NOERROR;

        SET_PASS_ON(set_begin_close(set));
        fault_point("server.close");
        if (!set_aborted(set)) {
                result = server_has_open_device(server) ? VD_E_PROTOCOL : NOERROR;
                /* A client whose devices were never all opened and closed must not wait for a server that is gone. */
                if (atomic_load(&server->closed_count) != set->device_count)
                        set_abort(set, VDS_ABORT_SERVER_CLOSED);
        }
        atomic_store_explicit(&set->layout->server_phase, SERVER_CLOSED, memory_order_release);
        set_wake_all(set);
        fault_point("server.close.said");
        set_finish_close(set);
        return result;
}

/* ---- beyond the published interface ---- */

int vds_server_set_info(struct vds_server *server, const char *text)
{
        SERVER_CONFIGURE_OR_RETURN(server, CALL_INFO);
        if (strlen(text) >= VDS_TEXT_MAX)
                return VD_E_INVALID;
        memcpy(server->set.layout->info_text, text, strlen(text) + 1);
        return NOERROR;
}

int vds_server_set_verdict(struct vds_server *server, enum vds_verdict verdict, const char *text)
{
        struct layout *layout;
        size_t length;

        SET_ENTER_OR_RETURN(&server->set, CALL_VERDICT);
        if (verdict <= VDS_VERDICT_NONE || verdict > VDS_VERDICT_UNCONFIRMED)
                return VD_E_INVALID;
        if (atomic_exchange(&server->verdict_stated, true))
                return VD_E_PROTOCOL;
        layout = server->set.layout;
        length = strnlen(text ? text : "", VDS_TEXT_MAX - 1);
        if (length > 0)
                memcpy(layout->verdict_text, text, length);
        layout->verdict_text[length] = '\0';
        atomic_store_explicit(&layout->verdict, (uint32_t)verdict, memory_order_release);
        wake_signal(&layout->client_wake);
        fault_point("server.set_verdict.done");
        return NOERROR;
}

enum vds_abort_reason vds_server_abort_reason(struct vds_server *server)
{
        return set_abort_reason(&server->set);
}

const char *vds_server_error_text(struct vds_server *server)
{
        return set_error_text(&server->set);
}
