/*
 * config.c - wait for a device set's configuration, and print it
 */
#include <stdio.h>

#include "cli/command.h"
#include "cli/text/json.h"
#include "cli/commands/observing.h"
#include "cli/run/set_options.h"
#include "cli/commands/set_view.h"

static int wait_for_config(const struct args *args, struct VDConfig *config, struct error *err)
{
        struct vds_options options = set_options(args);
        struct deadline deadline = deadline_after_ms(args->open_timeout_ms);
        const char *name = args->operands.items[0];
        double seconds = (double)args->open_timeout_ms / 1000;
        struct vds_status status;
        int result = observing_wait(&options, name, deadline, &status);

        if (result == VD_E_INVALID)
                return error_raise(err, ERR_TIMEOUT, "no device set '%s' came within %g s (--open-timeout)", name,
                                   seconds);
        if (result != NOERROR)
                return observing_failed(name, result, err);
        result = vds_observe_configuration(&options, name, deadline_left_ms(deadline), config);
        if (result == VD_E_TIMEOUT)
                return error_raise(err, ERR_TIMEOUT,
                                   "no server configured device set '%s' within %g s (--open-timeout)", name, seconds);
        if (result == VD_E_INVALID)
                result = VD_E_ABORT; /* it was there */
        return result == NOERROR ? 0 : observing_failed(name, result, err);
}

static int run_config(const struct args *args, struct error *err)
{
        struct VDConfig config;

        if (observing_check(args, "config", err) < 0 || wait_for_config(args, &config, err) < 0)
                return -1;
        if (args->json)
                return json_print(set_view_config_json(&config), stdout, err);
        set_view_print_config(&config, stdout);
        return 0;
}

const struct command command_config = {
        .name = "config",
        .topic = TOPIC_SETS,
        .operands = "[--json] NAME",
        .summary = "wait for a device set's configuration and print it",
        .text = "Waits until device set NAME is there and a server has configured it, then prints what the two agreed "
                "on: sizes in bytes, times in milliseconds, features by their published names.",
        .example = "  vdipipe config demo\n"
                   "  vdipipe config --open-timeout 5 --json demo | jq .max_transfer_size\n",
        .options = OPTION_TABLES(options_json, options_open, options_group, options_common),
        .operands_max = 1,
        .takes_set = true,
        .run = run_config,
};
