/* SPDX-License-Identifier: MIT */
/* test_condition.c - wait for something to become true of what a lock protects */
#include "sync/party.h"

#include <many/sync.h>

#include "sync/lock.h"

typedef struct area {
    many_lock lock;
    many_rlock rlock;
    many_condition condition, other;
    int count, most; /* by the lock */
    uint64_t turns;
    double timeout;
    _Atomic int asleep, awake, dead, ready, over, predicates;
} area;

TEST(a_wait_ends_at_its_deadline_with_the_lock_held)
{
    area *all = test_shared(sizeof *all);

    CHECK_CODE(many_lock_acquire(&all->lock, 0), 0);
    for (int i = 0; i < 4; i++) {
        const double timeout = i == 0 ? 0 : i == 1 ? 0.001 : i == 2 ? 0.02 : 0.12;
        double begin = test_seconds();

        CHECK_CODE(many_condition_wait(&all->condition, &all->lock, timeout), -ETIMEDOUT);
        CHECK(test_seconds() - begin >= timeout);
        CHECK(many_lock_mine_(&all->lock));
    }
    CHECK_CODE(many_lock_release(&all->lock), 0);
}

static void wait_once(void *argument)
{
    area *all = argument;
    int code;

    CHECK_CODE(many_lock_acquire(&all->lock, MANY_FOREVER), 0);
    atomic_fetch_add(&all->asleep, 1); /* others get the lock when it sleeps */
    code = many_condition_wait(&all->condition, &all->lock, MANY_FOREVER);
    CHECK(many_lock_mine_(&all->lock));
    if (code == -EOWNERDEAD) {
        atomic_fetch_add(&all->dead, 1);
        CHECK_CODE(many_lock_consistent(&all->lock), 0);
    } else {
        CHECK_CODE(code, 0);
    }
    atomic_fetch_add(&all->awake, 1);
    CHECK_CODE(many_lock_release(&all->lock), 0);
}

static void notify(area *all, int n)
{
    CHECK_CODE(many_lock_acquire(&all->lock, MANY_FOREVER), 0);
    CHECK_CODE(many_condition_notify(&all->condition, n), 0);
    CHECK_CODE(many_lock_release(&all->lock), 0);
}

/* All have said so and given the lock back: then they wait. */
static void until_asleep(area *all, int count)
{
    UNTIL(atomic_load(&all->asleep) == count);
    CHECK_CODE(many_lock_acquire(&all->lock, MANY_FOREVER), 0);
    CHECK_CODE(many_lock_release(&all->lock), 0);
}

TEST(notify_wakes_as_many_as_it_says)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party others[6];

        for (int i = 0; i < 6; i++)
            party_start(&others[i], kind, wait_once, all);
        until_asleep(all, 6);
        notify(all, 1);
        UNTIL(atomic_load(&all->awake) == 1);
        notify(all, 2);
        UNTIL(atomic_load(&all->awake) == 3);
        /* Longer than the first slices of those who sleep: none of them comes back by itself. */
        CHECK_CODE(many_lock_acquire(&all->lock, MANY_FOREVER), 0);
        CHECK_CODE(many_condition_wait(&all->other, &all->lock, 0.2), -ETIMEDOUT);
        CHECK_CODE(many_lock_release(&all->lock), 0);
        CHECK_EQUAL(atomic_load(&all->awake), 3);
        notify(all, 100); /* more than wait */
        for (int i = 0; i < 6; i++)
            party_join(&others[i]);
        CHECK_EQUAL(all->condition.waiters_, 0);
        CHECK_EQUAL(all->condition.granted_, 0);
    }
}

TEST(notify_all_wakes_all)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party others[5];

        for (int i = 0; i < 5; i++)
            party_start(&others[i], kind, wait_once, all);
        until_asleep(all, 5);
        CHECK_CODE(many_condition_notify_all(&all->condition), 0); /* without the lock: allowed */
        for (int i = 0; i < 5; i++)
            party_join(&others[i]);
    }
}

TEST(none_is_woken_in_advance)
{
    area *all = test_shared(sizeof *all);

    for (int i = 0; i < 3; i++)
        notify(all, 5);
    CHECK_CODE(many_condition_notify_all(&all->condition), 0);
    CHECK_CODE(many_lock_acquire(&all->lock, 0), 0);
    CHECK_CODE(many_condition_wait(&all->condition, &all->lock, 0.02), -ETIMEDOUT);
    CHECK_CODE(many_lock_release(&all->lock), 0);
}

/* A wake that was granted to one who was killed before it came back, or by one before it went
 * on. */
TEST(a_grant_that_the_dead_have_left_ends_no_wait_that_begins_later)
{
    area *all = test_shared(sizeof *all);

    all->condition.waiters_ = 1;
    all->condition.granted_ = 1;
    all->condition.changes_ = 5;
    CHECK_CODE(many_lock_acquire(&all->lock, 0), 0);
    CHECK_CODE(many_condition_wait(&all->condition, &all->lock, 0.02), -ETIMEDOUT);
    CHECK_EQUAL(all->condition.granted_, 1);
    CHECK_CODE(many_lock_release(&all->lock), 0);
}

/* ---- many notifications ---- */

/* A buffer of a few places between producers and consumers, as in every textbook. */
static void produce(void *argument)
{
    area *all = argument;

    for (uint64_t i = 0; i < all->turns; i++) {
        CHECK_CODE(many_lock_acquire(&all->lock, MANY_FOREVER), 0);
        while (all->count == all->most)
            CHECK_CODE(many_condition_wait(&all->other, &all->lock, MANY_FOREVER), 0);
        all->count++;
        CHECK_CODE(many_condition_notify(&all->condition, 1), 0);
        CHECK_CODE(many_lock_release(&all->lock), 0);
    }
}

static void consume(void *argument)
{
    area *all = argument;

    for (uint64_t i = 0; i < all->turns; i++) {
        CHECK_CODE(many_lock_acquire(&all->lock, MANY_FOREVER), 0);
        while (all->count == 0)
            CHECK_CODE(many_condition_wait(&all->condition, &all->lock, MANY_FOREVER), 0);
        CHECK(all->count <= all->most);
        all->count--;
        CHECK_CODE(many_condition_notify(&all->other, 1), 0);
        CHECK_CODE(many_lock_release(&all->lock), 0);
    }
}

TEST(no_notification_is_lost)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party others[6];

        all->most = 3;
        all->turns = 2000 / (uint64_t)test_slowness();
        for (int i = 0; i < 6; i++)
            party_start(&others[i], kind, i % 2 == 0 ? produce : consume, all);
        for (int i = 0; i < 6; i++)
            party_join(&others[i]);
        CHECK_EQUAL(all->count, 0);
        CHECK_EQUAL(all->condition.waiters_ + all->other.waiters_, 0);
    }
}

/* Waits at most so long, and has to be notified. */
static void wait_for_one(void *argument)
{
    area *all = argument;

    CHECK_CODE(many_lock_acquire(&all->lock, MANY_FOREVER), 0);
    atomic_fetch_add(&all->asleep, 1);
    CHECK_CODE(many_condition_wait(&all->condition, &all->lock, 30.0), 0);
    atomic_fetch_add(&all->awake, 1);
    CHECK_CODE(many_lock_release(&all->lock), 0);
}

/* The only one who waits is notified, and does not run yet; two more come, and one of them is to be
 * notified. However many of them come back, the first one does. */
TEST(who_came_later_takes_nobodys_notification)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party first, others[2];

        party_start(&first, PARTY_PROCESS, wait_for_one, all);
        until_asleep(all, 1);
        CHECK(kill(first.process, SIGSTOP) == 0);
        CHECK(waitpid(first.process, NULL, WUNTRACED) == first.process);
        notify(all, 1);
        for (int i = 0; i < 2; i++)
            party_start(&others[i], kind, wait_for_one, all);
        until_asleep(all, 3);
        notify(all, 1);
        UNTIL(atomic_load(&all->awake) == 2); /* there are two grants, and the first one sleeps */
        CHECK(kill(first.process, SIGCONT) == 0);
        party_join(&first);
        for (int i = 0; i < 2; i++)
            party_join(&others[i]);
        CHECK_EQUAL(all->condition.waiters_, 0);
        CHECK_EQUAL(all->condition.granted_, 0);
    }
}

/* ---- wait_for ---- */

static int is_four(void *argument)
{
    area *all = argument;

    CHECK(many_lock_mine_(&all->lock));
    atomic_fetch_add(&all->predicates, 1);
    return all->count == 4 ? 17 : all->count > 4 ? -EPIPE : 0;
}

static void count_up(void *argument)
{
    area *all = argument;

    UNTIL(atomic_load(&all->predicates) > 0);
    for (int i = 0; i < all->most; i++) {
        CHECK_CODE(many_lock_acquire(&all->lock, MANY_FOREVER), 0);
        all->count++;
        CHECK_CODE(many_condition_notify_all(&all->condition), 0);
        CHECK_CODE(many_lock_release(&all->lock), 0);
    }
}

TEST(wait_for_returns_what_the_predicate_says)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party other;

        all->most = 4;
        CHECK_CODE(many_lock_acquire(&all->lock, MANY_FOREVER), 0);
        party_start(&other, kind, count_up, all);
        CHECK_CODE(many_condition_wait_for(&all->condition, &all->lock, is_four, all, MANY_FOREVER),
                   17);
        party_join(&other);
        CHECK_CODE(many_condition_wait_for(&all->condition, &all->lock, is_four, all, 0), 17);
        all->count = 5;
        CHECK_CODE(many_condition_wait_for(&all->condition, &all->lock, is_four, all, 1.0), -EPIPE);
        CHECK(many_lock_mine_(&all->lock));
    }
}

TEST(wait_for_asks_first_and_once_more_when_the_time_is_over)
{
    area *all = test_shared(sizeof *all);
    double begin = test_seconds();

    CHECK_CODE(many_lock_acquire(&all->lock, 0), 0);
    CHECK_CODE(many_condition_wait_for(&all->condition, &all->lock, is_four, all, 0.03),
               -ETIMEDOUT);
    CHECK(test_seconds() - begin >= 0.03);
    CHECK_EQUAL(atomic_load(&all->predicates), 2);
    CHECK_CODE(many_condition_wait_for(&all->condition, &all->lock, is_four, all, 0), -ETIMEDOUT);
    CHECK_EQUAL(atomic_load(&all->predicates), 4);
}

static int late(void *argument)
{
    area *all = argument;

    return atomic_fetch_add(&all->predicates, 1); /* true when it is asked again */
}

TEST(a_predicate_that_turns_true_without_a_notification_counts_at_the_end)
{
    area *all = test_shared(sizeof *all);

    CHECK_CODE(many_lock_acquire(&all->lock, 0), 0);
    CHECK_CODE(many_condition_wait_for(&all->condition, &all->lock, late, all, 0.01), 1);
}

TEST(a_predicate_that_turns_true_without_a_notification_ends_the_wait_after_a_second_or_two)
{
    area *all = test_shared(sizeof *all);

    CHECK_CODE(many_lock_acquire(&all->lock, 0), 0);
    CHECK_CODE(many_condition_wait_for(&all->condition, &all->lock, late, all, MANY_FOREVER), 1);
    CHECK_EQUAL(atomic_load(&all->predicates), 2);
}

/* ---- the rlock ---- */

static void notify_rlock(void *argument)
{
    area *all = argument;

    CHECK_CODE(many_rlock_acquire(&all->rlock, MANY_FOREVER), 0); /* free: the waiter gave it up */
    CHECK_CODE(many_condition_notify(&all->condition, 1), 0);
    CHECK_CODE(many_rlock_release(&all->rlock), 0);
}

TEST(an_rlock_is_released_whole_and_comes_back_as_deep)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party other;

        for (int i = 0; i < 3; i++)
            CHECK_CODE(many_rlock_acquire(&all->rlock, 0), 0);
        party_start(&other, kind, notify_rlock, all);
        CHECK_CODE(many_condition_wait_rlock(&all->condition, &all->rlock, MANY_FOREVER), 0);
        CHECK_EQUAL(many_rlock_depth(&all->rlock), 3);
        party_join(&other);
        CHECK_CODE(many_condition_wait_rlock(&all->condition, &all->rlock, 0.001), -ETIMEDOUT);
        CHECK_EQUAL(many_rlock_depth(&all->rlock), 3);
    }
}

/* ---- death and signals ---- */

static void hold_and_wait_to_be_killed(void *argument)
{
    area *all = argument;

    CHECK_CODE(many_lock_acquire(&all->lock, MANY_FOREVER), 0);
    atomic_store(&all->ready, 1);
    UNTIL(atomic_load(&all->over));
}

TEST(an_owner_that_is_killed_ends_the_waits)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party others[3], owner;

        for (int i = 0; i < 3; i++)
            party_start(&others[i], kind, wait_once, all);
        until_asleep(all, 3);
        party_start(&owner, PARTY_PROCESS, hold_and_wait_to_be_killed, all);
        UNTIL(atomic_load(&all->ready));
        party_kill(&owner);
        UNTIL(atomic_load(&all->dead) == 1); /* one is told, and mends it */
        UNTIL(atomic_load(&all->awake) >= 1);
        CHECK_CODE(many_condition_notify_all(&all->condition), 0); /* the others may sleep on */
        for (int i = 0; i < 3; i++)
            party_join(&others[i]);
        CHECK_EQUAL(atomic_load(&all->dead), 1);
    }
}

TEST(a_killed_waiter_takes_nobodys_notification)
{
    area *all = test_shared(sizeof *all);
    party killed, others[2];

    party_start(&killed, PARTY_PROCESS, wait_once, all);
    for (int i = 0; i < 2; i++)
        party_start(&others[i], PARTY_PROCESS, wait_once, all);
    until_asleep(all, 3);
    party_kill(&killed);
    notify(all, 1);
    UNTIL(atomic_load(&all->awake) == 1);
    notify(all, 1);
    for (int i = 0; i < 2; i++)
        party_join(&others[i]);
}

static void be_interrupted(void *argument)
{
    area *all = argument;

    party_storm();
    for (int i = 0; i < 5; i++) {
        int code;

        while ((code = many_lock_acquire(&all->lock, MANY_FOREVER)) == -EINTR)
            continue;
        CHECK_CODE(code, 0);
        CHECK_CODE(many_condition_wait(&all->condition, &all->lock, MANY_FOREVER), -EINTR);
        CHECK(many_lock_mine_(&all->lock));
        CHECK_CODE(many_condition_wait_for(&all->condition, &all->lock, is_four, all, 30.0),
                   -EINTR);
        CHECK(many_lock_mine_(&all->lock));
        CHECK_CODE(many_lock_release(&all->lock), 0);
    }
    party_calm();
}

TEST(a_signal_handler_ends_the_wait_with_the_lock_held)
{
    CHECK_EQUAL(test_in_child(be_interrupted, test_shared(sizeof(area))), 0);
}

TEST(arguments_that_make_no_sense_are_refused_in_words)
{
    area *all = test_shared(sizeof *all);

    CHECK_CODE(many_condition_wait(&all->condition, &all->lock, 0), -EPERM);
    CHECK_CONTAINS(many_error_message(), "does not hold");
    CHECK_CODE(many_condition_wait_rlock(&all->condition, &all->rlock, 0), -EPERM);
    CHECK_CODE(many_condition_wait_for(&all->condition, &all->lock, is_four, all, 0), -EPERM);
    CHECK_EQUAL(atomic_load(&all->predicates), 0);
    CHECK_CODE(many_lock_acquire(&all->lock, 0), 0);
    CHECK_TIMEOUTS(many_condition_wait(&all->condition, &all->lock, timeout));
    CHECK_TIMEOUTS(many_condition_wait_rlock(&all->condition, &all->rlock, timeout));
    CHECK_TIMEOUTS(many_condition_wait_for(&all->condition, &all->lock, is_four, all, timeout));
    CHECK_CODE(many_condition_wait_for(&all->condition, &all->lock, NULL, all, 0), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "predicate");
    CHECK_CODE(many_condition_wait(NULL, &all->lock, 0), -EINVAL);
    CHECK_CODE(many_condition_wait(&all->condition, NULL, 0), -EINVAL);
    CHECK_CODE(many_condition_notify(&all->condition, 0), -EINVAL);
    CHECK_CODE(many_condition_notify(&all->condition, -1), -EINVAL);
    CHECK_CODE(many_condition_notify(NULL, 1), -EINVAL);
    CHECK_CODE(many_condition_notify_all(NULL), -EINVAL);
    CHECK(many_lock_mine_(&all->lock));
}

static int is_counted(void *argument)
{
    area *all = argument;

    CHECK_EQUAL(many_rlock_depth(&all->rlock), 2); /* as often as before, each time */
    atomic_fetch_add(&all->predicates, 1);
    return all->count;
}

static void count_by_rlock(void *argument)
{
    area *all = argument;

    UNTIL(atomic_load(&all->predicates) > 0);
    CHECK_CODE(many_rlock_acquire(&all->rlock, MANY_FOREVER), 0);
    all->count = 3;
    CHECK_CODE(many_condition_notify(&all->condition, 1), 0);
    CHECK_CODE(many_rlock_release(&all->rlock), 0);
}

TEST(wait_for_with_an_rlock_gives_it_up_whole_and_gets_it_back_as_often)
{
    FOR_BOTH(kind)
    {
        area *all = test_shared(sizeof *all);
        party other;

        CHECK_CODE(many_condition_wait_for_rlock(&all->condition, &all->rlock, is_counted, all, 0),
                   -EPERM);
        CHECK_CODE(many_rlock_acquire(&all->rlock, 0), 0);
        CHECK_CODE(many_rlock_acquire(&all->rlock, 0), 0);
        CHECK_CODE(many_condition_wait_for_rlock(&all->condition, &all->rlock, NULL, all, 0),
                   -EINVAL);
        party_start(&other, kind, count_by_rlock, all);
        CHECK_CODE(many_condition_wait_for_rlock(&all->condition, &all->rlock, is_counted, all,
                                                 MANY_FOREVER),
                   3);
        party_join(&other);
        CHECK_EQUAL(many_rlock_depth(&all->rlock), 2);
    }
}
