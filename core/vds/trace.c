#include "core/vds/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/deadline.h"
#include "core/base/lock.h"
#include "core/vds/vds.h"

enum { LINE_SIZE = 512, DEVICE_COUNT = VDS_DEVICES_MAX + 1 };

/* A command that has not been completed. */
struct open_command {
        uint64_t serial;
        int64_t since_ns;
};

struct trace {
        int fd;
        char *path;
        const char *side;
        int64_t start_ns;

        pthread_mutex_t lock; /* guards what follows */
        int error;            /* errno of the first line that could not be written */
        struct open_command open[DEVICE_COUNT][VDS_QUEUE_DEPTH];
};

int trace_open(const char *path, const char *side, struct trace **ret_trace, struct error *err)
{
        struct trace *trace = calloc(1, sizeof *trace);

        *ret_trace = NULL;
        if (!trace || !(trace->path = strdup(path))) {
                free(trace);
                return error_no_memory(err);
        }
        trace->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
        if (trace->fd < 0) {
                error_raise_errno(err, errno, "cannot write the trace '%s'", path);
                free(trace->path);
                free(trace);
                return -1;
        }
        trace->side = side;
        trace->start_ns = monotonic_ns();
        pthread_mutex_init(&trace->lock, NULL);
        *ret_trace = trace;
        return 0;
}

static double trace_seconds(int64_t ns)
{
        return (double)ns / 1e9;
}

/* Writes what every line begins with, and the rest. Under the lock. */
static __attribute__((format(printf, 4, 5))) void trace_put_line(struct trace *trace, int64_t now, uint32_t device,
                                                                 const char *rest, ...)
{
        char line[LINE_SIZE];
        int length = snprintf(line, sizeof line, "{\"time\":%.6f,\"side\":\"%s\",\"device\":%" PRIu32 ",",
                              trace_seconds(now - trace->start_ns), trace->side, device);
        va_list args;
        ssize_t n;

        va_start(args, rest);
        length += vsnprintf(line + length, sizeof line - (size_t)length, rest, args);
        va_end(args);
        if (length >= LINE_SIZE) {
                trace->error = trace->error ? trace->error : EMSGSIZE;
                return;
        }
        do
                n = write(trace->fd, line, (size_t)length);
        while (n < 0 && errno == EINTR);
        if (n != length && !trace->error)
                trace->error = n < 0 ? errno : ENOSPC;
}

/* Where a device's command is remembered. A trace of a set with more devices than there are has none. */
static struct open_command *trace_place_of(struct trace *trace, uint32_t device, uint64_t serial)
{
        return device < DEVICE_COUNT ? &trace->open[device][serial % VDS_QUEUE_DEPTH] : NULL;
}

void trace_command(struct trace *trace, uint32_t device, uint64_t serial, int32_t command_code, int32_t size,
                   int64_t position)
{
        struct open_command *place;
        int64_t now;

        if (!trace)
                return;
        LOCKED(&trace->lock);
        now = monotonic_ns();
        place = trace_place_of(trace, device, serial);
        if (place)
                *place = (struct open_command){ .serial = serial, .since_ns = now };
        trace_put_line(trace, now, device,
                       "\"serial\":%" PRIu64 ",\"event\":\"command\",\"command\":\"%s\",\"size\":%" PRId32
                       ",\"position\":%" PRId64 "}\n",
                       serial, vds_command_name(command_code), size, position);
}

void trace_completion(struct trace *trace, uint32_t device, uint64_t serial, int32_t command_code, int32_t completion,
                      uint64_t bytes, int64_t position)
{
        struct open_command *place;
        int64_t now;
        int64_t since;

        if (!trace)
                return;
        LOCKED(&trace->lock);
        now = monotonic_ns();
        place = trace_place_of(trace, device, serial);
        since = place && place->serial == serial ? place->since_ns : now;
        trace_put_line(trace, now, device,
                       "\"serial\":%" PRIu64 ",\"event\":\"completion\",\"command\":\"%s\",\"code\":%" PRId32
                       ",\"bytes\":%" PRIu64 ",\"position\":%" PRId64 ",\"after\":%.6f}\n",
                       serial, vds_command_name(command_code), completion, bytes, position, trace_seconds(now - since));
}

/* Texts are ours (state names, English): what JSON would have to escape becomes a space. */
static void trace_put_text(char *to, size_t size, const char *text)
{
        size_t at = 0;

        for (; text && *text && at + 1 < size; text++)
                to[at++] = (unsigned char)*text < 0x20 || *text == '"' || *text == '\\' ? ' ' : *text;
        to[at] = '\0';
}

void trace_event(struct trace *trace, uint32_t device, const char *event, const char *text)
{
        char words[LINE_SIZE / 2];

        if (!trace)
                return;
        trace_put_text(words, sizeof words, text);
        LOCKED(&trace->lock);
        trace_put_line(trace, monotonic_ns(), device, "\"event\":\"%s\",\"text\":\"%s\"}\n", event, words);
}

int trace_close(struct trace *trace, struct error *err)
{
        int result = 0;

        if (!trace)
                return 0;
        if (close(trace->fd) < 0 && !trace->error)
                trace->error = errno;
        if (trace->error)
                result = error_raise_errno(err, trace->error, "cannot write the trace '%s'", trace->path);
        pthread_mutex_destroy(&trace->lock);
        free(trace->path);
        free(trace);
        return result;
}
