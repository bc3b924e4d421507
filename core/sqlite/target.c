#include "core/sqlite/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

enum { SWEEP_LOCK_MS = 1000 }; /* a sweep that finds the target locked leaves its work to the next one */

/* ---- the target ---- */

/* The path with links resolved. Its last component may be missing, but then it is no link to somewhere else. */
static int target_resolve(const char *path, char **ret_path, struct error *err)
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
        if (target_resolve(path, &target->path, err) < 0)
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
        staged_deinit(&target->lock);
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

int target_lock(struct target *target, const struct db_patience *patience, struct error *err)
{
        static const char uuid[] = "00000000-0000-4000-8000-000000000000";

        for (int attempt = 0;; attempt++) {
                staged_sweep(target->folder_fd, target->name, "lock", /* bury= */ NULL, /* context= */ NULL);
                if (staged_create(&target->lock, target->folder_fd, target->name, "lock", uuid, /* cancel= */ NULL) ==
                    0)
                        break;
                if (errno == EEXIST && staged_holder(&target->lock) < 0) {
                        target->lock = (struct staged)STAGED_INIT;
                        return 0;
                }
                if (errno != EEXIST && errno != EAGAIN)
                        return error_raise_errno(err, errno, "cannot lock '%s' in its folder", target->path);
                if (db_wait(patience, attempt))
                        continue;
                if (db_is_cancelled(patience))
                        return db_raise(err, NULL, SQLITE_INTERRUPT, target->path);
                return error_raise(err, ERR_BUSY, "'%s' is being restored by process %ld: try again later",
                                   target->path, staged_holder(&target->lock));
        }
        /* One that nobody could tell from a dead run's would stay for ever. */
        if (target->lock.lock_errno || dprintf(target->lock.fd, "%ld\n", (long)getpid()) < 0)
                staged_deinit(&target->lock);
        return 0;
}

/* ---- files of a run ---- */

int target_stage(const struct target *target, const char *kind, struct staged *staged, struct error *err)
{
        if (staged_create(staged, target->folder_fd, target->name, kind, /* uuid= */ NULL, /* cancel= */ NULL) < 0)
                return error_raise_errno(err, errno, "cannot create a file in the folder '%s'", target->folder);
        if (staged->lock_errno == 0)
                return 0;
        staged_drop(staged);
        return error_raise_errno(err, staged->lock_errno, "cannot lock a file in the folder '%s'", target->folder);
}

int target_staged_path(const struct target *target, const struct staged *staged, char **ret_path, struct error *err)
{
        *ret_path = staged_path(staged, target->folder);
        return *ret_path ? 0 : target_raise_staged(target, err);
}

int target_raise_staged(const struct target *target, struct error *err)
{
        if (errno == ESTALE)
                return error_raise(err, ERR_FAILED, "'%s' was not put in place: somebody removed its staged file",
                                   target->path);
        return error_raise_errno(err, errno, "cannot give the restored database its name '%s'", target->path);
}

/* ---- what dead runs left ---- */

static bool target_stat(const struct target *target, const char *name, struct stat *ret_st)
{
        return fstatat(target->folder_fd, name, ret_st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void target_put_back_file(const struct target *target, const char *aside, int file)
{
        char old_name[NAME_MAX + 1];
        char aside_name[NAME_MAX + 1];
        struct stat old_st;
        struct stat aside_st;

        if (!target_sibling(target->name, file, old_name) || !target_sibling(aside, file, aside_name) ||
            !target_stat(target, aside_name, &aside_st))
                return;
        if (!target_stat(target, old_name, &old_st))
                fd_rename_noreplace(target->folder_fd, aside_name, target->folder_fd, old_name);
        else if (old_st.st_dev == aside_st.st_dev && old_st.st_ino == aside_st.st_ino)
                unlinkat(target->folder_fd, aside_name, 0);
}

void target_put_back(const struct target *target, const char *aside, unsigned files)
{
        struct stat old_st;
        struct stat aside_st;

        /* A database that stands there and is not the one that was taken away is either the new one, or nothing was
         * moved yet. */
        if (target_stat(target, target->name, &old_st) &&
            (!target_stat(target, aside, &aside_st) || old_st.st_dev != aside_st.st_dev ||
             old_st.st_ino != aside_st.st_ino))
                return;
        /* The database comes last: it shall never stand there without its log. */
        for (int i = FORMAT_FILES - 1; i >= 0; i--)
                if (files & 1u << i)
                        target_put_back_file(target, aside, i);
        fsync(target->folder_fd);
}

/* Names are moved only under the target's lock, and the marker tells that they may be. Its text counts only if it is a
 * name that we would have given. */
static bool target_bury_marker(int fd, void *target_at)
{
        const struct db_patience patience = { .deadline = deadline_after_ms(SWEEP_LOCK_MS) };
        struct target *target = target_at;
        char aside[NAME_MAX + 1] = "";
        char prefix[NAME_MAX + 16];
        int length = snprintf(prefix, sizeof prefix, "%s.replaced-", target->name);

        if (target->lock.fd < 0 && target_lock(target, &patience, /* err= */ NULL) < 0)
                return false;
        if (fd_pread_full(fd, aside, NAME_MAX, 0) > 0 && strncmp(aside, prefix, (size_t)length) == 0 &&
            !strchr(aside, '/'))
                target_put_back(target, aside, (1u << FORMAT_FILES) - 1);
        return true;
}

void target_sweep(const char *path)
{
        CLEANUP(target_deinit) struct target target = TARGET_INIT;

        if (!path || target_open(&target, path, /* err= */ NULL) < 0)
                return;
        staged_sweep(target.folder_fd, target.name, "aside", target_bury_marker, &target);
        staged_sweep(target.folder_fd, target.name, "restore", /* bury= */ NULL, /* context= */ NULL);
        staged_sweep(target.folder_fd, target.name, "lock", /* bury= */ NULL, /* context= */ NULL);
}
