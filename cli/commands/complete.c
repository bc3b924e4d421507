/*
 * complete.c - hidden: words for the shell completions and the manual, from the same tables as the help
 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/render.h"
#include "core/vds/vds.h"

/* Only names that mean nothing to a shell are offered: bash expands the words that it completes from, and the maker of
 * the set chose the name. */
static void print_name(const struct vds_status *status, void *context)
{
        static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

        (void)context;
        if (status->name[0] != '-' && !status->name[strspn(status->name, plain)])
                printf("%s\t%s\n", status->name, vds_set_state_name(status->state));
}

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
        if (args->operands.count < 2)
                render_words(stdout, command);
        else if (command && command->takes_set)
                vds_observe_all(/* options= */ NULL, print_name, /* context= */ NULL);
        return 0;
}

const struct command command_complete = {
        .name = "__complete",
        .operands = "[COMMAND [operands] | man]",
        .summary = "words for completions",
        .text = "Prints commands, or the options of COMMAND, or what it could be given, or the manual page.",
        .example = "",
        .options = OPTION_TABLES(options_common),
        .operands_max = 2,
        .hidden = true,
        .run = run_complete,
};
