/* fake_library.h - a library of the published members that does what a test tells it to, and counts what was asked of
 * it */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/vds/abi.h"

enum fake_unit {
        FAKE_MILLISECONDS,
        FAKE_SECONDS,
        FAKE_AT_ONCE, /* no wait is one */
};

enum { FAKE_STEPS_MAX = 8, FAKE_OBJECT = 0x5eed };

struct fake_step {
        int result;
        struct VDC_Command *command;
};

/* The library's own variable `fake_library`. Between two tests all but the lock and the condition is zeroed. */
struct fake_library {
        pthread_mutex_t lock;
        pthread_cond_t changed;

        /* what it is to do */
        enum fake_unit unit;
        bool deaf;          /* SignalAbort frees nobody */
        bool stuck;         /* Close does not come back while this is so */
        bool aborts_slowly; /* nor SignalAbort */
        int transfer_max;   /* what GetConfiguration says */
        bool configured;    /* GetConfiguration has what it waits for */
        int create_result;
        int open_result;
        bool opens_nothing; /* OpenDevice says NOERROR and gives no device */
        struct fake_step steps[FAKE_STEPS_MAX];
        int step_count; /* further calls of GetCommand wait */

        /* what it was asked */
        char calls[64]; /* a letter for each call: + construct, - destroy, c create, g GetConfiguration, o open,
                         * k GetCommand, d CompleteCommand, a SignalAbort, x Close */
        int waits;
        long longest; /* the largest time-out */
        int steps_done;
        bool aborted;
        char set_name[300];
        char device_name[300];
        struct VDConfig wishes;
        int code;
        unsigned long bytes;
        int64_t position;
};
