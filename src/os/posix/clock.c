/* SPDX-License-Identifier: MIT */
/* clock.c - monotonic time in nanoseconds; see os/clock.h */
#include "os/clock.h"

#include <limits.h>
#include <time.h>

int64_t many_clock_ns_(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * MANY_SECOND_NS + now.tv_nsec;
}

int64_t many_seconds_ns_(double seconds)
{
    if (seconds >= 9.0e9) /* 285 years, near the end of int64_t */
        return MANY_NEVER_NS;
    return (int64_t)(seconds * 1e9);
}

int64_t many_deadline_ns_(double timeout_s)
{
    int64_t now, wait;

    if (timeout_s < 0)
        return MANY_NEVER_NS;
    now = many_clock_ns_();
    wait = many_seconds_ns_(timeout_s);
    return wait > MANY_NEVER_NS - now ? MANY_NEVER_NS : now + wait;
}

int many_poll_ms_(int64_t deadline_ns)
{
    int64_t left;

    if (deadline_ns == MANY_NEVER_NS)
        return -1;
    left = deadline_ns - many_clock_ns_();
    if (left <= 0)
        return 0;
    left = (left + MANY_MILLISECOND_NS - 1) / MANY_MILLISECOND_NS;
    return left > INT_MAX ? INT_MAX : (int)left;
}
