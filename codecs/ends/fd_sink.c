#include "codecs/ends/ends.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/deadline.h"
#include "core/base/fault.h"
#include "core/base/fd_io.h"
#include "core/base/text.h"

enum { IOV_BATCH = 256, PIPE_ROOM = 1 << 20, WAIT_SLICE_MS = 1000, HURRY_MS = 1000, HURRY_PIECE = 4096 };

struct fd_sink {
        struct stage stage;
        int fd;
        char *name;
        const atomic_bool *cancel;
        bool syncs;    /* a file or a disk: data can be made durable */
        bool reserved; /* room behind the end was asked for */
        bool hurried;
        struct deadline hurry_until;
};

static int raise_write_error(const struct fd_sink *sink, int sys_errno, struct error *err)
{
        if (sys_errno == ECANCELED)
                return error_raise(err, ERR_ABORTED, "writing '%s' was interrupted", sink->name);
        if (sys_errno == EPIPE) {
                error_raise(err, ERR_PIPE, "'%s': whoever read it went away", sink->name);
                if (err)
                        err->sys_errno = EPIPE;
                return -1;
        }
        return error_raise_errno(err, sys_errno, "cannot write '%s'", sink->name);
}

/* A pipe that poll() calls writable takes HURRY_PIECE bytes without waiting. */
static int write_hurried(const struct fd_sink *sink, const struct iovec *iov)
{
        for (size_t done = 0; done < iov->iov_len;) {
                size_t piece = iov->iov_len - done < HURRY_PIECE ? iov->iov_len - done : HURRY_PIECE;
                struct pollfd poller = { .fd = sink->fd, .events = POLLOUT };
                ssize_t n;

                if (deadline_passed(sink->hurry_until) ||
                    (poll(&poller, 1, deadline_left_ms(sink->hurry_until)) < 0 && errno != EINTR))
                        return ETIMEDOUT;
                if (poller.revents == 0)
                        continue;
                n = write(sink->fd, (const char *)iov->iov_base + done, piece);
                if (n < 0 && errno != EINTR && errno != EAGAIN)
                        return errno;
                if (n > 0)
                        done += (size_t)n;
        }
        return 0;
}

/* Writes a batch, also to a descriptor that somebody made non-blocking: the entries that left are empty then, and the
 * rest is written when there is room. Returns 0 or an errno. */
static int write_batch(const struct fd_sink *sink, struct iovec *batch, int count)
{
        while (fd_writev_full(sink->fd, batch, count, sink->cancel, /* written= */ NULL) < 0) {
                struct pollfd poller = { .fd = sink->fd, .events = POLLOUT };

                if (errno != EAGAIN)
                        return errno;
                if (sink->cancel && atomic_load(sink->cancel))
                        return ECANCELED;
                if (poll(&poller, 1, WAIT_SLICE_MS) < 0 && errno != EINTR)
                        return errno;
        }
        return 0;
}

static int fd_sink_writev(struct stage *stage, const struct iovec *iov, int count, struct error *err)
{
        struct fd_sink *sink = (struct fd_sink *)stage;
        struct iovec batch[IOV_BATCH];
        int fault = fault_point("sink-write");

        if (fault)
                return raise_write_error(sink, fault, err);
        for (int done = 0; sink->hurried && done < count; done++) {
                fault = write_hurried(sink, &iov[done]);
                if (fault)
                        return raise_write_error(sink, fault, err);
        }
        while (!sink->hurried && count > 0) {
                int n = count < IOV_BATCH ? count : IOV_BATCH;

                if (sink->cancel && atomic_load(sink->cancel))
                        return raise_write_error(sink, ECANCELED, err);
                memcpy(batch, iov, (size_t)n * sizeof *iov);
                fault = write_batch(sink, batch, n);
                if (fault)
                        return raise_write_error(sink, fault, err);
                iov += n;
                count -= n;
        }
        return 0;
}

static int sync_fd(const struct fd_sink *sink, int (*sync)(int), struct error *err)
{
        int fault = fault_point("sink-sync");

        if (fault)
                return error_raise_errno(err, fault, "cannot sync '%s'", sink->name);
        if (!sink->syncs)
                return 0;
        while (sync(sink->fd) < 0) {
                if (errno == EINVAL || errno == EROFS)
                        return 0; /* a special file that has nothing to sync */
                if (errno != EINTR)
                        return error_raise_errno(err, errno, "cannot sync '%s'", sink->name);
                if (sink->cancel && atomic_load(sink->cancel))
                        return raise_write_error(sink, ECANCELED, err);
        }
        return 0;
}

static int fd_sink_flush(struct stage *stage, struct error *err)
{
        return sync_fd((struct fd_sink *)stage, fdatasync, err);
}

static int fd_sink_reserve(struct stage *stage, uint64_t bytes, struct error *err)
{
        struct fd_sink *sink = (struct fd_sink *)stage;
        struct stat status;
        off_t end;

        if (!sink->syncs || fstat(sink->fd, &status) < 0 || !S_ISREG(status.st_mode))
                return 0;
        end = lseek(sink->fd, 0, SEEK_CUR);
        if (end < 0 || bytes > INT64_MAX / 2)
                return 0;
        sink->reserved = fd_allocate(sink->fd, FALLOC_FL_KEEP_SIZE, end, (off_t)bytes) == 0;
        /* Only these mean that there is no room; anything else, that reserving is not to be had here. */
        if (!sink->reserved && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
                return raise_write_error(sink, errno, err);
        return 0;
}

static int fd_sink_finish(struct stage *stage, const char *report_json, struct error *err)
{
        struct fd_sink *sink = (struct fd_sink *)stage;
        struct stat status;

        (void)report_json;
        /* Gives back what was reserved and not needed. */
        if (sink->reserved && fstat(sink->fd, &status) == 0 && ftruncate(sink->fd, status.st_size) < 0)
                return raise_write_error(sink, errno, err);
        return sync_fd(sink, fsync, err);
}

static void fd_sink_hurry(struct stage *stage)
{
        struct fd_sink *sink = (struct fd_sink *)stage;

        if (!sink->hurried)
                sink->hurry_until = deadline_after_ms(HURRY_MS);
        sink->hurried = true;
}

static void fd_sink_free(struct stage *stage)
{
        struct fd_sink *sink = (struct fd_sink *)stage;

        free(sink->name);
        free(sink);
}

static const struct stage_ops fd_sink_ops = {
        .name = "descriptor",
        .writev = fd_sink_writev,
        .flush = fd_sink_flush,
        .reserve = fd_sink_reserve,
        .complete = fd_sink_flush,
        .finish = fd_sink_finish,
        .hurry = fd_sink_hurry,
        .free = fd_sink_free,
};

int fd_sink_new(int fd, const char *name, const atomic_bool *cancel, struct stage **ret_stage, struct error *err)
{
        struct fd_sink *sink = calloc(1, sizeof *sink);
        struct stat status;

        if (!sink)
                return error_no_memory(err);
        sink->stage.ops = &fd_sink_ops;
        sink->fd = fd;
        sink->cancel = cancel;
        sink->name = text_escape(name, strlen(name));
        if (!sink->name) {
                free(sink);
                return error_no_memory(err);
        }
        if (fstat(fd, &status) < 0) {
                error_raise_errno(err, errno, "cannot write '%s'", sink->name);
                fd_sink_free(&sink->stage);
                return -1;
        }
        sink->syncs = S_ISREG(status.st_mode) || S_ISBLK(status.st_mode);
        /* A larger pipe halves the system calls of both ends; a limit that forbids it costs nothing but that. */
        if (S_ISFIFO(status.st_mode) && fcntl(fd, F_GETPIPE_SZ) < PIPE_ROOM)
                (void)fcntl(fd, F_SETPIPE_SZ, PIPE_ROOM);
        *ret_stage = &sink->stage;
        return 0;
}
