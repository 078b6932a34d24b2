/* SPDX-License-Identifier: MIT */
/*
 * ring_size.c - a ring grows when it must, and shrinks when it was empty and little used
 *
 * Promise    Size is a power of two, at most the reserve, which every process has mapped since
 *            the ring was opened: nobody has to be told but by the size itself.
 * Growing    Under both locks, so that nobody reads or writes meanwhile. Memory first, which may
 *            fail. Then what lies at another place in the larger ring is copied there, into bytes
 *            that the smaller ring does not have. Then one store of the size.
 * Shrinking  Under both locks, of an empty ring: what the put lock's holders have seen of head is
 *            brought up to date, since what they think lies between it and tail has to fit into
 *            the smaller size; then one store of the size, then the memory goes back.
 * Death      Killed before the store: as before; what was copied is nothing yet. After the store
 *            of the smaller size: memory stays that nobody uses, until the ring has grown and
 *            shrinks again.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "channel/ring_parts.h"
#include "os/clock.h"
#include "os/memory.h"

/* Have memory for these bytes of the ring. 0, -ENOMEM. */
static int size_fill(const many_ring_ *ring, uint64_t from, uint64_t to)
{
    const many_ring_area_ *area = ring->area;
    unsigned char *begin = ring->bytes + from;
    int code = many_memory_populate_(begin, (size_t)(to - from));
    struct stat status;
    size_t offset;

    if (code != -ENOSYS)
        return code;
    if (fstat(area->fd, &status) != 0 || status.st_ino != area->inode)
        return -ENOMEM; /* the caller closed our descriptor: there is no other way to ask */
    offset = (size_t)(begin - area->memory);
    return many_memory_file_grow_(area->fd, offset, offset + (size_t)(to - from)) < 0 ? -ENOMEM : 0;
}

/* Copy what lies between head and tail to where it belongs in a ring of another size. */
static void size_spread(const many_ring_ *ring, uint64_t size, uint64_t larger)
{
    const uint64_t tail = RING_POSITION(
        atomic_load_explicit(&ring->shared->tail.word, memory_order_relaxed)); /* ours, both */
    uint64_t at =
        RING_POSITION(atomic_load_explicit(&ring->shared->head.word, memory_order_relaxed));

    while (at < tail) {
        const uint64_t lap = (at | (size - 1)) + 1; /* where the smaller ring begins anew */
        const uint64_t end = lap < tail ? lap : tail;

        if ((at & (larger - 1)) != (at & (size - 1)))
            memcpy(ring->bytes + (at & (larger - 1)), ring->bytes + (at & (size - 1)), end - at);
        at = end;
    }
}

int many_ring_grow_(many_ring_ *ring, uint64_t need, int64_t deadline_ns)
{
    struct many_ring_shared_ *shared = ring->shared;
    const uint64_t size = atomic_load_explicit(&shared->size, memory_order_relaxed);
    uint64_t larger = size;
    int code;

    while (larger < need && larger <= shared->reserve / 2)
        larger *= 2;
    if (larger < need)
        return -ENOMEM;
    code = size_fill(ring, size, larger);
    if (code < 0)
        return code;
    MANY_FAULT_POINT("ring.grow.filled");
    code = many_ring_take_(shared, &shared->get_lock, deadline_ns);
    if (code < 0)
        return code;
    size_spread(ring, size, larger);
    MANY_FAULT_POINT("ring.grow.spread");
    atomic_store_explicit(&shared->size, larger, memory_order_release);
    MANY_FAULT_POINT("ring.grow.done");
    atomic_store_explicit(&shared->needed_ns, many_clock_ns_(), memory_order_relaxed);
    (void)many_lock_give_(&shared->get_lock);
    return 0;
}

void many_ring_calm_(many_ring_ *ring)
{
    struct many_ring_shared_ *shared = ring->shared;
    const uint64_t size = atomic_load_explicit(&shared->size, memory_order_relaxed);
    uint64_t head;

    if (many_clock_ns_() - atomic_load_explicit(&shared->needed_ns, memory_order_relaxed) <
            RING_CALM_NS ||
        many_ring_try_(shared, &shared->put_lock) < 0) /* try: this is the wrong order to wait in */
        return;
    head = RING_POSITION(atomic_load_explicit(&shared->head.word, memory_order_relaxed));
    if (RING_POSITION(atomic_load_explicit(&shared->tail.word, memory_order_acquire)) == head) {
        /* Release below: nobody sees the smaller size with an older head. */
        atomic_store_explicit(&shared->seen_head, head, memory_order_relaxed);
        MANY_FAULT_POINT("ring.calm.seen");
        atomic_store_explicit(&shared->size, RING_FIRST_BYTES, memory_order_release);
        MANY_FAULT_POINT("ring.calm.sized");
        many_memory_discard_(ring->bytes + RING_FIRST_BYTES, (size_t)(size - RING_FIRST_BYTES));
    }
    (void)many_lock_give_(&shared->put_lock);
}
