#include "core/shm/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

static const char system_folder[] = "/run/vdipipe";

enum { SYSTEM_MODE = 01777 };

/* The path of a place. FOLDER_ABSENT when it does not apply. */
static enum folder_result folder_path(enum folder_place place, const char *given, char path[PATH_MAX])
{
        const char *from = given;
        int length = 0;

        switch (place) {
        case FOLDER_ENVIRONMENT:
                from = getenv("VDIPIPE_RUNTIME_DIR");
                __attribute__((fallthrough));
        case FOLDER_GIVEN:
                if (!from || !from[0])
                        return FOLDER_ABSENT;
                length = snprintf(path, PATH_MAX, "%s", from);
                break;
        case FOLDER_SYSTEM:
                length = snprintf(path, PATH_MAX, "%s", system_folder);
                break;
        case FOLDER_SESSION:
                from = getenv("XDG_RUNTIME_DIR");
                if (!from || from[0] != '/')
                        return FOLDER_ABSENT;
                length = snprintf(path, PATH_MAX, "%s/vdipipe", from);
                break;
        case FOLDER_LOGIN:
                length = snprintf(path, PATH_MAX, "/run/user/%lu/vdipipe", (unsigned long)geteuid());
                break;
        case FOLDER_TEMPORARY:
        case FOLDER_PLACES:
                length = snprintf(path, PATH_MAX, "/tmp/vdipipe-%lu", (unsigned long)geteuid());
                break;
        }
        return length < PATH_MAX ? FOLDER_OK : FOLDER_ABSENT;
}

/* `owner` NULL: anybody's will do. */
static int folder_check(int fd, const char *path, const uid_t *owner, struct error *err)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_raise_errno(err, errno, "examine folder '%s'", path);
        if (owner && st.st_uid != 0 && st.st_uid != *owner)
                return error_raise(
                        err, ERR_IO,
                        "folder '%s' belongs to user %lu: remove it, or choose another by VDIPIPE_RUNTIME_DIR", path,
                        (unsigned long)st.st_uid);
        if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX))
                return error_raise(err, ERR_IO, "folder '%s' is writable by others: chmod go-w it", path);
        return 0;
}

/* The folder of the system is for all users, and root's to make, and to open to those who were shut out. It gets its
 * name when it is open to all: a run that dies half way leaves nothing that would keep them out. */
static int folder_make_system(const char *path)
{
        CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        char fresh[PATH_MAX];
        struct stat st;

        if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == 0 && !(st.st_mode & S_IWOTH))
                return fchmod(fd, SYSTEM_MODE);
        if (fd >= 0 || errno != ENOENT)
                return 0;
        snprintf(fresh, sizeof fresh, "%s.XXXXXX", path);
        if (!mkdtemp(fresh))
                return -1;
        if (chmod(fresh, SYSTEM_MODE) == 0 && fd_rename_noreplace(AT_FDCWD, fresh, AT_FDCWD, path) == 0)
                return 0;
        rmdir(fresh);
        return access(path, F_OK);
}

enum folder_result folder_open(enum folder_place place, const char *given, int create, int *ret_fd, struct error *err)
{
        CLEANUP(fd_closep) int fd = -1;
        uid_t own = geteuid();
        char path[PATH_MAX];

        if (folder_path(place, given, path) != FOLDER_OK || (create && place == FOLDER_LOGIN))
                return FOLDER_ABSENT;
        if (create && place != FOLDER_SYSTEM)
                mkdir(path, 0700);
        else if (create && own == 0 && folder_make_system(path) < 0 && errno != EROFS && errno != EACCES)
                return (enum folder_result)error_raise_errno(err, errno, "make folder '%s'", path);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        /* A place that was named and cannot be made is an error, not a reason to go elsewhere. */
        if (fd < 0 && errno == ENOENT && !(create && place <= FOLDER_ENVIRONMENT))
                return FOLDER_ABSENT;
        /* `su` without a dash leaves the variable of the session that it came from; and what root has locked up is
         * nobody else's to wait for. */
        if (fd < 0 && errno == EACCES && place >= FOLDER_SYSTEM)
                return FOLDER_ABSENT;
        if (fd < 0)
                return (enum folder_result)error_raise_errno(err, errno, "open folder '%s'", path);
        /* Who connects checks whom it finds there; so a group's folder may be any member's, if it was named. */
        if (folder_check(fd, path, !create && place <= FOLDER_ENVIRONMENT ? NULL : &own, err) < 0)
                return FOLDER_FAILED;
        *ret_fd = take_fd(&fd);
        return FOLDER_OK;
}

int folder_open_own(const char *given, int *ret_fd, struct error *err)
{
        for (int place = FOLDER_GIVEN; place < FOLDER_PLACES; place++) {
                struct error local = ERROR_INIT;
                enum folder_result result =
                        folder_open((enum folder_place)place, given, /* create= */ 1, ret_fd, &local);

                /* What was passed over matters no more. */
                if (result != FOLDER_ABSENT)
                        return result == FOLDER_OK ? 0 : error_hand_over(err, &local);
        }
        return error_raise(err, ERR_IO, "there is no folder for sockets: set VDIPIPE_RUNTIME_DIR");
}

/* ---- all of them ---- */

enum { SEEN_MAX = 256 };

/* One round through the folders. */
struct tour {
        int (*visit)(int folder_fd, void *context);
        void *context;
        struct {
                dev_t dev;
                ino_t ino;
        } seen[SEEN_MAX];
        int seen_count;
};

/* Is this a folder that the tour has not come to? The same one may have several names. */
static bool is_new(struct tour *tour, int folder_fd)
{
        struct stat st;

        if (fstat(folder_fd, &st) < 0 || tour->seen_count == SEEN_MAX)
                return false;
        for (int i = 0; i < tour->seen_count; i++)
                if (tour->seen[i].dev == st.st_dev && tour->seen[i].ino == st.st_ino)
                        return false;
        tour->seen[tour->seen_count].dev = st.st_dev;
        tour->seen[tour->seen_count++].ino = st.st_ino;
        return true;
}

static int visit_folder(struct tour *tour, int folder_fd)
{
        return is_new(tour, folder_fd) ? tour->visit(folder_fd, tour->context) : 0;
}

/* The user whose number follows `prefix` in `name`, which ends there. */
static bool user_of(const char *name, const char *prefix, uid_t *ret_uid)
{
        size_t length = strlen(prefix);
        unsigned long number;
        char *end;

        if (strncmp(name, prefix, length) != 0 || name[length] < '0' || name[length] > '9')
                return false;
        errno = 0;
        number = strtoul(name + length, &end, 10);
        *ret_uid = (uid_t)number;
        return !errno && !*end && number < (uid_t)-1;
}

/* Visits PARENT/PREFIXuid/REST for all users. What cannot be used there is that user's affair. */
static int visit_users(struct tour *tour, const char *parent, const char *prefix, const char *rest)
{
        CLEANUP(dir_closep) DIR *dir = opendir(parent);
        const struct dirent *entry;
        int result = 0;

        while (dir && result == 0 && (entry = readdir(dir))) {
                CLEANUP(fd_closep) int fd = -1;
                char path[PATH_MAX];
                uid_t uid;

                if (!user_of(entry->d_name, prefix, &uid))
                        continue;
                snprintf(path, sizeof path, "%s/%s%s", parent, entry->d_name, rest);
                fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (fd >= 0 && folder_check(fd, path, &uid, /* err= */ NULL) == 0)
                        result = visit_folder(tour, fd);
        }
        return result;
}

int folder_visit(const char *given, enum folder_reach reach, int (*visit)(int folder_fd, void *context), void *context,
                 struct error *err)
{
        struct tour tour = { .visit = visit, .context = context };
        int result = 0;

        for (int place = FOLDER_GIVEN; place < FOLDER_PLACES && result == 0; place++) {
                CLEANUP(fd_closep) int fd = -1;
                struct error local = ERROR_INIT;

                if (folder_open((enum folder_place)place, given, /* create= */ 0, &fd, &local) == FOLDER_OK)
                        result = visit_folder(&tour, fd);
                else if (err)
                        error_keep_first(err, &local);
        }
        if (reach == FOLDER_REACH_ALL && geteuid() == 0 && result == 0)
                result = visit_users(&tour, "/run/user", "", "/vdipipe");
        if (reach == FOLDER_REACH_ALL && geteuid() == 0 && result == 0)
                result = visit_users(&tour, "/tmp", "vdipipe-", "");
        return result;
}
