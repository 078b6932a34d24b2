/* SPDX-License-Identifier: MIT */
/*
 * clock.h - monotonic time in nanoseconds
 */
#ifndef MANY_OS_CLOCK_H
#define MANY_OS_CLOCK_H

#include <stdint.h>

#define MANY_SECOND_NS      INT64_C(1000000000)
#define MANY_MILLISECOND_NS INT64_C(1000000)
#define MANY_MICROSECOND_NS INT64_C(1000)
#define MANY_NEVER_NS       INT64_MAX /* a deadline that does not come */

/* CLOCK_MONOTONIC; 18 ns here. */
int64_t many_clock_ns_(void);

/* The deadline that lies timeout_s seconds from now; MANY_FOREVER and what is too far:
 * MANY_NEVER_NS. */
int64_t many_deadline_ns_(double timeout_s);

/* Seconds as nanoseconds, at most MANY_NEVER_NS. */
int64_t many_seconds_ns_(double seconds);

/* Milliseconds until a deadline as poll() wants them: rounded up, 0 when over, -1 for never. */
int many_poll_ms_(int64_t deadline_ns);

#endif
