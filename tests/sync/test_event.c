/* SPDX-License-Identifier: MIT */
/* test_event.c - a flag to wait for */
#include "sync/party.h"

#include <many/sync.h>

typedef struct area {
    many_event event, answer;
    uint64_t data; /* written before the event is set */
    uint64_t turns;
    _Atomic int asleep, awake;
} area;

TEST(zero_is_not_set)
{
    many_event event = {0};

    CHECK_EQUAL(many_event_is_set(&event), 0);
    CHECK_CODE(many_event_wait(&event, 0), -ETIMEDOUT);
    CHECK_CODE(many_event_clear(&event), 0);
    CHECK_EQUAL(many_event_is_set(&event), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_CODE(many_event_set(&event), 0);
        CHECK_EQUAL(many_event_is_set(&event), 1);
        CHECK_CODE(many_event_wait(&event, 0), 0);
        CHECK_CODE(many_event_wait(&event, MANY_FOREVER), 0);
    }
    CHECK_CODE(many_event_clear(&event), 0);
    CHECK_EQUAL(many_event_is_set(&event), 0);
    CHECK_CODE(many_event_wait(&event, 0), -ETIMEDOUT);
}

TEST(a_wait_ends_at_its_deadline_and_not_before)
{
    many_event event = {0};

    for (int i = 0; i < 3; i++) {
        const double timeout = i == 0 ? 0.001 : i == 1 ? 0.02 : 0.12;
        double begin = test_seconds();

        CHECK_CODE(many_event_wait(&event, timeout), -ETIMEDOUT);
        CHECK(test_seconds() - begin >= timeout);
        CHECK_CONTAINS(many_error_message(), "many_event_wait");
    }
}

static void wait_for_it(void *argument)
{
    area *all = argument;

    atomic_fetch_add(&all->asleep, 1);
    CHECK_CODE(many_event_wait(&all->event, MANY_FOREVER), 0);
    CHECK_EQUAL(all->data, 42);
    atomic_fetch_add(&all->awake, 1);
}

TEST(all_who_wait_come_back)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party others[5];

        for (int i = 0; i < 5; i++)
            party_start(&others[i], kind, wait_for_it, all);
        UNTIL(atomic_load(&all->asleep) == 5 && FIELD(all->event.waiters_) != 0);
        CHECK_EQUAL(atomic_load(&all->awake), 0);
        all->data = 42;
        CHECK_CODE(many_event_set(&all->event), 0);
        for (int i = 0; i < 5; i++)
            party_join(&others[i]);
        CHECK_EQUAL(many_event_is_set(&all->event), 1);
    }
}

TEST(who_waited_comes_back_though_it_is_cleared_at_once)
{
    FOR_BOTH(kind)
    {
        for (int round = 0; round < 10; round++) {
            area *all = test_shared(sizeof *all);
            party other;

            all->data = 42;
            party_start(&other, kind, wait_for_it, all);
            UNTIL(FIELD(all->event.waiters_) != 0);
            CHECK_CODE(many_event_set(&all->event), 0);
            CHECK_CODE(many_event_clear(&all->event), 0);
            party_join(&other);
        }
    }
}

/* A round trip each turn; nobody may miss a set, at whatever instant it comes. */
static void answer(void *argument)
{
    area *all = argument;

    for (uint64_t i = 0; i < all->turns; i++) {
        CHECK_CODE(many_event_wait(&all->event, MANY_FOREVER), 0);
        CHECK_CODE(many_event_clear(&all->event), 0);
        CHECK_EQUAL(all->data, i);
        CHECK_CODE(many_event_set(&all->answer), 0);
    }
}

TEST(no_set_is_missed)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party other;

        all->turns = 3000 / (uint64_t)test_slowness();
        party_start(&other, kind, answer, all);
        for (uint64_t i = 0; i < all->turns; i++) {
            all->data = i;
            CHECK_CODE(many_event_set(&all->event), 0);
            CHECK_CODE(many_event_wait(&all->answer, MANY_FOREVER), 0);
            CHECK_CODE(many_event_clear(&all->answer), 0);
        }
        party_join(&other);
    }
}

TEST(a_killed_waiter_is_missed_by_nobody)
{
    area *all = test_shared(sizeof *all);
    party killed, other;

    party_start(&killed, PARTY_PROCESS, wait_for_it, all);
    party_start(&other, PARTY_PROCESS, wait_for_it, all);
    UNTIL(atomic_load(&all->asleep) == 2);
    party_kill(&killed);
    all->data = 42;
    CHECK_CODE(many_event_set(&all->event), 0);
    party_join(&other);
}

static void be_interrupted(void *argument)
{
    area *all = argument;

    party_storm();
    for (int i = 0; i < 5; i++)
        CHECK_CODE(many_event_wait(&all->event, i % 2 == 0 ? MANY_FOREVER : 30.0), -EINTR);
    CHECK_CONTAINS(many_error_message(), "signal");
    party_calm();
}

TEST(a_signal_handler_ends_the_wait)
{
    CHECK_EQUAL(test_in_child(be_interrupted, test_shared(sizeof(area))), 0);
}

static many_event *handlers_event;

static void set_in_handler(int signal)
{
    (void)signal;
    many_event_set(handlers_event);
}

static void be_set_by_a_handler(void *argument)
{
    area *all = argument;
    struct sigaction action;
    struct itimerval soon = {{0, 0}, {0, 2000}};
    int code;

    handlers_event = &all->event;
    memset(&action, 0, sizeof action);
    action.sa_handler = set_in_handler;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    for (int i = 0; i < 20; i++) {
        CHECK_CODE(many_event_clear(&all->event), 0);
        CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
        code = many_event_wait(&all->event, MANY_FOREVER);
        CHECK_CODE(code, 0); /* it is set: that goes before -EINTR */
    }
}

TEST(a_signal_handler_may_set_it)
{
    CHECK_EQUAL(test_in_child(be_set_by_a_handler, test_shared(sizeof(area))), 0);
}

TEST(arguments_that_make_no_sense_are_refused_in_words)
{
    many_event event = {0};

    CHECK_TIMEOUTS(many_event_wait(&event, timeout));
    CHECK_CODE(many_event_set(&event), 0);
    CHECK_TIMEOUTS(many_event_wait(&event, timeout)); /* set, too */
    CHECK_CODE(many_event_set(NULL), -EINVAL);
    CHECK_CODE(many_event_clear(NULL), -EINVAL);
    CHECK_CODE(many_event_wait(NULL, 0), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "event is NULL");
    CHECK_EQUAL(many_event_is_set(NULL), 0);
}
