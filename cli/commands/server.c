/*
 * server.c - hidden: the child process that is the server
 */
#include "cli/command.h"
#include "cli/run/server_process.h"

/* The verdict carries the words to the client, which prints them; here only the exit status is left to say it. */
static int be_server(const struct args *args, struct error *err)
{
        if (args->operands.count != 1)
                return error_raise(err, ERR_USAGE, "this command is started by vdipipe itself");
        if (server_process_main(args->operands.items[0], err) == 0)
                return 0;
        err->message[0] = '\0';
        return -1;
}

const struct command command_server = {
        .name = "__server",
        .operands = "PARENT",
        .summary = "the server's process",
        .text = "Started by vdipipe itself.",
        .example = "",
        .options = OPTION_TABLES(options_common),
        .operands_max = 1,
        .hidden = true,
        .run = be_server,
};
