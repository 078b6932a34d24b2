/* SPDX-License-Identifier: MIT */
/*
 * rlock.h - the rlock seen from inside
 */
#ifndef MANY_SYNC_RLOCK_H
#define MANY_SYNC_RLOCK_H

#include <many/sync.h>

/* Does the calling thread hold it? */
int many_rlock_mine_(const many_rlock *lock);

#endif
