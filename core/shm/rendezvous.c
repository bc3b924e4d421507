#include "core/shm/rendezvous.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/base/fault.h"
#include "core/base/staged_file.h"
#include "core/shm/fork_guard.h"
#include "core/shm/peer.h"

enum {
        BACKLOG = 16,
        LOCK_WAIT_MS = 2000, /* how long a name may be between two owners */
        LOCK_NAP_US = 5000,
        LOOK_MAX = 4096, /* files of a folder that are looked at in one go */
        FILE_NAME_SIZE = RENDEZVOUS_STEM + 8,
};

/* FNV-1a in two lanes that start apart. A collision is harmless: the greeting carries the whole name. */
void rendezvous_stem(const char *name, char stem[RENDEZVOUS_STEM])
{
        uint64_t a = UINT64_C(0xcbf29ce484222325);
        uint64_t b = UINT64_C(0x9ae16a3b2f90404f);

        for (const char *at = name; *at; at++) {
                a = (a ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
                b = (b ^ (uint8_t)*at ^ (a >> 32)) * UINT64_C(0x100000001b3);
        }
        snprintf(stem, RENDEZVOUS_STEM, "%016" PRIx64 "%016" PRIx64, a, b);
}

static void file_name(const char *stem, const char *suffix, char name[FILE_NAME_SIZE])
{
        snprintf(name, FILE_NAME_SIZE, "%s%s", stem, suffix);
}

/* The socket's address through the open folder. */
static void socket_address(int folder_fd, const char *stem, struct sockaddr_un *address)
{
        *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
        snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s.sock", folder_fd, stem);
}

/* Lets connect() wait in the kernel's queue, where those who came first are let in first, for `ms` (negative: without
 * limit). */
static int wait_in_connect(int fd, int ms)
{
        struct timeval limit = { 0 };

        if (ms > 0)
                limit = (struct timeval){ .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0)
                return -1;
        return fcntl(fd, F_SETFL, 0);
}

/* The address of a listener's socket, by a descriptor of its own, so that no link is followed. */
static int find_socket(int folder_fd, const char *stem, int *ret_fd, struct sockaddr_un *address)
{
        char name[FILE_NAME_SIZE];
        struct stat st;

        file_name(stem, ".sock", name);
        *ret_fd = openat(folder_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (*ret_fd < 0 || fstat(*ret_fd, &st) < 0)
                return -1;
        if (!S_ISSOCK(st.st_mode)) {
                errno = ECONNREFUSED;
                return -1;
        }
        *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
        snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d", *ret_fd);
        return 0;
}

/* Returns a connected socket, or -1 with errno set: EAGAIN when the listener let nobody in until the deadline. */
static int connect_in(int folder_fd, const char *stem, struct deadline deadline)
{
        CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CLEANUP(fd_closep) int path_fd = -1;
        struct sockaddr_un address;

        if (fd < 0 || find_socket(folder_fd, stem, &path_fd, &address) < 0)
                return -1;
        while (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
                int left_ms;

                if (errno != EAGAIN && errno != EINTR)
                        return -1;
                left_ms = deadline_left_ms(deadline);
                if (left_ms == 0) {
                        errno = EAGAIN;
                        return -1;
                }
                if (wait_in_connect(fd, left_ms) < 0)
                        return -1;
        }
        if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
                return -1;
        return take_fd(&fd);
}

/* Removes the files of a listener whose lock we hold: the lock last, since the socket belongs to its owner. */
static void remove_files(int folder_fd, const char *stem)
{
        char name[FILE_NAME_SIZE];

        file_name(stem, ".sock", name);
        unlinkat(folder_fd, name, 0);
        file_name(stem, ".lock", name);
        unlinkat(folder_fd, name, 0);
}

/* Removes a listener's files if it is dead: then its lock file is free. Those of other users are not ours to open. */
static void bury_listener(int folder_fd, const char *stem, void *context)
{
        CLEANUP(fd_closep) int lock_fd = -1;
        char name[FILE_NAME_SIZE];

        (void)context;
        file_name(stem, ".lock", name);
        lock_fd = staged_claim(folder_fd, name, /* own_only= */ true);
        if (lock_fd >= 0)
                remove_files(folder_fd, stem);
}

/* Calls `each` with the stem of every file of the folder that ends in `suffix`; a number of them. */
static void each_stem(int folder_fd, const char *suffix, void (*each)(int folder_fd, const char *stem, void *context),
                      void *context)
{
        CLEANUP(dir_closep) DIR *dir = fd_list(folder_fd);
        const struct dirent *entry;
        int seen = 0;

        while (dir && (entry = readdir(dir)) && seen++ < LOOK_MAX) {
                char stem[RENDEZVOUS_STEM];

                if (strlen(entry->d_name) != RENDEZVOUS_STEM - 1 + strlen(suffix) ||
                    strcmp(entry->d_name + RENDEZVOUS_STEM - 1, suffix) != 0)
                        continue;
                snprintf(stem, sizeof stem, "%.*s", RENDEZVOUS_STEM - 1, entry->d_name);
                each(folder_fd, stem, context);
        }
}

/* Is the lock file, which we hold, one of ours? Its owner could remove another's at any time and give the name away, so
 * that one goes, if it is ours to remove. Returns 1 when it is ours, 0 when it has gone, -1 when it stays. */
static int keep_own_lock(int folder_fd, const char *name, int fd, struct error *err)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_raise_errno(err, errno, "examine lock file '%s'", name);
        if (S_ISREG(st.st_mode) && st.st_uid == geteuid())
                return 1;
        if (unlinkat(folder_fd, name, 0) == 0)
                return 0;
        return error_raise(err, ERR_IO, "lock file '%s' belongs to user %lu: have it removed, or choose another name",
                           name, (unsigned long)st.st_uid);
}

static int raise_no_lock(int folder_fd, const char *name, int sys_errno, struct error *err)
{
        const char *why = "";

        if (sys_errno == EACCES)
                why = faccessat(folder_fd, name, F_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) == 0
                              ? ": another user may have the name"
                              : ": the runtime folder is not ours to write to";
        return error_raise_errno(err, sys_errno, "open lock file '%s'%s", name, why);
}

/* One attempt to own the name. Returns 1 when it is ours, 0 when somebody holds it now, -1 on failure. */
static int try_lock(int folder_fd, const char *name, int *ret_fd, struct error *err)
{
        CLEANUP(fd_closep)
        int fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
        int own;

        if (fd < 0)
                return raise_no_lock(folder_fd, name, errno, err);
        own = staged_lock(folder_fd, name, fd);
        if (own < 0)
                return error_raise_errno(err, errno, "lock '%s'", name);
        if (own == 0)
                return 0;
        own = keep_own_lock(folder_fd, name, fd, err);
        if (own > 0)
                *ret_fd = fork_guard_take(&fd);
        return own;
}

/* Owns the name, or finds out that a living process does.
 * A name that is held while nobody answers is changing hands. */
static enum rendezvous_result lock_name(struct rendezvous *rendezvous, struct error *err)
{
        struct deadline deadline = deadline_after_ms(LOCK_WAIT_MS);
        char name[FILE_NAME_SIZE];

        file_name(rendezvous->stem, ".lock", name);
        for (;;) {
                CLEANUP(fd_closep) int probe = -1;
                struct error local = ERROR_INIT;
                int got = try_lock(rendezvous->folder_fd, name, &rendezvous->lock_fd, &local);

                if (got > 0)
                        return RENDEZVOUS_OK;
                probe = connect_in(rendezvous->folder_fd, rendezvous->stem, DEADLINE_NOW);
                /* Another user's lock cannot be opened, but the socket tells. */
                if (got < 0 && probe < 0 && errno != EAGAIN) {
                        error_keep_first(err, &local);
                        return RENDEZVOUS_FAILED;
                }
                if (probe >= 0 || errno == EAGAIN || deadline_passed(deadline))
                        return RENDEZVOUS_TAKEN;
                usleep(LOCK_NAP_US);
        }
}

static int rendezvous_bind(struct rendezvous *rendezvous, const char *group, struct error *err)
{
        mode_t mode = group ? 0660 : 0600;
        struct sockaddr_un address;
        char name[FILE_NAME_SIZE];
        gid_t gid = (gid_t)-1;

        if (group && peer_group_id(group, &gid, err) < 0)
                return -1;
        rendezvous->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (rendezvous->listen_fd < 0)
                return error_raise_errno(err, errno, "make a socket");
        fork_guard_add(rendezvous->listen_fd);
        file_name(rendezvous->stem, ".sock", name);
        if (unlinkat(rendezvous->folder_fd, name, 0) < 0 && errno != ENOENT)
                return error_raise_errno(err, errno, "remove dead socket '%s'", name);
        socket_address(rendezvous->folder_fd, rendezvous->stem, &address);
        /* The mode of the socket is the mode of its file, less the umask; nobody can connect before listen(). */
        fchmod(rendezvous->listen_fd, 0600);
        if (bind(rendezvous->listen_fd, (const struct sockaddr *)&address, sizeof address) < 0)
                return error_raise_errno(err, errno, "bind socket '%s'", name);
        if (group && fchownat(rendezvous->folder_fd, name, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) < 0)
                return error_raise_errno(err, errno, "give socket '%s' to group '%s'", name, group);
        if (fchmodat(rendezvous->folder_fd, name, mode, 0) < 0)
                return error_raise_errno(err, errno, "set the mode of socket '%s'", name);
        if (fault_point("rendezvous.listen") || listen(rendezvous->listen_fd, BACKLOG) < 0)
                return error_raise_errno(err, errno, "listen on socket '%s'", name);
        return 0;
}

/* A socket that the group may use, in a folder that it cannot enter, would be of no use. */
static int check_group(int folder_fd, const char *group, struct error *err)
{
        struct stat st;
        gid_t gid;

        if (peer_group_id(group, &gid, err) < 0)
                return -1;
        if (fstat(folder_fd, &st) < 0)
                return error_raise_errno(err, errno, "examine the folder for sockets");
        if ((st.st_mode & S_IXOTH) || ((st.st_mode & S_IXGRP) && st.st_gid == gid))
                return 0;
        return error_raise(
                err, ERR_IO,
                "members of group '%s' cannot enter the folder for sockets: have root make /run/vdipipe (mode "
                "1777), or choose a folder by VDIPIPE_RUNTIME_DIR",
                group);
}

enum rendezvous_result rendezvous_listen(const char *folder, const char *group, const char *name,
                                         struct rendezvous *ret_rendezvous, struct error *err)
{
        CLEANUP(rendezvous_close) struct rendezvous rendezvous = RENDEZVOUS_INIT;
        enum rendezvous_result result;

        rendezvous_stem(name, rendezvous.stem);
        if (folder_open_own(folder, &rendezvous.folder_fd, err) < 0)
                return RENDEZVOUS_FAILED;
        fork_guard_add(rendezvous.folder_fd);
        if (group && check_group(rendezvous.folder_fd, group, err) < 0)
                return RENDEZVOUS_FAILED;
        each_stem(rendezvous.folder_fd, ".lock", bury_listener, NULL);
        result = lock_name(&rendezvous, err);
        if (result != RENDEZVOUS_OK)
                return result;
        if (rendezvous_bind(&rendezvous, group, err) < 0)
                return RENDEZVOUS_FAILED;
        *ret_rendezvous = rendezvous;
        rendezvous = (struct rendezvous)RENDEZVOUS_INIT;
        return RENDEZVOUS_OK;
}

void rendezvous_close(struct rendezvous *rendezvous)
{
        if (rendezvous->lock_fd >= 0)
                remove_files(rendezvous->folder_fd, rendezvous->stem);
        fork_guard_close(&rendezvous->listen_fd);
        fork_guard_close(&rendezvous->lock_fd);
        fork_guard_close(&rendezvous->folder_fd);
}

/* ---- connecting ---- */

struct rendezvous_search {
        const char *stem;
        struct deadline deadline;
        enum rendezvous_result result;
        int fd;
        struct error *err;
};

static int search_folder(int folder_fd, void *context)
{
        struct rendezvous_search *search = context;
        struct error local = ERROR_INIT;
        int fd = connect_in(folder_fd, search->stem, search->deadline);

        if (fd >= 0) {
                search->fd = fd;
                search->result = RENDEZVOUS_OK;
                return 1;
        }
        if (errno == EAGAIN) {
                error_replace(search->err, ERR_TIMEOUT, "the owner of socket '%s.sock' lets nobody in", search->stem);
                search->result = RENDEZVOUS_BUSY;
                return 1;
        }
        if (errno == ENOENT || errno == ECONNREFUSED)
                return 0;
        if (errno == EACCES || errno == EPERM)
                search->result = RENDEZVOUS_DENIED;
        error_raise_errno(&local, errno, "connect to socket '%s.sock'", search->stem);
        error_keep_first(search->err, &local);
        return 0;
}

enum rendezvous_result rendezvous_connect(const char *folder, const char *name, enum folder_reach reach,
                                          struct deadline deadline, int *ret_fd, struct error *err)
{
        char stem[RENDEZVOUS_STEM];
        struct error complaint = ERROR_INIT; /* of folders passed on the way, which a set that is found makes idle */
        struct rendezvous_search search = {
                .stem = stem, .deadline = deadline, .result = RENDEZVOUS_NONE, .fd = -1, .err = &complaint
        };

        rendezvous_stem(name, stem);
        folder_visit(folder, reach, search_folder, &search, &complaint);
        *ret_fd = search.fd;
        if (search.result != RENDEZVOUS_OK)
                error_keep_first(err, &complaint);
        return search.result;
}

struct rendezvous_round {
        int wait_ms;
        void (*each)(int *fd, void *context);
        void *context;
};

static void connect_each(int folder_fd, const char *stem, void *context)
{
        const struct rendezvous_round *round = context;
        CLEANUP(fd_closep) int fd = connect_in(folder_fd, stem, deadline_after_ms(round->wait_ms));

        if (fd >= 0)
                round->each(&fd, round->context);
}

static int connect_folder(int folder_fd, void *context)
{
        each_stem(folder_fd, ".sock", connect_each, context);
        return 0;
}

void rendezvous_connect_all(const char *folder, enum folder_reach reach, int wait_ms,
                            void (*each)(int *fd, void *context), void *context)
{
        struct rendezvous_round round = { .wait_ms = wait_ms, .each = each, .context = context };

        folder_visit(folder, reach, connect_folder, &round, /* err= */ NULL);
}

static int bury_in_folder(int folder_fd, void *context)
{
        bury_listener(folder_fd, context, NULL);
        return 0;
}

void rendezvous_bury(const char *folder, const char *name)
{
        char stem[RENDEZVOUS_STEM];

        rendezvous_stem(name, stem);
        folder_visit(folder, FOLDER_REACH_OWN, bury_in_folder, stem, /* err= */ NULL);
}
