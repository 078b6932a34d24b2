/* SPDX-License-Identifier: MIT */
/*
 * own.h - the one lock of this process's bars: what it has open, and which stages it knows
 *
 * The lock is a word that a fork wipes. So a child never finds it held by a thread that it does not
 * have, and starts with no bars of its own. It is held for moments, never while anything is written;
 * who waits for it yields.
 */
#ifndef MANY_BAR_OWN_H
#define MANY_BAR_OWN_H

/* Take the lock; the pointer that hangs on it: the first of this process's open bars, or NULL. */
void *many_bars_take_(void);

/* Give the lock back; this hangs on it now. */
void many_bars_give_(void *first);

#endif
