/*
 * fork_guard.h - what a forked child must not keep
 *
 * A child that is forked without exec inherits sockets and locks, and by holding them would hide the death of its
 * parent from everybody. Descriptors registered here are closed in such a child, and the generation tells it from its
 * parent without a system call per question.
 *
 * There is room for 2048 at a time: dozens of sets in one process, unless they have many buffer areas. Descriptors
 * beyond that are not guarded, without a word; as long as a child keeps one, a death may be noticed late, a name stay
 * taken, and memory stay in use.
 *
 * Thread safe.
 */
#pragma once

#include "core/base/cleanup.h"

/* Differs between a process and its forked child. */
unsigned fork_generation(void);

/* Has the descriptor closed in forked children. A negative one is allowed. */
void fork_guard_add(int fd);

/* To be called before the descriptor is closed here. */
void fork_guard_remove(int fd);

/* take_fd() of a descriptor that is guarded from now on. */
static inline int fork_guard_take(int *fd)
{
        fork_guard_add(*fd);
        return take_fd(fd);
}

/* fd_closep() of a descriptor that may be guarded. */
static inline void fork_guard_close(int *fd)
{
        fork_guard_remove(*fd);
        fd_closep(fd);
}
