#include "core/script/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/servers/report.h"
#include "core/script/lane.h"
#include "core/servers/server.h"

enum { CONFIGURATION_TIMEOUT_MS = 60000, BUFFERS_MIN = 4 };

/* ---- joining and configuring ---- */

static int run_raise_result(struct script_run *run, int result, const char *doing, struct error *err)
{
        enum vds_abort_reason reason = vds_server_abort_reason(run->server);
        const char *words = vds_server_error_text(run->server);

        if (reason != VDS_ABORT_NONE)
                return error_raise(err, ERR_FAILED, "the device set '%s' was aborted: %s", run->call->set_name,
                                   vds_abort_text(reason));
        return error_raise(err, result == VD_E_MEMORY ? ERR_MEMORY : ERR_FAILED,
                           "cannot %s the device set '%s': %s%s%s", doing, run->call->set_name, vds_result_name(result),
                           words[0] ? ": " : "", words);
}

/* With a NULL abort nobody is in run_end_early() any more once this returns. */
static void run_offer_abort(struct script_run *run, void (*abort_run)(void *run))
{
        if (run->call->abortable)
                run->call->abortable(abort_run, run, run->call->context);
}

enum { OPEN_SLICE_MS = 50 };

/* Nobody tells when a set appears, so one looks again. */
static bool run_wait_for_set(struct script_run *run, struct deadline deadline)
{
        struct deadline slice = deadline_earlier(deadline, deadline_after_ms(OPEN_SLICE_MS));
        bool ended;

        if (deadline_passed(deadline))
                return false;
        pthread_mutex_lock(&run->lock);
        if (!run->ended_early)
                run_wait_change(run, slice);
        ended = run->ended_early;
        pthread_mutex_unlock(&run->lock);
        return !ended;
}

static int run_join(struct script_run *run, struct error *err)
{
        struct deadline deadline = deadline_after_ms(run->call->open_wait_ms);
        int result;

        run->server = vds_server_new(run->call->options);
        if (!run->server)
                return error_no_memory(err);
        run_offer_abort(run, run_end_early);
        do
                result = vds_server_open(run->server, run->call->set_name);
        while (result == VD_E_INVALID && run_wait_for_set(run, deadline));
        /* The script's time begins with its client. */
        run->deadline = deadline_after_ms(run->script->timeout_ms);
        if (result == VD_E_INVALID)
                return error_raise(err, run->call->open_wait_ms ? ERR_TIMEOUT : ERR_FAILED,
                                   "there is no device set '%s' to join: its client has to create it first",
                                   run->call->set_name);
        if (result == NOERROR)
                result = vds_server_get_configuration(run->server, &run->config);
        return result == NOERROR ? 0 : run_raise_result(run, result, "join", err);
}

static void run_check_wishes(struct script_run *run)
{
        const struct VDConfig *config = &run->config;
        const struct {
                const char *name;
                uint32_t value;
        } wishes[SCRIPT_WISH_COUNT] = {
                [SCRIPT_WISH_FEATURES] = { "features", config->features },
                [SCRIPT_WISH_DEVICES] = { "deviceCount", config->deviceCount },
                [SCRIPT_WISH_PREFIX] = { "prefixZoneSize", config->prefixZoneSize },
                [SCRIPT_WISH_ALIGNMENT] = { "alignment", config->alignment },
                [SCRIPT_WISH_SOFTMARK] = { "softFileMarkBlockSize", config->softFileMarkBlockSize },
                [SCRIPT_WISH_WARNING] = { "EOMWarningSize", config->EOMWarningSize },
                [SCRIPT_WISH_TIMEOUT] = { "serverTimeOut", config->serverTimeOut },
        };

        for (int i = 0; i < SCRIPT_WISH_COUNT; i++) {
                if (!run->script->wishes[i].given)
                        continue;
                run->checks++;
                if (run->script->wishes[i].value != wishes[i].value)
                        run_fail(run, run->script->wishes[i].line, 0,
                                 "the client asks for %s %" PRIu32 " (0x%" PRIx32 "), expected %" PRIu32 " (0x%" PRIx32
                                 ")",
                                 wishes[i].name, wishes[i].value, wishes[i].value, run->script->wishes[i].value,
                                 run->script->wishes[i].value);
        }
        for (uint32_t i = config->deviceCount; i < VDS_DEVICES_MAX; i++)
                if (run->script->devices[i])
                        run_fail(run, run->script->devices[i]->line, 0,
                                 "the client asks for %" PRIu32 " devices, the script needs device %" PRIu32,
                                 config->deviceCount, i + 1);
}

static uint32_t run_count_buffers(const struct script_run *run)
{
        uint32_t count = 0;

        if (run->script->buffers)
                return run->script->buffers;
        for (uint32_t i = 0; i < VDS_DEVICES_MAX; i++)
                count += run->script->devices[i] ? run->script->devices[i]->buffers : 0;
        return count < BUFFERS_MIN ? BUFFERS_MIN : count;
}

static int run_configure(struct script_run *run, struct error *err)
{
        const struct script *script = run->script;
        uint32_t features = (run->config.features & script->grant) | script->direction;
        int result;

        if (run->config.features & script->grant & VDF_RequestComplete)
                features |= VDF_CompleteEnabled;
        result = vds_server_begin_configuration(run->server, features, script->block_size, script->alignment,
                                                script->max_transfer, CONFIGURATION_TIMEOUT_MS);
        if (result == NOERROR && script->info[0])
                result = vds_server_set_info(run->server, script->info);
        if (result == NOERROR)
                result = vds_server_request_buffers(run->server, script->max_transfer, /* alignment= */ 0,
                                                    run_count_buffers(run));
        if (result == NOERROR)
                result = vds_server_end_configuration(run->server);
        if (result == NOERROR)
                result = vds_server_get_configuration(run->server, &run->config);
        return result == NOERROR ? 0 : run_raise_result(run, result, "configure", err);
}

/* The second device's name is NAME1, as in the published sample programs. */
static void run_name_device(const struct script_run *run, uint32_t index, char name[VDS_NAME_MAX + 1])
{
        const struct script_device *device = run->script->devices[index];
        int room = VDS_NAME_MAX + 1;

        if (index == 0)
                snprintf(name, (size_t)room, "%s", run->call->set_name);
        else if (device && device->name[0])
                snprintf(name, (size_t)room, "%s", device->name);
        else
                snprintf(name, (size_t)room, "%.*s%" PRIu32, VDS_NAME_MAX - 2, run->call->set_name, index);
}

static int run_open_devices(struct script_run *run, struct error *err)
{
        for (uint32_t i = 0; i < run->config.deviceCount; i++) {
                struct lane *lane = calloc(1, sizeof *lane);
                char name[VDS_NAME_MAX + 1];
                int result;

                if (!lane)
                        return error_no_memory(err);
                run->lanes[i] = lane;
                lane->run = run;
                lane->device = run->script->devices[i];
                lane->number = i + 1;
                run_name_device(run, i, name);
                result = vds_server_open_device(run->server, name, &lane->server_device);
                if (result != NOERROR)
                        return run_raise_result(run, result, "open the devices of", err);
        }
        return 0;
}

/* ---- the run ---- */

static void *run_agent_main(void *run_at)
{
        struct script_run *run = run_at;

        vds_server_execute_completion_agent(run->server);
        pthread_mutex_lock(&run->lock);
        run->agent_gone = true;
        pthread_cond_broadcast(&run->changed);
        pthread_mutex_unlock(&run->lock);
        return NULL;
}

static void *lane_main(void *lane_at)
{
        lane_run(lane_at);
        return NULL;
}

static int start_thread(pthread_t *thread, void *(*run)(void *), void *argument, struct error *err)
{
        int result = pthread_create(thread, NULL, run, argument);

        return result ? error_raise_errno(err, result, "cannot start a thread") : 0;
}

static int run_start(struct script_run *run, struct error *err)
{
        if (start_thread(&run->agent, run_agent_main, run, err) < 0)
                return -1;
        run->has_agent = true;
        run->alive = run->config.deviceCount;
        for (uint32_t i = 0; i < run->config.deviceCount; i++) {
                if (start_thread(&run->lanes[i]->thread, lane_main, run->lanes[i], err) < 0)
                        return -1;
                run->lanes[i]->has_thread = true;
        }
        return 0;
}

static void run_join_lanes(struct script_run *run)
{
        for (uint32_t i = 0; i < VDS_DEVICES_MAX; i++)
                if (run->lanes[i] && run->lanes[i]->has_thread)
                        pthread_join(run->lanes[i]->thread, NULL);
}

/* A broken contract, or a fault here, is a failure whatever the script says. */
static void run_state_verdict(struct script_run *run, const struct error *err)
{
        const struct script *script = run->script;
        struct server_report report = { .code = ERR_NONE };
        enum vds_verdict verdict = script->verdict == VDS_VERDICT_FAILED ? VDS_VERDICT_FAILED : VDS_VERDICT_SUCCESS;
        char text[VDS_TEXT_MAX];

        if (script->verdict == VDS_VERDICT_NONE)
                return;
        if (verdict == VDS_VERDICT_SUCCESS)
                snprintf(report.note, sizeof report.note, "%s", script->verdict_text);
        else
                snprintf(report.message, sizeof report.message, "%s", script->verdict_text);
        if (run->report->failure_count || error_is_set(err)) {
                verdict = VDS_VERDICT_FAILED;
                snprintf(report.message, sizeof report.message, "%s",
                         error_is_set(err) ? err->message : run->report->failures[0].text);
        }
        report.code = verdict == VDS_VERDICT_FAILED ? ERR_FAILED : ERR_NONE;
        server_report_encode(&report, text);
        trace_event(run->call->trace, 0, "verdict", verdict == VDS_VERDICT_FAILED ? "failed" : "success");
        vds_server_set_verdict(run->server, verdict, text);
}

static void run_close_set(struct script_run *run)
{
        if (!run->server)
                return;
        vds_server_close(run->server);
        if (run->has_agent)
                pthread_join(run->agent, NULL);
        vds_server_free(run->server);
        for (uint32_t i = 0; i < VDS_DEVICES_MAX; i++)
                free(run->lanes[i]);
}

/* Everything between joining and closing. Returns 0 when nothing is wrong here; the client is another matter. */
static int run_play(struct script_run *run, struct error *err)
{
        int rc;

        run_check_wishes(run);
        if (run->stopping)
                return 0;
        if (run_configure(run, err) < 0 || run_open_devices(run, err) < 0)
                return -1;
        rc = run_start(run, err);
        if (rc < 0)
                run_stop(run);
        run_join_lanes(run);
        if (rc == 0)
                error_keep_first(err, &run->fault);
        return error_is_set(err) ? -1 : rc;
}

/* A sequence that was told to stop has no complaint of its own. */
static int run_check_ended_early(struct script_run *run, struct error *err)
{
        bool ended;

        pthread_mutex_lock(&run->lock);
        ended = run->ended_early;
        pthread_mutex_unlock(&run->lock);
        if (!ended)
                return 0;
        return error_raise(err, ERR_ABORTED, "the device set '%s' was aborted: the run was ended early",
                           run->call->set_name);
}

static void report_init(struct script_report *report, const struct script_call *call)
{
        memset(report, 0, sizeof *report);
        report->path = call->path;
        report->set_name = call->set_name;
}

int script_run(const struct script *script, const struct script_call *call, struct script_report *report,
               struct error *err)
{
        struct script_run run;
        struct error own = ERROR_INIT;
        int rc;

        report_init(report, call);
        run_init(&run, script, call, report);
        rc = run_join(&run, &own);
        if (rc == 0) {
                rc = run_play(&run, &own);
                if (rc == 0)
                        rc = run_check_ended_early(&run, &own);
                run_state_verdict(&run, &own);
                /* A client that waits for the configuration, or for devices, would wait for ever. */
                if (rc < 0)
                        vds_server_signal_abort(run.server);
        }
        report->checks = run.checks;
        run_offer_abort(&run, /* abort_run= */ NULL);
        run_close_set(&run);
        run_deinit(&run);
        if (rc == 0)
                return script_report_conclude(report, err);
        if (err)
                *err = own;
        return -1;
}

/* NULL: raised. */
static struct script *script_load(const char *path, struct error *err)
{
        CLEANUP(freep) char *text = NULL;
        struct script *script = NULL;
        size_t size;

        if (fd_read_file(AT_FDCWD, path, SCRIPT_SIZE_MAX, &text, &size) < 0)
                error_raise(err, ERR_USAGE, "cannot read the script '%s': %s", path, strerror(errno));
        else if (script_parse(path, text, size, &script, err) < 0)
                script = NULL;
        return script;
}

int script_check(const char *path, struct error *err)
{
        struct script *script = script_load(path, err);

        if (!script)
                return -1;
        script_free(script);
        return 0;
}

int script_main(const struct script_call *call, struct script_report *report, struct error *err)
{
        struct script *script;
        int rc;

        report_init(report, call);
        script = script_load(call->path, err);
        if (!script)
                return -1;
        rc = script_run(script, call, report, err);
        script_free(script);
        return rc;
}
