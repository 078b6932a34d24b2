/* SPDX-License-Identifier: MIT */
/*
 * test_deque.c - every entry of a deque is taken once, by its owner or by a thief
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "pool/deque.h"
#include "test.h"

static int tokens[1];

static int all_live(const many_deque_entry_ *entry)
{
    (void)entry;
    return 1;
}

static int even_live(const many_deque_entry_ *entry)
{
    return entry->number % 2 == 0;
}

static int none_live(const many_deque_entry_ *entry)
{
    (void)entry;
    return 0;
}

static void push(many_deque_ *deque, uint64_t number, many_deque_live_ *live)
{
    int moved = 0;

    if (!many_deque_has_room_(deque))
        CHECK(many_deque_room_(deque, 1, live, &moved));
    many_deque_push_(deque, tokens, number);
}

TEST(deque_owner_pops_the_youngest_and_thieves_steal_the_oldest)
{
    many_deque_ deque = {0};
    many_deque_entry_ entry = {NULL, 0};

    CHECK(!many_deque_any_(&deque));
    CHECK(many_deque_youngest_(&deque).task == NULL);
    CHECK_EQUAL(many_deque_steal_(&deque, INT64_MIN, &entry), 0);
    for (uint64_t k = 0; k < 4; k++)
        push(&deque, k, all_live);
    CHECK(many_deque_any_(&deque));
    CHECK_EQUAL(many_deque_steal_(&deque, INT64_MIN, &entry), 1);
    CHECK_EQUAL(entry.number, 0);
    CHECK_EQUAL(many_deque_youngest_(&deque).number, 3);
    CHECK_EQUAL(many_deque_pop_(&deque), 1);
    CHECK_EQUAL(many_deque_youngest_(&deque).number, 2);
    CHECK_EQUAL(many_deque_steal_(&deque, INT64_MIN, &entry), 1);
    CHECK_EQUAL(entry.number, 1);
    CHECK_EQUAL(many_deque_pop_(&deque), 1);
    CHECK(!many_deque_any_(&deque));
    CHECK_EQUAL(many_deque_steal_(&deque, INT64_MIN, &entry), 0);
    many_deque_free_(&deque);
}

TEST(deque_thief_leaves_what_lies_below_its_bound)
{
    many_deque_ deque = {0};
    many_deque_entry_ entry = {NULL, 0};

    push(&deque, 7, all_live);
    CHECK_EQUAL(many_deque_steal_(&deque, 1, &entry), 0);
    CHECK_EQUAL(many_deque_steal_(&deque, 0, &entry), 1);
    CHECK_EQUAL(entry.number, 7);
    many_deque_free_(&deque);
}

TEST(deque_pop_of_one_that_was_stolen_says_so_and_leaves_it_empty)
{
    many_deque_ deque = {0};
    many_deque_entry_ entry = {NULL, 0};

    push(&deque, 1, all_live);
    CHECK_EQUAL(many_deque_steal_(&deque, INT64_MIN, &entry), 1);
    CHECK_EQUAL(many_deque_pop_(&deque), 0);
    CHECK(!many_deque_any_(&deque));
    push(&deque, 2, all_live);
    CHECK_EQUAL(many_deque_youngest_(&deque).number, 2);
    CHECK_EQUAL(many_deque_pop_(&deque), 1);
    many_deque_free_(&deque);
}

TEST(deque_grows_and_keeps_all_in_order)
{
    many_deque_ deque = {0};
    many_deque_entry_ entry = {NULL, 0};

    for (uint64_t k = 0; k < 10000; k++)
        push(&deque, k, all_live);
    for (uint64_t k = 0; k < 10000; k++) {
        CHECK_EQUAL(many_deque_steal_(&deque, INT64_MIN, &entry), 1);
        CHECK_EQUAL(entry.number, k);
    }
    CHECK(!many_deque_any_(&deque));
    many_deque_free_(&deque);
}

/* One that is never taken at the bottom, and a window that moves on: what is out of date must not pile up. */
TEST(deque_of_mostly_stale_entries_stays_small_and_keeps_the_live_ones)
{
    many_deque_ deque = {0};
    many_deque_entry_ entry = {NULL, 0};
    int moves = 0, moved;

    push(&deque, 0, even_live);
    for (uint64_t k = 1; k < 1000001; k += 2) {
        if (!many_deque_has_room_(&deque)) {
            CHECK(many_deque_room_(&deque, 1, even_live, &moved));
            moves += moved;
        }
        many_deque_push_(&deque, tokens, k);
    }
    CHECK(atomic_load(&deque.ring)->mask < 1024);
    CHECK(moves > 0); /* the caller was told that 0 lies elsewhere now */
    do
        CHECK_EQUAL(many_deque_steal_(&deque, INT64_MIN, &entry), 1);
    while (entry.number != 0);
    many_deque_free_(&deque);
}

TEST(deque_sifted_of_all_has_room_again)
{
    many_deque_ deque = {0};
    int moved = 1;

    for (uint64_t k = 0; k < 64; k++)
        push(&deque, k, none_live);
    CHECK(!many_deque_has_room_(&deque));
    CHECK(many_deque_room_(&deque, 1, none_live, &moved));
    CHECK_EQUAL(moved, 0);
    CHECK(!many_deque_any_(&deque));
    CHECK_EQUAL(atomic_load(&deque.ring)->mask, 63);
    many_deque_free_(&deque);
}

/* ---- thieves ---- */

#define THIEVES 3
#define ENTRIES 300000

static many_deque_ shared;
static _Atomic uint8_t *taken;
static _Atomic int over;

static void take(uint64_t number)
{
    CHECK(number < ENTRIES);
    CHECK_EQUAL(atomic_fetch_add(&taken[number], 1), 0);
}

static void *thief(void *argument)
{
    many_deque_entry_ entry = {NULL, 0};

    (void)argument;
    for (;;) {
        const int last = atomic_load(&over);
        const int got = many_deque_steal_(&shared, INT64_MIN, &entry);

        if (got == 1)
            take(entry.number);
        else if (got == 0 && last)
            return NULL;
    }
}

/* Push some, pop some, in an order that random says; what is left at the end is the thieves'. */
static void own(uint64_t seed, int slow)
{
    uint64_t next = 0;

    while (next < ENTRIES) {
        int pushes, pops;

        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        pushes = (int)(seed >> 60) + 1;
        pops = (int)(seed >> 55 & 15);
        for (int k = 0; k < pushes && next < ENTRIES; k++)
            push(&shared, next++, all_live);
        for (int k = 0; k < pops; k++) {
            const many_deque_entry_ entry = many_deque_youngest_(&shared);

            if (entry.task == NULL)
                break;
            if (many_deque_pop_(&shared))
                take(entry.number);
        }
        if (slow && (seed >> 40 & 63) == 0)
            sched_yield();
    }
}

static void owner_against_thieves(int slow)
{
    pthread_t threads[THIEVES];
    many_deque_entry_ entry = {NULL, 0};

    memset(&shared, 0, sizeof shared);
    taken = calloc(ENTRIES, sizeof *taken);
    CHECK(taken != NULL);
    atomic_store(&over, 0);
    for (int k = 0; k < THIEVES; k++)
        CHECK_EQUAL(pthread_create(&threads[k], NULL, thief, NULL), 0);
    own(42 + (uint64_t)slow, slow);
    atomic_store(&over, 1);
    for (int k = 0; k < THIEVES; k++)
        pthread_join(threads[k], NULL);
    CHECK_EQUAL(many_deque_steal_(&shared, INT64_MIN, &entry), 0);
    for (size_t k = 0; k < ENTRIES; k++)
        CHECK_EQUAL(atomic_load(&taken[k]), 1);
    many_deque_free_(&shared);
    free((void *)taken);
}

TEST(deque_gives_each_entry_once_against_thieves)
{
    owner_against_thieves(0);
}

TEST(deque_gives_each_entry_once_when_threads_lose_their_cpu_between)
{
    owner_against_thieves(1);
}

/* The two go for the last entry again and again. */
static _Atomic uint64_t last_taken;

static void *last_thief(void *argument)
{
    many_deque_entry_ entry = {NULL, 0};

    (void)argument;
    while (!atomic_load(&over))
        if (many_deque_steal_(&shared, INT64_MIN, &entry) == 1)
            atomic_fetch_add(&last_taken, 1);
    return NULL;
}

TEST(deque_last_entry_is_taken_by_one_of_the_two_who_want_it)
{
    enum { ROUNDS = 200000 };
    pthread_t thread;
    uint64_t popped = 0;

    memset(&shared, 0, sizeof shared);
    atomic_store(&over, 0);
    atomic_store(&last_taken, 0);
    CHECK_EQUAL(pthread_create(&thread, NULL, last_thief, NULL), 0);
    for (uint64_t k = 0; k < ROUNDS; k++) {
        push(&shared, k, all_live);
        popped += (uint64_t)many_deque_pop_(&shared);
        CHECK(!many_deque_any_(&shared));
    }
    atomic_store(&over, 1);
    pthread_join(thread, NULL);
    CHECK_EQUAL(popped + atomic_load(&last_taken), ROUNDS);
    many_deque_free_(&shared);
}
