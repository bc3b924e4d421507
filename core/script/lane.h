/*
 * lane.h - one device's sequence of a script, on a thread of its own; and what it shares with the others
 *
 * A flight is a command on its way: sent, then done. All flights, and whatever else one thread waits for that another
 * does, are under the run's lock, and every change is broadcast: scripts are slow, and simple is what counts.
 */
#ifndef VDIPIPE_CORE_SCRIPT_LANE_H
#define VDIPIPE_CORE_SCRIPT_LANE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/deadline.h"
#include "core/script/run.h"

/* More than a queue holds, so that a script can overfill one. */
enum { LANE_FLIGHTS = 2 * VDS_QUEUE_DEPTH };

struct lane;

struct flight {
        struct VDS_Command command; /* first: its address is the flight's */
        struct lane *lane;
        const struct script_step *step;
        bool used;
        bool done; /* under the run's lock, with the two that follow */
        int64_t done_ns;
        uint64_t done_order;
        bool late; /* said so */
        uint64_t serial;
        int64_t sent_ns;
        int sent_result; /* of SendCommand */
        uint64_t offset; /* of its first byte in the data */
};

struct lane {
        struct script_run *run;
        const struct script_device *device;
        uint32_t number; /* of the device, from 1 */
        struct vds_server_device *server_device;
        pthread_t thread;
        bool has_thread;
        struct flight flights[LANE_FLIGHTS];
        uint64_t serial;   /* of the last command */
        uint64_t offset;   /* in the data, of what comes next */
        uint64_t position; /* disk-like: where the next transfer goes */
        int64_t saved[SCRIPT_NAMES_MAX];
        uint32_t rounds[SCRIPT_NESTING_MAX]; /* done, of the repeats that are open */
        uint32_t nesting;
        bool closed;
};

struct script_run {
        const struct script *script;
        const struct script_call *call;
        struct script_report *report;
        struct vds_server *server;
        struct VDConfig config; /* the client's wishes, then what was agreed */
        struct lane *lanes[VDS_DEVICES_MAX];
        pthread_t agent;
        bool has_agent;

        pthread_mutex_t lock; /* guards what follows, and the report */
        pthread_cond_t changed;
        struct deadline deadline;
        struct error fault; /* of the script, or of this process; the first one */
        bool agent_gone;
        bool stopping;       /* sequences go no further */
        bool ended_early;    /* by whoever runs the script */
        bool closing;        /* a sequence asked for the set to be closed at once */
        bool abort_expected; /* by the script, or begun here: commands may come back with 995 */
        uint64_t done_count;
        uint32_t alive;   /* sequences that have not ended */
        uint32_t arrived; /* at the meeting */
        uint64_t meetings;
};

/* Runs the whole sequence and closes the device. */
void lane_run(struct lane *lane);

/* Adds a failure to the report, and aborts the set unless the script goes on after failures. Without the lock, as all
 * that follows but run_wait_change(). */
void run_fail(struct script_run *run, uint32_t line, uint32_t device, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* Must sequences end? */
bool run_is_over(struct script_run *run);

/* Waits for a change; false once the deadline has passed. Under the lock. */
bool run_wait_change(struct script_run *run, struct deadline deadline);

/* Waits until the set is aborted or about to be closed. False at the deadline, or at the script's. */
bool run_wait_end(struct script_run *run, struct deadline deadline);

/* Notes that something was compared. */
void run_count_check(struct script_run *run);

/* The script's time is over: says what was not done by then, aborts, and makes every sequence stop. */
void lane_time_out(struct lane *lane, uint32_t line, const char *what);

/* The script is wrong in this line, or something here: aborts, and makes every sequence stop. */
void lane_fault(struct lane *lane, uint32_t line, enum err_code code, const char *text);

/* Sends the command of a line, the `index`th time; NULL when the sequence must stop. */
struct flight *lane_send(struct lane *lane, const struct script_step *step, uint32_t index);

enum flight_outcome {
        FLIGHT_GOOD,
        FLIGHT_ENDS_SERIES, /* a code of `until` came */
        FLIGHT_STOP,        /* the sequence must stop */
};

/* Waits until the flight is done, checks it, and frees its place.
 * `after_end`: an earlier one of its line has ended it. */
enum flight_outcome flight_reap(struct flight *flight, bool after_end);

static inline bool script_moves_data(const struct script_command *command)
{
        return command->code == VDC_Read || command->code == VDC_Write;
}

#endif
