/* SPDX-License-Identifier: MIT */
/* test_semaphore.c - so many permits; who has them is recorded, and may be killed */
#include "sync/party.h"

#include <many/sync.h>

typedef struct area {
    many_semaphore semaphore;
    many_bounded_semaphore bounded;
    uint64_t turns;
    _Atomic int inside, most, ready, over, got, dead;
} area;

static area *area_open(uint32_t permits)
{
    area *all = test_shared(sizeof *all);

    all->semaphore.permits = permits;
    all->bounded.semaphore.permits = permits;
    return all;
}

TEST(as_many_permits_as_it_says)
{
    const uint32_t permits[] = {1, 3, 31, 32, 33, 40, 100};

    for (size_t k = 0; k < sizeof permits / sizeof permits[0]; k++) {
        many_semaphore semaphore = {.permits = permits[k]};

        for (int round = 0; round < 2; round++) {
            for (uint32_t i = 0; i < permits[k]; i++) {
                CHECK_EQUAL(many_semaphore_value(&semaphore), permits[k] - i);
                CHECK_CODE(many_semaphore_acquire(&semaphore, i % 2 == 0 ? 0 : MANY_FOREVER), 0);
            }
            CHECK_EQUAL(many_semaphore_value(&semaphore), 0);
            CHECK_CODE(many_semaphore_acquire(&semaphore, 0), -ETIMEDOUT);
            CHECK_CODE(many_semaphore_acquire(&semaphore, 0.001), -ETIMEDOUT);
            if (round == 0)
                CHECK_CODE(many_semaphore_release(&semaphore, permits[k]), 0);
            else
                for (uint32_t i = 0; i < permits[k]; i++)
                    CHECK_CODE(many_semaphore_release(&semaphore, 1), 0);
            CHECK_EQUAL(many_semaphore_value(&semaphore), permits[k]);
        }
    }
}

TEST(a_semaphore_counts_as_high_as_it_is_told_to)
{
    many_semaphore semaphore = {.permits = 2};

    CHECK_CODE(many_semaphore_release(&semaphore, 1), 0);
    CHECK_EQUAL(many_semaphore_value(&semaphore), 3);
    CHECK_CODE(many_semaphore_release(&semaphore, 1000000000), 0);
    CHECK_EQUAL(many_semaphore_value(&semaphore), 1000000003);
    CHECK_CODE(many_semaphore_release(&semaphore, INT32_MAX - 1000000003 + 1), -EOVERFLOW);
    CHECK_CONTAINS(many_error_message(), "2147483647");
    CHECK_EQUAL(many_semaphore_value(&semaphore), 1000000003);
    CHECK_CODE(many_semaphore_release(&semaphore, INT32_MAX - 1000000003), 0);
    CHECK_EQUAL(many_semaphore_value(&semaphore), INT32_MAX);
    CHECK_CODE(many_semaphore_release(&semaphore, 1), -EOVERFLOW);
    CHECK_CODE(many_semaphore_release(&semaphore, UINT32_MAX), -EOVERFLOW);
    CHECK_CODE(many_semaphore_acquire(&semaphore, 0), 0);
    CHECK_EQUAL(many_semaphore_value(&semaphore), INT32_MAX - 1);
}

TEST(a_bounded_semaphore_tells_a_release_too_many)
{
    const uint32_t permits[] = {1, 3, 40};

    for (size_t k = 0; k < sizeof permits / sizeof permits[0]; k++) {
        many_bounded_semaphore semaphore = {{.permits = permits[k]}};

        CHECK_CODE(many_bounded_semaphore_release(&semaphore, 1), -EOVERFLOW);
        CHECK_CONTAINS(many_error_message(), "too many");
        for (uint32_t i = 0; i < permits[k]; i++) {
            CHECK_CODE(many_bounded_semaphore_acquire(&semaphore, 0), 0);
            CHECK_CODE(many_bounded_semaphore_release(&semaphore, i + 2), -EOVERFLOW);
            CHECK_EQUAL(many_bounded_semaphore_value(&semaphore), permits[k] - i - 1);
        }
        CHECK_CODE(many_bounded_semaphore_acquire(&semaphore, 0), -ETIMEDOUT);
        CHECK_CODE(many_bounded_semaphore_release(&semaphore, permits[k]), 0);
        CHECK_CODE(many_bounded_semaphore_release(&semaphore, 1), -EOVERFLOW);
        CHECK_EQUAL(many_bounded_semaphore_value(&semaphore), permits[k]);
    }
}

TEST(a_wait_ends_at_its_deadline_and_not_before)
{
    many_semaphore semaphore = {.permits = 0};

    for (int i = 0; i < 3; i++) {
        const double timeout = i == 0 ? 0.001 : i == 1 ? 0.02 : 0.12;
        double begin = test_seconds();

        CHECK_CODE(many_semaphore_acquire(&semaphore, timeout), -ETIMEDOUT);
        CHECK(test_seconds() - begin >= timeout);
    }
}

static void go_through(void *argument)
{
    area *all = argument;

    for (uint64_t i = 0; i < all->turns; i++) {
        int inside, most;

        CHECK_CODE(many_semaphore_acquire(&all->semaphore, MANY_FOREVER), 0);
        inside = atomic_fetch_add(&all->inside, 1) + 1;
        most = atomic_load(&all->most);
        while (inside > most && !atomic_compare_exchange_weak(&all->most, &most, inside))
            continue;
        atomic_fetch_sub(&all->inside, 1);
        CHECK_CODE(many_semaphore_release(&all->semaphore, 1), 0);
    }
}

TEST(no_more_are_inside_than_there_are_permits)
{
    const uint32_t permits[] = {1, 2, 34};

    FOR_BOTH(kind)
    {
        for (size_t k = 0; k < sizeof permits / sizeof permits[0]; k++) {
            area *all = area_open(permits[k]);
            party others[4];

            all->turns = 10000 / (uint64_t)test_slowness();
            for (int i = 0; i < 4; i++)
                party_start(&others[i], kind, go_through, all);
            for (int i = 0; i < 4; i++)
                party_join(&others[i]);
            CHECK(atomic_load(&all->most) >= 1);
            CHECK((uint32_t)atomic_load(&all->most) <= permits[k]);
            CHECK_EQUAL(many_semaphore_value(&all->semaphore), permits[k]);
            CHECK_EQUAL(all->semaphore.waiters_, 0);
        }
    }
}

static void take_one(void *argument)
{
    area *all = argument;
    int code = many_semaphore_acquire(&all->semaphore, MANY_FOREVER);

    CHECK(code == 0 || code == -EOWNERDEAD);
    if (code == -EOWNERDEAD)
        atomic_fetch_add(&all->dead, 1);
    atomic_fetch_add(&all->got, 1);
}

TEST(release_of_several_wakes_several)
{
    FOR_BOTH(kind)
    {
        area *all = area_open(0);
        party others[5];

        for (int i = 0; i < 5; i++)
            party_start(&others[i], kind, take_one, all);
        UNTIL(FIELD(all->semaphore.waiters_) == 5);
        CHECK_CODE(many_semaphore_release(&all->semaphore, 2), 0);
        UNTIL(atomic_load(&all->got) == 2);
        CHECK_EQUAL(many_semaphore_value(&all->semaphore), 0);
        CHECK_CODE(many_semaphore_release(&all->semaphore, 3), 0);
        for (int i = 0; i < 5; i++)
            party_join(&others[i]);
        CHECK_EQUAL(many_semaphore_value(&all->semaphore), 0);
    }
}

static void give_one(void *argument)
{
    area *all = argument;

    CHECK_CODE(many_semaphore_release(&all->semaphore, 1), 0);
}

/* Python: "it can be released by any thread". */
TEST(another_may_release_what_one_has_acquired)
{
    FOR_BOTH(kind)
    {
        area *all = area_open(1);
        party other;

        CHECK_CODE(many_semaphore_acquire(&all->semaphore, 0), 0);
        party_start(&other, kind, give_one, all);
        CHECK_CODE(many_semaphore_acquire(&all->semaphore, MANY_FOREVER), 0);
        party_join(&other);
        CHECK_EQUAL(many_semaphore_value(&all->semaphore), 0);
    }
}

TEST(who_releases_frees_its_own_permit_first)
{
    area *all = area_open(2);
    party other;

    party_start(&other, PARTY_PROCESS, take_one, all); /* ends with it: a dead holder */
    party_join(&other);
    CHECK_CODE(many_semaphore_acquire(&all->semaphore, 0), 0);
    CHECK_CODE(many_semaphore_release(&all->semaphore, 1), 0);
    CHECK_CODE(many_semaphore_acquire(&all->semaphore, 0), 0);
    CHECK_CODE(many_semaphore_acquire(&all->semaphore, 10.0), -EOWNERDEAD);
}

/* ---- death ---- */

static void take_and_die(void *argument)
{
    area *all = argument;

    many_semaphore_acquire(&all->semaphore, MANY_FOREVER);
    raise(SIGKILL);
}

TEST(the_permit_of_a_killed_holder_is_not_lost)
{
    const uint32_t permits[] = {1, 3, 32};

    for (size_t k = 0; k < sizeof permits / sizeof permits[0]; k++) {
        area *all = area_open(permits[k]);

        for (uint32_t i = 0; i < permits[k]; i++)
            CHECK_EQUAL(test_in_child(take_and_die, all), SIGKILL);
        CHECK_EQUAL(many_semaphore_value(&all->semaphore), 0);
        for (uint32_t i = 0; i < permits[k]; i++)
            CHECK_CODE(many_semaphore_acquire(&all->semaphore, i % 2 == 0 ? 10.0 : 0.0001),
                       -EOWNERDEAD);
        CHECK_CONTAINS(many_error_message(), "died");
        CHECK_CODE(many_semaphore_acquire(&all->semaphore, 0.001), -ETIMEDOUT);
        CHECK_CODE(many_semaphore_release(&all->semaphore, permits[k]), 0);
        CHECK_CODE(many_semaphore_acquire(&all->semaphore, 0), 0);
    }
}

static void take_and_stay(void *argument)
{
    area *all = argument;

    CHECK_CODE(many_semaphore_acquire(&all->semaphore, MANY_FOREVER), 0);
    atomic_fetch_add(&all->ready, 1);
    UNTIL(atomic_load(&all->over));
}

static void take_one_and_stay(void *argument)
{
    area *all = argument;

    take_one(all);
    UNTIL(atomic_load(&all->over));
}

TEST(each_killed_holder_lets_one_waiter_go_on)
{
    FOR_BOTH(kind)
    {
        area *all = area_open(2);
        party holders[2], others[2];

        for (int i = 0; i < 2; i++)
            party_start(&holders[i], PARTY_PROCESS, take_and_stay, all);
        UNTIL(atomic_load(&all->ready) == 2);
        for (int i = 0; i < 2; i++)
            party_start(&others[i], kind, take_one_and_stay, all);
        UNTIL(FIELD(all->semaphore.waiters_) == 2);
        for (int i = 0; i < 2; i++) {
            CHECK_EQUAL(atomic_load(&all->got), i);
            party_kill(&holders[i]);
            UNTIL(atomic_load(&all->got) == i + 1);
            CHECK_EQUAL(atomic_load(&all->dead), i + 1);
        }
        atomic_store(&all->over, 1);
        for (int i = 0; i < 2; i++)
            party_join(&others[i]);
    }
}

TEST(who_only_tries_learns_of_a_death_too)
{
    area *all = area_open(1);
    int code = 0;

    CHECK_EQUAL(test_in_child(take_and_die, all), SIGKILL);
    UNTIL((code = many_semaphore_acquire(&all->semaphore, 0)) != -ETIMEDOUT);
    CHECK_CODE(code, -EOWNERDEAD);
}

TEST(a_bounded_permit_of_a_killed_holder_can_be_released_once)
{
    area *all = area_open(1);

    all->bounded.semaphore.holders_[0] = (UINT64_C(1) << 32) | 0x3fffffff; /* nobody's */
    CHECK_CODE(many_bounded_semaphore_acquire(&all->bounded, 10.0), -EOWNERDEAD);
    CHECK_CODE(many_bounded_semaphore_release(&all->bounded, 1), 0);
    CHECK_CODE(many_bounded_semaphore_release(&all->bounded, 1), -EOVERFLOW);
}

TEST(a_killed_waiter_is_missed_by_nobody)
{
    area *all = area_open(0);
    party killed, other;

    party_start(&killed, PARTY_PROCESS, take_one, all);
    party_start(&other, PARTY_PROCESS, take_one, all);
    UNTIL(FIELD(all->semaphore.waiters_) == 2);
    party_kill(&killed);
    CHECK_CODE(many_semaphore_release(&all->semaphore, 1), 0);
    party_join(&other);
}

static void be_interrupted(void *argument)
{
    area *all = argument;

    party_storm();
    for (int i = 0; i < 5; i++)
        CHECK_CODE(many_semaphore_acquire(&all->semaphore, i % 2 == 0 ? MANY_FOREVER : 30.0),
                   -EINTR);
    party_calm();
}

TEST(a_signal_handler_ends_the_wait_and_takes_nothing)
{
    area *all = area_open(1);

    CHECK_CODE(many_semaphore_acquire(&all->semaphore, 0), 0);
    CHECK_EQUAL(test_in_child(be_interrupted, all), 0);
    CHECK_CODE(many_semaphore_release(&all->semaphore, 1), 0);
    CHECK_EQUAL(many_semaphore_value(&all->semaphore), 1);
    CHECK_EQUAL(all->semaphore.waiters_, 0);
}

static void insist(void *argument)
{
    area *all = argument;

    party_storm();
    for (uint64_t i = 0; i < all->turns; i++) {
        int code;

        while ((code = many_semaphore_acquire(&all->semaphore, MANY_FOREVER)) == -EINTR)
            continue;
        CHECK_CODE(code, 0);
        CHECK(atomic_fetch_add(&all->inside, 1) < 2);
        atomic_fetch_sub(&all->inside, 1);
        CHECK_CODE(many_semaphore_release(&all->semaphore, 1), 0);
    }
    party_calm();
}

TEST(a_storm_of_signals_loses_no_permit)
{
    area *all = area_open(2);
    party others[4];

    all->turns = 10000 / (uint64_t)test_slowness();
    for (int i = 0; i < 4; i++)
        party_start(&others[i], PARTY_PROCESS, insist, all);
    for (int i = 0; i < 4; i++)
        party_join(&others[i]);
    CHECK_EQUAL(many_semaphore_value(&all->semaphore), 2);
    CHECK_EQUAL(all->semaphore.waiters_, 0);
}

TEST(arguments_that_make_no_sense_are_refused_in_words)
{
    many_semaphore semaphore = {.permits = 1};
    many_bounded_semaphore bounded = {{.permits = 1}};

    CHECK_TIMEOUTS(many_semaphore_acquire(&semaphore, timeout));
    CHECK_TIMEOUTS(many_bounded_semaphore_acquire(&bounded, timeout));
    CHECK_CODE(many_semaphore_acquire(NULL, 0), -EINVAL);
    CHECK_CODE(many_bounded_semaphore_acquire(NULL, 0), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "many_bounded_semaphore_acquire");
    CHECK_CODE(many_semaphore_release(NULL, 1), -EINVAL);
    CHECK_CODE(many_bounded_semaphore_release(NULL, 1), -EINVAL);
    CHECK_CODE(many_semaphore_release(&semaphore, 0), -EINVAL);
    CHECK_CODE(many_bounded_semaphore_release(&bounded, 0), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "n is 0");
    CHECK_EQUAL(many_semaphore_value(NULL), 0);
    CHECK_EQUAL(many_bounded_semaphore_value(NULL), 0);
}
