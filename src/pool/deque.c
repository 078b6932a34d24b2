/* SPDX-License-Identifier: MIT */
/* deque.c - what a deque does when its ring is full; see deque.h */
#include "pool/deque.h"

#include <stdlib.h>

#define DEQUE_FIRST 64 /* slots of the first ring */

static many_deque_entry_ deque_at(const many_deque_ring_ *ring, int64_t at)
{
    const many_deque_slot_ *slot = &ring->slot[at & ring->mask];
    many_deque_entry_ entry = {atomic_load_explicit(&slot->task, memory_order_relaxed),
                               atomic_load_explicit(&slot->number, memory_order_relaxed)};

    return entry;
}

/* A ring of at least so many slots, with the entries from top to bottom. */
static int deque_grow(many_deque_ *deque, int64_t slots)
{
    many_deque_ring_ *old = atomic_load_explicit(&deque->ring, memory_order_relaxed);
    int64_t size = old == NULL ? DEQUE_FIRST : old->mask + 1;
    many_deque_ring_ *ring;

    while (size < slots)
        size *= 2;
    ring = malloc(sizeof *ring + (size_t)size * sizeof ring->slot[0]);
    if (ring == NULL)
        return 0;
    ring->older = old;
    ring->mask = size - 1;
    for (int64_t at = deque->top_seen; old != NULL && at < many_deque_bottom_(deque); at++) {
        const many_deque_entry_ entry = deque_at(old, at);

        atomic_store_explicit(&ring->slot[at & ring->mask].task, entry.task, memory_order_relaxed);
        atomic_store_explicit(&ring->slot[at & ring->mask].number, entry.number,
                              memory_order_relaxed);
    }
    MANY_FAULT_POINT("deque.grow.before_ring");
    /* Release: a thief who sees the ring sees its slots. */
    atomic_store_explicit(&deque->ring, ring, memory_order_release);
    deque->full_at = size;
    return 1;
}

/*
 * The entries that are not live go; the owner takes them all from the top, as a thief would, and pushes those
 * that are live again, behind. So thieves may go on meanwhile. 1: some have moved.
 */
static int deque_sift(many_deque_ *deque, many_deque_live_ *live)
{
    const int64_t end = many_deque_bottom_(deque);
    many_deque_entry_ entry;
    int moved = 0, taken;

    while (atomic_load_explicit(&deque->top, memory_order_relaxed) < end) {
        taken = many_deque_steal_(deque, INT64_MIN, &entry);
        deque->top_seen = atomic_load_explicit(&deque->top, memory_order_relaxed);
        if (taken == 1 && live(&entry)) {
            many_deque_push_(deque, entry.task,
                             entry.number); /* into the slot that was just left */
            moved = 1;
        }
    }
    return moved;
}

int many_deque_room_(many_deque_ *deque, int64_t count, many_deque_live_ *live, int *moved)
{
    const many_deque_ring_ *ring = atomic_load_explicit(&deque->ring, memory_order_relaxed);
    const int64_t b = many_deque_bottom_(deque);
    int64_t alive = 0;

    *moved = 0;
    /* Acquire: the slots that thieves have left may be written again after they have read them. */
    deque->top_seen = atomic_load_explicit(&deque->top, memory_order_acquire);
    if (b - deque->top_seen + count <= deque->full_at)
        return 1;
    for (int64_t at = deque->top_seen; at < b; at++) {
        const many_deque_entry_ entry = deque_at(ring, at);

        alive += live(&entry);
    }
    /* Sifting costs as much as growing, so it has to make as much room. */
    if (b > deque->top_seen && alive + count <= deque->full_at / 2) {
        *moved = deque_sift(deque, live);
        return 1;
    }
    return deque_grow(deque, b - deque->top_seen + count);
}

void many_deque_free_(many_deque_ *deque)
{
    many_deque_ring_ *ring = atomic_load_explicit(&deque->ring, memory_order_relaxed);

    while (ring != NULL) {
        many_deque_ring_ *older = ring->older;

        free(ring);
        ring = older;
    }
}
