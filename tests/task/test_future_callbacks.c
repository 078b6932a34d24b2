/* SPDX-License-Identifier: MIT */
/* test_future_callbacks.c - what is called when a future is over: add_done_callback */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <many/future.h>

static many_future *pending(void)
{
    many_future *future = NULL;

    CHECK_CODE(many_future_open(&future), 0);
    return future;
}

/* What was called, in order. */
typedef struct diary {
    many_future *future;
    int entries[16];
    int count;
} diary;

typedef struct line {
    diary *diary;
    int number, returns;
    int close; /* 1: the callback closes the future */
    many_done_fn *then;
    struct line *then_context;
} line;

static int note(many_future *future, void *context)
{
    line *self = context;
    diary *all = self->diary;
    int returns = self->returns;

    CHECK(future == all->future);
    CHECK_EQUAL(many_future_done(future), 1);
    CHECK_CODE(many_future_wait(future, 0), 0);
    all->entries[all->count++] = self->number;
    if (self->then != NULL)
        CHECK_CODE(many_future_on_done(future, self->then, self->then_context), 0);
    if (self->close)
        many_future_close(future);
    return returns == 0 ? 0 : many_fail(returns, "callback %d says no", self->number);
}

TEST(callbacks_are_called_once_in_the_order_they_were_given)
{
    diary all = {.future = pending()};
    line entries[5];

    for (int i = 0; i < 5; i++) {
        entries[i] = (line){.diary = &all, .number = i};
        CHECK_CODE(many_future_on_done(all.future, note, &entries[i]), 0);
    }
    CHECK_EQUAL(all.count, 0);
    CHECK_CODE(many_future_set_running(all.future), 0);
    CHECK_EQUAL(all.count, 0);
    CHECK_CODE(many_future_set_result(all.future, NULL, 0), 0);
    CHECK_EQUAL(all.count, 5);
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(all.entries[i], i);
    CHECK_CODE(many_future_set_result(all.future, NULL, 0), -EBUSY);
    CHECK_EQUAL(all.count, 5);
    many_future_close(all.future);
    CHECK_EQUAL(all.count, 5);
}

TEST(a_callback_given_after_the_end_is_called_before_on_done_returns)
{
    diary all = {.future = pending()};
    line first = {.diary = &all, .number = 1}, second = {.diary = &all, .number = 2};

    CHECK_CODE(many_future_set_failure(all.future, -EIO, NULL), 0);
    CHECK_CODE(many_future_on_done(all.future, note, &first), 0);
    CHECK_EQUAL(all.count, 1);
    CHECK_CODE(many_future_on_done(all.future, note, &second), 0);
    CHECK_EQUAL(all.count, 2);
    CHECK_EQUAL(all.entries[0], 1);
    CHECK_EQUAL(all.entries[1], 2);
    many_future_close(all.future);
}

TEST(cancelling_calls_them_too)
{
    for (int hard = 0; hard < 2; hard++) {
        diary all = {.future = pending()};
        line only = {.diary = &all, .number = 1};

        CHECK_CODE(many_future_on_done(all.future, note, &only), 0);
        CHECK_EQUAL(hard ? many_future_terminate(all.future, 0) : many_future_cancel(all.future),
                    1);
        CHECK_EQUAL(all.count, 1);
        CHECK_EQUAL(many_future_cancel(all.future), 1);
        CHECK_EQUAL(all.count, 1);
        many_future_close(all.future);
    }
}

TEST(a_callback_that_fails_is_told_of_and_the_others_are_called)
{
    diary all = {.future = pending()};
    line entries[3] = {{.diary = &all, .number = 0},
                       {.diary = &all, .number = 1, .returns = -EIO},
                       {.diary = &all, .number = 2, .returns = -EPERM}};

    for (int i = 0; i < 3; i++)
        CHECK_CODE(many_future_on_done(all.future, note, &entries[i]), 0);
    CHECK_CODE(many_future_set_result(all.future, NULL, 0), -EIO);
    CHECK_CONTAINS(many_error_message(), "a callback failed with -5: callback 1 says no");
    CHECK_EQUAL(all.count, 3);
    CHECK_EQUAL(many_future_successful(all.future), 1); /* the future is as it is */
    many_future_close(all.future);

    all = (diary){.future = pending()};
    entries[1].returns = 17; /* no negative code: the task's own */
    CHECK_CODE(many_future_on_done(all.future, note, &entries[1]), 0);
    CHECK_CODE(many_future_set_failure(all.future, -EIO, NULL), -MANY_ETASK);
    CHECK_CONTAINS(many_error_message(), "failed with 17");
    many_future_close(all.future);
}

TEST(words_from_before_are_not_taken_for_those_of_a_callback)
{
    diary all = {.future = pending()};
    many_future *future = all.future;

    many_fail(-EIO, "an old failure");
    CHECK_CODE(many_future_on_done(future, (many_done_fn *)NULL, NULL), -EINVAL);
    many_fail(-ENXIO, "an old failure");
    line quiet = {.diary = &all, .number = 1};
    CHECK_CODE(many_future_on_done(future, note, &quiet), 0);
    CHECK_CODE(many_future_set_result(future, NULL, 0), 0);
    CHECK_CONTAINS(many_error_message(), "an old failure"); /* a success leaves it alone */
    many_future_close(future);
}

TEST(a_callback_may_close_the_future)
{
    for (int late = 0; late < 2; late++) {
        diary all = {.future = pending()};
        line entries[3] = {{.diary = &all, .number = 0},
                           {.diary = &all, .number = 1, .close = 1, .returns = late ? -EIO : 0},
                           {.diary = &all, .number = 2}};

        if (late) { /* called by on_done itself */
            CHECK_CODE(many_future_set_result(all.future, NULL, 0), 0);
            CHECK_CODE(many_future_on_done(all.future, note, &entries[1]), 0);
            CHECK_EQUAL(all.count, 1);
            continue;
        }
        for (int i = 0; i < 3; i++)
            CHECK_CODE(many_future_on_done(all.future, note, &entries[i]), 0);
        CHECK_CODE(many_future_set_result(all.future, NULL, 0), 0);
        CHECK_EQUAL(all.count, 3);
    }
}

TEST(a_callback_may_give_another_one)
{
    diary all = {.future = pending()};
    line third = {.diary = &all, .number = 3, .close = 1};
    line second = {.diary = &all, .number = 2, .then = note, .then_context = &third};
    line first = {.diary = &all, .number = 1, .then = note, .then_context = &second};

    CHECK_CODE(many_future_on_done(all.future, note, &first), 0);
    CHECK_CODE(many_future_set_result(all.future, NULL, 0), 0);
    CHECK_EQUAL(all.count, 3);
    CHECK_EQUAL(all.entries[2], 3);
}

static int set_next(many_future *future, void *context)
{
    int value = 0;

    CHECK_CODE(many_future_result(future, &value, sizeof value, 0), sizeof value);
    value++;
    return many_future_set_result(context, &value, sizeof value);
}

TEST(futures_may_be_chained)
{
    many_future *chain[100];
    int value = 0;

    for (int i = 0; i < 100; i++)
        chain[i] = pending();
    for (int i = 0; i < 99; i++)
        CHECK_CODE(many_future_on_done(chain[i], set_next, chain[i + 1]), 0);
    CHECK_CODE(many_future_set_result(chain[0], &value, sizeof value), 0);
    CHECK_CODE(many_future_result(chain[99], &value, sizeof value, 0), sizeof value);
    CHECK_EQUAL(value, 99);
    for (int i = 0; i < 100; i++)
        many_future_close(chain[i]);
}

static int count_it(many_future *future, void *context)
{
    (void)future;
    atomic_fetch_add((_Atomic int *)context, 1);
    return 0;
}

TEST(closing_a_future_that_nobody_set_cancels_it_and_calls)
{
    for (int running = 0; running < 2; running++) {
        many_future *future = pending();
        _Atomic int count = 0;
        diary all = {.future = future};
        line closes = {.diary = &all, .number = 1, .close = 1}; /* once more: does no harm */

        CHECK_CODE(many_future_on_done(future, count_it, &count), 0);
        CHECK_CODE(many_future_on_done(future, note, &closes), 0);
        if (running)
            CHECK_CODE(many_future_set_running(future), 0);
        many_future_close(future);
        CHECK_EQUAL(atomic_load(&count), 1);
        CHECK_EQUAL(all.count, 1);
    }
}

TEST(callbacks_leave_nothing_behind)
{
    test_census before = test_census_take();
    _Atomic int count = 0;

    for (int i = 0; i < 20000; i++) {
        many_future *future = pending();

        for (int k = 0; k < 3; k++)
            CHECK_CODE(many_future_on_done(future, count_it, &count), 0);
        if (i % 3 == 0)
            CHECK_CODE(many_future_set_result(future, NULL, 0), 0);
        else if (i % 3 == 1)
            CHECK_EQUAL(many_future_cancel(future), 1);
        many_future_close(future);
    }
    CHECK_EQUAL(atomic_load(&count), 60000);
    CHECK_CENSUS(before);
}
