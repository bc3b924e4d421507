#include "core/script/lane.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* The oldest flight that `step` sent (any step: NULL), or NULL. */
static struct flight *oldest(struct lane *lane, const struct script_step *step)
{
        struct flight *found = NULL;

        for (uint32_t i = 0; i < LANE_FLIGHTS; i++) {
                struct flight *flight = &lane->flights[i];

                if (flight->used && (!step || flight->step == step) && (!found || flight->serial < found->serial))
                        found = flight;
        }
        return found;
}

/* A line's commands, as far as they are waited for. */
struct series {
        const struct script_step *step;
        uint32_t in_flight;
        bool ended;        /* a code of `until` came */
        uint64_t position; /* of the first */
        uint64_t total;
};

static enum flight_outcome reap_of_series(struct lane *lane, struct series *series)
{
        struct flight *flight = oldest(lane, series->step);
        enum flight_outcome outcome = flight_reap(flight, series->ended);

        series->in_flight--;
        if (script_moves_data(&series->step->command))
                series->total += (uint64_t)flight->command.bytesTransferred;
        if (outcome == FLIGHT_ENDS_SERIES)
                series->ended = true;
        return outcome;
}

/* After the last one: does the sum fit, and where does the data go on? */
static bool finish_series(struct lane *lane, const struct series *series, uint64_t offset)
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

static bool run_series(struct lane *lane, const struct script_step *step)
{
        const struct script_command *command = &step->command;
        struct series series = { .step = step };
        struct flight *flight;
        uint64_t offset = command->has_from ? command->from : lane->offset;

        lane->offset = offset;
        for (uint32_t i = 0; i < command->count && !series.ended; i++) {
                if (series.in_flight == command->depth && reap_of_series(lane, &series) == FLIGHT_STOP)
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
                if (reap_of_series(lane, &series) == FLIGHT_STOP)
                        return false;
        return finish_series(lane, &series, offset) || lane->run->script->goes_on;
}

static bool run_command(struct lane *lane, const struct script_step *step)
{
        if (!step->command.sent)
                return run_series(lane, step);
        if (step->command.has_from)
                lane->offset = step->command.from;
        for (uint32_t i = 0; i < step->command.count; i++)
                if (!lane_send(lane, step, i))
                        return false;
        return true;
}

/* The oldest flight of a label that is not awaited yet. */
static struct flight *labelled(struct lane *lane, int label)
{
        struct flight *found = NULL;

        for (uint32_t i = 0; i < LANE_FLIGHTS; i++) {
                struct flight *flight = &lane->flights[i];

                if (flight->used && flight->step->command.sent && flight->step->command.label == label &&
                    (!found || flight->serial < found->serial))
                        found = flight;
        }
        return found;
}

static bool run_await(struct lane *lane, const struct script_step *step)
{
        uint64_t last = 0;

        for (uint32_t i = 0; i < step->await.count; i++) {
                int label = step->await.order[i];
                struct flight *flight = labelled(lane, label);

                if (!flight) {
                        lane_fault(lane, step->line, ERR_USAGE, "nothing is outstanding under this label");
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

static bool run_drain(struct lane *lane)
{
        struct flight *flight;

        while ((flight = oldest(lane, NULL)) != NULL)
                if (flight_reap(flight, /* after_end= */ false) == FLIGHT_STOP)
                        return false;
        return true;
}

/* Wakes who meets, once everybody alive is there. Under the lock. */
static void settle_meeting(struct script_run *run)
{
        if (run->arrived == 0 || run->arrived < run->alive)
                return;
        run->arrived = 0;
        run->meetings++;
        pthread_cond_broadcast(&run->changed);
}

static bool run_meet(struct lane *lane, const struct script_step *step)
{
        struct script_run *run = lane->run;
        bool in_time = true;
        uint64_t meeting;

        pthread_mutex_lock(&run->lock);
        meeting = run->meetings;
        run->arrived++;
        settle_meeting(run);
        while (in_time && run->meetings == meeting && !run->stopping && !run->closing)
                in_time = run_wait_change(run, run->deadline);
        pthread_mutex_unlock(&run->lock);
        if (!in_time)
                lane_time_out(lane, step->line, "the other devices did not come to the meeting");
        return in_time && !run_is_over(run);
}

static bool run_buffers(struct lane *lane, const struct script_step *step)
{
        int result = vds_server_request_buffers(lane->run->server, lane->run->script->max_transfer, /* alignment= */ 0,
                                                step->buffers);
        char text[128];

        if (result == NOERROR)
                return true;
        if (result == VD_E_ABORT)
                run_fail(lane->run, step->line, lane->number, "the device set was aborted: %s",
                         vds_abort_text(vds_server_abort_reason(lane->run->server)));
        else
                lane_fault(lane, step->line, ERR_MEMORY,
                           (snprintf(text, sizeof text, "cannot get more buffers: %s", vds_result_name(result)), text));
        return false;
}

/* From here on commands may come back with 995. */
static void expect_abort(struct script_run *run)
{
        pthread_mutex_lock(&run->lock);
        run->abort_expected = true;
        pthread_mutex_unlock(&run->lock);
}

static bool run_hold(struct lane *lane, const struct script_step *step)
{
        struct script_run *run = lane->run;
        enum vds_abort_reason reason;

        if (!run_wait_end(run, DEADLINE_NEVER)) {
                lane_time_out(lane, step->line, "the client neither aborted nor closed");
                return false;
        }
        if (run_is_over(run))
                return false;
        reason = vds_server_abort_reason(run->server);
        expect_abort(run);
        run_count_check(run);
        if (step->hold == VDS_ABORT_NONE || step->hold == reason)
                return true;
        run_fail(run, step->line, lane->number, "expected the set to be aborted since %s, but %s",
                 vds_abort_text(step->hold), reason == VDS_ABORT_NONE ? "it was not" : vds_abort_text(reason));
        return run->script->goes_on;
}

static bool run_stall(struct lane *lane, const struct script_step *step)
{
        struct script_run *run = lane->run;
        bool out_of_time;

        run_wait_end(run, deadline_after_ms(step->stall_ms));
        pthread_mutex_lock(&run->lock);
        out_of_time = deadline_passed(run->deadline);
        pthread_mutex_unlock(&run->lock);
        if (out_of_time)
                lane_time_out(lane, step->line, "a stall went on");
        return !run_is_over(run);
}

static bool run_abort(struct lane *lane)
{
        expect_abort(lane->run);
        trace_event(lane->run->call->trace, lane->number, "abort", NULL);
        vds_server_signal_abort(lane->run->server);
        return true;
}

static bool is_abort_expected(struct script_run *run)
{
        bool expected;

        pthread_mutex_lock(&run->lock);
        expected = run->abort_expected;
        pthread_mutex_unlock(&run->lock);
        return expected;
}

/* An abort that no command met shows here. */
static bool run_close(struct lane *lane, uint32_t line)
{
        struct script_run *run = lane->run;
        int result;

        trace_event(run->call->trace, lane->number, "close", NULL);
        result = vds_server_device_close(lane->server_device);
        lane->closed = true;
        if (result == VD_E_ABORT && !is_abort_expected(run))
                run_fail(run, line, lane->number, "the device set was aborted: %s",
                         vds_abort_text(vds_server_abort_reason(run->server)));
        return true;
}

/* The set cannot be closed under other sequences: they are made to leave, and script_run() closes. */
static bool run_close_set(struct lane *lane)
{
        struct script_run *run = lane->run;

        pthread_mutex_lock(&run->lock);
        run->closing = true;
        run->abort_expected = true;
        pthread_cond_broadcast(&run->changed);
        pthread_mutex_unlock(&run->lock);
        return false;
}

static bool run_exit(struct lane *lane)
{
        struct script_run *run = lane->run;

        pthread_mutex_lock(&run->lock);
        run->report->commands += lane->serial;
        if (run->call->leave)
                run->call->leave(run->report, run->call->context);
        _exit(1);
}

static bool run_repeat(struct lane *lane)
{
        lane->rounds[lane->nesting++] = 0;
        return true;
}

/* At the end of a round: back to the first step of the body, or on. */
static uint32_t end_round(struct lane *lane, uint32_t index)
{
        const struct script_step *steps = lane->device->steps;
        uint32_t first = steps[index].repeat.partner;

        if (++lane->rounds[lane->nesting - 1] < steps[first].repeat.count)
                return first + 1;
        lane->nesting--;
        return index + 1;
}

/* False when the sequence must stop. */
static bool run_step(struct lane *lane, const struct script_step *step)
{
        switch (step->kind) {
        case SCRIPT_COMMAND:
                return run_command(lane, step);
        case SCRIPT_AWAIT:
                return run_await(lane, step);
        case SCRIPT_DRAIN:
                return run_drain(lane);
        case SCRIPT_REPEAT:
                return run_repeat(lane);
        case SCRIPT_END_REPEAT:
                return true;
        case SCRIPT_MEET:
                return run_meet(lane, step);
        case SCRIPT_BUFFERS:
                return run_buffers(lane, step);
        case SCRIPT_STALL:
                return run_stall(lane, step);
        case SCRIPT_HOLD:
                return run_hold(lane, step);
        case SCRIPT_ABORT:
                return run_abort(lane);
        case SCRIPT_CLOSE:
                return run_close(lane, step->line);
        case SCRIPT_CLOSE_SET:
                return run_close_set(lane);
        case SCRIPT_EXIT:
                return run_exit(lane);
        case SCRIPT_DIE:
                kill(getpid(), SIGKILL);
                return false;
        }
        return false;
}

static bool run_steps(struct lane *lane)
{
        uint32_t at = 0;

        while (lane->device && at < lane->device->count) {
                const struct script_step *step = &lane->device->steps[at];

                if (run_is_over(lane->run) || !run_step(lane, step))
                        return false;
                at = step->kind == SCRIPT_END_REPEAT ? end_round(lane, at) : at + 1;
        }
        return run_drain(lane);
}

/* Where the sequence ends. */
static uint32_t last_line(const struct lane *lane)
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

        run_steps(lane);
        pthread_mutex_lock(&run->lock);
        run->report->commands += lane->serial;
        run->alive--;
        settle_meeting(run);
        closing = run->closing;
        pthread_mutex_unlock(&run->lock);
        /* With the set to be closed under it, or aborted, a device is left as it is. */
        if (!closing && !lane->closed)
                run_close(lane, last_line(lane));
}
