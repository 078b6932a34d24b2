/* SPDX-License-Identifier: MIT */
/*
 * cancel.h - wait for a cancel token in a poll
 *
 * The token is a few plain words, valid when zero. While somebody waits with it, it holds a bell
 * (os/stream.h).
 *
 *   watch    one 64-bit word, changed by compare-and-swap only: the bell's descriptor + 1 (24 bits),
 *            how many wait (16), and the process they belong to (24). The first who waits puts a bell
 *            there, the last takes it away; a forked child finds another process's number there, and
 *            starts anew.
 *   setters  how many are inside many_cancel_set(). The last waiter closes the bell only when it has
 *            seen 0 after it took the bell out of watch, so that nobody rings a descriptor that is
 *            closed, or somebody else's by now. Both sides store, then load the other's word:
 *            sequentially consistent.
 *   set      stored by a setter before it reads watch, read by a waiter after it stored watch: one of
 *            the two sees the other.
 */
#ifndef MANY_TASK_CANCEL_H
#define MANY_TASK_CANCEL_H

#include <many/task.h>

/*
 * Begin to wait: a descriptor that turns readable when the token is set (look at the token first:
 * it may be set already). token == NULL: -1. No descriptor to be had: a negative errno other than
 * -1 (-EPERM).
 */
int many_cancel_watch_(many_cancel *token);

/* End of the wait; after a successful watch, once. */
void many_cancel_unwatch_(many_cancel *token);

/*
 * A map that was given the token returns: once it is set, wait until many_cancel_set() is through with
 * it, so that the caller may free it. token == NULL does nothing.
 */
void many_cancel_settle_(const many_cancel *token);

#endif
