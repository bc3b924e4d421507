/*
 * exec.c - the server side of a device set
 */
#include "cli/command.h"
#include "cli/commands/exec_script.h"
#include "cli/commands/exec_statement.h"
#include "cli/run/set_options.h"

static int run_exec(const struct args *args, struct error *err)
{
        if (args->script)
                return exec_script(args, err);
        if (args->operands.count != 1)
                return error_raise(err, ERR_USAGE,
                                   "which statement is to be executed? vdipipe exec \"BACKUP DATABASE ... TO "
                                   "VIRTUAL_DEVICE='...'\"");
        return exec_statement(args, err);
}

const struct command command_exec = {
        .name = "exec",
        .topic = TOPIC_SETS,
        .operands = "STATEMENT | --script FILE NAME",
        .summary = "be the server of a device set",
        .text = "Executes a BACKUP or RESTORE statement of Transact-SQL: joins the device set that it names and moves "
                "the data of the SQLite database to or from it. The database's name is a path in brackets, or a "
                "section of the configuration. Messages have SQL Server's numbers and go to standard error; results go "
                "to standard output.\n\n"
                "With --script, plays a server to the client of the set NAME, for those who write such clients: FILE "
                "says which commands are sent and what has to come back, one statement a line (core/script/script.md "
                "has the grammar). The exit status is 0 when the client kept its contract, 1 when not, 2 when the "
                "script is wrong, 6 when its time is over; each failure is a line that names the script's.",
        .example = "  vdipipe exec \"BACKUP DATABASE [/srv/app.db] TO VIRTUAL_DEVICE='demo' WITH STATS\"\n"
                   "  vdipipe exec \"RESTORE DATABASE [/srv/copy.db] FROM VIRTUAL_DEVICE='demo' WITH REPLACE\"\n"
                   "  vdipipe exec --json \"RESTORE HEADERONLY FROM VIRTUAL_DEVICE='demo'\"\n"
                   "  vdipipe exec --script mine.vds demo\n"
                   "  vdipipe exec --script mine.vds --json --trace out.jsonl demo | jq .failures\n"
                   "\n"
                   "Script:\n"
                   "  expect features tape+complete # what the client has to ask for\n"
                   "  set timeout 30                # seconds for all of it\n"
                   "  set direction both\n"
                   "  device 1                      # what follows goes to the first device\n"
                   "    write 64K x100 depth 4      # four outstanding at a time\n"
                   "    writemark\n"
                   "    flush\n"
                   "    rewind\n"
                   "    read 64K until mark check pattern 0 total 6400K\n"
                   "    clearerror\n",
        .options = OPTION_TABLES(options_script, options_statement, options_lock, options_group, options_trace,
                                 options_common),
        .operands_max = 1,
        .run = run_exec,
};
