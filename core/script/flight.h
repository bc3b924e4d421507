/*
 * flight.h - a command of a script on its way: sent, then done
 *
 * A lane is one device's sequence, with the flights that are out and the state that commands leave behind. It belongs
 * to its thread; what the completion agent writes into a flight is under the run's lock.
 */
#pragma once

#include "core/script/shared.h"

/* More than a queue holds, so that a script can overfill one. */
enum { LANE_FLIGHTS = 2 * VDS_QUEUE_DEPTH, LANE_ANY_LABEL = -1 };

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

/* Sends the command of a line, the `index`th time; NULL when the sequence must stop. */
struct flight *lane_send(struct lane *lane, const struct script_step *step, uint32_t index);

/* The oldest flight that `step` sent (any step: NULL), and under that label; NULL: there is none. */
struct flight *lane_oldest(struct lane *lane, const struct script_step *step, int label);

enum flight_outcome {
        FLIGHT_GOOD,
        FLIGHT_ENDS_SERIES, /* a code of `until` came */
        FLIGHT_STOP,        /* the sequence must stop */
};

/* Waits until the flight is done, checks it, and frees its place.
 * `after_end`: an earlier one of its line has ended it. */
enum flight_outcome flight_reap(struct flight *flight, bool after_end);
