/* SPDX-License-Identifier: MIT */
/*
 * test_thread_faults.c - pools of threads whose threads lose their CPU, or sleep for a moment, between the steps of
 *                        what they do with one another; and where threads and memory cannot be had
 */
#include "base/fault.h"
#include "os/clock.h"
#include "thread_chaos.h"

static _Thread_local uint64_t fault_seed;
static _Atomic uint64_t fault_seeds;
static const char *_Atomic fault_only; /* NULL: at all points */

/* One time in some, yield; one in more, sleep for up to 2 ms: longer than a nap of a worker. */
static int stumble(const char *point)
{
    uint64_t bits;

    if (strncmp(point, "thread.", 7) != 0 && strncmp(point, "deque.", 6) != 0)
        return 0;
    if (fault_only != NULL && strcmp(point, fault_only) != 0)
        return 0;
    if (strcmp(point, "thread.start") == 0)
        return 0;
    if (fault_seed == 0)
        fault_seed = atomic_fetch_add(&fault_seeds, 0x9e3779b97f4a7c15) | 1;
    bits = draw(&fault_seed);
    if (bits % 64 == 0)
        usleep((useconds_t)(bits >> 32 & 2047));
    else if (bits % 8 == 0)
        sched_yield();
    return 0;
}

TEST(thread_chaos_with_threads_that_stumble_gives_each_task_one_outcome)
{
    many_fault_hook_ = stumble;
    for (int round = 0; round < 3; round++)
        chaos((uint64_t)round + 100, 250);
    many_fault_hook_ = NULL;
}

TEST(thread_chaos_with_ends_and_threads_that_stumble_hangs_nobody)
{
    many_fault_hook_ = stumble;
    chaos_with_ends(30);
    many_fault_hook_ = NULL;
}

/* Each point of the protocols between who submits and who sleeps, alone and always in the way. */
static int stop_there(const char *point)
{
    const char *only = fault_only;

    if (only != NULL && strcmp(point, only) == 0)
        usleep(1200);
    return 0;
}

static void *bursts(void *argument)
{
    for (int k = 0; k < 150; k++) {
        many_future *future = NULL;
        const long x = k;
        long y = 0;

        CHECK_CODE(many_pool_submit(argument, square, &x, &future, .arg_bytes = sizeof x,
                                    .result_bytes = sizeof y),
                   0);
        if (k % 10 == 0)
            usleep(1000); /* so that workers fall asleep in between */
        CHECK_EQUAL(many_future_result(future, &y, sizeof y, k % 2 == 0 ? 100 : MANY_FOREVER),
                    sizeof y);
        CHECK_EQUAL(y, x * x);
        many_future_close(future);
    }
    return NULL;
}

TEST(thread_pool_loses_no_task_and_no_sleeper_wherever_a_thread_is_held_up)
{
    static const char *const points[] = {
        "thread.sleep.counted",    "thread.sleep.saw_work",    "thread.wake.chosen",
        "thread.work.looked",      "thread.place.leaves",      "thread.nudge.published",
        "thread.list.stale",       "thread.run.before_settle", "thread.crowd.counted",
        "thread.close.marked",     "deque.pop.between",        "deque.steal.before_swap",
        "deque.push.before_bottom"};

    for (size_t p = 0; p < sizeof points / sizeof points[0]; p++) {
        many_pool *pool = NULL;
        pthread_t threads[2];

        CHECK_CODE(many_pool_open(&pool, .workers = 2, .waiting_most = 2), 0);
        fault_only = points[p];
        many_fault_hook_ = stop_there;
        for (int k = 0; k < 2; k++)
            CHECK_EQUAL(pthread_create(&threads[k], NULL, bursts, pool), 0);
        for (int k = 0; k < 2; k++)
            pthread_join(threads[k], NULL);
        CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
        many_fault_hook_ = NULL;
        fault_only = NULL;
        CHECK_EQUAL(look(pool).done, 300);
        CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    }
}

/* ---- what cannot be had ---- */

static _Atomic int threads_left;

static int few_threads(const char *point)
{
    if (strcmp(point, "thread.start") != 0)
        return 0;
    return atomic_fetch_sub(&threads_left, 1) > 0 ? 0 : -EAGAIN;
}

TEST(thread_pool_without_a_thread_refuses_with_words_and_works_when_there_are_some)
{
    many_pool *pool = open_pool(3);
    many_future *future = NULL;
    _Atomic int ran = 0;

    atomic_store(&threads_left, 0);
    many_fault_hook_ = few_threads;
    CHECK_CODE(many_pool_submit(pool, count, NULL, &future, .context = &ran), -MANY_EBROKEN);
    CHECK(future == NULL);
    CHECK_CONTAINS(many_error_message(), "ulimit -u");
    atomic_store(&threads_left, 1);
    for (int k = 0; k < 100; k++)
        CHECK_CODE(many_pool_submit(pool, count, NULL, NULL, .context = &ran), 0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&ran), 100);
    CHECK_EQUAL(look(pool).alive, 1);
    many_fault_hook_ = NULL;
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(thread_pool_whose_workers_cannot_be_replaced_goes_on_with_those_it_has)
{
    many_pool *pool = NULL;
    _Atomic int ran = 0;

    atomic_store(&threads_left, 2);
    many_fault_hook_ = few_threads;
    CHECK_CODE(many_pool_open(&pool, .workers = 2, .tasks_per_worker = 2), 0);
    for (int k = 0; k < 50; k++)
        CHECK_CODE(many_pool_submit(pool, count, NULL, NULL, .context = &ran), 0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&ran), 50);
    many_fault_hook_ = NULL;
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}
