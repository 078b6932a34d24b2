/* SPDX-License-Identifier: MIT */
/*
 * submit.h - submit.one, submit.many and fib, written once; a subject only brings its way to submit
 *
 * Two workers, or two threads in all where who waits works too. Tasks are called through a pointer.
 */
#ifndef BENCH_SUBMIT_H
#define BENCH_SUBMIT_H

#include "bench.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SUBMIT_WORKERS = 2 };

/* The task of submit.one and submit.many: reads a long, and writes the one after it. */
int bench_submit_task(const void *item, void *result, void *context);

/* A way to submit; what it lacks is NULL. All of them die on failure. */
typedef struct bench_submitter {
    const char *name;
    /* Calls body where tasks can be submitted. NULL: that is anywhere. */
    void (*within)(void (*body)(void));
    /* Before the first task; so many will wait at once, 0: few. NULL: nothing to do. */
    void (*open)(size_t tasks_most);
    void (*one)(const long *x, long *y); /* submits one task, and waits until y is there */
    void (*all)(const long *x, long *y, size_t n); /* submits n, then waits for all of them */
    size_t all_tasks;                              /* of submit.many; 0: a million */
    long (*fib)(long n);                           /* the number, by tasks: see below */
} bench_submitter;

/*
 * The main function of a program with count subjects, called as `program CASE SUBJECT`.
 *
 * fib: fib(n) is n for n < 2. Else it submits fib(n - 1) as a task, calls fib(n - 2), and waits for
 * the task. A task counts each call of fib, for all subjects; half of them are submitted.
 */
int bench_submit_main(int argc, char **argv, const bench_submitter *subjects, size_t count);

#ifdef __cplusplus
}
#endif

#endif
