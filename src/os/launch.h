/* SPDX-License-Identifier: MIT */
/*
 * launch.h - begin a process that is to stand alone: by exec of this program, or as a copy of it
 *
 * Unlike a child of many_child_fork_() it does not die with the thread that made it, and it has none of
 * our descriptors but those that it is meant to have.
 */
#ifndef MANY_OS_LAUNCH_H
#define MANY_OS_LAUNCH_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "os/process.h"

/*
 * Exec this very program (the file that runs, whatever has become of its path), with argv and the
 * caller's environment. It has stdin, stdout and stderr, and the count descriptors of kept, by the same
 * numbers (which lie above 2); every signal is blocked in it. The caller's memory is not copied. 0, and
 * *child is filled; or a negative errno: also that of the exec.
 */
int many_launch_exec_(many_child_ *child, char *const argv[], const int *kept, size_t count);

/* 1: this process is one that many_launch_exec_() made, or another that was exec'ed by that name; 0: it is
 * none, as far as the system tells. */
int many_launch_was_execed_(void);

/* 1: the exec gave this process rights that its caller has not (set-user-ID, set-group-ID, capabilities). */
int many_launch_is_privileged_(void);

/*
 * Fork. In the parent 0, and *child is filled; or -EAGAIN, -ENOMEM. In the child 1: every signal is
 * blocked, what the parent has not flushed is dropped.
 */
int many_launch_fork_(many_child_ *child);

/* Close all descriptors above 2 but for the count ones in kept. For a process with one thread. */
void many_launch_close_others_(const int *kept, size_t count);

/*
 * A descriptor that is readable when a child of this process has ended, which blocks all signals and has
 * one thread; or a negative errno. quiet: make it unreadable again, before the look for who it was.
 */
int many_launch_ends_open_(void);
void many_launch_ends_quiet_(int fd);

/* SIGCHLD as it is at first, so that children are not reaped by themselves. 1: it was ignored. */
int many_launch_reap_(void);

/* In a child of such a process, if it was ignored. */
void many_launch_ignore_ends_(void);

/* Signals 1 to 64 that the calling thread blocks: bit signal - 1. */
uint64_t many_launch_mask_(void);

/*
 * In a child, before it becomes what its starter wants: the mask, and what was caught at its default.
 */
void many_launch_defaults_(void);
void many_launch_block_(void); /* every signal */
void many_launch_set_mask_(uint64_t mask);

/* From now on this process is killed when the thread that forked it ends; off != 0: no longer. */
void many_launch_die_with_parent_(int off);

/* Should this process be stopped when the thread ends that made it, it is told to go on. */
void many_launch_rouse_with_parent_(void);

#endif
