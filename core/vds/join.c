#include "core/vds/join.h"

#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/shm/fork_guard.h"
#include "core/shm/peer.h"
#include "core/shm/rendezvous.h"
#include "core/vds/config.h"

/* Reaches the client that made the set. */
static int join_connect(struct vds_set *set, const char *name, enum message_role role, struct joined *joined,
                        struct error *err)
{
        switch (rendezvous_connect(set->runtime_dir, name, FOLDER_REACH_OWN, deadline_after_ms(SET_HANDSHAKE_MS),
                                   &joined->fd, err)) {
        case RENDEZVOUS_OK:
                fork_guard_add(joined->fd);
                fault_point(role == ROLE_SERVER ? "server.open.connected" : "secondary.open.connected");
                if (peer_check(joined->fd, set->group, &joined->pid, err) == 0)
                        return NOERROR;
                error_prefix(err, "the set '%s' is not trusted: ", name);
                return VD_E_SECURITY;
        case RENDEZVOUS_BUSY:
                return VD_E_TIMEOUT;
        case RENDEZVOUS_DENIED:
                error_prefix(err, "the set '%s' is another user's, who does not admit this one: ", name);
                return VD_E_SECURITY;
        case RENDEZVOUS_NONE:
        case RENDEZVOUS_TAKEN:
        case RENDEZVOUS_FAILED:
                break;
        }
        if (!error_is_set(err))
                error_raise(err, ERR_FAILED, "there is no device set '%s'", name);
        return err->code == ERR_MEMORY ? VD_E_MEMORY : VD_E_INVALID;
}

/* Whoever made the connection for this process made the set, too. */
static int join_take_connection(struct vds_set *set, struct joined *joined)
{
        joined->fd = take_fd(&set->connection);
        joined->pid = peer_pid(joined->fd);
        fault_point("server.open.connected");
        return NOERROR;
}

/* A refusal says no more than the primary can know. */
static int join_result_of(int result)
{
        switch (result) {
        case NOERROR:
        case VD_E_ABORT:
        case VD_E_PROTOCOL:
        case VD_E_SECURITY:
                return result;
        default:
                return VD_E_INVALID;
        }
}

/* Says who we are, and hears what the primary thinks of that. */
static int join_greet(const char *name, enum message_role role, struct joined *joined, struct error *err)
{
        struct message_hello hello = { .kind = MESSAGE_HELLO, .version = LAYOUT_VERSION, .role = role };
        struct message_welcome *welcome = &joined->welcome;
        struct deadline deadline = deadline_after_ms(SET_ANSWER_MS);
        enum peer_result result;
        size_t size = 0;

        memcpy(hello.set_name, name, strlen(name));
        result = peer_send(joined->fd, &hello, sizeof hello, -1, deadline, NULL);
        fault_point(role == ROLE_SERVER ? "server.open.greeted" : "secondary.open.greeted");
        /* A primary that turned us away at the door has hung up, and its words are there to be read. */
        if (result != PEER_NOTHING)
                result = peer_receive(joined->fd, welcome, sizeof *welcome, &size, &joined->control_fd, deadline, err);
        if (result == PEER_NOTHING)
                return SET_REFUSE(VD_E_TIMEOUT, err, ERR_TIMEOUT, "the client that made the set '%s' does not answer",
                                  name);
        if (result == PEER_FAILED && err->code == ERR_MEMORY)
                return VD_E_MEMORY;
        /* What was wrong with its words does not matter: it made no set that one could join. */
        if (result != PEER_OK || size != sizeof *welcome || welcome->kind != MESSAGE_WELCOME) {
                error_replace(err, ERR_PEER_DIED, "the client that made the set '%s' left", name);
                return VD_E_INVALID;
        }
        welcome->text[MESSAGE_TEXT_SIZE - 1] = '\0';
        if (welcome->result != NOERROR)
                error_raise(err, ERR_PROTOCOL, "%s", welcome->text);
        return join_result_of(welcome->result);
}

int join_set(struct vds_set *set, const char *name, enum message_role role, struct joined *ret_joined,
             struct error *err)
{
        int result;

        if (!config_name_ok(name))
                return SET_REFUSE(VD_E_INVALID, err, ERR_USAGE, "a set's name has 1 to %d bytes and no backslash",
                                  VDS_NAME_MAX);
        result = set->connection >= 0 ? join_take_connection(set, ret_joined)
                                      : join_connect(set, name, role, ret_joined, err);
        return result == NOERROR ? join_greet(name, role, ret_joined, err) : result;
}

int join_attach(struct vds_set *set, const char *name, struct joined *joined, struct error *err)
{
        const struct message_welcome *welcome = &joined->welcome;
        struct layout head;

        if (config_check_wishes(&welcome->wishes, err) < 0)
                return -1;
        if (joined->control_fd < 0 || welcome->control_size != layout_size(welcome->wishes.deviceCount))
                return error_raise(err, ERR_PROTOCOL, "the client's control region has a strange size");
        if (region_attach(&joined->control_fd, welcome->control_size, &set->control, err) < 0)
                return -1;
        region_close_fd(&set->control);
        set->layout = (struct layout *)(void *)set->control.base;
        set_copy_shared(&head, set->layout, offsetof(struct layout, abort_reason));
        if (head.magic != LAYOUT_MAGIC || head.version != LAYOUT_VERSION ||
            head.device_count != welcome->wishes.deviceCount) {
                set->layout = NULL;
                return error_raise(err, ERR_PROTOCOL, "the client's control region is none of this version");
        }
        set->device_count = welcome->wishes.deviceCount;
        set->wishes = set->config = welcome->wishes;
        config_copy_name(set->name, name);
        return 0;
}

void joined_deinit(struct joined *joined)
{
        fork_guard_close(&joined->fd);
        fd_closep(&joined->control_fd);
}
