/* SPDX-License-Identifier: MIT */
/*
 * bigparent.h - map.bigparent: four items by four processes of their own, from a parent with 1 GiB touched
 */
#ifndef BENCH_BIGPARENT_H
#define BENCH_BIGPARENT_H

#include "bench.h"

enum { BIGPARENT_ITEMS = 4 };

/*
 * The main function of a program with one way to do it. run starts BIGPARENT_ITEMS processes, of which
 * process i sets results[i] to i + 1, and waits for them; results are shared with these.
 */
int bench_bigparent(long *results, void (*run)(void));

#endif
