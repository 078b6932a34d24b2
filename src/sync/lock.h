/* SPDX-License-Identifier: MIT */
/*
 * lock.h - the lock seen from inside: with a deadline, and without words
 */
#ifndef MANY_SYNC_LOCK_H
#define MANY_SYNC_LOCK_H

#include <stdint.h>

#include <many/sync.h>

/* As many_lock_acquire(), without looking at the arguments, the debug mode, or leaving a
 * message. */
int many_lock_take_(many_lock *lock, int64_t deadline_ns);

/* As many_lock_release(), likewise. The owner died mark of a lock that was taken with -EOWNERDEAD
 * goes by many_lock_mend_(). */
int many_lock_give_(many_lock *lock);
void many_lock_mend_(many_lock *lock);

/* 1 if the lock's owner is recorded and dead: who sleeps for something that the owner would do may
 * take the lock now. Costs a look at /proc. */
int many_lock_orphaned_(const many_lock *lock);

/* Does the calling thread hold it? */
int many_lock_mine_(const many_lock *lock);

#endif
