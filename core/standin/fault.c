#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/standin/standin.h"

const struct standin_fault_row standin_faults[STANDIN_FAULTS] = {
        [STANDIN_WRONG_PASSWORD] = { "wrong-password", false, "every login fails (18456)" },
        [STANDIN_PERMISSION_DENIED] = { "permission-denied", false,
                                        "BACKUP and RESTORE are not permitted (262, 3013)" },
        [STANDIN_FAIL_BEFORE_OPEN] = { "fail-before-open", false, "3201 and 3013, the set is left alone" },
        [STANDIN_NEVER_OPEN] = { "never-open", false, "waits for a lock until cancelled, the set is left alone" },
        [STANDIN_FAIL_AFTER_DATA] = { "fail-after-data", true, "3202 and 3013 once the data has moved" },
        [STANDIN_DISCONNECT] = { "disconnect", true, "the connection breaks" },
        [STANDIN_HANG] = { "hang", true, "nothing moves any more, until cancelled" },
        [STANDIN_DEAF] = { "deaf", true, "the same, and cancelling does not help" },
        [STANDIN_CRASH] = { "crash", true, "the server kills itself" },
        [STANDIN_DENY_HISTORY] = { "deny-history", false, "msdb may not be read (229)" },
        [STANDIN_DENY_STATE] = { "deny-state", false, "sys.dm_exec_requests may not be read (300)" },
        [STANDIN_NO_HISTORY] = { "no-history", false, "backups are not recorded" },
        [STANDIN_NO_CONFIRMATION] = { "no-confirmation", false, "success without 3014 or 3262" },
};

static int parse_bytes(const char *text, uint64_t *ret_bytes)
{
        static const char units[] = "KMG";
        const char *unit;
        char *end;

        errno = 0;
        *ret_bytes = strtoull(text, &end, 10);
        if (!isdigit((unsigned char)*text) || errno || *ret_bytes >= UINT64_C(1) << 62)
                return -1;
        if (!*end)
                return 0;
        unit = strchr(units, *end);
        if (!unit || end[1] || *ret_bytes >= UINT64_C(1) << 32)
                return -1;
        *ret_bytes <<= 10 * (unit - units + 1);
        return 0;
}

int standin_parse_fault(const char *text, struct standin_plan *plans, struct error *err)
{
        const char *colon = strchr(text, ':');
        size_t length = colon ? (size_t)(colon - text) : strlen(text);

        for (size_t i = 0; i < STANDIN_FAULTS; i++) {
                struct standin_plan plan = { .wanted = true, .has_bytes = colon };

                if (strlen(standin_faults[i].name) != length || memcmp(standin_faults[i].name, text, length) != 0)
                        continue;
                if (colon && !standin_faults[i].takes_bytes)
                        return error_raise(err, ERR_USAGE, "--fault %s does not depend on bytes: leave '%s' out",
                                           standin_faults[i].name, colon);
                if (colon && parse_bytes(colon + 1, &plan.bytes) < 0)
                        return error_raise(err, ERR_USAGE, "--fault %s: '%s' is no number of bytes; such as 64K",
                                           standin_faults[i].name, colon + 1);
                plans[i] = plan;
                return 0;
        }
        return error_raise(err, ERR_USAGE, "there is no fault '%s'; 'vdipipe serve --help' lists them", text);
}
