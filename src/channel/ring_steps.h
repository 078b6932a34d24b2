/* SPDX-License-Identifier: MIT */
/*
 * ring_steps.h - the steps that puts and gets are made of, in the order of the story that ring.c
 * tells
 */
#ifndef MANY_CHANNEL_RING_STEPS_H
#define MANY_CHANNEL_RING_STEPS_H

#include <string.h>

#include "base/fault.h"
#include "channel/ring_parts.h"
#include "os/local.h"
#include "os/self.h"
#include "sync/owner.h"

/* ---- locks ---- */

/* All of many_ring_take_() that is not a free lock. */
int many_ring_take_slowly_(struct many_ring_shared_ *shared, many_lock *lock, int64_t deadline_ns);

static inline int ring_take(struct many_ring_shared_ *shared, many_lock *lock, many_identity_ me,
                            int64_t deadline_ns)
{
    if (MANY_LIKELY_(many_owner_try_(&lock->owner_, me)))
        return 0;
    return many_ring_take_slowly_(shared, lock, deadline_ns);
}

static inline void ring_give(many_lock *lock, many_identity_ me)
{
    if (!MANY_LIKELY_(many_owner_drop_(&lock->owner_, me)))
        (void)many_owner_give_(&lock->owner_, me);
}

/* ---- bytes ---- */

static inline uint64_t ring_size(const struct many_ring_shared_ *shared)
{
    return atomic_load_explicit(&shared->size, memory_order_relaxed); /* under a lock */
}

static inline uint64_t ring_need(uint64_t bytes)
{
    return (bytes >= RING_LONG_BYTES ? 16 : 8) + ((bytes + 7) & ~UINT64_C(7));
}

static inline uint64_t *ring_word(const many_ring_ *ring, uint64_t position)
{
    return (uint64_t *)(void *)(ring->bytes + (position & (ring_size(ring->shared) - 1)));
}

static inline void ring_copy_in(const many_ring_ *ring, uint64_t position, const void *from,
                                uint64_t bytes)
{
    const uint64_t size = ring_size(ring->shared);
    const uint64_t at = position & (size - 1);

    if (MANY_LIKELY_(bytes <= size - at)) {
        memcpy(ring->bytes + at, from, bytes);
        return;
    }
    memcpy(ring->bytes + at, from, size - at);
    memcpy(ring->bytes, (const unsigned char *)from + (size - at), bytes - (size - at));
}

static inline void ring_copy_out(const many_ring_ *ring, uint64_t position, void *to,
                                 uint64_t bytes)
{
    const uint64_t size = ring_size(ring->shared);
    const uint64_t at = position & (size - 1);

    if (MANY_LIKELY_(bytes <= size - at)) {
        memcpy(to, ring->bytes + at, bytes);
        return;
    }
    memcpy(to, ring->bytes + at, size - at);
    memcpy((unsigned char *)to + (size - at), ring->bytes, bytes - (size - at));
}

/* What the next put writes first was read by another processor last: to have it back takes as
 * long as all the rest of a put, and can be done meanwhile. */
static inline void ring_expect_put(const many_ring_ *ring, uint64_t position)
{
    const void *first = ring_word(ring, position);
    const void *second = ring_word(ring, position + 64);

#if defined(__x86_64__)
    /* Without -mprfchw the built-in only fetches for reading. */
    __asm__ volatile("prefetchw %0\n\tprefetchw %1"
                     :
                     : "m"(*(const char *)first), "m"(*(const char *)second));
#elif defined(__GNUC__)
    __builtin_prefetch(first, 1);
    __builtin_prefetch(second, 1);
#else
    (void)first;
    (void)second;
#endif
}

/* Move a mark on by so many bytes, with what goes with it: the commit. */
static inline void ring_move(ring_mark *mark, _Atomic uint64_t *own, uint64_t word, uint64_t need,
                             uint64_t messages, uint64_t bytes, uint64_t dropped)
{
    const ring_total *old = &mark->totals[word & 1];
    ring_total *new = &mark->totals[(word & 1) ^ 1];

    /* Who reads without a lock, and sees one of the new totals, sees the mark of the move before, too, and
     * so looks again. */
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&new->messages,
                          atomic_load_explicit(&old->messages, memory_order_relaxed) + messages,
                          memory_order_relaxed);
    atomic_store_explicit(&new->bytes,
                          atomic_load_explicit(&old->bytes, memory_order_relaxed) + bytes,
                          memory_order_relaxed);
    atomic_store_explicit(&new->dropped,
                          atomic_load_explicit(&old->dropped, memory_order_relaxed) + dropped,
                          memory_order_relaxed);
    MANY_FAULT_POINT("ring.move.ready");
    /* Pairs with the acquire of who looks at the mark from the other side, or without a lock. */
    atomic_store_explicit(&mark->word, (word + need) ^ 1, memory_order_release);
    MANY_FAULT_POINT("ring.move.moved");
    atomic_store_explicit(own, (word + need) ^ 1, memory_order_relaxed);
}

/* ---- what the holders of a lock have seen of the other side ---- */

/* Head, as the holders of the put lock have seen it last. */
static inline uint64_t ring_seen_head(const struct many_ring_shared_ *shared)
{
    return atomic_load_explicit(&shared->seen_head, memory_order_relaxed);
}

/* Tail, as the holders of the get lock have seen it last: never less than head, which moves after
 * it. */
static inline uint64_t ring_seen_tail(const struct many_ring_shared_ *shared)
{
    return atomic_load_explicit(&shared->seen_tail, memory_order_relaxed);
}

static inline void ring_see_tail(struct many_ring_shared_ *shared, uint64_t position)
{
    atomic_store_explicit(&shared->seen_tail, position, memory_order_relaxed);
}

/* ---- waiting ---- */

static inline void ring_wait_begin(many_park_wait_ *waiting, const many_ring_wait_ *wait)
{
    memset(waiting, 0, sizeof *waiting);
    waiting->deadline_ns = wait->deadline_ns;
    waiting->watch = wait->watch;
    waiting->argument = wait->argument;
}

#endif
