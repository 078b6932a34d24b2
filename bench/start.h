/* SPDX-License-Identifier: MIT */
/*
 * start.h - map.start: the time of a map with four items and four workers, from call to return
 */
#ifndef BENCH_START_H
#define BENCH_START_H

#include "bench.h"

enum { START_WORKERS = 4 };

/*
 * The main function of a program with one way to start: `program SUBJECT`. run sets results[i] to
 * i + 1 for each of the START_WORKERS items, in memory shared with children.
 */
int bench_start(void (*run)(long *results));

#endif
