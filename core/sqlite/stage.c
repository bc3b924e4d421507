#include "core/sqlite/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/base/ident.h"

enum {
        STAGED_NAME_MAX = 200, /* of the database's name; what we put around it fits behind */
        SWEEP_LOCK_MS = 1000,  /* a sweep that finds the folder locked leaves its work to the next one */
};

/* ---- the target ---- */

/* The path with links resolved. Its last component may be missing, but then it is no link to somewhere else. */
static int resolve(const char *path, char **ret_path, struct error *err)
{
        CLEANUP(freep) char *folder = NULL;
        CLEANUP(freep) char *real_folder = NULL;
        const char *slash = strrchr(path, '/');
        struct stat st;

        *ret_path = realpath(path, NULL);
        if (*ret_path)
                return 0;
        if (errno != ENOENT)
                return error_raise_errno(err, errno, "cannot restore to '%s'", path);
        if (lstat(path, &st) == 0)
                return error_raise(err, ERR_USAGE, "'%s' is a symbolic link to nothing: name the file itself", path);
        folder = strndup(path, slash == path ? 1 : (size_t)(slash - path));
        real_folder = folder ? realpath(folder, NULL) : NULL;
        if (!real_folder)
                return error_raise_errno(err, errno, "cannot restore into the folder '%s'", folder ? folder : path);
        if (asprintf(ret_path, "%s%s", strcmp(real_folder, "/") == 0 ? "" : real_folder, slash) < 0)
                return error_raise_errno(err, ENOMEM, "cannot restore to '%s'", path);
        return 0;
}

int target_open(struct target *target, const char *path, struct error *err)
{
        const char *slash = strrchr(path, '/');

        if (path[0] != '/' || slash[1] == '\0' || strcmp(slash, "/.") == 0 || strcmp(slash, "/..") == 0)
                return error_raise(err, ERR_USAGE, "'%s' is not the absolute path of a file", path);
        if (resolve(path, &target->path, err) < 0)
                return -1;
        slash = strrchr(target->path, '/');
        if (strlen(slash + 1) > NAME_MAX)
                return error_raise_errno(err, ENAMETOOLONG, "cannot restore to '%s'", path);
        snprintf(target->name, sizeof target->name, "%s", slash + 1);
        target->folder = strndup(target->path, slash == target->path ? 1 : (size_t)(slash - target->path));
        if (!target->folder)
                return error_raise_errno(err, ENOMEM, "cannot restore to '%s'", path);
        target->folder_fd = open(target->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (target->folder_fd < 0)
                return error_raise_errno(err, errno, "cannot restore into the folder '%s'", target->folder);
        return 0;
}

void target_deinit(struct target *target)
{
        fd_closep(&target->folder_fd);
        freep(&target->path);
        freep(&target->folder);
}

bool target_sibling(const char *name, int file, char sibling[NAME_MAX + 1])
{
        return snprintf(sibling, NAME_MAX + 1, "%s%s", name, format_suffixes[file]) <= NAME_MAX;
}

int target_look(struct target *target, struct error *err)
{
        for (int i = 0; i < FORMAT_FILES; i++) {
                char sibling[NAME_MAX + 1];
                struct stat st;

                target->exists[i] = target_sibling(target->name, i, sibling) &&
                                    fstatat(target->folder_fd, sibling, &st, AT_SYMLINK_NOFOLLOW) == 0;
                if (i == 0 && target->exists[0]) {
                        target->st = st;
                        if (!S_ISREG(st.st_mode))
                                return error_raise(err, ERR_USAGE, "'%s' is not a regular file, so it is no database",
                                                   target->path);
                }
        }
        return 0;
}

bool target_first(const struct target *target, char path[PATH_MAX])
{
        for (int i = 0; i < FORMAT_FILES; i++) {
                if (!target->exists[i])
                        continue;
                snprintf(path, PATH_MAX, "%s%s", target->path, format_suffixes[i]);
                return true;
        }
        return false;
}

int target_lock(const struct target *target, const struct db_patience *patience, struct error *err)
{
        for (int attempt = 0; flock(target->folder_fd, LOCK_EX | LOCK_NB) < 0; attempt++) {
                if (errno == EINTR)
                        continue;
                if (errno != EWOULDBLOCK)
                        return 0;
                if (db_wait(patience, attempt))
                        continue;
                if (db_is_cancelled(patience))
                        return db_raise(err, NULL, SQLITE_INTERRUPT, target->path);
                return error_raise(err, ERR_BUSY, "the folder '%s' is locked by another restore: try again later",
                                   target->folder);
        }
        return 0;
}

void target_unlock(const struct target *target)
{
        flock(target->folder_fd, LOCK_UN);
}

/* ---- files of a run ---- */

/* ".NAME.KIND-": what is followed by a UUID. */
static void staged_prefix(const char *name, const char *kind, char prefix[NAME_MAX + 1])
{
        snprintf(prefix, NAME_MAX + 1, ".%.*s.%s-", STAGED_NAME_MAX, name, kind);
}

int stage_create(const struct target *target, const char *kind, struct stage *stage, struct error *err)
{
        char prefix[NAME_MAX + 1];
        char uuid[IDENT_UUID_SIZE];
        bool locked;

        staged_prefix(target->name, kind, prefix);
        /* A sweep that comes between our two calls has the lock, or has unlinked the file. */
        do {
                fd_closep(&stage->fd);
                ident_uuid(uuid);
                snprintf(stage->name, sizeof stage->name, "%.*s%s", NAME_MAX - IDENT_UUID_SIZE, prefix, uuid);
                stage->fd = openat(target->folder_fd, stage->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                                   0600);
                if (stage->fd < 0)
                        return error_raise_errno(err, errno, "cannot create a file in the folder '%s'", target->folder);
                locked = flock(stage->fd, LOCK_EX | LOCK_NB) == 0;
                if (!locked && errno != EWOULDBLOCK) {
                        int sys_errno = errno;

                        unlinkat(target->folder_fd, stage->name, 0);
                        return error_raise_errno(err, sys_errno, "cannot lock a file in the folder '%s'",
                                                 target->folder);
                }
        } while (!locked || !fd_has_name(target->folder_fd, stage->name, stage->fd));
        free(stage->path);
        if (asprintf(&stage->path, "%s/%s", strcmp(target->folder, "/") == 0 ? "" : target->folder, stage->name) < 0) {
                stage->path = NULL;
                return error_raise_errno(err, ENOMEM, "cannot create a file in the folder '%s'", target->folder);
        }
        return 0;
}

void stage_dress(const struct stage *stage, uid_t uid, gid_t gid, mode_t mode)
{
        /* The group alone may be permitted where the owner is not; what is not permitted is no failure. */
        bool has_group = fchown(stage->fd, uid, gid) == 0 || fchown(stage->fd, (uid_t)-1, gid) == 0;

        mode &= 0777;
        /* The old group counts among the others now, which must not give it more than it had. */
        if (!has_group)
                mode &= ~(mode_t)077 | (mode >> 3 & 07);
        if (fchmod(stage->fd, mode) < 0)
                errno = 0;
}

void stage_remove(const struct target *target, struct stage *stage)
{
        if (stage->fd >= 0 && stage->name[0] && fd_has_name(target->folder_fd, stage->name, stage->fd))
                unlinkat(target->folder_fd, stage->name, 0);
        fd_closep(&stage->fd);
        freep(&stage->path);
}

/* ---- what dead runs left ---- */

static bool look(const struct target *target, const char *name, struct stat *ret_st)
{
        return fstatat(target->folder_fd, name, ret_st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void put_back_file(const struct target *target, const char *aside, int file)
{
        char old_name[NAME_MAX + 1];
        char aside_name[NAME_MAX + 1];
        struct stat old_st;
        struct stat aside_st;

        if (!target_sibling(target->name, file, old_name) || !target_sibling(aside, file, aside_name) ||
            !look(target, aside_name, &aside_st))
                return;
        if (!look(target, old_name, &old_st))
                fd_rename_noreplace(target->folder_fd, aside_name, target->folder_fd, old_name);
        else if (old_st.st_dev == aside_st.st_dev && old_st.st_ino == aside_st.st_ino)
                unlinkat(target->folder_fd, aside_name, 0);
}

void stage_put_back(const struct target *target, const char *aside, unsigned files)
{
        struct stat old_st;
        struct stat aside_st;

        /* A database that stands there and is not the one that was taken away is either the new one, or nothing was
         * moved yet. */
        if (look(target, target->name, &old_st) &&
            (!look(target, aside, &aside_st) || old_st.st_dev != aside_st.st_dev || old_st.st_ino != aside_st.st_ino))
                return;
        /* The database comes last: it shall never stand there without its log. */
        for (int i = FORMAT_FILES - 1; i >= 0; i--)
                if (files & 1u << i)
                        put_back_file(target, aside, i);
        fsync(target->folder_fd);
}

/* The marker's text counts only if it is a name that we would have given. */
static void put_back_marked(const struct target *target, int fd)
{
        char aside[NAME_MAX + 1] = "";
        char prefix[NAME_MAX + 16];
        int length = snprintf(prefix, sizeof prefix, "%s.replaced-", target->name);

        if (fd_pread_full(fd, aside, NAME_MAX, 0) <= 0)
                return;
        if (strncmp(aside, prefix, (size_t)length) == 0 && !strchr(aside, '/'))
                stage_put_back(target, aside, (1u << FORMAT_FILES) - 1);
}

static bool is_staged(const char *name, const char *prefix)
{
        size_t length = strlen(prefix);

        return strncmp(name, prefix, length) == 0 && strlen(name) == length + IDENT_UUID_SIZE - 1 &&
               ident_is_uuid(name + length);
}

static void sweep_file(const struct target *target, const char *name, bool is_marker)
{
        CLEANUP(fd_closep) int fd = openat(target->folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        struct stat st;

        /* In a folder that others may write to, their files tell us nothing. */
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
            flock(fd, LOCK_EX | LOCK_NB) < 0 || !fd_has_name(target->folder_fd, name, fd))
                return;
        if (is_marker)
                put_back_marked(target, fd);
        unlinkat(target->folder_fd, name, 0);
}

/* Names are moved only under the folder's lock; it is asked for only where a marker tells that names may be moved. */
static void sweep_kind(const struct target *target, const char *kind, bool is_marker)
{
        const struct db_patience patience = { .deadline = deadline_after_ms(SWEEP_LOCK_MS) };
        CLEANUP(dir_closep) DIR *dir = target->folder ? opendir(target->folder) : NULL;
        char prefix[NAME_MAX + 1];
        bool locked = false;

        if (!dir)
                return;
        staged_prefix(target->name, kind, prefix);
        for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
                if (!is_staged(entry->d_name, prefix))
                        continue;
                if (is_marker && !locked && target_lock(target, &patience, /* err= */ NULL) < 0)
                        return;
                locked = is_marker;
                sweep_file(target, entry->d_name, is_marker);
        }
        if (locked)
                target_unlock(target);
}

void stage_sweep(const char *path)
{
        CLEANUP(target_deinit) struct target target = TARGET_INIT;

        if (!path || target_open(&target, path, /* err= */ NULL) < 0)
                return;
        sweep_kind(&target, "aside", true);
        sweep_kind(&target, "restore", false);
}
