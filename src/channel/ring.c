/* SPDX-License-Identifier: MIT */
/*
 * ring.c - messages of any length pass through a ring of bytes in shared memory
 *
 * Promise    A message that was put is got once, whole; first in, first out. Any number of
 *            threads of any processes at both ends.
 * Layout     Positions are 64-bit numbers of bytes that only grow; the place of a position is the
 *            position modulo the size, a power of two. A message is a word (its length), for a
 *            long one a second word (the number of the attempt to write it), and its bytes, all
 *            rounded up to 8.
 * Invariant  head <= tail <= head + size; between head and tail lie whole messages. Only the
 *            holder of the put lock writes behind tail and moves it, only the holder of the get
 *            lock moves head. Each mark moves, with the totals that belong to it, by one store
 *            (ring_parts.h).
 * Death      Bytes first, then the store of tail: a writer killed before it has put nothing,
 *            after it everything. What it left behind tail is overwritten. The same for a reader
 *            and head. Who takes the lock of a dead owner reads the mark again, of which the
 *            lock's holders have a copy (the mark's own line is in the cache of the other side:
 *            70 ns). What the put lock's holders have seen of head is old at worst, whichever of
 *            it a dead one has written: there is more room than they think. A number of an
 *            attempt is used up before it is written anywhere.
 * Waking     Commit, give the lock back, look for sleepers (park.h). Who takes one and leaves
 *            others behind wakes the next getter; likewise putters.
 * Along      The writer of a long message says after each piece how much of it is there. A getter
 *            that waits for it holds the get lock meanwhile and copies each piece while it is in
 *            the caches; it does not sleep, and gives up when nothing comes for a while. It has
 *            the message only when tail has moved, and if the attempt in the message is the one
 *            it copied along: else the writer died, and another has put something else into this
 *            place.
 * Size       Changes under both locks (put, then get): ring_size.c. With both locks and nothing
 *            in the ring the descriptor is hushed, which is announced under the put lock before
 *            the commit.
 */
#include "channel/ring.h"

#include <errno.h>

#include "base/fault.h"
#include "channel/ring_steps.h"
#include "os/clock.h"

/* Who holds a lock of the ring holds it for the time of a copy. */
#define RING_GRACE_NS (250 * MANY_MILLISECOND_NS)

/* A lock was taken, or not; its last owner may have died between moving a mark and writing it
 * down. */
static inline int ring_mend(struct many_ring_shared_ *shared, many_lock *lock, int code)
{
    if (MANY_LIKELY_(code != -EOWNERDEAD))
        return code;
    if (lock == &shared->put_lock)
        atomic_store_explicit(&shared->own_tail,
                              atomic_load_explicit(&shared->tail.word, memory_order_acquire),
                              memory_order_relaxed);
    else
        atomic_store_explicit(&shared->own_head,
                              atomic_load_explicit(&shared->head.word, memory_order_acquire),
                              memory_order_relaxed);
    MANY_FAULT_POINT("ring.mend.done");
    many_lock_mend_(lock); /* killed before this, the next one is told again */
    return 0;
}

int many_ring_try_(struct many_ring_shared_ *shared, many_lock *lock)
{
    return ring_mend(shared, lock, many_lock_take_(lock, 0));
}

int many_ring_take_slowly_(struct many_ring_shared_ *shared, many_lock *lock, int64_t deadline_ns)
{
    if (deadline_ns != MANY_NEVER_NS) {
        int64_t grace_ns = many_clock_ns_() + RING_GRACE_NS;

        if (deadline_ns < grace_ns)
            deadline_ns = grace_ns;
    }
    return ring_mend(shared, lock, many_lock_take_(lock, deadline_ns));
}

int many_ring_take_(struct many_ring_shared_ *shared, many_lock *lock, int64_t deadline_ns)
{
    return ring_take(shared, lock, many_self_(), deadline_ns);
}

uint64_t many_ring_drop_(struct many_ring_shared_ *shared)
{
    const uint64_t head = atomic_load_explicit(&shared->own_head, memory_order_relaxed);
    const uint64_t tail = atomic_load_explicit(&shared->tail.word, memory_order_acquire);
    const ring_total *put = &shared->tail.totals[tail & 1];
    const ring_total *got = &shared->head.totals[head & 1];
    const uint64_t messages = atomic_load_explicit(&put->messages, memory_order_relaxed) -
                              atomic_load_explicit(&got->messages, memory_order_relaxed);
    const uint64_t bytes = atomic_load_explicit(&put->bytes, memory_order_relaxed) -
                           atomic_load_explicit(&got->bytes, memory_order_relaxed);

    ring_see_tail(shared, RING_POSITION(tail));
    if (RING_POSITION(tail) != RING_POSITION(head))
        ring_move(&shared->head, &shared->own_head, head, RING_POSITION(tail) - RING_POSITION(head),
                  messages, bytes, messages);
    return messages;
}
