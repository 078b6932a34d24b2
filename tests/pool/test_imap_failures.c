/* SPDX-License-Identifier: MIT */
/*
 * test_imap_failures.c - iterators whose items fail, whose source fails, who is left early, or whose pool ends
 */
#include "each_kind.h"

#include <pthread.h>
#include <sys/time.h>

#define IMAP(pool, it, fn, source, ...)                                                            \
    CHECK_CODE(many_pool_imap((pool), (it), (fn), kind_next, (source),                             \
                              .item_bytes = sizeof(size_t), .result_bytes = sizeof(size_t),        \
                              __VA_ARGS__),                                                        \
               0)

BOTH(a_failed_item_is_told_once_and_the_others_come)
{
    for (int unordered = 0; unordered < 2; unordered++) {
        many_pool *pool = kind_pool(kind, 2);
        kind_source source = {.end = 1000};
        size_t y, failed = 0, sum = 0;
        many_imap *it = NULL;
        many_cause cause;
        char words[64];

        IMAP(pool, &it, kind_threes_fail, &source, .unordered = unordered);
        CHECK_CODE(many_imap_cause(it, &cause), -EAGAIN);
        CHECK_CONTAINS(many_error_message(), "no item yet");
        for (size_t i = 0; i < 1000; i++) {
            int code = many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER);
            size_t x = many_imap_index(it);

            CHECK_CODE(code, x % 10 == 3 ? -MANY_ETASK : 1);
            CHECK_EQUAL(many_imap_failed(it), x % 10 == 3);
            CHECK_CODE(many_imap_cause(it, &cause), 0);
            CHECK(unordered || x == i);
            CHECK_EQUAL(cause.item, x);
            sum += x;
            if (code == 1) {
                CHECK_EQUAL(cause.code, 0);
                CHECK_STRING(cause.text, "");
                continue;
            }
            failed++;
            CHECK_EQUAL(cause.code, -EDOM);
            CHECK_EQUAL(cause.tries <= 1 && cause.pid == 0, 1);
            snprintf(words, sizeof words, "no square of %zu", x);
            CHECK_CONTAINS(cause.text, words);
            CHECK_CONTAINS(many_error_message(), words);
        }
        CHECK_EQUAL(failed, 100);
        CHECK_EQUAL(sum, 999 * 1000 / 2);
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
        CHECK_EQUAL(many_imap_failed(it), 0);
        many_imap_close(it);
        kind_close(pool);
    }
}

static int fails_twice(const void *item, void *result, void *context)
{
    kind_words *words = context;
    size_t x = *(const size_t *)item;

    if (atomic_fetch_add(&words->count[x], 1) < 2)
        return many_fail(-EIO, "not yet");
    *(size_t *)result = x;
    return 0;
}

BOTH(a_failed_item_is_tried_again)
{
    for (int retries = 1; retries <= 2; retries++) {
        kind_words *words = kind_words_of(50);
        many_pool *pool = kind_pool(kind, 2);
        kind_source source = {.end = 50};
        many_imap *it = NULL;
        size_t y;

        IMAP(pool, &it, fails_twice, &source, .context = words, .retries = retries);
        for (size_t i = 0; i < 50; i++)
            CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER),
                       retries == 2 ? 1 : -MANY_ETASK);
        many_imap_close(it);
        for (size_t i = 0; i < 50; i++)
            CHECK_EQUAL(atomic_load(&words->count[i]), retries + 1);
        kind_close(pool);
    }
}

BOTH(a_source_that_fails_is_told_after_its_items)
{
    for (int unordered = 0; unordered < 2; unordered++) {
        many_pool *pool = kind_pool(kind, 2);
        kind_source source = {.end = 123, .end_code = -EPROTO};
        many_imap *it = NULL;
        size_t y;

        IMAP(pool, &it, kind_square, &source, .unordered = unordered);
        for (size_t i = 0; i < 123; i++)
            CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), -EPROTO);
        CHECK_CONTAINS(many_error_message(), "123 items");
        CHECK_EQUAL(many_imap_failed(it), 0);
        for (int again = 0; again < 2; again++)
            CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
        CHECK_EQUAL(source.calls_after_end, 1);
        many_imap_close(it);
        kind_close(pool);
    }
}

BOTH(a_wait_ends_by_its_timeout_and_the_result_is_not_lost)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 1);
    kind_source source = {.end = 3};
    many_imap *it = NULL;
    size_t y;

    IMAP(pool, &it, kind_first_waits, &source, .context = words);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, 0), -ETIMEDOUT);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, 0.02), -ETIMEDOUT);
    CHECK_EQUAL(many_imap_failed(it), 0);
    CHECK_EQUAL(many_imap_index(it), SIZE_MAX);
    atomic_store(&words->gate, 1);
    for (size_t i = 0; i < 3; i++) {
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
        CHECK_EQUAL(y, i * i);
    }
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, 0), 0);
    many_imap_close(it);
    kind_close(pool);
}

BOTH(who_only_looks_gets_all_in_the_end)
{
    many_pool *pool = kind_pool(kind, 2);
    kind_source source = {.end = 300};
    many_imap *it = NULL;
    size_t y, i = 0;
    int code;

    IMAP(pool, &it, kind_square, &source, .unordered = 0);
    while ((code = many_imap_next(it, &y, sizeof y, NULL, 0)) != 0) {
        CHECK(code == 1 || code == -ETIMEDOUT);
        if (code == 1) {
            CHECK_EQUAL(y, i * i);
            i++;
        }
    }
    CHECK_EQUAL(i, 300);
    many_imap_close(it);
    kind_close(pool);
}

static void on_alarm(int signal)
{
    (void)signal;
}

/* Until told otherwise each 10 ms a SIGALRM for this process. */
static void alarms(int on)
{
    struct itimerval timer = {{0, on ? 10000 : 0}, {0, on ? 10000 : 0}};
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

BOTH(a_signal_handler_ends_a_wait)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 1);
    kind_source source = {.end = 2};
    many_imap *it = NULL;
    size_t y;

    IMAP(pool, &it, kind_first_waits, &source, .context = words);
    alarms(1);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), -EINTR);
    alarms(0);
    CHECK_CONTAINS(many_error_message(), "many_imap_next: a signal handler");
    atomic_store(&words->gate, 1);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
    many_imap_close(it);
    kind_close(pool);
}

BOTH(who_leaves_early_leaves_nothing_behind)
{
    for (int taken = 0; taken < 60; taken += 29)
        for (int unordered = 0; unordered < 2; unordered++) {
            kind_words *words = kind_words_of(1 << 20);
            many_pool *pool = kind_pool(kind, 2);
            kind_source source = {.end = SIZE_MAX};
            many_imap *it = NULL;
            size_t y = 0, after;

            IMAP(pool, &it, kind_square, &source, .context = words, .unordered = unordered,
                 .window = 64);
            for (int i = 0; i < taken; i++)
                CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
            many_imap_close(it);
            after = source.pulled;
            CHECK(after <= (size_t)taken + 64 + 64);
            /* The pool is whole. */
            CHECK_CODE(many_pool_apply(pool, kind_plain_square, &(size_t){7}, &y), 0);
            CHECK_EQUAL(y, 49);
            CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
            CHECK_EQUAL(source.pulled, after);
            for (size_t i = 0; i < after; i++)
                CHECK(atomic_load(&words->count[i]) <= 1);
            CHECK_EQUAL(atomic_load(&words->count[after]), 0);
            kind_close(pool);
        }
}

TEST(leaving_waits_for_what_runs_in_threads)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(MANY_THREADS, 1);
    kind_source source = {.end = 5};
    many_imap *it = NULL;
    size_t y;

    IMAP(pool, &it, kind_first_waits, &source, .context = words);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, 0), -ETIMEDOUT);
    atomic_store(&words->gate, 1);
    many_imap_close(it);
    kind_close(pool);
}

typedef struct pool_closer {
    many_pool *pool;
    kind_words *words;
    int terminate;
} pool_closer;

/* Ends the pool when somebody sits in its items. */
static void *ends_it(void *argument)
{
    pool_closer *closer = argument;

    UNTIL(atomic_load(&closer->words->begun) > 0);
    if (closer->terminate)
        CHECK_CODE(many_pool_terminate(closer->pool), 0);
    else
        CHECK_CODE(many_pool_finish(closer->pool), 0);
    atomic_store(&closer->words->done, 1);
    return NULL;
}

/* All but the first wait; so long as the pool is not told to end. */
static int sits(const void *item, void *result, void *context)
{
    kind_words *words = context;

    if (*(const size_t *)item > 0) {
        atomic_fetch_add(&words->begun, 1);
        kind_wait(words);
    }
    return kind_square(item, result, NULL);
}

BOTH(a_pool_that_is_terminated_ends_its_iterators)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    pool_closer closer = {pool, words, 1};
    kind_source source = {.end = SIZE_MAX};
    size_t y, cancelled = 0;
    many_imap *it = NULL;
    many_cause cause;
    pthread_t thread;
    int code;

    IMAP(pool, &it, sits, &source, .context = words, .chunk = 1);
    CHECK(pthread_create(&thread, NULL, ends_it, &closer) == 0);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
    for (;;) {
        code = many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER);
        if (!many_imap_failed(it))
            break;
        CHECK_CODE(code, -ECANCELED);
        CHECK_CODE(many_imap_cause(it, &cause), 0);
        CHECK_EQUAL(cause.cancelled, 1);
        cancelled++;
    }
    CHECK_CODE(code, -ESHUTDOWN);
    CHECK_EQUAL(cancelled, source.pulled - 1);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
    CHECK(pthread_join(thread, NULL) == 0);
    many_imap_close(it);
    many_pool_close(pool, 0);
}

BOTH(an_iterator_outlives_the_finish_of_its_pool)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 1);
    kind_source source = {.end = 5000};
    many_imap *it = NULL, *late = NULL;
    size_t y, i;
    int code;

    IMAP(pool, &it, kind_square, &source, .chunk = 1, .window = 4);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
    CHECK_CODE(many_pool_finish(pool), 0);
    for (i = 1; (code = many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER)) == 1; i++)
        CHECK_EQUAL(y, i * i);
    CHECK_CODE(code, 0);
    CHECK_EQUAL(i, 5000);
    many_imap_close(it);
    CHECK_CODE(
        many_pool_imap(pool, &late, kind_square, kind_next, &source, .item_bytes = sizeof(size_t)),
        -ESHUTDOWN);
    CHECK(late == NULL);
    (void)words;
    kind_close(pool);
}

static void in_a_child(void *argument)
{
    many_imap *it = argument;
    size_t y;

    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, 1.0), -MANY_EFORKED);
    CHECK_EQUAL(many_imap_index(it), 0);
    many_imap_close(it);
}

BOTH(an_iterator_belongs_to_the_process_that_opened_it)
{
    many_pool *pool = kind_pool(kind, 1);
    kind_source source = {.end = 10};
    many_imap *it = NULL;
    size_t y;

    IMAP(pool, &it, kind_square, &source, .unordered = 0);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
    CHECK_EQUAL(test_in_child(in_a_child, it), 0);
    for (size_t i = 1; i < 10; i++)
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
    many_imap_close(it);
    kind_close(pool);
}

/* Never ends, unless it is told to. */
static int hangs(const void *item, void *result, void *context)
{
    (void)context;
    while (*(const size_t *)item == 2 && !many_cancelled())
        poll(NULL, 0, 1);
    return kind_square(item, result, NULL);
}

BOTH(an_item_over_its_limit_fails_alone)
{
    many_pool *pool = kind_pool(kind, 2);
    kind_source source = {.end = 40};
    many_imap *it = NULL;
    many_cause cause;
    size_t y;

    IMAP(pool, &it, hangs, &source, .item_limit_s = 0.05 * test_slowness());
    for (size_t i = 0; i < 40; i++) {
        int code = many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER);

        CHECK_CODE(code, i == 2 ? -ETIMEDOUT : 1);
        CHECK_EQUAL(many_imap_failed(it), i == 2);
        if (i == 2) {
            CHECK_CODE(many_imap_cause(it, &cause), 0);
            CHECK_EQUAL(cause.over_limit, 1);
        }
    }
    many_imap_close(it);
    kind_close(pool);
}

#if !TEST_TSAN

static int dies(const void *item, void *result, void *context)
{
    kind_words *words = context;
    size_t x = *(const size_t *)item;

    atomic_fetch_add(&words->count[x], 1);
    if (x % 50 == 7)
        raise(SIGKILL);
    return kind_square(item, result, NULL);
}

TEST(a_worker_that_dies_fails_its_item_alone)
{
    for (int unordered = 0; unordered < 2; unordered++) {
        kind_words *words = kind_words_of(500);
        many_pool *pool = kind_pool(MANY_PROCESSES, 2);
        kind_source source = {.end = 500};
        many_imap *it = NULL;
        many_cause cause;
        size_t y;

        IMAP(pool, &it, dies, &source, .context = words, .unordered = unordered);
        for (size_t i = 0; i < 500; i++) {
            int code = many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER);
            size_t x = many_imap_index(it);

            CHECK_CODE(code, x % 50 == 7 ? -MANY_EDIED : 1);
            CHECK(unordered || x == i);
            if (code == 1)
                continue;
            CHECK_CODE(many_imap_cause(it, &cause), 0);
            CHECK(cause.signal == SIGKILL && cause.pid > 0 && cause.item == x);
        }
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
        for (size_t i = 0; i < 500; i++)
            CHECK_EQUAL(atomic_load(&words->count[i]), 1);
        many_imap_close(it);
        kind_close(pool);
    }
}

TEST(leaving_does_not_wait_for_what_runs_in_processes)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(MANY_PROCESSES, 1);
    kind_source source = {.end = 5};
    many_imap *it = NULL;
    size_t y;

    IMAP(pool, &it, kind_first_waits, &source, .context = words);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, 0), -ETIMEDOUT);
    many_imap_close(it); /* the gate is shut */
    atomic_store(&words->gate, 1);
    kind_close(pool);
}

#endif

/* ---- circles ---- */

typedef struct circle_words {
    _Atomic(many_future *) future; /* of the task that iterates */
    _Atomic uint64_t id;
    _Atomic int known;
    _Atomic int item_code, next_code;
} circle_words;

/* An item that waits for the task that waits for it. */
static int waits_for_its_iterator(const void *item, void *result, void *context)
{
    circle_words *circle = context;
    many_future *future = atomic_load(&circle->future);
    uint64_t id = atomic_load(&circle->id);
    int code;

    (void)item;
    (void)result;
    if (id != 0 && (code = many_future_from_id(&future, id)) < 0)
        return code;
    code = many_future_wait(future, MANY_FOREVER);
    if (id != 0)
        many_future_close(future);
    atomic_store(&circle->item_code, code);
    return code;
}

static int iterates(const void *item, void *result, void *context)
{
    circle_words *circle = context;
    kind_source source = {.end = 1};
    many_imap *it = NULL;
    int code;

    (void)item;
    (void)result;
    while (!atomic_load(&circle->known))
        poll(NULL, 0, 1);
    code = many_pool_imap(many_pool_current(), &it, waits_for_its_iterator, kind_next, &source,
                          .item_bytes = sizeof(size_t), .context = circle);
    if (code < 0)
        return code;
    atomic_store(&circle->next_code, many_imap_next(it, NULL, 0, NULL, MANY_FOREVER));
    many_imap_close(it);
    return 0;
}

BOTH(an_item_that_waits_for_its_iterator_is_no_deadlock)
{
    for (int workers = 1; workers <= 2; workers++) {
        circle_words *circle = test_shared(sizeof *circle);
        many_pool *pool = kind_pool(kind, workers);
        many_future *future = NULL;

        CHECK_CODE(many_pool_submit(pool, iterates, NULL, &future, .context = circle), 0);
        atomic_store(&circle->future, future);
        atomic_store(&circle->id, many_future_id(future));
        atomic_store(&circle->known, 1);
        CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), 0);
        /* The younger one of the two is told, which is the item. */
        CHECK_CODE(atomic_load(&circle->item_code), -EDEADLK);
        CHECK_CODE(atomic_load(&circle->next_code), -MANY_ETASK);
        many_future_close(future);
        kind_close(pool);
    }
}
