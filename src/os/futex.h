/* SPDX-License-Identifier: MIT */
/*
 * futex.h - sleep until a 32-bit word changes
 */
#ifndef MANY_OS_FUTEX_H
#define MANY_OS_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * Sleep while *word is expected, until woken or the deadline comes. May return early for no reason:
 * look again. Works on private and on shared memory. 0; -ETIMEDOUT; -EINTR after a signal handler.
 */
int many_futex_wait_(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);

/* Wake at most count sleepers (INT_MAX: all). */
void many_futex_wake_(_Atomic uint32_t *word, int count);

#endif
