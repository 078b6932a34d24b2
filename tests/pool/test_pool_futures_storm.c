/* SPDX-License-Identifier: MIT */
/* test_pool_futures_storm.c - threads that do everything with futures of one pool at once */
#include "each_kind.h"

#include <pthread.h>

#define STORM_THREADS 3
#define STORM_BATCH   12
#define STORM_ROUNDS  (60 / test_slowness() + 2)

typedef struct storm {
    many_pool *pool;
    _Atomic int given, called; /* callbacks */
    _Atomic int seeds;
} storm;

typedef struct storm_task {
    unsigned number;
    int fails, naps, submits;
} storm_task;

static int storm_inner(const void *item, void *result, void *context)
{
    (void)context;
    *(unsigned *)result = *(const unsigned *)item + 1;
    return 0;
}

/* Three times its number; now and then by way of a task of its own, which adds one to what it gets. */
static int storm_work(const void *item, void *result, void *context)
{
    const storm_task *task = item;
    unsigned value = 3 * task->number;

    (void)context;
    if (task->naps)
        poll(NULL, 0, 1);
    if (task->fails)
        return -EDOM;
    if (task->submits) {
        many_future *future = NULL, *first = NULL;
        many_completed *completed = NULL;
        unsigned before = value - 1;

        if (many_pool_submit(many_pool_current(), storm_inner, &before, &future,
                             .arg_bytes = sizeof before, .result_bytes = sizeof value) < 0)
            return -1;
        if (many_completed_open(&completed, &future, 1) < 0 ||
            many_completed_next(completed, &first, MANY_FOREVER) != 1 || first != future ||
            many_future_result(future, &value, sizeof value, 0) != sizeof value)
            return -2;
        many_completed_close(completed);
        many_future_close(future);
    }
    *(unsigned *)result = value;
    return 0;
}

static int storm_note(many_future *future, void *context)
{
    CHECK_EQUAL(many_future_done(future), 1);
    atomic_fetch_add(&((storm *)context)->called, 1);
    return 0;
}

typedef struct storm_one {
    many_future *future;
    storm_task task;
    int cut; /* it may have been cancelled */
} storm_one;

/* It ended as it had to. */
static void storm_check(const storm_one *one)
{
    unsigned value = 0;
    const ssize_t got = many_future_result(one->future, &value, sizeof value, MANY_FOREVER);

    if (got == -ECANCELED && one->cut)
        CHECK_EQUAL(many_future_cancelled(one->future), 1);
    else if (one->task.fails)
        CHECK_CODE(got, -MANY_ETASK);
    else if (got != -MANY_ETASK || !one->cut) /* what it waited for may have been cut off with it */
        CHECK(got == sizeof value && value == 3 * one->task.number);
    CHECK_EQUAL(many_future_done(one->future), 1);
}

static void storm_touch(storm *all, storm_one *one, unsigned choice)
{
    struct pollfd poller;

    switch (choice % 9) {
    case 0:
    case 1:
        atomic_fetch_add(&all->given, 1);
        CHECK_CODE(many_future_on_done(one->future, storm_note, all), 0);
        break;
    case 2:
        one->cut = 1;
        CHECK(many_future_cancel(one->future) >= 0);
        break;
    case 3:
        if (choice % 4 == 0) { /* seldom: a process dies of it */
            one->cut = 1;
            CHECK(many_future_terminate(one->future, 0.05) >= 0);
        }
        break;
    case 4:
        poller = (struct pollfd){many_future_descriptor(one->future), POLLIN, 0};
        CHECK(poller.fd >= 0);
        while (many_future_done(one->future) == 0)
            CHECK(poll(&poller, 1, -1) == 1);
        break;
    case 5:
        CHECK(many_future_wait(one->future, 0.0005) <= 0);
        break;
    case 6:
        storm_check(one);
        break;
    default:
        CHECK(many_future_running(one->future) >= 0);
        break;
    }
}

static void storm_gather(many_future **futures, unsigned choice)
{
    many_completed *completed = NULL;
    many_future *future = NULL;
    int count = 0;

    switch (choice % 4) {
    case 0:
        CHECK(many_futures_wait(futures, STORM_BATCH, MANY_FIRST_COMPLETED, NULL, MANY_FOREVER) >=
              1);
        break;
    case 1:
        CHECK(many_futures_wait(futures, STORM_BATCH, MANY_FIRST_EXCEPTION, NULL, MANY_FOREVER) >=
              1);
        break;
    case 2:
        CHECK_CODE(many_futures_wait(futures, STORM_BATCH, MANY_ALL_COMPLETED, NULL, MANY_FOREVER),
                   STORM_BATCH);
        break;
    default:
        CHECK_CODE(many_completed_open(&completed, futures, STORM_BATCH), 0);
        while (many_completed_next(completed, &future, MANY_FOREVER) == 1) {
            CHECK_EQUAL(many_future_done(future), 1);
            if (++count == STORM_BATCH / 2 && choice % 8 == 3)
                break; /* leaves early */
        }
        CHECK(count >= STORM_BATCH / 2);
        many_completed_close(completed);
        break;
    }
}

static void *storm_thread(void *argument)
{
    storm *all = argument;
    unsigned seed = (unsigned)atomic_fetch_add(&all->seeds, 1) + 1;

    for (int round = 0; round < STORM_ROUNDS; round++) {
        many_future *futures[STORM_BATCH];
        storm_one ones[STORM_BATCH];

        for (int i = 0; i < STORM_BATCH; i++) {
            const unsigned choice = (unsigned)rand_r(&seed) >> 3;

            ones[i] = (storm_one){
                NULL, {(unsigned)i, choice % 5 == 0, choice % 16 == 1, choice % 3 == 0}, 0};
            CHECK_CODE(many_pool_submit(all->pool, storm_work, &ones[i].task, &futures[i],
                                        .arg_bytes = sizeof ones[i].task,
                                        .result_bytes = sizeof(unsigned),
                                        .priority = (int)(choice % 7) - 3),
                       0);
            ones[i].future = futures[i];
        }
        for (int i = 0; i < STORM_BATCH; i++)
            storm_touch(all, &ones[(unsigned)rand_r(&seed) % STORM_BATCH],
                        (unsigned)rand_r(&seed) >> 3);
        storm_gather(futures, (unsigned)rand_r(&seed) >> 3);
        for (int i = 0; i < STORM_BATCH; i++) {
            if (rand_r(&seed) % 4 != 0) /* else it is closed as it is */
                storm_check(&ones[i]);
            many_future_close(futures[i]);
        }
    }
    return NULL;
}

BOTH(each_task_has_one_outcome_and_each_callback_one_call)
{
    pthread_t threads[STORM_THREADS];
    storm all = {.pool = NULL};
    test_census before;
    const unsigned one = 1;

    /* A sanitizer has a thread of its own once there was another. */
    all.pool = kind_pool(kind, 1);
    CHECK_CODE(many_pool_submit(all.pool, storm_inner, &one, NULL, .arg_bytes = sizeof one,
                                .result_bytes = sizeof one),
               0);
    kind_close(all.pool);
    before = test_census_take();
    all.pool = kind_pool(kind, 3);
    for (int i = 0; i < STORM_THREADS; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, storm_thread, &all), 0);
    for (int i = 0; i < STORM_THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_CODE(many_pool_join(all.pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&all.called), atomic_load(&all.given));
    kind_close(all.pool);
    CHECK_CENSUS(before);
}
