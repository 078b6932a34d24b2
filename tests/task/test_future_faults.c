/* SPDX-License-Identifier: MIT */
/* test_future_faults.c - futures when there is no memory, or no descriptor, to be had */
#include "fake_engine.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fault.h"

/* The call number `fault_at` of a place that may fail, fails; counted from 0. -1: none. */
static int fault_at, fault_count;

static int fail_one(const char *point)
{
    static const char *const places[] = {"future.open",   "future.watch",  "future.callback",
                                         "future.result", "future.words",  "gather.begin",
                                         "completed.set", "completed.open"};
    static const char *const descriptors[] = {"bell.open", "listen.open", "listen.add",
                                              "tick.open"};

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strcmp(point, places[i]) == 0)
            return fault_count++ == fault_at ? -ENOMEM : 0;
    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++)
        if (strcmp(point, descriptors[i]) == 0)
            return fault_count++ == fault_at ? -EMFILE : 0;
    return 0;
}

static int count_it(many_future *future, void *context)
{
    (void)future;
    ++*(int *)context;
    return 0;
}

static int is_shortage(long code)
{
    return code == -ENOMEM || code == -EMFILE;
}

/* Calls that may fail, each repeated until it does not; the future is whole all the time. */
#define UNTIL_THERE_IS_ROOM(...)                                                                   \
    do {                                                                                           \
        long code_ = (__VA_ARGS__);                                                                \
                                                                                                   \
        if (is_shortage(code_)) {                                                                  \
            CHECK(many_error_message()[0] != '\0');                                                \
            code_ = (__VA_ARGS__);                                                                 \
        }                                                                                          \
        CHECK(code_ >= 0);                                                                         \
    } while (0)

static void use_all(void)
{
    static fake_home far, deaf;
    many_future *hand = NULL, *failed = NULL, *list[4], *future = NULL;
    many_completed *completed = NULL;
    int count = 0, result = 5;

    fake_begin(&far, &fake_far, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    fake_begin(&deaf, &fake_far, -1);
    UNTIL_THERE_IS_ROOM(many_future_open(&hand));
    UNTIL_THERE_IS_ROOM(many_future_open(&failed));
    list[0] = hand;
    list[1] = failed;
    list[2] = &far.futures[0].head;
    list[3] = &deaf.futures[0].head;
    for (int i = 0; i < 4; i++) {
        UNTIL_THERE_IS_ROOM(many_future_on_done(list[i], count_it, &count));
        UNTIL_THERE_IS_ROOM(many_future_descriptor(list[i]));
    }
    UNTIL_THERE_IS_ROOM(many_completed_open(&completed, list, 4));
    UNTIL_THERE_IS_ROOM(many_future_set_result(hand, &result, sizeof result));
    UNTIL_THERE_IS_ROOM(many_future_set_failure(failed, -EIO, "words"));
    UNTIL_THERE_IS_ROOM(many_futures_wait(list, 4, MANY_FIRST_EXCEPTION, NULL, MANY_FOREVER));
    for (int i = 2; i < 4; i++) {
        UNTIL_THERE_IS_ROOM(many_completed_next(completed, &future, MANY_FOREVER));
        CHECK(future == list[i - 2]);
    }
    CHECK_EQUAL(count, 2);
    /* Nothing is ready: it sleeps, for which it needs a descriptor of its own. */
    {
        int code = many_completed_next(completed, &future, 0.001);

        CHECK(code == -ETIMEDOUT || is_shortage(code));
        code = (int)many_futures_wait(list + 2, 2, MANY_FIRST_COMPLETED, NULL, 0.001);
        CHECK(code == -ETIMEDOUT || is_shortage(code));
    }
    fake_end(&far, 0, MANY_FUTURE_DONE_, 1);
    UNTIL_THERE_IS_ROOM(many_completed_next(completed, &future, MANY_FOREVER));
    CHECK(future == list[2]);
    fake_end(&deaf, 0, MANY_FUTURE_DONE_, 1);
    UNTIL_THERE_IS_ROOM(many_futures_wait(list, 4, MANY_ALL_COMPLETED, NULL, MANY_FOREVER));
    CHECK_EQUAL(count, 4);
    many_completed_close(completed);
    for (int i = 0; i < 4; i++)
        many_future_close(list[i]);
    CHECK_EQUAL(atomic_load(&far.futures[0].dropped), 1);
    CHECK_EQUAL(atomic_load(&deaf.futures[0].dropped), 1);
    close(far.bell);
}

TEST(a_shortage_is_told_and_nothing_is_lost_or_left_behind)
{
    test_census before = test_census_take();
    int places;

    many_fault_hook_ = fail_one;
    fault_at = -1;
    fault_count = 0;
    use_all();
    places = fault_count;
    CHECK(places > 20);
    for (fault_at = 0; fault_at < places; fault_at++) {
        fault_count = 0;
        use_all();
        CHECK(fault_count > fault_at);
    }
    many_fault_hook_ = NULL;
    CHECK_CENSUS(before);
}

/* ---- killed between two steps ---- */

static const char *kill_point;

static int kill_there(const char *point)
{
    if (strcmp(point, kill_point) == 0)
        raise(SIGKILL);
    return 0;
}

static void use_until_killed(void *argument)
{
    many_future *futures[2] = {NULL, NULL}, *future = NULL;
    many_completed *completed = NULL;
    int count = 0;

    kill_point = argument;
    many_fault_hook_ = kill_there;
    for (int i = 0; i < 2; i++)
        CHECK_CODE(many_future_open(&futures[i]), 0);
    CHECK_CODE(many_future_on_done(futures[0], count_it, &count), 0);
    CHECK_CODE(many_completed_open(&completed, futures, 2), 0);
    CHECK_CODE(many_future_set_result(futures[0], NULL, 0), 0);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
}

TEST(each_step_of_an_end_is_reached_and_is_nobody_elses_business)
{
    static const char *const points[] = {"future.hand.taken", "future.settle.deliver",
                                         "future.tell.node", "gather.told", "future.settle.leave"};

    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        CHECK_EQUAL(test_in_child(use_until_killed, (void *)(uintptr_t)points[i]), SIGKILL);
}
