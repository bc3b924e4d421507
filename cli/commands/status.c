/*
 * status.c - all there is to say about one live device set
 */
#include <stdio.h>

#include "cli/command.h"
#include "cli/text/json.h"
#include "cli/commands/observing.h"
#include "cli/run/set_options.h"
#include "cli/commands/set_view.h"

static int run_status(const struct args *args, struct error *err)
{
        struct vds_options options = set_options(args);
        struct vds_status status;
        int result;

        if (observing_check(args, "status", err) < 0)
                return -1;
        result = vds_observe(&options, args->operands.items[0], &status);
        if (result != NOERROR)
                return observing_failed(args->operands.items[0], result, err);
        if (args->json)
                return json_print(set_view_status_json(&status), stdout, err);
        set_view_print_status(&status, stdout);
        return 0;
}

const struct command command_status = {
        .name = "status",
        .topic = TOPIC_SETS,
        .operands = "[--json] NAME",
        .summary = "show a live device set",
        .text = "Shows the state of device set NAME, its processes and configuration (the client's wishes until a "
                "server has come), and for each device what was sent and done: queued commands wait for the client, "
                "held ones are being executed by it, and OLDEST is how long it has held the oldest of them.",
        .example = "  vdipipe status demo\n"
                   "  vdipipe status --json demo | jq '.devices[].held'\n",
        .options = OPTION_TABLES(options_json, options_group, options_common),
        .operands_max = 1,
        .takes_set = true,
        .run = run_status,
};
