#include "cli/exit_status.h"

static const int statuses[ERR_CODE_COUNT] = {
        [ERR_NONE] = 0,     [ERR_FAILED] = 1,    [ERR_USAGE] = 2,    [ERR_DAMAGED] = 3, [ERR_UNCONFIRMED] = 3,
        [ERR_KEY] = 4,      [ERR_BUSY] = 5,      [ERR_TIMEOUT] = 6,  [ERR_CHILD] = 1,   [ERR_SKIPPED] = 1,
        [ERR_SIGNAL] = 128, [ERR_IO] = 1,        [ERR_NO_SPACE] = 1, [ERR_PIPE] = 1,    [ERR_MEMORY] = 1,
        [ERR_PROTOCOL] = 1, [ERR_PEER_DIED] = 1, [ERR_ABORTED] = 1,
};

const char exit_status_text[] = "  0      done\n"
                                "  1      failed\n"
                                "  2      usage: nothing was started\n"
                                "  3      stream damaged, truncated or not of this set\n"
                                "  4      wrong or missing key\n"
                                "  5      busy or locked\n"
                                "  6      timed out\n"
                                "  128+N  ended by signal N after cleaning up\n";

int exit_status(const struct error *err)
{
        if (err->code == ERR_SIGNAL)
                return statuses[ERR_SIGNAL] + err->sys_errno;
        if ((unsigned)err->code >= ERR_CODE_COUNT)
                return statuses[ERR_FAILED];
        return statuses[err->code];
}
