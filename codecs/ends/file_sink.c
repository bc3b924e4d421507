/*
 * A file sink is a descriptor sink on a file that has another name until it is published.
 *
 * The lock tells a partial file of a running backup from one that a dead run left behind. Between creating the file and
 * locking it another run may take it for dead, lock and remove it; so after locking we look whether the name still
 * means our file.
 */
#include "codecs/ends/ends.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "codecs/base/hash.h"
#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/base/fd_io.h"
#include "core/base/ident.h"
#include "core/base/text.h"

#define PARTIAL_INFIX ".partial-"

enum { LINKS_MAX = 40, CREATE_TRIES = 16, NAME_IN_PARTIAL_MAX = 180 };

struct file_sink {
        struct stage stage; /* next: the descriptor sink */
        int fd;
        int dir_fd;  /* -1: written in place, nothing to publish */
        char *shown; /* the path as given, escaped, for messages */
        char *name;  /* in dir_fd */
        char partial[NAME_MAX + 1];
        enum file_existing existing;
        bool partial_exists;
        bool disowned;  /* another process publishes it */
        bool exchanged; /* the partial name holds the file that was replaced */
        bool replaced;  /* published over an old file that cannot come back */
};

/* ---- paths ---- */

/* Where a path leads once the links of its last component were followed. */
struct destination {
        char path[PATH_MAX];
        int descriptor; /* the path is a name of this descriptor of ours; -1: of none */
        bool magic;     /* the path is a link of the kernel's, whose text need not be the name of what it leads to */
};

/* The number in the name of a descriptor of this process; -1 when it is no such name. */
static int own_descriptor(const char *path)
{
        static const char *const folders[] = { "/dev/fd/", "/proc/self/fd/" };

        for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
                const char *number = path + strlen(folders[i]);
                char *end;
                long value;

                if (strncmp(path, folders[i], strlen(folders[i])) != 0 || *number < '0' || *number > '9')
                        continue;
                value = strtol(number, &end, 10);
                if (*end == '\0' && value <= INT_MAX)
                        return (int)value;
        }
        return -1;
}

/* Replaces a link's path by what its text says; `text` is that, `folder` what relative text starts from. */
static int follow(struct destination *to, const char *folder, const char *text)
{
        char next[PATH_MAX];
        int length = text[0] == '/' ? snprintf(next, sizeof next, "%s", text)
                                    : snprintf(next, sizeof next, "%s/%s", folder, text);

        if ((size_t)length >= sizeof next) {
                errno = ENAMETOOLONG;
                return -1;
        }
        memcpy(to->path, next, (size_t)length + 1);
        return 0;
}

/* Follows the links of the last component, so that what the link points to is replaced and not the link. The target may
 * be missing. */
static int resolve_links(const char *path, struct destination *to)
{
        char text[PATH_MAX], copy[PATH_MAX];

        *to = (struct destination){ .descriptor = -1 };
        if (follow(to, /* folder= */ ".", path) < 0)
                return -1;
        for (int i = 0; i < LINKS_MAX; i++) {
                struct statfs system;
                const char *folder;
                ssize_t n;

                to->descriptor = own_descriptor(to->path);
                n = to->descriptor >= 0 ? -1 : readlink(to->path, text, sizeof text - 1);
                if (n < 0)
                        return 0; /* no link; whether it can be used is found out by using it */
                text[n] = '\0';
                memcpy(copy, to->path, sizeof copy);
                folder = dirname(copy);
                to->magic = statfs(folder, &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
                if (to->magic)
                        return 0;
                if (follow(to, folder, text) < 0)
                        return -1;
        }
        errno = ELOOP;
        return -1;
}

static int open_folder(struct file_sink *sink, const char *path, struct error *err)
{
        char copy[PATH_MAX];
        const char *slash = strrchr(path, '/');
        CLEANUP(freep) char *shown = NULL;
        const char *folder;

        snprintf(copy, sizeof copy, "%s", path);
        folder = dirname(copy);
        sink->name = strdup(slash ? slash + 1 : path);
        shown = text_escape(folder, strlen(folder));
        if (!sink->name || !shown)
                return error_no_memory(err);
        if (sink->name[0] == '\0' || strcmp(sink->name, ".") == 0 || strcmp(sink->name, "..") == 0)
                return error_raise(err, ERR_USAGE, "'%s' is a directory, not a file to write", sink->shown);
        sink->dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (sink->dir_fd >= 0)
                return 0;
        if (errno == ENOENT || errno == ENOTDIR)
                return error_raise(err, ERR_USAGE, "'%s' cannot be written: there is no folder '%s'", sink->shown,
                                   shown);
        return error_raise_errno(err, errno, "cannot open folder '%s'", shown);
}

/* ---- partial files of dead runs ---- */

static bool is_partial_name(const char *name)
{
        size_t length = strlen(name);
        size_t suffix = strlen(PARTIAL_INFIX) + IDENT_UUID_SIZE - 1;
        const char *infix = name + length - suffix;

        return name[0] == '.' && length > suffix + 1 && strncmp(infix, PARTIAL_INFIX, strlen(PARTIAL_INFIX)) == 0 &&
               ident_is_uuid(infix + strlen(PARTIAL_INFIX));
}

static void sweep_one(int dir_fd, const char *name)
{
        struct stat status;
        CLEANUP(fd_closep) int fd = -1;

        if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(status.st_mode))
                return;
        fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fd_has_name(dir_fd, name, fd))
                unlinkat(dir_fd, name, 0);
}

/* What cannot be removed stays; it harms nobody but the disk. */
static void sweep(int dir_fd)
{
        CLEANUP(dir_closep) DIR *dir = NULL;
        CLEANUP(fd_closep) int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const struct dirent *entry;

        dir = fd >= 0 ? fdopendir(fd) : NULL;
        if (!dir)
                return;
        (void)take_fd(&fd);
        while ((entry = readdir(dir))) {
                if (is_partial_name(entry->d_name))
                        sweep_one(dir_fd, entry->d_name);
        }
}

/* ---- creating ---- */

/* A name too long to be extended is represented by its hash. */
static void name_partial(struct file_sink *sink, const char *set_id)
{
        size_t length = strlen(sink->name);

        if (length <= NAME_IN_PARTIAL_MAX)
                snprintf(sink->partial, sizeof sink->partial, ".%s" PARTIAL_INFIX "%s", sink->name, set_id);
        else
                snprintf(sink->partial, sizeof sink->partial, ".%.*s-%016" PRIx64 PARTIAL_INFIX "%s",
                         NAME_IN_PARTIAL_MAX - 20, sink->name, hash_record(sink->name, length), set_id);
}

/* Returns 1 with the file created and locked, 0 to try again, -1. */
static int try_create(struct file_sink *sink, const atomic_bool *cancel, struct error *err)
{
        CLEANUP(fd_closep)
        int fd = openat(sink->dir_fd, sink->partial, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd < 0 && errno == EEXIST)
                return error_raise(err, ERR_BUSY, "'%s' is being written by this set already", sink->shown);
        if (fd < 0)
                return error_raise_errno(err, errno, "cannot create '%s'", sink->shown);
        /* Only a sweeping run can hold it, and removes it in a moment. A file system without locks is written to
         * without. */
        while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
                if (cancel && atomic_load(cancel))
                        return error_raise(err, ERR_ABORTED, "creating '%s' was interrupted", sink->shown);
        if (!fd_has_name(sink->dir_fd, sink->partial, fd))
                return 0;
        sink->fd = take_fd(&fd);
        sink->partial_exists = true;
        return 1;
}

static int create_partial(struct file_sink *sink, const atomic_bool *cancel, struct error *err)
{
        for (int i = 0; i < CREATE_TRIES; i++) {
                int result = try_create(sink, cancel, err);

                if (result != 0)
                        return result < 0 ? -1 : 0;
        }
        return error_raise(err, ERR_BUSY, "cannot create '%s': another run keeps removing it", sink->shown);
}

/* The umask, without changing it under other threads. */
static mode_t read_umask(void)
{
        CLEANUP(freep) char *text = NULL;
        const char *line;
        size_t size;

        if (fd_read_file(AT_FDCWD, "/proc/self/status", 64 << 10, &text, &size) < 0)
                return 077;
        line = strstr(text, "\nUmask:");
        return line ? (mode_t)strtoul(line + strlen("\nUmask:"), NULL, 8) & 0777 : 077;
}

/* A file that is replaced hands on its mode, and its owner as far as that is permitted. */
static int set_mode(const struct file_sink *sink, const struct stat *replaced, struct error *err)
{
        mode_t mode = replaced ? replaced->st_mode & 0777 : 0666 & ~read_umask();

        if (replaced && fchown(sink->fd, replaced->st_uid, replaced->st_gid) < 0 &&
            fchown(sink->fd, (uid_t)-1, replaced->st_gid) < 0)
                mode &= ~(mode_t)070; /* rights of a group that could not be kept are nobody else's */
        if (fchmod(sink->fd, mode) < 0)
                return error_raise_errno(err, errno, "cannot set the mode of '%s'", sink->shown);
        return 0;
}

/* ---- the stage ---- */

static void file_sink_abort(struct stage *stage, const char *reason)
{
        struct file_sink *sink = (struct file_sink *)stage;

        (void)reason;
        if (sink->partial_exists)
                unlinkat(sink->dir_fd, sink->partial, 0);
        sink->partial_exists = false;
}

static void file_sink_free(struct stage *stage)
{
        struct file_sink *sink = (struct file_sink *)stage;

        file_sink_abort(stage, "never published");
        fd_closep(&sink->fd);
        fd_closep(&sink->dir_fd);
        free(sink->shown);
        free(sink->name);
        free(sink);
}

static const struct stage_ops file_sink_ops = {
        .name = "file",
        .abort = file_sink_abort,
        .free = file_sink_free,
};

/* A fifo without a reader makes this wait; a signal with *cancel set ends it. */
static int open_special(struct file_sink *sink, const char *path, const atomic_bool *cancel, struct error *err)
{
        do
                sink->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        while (sink->fd < 0 && errno == EINTR && !(cancel && atomic_load(cancel)));
        if (sink->fd >= 0)
                return 0;
        if (errno == EINTR)
                return error_raise(err, ERR_ABORTED, "opening '%s' was interrupted", sink->shown);
        return error_raise_errno(err, errno, "cannot open '%s'", sink->shown);
}

/* A duplicate shares the position, so what was written before stays, and a socket can be written too. */
static int use_descriptor(struct file_sink *sink, int descriptor, struct error *err)
{
        int flags = fcntl(descriptor, F_GETFL);

        if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
                return error_raise(err, ERR_USAGE, "'%s' is not open for writing", sink->shown);
        sink->fd = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
        return sink->fd >= 0 ? 0 : error_raise_errno(err, errno, "cannot open '%s'", sink->shown);
}

static int refuse_existing(const struct file_sink *sink, const char *verb, struct error *err)
{
        return error_raise(err, ERR_USAGE, "'%s' %s; %s", sink->shown, verb,
                           sink->existing == FILE_EXISTING_KEPT_FORCE_HELPS ? "--force replaces it"
                                                                            : "choose another name");
}

/* A file that will be published; `replaced` is the one that is there now, or NULL. */
static int open_partial(struct file_sink *sink, const char *path, const char *set_id, const struct stat *replaced,
                        const atomic_bool *cancel, struct error *err)
{
        if (replaced && sink->existing != FILE_EXISTING_REPLACED)
                return refuse_existing(sink, "exists", err);
        if (open_folder(sink, path, err) < 0)
                return -1;
        sweep(sink->dir_fd);
        name_partial(sink, set_id);
        if (create_partial(sink, cancel, err) < 0)
                return -1;
        return set_mode(sink, replaced, err);
}

static int open_target(struct file_sink *sink, const char *given, const char *set_id, const atomic_bool *cancel,
                       struct error *err)
{
        struct destination to;
        struct stat status;
        bool exists;

        if (!ident_is_uuid(set_id) || strlen(set_id) != IDENT_UUID_SIZE - 1)
                return error_raise(err, ERR_PROTOCOL, "a set's identifier must be a UUID");
        if (resolve_links(given, &to) < 0)
                return error_raise_errno(err, errno, "cannot write '%s'", sink->shown);
        if (to.descriptor >= 0)
                return use_descriptor(sink, to.descriptor, err);
        exists = stat(to.path, &status) == 0;
        if (!exists && errno != ENOENT && errno != ENOTDIR)
                return error_raise_errno(err, errno, "cannot write '%s'", sink->shown);
        if (exists && S_ISDIR(status.st_mode))
                return error_raise(err, ERR_USAGE, "'%s' is a directory, not a file to write", sink->shown);
        if (exists && !S_ISREG(status.st_mode))
                return open_special(sink, to.path, cancel, err);
        if (to.magic)
                return error_raise(err, ERR_USAGE, "'%s' leads to a file by way of /proc; give the file's own name",
                                   sink->shown);
        return open_partial(sink, to.path, set_id, exists ? &status : NULL, cancel, err);
}

int file_sink_new(const char *path, const char *set_id, enum file_existing existing, const atomic_bool *cancel,
                  struct stage **ret_stage, struct error *err)
{
        struct file_sink *sink = calloc(1, sizeof *sink);

        if (!sink)
                return error_no_memory(err);
        sink->stage.ops = &file_sink_ops;
        sink->fd = sink->dir_fd = -1;
        sink->existing = existing;
        sink->shown = text_escape(path, strlen(path));
        if (!sink->shown) {
                stage_free(&sink->stage);
                return error_no_memory(err);
        }
        if (open_target(sink, path, set_id, cancel, err) < 0 ||
            fd_sink_new(sink->fd, path, cancel, &sink->stage.next, err) < 0) {
                stage_free(&sink->stage);
                return -1;
        }
        *ret_stage = &sink->stage;
        return 0;
}

/* ---- publishing ---- */

static int rename_partial(struct file_sink *sink, bool alone)
{
        int fault = fault_point("sink-rename");

        if (fault) {
                errno = fault;
                return -1;
        }
        if (sink->existing != FILE_EXISTING_REPLACED)
                return fd_rename_noreplace(sink->dir_fd, sink->partial, sink->dir_fd, sink->name);
        /* The old file is kept under the partial name until the new one is known to be on disk. */
        if (renameat2(sink->dir_fd, sink->partial, sink->dir_fd, sink->name, RENAME_EXCHANGE) == 0) {
                sink->exchanged = true;
                return 0;
        }
        /* Where the file system cannot exchange, a single file is replaced for good. */
        if (errno == EINVAL && alone) {
                sink->replaced = true;
                return renameat(sink->dir_fd, sink->partial, sink->dir_fd, sink->name);
        }
        if (errno != ENOENT)
                return -1;
        return fd_rename_noreplace(sink->dir_fd, sink->partial, sink->dir_fd, sink->name);
}

static int publish_one(struct file_sink *sink, bool alone, struct error *err)
{
        if (!fd_has_name(sink->dir_fd, sink->partial, sink->fd))
                return error_raise(err, ERR_FAILED, "'%s' was not put in place: somebody removed its partial file",
                                   sink->shown);
        if (rename_partial(sink, alone) == 0)
                return 0;
        if (errno == EEXIST)
                return refuse_existing(sink, "has come into being meanwhile", err);
        return error_raise_errno(err, errno, "cannot rename the finished file to '%s'", sink->shown);
}

static void take_back(struct file_sink *sink)
{
        if (sink->exchanged)
                renameat2(sink->dir_fd, sink->partial, sink->dir_fd, sink->name, RENAME_EXCHANGE);
        else if (!sink->replaced)
                fd_rename_noreplace(sink->dir_fd, sink->name, sink->dir_fd, sink->partial);
        sink->exchanged = false;
}

static int sync_folder(const struct file_sink *sink, struct error *err)
{
        int fault = fault_point("sink-folder-sync");

        if (fault || (fsync(sink->dir_fd) < 0 && errno != EINVAL && errno != EROFS))
                return error_raise_errno(err, fault ? fault : errno, "cannot sync the folder of '%s'", sink->shown);
        return 0;
}

/* The end of a chain of codecs; NULL where it is something else. */
static struct file_sink *end_of(struct stage *stage)
{
        while (stage && stage->ops != &file_sink_ops)
                stage = stage->next;
        return (struct file_sink *)stage;
}

/* The same; NULL also where it is written in place, or another process's to publish. */
static struct file_sink *sink_of(struct stage *stage)
{
        struct file_sink *sink = end_of(stage);

        return sink && sink->dir_fd >= 0 ? sink : NULL;
}

int file_sink_fd(struct stage *chain)
{
        const struct file_sink *sink = end_of(chain);

        return sink && (sink->dir_fd >= 0 || sink->disowned) ? sink->fd : -1;
}

void file_sink_disown(struct stage *chain)
{
        struct file_sink *sink = sink_of(chain);

        if (!sink)
                return;
        sink->partial_exists = false;
        sink->disowned = true;
        fd_closep(&sink->dir_fd);
}

int file_sink_publish(struct stage *const *sinks, size_t count, struct error *err)
{
        size_t done = 0;
        int result = 0;

        for (; result == 0 && done < count; done += result == 0) {
                struct file_sink *sink = sink_of(sinks[done]);

                result = sink ? publish_one(sink, count == 1, err) : 0;
        }
        for (size_t i = 0; result == 0 && i < count; i++) {
                struct file_sink *sink = sink_of(sinks[i]);

                result = sink ? sync_folder(sink, err) : 0;
        }
        for (size_t i = 0; i < done; i++) {
                struct file_sink *sink = sink_of(sinks[i]);

                if (!sink)
                        continue;
                if (result < 0) {
                        take_back(sink);
                        continue;
                }
                if (sink->exchanged)
                        unlinkat(sink->dir_fd, sink->partial, 0);
                sink->partial_exists = false;
        }
        return result;
}
