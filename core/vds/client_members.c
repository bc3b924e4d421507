/*
 * The primary's service thread: secondary clients. They are let in once the set is configured, are told of every buffer
 * area in the order of the server's messages, and say when they leave. Whoever ends without that has died.
 */
#include "core/vds/internal.h"

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/shm/fork_guard.h"
#include "core/shm/peer.h"

/* The connection ended. */
static void member_left(struct vds_client *client, struct client_member *member)
{
        bool died = !member->leaving;

        fork_guard_close(&member->fd);
        fork_guard_close(&member->pidfd);
        pthread_mutex_lock(&client->set.lock);
        if (died)
                client->secondaries.last_died_pid = (int)member->pid;
        pthread_mutex_unlock(&client->set.lock);
        /* Without an open device it can be missed: nothing waits for it. In front of the count, so that who sees that
         * sees why; behind the process's id, so that who sees the abort sees whose. */
        if (died && client->abort_when_secondary_dies && client_holds_device(client, member->number))
                set_abort(&client->set, VDS_ABORT_SECONDARY_DIED);
        pthread_mutex_lock(&client->set.lock);
        if (died)
                client->secondaries.died++;
        else
                client->secondaries.left++;
        pthread_mutex_unlock(&client->set.lock);
        wake_signal(&client->set.layout->client_wake);
}

void client_serve_member(struct vds_client *client, struct client_member *member, bool dead)
{
        bool ended = false;

        while (!ended) {
                CLEANUP(fd_closep) int fd = -1;
                struct error err = ERROR_INIT;
                union message message;
                size_t size = 0;

                switch (peer_receive(member->fd, &message, sizeof message, &size, &fd, DEADLINE_NOW, &err)) {
                case PEER_NOTHING:
                        /* A child of its own may keep the connection of a dead process open. */
                        if (!dead)
                                return;
                        ended = true;
                        break;
                case PEER_OK:
                        /* Once: one that said it again and again would keep the thread here. */
                        if (size == sizeof message.leave && message.kind == MESSAGE_LEAVE && !member->leaving) {
                                member->leaving = true;
                                break;
                        }
                        error_raise(&err, ERR_PROTOCOL, "a secondary client sent a message that is none");
                        __attribute__((fallthrough));
                case PEER_FAILED:
                        if (err.code == ERR_PROTOCOL)
                                set_fail(&client->set, VDS_ABORT_MISBEHAVED, &err);
                        ended = true;
                        break;
                case PEER_ENDED:
                        ended = true;
                        break;
                }
        }
        member_left(client, member);
}

/* A secondary that does not read what it is told cannot go on. */
static bool member_tell(const struct client_member *member, const void *message, size_t size, int pass)
{
        return peer_send(member->fd, message, size, pass, DEADLINE_NOW, NULL) == PEER_OK;
}

/* It cannot be told any more. It may have left in order: that is read first. */
static void member_end(struct vds_client *client, struct client_member *member)
{
        client_serve_member(client, member, /* dead= */ true);
}

void client_tell_members(struct vds_client *client, const void *message, size_t size, int pass)
{
        for (int i = 0; i < CLIENT_MEMBERS_MAX; i++)
                if (client->members[i].fd >= 0 && !member_tell(&client->members[i], message, size, pass))
                        member_end(client, &client->members[i]);
}

/* The areas so far and the configuration. */
static bool member_tell_all(struct vds_client *client, const struct client_member *member)
{
        const struct message_configured configured = { .kind = MESSAGE_CONFIGURED, .config = client->set.config };
        uint32_t count = atomic_load_explicit(&client->area_count, memory_order_relaxed);

        for (uint32_t i = 0; i < count; i++) {
                const struct message_area area = { .kind = MESSAGE_AREA, .index = i, .size = client->areas[i].size };

                if (!member_tell(member, &area, sizeof area, client->areas[i].fd))
                        return false;
        }
        return member_tell(member, &configured, sizeof configured, -1);
}

void client_welcome_secondary(struct vds_client *client, struct half_open *half)
{
        struct message_welcome answer = {
                .kind = MESSAGE_WELCOME,
                .result = NOERROR,
                .wishes = client->set.wishes,
                .control_size = (uint32_t)client->set.control.size,
                .server_pid = atomic_load(&client->server_pid),
        };
        struct client_member *member = FREE_PLACE(client->members);

        if (set_aborted(&client->set)) {
                client_refuse(half->fd, VD_E_ABORT, "the set was aborted");
        } else if (!atomic_load(&client->configured)) {
                client_refuse(half->fd, VD_E_PROTOCOL, "the set is not configured yet");
        } else if (!member) {
                client_refuse(half->fd, VD_E_PROTOCOL, "the set has as many secondary clients as it can have devices");
        } else {
                *member = (struct client_member){ .fd = take_fd(&half->fd), .pid = half->pid };
                member->pidfd = peer_pidfd(member->fd, half->pid);
                fork_guard_add(member->pidfd);
                member->number = answer.member = ++client->last_number;
                pthread_mutex_lock(&client->set.lock);
                client->secondaries.joined++;
                pthread_mutex_unlock(&client->set.lock);
                fault_point("client.service.secondary");
                if (!member_tell(member, &answer, sizeof answer, client->set.control.fd) ||
                    !member_tell_all(client, member))
                        member_end(client, member);
        }
}
