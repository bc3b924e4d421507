#include "cli/databases/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "cli/message.h"
#include "codecs/base/hash.h"
#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/base/staged_file.h"
#include "core/servers/fields.h"
#include "core/servers/json_text.h"

enum { STATE_SIZE_MAX = 1 << 16, STATE_NAME_SIZE = 32 };

/* Makes the folder and those above it that are the user's own affair. */
static int state_make_folder(char *path)
{
        for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                mkdir(path, 0700);
                *slash = '/';
        }
        return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -1;
}

static int state_find_folder(char path[PATH_MAX])
{
        const char *given = getenv("VDIPIPE_STATE_DIR");
        const char *state_home = getenv("XDG_STATE_HOME");
        const char *home = getenv("HOME");
        int length;

        if (given && given[0])
                length = snprintf(path, PATH_MAX, "%s", given);
        else if (geteuid() == 0)
                length = snprintf(path, PATH_MAX, "/var/lib/vdipipe");
        else if (state_home && state_home[0] == '/')
                length = snprintf(path, PATH_MAX, "%s/vdipipe", state_home);
        else if (home && home[0] == '/')
                length = snprintf(path, PATH_MAX, "%s/.local/state/vdipipe", home);
        else
                length = PATH_MAX;
        if (length < PATH_MAX)
                return 0;
        errno = ENOENT;
        return -1;
}

/* Opens it, if it is nobody else's to write to. */
static int state_open_folder(bool make, int *ret_fd)
{
        CLEANUP(fd_closep) int fd = -1;
        char path[PATH_MAX];
        struct stat st;

        if (state_find_folder(path) < 0 || (make && state_make_folder(path) < 0))
                return -1;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -1;
        if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH))) {
                errno = EPERM;
                return -1;
        }
        *ret_fd = take_fd(&fd);
        return 0;
}

/* Two origins of one name would only forget each other: the file says whose it is. */
static void state_name(const char *origin, char name[STATE_NAME_SIZE])
{
        snprintf(name, STATE_NAME_SIZE, "%016llx.json", (unsigned long long)hash_record(origin, strlen(origin)));
}

static int state_write(int folder_fd, const struct state_backup *backup, const char *json)
{
        CLEANUP(staged_deinit) struct staged staged = STAGED_INIT;
        char name[STATE_NAME_SIZE];

        state_name(backup->origin, name);
        staged_sweep(folder_fd, name, "state", /* bury= */ NULL, /* context= */ NULL);
        if (staged_create(&staged, folder_fd, name, "state", /* uuid= */ NULL, /* cancel= */ NULL) < 0 ||
            fd_write_full(staged.fd, json, strlen(json), /* cancel= */ NULL) < 0)
                return -1;
        return staged_publish(&staged, name, STAGED_OVER);
}

void state_remember(const struct state_backup *backup)
{
        CLEANUP(json_releasep) json_t *root = json_object();
        CLEANUP(freep) char *json = NULL;
        CLEANUP(fd_closep) int folder_fd = -1;

        if (root && json_object_set_new(root, "origin", json_text_make(backup->origin)) == 0 &&
            json_object_set_new(root, "set", json_string(backup->set_id)) == 0 &&
            json_object_set_new(root, "time", json_string(backup->time)) == 0 &&
            json_object_set_new(root, "bytes", json_integer((json_int_t)backup->bytes)) == 0 &&
            json_object_set_new(root, "output", backup->output ? json_text_make(backup->output) : json_null()) == 0)
                json = json_dumps(root, JSON_COMPACT);
        errno = json ? errno : ENOMEM;
        if (!json || state_open_folder(/* make= */ true, &folder_fd) < 0 || state_write(folder_fd, backup, json) < 0)
                message_verbose("this backup is not remembered here: %s", strerror(errno));
}

bool state_remembers(const char *origin)
{
        CLEANUP(json_releasep) json_t *root = NULL;
        CLEANUP(freep) char *remembered = NULL;
        CLEANUP(freep) char *json = NULL;
        CLEANUP(fd_closep) int folder_fd = -1;
        char name[STATE_NAME_SIZE];
        size_t size;

        state_name(origin, name);
        if (state_open_folder(/* make= */ false, &folder_fd) < 0 ||
            fd_read_file(folder_fd, name, STATE_SIZE_MAX, &json, &size) < 0)
                return false;
        root = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
        return root && json_text_get(json_object_get(root, "origin"), &remembered) && remembered &&
               strcmp(remembered, origin) == 0;
}
