/* SPDX-License-Identifier: MIT */
/*
 * test_thread_circle.c - tasks of pools of threads that wait for tasks: nothing of that lasts for ever
 */
#include <errno.h>

#include "thread_cases.h"

/* The outcome of a wait in a task goes here. */
typedef struct wait_case {
    many_pool *pool;
    many_future *_Atomic awaited;
    _Atomic int go;
    int code;
    char words[256];
} wait_case;

static int wait_for_it(const void *item, void *result, void *context)
{
    wait_case *one = (wait_case *)(uintptr_t)item;

    (void)result;
    (void)context;
    UNTIL(atomic_load(&one->go));
    one->code = (int)many_future_result(atomic_load(&one->awaited), NULL, 0, MANY_FOREVER);
    snprintf(one->words, sizeof one->words, "%s", one->code < 0 ? many_error_message() : "");
    return 0;
}

/* The first deadlock of the documentation of ThreadPoolExecutor: a waits for b, b waits for a. */
TEST(thread_circle_of_two_tells_the_younger_and_the_other_gets_its_result)
{
    many_pool *pool = open_pool(2);

    for (int round = 0; round < 20; round++) {
        wait_case one[2] = {{.pool = pool}, {.pool = pool}};
        many_future *a = NULL, *b = NULL;

        CHECK_CODE(many_pool_submit(pool, wait_for_it, &one[0], &a, .name = "a"), 0);
        CHECK_CODE(many_pool_submit(pool, wait_for_it, &one[1], &b, .name = "b"), 0);
        atomic_store(&one[0].awaited, b);
        atomic_store(&one[1].awaited, a);
        /* Both orders of coming to wait. */
        atomic_store(&one[round % 2].go, 1);
        if (round % 4 < 2)
            usleep(2000);
        atomic_store(&one[1 - round % 2].go, 1);
        CHECK_CODE(many_future_result(a, NULL, 0, 60), 0);
        CHECK_CODE(many_future_result(b, NULL, 0, 60), 0);
        CHECK_EQUAL(one[0].code, 0);
        CHECK_EQUAL(one[1].code, -EDEADLK);
        CHECK_CONTAINS(one[1].words, "task 'b'");
        CHECK_CONTAINS(one[1].words, "waits for task 'a'");
        many_future_close(a);
        many_future_close(b);
    }
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ... and the second: a task that waits for one that has no worker left. */
static int submit_and_wait(const void *item, void *result, void *context)
{
    many_future *future = NULL;
    const long x = 5;
    long y = 0;

    (void)item;
    (void)result;
    CHECK_CODE(many_pool_submit(context, square, &x, &future, .arg_bytes = sizeof x,
                                .result_bytes = sizeof y),
               0);
    CHECK_EQUAL(many_future_result(future, &y, sizeof y, MANY_FOREVER), sizeof y);
    many_future_close(future);
    return y == 25 ? 0 : 1;
}

TEST(thread_pool_of_one_runs_the_task_that_its_task_waits_for)
{
    many_pool *pool = open_pool(1);
    many_future *future = NULL;

    CHECK_CODE(many_pool_submit(pool, submit_and_wait, NULL, &future, .context = pool), 0);
    CHECK_CODE(many_future_result(future, NULL, 0, 60), 0);
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(thread_task_that_waits_for_itself_is_told)
{
    many_pool *pool = open_pool(2);
    wait_case one = {.pool = pool};
    many_future *future = NULL;

    CHECK_CODE(many_pool_submit(pool, wait_for_it, &one, &future), 0);
    atomic_store(&one.awaited, future);
    atomic_store(&one.go, 1);
    CHECK_CODE(many_future_result(future, NULL, 0, 60), 0);
    CHECK_EQUAL(one.code, -EDEADLK);
    CHECK_CONTAINS(one.words, "waits for itself");
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static void ring_of(int n, many_pool **pools, int pools_count)
{
    wait_case one[8];
    many_future *future[8];
    int told = 0;

    memset(one, 0, sizeof one);
    for (int k = 0; k < n; k++)
        CHECK_CODE(many_pool_submit(pools[k % pools_count], wait_for_it, &one[k], &future[k]), 0);
    for (int k = 0; k < n; k++)
        atomic_store(&one[k].awaited, future[(k + 1) % n]);
    for (int k = 0; k < n; k++)
        atomic_store(&one[(k * 3 + 1) % n].go, 1);
    for (int k = 0; k < n; k++)
        atomic_store(&one[k].go, 1);
    for (int k = 0; k < n; k++) {
        CHECK_CODE(many_future_result(future[k], NULL, 0, 100), 0);
        CHECK(one[k].code == 0 || one[k].code == -EDEADLK);
        told += one[k].code == -EDEADLK;
    }
    CHECK_EQUAL(told, 1);
    if (pools_count == 1)
        CHECK_EQUAL(one[n - 1].code, -EDEADLK);
    for (int k = 0; k < n; k++)
        many_future_close(future[k]);
}

TEST(thread_circle_of_seven_is_broken_at_its_youngest)
{
    many_pool *pool = open_pool(7);

    ring_of(7, &pool, 1);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(thread_circle_through_two_pools_is_broken_once)
{
    many_pool *pools[2] = {open_pool(3), open_pool(3)};

    ring_of(6, pools, 2);
    CHECK_CODE(many_pool_close(pools[0], MANY_FOREVER), 0);
    CHECK_CODE(many_pool_close(pools[1], MANY_FOREVER), 0);
}

/* Two pools of one worker each; a task of the first waits for one of the second, which submits to the first and
 * waits: the only worker of that waits already, for what waits for this. So it runs it. */
static int ask_the_other(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    return submit_and_wait(NULL, NULL, context);
}

typedef struct two_pools {
    many_pool *first, *second;
} two_pools;

static int there_and_back(const void *item, void *result, void *context)
{
    const two_pools *both = context;
    many_future *future = NULL;
    ssize_t code;

    (void)item;
    (void)result;
    CHECK_CODE(many_pool_submit(both->second, ask_the_other, NULL, &future, .context = both->first),
               0);
    /* With a time limit nobody helps as a guest: the second pool's own worker has to run it. */
    code = many_future_result(future, NULL, 0, 100);
    many_future_close(future);
    return (int)code;
}

TEST(thread_task_whose_place_is_needed_by_what_it_waits_for_runs_that)
{
    two_pools both = {open_pool(1), open_pool(1)};
    many_future *future = NULL;

    CHECK_CODE(many_pool_submit(both.first, there_and_back, NULL, &future, .context = &both), 0);
    CHECK_CODE(many_future_result(future, NULL, 0, 100), 0);
    many_future_close(future);
    CHECK_CODE(many_pool_close(both.first, MANY_FOREVER), 0);
    CHECK_CODE(many_pool_close(both.second, MANY_FOREVER), 0);
}

/* ---- recursion ---- */

static int fibonacci(const void *item, void *result, void *context)
{
    const int n = *(const int *)item;
    int parts[2] = {n - 1, n - 2}, sum = n, part;
    many_future *future[2];

    (void)context;
    if (n >= 2) {
        sum = 0;
        for (int k = 0; k < 2; k++)
            CHECK_CODE(many_pool_submit(many_pool_current(), fibonacci, &parts[k], &future[k],
                                        .arg_bytes = sizeof(int), .result_bytes = sizeof(int)),
                       0);
        for (int k = 0; k < 2; k++) { /* the older first: not the one at the bottom */
            CHECK_EQUAL(many_future_result(future[k], &part, sizeof part, MANY_FOREVER),
                        sizeof part);
            sum += part;
            many_future_close(future[k]);
        }
    }
    memcpy(result, &sum, sizeof sum);
    return 0;
}

TEST(thread_tasks_that_wait_for_their_tasks_end_with_any_number_of_workers)
{
    static const int workers[] = {1, 2, 3, 8};

    for (size_t k = 0; k < sizeof workers / sizeof workers[0]; k++) {
        many_pool *pool = open_pool(workers[k]);
        many_future *future = NULL;
        int n = 16, sum = 0;

        CHECK_CODE(many_pool_submit(pool, fibonacci, &n, &future, .arg_bytes = sizeof n,
                                    .result_bytes = sizeof sum),
                   0);
        CHECK_EQUAL(many_future_result(future, &sum, sizeof sum, k % 2 == 0 ? 150 : MANY_FOREVER),
                    sizeof sum);
        CHECK_EQUAL(sum, 987);
        many_future_close(future);
        CHECK_EQUAL(look(pool).done, 3193);
        CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    }
}

/* A window of tasks, of which the oldest is waited for: what is out of date must not pile up. */
static int window(const void *item, void *result, void *context)
{
    many_future *future[8] = {NULL};
    long y;

    (void)item;
    (void)result;
    (void)context;
    for (long k = 0; k < 20000; k++) {
        many_future **slot = &future[k % 8];

        if (*slot != NULL) {
            const long x = k - 8;

            CHECK_EQUAL(many_future_result(*slot, &y, sizeof y, MANY_FOREVER), sizeof y);
            CHECK_EQUAL(y, x * x);
            many_future_close(*slot);
        }
        CHECK_CODE(many_pool_submit(many_pool_current(), square, &k, slot, .arg_bytes = sizeof k,
                                    .result_bytes = sizeof y),
                   0);
    }
    for (int k = 0; k < 8; k++)
        many_future_close(future[k]);
    return 0;
}

TEST(thread_task_that_waits_for_the_oldest_of_its_tasks_goes_on_and_on)
{
    for (int workers = 1; workers <= 2; workers++) {
        many_pool *pool = open_pool(workers);
        many_future *future = NULL;

        CHECK_CODE(many_pool_submit(pool, window, NULL, &future), 0);
        CHECK_CODE(many_future_result(future, NULL, 0, 150), 0);
        many_future_close(future);
        CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    }
}

/* What a waiting task runs meanwhile is what it waits for and what came from that; never just anything: it may
 * hold a lock. */
static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;

static int take_the_lock(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    pthread_mutex_lock(&held_lock);
    pthread_mutex_unlock(&held_lock);
    return 0;
}

static int hold_the_lock_and_wait(const void *item, void *result, void *context)
{
    many_future *future = NULL;

    (void)item;
    (void)result;
    pthread_mutex_lock(&held_lock);
    CHECK_CODE(many_pool_submit(many_pool_current(), pass, context, &future), 0);
    /* Another task of this one, which wants the lock. */
    CHECK_CODE(many_pool_submit(many_pool_current(), take_the_lock, NULL, NULL), 0);
    atomic_store(&((gate *)context)->open, 1);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), 0);
    many_future_close(future);
    pthread_mutex_unlock(&held_lock);
    return 0;
}

TEST(thread_task_that_waits_with_a_lock_runs_nothing_that_wants_it)
{
    for (int round = 0; round < 200; round++) {
        many_pool *pool = open_pool(1 + round % 3);
        gate at = {0};

        CHECK_CODE(many_pool_submit(pool, hold_the_lock_and_wait, NULL, NULL, .context = &at), 0);
        for (int k = 0; k < 5; k++)
            CHECK_CODE(many_pool_submit(pool, take_the_lock, NULL, NULL), 0);
        CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    }
}

static int wait_and_tell(const void *item, void *result, void *context)
{
    return wait_for_it(item, result, context);
}

TEST(thread_status_shows_who_waits_for_whom)
{
    many_pool *pool = open_pool(2);
    wait_case one = {.pool = pool};
    many_worker_status workers[2];
    many_future *held = NULL, *waits = NULL;
    gate at = {0};
    int w;

    CHECK_CODE(many_pool_submit(pool, pass, &at, &held, .name = "slow"), 0);
    UNTIL(atomic_load(&at.entered) == 1);
    atomic_store(&one.awaited, held);
    atomic_store(&one.go, 1);
    CHECK_CODE(many_pool_submit(pool, wait_and_tell, &one, &waits, .name = "patient"), 0);
    do {
        CHECK_EQUAL(many_pool_look(pool, NULL, workers, 2), 2);
        w = workers[0].waits ? 0 : 1;
    } while (!workers[w].waits);
    CHECK_STRING(workers[w].name, "patient");
    CHECK_STRING(workers[w].waits_for_name, "slow");
    CHECK_EQUAL(workers[w].waits_for, 0);
    CHECK_EQUAL(workers[w].waits_for_worker, 1 - w);
    atomic_store(&at.open, 1);
    CHECK_CODE(many_future_result(waits, NULL, 0, MANY_FOREVER), 0);
    many_future_close(held);
    many_future_close(waits);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* A wait for what can no longer happen ends. */
TEST(thread_wait_for_a_task_that_is_cancelled_meanwhile_ends)
{
    many_pool *pool = open_pool(2), *other = open_pool(1);
    wait_case one = {.pool = pool};
    many_future *held, *never = NULL, *waits = NULL;
    gate at = {0};

    hold_all(other, &at, &held);
    CHECK_CODE(many_pool_submit(other, square, NULL, &never), 0);
    atomic_store(&one.awaited, never);
    atomic_store(&one.go, 1);
    CHECK_CODE(many_pool_submit(pool, wait_for_it, &one, &waits), 0);
    usleep(2000);
    CHECK_EQUAL(many_pool_cancel_waiting(other), 1);
    CHECK_CODE(many_future_result(waits, NULL, 0, 100), 0);
    CHECK_EQUAL(one.code, -ECANCELED);
    many_future_close(waits);
    many_future_close(never);
    let_go(&at, &held, 1);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    CHECK_CODE(many_pool_close(other, MANY_FOREVER), 0);
}
