#include "cli/run/set_options.h"

#include <ctype.h>
#include <grp.h>

const struct opt_spec options_group[] = {
        OPTION_STRING(
                DEVICES, "group", 0, "GROUP", group,
                "let the members of GROUP take part in the set too, and trust them (default: the own user and root)"),
        { .type = OPT_END },
};

struct vds_options set_options(const struct args *args)
{
        return (struct vds_options){ .group = args->group };
}

static bool group_is_number(const char *text)
{
        const char *p = text;

        while (isdigit((unsigned char)*p))
                p++;
        return p > text && !*p;
}

int set_options_check(const struct args *args, struct error *err)
{
        if (args->block_size & (args->block_size - 1))
                return error_raise(err, ERR_USAGE, "--block-size %lld is not a power of two",
                                   (long long)args->block_size);
        if (args->max_transfer % VDS_TRANSFER_UNIT)
                return error_raise(err, ERR_USAGE, "--max-transfer %lld is not a multiple of 64K",
                                   (long long)args->max_transfer);
        if (args->group && !group_is_number(args->group) && !getgrnam(args->group))
                return error_raise(err, ERR_USAGE, "there is no group '%s'; 'getent group' lists those that there are",
                                   args->group);
        return 0;
}
