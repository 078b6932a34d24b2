/* SPDX-License-Identifier: MIT */
/*
 * many.h - parallel work for C: the table of contents, in reading order
 *
 *   many/base.h     error codes and messages, version, usable CPUs
 *   many/task.h     the task function, what a failed item says, cancelling
 *   many/bar.h      progress bars
 *   many/map.h      thread_map and process_map: one function over many items
 *   many/sync.h     locks, semaphores, events, conditions, barriers
 *
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

#endif
