/* SPDX-License-Identifier: MIT */
/*
 * child.h - what every started process does around fn, whatever the method that made it
 *
 * In order: it is registered at its queues, and says so to its starter; it learns who it is
 * (many_process_current, many_process_parent, many_inherited), runs fn, finishes its ends, flushes stdout and stderr, and leaves without
 * exit handlers. Exit handlers that it runs by calling exit() in fn are its own doing.
 */
#ifndef MANY_PROCESS_CHILD_H
#define MANY_PROCESS_CHILD_H

#include <sys/types.h>

#include <many/process.h>

#include "os/self.h"

/* Exit status of a child that could not become what it was to be: no daemon without somebody who ends
 * it, no producer that is not counted. Its start returned, or returns, an error; or its parent is dead. */
#define MANY_CHILD_LOST_ 255

/* It stays, with all that it points at, until the process ends. */
typedef struct many_child_plan_ {
    const char *name;
    int method; /* enum many_start_method */
    int daemon;
    many_process_fn *fn;
    void *argument;                  /* for fn; the child's own copy, or the pointer */
    many_queue *produces, *consumes; /* usable in the child, or NULL */
    const many_inherit *inherits;    /* usable in the child */
    size_t inherits_count;
    const char *parent_name;
    pid_t parent; /* who started it by many_process_start() */
    /* Of the parent's main thread; 0: the parent is the parent in the system's sense, too. */
    many_identity_ parent_identity;
} many_child_plan_;

/*
 * In the new process: be counted at its queues. Before its starter is told that it runs, so that there is no
 * moment in which it is not counted; and not by the starter, who might count anew what has run, and said that
 * it is done, already. 0; or a negative code: it is not to run.
 */
int many_child_enlist_(const many_child_plan_ *plan);

/* In the new process, enlisted, in its one thread, nothing of many used in it before. Signals are as they are to
 * be in fn; a daemon is kept already. */
_Noreturn void many_child_run_(const many_child_plan_ *plan);

#endif
