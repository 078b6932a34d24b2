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

/*
 * As many_child_fork_(), but the child outlives the thread and the process that forked it, and SIGINT
 * is like any other signal: at its default if it was caught, else as it was.
 */
int many_child_fork_free_(many_child_ *child);

/* SIGKILL; nothing if it is dead already. */
void many_child_kill_(const many_child_ *child);

/*
 * Is it dead? 1: yes, *ending says how, and child is {0, -1} again (reaped, descriptor closed). 0:
 * it lives. wait != 0: wait until it is.
 */
int many_child_ended_(many_child_ *child, int wait, many_ending_ *ending);

/*
 * ---- a child that several threads wait for: its descriptor stays open until many_child_close_() ----
 */

/*
 * As many_child_ended_(child, 0, ending), and the descriptor stays open. Not to be called again after 1:
 * its pid may be another's by then.
 */
int many_child_reap_(const many_child_ *child, many_ending_ *ending);

/*
 * Sleep until it is dead, as far as its descriptor tells; without one for some milliseconds. 0: look,
 * it may be; -ETIMEDOUT; -EINTR after a signal handler.
 */
int many_child_wait_(const many_child_ *child, int64_t deadline_ns);

/* How long to sleep between two looks where there is no descriptor, or where it does not help: a dead
 * child in the hands of a tracer leaves it readable. */
#define MANY_CHILD_LOOK_NS_ (5 * INT64_C(1000000))

/* Is it dead, as far as its descriptor tells? 1 or 0; 0 without one. */
int many_child_is_dead_(const many_child_ *child);

/*
 * Send it a signal; never to another process that has its number. Only before many_child_reap_() has
 * said 1. 0; -ESRCH: it is dead, and somebody has reaped it; -EPERM.
 */
int many_child_signal_(const many_child_ *child, int signal);

/* A descriptor for a process of this number; the caller makes sure that it is still the one he means.
 * The descriptor or -1. */
int many_child_open_(pid_t pid);

/* Close the descriptor; child is {0, -1} then. */
void many_child_close_(many_child_ *child);

/* How a child ended that somebody else reaped, from its status word of wait(2); -1: nobody knows, the
 * kernel is asked if fd is a descriptor of it. */
void many_ending_from_(many_ending_ *ending, int status, int fd);

/* Child: is the parent that forked it, of this pid, gone? */
int many_orphan_(pid_t parent);

/* The child's own way out: flush stdout and stderr, leave without exit handlers. */
_Noreturn void many_child_exit_(int status);

/* Flush stdout and stderr, unless another thread holds their lock just now (it will flush its own).
 */
void many_flush_standard_(void);

#endif
