#include "cli/run/sqlvdi.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/message.h"
#include "core/base/cleanup.h"

const struct opt_spec options_sqlvdi[] = {
        OPTION_STRING(MSSQL, "sqlvdi", 0, "PATH", sqlvdi,
                      "SQL Server's library of virtual devices (default: " SQLVDI_LIBRARY_DEFAULT ")"),
        OPTION_STRING(MSSQL, "run-as", 0, "USER", run_as,
                      "as root: become USER (mssql) once keys are read and outputs open, as SQL Server wants it"),
        { .type = OPT_END },
};

const char *sqlvdi_path(const struct args *args)
{
        return args->sqlvdi ? args->sqlvdi : SQLVDI_LIBRARY_DEFAULT;
}

/* Is one of this process's groups? */
static bool sqlvdi_in_group(gid_t group)
{
        int count = getgroups(0, NULL);
        CLEANUP(freep) gid_t *groups = NULL;

        if (getegid() == group)
                return true;
        groups = calloc(count > 0 ? (size_t)count : 1, sizeof *groups);
        count = groups ? getgroups(count, groups) : 0;
        for (int i = 0; i < count; i++)
                if (groups[i] == group)
                        return true;
        return false;
}

int sqlvdi_check_user(struct error *err)
{
        const struct passwd *account = getpwnam(SQLVDI_ACCOUNT);
        const struct group *group = getgrnam(SQLVDI_ACCOUNT);
        const char *remedy = geteuid() == 0 ? "add --run-as " SQLVDI_ACCOUNT
                                            : "run as " SQLVDI_ACCOUNT ", or as root with --run-as " SQLVDI_ACCOUNT;

        if (!account || account->pw_uid == geteuid() || (group && sqlvdi_in_group(group->gr_gid)))
                return 0;
        account = getpwuid(geteuid());
        return error_raise(err, ERR_USAGE,
                           "user '%s' is neither " SQLVDI_ACCOUNT
                           " nor in its group, so SQL Server could not open the shared memory of the devices; %s",
                           account ? account->pw_name : "?", remedy);
}

int sqlvdi_choose(const struct args *args, bool stand_in, struct sqlvdi_library **ret_library, struct error *err)
{
        *ret_library = NULL;
        if (stand_in && !args->sqlvdi)
                return 0;
        /* Who says --run-as has thought of it, and may know of a server under another account. */
        if (!stand_in && !args->run_as && sqlvdi_check_user(err) < 0)
                return -1;
        if (sqlvdi_library_open(sqlvdi_path(args), /* dropin_wanted= */ stand_in, ret_library, err) < 0)
                return -1;
        message_verbose("devices by '%s'", sqlvdi_path(args));
        return 0;
}
