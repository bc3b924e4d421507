#include "cli/commands/exec_signals.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/signals.h"
#include "core/base/cleanup.h"

struct exec_signals {
        pthread_t thread;
        sigset_t old_mask;
        int signal_fd;
        int stop_fd;

        pthread_mutex_t lock;
        int number; /* of the first signal; 0: none came */
        void (*abort_run)(void *run);
        void *run;
};

static void exec_signals_take(struct exec_signals *signals)
{
        struct signalfd_siginfo info;

        if (read(signals->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
                return;
        pthread_mutex_lock(&signals->lock);
        if (!signals->number)
                signals->number = (int)info.ssi_signo;
        if (signals->abort_run)
                signals->abort_run(signals->run);
        pthread_mutex_unlock(&signals->lock);
}

static void *signals_main(void *signals_at)
{
        struct exec_signals *signals = signals_at;
        struct pollfd fds[] = {
                { .fd = signals->signal_fd, .events = POLLIN },
                { .fd = signals->stop_fd, .events = POLLIN },
        };

        while (!(fds[1].revents & POLLIN)) {
                if (poll(fds, 2, -1) < 0 && errno != EINTR)
                        break;
                if (fds[0].revents & POLLIN)
                        exec_signals_take(signals);
        }
        return NULL;
}

static void exec_signals_free(struct exec_signals *signals)
{
        fd_closep(&signals->signal_fd);
        fd_closep(&signals->stop_fd);
        pthread_sigmask(SIG_SETMASK, &signals->old_mask, NULL);
        pthread_mutex_destroy(&signals->lock);
        free(signals);
}

int exec_signals_start(struct exec_signals **ret_signals, struct error *err)
{
        struct exec_signals *signals = calloc(1, sizeof *signals);
        sigset_t mask;
        int result = 0;

        *ret_signals = NULL;
        if (!signals)
                return error_no_memory(err);
        pthread_mutex_init(&signals->lock, NULL);
        signals_that_end(&mask, /* with_quit= */ false);
        pthread_sigmask(SIG_BLOCK, &mask, &signals->old_mask);
        signals->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        signals->stop_fd = eventfd(0, EFD_CLOEXEC);
        if (signals->signal_fd < 0 || signals->stop_fd < 0)
                result = errno;
        if (!result)
                result = pthread_create(&signals->thread, NULL, signals_main, signals);
        if (result) {
                exec_signals_free(signals);
                return error_raise_errno(err, result, "cannot watch for signals");
        }
        *ret_signals = signals;
        return 0;
}

void exec_signals_set_abort(struct exec_signals *signals, void (*abort_run)(void *run), void *run)
{
        pthread_mutex_lock(&signals->lock);
        signals->abort_run = abort_run;
        signals->run = run;
        if (signals->number && abort_run)
                abort_run(run);
        pthread_mutex_unlock(&signals->lock);
}

void exec_signals_check(struct exec_signals *signals, struct error *err)
{
        pthread_mutex_lock(&signals->lock);
        if (signals->number)
                signals_raise(signals->number, err);
        pthread_mutex_unlock(&signals->lock);
}

void exec_signals_stop(struct exec_signals *signals)
{
        eventfd_write(signals->stop_fd, 1);
        pthread_join(signals->thread, NULL);
        exec_signals_free(signals);
}
