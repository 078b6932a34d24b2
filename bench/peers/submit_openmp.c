/* SPDX-License-Identifier: MIT */
/*
 * submit_openmp.c - submit.one, submit.many and fib with OpenMP's tasks; SUBMIT_OPENMP: its name
 *
 * Who waits for tasks runs them too, so that two threads in all are its two workers.
 */
#include "submit.h"

static bench_fn *volatile task_kept = bench_submit_task; /* read back, so that nobody inlines it */

static void openmp_within(void (*body)(void))
{
#pragma omp parallel num_threads(SUBMIT_WORKERS)
#pragma omp single
    body();
}

static void openmp_one(const long *x, long *y)
{
    bench_fn *task = task_kept;

#pragma omp task firstprivate(task, x, y)
    task(x, y, NULL);
#pragma omp taskwait
}

static void openmp_all(const long *x, long *y, size_t n)
{
    bench_fn *task = task_kept;

    for (size_t i = 0; i < n; i++) {
#pragma omp task firstprivate(task, x, y, i)
        task(x + i, y + i, NULL);
    }
#pragma omp taskwait
}

static long openmp_fib(long n)
{
    long a;
    long b;

    if (n < 2)
        return n;
#pragma omp task shared(a)
    a = openmp_fib(n - 1);
    b = openmp_fib(n - 2);
#pragma omp taskwait
    return a + b;
}

int main(int argc, char **argv)
{
    static const bench_submitter subjects[] = {
        {.name = SUBMIT_OPENMP,
         .within = openmp_within,
         .one = openmp_one,
         .all = openmp_all,
         .fib = openmp_fib},
    };

    return bench_submit_main(argc, argv, subjects, sizeof subjects / sizeof subjects[0]);
}
