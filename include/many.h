/* SPDX-License-Identifier: MIT */
/*
 * many.h - parallel work for C: the table of contents, in reading order
 *
 *   many/base.h     error codes and messages, version, usable CPUs
 *   many/task.h     the task function, what a failed item says, cancelling
 *   many/bar.h      progress bars
 *   many/map.h      thread_map and process_map: one function over many items
 *   many/process.h  processes, threads and timers
 *   many/future.h   the outcome of a task, before it is there
 *   many/pool.h     workers that last: submit, apply, join, close; many/pool_map.h (maps over them),
 *                   many/imap.h (results one by one, while the input flows), many/pool_status.h (what
 *                   they are doing)
 *   many/channel.h  what passes between them: many/segment.h (shared memory), many/queue.h,
 *                   many/pipe.h
 *   many/sync.h     locks, semaphores, events, conditions, barriers; many/lock_debug.h names
 *                   deadlocks among the locks
 *
 * Apart, with a library of its own, because it needs a crypto library:
 *
 *   many/remote.h   connections between programs that do not know each other, by address and key
 *
 * Every function states what it takes, returns and blocks on, and what threads, forks, signals
 * and deaths mean to it. A zero is always the default; a negative return is a code of base.h.
 */
#ifndef MANY_H
#define MANY_H

#include <many/base.h>
#include <many/task.h>
#include <many/bar.h>
#include <many/map.h>
#include <many/sync.h>
#include <many/lock_debug.h>
#include <many/channel.h>
#include <many/process.h>
#include <many/future.h>
#include <many/pool.h>
#include <many/pool_map.h>
#include <many/imap.h>
#include <many/pool_status.h>

#endif
