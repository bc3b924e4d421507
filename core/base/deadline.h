/*
 * deadline.h - a moment on CLOCK_MONOTONIC that every wait is given
 *
 * Time-outs of the interface are milliseconds; negative means without limit. A deadline is made once, at the top, and
 * handed down, so that retries inside do not stretch it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct deadline {
        int64_t at_ns; /* INT64_MAX: never */
};

#define DEADLINE_NEVER ((struct deadline){ .at_ns = INT64_MAX })

/* Has always passed: for a look that does not wait. */
#define DEADLINE_NOW ((struct deadline){ .at_ns = 0 })

/* Nanoseconds on CLOCK_MONOTONIC. */
int64_t monotonic_ns(void);

/* `timeout_ms` from now; never when negative or too far to count. */
struct deadline deadline_after_ms(int64_t timeout_ms);

/* Milliseconds left, rounded up; 0 when it has passed; -1 when it never comes. Fits poll(). */
int deadline_left_ms(struct deadline deadline);

bool deadline_passed(struct deadline deadline);

/* The moment itself, for pthread_cond_timedwait() on CLOCK_MONOTONIC. */
struct timespec deadline_timespec(struct deadline deadline);

/* Whichever comes first. */
struct deadline deadline_earlier(struct deadline a, struct deadline b);

/* Time left, at most `slice_ms`, as a relative timespec for a wait;
 * a wait always ends after one slice to look again. */
struct timespec deadline_slice(struct deadline deadline, int slice_ms);
