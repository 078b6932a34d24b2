/* SPDX-License-Identifier: MIT */
/*
 * executor.h - the tasks of test_executor.c and test_executor_futures.c
 *
 *   many_future *future = executor_submit(pool, words, 21);
 *   ...
 *   executor_expect(future, 21);
 */
#ifndef MANY_TESTS_POOL_EXECUTOR_H
#define MANY_TESTS_POOL_EXECUTOR_H

#include "each_kind.h"

#define UNLUCKY 13

/* Doubles; 13 fails. */
static inline int executor_double(const void *item, void *result, void *context)
{
    const int x = *(const int *)item;

    (void)context;
    if (x == UNLUCKY)
        return many_fail(-EDOM, "%d brings no luck", x);
    *(int *)result = 2 * x;
    return 0;
}

/* The same behind a gate. */
static inline int executor_held(const void *item, void *result, void *context)
{
    kind_words *words = context;
    int code;

    atomic_fetch_add(&words->begun, 1);
    kind_wait(words);
    code = executor_double(item, result, NULL);
    atomic_fetch_add(&words->done, 1);
    return code;
}

static inline many_future *executor_submit(many_pool *pool, kind_words *words, int x)
{
    many_future *future = NULL;

    CHECK_CODE(many_pool_submit(pool, words == NULL ? executor_double : executor_held, &x, &future,
                                .arg_bytes = sizeof x, .result_bytes = sizeof x, .context = words),
               0);
    return future;
}

/* It is done, with twice x. */
static inline void executor_expect(many_future *future, int x)
{
    int y = -1;

    CHECK_CODE(many_future_result(future, &y, sizeof y, MANY_FOREVER), sizeof y);
    CHECK_EQUAL(y, 2 * x);
    CHECK_EQUAL(many_future_successful(future), 1);
    CHECK_EQUAL(many_future_cancelled(future), 0);
    many_future_close(future);
}

static inline void executor_close_all(many_future **futures, int count)
{
    for (int i = 0; i < count; i++)
        many_future_close(futures[i]);
}

#endif
