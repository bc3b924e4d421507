#include "codecs/ends/ends.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/fault.h"
#include "core/base/fd_io.h"

enum { PIPE_ROOM = 1 << 20, WAIT_SLICE_MS = 1000 };

struct fd_source {
        struct source source;
        int fd;
        const atomic_bool *cancel;
};

/* One read, also from a descriptor that somebody made non-blocking. */
static ssize_t read_waiting(const struct fd_source *fds, void *buffer, size_t size)
{
        for (;;) {
                struct pollfd poller = { .fd = fds->fd, .events = POLLIN };
                ssize_t n = -1;

                errno = ECANCELED;
                if (!(fds->cancel && atomic_load(fds->cancel)))
                        n = fd_read_some(fds->fd, buffer, size, fds->cancel);
                if (n >= 0 || errno != EAGAIN)
                        return n;
                if (poll(&poller, 1, WAIT_SLICE_MS) < 0 && errno != EINTR)
                        return -1;
        }
}

static ssize_t fd_source_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct fd_source *fds = (struct fd_source *)source;
        int fault = fault_point("source-read");
        ssize_t n = -1;

        errno = fault;
        if (!fault)
                n = read_waiting(fds, buffer, size);
        if (n >= 0)
                return n;
        if (errno == ECANCELED)
                return error_raise(err, ERR_ABORTED, "reading %s was interrupted", fds->source.label);
        return error_raise_errno(err, errno, "cannot read %s", fds->source.label);
}

static bool fd_source_ready(struct source *source)
{
        struct pollfd poller = { .fd = ((struct fd_source *)source)->fd, .events = POLLIN };

        return poll(&poller, 1, 0) > 0;
}

static const struct source_ops fd_source_ops = {
        .name = "descriptor",
        .read = fd_source_read,
        .ready = fd_source_ready,
};

int fd_source_new(int fd, const char *label, const atomic_bool *cancel, struct source **ret_source, struct error *err)
{
        struct fd_source *fds;
        struct stat status = { 0 };

        if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
                return error_raise(err, ERR_USAGE, "%s is a directory", label);
        fds = source_make(sizeof *fds, &fd_source_ops, /* next= */ NULL, label, err);
        if (!fds)
                return -1;
        fds->fd = fd;
        fds->cancel = cancel;
        if (S_ISFIFO(status.st_mode) && fcntl(fd, F_GETPIPE_SZ) < PIPE_ROOM)
                (void)fcntl(fd, F_SETPIPE_SZ, PIPE_ROOM);
        *ret_source = &fds->source;
        return 0;
}

struct peek_source {
        struct source source;
        uint8_t bytes[PEEK_MAX];
        size_t start, end;
};

static ssize_t peek_source_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct peek_source *peek = (struct peek_source *)source;
        size_t n = peek->end - peek->start;

        if (n == 0)
                return source_read(source->next, buffer, size, err);
        if (n > size)
                n = size;
        memcpy(buffer, peek->bytes + peek->start, n);
        peek->start += n;
        return (ssize_t)n;
}

static bool peek_source_ready(struct source *source)
{
        struct peek_source *peek = (struct peek_source *)source;

        return peek->end > peek->start || source_ready(source->next);
}

static const struct source_ops peek_source_ops = {
        .name = "bytes looked at",
        .read = peek_source_read,
        .ready = peek_source_ready,
};

int peek_source_new(struct source *next, const uint8_t *bytes, size_t size, struct source **ret_source,
                    struct error *err)
{
        struct peek_source *peek = source_make(sizeof *peek, &peek_source_ops, next, /* label= */ NULL, err);

        if (!peek)
                return -1;
        memcpy(peek->bytes, bytes, size);
        peek->end = size;
        *ret_source = &peek->source;
        return 0;
}
