#include "cli/run/supervise.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/exit_status.h"
#include "cli/message.h"
#include "cli/signals.h"
#include "core/base/cleanup.h"
#include "core/base/deadline.h"
#include "core/base/lock.h"

enum {
        TICK_MS = 200,          /* progress, stalls */
        ABORT_MS = 500,         /* from an abort by others to the interruption of workers that are still busy */
        SERVER_ABORT_MS = 3000, /* the same where the server's end will say why */
        LIBRARY_MS = 5000,      /* from the end of the operation to ours, while a library keeps a thread */
        INTERRUPT_MS = 20,      /* between two interruptions of workers that have not left yet */
        INTERRUPT_SIGNAL = SIGUSR1,
};

struct supervisor {
        pthread_t thread;
        int signal_fd;
        int wake_fd; /* written to when something below changed */
        int64_t stall_timeout_ns;
        struct progress *progress;
        atomic_bool cancel;

        pthread_mutex_t lock; /* everything below */
        bool stopping;
        struct engine *engine;
        bool serving;             /* workers serve the engine's devices */
        int64_t aborted_since_ns; /* 0: the set is not aborted, as far as we know */
        int64_t cancelled_since_ns;
        int64_t absent_since_ns; /* 0: each device that the server has opened is served, as far as we know */
        int keeper_fd;           /* borrowed; -1: none */
        int server_fd;           /* the same */
        bool server_joined;
        supervised_end *server_ended;
        void *server_context;
        struct worker *workers;
        struct error reason;
};

static void interrupt_handler(int signal_number)
{
        (void)signal_number;
}

static void supervisor_wake(struct supervisor *supervisor)
{
        eventfd_write(supervisor->wake_fd, 1);
}

/* With the lock held. */
static void supervisor_cancel_now(struct supervisor *supervisor, const struct error *reason)
{
        error_keep_first(&supervisor->reason, reason);
        if (!supervisor->cancelled_since_ns)
                supervisor->cancelled_since_ns = monotonic_ns();
        atomic_store(&supervisor->cancel, true);
        if (supervisor->engine)
                engine_signal_abort(supervisor->engine);
}

/* The same for a reason in words. */
#define supervisor_cancel_for(supervisor, code, ...)         \
        do {                                                 \
                struct error reason_ = ERROR_INIT;           \
                error_raise(&reason_, code, __VA_ARGS__);    \
                supervisor_cancel_now(supervisor, &reason_); \
        } while (0)

static void supervisor_take_signal(struct supervisor *supervisor)
{
        struct signalfd_siginfo info;
        struct error reason = ERROR_INIT;

        if (read(supervisor->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
                return;
        signals_raise((int)info.ssi_signo, &reason);
        supervisor_cancel_now(supervisor, &reason);
}

/* A server that ends other than well leaves nobody behind who would take a blocked worker's bytes. */
static void supervisor_take_server_end(struct supervisor *supervisor)
{
        struct error reason = ERROR_INIT;

        supervisor->server_fd = -1;
        if (!supervisor->server_joined && supervisor->engine)
                engine_signal_abort(supervisor->engine);
        if (supervisor->server_ended(supervisor->server_context, &reason))
                supervisor_cancel_now(supervisor, &reason);
}

static void supervisor_take_keeper_end(struct supervisor *supervisor)
{
        supervisor->keeper_fd = -1;
        supervisor_cancel_for(supervisor, ERR_FAILED, "the process that keeps the files for --run-as was killed");
}

/* A thread in a library cannot be ended, and with it neither can those that wait for it: after a while the process is.
 * What it wrote has no end that a reader would accept, and nobody holds its locks. */
static void supervisor_look_for_lost_calls(struct supervisor *supervisor)
{
        int64_t inside_ms = supervisor->engine ? engine_inside_ms(supervisor->engine) : 0;

        if (inside_ms < LIBRARY_MS)
                return;
        if (!supervisor->cancelled_since_ns && inside_ms * 1000000 >= supervisor->stall_timeout_ns)
                supervisor_cancel_for(supervisor, ERR_TIMEOUT,
                                      "nothing came back from the library of the devices for %g s (--stall-timeout)",
                                      (double)supervisor->stall_timeout_ns / 1e9);
        if (!supervisor->cancelled_since_ns ||
            monotonic_ns() - supervisor->cancelled_since_ns < (int64_t)LIBRARY_MS * 1000000)
                return;
        message_error("%s; the library of the devices (--sqlvdi) keeps a thread, so this ends without cleaning up",
                      supervisor->reason.message);
        _exit(exit_status(&supervisor->reason));
}

static void supervisor_look_for_stalls(struct supervisor *supervisor)
{
        int64_t now = monotonic_ns();

        for (struct worker *worker = supervisor->workers; worker; worker = worker->next) {
                int64_t since = atomic_load(&worker->busy_since);

                if (since && now - since >= supervisor->stall_timeout_ns)
                        supervisor_cancel_for(supervisor, ERR_TIMEOUT,
                                              "%s%s%s: nothing moved for %g s (--stall-timeout)", worker->doing,
                                              worker->what[0] ? " " : "", worker->what,
                                              (double)supervisor->stall_timeout_ns / 1e9);
        }
}

/* Of a device that nobody took no worker knows: whoever was to attach may never have come. */
static void supervisor_look_for_absence(struct supervisor *supervisor)
{
        int64_t now = monotonic_ns();
        uint32_t device;

        if (!supervisor->engine || !engine_unserved(supervisor->engine, &device)) {
                supervisor->absent_since_ns = 0;
                return;
        }
        if (!supervisor->absent_since_ns)
                supervisor->absent_since_ns = now;
        if (now - supervisor->absent_since_ns >= supervisor->stall_timeout_ns)
                supervisor_cancel_for(supervisor, ERR_TIMEOUT,
                                      "nobody served device %u within %g s (--stall-timeout); that is for "
                                      "'vdipipe attach', or for another FILE here",
                                      device + 1, (double)supervisor->stall_timeout_ns / 1e9);
}

static bool supervisor_any_busy(const struct supervisor *supervisor)
{
        for (const struct worker *worker = supervisor->workers; worker; worker = worker->next)
                if (atomic_load(&worker->busy_since))
                        return true;
        return false;
}

/* An abort by others wakes who waits for commands, not who is blocked on a file. A server that is watched says more by
 * its end, and gets time for it. */
static void supervisor_look_for_abort(struct supervisor *supervisor)
{
        int64_t patience_ms = supervisor->server_fd >= 0 ? SERVER_ABORT_MS : ABORT_MS;
        int64_t now = monotonic_ns();

        if (!supervisor->serving || !supervisor->engine || atomic_load(&supervisor->cancel))
                return;
        if (engine_abort_reason(supervisor->engine) == VDS_ABORT_NONE)
                return;
        if (!supervisor->aborted_since_ns)
                supervisor->aborted_since_ns = now;
        if (now - supervisor->aborted_since_ns >= patience_ms * 1000000 && supervisor_any_busy(supervisor))
                supervisor_cancel_for(supervisor, ERR_ABORTED, "the device set was aborted: %s",
                                      engine_abort_text(supervisor->engine));
}

static void supervisor_interrupt(struct supervisor *supervisor)
{
        for (struct worker *worker = supervisor->workers; worker; worker = worker->next)
                pthread_kill(worker->thread, INTERRUPT_SIGNAL);
}

/* With the lock held, after poll: what happened, and what time brought. */
static void supervisor_handle(struct supervisor *supervisor, const struct pollfd *fds)
{
        eventfd_t ignored;

        if (fds[0].revents)
                supervisor_take_signal(supervisor);
        if (fds[1].revents)
                eventfd_read(supervisor->wake_fd, &ignored);
        if (fds[2].revents && fds[2].fd == supervisor->server_fd)
                supervisor_take_server_end(supervisor);
        if (fds[3].revents && fds[3].fd == supervisor->keeper_fd)
                supervisor_take_keeper_end(supervisor);
        supervisor_look_for_stalls(supervisor);
        supervisor_look_for_lost_calls(supervisor);
        supervisor_look_for_absence(supervisor);
        supervisor_look_for_abort(supervisor);
        if (atomic_load(&supervisor->cancel))
                supervisor_interrupt(supervisor);
}

/* Without the watch nobody could end us, so the operation ends now;
 * workers are still interrupted by the next rounds. */
static void supervisor_cancel_for_errno(struct supervisor *supervisor, int sys_errno)
{
        struct error reason = ERROR_INIT;

        error_raise_errno(&reason, sys_errno, "watching for signals");
        supervisor_cancel_now(supervisor, &reason);
        supervisor_interrupt(supervisor);
}

static void *supervisor_main(void *argument)
{
        struct supervisor *supervisor = argument;

        for (;;) {
                struct pollfd fds[] = {
                        { .fd = supervisor->signal_fd, .events = POLLIN },
                        { .fd = supervisor->wake_fd, .events = POLLIN },
                        { .fd = -1, .events = POLLIN },
                        { .fd = -1, .events = POLLIN },
                };
                bool stopping;
                int rc;

                pthread_mutex_lock(&supervisor->lock);
                stopping = supervisor->stopping;
                fds[2].fd = supervisor->server_fd;
                fds[3].fd = supervisor->keeper_fd;
                pthread_mutex_unlock(&supervisor->lock);
                if (stopping)
                        return NULL;
                rc = poll(fds, 4, atomic_load(&supervisor->cancel) ? INTERRUPT_MS : TICK_MS);
                pthread_mutex_lock(&supervisor->lock);
                if (rc >= 0)
                        supervisor_handle(supervisor, fds);
                else if (errno != EINTR)
                        supervisor_cancel_for_errno(supervisor, errno);
                pthread_mutex_unlock(&supervisor->lock);
                progress_tick(supervisor->progress, /* last= */ false);
        }
}

static void supervisor_free(struct supervisor *supervisor)
{
        fd_closep(&supervisor->signal_fd);
        fd_closep(&supervisor->wake_fd);
        pthread_mutex_destroy(&supervisor->lock);
        free(supervisor);
}

int supervisor_start(int64_t stall_timeout_ms, struct progress *progress, struct supervisor **ret_supervisor,
                     struct error *err)
{
        struct sigaction action = { .sa_handler = interrupt_handler }; /* no SA_RESTART: calls shall return */
        struct supervisor *supervisor = calloc(1, sizeof *supervisor);
        sigset_t set;
        int rc;

        if (!supervisor)
                return error_no_memory(err);
        pthread_mutex_init(&supervisor->lock, NULL);
        supervisor->server_fd = -1;
        supervisor->keeper_fd = -1;
        supervisor->stall_timeout_ns = stall_timeout_ms * 1000000;
        supervisor->progress = progress;
        sigaction(INTERRUPT_SIGNAL, &action, NULL);
        signals_that_end(&set, /* with_quit= */ true);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        supervisor->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        supervisor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        rc = supervisor->signal_fd < 0 || supervisor->wake_fd < 0
                     ? errno
                     : pthread_create(&supervisor->thread, NULL, supervisor_main, supervisor);
        if (rc) {
                supervisor_free(supervisor);
                return error_raise_errno(err, rc, "starting the supervising thread");
        }
        *ret_supervisor = supervisor;
        return 0;
}

void supervisor_stop(struct supervisor *supervisor)
{
        if (!supervisor)
                return;
        pthread_mutex_lock(&supervisor->lock);
        supervisor->stopping = true;
        pthread_mutex_unlock(&supervisor->lock);
        supervisor_wake(supervisor);
        pthread_join(supervisor->thread, NULL);
        progress_tick(supervisor->progress, /* last= */ true);
        supervisor_free(supervisor);
}

const atomic_bool *supervisor_cancel_flag(const struct supervisor *supervisor)
{
        return &supervisor->cancel;
}

void supervisor_watch_engine(struct supervisor *supervisor, struct engine *engine)
{
        LOCKED(&supervisor->lock);

        supervisor->engine = engine;
        if (engine && atomic_load(&supervisor->cancel))
                engine_signal_abort(engine);
}

void supervisor_set_serving(struct supervisor *supervisor, bool serving)
{
        LOCKED(&supervisor->lock);

        supervisor->serving = serving;
}

void supervisor_watch_server(struct supervisor *supervisor, int fd, supervised_end *ended, void *context)
{
        pthread_mutex_lock(&supervisor->lock);
        supervisor->server_fd = fd;
        supervisor->server_joined = false;
        supervisor->server_ended = ended;
        supervisor->server_context = context;
        pthread_mutex_unlock(&supervisor->lock);
        supervisor_wake(supervisor);
}

void supervisor_watch_keeper(struct supervisor *supervisor, int fd)
{
        pthread_mutex_lock(&supervisor->lock);
        supervisor->keeper_fd = fd;
        pthread_mutex_unlock(&supervisor->lock);
        supervisor_wake(supervisor);
}

void supervisor_server_joined(struct supervisor *supervisor)
{
        LOCKED(&supervisor->lock);

        supervisor->server_joined = true;
}

void supervisor_enter(struct supervisor *supervisor, struct worker *worker, const char *doing, const char *what)
{
        worker->thread = pthread_self();
        worker->doing = doing;
        worker->what = what;
        atomic_store(&worker->busy_since, 0);
        LOCKED(&supervisor->lock);
        worker->next = supervisor->workers;
        supervisor->workers = worker;
}

void supervisor_leave(struct supervisor *supervisor, struct worker *worker)
{
        LOCKED(&supervisor->lock);

        for (struct worker **at = &supervisor->workers; *at; at = &(*at)->next) {
                if (*at == worker) {
                        *at = worker->next;
                        break;
                }
        }
}

void worker_begin(struct worker *worker)
{
        atomic_store(&worker->busy_since, monotonic_ns());
}

void worker_end(struct worker *worker)
{
        atomic_store(&worker->busy_since, 0);
}

bool supervisor_is_busy(struct supervisor *supervisor)
{
        LOCKED(&supervisor->lock);

        return supervisor_any_busy(supervisor);
}

void supervisor_cancel(struct supervisor *supervisor, const struct error *reason)
{
        pthread_mutex_lock(&supervisor->lock);
        supervisor_cancel_now(supervisor, reason);
        pthread_mutex_unlock(&supervisor->lock);
        supervisor_wake(supervisor);
}

int supervisor_check(const struct supervisor *supervisor, struct error *err)
{
        if (!atomic_load(&supervisor->cancel))
                return 0;
        /* The reason was stored before the flag and does not change any more. */
        if (err)
                *err = supervisor->reason;
        return -1;
}
