#include "cli/run/server_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/base/fd_io.h"
#include "core/sqlite/sqlite.h"

enum {
        JOB_FD = 3,
        CONNECTION_FD, /* the server's end of the connection to the client */
        CHILD_FDS,
        JOB_SIZE_MAX = 1 << 20,
        LAST_GRACE_S = 2, /* from the parent's death, or SIGTERM, to the end of the child whatever it is doing */
};

/* The terminal's signals reach the child too; it leaves the decision to its parent. */
static const int parents_signals[] = { SIGINT, SIGHUP, SIGQUIT };

static int server_job_to_memfd(const struct server_job *job, struct error *err)
{
        CLEANUP(freep) char *json = NULL;
        CLEANUP(fd_closep) int fd = -1;

        if (server_job_encode(job, &json, err) < 0)
                return -1;
        fd = memfd_create("vdipipe-job", MFD_CLOEXEC);
        if (fd < 0 || fd_write_full(fd, json, strlen(json), /* cancel= */ NULL) < 0 || lseek(fd, 0, SEEK_SET) < 0)
                return error_raise_errno(err, errno, "handing the job to the server process");
        return take_fd(&fd);
}

/* Moves a descriptor out of the way of the child's. */
static int server_lift_fd(int *fd)
{
        CLEANUP(fd_closep) int low = *fd;

        *fd = fcntl(low, F_DUPFD_CLOEXEC, CHILD_FDS);
        return *fd < 0 ? -1 : 0;
}

static void server_prepare_spawn(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int job_fd,
                                 int connection_fd)
{
        sigset_t mask;

        posix_spawn_file_actions_init(actions);
        posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_adddup2(actions, job_fd, JOB_FD);
        posix_spawn_file_actions_adddup2(actions, connection_fd, CONNECTION_FD);
#ifndef VDIPIPE_FAULTS
        /* A lock that a cron line holds on some descriptor, or the end of a pipe, is not to live on in the server. */
        posix_spawn_file_actions_addclosefrom_np(actions, CHILD_FDS);
#endif
        /* The signals stay blocked until the child has said what it does with them. */
        sigemptyset(&mask);
        for (size_t i = 0; i < sizeof parents_signals / sizeof parents_signals[0]; i++)
                sigaddset(&mask, parents_signals[i]);
        posix_spawnattr_init(attributes);
        posix_spawnattr_setsigmask(attributes, &mask);
        posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK);
}

int server_process_start(struct server_process *process, const struct server_job *job, int *ret_connection,
                         struct error *err)
{
        static char name[] = "vdipipe";
        static char command[] = "__server";
        char parent[24];
        char *argv[] = { name, command, parent, NULL };
        CLEANUP(fd_closep) int job_fd = server_job_to_memfd(job, err);
        CLEANUP(fd_closep) int client_fd = -1;
        CLEANUP(fd_closep) int server_fd = -1;
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        bool killed;
        int rc;

        if (job_fd < 0)
                return -1;
        if (vds_connection_pair(&client_fd, &server_fd) != NOERROR || server_lift_fd(&job_fd) < 0 ||
            server_lift_fd(&server_fd) < 0)
                return error_raise_errno(err, errno, "making a connection to the server process");
        snprintf(parent, sizeof parent, "%ld", (long)getpid());
        server_prepare_spawn(&actions, &attributes, job_fd, server_fd);
        rc = posix_spawn(&process->pid, "/proc/self/exe", &actions, &attributes, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
        if (rc) {
                process->pid = 0;
                return error_raise_errno(err, rc, "starting the server process");
        }
        process->pidfd = fd_pidfd_open(process->pid);
        if (process->pidfd < 0) {
                rc = errno;
                server_process_end(process, /* grace_ms= */ 0, &killed);
                return error_raise_errno(err, rc, "watching the server process");
        }
        *ret_connection = take_fd(&client_fd);
        return 0;
}

int server_process_end(struct server_process *process, int grace_ms, bool *ret_killed)
{
        struct pollfd fd = { .fd = process->pidfd, .events = POLLIN };
        int status = 0;

        *ret_killed = false;
        if (!process->pid)
                return 0;
        if (process->pidfd < 0 || poll(&fd, 1, grace_ms) != 1) {
                kill(process->pid, SIGKILL);
                *ret_killed = true;
        }
        while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
                ;
        fd_closep(&process->pidfd);
        process->pid = 0;
        return status;
}

int server_process_raise_end(bool signalled, int number, struct error *err)
{
        if (signalled)
                return error_raise(err, ERR_PEER_DIED, "the server process was killed by signal %d (%s)", number,
                                   strsignal(number));
        return error_raise(err, ERR_PEER_DIED, "the server process ended with status %d before it was done", number);
}

bool server_process_ended(void *process_at, struct error *reason)
{
        const struct server_process *process = process_at;
        siginfo_t info = { 0 };
        int rc = waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED | WNOHANG | WNOWAIT);

        if (rc < 0 || info.si_pid == 0 || (info.si_code == CLD_EXITED && info.si_status == 0))
                return false;
        server_process_raise_end(info.si_code != CLD_EXITED, info.si_status, reason);
        return true;
}

/* The engine notices the parent's death and the work unwinds by itself; this only bounds how long that may take. */
static void server_end_soon(int signal_number)
{
        (void)signal_number;
        alarm(LAST_GRACE_S);
}

static void server_settle_signals(void)
{
        struct sigaction action = { .sa_handler = server_end_soon, .sa_flags = SA_RESTART };
        sigset_t none;

        for (size_t i = 0; i < sizeof parents_signals / sizeof parents_signals[0]; i++)
                signal(parents_signals[i], SIG_IGN);
        sigaction(SIGTERM, &action, NULL);
        sigemptyset(&none);
        pthread_sigmask(SIG_SETMASK, &none, NULL);
}

int server_process_main(const char *parent_pid, struct error *err)
{
        const struct vds_options options = { .connection = CONNECTION_FD };
        CLEANUP(freep) char *json = NULL;
        struct server_job job;
        char path[32];
        size_t size;
        int rc;

        server_settle_signals();
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != (pid_t)strtol(parent_pid, NULL, 10))
                return error_raise(err, ERR_PEER_DIED, "the client ended before its server began");
        fault_role("server");
        snprintf(path, sizeof path, "/proc/self/fd/%d", JOB_FD);
        if (fd_read_file(AT_FDCWD, path, JOB_SIZE_MAX, &json, &size) < 0)
                return error_raise_errno(err, errno, "the job cannot be read from descriptor %d", JOB_FD);
        close(JOB_FD);
        fcntl(CONNECTION_FD, F_SETFD, FD_CLOEXEC);
        if (server_job_decode(json, &job, err) < 0)
                return -1;
        rc = server_run(&sqlite_server, &job, &options, /* events= */ NULL, err);
        server_job_deinit(&job);
        return rc;
}
