/*
 * run.h - the scriptable server: sends a client what a script says, and checks what comes back
 *
 * script.md describes scripts; parse.h is what they are read into.
 */
#pragma once

#include "core/base/error.h"
#include "core/script/parse.h"
#include "core/script/report.h"
#include "core/vds/trace.h"
#include "core/vds/vds.h"

struct script_call {
        const char *path; /* of the script */
        const char *set_name;
        int64_t open_wait_ms; /* how long the set may take to appear; 0: it has to be there */
        const struct vds_options *options;
        struct trace *trace; /* NULL: none */
        /* Called for the statement `exit`, from a thread of the run: reports, ends the process, never returns. */
        void (*leave)(const struct script_report *report, void *context);
        /* Gives the way to end the run early, as that of struct server_events; NULL: nobody wants it. */
        void (*abortable)(void (*abort)(void *run), void *run, void *context);
        void *context;
};

/* Reads the script, joins the set, and plays the server to the end. Returns 0 when the client kept its contract. Else
 * -1, and `err` is ERR_FAILED (*report says where it did not, or there is no set), ERR_TIMEOUT (the same, and the
 * script's time, or the set's to appear, is over), ERR_USAGE (the script is wrong), or what else went wrong here.
 * *report is filled in any case; it refers to the texts in *call. */
int script_main(const struct script_call *call, struct script_report *report, struct error *err);

/* Whether the script can be read, and is right: 0, or -1 with ERR_USAGE. */
int script_check(const char *path, struct error *err);

/* As script_main(), for a script that has been read; call->path is only named. */
int script_run(const struct script *script, const struct script_call *call, struct script_report *report,
               struct error *err);
