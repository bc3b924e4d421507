/* dropin_time.h - what a published time-out means in milliseconds */
#pragma once

#include <stdint.h>

enum dropin_unit {
        DROPIN_UNIT_GUESS = 0, /* 1 to 999 are seconds, more are milliseconds */
        DROPIN_UNIT_SECONDS,
        DROPIN_UNIT_MILLISECONDS,
};

/* The unit that a value of VDIPIPE_TIMEOUT_UNIT names: "s" or "ms"; NULL and anything else leave it to the guess. */
enum dropin_unit dropin_unit_named(const char *value);

/* The time-out for vds.h: -1 for a negative one, which waits without limit; 0 polls; what is too large for milliseconds
 * becomes the largest there is. */
int64_t dropin_timeout_ms(int64_t timeout, enum dropin_unit unit);
