/* SPDX-License-Identifier: MIT */
/* test_rlock.c - the lock that its owner may acquire again */
#include "sync/party.h"

#include <many/sync.h>

typedef struct area {
    many_rlock lock;
    uint64_t count;
    uint64_t turns;
    _Atomic int ready, over;
} area;

TEST(it_is_free_when_it_was_released_as_often)
{
    many_rlock lock = {0};

    for (uint32_t depth = 1; depth <= 5; depth++) {
        CHECK_CODE(many_rlock_acquire(&lock, depth % 2 == 0 ? 0 : MANY_FOREVER), 0);
        CHECK_EQUAL(many_rlock_depth(&lock), depth);
    }
    for (uint32_t depth = 5; depth >= 1; depth--) {
        CHECK_EQUAL(many_rlock_depth(&lock), depth);
        CHECK_CODE(many_rlock_release(&lock), 0);
    }
    CHECK_EQUAL(many_rlock_depth(&lock), 0);
    CHECK_CODE(many_rlock_release(&lock), -EPERM);
    CHECK_CONTAINS(many_error_message(), "does not hold");
    CHECK_EQUAL(lock.owner_, 0);
}

static void be_kept_out(void *argument)
{
    area *all = argument;

    CHECK_EQUAL(many_rlock_depth(&all->lock), 0);
    CHECK_CODE(many_rlock_acquire(&all->lock, 0), -ETIMEDOUT);
    CHECK_CODE(many_rlock_acquire(&all->lock, 0.02), -ETIMEDOUT);
    CHECK_CODE(many_rlock_release(&all->lock), -EPERM);
    CHECK_CODE(many_rlock_consistent(&all->lock), -EPERM);
}

TEST(others_are_kept_out_until_the_last_release)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party other;

        for (int i = 0; i < 3; i++)
            CHECK_CODE(many_rlock_acquire(&all->lock, 1.0), 0);
        for (int i = 0; i < 3; i++) {
            party_start(&other, kind, be_kept_out, all);
            party_join(&other);
            CHECK_CODE(many_rlock_release(&all->lock), 0);
        }
        CHECK_EQUAL(all->lock.owner_, 0);
    }
}

static void take_turns(void *argument)
{
    area *all = argument;

    for (uint64_t i = 0; i < all->turns; i++) {
        for (uint64_t k = 0; k <= i % 3; k++)
            CHECK_CODE(many_rlock_acquire(&all->lock, MANY_FOREVER), 0);
        all->count++;
        for (uint64_t k = 0; k <= i % 3; k++)
            CHECK_CODE(many_rlock_release(&all->lock), 0);
    }
}

TEST(one_at_a_time_holds_it_however_often)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party others[3];

        all->turns = 30000 / (uint64_t)test_slowness();
        for (int i = 0; i < 3; i++)
            party_start(&others[i], kind, take_turns, all);
        for (int i = 0; i < 3; i++)
            party_join(&others[i]);
        CHECK_EQUAL(all->count, 3 * all->turns);
    }
}

static void take_thrice_and_die(void *argument)
{
    area *all = argument;

    for (int i = 0; i < 3; i++)
        many_rlock_acquire(&all->lock, MANY_FOREVER);
    raise(SIGKILL);
}

TEST(after_a_killed_owner_it_is_held_once_however_deep_that_was)
{
    area *all = test_shared(sizeof *all);

    CHECK_EQUAL(test_in_child(take_thrice_and_die, all), SIGKILL);
    CHECK_CODE(many_rlock_acquire(&all->lock, 10.0), -EOWNERDEAD);
    CHECK_EQUAL(many_rlock_depth(&all->lock), 1);
    CHECK_CODE(many_rlock_acquire(&all->lock, 0), 0); /* once more: nothing to tell */
    CHECK_CODE(many_rlock_release(&all->lock), 0);
    CHECK_CODE(many_rlock_release(&all->lock), 0);
    CHECK_CODE(many_rlock_acquire(&all->lock, 0), -EOWNERDEAD); /* was not made consistent */
    CHECK_CODE(many_rlock_consistent(&all->lock), 0);
    CHECK_CODE(many_rlock_consistent(&all->lock), -EINVAL);
    CHECK_CODE(many_rlock_release(&all->lock), 0);
    CHECK_CODE(many_rlock_acquire(&all->lock, 0), 0);
    CHECK_EQUAL(many_rlock_depth(&all->lock), 1);
}

static void be_no_owner(void *argument)
{
    area *all = argument;

    CHECK_EQUAL(many_rlock_depth(&all->lock), 0);
    CHECK_CODE(many_rlock_release(&all->lock), -EPERM);
}

TEST(a_forked_child_does_not_hold_what_its_parent_holds)
{
    area *all = test_shared(sizeof *all);

    CHECK_CODE(many_rlock_acquire(&all->lock, 0), 0);
    CHECK_CODE(many_rlock_acquire(&all->lock, 0), 0);
    CHECK_EQUAL(test_in_child(be_no_owner, all), 0);
    CHECK_EQUAL(many_rlock_depth(&all->lock), 2);
}

TEST(the_count_does_not_overflow)
{
    many_rlock lock = {0};

    CHECK_CODE(many_rlock_acquire(&lock, 0), 0);
    lock.depth_ = UINT32_MAX - 2;
    CHECK_CODE(many_rlock_acquire(&lock, 0), 0);
    CHECK_EQUAL(many_rlock_depth(&lock), UINT32_MAX);
    CHECK_CODE(many_rlock_acquire(&lock, 0), -EAGAIN);
    CHECK_EQUAL(many_rlock_depth(&lock), UINT32_MAX);
}

TEST(arguments_that_make_no_sense_are_refused_in_words)
{
    many_rlock lock = {0};

    CHECK_TIMEOUTS(many_rlock_acquire(&lock, timeout));
    CHECK_CODE(many_rlock_acquire(&lock, 0), 0);
    CHECK_TIMEOUTS(many_rlock_acquire(&lock, timeout)); /* held, too */
    CHECK_CODE(many_rlock_acquire(NULL, 0), -EINVAL);
    CHECK_CODE(many_rlock_release(NULL), -EINVAL);
    CHECK_CODE(many_rlock_consistent(NULL), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "many_rlock_consistent");
    CHECK_EQUAL(many_rlock_depth(NULL), 0);
}

static void be_interrupted(void *argument)
{
    area *all = argument;

    party_storm();
    CHECK_CODE(many_rlock_acquire(&all->lock, MANY_FOREVER), -EINTR);
    CHECK_EQUAL(many_rlock_depth(&all->lock), 0);
    party_calm();
}

TEST(a_signal_handler_ends_the_wait)
{
    area *all = test_shared(sizeof *all);

    CHECK_CODE(many_rlock_acquire(&all->lock, 0), 0);
    CHECK_EQUAL(test_in_child(be_interrupted, all), 0);
    CHECK_EQUAL(many_rlock_depth(&all->lock), 1);
}
