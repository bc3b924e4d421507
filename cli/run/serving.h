/*
 * serving.h - being a client of a device set: what backup, restore, create and attach have in common
 *
 * serving_open; a set by serving_create() or serving_join(); serving_configure; serving_transfer; serving_verdict; and
 * in any case serving_leave and serving_close. All from the main thread.
 */
#ifndef VDIPIPE_CLI_RUN_SERVING_H
#define VDIPIPE_CLI_RUN_SERVING_H

#include "cli/args.h"
#include "cli/run/progress.h"
#include "cli/run/supervise.h"
#include "cli/run/transfer.h"
#include "core/vds/trace.h"

struct serving {
        const struct args *args;
        struct progress progress;
        struct supervisor *supervisor;
        struct worker worker; /* the main thread */
        struct trace *trace;  /* NULL: none */

        struct engine *engine;
        bool secondary;         /* the set is another process's */
        struct VDConfig config; /* as negotiated; valid after serving_configure() */
        struct transfer *transfers;
        uint32_t transfer_count;
};

/* One device that is served here. */
struct served {
        uint32_t device;  /* from 0, in the server's order */
        const char *name; /* of the device; NULL: what the server calls it */
        struct media *media;
        const char *what; /* stands behind the medium, for messages about a stall: "standard output" */
};

/* Starts the supervisor and opens the trace. `verb` is for progress. */
int serving_open(struct serving *serving, const struct args *args, const char *verb, struct error *err);

/* Makes the set on our own engine. */
int serving_create(struct serving *serving, const struct vds_options *options, const char *name,
                   const struct VDConfig *wishes, struct error *err);

/* Makes the set by a library (core/sqlvdi/library.h), which outlives serving_leave(). From here on what this process
 * creates is open to its group, since the library's objects need to be: all outputs are open. Such a set has no verdict
 * (serving_verdict() says VDS_VERDICT_NONE), and devices need their
 * names, all but the first of which the caller chose. */
int serving_create_library(struct serving *serving, const struct sqlvdi_library *library, const char *name,
                           const struct VDConfig *wishes, struct error *err);

/* Joins another process's set as a secondary client; waits for it to be made and configured as long as --open-timeout
 * says. */
int serving_join(struct serving *serving, const struct vds_options *options, const char *name, struct error *err);

/* Waits for configuration to end, as long as --open-timeout says. Returns 1 when the set was aborted meanwhile: the
 * caller finds the reason, serving_abort_reason() for one. */
int serving_configure(struct serving *serving, struct error *err);

/* Serves the devices until the server has closed them all. Returns 0 then; 1 when the set was aborted for a reason that
 * is not ours; -1 with our own failure. `doing` is for messages about a stall: "writing to". */
int serving_transfer(struct serving *serving, const struct served *devices, uint32_t count, const char *doing,
                     struct error *err);

/* Waits for the server's verdict, if the engine has one, without limit (a check of a restored database may take long),
 * but not past a cancellation. `text` holds VDS_TEXT_MAX bytes. */
enum vds_verdict serving_verdict(struct serving *serving, char *text);

/* "none", "success", "failed", "unconfirmed". Static. */
const char *serving_verdict_name(enum vds_verdict verdict);

/* Raises why the set is aborted, in the engine's words. */
int serving_abort_reason(struct serving *serving, struct error *err);

/* A failure after a cancellation is the cancellation's: replaces *err by the reason if there was one,
 * unless that is an abort by others, whose words the caller has found. Returns -1. */
int serving_failed(struct serving *serving, struct error *err);

/* Leaves the set, aborting what is not done. Idempotent. */
void serving_leave(struct serving *serving);

/* Ends the supervisor and the trace; after serving_leave(). Idempotent. */
void serving_close(struct serving *serving);

#endif
