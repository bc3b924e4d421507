#include "core/base/staged_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/base/ident.h"

enum { STAGED_TRIES = 16, STAGED_TARGET_MAX = 180, STAGED_HASH_LENGTH = 17, UUID_LENGTH = IDENT_UUID_SIZE - 1 };

/* ---- names ---- */

/* FNV-1a. */
static uint64_t hash_name(const char *name)
{
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (; *name; name++)
                hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
        return hash;
}

/* What stands before the UUID. */
static void staged_stem(const char *target, const char *kind, char stem[NAME_MAX + 1])
{
        if (strlen(target) <= STAGED_TARGET_MAX)
                snprintf(stem, NAME_MAX + 1, ".%s.%s-", target, kind);
        else
                snprintf(stem, NAME_MAX + 1, ".%.*s-%016" PRIx64 ".%s-", STAGED_TARGET_MAX - STAGED_HASH_LENGTH, target,
                         hash_name(target), kind);
}

/* Whether `name` is one that staged_create() gives; `target` NULL: beside whatever target. */
static bool staged_has_form(const char *name, const char *target, const char *kind)
{
        char infix[NAME_MAX + 1];
        char stem[NAME_MAX + 1];
        size_t length = strlen(name);
        size_t uuid_at = length > UUID_LENGTH ? length - UUID_LENGTH : 0;
        size_t infix_length = (size_t)snprintf(infix, sizeof infix, ".%s-", kind);

        if (name[0] != '.' || uuid_at <= infix_length + 1 || !ident_is_uuid(name + uuid_at) ||
            strncmp(name + uuid_at - infix_length, infix, infix_length) != 0)
                return false;
        if (!target)
                return true;
        staged_stem(target, kind, stem);
        return strlen(stem) == uuid_at && strncmp(name, stem, uuid_at) == 0;
}

/* ---- making and using one ---- */

/* One attempt. 1: it is there; 0: a sweep took it for dead before it was locked; -1. */
static int staged_try_create(struct staged *staged, bool wait, const atomic_bool *cancel)
{
        CLEANUP(fd_closep)
        int fd = openat(staged->dir_fd, staged->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd < 0)
                return -1;
        staged->lock_errno = 0;
        while (flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) < 0) {
                if (errno == EWOULDBLOCK)
                        return 0;
                if (errno != EINTR) {
                        staged->lock_errno = errno;
                        break;
                }
                if (cancel && atomic_load(cancel)) {
                        errno = ECANCELED;
                        return -1;
                }
        }
        if (!fd_has_name(staged->dir_fd, staged->name, fd))
                return 0;
        staged->fd = take_fd(&fd);
        return 1;
}

/* Whoever may choose takes another name at once; a name that was given is free again when the sweep has removed it. */
int staged_create(struct staged *staged, int dir_fd, const char *target, const char *kind, const char *uuid,
                  const atomic_bool *cancel)
{
        char stem[NAME_MAX + 1];
        char random[IDENT_UUID_SIZE];

        *staged = (struct staged)STAGED_INIT;
        staged->dir_fd = dir_fd;
        staged_stem(target, kind, stem);
        for (int i = 0; i < STAGED_TRIES; i++) {
                int result;

                if (!uuid)
                        ident_uuid(random);
                snprintf(staged->name, sizeof staged->name, "%.*s%s", NAME_MAX - UUID_LENGTH, stem,
                         uuid ? uuid : random);
                result = staged_try_create(staged, /* wait= */ uuid, cancel);
                if (result != 0)
                        return result < 0 ? -1 : 0;
        }
        errno = EAGAIN;
        return -1;
}

long staged_holder(const struct staged *staged)
{
        CLEANUP(fd_closep)
        int fd = openat(staged->dir_fd, staged->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        char text[24] = "";
        struct stat st;

        if (fstatat(staged->dir_fd, staged->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (st.st_uid != geteuid() || !S_ISREG(st.st_mode)))
                return -1;
        return fd >= 0 && fd_pread_full(fd, text, sizeof text - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
}

static bool staged_is_there(const struct staged *staged)
{
        return fd_has_name(staged->dir_fd, staged->name, staged->fd);
}

char *staged_path(const struct staged *staged, const char *folder)
{
        char *path;

        if (!staged_is_there(staged)) {
                errno = ESTALE;
                return NULL;
        }
        return asprintf(&path, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, staged->name) < 0 ? NULL : path;
}

mode_t staged_umask(void)
{
        uint64_t mask;

        return fd_find_number("/proc/self/status", "\nUmask:", 8, &mask) ? (mode_t)mask & 0777 : 077;
}

int staged_dress(const struct staged *staged, uid_t uid, gid_t gid, mode_t mode)
{
        /* The group alone may be permitted where the owner is not; what is not permitted is no failure. */
        bool has_group = fchown(staged->fd, uid, gid) == 0 || fchown(staged->fd, (uid_t)-1, gid) == 0;

        mode &= 0777;
        /* The old group counts among the others now, which must not give it more than it had. */
        if (!has_group)
                mode &= ~(mode_t)077 | (mode >> 3 & 07);
        return fchmod(staged->fd, mode);
}

/* ---- publishing ---- */

static int staged_rename(const struct staged *staged, const char *name, enum staged_way way)
{
        int dir_fd = staged->dir_fd;

        if (way == STAGED_NEW)
                return fd_rename_noreplace(dir_fd, staged->name, dir_fd, name);
        return renameat2(dir_fd, staged->name, dir_fd, name, way == STAGED_EXCHANGED ? RENAME_EXCHANGE : 0);
}

int staged_publish(struct staged *staged, const char *name, enum staged_way way)
{
        CLEANUP(fd_closep) int old_fd = -1;

        if (!staged_is_there(staged)) {
                errno = ESTALE;
                return -1;
        }
        /* What takes the hidden name has to be known before: without it nothing could be taken back. */
        if (way == STAGED_EXCHANGED)
                old_fd = openat(staged->dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if ((way == STAGED_EXCHANGED && old_fd < 0) || staged_rename(staged, name, way) < 0)
                return -1;
        snprintf(staged->published, sizeof staged->published, "%s", name);
        staged->way = way;
        staged->old_fd = take_fd(&old_fd);
        return 0;
}

/* Whether the hidden name stands for what the file was exchanged with. */
static bool staged_has_old(const struct staged *staged)
{
        return staged->old_fd >= 0 && fd_has_name(staged->dir_fd, staged->name, staged->old_fd);
}

void staged_take_back(struct staged *staged)
{
        int dir_fd = staged->dir_fd;

        if (staged->way == STAGED_OVER || !fd_has_name(dir_fd, staged->published, staged->fd))
                return;
        if (staged->way == STAGED_NEW)
                fd_rename_noreplace(dir_fd, staged->published, dir_fd, staged->name);
        else if (staged_has_old(staged))
                renameat2(dir_fd, staged->name, dir_fd, staged->published, RENAME_EXCHANGE);
        fd_closep(&staged->old_fd);
}

void staged_conclude(struct staged *staged)
{
        if (staged_has_old(staged))
                unlinkat(staged->dir_fd, staged->name, 0);
        fd_closep(&staged->old_fd);
}

int staged_sync_folder(int dir_fd)
{
        return fsync(dir_fd) == 0 || errno == EINVAL || errno == EROFS ? 0 : -1;
}

void staged_disown(struct staged *staged)
{
        staged->name[0] = '\0';
        staged->dir_fd = -1;
}

void staged_drop(const struct staged *staged)
{
        if (staged->fd >= 0 && staged_is_there(staged))
                unlinkat(staged->dir_fd, staged->name, 0);
}

void staged_deinit(struct staged *staged)
{
        staged_drop(staged);
        fd_closep(&staged->fd);
        fd_closep(&staged->old_fd);
}

/* ---- what dead runs left ---- */

int staged_lock(int dir_fd, const char *name, int fd)
{
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
        return fd_has_name(dir_fd, name, fd);
}

/* Looks at the type first: opening a device can do something. */
int staged_claim(int dir_fd, const char *name, bool own_only)
{
        CLEANUP(fd_closep) int fd = -1;
        struct stat st;

        if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
                return -1;
        fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (own_only && st.st_uid != geteuid()) ||
            staged_lock(dir_fd, name, fd) != 1)
                return -1;
        return take_fd(&fd);
}

void staged_sweep(int dir_fd, const char *target, const char *kind, bool (*bury)(int fd, void *context), void *context)
{
        CLEANUP(dir_closep) DIR *dir = fd_list(dir_fd);

        for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
                CLEANUP(fd_closep) int fd = -1;

                if (!staged_has_form(entry->d_name, target, kind))
                        continue;
                fd = staged_claim(dir_fd, entry->d_name, /* own_only= */ bury);
                if (fd >= 0 && (!bury || bury(fd, context)) && fd_has_name(dir_fd, entry->d_name, fd))
                        unlinkat(dir_fd, entry->d_name, 0);
        }
}
