#include "core/base/deadline.h"

#include <limits.h>

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

int64_t monotonic_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

struct deadline deadline_after_ms(int64_t timeout_ms)
{
        int64_t now = monotonic_ns();

        if (timeout_ms < 0 || timeout_ms > (INT64_MAX - now) / NS_PER_MS)
                return DEADLINE_NEVER;
        return (struct deadline){ .at_ns = now + timeout_ms * NS_PER_MS };
}

int deadline_left_ms(struct deadline deadline)
{
        int64_t left;

        if (deadline.at_ns == INT64_MAX)
                return -1;
        left = deadline.at_ns - monotonic_ns();
        if (left <= 0)
                return 0;
        left = (left + NS_PER_MS - 1) / NS_PER_MS;
        return left > INT_MAX ? INT_MAX : (int)left;
}

bool deadline_passed(struct deadline deadline)
{
        return deadline.at_ns != INT64_MAX && monotonic_ns() >= deadline.at_ns;
}

struct deadline deadline_earlier(struct deadline a, struct deadline b)
{
        return a.at_ns < b.at_ns ? a : b;
}

struct timespec deadline_slice(struct deadline deadline, int slice_ms)
{
        int64_t slice = (int64_t)slice_ms * NS_PER_MS;
        int64_t left;

        if (deadline.at_ns != INT64_MAX) {
                left = deadline.at_ns - monotonic_ns();
                if (left < slice)
                        slice = left > 0 ? left : 0;
        }
        return (struct timespec){ .tv_sec = slice / NS_PER_S, .tv_nsec = slice % NS_PER_S };
}

struct timespec deadline_timespec(struct deadline deadline)
{
        return (struct timespec){ .tv_sec = deadline.at_ns / 1000000000, .tv_nsec = deadline.at_ns % 1000000000 };
}
