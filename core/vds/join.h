/*
 * join.h - how a process gets into a set that another one made: by connecting to its primary and greeting it
 */
#pragma once

#include <sys/types.h>

#include "core/base/error.h"
#include "core/vds/message.h"
#include "core/vds/set.h"

/* What the primary's welcome brings. */
struct joined {
        int fd;         /* the connection; guarded */
        int control_fd; /* descriptor of the control region; -1: none came */
        pid_t pid;      /* of the primary */
        struct message_welcome welcome;
};

#define JOINED_INIT                        \
        {                                  \
                .fd = -1, .control_fd = -1 \
        }

/* Connects to the primary of the set `name`, unless the set has a connection to it, and greets it as `role`, which is
 * the server or a secondary client. Returns NOERROR; VD_E_INVALID (no set, a bad name, or a primary that makes no
 * sense), VD_E_SECURITY (not ours to join), VD_E_TIMEOUT (it does not answer), VD_E_MEMORY, or what the primary refused
 * with. */
int join_set(struct vds_set *set, const char *name, enum message_role role, struct joined *ret_joined,
             struct error *err);

/* Maps the control region of the welcome and fills the fields of *set that describe it. 0, or -1. */
int join_attach(struct vds_set *set, const char *name, struct joined *joined, struct error *err);

/* Closes what is left. */
void joined_deinit(struct joined *joined);
