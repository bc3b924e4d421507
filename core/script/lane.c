#include "core/script/lane.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* A line's commands, as far as they are waited for. */
struct series {
        const struct script_step *step;
        uint32_t in_flight;
        bool ended;        /* a code of `until` came */
        uint64_t position; /* of the first */
        uint64_t total;
};

static enum flight_outcome series_reap(struct lane *lane, struct series *series)
{
        struct flight *flight = lane_oldest(lane, series->step, LANE_ANY_LABEL);
        enum flight_outcome outcome = flight_reap(flight, series->ended);

        series->in_flight--;
        if (script_moves_data(&series->step->command))
                series->total += (uint64_t)flight->command.bytesTransferred;
        if (outcome == FLIGHT_ENDS_SERIES)
                series->ended = true;
        return outcome;
}

/* After the last one: does the sum fit, and where does the data go on? */
static bool series_finish(struct lane *lane, const struct series *series, uint64_t offset)
{
        const struct script_command *command = &series->step->command;

        if (script_moves_data(command)) {
                lane->offset = offset + series->total;
                lane->position = series->position + series->total;
        }
        if (command->until.count && !series->ended) {
                run_fail(lane->run, series->step->line, lane->number,
                         "the end did not come within %" PRIu32 " commands", command->count);
                return false;
        }
        if (command->has_total && series->total != command->total) {
                run_fail(lane->run, series->step->line, lane->number, "expected %" PRIu64 " bytes in all, got %" PRIu64,
                         command->total, series->total);
                return false;
        }
        return true;
}

static bool lane_run_series(struct lane *lane, const struct script_step *step)
{
        const struct script_command *command = &step->command;
        struct series series = { .step = step };
        struct flight *flight;
        uint64_t offset = command->has_from ? command->from : lane->offset;

        lane->offset = offset;
        for (uint32_t i = 0; i < command->count && !series.ended; i++) {
                if (series.in_flight == command->depth && series_reap(lane, &series) == FLIGHT_STOP)
                        return false;
                if (series.ended)
                        break;
                flight = lane_send(lane, step, i);
                if (!flight)
                        return false;
                if (i == 0)
                        series.position = (uint64_t)flight->command.inPosition;
                series.in_flight++;
        }
        while (series.in_flight > 0)
                if (series_reap(lane, &series) == FLIGHT_STOP)
                        return false;
        return series_finish(lane, &series, offset) || lane->run->script->goes_on;
}

static bool lane_run_command(struct lane *lane, const struct script_step *step)
{
        if (!step->command.sent)
                return lane_run_series(lane, step);
        if (step->command.has_from)
                lane->offset = step->command.from;
        for (uint32_t i = 0; i < step->command.count; i++)
                if (!lane_send(lane, step, i))
                        return false;
        return true;
}

static bool lane_await(struct lane *lane, const struct script_step *step)
{
        uint64_t last = 0;

        for (uint32_t i = 0; i < step->await.count; i++) {
                int label = step->await.order[i];
                struct flight *flight = lane_oldest(lane, NULL, label);

                if (!flight) {
                        run_fault(lane->run, step->line, ERR_USAGE, "nothing is outstanding under this label");
                        return false;
                }
                if (flight_reap(flight, /* after_end= */ false) == FLIGHT_STOP)
                        return false;
                if (step->await.ordered && flight->done_order < last) {
                        run_fail(lane->run, step->line, lane->number, "'%s' was completed before '%s'",
                                 lane->device->labels.words[label],
                                 lane->device->labels.words[step->await.order[i - 1]]);
                        return lane->run->script->goes_on;
                }
                last = flight->done_order;
        }
        return true;
}

static bool lane_drain(struct lane *lane, const struct script_step *step)
{
        struct flight *flight;

        (void)step;
        while ((flight = lane_oldest(lane, NULL, LANE_ANY_LABEL)) != NULL)
                if (flight_reap(flight, /* after_end= */ false) == FLIGHT_STOP)
                        return false;
        return true;
}

/* Wakes who meets, once everybody alive is there. Under the lock. */
static void run_settle_meeting(struct script_run *run)
{
        if (run->arrived == 0 || run->arrived < run->alive)
                return;
        run->arrived = 0;
        run->meetings++;
        pthread_cond_broadcast(&run->changed);
}

static bool lane_meet(struct lane *lane, const struct script_step *step)
{
        struct script_run *run = lane->run;
        bool in_time = true;
        uint64_t meeting;

        pthread_mutex_lock(&run->lock);
        meeting = run->meetings;
        run->arrived++;
        run_settle_meeting(run);
        while (in_time && run->meetings == meeting && !run->stopping && !run->closing)
                in_time = run_wait_change(run, run->deadline);
        pthread_mutex_unlock(&run->lock);
        if (!in_time)
                run_time_out(run, step->line, lane->number, "the other devices did not come to the meeting");
        return in_time && !run_is_over(run);
}

/* The set was aborted, and nobody had said so. Returns false. */
static bool lane_fail_aborted(struct lane *lane, uint32_t line)
{
        run_fail(lane->run, line, lane->number, "the device set was aborted: %s",
                 vds_abort_text(vds_server_abort_reason(lane->run->server)));
        return false;
}

static bool lane_buffers(struct lane *lane, const struct script_step *step)
{
        int result = vds_server_request_buffers(lane->run->server, lane->run->script->max_transfer, /* alignment= */ 0,
                                                step->buffers);
        char text[128];

        if (result == NOERROR)
                return true;
        if (result == VD_E_ABORT)
                return lane_fail_aborted(lane, step->line);
        snprintf(text, sizeof text, "cannot get more buffers: %s", vds_result_name(result));
        run_fault(lane->run, step->line, ERR_MEMORY, text);
        return false;
}

static bool lane_hold(struct lane *lane, const struct script_step *step)
{
        struct script_run *run = lane->run;
        enum vds_abort_reason reason;

        if (!run_wait_end(run, DEADLINE_NEVER)) {
                run_time_out(run, step->line, lane->number, "the client neither aborted nor closed");
                return false;
        }
        if (run_is_over(run))
                return false;
        reason = vds_server_abort_reason(run->server);
        run->abort_expected = true;
        run->checks++;
        if (step->hold == VDS_ABORT_NONE || step->hold == reason)
                return true;
        run_fail(run, step->line, lane->number, "expected the set to be aborted since %s, but %s",
                 vds_abort_text(step->hold), reason == VDS_ABORT_NONE ? "it was not" : vds_abort_text(reason));
        return run->script->goes_on;
}

static bool lane_stall(struct lane *lane, const struct script_step *step)
{
        struct script_run *run = lane->run;

        run_wait_end(run, deadline_after_ms(step->stall_ms));
        if (run_is_late(run))
                run_time_out(run, step->line, lane->number, "a stall went on");
        return !run_is_over(run);
}

static bool lane_abort_set(struct lane *lane, const struct script_step *step)
{
        (void)step;
        lane->run->abort_expected = true;
        trace_event(lane->run->call->trace, lane->number, "abort", NULL);
        vds_server_signal_abort(lane->run->server);
        return true;
}

/* An abort that no command met shows here. */
static bool lane_close(struct lane *lane, uint32_t line)
{
        struct script_run *run = lane->run;
        int result;

        trace_event(run->call->trace, lane->number, "close", NULL);
        result = vds_server_device_close(lane->server_device);
        lane->closed = true;
        if (result == VD_E_ABORT && !run->abort_expected)
                lane_fail_aborted(lane, line);
        return true;
}

static bool lane_close_step(struct lane *lane, const struct script_step *step)
{
        return lane_close(lane, step->line);
}

/* The set cannot be closed under other sequences: they are made to leave, and script_run() closes. */
static bool lane_close_set(struct lane *lane, const struct script_step *step)
{
        struct script_run *run = lane->run;

        (void)step;
        pthread_mutex_lock(&run->lock);
        run->closing = true;
        run->abort_expected = true;
        pthread_cond_broadcast(&run->changed);
        pthread_mutex_unlock(&run->lock);
        return false;
}

static bool lane_exit(struct lane *lane, const struct script_step *step)
{
        struct script_run *run = lane->run;

        (void)step;
        pthread_mutex_lock(&run->lock);
        run->report->commands += lane->serial;
        run->report->checks = run->checks;
        if (run->call->leave)
                run->call->leave(run->report, run->call->context);
        _exit(1);
}

static bool lane_begin_repeat(struct lane *lane, const struct script_step *step)
{
        (void)step;
        lane->rounds[lane->nesting++] = 0;
        return true;
}

/* At the end of a round: back to the first step of the body, or on. */
static uint32_t lane_end_round(struct lane *lane, uint32_t index)
{
        const struct script_step *steps = lane->device->steps;
        uint32_t first = steps[index].repeat.partner;

        if (++lane->rounds[lane->nesting - 1] < steps[first].repeat.count)
                return first + 1;
        lane->nesting--;
        return index + 1;
}

static bool lane_die(struct lane *lane, const struct script_step *step)
{
        (void)lane;
        (void)step;
        kill(getpid(), SIGKILL);
        return false;
}

/* What a step does; false when the sequence must stop. NULL: nothing. */
static bool (*const step_functions[])(struct lane *lane, const struct script_step *step) = {
        [SCRIPT_COMMAND] = lane_run_command, [SCRIPT_AWAIT] = lane_await,      [SCRIPT_DRAIN] = lane_drain,
        [SCRIPT_REPEAT] = lane_begin_repeat, [SCRIPT_END_REPEAT] = NULL,       [SCRIPT_MEET] = lane_meet,
        [SCRIPT_BUFFERS] = lane_buffers,     [SCRIPT_STALL] = lane_stall,      [SCRIPT_HOLD] = lane_hold,
        [SCRIPT_ABORT] = lane_abort_set,     [SCRIPT_CLOSE] = lane_close_step, [SCRIPT_CLOSE_SET] = lane_close_set,
        [SCRIPT_EXIT] = lane_exit,           [SCRIPT_DIE] = lane_die,
};

static void lane_steps(struct lane *lane)
{
        uint32_t at = 0;

        while (lane->device && at < lane->device->count) {
                const struct script_step *step = &lane->device->steps[at];

                if (run_is_over(lane->run))
                        return;
                if (step_functions[step->kind] && !step_functions[step->kind](lane, step))
                        return;
                at = step->kind == SCRIPT_END_REPEAT ? lane_end_round(lane, at) : at + 1;
        }
        lane_drain(lane, /* step= */ NULL);
}

/* Where the sequence ends. */
static uint32_t lane_last_line(const struct lane *lane)
{
        const struct script_device *device = lane->device;

        if (!device)
                return 1;
        return device->count ? device->steps[device->count - 1].line : device->line;
}

void lane_run(struct lane *lane)
{
        struct script_run *run = lane->run;
        bool closing;

        lane_steps(lane);
        pthread_mutex_lock(&run->lock);
        run->report->commands += lane->serial;
        run->alive--;
        run_settle_meeting(run);
        closing = run->closing;
        pthread_mutex_unlock(&run->lock);
        /* With the set to be closed under it, or aborted, a device is left as it is. */
        if (!closing && !lane->closed)
                lane_close(lane, lane_last_line(lane));
}
