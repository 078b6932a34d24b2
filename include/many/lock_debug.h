/* SPDX-License-Identifier: MIT */
/*
 * lock_debug.h - lock-order inversions and deadlocks among the locks of many/sync.h, named
 *
 *   many_lock_debug(print_report, stderr);      // first of all in main
 *   many_lock_name(&ledger->lock, "ledger");
 */
#ifndef MANY_LOCK_DEBUG_H
#define MANY_LOCK_DEBUG_H

#include <many/sync.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * many_lock_report_fn - told what the debug mode finds
 *
 *   text     one or more lines: the inversion or the deadlock, and who holds and waits for what
 *   context  as given to many_lock_debug()
 *
 * Called by the thread that found it, in the middle of its acquire: it may not acquire a many lock.
 */
typedef void many_lock_report_fn(const char *text, void *context);

/*
 * many_lock_debug - watch every lock and rlock from now on: who holds what, in which order
 *
 * Call it once, early: what was acquired before is not known, and processes that are forked later
 * are watched together with this one. An acquire that would close a circle of waits returns
 * -EDEADLK, with the circle in words ("thread 7 'writer' of process 5 holds ledger at 0x..., waits
 * for index at 0x..., held by ..."). Two locks that are taken in one order here and in the other
 * there are reported, once a pair, even if it went well this time. Costs a microsecond or so an
 * acquire.
 *
 *   report   called with each finding; NULL: only codes and messages
 *   context  for it
 *
 * returns   0
 *           -EALREADY  it is on; report and context were replaced
 *           -ENOMEM    no memory for the tables
 * blocks    never
 * threads   any
 * fork      forked children are watched, too, and report by their copy of report
 * signals   not from a signal handler
 * source    Linux lockdep, Python faulthandler in spirit
 */
MANY_API int many_lock_debug(many_lock_report_fn *report, void *context);

/*
 * many_lock_name - name a lock for the debug mode
 *
 *   lock  a many_lock, or a many_rlock cast to one
 *   name  copied, 31 bytes at most
 *
 * returns   0
 *           -ENOSYS  the debug mode is off
 *           -ENOMEM  4096 locks have names already
 *           -EINVAL  an argument is NULL, or lock not aligned
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   not from a signal handler
 */
MANY_API int many_lock_name(many_lock *lock, const char *name);

#ifdef __cplusplus
}
#endif

#endif
