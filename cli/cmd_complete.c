/*
 * cmd_complete.c - hidden: words for the shell completions and the manual, from the same tables as the help
 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/render.h"

static const struct opt_spec *const option_tables[] = { options_common, NULL };

static int run_complete(const struct args *args, struct error *err)
{
        const char *name = args->operands.count ? args->operands.items[0] : "";
        const struct command *command = command_find(name);

        if (strcmp(name, "man") == 0) {
                render_man(stdout);
                return 0;
        }
        if (*name && !command)
                return error_raise(err, ERR_USAGE, "unknown command '%s'", name);
        render_words(stdout, command);
        return 0;
}

const struct command command_complete = {
        .name = "__complete",
        .operands = "[COMMAND | man]",
        .summary = "words for completions",
        .text = "Prints commands, or the options of COMMAND, or the manual page.",
        .example = "",
        .options = option_tables,
        .operands_max = 1,
        .hidden = true,
        .run = run_complete,
};
