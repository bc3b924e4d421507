/*
 * peer.h - the process at the other end of a Unix socket: who it is, whether it lives, and messages with descriptors
 *
 * Sockets are SOCK_SEQPACKET and non-blocking: a message arrives whole or not at all, and every wait has a deadline.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "core/base/deadline.h"
#include "core/base/error.h"

enum peer_result {
        PEER_FAILED = -1,
        PEER_OK = 0,
        PEER_ENDED,   /* receive only: the other end is gone and nothing is left to read */
        PEER_NOTHING, /* the deadline passed */
};

/* Refuses (ERR_PROTOCOL) a peer that is neither root, nor of our own user, nor a member of `group` (NULL: nobody).
 * *ret_pid is set in any case. */
int peer_check(int fd, const char *group, pid_t *ret_pid, struct error *err);

/* The peer's process id; 0 when it cannot be told. */
pid_t peer_pid(int fd);

/* Two connected sockets. The end in fds[0] can tell by peer_sender() who holds the other, wherever that was inherited
 * to. 0, or -1 with errno set. */
int peer_pair(int fds[2]);

/* The process that sent the message which is received next on fds[0] of peer_pair(); to be asked once. 0 when it cannot
 * be told. */
pid_t peer_sender(int fd);

/* A pidfd of the peer, which polls readable once the process is dead; -1 when there is none to have. */
int peer_pidfd(int fd, pid_t pid);

/* Sends one message, with descriptor `pass` unless it is negative. */
enum peer_result peer_send(int fd, const void *message, size_t size, int pass, struct deadline deadline,
                           struct error *err);

/* Receives one message of at most `capacity` bytes. *ret_pass is the descriptor that came with it, else -1. A message
 * that is longer, or that carries more than one descriptor, is a failure (ERR_PROTOCOL); so is one whose descriptor
 * this process has no room for (ERR_MEMORY). */
enum peer_result peer_receive(int fd, void *message, size_t capacity, size_t *ret_size, int *ret_pass,
                              struct deadline deadline, struct error *err);

/* Numeric id of a group by name or by number. ERR_USAGE when there is none. */
int peer_group_id(const char *group, gid_t *ret_gid, struct error *err);
