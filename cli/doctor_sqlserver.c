#include <pwd.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/progress.h"
#include "cli/run_as.h"
#include "cli/sqlvdi.h"
#include "core/servers/mssql.h"

enum { SHARED_LOW = 64 << 20 }; /* bytes: buffers of a few devices */

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
        if (mssql_library_version())
                doctor_say(doctor, DOCTOR_OK, "FreeTDS", "%s", mssql_library_version());
        else
                doctor_say(doctor, lack, "FreeTDS",
                           "not built in, so mssql:// databases cannot be reached; build vdipipe where freetds-dev is");
}

/* By the user who will load it. */
static void look_at_library(struct doctor *doctor, enum doctor_level lack)
{
        struct sqlvdi_library *library = NULL;
        struct error err = ERROR_INIT;

        if (sqlvdi_library_open(sqlvdi_path(doctor->args), /* dropin_wanted= */ false, &library, &err) == 0)
                doctor_say(doctor, DOCTOR_OK, "libsqlvdi.so", "'%s' has what is needed", sqlvdi_path(doctor->args));
        else
                doctor_say(doctor, lack, "libsqlvdi.so", "%s%s", err.message,
                           lack == DOCTOR_OK ? "; only mssql:// databases need it" : "");
        sqlvdi_library_close(library);
}

/* There is no way back from becoming the user, so nothing that root is to look at may follow. */
static void become_account(struct doctor *doctor)
{
        struct error err = ERROR_INIT;
        struct run_as *keeper;

        if (run_as_check(doctor->args, &err) < 0 || run_as_begin(doctor->args, /* files= */ NULL, 0, &keeper, &err) < 0)
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
