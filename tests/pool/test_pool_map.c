/* SPDX-License-Identifier: MIT */
/*
 * test_pool_map.c - one function over an array, by the workers of a pool
 */
#include "each_kind.h"

#include <limits.h>
#include <pthread.h>
#include <sys/time.h>

static size_t *numbers(size_t n)
{
    size_t *in = malloc((n + 1) * sizeof *in);

    for (size_t i = 0; i < n; i++)
        in[i] = i;
    return in;
}

BOTH(results_are_in_order_and_each_item_runs_once)
{
    static const size_t counts[] = {0, 1, 2, 3, 17, 1000, 100000};

    for (int workers = 1; workers <= 3; workers += 2)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            size_t n = counts[c], *in = numbers(n), *out = calloc(n + 1, sizeof *out);
            int *codes = malloc((n + 1) * sizeof *codes);
            kind_words *words = kind_words_of(n);
            many_pool *pool = kind_pool(kind, workers);
            many_cause cause = {.code = 77};

            out[n] = 5;
            memset(codes, 0x11, (n + 1) * sizeof *codes);
            CHECK_CODE(many_pool_map(pool, kind_square, in, out, n, .context = words,
                                     .codes = codes, .cause = &cause),
                       0);
            for (size_t i = 0; i < n; i++)
                CHECK(out[i] == i * i && codes[i] == 0 && atomic_load(&words->count[i]) == 1);
            CHECK(out[n] == 5 && codes[n] == 0x11111111);
            CHECK_EQUAL(cause.code, 77); /* untouched */
            kind_close(pool);
            free(codes);
            free(out);
            free(in);
        }
}

/* Notes how many items of a batch came one after another: chunk i / 10 in order. */
static int notes_worker(const void *item, void *result, void *context)
{
    (void)context;
    *(int *)result = many_worker_index();
    return item == NULL;
}

BOTH(a_chunk_goes_to_one_worker)
{
    many_pool *pool = kind_pool(kind, 3);
    size_t *in = numbers(1000);
    int out[1000];

    CHECK_CODE(many_pool_map(pool, notes_worker, in, out, 1000, .chunk = 10), 0);
    for (int i = 0; i < 1000; i++)
        CHECK(out[i] >= 0 && out[i] < 3 && out[i] == out[i / 10 * 10]);
    CHECK_CODE(many_pool_map(pool, notes_worker, in, out, 1000, .chunk = 5000), 0);
    for (int i = 0; i < 1000; i++)
        CHECK_EQUAL(out[i], out[0]);
    CHECK_CODE(many_pool_map(pool, kind_square, in, in, 1, .chunk = 1), 0);
    free(in);
    kind_close(pool);
}

static int without(const void *item, void *result, void *context)
{
    kind_words *words = context;

    if (item != NULL || result != NULL)
        return 1;
    atomic_fetch_add(&words->count[many_item_index()], 1);
    return 0;
}

BOTH(items_and_results_may_be_nothing)
{
    kind_words *words = kind_words_of(500);
    many_pool *pool = kind_pool(kind, 2);

    CHECK_CODE(many_pool_each(pool, without, (char *)NULL, 500, .context = words), 0);
    for (size_t i = 0; i < 500; i++)
        CHECK_EQUAL(atomic_load(&words->count[i]), 1);
    kind_close(pool);
}

static int adds(const void *item, void *result, void *context)
{
    const void *const *zip = item;

    *(double *)result = *(const int *)zip[0] + *(const double *)zip[1] + *(const double *)context;
    return 0;
}

BOTH(several_arrays_are_zipped)
{
    enum { N = 20000 };
    many_pool *pool = kind_pool(kind, 2);
    int *a = malloc(N * sizeof *a);
    double *b = malloc(N * sizeof *b), *out = calloc(N, sizeof *out), more = 0.5;

    for (int i = 0; i < N; i++) {
        a[i] = i;
        b[i] = i / 4.0;
    }
    CHECK_CODE(many_pool_map(
                   pool, adds, (char *)NULL, out, N, .context = &more, .context_bytes = sizeof more,
                   .inputs = (many_input[]){{a, sizeof *a}, {b, sizeof *b}}, .inputs_count = 2),
               0);
    for (int i = 0; i < N; i++)
        CHECK(out[i] == i + i / 4.0 + 0.5);
    free(out);
    free(b);
    free(a);
    kind_close(pool);
}

BOTH(go_on_does_all_the_others_and_counts)
{
    many_pool *pool = kind_pool(kind, 3);
    size_t *in = numbers(1000), out[1000];
    many_cause cause = {0};
    int codes[1000];

    memset(out, 0, sizeof out);
    CHECK_CODE(many_pool_map(pool, kind_threes_fail, in, out, 1000, .on_error = MANY_GO_ON,
                             .codes = codes, .cause = &cause),
               100);
    for (size_t i = 0; i < 1000; i++) {
        CHECK_EQUAL(codes[i], i % 10 == 3 ? -EDOM : 0);
        CHECK(codes[i] != 0 || out[i] == i * i);
    }
    CHECK(cause.item % 10 == 3 && cause.code == -EDOM && cause.pid == 0);
    CHECK_CONTAINS(cause.text, "no square of");
    free(in);
    kind_close(pool);
}

/* Item 5 fails; those behind it wait, until they are told to end. */
static int five_fails(const void *item, void *result, void *context)
{
    size_t x = *(const size_t *)item;
    kind_words *words = context;

    atomic_fetch_add(&words->begun, 1);
    if (x == 5)
        return many_fail(-EDOM, "five");
    if (x > 5)
        kind_wait(words);
    *(size_t *)result = x;
    return 0;
}

BOTH(stop_cuts_off_what_runs_and_begins_no_more)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 3);
    size_t *in = numbers(1000), out[1000];
    many_cause cause = {0};
    int codes[1000];

    CHECK_CODE(many_pool_map(pool, five_fails, in, out, 1000, .codes = codes, .cause = &cause,
                             .context = words, .chunk = 1),
               -MANY_ETASK);
    CHECK_CONTAINS(many_error_message(), "five");
    CHECK(cause.item == 5 && cause.code == -EDOM);
    for (size_t i = 0; i < 1000; i++)
        CHECK_EQUAL(codes[i], i < 5 ? 0 : i == 5 ? -EDOM : -ECANCELED);
    CHECK(atomic_load(&words->begun) < 100);
    /* Nothing of it is left: the pool works. */
    CHECK_CODE(many_pool_map(pool, kind_square, in, out, 1000), 0);
    free(in);
    kind_close(pool);
}

static int second_try(const void *item, void *result, void *context)
{
    kind_words *words = context;
    size_t x = *(const size_t *)item;

    if (atomic_fetch_add(&words->count[x], 1) == 0 && x % 7 == 0)
        return -EAGAIN;
    *(size_t *)result = x + 1;
    return 0;
}

BOTH(failed_items_are_tried_again)
{
    kind_words *words = kind_words_of(300);
    many_pool *pool = kind_pool(kind, 2);
    size_t *in = numbers(300), out[300];

    CHECK_CODE(many_pool_map(pool, second_try, in, out, 300, .context = words, .retries = 1), 0);
    for (size_t i = 0; i < 300; i++) {
        CHECK_EQUAL(out[i], i + 1);
        CHECK_EQUAL(atomic_load(&words->count[i]), i % 7 == 0 ? 2 : 1);
    }
    free(in);
    kind_close(pool);
}

typedef struct setter_words {
    many_cancel token;
    kind_words *words;
} setter_words;

static void *sets(void *argument)
{
    setter_words *setter = argument;

    UNTIL(atomic_load(&setter->words->begun) > 0);
    many_cancel_set(&setter->token);
    return NULL;
}

BOTH(a_token_ends_it)
{
    for (int before = 0; before < 2; before++) {
        kind_words *words = kind_words_of(0);
        many_pool *pool = kind_pool(kind, 2);
        size_t *in = numbers(1000), out[1000];
        setter_words setter = {{0}, words};
        pthread_t thread;
        int codes[1000], cancelled = 0;

        atomic_store(&words->begun, (size_t)before);
        in[0] = 6; /* waits */
        CHECK(pthread_create(&thread, NULL, sets, &setter) == 0);
        if (before)
            UNTIL(many_cancel_is_set(&setter.token));
        CHECK_CODE(many_pool_map(pool, five_fails, in, out, 1000, .context = words,
                                 .cancel = &setter.token, .codes = codes, .on_error = MANY_GO_ON),
                   -ECANCELED);
        CHECK(pthread_join(thread, NULL) == 0);
        for (size_t i = 0; i < 1000; i++)
            cancelled += codes[i] == -ECANCELED;
        CHECK(cancelled >= 900 && codes[0] == -ECANCELED);
        CHECK_CODE(many_pool_map(pool, kind_plain_square, in, out, 1000), 0);
        free(in);
        kind_close(pool);
    }
}

static void on_alarm(int signal)
{
    (void)signal;
}

static int short_sleep(const void *item, void *result, void *context)
{
    (void)context;
    poll(NULL, 0, 5);
    return kind_plain_square(item, result, NULL);
}

BOTH(signal_handlers_do_not_end_it)
{
    struct itimerval timer = {{0, 3000}, {0, 3000}};
    many_pool *pool = kind_pool(kind, 2);
    size_t *in = numbers(60), out[60];
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    CHECK_CODE(many_pool_map(pool, short_sleep, in, out, 60), 0);
    memset(&timer, 0, sizeof timer);
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    for (size_t i = 0; i < 60; i++)
        CHECK_EQUAL(out[i], i * i);
    free(in);
    kind_close(pool);
}

static int one_waits(const void *item, void *result, void *context)
{
    kind_words *words = context;
    size_t x = *(const size_t *)item;

    if (x == 0)
        while (atomic_load(&words->done) < 4999)
            poll(NULL, 0, 1);
    else
        atomic_fetch_add(&words->done, 1);
    *(size_t *)result = x;
    return 0;
}

BOTH(a_slow_item_keeps_nobody_from_the_others)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    size_t *in = numbers(5000), *out = calloc(5000, sizeof *out);

    CHECK_CODE(many_pool_map(pool, one_waits, in, out, 5000, .context = words, .chunk = 1), 0);
    for (size_t i = 0; i < 5000; i++)
        CHECK_EQUAL(out[i], i);
    free(out);
    free(in);
    kind_close(pool);
}

/* Maps over the pool that it runs in, and that over itself. */
static int maps_inside(const void *item, void *result, void *context)
{
    size_t depth = *(const size_t *)item, in[6], out[6], sum = 0;
    int code;

    for (size_t i = 0; i < 6; i++)
        in[i] = depth > 0 ? depth - 1 : 0;
    if (depth == 0) {
        *(size_t *)result = 1;
        return 0;
    }
    code = many_pool_map(many_pool_current(), maps_inside, in, out, 6, .context = context,
                         .context_bytes = context != NULL ? 1 : 0);
    for (size_t i = 0; i < 6; i++)
        sum += out[i];
    *(size_t *)result = sum;
    return code;
}

BOTH(maps_nest_on_pools_of_one)
{
    for (int workers = 1; workers <= 2; workers++) {
        many_pool *pool = kind_pool(kind, workers);
        size_t in[4] = {3, 2, 1, 0}, out[4];

        CHECK_CODE(many_pool_map(pool, maps_inside, in, out, 4), 0);
        CHECK(out[0] == 216 && out[1] == 36 && out[2] == 6 && out[3] == 1);
        kind_close(pool);
    }
}

typedef struct mapper_words {
    many_pool *pool;
    size_t failures;
} mapper_words;

static void *maps(void *argument)
{
    mapper_words *mapper = argument;
    size_t in[100], out[100];

    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < 100; i++)
            in[i] = i;
        if (many_pool_map(mapper->pool, kind_square, in, out, 100) != 0)
            mapper->failures++;
        for (size_t i = 0; i < 100; i++)
            mapper->failures += out[i] != i * i;
    }
    return NULL;
}

BOTH(threads_map_over_one_pool_at_the_same_time)
{
    many_pool *pool = kind_pool(kind, 2);
    mapper_words mapper[4];
    pthread_t thread[4];

    for (int k = 0; k < 4; k++) {
        mapper[k] = (mapper_words){pool, 0};
        CHECK(pthread_create(&thread[k], NULL, maps, &mapper[k]) == 0);
    }
    for (int k = 0; k < 4; k++) {
        CHECK(pthread_join(thread[k], NULL) == 0);
        CHECK_EQUAL(mapper[k].failures, 0);
    }
    kind_close(pool);
}

static void *terminates(void *argument)
{
    mapper_words *mapper = argument;
    kind_words *words = (kind_words *)mapper->failures;

    UNTIL(atomic_load(&words->begun) > 1);
    CHECK_CODE(many_pool_terminate(mapper->pool), 0);
    return NULL;
}

BOTH(a_pool_that_is_terminated_ends_it)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    mapper_words mapper = {pool, (size_t)words};
    size_t *in = numbers(500), out[500];
    int codes[500];
    pthread_t thread;

    in[5] = 4; /* nothing fails by itself */
    CHECK(pthread_create(&thread, NULL, terminates, &mapper) == 0);
    CHECK_CODE(many_pool_map(pool, five_fails, in, out, 500, .codes = codes, .context = words,
                             .on_error = MANY_GO_ON),
               -ECANCELED);
    CHECK(pthread_join(thread, NULL) == 0);
    for (size_t i = 0; i < 500; i++)
        CHECK_EQUAL(codes[i], i < 6 && codes[i] == 0 ? 0 : -ECANCELED);
    CHECK_CODE(many_pool_map(pool, five_fails, in, out, 500), -ESHUTDOWN);
    free(in);
    many_pool_close(pool, 0);
}

static int over_limit(const void *item, void *result, void *context)
{
    (void)context;
    while (*(const size_t *)item == 9 && !many_cancelled())
        poll(NULL, 0, 1);
    return kind_plain_square(item, result, NULL);
}

BOTH(an_item_over_its_limit_fails_alone)
{
    many_pool *pool = kind_pool(kind, 2);
    size_t *in = numbers(100), out[100];
    int codes[100];

    CHECK_CODE(many_pool_map(pool, over_limit, in, out, 100, .codes = codes, .on_error = MANY_GO_ON,
                             .item_limit_s = 0.05 * test_slowness()),
               1);
    for (size_t i = 0; i < 100; i++)
        CHECK_EQUAL(codes[i], i == 9 ? -ETIMEDOUT : 0);
    CHECK_CODE(
        many_pool_map(pool, over_limit, in, out, 100, .item_limit_s = 0.05 * test_slowness()),
        -ETIMEDOUT);
    free(in);
    kind_close(pool);
}

BOTH(a_bar_counts_its_items)
{
    many_pool *pool = kind_pool(kind, 2);
    size_t *in = numbers(1000), out[1000];
    many_bar *bar = NULL;

    CHECK_CODE(many_bar_open(&bar, .total = 1000, .quiet = 1), 0);
    CHECK_CODE(
        many_pool_map(pool, kind_threes_fail, in, out, 1000, .bar = bar, .on_error = MANY_GO_ON),
        100);
    CHECK_EQUAL(many_bar_count(bar), 1000);
    many_bar_close(bar);
    free(in);
    kind_close(pool);
}

#if !TEST_TSAN

static int dies(const void *item, void *result, void *context)
{
    size_t x = *(const size_t *)item;
    kind_words *words = context;

    atomic_fetch_add(&words->count[x], 1);
    if (x % 100 == 50)
        raise(SIGSEGV);
    *(size_t *)result = x;
    return 0;
}

TEST(a_worker_that_dies_fails_its_item_alone)
{
    kind_words *words = kind_words_of(1000);
    many_pool *pool = kind_pool(MANY_PROCESSES, 2);
    size_t *in = numbers(1000), out[1000];
    many_cause cause = {0};
    int codes[1000];

    CHECK_CODE(many_pool_map(pool, dies, in, out, 1000, .codes = codes, .context = words,
                             .on_error = MANY_GO_ON, .cause = &cause),
               10);
    for (size_t i = 0; i < 1000; i++) {
        CHECK_EQUAL(codes[i], i % 100 == 50 ? -MANY_EDIED : 0);
        CHECK_EQUAL(atomic_load(&words->count[i]), 1);
        CHECK(codes[i] != 0 || out[i] == i);
    }
    CHECK(cause.pid > 0 && cause.item % 100 == 50);
    CHECK_CODE(many_pool_map(pool, dies, in, out, 1000, .context = words, .cause = &cause),
               -MANY_EDIED);
    free(in);
    kind_close(pool);
}

#endif

BOTH(what_makes_no_sense_is_refused_with_words)
{
    many_pool *pool = kind_pool(kind, 1);
    size_t in[3] = {0}, out[3];
    many_future *future = NULL;

#define REFUSED(words, ...)                                                                        \
    do {                                                                                           \
        CHECK_CODE(many_pool_map(__VA_ARGS__), -EINVAL);                                           \
        CHECK_CONTAINS(many_error_message(), words);                                               \
    } while (0)
    REFUSED("pool is NULL", NULL, kind_square, in, out, 3);
    REFUSED("fn is NULL", pool, NULL, in, out, 3);
    REFUSED("do not fit", pool, kind_square, in, out, SIZE_MAX / 8);
    REFUSED(".on_error is 2", pool, kind_square, in, out, 3, .on_error = (many_on_error)2);
    REFUSED(".retries is -1", pool, kind_square, in, out, 3, .retries = -1);
    REFUSED(".priority is -4", pool, kind_square, in, out, 3, .priority = -4);
    REFUSED(".reserved is 1", pool, kind_square, in, out, 3, .reserved = 1);
    REFUSED(".item_limit_s is -1", pool, kind_square, in, out, 3, .item_limit_s = -1);
    REFUSED(".context is NULL", pool, kind_square, in, out, 3, .context_bytes = 3);
    REFUSED(".inputs is NULL", pool, kind_square, in, out, 3, .inputs_count = 1);
    REFUSED("both given", pool, kind_square, in, out, 3, .inputs = (many_input[]){{in, 8}},
            .inputs_count = 1);
    REFUSED(".future", pool, kind_square, in, out, 3, .future = &future);
    if (kind == MANY_THREADS)
        REFUSED(".item_limit_bytes is for processes", pool, kind_square, in, out, 3,
                .item_limit_bytes = 1 << 20);
    CHECK_CODE(many_pool_map_with(pool, kind_square, in, 8, out, 8, NULL), -EINVAL);
    kind_close(pool);
}
