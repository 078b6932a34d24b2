/* SPDX-License-Identifier: MIT */
/*
 * test_thread_pool_ends.c - pools of threads: what is cancelled, terminated, finished and closed; workers that are
 *                           initialized, replaced, idle; callbacks, forks, status
 */
#include <sys/resource.h>

#include "thread_cases.h"

static _Atomic int at_a_time;

static int until_cancelled(const void *item, void *result, void *context)
{
    gate *at = (gate *)(uintptr_t)item;

    (void)result;
    (void)context;
    if (at != NULL)
        atomic_fetch_add(&at->entered, 1);
    UNTIL(many_cancelled());
    return 0;
}

typedef struct who {
    size_t index;
    int worker, cancelled, inside;
} who;

static int tell(const void *item, void *result, void *context)
{
    who *self = result;

    (void)item;
    self->index = many_item_index();
    self->worker = many_worker_index();
    self->cancelled = many_cancelled();
    self->inside = many_pool_current() == context;
    return 0;
}

/* ---- cancelling ---- */

TEST(thread_pool_waiting_task_is_cancelled_and_never_run)
{
    many_pool *pool = open_pool(1);
    many_future *held, *future = NULL;
    _Atomic int ran = 0;
    gate at = {0};
    many_cause cause;

    hold_all(pool, &at, &held);
    CHECK_EQUAL(many_future_running(held), 1);
    CHECK_EQUAL(many_future_cancel(held), 0);
    CHECK_CODE(many_pool_submit(pool, count, NULL, &future, .context = &ran), 0);
    CHECK_EQUAL(many_future_running(future), 0);
    CHECK_CODE(many_future_result(future, NULL, 0, 0), -ETIMEDOUT);
    CHECK_EQUAL(many_future_cancel(future), 1);
    CHECK_EQUAL(many_future_cancel(future), 1);
    CHECK_EQUAL(many_future_cancelled(future), 1);
    CHECK_EQUAL(many_future_done(future), 1);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -ECANCELED);
    CHECK_CODE(many_future_cause(future, &cause), 0);
    CHECK_EQUAL(cause.cancelled, 1);
    CHECK_EQUAL(cause.worker, -1);
    many_future_close(future);
    CHECK_EQUAL(look(pool).waiting, 0);
    CHECK_EQUAL(look(pool).cancelled, 1);
    let_go(&at, &held, 1);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&ran), 0);
}

TEST(thread_pool_terminated_task_is_told_and_counts_as_cancelled)
{
    many_pool *pool = open_pool(1);
    many_future *future = NULL;
    gate at = {0};

    CHECK_CODE(many_pool_submit(pool, until_cancelled, &at, &future), 0);
    UNTIL(atomic_load(&at.entered) == 1);
    CHECK_EQUAL(many_future_terminate(future, 0), 1);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -ECANCELED);
    CHECK_EQUAL(many_future_terminate(future, 0), 0);
    CHECK_EQUAL(many_future_cancelled(future), 1);
    many_future_close(future);
    /* The pool goes on, and the next task is not told. */
    CHECK_CODE(many_pool_submit(pool, tell, NULL, &future, .result_bytes = sizeof(who)), 0);
    CHECK_CODE(many_future_wait(future, MANY_FOREVER), 0);
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int submit_after(const void *item, void *result, void *context)
{
    gate *at = (gate *)(uintptr_t)item;

    (void)result;
    (void)context;
    atomic_fetch_add(&at->entered, 1);
    UNTIL(many_cancelled());
    return many_pool_submit(many_pool_current(), count, NULL, NULL, .context = &at_a_time) ==
                   -ESHUTDOWN
               ? 0
               : 1;
}

TEST(thread_pool_terminate_cancels_what_waits_and_tells_what_runs)
{
    many_pool *pool = open_pool(2);
    many_future *runs[2], *waits[50];
    gate at = {0};

    for (int k = 0; k < 2; k++)
        CHECK_CODE(many_pool_submit(pool, submit_after, &at, &runs[k]), 0);
    UNTIL(atomic_load(&at.entered) == 2);
    for (int k = 0; k < 50; k++)
        CHECK_CODE(many_pool_submit(pool, count, NULL, &waits[k], .context = &at_a_time,
                                    .priority = k % 7 - 3),
                   0);
    CHECK_CODE(many_pool_terminate(pool), 0);
    CHECK_CODE(many_pool_submit(pool, count, NULL, NULL, .context = &at_a_time), -ESHUTDOWN);
    for (int k = 0; k < 50; k++) {
        CHECK_EQUAL(many_future_cancelled(waits[k]), 1);
        many_future_close(waits[k]);
    }
    for (int k = 0; k < 2; k++) {
        CHECK_CODE(many_future_result(runs[k], NULL, 0, MANY_FOREVER), -ECANCELED);
        many_future_close(runs[k]);
    }
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- the end ---- */

static int submit_at_the_end(const void *item, void *result, void *context)
{
    gate *at = (gate *)(uintptr_t)item;

    (void)result;
    atomic_fetch_add(&at->entered, 1);
    UNTIL(atomic_load(&at->open));
    return many_pool_submit(many_pool_current(), count, NULL, NULL, .context = context);
}

TEST(thread_pool_that_is_finished_does_what_is_there_and_what_that_submits)
{
    many_pool *pool = open_pool(1);
    _Atomic int ran = 0;
    gate at = {0};

    CHECK_CODE(many_pool_submit(pool, submit_at_the_end, &at, NULL, .context = &ran), 0);
    CHECK_CODE(many_pool_submit(pool, count, NULL, NULL, .context = &ran), 0);
    UNTIL(atomic_load(&at.entered) == 1);
    CHECK_CODE(many_pool_finish(pool), 0);
    CHECK_CODE(many_pool_submit(pool, count, NULL, NULL, .context = &ran), -ESHUTDOWN);
    CHECK_CODE(many_pool_join(pool, 0), -ETIMEDOUT);
    atomic_store(&at.open, 1);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&ran), 2);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(thread_pool_is_joined_and_goes_on)
{
    many_pool *pool = open_pool(2);
    _Atomic int ran = 0;

    CHECK_CODE(many_pool_join(pool, 0), 0);
    for (int round = 1; round <= 200; round++) {
        for (int k = 0; k < 20; k++)
            CHECK_CODE(many_pool_submit(pool, count, NULL, NULL, .context = &ran), 0);
        CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
        CHECK_EQUAL(atomic_load(&ran), 20 * round);
    }
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int join_itself(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    return many_pool_join(context, MANY_FOREVER) == -EDEADLK &&
                   many_pool_close(context, 0) == -EDEADLK
               ? 0
               : 1;
}

TEST(thread_pool_joined_by_its_own_task_says_deadlock)
{
    many_pool *pool = open_pool(1);
    many_future *future = NULL;

    CHECK_CODE(many_pool_submit(pool, join_itself, NULL, &future, .context = pool), 0);
    CHECK_CODE(many_future_result(future, NULL, 0, 100), 0);
    many_future_close(future);
    CHECK_CODE(many_pool_submit(pool, join_itself, NULL, &future, .context = pool), 0);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), 0);
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(thread_pool_closed_without_time_cuts_off_what_is_there_and_leaves_the_outcomes)
{
    many_pool *pool = open_pool(1);
    many_future *runs = NULL, *waits = NULL, *done = NULL;
    gate at = {0};
    long x = 3, y = 0;

    CHECK_CODE(
        many_pool_submit(pool, square, &x, &done, .arg_bytes = sizeof x, .result_bytes = sizeof y),
        0);
    CHECK_CODE(many_future_wait(done, MANY_FOREVER), 0);
    CHECK_CODE(many_pool_submit(pool, until_cancelled, &at, &runs), 0);
    CHECK_CODE(many_pool_submit(pool, count, NULL, &waits, .context = &at_a_time), 0);
    UNTIL(atomic_load(&at.entered) == 1);
    CHECK_CODE(many_pool_close(pool, 0), -ETIMEDOUT);
    CHECK_CODE(many_future_result(runs, NULL, 0, 0), -ECANCELED);
    CHECK_CODE(many_future_result(waits, NULL, 0, 0), -ECANCELED);
    CHECK_EQUAL(many_future_result(done, &y, sizeof y, 0), sizeof y);
    CHECK_EQUAL(y, 9);
    many_future_close(runs);
    many_future_close(waits);
    many_future_close(done);
}

static void scope_of_a_pool(_Atomic int *ran)
{
    MANY_POOL_SCOPE many_pool *pool = NULL;

    CHECK_CODE(many_pool_open(&pool, .workers = 2), 0);
    for (int k = 0; k < 100; k++)
        CHECK_CODE(many_pool_submit(pool, count, NULL, NULL, .context = ran), 0);
}

TEST(thread_pool_leaves_nothing_behind_on_any_way_out)
{
    _Atomic int ran = 0;
    test_census before;

    scope_of_a_pool(&ran);
    before = test_census_take();
    for (int round = 0; round < 60; round++) {
        many_pool *pool = open_pool(1 + round % 4);
        many_future *future = NULL, *left = NULL;
        gate at = {.open = 1};

        CHECK_CODE(many_pool_submit(pool, pass, &at, &future), 0);
        for (int k = 0; k < round; k++)
            CHECK_CODE(many_pool_submit(pool, count, NULL, k == 5 ? &left : NULL, .context = &ran),
                       0);
        if (round % 5 == 0)
            many_future_close(future);
        if (round % 3 == 0)
            many_pool_terminate(pool);
        many_pool_close(pool, round % 2 == 0 ? 0 : MANY_FOREVER);
        if (round % 5 != 0)
            many_future_close(future);
        many_future_close(left);
        scope_of_a_pool(&ran);
    }
    CHECK_CENSUS(before);
}

/* ---- workers ---- */

static _Atomic int initialized;
static _Thread_local int mine;

static int initialize(void *argument)
{
    mine = *(const int *)argument;
    atomic_fetch_add(&initialized, 1);
    return 0;
}

static int read_mine(const void *item, void *result, void *context)
{
    (void)item;
    (void)context;
    memcpy(result, &mine, sizeof mine);
    return 0;
}

TEST(thread_pool_initializer_runs_in_each_worker_before_its_first_task)
{
    many_pool *pool = NULL;
    int value = 41;

    atomic_store(&initialized, 0);
    CHECK_CODE(many_pool_open(&pool, .workers = 3, .initializer = initialize,
                              .initializer_argument = &value, .initializer_bytes = sizeof value),
               0);
    value = 0;
    for (int k = 0; k < 100; k++) {
        many_future *future = NULL;
        int got = 0;

        CHECK_CODE(many_pool_submit(pool, read_mine, NULL, &future, .result_bytes = sizeof got), 0);
        CHECK_EQUAL(many_future_result(future, &got, sizeof got, MANY_FOREVER), sizeof got);
        CHECK_EQUAL(got, 41);
        many_future_close(future);
    }
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    CHECK(atomic_load(&initialized) >= 1 && atomic_load(&initialized) <= 3);
}

static int initialize_badly(void *argument)
{
    atomic_fetch_add((_Atomic int *)argument, 1);
    return 13;
}

TEST(thread_pool_whose_initializer_fails_three_times_is_broken)
{
    many_pool *pool = NULL;
    many_future *future[10];
    _Atomic int tries = 0;
    many_cause cause;
    int code = 0, n = 0;

    CHECK_CODE(many_pool_open(&pool, .workers = 2, .initializer = initialize_badly,
                              .initializer_argument = (void *)&tries),
               0);
    while (n < 10 &&
           (code = many_pool_submit(pool, count, NULL, &future[n], .context = &at_a_time)) == 0)
        n++;
    CHECK(code == 0 || code == -MANY_EBROKEN);
    CHECK(n > 0);
    for (int k = 0; k < n; k++) {
        CHECK_CODE(many_future_result(future[k], NULL, 0, MANY_FOREVER), -MANY_EBROKEN);
        CHECK_CODE(many_future_cause(future[k], &cause), 0);
        CHECK_CONTAINS(cause.text, "initializer");
        many_future_close(future[k]);
    }
    CHECK_CODE(many_pool_submit(pool, count, NULL, NULL, .context = &at_a_time), -MANY_EBROKEN);
    CHECK_CONTAINS(many_error_message(), "initializer");
    CHECK_EQUAL(look(pool).broken, -MANY_EBROKEN);
    CHECK(atomic_load(&tries) >= 3);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int initialize_at_last(void *argument)
{
    return atomic_fetch_add((_Atomic int *)argument, 1) < 2 ? -1 : 0;
}

TEST(thread_pool_whose_initializer_succeeds_the_third_time_works)
{
    many_pool *pool = NULL;
    _Atomic int tries = 0, ran = 0;

    CHECK_CODE(many_pool_open(&pool, .workers = 1, .initializer = initialize_at_last,
                              .initializer_argument = (void *)&tries),
               0);
    CHECK_CODE(many_pool_submit(pool, count, NULL, NULL, .context = &ran), 0);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&ran), 1);
    CHECK_EQUAL(atomic_load(&tries), 3);
}

/* How many tasks has this very thread begun? */
static int count_mine(const void *item, void *result, void *context)
{
    (void)item;
    (void)context;
    mine++;
    memcpy(result, &mine, sizeof mine);
    return 0;
}

TEST(thread_pool_replaces_a_worker_after_its_share_of_tasks)
{
    many_pool *pool = NULL;
    many_future *future[30];
    int ones = 0;

    CHECK_CODE(many_pool_open(&pool, .workers = 2, .tasks_per_worker = 3), 0);
    for (int k = 0; k < 30; k++)
        CHECK_CODE(
            many_pool_submit(pool, count_mine, NULL, &future[k], .result_bytes = sizeof(int)), 0);
    for (int k = 0; k < 30; k++) {
        int got = 0;

        CHECK_EQUAL(many_future_result(future[k], &got, sizeof got, MANY_FOREVER), sizeof got);
        CHECK(got >= 1 && got <= 3);
        ones += got == 1;
        many_future_close(future[k]);
    }
    CHECK(ones >= 10);
    UNTIL(look(pool).replaced >= 9);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int rest(const void *item, void *result, void *context)
{
    (void)context;
    usleep(*(const useconds_t *)item);
    memcpy(result, &(pid_t){getpid()}, sizeof(pid_t));
    return 0;
}

TEST(thread_pool_that_is_idle_uses_no_cpu)
{
    many_pool *pool = open_pool(4);
    many_future *held[4];
    gate at = {0};
    struct rusage before, after;
    double used;

    hold_all(pool, &at, held);
    let_go(&at, held, 4);
    usleep(20000);
    getrusage(RUSAGE_SELF, &before);
    usleep(300000);
    getrusage(RUSAGE_SELF, &after);
    used = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
           (double)(after.ru_stime.tv_sec - before.ru_stime.tv_sec) +
           (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1e6 +
           (double)(after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1e6;
    CHECK(used < 0.1);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(thread_pool_waits_no_longer_than_the_timeout_and_the_task_goes_on)
{
    many_pool *pool = open_pool(1);
    many_future *future = NULL;
    useconds_t pause = 200000;
    pid_t pid = 0;

    CHECK_CODE(many_pool_submit(pool, rest, &pause, &future, .arg_bytes = sizeof pause,
                                .result_bytes = sizeof pid),
               0);
    CHECK_CODE(many_future_result(future, &pid, sizeof pid, 0.001), -ETIMEDOUT);
    CHECK_EQUAL(many_future_result(future, &pid, sizeof pid, MANY_FOREVER), sizeof pid);
    CHECK_EQUAL(pid, getpid());
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- callbacks ---- */

static int note_done(many_future *future, void *context)
{
    CHECK_EQUAL(many_future_done(future), 1);
    atomic_fetch_add((_Atomic int *)context, 1);
    return 0;
}

static int fail_done(many_future *future, void *context)
{
    (void)future;
    (void)context;
    return -42;
}

TEST(thread_pool_callbacks_were_called_when_join_returns_and_their_failure_is_told_once)
{
    many_pool *pool = open_pool(2);
    _Atomic int called = 0;

    for (int round = 1; round <= 100; round++) {
        for (int k = 0; k < 10; k++)
            CHECK_CODE(many_pool_submit(pool, square, &(long){k}, NULL, .arg_bytes = sizeof(long),
                                        .result_bytes = sizeof(long), .on_done = note_done,
                                        .on_done_context = (void *)&called),
                       0);
        CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
        CHECK_EQUAL(atomic_load(&called), 10 * round);
    }
    CHECK_CODE(many_pool_submit(pool, square, &(long){3}, NULL, .arg_bytes = sizeof(long),
                                .result_bytes = sizeof(long), .on_done = fail_done),
               0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), -42);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int submit_in_callback(many_future *future, void *context)
{
    (void)future;
    return many_pool_submit(context, count, NULL, NULL, .context = &at_a_time);
}

TEST(thread_pool_callback_may_submit_to_its_pool)
{
    many_pool *pool = open_pool(1);

    atomic_store(&at_a_time, 0);
    for (int k = 0; k < 100; k++)
        CHECK_CODE(many_pool_submit(pool, square, &(long){k}, NULL, .arg_bytes = sizeof(long),
                                    .result_bytes = sizeof(long), .on_done = submit_in_callback,
                                    .on_done_context = pool),
                   0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&at_a_time), 100);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- fork ---- */

static many_pool *forked_pool;
static many_future *forked_future;

static void use_in_child(void *argument)
{
    (void)argument;
    CHECK_CODE(many_pool_submit(forked_pool, count, NULL, NULL), -MANY_EFORKED);
    CHECK_CODE(many_pool_join(forked_pool, 0), -MANY_EFORKED);
    CHECK_CODE(many_future_wait(forked_future, 0), -MANY_EFORKED);
    many_future_close(forked_future);
    CHECK_CODE(many_pool_close(forked_pool, MANY_FOREVER), -MANY_EFORKED);
    forked_pool = open_pool(2); /* its own */
    CHECK_CODE(many_pool_submit(forked_pool, count, NULL, &forked_future, .context = &at_a_time),
               0);
    CHECK_CODE(many_future_wait(forked_future, MANY_FOREVER), 0);
    many_future_close(forked_future);
    CHECK_CODE(many_pool_close(forked_pool, MANY_FOREVER), 0);
}

TEST(thread_pool_of_the_parent_is_refused_in_a_child_which_may_open_its_own)
{
    many_future *held;
    gate at = {0};

    if (TEST_TSAN)
        test_skip("TSan dies where a child of a parent with threads starts a thread");
    forked_pool = open_pool(1);
    hold_all(forked_pool, &at, &held);
    CHECK_CODE(many_pool_submit(forked_pool, count, NULL, &forked_future, .context = &at_a_time),
               0);
    CHECK_EQUAL(test_in_child(use_in_child, NULL), 0);
    let_go(&at, &held, 1);
    CHECK_CODE(many_future_wait(forked_future, MANY_FOREVER), 0);
    many_future_close(forked_future);
    CHECK_CODE(many_pool_close(forked_pool, MANY_FOREVER), 0);
}

/* ---- status ---- */

TEST(thread_pool_status_counts_each_task_where_it_is)
{
    many_pool *pool = open_pool(2);
    many_future *held[2];
    many_worker_status workers[2];
    many_pool_status status;
    _Atomic int ran = 0;
    gate at = {0};

    status = look(pool);
    CHECK_EQUAL(status.alive, 0);
    CHECK_EQUAL(status.kind, MANY_THREADS);
    CHECK_CODE(many_pool_submit(pool, pass, &at, &held[0], .name = "left"), 0);
    CHECK_CODE(many_pool_submit(pool, pass, &at, &held[1], .name = "right"), 0);
    UNTIL(atomic_load(&at.entered) == 2);
    for (int k = 0; k < 5; k++)
        CHECK_CODE(many_pool_submit(pool, count, NULL, NULL, .context = &ran), 0);
    CHECK_EQUAL(many_pool_look(pool, &status, workers, 2), 2);
    CHECK_EQUAL(status.waiting, 5);
    CHECK_EQUAL(status.running, 2);
    CHECK_EQUAL(status.done, 0);
    CHECK_EQUAL(status.alive, 2);
    for (int w = 0; w < 2; w++) {
        CHECK_EQUAL(workers[w].depth, 1);
        CHECK_EQUAL(workers[w].pid, getpid());
        CHECK(strcmp(workers[w].name, "left") == 0 || strcmp(workers[w].name, "right") == 0);
    }
    let_go(&at, held, 2);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    status = look(pool);
    CHECK_EQUAL(status.waiting, 0);
    CHECK_EQUAL(status.running, 0);
    CHECK_EQUAL(status.done, 7);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}
