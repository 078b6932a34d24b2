/* SPDX-License-Identifier: MIT */
/*
 * submit_many.c - submit.one, submit.many and fib with many_pool
 *
 *   many-thread, many-process  submit, result, close, for each task; the argument of threads is
 *                              borrowed, that of processes copied
 *   many                       fib, with threads: main submits nothing but fib(n) itself
 */
#include "submit.h"

#include <many.h>

static many_pool *pool_many;
static many_future **pool_futures;
static size_t pool_arg_bytes; /* 0: threads */

static void pool_open(int kind, size_t tasks_most)
{
    if (many_pool_open(&pool_many, .kind = kind, .workers = SUBMIT_WORKERS,
                       .waiting_most = tasks_most) != 0)
        bench_die("%s", many_error_message());
    if (tasks_most > 0)
        pool_futures = bench_memory(tasks_most * sizeof(many_future *), 0);
    pool_arg_bytes = kind == MANY_PROCESSES ? sizeof(long) : 0;
}

static void pool_open_threads(size_t tasks_most)
{
    pool_open(MANY_THREADS, tasks_most);
}

static void pool_open_processes(size_t tasks_most)
{
    pool_open(MANY_PROCESSES, tasks_most);
}

static void pool_submit(const long *x, many_future **future)
{
    if (many_pool_submit(pool_many, bench_submit_task, x, future, .arg_bytes = pool_arg_bytes,
                         .result_bytes = sizeof(long)) != 0)
        bench_die("%s", many_error_message());
}

static void pool_result(many_future *future, long *y)
{
    if (many_future_result(future, y, sizeof *y, MANY_FOREVER) != sizeof *y)
        bench_die("%s", many_error_message());
    many_future_close(future);
}

static void pool_one(const long *x, long *y)
{
    many_future *future = NULL;

    pool_submit(x, &future);
    pool_result(future, y);
}

static void pool_all(const long *x, long *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pool_submit(&x[i], &pool_futures[i]);
    for (size_t i = 0; i < n; i++)
        pool_result(pool_futures[i], &y[i]);
}

static int pool_fib_task(const void *item, void *result, void *context)
{
    const long *n = item;
    long *sum = result;
    long minus_one = *n - 1;
    long minus_two = *n - 2;
    many_future *future = NULL;
    long a = 0;
    long b = 0;
    int code;

    if (*n < 2) {
        *sum = *n;
        return 0;
    }
    code = many_pool_submit(context, pool_fib_task, &minus_one, &future, .result_bytes = sizeof a,
                            .context = context);
    if (code == 0)
        code = pool_fib_task(&minus_two, &b, context);
    if (code == 0 && many_future_result(future, &a, sizeof a, MANY_FOREVER) != sizeof a)
        code = -1;
    many_future_close(future);
    *sum = a + b;
    return code;
}

static long pool_fib(long n)
{
    many_future *future = NULL;
    long result = 0;

    if (many_pool_submit(pool_many, pool_fib_task, &n, &future, .result_bytes = sizeof result,
                         .context = pool_many) != 0)
        bench_die("%s", many_error_message());
    pool_result(future, &result);
    return result;
}

int main(int argc, char **argv)
{
    static const bench_submitter subjects[] = {
        {.name = "many-thread", .open = pool_open_threads, .one = pool_one, .all = pool_all},
        {.name = "many-process", .open = pool_open_processes, .one = pool_one, .all = pool_all},
        {.name = "many", .open = pool_open_threads, .fib = pool_fib},
    };

    return bench_submit_main(argc, argv, subjects, sizeof subjects / sizeof subjects[0]);
}
