/*
 * list.c - the live device sets
 */
#include <stdio.h>

#include "cli/command.h"
#include "cli/text/json.h"
#include "cli/commands/observing.h"
#include "cli/run/set_options.h"
#include "cli/commands/set_view.h"

static void list_add_row(const struct vds_status *status, void *context)
{
        set_view_list_add(context, status);
}

static void list_add_object(const struct vds_status *status, void *context)
{
        json_array_append_new(context, set_view_list_json(status));
}

static int list_json(const struct vds_options *options)
{
        json_t *sets = json_array();
        int result = vds_observe_all(options, list_add_object, sets);

        if (result == NOERROR)
                return json_print(sets, stdout, /* err= */ NULL) < 0 ? VD_E_MEMORY : NOERROR;
        json_decref(sets);
        return result;
}

static int list_text(const struct vds_options *options)
{
        struct table table;
        int result;

        set_view_list_init(&table);
        result = vds_observe_all(options, list_add_row, &table);
        if (result == NOERROR && table.failed)
                result = VD_E_MEMORY;
        if (result == NOERROR)
                table_print(&table, stdout);
        table_deinit(&table);
        return result;
}

static int run_list(const struct args *args, struct error *err)
{
        struct vds_options options = set_options(args);
        int result;

        if (set_options_check(args, err) < 0)
                return -1;
        result = args->json ? list_json(&options) : list_text(&options);
        if (result != NOERROR)
                return error_raise(err, result == VD_E_MEMORY ? ERR_MEMORY : ERR_FAILED,
                                   "the device sets cannot be listed: %s", vds_result_name(result));
        return 0;
}

const struct command command_list = {
        .name = "list",
        .topic = TOPIC_SETS,
        .operands = "[--json]",
        .summary = "list the live device sets",
        .text = "Shows each device set that lives, wherever it was made: its state, devices, bytes moved, the "
                "processes that take part, and its age. With --json it is an array of objects. Sets of others are "
                "shown to root, and to the members of their --group.",
        .example = "  vdipipe list\n"
                   "  vdipipe list --json | jq -r '.[] | select(.age_ms > 3600000) | .name'\n",
        .options = OPTION_TABLES(options_json, options_group, options_common),
        .run = run_list,
};
