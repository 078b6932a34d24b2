/* SPDX-License-Identifier: MIT */
/*
 * test_debug.c - the debug mode: circles of waits and locks taken in two orders, with names
 *
 * The mode cannot be switched off again: the first test is made before it is on.
 */
#include "sync/party.h"

#include <stdio.h>
#include <sys/prctl.h>

#include <many/lock_debug.h>

#include "os/self.h"
#include "sync/lock.h"

#define MOST 4

typedef struct area {
    many_lock lock[MOST];
    many_rlock rlock[2];
    many_condition condition;
    int parties;
    _Atomic int next, holding, deadlocks, over;
    _Atomic int reports;
    char text[4096]; /* of the last report */
} area;

static void report(const char *text, void *context)
{
    area *all = context;

    snprintf(all->text, sizeof all->text, "%s", text);
    atomic_fetch_add(&all->reports, 1);
}

/* Fresh locks, and the mode on. */
static area *watch(void)
{
    area *all = test_shared(sizeof *all);
    int code = many_lock_debug(report, all);

    CHECK(code == 0 || code == -EALREADY);
    return all;
}

TEST(off_it_names_nothing_and_on_it_says_so)
{
    area *all = test_shared(sizeof *all);

    CHECK_CODE(many_lock_name(&all->lock[0], "ledger"), -ENOSYS);
    CHECK_CONTAINS(many_error_message(), "many_lock_debug");
    CHECK_CODE(many_lock_debug(NULL, NULL), 0);
    CHECK_CODE(many_lock_debug(report, all), -EALREADY);
    CHECK_CODE(many_lock_name(&all->lock[0], "ledger"), 0);
    CHECK_CODE(many_lock_name(NULL, "ledger"), -EINVAL);
    CHECK_CODE(many_lock_name(&all->lock[0], NULL), -EINVAL);
}

/* ---- the same as without it ---- */

static void take_turns(void *argument)
{
    area *all = argument;

    for (int i = 0; i < 3000 / test_slowness(); i++) {
        CHECK_CODE(many_lock_acquire(&all->lock[0], MANY_FOREVER), 0);
        CHECK_CODE(many_rlock_acquire(&all->rlock[0], 30.0), 0);
        CHECK_CODE(many_rlock_acquire(&all->rlock[0], 0), 0);
        all->parties++;
        CHECK_CODE(many_rlock_release(&all->rlock[0]), 0);
        CHECK_CODE(many_rlock_release(&all->rlock[0]), 0);
        CHECK_CODE(many_lock_release(&all->lock[0]), 0);
    }
}

TEST(watched_locks_still_exclude_and_nothing_is_reported_that_is_in_order)
{
    FOR_BOTH(kind)
    {
        area *all = watch();
        party others[3];

        for (int i = 0; i < 3; i++)
            party_start(&others[i], kind, take_turns, all);
        for (int i = 0; i < 3; i++)
            party_join(&others[i]);
        CHECK_EQUAL(all->parties, 3 * (3000 / test_slowness()));
        CHECK_EQUAL(atomic_load(&all->reports), 0);
    }
}

static void take_and_die(void *argument)
{
    area *all = argument;

    many_lock_acquire(&all->lock[0], MANY_FOREVER);
    raise(SIGKILL);
}

TEST(watched_locks_have_the_same_codes)
{
    area *all = watch();

    CHECK_CODE(many_lock_acquire(&all->lock[0], 0), 0);
    CHECK_CODE(many_lock_acquire(&all->lock[0], 0), -ETIMEDOUT);
    CHECK_CODE(many_lock_acquire(&all->lock[0], 1.0), -EDEADLK);
    CHECK_CONTAINS(many_error_message(), "itself");
    CHECK_CODE(many_lock_release(&all->lock[0]), 0);
    CHECK_CODE(many_lock_release(&all->lock[0]), -EPERM);
    CHECK_CODE(many_rlock_release(&all->rlock[0]), -EPERM);
    CHECK_EQUAL(test_in_child(take_and_die, all), SIGKILL);
    CHECK_CODE(many_lock_acquire(&all->lock[0], 10.0), -EOWNERDEAD);
    CHECK_CODE(many_condition_wait(&all->condition, &all->lock[0], 0.01), -EOWNERDEAD);
    CHECK_CODE(many_lock_consistent(&all->lock[0]), 0);
    CHECK_CODE(many_condition_wait(&all->condition, &all->lock[0], 0.01), -ETIMEDOUT);
    CHECK_CODE(many_lock_release(&all->lock[0]), 0);
    CHECK_EQUAL(atomic_load(&all->reports), 0);
}

/* ---- circles ---- */

/* Party number k holds lock k, waits until all do, and then wants lock k + 1. */
static void close_circle(void *argument)
{
    area *all = argument;
    int k = atomic_fetch_add(&all->next, 1), after = (k + 1) % all->parties, code;
    char name[16];

    snprintf(name, sizeof name, "party-%d", k);
    CHECK(prctl(PR_SET_NAME, name) == 0);
    CHECK_CODE(many_lock_acquire(&all->lock[k], MANY_FOREVER), 0);
    atomic_fetch_add(&all->holding, 1);
    UNTIL(atomic_load(&all->holding) >= all->parties);
    code = many_lock_acquire(&all->lock[after], MANY_FOREVER);
    if (code == -EDEADLK) {
        atomic_fetch_add(&all->deadlocks, 1);
        CHECK_CONTAINS(many_error_message(), "deadlock: thread ");
        CHECK_CONTAINS(many_error_message(), name);
        CHECK(!many_lock_mine_(&all->lock[after]));
    } else {
        CHECK_CODE(code, 0);
        CHECK_CODE(many_lock_release(&all->lock[after]), 0);
    }
    CHECK_CODE(many_lock_release(&all->lock[k]), 0);
}

TEST(a_wait_that_closes_a_circle_ends_with_words)
{
    for (int parties = 2; parties <= MOST; parties++)
        FOR_BOTH(kind)
        {
            area *all = watch();
            party others[MOST];
            char number[32];

            all->parties = parties;
            CHECK_CODE(many_lock_name(&all->lock[0], "ledger"), 0);
            CHECK_CODE(many_lock_name(&all->lock[1], "index"), 0);
            for (int i = 0; i < parties; i++)
                party_start(&others[i], kind, close_circle, all);
            for (int i = 0; i < parties; i++)
                party_join(&others[i]);
            CHECK(atomic_load(&all->deadlocks) >= 1);
            CHECK(atomic_load(&all->reports) >= 1);
            CHECK_CONTAINS(all->text, "ledger at 0x");
            CHECK_CONTAINS(all->text, "waits for index at 0x");
            for (int i = 0; i < parties; i++) {
                snprintf(number, sizeof number, "'party-%d' of process ", i);
                CHECK_CONTAINS(all->text, number);
            }
            for (int i = 0; i < parties; i++)
                CHECK_EQUAL(all->lock[i].owner_, 0);
        }
}

static void hold_first_want_second(void *argument)
{
    area *all = argument;

    CHECK_CODE(many_lock_acquire(&all->lock[1], MANY_FOREVER), 0);
    atomic_store(&all->holding, 1);
    CHECK_CODE(many_lock_acquire(&all->lock[0], MANY_FOREVER), 0);
    CHECK_CODE(many_lock_release(&all->lock[0]), 0);
    CHECK_CODE(many_lock_release(&all->lock[1]), 0);
}

TEST(a_circle_is_found_by_a_wait_with_a_timeout_too_and_a_try_is_no_wait)
{
    FOR_BOTH(kind)
    {
        area *all = watch();
        party other;

        CHECK_CODE(many_lock_acquire(&all->lock[0], 0), 0);
        party_start(&other, kind, hold_first_want_second, all);
        UNTIL((FIELD(all->lock[0].owner_) & (UINT64_C(1) << 31)) != 0); /* it sleeps */
        CHECK_CODE(many_lock_acquire(&all->lock[1], 0), -ETIMEDOUT);
        CHECK_CODE(many_lock_acquire(&all->lock[1], 30.0), -EDEADLK);
        CHECK_CODE(many_lock_release(&all->lock[0]), 0);
        party_join(&other);
    }
}

/* The condition's lock has to come back, so the circle is the other's to end. */
static void hold_and_wait(void *argument)
{
    area *all = argument;
    int code;

    CHECK_CODE(many_lock_acquire(&all->lock[0], MANY_FOREVER), 0);
    CHECK_CODE(many_lock_acquire(&all->lock[1], MANY_FOREVER), 0);
    atomic_store(&all->holding, 1);
    code = many_condition_wait(&all->condition, &all->lock[1], MANY_FOREVER);
    CHECK_CODE(code, 0);
    CHECK(many_lock_mine_(&all->lock[1]));
    CHECK_CODE(many_lock_release(&all->lock[1]), 0);
    CHECK_CODE(many_lock_release(&all->lock[0]), 0);
}

TEST(a_condition_gets_its_lock_back_out_of_a_circle)
{
    FOR_BOTH(kind)
    {
        area *all = watch();
        party other;

        party_start(&other, kind, hold_and_wait, all);
        UNTIL(atomic_load(&all->holding));
        CHECK_CODE(many_lock_acquire(&all->lock[1], MANY_FOREVER), 0);
        CHECK_CODE(many_condition_notify(&all->condition, 1), 0);
        CHECK_CODE(many_lock_acquire(&all->lock[0], MANY_FOREVER), -EDEADLK);
        CHECK_CODE(many_lock_release(&all->lock[1]), 0);
        party_join(&other);
    }
}

static void want_second_and_be_killed(void *argument)
{
    area *all = argument;

    many_lock_acquire(&all->lock[1], MANY_FOREVER);
    many_lock_acquire(&all->lock[0], MANY_FOREVER);
}

TEST(a_circle_with_a_dead_thread_is_none)
{
    area *all = watch();
    party other;

    CHECK_CODE(many_lock_acquire(&all->lock[0], 0), 0);
    party_start(&other, PARTY_PROCESS, want_second_and_be_killed, all);
    UNTIL((FIELD(all->lock[0].owner_) & (UINT64_C(1) << 31)) != 0);
    party_kill(&other);
    CHECK_CODE(many_lock_acquire(&all->lock[1], MANY_FOREVER), -EOWNERDEAD);
    CHECK_CODE(many_lock_release(&all->lock[0]), 0);
}

/* ---- orders ---- */

static void take(many_lock *first, many_lock *second, double timeout)
{
    CHECK_CODE(many_lock_acquire(first, timeout), 0);
    CHECK_CODE(many_lock_acquire(second, timeout), 0);
    CHECK_CODE(many_lock_release(second), 0);
    CHECK_CODE(many_lock_release(first), 0);
}

static void take_backwards(void *argument)
{
    area *all = argument;

    take(&all->lock[1], &all->lock[0], MANY_FOREVER);
}

TEST(two_orders_are_reported_once_a_pair_though_all_went_well)
{
    FOR_BOTH(kind)
    {
        area *all = watch();
        party other;

        CHECK_CODE(many_lock_name(&all->lock[0], "ledger"), 0);
        CHECK_CODE(many_lock_name((many_lock *)&all->rlock[0], "index"), 0);
        take(&all->lock[0], &all->lock[1], 1.0);
        take(&all->lock[0], &all->lock[1], 1.0);
        CHECK_EQUAL(atomic_load(&all->reports), 0);
        for (int i = 0; i < 3; i++) {
            party_start(&other, kind, take_backwards, all);
            party_join(&other);
            CHECK_EQUAL(atomic_load(&all->reports), 1);
        }
        CHECK_CONTAINS(all->text, "lock order: thread ");
        CHECK_CONTAINS(all->text, "acquires ledger at 0x");
        take(&all->lock[0], &all->lock[1], 1.0);
        CHECK_EQUAL(atomic_load(&all->reports), 1);
        /* An rlock is a lock like any other. */
        CHECK_CODE(many_rlock_acquire(&all->rlock[0], 1.0), 0);
        take(&all->lock[0], &all->lock[2], 1.0);
        CHECK_CODE(many_rlock_release(&all->rlock[0]), 0);
        CHECK_CODE(many_lock_acquire(&all->lock[2], 1.0), 0);
        CHECK_CODE(many_rlock_acquire(&all->rlock[0], 1.0), 0);
        CHECK_EQUAL(atomic_load(&all->reports), 2);
        CHECK_CONTAINS(all->text, "acquires index at 0x");
        CHECK_CODE(many_rlock_release(&all->rlock[0]), 0);
        CHECK_CODE(many_lock_release(&all->lock[2]), 0);
    }
}

TEST(a_try_has_no_order)
{
    area *all = watch();

    take(&all->lock[0], &all->lock[1], 0);
    take(&all->lock[1], &all->lock[0], 0);
    CHECK_EQUAL(atomic_load(&all->reports), 0);
}

/* ---- the tables are as large as they are ---- */

TEST(more_locks_than_one_thread_is_watched_for_work_all_the_same)
{
    enum { LOCKS = 100 };
    many_lock *locks = test_shared(LOCKS * sizeof *locks);
    area *all = watch();

    for (int i = 0; i < LOCKS; i++)
        CHECK_CODE(many_lock_acquire(&locks[i], 1.0), 0);
    for (int i = 0; i < LOCKS; i++)
        CHECK_CODE(many_lock_release(&locks[i]), 0);
    CHECK_EQUAL(atomic_load(&all->reports), 0);
}

static void take_one(void *argument)
{
    area *all = argument;

    CHECK_CODE(many_lock_acquire(&all->lock[0], MANY_FOREVER), 0);
    CHECK_CODE(many_lock_release(&all->lock[0]), 0);
}

TEST(threads_that_have_ended_make_room_for_others)
{
    area *all = watch();

    for (int i = 0; i < 3000 / test_slowness(); i++) {
        party other;

        party_start(&other, PARTY_THREAD, take_one, all);
        party_join(&other);
    }
    take(&all->lock[0], &all->lock[1], 1.0);
    take(&all->lock[1], &all->lock[0], 1.0);
    CHECK_EQUAL(atomic_load(&all->reports), 1); /* this one is still watched */
}

TEST(names_run_out_with_words)
{
    enum { LOCKS = 5000 };
    many_lock *locks = test_shared(LOCKS * sizeof *locks);
    int code = 0, named = 0;

    watch();
    while (named < LOCKS && (code = many_lock_name(&locks[named], "one of many")) == 0)
        named++;
    CHECK_CODE(code, -ENOMEM);
    CHECK(named > 4000);
    CHECK_CODE(many_lock_name(&locks[0], "another, and far longer than there is room for"), 0);
    CHECK_CODE(many_lock_acquire(&locks[named], 1.0), 0);
    CHECK_CODE(many_lock_release(&locks[named]), 0);
}
