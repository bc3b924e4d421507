#include "cli/run/progress.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/media/coding.h"
#include "cli/message.h"
#include "core/base/deadline.h"
#include "core/base/fd_io.h"

#define NS_PER_S 1000000000LL

enum { LAST_LINE_MS = 1000 }; /* the reader of the last line gets this long to take it */

static const int64_t draw_interval_ns[] = {
        [PROGRESS_AUTO] = NS_PER_S / 5, /* the bar */
        [PROGRESS_PLAIN] = 10 * NS_PER_S,
        [PROGRESS_JSON] = NS_PER_S,
};

static struct progress *progress_on_screen;

/* Waits for nobody but up to `patience_ms`: whoever does not read our progress must not keep the supervisor from its
 * work. A line is shorter than PIPE_BUF, so a pipe that is ready takes it whole. */
static void progress_write(int fd, const char *text, size_t size, int patience_ms)
{
        struct pollfd ready = { .fd = fd, .events = POLLOUT };

        if (poll(&ready, 1, patience_ms) == 1 && (ready.revents & POLLOUT))
                fd_write_full(fd, text, size, /* cancel= */ NULL);
}

static void progress_clear_bar(void)
{
        static const char erase[] = "\r\033[K";

        if (progress_on_screen)
                progress_write(progress_on_screen->fd, erase, sizeof erase - 1, 0);
}

int progress_init(struct progress *progress, const struct args *args, const char *verb, struct error *err)
{
        bool terminal;
        int flags;

        memset(progress, 0, sizeof *progress);
        pthread_mutex_init(&progress->lock, NULL);
        atomic_store(&progress->percent, -1);
        if (args->progress_fd >= 0) {
                flags = fcntl((int)args->progress_fd, F_GETFL);
                if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
                        return error_raise(err, ERR_USAGE, "--progress-fd %lld is not open for writing",
                                           (long long)args->progress_fd);
        }
        progress->fd = args->progress_fd >= 0 ? (int)args->progress_fd : STDERR_FILENO;
        progress->verb = verb;
        progress->about = args->coding ? args->coding->json : "";
        progress->mode = (enum progress_mode)args->progress;
        progress->started_ns = progress->drawn_ns = monotonic_ns();
        terminal = isatty(progress->fd);
        if (progress->mode == PROGRESS_AUTO) {
                progress->bar = terminal && !args->quiet;
                if (!progress->bar)
                        progress->mode = PROGRESS_NEVER;
        }
        if (progress->bar) {
                progress_on_screen = progress;
                message_set_line_clearer(progress_clear_bar);
        }
        return 0;
}

void progress_add(struct progress *progress, uint64_t bytes)
{
        atomic_fetch_add_explicit(&progress->done, bytes, memory_order_relaxed);
}

void progress_format_bytes(uint64_t bytes, char text[32])
{
        static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB", "PB" };
        double value = (double)bytes;
        size_t unit = 0;

        while (value >= 1000 && unit + 1 < sizeof units / sizeof units[0]) {
                value /= 1000;
                unit++;
        }
        snprintf(text, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

double progress_done(const struct progress *progress, char size[32])
{
        progress_format_bytes(atomic_load(&progress->done), size);
        return (double)(monotonic_ns() - progress->started_ns) / NS_PER_S;
}

void progress_set_note(struct progress *progress, const char *note)
{
        size_t used = 0;

        pthread_mutex_lock(&progress->lock);
        /* It stands in a line of a terminal, and in a string of JSON. */
        for (; *note && used < sizeof progress->note - 1; note++)
                progress->note[used++] =
                        (char)(*note < ' ' || *note > '~' || *note == '"' || *note == '\\' ? '?' : *note);
        progress->note[used] = '\0';
        pthread_mutex_unlock(&progress->lock);
}

static void progress_take_note(struct progress *progress, char note[PROGRESS_NOTE_MAX])
{
        pthread_mutex_lock(&progress->lock);
        memcpy(note, progress->note, sizeof progress->note);
        pthread_mutex_unlock(&progress->lock);
}

/* How much of the whole there is, as far as that is known: of the bytes, or as the server says. Negative: not known. */
static double progress_share(const struct progress *progress, uint64_t done, uint64_t total)
{
        return total ? 100.0 * (double)done / (double)total : atomic_load(&progress->percent);
}

static void progress_format_people(struct progress *progress, uint64_t done, uint64_t total, double seconds,
                                   const char *note, char *line, size_t size)
{
        double share = progress_share(progress, done, total);
        char share_text[16] = "";
        char done_text[32];
        char total_text[32];
        char rate_text[32];

        progress_format_bytes(done, done_text);
        progress_format_bytes(total, total_text);
        progress_format_bytes(seconds > 0 ? (uint64_t)((double)done / seconds) : 0, rate_text);
        if (share >= 0)
                snprintf(share_text, sizeof share_text, "%3.0f %%, ", share);
        snprintf(line, size, "%s: %s%s%s%s, %s/s%s%s", progress->verb, share_text, done_text, total ? " of " : "",
                 total ? total_text : "", rate_text, note[0] ? "; " : "", note);
}

static int progress_format_json(struct progress *progress, uint64_t done, uint64_t total, double seconds,
                                const char *note, bool last, char *line, size_t size)
{
        int percent = atomic_load(&progress->percent);
        char percent_text[32] = "";

        if (percent >= 0)
                snprintf(percent_text, sizeof percent_text, "\"percent\":%d,", percent);
        return snprintf(line, size,
                        "{\"operation\":\"%s\"%s,\"bytes\":%llu,\"total\":%llu,%s%s%s%s\"seconds\":%.3f,\"last\":%s}\n",
                        progress->verb, progress->about, (unsigned long long)done, (unsigned long long)total,
                        percent_text, note[0] ? "\"server\":\"" : "", note, note[0] ? "\"," : "", seconds,
                        last ? "true" : "false");
}

static void progress_draw(struct progress *progress, bool last)
{
        uint64_t done = atomic_load_explicit(&progress->done, memory_order_relaxed);
        uint64_t total = atomic_load_explicit(&progress->total, memory_order_relaxed);
        double seconds = (double)(monotonic_ns() - progress->started_ns) / NS_PER_S;
        char note[PROGRESS_NOTE_MAX];
        char text[448];
        char line[512 + CODING_WORDS_MAX];
        int length;

        progress_take_note(progress, note);
        if (progress->mode == PROGRESS_JSON) {
                length = progress_format_json(progress, done, total, seconds, note, last, line, sizeof line);
        } else {
                progress_format_people(progress, done, total, seconds, note, text, sizeof text);
                length = snprintf(line, sizeof line, progress->bar ? "\r\033[K%s" : "%s\n", text);
        }
        progress_write(progress->fd, line, (size_t)length, last ? LAST_LINE_MS : 0);
}

void progress_tick(struct progress *progress, bool last)
{
        int64_t now = monotonic_ns();

        if (progress->mode == PROGRESS_NEVER)
                return;
        if (last && progress->bar) {
                progress_clear_bar();
                progress_on_screen = NULL;
                message_set_line_clearer(NULL);
                return;
        }
        if (!last && now - progress->drawn_ns < draw_interval_ns[progress->mode])
                return;
        progress->drawn_ns = now;
        progress_draw(progress, last);
}
