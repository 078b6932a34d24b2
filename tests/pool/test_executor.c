/* SPDX-License-Identifier: MIT */
/*
 * test_executor.c - what Python documents of concurrent.futures' Executor, promise by promise, with
 *                   threads and with processes
 */
#include "executor.h"

#include <sched.h>
#include <sys/prctl.h>

/* Every way to give a pool something to do says the same. */
static void executor_all_calls_say(many_pool *pool, int expected)
{
    int x[4] = {1, 2, 3, 4}, y[4];
    many_future *future = (many_future *)x; /* anything but NULL */
    many_imap *it = (many_imap *)x;

    CHECK_CODE(many_pool_submit(pool, executor_double, x, &future, .arg_bytes = sizeof x[0],
                                .result_bytes = sizeof y[0]),
               expected);
    CHECK(future == NULL);
    CHECK_CODE(many_pool_submit(pool, executor_double, x, NULL, .arg_bytes = sizeof x[0],
                                .result_bytes = sizeof y[0], .no_wait = 1),
               expected);
    CHECK_CODE(many_pool_apply(pool, executor_double, x, y), expected);
    CHECK_CODE(many_pool_map(pool, executor_double, x, y, 4), expected);
    CHECK_CODE(many_pool_each(pool, executor_double, x, 4), expected);
    future = (many_future *)x;
    CHECK_CODE(many_pool_map_async(pool, executor_double, x, y, 4, .future = &future), expected);
    CHECK(future == NULL);
    CHECK_CODE(many_pool_imap(pool, &it, executor_double, NULL, NULL, .items = x, .n = 4,
                              .item_bytes = sizeof x[0], .result_bytes = sizeof y[0]),
               expected);
    CHECK(it == NULL);
    CHECK(strlen(many_error_message()) > 0);
}

/* ---- shutdown ---- */

/* shutdown: what is pending is done, submit and map are refused from now on; it may come again. */
BOTH(after_shutdown_no_call_takes_more_and_what_is_there_is_done)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 1);
    many_future *futures[3];

    for (int i = 0; i < 3; i++)
        futures[i] = executor_submit(pool, words, i);
    CHECK_CODE(many_pool_finish(pool), 0); /* wait=False: it returns, though the gate is shut */
    executor_all_calls_say(pool, -ESHUTDOWN);
    CHECK_CODE(many_pool_finish(pool), 0);
    executor_all_calls_say(pool, -ESHUTDOWN);
    CHECK_EQUAL(many_future_done(futures[0]), 0);
    atomic_store(&words->gate, 1);
    for (int i = 0; i < 3; i++)
        executor_expect(futures[i], i);
    kind_close(pool);
}

BOTH(shutdown_that_waits_returns_when_all_is_done)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    many_future *futures[20];

    for (int i = 0; i < 20; i++)
        futures[i] = executor_submit(pool, words, 20 + i);
    atomic_store(&words->gate, 1);
    kind_close(pool);
    CHECK_EQUAL(atomic_load(&words->done), 20);
    for (int i = 0; i < 20; i++)
        executor_expect(futures[i], 20 + i);
}

/* cancel_futures: what was not started is cancelled; what is done or runs is not. */
BOTH(shutdown_that_cancels_spares_what_is_done_or_runs)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 1);
    many_future *done = executor_submit(pool, NULL, 1), *runs, *pending[5];

    CHECK_CODE(many_future_wait(done, MANY_FOREVER), 0);
    runs = executor_submit(pool, words, 2);
    UNTIL(atomic_load(&words->begun) == 1);
    for (int i = 0; i < 5; i++)
        pending[i] = executor_submit(pool, words, 3 + i);
    CHECK_CODE(many_pool_finish(pool), 0);
    CHECK_CODE(many_pool_cancel_waiting(pool), 5);
    CHECK_CODE(many_pool_cancel_waiting(pool), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(many_future_cancelled(pending[i]), 1);
        CHECK_EQUAL(many_future_done(pending[i]), 1);
        CHECK_EQUAL(many_future_running(pending[i]), 0);
        CHECK_EQUAL(many_future_successful(pending[i]), 0);
        CHECK_CODE(many_future_result(pending[i], NULL, 0, MANY_FOREVER), -ECANCELED);
    }
    CHECK_EQUAL(many_future_cancelled(done), 0);
    CHECK_EQUAL(many_future_cancelled(runs), 0);
    CHECK_EQUAL(many_future_running(runs), 1);
    atomic_store(&words->gate, 1);
    kind_close(pool); /* what it had started is completed by then */
    CHECK_EQUAL(atomic_load(&words->begun), 1);
    CHECK_EQUAL(atomic_load(&words->done), 1);
    executor_expect(done, 1);
    executor_expect(runs, 2);
    executor_close_all(pending, 5);
}

#if defined(__GNUC__)
static int executor_leaves_early(int kind, kind_words *words)
{
    MANY_POOL_SCOPE many_pool *pool = NULL;

    CHECK_CODE(many_pool_open(&pool, .kind = kind, .workers = 2), 0);
    for (int i = 0; i < 8; i++)
        many_future_close(executor_submit(pool, words, i));
    UNTIL(atomic_load(&words->begun) == 2);
    atomic_store(&words->gate, 1);
    return 5; /* on the way out of the middle of it */
}

/* The with statement: as a shutdown that waits, on every way out. */
BOTH(the_end_of_a_scope_waits_for_what_is_there)
{
    kind_words *words = kind_words_of(0);
    test_census before = test_census_take();

    CHECK_EQUAL(executor_leaves_early(kind, words), 5);
    CHECK_EQUAL(atomic_load(&words->done), 8);
    CHECK_CENSUS(before);
}
#endif

/* ---- workers ---- */

static int executor_counts_itself(const void *item, void *result, void *context)
{
    kind_words *words = context;
    int now = atomic_fetch_add(&words->seen[0], 1) + 1, most = atomic_load(&words->seen[1]);

    (void)item;
    (void)result;
    while (now > most && !atomic_compare_exchange_weak(&words->seen[1], &most, now))
        ;
    if (many_worker_index() >= 3)
        atomic_store(&words->seen[2], 1);
    for (int i = 0; i < 3; i++)
        sched_yield();
    atomic_fetch_sub(&words->seen[0], 1);
    return 0;
}

/* max_workers is a most: also while the caller helps, and where maps and tasks are mixed. */
BOTH(no_more_than_max_workers_run_at_a_time)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 3);
    many_future *futures[100], *map = NULL;

    CHECK_CODE(
        many_pool_map_async_with(pool, executor_counts_itself, NULL, 0, NULL, 0,
                                 &(many_pool_map_options){.size = sizeof(many_pool_map_options),
                                                          .n = 100,
                                                          .chunk = 3,
                                                          .context = words,
                                                          .future = &map}),
        0);
    for (int i = 0; i < 100; i++)
        CHECK_CODE(
            many_pool_submit(pool, executor_counts_itself, NULL, &futures[i], .context = words), 0);
    for (int i = 99; i >= 0; i--)
        CHECK_CODE(many_future_result(futures[i], NULL, 0, MANY_FOREVER), 0);
    CHECK_CODE(many_future_wait(map, MANY_FOREVER), 0);
    CHECK(atomic_load(&words->seen[1]) >= 1);
    CHECK(atomic_load(&words->seen[1]) <= 3);
    CHECK_EQUAL(atomic_load(&words->seen[2]), 0);
    executor_close_all(futures, 100);
    many_future_close(map);
    kind_close(pool);
}

/* What the kernel calls its thread, and the library its process. */
static int executor_tell_names(const void *item, void *result, void *context)
{
    kind_words *words = context;
    char(*names)[64] = result;

    (void)item;
    atomic_fetch_add(&words->begun, 1);
    kind_wait(words); /* all of them, so that nobody else runs two of them */
    prctl(PR_GET_NAME, names[0]);
    snprintf(names[1], sizeof names[1], "%s", many_process_name(many_process_current()));
    return 0;
}

/* thread_name_prefix: so that a debugger shows whose workers they are. */
BOTH(workers_are_called_after_their_pool)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = NULL;
    many_future *futures[2];

    CHECK_CODE(many_pool_open(&pool, .kind = kind, .workers = 2, .name = "spider"), 0);
    CHECK_STRING(many_pool_name(pool), "spider");
    CHECK_EQUAL(many_pool_workers(pool), 2);
    for (int i = 0; i < 2; i++)
        CHECK_CODE(many_pool_submit(pool, executor_tell_names, NULL, &futures[i],
                                    .result_bytes = 2 * 64, .context = words),
                   0);
    UNTIL(atomic_load(&words->begun) == 2);
    atomic_store(&words->gate, 1);
    for (int i = 0; i < 2; i++) {
        char names[2][64];

        CHECK_CODE(many_future_result(futures[i], names, sizeof names, MANY_FOREVER), sizeof names);
        CHECK_CONTAINS(names[kind == MANY_PROCESSES], "spider");
    }
    executor_close_all(futures, 2);
    kind_close(pool);
}

/* ---- a broken pool ---- */

static int executor_bad_start(void *argument)
{
    kind_words *words = argument;

    while (!atomic_load(&words->gate))
        poll(NULL, 0, 1);
    return many_fail(-ENODEV, "no camera");
}

static int executor_note_code(many_future *future, void *context)
{
    kind_words *words = context;
    many_cause cause;

    if (many_future_cause(future, &cause) == 0 && cause.code == -MANY_EBROKEN)
        atomic_fetch_add(&words->seen[1], 1);
    atomic_fetch_add(&words->seen[0], 1);
    return 0;
}

/* An initializer that fails: all that is pending fails with it, and every attempt to give more. */
BOTH(an_initializer_that_fails_breaks_all_that_waits_and_all_calls_after)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = NULL;
    many_future *futures[6];

    CHECK_CODE(many_pool_open(&pool, .kind = kind, .workers = 2, .initializer = executor_bad_start,
                              .initializer_argument = words),
               0);
    for (int i = 0; i < 6; i++) {
        futures[i] = executor_submit(pool, NULL, i);
        CHECK_CODE(many_future_on_done(futures[i], executor_note_code, words), 0);
    }
    CHECK_CODE(many_future_wait(futures[0], 0), -ETIMEDOUT);
    atomic_store(&words->gate, 1);
    for (int i = 0; i < 6; i++) {
        many_cause cause;

        CHECK_CODE(many_future_result(futures[i], NULL, 0, MANY_FOREVER), -MANY_EBROKEN);
        CHECK_CODE(many_future_cause(futures[i], &cause), 0);
        CHECK_EQUAL(cause.code, -MANY_EBROKEN);
        CHECK_CONTAINS(cause.text, "no camera");
        CHECK_EQUAL(many_future_cancelled(futures[i]), 0);
        CHECK_EQUAL(many_future_successful(futures[i]), 0);
    }
    executor_all_calls_say(pool, -MANY_EBROKEN);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&words->seen[0]), 6);
    CHECK_EQUAL(atomic_load(&words->seen[1]), 6);
    executor_close_all(futures, 6);
    kind_close(pool);
}

#if !TEST_TSAN
static int executor_exits(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    _exit(3);
}

/* There one worker that ends badly breaks the executor for all; here its own task alone fails. */
TEST(a_worker_that_ends_breaks_its_task_and_nothing_else)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(MANY_PROCESSES, 2);
    many_future *others[8], *doomed = NULL;

    for (int i = 0; i < 8; i++)
        others[i] = executor_submit(pool, words, i);
    CHECK_CODE(many_pool_submit(pool, executor_exits, NULL, &doomed), 0);
    atomic_store(&words->gate, 1);
    CHECK_CODE(many_future_result(doomed, NULL, 0, MANY_FOREVER), -MANY_EDIED);
    for (int i = 0; i < 8; i++)
        executor_expect(others[i], i);
    executor_expect(executor_submit(pool, NULL, 50), 50);
    many_future_close(doomed);
    kind_close(pool);
}

static int executor_asks_the_pool_of_its_parent(const void *item, void *result, void *context)
{
    many_pool *pool = *(many_pool *const *)item;

    (void)context;
    ((int *)result)[0] = many_pool_submit(pool, executor_double, NULL, NULL);
    ((int *)result)[1] = many_pool_join(pool, 0);
    return 0;
}

/* There a pool cannot be pickled; here its address says in a worker that it is of no use. */
TEST(the_handle_of_a_pool_is_not_for_its_workers)
{
    many_pool *first = kind_pool(MANY_PROCESSES, 1), *second = kind_pool(MANY_PROCESSES, 1);
    int codes[2] = {0};

    CHECK_CODE(many_pool_apply_with(second, executor_asks_the_pool_of_its_parent, &first,
                                    sizeof(many_pool *), codes, sizeof codes, NULL),
               0);
    CHECK_EQUAL(codes[0], -MANY_EFORKED);
    CHECK_EQUAL(codes[1], -MANY_EFORKED);
    executor_expect(executor_submit(first, NULL, 4), 4);
    kind_close(first);
    kind_close(second);
}
#endif

/* ---- results and exceptions ---- */

/* result and its timeout: one that was too early changes nothing. */
BOTH(a_result_that_is_not_there_in_time_is_had_later)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 1);
    many_future *future = executor_submit(pool, words, 21);
    many_cause cause;
    int y = -1;

    CHECK_CODE(many_future_result(future, &y, sizeof y, 0.01), -ETIMEDOUT);
    CHECK_EQUAL(many_future_done(future), 0);
    CHECK_EQUAL(y, -1);
    CHECK_CODE(many_future_result(future, &y, sizeof y, 0), -ETIMEDOUT);
    CHECK_CODE(many_future_cause(future, &cause), -EAGAIN);
    CHECK_CODE((long)many_future_result_bytes(future), -EAGAIN);
    atomic_store(&words->gate, 1);
    executor_expect(future, 21);
    kind_close(pool);
}

/* result raises what the call raised, each time; exception is None where nothing was raised. */
BOTH(an_exception_comes_with_each_result_and_spares_the_others)
{
    many_pool *pool = kind_pool(kind, 2);
    many_future *futures[3];
    many_cause cause;
    int y = -1;

    for (int i = 0; i < 3; i++)
        futures[i] = executor_submit(pool, NULL, UNLUCKY - 1 + i);
    for (int again = 0; again < 3; again++) {
        CHECK_CODE(many_future_result(futures[1], &y, sizeof y, MANY_FOREVER), -MANY_ETASK);
        CHECK_CONTAINS(many_error_message(), "13 brings no luck");
        CHECK_EQUAL(y, -1);
        CHECK_CODE(many_future_cause(futures[1], &cause), 0);
        CHECK_EQUAL(cause.code, -EDOM);
        CHECK_CONTAINS(cause.text, "13 brings no luck");
    }
    CHECK_EQUAL(many_future_done(futures[1]), 1);
    CHECK_EQUAL(many_future_running(futures[1]), 0);
    CHECK_EQUAL(many_future_cancelled(futures[1]), 0);
    CHECK_EQUAL(many_future_cancel(futures[1]), 0);
    CHECK_CODE(many_future_wait(futures[0], MANY_FOREVER), 0);
    CHECK_CODE(many_future_cause(futures[0], &cause), 0);
    CHECK_EQUAL(cause.code, 0);
    CHECK_STRING(cause.text, "");
    many_future_close(futures[1]);
    executor_expect(futures[0], UNLUCKY - 1);
    executor_expect(futures[2], UNLUCKY + 1);
    kind_close(pool);
}
