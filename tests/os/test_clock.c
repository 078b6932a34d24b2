/* SPDX-License-Identifier: MIT */
/* test_clock.c - deadlines from timeouts, and what poll() makes of them */
#include "test.h"

#include <limits.h>
#include <math.h>

#include <many/base.h>

#include "os/clock.h"

TEST(the_clock_does_not_go_back)
{
    int64_t before = many_clock_ns_();

    CHECK(before > 0);
    for (int i = 0; i < 10000; i++) {
        int64_t now = many_clock_ns_();

        CHECK(now >= before);
        before = now;
    }
}

TEST(seconds_become_nanoseconds_and_never_overflow)
{
    CHECK_EQUAL(many_seconds_ns_(0), 0);
    CHECK_EQUAL(many_seconds_ns_(1.5), 1500 * MANY_MILLISECOND_NS);
    CHECK_EQUAL(many_seconds_ns_(1e-9), 1);
    CHECK_EQUAL(many_seconds_ns_(9.0e9), MANY_NEVER_NS);
    CHECK_EQUAL(many_seconds_ns_(1e300), MANY_NEVER_NS);
    CHECK_EQUAL(many_seconds_ns_(INFINITY), MANY_NEVER_NS);
    CHECK(many_seconds_ns_(8.9e9) < MANY_NEVER_NS);
}

TEST(a_deadline_lies_its_timeout_after_the_call)
{
    int64_t before = many_clock_ns_();
    int64_t deadline = many_deadline_ns_(2.5);
    int64_t after = many_clock_ns_();

    CHECK(deadline - before >= 2500 * MANY_MILLISECOND_NS);
    CHECK(deadline - after <= 2500 * MANY_MILLISECOND_NS);
}

TEST(for_ever_and_what_is_too_far_never_come)
{
    CHECK_EQUAL(many_deadline_ns_(MANY_FOREVER), MANY_NEVER_NS);
    CHECK_EQUAL(many_deadline_ns_(1e300), MANY_NEVER_NS);
    CHECK_EQUAL(many_deadline_ns_(INFINITY), MANY_NEVER_NS);
    CHECK(many_deadline_ns_(8.9e9) > many_clock_ns_());
}

TEST(poll_is_told_milliseconds_rounded_up)
{
    CHECK_EQUAL(many_poll_ms_(MANY_NEVER_NS), -1);
    CHECK_EQUAL(many_poll_ms_(0), 0);
    CHECK_EQUAL(many_poll_ms_(many_clock_ns_()), 0);
    /* A deadline that lies a little ahead must not become 0: the wait would spin. Rounded up, the
     * wait never ends before the deadline. */
    for (int i = 0; i < 1000; i++) {
        int64_t deadline = many_clock_ns_() + 5 * MANY_MILLISECOND_NS;
        int ms = many_poll_ms_(deadline);
        int64_t left = deadline - many_clock_ns_();

        CHECK(ms <= 5);
        CHECK(left <= 0 || ms * MANY_MILLISECOND_NS >= left);
    }
    CHECK_EQUAL(many_poll_ms_(many_clock_ns_() + INT64_C(100) * 24 * 3600 * MANY_SECOND_NS),
                INT_MAX);
}
