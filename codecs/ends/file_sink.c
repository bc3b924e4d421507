/* A file sink is a descriptor sink on a file that is staged until it is published. */
#include "codecs/ends/ends.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/base/ident.h"
#include "core/base/staged_file.h"
#include "core/base/text.h"

enum { LINKS_MAX = 40 };

struct file_sink {
        struct stage stage;   /* next: the descriptor sink */
        struct staged staged; /* written in place: only its descriptor */
        int dir_fd;           /* -1: written in place, nothing to publish */
        char *shown;          /* the path as given, escaped, for messages */
        char *name;           /* in dir_fd */
        enum file_existing existing;
        bool disowned; /* another process publishes it */
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
static int destination_follow(struct destination *to, const char *folder, const char *text)
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

/* The rule of fs.protected_symlinks and its siblings: in a sticky folder that all may write to, what belongs neither to
 * us nor to the folder's owner is a trap. */
static bool is_strangers(const char *folder, uid_t owner)
{
        struct stat st;

        return stat(folder, &st) == 0 && (st.st_mode & (S_ISVTX | S_IWOTH)) == (S_ISVTX | S_IWOTH) &&
               owner != geteuid() && owner != st.st_uid;
}

/* The text of a link. Returns its length; 0: it is no link; -1: errno says why not, EPERM: it is a stranger's. */
static ssize_t destination_read_link(const char *path, const char *folder, char text[PATH_MAX])
{
        CLEANUP(fd_closep) int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct stat link;
        ssize_t n;

        if (fd < 0 || fstat(fd, &link) < 0 || !S_ISLNK(link.st_mode))
                return 0; /* whether it can be used is found out by using it */
        if (is_strangers(folder, link.st_uid)) {
                errno = EPERM;
                return -1;
        }
        n = readlinkat(fd, "", text, PATH_MAX - 1);
        text[n > 0 ? n : 0] = '\0';
        return n;
}

/* Follows the links of the last component, so that what the link points to is replaced and not the link. The target may
 * be missing. */
static int destination_resolve(const char *path, struct destination *to)
{
        char text[PATH_MAX], copy[PATH_MAX];

        *to = (struct destination){ .descriptor = -1 };
        if (destination_follow(to, /* folder= */ ".", path) < 0)
                return -1;
        for (int i = 0; i < LINKS_MAX; i++) {
                struct statfs system;
                const char *folder;
                ssize_t n;

                to->descriptor = own_descriptor(to->path);
                if (to->descriptor >= 0)
                        return 0;
                memcpy(copy, to->path, sizeof copy);
                folder = dirname(copy);
                n = destination_read_link(to->path, folder, text);
                if (n <= 0)
                        return (int)n;
                to->magic = statfs(folder, &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
                if (to->magic)
                        return 0;
                if (destination_follow(to, folder, text) < 0)
                        return -1;
        }
        errno = ELOOP;
        return -1;
}

static int file_sink_open_folder(struct file_sink *sink, const char *path, struct error *err)
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

/* ---- creating ---- */

static int file_sink_create(struct file_sink *sink, const char *set_id, const atomic_bool *cancel, struct error *err)
{
        if (staged_create(&sink->staged, sink->dir_fd, sink->name, "partial", set_id, cancel) == 0)
                return 0;
        if (errno == EEXIST)
                return error_raise(err, ERR_BUSY, "'%s' is being written by this set already", sink->shown);
        if (errno == ECANCELED)
                return error_raise(err, ERR_ABORTED, "creating '%s' was interrupted", sink->shown);
        if (errno == EAGAIN)
                return error_raise(err, ERR_BUSY, "cannot create '%s': another run keeps removing it", sink->shown);
        return error_raise_errno(err, errno, "cannot create '%s'", sink->shown);
}

/* A file that is replaced hands on its mode, and its owner as far as that is permitted. */
static int file_sink_dress(const struct file_sink *sink, const struct stat *replaced, struct error *err)
{
        int result = replaced ? staged_dress(&sink->staged, replaced->st_uid, replaced->st_gid, replaced->st_mode)
                              : staged_dress(&sink->staged, (uid_t)-1, (gid_t)-1, 0666 & ~staged_umask());

        return result < 0 ? error_raise_errno(err, errno, "cannot set the mode of '%s'", sink->shown) : 0;
}

/* ---- the stage ---- */

static void file_sink_abort(struct stage *stage, const char *reason)
{
        struct file_sink *sink = (struct file_sink *)stage;

        (void)reason;
        staged_drop(&sink->staged);
}

static void file_sink_free(struct stage *stage)
{
        struct file_sink *sink = (struct file_sink *)stage;

        staged_deinit(&sink->staged);
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
static int file_sink_open_special(struct file_sink *sink, const char *path, const atomic_bool *cancel,
                                  struct error *err)
{
        do
                sink->staged.fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        while (sink->staged.fd < 0 && errno == EINTR && !(cancel && atomic_load(cancel)));
        if (sink->staged.fd >= 0)
                return 0;
        if (errno == EINTR)
                return error_raise(err, ERR_ABORTED, "opening '%s' was interrupted", sink->shown);
        return error_raise_errno(err, errno, "cannot open '%s'", sink->shown);
}

/* A duplicate shares the position, so what was written before stays, and a socket can be written too. */
static int file_sink_use_descriptor(struct file_sink *sink, int descriptor, struct error *err)
{
        int flags = fcntl(descriptor, F_GETFL);

        if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
                return error_raise(err, ERR_USAGE, "'%s' is not open for writing", sink->shown);
        sink->staged.fd = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
        return sink->staged.fd >= 0 ? 0 : error_raise_errno(err, errno, "cannot open '%s'", sink->shown);
}

static int file_sink_refuse_existing(const struct file_sink *sink, const char *verb, struct error *err)
{
        return error_raise(err, ERR_USAGE, "'%s' %s; %s", sink->shown, verb,
                           sink->existing == FILE_EXISTING_KEPT_FORCE_HELPS ? "--force replaces it"
                                                                            : "choose another name");
}

/* A file that will be published; `replaced` is the one that is there now, or NULL. */
static int file_sink_open_partial(struct file_sink *sink, const char *path, const char *set_id,
                                  const struct stat *replaced, const atomic_bool *cancel, struct error *err)
{
        if (replaced && sink->existing != FILE_EXISTING_REPLACED)
                return file_sink_refuse_existing(sink, "exists", err);
        if (file_sink_open_folder(sink, path, err) < 0)
                return -1;
        /* What cannot be removed stays; it harms nobody but the disk. */
        staged_sweep(sink->dir_fd, /* target= */ NULL, "partial", /* bury= */ NULL, /* context= */ NULL);
        if (file_sink_create(sink, set_id, cancel, err) < 0)
                return -1;
        return file_sink_dress(sink, replaced, err);
}

static int file_sink_open_target(struct file_sink *sink, const char *given, const char *set_id,
                                 const atomic_bool *cancel, struct error *err)
{
        char folder[PATH_MAX];
        struct destination to;
        struct stat status;
        bool exists;

        if (!ident_is_uuid(set_id) || strlen(set_id) != IDENT_UUID_SIZE - 1)
                return error_raise(err, ERR_PROTOCOL, "a set's identifier must be a UUID");
        if (destination_resolve(given, &to) < 0)
                return errno != EPERM ? error_raise_errno(err, errno, "cannot write '%s'", sink->shown)
                                      : error_raise(err, ERR_USAGE,
                                                    "'%s' is another user's link in a folder for all, and is not "
                                                    "followed; give the name of the file itself",
                                                    sink->shown);
        if (to.descriptor >= 0)
                return file_sink_use_descriptor(sink, to.descriptor, err);
        exists = stat(to.path, &status) == 0;
        if (!exists && errno != ENOENT && errno != ENOTDIR)
                return error_raise_errno(err, errno, "cannot write '%s'", sink->shown);
        if (exists && S_ISDIR(status.st_mode))
                return error_raise(err, ERR_USAGE, "'%s' is a directory, not a file to write", sink->shown);
        /* A reader at the other end of a fifo, an owner and a mode to be handed on. */
        memcpy(folder, to.path, sizeof folder);
        if (exists && is_strangers(dirname(folder), status.st_uid))
                return error_raise(err, ERR_USAGE, "'%s' is another user's, in a folder for all; choose another name",
                                   sink->shown);
        if (exists && !S_ISREG(status.st_mode))
                return file_sink_open_special(sink, to.path, cancel, err);
        if (to.magic)
                return error_raise(err, ERR_USAGE, "'%s' leads to a file by way of /proc; give the file's own name",
                                   sink->shown);
        return file_sink_open_partial(sink, to.path, set_id, exists ? &status : NULL, cancel, err);
}

int file_sink_new(const char *path, const char *set_id, enum file_existing existing, const atomic_bool *cancel,
                  struct stage **ret_stage, struct error *err)
{
        struct file_sink *sink = calloc(1, sizeof *sink);

        if (!sink)
                return error_no_memory(err);
        sink->stage.ops = &file_sink_ops;
        sink->staged = (struct staged)STAGED_INIT;
        sink->dir_fd = -1;
        sink->existing = existing;
        sink->shown = text_escape(path, strlen(path));
        if (!sink->shown) {
                stage_free(&sink->stage);
                return error_no_memory(err);
        }
        if (file_sink_open_target(sink, path, set_id, cancel, err) < 0 ||
            fd_sink_new(sink->staged.fd, path, cancel, &sink->stage.next, err) < 0) {
                stage_free(&sink->stage);
                return -1;
        }
        *ret_stage = &sink->stage;
        return 0;
}

/* ---- publishing ---- */

static int file_sink_rename(struct file_sink *sink, bool alone)
{
        struct staged *staged = &sink->staged;
        int fault = fault_point("sink-rename");

        if (fault) {
                errno = fault;
                return -1;
        }
        if (sink->existing != FILE_EXISTING_REPLACED)
                return staged_publish(staged, sink->name, STAGED_NEW);
        if (staged_publish(staged, sink->name, STAGED_EXCHANGED) == 0)
                return 0;
        /* Where the file system cannot exchange, a single file is replaced for good. */
        if (errno == EINVAL && alone)
                return staged_publish(staged, sink->name, STAGED_OVER);
        return errno == ENOENT ? staged_publish(staged, sink->name, STAGED_NEW) : -1;
}

static int file_sink_publish_one(struct file_sink *sink, bool alone, struct error *err)
{
        if (file_sink_rename(sink, alone) == 0)
                return 0;
        if (errno == ESTALE)
                return error_raise(err, ERR_FAILED, "'%s' was not put in place: somebody removed its partial file",
                                   sink->shown);
        if (errno == EEXIST)
                return file_sink_refuse_existing(sink, "has come into being meanwhile", err);
        return error_raise_errno(err, errno, "cannot rename the finished file to '%s'", sink->shown);
}

static int file_sink_sync_folder(const struct file_sink *sink, struct error *err)
{
        int fault = fault_point("sink-folder-sync");

        if (fault || staged_sync_folder(sink->dir_fd) < 0)
                return error_raise_errno(err, fault ? fault : errno, "cannot sync the folder of '%s'", sink->shown);
        return 0;
}

/* The end of a chain of codecs; NULL where it is something else. */
static struct file_sink *file_sink_at_end(struct stage *stage)
{
        while (stage && stage->ops != &file_sink_ops)
                stage = stage->next;
        return (struct file_sink *)stage;
}

/* The same; NULL also where it is written in place, or another process's to publish. */
static struct file_sink *file_sink_to_publish(struct stage *stage)
{
        struct file_sink *sink = file_sink_at_end(stage);

        return sink && sink->dir_fd >= 0 ? sink : NULL;
}

int file_sink_fd(struct stage *chain)
{
        const struct file_sink *sink = file_sink_at_end(chain);

        return sink && (sink->dir_fd >= 0 || sink->disowned) ? sink->staged.fd : -1;
}

void file_sink_disown(struct stage *chain)
{
        struct file_sink *sink = file_sink_to_publish(chain);

        if (!sink)
                return;
        staged_disown(&sink->staged);
        sink->disowned = true;
        fd_closep(&sink->dir_fd);
}

int file_sink_publish(struct stage *const *sinks, size_t count, struct error *err)
{
        size_t done = 0;
        int result = 0;

        for (; result == 0 && done < count; done += result == 0) {
                struct file_sink *sink = file_sink_to_publish(sinks[done]);

                result = sink ? file_sink_publish_one(sink, count == 1, err) : 0;
        }
        for (size_t i = 0; result == 0 && i < count; i++) {
                struct file_sink *sink = file_sink_to_publish(sinks[i]);

                result = sink ? file_sink_sync_folder(sink, err) : 0;
        }
        for (size_t i = 0; i < done; i++) {
                struct file_sink *sink = file_sink_to_publish(sinks[i]);

                if (sink)
                        (result < 0 ? staged_take_back : staged_conclude)(&sink->staged);
        }
        return result;
}
