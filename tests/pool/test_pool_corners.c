/* SPDX-License-Identifier: MIT */
/* test_pool_corners.c - what tasks and initializers do that is not in their interest */
#include "test.h"

#include <string.h>
#include <unistd.h>

#include <many/pool.h>

#include "pool/each_kind.h"

typedef struct corner_board {
    _Atomic int forked, ran, began, told;
} corner_board;

static corner_board *corner_shared; /* before any pool is opened */

static corner_board *corner_begin(void)
{
    corner_shared = test_shared(sizeof *corner_shared);
    return corner_shared;
}

static int corner_count(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    atomic_fetch_add(&corner_shared->ran, 1);
    return 0;
}

/* The child comes back out of the task, as one whose exec has failed does. */
static int corner_fork(const void *item, void *result, void *context)
{
    pid_t child;

    (void)item;
    (void)result;
    (void)context;
    child = fork();
    if (child == 0)
        atomic_fetch_add(&corner_shared->forked, 1);
    else
        test_child_wait(child);
    return child < 0 ? -EAGAIN : 0;
}

BOTH(a_child_that_comes_back_out_of_a_task_runs_no_other)
{
    corner_board *board = corner_begin();
    many_pool *pool = NULL;
    many_future *future = NULL;

    CHECK_CODE(many_pool_open(&pool, .kind = kind, .workers = 1), 0);
    CHECK_CODE(many_pool_submit(pool, corner_fork, NULL, &future), 0);
    for (int k = 0; k < 50; k++)
        CHECK_CODE(many_pool_submit(pool, corner_count, NULL, NULL), 0);
    CHECK_EQUAL(many_future_result(future, NULL, 0, 100), 0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&board->forked), 1);
    CHECK_EQUAL(atomic_load(&board->ran), 50);
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* It waits for something that never comes, and asks now and then whether it is to go on. */
static int corner_patience(void *argument)
{
    (void)argument;
    atomic_store(&corner_shared->began, 1);
    while (!many_cancelled())
        usleep(1000);
    atomic_store(&corner_shared->told, 1);
    return -ECANCELED;
}

BOTH(an_initializer_that_waits_does_not_hold_the_close_for_ever)
{
    corner_board *board = corner_begin();
    many_pool *pool = NULL;
    many_future *future = NULL;

    CHECK_CODE(many_pool_open(&pool, .kind = kind, .workers = 1, .initializer = corner_patience),
               0);
    CHECK_CODE(many_pool_submit(pool, corner_count, NULL, &future), 0);
    UNTIL(atomic_load(&board->began) == 1);
    CHECK_CODE(many_pool_close(pool, 0), -ETIMEDOUT);
    CHECK_EQUAL(atomic_load(&board->told), kind == MANY_THREADS);
    CHECK_EQUAL(many_future_result(future, NULL, 0, 0), -ECANCELED);
    CHECK_EQUAL(atomic_load(&board->ran), 0);
    many_future_close(future);
}

static int corner_terminate(const void *item, void *result, void *context)
{
    int *code = result;

    (void)item;
    (void)context;
    *code = many_pool_terminate(many_pool_current());
    return 0;
}

TEST(a_task_of_processes_cannot_terminate_its_pool)
{
    many_pool *pool = NULL;
    int code = 1;

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 1), 0);
    CHECK_CODE(many_pool_apply_with(pool, corner_terminate, NULL, 0, &code, sizeof code, NULL), 0);
    CHECK_EQUAL(code, -EDEADLK);
    CHECK_CODE(many_pool_apply_with(pool, corner_terminate, NULL, 0, &code, sizeof code, NULL), 0);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(a_task_of_threads_can_terminate_its_pool)
{
    many_pool *pool = NULL;
    many_future *future = NULL;
    int code = 1;

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_THREADS, .workers = 1), 0);
    CHECK_CODE(many_pool_submit(pool, corner_terminate, NULL, &future, .result_bytes = sizeof code),
               0);
    CHECK_EQUAL(many_future_result(future, &code, sizeof code, 100), -ECANCELED);
    CHECK_CODE(many_pool_submit(pool, corner_count, NULL, NULL), -ESHUTDOWN);
    many_future_close(future);
    many_pool_close(pool, 0);
}
