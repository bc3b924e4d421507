/*
 * The primary's service thread: lets the server, secondary clients and observers in, receives the server's buffer areas
 * and the final configuration, passes them on, and notices everybody's end. So a client that never calls in still
 * learns what happens, and still answers.
 */
#include "core/vds/internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/base/fd_io.h"
#include "core/shm/fork_guard.h"
#include "core/shm/peer.h"
#include "core/vds/message.h"

enum {
        POLL_STOP = 0,
        POLL_LISTEN,
        POLL_SERVER,
        POLL_PIDFD,
        POLL_HALF_OPEN, /* the first of them */
        POLL_MEMBER = POLL_HALF_OPEN + CLIENT_HALF_OPEN_MAX,
        POLL_MEMBER_PIDFD = POLL_MEMBER + CLIENT_MEMBERS_MAX,
        POLL_WATCHER = POLL_MEMBER_PIDFD + CLIENT_MEMBERS_MAX,
        POLL_COUNT = POLL_WATCHER + CLIENT_WATCHERS_MAX,

        ACCEPT_REST_MS = 100, /* after an accept that failed for want of descriptors */
};

bool client_all_closed_by_server(struct vds_client *client)
{
        for (uint32_t i = 0; i < client->set.device_count; i++)
                if (!layout_is_closed(&client->set.layout->devices[i]))
                        return false;
        return true;
}

/* The connection ended. A server that closed its devices and said how it went, or closed the set, has simply left. */
static void server_left(struct vds_client *client)
{
        struct layout *layout = client->set.layout;
        bool closed = atomic_load_explicit(&layout->server_phase, memory_order_acquire) == SERVER_CLOSED;
        bool said = atomic_load_explicit(&layout->verdict, memory_order_acquire) != VDS_VERDICT_NONE;

        fork_guard_close(&client->server_fd);
        fork_guard_close(&client->server_pidfd);
        if (!client_all_closed_by_server(client))
                set_abort(&client->set, closed ? VDS_ABORT_SERVER_CLOSED : VDS_ABORT_SERVER_DIED);
        else if (!closed && !said)
                set_abort(&client->set, VDS_ABORT_SERVER_DIED);
        atomic_store(&client->server_gone, true);
        atomic_store_explicit(&layout->server_gone, 1, memory_order_release);
        set_wake_all(&client->set);
}

int client_take_area(struct vds_client *client, const struct message_area *area, int *fd, const char *who,
                     struct error *err)
{
        uint32_t count = atomic_load_explicit(&client->area_count, memory_order_relaxed);

        if (area->index != count)
                return error_raise(err, ERR_PROTOCOL, "%s announced buffer area %u, and %u was next", who, area->index,
                                   count);
        if (count == SET_AREAS_MAX)
                return error_raise(err, ERR_PROTOCOL, "%s announced more than %d buffer areas", who, SET_AREAS_MAX);
        if (*fd < 0)
                return error_raise(err, ERR_PROTOCOL, "%s announced buffer area %u and sent no descriptor", who, count);
        if (region_attach(fd, area->size, &client->areas[count], err) < 0)
                return -1;
        /* A secondary passes nothing on. */
        if (client->secondary)
                region_close_fd(&client->areas[count]);
        atomic_store_explicit(&client->area_count, count + 1, memory_order_release);
        /* Threads that met a command of this area wait on their device. */
        set_wake_all(&client->set);
        return 0;
}

int client_take_configuration(struct vds_client *client, const struct message_configured *message, struct error *err)
{
        struct vds_set *set = &client->set;

        if (atomic_load(&client->configured))
                return error_raise(err, ERR_PROTOCOL, "the server ended configuration twice");
        if (config_check_final(&set->wishes, &message->config, err) < 0) {
                err->code = ERR_PROTOCOL;
                return -1;
        }
        set_copy_text(client->info, set->layout->info_text, sizeof client->info);
        set->config = message->config;
        fault_point("client.service.configured");
        atomic_store_explicit(&client->configured, true, memory_order_release);
        wake_signal(&set->layout->client_wake);
        return 0;
}

/* A new area, for this process and then for the secondaries. */
static int pass_area_on(struct vds_client *client, const struct message_area *area, int *fd, struct error *err)
{
        if (client_take_area(client, area, fd, "the server", err) < 0)
                return -1;
        fault_point("client.service.area");
        client_tell_members(client, area, sizeof *area, client->areas[area->index].fd);
        return 0;
}

static int take_message(struct vds_client *client, const union message *message, size_t size, int *fd,
                        struct error *err)
{
        if (size == sizeof message->area && message->kind == MESSAGE_AREA)
                return pass_area_on(client, &message->area, fd, err);
        if (size == sizeof message->configured && message->kind == MESSAGE_CONFIGURED && *fd < 0)
                return client_take_configuration(client, &message->configured, err);
        return error_raise(err, ERR_PROTOCOL, "the server sent a message that is none");
}

/* Reads what the server has sent. Its end is looked at only when nothing is left to read. */
static void serve_server(struct vds_client *client)
{
        for (;;) {
                CLEANUP(fd_closep) int fd = -1;
                struct error err = ERROR_INIT;
                union message message;
                size_t size = 0;

                switch (peer_receive(client->server_fd, &message, sizeof message, &size, &fd, DEADLINE_NOW, &err)) {
                case PEER_NOTHING:
                        return;
                case PEER_ENDED:
                        server_left(client);
                        return;
                case PEER_OK:
                        if (take_message(client, &message, size, &fd, &err) == 0)
                                break;
                        __attribute__((fallthrough));
                case PEER_FAILED:
                        set_fail(&client->set, err.code == ERR_PROTOCOL ? VDS_ABORT_MISBEHAVED : VDS_ABORT_INTERNAL,
                                 &err);
                        server_left(client);
                        return;
                }
        }
}

void client_refuse(int fd, int result, const char *why)
{
        struct message_welcome answer = { .kind = MESSAGE_WELCOME, .result = result };

        snprintf(answer.text, sizeof answer.text, "%s", why);
        peer_send(fd, &answer, sizeof answer, -1, DEADLINE_NOW, NULL);
}

/* Why this greeting cannot be answered with a welcome; NULL when it can. */
static const char *objection(const struct vds_client *client, const struct message_hello *hello)
{
        bool anybody = hello->role == ROLE_OBSERVER && hello->set_name[0] == '\0';

        if (hello->version != LAYOUT_VERSION)
                return "the set speaks another version of the engine";
        if (!anybody && (memchr(hello->set_name, '\0', sizeof hello->set_name) == NULL ||
                         strcmp(hello->set_name, client->set.name) != 0))
                return "there is no set of this name";
        if (hello->role < ROLE_SERVER || hello->role > ROLE_OBSERVER)
                return "the set does not take part in this role";
        return NULL;
}

/* Makes a half-open connection the server's. */
static void welcome_server(struct vds_client *client, struct half_open *half)
{
        struct message_welcome answer = {
                .kind = MESSAGE_WELCOME,
                .result = NOERROR,
                .wishes = client->set.wishes,
                .control_size = (uint32_t)client->set.control.size,
        };

        bool taken = client->server_came || client->server_is_own != half->own_server;

        if (taken || set_aborted(&client->set)) {
                client_refuse(half->fd, VD_E_INVALID, taken ? "the set has a server already" : "the set was aborted");
                return;
        }
        /* In front of the answer: the server may do anything as soon as it has that, and be asked about. */
        atomic_store(&client->server_pid, (int)half->pid);
        atomic_store(&client->server_connected, true);
        if (peer_send(half->fd, &answer, sizeof answer, client->set.control.fd, DEADLINE_NOW, NULL) != PEER_OK) {
                atomic_store(&client->server_connected, false);
                atomic_store(&client->server_pid, 0);
                wake_signal(&client->set.layout->client_wake);
                return;
        }
        client->server_came = true;
        client->server_fd = take_fd(&half->fd);
        client->server_pidfd = half->own_server ? fd_pidfd_open(half->pid) : peer_pidfd(client->server_fd, half->pid);
        fork_guard_add(client->server_pidfd);
        fault_point("client.service.welcomed");
}

static void answer_hello(struct vds_client *client, struct half_open *half, const struct message_hello *hello)
{
        const char *why = objection(client, hello);

        if (why)
                client_refuse(half->fd, VD_E_INVALID, why);
        else if (hello->role == ROLE_SERVER)
                welcome_server(client, half);
        else if (hello->role == ROLE_SECONDARY)
                client_welcome_secondary(client, half);
        else
                client_serve_observer(client, half, (enum message_request)hello->request);
}

/* One message decides what becomes of a new connection. */
static void serve_half_open(struct vds_client *client, struct half_open *half)
{
        CLEANUP(fd_closep) int pass = -1;
        union message message;
        size_t size = 0;
        enum peer_result result;

        if (half->own_server)
                half->pid = peer_sender(half->fd);
        result = peer_receive(half->fd, &message, sizeof message, &size, &pass, DEADLINE_NOW, NULL);
        if (result == PEER_NOTHING)
                return;
        if (result == PEER_OK && size == sizeof message.hello && message.kind == MESSAGE_HELLO)
                answer_hello(client, half, &message.hello);
        if (half->fd < 0)
                return;
        fork_guard_close(&half->fd);
        if (half->own_server)
                set_abort(&client->set, VDS_ABORT_SERVER_DIED);
}

/* Lets in as many as there were places for; whoever finds none waits in front of the door. The count also brings the
 * thread back to its other duties, however many knock. Returns false when descriptors have run out and the listener
 * should rest. */
static bool accept_some(struct vds_client *client)
{
        struct half_open *place;

        for (int i = 0; i < CLIENT_HALF_OPEN_MAX && (place = FREE_PLACE(client->half_open)); i++) {
                CLEANUP(fd_closep)
                int fd = accept4(client->rendezvous.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                struct error err = ERROR_INIT;
                pid_t pid = 0;

                if (fd < 0)
                        return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
                if (peer_check(fd, client->set.group, &pid, &err) < 0)
                        client_refuse(fd, VD_E_SECURITY, err.message);
                else
                        *place = (struct half_open){
                                .fd = fork_guard_take(&fd),
                                .pid = pid,
                                .deadline = deadline_after_ms(SET_HANDSHAKE_MS),
                        };
        }
        return true;
}

/* Drops connections that never greeted. Returns when the next one is due. */
static struct deadline expire_half_open(struct vds_client *client)
{
        struct deadline next = DEADLINE_NEVER;

        for (int i = 0; i < CLIENT_HALF_OPEN_MAX; i++) {
                struct half_open *half = &client->half_open[i];

                if (half->fd >= 0 && deadline_passed(half->deadline))
                        fork_guard_close(&half->fd);
                if (half->fd >= 0)
                        next = deadline_earlier(next, half->deadline);
        }
        return next;
}

static void list_descriptors(struct vds_client *client, bool resting, int fds[POLL_COUNT])
{
        fds[POLL_STOP] = client->set.stop_fd;
        fds[POLL_LISTEN] = resting || !FREE_PLACE(client->half_open) ? -1 : client->rendezvous.listen_fd;
        fds[POLL_SERVER] = client->server_fd;
        fds[POLL_PIDFD] = client->server_pidfd;
        for (int i = 0; i < CLIENT_HALF_OPEN_MAX; i++)
                fds[POLL_HALF_OPEN + i] = client->half_open[i].fd;
        for (int i = 0; i < CLIENT_MEMBERS_MAX; i++) {
                fds[POLL_MEMBER + i] = client->members[i].fd;
                fds[POLL_MEMBER_PIDFD + i] = client->members[i].pidfd;
        }
        for (int i = 0; i < CLIENT_WATCHERS_MAX; i++)
                fds[POLL_WATCHER + i] = client->watchers[i].fd;
}

/* Waits until something happens to one of the descriptors; `ready` tells to which. Only those that there are go to
 * poll(), which takes no more at a time than a process may have open. */
static void wait_for_any(const int fds[POLL_COUNT], struct deadline deadline, bool ready[POLL_COUNT])
{
        struct pollfd items[POLL_COUNT];
        int places[POLL_COUNT];
        nfds_t count = 0;

        memset(ready, 0, POLL_COUNT * sizeof ready[0]);
        for (int i = 0; i < POLL_COUNT; i++) {
                if (fds[i] < 0)
                        continue;
                places[count] = i;
                items[count++] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
        }
        if (poll(items, count, deadline_left_ms(deadline)) <= 0)
                return;
        for (nfds_t i = 0; i < count; i++)
                ready[places[i]] = items[i].revents != 0;
}

/* Everything but the listener and the order to stop. */
static void client_serve(struct vds_client *client, const bool ready[POLL_COUNT])
{
        if (ready[POLL_SERVER])
                serve_server(client);
        /* The process may be dead while a child of its own keeps the connection open. */
        if (ready[POLL_PIDFD] && client->server_fd >= 0) {
                serve_server(client);
                if (client->server_fd >= 0)
                        server_left(client);
        }
        for (int i = 0; i < CLIENT_MEMBERS_MAX; i++) {
                bool dead = ready[POLL_MEMBER_PIDFD + i];

                if ((dead || ready[POLL_MEMBER + i]) && client->members[i].fd >= 0)
                        client_serve_member(client, &client->members[i], dead);
        }
        for (int i = 0; i < CLIENT_HALF_OPEN_MAX; i++)
                if (ready[POLL_HALF_OPEN + i] && client->half_open[i].fd >= 0)
                        serve_half_open(client, &client->half_open[i]);
}

void *client_service_run(void *argument)
{
        struct vds_client *client = argument;
        bool resting = false;

        for (;;) {
                int fds[POLL_COUNT];
                bool ready[POLL_COUNT];
                struct deadline next = deadline_earlier(expire_half_open(client), client_serve_watchers(client));

                if (resting)
                        next = deadline_earlier(next, deadline_after_ms(ACCEPT_REST_MS));
                list_descriptors(client, resting, fds);
                resting = false;
                wait_for_any(fds, next, ready);
                if (ready[POLL_STOP])
                        return NULL;
                client_serve(client, ready);
                if (ready[POLL_LISTEN])
                        resting = !accept_some(client);
        }
}
