#include "cli/run/server_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/deadline.h"
#include "core/base/fault.h"
#include "core/base/fd_io.h"
#include "core/base/rights.h"
#include "core/sqlite/sqlite.h"

enum {
        JOB_FD = 3,
        CONNECTION_FD, /* the server's end of the connection to the client */
        CHILD_FDS,
        JOB_SIZE_MAX = 1 << 20,
        STATUS_RIGHTS = 77, /* exit status: the user whose rights are wanted cannot be had */
        LAST_GRACE_S = 2,   /* from the parent's death, or SIGTERM, to the end of the child whatever it is doing */
};

/* The terminal's signals reach the child too; it leaves the decision to its parent. */
static const int parents_signals[] = { SIGINT, SIGHUP, SIGQUIT };

/* ---- the child ---- */

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

static int server_follow_parent(pid_t parent)
{
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        return getppid() == parent ? 0 : -1;
}

/* A lock that a cron line holds on some descriptor, or the end of a pipe, is not to live on in the server. */
static int server_keep_descriptors(int job_fd, int connection_fd)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        int job = fcntl(job_fd, F_DUPFD_CLOEXEC, CHILD_FDS);
        int connection = fcntl(connection_fd, F_DUPFD_CLOEXEC, CHILD_FDS);

        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || job < 0 || connection < 0 ||
            dup3(job, JOB_FD, O_CLOEXEC) < 0 || dup3(connection, CONNECTION_FD, O_CLOEXEC) < 0)
                return -1;
#ifndef VDIPIPE_FAULTS
        closefrom(CHILD_FDS);
#endif
        return 0;
}

/* Keys and streams have taken their time since the path was looked at; somebody may have put a link where nothing was.
 */
static int server_take_rights(const struct server_job *job)
{
        uid_t uid = job->as_uid;

        if (job->as_owner && uid == 0 && rights_find_owner(job->database, &uid) < 0)
                return -1;
        return uid == 0 ? 0 : rights_become(uid, /* err= */ NULL);
}

/* The verdict carries the words to the client, which prints them; here only the exit status is left to say it. */
static int server_process_main(pid_t parent)
{
        const struct vds_options options = { .connection = CONNECTION_FD };
        CLEANUP(freep) char *json = calloc(1, JOB_SIZE_MAX + 1);
        ssize_t size = json ? fd_read_full(JOB_FD, json, JOB_SIZE_MAX, /* cancel= */ NULL) : -1;
        struct error err = ERROR_INIT;
        struct server_job job;
        int rc;

        close(JOB_FD);
        /* A client that has nothing to be done says nothing. */
        if (size <= 0)
                return size == 0 ? 0 : -1;
        if (server_job_decode(json, &job, &err) < 0)
                return -1;
        if (server_take_rights(&job) < 0)
                _exit(STATUS_RIGHTS);
        /* With root's rights goes the signal for the parent's death. */
        if (server_follow_parent(parent) < 0)
                _exit(EXIT_FAILURE);
        rc = server_run(&sqlite_server, &job, &options, /* events= */ NULL, &err);
        server_job_deinit(&job);
        return rc;
}

static _Noreturn void server_process_begin(pid_t parent, int job_fd, int connection_fd)
{
        prctl(PR_SET_NAME, "vdipipe-server");
        server_settle_signals();
        fault_role("server");
        if (server_follow_parent(parent) < 0 || server_keep_descriptors(job_fd, connection_fd) < 0)
                _exit(EXIT_FAILURE);
        exit(server_process_main(parent) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* ---- its parent ---- */

int server_process_start(struct server_process *process, struct error *err)
{
        CLEANUP(fd_closep) int server_fd = -1;
        int job[2];
        sigset_t signals;
        sigset_t mask;
        pid_t parent = getpid();
        int rc;

        if (pipe2(job, O_CLOEXEC) < 0)
                return error_raise_errno(err, errno, "making a pipe to the server process");
        process->job_fd = job[1];
        if (vds_connection_pair(&process->connection, &server_fd) != NOERROR) {
                rc = errno;
                close(job[0]);
                return error_raise_errno(err, rc, "making a connection to the server process");
        }
        /* They stay blocked until the child has said what it does with them. */
        sigemptyset(&signals);
        for (size_t i = 0; i < sizeof parents_signals / sizeof parents_signals[0]; i++)
                sigaddset(&signals, parents_signals[i]);
        pthread_sigmask(SIG_BLOCK, &signals, &mask);
        process->pid = fork();
        rc = errno;
        if (process->pid == 0) {
                close(process->job_fd);
                close(process->connection);
                server_process_begin(parent, job[0], server_fd);
        }
        pthread_sigmask(SIG_SETMASK, &mask, NULL);
        close(job[0]);
        if (process->pid > 0 && (process->pidfd = fd_pidfd_open(process->pid)) >= 0)
                return 0;
        rc = process->pid > 0 ? errno : rc;
        server_process_end(process, /* grace_ms= */ 0, &(bool){ false });
        return error_raise_errno(err, rc, "starting the server process");
}

int server_process_tell(struct server_process *process, const struct server_job *job, int *ret_connection,
                        struct error *err)
{
        CLEANUP(freep) char *json = NULL;

        if (server_job_encode(job, &json, err) < 0)
                return -1;
        if (fd_write_full(process->job_fd, json, strlen(json), /* cancel= */ NULL) < 0)
                return server_process_ended(process, err)
                               ? -1
                               : error_raise_errno(err, errno, "handing the job to the server process");
        fd_closep(&process->job_fd);
        *ret_connection = take_fd(&process->connection);
        return 0;
}

int server_process_end(struct server_process *process, int grace_ms, bool *ret_killed)
{
        struct pollfd fd = { .fd = process->pidfd, .events = POLLIN };
        struct deadline deadline = deadline_after_ms(grace_ms);
        int status = 0;
        int rc = -1;

        *ret_killed = false;
        fd_closep(&process->job_fd);
        fd_closep(&process->connection);
        if (process->pid <= 0)
                return 0;
        while (process->pidfd >= 0 && (rc = poll(&fd, 1, deadline_left_ms(deadline))) < 0 && errno == EINTR)
                ;
        if (rc != 1) {
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
        if (number == STATUS_RIGHTS)
                return error_raise(err, ERR_FAILED,
                                   "the rights of the database's owner cannot be taken; with --as-owner=no it is "
                                   "handled as root");
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

void server_process_sweep(const struct server_job *job)
{
        pid_t pid;

        if (job->as_uid == 0) {
                server_sweep(&sqlite_server, job);
                return;
        }
        /* What was left is the owner's, and so is the folder. */
        pid = fork();
        if (pid == 0) {
                if (rights_become(job->as_uid, /* err= */ NULL) == 0)
                        server_sweep(&sqlite_server, job);
                _exit(EXIT_SUCCESS);
        }
        while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
}
