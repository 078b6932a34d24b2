/* SPDX-License-Identifier: MIT */
/*
 * test_pool_map_async.c - a map whose outcome is a future
 */
#include "each_kind.h"

#include <pthread.h>

static size_t *numbers(size_t n)
{
    size_t *in = malloc((n + 1) * sizeof *in);

    for (size_t i = 0; i < n; i++)
        in[i] = i;
    return in;
}

BOTH(its_future_is_over_when_all_items_are)
{
    static const size_t counts[] = {0, 1, 5, 10000};

    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        size_t n = counts[c], *in = numbers(n), *out = calloc(n + 1, sizeof *out), failed = 9;
        kind_words *words = kind_words_of(n);
        many_pool *pool = kind_pool(kind, 2);
        many_future *future = NULL;
        int *codes = malloc((n + 1) * sizeof *codes);

        memset(codes, 0x11, (n + 1) * sizeof *codes);
        CHECK_CODE(many_pool_map_async(pool, kind_square, in, out, n, .future = &future,
                                       .codes = codes, .context = words),
                   0);
        CHECK_CODE(many_future_result(future, &failed, sizeof failed, MANY_FOREVER), sizeof failed);
        CHECK_EQUAL(failed, 0);
        CHECK_EQUAL(many_future_successful(future), 1);
        for (size_t i = 0; i < n; i++)
            CHECK(out[i] == i * i && codes[i] == 0 && atomic_load(&words->count[i]) == 1);
        many_future_close(future);
        kind_close(pool);
        free(codes);
        free(out);
        free(in);
    }
}

BOTH(it_returns_before_its_items_are_done)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    size_t *in = numbers(100), out[100];
    many_future *future = NULL;
    char name[64];

    CHECK_CODE(many_pool_map_async(pool, kind_first_waits, in, out, 100, .future = &future,
                                   .context = words, .name = "squares"),
               0);
    CHECK_EQUAL(many_future_done(future), 0);
    CHECK_CODE(many_future_wait(future, 0.01), -ETIMEDOUT);
    CHECK_STRING(many_future_name(future, name, sizeof name), "squares");
    atomic_store(&words->gate, 1);
    CHECK_CODE(many_future_wait(future, MANY_FOREVER), 0);
    for (size_t i = 0; i < 100; i++)
        CHECK_EQUAL(out[i], i * i);
    many_future_close(future);
    free(in);
    kind_close(pool);
}

BOTH(it_counts_failures_or_stops_at_the_first)
{
    many_pool *pool = kind_pool(kind, 2);
    size_t *in = numbers(1000), out[1000], failed = 0;
    many_future *future = NULL;
    many_cause cause = {0}, first = {0};
    int codes[1000];

    CHECK_CODE(many_pool_map_async(pool, kind_threes_fail, in, out, 1000, .future = &future,
                                   .on_error = MANY_GO_ON, .codes = codes),
               0);
    CHECK_CODE(many_future_result(future, &failed, sizeof failed, MANY_FOREVER), sizeof failed);
    CHECK_EQUAL(failed, 100);
    for (size_t i = 0; i < 1000; i++)
        CHECK_EQUAL(codes[i], i % 10 == 3 ? -EDOM : 0);
    many_future_close(future);

    CHECK_CODE(many_pool_map_async(pool, kind_threes_fail, in, out, 1000, .future = &future,
                                   .cause = &first),
               0);
    CHECK_CODE(many_future_result(future, &failed, sizeof failed, MANY_FOREVER), -MANY_ETASK);
    CHECK_CODE(many_future_cause(future, &cause), 0);
    CHECK(cause.code == -EDOM && first.code == -EDOM && cause.item == first.item);
    CHECK_CONTAINS(cause.text, "no square of");
    many_future_close(future);
    free(in);
    kind_close(pool);
}

static int counts_calls(many_future *future, void *context)
{
    kind_words *words = context;
    size_t failed = 99;

    CHECK_CODE(many_future_result(future, &failed, sizeof failed, 0), sizeof failed);
    CHECK_EQUAL(failed, 0);
    atomic_fetch_add(&words->done, 1);
    return 0;
}

BOTH(a_callback_is_called_with_and_without_a_future)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    size_t *in = numbers(500), out[500];
    many_future *future = NULL;

    CHECK_CODE(many_pool_map_async(pool, kind_square, in, out, 500, .future = &future,
                                   .on_done = counts_calls, .on_done_context = words),
               0);
    CHECK_CODE(many_future_wait(future, MANY_FOREVER), 0);
    UNTIL(atomic_load(&words->done) == 1);
    many_future_close(future);

    memset(out, 0, sizeof out);
    CHECK_CODE(many_pool_map_async(pool, kind_square, in, out, 500, .on_done = counts_calls,
                                   .on_done_context = words),
               0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    UNTIL(atomic_load(&words->done) == 2);
    for (size_t i = 0; i < 500; i++)
        CHECK_EQUAL(out[i], i * i);

    /* Closed early; it was to be told. */
    memset(out, 0, sizeof out);
    CHECK_CODE(many_pool_map_async(pool, kind_square, in, out, 500, .future = &future,
                                   .on_done = counts_calls, .on_done_context = words),
               0);
    many_future_close(future);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    UNTIL(atomic_load(&words->done) == 3);
    for (size_t i = 0; i < 500; i++)
        CHECK_EQUAL(out[i], i * i);
    free(in);
    kind_close(pool);
}

static void *opens_late(void *argument)
{
    kind_words *words = argument;

    UNTIL(atomic_load(&words->begun) > 0);
    poll(NULL, 0, 20);
    atomic_store(&words->gate, 1);
    return NULL;
}

static int first_waits(const void *item, void *result, void *context)
{
    kind_words *words = context;

    atomic_fetch_add(&words->begun, 1);
    return kind_first_waits(item, result, words);
}

BOTH(closing_it_early_waits_for_the_arrays)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    size_t *in = numbers(100), out[100];
    many_future *future = NULL;
    pthread_t thread;

    memset(out, 0, sizeof out);
    CHECK(pthread_create(&thread, NULL, opens_late, words) == 0);
    CHECK_CODE(
        many_pool_map_async(pool, first_waits, in, out, 100, .future = &future, .context = words),
        0);
    many_future_close(future);
    CHECK_EQUAL(atomic_load(&words->gate), 1);
    for (size_t i = 0; i < 100; i++)
        CHECK_EQUAL(out[i], i * i);
    CHECK(pthread_join(thread, NULL) == 0);
    free(in);
    kind_close(pool);
}

static int begins(const void *item, void *result, void *context)
{
    kind_words *words = context;

    atomic_fetch_add(&words->begun, 1);
    kind_wait(words);
    return kind_square(item, result, NULL);
}

BOTH(cancelling_it_cancels_what_has_not_begun)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 1);
    size_t *in = numbers(100), out[100], cancelled = 0, done = 0;
    many_future *future = NULL;
    int codes[100];

    CHECK_CODE(many_pool_map_async(pool, begins, in, out, 100, .future = &future, .context = words,
                                   .codes = codes, .chunk = 1),
               0);
    UNTIL(atomic_load(&words->begun) == 1);
    CHECK_CODE(many_future_cancel(future), 0); /* one runs, and goes on */
    CHECK_EQUAL(many_future_done(future), 0);
    atomic_store(&words->gate, 1);
    CHECK_CODE(many_future_wait(future, MANY_FOREVER), 0);
    CHECK_EQUAL(many_future_cancelled(future), 1);
    CHECK_CODE(many_future_result(future, NULL, 0, 0), -ECANCELED);
    for (size_t i = 0; i < 100; i++) {
        cancelled += codes[i] == -ECANCELED;
        done += codes[i] == 0;
        CHECK(codes[i] != 0 || out[i] == i * i);
    }
    CHECK(done == 1 && cancelled == 99 && atomic_load(&words->begun) == 1);
    many_future_close(future);
    free(in);
    kind_close(pool);
}

BOTH(terminating_it_cuts_off_what_runs)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    size_t *in = numbers(100), out[100];
    many_future *future = NULL;

    CHECK_CODE(many_pool_map_async(pool, begins, in, out, 100, .future = &future, .context = words,
                                   .chunk = 1),
               0);
    UNTIL(atomic_load(&words->begun) == 2);
    CHECK_CODE(many_future_terminate(future, 0), 1);
    CHECK_CODE(many_future_wait(future, MANY_FOREVER), 0);
    CHECK_CODE(many_future_result(future, NULL, 0, 0), -ECANCELED);
    CHECK_CODE(many_future_terminate(future, 0), 0);
    many_future_close(future);
    CHECK_CODE(many_pool_map(pool, kind_square, in, out, 100), 0); /* the pool is whole */
    free(in);
    kind_close(pool);
}

BOTH(several_are_waited_for_at_once)
{
    enum { N = 300, MAPS = 8 };
    many_pool *pool = kind_pool(kind, 2);
    static size_t out[MAPS][N];
    size_t *in = numbers(N);
    many_future *future[MAPS], *got;
    many_completed *completed = NULL;
    int over[MAPS], count = 0;

    for (int k = 0; k < MAPS; k++)
        CHECK_CODE(many_pool_map_async(pool, kind_square, in, out[k], N, .future = &future[k]), 0);
    CHECK_CODE(many_completed_open(&completed, future, MAPS), 0);
    while (many_completed_next(completed, &got, MANY_FOREVER) == 1)
        count++;
    many_completed_close(completed);
    CHECK_EQUAL(count, MAPS);
    CHECK_CODE(many_futures_wait(future, MAPS, MANY_ALL_COMPLETED, over, 0), MAPS);
    for (int k = 0; k < MAPS; k++) {
        for (size_t i = 0; i < N; i++)
            CHECK_EQUAL(out[k][i], i * i);
        many_future_close(future[k]);
    }
    free(in);
    kind_close(pool);
}

BOTH(its_descriptor_turns_readable)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    size_t *in = numbers(50), out[50];
    many_future *future = NULL;
    struct pollfd polled = {.events = POLLIN};

    CHECK_CODE(many_pool_map_async(pool, kind_first_waits, in, out, 50, .future = &future,
                                   .context = words),
               0);
    polled.fd = many_future_descriptor(future);
    CHECK(polled.fd > 2);
    atomic_store(&words->gate, 1);
    do
        CHECK(poll(&polled, 1, -1) == 1);
    while (!many_future_done(future));
    many_future_close(future);
    free(in);
    kind_close(pool);
}

/* Starts a map over its own pool, and waits for it. */
static int maps_async_inside(const void *item, void *result, void *context)
{
    size_t in[20], out[20], failed = 9, sum = 0;
    many_future *future = NULL;
    int code;

    (void)context;
    for (size_t i = 0; i < 20; i++)
        in[i] = i + *(const size_t *)item * 0;
    code = many_pool_map_async(many_pool_current(), kind_square, in, out, 20, .future = &future,
                               .chunk = 3);
    if (code < 0)
        return code;
    code = (int)many_future_result(future, &failed, sizeof failed, MANY_FOREVER);
    many_future_close(future);
    for (size_t i = 0; i < 20; i++)
        sum += out[i];
    *(size_t *)result = sum;
    return code < 0 ? code : (int)failed;
}

BOTH(they_nest_on_a_pool_of_one)
{
    for (int workers = 1; workers <= 2; workers++) {
        many_pool *pool = kind_pool(kind, workers);
        size_t *in = numbers(10), out[10];

        CHECK_CODE(many_pool_map(pool, maps_async_inside, in, out, 10), 0);
        for (size_t i = 0; i < 10; i++)
            CHECK_EQUAL(out[i], 2470);
        free(in);
        kind_close(pool);
    }
}

static int adds(const void *item, void *result, void *context)
{
    const void *const *zip = item;

    *(size_t *)result = *(const size_t *)zip[0] + *(const size_t *)zip[1] + *(size_t *)context;
    return 0;
}

static int start_zip(many_pool *pool, const size_t *in, size_t *out, size_t n, many_future **future)
{
    size_t five = 5;

    return many_pool_map_async(pool, adds, (char *)NULL, out, n, .future = future, .context = &five,
                               .context_bytes = sizeof five,
                               .inputs = (many_input[]){{in, sizeof *in}, {in, sizeof *in}},
                               .inputs_count = 2);
}

BOTH(what_need_not_stay_is_copied)
{
    many_pool *pool = kind_pool(kind, 2);
    size_t *in = numbers(3000), *out = calloc(3000, sizeof *out);
    many_future *future = NULL;

    CHECK_CODE(start_zip(pool, in, out, 3000, &future), 0);
    CHECK_CODE(many_future_wait(future, MANY_FOREVER), 0);
    for (size_t i = 0; i < 3000; i++)
        CHECK_EQUAL(out[i], 2 * i + 5);
    many_future_close(future);
    free(out);
    free(in);
    kind_close(pool);
}

BOTH(a_pool_that_is_terminated_ends_it_and_its_future_stays)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    size_t *in = numbers(100), out[100];
    many_future *future = NULL;
    int codes[100];

    CHECK_CODE(many_pool_map_async(pool, begins, in, out, 100, .future = &future, .context = words,
                                   .codes = codes, .chunk = 1, .on_error = MANY_GO_ON),
               0);
    UNTIL(atomic_load(&words->begun) == 2);
    many_pool_close(pool, 0);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -ECANCELED);
    for (size_t i = 0; i < 100; i++)
        CHECK_EQUAL(codes[i], -ECANCELED);
    many_future_close(future);
    free(in);
}

/* No worker is left to begin what the task waits for: it does. */
static int first_of_two_maps(const void *item, void *result, void *context)
{
    many_future *futures[2] = {NULL, NULL}, *one = NULL;
    size_t *in = numbers(20), out[2][20];
    many_completed *completed = NULL;
    ssize_t over = 0;
    int came = 0;

    (void)context;
    for (int k = 0; k < 2; k++)
        if (many_pool_map_async(many_pool_current(), kind_square, in, out[k], 20,
                                .future = &futures[k], .chunk = 1) < 0)
            return 97;
    if (*(const size_t *)item == 0)
        over = many_futures_wait(futures, 2, MANY_FIRST_COMPLETED, NULL, 60.0);
    else if (many_completed_open(&completed, futures, 2) < 0)
        return 98;
    while (completed != NULL && many_completed_next(completed, &one, 60.0) == 1)
        came++;
    many_completed_close(completed);
    many_future_close(futures[0]);
    many_future_close(futures[1]);
    free(in);
    *(int *)result = over > 0 || came == 2;
    return over < 0 ? (int)over : 0;
}

BOTH(a_task_waits_for_the_first_of_several_maps)
{
    many_pool *pool = kind_pool(kind, 1);

    for (size_t way = 0; way < 2; way++) {
        int done = 0;

        CHECK_CODE(many_pool_apply(pool, first_of_two_maps, &way, &done), 0);
        CHECK_EQUAL(done, 1);
    }
    kind_close(pool);
}

static int callback_fails(many_future *future, void *context)
{
    (void)future;
    (void)context;
    return many_fail(-EIO, "nobody listens");
}

BOTH(a_callback_that_fails_is_told_to_join)
{
    many_pool *pool = kind_pool(kind, 1);
    size_t in[3] = {0, 1, 2}, out[3];

    for (size_t n = 0; n <= 3; n += 3) {
        CHECK_CODE(many_pool_map_async(pool, kind_square, in, out, n, .on_done = callback_fails),
                   0);
        CHECK_CODE(many_pool_join(pool, MANY_FOREVER), -EIO);
        CHECK_CONTAINS(many_error_message(), "nobody listens");
        CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    }
    kind_close(pool);
}

BOTH(what_makes_no_sense_is_refused)
{
    many_pool *pool = kind_pool(kind, 1);
    size_t in[3] = {0}, out[3];
    many_future *future = NULL;
    many_cancel token = {0};

    CHECK_CODE(many_pool_map_async(pool, kind_square, in, out, 3), -EINVAL);
    CHECK_CODE(many_pool_map_async(pool, NULL, in, out, 3, .future = &future), -EINVAL);
    CHECK_CODE(many_pool_map_async(NULL, kind_square, in, out, 3, .future = &future), -EINVAL);
    CHECK_CODE(many_pool_map_async(pool, kind_square, in, out, 3, .future = &future, .desc = "x"),
               -EINVAL);
    CHECK_CODE(
        many_pool_map_async(pool, kind_square, in, out, 3, .future = &future, .cancel = &token),
        -EINVAL);
    CHECK_CODE(many_pool_map_async(pool, kind_square, in, out, 3, .future = &future,
                                   .on_done_context = &token),
               -EINVAL);
    CHECK(future == NULL);
    kind_close(pool);
}
