/* SPDX-License-Identifier: MIT */
/* test_timer.c - a function that is called later, or is not */
#include "process_cases.h"

#include <math.h>

static int count_call(void *argument)
{
    atomic_fetch_add((_Atomic int *)argument, 1);
    return 0;
}

TEST(a_timer_calls_its_function_once_and_not_before_its_time)
{
    test_census before = case_census();
    _Atomic int calls = 0;
    many_timer *timer;
    double begin = test_seconds();

    CHECK_CODE(many_timer_start(&timer, 0.05, count_call, &calls), 0);
    CHECK_CODE(many_timer_join(timer, 0), -ETIMEDOUT);
    CHECK_CODE(many_timer_join(timer, MANY_FOREVER), 0);
    CHECK(test_seconds() - begin >= 0.05);
    CHECK_EQUAL(atomic_load(&calls), 1);
    CHECK_CODE(many_timer_join(timer, 0), 0);
    CHECK_CODE(many_timer_cancel(timer), 0);
    many_timer_close(timer);
    CHECK_CENSUS(before);
}

TEST(a_delay_of_0_calls_at_once)
{
    _Atomic int calls = 0;
    many_timer *timer;

    for (int i = 0; i < 100; i++) {
        CHECK_CODE(many_timer_start(&timer, 0, count_call, &calls), 0);
        CHECK_CODE(many_timer_join(timer, MANY_FOREVER), 0);
        CHECK_EQUAL(atomic_load(&calls), i + 1);
        many_timer_close(timer);
    }
}

TEST(a_timer_that_is_cancelled_never_calls_and_ends_at_once)
{
    test_census before = case_census();
    _Atomic int calls = 0;
    many_timer *timer;

    CHECK_CODE(many_timer_start(&timer, 1e6, count_call, &calls), 0);
    CHECK_CODE(many_timer_join(timer, 0.01), -ETIMEDOUT);
    CHECK_CODE(many_timer_cancel(timer), 1);
    CHECK_CODE(many_timer_cancel(timer), 0);
    CHECK_CODE(many_timer_join(timer, MANY_FOREVER), 0);
    many_timer_close(timer);

    CHECK_CODE(many_timer_start(&timer, (double)INFINITY, count_call, &calls), 0);
    many_timer_close(timer); /* cancels */
    CHECK_EQUAL(atomic_load(&calls), 0);
    CHECK_CENSUS(before);
}

/* Either the cancel says 1 and there is no call, or 0 and there is one. */
TEST(a_cancel_that_meets_the_call_tells_the_truth)
{
    int cancelled = 0, times = 300 / test_slowness();

    for (int i = 0; i < times; i++) {
        _Atomic int calls = 0;
        many_timer *timer;
        int won;

        CHECK_CODE(many_timer_start(&timer, (double)(i % 10) * 1e-5, count_call, &calls), 0);
        for (int looks = 0; looks < i % 7; looks++)
            test_pause_(0);
        won = many_timer_cancel(timer);
        CHECK_CODE(many_timer_join(timer, MANY_FOREVER), 0);
        CHECK_EQUAL(atomic_load(&calls), !won);
        many_timer_close(timer);
        cancelled += won;
    }
    printf("%d of %d were cancelled\n", cancelled, times);
}

typedef struct self_timer {
    many_timer *timer;
    _Atomic int cancelled, joined, done;
} self_timer;

static int cancel_itself(void *argument)
{
    self_timer *self = argument;

    atomic_store(&self->cancelled, many_timer_cancel(self->timer));
    atomic_store(&self->joined, many_timer_join(self->timer, 1));
    return 0;
}

static int close_itself(void *argument)
{
    self_timer *self = argument;

    many_timer_close(self->timer);
    atomic_store(&self->done, 1);
    return 0;
}

TEST(the_function_may_cancel_and_close_its_own_timer)
{
    test_census before = case_census();
    self_timer self = {NULL, 7, 7, 0};

    CHECK_CODE(many_timer_start(&self.timer, 0, cancel_itself, &self), 0);
    CHECK_CODE(many_timer_join(self.timer, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&self.cancelled), 0);
    CHECK_CODE(atomic_load(&self.joined), -EDEADLK);
    many_timer_close(self.timer);

    for (int i = 0; i < 50; i++) {
        atomic_store(&self.done, 0);
        CHECK_CODE(many_timer_start(&self.timer, 0, close_itself, &self), 0);
        UNTIL(atomic_load(&self.done));
    }
    CHECK_CENSUS(before);
}

static void use_the_parents_timer(void *argument)
{
    CHECK_CODE(many_timer_cancel(argument), -MANY_EFORKED);
    CHECK_CODE(many_timer_join(argument, 0), -MANY_EFORKED);
    many_timer_close(argument);
}

TEST(a_timer_is_not_in_a_forked_child)
{
    _Atomic int calls = 0;
    many_timer *timer;

    CHECK_CODE(many_timer_start(&timer, 1e6, count_call, &calls), 0);
    CHECK_EQUAL(test_in_child(use_the_parents_timer, timer), 0);
    CHECK_CODE(many_timer_cancel(timer), 1);
    many_timer_close(timer);
}

TEST(what_makes_no_sense_is_refused_with_words)
{
    many_timer *timer = (many_timer *)&timer;
    _Atomic int calls = 0;

    CHECK_CODE(many_timer_start(NULL, 0, count_call, &calls), -EINVAL);
    CHECK_CODE(many_timer_start(&timer, 0, NULL, NULL), -EINVAL);
    CHECK(timer == NULL);
    CHECK_CODE(many_timer_start(&timer, -0.5, count_call, &calls), -EINVAL);
    CHECK_CODE(many_timer_start(&timer, (double)NAN, count_call, &calls), -EINVAL);
    CHECK_CODE(many_timer_start(&timer, MANY_FOREVER, count_call, &calls), -EINVAL);
    CHECK_CODE(many_timer_cancel(NULL), -EINVAL);
    CHECK_CODE(many_timer_join(NULL, 0), -EINVAL);
    many_timer_close(NULL);
}
