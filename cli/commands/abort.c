/*
 * abort.c - end a device set from outside
 */
#include "cli/command.h"
#include "cli/message.h"
#include "cli/commands/observing.h"
#include "cli/run/set_options.h"

static int abort_set(const struct args *args, struct error *err)
{
        struct vds_options options = set_options(args);
        int result;

        if (observing_check(args, "abort", err) < 0)
                return -1;
        result = vds_observe_abort(&options, args->operands.items[0]);
        if (result != NOERROR)
                return observing_failed(args->operands.items[0], result, err);
        message_summary("device set '%s' is aborted", args->operands.items[0]);
        return 0;
}

const struct command command_abort = {
        .name = "abort",
        .topic = TOPIC_SETS,
        .operands = "NAME",
        .summary = "abort a live device set",
        .text = "Does from outside what SignalAbort does: every command of device set NAME that is outstanding ends in "
                "an error, client and server give up and clean up. The set is aborted when this returns, its processes "
                "may still be ending.",
        .example = "  vdipipe abort demo\n",
        .options = OPTION_TABLES(options_group, options_common),
        .operands_max = 1,
        .takes_set = true,
        .run = abort_set,
};
