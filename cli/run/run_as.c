#include "cli/run/run_as.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/media/coding.h"
#include "cli/text/secrets.h"
#include "cli/run/sqlvdi.h"
#include "codecs/codecs.h"
#include "core/base/cleanup.h"
#include "core/base/deadline.h"
#include "core/base/fd_io.h"
#include "core/base/rights.h"

enum {
        KEEPER_GRACE_MS = 10000, /* for the removal of files that were not published */
        PUBLISH_ORDER = 'P',
};

struct run_as {
        pid_t keeper;
        int pidfd;
        int fd; /* a connection with the keeper, whose end is the end of us */
        int64_t patience_ms;
};

/* ---- who ---- */

/* NULL where --run-as is not given, or names who we are. */
static int run_as_find_user(const struct args *args, const struct passwd **ret_user, struct error *err)
{
        const struct passwd *user;

        *ret_user = NULL;
        if (!args->run_as)
                return 0;
        user = getpwnam(args->run_as);
        if (!user)
                return error_raise(err, ERR_USAGE,
                                   "--run-as: there is no user '%s'; the package mssql-server makes " SQLVDI_ACCOUNT,
                                   args->run_as);
        if (user->pw_uid == geteuid() && user->pw_uid == getuid())
                return 0;
        if (geteuid() != 0)
                return error_raise(err, ERR_USAGE,
                                   "--run-as %s needs root; run this as root, or as %s and without --run-as",
                                   args->run_as, args->run_as);
        *ret_user = user;
        return 0;
}

int run_as_check(const struct args *args, struct error *err)
{
        const struct passwd *user;

        return run_as_find_user(args, &user, err);
}

/* ---- the keeper ---- */

/* What this process opened itself is closed on exec. What is not came from who started it: a cron job's lock, the end
 * of a pipe. */
static void run_as_close_inherited(void)
{
        CLEANUP(dir_closep) DIR *dir = opendir("/proc/self/fd");
        const struct dirent *entry;

        while (dir && (entry = readdir(dir))) {
                int fd = (int)strtol(entry->d_name, NULL, 10);

                if (fd > STDERR_FILENO && !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
                        close(fd);
        }
}

/* No core, no secret and no end of a pipe is to live on here. */
static void run_as_forget(const struct args *args, const char **secret)
{
        CLEANUP(fd_closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        sigset_t all;

        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        prctl(PR_SET_DUMPABLE, 0);
        coding_forget(args);
        if (secret)
                secrets_forget(secret);
        for (int i = STDIN_FILENO; null >= 0 && i <= STDOUT_FILENO; i++)
                dup2(null, i);
        run_as_close_inherited();
}

static void run_as_keep(const struct args *args, const char **secret, struct stage *const *files, size_t count, int fd)
{
        char order = 0;
        ssize_t got;

        run_as_forget(args, secret);
        do
                got = recv(fd, &order, sizeof order, 0);
        while (got < 0 && errno == EINTR);
        if (got == (ssize_t)sizeof order && order == PUBLISH_ORDER) {
                struct error outcome = ERROR_INIT;

                file_sink_publish(files, count, &outcome);
                send(fd, &outcome, sizeof outcome, MSG_NOSIGNAL);
        }
        /* What was published is no partial file any more. */
        for (size_t i = 0; i < count; i++)
                stage_free(files[i]);
        _exit(0);
}

static int run_as_start_keeper(const struct args *args, const char **secret, struct stage *const *files, size_t count,
                               struct run_as **ret_run_as, struct error *err)
{
        CLEANUP(freep) struct run_as *run_as = calloc(1, sizeof *run_as);
        int pair[2];

        if (!run_as)
                return error_no_memory(err);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return error_raise_errno(err, errno, "--run-as: preparing to put the files in place");
        run_as->fd = pair[0];
        run_as->patience_ms = args->stall_timeout_ms;
        run_as->keeper = fork();
        if (run_as->keeper == 0) {
                close(pair[0]);
                run_as_keep(args, secret, files, count, pair[1]);
        }
        run_as->pidfd = run_as->keeper > 0 ? fd_pidfd_open(run_as->keeper) : -1;
        if (run_as->pidfd < 0)
                error_raise_errno(err, errno, "--run-as: starting the process that puts the files in place");
        close(pair[1]);
        if (run_as->pidfd < 0) {
                run_as_end(take_ptr(&run_as));
                return -1;
        }
        /* A folder's descriptor would let USER at what else is in there. */
        for (size_t i = 0; i < count; i++)
                file_sink_disown(files[i]);
        *ret_run_as = take_ptr(&run_as);
        return 0;
}

/* ---- for the command ---- */

int run_as_begin(const struct args *args, const char **secret, struct stage *const *files, size_t count,
                 struct run_as **ret_run_as, struct error *err)
{
        const struct passwd *user;
        bool published = false;

        *ret_run_as = NULL;
        if (run_as_find_user(args, &user, err) < 0)
                return -1;
        for (size_t i = 0; i < count; i++)
                published = published || file_sink_fd(files[i]) >= 0;
        if (!user)
                return 0;
        if (published && run_as_start_keeper(args, secret, files, count, ret_run_as, err) < 0)
                return -1;
        if (rights_become(user->pw_uid, err) == 0)
                return 0;
        run_as_end(take_ptr(ret_run_as));
        return error_prefix(err, "--run-as %s: ", args->run_as);
}

int run_as_keeper_fd(const struct run_as *run_as)
{
        return run_as ? run_as->pidfd : -1;
}

/* Returns 1 when `fd` is ready, 0 when the time is up. Interruptions are for waits that can be broken off. */
static bool run_as_await(int fd, int64_t timeout_ms)
{
        struct deadline deadline = deadline_after_ms(timeout_ms);
        struct pollfd pollfd = { .fd = fd, .events = POLLIN };
        int rc;

        do
                rc = poll(&pollfd, 1, deadline_left_ms(deadline));
        while (rc < 0 && errno == EINTR);
        return rc > 0;
}

int run_as_publish(struct run_as *run_as, struct stage *const *files, size_t count, struct error *err)
{
        const char order = PUBLISH_ORDER;
        struct error outcome = ERROR_INIT;

        if (!run_as)
                return file_sink_publish(files, count, err);
        if (send(run_as->fd, &order, sizeof order, MSG_NOSIGNAL) == (ssize_t)sizeof order &&
            !run_as_await(run_as->fd, run_as->patience_ms))
                return error_raise(err, ERR_TIMEOUT,
                                   "putting the files in place took longer than %g s "
                                   "(--stall-timeout); look whether they are there",
                                   (double)run_as->patience_ms / 1000);
        if (recv(run_as->fd, &outcome, sizeof outcome, MSG_DONTWAIT) != (ssize_t)sizeof outcome)
                return error_raise(
                        err, ERR_PEER_DIED,
                        "the process that puts the files in place for --run-as was killed; look whether they "
                        "are there");
        outcome.message[sizeof outcome.message - 1] = '\0';
        return error_hand_over(err, &outcome);
}

/* It cannot be killed: it is root's. */
void run_as_end(struct run_as *run_as)
{
        if (!run_as)
                return;
        fd_closep(&run_as->fd);
        if (run_as->pidfd >= 0 && run_as_await(run_as->pidfd, KEEPER_GRACE_MS))
                waitpid(run_as->keeper, NULL, 0);
        fd_closep(&run_as->pidfd);
        free(run_as);
}
