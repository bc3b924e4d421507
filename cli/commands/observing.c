#include "cli/commands/observing.h"

#include <poll.h>
#include <string.h>

#include "cli/run/set_options.h"

enum { LOOK_EVERY_MS = 50 };

int observing_check(const struct args *args, const char *command_name, struct error *err)
{
        const char *name = args->operands.count ? args->operands.items[0] : "";

        if (args->operands.count != 1)
                return error_raise(err, ERR_USAGE, "which device set? 'vdipipe list' shows them: vdipipe %s NAME",
                                   command_name);
        if (!*name || strlen(name) > VDS_NAME_MAX || strchr(name, '\\'))
                return error_raise(err, ERR_USAGE,
                                   "'%s' cannot be a device set: names have 1 to %d bytes and no backslash", name,
                                   VDS_NAME_MAX);
        return set_options_check(args, err);
}

int observing_failed(const char *name, int result, struct error *err)
{
        switch (result) {
        case VD_E_INVALID:
                return error_raise(err, ERR_FAILED, "there is no device set '%s'; 'vdipipe list' shows those that live",
                                   name);
        case VD_E_SECURITY:
                return error_raise(err, ERR_FAILED,
                                   "device set '%s' is somebody else's; ask its owner to make it with --group, or be "
                                   "root",
                                   name);
        case VD_E_TIMEOUT:
                return error_raise(err, ERR_TIMEOUT,
                                   "the process that made device set '%s' does not answer; 'vdipipe list' has its id",
                                   name);
        case VD_E_ABORT:
                return error_raise(err, ERR_ABORTED, "device set '%s' was aborted or went away", name);
        case VD_E_MEMORY:
                return error_raise(err, ERR_MEMORY, "out of memory or descriptors");
        default:
                return error_raise(err, ERR_PROTOCOL, "device set '%s' cannot be looked at: %s", name,
                                   vds_result_name(result));
        }
}

/* A set that is not there yet has no place to wait at: it may come in any of several folders, some of which may not be
 * there yet either. */
int observing_wait(const struct vds_options *options, const char *name, struct deadline deadline,
                   struct vds_status *ret_status)
{
        for (;;) {
                int result = vds_observe(options, name, ret_status);
                int left = deadline_left_ms(deadline);

                if (result != VD_E_INVALID || left == 0)
                        return result;
                poll(/* fds= */ NULL, 0, left < 0 || left > LOOK_EVERY_MS ? LOOK_EVERY_MS : left);
        }
}
