/*
 * A secondary client: gets into a set that another process created, and its service thread, which hears of new buffer
 * areas and notices the end of the primary. Everything else is what a primary does.
 */
#include "core/vds/internal.h"

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/shm/fork_guard.h"
#include "core/shm/peer.h"
#include "core/vds/join.h"

static const char announcer[] = "the primary client";

/* ---- OpenInSecondary ---- */

/* Takes what the primary tells a newcomer: the areas so far, then the configuration. */
static int take_all(struct vds_client *client, struct error *err)
{
        struct deadline deadline = deadline_after_ms(SET_ANSWER_MS);

        while (!atomic_load(&client->configured)) {
                CLEANUP(fd_closep) int fd = -1;
                union message message;
                size_t size = 0;

                switch (peer_receive(client->primary_fd, &message, sizeof message, &size, &fd, deadline, err)) {
                case PEER_OK:
                        break;
                case PEER_NOTHING:
                        return SET_REFUSE(VD_E_TIMEOUT, err, ERR_TIMEOUT,
                                          "the client that made the set does not go on");
                case PEER_ENDED:
                        return SET_REFUSE(VD_E_PROTOCOL, err, ERR_PEER_DIED, "the client that made the set left");
                case PEER_FAILED:
                        return err->code == ERR_MEMORY ? VD_E_MEMORY : VD_E_PROTOCOL;
                }
                if (size == sizeof message.area && message.kind == MESSAGE_AREA) {
                        if (client_take_area(client, &message.area, &fd, announcer, err) < 0)
                                return err->code == ERR_MEMORY ? VD_E_MEMORY : VD_E_PROTOCOL;
                } else if (size == sizeof message.configured && message.kind == MESSAGE_CONFIGURED && fd < 0) {
                        if (client_take_configuration(client, &message.configured, err) < 0)
                                return VD_E_PROTOCOL;
                } else
                        return SET_REFUSE(VD_E_PROTOCOL, err, ERR_PROTOCOL,
                                          "the client that made the set sent a message that is none");
        }
        return NOERROR;
}

/* What this call returns for a result of join_set(). */
static int result_of_joining(int result)
{
        switch (result) {
        case NOERROR:
        case VD_E_ABORT:
        case VD_E_TIMEOUT:
        case VD_E_MEMORY:
                return result;
        default:
                return VD_E_PROTOCOL;
        }
}

static int open_in_secondary(struct vds_client *client, const char *name, struct error *err)
{
        CLEANUP(joined_deinit) struct joined joined = JOINED_INIT;
        struct vds_set *set = &client->set;
        int result = join_set(set, name, ROLE_SECONDARY, &joined, err);

        if (result != NOERROR)
                return result_of_joining(result);
        if (join_attach(set, name, &joined, err) < 0)
                return err->code == ERR_MEMORY ? VD_E_MEMORY : VD_E_PROTOCOL;
        client->secondary = true;
        client->number = joined.welcome.member;
        client_begin_set(client);
        atomic_store(&client->server_pid, joined.welcome.server_pid);
        atomic_store(&client->server_connected, true);
        client->primary_fd = take_fd(&joined.fd);
        client->primary_pidfd = peer_pidfd(client->primary_fd, joined.pid);
        fork_guard_add(client->primary_pidfd);
        if (client->number <= MEMBER_PRIMARY)
                return SET_REFUSE(VD_E_PROTOCOL, err, ERR_PROTOCOL,
                                  "the client that made the set sent a welcome that is none");
        result = take_all(client, err);
        fault_point("secondary.open.told");
        if (result != NOERROR)
                return result;
        return set_start_service(set, client_secondary_run, client, err) < 0 ? VD_E_MEMORY : NOERROR;
}

/* Tells the primary that this is no death. There is nothing to be done if it is gone, and room in its queue if not. */
static void say_leave(struct vds_client *client)
{
        const struct message_leave message = { .kind = MESSAGE_LEAVE };

        if (client->primary_fd >= 0)
                peer_send(client->primary_fd, &message, sizeof message, -1, DEADLINE_NOW, NULL);
}

int vds_client_open_in_secondary(struct vds_client *client, const char *set_name)
{
        struct error err = ERROR_INIT;
        int result;

        SET_PASS_ON(set_begin_create(&client->set, CALL_OPEN_IN_SECONDARY));
        result = open_in_secondary(client, set_name, &err);
        if (result != NOERROR)
                say_leave(client);
        set_end_create(&client->set, CALL_OPEN_IN_SECONDARY, result, &err);
        fault_point("secondary.open.done");
        return result;
}

int client_close_secondary(struct vds_client *client)
{
        int result = NOERROR;

        if (!set_aborted(&client->set) && client_has_open_device(client)) {
                set_abort(&client->set, VDS_ABORT_SECONDARY_CLOSED);
                result = VD_E_OPEN;
        }
        say_leave(client);
        return result;
}

/* ---- the service thread ---- */

/* The connection ended. A primary that has closed, or whose devices are all closed, has simply left. */
static void primary_left(struct vds_set *set)
{
        struct vds_client *client = (struct vds_client *)set;
        bool said = atomic_load_explicit(&client->set.layout->client_closed, memory_order_acquire) == 1;

        if (!said && !client_all_closed_by_server(client))
                set_abort(&client->set, VDS_ABORT_CLIENT_DIED);
        /* Nobody is left to say what becomes of the server. */
        atomic_store(&client->server_gone, true);
        set_wake_all(&client->set);
}

/* Reads what the primary has sent. Returns true when it is gone. */
static bool serve_primary(struct vds_set *set)
{
        struct vds_client *client = (struct vds_client *)set;

        for (;;) {
                CLEANUP(fd_closep) int fd = -1;
                struct error err = ERROR_INIT;
                union message message;
                size_t size = 0;
                enum peer_result result =
                        peer_receive(client->primary_fd, &message, sizeof message, &size, &fd, DEADLINE_NOW, &err);

                if (result == PEER_NOTHING)
                        return false;
                if (result == PEER_ENDED)
                        break;
                if (result == PEER_OK && size == sizeof message.area && message.kind == MESSAGE_AREA &&
                    client_take_area(client, &message.area, &fd, announcer, &err) == 0)
                        continue;
                if (!error_is_set(&err))
                        error_raise(&err, ERR_PROTOCOL, "%s sent a message that is none", announcer);
                set_fail(&client->set, err.code == ERR_PROTOCOL ? VDS_ABORT_MISBEHAVED : VDS_ABORT_INTERNAL, &err);
                break;
        }
        primary_left(set);
        return true;
}

void *client_secondary_run(void *argument)
{
        struct vds_client *client = argument;

        set_watch_peer(&client->set, client->primary_fd, client->primary_pidfd, serve_primary, primary_left);
        return NULL;
}
