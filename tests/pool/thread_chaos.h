/* SPDX-License-Identifier: MIT */
/*
 * thread_chaos.h - random operations on several pools of threads at once; every task has one outcome, and is run at
 *                  most once, whoever does what meanwhile
 */
#ifndef MANY_TEST_THREAD_CHAOS_H
#define MANY_TEST_THREAD_CHAOS_H

#include "thread_cases.h"

#define POOLS    3
#define ACTORS   4
#define TASKS    60000 /* entries of the ledger */
#define OPEN_MAX 32    /* futures that an actor has at a time */

/* What each task has seen. */
static _Atomic uint8_t *runs;
static _Atomic int next_task;
static _Atomic int callbacks, callbacks_due;

typedef struct actor {
    pthread_t thread;
    uint64_t seed;
    many_pool **pools;
    int steps;
} actor;

static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

typedef struct job {
    int entry, kind;
    uint64_t seed;
    many_pool *other;
} job;

static int do_job(const void *item, void *result, void *context);

static int note_callback(many_future *future, void *context)
{
    (void)context;
    CHECK_EQUAL(many_future_done(future), 1);
    atomic_fetch_add(&callbacks, 1);
    return 0;
}

/* A new entry; -1: the ledger is full. */
static int new_entry(void)
{
    const int entry = atomic_fetch_add(&next_task, 1);

    return entry < TASKS ? entry : -1;
}

static int submit_job(many_pool *pool, many_pool *other, uint64_t seed, int depth,
                      many_future **future)
{
    job one = {new_entry(), 0, draw(&seed), other};
    const uint64_t bits = draw(&seed);
    int code;

    *future = NULL;
    if (one.entry < 0)
        return -ENOSPC;
    one.kind = depth > 3 ? 0 : (int)(bits % 8);
    if (bits >> 20 & 1) {
        atomic_fetch_add(&callbacks_due, 1);
        code = many_pool_submit(
            pool, do_job, &one, future, .arg_bytes = sizeof one,
            .result_bytes = bits >> 21 & 1 ? sizeof(int) : 100, .context = (void *)(intptr_t)depth,
            .no_wait = depth > 0 || (bits >> 22 & 1) != 0,
            .priority = (int)(bits >> 23 & 7) % 7 - 3, .on_done = note_callback);
        if (code < 0)
            atomic_fetch_sub(&callbacks_due, 1);
    } else {
        code = many_pool_submit(pool, do_job, &one, future, .arg_bytes = sizeof one,
                                .result_bytes = sizeof(int), .context = (void *)(intptr_t)depth,
                                .no_wait = depth > 0 || (bits >> 22 & 1) != 0,
                                .name = bits >> 24 & 1 ? "named" : NULL);
    }
    CHECK(code == 0 || code == -EAGAIN || code == -ESHUTDOWN);
    CHECK((code == 0) == (*future != NULL));
    return code;
}

/* Whatever became of it: it is over, and says so in one voice. */
static void settle(many_future *future)
{
    int value[25];
    const ssize_t got = many_future_result(future, value, sizeof value, MANY_FOREVER);

    if (got == -EDEADLK)
        return; /* of the wait, not of the task */
    CHECK_EQUAL(many_future_done(future), 1);
    CHECK(got > 0 || got == -ECANCELED || got == -MANY_ETASK);
    CHECK_EQUAL(many_future_cancelled(future), got == -ECANCELED);
    CHECK_EQUAL(many_future_successful(future), got > 0);
}

static int do_job(const void *item, void *result, void *context)
{
    const job *one = item;
    const int depth = (int)(intptr_t)context;
    uint64_t seed = one->seed | 1;
    many_future *future[3] = {NULL};

    CHECK_EQUAL(atomic_fetch_add(&runs[one->entry], 1), 0);
    memcpy(result, &one->entry, sizeof one->entry);
    switch (one->kind) {
    case 0:
    case 1:
        return 0;
    case 2:
        return many_fail(7, "job %d", one->entry);
    case 3:
        sched_yield();
        return 0;
    case 4: /* tasks of one's own, waited for in any order */
    case 5:
        for (int k = 0; k < 3; k++)
            (void)submit_job(many_pool_current(), one->other, draw(&seed), depth + 1, &future[k]);
        for (int k = 0; k < 3; k++) {
            many_future **at = &future[one->kind == 4 ? k : 2 - k];

            if (*at != NULL && draw(&seed) % 4 != 0)
                settle(*at);
            many_future_close(*at);
        }
        return 0;
    case 6: /* in another pool */
        (void)submit_job(one->other, many_pool_current(), draw(&seed), depth + 1, &future[0]);
        if (future[0] != NULL)
            settle(future[0]);
        many_future_close(future[0]);
        return 0;
    default: /* cancelled again */
        (void)submit_job(many_pool_current(), one->other, draw(&seed), depth + 1, &future[0]);
        if (future[0] != NULL) {
            many_future_cancel(future[0]);
            settle(future[0]);
        }
        many_future_close(future[0]);
        return 0;
    }
}

static void *act(void *argument)
{
    actor *self = argument;
    many_future *open[OPEN_MAX] = {NULL};

    for (int step = 0; step < self->steps; step++) {
        const uint64_t bits = draw(&self->seed);
        many_pool *pool = self->pools[bits % POOLS],
                  *other = self->pools[(bits % POOLS + 1) % POOLS];
        many_future **slot = &open[bits >> 8 & (OPEN_MAX - 1)];

        switch (bits >> 16 & 15) {
        case 0:
            if (*slot != NULL)
                many_future_cancel(*slot);
            break;
        case 1:
            if (*slot != NULL)
                many_future_terminate(*slot, 0);
            break;
        case 2:
            many_pool_cancel_waiting(pool);
            break;
        case 3:
            if (*slot != NULL)
                (void)many_future_wait(*slot, 0.0001);
            break;
        case 4:
            (void)many_pool_look(pool, &(many_pool_status){0}, NULL, 0);
            break;
        case 5:
            many_future_close(*slot); /* whatever its state */
            *slot = NULL;
            break;
        default:
            if (*slot != NULL) {
                settle(*slot);
                many_future_close(*slot);
            }
            (void)submit_job(pool, other, draw(&self->seed), 0, slot);
            break;
        }
    }
    for (int k = 0; k < OPEN_MAX; k++) {
        if (open[k] != NULL && k % 2 == 0)
            settle(open[k]);
        many_future_close(open[k]);
    }
    return NULL;
}

UNUSED static void chaos(uint64_t seed, int steps)
{
    many_pool *pools[POOLS];
    actor actors[ACTORS];

    runs = calloc(TASKS, sizeof *runs);
    CHECK(runs != NULL);
    atomic_store(&next_task, 0);
    atomic_store(&callbacks, 0);
    atomic_store(&callbacks_due, 0);
    /* A bound that is felt, one that is not, and one worker alone. */
    CHECK_CODE(many_pool_open(&pools[0], .workers = 3, .waiting_most = 5), 0);
    CHECK_CODE(many_pool_open(&pools[1], .workers = 2), 0);
    CHECK_CODE(many_pool_open(&pools[2], .workers = 1, .tasks_per_worker = 50), 0);
    for (int k = 0; k < ACTORS; k++) {
        actors[k] = (actor){
            .seed = seed * 1000003 + (uint64_t)k * 7919 + 1, .pools = pools, .steps = steps};
        CHECK_EQUAL(pthread_create(&actors[k].thread, NULL, act, &actors[k]), 0);
    }
    for (int k = 0; k < ACTORS; k++)
        pthread_join(actors[k].thread, NULL);
    for (int k = 0; k < POOLS; k++) {
        many_pool_status status;

        CHECK_CODE(many_pool_join(pools[k], MANY_FOREVER), 0);
        status = look(pools[k]);
        CHECK_EQUAL(status.waiting, 0);
        CHECK_EQUAL(status.running, 0);
    }
    CHECK_EQUAL(atomic_load(&callbacks), atomic_load(&callbacks_due));
    for (int k = 0; k < POOLS; k++)
        CHECK_CODE(many_pool_close(pools[k], 0), 0);
    free((void *)runs);
}

/* Pools that are closed in the middle of it, by themselves. */
static void *close_soon(void *argument)
{
    many_pool *pool = argument;

    for (int k = 0; k < 300; k++)
        sched_yield();
    (void)many_pool_close(pool, 0);
    return NULL;
}

/* rounds: 25 at least. */
UNUSED static void chaos_with_ends(int rounds)
{
    test_census before = {0};

    runs = calloc(TASKS, sizeof *runs);
    CHECK(runs != NULL);
    atomic_store(&next_task, 0);
    for (int round = 0; round < rounds; round++) {
        many_pool *pool = open_pool(1 + round % 3); /* which its own tasks alone submit to */
        many_future *open[OPEN_MAX] = {NULL};
        uint64_t seed = (uint64_t)round + 77;
        pthread_t thread;

        for (int k = 0; k < OPEN_MAX; k++)
            (void)submit_job(pool, pool, draw(&seed), 0, &open[k]);
        CHECK_EQUAL(pthread_create(&thread, NULL, close_soon, pool), 0);
        for (int k = 0; k < OPEN_MAX; k++) {
            if (open[k] != NULL)
                settle(open[k]);
            if (k % 3 != 0) {
                many_future_close(open[k]);
                open[k] = NULL;
            }
        }
        pthread_join(thread, NULL);
        for (int k = 0; k < OPEN_MAX; k++)
            many_future_close(open[k]);
        if (round == 20)
            before = test_census_take();
    }
    CHECK_CENSUS(before);
    free((void *)runs);
}

#endif
