/* SPDX-License-Identifier: MIT */
/* test_pool_futures.c - futures of real pools: concurrent.futures' promises, with threads and with processes */
#include "each_kind.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>

#define TASKS 12

typedef struct gates {
    _Atomic int open[TASKS];
    _Atomic int begun[TASKS];
} gates;

/* Task number i: waits for its gate, returns 10 * i; a negative gate is what it fails with. */
static int pass_gate(const void *item, void *result, void *context)
{
    const int i = *(const int *)item;
    gates *all = context;
    int open;

    atomic_store(&all->begun[i], 1);
    while ((open = atomic_load(&all->open[i])) == 0 && !many_cancelled())
        poll(NULL, 0, 1);
    *(int *)result = 10 * i;
    return open < 0 ? open : 0;
}

static many_future *submit(many_pool *pool, gates *all, int i)
{
    many_future *future = NULL;

    CHECK_CODE(many_pool_submit(pool, pass_gate, &i, &future, .arg_bytes = sizeof i,
                                .result_bytes = sizeof i, .context = all),
               0);
    return future;
}

static void submit_all(many_pool *pool, gates *all, many_future **futures, int count)
{
    for (int i = 0; i < count; i++)
        futures[i] = submit(pool, all, i);
}

static void close_all(many_future **futures, int count)
{
    for (int i = 0; i < count; i++)
        many_future_close(futures[i]);
}

BOTH(wait_knows_first_first_exception_and_all)
{
    gates *all = test_shared(sizeof *all);
    many_pool *pool = kind_pool(kind, 4);
    many_future *futures[4];
    int over[4];

    submit_all(pool, all, futures, 4);
    CHECK_CODE(many_futures_wait(futures, 4, MANY_FIRST_COMPLETED, over, 0.02), -ETIMEDOUT);
    atomic_store(&all->open[2], 1);
    CHECK_CODE(many_futures_wait(futures, 4, MANY_FIRST_COMPLETED, over, MANY_FOREVER), 1);
    CHECK_EQUAL(over[0] + 10 * over[1] + 100 * over[2] + 1000 * over[3], 100);
    CHECK_CODE(many_futures_wait(futures, 4, MANY_FIRST_EXCEPTION, over, 0.02), -ETIMEDOUT);
    atomic_store(&all->open[3], -EIO);
    CHECK_CODE(many_futures_wait(futures, 4, MANY_FIRST_EXCEPTION, over, MANY_FOREVER), 2);
    CHECK_EQUAL(over[0] + 10 * over[1] + 100 * over[2] + 1000 * over[3], 1100);
    CHECK_CODE(many_futures_wait(futures, 4, MANY_ALL_COMPLETED, over, 0.02), -ETIMEDOUT);
    atomic_store(&all->open[0], 1);
    atomic_store(&all->open[1], 1);
    CHECK_CODE(many_futures_wait(futures, 4, MANY_ALL_COMPLETED, over, MANY_FOREVER), 4);
    close_all(futures, 4);
    kind_close(pool);
}

BOTH(as_completed_gives_them_as_they_end)
{
    static const int order[] = {2, 0, 3, 1};
    gates *all = test_shared(sizeof *all);
    many_pool *pool = kind_pool(kind, 4);
    many_future *futures[4], *future = NULL;
    many_completed *completed = NULL;
    int result = -1;

    submit_all(pool, all, futures, 4);
    CHECK_CODE(many_completed_open(&completed, futures, 4), 0);
    CHECK_CODE(many_completed_next(completed, &future, 0), -ETIMEDOUT);
    CHECK_CODE(many_completed_next(completed, &future, 0.01), -ETIMEDOUT);
    for (int i = 0; i < 4; i++) {
        atomic_store(&all->open[order[i]], 1);
        CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
        CHECK(future == futures[order[i]]);
        CHECK_CODE(many_future_result(future, &result, sizeof result, 0), sizeof result);
        CHECK_EQUAL(result, 10 * order[i]);
    }
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 0);
    many_completed_close(completed);
    close_all(futures, 4);
    kind_close(pool);
}

BOTH(what_waits_can_be_cancelled_and_what_runs_cannot)
{
    gates *all = test_shared(sizeof *all);
    many_pool *pool = kind_pool(kind, 1);
    many_future *futures[3];
    int result = 0;

    submit_all(pool, all, futures, 3);
    UNTIL(atomic_load(&all->begun[0]));
    CHECK_EQUAL(many_future_running(futures[0]), 1);
    CHECK_EQUAL(many_future_running(futures[1]), 0);
    CHECK_EQUAL(many_future_cancel(futures[0]), 0);
    CHECK_EQUAL(many_future_cancel(futures[1]), 1);
    CHECK_EQUAL(many_future_cancel(futures[1]), 1);
    CHECK_EQUAL(many_future_cancelled(futures[1]), 1);
    CHECK_EQUAL(many_future_done(futures[1]), 1);
    for (int i = 0; i < 3; i++)
        atomic_store(&all->open[i], 1);
    CHECK_CODE(many_future_result(futures[0], &result, sizeof result, MANY_FOREVER), sizeof result);
    CHECK_CODE(many_future_result(futures[1], &result, sizeof result, MANY_FOREVER), -ECANCELED);
    CHECK_CODE(many_future_result(futures[2], &result, sizeof result, MANY_FOREVER), sizeof result);
    CHECK_EQUAL(result, 20);
    CHECK_EQUAL(atomic_load(&all->begun[1]), 0);
    CHECK_EQUAL(many_future_cancel(futures[2]), 0);
    close_all(futures, 3);
    kind_close(pool);
}

/* ---- callbacks ---- */

typedef struct calls {
    _Atomic int count, order, wrong;
    int closes;
} calls;

static int note(many_future *future, void *context)
{
    calls *all = context;

    if (many_future_done(future) != 1)
        atomic_fetch_add(&all->wrong, 1);
    atomic_fetch_add(&all->count, 1);
    if (all->closes)
        many_future_close(future);
    return 0;
}

BOTH(callbacks_come_for_all_ends_and_after_the_end_at_once)
{
    gates *all = test_shared(sizeof *all);
    many_pool *pool = kind_pool(kind, 2);
    many_future *futures[TASKS];
    calls heard = {0};

    for (int i = 0; i < TASKS; i++)
        atomic_store(&all->open[i], i % 3 == 0 ? -EIO : 1);
    submit_all(pool, all, futures, TASKS);
    for (int i = 0; i < TASKS; i++)
        CHECK_CODE(many_future_on_done(futures[i], note, &heard), 0);
    CHECK_CODE(many_futures_wait(futures, TASKS, MANY_ALL_COMPLETED, NULL, MANY_FOREVER), TASKS);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&heard.count), TASKS);
    CHECK_CODE(many_future_on_done(futures[0], note, &heard), 0);
    CHECK_EQUAL(atomic_load(&heard.count), TASKS + 1);
    CHECK_EQUAL(atomic_load(&heard.wrong), 0);
    close_all(futures, TASKS);
    kind_close(pool);
}

BOTH(callbacks_of_futures_that_were_let_go_of_come_before_join_returns)
{
    gates *all = test_shared(sizeof *all);
    many_pool *pool = kind_pool(kind, 2);
    calls heard = {0}, closing = {.closes = 1};

    for (int i = 0; i < TASKS; i++)
        atomic_store(&all->open[i], 1);
    for (int i = 0; i < TASKS; i++) {
        many_future *future = submit(pool, all, i);

        if (i % 2 == 0) {
            CHECK_CODE(many_future_on_done(future, note, &heard), 0);
            many_future_close(future);
        } else {
            CHECK_CODE(many_future_on_done(future, note, &closing), 0);
        }
    }
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&heard.count), TASKS / 2);
    CHECK_EQUAL(atomic_load(&closing.count), TASKS / 2);
    for (int i = 0; i < TASKS; i++)
        CHECK_CODE(many_pool_submit(pool, pass_gate, &i, NULL, .arg_bytes = sizeof i,
                                    .result_bytes = sizeof i, .context = all, .on_done = note,
                                    .on_done_context = &heard),
                   0);
    kind_close(pool); /* as join does */
    CHECK_EQUAL(atomic_load(&heard.count), TASKS / 2 + TASKS);
}

static int refuse(many_future *future, void *context)
{
    (void)future;
    atomic_fetch_add((_Atomic int *)context, 1);
    return many_fail(-EPROTO, "not like this");
}

BOTH(a_callback_that_fails_is_the_business_of_join_and_of_nobody_else)
{
    gates *all = test_shared(sizeof *all);
    many_pool *pool = kind_pool(kind, 2);
    many_future *future = NULL;
    _Atomic int called = 0;
    calls heard = {0};
    int i = 1;

    CHECK_CODE(many_pool_submit(pool, pass_gate, &i, &future, .arg_bytes = sizeof i,
                                .result_bytes = sizeof i, .context = all, .name = "letter",
                                .on_done = refuse, .on_done_context = &called),
               0);
    CHECK_CODE(many_future_on_done(future, note, &heard), 0);
    atomic_store(&all->open[1], 1);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), -EPROTO);
    CHECK_CONTAINS(many_error_message(), "the callback of 'letter' failed with");
    CHECK_CONTAINS(many_error_message(), "not like this");
    CHECK_EQUAL(atomic_load(&called), 1);
    CHECK_EQUAL(atomic_load(&heard.count), 1);
    CHECK_EQUAL(many_future_successful(future), 1);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    many_future_close(future);
    kind_close(pool);
}

/* ---- descriptors ---- */

BOTH(an_event_loop_serves_futures)
{
    gates *all = test_shared(sizeof *all);
    many_pool *pool = kind_pool(kind, 3);
    many_future *futures[TASKS];
    int loop = epoll_create1(EPOLL_CLOEXEC), served = 0;

    CHECK(loop >= 0);
    submit_all(pool, all, futures, TASKS);
    for (int i = 0; i < TASKS; i++) {
        struct epoll_event event;
        int descriptor = many_future_descriptor(futures[i]);

        CHECK(descriptor > STDERR_FILENO);
        memset(&event, 0, sizeof event);
        event.events = EPOLLIN;
        event.data.u32 = (uint32_t)i;
        CHECK_EQUAL(epoll_ctl(loop, EPOLL_CTL_ADD, descriptor, &event), 0);
    }
    for (int i = 0; i < TASKS; i++)
        atomic_store(&all->open[i], 1);
    while (served < TASKS) {
        struct epoll_event event;
        int result = -1, i;

        CHECK(epoll_wait(loop, &event, 1, -1) == 1);
        i = (int)event.data.u32;
        if (many_future_done(futures[i]) == 0)
            continue; /* it may be in vain */
        CHECK_CODE(many_future_result(futures[i], &result, sizeof result, 0), sizeof result);
        CHECK_EQUAL(result, 10 * i);
        many_future_close(futures[i]);
        served++;
    }
    close(loop);
    kind_close(pool);
}

BOTH(a_loop_sleeps_while_nothing_ends)
{
    gates *all = test_shared(sizeof *all);
    many_pool *pool = kind_pool(kind, 2);
    many_future *futures[2];
    struct pollfd one;

    submit_all(pool, all, futures, 2);
    UNTIL(atomic_load(&all->begun[0]) && atomic_load(&all->begun[1]));
    one = (struct pollfd){many_future_descriptor(futures[0]), POLLIN, 0};
    CHECK(many_future_descriptor(futures[1]) >= 0);
    atomic_store(&all->open[1], 1);
    CHECK_CODE(many_future_wait(futures[1], MANY_FOREVER), 0);
    /* The other one's end may have made it readable; once asked, it is silent. */
    CHECK_EQUAL(many_future_done(futures[0]), 0);
    UNTIL(many_future_done(futures[0]) == 0 && poll(&one, 1, 0) == 0);
    CHECK_EQUAL(poll(&one, 1, 20), 0);
    atomic_store(&all->open[0], 1);
    CHECK_EQUAL(poll(&one, 1, -1), 1);
    UNTIL(many_future_done(futures[0]) == 1);
    close_all(futures, 2);
    kind_close(pool);
}

/* ---- several pools, several kinds ---- */

#if !TEST_TSAN
TEST(futures_of_several_pools_and_by_hand_are_waited_for_together)
{
    gates *all = test_shared(sizeof *all);
    many_pool *threads = kind_pool(MANY_THREADS, 2), *processes = kind_pool(MANY_PROCESSES, 2);
    many_pool *others = kind_pool(MANY_PROCESSES, 1);
    many_future *futures[4] = {submit(threads, all, 0), submit(processes, all, 1),
                               submit(others, all, 2), NULL};
    many_future *future = NULL;
    many_completed *completed = NULL;

    CHECK_CODE(many_future_open(&futures[3]), 0);
    CHECK_CODE(many_completed_open(&completed, futures, 4), 0);
    for (int i = 3; i >= 0; i--) {
        if (i == 3)
            CHECK_CODE(many_future_set_result(futures[3], NULL, 0), 0);
        else
            atomic_store(&all->open[i], 1);
        CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
        CHECK(future == futures[i]);
    }
    many_completed_close(completed);
    close_all(futures, 4);
    kind_close(threads);
    kind_close(processes);
    kind_close(others);
}

static int die(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    raise(SIGKILL);
    return 0;
}

TEST(the_death_of_a_worker_wakes_all_ways_to_wait)
{
    gates *all = test_shared(sizeof *all);
    many_pool *pool = kind_pool(MANY_PROCESSES, 2);

    for (int way = 0; way < 4; way++) {
        many_future *futures[2] = {submit(pool, all, way), NULL}, *future = NULL;
        many_completed *completed = NULL;
        struct pollfd one;
        calls heard = {0};

        CHECK_CODE(many_pool_submit(pool, die, NULL, &futures[1]), 0);
        if (way == 0) {
            CHECK_CODE(many_futures_wait(futures, 2, MANY_FIRST_EXCEPTION, NULL, MANY_FOREVER), 1);
        } else if (way == 1) {
            CHECK_CODE(many_completed_open(&completed, futures, 2), 0);
            CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
            CHECK(future == futures[1]);
            many_completed_close(completed);
        } else if (way == 2) {
            one = (struct pollfd){many_future_descriptor(futures[1]), POLLIN, 0};
            while (many_future_done(futures[1]) == 0)
                CHECK_EQUAL(poll(&one, 1, -1), 1);
        } else {
            CHECK_CODE(many_future_on_done(futures[1], note, &heard), 0);
            CHECK_CODE(many_future_result(futures[1], NULL, 0, MANY_FOREVER), -MANY_EDIED);
            UNTIL(atomic_load(&heard.count) == 1 || many_future_done(futures[0]));
        }
        CHECK_CODE(many_future_result(futures[1], NULL, 0, 0), -MANY_EDIED);
        atomic_store(&all->open[way], 1);
        CHECK_CODE(many_future_wait(futures[0], MANY_FOREVER), 0);
        close_all(futures, 2);
    }
    kind_close(pool);
}
#endif

/* ---- in a task ---- */

static int triple(const void *item, void *result, void *context)
{
    (void)context;
    *(int *)result = 3 * *(const int *)item;
    return 0;
}

/* The sum of the results of five tasks of its own pool, as they end. */
static int gather_inside(const void *item, void *result, void *context)
{
    many_pool *pool = many_pool_current();
    many_future *futures[5], *future = NULL;
    many_completed *completed = NULL;
    int sum = 0, one = 0;

    (void)item;
    (void)context;
    for (int i = 0; i < 5; i++)
        if (many_pool_submit(pool, triple, &i, &futures[i], .arg_bytes = sizeof i,
                             .result_bytes = sizeof i) < 0)
            return 1;
    if (many_futures_wait(futures, 5, MANY_FIRST_COMPLETED, NULL, 60.0) < 1)
        return 2;
    if (many_futures_wait(futures, 5, MANY_FIRST_EXCEPTION, NULL, 60.0) != 5)
        return 3;
    if (many_completed_open(&completed, futures, 5) < 0)
        return 4;
    while (many_completed_next(completed, &future, 60.0) == 1) {
        if (many_future_result(future, &one, sizeof one, 0) != sizeof one)
            return 5;
        sum += one;
    }
    many_completed_close(completed);
    for (int i = 0; i < 5; i++)
        many_future_close(futures[i]);
    *(int *)result = sum;
    return 0;
}

BOTH(tasks_of_a_pool_of_one_may_wait_for_the_first_of_their_own)
{
    many_pool *pool = kind_pool(kind, 1);
    many_future *futures[3];

    for (int i = 0; i < 3; i++)
        CHECK_CODE(
            many_pool_submit(pool, gather_inside, NULL, &futures[i], .result_bytes = sizeof(int)),
            0);
    for (int i = 0; i < 3; i++) {
        int sum = 0;

        CHECK_CODE(many_future_result(futures[i], &sum, sizeof sum, MANY_FOREVER), sizeof sum);
        CHECK_EQUAL(sum, 30);
        many_future_close(futures[i]);
    }
    kind_close(pool);
}

typedef struct ring {
    _Atomic(many_future *) handles[3]; /* threads */
    _Atomic uint64_t ids[3];           /* processes */
    _Atomic int go, circles;
} ring;

/* Task i of the ring, when it is known; to be closed if it was made from an id. */
static many_future *ring_future(ring *all, int i)
{
    many_future *future = atomic_load(&all->handles[i]);

    if (future == NULL && many_future_from_id(&future, atomic_load(&all->ids[i])) < 0)
        return NULL;
    return future;
}

static void ring_close(ring *all, int i, many_future *future)
{
    if (atomic_load(&all->handles[i]) == NULL)
        many_future_close(future);
}

/* Task 0 waits for the first of 1 and 2, which wait for it. */
static int wait_in_ring(const void *item, void *result, void *context)
{
    const int i = *(const int *)item;
    ring *all = context;
    int code;

    (void)result;
    while (!atomic_load(&all->go))
        poll(NULL, 0, 1);
    if (i == 0) {
        many_future *others[2] = {ring_future(all, 1), ring_future(all, 2)};

        if (others[0] == NULL || others[1] == NULL)
            return 1;
        code = (int)many_futures_wait(others, 2, MANY_FIRST_COMPLETED, NULL, 60.0);
        for (int k = 0; k < 2; k++)
            ring_close(all, k + 1, others[k]);
    } else {
        many_future *first = ring_future(all, 0);

        if (first == NULL)
            return 1;
        code = many_future_wait(first, 60.0);
        ring_close(all, 0, first);
    }
    if (code == -EDEADLK && strstr(many_error_message(), "waits for") != NULL)
        atomic_fetch_add(&all->circles, 1);
    return code == -ETIMEDOUT ? 2 : 0;
}

static void go_in_ring(int kind, int workers)
{
    ring *all = test_shared(sizeof *all);
    many_pool *pool = kind_pool(kind, workers);
    many_future *futures[3];

    for (int i = 0; i < 3; i++) {
        CHECK_CODE(many_pool_submit(pool, wait_in_ring, &i, &futures[i], .arg_bytes = sizeof i,
                                    .context = all),
                   0);
        if (kind == MANY_THREADS)
            atomic_store(&all->handles[i], futures[i]);
        else
            atomic_store(&all->ids[i], many_future_id(futures[i]));
    }
    atomic_store(&all->go, 1);
    for (int i = 0; i < 3; i++)
        CHECK_CODE(many_future_result(futures[i], NULL, 0, MANY_FOREVER), 0);
    close_all(futures, 3); /* ids are good as long as the futures are open */
    CHECK(atomic_load(&all->circles) >= 1);
    kind_close(pool);
}

BOTH(a_ring_with_a_wait_for_the_first_comes_to_an_end)
{
    for (int workers = 1; workers <= 4; workers++)
        go_in_ring(kind, workers);
}

/* ---- what is left behind ---- */

BOTH(futures_outlive_their_pool)
{
    gates *all = test_shared(sizeof *all);
    many_pool *pool = kind_pool(kind, 2);
    many_future *futures[4];
    int over[4], result = 0;

    submit_all(pool, all, futures, 4);
    atomic_store(&all->open[0], 1);
    CHECK_CODE(many_future_wait(futures[0], MANY_FOREVER), 0);
    CHECK_CODE(many_pool_close(pool, 0), -ETIMEDOUT);
    CHECK_CODE(many_futures_wait(futures, 4, MANY_ALL_COMPLETED, over, MANY_FOREVER), 4);
    CHECK_CODE(many_future_result(futures[0], &result, sizeof result, 0), sizeof result);
    CHECK_EQUAL(result, 0);
    for (int i = 1; i < 4; i++) {
        many_cause cause;

        CHECK_CODE(many_future_result(futures[i], &result, sizeof result, 0), -ECANCELED);
        CHECK_CODE(many_future_cause(futures[i], &cause), 0);
        CHECK_EQUAL(cause.code, -ECANCELED);
        CHECK(many_future_descriptor(futures[i]) >= 0);
    }
    close_all(futures, 4);
}

BOTH(nothing_is_left_behind)
{
    gates *all = test_shared(sizeof *all);
    test_census before = test_census_take();

    for (int i = 0; i < TASKS; i++)
        atomic_store(&all->open[i], 1);
    for (int round = 0; round < 5; round++) {
        many_pool *pool = kind_pool(kind, 2);
        many_future *futures[TASKS], *future = NULL;
        many_completed *completed = NULL;
        calls heard = {0};

        submit_all(pool, all, futures, TASKS);
        for (int i = 0; i < TASKS; i++) {
            CHECK_CODE(many_future_on_done(futures[i], note, &heard), 0);
            CHECK(many_future_descriptor(futures[i]) >= 0);
        }
        CHECK_CODE(many_completed_open(&completed, futures, TASKS), 0);
        for (int i = 0; i < round; i++)
            CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
        many_completed_close(completed);
        if (round % 2 == 0)
            close_all(futures, TASKS);
        kind_close(pool);
        if (round % 2 != 0)
            close_all(futures, TASKS);
        CHECK_EQUAL(atomic_load(&heard.count), TASKS);
    }
    CHECK_CENSUS(before);
}
