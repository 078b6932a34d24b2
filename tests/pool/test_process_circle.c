/* SPDX-License-Identifier: MIT */
/*
 * test_process_circle.c - tasks of a pool of processes that wait for one another, by many_future_id()
 *
 * In a circle the youngest task is told -EDEADLK, whoever finds it; the others get what they waited for.
 */
#include "pool/supervised.h"

#define CIRCLE_MOST  8
#define CIRCLE_NAMED 4 /* a message has room for so many names, and some more */

/* In shared memory; the owner writes the ids. */
typedef struct circle {
    _Atomic uint64_t id[CIRCLE_MOST];
    _Atomic int begun;
    int count;
    _Atomic long code[CIRCLE_MOST]; /* what each was told */
    char words[CIRCLE_MOST][512];
} circle;

/* item: its number; waits for the next one in the circle. The result is 100 + what that gave, or its code. */
static int circle_wait(const void *item, void *result, void *context)
{
    circle *all = context;
    const int me = *(const int *)item;
    const int next = (me + 1) % all->count;
    many_future *future = NULL;
    long got = 0;

    atomic_fetch_add(&all->begun, 1);
    UNTIL(atomic_load(&all->id[next]) != 0);
    CHECK_CODE(many_future_from_id(&future, atomic_load(&all->id[next])), 0);
    atomic_store(&all->code[me], (long)many_future_result(future, &got, sizeof got, MANY_FOREVER));
    snprintf(all->words[me], sizeof all->words[me], "%s", many_error_message());
    many_future_close(future);
    *(long *)result = atomic_load(&all->code[me]) < 0 ? atomic_load(&all->code[me]) : got + 100;
    return 0;
}

/* The same, once all have begun. */
static int circle_wait_together(const void *item, void *result, void *context)
{
    circle *all = context;
    const int me = *(const int *)item;

    (void)me;
    atomic_fetch_add(&all->begun, 1);
    UNTIL(atomic_load(&all->begun) >= all->count);
    return circle_wait(item, result, context);
}

/* So many tasks, a circle of all, on so many workers: the last one is the victim. */
static void circle_check(int count, int workers, many_fn *fn)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    circle *all = test_shared(sizeof *all);
    many_future *futures[CIRCLE_MOST];
    many_pool *pool = NULL;

    all->count = count;
    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = workers), 0);
    for (int i = 0; i < count; i++) {
        CHECK_CODE(many_pool_submit(pool, fn, &i, &futures[i], .arg_bytes = sizeof i,
                                    .result_bytes = sizeof(long), .context = all, .name = names[i]),
                   0);
        CHECK(many_future_id(futures[i]) != 0);
        atomic_store(&all->id[i], many_future_id(futures[i]));
    }
    for (int i = 0; i < count; i++) {
        long got = 0;

        CHECK_CODE(many_future_result(futures[i], &got, sizeof got, MANY_FOREVER), sizeof got);
        CHECK_EQUAL(got, -EDEADLK + 100 * (count - 1 - i));
    }
    for (int i = 0; i < count; i++)
        many_future_close(futures[i]);
    for (int i = 0; i < count - 1; i++)
        CHECK_CODE(atomic_load(&all->code[i]), sizeof(long));
    CHECK_CODE(atomic_load(&all->code[count - 1]), -EDEADLK);
    CHECK_CONTAINS(all->words[count - 1], "it would never end");
    for (int i = 0; i < count && i < CIRCLE_NAMED; i++) {
        char name[16];

        snprintf(name, sizeof name, "task '%s'", names[i == 0 ? count - 1 : i - 1]);
        CHECK_CONTAINS(all->words[count - 1], name);
    }
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(of_two_tasks_that_wait_for_each_other_the_younger_is_told)
{
    for (int i = 0; i < 5; i++) {
        circle_check(2, 2, circle_wait);
        circle_check(2, 2, circle_wait_together);
    }
}

TEST(of_three_tasks_in_a_circle_the_youngest_is_told)
{
    for (int i = 0; i < 5; i++) {
        circle_check(3, 3, circle_wait);
        circle_check(3, 3, circle_wait_together);
        circle_check(3, 2, circle_wait);
    }
}

TEST(a_circle_is_found_whatever_its_size_and_however_few_run_it)
{
    for (int workers = 1; workers <= CIRCLE_MOST; workers++)
        circle_check(CIRCLE_MOST, workers, circle_wait);
    for (int i = 0; i < 3; i++)
        circle_check(CIRCLE_MOST, CIRCLE_MOST, circle_wait_together);
}

TEST(a_task_that_waits_for_itself_is_told)
{
    circle_check(1, 1, circle_wait);
}

/* ---- no circle ---- */

/* item: how deep; submits one less, and waits for it. The result counts. */
static int circle_descend(const void *item, void *result, void *context)
{
    const long depth = *(const long *)item;
    const long less = depth - 1;
    many_future *future = NULL;
    long got = 0;

    (void)context;
    if (depth > 0) {
        CHECK_CODE(many_pool_submit(many_pool_current(), circle_descend, &less, &future,
                                    .arg_bytes = sizeof less, .result_bytes = sizeof got),
                   0);
        CHECK_CODE(many_future_result(future, &got, sizeof got, MANY_FOREVER), sizeof got);
        many_future_close(future);
    }
    *(long *)result = got + 1;
    return 0;
}

TEST(tasks_that_wait_for_what_they_submitted_never_stop_whatever_the_number_of_workers)
{
    for (int workers = 1; workers <= 3; workers++) {
        many_pool *pool = NULL;
        long depth = 200, got = 0;

        CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = workers), 0);
        CHECK_CODE(many_pool_apply(pool, circle_descend, &depth, &got), 0);
        CHECK_EQUAL(got, depth + 1);
        CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    }
}

/* Waits for the one before it, which only takes its time. */
static int circle_chain(const void *item, void *result, void *context)
{
    circle *all = context;
    const int me = *(const int *)item;
    many_future *future = NULL;
    long got = 0;

    atomic_fetch_add(&all->begun, 1);
    if (me == 0) {
        UNTIL(atomic_load(&all->begun) == all->count);
        poll(NULL, 0, 20); /* so that some of the others sleep already: no verdict hangs on it */
    } else {
        UNTIL(atomic_load(&all->id[me - 1]) != 0);
        CHECK_CODE(many_future_from_id(&future, atomic_load(&all->id[me - 1])), 0);
        CHECK_CODE(many_future_result(future, &got, sizeof got, MANY_FOREVER), sizeof got);
        many_future_close(future);
    }
    *(long *)result = got + 1;
    return 0;
}

TEST(a_chain_of_tasks_is_no_circle)
{
    circle *all = test_shared(sizeof *all);
    many_future *futures[CIRCLE_MOST];
    many_pool *pool = NULL;

    all->count = CIRCLE_MOST;
    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = CIRCLE_MOST), 0);
    for (int i = 0; i < CIRCLE_MOST; i++) {
        CHECK_CODE(many_pool_submit(pool, circle_chain, &i, &futures[i], .arg_bytes = sizeof i,
                                    .result_bytes = sizeof(long), .context = all),
                   0);
        atomic_store(&all->id[i], many_future_id(futures[i]));
    }
    for (int i = 0; i < CIRCLE_MOST; i++) {
        long got = 0;

        CHECK_CODE(many_future_result(futures[i], &got, sizeof got, MANY_FOREVER), sizeof got);
        CHECK_EQUAL(got, i + 1);
    }
    /* Not before: the others wait by its id. */
    for (int i = 0; i < CIRCLE_MOST; i++)
        many_future_close(futures[i]);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- deaths ---- */

/* 0 waits for 1, which dies when 0 has begun to wait. */
static int circle_wait_for_the_dead(const void *item, void *result, void *context)
{
    circle *all = context;
    const int me = *(const int *)item;
    many_future *future = NULL;

    if (me == 1) {
        UNTIL(atomic_load(&all->begun) == 1);
        poll(NULL, 0, 20); /* mostly it waits by then */
        raise(SIGKILL);
    }
    UNTIL(atomic_load(&all->id[1]) != 0);
    CHECK_CODE(many_future_from_id(&future, atomic_load(&all->id[1])), 0);
    UNTIL(many_future_running(future) == 1); /* so that it is not run in here */
    atomic_store(&all->begun, 1);
    *(long *)result = (long)many_future_result(future, NULL, 0, MANY_FOREVER);
    many_future_close(future);
    return 0;
}

TEST(a_task_that_waits_for_one_that_dies_hears_of_it)
{
    circle *all = test_shared(sizeof *all);
    many_future *futures[2];
    many_pool *pool = NULL;
    long got = 0;

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_CODE(many_pool_submit(pool, circle_wait_for_the_dead, &i, &futures[i],
                                    .arg_bytes = sizeof i, .result_bytes = sizeof(long),
                                    .context = all),
                   0);
        atomic_store(&all->id[i], many_future_id(futures[i]));
    }
    CHECK_CODE(many_future_result(futures[0], &got, sizeof got, MANY_FOREVER), sizeof got);
    CHECK_CODE(got, -MANY_EDIED);
    CHECK_CODE((long)many_future_result(futures[1], &got, sizeof got, MANY_FOREVER), -MANY_EDIED);
    many_future_close(futures[0]);
    many_future_close(futures[1]);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}
