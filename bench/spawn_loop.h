/* SPDX-License-Identifier: MIT */
/*
 * spawn_loop.h - spawn: the time from the start of a process that returns at once to the end of its join
 */
#ifndef BENCH_SPAWN_LOOP_H
#define BENCH_SPAWN_LOOP_H

#include "bench.h"

/* Exit status of the process that is started, so that it is seen to have run. */
enum { SPAWN_STATUS = 7 };

/* The main function of a program with one way to start: run starts one, joins it, and returns its exit
 * status. */
int bench_spawn(int (*run)(void));

#endif
