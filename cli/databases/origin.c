#include "cli/databases/origin.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/databases/state.h"
#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/base/ident.h"
#include "core/base/sqlite_header.h"
#include "core/mssql/mssql.h"

/* A trailing star stands for any rest of the folder's name. */
static const char *const system_folders[] = {
        "/etc", "/usr", "/boot", "/dev", "/proc", "/sys", "/run", "/bin", "/sbin", "/lib*",
};

static bool origin_lies_below(const char *path, const char *folder)
{
        size_t length = strlen(folder);

        if (folder[length - 1] == '*')
                return strncmp(path, folder, length - 1) == 0;
        return strncmp(path, folder, length) == 0 && (path[length] == '/' || !path[length]);
}

static bool origin_is_system(const char *path)
{
        for (size_t i = 0; i < sizeof system_folders / sizeof system_folders[0]; i++)
                if (origin_lies_below(path, system_folders[i]))
                        return true;
        return false;
}

static bool origin_is_here(const struct stream_info *info)
{
        char machine[IDENT_MACHINE_SIZE];
        char host[IDENT_HOST_SIZE];

        ident_machine(machine);
        if (machine[0] || info->machine[0])
                return strcmp(machine, info->machine) == 0;
        ident_host(host);
        return host[0] && strcmp(host, info->host) == 0;
}

/* Also an empty one. */
static bool origin_is_database(const char *path)
{
        CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        uint8_t bytes[SQLITE_HEADER_SIZE];
        struct sqlite_header header;
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return false;
        return st.st_size == 0 || (fd_pread_full(fd, bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes &&
                                   sqlite_header_parse(bytes, &header));
}

static int origin_ask_for_target(const char *input_hint, struct error *err, const char *why, const char *what)
{
        return error_raise(err, ERR_USAGE, "%s%s; say where to restore to: vdipipe restore DB %s", why, what,
                           input_hint);
}

int origin_check(const struct stream_info *info, const struct config *config, const char *input_hint, struct error *err)
{
        CLEANUP(freep) char *copy = NULL;
        CLEANUP(freep) char *folder = NULL;
        struct stat st;
        bool exists;

        if (info && info->origin && mssql_uri_is(info->origin))
                return error_raise(err, ERR_USAGE,
                                   "the backup was made at '%s', and a password goes only to a server that you name: "
                                   "vdipipe restore mssql://USER@localhost/DATABASE --recovery %s",
                                   info->origin, input_hint);
        if (!info || !info->origin || info->origin[0] != '/')
                return origin_ask_for_target(input_hint, err, "the backup does not say which file it was made from",
                                             "");
        if (!origin_is_here(info))
                return origin_ask_for_target(input_hint, err, "the backup was made on another machine: ", info->host);
        copy = strdup(info->origin);
        folder = copy ? realpath(dirname(copy), NULL) : NULL;
        if (!folder)
                return origin_ask_for_target(input_hint, err, "the folder of the original is gone: ", info->origin);
        if (config_names_path(config, info->origin))
                return 0;
        if (origin_is_system(folder))
                return origin_ask_for_target(input_hint, err, "the original lies in a system folder: ", info->origin);
        exists = lstat(info->origin, &st) == 0;
        if (exists && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
                return origin_ask_for_target(input_hint, err,
                                             "the original's name belongs to something else now: ", info->origin);
        /* What a stream says of itself anybody may have written. */
        if ((exists && origin_is_database(info->origin)) || state_remembers(info->origin))
                return 0;
        return origin_ask_for_target(input_hint, err, "no backup of the original is remembered here: ", info->origin);
}
