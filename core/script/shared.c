#include "core/script/shared.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void run_init(struct script_run *run, const struct script *script, const struct script_call *call,
              struct script_report *report)
{
        pthread_condattr_t attributes;

        *run = (struct script_run){ .script = script, .call = call, .report = report };
        run->deadline = deadline_after_ms(script->timeout_ms);
        pthread_mutex_init(&run->lock, NULL);
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&run->changed, &attributes);
        pthread_condattr_destroy(&attributes);
}

void run_deinit(struct script_run *run)
{
        pthread_cond_destroy(&run->changed);
        pthread_mutex_destroy(&run->lock);
}

/* Begins to stop every sequence. Under the lock; whoever calls aborts the set behind it. */
static void run_begin_stop(struct script_run *run)
{
        run->stopping = true;
        run->abort_expected = true;
        pthread_cond_broadcast(&run->changed);
}

void run_fail(struct script_run *run, uint32_t line, uint32_t device, const char *format, ...)
{
        char text[SCRIPT_FAILURE_TEXT_MAX];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        pthread_mutex_lock(&run->lock);
        /* What comes after the first failure is its consequence. */
        if (!run->stopping)
                script_report_add(run->report, line, device, text);
        if (!run->script->goes_on)
                run_begin_stop(run);
        pthread_mutex_unlock(&run->lock);
        if (!run->script->goes_on)
                vds_server_signal_abort(run->server);
}

void run_fault(struct script_run *run, uint32_t line, enum err_code code, const char *text)
{
        struct error fault = ERROR_INIT;

        error_raise(&fault, code, "%s:%" PRIu32 ": %s", run->call->path, line, text);
        pthread_mutex_lock(&run->lock);
        error_keep_first(&run->fault, &fault);
        pthread_mutex_unlock(&run->lock);
        run_stop(run);
}

void run_time_out(struct script_run *run, uint32_t line, uint32_t device, const char *what)
{
        char text[SCRIPT_FAILURE_TEXT_MAX];

        snprintf(text, sizeof text, "the script's time, %.3g s, is over: %s", (double)run->script->timeout_ms / 1000,
                 what);
        pthread_mutex_lock(&run->lock);
        script_report_add(run->report, line, device, text);
        run->report->timed_out = true;
        run->deadline = DEADLINE_NEVER;
        run_begin_stop(run);
        pthread_mutex_unlock(&run->lock);
        vds_server_signal_abort(run->server);
}

void run_stop(struct script_run *run)
{
        pthread_mutex_lock(&run->lock);
        run_begin_stop(run);
        pthread_mutex_unlock(&run->lock);
        vds_server_signal_abort(run->server);
}

void run_end_early(void *run_at)
{
        struct script_run *run = run_at;

        pthread_mutex_lock(&run->lock);
        run->ended_early = true;
        run_begin_stop(run);
        pthread_mutex_unlock(&run->lock);
        vds_server_signal_abort(run->server);
}

bool run_is_late(struct script_run *run)
{
        bool late;

        pthread_mutex_lock(&run->lock);
        late = deadline_passed(run->deadline);
        pthread_mutex_unlock(&run->lock);
        return late;
}

bool run_wait_change(struct script_run *run, struct deadline deadline)
{
        const struct timespec at = {
                .tv_sec = (time_t)(deadline.at_ns / 1000000000),
                .tv_nsec = (long)(deadline.at_ns % 1000000000),
        };

        if (deadline.at_ns == DEADLINE_NEVER.at_ns) {
                pthread_cond_wait(&run->changed, &run->lock);
                return true;
        }
        return pthread_cond_timedwait(&run->changed, &run->lock, &at) == 0 || !deadline_passed(deadline);
}

bool run_wait_end(struct script_run *run, struct deadline deadline)
{
        bool ended = false;

        pthread_mutex_lock(&run->lock);
        deadline = deadline_earlier(deadline, run->deadline);
        do
                ended = run->agent_gone || run->closing || run->stopping;
        while (!ended && run_wait_change(run, deadline));
        pthread_mutex_unlock(&run->lock);
        return ended;
}
