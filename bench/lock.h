/* SPDX-License-Identifier: MIT */
/*
 * lock.h - lock: the time of one acquire and release, alone and with a second process
 */
#ifndef BENCH_LOCK_H
#define BENCH_LOCK_H

#include "bench.h"

/* What one subject brings. The lock lies in shared memory, zeroed at first; counter, too. */
typedef struct bench_lock_subject {
    const char *name;
    void (*prepare)(void *lock);
    /* So many times: acquire, add 1 to *counter, release. Dies if a call fails. */
    void (*turn)(void *lock, volatile uint64_t *counter, uint64_t times);
} bench_lock_subject;

/*
 * The main function of a program with count subjects: `program SUBJECT uncontended|contended`.
 * Uncontended is the median of nine runs in one process. Contended is the time in which two
 * processes that do nothing else have made all their turns, divided by the turns of both.
 */
int bench_lock(const bench_lock_subject *subjects, size_t count, int argc, char **argv);

#endif
