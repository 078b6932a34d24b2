/* SPDX-License-Identifier: MIT */
/*
 * debug.h - the debug mode as lock, rlock and condition see it: one branch while it is off
 */
#ifndef MANY_SYNC_DEBUG_H
#define MANY_SYNC_DEBUG_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The one global of this room: where the mode's tables are, and whom to tell. It cannot lie in the
 * locks, which have no room, nor with a handle, because a lock has none. NULL, the mode is off; it
 * is set once and never taken back.
 */
typedef struct many_debug_ many_debug_;
extern _Atomic(many_debug_ *) many_debug_mode_;

static inline int many_debug_on_(void)
{
    return atomic_load_explicit(&many_debug_mode_, memory_order_acquire) != NULL;
}

/*
 * In place of many_owner_take_() while the mode is on; word is the first field of a many_lock or
 * many_rlock, and a deadline of 0 only tries. The same codes, and -EDEADLK, with words, when the
 * wait would close a circle. must: then the circle is told, and waited out all the same.
 */
int many_debug_take_(uint64_t *word, int must, int64_t deadline_ns);

/* Before the owner gives the word back; nothing if it is not the caller's. */
void many_debug_give_(const uint64_t *word);

#endif
