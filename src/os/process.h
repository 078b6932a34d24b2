/* SPDX-License-Identifier: MIT */
/*
 * process.h - a child process: fork it, see its death, learn how it ended
 *
 * A death is seen by pidfd, so that it does not matter who reaps the child, or whether SIGCHLD is
 * ignored. Where the kernel (before 5.3) or a tool (valgrind) has no pidfd, many_child_ended_() has
 * to be asked now and then.
 */
#ifndef MANY_OS_PROCESS_H
#define MANY_OS_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

typedef struct many_child_ {
    pid_t pid; /* 0: none */
    int fd;    /* pidfd, readable when the child is dead; -1: this system has none */
} many_child_;

/* How a process ended. */
typedef struct many_ending_ {
    int known;       /* 0: somebody else took its status, and the kernel does not tell it twice */
    int signal;      /* that killed it; 0: none */
    int exit_status; /* -1: it did not exit */
    uint64_t peak_bytes; /* largest resident size; 0: unknown */
} many_ending_;

/*
 * Fork. In the parent: 1, and *child is filled. In the child: 0; caught signals are at their
 * default, SIGINT is ignored, the mask is the caller's, and the kernel kills it when the forking
 * *thread* of the parent ends: only for callers that wait for their children in that thread. A
 * child that dies before its parent has the pidfd, and whose status somebody else takes, ends for
 * reasons unknown. -EAGAIN or -ENOMEM when there is no process to be had.
 */
int many_child_fork_(many_child_ *child);

/* SIGKILL; nothing if it is dead already. */
void many_child_kill_(const many_child_ *child);

/*
 * Is it dead? 1: yes, *ending says how, and child is {0, -1} again (reaped, descriptor closed). 0:
 * it lives. wait != 0: wait until it is.
 */
int many_child_ended_(many_child_ *child, int wait, many_ending_ *ending);

/* Child: is the parent that forked it, of this pid, gone? */
int many_orphan_(pid_t parent);

/* The child's own way out: flush stdout and stderr, leave without exit handlers. */
_Noreturn void many_child_exit_(int status);

/* Flush stdout and stderr, unless another thread holds their lock just now (it will flush its own).
 */
void many_flush_standard_(void);

#endif
