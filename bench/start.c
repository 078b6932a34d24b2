/* SPDX-License-Identifier: MIT */
/*
 * start.c - the loop around one start: a fresh process runs 31 maps, and prints their median
 *
 * One start lasts some 100 us, and one interrupt beside it as long; hence the repetition.
 */
#include "start.h"

#include <string.h>

int bench_start(void (*run)(long *results))
{
    enum { TIMES = 31 };
    long *results = bench_memory(START_WORKERS * sizeof *results, 1);
    int64_t taken[TIMES];

    for (int turn = 0; turn < TIMES; turn++) {
        int64_t begin;

        memset(results, 0, START_WORKERS * sizeof *results);
        begin = bench_now_ns();
        run(results);
        taken[turn] = bench_now_ns() - begin;
        for (long i = 0; i < START_WORKERS; i++)
            if (results[i] != i + 1)
                bench_die("result %ld is %ld", i, results[i]);
    }
    bench_print((double)bench_median_ns(taken, TIMES) / 1000.0, "us");
    return 0;
}
