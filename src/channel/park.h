/* SPDX-License-Identifier: MIT */
/*
 * park.h - sleep until a 64-bit word of shared memory changes; cheap for who changes it
 *
 * Who changes the word calls many_park_wake_() after it, which is one load while nobody sleeps.
 * Threads of any process; whoever is killed anywhere in here costs the others one slice of sleep.
 * The protocol stands in park.c.
 */
#ifndef MANY_CHANNEL_PARK_H
#define MANY_CHANNEL_PARK_H

#include <stdatomic.h>
#include <stdint.h>

#include "os/atomic.h"

#define MANY_PARK_SPINNERS_ 4

/* In shared memory; zero at first. */
typedef struct many_park_ {
    _Alignas(
        MANY_CACHE_LINE) _Atomic uint32_t word; /* bit 0: somebody sleeps; above: wakes so far */
    _Atomic uint32_t sleepers; /* about so many; who was killed asleep stays in it */
    _Alignas(MANY_CACHE_LINE) _Atomic int64_t spins[MANY_PARK_SPINNERS_]; /* places to spin, each
                                                                              taken until then */
} many_park_;

/* What a process has learned of waiting; private memory, zero at first. */
typedef struct many_park_habit_ {
    _Atomic uint32_t doubt; /* spinning was in vain so often, of late */
    _Atomic uint32_t waits;
} many_park_habit_;

/* Asked now and then while waiting; a negative code ends the wait. */
typedef int many_park_watch_fn_(void *argument);

/* One wait. */
typedef struct many_park_wait_ {
    const _Atomic uint64_t *word; /* wait while this is seen */
    uint64_t seen;
    const _Atomic uint64_t *also; /* and, if not NULL, this seen_also */
    uint64_t seen_also;
    const void *expected;       /* what is looked at next, when the word has changed; or NULL */
    int64_t deadline_ns;        /* 0: do not wait */
    many_park_watch_fn_ *watch; /* or NULL */
    void *argument;
    int64_t began_ns; /* zero at first */
    int woken; /* zero at first; 1: was woken. If it leaves and has not used that, it wakes the
                         next in its place */
    int reserved;
} many_park_wait_;

/*
 * 0: the word is another, or a slice of waiting is over: look, and come again. -ETIMEDOUT;
 * -EINTR; what the watch says, which is asked before each sleep.
 */
int many_park_wait_for_(many_park_ *park, many_park_habit_ *habit, many_park_wait_ *wait);

/* The slow part of the next. */
void many_park_wake_some_(many_park_ *park, int count);

/*
 * The word was changed, and after that a lock was released (many_lock_give_): wake one who sleeps
 * for it. The store of the word and the load here must not change places (park.c). On x86 the
 * release is a locked instruction and sees to that; elsewhere it takes a fence.
 */
static inline int many_park_wanted_(many_park_ *park)
{
#if defined(__x86_64__)
    atomic_signal_fence(memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
    return (int)(atomic_load_explicit(&park->word, memory_order_relaxed) & 1);
}

static inline void many_park_wake_(many_park_ *park)
{
    if (many_park_wanted_(park))
        many_park_wake_some_(park, 1);
}

/* Wake all, whatever happened; each asks its watch. */
void many_park_wake_all_(many_park_ *park);

#endif
