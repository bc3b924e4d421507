#include "cli/run/tracing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/message.h"
#include "core/base/cleanup.h"

/* Every line of a trace begins so. */
static const char first_byte = '{';

/* Looks without blocking: a fifo's reader may not be there yet. */
static int tracing_check_replaceable(const char *path, struct error *err)
{
        CLEANUP(fd_closep) int fd = -1;
        struct stat st;
        char found;

        if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
                return 0;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return error_raise_errno(err, errno, "cannot write the trace '%s'", path);
        if (read(fd, &found, 1) == 1 && found == first_byte)
                return 0;
        return error_raise(err, ERR_USAGE, "'%s' exists and is no trace; choose another name for --trace", path);
}

int tracing_open(const char *path, const char *side, struct trace **ret_trace, struct error *err)
{
        *ret_trace = NULL;
        if (!path)
                return 0;
        if (tracing_check_replaceable(path, err) < 0)
                return -1;
        if (trace_open(path, side, ret_trace, err) < 0) {
                if (err)
                        err->code = ERR_USAGE;
                return -1;
        }
        return 0;
}

void tracing_close(struct trace *trace)
{
        struct error err = ERROR_INIT;

        if (trace_close(trace, &err) < 0)
                message_warning("%s; it is not complete", err.message);
}
