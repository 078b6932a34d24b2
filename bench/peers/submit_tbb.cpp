// SPDX-License-Identifier: MIT
//
// submit_tbb.cpp - submit.one, submit.many and fib with tbb::task_group
//
// Who waits for a group runs its tasks too, so that two threads in all are its two workers.
#include "submit.h"

#include <tbb/global_control.h>
#include <tbb/task_group.h>

static bench_fn *volatile task_kept = bench_submit_task; // read back, so that nobody inlines it

static void tbb_one(const long *x, long *y)
{
    static tbb::task_group group; // one for all: to make one takes as long again
    bench_fn *task = task_kept;

    group.run([=] { task(x, y, nullptr); });
    group.wait();
}

static void tbb_all(const long *x, long *y, size_t n)
{
    bench_fn *task = task_kept;
    tbb::task_group group;

    for (size_t i = 0; i < n; i++)
        group.run([=] { task(x + i, y + i, nullptr); });
    group.wait();
}

static long tbb_fib(long n)
{
    tbb::task_group group;
    long a = 0;
    long b = 0;

    if (n < 2)
        return n;
    group.run([&] { a = tbb_fib(n - 1); });
    b = tbb_fib(n - 2);
    group.wait();
    return a + b;
}

int main(int argc, char **argv)
{
    static const bench_submitter subjects[] = {
        {"tbb", nullptr, nullptr, tbb_one, tbb_all, 0, tbb_fib},
    };
    tbb::global_control workers(tbb::global_control::max_allowed_parallelism, SUBMIT_WORKERS);

    return bench_submit_main(argc, argv, subjects, sizeof subjects / sizeof subjects[0]);
}
