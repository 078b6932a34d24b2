/* SPDX-License-Identifier: MIT */
/*
 * thread_cases.h - what the tests of pools of threads have in common: tasks that do little, and gates that hold
 *                  a task until the test says so
 */
#ifndef MANY_TEST_THREAD_CASES_H
#define MANY_TEST_THREAD_CASES_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <many.h>

#include "test.h"

#define UNUSED __attribute__((unused))

/* A task that passes shows itself in entered, and stays until open is set. */
typedef struct gate {
    _Atomic int entered, open;
} gate;

UNUSED static int pass(const void *item, void *result, void *context)
{
    gate *at = (gate *)(uintptr_t)item;

    (void)result;
    (void)context;
    atomic_fetch_add(&at->entered, 1);
    UNTIL(atomic_load(&at->open));
    return 0;
}

UNUSED static int square(const void *item, void *result, void *context)
{
    const long x = *(const long *)item, y = x * x;

    (void)context;
    memcpy(result, &y, sizeof y);
    return 0;
}

/* Counts into the _Atomic int that context points at. */
UNUSED static int count(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    atomic_fetch_add((_Atomic int *)context, 1);
    return 0;
}

UNUSED static many_pool *open_pool(int workers)
{
    many_pool *pool = NULL;

    CHECK_CODE(many_pool_open(&pool, .workers = workers), 0);
    return pool;
}

/* All workers of the pool are in a task of the gate's; their futures go to futures[]. */
UNUSED static void hold_all(many_pool *pool, gate *at, many_future **futures)
{
    const int workers = many_pool_workers(pool);

    for (int w = 0; w < workers; w++)
        CHECK_CODE(many_pool_submit(pool, pass, at, &futures[w]), 0);
    UNTIL(atomic_load(&at->entered) == workers);
}

UNUSED static void let_go(gate *at, many_future **futures, int n)
{
    atomic_store(&at->open, 1);
    for (int w = 0; w < n; w++) {
        CHECK_CODE(many_future_wait(futures[w], MANY_FOREVER), 0);
        many_future_close(futures[w]);
    }
}

UNUSED static many_pool_status look(many_pool *pool)
{
    many_pool_status status;

    CHECK(many_pool_look(pool, &status, NULL, 0) == many_pool_workers(pool));
    return status;
}

#endif
