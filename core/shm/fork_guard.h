/*
 * fork_guard.h - what a forked child must not keep
 *
 * A child that is forked without exec inherits sockets and locks, and by holding them would hide the death of its
 * parent from everybody. Descriptors registered here are closed in such a child, and the generation tells it from its
 * parent without a system call per question.
 *
 * Thread safe.
 */
#ifndef VDIPIPE_CORE_SHM_FORK_GUARD_H
#define VDIPIPE_CORE_SHM_FORK_GUARD_H

/* Differs between a process and its forked child. */
unsigned fork_generation(void);

/* Has the descriptor closed in forked children. Beyond some hundreds of descriptors, or for a negative one, does
 * nothing. */
void fork_guard_add(int fd);

/* To be called before the descriptor is closed here. */
void fork_guard_remove(int fd);

#endif
