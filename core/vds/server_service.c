/* The server's service thread: notices the end of the primary client. It has nothing to say after the greeting. */
#include "core/vds/internal.h"

#include "core/base/cleanup.h"
#include "core/shm/peer.h"

/* The connection ended. When all devices are closed the client was free to go. */
static void client_left(struct vds_set *set)
{
        bool said = atomic_load_explicit(&set->layout->client_closed, memory_order_acquire) == 1;

        if (atomic_load(&set->state) != STATE_TERMINATED)
                set_abort(set, said ? VDS_ABORT_CLIENT_CLOSED : VDS_ABORT_CLIENT_DIED);
        set_wake_all(set);
}

/* Returns true when the client is gone. */
static bool look_at_connection(struct vds_set *set)
{
        CLEANUP(fd_closep) int fd = -1;
        struct error err = ERROR_INIT;
        char byte;
        size_t size = 0;

        switch (peer_receive(((struct vds_server *)set)->connection_fd, &byte, sizeof byte, &size, &fd, DEADLINE_NOW,
                             &err)) {
        case PEER_NOTHING:
                return false;
        case PEER_FAILED:
                if (err.code != ERR_PROTOCOL) {
                        set_fail(set, VDS_ABORT_INTERNAL, &err);
                        break;
                }
                __attribute__((fallthrough));
        case PEER_OK:
                error_raise(&err, ERR_PROTOCOL, "the client sent a message that is none");
                set_fail(set, VDS_ABORT_MISBEHAVED, &err);
                break;
        case PEER_ENDED:
                break;
        }
        client_left(set);
        return true;
}

void *server_service_run(void *argument)
{
        struct vds_server *server = argument;

        set_watch_peer(&server->set, server->connection_fd, server->client_pidfd, look_at_connection, client_left);
        return NULL;
}
