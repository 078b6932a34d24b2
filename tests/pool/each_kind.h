/* SPDX-License-Identifier: MIT */
/*
 * each_kind.h - one test for both kinds of pools
 *
 *   BOTH(results_are_in_order)
 *   {
 *       many_pool *pool = kind_pool(kind, 3);
 *       ...
 *       kind_close(pool);
 *   }
 *
 * makes two TESTs, results_are_in_order_in_threads and ..._in_processes. Under the thread sanitizer the second is
 * left out. What a task tells its test goes through test_shared() memory, which has to be there before the pool
 * is: its workers are forked when it is opened.
 */
#ifndef MANY_TESTS_POOL_EACH_KIND_H
#define MANY_TESTS_POOL_EACH_KIND_H

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <many/imap.h>
#include <many/pool.h>
#include <many/pool_map.h>

#include "test.h"

#if TEST_TSAN
#define KIND_IN_PROCESSES_(name)
#else
#define KIND_IN_PROCESSES_(name)                                                                   \
    TEST(name##_in_processes)                                                                      \
    {                                                                                              \
        name(MANY_PROCESSES);                                                                      \
    }
#endif

#define BOTH(name)                                                                                 \
    static void name(int kind);                                                                    \
    KIND_IN_PROCESSES_(name)                                                                       \
    TEST(name##_in_threads)                                                                        \
    {                                                                                              \
        name(MANY_THREADS);                                                                        \
    }                                                                                              \
    static void name(int kind)

static inline many_pool *kind_pool(int kind, int workers)
{
    many_pool *pool = NULL;

    CHECK_CODE(many_pool_open(&pool, .kind = kind, .workers = workers), 0);
    return pool;
}

static inline void kind_close(many_pool *pool)
{
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* What tasks and tests tell each other. */
typedef struct kind_words {
    _Atomic int gate; /* tasks that wait for it go on when it is 1 */
    _Atomic size_t begun, done;
    _Atomic int seen[16];
    _Atomic uint32_t count[]; /* an item */
} kind_words;

static inline kind_words *kind_words_of(size_t n)
{
    return test_shared(sizeof(kind_words) + (n + 1) * sizeof(_Atomic uint32_t));
}

static inline void kind_wait(kind_words *words)
{
    while (!atomic_load(&words->gate) && !many_cancelled())
        poll(NULL, 0, 1);
}

/* A source that counts up; what it says at its turn is up to the test. */
typedef struct kind_source {
    size_t pulled;
    size_t end;   /* it has so many */
    int end_code; /* what it says then */
    size_t taken; /* results, as the test counts them */
    size_t most_ahead;
    size_t calls_after_end;
    int not_now; /* -EAGAIN so many times before each item */
    int refusals;
    kind_words *opens; /* its gate is opened when opens_at items were pulled */
    size_t opens_at;
    int slow_ms;
} kind_source;

static inline int kind_next(void *item, void *context)
{
    kind_source *source = context;

    if (source->pulled == source->end) {
        source->calls_after_end++;
        return source->end_code;
    }
    if (source->refusals < source->not_now) {
        source->refusals++;
        return -EAGAIN;
    }
    source->refusals = 0;
    if (source->slow_ms > 0)
        poll(NULL, 0, source->slow_ms);
    *(size_t *)item = source->pulled++;
    if (source->pulled - source->taken > source->most_ahead)
        source->most_ahead = source->pulled - source->taken;
    if (source->opens != NULL && source->pulled == source->opens_at)
        atomic_store(&source->opens->gate, 1);
    return 1;
}

/* ---- tasks ---- */

/* The square; counts the items in words. */
static inline int kind_square(const void *item, void *result, void *context)
{
    const size_t *x = item;
    kind_words *words = context;

    if (*x != many_item_index())
        return 99;
    if (words != NULL)
        atomic_fetch_add(&words->count[*x], 1);
    if (result != NULL)
        *(size_t *)result = *x * *x;
    return 0;
}

/* For what is no item of a map. */
static inline int kind_plain_square(const void *item, void *result, void *context)
{
    (void)context;
    *(size_t *)result = *(const size_t *)item * *(const size_t *)item;
    return 0;
}

/* The square; item 0 waits for the gate. */
static inline int kind_first_waits(const void *item, void *result, void *context)
{
    if (*(const size_t *)item == 0)
        kind_wait(context);
    return kind_square(item, result, NULL);
}

/* Items 3, 13, 23 ... fail. */
static inline int kind_threes_fail(const void *item, void *result, void *context)
{
    const size_t *x = item;

    (void)context;
    if (*x % 10 == 3)
        return many_fail(-EDOM, "no square of %zu", *x);
    return kind_square(item, result, NULL);
}

#endif
