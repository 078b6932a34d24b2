/* SPDX-License-Identifier: MIT */
/*
 * submit.c - the loops around the subjects of submit.one, submit.many and fib
 */
#include "submit.h"

#include <string.h>

enum {
    ALL_TASKS = 1000000,
    WARM_TASKS = 1000,
    FIB_WARM = 15,
    FIB_OF = 30,
    FIB_RESULT = 832040,
    FIB_CALLS = 2692537 /* 2 * fib(FIB_OF + 1) - 1 */
};

#define ONE_NS INT64_C(300000000) /* submit.one is repeated for so long */

static const bench_submitter *submit_subject;

int bench_submit_task(const void *item, void *result, void *context)
{
    const long *x = item;
    long *y = result;

    (void)context;
    *y = *x + 1;
    return 0;
}

/* Nanoseconds of times tasks, one after another. */
static int64_t submit_one_ns(int64_t times)
{
    int64_t begin = bench_now_ns();

    for (long i = 0; i < times; i++) {
        long x = i;
        long y = -1;

        submit_subject->one(&x, &y);
        if (y != i + 1)
            bench_die("result %ld is %ld", i, y);
    }
    return bench_now_ns() - begin;
}

static void submit_one(void)
{
    int64_t times = 16;
    int64_t taken = submit_one_ns(times);

    while (taken < ONE_NS / 8) {
        times *= 2;
        taken = submit_one_ns(times);
    }
    times = times * ONE_NS / taken + 1;
    bench_print((double)submit_one_ns(times) / (double)times / 1000.0, "us");
}

static int64_t submit_many_ns(const long *in, long *out, size_t n)
{
    int64_t begin;

    memset(out, 0, n * sizeof *out);
    begin = bench_now_ns();
    submit_subject->all(in, out, n);
    begin = bench_now_ns() - begin;
    for (size_t i = 0; i < n; i++)
        if (out[i] != in[i] + 1)
            bench_die("result %zu is %ld", i, out[i]);
    return begin;
}

static void submit_many(void)
{
    size_t n = submit_subject->all_tasks != 0 ? submit_subject->all_tasks : ALL_TASKS;
    long *in = bench_memory(n * sizeof *in, 0);
    long *out = bench_memory(n * sizeof *out, 0);

    for (size_t i = 0; i < n; i++)
        in[i] = (long)i;
    submit_many_ns(in, out, WARM_TASKS);
    submit_many_ns(in, out, n); /* fresh pages cost more than tasks, and not always the same */
    bench_print((double)submit_many_ns(in, out, n) / (double)n, "ns/task");
}

static void submit_fib(void)
{
    int64_t begin;
    long result;

    submit_subject->fib(FIB_WARM);
    begin = bench_now_ns();
    result = submit_subject->fib(FIB_OF);
    begin = bench_now_ns() - begin;
    if (result != FIB_RESULT)
        bench_die("fib(%d) is %ld", (int)FIB_OF, result);
    bench_print((double)begin / FIB_CALLS, "ns/task");
}

static void submit_measure(void (*body)(void), size_t tasks_most)
{
    if (submit_subject->open != NULL)
        submit_subject->open(tasks_most);
    if (submit_subject->within != NULL)
        submit_subject->within(body);
    else
        body();
}

int bench_submit_main(int argc, char **argv, const bench_submitter *subjects, size_t count)
{
    if (argc != 3)
        bench_die("usage: %s CASE SUBJECT", argv[0]);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(argv[2], subjects[i].name) != 0)
            continue;
        submit_subject = &subjects[i];
        if (strcmp(argv[1], "submit.one") == 0 && subjects[i].one != NULL)
            submit_measure(submit_one, 0);
        else if (strcmp(argv[1], "submit.many") == 0 && subjects[i].all != NULL)
            submit_measure(submit_many, ALL_TASKS);
        else if (strcmp(argv[1], "fib") == 0 && subjects[i].fib != NULL)
            submit_measure(submit_fib, 0);
        else
            continue;
        return 0;
    }
    bench_die("%s: no subject %s in a case %s", argv[0], argv[2], argv[1]);
}
