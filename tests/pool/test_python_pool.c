/* SPDX-License-Identifier: MIT */
/*
 * test_python_pool.c - what Python documents of multiprocessing's Pool, ThreadPool and AsyncResult,
 *                      promise by promise, with threads and with processes; what is of maps and of
 *                      imap alone is in test_pool_map.c and test_imap.c
 */
#include "each_kind.h"

#include <math.h>
#include <sys/syscall.h>

/* Squares; multiples of 10 above 0 fail. */
static int python_square(const void *item, void *result, void *context)
{
    const int x = *(const int *)item;
    kind_words *words = context;

    if (words != NULL)
        atomic_fetch_add(&words->done, 1);
    if (x > 0 && x % 10 == 0)
        return many_fail(-ERANGE, "%d is too round", x);
    *(int *)result = x * x;
    return 0;
}

/* The same behind a gate; as long as it is shut it has begun, and is not done. */
static int python_held(const void *item, void *result, void *context)
{
    kind_words *words = context;

    atomic_fetch_add(&words->begun, 1);
    kind_wait(words);
    return python_square(item, result, words);
}

static many_future *python_apply_async(many_pool *pool, many_fn *fn, kind_words *words, int x)
{
    many_future *future = NULL;

    CHECK_CODE(many_pool_submit(pool, fn, &x, &future, .arg_bytes = sizeof x,
                                .result_bytes = sizeof x, .context = words),
               0);
    return future;
}

/* ---- apply ---- */

/* apply blocks until the result is there, and one worker alone runs it. */
BOTH(apply_blocks_until_its_result_is_there_and_runs_once)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 3);
    many_submit_options options = {.size = sizeof options, .context = words};

    for (int x = 0; x <= 20; x++) {
        int y = -1, expected = x > 0 && x % 10 == 0 ? -MANY_ETASK : 0;

        CHECK_CODE(many_pool_apply_with(pool, python_square, &x, sizeof x, &y, sizeof y, &options),
                   expected);
        CHECK_EQUAL(y, expected == 0 ? x * x : -1);
        CHECK_EQUAL(atomic_load(&words->done), x + 1);
        if (expected < 0)
            CHECK_CONTAINS(many_error_message(), "is too round");
    }
    kind_close(pool);
}

/* ---- AsyncResult ---- */

/* get gives the result or times out; wait waits for it; ready says whether it is there, successful
 * whether it came without an exception. */
BOTH(a_result_is_not_ready_then_ready_then_stays)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);

    for (int x = 9; x <= 10; x++) {
        many_future *future;
        int y = -1;

        atomic_store(&words->gate, 0);
        future = python_apply_async(pool, python_held, words, x);
        CHECK_EQUAL(many_future_done(future), 0);
        CHECK_EQUAL(many_future_successful(future), 0); /* Python raises ValueError */
        CHECK_CODE(many_future_wait(future, 0.01), -ETIMEDOUT);
        CHECK_CODE((long)many_future_result(future, &y, sizeof y, 0.01), -ETIMEDOUT);
        CHECK_EQUAL(y, -1);
        atomic_store(&words->gate, 1);
        CHECK_CODE(many_future_wait(future, MANY_FOREVER), 0);
        for (int again = 0; again < 2; again++) {
            CHECK_EQUAL(many_future_done(future), 1);
            CHECK_EQUAL(many_future_successful(future), x == 9);
            CHECK_CODE((long)many_future_result(future, &y, sizeof y, 0),
                       x == 9 ? (long)sizeof y : -MANY_ETASK);
            CHECK_EQUAL(y, x == 9 ? 81 : -1);
        }
        many_future_close(future);
    }
    kind_close(pool);
}

typedef struct python_calls {
    int good, bad, wrong;
} python_calls;

static int python_called(many_future *future, void *context)
{
    python_calls *calls = context;
    many_cause cause;
    int y = -1;

    if (many_future_cause(future, &cause) < 0)
        calls->wrong++;
    if (many_future_successful(future) == 1) {
        calls->good++;
        if (many_future_result(future, &y, sizeof y, 0) != sizeof y || cause.code != 0)
            calls->wrong++;
    } else {
        calls->bad++;
        if (cause.code != -ERANGE || strstr(cause.text, "too round") == NULL)
            calls->wrong++;
    }
    return 0;
}

/* callback gets the result, error_callback the exception; each call has one of the two. */
BOTH(a_callback_hears_of_results_and_of_exceptions_once_each)
{
    many_pool *pool = kind_pool(kind, 1); /* one worker: one callback at a time */
    python_calls calls = {0};

    for (int x = 0; x < 50; x++)
        CHECK_CODE(many_pool_submit(pool, python_square, &x, NULL, .arg_bytes = sizeof x,
                                    .result_bytes = sizeof x, .on_done = python_called,
                                    .on_done_context = &calls),
                   0);
    CHECK_CODE(many_pool_finish(pool), 0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(calls.good, 46);
    CHECK_EQUAL(calls.bad, 4);
    CHECK_EQUAL(calls.wrong, 0);
    kind_close(pool);
}

static int python_map_called(many_future *future, void *context)
{
    python_calls *calls = context;
    size_t failed = 99;

    if (many_future_result(future, &failed, sizeof failed, 0) == sizeof failed && failed == 0)
        calls->good++;
    else
        calls->bad++;
    return 0;
}

/* map_async: one callback for the whole, or one error_callback. */
BOTH(a_map_that_does_not_wait_has_one_callback)
{
    many_pool *pool = kind_pool(kind, 2);
    python_calls calls = {0};
    int in[30], out[30];

    for (int i = 0; i < 30; i++)
        in[i] = i % 9 + 1;
    for (int x = 9; x <= 10; x++) {
        many_future *future = NULL;

        in[17] = x;
        CHECK_CODE(many_pool_map_async(pool, python_square, in, out, 30, .chunk = 4,
                                       .future = &future, .on_done = python_map_called,
                                       .on_done_context = &calls),
                   0);
        CHECK_CODE(many_future_wait(future, MANY_FOREVER), 0);
        CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
        CHECK_EQUAL(many_future_successful(future), x == 9);
        for (int i = 0; x == 9 && i < 30; i++)
            CHECK_EQUAL(out[i], in[i] * in[i]);
        many_future_close(future);
    }
    CHECK_EQUAL(calls.good, 1);
    CHECK_EQUAL(calls.bad, 1);
    kind_close(pool);
}

/* ---- map, imap ---- */

/* map blocks until all is there; a chunk size is no more than advice. */
BOTH(a_map_is_whole_and_in_order_whatever_its_chunks)
{
    static const size_t chunks[] = {0, 1, 3, 99, 100, 101, (size_t)-1};
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 3);
    int in[100], out[100];

    for (int i = 0; i < 100; i++)
        in[i] = -i;
    for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
        memset(out, -1, sizeof out);
        CHECK_CODE(
            many_pool_map(pool, python_square, in, out, 100, .chunk = chunks[c], .context = words),
            0);
        CHECK_EQUAL(atomic_load(&words->done), 100 * (c + 1));
        for (int i = 0; i < 100; i++)
            CHECK_EQUAL(out[i], i * i);
    }
    CHECK_CODE(many_pool_map(pool, python_square, in, out, 0), 0);
    kind_close(pool);
}

/* The order of imap_unordered is anybody's, but with one worker it is that of the source. */
BOTH(unordered_results_of_one_worker_are_in_order)
{
    for (size_t chunk = 0; chunk <= 7; chunk += 7) {
        many_pool *pool = kind_pool(kind, 1);
        kind_source source = {.end = 500};
        many_imap *it = NULL;
        size_t y = 0;

        CHECK_CODE(many_pool_imap(pool, &it, kind_plain_square, kind_next, &source,
                                  .item_bytes = sizeof(size_t), .result_bytes = sizeof y,
                                  .unordered = 1, .chunk = chunk),
                   0);
        for (size_t i = 0; i < 500; i++) {
            CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
            CHECK_EQUAL(many_imap_index(it), i);
            CHECK_EQUAL(y, i * i);
        }
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
        many_imap_close(it);
        kind_close(pool);
    }
}

/* next has a timeout: there with chunks of 1, here with any. A chunk in which an item fails gives
 * the results of the others. */
BOTH(chunks_of_an_iterator_are_seen_by_nobody)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    many_imap *it = NULL;
    int items[12], y = -1;

    for (int i = 0; i < 12; i++)
        items[i] = i + 1; /* 10 fails */
    CHECK_CODE(many_pool_imap(pool, &it, python_held, NULL, NULL, .items = items, .n = 12,
                              .item_bytes = sizeof y, .result_bytes = sizeof y, .chunk = 5,
                              .context = words),
               0);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, 0.01), -ETIMEDOUT);
    CHECK_EQUAL(many_imap_failed(it), 0);
    atomic_store(&words->gate, 1);
    for (int i = 0; i < 12; i++) {
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER),
                   items[i] == 10 ? -MANY_ETASK : 1);
        CHECK_EQUAL(many_imap_failed(it), items[i] == 10);
        if (items[i] != 10)
            CHECK_EQUAL(y, items[i] * items[i]);
    }
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
    many_imap_close(it);
    kind_close(pool);
}

/* ---- workers ---- */

/* Which thread of which process runs it. */
static int python_who(const void *item, void *result, void *context)
{
    (void)item;
    (void)context;
    *(long *)result = syscall(SYS_gettid);
    return 0;
}

/* maxtasksperchild: after so many tasks a fresh worker takes the place. */
BOTH(a_worker_completes_no_more_than_its_share)
{
    many_pool *pool = NULL;
    many_future *futures[24];
    long who[24];

    CHECK_CODE(many_pool_open(&pool, .kind = kind, .workers = 2, .tasks_per_worker = 3), 0);
    for (int i = 0; i < 24; i++)
        CHECK_CODE(
            many_pool_submit(pool, python_who, NULL, &futures[i], .result_bytes = sizeof who[0]),
            0);
    for (int i = 0; i < 24; i++) {
        CHECK_CODE((long)many_future_result(futures[i], &who[i], sizeof who[i], MANY_FOREVER),
                   sizeof who[i]);
        CHECK(who[i] != syscall(SYS_gettid)); /* a worker's, never the caller's */
        many_future_close(futures[i]);
    }
    for (int i = 0; i < 24; i++) {
        int same = 0;

        for (int k = 0; k < 24; k++)
            same += who[k] == who[i];
        CHECK(same <= 3);
    }
    kind_close(pool);
}

/* ---- close, terminate, join ---- */

/* close lets nothing more in, join waits for what is there. */
BOTH(close_and_join_wait_for_all_and_may_come_again)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    int x = 3;

    for (int i = 0; i < 10; i++)
        many_future_close(python_apply_async(pool, python_held, words, x));
    CHECK_CODE(many_pool_join(pool, 0.01), -ETIMEDOUT);
    CHECK_CODE(many_pool_finish(pool), 0);
    CHECK_CODE(many_pool_join(pool, 0), -ETIMEDOUT);
    atomic_store(&words->gate, 1);
    for (int again = 0; again < 3; again++) {
        CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
        CHECK_EQUAL(atomic_load(&words->done), 10);
        CHECK_CODE(many_pool_finish(pool), 0);
    }
    CHECK_CODE(many_pool_submit(pool, python_square, &x, NULL, .arg_bytes = sizeof x,
                                .result_bytes = sizeof x),
               -ESHUTDOWN);
    CHECK_CODE(many_pool_terminate(pool), 0); /* nothing is there any more */
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    kind_close(pool);
}

static int python_count_cancelled(many_future *future, void *context)
{
    _Atomic int *count = context;

    if (many_future_cancelled(future) == 1)
        atomic_fetch_add(count, 1);
    return 0;
}

/* terminate completes nothing that is outstanding; but nobody waits for ever. */
BOTH(terminate_completes_nothing_and_everybody_hears_of_it)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    many_future *futures[10];
    _Atomic int cancelled = 0;

    for (int i = 0; i < 10; i++) {
        futures[i] = python_apply_async(pool, python_held, words, 3);
        CHECK_CODE(many_future_on_done(futures[i], python_count_cancelled, &cancelled), 0);
    }
    UNTIL(atomic_load(&words->begun) == 2);
    CHECK_CODE(many_pool_terminate(pool), 0);
    CHECK_CODE(many_pool_terminate(pool), 0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&cancelled), 10);
    CHECK_EQUAL(atomic_load(&words->begun), 2);
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(many_future_done(futures[i]), 1);
        CHECK_CODE((long)many_future_result(futures[i], NULL, 0, MANY_FOREVER), -ECANCELED);
        many_future_close(futures[i]);
    }
    kind_close(pool);
}

/* ---- pools in pools ---- */

/* A map by a pool that the task opens; the sum of the squares of 0 .. 9. */
static int python_opens_a_pool(const void *item, void *result, void *context)
{
    const int kind = *(const int *)item;
    many_pool *outer = many_pool_current(), *pool = NULL;
    int in[10], out[10], sum = 0, code;

    (void)context;
    code = many_pool_open(&pool, .kind = kind, .workers = 2);
    if (code < 0)
        return code;
    for (int i = 0; i < 10; i++)
        in[i] = -i;
    code = many_pool_map(pool, python_square, in, out, 10);
    for (int i = 0; i < 10; i++)
        sum += out[i];
    *(int *)result = sum;
    if (code == 0 && many_pool_current() != outer)
        code = -EXDEV;
    if (code == 0 && many_pool_close(outer, 0) != -EDEADLK)
        code = -EDEADLK;
    if (code == 0)
        code = many_pool_close(pool, MANY_FOREVER);
    return code;
}

/* There workers may have no children. */
BOTH(tasks_open_pools_of_their_own_of_both_kinds)
{
    many_pool *pool = kind_pool(kind, 2);
    many_future *futures[8];
    int kinds = TEST_TSAN ? 1 : 2; /* the thread sanitizer knows no threads after a fork */

    for (int i = 0; i < 8; i++)
        futures[i] = python_apply_async(pool, python_opens_a_pool, NULL,
                                        i % kinds == 0 ? MANY_THREADS : MANY_PROCESSES);
    for (int i = 0; i < 8; i++) {
        int sum = 0;

        CHECK_CODE((long)many_future_result(futures[i], &sum, sizeof sum, MANY_FOREVER),
                   sizeof sum);
        CHECK_EQUAL(sum, 285);
        many_future_close(futures[i]);
    }
    kind_close(pool);
}

#if !TEST_TSAN
typedef struct python_parent {
    int kind;
    many_pool *pool;
    many_future *future;
} python_parent;

static void python_child(void *argument)
{
    python_parent *parent = argument;
    many_pool *pool = kind_pool(parent->kind, 2);
    int in[10], out[10];

    for (int i = 0; i < 10; i++)
        in[i] = -i;
    CHECK_CODE(many_pool_map(pool, python_square, in, out, 10), 0);
    CHECK_EQUAL(out[9], 81);
    CHECK_CODE(many_pool_submit(parent->pool, python_square, in, NULL, .arg_bytes = sizeof in[0],
                                .result_bytes = sizeof out[0]),
               -MANY_EFORKED);
    CHECK_CODE((long)many_future_result(parent->future, NULL, 0, MANY_FOREVER), -MANY_EFORKED);
    CHECK_EQUAL(many_future_cancel(parent->future), -MANY_EFORKED);
    CHECK_EQUAL(many_future_terminate(parent->future, 0), -MANY_EFORKED);
    many_future_close(parent->future);
    CHECK_CODE(many_pool_terminate(parent->pool), -MANY_EFORKED);
    CHECK_CODE(many_pool_close(parent->pool, 0), -MANY_EFORKED);
    kind_close(pool);
}

/* Only the process that made a pool may call its methods: here they say so. */
BOTH(a_forked_child_has_pools_of_its_own_and_leaves_those_of_its_parent_alone)
{
    kind_words *words = kind_words_of(0);
    python_parent parent = {.kind = kind, .pool = kind_pool(kind, 2)};
    int y = 0;

    for (int round = 0; round < 3; round++) {
        atomic_store(&words->gate, 0);
        parent.future = python_apply_async(parent.pool, python_held, words, 7);
        UNTIL(atomic_load(&words->begun) == (size_t)round + 1);
        CHECK_EQUAL(test_in_child(python_child, &parent), 0);
        CHECK_EQUAL(many_future_running(parent.future), 1);
        atomic_store(&words->gate, 1);
        CHECK_CODE((long)many_future_result(parent.future, &y, sizeof y, MANY_FOREVER), sizeof y);
        CHECK_EQUAL(y, 49);
        many_future_close(parent.future);
    }
    kind_close(parent.pool);
}
#endif

/* ---- nonsense ---- */

#define PYTHON_REFUSED(call)                                                                       \
    do {                                                                                           \
        CHECK_CODE((long)(call), -EINVAL);                                                         \
        CHECK(strlen(many_error_message()) > 10);                                                  \
    } while (0)

/* Where Python raises ValueError or TypeError; and what is there goes on. */
BOTH(nonsense_is_refused_in_words_and_harms_nothing)
{
    test_census before = test_census_take();
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2), *none = NULL;
    many_future *future, *other = NULL;
    many_completed *completed = NULL;
    many_imap *it = NULL;
    many_cause cause;
    int x = 6, y = -1;

    future = python_apply_async(pool, python_held, words, x);
    PYTHON_REFUSED(many_pool_open(&none, .kind = 7));
    PYTHON_REFUSED(many_pool_open(&none, .kind = kind, .workers = -1));
    PYTHON_REFUSED(many_pool_open(&none, .kind = kind, .item_limit_s = NAN));
    PYTHON_REFUSED(many_pool_open(NULL, .kind = kind));
    CHECK(none == NULL);
    PYTHON_REFUSED(many_pool_submit(pool, NULL, &x, &other, .arg_bytes = sizeof x));
    PYTHON_REFUSED(many_pool_submit(NULL, python_square, &x, &other, .arg_bytes = sizeof x));
    PYTHON_REFUSED(many_pool_submit(pool, python_square, NULL, &other, .arg_bytes = sizeof x));
    PYTHON_REFUSED(many_pool_submit(pool, python_square, &x, &other, .priority = 4));
    PYTHON_REFUSED(many_pool_submit(pool, python_square, &x, &other, .retries = -1));
    PYTHON_REFUSED(many_pool_submit(pool, python_square, &x, &other, .context_bytes = 4));
    PYTHON_REFUSED(many_pool_submit(pool, python_square, &x, &other, .item_limit_s = -1.0));
    CHECK(other == NULL);
    PYTHON_REFUSED(many_pool_map(pool, NULL, &x, &y, 1));
    PYTHON_REFUSED(many_pool_map(NULL, python_square, &x, &y, 1));
    PYTHON_REFUSED(
        many_pool_imap(pool, &it, NULL, NULL, NULL, .items = &x, .n = 1, .item_bytes = sizeof x));
    PYTHON_REFUSED(many_pool_imap(NULL, &it, python_square, NULL, NULL, .items = &x, .n = 1,
                                  .item_bytes = sizeof x));
    CHECK(it == NULL);
    PYTHON_REFUSED(many_imap_next(NULL, &y, sizeof y, NULL, 0));
    PYTHON_REFUSED(many_future_wait(NULL, 0));
    PYTHON_REFUSED(many_future_wait(future, NAN));
    PYTHON_REFUSED(many_future_wait(future, -0.5));
    PYTHON_REFUSED(many_future_result(future, &y, sizeof y, -INFINITY));
    PYTHON_REFUSED(many_future_result(future, NULL, sizeof y, 0));
    PYTHON_REFUSED(many_future_cause(future, NULL));
    PYTHON_REFUSED(many_future_cause(NULL, &cause));
    PYTHON_REFUSED(many_future_cancel(NULL));
    PYTHON_REFUSED(many_future_terminate(future, -1));
    PYTHON_REFUSED(many_future_terminate(future, NAN));
    PYTHON_REFUSED(many_future_on_done(future, NULL, NULL));
    PYTHON_REFUSED(many_future_set_result(future, &y, sizeof y));
    PYTHON_REFUSED(many_future_set_failure(future, -EIO, NULL));
    PYTHON_REFUSED(many_future_set_running(future));
    PYTHON_REFUSED(many_futures_wait(&future, 1, 9, NULL, 0));
    PYTHON_REFUSED(many_futures_wait(NULL, 1, MANY_ALL_COMPLETED, NULL, 0));
    PYTHON_REFUSED(many_futures_wait(&future, 1, MANY_ALL_COMPLETED, NULL, -7));
    PYTHON_REFUSED(many_completed_open(NULL, &future, 1));
    PYTHON_REFUSED(many_completed_open(&completed, NULL, 1));
    PYTHON_REFUSED(many_completed_next(NULL, &other, 0));
    PYTHON_REFUSED(many_pool_join(pool, NAN));
    many_future_close(NULL);
    many_imap_close(NULL);
    many_completed_close(NULL);
    CHECK_CODE(many_pool_close(NULL, 0), 0);

    CHECK_EQUAL(many_future_done(future), 0);
    atomic_store(&words->gate, 1);
    CHECK_CODE((long)many_future_result(future, &y, sizeof y, MANY_FOREVER), sizeof y);
    CHECK_EQUAL(y, 36);
    PYTHON_REFUSED(many_future_terminate(future, -1));
    PYTHON_REFUSED(many_future_result(future, NULL, sizeof y, 0));
    many_future_close(future);
    CHECK_CODE(many_pool_apply(pool, python_square, &x, &y), 0);
    kind_close(pool);
    CHECK_CENSUS(before);
}
