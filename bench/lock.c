/* SPDX-License-Identifier: MIT */
/*
 * lock.c - the loops around a lock: one process alone, and two that contend
 */
#include "lock.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

enum { LOCK_ROUNDS = 9 };

static const uint64_t lock_alone = 1000000; /* turns a round */
static const uint64_t lock_both = 5000000;  /* turns of each process: a third of a second or more */

/* Each on a line of its own: what the lock protects is not to be fetched along with it. */
typedef struct lock_area {
    _Alignas(128) char lock[128];
    _Alignas(128) volatile uint64_t counter;
    _Alignas(128) _Atomic int ready;
} lock_area;

static void lock_check(const lock_area *area, uint64_t expected)
{
    if (area->counter != expected)
        bench_die("the counter is %llu, not %llu", (unsigned long long)area->counter,
                  (unsigned long long)expected);
}

static double lock_uncontended(const bench_lock_subject *subject, lock_area *area)
{
    int64_t taken[LOCK_ROUNDS];

    subject->turn(area->lock, &area->counter, lock_alone);
    for (int round = 0; round < LOCK_ROUNDS; round++) {
        int64_t begin = bench_now_ns();

        subject->turn(area->lock, &area->counter, lock_alone);
        taken[round] = bench_now_ns() - begin;
    }
    lock_check(area, (LOCK_ROUNDS + 1) * lock_alone);
    return (double)bench_median_ns(taken, LOCK_ROUNDS) / (double)lock_alone;
}

static void lock_meet(lock_area *area)
{
    atomic_fetch_add(&area->ready, 1);
    while (atomic_load(&area->ready) < 2)
        continue;
}

static double lock_contended(const bench_lock_subject *subject, lock_area *area)
{
    int64_t begin, taken;
    int status = 0;
    pid_t child = fork();

    if (child < 0)
        bench_die("fork failed");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        lock_meet(area);
        subject->turn(area->lock, &area->counter, lock_both);
        _exit(0);
    }
    lock_meet(area);
    begin = bench_now_ns();
    subject->turn(area->lock, &area->counter, lock_both);
    if (waitpid(child, &status, 0) != child || status != 0)
        bench_die("the other process failed");
    taken = bench_now_ns() - begin;
    lock_check(area, 2 * lock_both);
    return (double)taken / (2 * (double)lock_both);
}

int bench_lock(const bench_lock_subject *subjects, size_t count, int argc, char **argv)
{
    lock_area *area = bench_memory(sizeof *area, 1);

    for (size_t i = 0; argc == 3 && i < count; i++) {
        if (strcmp(argv[1], subjects[i].name) != 0)
            continue;
        subjects[i].prepare(area->lock);
        if (strcmp(argv[2], "uncontended") == 0)
            bench_print(lock_uncontended(&subjects[i], area), "ns uncontended");
        else if (strcmp(argv[2], "contended") == 0)
            bench_print(lock_contended(&subjects[i], area), "ns contended");
        else
            break;
        return 0;
    }
    bench_die("usage: %s SUBJECT uncontended|contended", argc > 0 ? argv[0] : "lock");
}
