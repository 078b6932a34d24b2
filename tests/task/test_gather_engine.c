/* SPDX-License-Identifier: MIT */
/* test_gather_engine.c - futures whose ends have to be collected, helped with, or can never come */
#include "fake_engine.h"

#include <poll.h>

static void list_of(fake_home *home, many_future **list, int count)
{
    for (int i = 0; i < count; i++)
        list[i] = &home->futures[i].head;
}

static int is_readable(int descriptor, int milliseconds)
{
    struct pollfd poller = {descriptor, POLLIN, 0};

    return poll(&poller, 1, milliseconds) == 1;
}

typedef struct ender {
    pthread_t thread;
    fake_home *home;
    int number, rings;
    uint32_t phase;
} ender;

/* When somebody listens: the end comes by the bell and not by a look before the sleep. */
static void *end_it(void *argument)
{
    ender *self = argument;

    UNTIL(atomic_load(&self->home->futures[self->number].watched));
    fake_end(self->home, self->number, self->phase, self->rings);
    return NULL;
}

static void end_elsewhere(ender *self, fake_home *home, int number, uint32_t phase, int rings)
{
    *self = (ender){.home = home, .number = number, .phase = phase, .rings = rings};
    CHECK_EQUAL(pthread_create(&self->thread, NULL, end_it, self), 0);
}

TEST(a_wait_hears_the_bell_of_a_home)
{
    int bell = many_bell_open_();
    many_future *list[FAKES];
    int over[FAKES];

    for (int round = 0; round < 30; round++) {
        static fake_home home;
        ender other;

        fake_begin(&home, &fake_far, bell);
        list_of(&home, list, FAKES);
        end_elsewhere(&other, &home, round % FAKES,
                      round % 2 ? MANY_FUTURE_DONE_ : MANY_FUTURE_FAILED_, 1);
        CHECK_CODE(many_futures_wait(list, FAKES, MANY_FIRST_COMPLETED, over, MANY_FOREVER), 1);
        CHECK_EQUAL(over[round % FAKES], 1);
        pthread_join(other.thread, NULL);
        for (int i = 0; i < FAKES; i++)
            many_future_unwatch_(list[i]);
    }
    many_bell_close_(bell);
}

TEST(a_bell_that_was_not_rung_costs_a_moment_and_not_the_outcome)
{
    static fake_home home;
    many_future *list[FAKES];
    ender other;

    for (int with = 1; with >= 0;
         with--) { /* the bell's ringer was killed; there is no bell here */
        fake_begin(&home, &fake_far, with ? many_bell_open_() : -1);
        list_of(&home, list, FAKES);
        end_elsewhere(&other, &home, 3, MANY_FUTURE_DONE_, 0);
        CHECK_CODE(many_futures_wait(list, FAKES, MANY_FIRST_COMPLETED, NULL, MANY_FOREVER), 1);
        pthread_join(other.thread, NULL);
        for (int i = 0; i < FAKES; i++)
            many_future_unwatch_(list[i]);
        many_bell_close_(home.bell);
    }
}

TEST(futures_of_several_homes_and_by_hand_are_waited_for_together)
{
    static fake_home one, other, near;
    many_future *list[4], *hand = NULL, *future = NULL;
    many_completed *completed = NULL;
    ender enders[2];

    CHECK_CODE(many_future_open(&hand), 0);
    fake_begin(&one, &fake_far, many_bell_open_());
    fake_begin(&other, &fake_far, many_bell_open_());
    fake_begin(&near, &fake_near, -1);
    list[0] = &one.futures[0].head;
    list[1] = &other.futures[1].head;
    list[2] = &near.futures[2].head;
    list[3] = hand;
    CHECK_CODE(many_completed_open(&completed, list, 4), 0);
    CHECK_CODE(many_completed_next(completed, &future, 0.001), -ETIMEDOUT);
    CHECK_CODE(many_future_set_result(hand, NULL, 0), 0);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
    CHECK(future == hand);
    end_elsewhere(&enders[0], &other, 1, MANY_FUTURE_DONE_, 1);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
    CHECK(future == list[1]);
    many_future_settle_(list[2], MANY_FUTURE_FAILED_);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
    CHECK(future == list[2]);
    end_elsewhere(&enders[1], &one, 0, MANY_FUTURE_DONE_, 1);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
    CHECK(future == list[0]);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 0);
    many_completed_close(completed);
    for (int i = 0; i < 2; i++)
        pthread_join(enders[i].thread, NULL);
    for (int i = 0; i < 4; i++)
        many_future_close(list[i]);
    CHECK_EQUAL(atomic_load(&one.futures[0].dropped), 1);
    CHECK_EQUAL(atomic_load(&other.futures[1].dropped), 1);
    CHECK_EQUAL(atomic_load(&near.futures[2].dropped), 1);
    many_bell_close_(one.bell);
    many_bell_close_(other.bell);
}

TEST(who_only_looks_sees_what_has_ended)
{
    static fake_home home;
    many_future *list[2], *future = NULL;
    many_completed *completed = NULL;
    int over[2];

    fake_begin(&home, &fake_far, many_bell_open_());
    list_of(&home, list, 2);
    CHECK_CODE(many_completed_open(&completed, list, 2), 0);
    CHECK_CODE(many_completed_next(completed, &future, 0), -ETIMEDOUT);
    fake_end(&home, 1, MANY_FUTURE_DONE_, 1);
    CHECK_CODE(many_completed_next(completed, &future, 0), 1);
    CHECK(future == list[1]);
    many_completed_close(completed);
    fake_end(&home, 0, MANY_FUTURE_DONE_, 0);
    CHECK_CODE(many_futures_wait(list, 2, MANY_ALL_COMPLETED, over, 0), 2);
    for (int i = 0; i < 2; i++)
        many_future_close(list[i]);
    many_bell_close_(home.bell);
}

/* ---- descriptors ---- */

TEST(a_descriptor_that_turned_readable_for_another_falls_silent_when_asked)
{
    static fake_home home;
    int descriptors[2];

    fake_begin(&home, &fake_far, many_bell_open_());
    for (int i = 0; i < 2; i++) {
        descriptors[i] = many_future_descriptor(&home.futures[i].head);
        CHECK(descriptors[i] >= 0);
        CHECK(!is_readable(descriptors[i], 0));
    }
    fake_end(&home, 1, MANY_FUTURE_DONE_, 1);
    CHECK(is_readable(descriptors[0], 0)); /* it may: the bell is for both */
    CHECK_EQUAL(many_future_done(&home.futures[0].head), 0);
    CHECK(!is_readable(descriptors[0], 0));
    CHECK(is_readable(descriptors[1], 0)); /* and the other one has not lost its own */
    CHECK_EQUAL(many_future_done(&home.futures[1].head), 1);
    fake_end(&home, 0, MANY_FUTURE_DONE_, 1);
    CHECK(is_readable(descriptors[0], 0));
    CHECK_EQUAL(many_future_done(&home.futures[0].head), 1);
    CHECK(is_readable(descriptors[0], 0)); /* for good */
    for (int i = 0; i < 2; i++)
        many_future_close(&home.futures[i].head);
    many_bell_close_(home.bell);
}

TEST(where_a_home_has_no_bell_its_descriptors_turn_readable_all_the_same)
{
    static fake_home home;
    many_future *future = &home.futures[0].head;
    int descriptor;

    fake_begin(&home, &fake_far, -1);
    descriptor = many_future_descriptor(future);
    CHECK(descriptor >= 0);
    for (int i = 0; i < 3; i++) {
        CHECK(is_readable(descriptor, -1)); /* in vain, now and then */
        CHECK_EQUAL(many_future_done(future), 0);
    }
    fake_end(&home, 0, MANY_FUTURE_DONE_, 0);
    CHECK(is_readable(descriptor, -1));
    CHECK_EQUAL(many_future_done(future), 1);
    CHECK(is_readable(descriptor, 0));
    many_future_close(future);
}

/* ---- let go of ---- */

static int count_it(many_future *future, void *context)
{
    CHECK_EQUAL(many_future_done(future), 1);
    ++*(int *)context;
    return 0;
}

TEST(what_is_closed_before_its_end_is_heard_of_and_dropped_once)
{
    static fake_home home;
    int count = 0;

    fake_begin(&home, &fake_far, many_bell_open_());
    CHECK_CODE(many_future_on_done(&home.futures[1].head, count_it, &count), 0);
    for (int i = 0; i < 3; i++) {
        if (i == 2) /* over, and nobody has looked */
            fake_end(&home, i, MANY_FUTURE_DONE_, 0);
        many_future_close(&home.futures[i].head);
        CHECK_EQUAL(atomic_load(&home.futures[i].dropped), i == 2);
        CHECK_EQUAL(atomic_load(&home.futures[i].watched), i != 2);
    }
    fake_end(&home, 0, MANY_FUTURE_DONE_, 1);
    fake_end(&home, 1, MANY_FUTURE_FAILED_, 1);
    fake_collect(&home);
    CHECK_EQUAL(count, 1);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(atomic_load(&home.futures[i].dropped), 1);
    many_bell_close_(home.bell);
}

/* ---- in a task ---- */

TEST(a_task_that_waits_for_the_first_runs_one_that_nobody_runs)
{
    static fake_home home;
    many_future *list[3];
    fake_task task;

    for (int kind = 0; kind < 2; kind++) {
        fake_begin(&home, kind ? &fake_far : &fake_near, -1);
        list_of(&home, list, 3);
        for (int i = 0; i < 3; i++)
            atomic_store(&home.futures[i].helps, 1);
        fake_task_enter(&task);
        CHECK_CODE(many_futures_wait(list, 3, MANY_FIRST_COMPLETED, NULL, MANY_FOREVER), 1);
        CHECK_EQUAL(atomic_load(&home.futures[0].helped), 1);
        CHECK_EQUAL(atomic_load(&home.futures[1].helped), 0); /* one is enough */
        CHECK_CODE(many_futures_wait(list, 3, MANY_FIRST_EXCEPTION, NULL, MANY_FOREVER), 3);
        fake_task_leave(&task);
        for (int i = 0; i < 3; i++)
            many_future_close(list[i]);
    }
}

TEST(outside_of_a_task_nothing_is_run)
{
    static fake_home home;
    many_future *list[3];

    fake_begin(&home, &fake_near, -1);
    list_of(&home, list, 3);
    for (int i = 0; i < 3; i++)
        atomic_store(&home.futures[i].helps, 1);
    CHECK_CODE(many_futures_wait(list, 3, MANY_FIRST_COMPLETED, NULL, 0.01), -ETIMEDOUT);
    CHECK_EQUAL(atomic_load(&home.futures[0].helped), 0);
    for (int i = 0; i < 3; i++)
        many_future_unwatch_(list[i]);
}

static void *settle_second(void *argument)
{
    fake_home *home = argument;

    UNTIL(atomic_load(&home->futures[1].circled) > 0); /* it has slept for a slice */
    many_future_settle_(&home->futures[1].head, MANY_FUTURE_DONE_);
    return NULL;
}

TEST(a_task_waits_for_one_that_runs_elsewhere_and_runs_no_other)
{
    static fake_home home;
    many_future *list[3];
    fake_task task;
    pthread_t thread;

    fake_begin(&home, &fake_near, -1);
    list_of(&home, list, 3);
    atomic_store(&home.futures[0].helps, 1);
    CHECK(many_future_claim_(list[1]));
    CHECK_EQUAL(pthread_create(&thread, NULL, settle_second, &home), 0);
    fake_task_enter(&task);
    CHECK_CODE(many_futures_wait(list, 3, MANY_FIRST_COMPLETED, NULL, MANY_FOREVER), 1);
    fake_task_leave(&task);
    CHECK_EQUAL(atomic_load(&home.futures[0].helped), 0);
    CHECK_EQUAL(many_future_done(list[1]), 1);
    pthread_join(thread, NULL);
    for (int i = 0; i < 3; i++)
        many_future_unwatch_(list[i]);
}

TEST(if_all_that_run_wait_for_this_task_another_one_is_run)
{
    static fake_home home;
    many_future *list[3];
    fake_task task;

    fake_begin(&home, &fake_near, -1);
    list_of(&home, list, 3);
    atomic_store(&home.futures[2].helps, 1);
    for (int i = 0; i < 2; i++) {
        CHECK(many_future_claim_(list[i]));
        atomic_store(&home.futures[i].circles, 1);
    }
    fake_task_enter(&task);
    CHECK_CODE(many_futures_wait(list, 3, MANY_FIRST_COMPLETED, NULL, MANY_FOREVER), 1);
    fake_task_leave(&task);
    CHECK_EQUAL(many_future_done(list[2]), 1);
    for (int i = 0; i < 3; i++)
        many_future_unwatch_(list[i]);
}

TEST(a_wait_for_what_can_never_come_ends)
{
    static fake_home home;
    many_future *list[3], *future = NULL;
    many_completed *completed = NULL;
    fake_task task;
    int over[3];

    fake_begin(&home, &fake_near, -1);
    list_of(&home, list, 3);
    for (int i = 0; i < 3; i++) {
        CHECK(many_future_claim_(list[i]));
        atomic_store(&home.futures[i].circles, 1);
    }
    fake_task_enter(&task);
    CHECK_CODE(many_futures_wait(list, 3, MANY_FIRST_COMPLETED, over, MANY_FOREVER), -EDEADLK);
    CHECK_CONTAINS(many_error_message(), "is in a circle");
    CHECK_EQUAL(over[0] + over[1] + over[2], 0);
    CHECK_CODE(many_completed_open(&completed, list, 3), 0);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), -EDEADLK);
    atomic_store(&home.futures[1].circles, 0); /* its wait has ended, and it goes on */
    CHECK_CODE(many_completed_next(completed, &future, 0.02), -ETIMEDOUT);
    many_future_settle_(list[1], MANY_FUTURE_DONE_);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), -EDEADLK);
    many_completed_close(completed);
    CHECK_CODE(many_futures_wait(list, 3, MANY_FIRST_COMPLETED, over, MANY_FOREVER), 1);
    fake_task_leave(&task);
    for (int i = 0; i < 3; i++)
        many_future_unwatch_(list[i]);
}

static void *close_the_circle(void *argument)
{
    fake_home *home = argument;

    UNTIL(atomic_load(&home->futures[0].circled) > 1);
    atomic_store(&home->futures[0].circles, 1);
    UNTIL(atomic_load(&home->futures[1].circled) > 1);
    atomic_store(&home->futures[1].circles, 1);
    return NULL;
}

TEST(a_circle_that_others_close_later_is_seen)
{
    static fake_home home;
    many_future *list[2];
    fake_task task;
    pthread_t thread;

    fake_begin(&home, &fake_near, -1);
    list_of(&home, list, 2);
    for (int i = 0; i < 2; i++)
        CHECK(many_future_claim_(list[i]));
    CHECK_EQUAL(pthread_create(&thread, NULL, close_the_circle, &home), 0);
    fake_task_enter(&task);
    CHECK_CODE(many_futures_wait(list, 2, MANY_FIRST_COMPLETED, NULL, MANY_FOREVER), -EDEADLK);
    fake_task_leave(&task);
    pthread_join(thread, NULL);
    for (int i = 0; i < 2; i++)
        many_future_unwatch_(list[i]);
}

TEST(a_task_that_waits_for_one_waits_as_for_a_single_one)
{
    static fake_home home;
    many_future *list[2], *future = NULL;
    many_completed *completed = NULL;
    fake_task task;

    fake_begin(&home, &fake_far, many_bell_open_());
    list_of(&home, list, 2);
    fake_end(&home, 0, MANY_FUTURE_DONE_, 0);
    CHECK(many_future_claim_(list[1]));
    fake_task_enter(&task);
    CHECK_CODE(many_completed_open(&completed, list, 2), 0);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
    CHECK_CODE(many_completed_next(completed, &future, 0.01), -ETIMEDOUT);
    CHECK(atomic_load(&home.futures[1].awaited) > 0);
    fake_end(&home, 1, MANY_FUTURE_DONE_, 0);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
    CHECK(future == list[1]);
    many_completed_close(completed);
    fake_task_leave(&task);
    for (int i = 0; i < 2; i++)
        many_future_close(list[i]);
    many_bell_close_(home.bell);
}

TEST(a_deadlock_of_one_ends_a_wait_for_all)
{
    static fake_home home;
    many_future *list[3];
    int over[3];

    fake_begin(&home, &fake_far, -1);
    list_of(&home, list, 3);
    fake_end(&home, 0, MANY_FUTURE_DONE_, 0);
    fake_end(&home, 2, MANY_FUTURE_DONE_, 0);
    CHECK(many_future_claim_(list[1]));
    atomic_store(&home.futures[1].circles, 1);
    CHECK_CODE(many_futures_wait(list, 3, MANY_ALL_COMPLETED, over, MANY_FOREVER), -EDEADLK);
    CHECK_CONTAINS(many_error_message(), "fake 1 is in a circle");
    CHECK_EQUAL(over[0] + 10 * over[1] + 100 * over[2], 101);
    for (int i = 0; i < 3; i++)
        many_future_unwatch_(list[i]);
}
