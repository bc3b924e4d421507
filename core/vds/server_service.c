/* The server's service thread: notices the end of the primary client. It has nothing to say after the greeting. */
#include "core/vds/internal.h"

#include <poll.h>

#include "core/base/cleanup.h"
#include "core/shm/peer.h"

enum { POLL_STOP = 0, POLL_CONNECTION, POLL_PIDFD, POLL_COUNT };

/* The connection ended. When all devices are closed the client was free to go. */
static void client_left(struct vds_server *server)
{
        bool said = atomic_load_explicit(&server->set.layout->client_closed, memory_order_acquire) == 1;

        if (atomic_load(&server->set.state) != STATE_TERMINATED)
                set_abort(&server->set, said ? VDS_ABORT_CLIENT_CLOSED : VDS_ABORT_CLIENT_DIED);
        set_wake_all(&server->set);
}

/* Returns true when the client is gone. */
static bool look_at_connection(struct vds_server *server)
{
        static const struct deadline no_wait = { .at_ns = 0 };
        CLEANUP(fd_closep) int fd = -1;
        struct error err = ERROR_INIT;
        char byte;
        size_t size = 0;

        switch (peer_receive(server->connection_fd, &byte, sizeof byte, &size, &fd, no_wait, &err)) {
        case PEER_NOTHING:
                return false;
        case PEER_FAILED:
                if (err.code != ERR_PROTOCOL) {
                        set_fail(&server->set, VDS_ABORT_INTERNAL, &err);
                        break;
                }
                __attribute__((fallthrough));
        case PEER_OK:
                error_raise(&err, ERR_PROTOCOL, "the client sent a message that is none");
                set_fail(&server->set, VDS_ABORT_MISBEHAVED, &err);
                break;
        case PEER_ENDED:
                break;
        }
        client_left(server);
        return true;
}

void *server_service_run(void *argument)
{
        struct vds_server *server = argument;

        for (;;) {
                struct pollfd items[POLL_COUNT] = {
                        [POLL_STOP] = { .fd = server->set.stop_fd, .events = POLLIN },
                        [POLL_CONNECTION] = { .fd = server->connection_fd, .events = POLLIN },
                        [POLL_PIDFD] = { .fd = server->client_pidfd, .events = POLLIN },
                };

                if (poll(items, POLL_COUNT, -1) < 0)
                        continue;
                if (items[POLL_STOP].revents)
                        return NULL;
                if (items[POLL_CONNECTION].revents && look_at_connection(server))
                        return NULL;
                /* The process may be dead while a child of its own keeps the connection open. */
                if (items[POLL_PIDFD].revents) {
                        client_left(server);
                        return NULL;
                }
        }
}
