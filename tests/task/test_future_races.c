/* SPDX-License-Identifier: MIT */
/* test_future_races.c - threads that settle, close, watch and wait for the same future at the same moment */
#include "fake_engine.h"

#include <sched.h>
#include <stdlib.h>

#define ROUNDS (100000 / test_slowness())

/* Two sides that meet before each round; spinning, so that they set off together. */
typedef struct meeting {
    _Atomic unsigned arrived;
} meeting;

static void meet(meeting *all, unsigned parties, unsigned *turn)
{
    const unsigned last = (*turn += parties);

    atomic_fetch_add(&all->arrived, 1);
    for (int looks = 0; atomic_load(&all->arrived) < last; looks++)
        if (looks > 100)
            sched_yield();
}

/* ---- the end against the close ---- */

typedef struct duel {
    meeting meeting;
    fake_home home;
    int rounds;
    int watched;  /* 1: with a callback; 2: one that closes */
    int sleepers; /* 1: a third thread waits, and is the one who closes */
    _Atomic int called;
} duel;

static int note(many_future *future, void *context)
{
    duel *all = context;

    CHECK(many_future_is_over_(atomic_load(&future->state)));
    atomic_fetch_add(&all->called, 1);
    if (all->watched == 2)
        many_future_close(future);
    return 0;
}

static void *settle_each(void *argument)
{
    duel *all = argument;
    unsigned turn = 0;

    for (int i = 0; i < all->rounds; i++) {
        many_future *future = &all->home.futures[0].head;

        meet(&all->meeting, 2, &turn);
        many_future_settle_(future, i % 3 == 0 ? MANY_FUTURE_FAILED_ : MANY_FUTURE_DONE_);
        meet(&all->meeting, 2, &turn);
    }
    return NULL;
}

static void fight(duel *all)
{
    pthread_t thread;
    unsigned turn = 0;

    all->rounds = ROUNDS;
    CHECK_EQUAL(pthread_create(&thread, NULL, settle_each, all), 0);
    for (int i = 0; i < all->rounds; i++) {
        fake_future *fake = &all->home.futures[0];

        fake_begin(&all->home, &fake_near, -1);
        atomic_store(&all->called, 0);
        if (i % 2 == 0)
            CHECK(many_future_claim_(&fake->head));
        if (all->watched && i % 5 != 0)
            CHECK_CODE(many_future_on_done(&fake->head, note, all), 0);
        meet(&all->meeting, 2, &turn);
        if (all->sleepers)
            CHECK_CODE(many_future_wait(&fake->head, MANY_FOREVER), 0);
        if (all->watched && i % 5 == 0) /* at the very moment of its end */
            CHECK_CODE(many_future_on_done(&fake->head, note, all), 0);
        if (all->watched != 2)
            many_future_close(&fake->head);
        meet(&all->meeting, 2, &turn);
        CHECK_EQUAL(atomic_load(&fake->dropped), 1);
        CHECK_EQUAL(atomic_load(&all->called), all->watched != 0);
    }
    pthread_join(thread, NULL);
}

TEST(a_future_that_ends_while_it_is_closed_is_dropped_once)
{
    static duel all;

    fight(&all);
}

TEST(a_future_that_ends_while_it_is_closed_calls_its_callback_once)
{
    static duel all = {.watched = 1};

    fight(&all);
}

TEST(a_callback_that_closes_at_the_moment_of_the_end_is_the_last_to_use_it)
{
    static duel all = {.watched = 2};

    fight(&all);
}

TEST(who_was_woken_may_close_at_once)
{
    static duel all = {.sleepers = 1};

    fight(&all);
}

/* ---- everything at once, on futures set by hand ---- */

#define CROWD 5

typedef struct crowd {
    meeting meeting;
    many_future *future, *never;
    _Atomic int users; /* the last of them closes */
    _Atomic int called, given, won;
    int rounds;
} crowd;

static int count_it(many_future *future, void *context)
{
    CHECK_EQUAL(many_future_done(future), 1);
    atomic_fetch_add(&((crowd *)context)->called, 1);
    return 0;
}

static void settle_somehow(crowd *all, unsigned choice)
{
    int code;

    switch (choice % 4) {
    case 0:
        code = many_future_set_result(all->future, &choice, sizeof choice);
        break;
    case 1:
        code = many_future_set_failure(all->future, -EIO, "no");
        break;
    case 2:
        code = many_future_cancelled(all->future) == 0 && many_future_cancel(all->future) == 1
                   ? 1 /* by this call, or by another's at the same time */
                   : -EBUSY;
        break;
    default:
        code = many_future_terminate(all->future, 0) == 1 ? 0 : -EBUSY;
        break;
    }
    if (code == 0)
        atomic_fetch_add(&all->won, 1);
    else
        CHECK(code == 1 || code == -EBUSY || code == -ECANCELED);
}

static void watch_somehow(crowd *all, unsigned choice)
{
    many_future *list[2] = {all->never, all->future}, *future = NULL;
    many_completed *completed = NULL;
    ssize_t code;

    switch (choice % 5) {
    case 0:
        atomic_fetch_add(&all->given, 1);
        CHECK_CODE(many_future_on_done(all->future, count_it, all), 0);
        break;
    case 1:
        code = many_futures_wait(list, 2, MANY_FIRST_COMPLETED, NULL, choice % 2 ? 1e-5 : 10.0);
        CHECK(code == 1 || code == -ETIMEDOUT);
        break;
    case 2:
        CHECK_CODE(many_completed_open(&completed, list, 2), 0);
        code = many_completed_next(completed, &future, choice % 2 ? 1e-6 : 10.0);
        CHECK(code == 1 ? future == all->future : code == -ETIMEDOUT);
        many_completed_close(completed);
        break;
    case 3:
        code = many_future_wait(all->future, choice % 2 ? 1e-5 : MANY_FOREVER);
        CHECK(code == 0 || code == -ETIMEDOUT);
        break;
    default:
        if (choice % 8 == 0)
            CHECK(many_future_descriptor(all->future) >= 0);
        else
            CHECK(many_future_running(all->future) >= 0);
        break;
    }
}

static void *mill_about(void *argument)
{
    static _Atomic unsigned seeds;
    unsigned seed = atomic_fetch_add(&seeds, 1) + 1, turn = 0;
    crowd *all = argument;
    const int setter = seed % CROWD == 0;

    for (int i = 0; i < all->rounds; i++) {
        meet(&all->meeting, CROWD + 1, &turn);
        for (int k = 0; k < 3; k++) {
            unsigned choice = (unsigned)rand_r(&seed) >> 4;

            if (choice % 3 == 0 || setter)
                settle_somehow(all, choice / 3);
            else
                watch_somehow(all, choice / 3);
        }
        settle_somehow(all, (unsigned)rand_r(&seed) >> 4); /* nobody waits for ever */
        if (atomic_fetch_sub(&all->users, 1) == 1)
            many_future_close(all->future);
        meet(&all->meeting, CROWD + 1, &turn);
    }
    return NULL;
}

TEST(whatever_happens_at_once_it_is_over_once_and_each_callback_is_called_once)
{
    static crowd all;
    pthread_t threads[CROWD];
    test_census before = test_census_take();
    unsigned turn = 0;

    all.rounds = ROUNDS / 20;
    CHECK_CODE(many_future_open(&all.never), 0);
    for (int i = 0; i < CROWD; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, mill_about, &all), 0);
    for (int i = 0; i < all.rounds; i++) {
        CHECK_CODE(many_future_open(&all.future), 0);
        atomic_store(&all.users, CROWD);
        atomic_store(&all.called, 0);
        atomic_store(&all.given, 0);
        atomic_store(&all.won, 0);
        meet(&all.meeting, CROWD + 1, &turn);
        meet(&all.meeting, CROWD + 1, &turn);
        CHECK_EQUAL(atomic_load(&all.called), atomic_load(&all.given));
        CHECK(atomic_load(&all.won) <= 1);
    }
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    many_future_close(all.never);
    CHECK_CENSUS(before);
}
