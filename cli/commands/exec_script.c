#include "cli/commands/exec_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/exit_status.h"
#include "cli/message.h"
#include "cli/run/set_options.h"
#include "cli/run/tracing.h"
#include "core/base/cleanup.h"
#include "core/script/run.h"

const struct opt_spec options_script[] = {
        OPTION_STRING(MAIN, "script", 0, "FILE", script,
                      "send NAME's client the commands of FILE and check its answers (see core/script/script.md)"),
        OPTION_FLAG(MAIN, "json", 0, json, "print results, or the script's report, as JSON on standard output"),
        { .type = OPT_END },
};

static int script_show(const struct args *args, const struct script_report *report, struct error *err)
{
        if (args->json)
                return script_report_json(report, stdout, err);
        script_report_print(report, stderr);
        return 0;
}

/* The statement `exit`: what is said is said, and everything else is left as it is. */
static void script_leave(const struct script_report *report, void *args_at)
{
        struct error err = ERROR_INIT;

        if (script_report_conclude(report, &err) < 0)
                message_error("exec: %s", err.message);
        if (script_show(args_at, report, &err) < 0)
                message_error("exec: %s", err.message);
        fflush(stderr);
        _exit(exit_status(&err));
}

int exec_script(const struct args *args, struct error *err)
{
        const struct vds_options options = set_options(args);
        CLEANUP(freep) struct script_report *report = calloc(1, sizeof *report);
        struct script_call call = {
                .path = args->script,
                .options = &options,
                .open_wait_ms = args->set_wait_ms,
                .leave = script_leave,
                .context = (void *)(uintptr_t)args,
        };
        struct error unshown = ERROR_INIT;
        int rc;

        if (!report)
                return error_no_memory(err);
        if (args->operands.count != 1)
                return error_raise(err, ERR_USAGE, "whose client is to be tried? vdipipe exec --script FILE NAME");
        if (set_options_check(args, err) < 0 || tracing_open(args->trace, "server", &call.trace, err) < 0)
                return -1;
        call.set_name = args->operands.items[0];
        rc = script_main(&call, report, err);
        tracing_close(call.trace);
        if ((report->commands > 0 || report->failure_count > 0 || rc == 0) && script_show(args, report, &unshown) < 0 &&
            rc == 0)
                rc = error_hand_over(err, &unshown);
        return rc;
}
