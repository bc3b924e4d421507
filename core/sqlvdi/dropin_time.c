/* Sources disagree about the unit of the published time-outs; README.md beside this file says how that is settled. */
#include "core/sqlvdi/dropin_time.h"

#include <stdbool.h>
#include <string.h>

enum {
        SECONDS_MAX = 999, /* what is taken for seconds, when nobody says which */
        MS_PER_SECOND = 1000,
};

enum dropin_unit dropin_unit_named(const char *value)
{
        if (value && strcmp(value, "s") == 0)
                return DROPIN_UNIT_SECONDS;
        if (value && strcmp(value, "ms") == 0)
                return DROPIN_UNIT_MILLISECONDS;
        return DROPIN_UNIT_GUESS;
}

int64_t dropin_timeout_ms(int64_t timeout, enum dropin_unit unit)
{
        bool seconds = unit == DROPIN_UNIT_SECONDS || (unit == DROPIN_UNIT_GUESS && timeout <= SECONDS_MAX);
        int64_t milliseconds;

        if (timeout < 0)
                return -1;
        if (!seconds)
                return timeout;
        return __builtin_mul_overflow(timeout, MS_PER_SECOND, &milliseconds) ? INT64_MAX : milliseconds;
}
