#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/commands/doctor_checks.h"
#include "cli/run/progress.h"
#include "cli/run/run_as.h"
#include "cli/run/sqlvdi.h"
#include "core/base/fd_io.h"
#include "core/mssql/mssql.h"

enum {
        SHARED_LOW = 64 << 20, /* bytes: buffers of a few devices */
        LOAD_MS = 10000,       /* for the library */
};

/* What is missing for SQL Server is a fault for who uses it, a warning where it is installed, and nothing at all to
 * others. */
static enum doctor_level level_of_lack(const struct doctor *doctor)
{
        if (doctor->args->sqlvdi || doctor->args->run_as || config_names_scheme(doctor->config, "mssql://"))
                return DOCTOR_FAULT;
        return getpwnam(SQLVDI_ACCOUNT) || access("/opt/mssql", F_OK) == 0 ? DOCTOR_WARNING : DOCTOR_OK;
}

static void look_at_freetds(struct doctor *doctor, enum doctor_level lack)
{
        struct error err = ERROR_INIT;

        if (mssql_library_check(&err) < 0)
                doctor_say(doctor, lack, "FreeTDS", "%s", err.message);
        else
                doctor_say(doctor, DOCTOR_OK, "FreeTDS", "%s", mssql_library_version());
}

/* In the child: tells the parent how it went. What the library has to say is no part of the report. */
static _Noreturn void open_library(const char *path, int fd)
{
        struct sqlvdi_library *library;
        struct error outcome = ERROR_INIT;

        dup2(STDERR_FILENO, STDOUT_FILENO);
        sqlvdi_library_open(path, /* dropin_wanted= */ false, &library, &outcome);
        _exit(fd_write_full(fd, &outcome, sizeof outcome, /* cancel= */ NULL) < 0);
}

static int await_outcome(const char *path, int fd, struct error *err)
{
        struct pollfd pollfd = { .fd = fd, .events = POLLIN };
        struct error outcome;
        int rc = poll(&pollfd, 1, LOAD_MS);

        if (rc == 0)
                return error_raise(err, ERR_TIMEOUT,
                                   "'%s' does not come back from being loaded within %d s; ask its maker", path,
                                   LOAD_MS / 1000);
        if (rc < 0 || read(fd, &outcome, sizeof outcome) != (ssize_t)sizeof outcome)
                return error_raise(err, ERR_FAILED, "'%s' ends the program that loads it; 'ldd %s' shows what it needs",
                                   path, path);
        return error_hand_over(err, &outcome);
}

/* Loading a library runs code of it, which is to do no harm to what follows: a child does it. */
static int try_library(const char *path, struct error *err)
{
        int ends[2];
        pid_t child;
        int rc;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return error_raise_errno(err, errno, "cannot try '%s'", path);
        fflush(stdout);
        child = fork();
        if (child == 0)
                open_library(path, ends[1]);
        close(ends[1]);
        rc = child < 0 ? error_raise_errno(err, errno, "cannot try '%s'", path) : await_outcome(path, ends[0], err);
        close(ends[0]);
        if (child > 0) {
                kill(child, SIGKILL);
                waitpid(child, NULL, 0);
        }
        return rc;
}

/* By the user who will load it. */
static void look_at_library(struct doctor *doctor, enum doctor_level lack)
{
        struct error err = ERROR_INIT;

        if (try_library(sqlvdi_path(doctor->args), &err) == 0)
                doctor_say(doctor, DOCTOR_OK, "libsqlvdi.so", "'%s' has what is needed", sqlvdi_path(doctor->args));
        else
                doctor_say(doctor, lack, "libsqlvdi.so", "%s%s", err.message,
                           lack == DOCTOR_OK ? "; only mssql:// databases need it" : "");
}

/* There is no way back from becoming the user, so nothing that root is to look at may follow. */
static void become_account(struct doctor *doctor)
{
        struct error err = ERROR_INIT;
        struct run_as *keeper;

        if (run_as_check(doctor->args, &err) < 0 ||
            run_as_begin(doctor->args, /* secret= */ NULL, /* files= */ NULL, 0, &keeper, &err) < 0)
                doctor_say(doctor, DOCTOR_FAULT, "SQL Server's account", "%s", err.message);
        else
                doctor_say(doctor, DOCTOR_OK, "SQL Server's account", "taken on by --run-as %s", doctor->args->run_as);
}

static void look_at_account(struct doctor *doctor, enum doctor_level lack)
{
        struct error err = ERROR_INIT;

        if (doctor->args->run_as)
                become_account(doctor);
        else if (!getpwnam(SQLVDI_ACCOUNT))
                doctor_say(doctor, lack, "SQL Server's account",
                           "there is no user " SQLVDI_ACCOUNT
                           "; where SQL Server runs as another, name it with --run-as");
        else if (sqlvdi_check_user(&err) < 0)
                doctor_say(doctor, lack, "SQL Server's account", "%s", err.message);
        else
                doctor_say(doctor, DOCTOR_OK, "SQL Server's account", "can open this user's shared memory");
}

static void look_at_shared_memory(struct doctor *doctor, enum doctor_level lack)
{
        struct statvfs space;
        char words[32];
        uint64_t bytes;

        if (statvfs("/dev/shm", &space) < 0 || access("/dev/shm", W_OK | X_OK) < 0) {
                doctor_say(doctor, lack, "/dev/shm",
                           "this user cannot write there, which SQL Server's library does; mount a tmpfs, mode 1777");
                return;
        }
        bytes = (uint64_t)space.f_bavail * space.f_frsize;
        progress_format_bytes(bytes, words);
        if (bytes < SHARED_LOW && lack != DOCTOR_OK)
                doctor_say(doctor, DOCTOR_WARNING, "/dev/shm",
                           "%s free for SQL Server's buffers; 'mount -o remount,size=1G /dev/shm', or for a container "
                           "--shm-size=1g",
                           words);
        else
                doctor_say(doctor, DOCTOR_OK, "/dev/shm", "%s free for SQL Server's buffers", words);
}

void doctor_sqlserver(struct doctor *doctor)
{
        enum doctor_level lack = level_of_lack(doctor);

        look_at_freetds(doctor, lack);
        look_at_account(doctor, lack);
        look_at_library(doctor, lack);
        look_at_shared_memory(doctor, lack);
}
