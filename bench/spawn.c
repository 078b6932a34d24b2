/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - the loop around one start: a fresh process starts 201 others, and prints their median
 *
 * One start lasts some 100 us, and one interrupt beside it as long; hence the repetition.
 */
#include "spawn_loop.h"

int bench_spawn(int (*run)(void))
{
    enum { TIMES = 201 };
    int64_t taken[TIMES];

    for (int turn = 0; turn < TIMES; turn++) {
        int64_t begin = bench_now_ns();
        int status = run();

        taken[turn] = bench_now_ns() - begin;
        if (status != SPAWN_STATUS)
            bench_die("the process ended with %d", status);
    }
    bench_print((double)bench_median_ns(taken, TIMES) / 1000.0, "us");
    return 0;
}
