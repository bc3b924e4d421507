#include "core/shm/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"

static const char system_folder[] = "/run/vdipipe";

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
        case FOLDER_TEMPORARY:
        case FOLDER_PLACES:
                length = snprintf(path, PATH_MAX, "/tmp/vdipipe-%lu", (unsigned long)geteuid());
                break;
        }
        return length < PATH_MAX ? FOLDER_OK : FOLDER_ABSENT;
}

static int check(int fd, const char *path, struct error *err)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_raise_errno(err, errno, "examine folder '%s'", path);
        if (st.st_uid != 0 && st.st_uid != geteuid())
                return error_raise(
                        err, ERR_IO,
                        "folder '%s' belongs to user %lu: remove it, or choose another by VDIPIPE_RUNTIME_DIR", path,
                        (unsigned long)st.st_uid);
        if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX))
                return error_raise(err, ERR_IO, "folder '%s' is writable by others: chmod go-w it", path);
        return 0;
}

enum folder_result folder_open(enum folder_place place, const char *given, int create, int *ret_fd, struct error *err)
{
        CLEANUP(fd_closep) int fd = -1;
        char path[PATH_MAX];
        int made = 0;

        if (folder_path(place, given, path) != FOLDER_OK)
                return FOLDER_ABSENT;
        /* The folder of the system is root's to make. */
        if (create && (place != FOLDER_SYSTEM || geteuid() == 0))
                made = mkdir(path, 0700) == 0;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        /* A place that was named and cannot be made is an error, not a reason to go elsewhere. */
        if (fd < 0 && errno == ENOENT && !(create && place <= FOLDER_ENVIRONMENT))
                return FOLDER_ABSENT;
        /* `su` without a dash leaves the variable of the session that it came from. */
        if (fd < 0 && errno == EACCES && place == FOLDER_SESSION)
                return FOLDER_ABSENT;
        if (fd < 0)
                return (enum folder_result)error_raise_errno(err, errno, "open folder '%s'", path);
        if (made && place == FOLDER_SYSTEM && fchmod(fd, 01777) < 0)
                return (enum folder_result)error_raise_errno(err, errno, "open folder '%s' to all users", path);
        if (check(fd, path, err) < 0)
                return FOLDER_FAILED;
        *ret_fd = take_fd(&fd);
        return FOLDER_OK;
}

int folder_open_own(const char *given, int *ret_fd, struct error *err)
{
        for (int place = FOLDER_GIVEN; place < FOLDER_PLACES; place++) {
                enum folder_result result = folder_open((enum folder_place)place, given, /* create= */ 1, ret_fd, err);

                if (result != FOLDER_ABSENT)
                        return result == FOLDER_OK ? 0 : -1;
        }
        return error_raise(err, ERR_IO, "there is no folder for sockets: set VDIPIPE_RUNTIME_DIR");
}
