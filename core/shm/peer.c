#include "core/shm/peer.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

int peer_group_id(const char *group, gid_t *ret_gid, struct error *err)
{
        CLEANUP(freep) char *buffer = malloc(65536);
        struct group *found = NULL;
        struct group entry;
        unsigned long number;
        char *end;

        if (!buffer)
                return error_raise_errno(err, ENOMEM, "look up group '%s'", group);
        if (getgrnam_r(group, &entry, buffer, 65536, &found) == 0 && found) {
                *ret_gid = found->gr_gid;
                return 0;
        }
        errno = 0;
        number = strtoul(group, &end, 10);
        if (group[0] < '0' || group[0] > '9' || *end || errno || number >= (gid_t)-1)
                return error_raise(err, ERR_USAGE, "there is no group '%s'", group);
        *ret_gid = (gid_t)number;
        return 0;
}

static bool has_group(int fd, gid_t primary, gid_t wanted)
{
        CLEANUP(freep) gid_t *groups = NULL;
        socklen_t size = 0;

        if (primary == wanted)
                return true;
        /* The first call tells the size by failing. */
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
                return false;
        groups = malloc(size);
        if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
                return false;
        for (size_t i = 0; i < size / sizeof *groups; i++)
                if (groups[i] == wanted)
                        return true;
        return false;
}

int peer_check(int fd, const char *group, pid_t *ret_pid, struct error *err)
{
        struct ucred who = { 0 };
        socklen_t size = sizeof who;
        gid_t wanted = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
                return error_raise_errno(err, errno, "ask who the peer is");
        *ret_pid = who.pid;
        /* A group's names may change while the set lives, so it is looked up each time. */
        if (who.uid == 0 || who.uid == geteuid())
                return 0;
        if (group) {
                if (peer_group_id(group, &wanted, err) < 0)
                        return -1;
                if (has_group(fd, who.gid, wanted))
                        return 0;
        }
        if (group)
                return error_raise(
                        err, ERR_PROTOCOL,
                        "process %ld of user %lu may not take part: it is neither of user %lu nor root nor a member "
                        "of group '%s'",
                        (long)who.pid, (unsigned long)who.uid, (unsigned long)geteuid(), group);
        return error_raise(err, ERR_PROTOCOL,
                           "process %ld of user %lu may not take part: it is neither of user %lu nor root, and no "
                           "group is admitted",
                           (long)who.pid, (unsigned long)who.uid, (unsigned long)geteuid());
}

pid_t peer_pid(int fd)
{
        struct ucred who = { 0 };
        socklen_t size = sizeof who;

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0 ? 0 : who.pid;
}

int peer_pair(int fds[2])
{
        int on = 1;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -1;
        /* SO_PEERCRED tells who made the pair. What is sent from here on carries its sender. */
        if (setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0)
                return 0;
        fd_closep(&fds[0]);
        fd_closep(&fds[1]);
        return -1;
}

pid_t peer_sender(int fd)
{
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(struct ucred))];
        } control = { .space = { 0 } };
        struct msghdr packet = { .msg_control = control.space, .msg_controllen = sizeof control.space };
        struct ucred who = { 0 };
        int off = 0;

        if (recvmsg(fd, &packet, MSG_PEEK | MSG_DONTWAIT) >= 0 && packet.msg_controllen >= sizeof control.header &&
            control.header.cmsg_level == SOL_SOCKET && control.header.cmsg_type == SCM_CREDENTIALS)
                memcpy(&who, CMSG_DATA(&control.header), sizeof who);
        setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &off, sizeof off);
        return who.pid;
}

int peer_pidfd(int fd, pid_t pid)
{
        int pidfd = -1;
        socklen_t size = sizeof pidfd;

        /* Linux 6.5 answers for the very process that connected; before that a number has to do. */
        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
                return pidfd;
        return pid > 0 ? fd_pidfd_open(pid) : -1;
}

/* Returns 1 when the socket is ready, 0 when the deadline passed, -1 with errno set. */
static int wait_for(int fd, short events, struct deadline deadline)
{
        struct pollfd item = { .fd = fd, .events = events };
        int n;

        do
                n = poll(&item, 1, deadline_left_ms(deadline));
        while (n < 0 && errno == EINTR);
        return n;
}

enum peer_result peer_send(int fd, const void *message, size_t size, int pass, struct deadline deadline,
                           struct error *err)
{
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { .space = { 0 } };
        struct iovec iov = { .iov_base = (void *)(uintptr_t)message, .iov_len = size };
        struct msghdr packet = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (pass >= 0) {
                packet.msg_control = control.space;
                packet.msg_controllen = sizeof control.space;
                control.header = (struct cmsghdr){
                        .cmsg_len = CMSG_LEN(sizeof pass),
                        .cmsg_level = SOL_SOCKET,
                        .cmsg_type = SCM_RIGHTS,
                };
                memcpy(CMSG_DATA(&control.header), &pass, sizeof pass);
        }
        for (;;) {
                int ready;

                if (sendmsg(fd, &packet, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
                        return PEER_OK;
                if (errno == EINTR)
                        continue;
                if (errno != EAGAIN && errno != EWOULDBLOCK)
                        break;
                ready = wait_for(fd, POLLOUT, deadline);
                if (ready == 0)
                        return PEER_NOTHING;
                if (ready < 0)
                        break;
        }
        error_raise_errno(err, errno, "send to the peer");
        return PEER_FAILED;
}

/* Keeps the first descriptor of a message and closes any others. Returns how many there were. */
static int take_descriptors(struct msghdr *packet, int *ret_pass)
{
        int count = 0;

        for (struct cmsghdr *item = CMSG_FIRSTHDR(packet); item; item = CMSG_NXTHDR(packet, item)) {
                size_t bytes = item->cmsg_len - CMSG_LEN(0);

                if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(item) + at, sizeof fd);
                        if (count++ == 0)
                                *ret_pass = fd;
                        else
                                close(fd);
                }
        }
        return count;
}

static enum peer_result receive_once(int fd, struct msghdr *packet, size_t *ret_size, int *ret_pass, struct error *err)
{
        ssize_t n = recvmsg(fd, packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        int count;

        /* A peer that closed without reading all we sent; said once, in front of what it sent itself. */
        if (n < 0 && errno == ECONNRESET)
                n = recvmsg(fd, packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return PEER_NOTHING;
        if (n < 0 && errno == ECONNRESET)
                return PEER_ENDED;
        if (n < 0) {
                error_raise_errno(err, errno, "receive from the peer");
                return PEER_FAILED;
        }
        count = take_descriptors(packet, ret_pass);
        if (count > 1 || (packet->msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
                fd_closep(ret_pass);
                /* There is room for more descriptors than may come: what the kernel cut off below that number, it could
                 * not install here. */
                if (packet->msg_flags & MSG_TRUNC)
                        error_raise(err, ERR_PROTOCOL, "the peer sent a message that is too long");
                else if (count > 1)
                        error_raise(err, ERR_PROTOCOL, "the peer sent a message with several descriptors");
                else
                        error_raise(err, ERR_MEMORY, "receive from the peer: no room for one more descriptor");
                return PEER_FAILED;
        }
        *ret_size = (size_t)n;
        return n == 0 && count == 0 ? PEER_ENDED : PEER_OK;
}

enum peer_result peer_receive(int fd, void *message, size_t capacity, size_t *ret_size, int *ret_pass,
                              struct deadline deadline, struct error *err)
{
        *ret_pass = -1;
        for (;;) {
                union {
                        struct cmsghdr header;
                        char space[CMSG_SPACE(4 * sizeof(int))];
                } control;
                struct iovec iov = { .iov_base = message, .iov_len = capacity };
                struct msghdr packet = { .msg_iov = &iov,
                                         .msg_iovlen = 1,
                                         .msg_control = control.space,
                                         .msg_controllen = sizeof control.space };
                enum peer_result result = receive_once(fd, &packet, ret_size, ret_pass, err);
                int ready;

                if (result != PEER_NOTHING)
                        return result;
                ready = wait_for(fd, POLLIN, deadline);
                if (ready == 0)
                        return PEER_NOTHING;
                if (ready < 0) {
                        error_raise_errno(err, errno, "wait for the peer");
                        return PEER_FAILED;
                }
        }
}
