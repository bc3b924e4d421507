#include "cli/run/serving.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/message.h"
#include "cli/run/tracing.h"
#include "core/base/deadline.h"

enum {
        VERDICT_SLICE_MS = 500, /* between two looks at the cancel flag while the server finishes */
        LAST_WORDS_MS = 1500,   /* for the verdict of a server that was aborted */
        JOIN_RETRY_MS = 100,    /* between two looks for a set that is not there yet, of which nothing tells */
};

int serving_open(struct serving *serving, const struct args *args, const char *verb, struct error *err)
{
        memset(serving, 0, sizeof *serving);
        serving->args = args;
        if (progress_init(&serving->progress, args, verb, err) < 0)
                return -1;
        if (tracing_open(args->trace, "client", &serving->trace, err) < 0)
                return -1;
        if (supervisor_start(args->stall_timeout_ms, &serving->progress, &serving->supervisor, err) < 0)
                return -1;
        supervisor_enter(serving->supervisor, &serving->worker, verb, "");
        return 0;
}

static enum err_code class_of_refusal(int result)
{
        if (result == VD_E_INVALID)
                return ERR_USAGE;
        return result == VD_E_PROTOCOL ? ERR_BUSY : ERR_FAILED;
}

/* On serving->engine, NULL if there was no memory for it. */
static int create(struct serving *serving, const char *name, const struct VDConfig *wishes, struct error *err)
{
        int rc;

        if (!serving->engine)
                return error_no_memory(err);
        /* A library may not come back from this. */
        supervisor_watch_engine(serving->supervisor, serving->engine);
        rc = engine_create(serving->engine, name, wishes);
        if (rc != NOERROR)
                return error_raise(err, class_of_refusal(rc), "the device set cannot be created: %s (%s)",
                                   engine_error_text(serving->engine), vds_result_name(rc));
        if (engine_error_text(serving->engine)[0])
                message_verbose("no other command finds this set: %s", engine_error_text(serving->engine));
        supervisor_watch_engine(serving->supervisor, serving->engine);
        return 0;
}

int serving_create(struct serving *serving, const struct vds_options *options, const char *name,
                   const struct VDConfig *wishes, struct error *err)
{
        serving->engine = engine_embedded_new(options);
        return create(serving, name, wishes, err);
}

int serving_create_library(struct serving *serving, const struct sqlvdi_library *library, const char *name,
                           const struct VDConfig *wishes, struct error *err)
{
        /* The server is another user's process, or another member of its group; nobody else has business there. */
        umask(007);
        serving->engine = engine_library_new(library);
        return create(serving, name, wishes, err);
}

int serving_join(struct serving *serving, const struct vds_options *options, const char *name, struct error *err)
{
        struct deadline deadline = deadline_after_ms(serving->args->open_timeout_ms);
        int rc;

        serving->secondary = true;
        serving->engine = engine_embedded_new(options);
        if (!serving->engine)
                return error_no_memory(err);
        while ((rc = vds_client_open_in_secondary(engine_vds(serving->engine), name)) != NOERROR) {
                if (supervisor_check(serving->supervisor, err) < 0)
                        return -1;
                if (rc == VD_E_MEMORY || rc == VD_E_INVALID || deadline_passed(deadline))
                        break;
                /* A signal to end wakes the main thread, too. */
                poll(NULL, 0, JOIN_RETRY_MS);
        }
        if (rc == VD_E_MEMORY || rc == VD_E_INVALID)
                return error_raise(err, rc == VD_E_MEMORY ? ERR_MEMORY : ERR_USAGE, "the set cannot be joined: %s",
                                   vds_result_name(rc));
        if (rc != NOERROR)
                return error_raise(err, ERR_TIMEOUT,
                                   "there was no configured device set of that name to join within %g s "
                                   "(--open-timeout); 'vdipipe create' makes one, and its server configures it",
                                   (double)serving->args->open_timeout_ms / 1000);
        supervisor_watch_engine(serving->supervisor, serving->engine);
        return 0;
}

int serving_configure(struct serving *serving, struct error *err)
{
        int rc = engine_get_configuration(serving->engine, serving->args->open_timeout_ms, &serving->config);

        if (rc == VD_E_TIMEOUT)
                return error_raise(err, ERR_TIMEOUT,
                                   "the server did not open the device set within %g s (--open-timeout)",
                                   (double)serving->args->open_timeout_ms / 1000);
        if (rc != NOERROR && rc != VD_E_ABORT)
                return error_raise(err, ERR_PROTOCOL, "the device set was not configured: %s", vds_result_name(rc));
        return rc == NOERROR ? 0 : 1;
}

static int start_transfers(struct serving *serving, const struct served *devices, uint32_t count, const char *doing,
                           struct error *err)
{
        serving->transfers = calloc(count + 1, sizeof *serving->transfers);
        if (!serving->transfers)
                return error_no_memory(err);
        serving->transfer_count = count;
        for (uint32_t i = 0; i < count; i++) {
                struct transfer *transfer = &serving->transfers[i];

                transfer->engine = serving->engine;
                transfer->device = devices[i].device;
                transfer->device_name = devices[i].name;
                transfer->media = devices[i].media;
                transfer->doing = doing;
                transfer->what = devices[i].what;
                transfer->supervisor = serving->supervisor;
                transfer->progress = &serving->progress;
                transfer->trace = serving->trace;
                transfer->secondary = serving->secondary;
                if (transfer_start(transfer, err) < 0)
                        return -1;
        }
        return 0;
}

/* Whether it was an abort by others that interrupted what was going on here. */
static bool freed_by_abort(const struct serving *serving)
{
        struct error reason = ERROR_INIT;

        return supervisor_check(serving->supervisor, &reason) < 0 && reason.code == ERR_ABORTED;
}

/* Joins all; the first failure of our own is the cause of whatever the server says afterwards. */
static int join_transfers(struct serving *serving, struct error *err)
{
        struct error own = ERROR_INIT;
        struct error interrupted = ERROR_INIT;
        bool closed = true;
        bool opened = false;

        supervisor_set_serving(serving->supervisor, true);
        for (uint32_t i = 0; i < serving->transfer_count; i++) {
                transfer_join(&serving->transfers[i]);
                closed = closed && serving->transfers[i].closed;
                opened = opened || serving->transfers[i].opened;
                error_keep_first(serving->transfers[i].err.code == ERR_ABORTED ? &interrupted : &own,
                                 &serving->transfers[i].err);
        }
        supervisor_set_serving(serving->supervisor, false);
        if (!error_is_set(&own) && !freed_by_abort(serving))
                own = interrupted;
        if (!error_is_set(&own))
                return closed && !error_is_set(&interrupted) ? 0 : 1;
        if (opened || !serving->secondary)
                engine_signal_abort(serving->engine);
        *err = own;
        return -1;
}

int serving_transfer(struct serving *serving, const struct served *devices, uint32_t count, const char *doing,
                     struct error *err)
{
        struct error ignored = ERROR_INIT;

        if (start_transfers(serving, devices, count, doing, err) == 0)
                return join_transfers(serving, err);
        engine_signal_abort(serving->engine);
        join_transfers(serving, &ignored);
        return -1;
}

static const char *const verdict_names[] = {
        [VDS_VERDICT_NONE] = "none",
        [VDS_VERDICT_SUCCESS] = "success",
        [VDS_VERDICT_FAILED] = "failed",
        [VDS_VERDICT_UNCONFIRMED] = "unconfirmed",
};

const char *serving_verdict_name(enum vds_verdict verdict)
{
        return verdict_names[verdict];
}

enum vds_verdict serving_verdict(struct serving *serving, char *text)
{
        enum vds_verdict verdict = VDS_VERDICT_NONE;
        int rc;

        do
                rc = engine_verdict(serving->engine, VERDICT_SLICE_MS, &verdict, text);
        while (rc == VD_E_TIMEOUT && supervisor_check(serving->supervisor, /* err= */ NULL) == 0);
        if (rc == VD_E_TIMEOUT)
                rc = engine_verdict(serving->engine, LAST_WORDS_MS, &verdict, text);
        if (rc != NOERROR)
                verdict = VDS_VERDICT_FAILED;
        trace_event(serving->trace, /* device= */ 0, "verdict", serving_verdict_name(verdict));
        return verdict;
}

int serving_abort_reason(struct serving *serving, struct error *err)
{
        enum vds_abort_reason reason = engine_abort_reason(serving->engine);

        return error_raise(err, reason == VDS_ABORT_TIMEOUT ? ERR_TIMEOUT : ERR_ABORTED,
                           "the device set was aborted: %s", engine_abort_text(serving->engine));
}

int serving_failed(struct serving *serving, struct error *err)
{
        if (serving->supervisor && !freed_by_abort(serving))
                supervisor_check(serving->supervisor, err);
        return -1;
}

void serving_leave(struct serving *serving)
{
        if (serving->supervisor)
                supervisor_watch_engine(serving->supervisor, NULL);
        engine_free(serving->engine);
        serving->engine = NULL;
        free(serving->transfers);
        serving->transfers = NULL;
        serving->transfer_count = 0;
}

void serving_close(struct serving *serving)
{
        if (serving->supervisor)
                supervisor_leave(serving->supervisor, &serving->worker);
        supervisor_stop(serving->supervisor);
        serving->supervisor = NULL;
        tracing_close(serving->trace);
        serving->trace = NULL;
}
