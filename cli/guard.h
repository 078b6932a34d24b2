/* SPDX-License-Identifier: MIT */
/*
 * guard.h - ends the jobs of a `many` that was killed
 *
 * The kernel kills a job when `many` dies (PR_SET_PDEATHSIG), but not what that job had started
 * itself: `sh -c 'sleep 1000; :'` would leave its sleep behind. So a small process watches. It
 * sleeps in a read(2) on a pipe whose other end only `many` holds (jobs for the moment between
 * fork and exec: all our descriptors are closed by exec), and wakes when `many` is gone, however
 * that came. Then it kills the process groups that stand in the table. What left its job's group
 * (setsid) is out of reach.
 */
#ifndef GUARD_H
#define GUARD_H

#include <stdatomic.h>
#include <stddef.h>
#include <sys/types.h>

/* What a worker's job tells; in memory that is shared with the job until it runs its program, and
 * with the guard. */
typedef struct guard_seat {
    /* Process group of the running job, 0 if none. Written by the job at its first breath; cleared
     * by the worker while the job is a zombie: so the number is never somebody else's. */
    _Atomic int group;
    /* errno of an exec that failed, 0 if it did not. */
    _Atomic int exec_error;
} guard_seat;

struct guard {
    guard_seat *seats; /* [count] */
    size_t count;
    pid_t pid; /* 0: there is none */
    int alive; /* our end of the pipe */
};

/* Before any thread is started. 0 or -ENOMEM; where no process can be made there is none, and jobs
 * only have what the kernel does. */
int guard_begin(struct guard *guard, size_t seats);
void guard_end(struct guard *guard);

#endif
