/* SPDX-License-Identifier: MIT */
/*
 * test_locks.c - an independent process kills holders of each kind of lock at random times
 *
 * Five workers use one kind; whoever is killed is replaced. Nobody hangs, exclusion holds, each
 * death in the middle of something is told to the next one, and no permit is lost. The random times
 * are the experiment; nothing is synchronised by them. MANY_SOAK in the environment makes it ten
 * times as long.
 */
#include <stdio.h>

#include "base/fault.h"
#include "kill/killer.h"
#include "kill/locks.h"

static uint32_t locks_kills; /* all in all */

/* The dead are replaced: what they knew of themselves is set right first. */
static void locks_replace(locks_area *area, locks_worker *worker, uint64_t *seed)
{
    int status;

    if (waitpid(worker->process, &status, WNOHANG) != worker->process)
        return;
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* and no CHECK has failed in it */
    if (worker->turn == locks_turn_barrier)
        CHECK_CODE(many_barrier_reset(&area->barrier), 0);
    atomic_store(&area->inside[worker->number], 0);
    atomic_store(&area->left[worker->number], atomic_load(&area->entered[worker->number]));
    locks_start(worker, area, worker->turn, worker->number, ledger_random(seed, UINT64_MAX));
}

static uint32_t locks_hunt(locks_area *area, locks_turn *turn, uint32_t share, uint64_t seed)
{
    const uint32_t kills =
        share * (getenv("MANY_SOAK") != NULL ? 10 : 1) / (uint32_t)(test_slowness() > 1 ? 4 : 1);
    locks_worker workers[LOCKS_WORKERS];
    uint32_t turns = 0;
    killer *hunt;

    test_limit(getenv("MANY_SOAK") != NULL ? 600 : 200);
    for (int k = 0; k < LOCKS_WORKERS; k++)
        locks_start(&workers[k], area, turn, k, seed + (uint64_t)k);
    hunt = killer_start(KILLER_ONE, seed, 1500, area->book);
    while (atomic_load(&hunt->kills) < kills) {
        for (int k = 0; k < LOCKS_WORKERS; k++)
            locks_replace(area, &workers[k], &seed);
        killer_doze(200);
    }
    killer_stop(hunt);
    /* The last one killed may not have been seen yet. */
    for (int k = 0; k < LOCKS_WORKERS; k++)
        locks_replace(area, &workers[k], &seed);
    for (int k = 0; k < LOCKS_WORKERS; k++) {
        uint32_t before = atomic_load(&area->turns[k]);

        UNTIL(atomic_load(&area->turns[k]) > before + 2); /* all of them still go round */
    }
    locks_stop(area, workers, LOCKS_WORKERS);
    for (int k = 0; k < LOCKS_WORKERS; k++)
        turns += atomic_load(&area->turns[k]);
    CHECK(atomic_load(&area->told) <= atomic_load(&hunt->kills));
    printf("  %u kills, %u turns, %u deaths told\n", atomic_load(&hunt->kills), turns,
           atomic_load(&area->told));
    locks_kills += atomic_load(&hunt->kills);
    return atomic_load(&area->told);
}

TEST(killed_holders_of_a_lock)
{
    locks_area *area = locks_open();

    CHECK(locks_hunt(area, locks_turn_lock, 300, 1) > 0);
    CHECK_EQUAL(area->first, area->second);
    locks_check_usable(area);
}

TEST(killed_holders_of_an_rlock)
{
    locks_area *area = locks_open();

    CHECK(locks_hunt(area, locks_turn_rlock, 150, 2) > 0);
    CHECK_EQUAL(area->first, area->second);
    locks_check_usable(area);
}

TEST(killed_holders_of_permits)
{
    locks_area *area = locks_open();

    CHECK(locks_hunt(area, locks_turn_bounded, 200, 3) > 0);
    locks_check_usable(area);
}

TEST(killed_setters_and_waiters_of_an_event)
{
    locks_area *area = locks_open();

    locks_hunt(area, locks_turn_event, 100, 4);
    locks_check_usable(area);
}

TEST(killed_users_of_a_condition)
{
    locks_area *area = locks_open();

    CHECK(locks_hunt(area, locks_turn_condition, 200, 5) > 0);
    CHECK_EQUAL(area->first, area->second);
    locks_check_usable(area);
}

TEST(killed_parties_of_a_barrier)
{
    locks_area *area = locks_open();

    locks_hunt(area, locks_turn_barrier, 150, 6);
    locks_check_usable(area);
}

TEST(a_thousand_were_killed)
{
    if (locks_kills == 0)
        test_skip("the other tests were not run");
    printf("  kills in all: %u\n", locks_kills);
    CHECK(locks_kills >= 1000 || test_slowness() > 1);
}
