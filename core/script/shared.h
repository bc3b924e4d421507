/*
 * shared.h - what the sequences of a script's devices share
 *
 * Each sequence has a thread of its own. Whatever one thread waits for that another does is under the run's lock, and
 * every change is broadcast: scripts are slow, and simple is what counts. Functions take the lock unless they say
 * otherwise.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/deadline.h"
#include "core/script/run.h"

struct lane;

struct script_run {
        const struct script *script;
        const struct script_call *call;
        struct script_report *report;
        struct vds_server *server;
        struct VDConfig config; /* the client's wishes, then what was agreed */
        struct lane *lanes[VDS_DEVICES_MAX];
        pthread_t agent;
        bool has_agent;

        /* Set under the lock where somebody may wait for them; never cleared. */
        atomic_bool stopping;       /* sequences go no further */
        atomic_bool closing;        /* a sequence asked for the set to be closed at once */
        atomic_bool abort_expected; /* by the script, or begun here: commands may come back with 995 */
        _Atomic uint64_t checks;    /* made of what came back */

        pthread_mutex_t lock; /* guards what follows, and the report */
        pthread_cond_t changed;
        struct deadline deadline;
        struct error fault; /* of the script, or of this process; the first one */
        bool agent_gone;
        bool ended_early; /* by whoever runs the script */
        uint64_t done_count;
        uint32_t alive;   /* sequences that have not ended */
        uint32_t arrived; /* at the meeting */
        uint64_t meetings;
};

void run_init(struct script_run *run, const struct script *script, const struct script_call *call,
              struct script_report *report);
void run_deinit(struct script_run *run);

/* Adds a failure to the report, and aborts the set unless the script goes on after failures. */
void run_fail(struct script_run *run, uint32_t line, uint32_t device, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* The script is wrong in this line, or something here: aborts, and makes every sequence stop. */
void run_fault(struct script_run *run, uint32_t line, enum err_code code, const char *text);

/* The script's time is over: says what was not done by then, aborts, and makes every sequence stop. */
void run_time_out(struct script_run *run, uint32_t line, uint32_t device, const char *what);

/* Aborts, and makes every sequence stop. As a way to end the run early it comes from outside. */
void run_stop(struct script_run *run);
void run_end_early(void *run_at);

/* Must sequences end? */
static inline bool run_is_over(const struct script_run *run)
{
        return run->stopping || run->closing;
}

/* Whether the script's time is over. */
bool run_is_late(struct script_run *run);

/* Waits for a change; false once the deadline has passed. Under the lock. */
bool run_wait_change(struct script_run *run, struct deadline deadline);

/* Waits until the set is aborted or about to be closed. False at the deadline, or at the script's. */
bool run_wait_end(struct script_run *run, struct deadline deadline);
