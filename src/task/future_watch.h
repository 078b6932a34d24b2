/* SPDX-License-Identifier: MIT */
/*
 * future_watch.h - who hears of the end of a future: descriptor, nodes, callbacks
 *
 * Promise    Each is told once, by the settler, who comes for certain once WATCHED stands in the
 *            state: in the order descriptor, nodes, callbacks in the order they were given. A
 *            callback that is given when the future is over already is called by who gives it,
 *            before that returns, even if the settler is still at the earlier ones (as in Python).
 * Invariant  WATCHED is set only while the future is not over. An entry is made under the lock, and
 *            only while the future is not over, as seen under the lock; the settler takes the lock
 *            after it made the future over. So every entry is seen by the settler, and there is
 *            none after it. Nobody touches a future after it made its entry and let go of the lock:
 *            a callback may have closed it by then.
 */
#ifndef MANY_TASK_FUTURE_WATCH_H
#define MANY_TASK_FUTURE_WATCH_H

#include "task/future.h"

/* The future is over and SETTLING, and was WATCHED: tell them all. The code of the first callback
 * that failed, which is then this thread's last message again; or 0. */
int many_future_tell_(many_future *future);

/*
 * Between the two it may be closed by what is called meanwhile, and its memory stays. It is open,
 * and over; unpin drops it if it was closed and nobody else uses it.
 */
void many_future_pin_(many_future *future);
void many_future_unpin_(many_future *future);

/* 1: it has a descriptor that also listens to its home, which is to be asked (collect). */
int many_future_silence_(const many_future *future);

#endif
