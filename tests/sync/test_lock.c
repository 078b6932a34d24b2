/* SPDX-License-Identifier: MIT */
/* test_lock.c - the lock: one holder, among threads and processes, who may be killed */
#include "sync/party.h"

#include <many/sync.h>

#include "sync/lock.h"

#define WAITERS (UINT64_C(1) << 31)

typedef struct area {
    many_lock lock;
    uint64_t count; /* by the lock */
    uint64_t turns;
    _Atomic int ready, over, got;
    _Atomic int codes[3]; /* how many got 0, -EOWNERDEAD, anything else */
} area;

TEST(zero_is_a_free_lock_and_a_free_lock_is_zero)
{
    many_lock lock = {0};
    const many_lock zero = {0};

    CHECK_EQUAL(many_lock_locked(&lock), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_CODE(many_lock_acquire(&lock, i == 0 ? 0 : i == 1 ? 1.0 : MANY_FOREVER), 0);
        CHECK_EQUAL(many_lock_locked(&lock), 1);
        CHECK_CODE(many_lock_release(&lock), 0);
        CHECK_EQUAL(many_lock_locked(&lock), 0);
        CHECK_BYTES(&lock, &zero, sizeof lock);
    }
}

static void take_turns(void *argument)
{
    area *all = argument;

    for (uint64_t i = 0; i < all->turns; i++) {
        CHECK_CODE(many_lock_acquire(&all->lock, MANY_FOREVER), 0);
        all->count++;
        CHECK_CODE(many_lock_release(&all->lock), 0);
    }
}

TEST(one_at_a_time_holds_it)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party others[4];

        all->turns = 50000 / (uint64_t)test_slowness();
        for (int i = 0; i < 4; i++)
            party_start(&others[i], kind, take_turns, all);
        for (int i = 0; i < 4; i++)
            party_join(&others[i]);
        CHECK_EQUAL(all->count, 4 * all->turns);
        CHECK_EQUAL(all->lock.owner_, 0);
    }
}

static void hold(void *argument)
{
    area *all = argument;

    CHECK_CODE(many_lock_acquire(&all->lock, MANY_FOREVER), 0);
    atomic_store(&all->ready, 1);
    UNTIL(atomic_load(&all->over));
    CHECK_CODE(many_lock_release(&all->lock), 0);
}

TEST(a_lock_that_another_holds_is_not_to_be_had_in_time)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party other;
        double begin;

        party_start(&other, kind, hold, all);
        UNTIL(atomic_load(&all->ready));
        CHECK_CODE(many_lock_acquire(&all->lock, 0), -ETIMEDOUT);
        CHECK_CODE(many_lock_acquire(&all->lock, -0.0), -ETIMEDOUT);
        for (int i = 0; i < 3; i++) {
            const double timeout = i == 0 ? 0.001 : i == 1 ? 0.02 : 0.12; /* more than two slices */

            begin = test_seconds();
            CHECK_CODE(many_lock_acquire(&all->lock, timeout), -ETIMEDOUT);
            CHECK(test_seconds() - begin >= timeout);
            CHECK_CONTAINS(many_error_message(), "many_lock_acquire");
        }
        CHECK_EQUAL(many_lock_locked(&all->lock), 1);
        CHECK_CODE(many_lock_release(&all->lock), -EPERM);
        CHECK_CONTAINS(many_error_message(), "does not hold");
        CHECK_CODE(many_lock_consistent(&all->lock), -EPERM);
        atomic_store(&all->over, 1);
        party_join(&other);
        CHECK_CODE(many_lock_acquire(&all->lock, 0), 0);
    }
}

static void want(void *argument)
{
    area *all = argument;
    int code = many_lock_acquire(&all->lock, MANY_FOREVER);

    atomic_fetch_add(&all->codes[code == 0 ? 0 : code == -EOWNERDEAD ? 1 : 2], 1);
    if (code == -EOWNERDEAD)
        CHECK_CODE(many_lock_consistent(&all->lock), 0);
    CHECK_CODE(many_lock_release(&all->lock), 0);
}

TEST(a_sleeper_gets_it_when_it_is_released)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party others[3];

        CHECK_CODE(many_lock_acquire(&all->lock, 0), 0);
        for (int i = 0; i < 3; i++)
            party_start(&others[i], kind, want, all);
        UNTIL((FIELD(all->lock.owner_) & WAITERS) != 0);
        CHECK_CODE(many_lock_release(&all->lock), 0);
        for (int i = 0; i < 3; i++)
            party_join(&others[i]);
        CHECK_EQUAL(atomic_load(&all->codes[0]), 3);
        CHECK_EQUAL(all->lock.owner_, 0);
    }
}

TEST(the_owner_does_not_wait_for_itself)
{
    many_lock lock = {0};

    CHECK_CODE(many_lock_acquire(&lock, 0), 0);
    CHECK_CODE(many_lock_acquire(&lock, 0), -ETIMEDOUT);
    CHECK_CODE(many_lock_acquire(&lock, 10.0), -EDEADLK);
    CHECK_CODE(many_lock_acquire(&lock, MANY_FOREVER), -EDEADLK);
    CHECK_CONTAINS(many_error_message(), "rlock");
    CHECK_CODE(many_lock_release(&lock), 0);
    CHECK_CODE(many_lock_release(&lock), -EPERM);
}

TEST(arguments_that_make_no_sense_are_refused_in_words)
{
    _Alignas(8) char bytes[2 * sizeof(many_lock)] = {0};
    many_lock *crooked = (many_lock *)(void *)(bytes + 4);
    many_lock lock = {0};

    CHECK_TIMEOUTS(many_lock_acquire(&lock, timeout));
    CHECK_EQUAL(many_lock_locked(&lock), 0);
    CHECK_CODE(many_lock_acquire(NULL, 0), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "lock is NULL");
    CHECK_CODE(many_lock_release(NULL), -EINVAL);
    CHECK_CODE(many_lock_consistent(NULL), -EINVAL);
    CHECK_CODE(many_lock_acquire(crooked, 0), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "aligned");
    CHECK_CODE(many_lock_release(crooked), -EINVAL);
    CHECK_EQUAL(many_lock_locked(NULL), 0);
    CHECK_EQUAL(many_lock_locked(crooked), 0);
}

/* ---- death ---- */

static void take_and_die(void *argument)
{
    area *all = argument;

    many_lock_acquire(&all->lock, MANY_FOREVER);
    raise(SIGKILL);
}

static void take_and_end(void *argument)
{
    area *all = argument;

    many_lock_acquire(&all->lock, MANY_FOREVER);
}

TEST(who_comes_after_a_killed_owner_is_told_and_holds_it)
{
    area *all = test_shared(sizeof *all);

    CHECK_EQUAL(test_in_child(take_and_die, all), SIGKILL);
    CHECK_EQUAL(many_lock_locked(&all->lock), 1);
    CHECK_CODE(many_lock_acquire(&all->lock, 10.0), -EOWNERDEAD);
    CHECK_CONTAINS(many_error_message(), "many_lock_consistent");
    CHECK(many_lock_mine_(&all->lock));
    CHECK_CODE(many_lock_consistent(&all->lock), 0);
    CHECK_CODE(many_lock_consistent(&all->lock), -EINVAL);
    CHECK_CODE(many_lock_release(&all->lock), 0);
    CHECK_CODE(many_lock_acquire(&all->lock, 0), 0);
}

TEST(an_owner_that_ended_without_a_release_counts_as_dead)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party other;

        party_start(&other, kind, take_and_end, all);
        party_join(&other);
        CHECK_CODE(many_lock_acquire(&all->lock, 10.0), -EOWNERDEAD);
    }
}

TEST(a_lock_that_was_not_made_consistent_tells_the_next_one_again)
{
    area *all = test_shared(sizeof *all);

    CHECK_EQUAL(test_in_child(take_and_die, all), SIGKILL);
    CHECK_CODE(many_lock_acquire(&all->lock, 10.0), -EOWNERDEAD);
    for (int i = 0; i < 3; i++) {
        CHECK_CODE(many_lock_release(&all->lock), 0);
        CHECK_EQUAL(many_lock_locked(&all->lock), 0);
        CHECK_CODE(many_lock_acquire(&all->lock, i == 0 ? 0 : 1.0), -EOWNERDEAD);
    }
    CHECK_CODE(many_lock_consistent(&all->lock), 0);
    CHECK_CODE(many_lock_release(&all->lock), 0);
    CHECK_CODE(many_lock_acquire(&all->lock, 0), 0);
}

TEST(of_those_who_wait_for_a_killed_owner_one_is_told_and_all_go_on)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party owner, others[4];

        party_start(&owner, PARTY_PROCESS, hold, all);
        UNTIL(atomic_load(&all->ready));
        for (int i = 0; i < 4; i++)
            party_start(&others[i], kind, want, all);
        UNTIL((FIELD(all->lock.owner_) & WAITERS) != 0);
        party_kill(&owner);
        for (int i = 0; i < 4; i++)
            party_join(&others[i]);
        CHECK_EQUAL(atomic_load(&all->codes[0]), 3);
        CHECK_EQUAL(atomic_load(&all->codes[1]), 1);
    }
}

TEST(who_only_tries_learns_of_a_death_too)
{
    area *all = test_shared(sizeof *all);
    int code = 0;

    CHECK_EQUAL(test_in_child(take_and_die, all), SIGKILL);
    UNTIL((code = many_lock_acquire(&all->lock, 0)) != -ETIMEDOUT);
    CHECK_CODE(code, -EOWNERDEAD);
}

TEST(a_short_wait_learns_of_a_death_too)
{
    area *all = test_shared(sizeof *all);

    CHECK_EQUAL(test_in_child(take_and_die, all), SIGKILL);
    CHECK_CODE(many_lock_acquire(&all->lock, 0.0001), -EOWNERDEAD);
}

TEST(an_owner_whose_number_another_thread_has_now_is_dead)
{
    area *all = test_shared(sizeof *all);
    party other;

    /* The other thread lives, and did not take it: somebody before it who had its number did. */
    party_start(&other, PARTY_PROCESS, hold, all);
    UNTIL(atomic_load(&all->ready));
    all->lock.owner_ += UINT64_C(5) << 32;
    CHECK_CODE(many_lock_acquire(&all->lock, 10.0), -EOWNERDEAD);
    all->lock.owner_ = 0;
    party_kill(&other);
}

TEST(an_owner_that_is_stopped_is_not_dead)
{
    area *all = test_shared(sizeof *all);
    party other;

    party_start(&other, PARTY_PROCESS, hold, all);
    UNTIL(atomic_load(&all->ready));
    CHECK(kill(other.process, SIGSTOP) == 0);
    CHECK_CODE(many_lock_acquire(&all->lock, 0.15), -ETIMEDOUT);
    CHECK(kill(other.process, SIGCONT) == 0);
    atomic_store(&all->over, 1);
    CHECK_CODE(many_lock_acquire(&all->lock, MANY_FOREVER), 0);
    party_join(&other);
}

TEST(a_killed_waiter_is_missed_by_nobody)
{
    area *all = test_shared(sizeof *all);
    party killed, other;

    CHECK_CODE(many_lock_acquire(&all->lock, 0), 0);
    party_start(&killed, PARTY_PROCESS, want, all);
    UNTIL((FIELD(all->lock.owner_) & WAITERS) != 0);
    party_start(&other, PARTY_PROCESS, want, all);
    party_kill(&killed);
    CHECK_CODE(many_lock_release(&all->lock), 0);
    party_join(&other);
    CHECK_EQUAL(atomic_load(&all->codes[0]), 1);
}

/* ---- forks and signals ---- */

static void be_no_owner(void *argument)
{
    area *all = argument;

    CHECK(!many_lock_mine_(&all->lock));
    CHECK_CODE(many_lock_release(&all->lock), -EPERM);
    CHECK_CODE(many_lock_acquire(&all->lock, 0), -ETIMEDOUT);
    CHECK_CODE(many_lock_acquire(&all->lock, 0.02), -ETIMEDOUT);
}

TEST(a_forked_child_does_not_hold_what_its_parent_holds)
{
    area *all = test_shared(sizeof *all);

    CHECK_CODE(many_lock_acquire(&all->lock, 0), 0);
    CHECK_EQUAL(test_in_child(be_no_owner, all), 0);
    CHECK(many_lock_mine_(&all->lock));
    CHECK_CODE(many_lock_release(&all->lock), 0);
}

static void be_interrupted(void *argument)
{
    area *all = argument;

    party_storm();
    for (int i = 0; i < 5; i++) {
        CHECK_CODE(many_lock_acquire(&all->lock, i % 2 == 0 ? MANY_FOREVER : 30.0), -EINTR);
        CHECK_CONTAINS(many_error_message(), "signal");
    }
    CHECK(!many_lock_mine_(&all->lock));
    party_calm();
}

TEST(a_signal_handler_ends_the_wait_and_changes_nothing)
{
    area *all = test_shared(sizeof *all);

    CHECK_CODE(many_lock_acquire(&all->lock, 0), 0);
    CHECK_EQUAL(test_in_child(be_interrupted, all), 0);
    CHECK(many_lock_mine_(&all->lock));
    CHECK_CODE(many_lock_release(&all->lock), 0);
    CHECK_EQUAL(all->lock.owner_, 0);
}

static void insist(void *argument)
{
    area *all = argument;

    party_storm();
    for (uint64_t i = 0; i < all->turns; i++) {
        int code;

        do
            code = many_lock_acquire(&all->lock, MANY_FOREVER);
        while (code == -EINTR);
        CHECK_CODE(code, 0);
        all->count++;
        CHECK_CODE(many_lock_release(&all->lock), 0);
    }
    party_calm();
}

TEST(a_storm_of_signals_breaks_no_exclusion)
{
    area *all = test_shared(sizeof *all);
    party others[3];

    all->turns = 30000 / (uint64_t)test_slowness();
    for (int i = 0; i < 3; i++)
        party_start(&others[i], PARTY_PROCESS, insist, all);
    for (int i = 0; i < 3; i++)
        party_join(&others[i]);
    CHECK_EQUAL(all->count, 3 * all->turns);
}

TEST(a_lock_leaves_nothing_behind)
{
    area *all = test_shared(sizeof *all);
    test_census before = test_census_take();

    for (int i = 0; i < 100; i++) {
        CHECK_CODE(many_lock_acquire(&all->lock, 0.001), 0);
        CHECK_CODE(many_lock_acquire(&all->lock, 0), -ETIMEDOUT);
        CHECK_CODE(many_lock_release(&all->lock), 0);
    }
    CHECK_CENSUS(before);
}
