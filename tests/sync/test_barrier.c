/* SPDX-License-Identifier: MIT */
/* test_barrier.c - threads and processes that wait for each other; what breaks that */
#include "sync/party.h"

#include <many/sync.h>

typedef struct area {
    many_barrier barrier;
    uint64_t turns;
    double timeout;
    int action_says;
    _Atomic int round[64]; /* how many have been in each round */
    _Atomic int indexes;   /* of the present round: a bit each */
    _Atomic int actions, passed, broken, timed_out, ready, over;
} area;

static area *area_open(uint32_t parties)
{
    area *all = test_shared(sizeof *all);

    all->barrier.parties = parties;
    all->timeout = MANY_FOREVER;
    return all;
}

static void wait_once(void *argument)
{
    area *all = argument;
    int code = many_barrier_wait(&all->barrier, all->timeout);

    if (code >= 0) {
        CHECK((uint32_t)code < all->barrier.parties);
        CHECK_EQUAL(atomic_fetch_or(&all->indexes, 1 << code) & (1 << code), 0);
        atomic_fetch_add(&all->passed, 1);
    } else if (code == -ETIMEDOUT) {
        atomic_fetch_add(&all->timed_out, 1);
    } else {
        CHECK_CODE(code, -MANY_EBROKEN);
        atomic_fetch_add(&all->broken, 1);
    }
}

TEST(one_party_never_waits)
{
    many_barrier barrier = {.parties = 1};

    for (int i = 0; i < 5; i++) {
        CHECK_CODE(many_barrier_wait(&barrier, i % 2 == 0 ? 0 : MANY_FOREVER), 0);
        CHECK_EQUAL(many_barrier_waiting(&barrier), 0);
        CHECK_EQUAL(many_barrier_is_broken(&barrier), 0);
    }
}

TEST(all_go_on_when_the_last_has_come_and_each_has_another_number)
{
    FOR_BOTH(kind)
    {
        area *all = area_open(5);
        party others[4];

        for (int i = 0; i < 4; i++)
            party_start(&others[i], kind, wait_once, all);
        UNTIL(many_barrier_waiting(&all->barrier) == 4);
        CHECK_EQUAL(atomic_load(&all->passed), 0);
        CHECK_CODE(many_barrier_wait(&all->barrier, MANY_FOREVER), 0); /* the last to come */
        for (int i = 0; i < 4; i++)
            party_join(&others[i]);
        CHECK_EQUAL(atomic_load(&all->passed), 4);
        CHECK_EQUAL(atomic_load(&all->indexes), 2 + 4 + 8 + 16);
        CHECK_EQUAL(many_barrier_waiting(&all->barrier), 0);
        CHECK_EQUAL(many_barrier_is_broken(&all->barrier), 0);
    }
}

/* Whoever comes out of a round finds that all have been in it, and nobody in the next but one. */
static void go_round(void *argument)
{
    area *all = argument;

    for (uint64_t i = 0; i < all->turns; i++) {
        int code;

        atomic_fetch_add(&all->round[i % 64], 1);
        code = many_barrier_wait(&all->barrier, MANY_FOREVER);
        CHECK(code >= 0 && (uint32_t)code < all->barrier.parties);
        CHECK_EQUAL(atomic_load(&all->round[i % 64]), (int)all->barrier.parties);
        if (code == 0)
            atomic_store(&all->round[(i + 32) % 64], 0);
    }
}

TEST(it_can_be_used_again_and_again)
{
    const uint32_t parties[] = {2, 4};

    FOR_BOTH(kind)
    {
        for (size_t k = 0; k < sizeof parties / sizeof parties[0]; k++) {
            area *all = area_open(parties[k]);
            party others[4];

            all->turns = 1000 / (uint64_t)test_slowness();
            for (uint32_t i = 0; i < parties[k]; i++)
                party_start(&others[i], kind, go_round, all);
            for (uint32_t i = 0; i < parties[k]; i++)
                party_join(&others[i]);
            CHECK_EQUAL(many_barrier_waiting(&all->barrier), 0);
        }
    }
}

static void pass(void *argument)
{
    area *all = argument;

    CHECK(many_barrier_wait(&all->barrier, MANY_FOREVER) >= 0);
    atomic_fetch_add(&all->passed, 1);
}

/* More who come than it takes. */
TEST(more_threads_than_parties_pass_in_rounds)
{
    FOR_BOTH(kind)
    {
        area *all = area_open(3);
        party others[12];

        for (int i = 0; i < 12; i++)
            party_start(&others[i], kind, pass, all);
        for (int i = 0; i < 12; i++)
            party_join(&others[i]);
        CHECK_EQUAL(atomic_load(&all->passed), 12);
        CHECK_EQUAL(many_barrier_waiting(&all->barrier), 0);
    }
}

TEST(more_parties_than_places_are_a_round_too)
{
    area *all = area_open(40);
    party others[40];

    all->turns = 5;
    for (int i = 0; i < 40; i++)
        party_start(&others[i], PARTY_THREAD, go_round, all);
    for (int i = 0; i < 40; i++)
        party_join(&others[i]);
}

/* ---- breaking ---- */

TEST(a_timeout_breaks_it_for_all)
{
    FOR_BOTH(kind)
    {
        area *all = area_open(4);
        party others[2];

        for (int i = 0; i < 2; i++)
            party_start(&others[i], kind, wait_once, all);
        UNTIL(many_barrier_waiting(&all->barrier) == 2);
        CHECK_CODE(many_barrier_wait(&all->barrier, 0.02), -ETIMEDOUT);
        CHECK_CONTAINS(many_error_message(), "broken");
        for (int i = 0; i < 2; i++)
            party_join(&others[i]);
        CHECK_EQUAL(atomic_load(&all->broken), 2);
        CHECK_EQUAL(many_barrier_is_broken(&all->barrier), 1);
        CHECK_EQUAL(many_barrier_waiting(&all->barrier), 0);
        /* It stays so, for who comes later, too. */
        CHECK_CODE(many_barrier_wait(&all->barrier, MANY_FOREVER), -MANY_EBROKEN);
        CHECK_CONTAINS(many_error_message(), "many_barrier_reset");
    }
}

TEST(not_to_wait_at_all_breaks_it_unless_one_is_the_last)
{
    many_barrier barrier = {.parties = 2};

    CHECK_CODE(many_barrier_wait(&barrier, 0), -ETIMEDOUT);
    CHECK_EQUAL(many_barrier_is_broken(&barrier), 1);
}

TEST(abort_breaks_it_and_reset_makes_it_whole)
{
    FOR_BOTH(kind)
    {
        area *all = area_open(3);
        party others[2];

        for (int i = 0; i < 2; i++)
            party_start(&others[i], kind, wait_once, all);
        UNTIL(many_barrier_waiting(&all->barrier) == 2);
        CHECK_CODE(many_barrier_abort(&all->barrier), 0);
        for (int i = 0; i < 2; i++)
            party_join(&others[i]);
        CHECK_EQUAL(atomic_load(&all->broken), 2);
        CHECK_EQUAL(many_barrier_is_broken(&all->barrier), 1);
        CHECK_CODE(many_barrier_reset(&all->barrier), 0);
        CHECK_EQUAL(many_barrier_is_broken(&all->barrier), 0);
        for (int i = 0; i < 2; i++)
            party_start(&others[i], kind, wait_once, all);
        CHECK(many_barrier_wait(&all->barrier, MANY_FOREVER) >= 0);
        for (int i = 0; i < 2; i++)
            party_join(&others[i]);
        CHECK_EQUAL(atomic_load(&all->passed), 2);
    }
}

TEST(reset_breaks_the_waits_of_those_who_wait_and_leaves_it_whole)
{
    FOR_BOTH(kind)
    {
        area *all = area_open(3);
        party others[4];

        for (int i = 0; i < 2; i++)
            party_start(&others[i], kind, wait_once, all);
        UNTIL(many_barrier_waiting(&all->barrier) == 2);
        CHECK_CODE(many_barrier_reset(&all->barrier), 0);
        CHECK_EQUAL(many_barrier_is_broken(&all->barrier), 0);
        CHECK_EQUAL(many_barrier_waiting(&all->barrier), 0);
        /* A new round can come together while those of the old one are still on their way. */
        for (int i = 2; i < 4; i++)
            party_start(&others[i], kind, wait_once, all);
        CHECK(many_barrier_wait(&all->barrier, MANY_FOREVER) >= 0);
        for (int i = 0; i < 4; i++)
            party_join(&others[i]);
        CHECK_EQUAL(atomic_load(&all->broken), 2);
        CHECK_EQUAL(atomic_load(&all->passed), 2);
    }
}

TEST(reset_and_abort_of_an_empty_one_are_nothing_special)
{
    many_barrier barrier = {.parties = 1};

    CHECK_CODE(many_barrier_reset(&barrier), 0);
    CHECK_CODE(many_barrier_wait(&barrier, 0), 0);
    CHECK_CODE(many_barrier_abort(&barrier), 0);
    CHECK_CODE(many_barrier_abort(&barrier), 0);
    CHECK_CODE(many_barrier_wait(&barrier, 0), -MANY_EBROKEN);
    CHECK_CODE(many_barrier_reset(&barrier), 0);
    CHECK_CODE(many_barrier_wait(&barrier, 0), 0);
}

/* ---- the action ---- */

static int act(void *argument)
{
    area *all = argument;

    CHECK_EQUAL(atomic_load(&all->passed), 0); /* before anybody goes on */
    CHECK_EQUAL(many_barrier_waiting(&all->barrier), all->barrier.parties); /* nothing is locked */
    atomic_fetch_add(&all->actions, 1);
    return all->action_says;
}

static void wait_and_act(void *argument)
{
    area *all = argument;
    int code = many_barrier_wait_and(&all->barrier, act, all, MANY_FOREVER);

    if (code >= 0)
        atomic_fetch_add(&all->passed, 1);
    else if (code == -EPIPE)
        atomic_fetch_add(&all->ready, 1);
    else
        CHECK_CODE(code, -MANY_EBROKEN);
}

TEST(one_calls_the_action_before_the_others_go_on)
{
    FOR_BOTH(kind)
    {
        area *all = area_open(3);
        party others[3];

        for (int i = 0; i < 3; i++)
            party_start(&others[i], kind, wait_and_act, all);
        for (int i = 0; i < 3; i++)
            party_join(&others[i]);
        CHECK_EQUAL(atomic_load(&all->actions), 1);
        CHECK_EQUAL(atomic_load(&all->passed), 3);
    }
}

TEST(an_action_that_fails_breaks_it)
{
    FOR_BOTH(kind)
    {
        area *all = area_open(3);
        party others[3];

        all->action_says = -EPIPE;
        for (int i = 0; i < 3; i++)
            party_start(&others[i], kind, wait_and_act, all);
        for (int i = 0; i < 3; i++)
            party_join(&others[i]);
        CHECK_EQUAL(atomic_load(&all->ready), 1); /* whose action it was, gets its code */
        CHECK_EQUAL(atomic_load(&all->passed), 0);
        CHECK_EQUAL(many_barrier_is_broken(&all->barrier), 1);
    }
}

static int abort_it(void *argument)
{
    area *all = argument;

    CHECK_CODE(many_barrier_abort(&all->barrier), 0);
    return 0;
}

static int reset_it(void *argument)
{
    area *all = argument;

    CHECK_CODE(many_barrier_reset(&all->barrier), 0);
    return 0;
}

TEST(an_action_may_abort_or_reset_it)
{
    area *all = area_open(1);

    CHECK_CODE(many_barrier_wait_and(&all->barrier, abort_it, all, 1.0), -MANY_EBROKEN);
    CHECK_EQUAL(many_barrier_is_broken(&all->barrier), 1);
    CHECK_CODE(many_barrier_reset(&all->barrier), 0);
    CHECK_CODE(many_barrier_wait_and(&all->barrier, reset_it, all, 1.0), -MANY_EBROKEN);
    CHECK_EQUAL(many_barrier_is_broken(&all->barrier), 0);
    CHECK_CODE(many_barrier_wait_and(&all->barrier, NULL, NULL, 1.0), 0);
}

/* ---- death and signals ---- */

TEST(one_who_is_killed_while_it_waits_breaks_it)
{
    FOR_BOTH(kind)
    {
        area *all = area_open(4);
        party killed, others[2];

        party_start(&killed, PARTY_PROCESS, wait_once, all);
        UNTIL(many_barrier_waiting(&all->barrier) == 1);
        for (int i = 0; i < 2; i++)
            party_start(&others[i], kind, wait_once, all);
        UNTIL(many_barrier_waiting(&all->barrier) == 3);
        party_kill(&killed);
        for (int i = 0; i < 2; i++)
            party_join(&others[i]);
        CHECK_EQUAL(atomic_load(&all->broken), 2);
        CHECK_CODE(many_barrier_reset(&all->barrier), 0);
        CHECK_CODE(many_barrier_wait(&all->barrier, 0.001), -ETIMEDOUT);
    }
}

static int die(void *argument)
{
    (void)argument;
    return raise(SIGKILL);
}

static void die_in_the_action(void *argument)
{
    area *all = argument;

    many_barrier_wait_and(&all->barrier, die, NULL, MANY_FOREVER);
}

TEST(one_who_is_killed_in_the_action_breaks_it)
{
    FOR_BOTH(kind)
    {
        area *all = area_open(3);
        party others[2];

        for (int i = 0; i < 2; i++)
            party_start(&others[i], kind, wait_once, all);
        UNTIL(many_barrier_waiting(&all->barrier) == 2);
        CHECK_EQUAL(test_in_child(die_in_the_action, all), SIGKILL);
        for (int i = 0; i < 2; i++)
            party_join(&others[i]);
        CHECK_EQUAL(atomic_load(&all->broken), 2);
    }
}

static void be_interrupted(void *argument)
{
    area *all = argument;

    party_storm();
    CHECK_CODE(many_barrier_wait(&all->barrier, MANY_FOREVER), -EINTR);
    CHECK_CONTAINS(many_error_message(), "signal");
    party_calm();
}

TEST(a_signal_handler_ends_the_wait_and_breaks_it)
{
    area *all = area_open(2);

    CHECK_EQUAL(test_in_child(be_interrupted, all), 0);
    CHECK_EQUAL(many_barrier_is_broken(&all->barrier), 1);
    CHECK_CODE(many_barrier_wait(&all->barrier, 1.0), -MANY_EBROKEN);
}

TEST(arguments_that_make_no_sense_are_refused_in_words)
{
    many_barrier barrier = {.parties = 1}, none = {.parties = 0};

    CHECK_TIMEOUTS(many_barrier_wait(&barrier, timeout));
    CHECK_TIMEOUTS(many_barrier_wait_and(&barrier, NULL, NULL, timeout));
    CHECK_CODE(many_barrier_wait(&none, 0), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "parties");
    CHECK_CODE(many_barrier_wait(NULL, 0), -EINVAL);
    CHECK_CODE(many_barrier_wait_and(NULL, NULL, NULL, 0), -EINVAL);
    CHECK_CODE(many_barrier_reset(NULL), -EINVAL);
    CHECK_CODE(many_barrier_abort(NULL), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "many_barrier_abort");
    CHECK_EQUAL(many_barrier_waiting(NULL), 0);
    CHECK_EQUAL(many_barrier_is_broken(NULL), 0);
    CHECK_CODE(many_barrier_wait(&barrier, 0), 0);
}
