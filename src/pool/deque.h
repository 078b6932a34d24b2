/* SPDX-License-Identifier: MIT */
/*
 * deque.h - the tasks that one place of a pool of threads has before it: its owner pushes and pops at the
 *           bottom, thieves (and the owner, who wants the oldest) steal at the top
 *
 * Promise    Every entry that was pushed is taken by exactly one pop or steal.
 * Invariant  top <= bottom + 1 at every instruction; only pop makes it so, for a moment, before it puts bottom
 *            back. The entries are those from top to bottom - 1. top never falls: who moves it from t to
 *            t + 1 has taken entry t. Only the owner writes bottom, the slots and ring.
 * Order      The pop says "bottom is b" and then reads top; the steal reads top and then bottom. All four are
 *            sequentially consistent, so one of the two sees the other: if the pop reads a top below b, the
 *            change that made top b comes later in the one order of all of them, and so does the look at
 *            bottom of any thief who takes t = b; that look sees b or what was pushed later. If the pop reads
 *            top = b, both go for the same entry, and the compare-and-swap on top decides.
 *            Orderings on the accesses, no fences: ThreadSanitizer follows them, and on x86 it is the one
 *            exchange that a fence would be; on aarch64 stlr and ldar.
 * Memory     An old ring stays until the deque is given up, since a thief may still read it: at most as much
 *            again as the newest. What lies in slot t of any ring that a thief can have is entry t as long as
 *            top is t, so a thief whose swap succeeds has read the right one.
 * Source     Chase, Lev, "Dynamic circular work-stealing deque", SPAA 2005; Le, Pop, Cohen, Zappa Nardelli,
 *            "Correct and efficient work-stealing for weak memory models", PPoPP 2013.
 */
#ifndef MANY_POOL_DEQUE_H
#define MANY_POOL_DEQUE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "os/atomic.h"

/* An entry: a hint that this task waits, if it still has this number. */
typedef struct many_deque_entry_ {
    void *task; /* NULL: none */
    uint64_t number;
} many_deque_entry_;

typedef struct many_deque_slot_ {
    _Atomic(void *) task;
    _Atomic uint64_t number;
} many_deque_slot_;

typedef struct many_deque_ring_ {
    struct many_deque_ring_ *older;
    int64_t mask; /* slots - 1 */
    many_deque_slot_ slot[];
} many_deque_ring_;

typedef struct many_deque_ {
    _Alignas(MANY_CACHE_LINE) _Atomic int64_t top;
    _Alignas(MANY_CACHE_LINE) _Atomic int64_t bottom;
    _Atomic(many_deque_ring_ *) ring; /* NULL until the first push */
    int64_t top_seen;                 /* the owner's: top is this or more */
    int64_t full_at; /* the owner's: with top_seen + this many entries the ring is full */
} many_deque_;

/* Is the entry still worth its slot? Asked by the owner when the ring is full. */
typedef int many_deque_live_(const many_deque_entry_ *entry);

/* A zeroed one is empty. Free its memory; nobody uses it any more. */
void many_deque_free_(many_deque_ *deque);

/*
 * The ring is full: look again, throw out what is not live, or get a larger one. 1: there is room for count
 * more; 0: no memory. *moved becomes 1 if entries have got other places than they had.
 */
int many_deque_room_(many_deque_ *deque, int64_t count, many_deque_live_ *live, int *moved);

static inline int64_t many_deque_bottom_(const many_deque_ *deque)
{
    return atomic_load_explicit(&deque->bottom, memory_order_relaxed);
}

/* Owner: is there a slot for one more without a further look? */
static inline int many_deque_has_room_(const many_deque_ *deque)
{
    return many_deque_bottom_(deque) - deque->top_seen < deque->full_at;
}

/* Owner, who has seen that there is room. */
static inline void many_deque_push_(many_deque_ *deque, void *task, uint64_t number)
{
    const int64_t b = many_deque_bottom_(deque);
    many_deque_ring_ *ring = atomic_load_explicit(&deque->ring, memory_order_relaxed);
    many_deque_slot_ *slot = &ring->slot[b & ring->mask];

    atomic_store_explicit(&slot->task, task, memory_order_relaxed);
    atomic_store_explicit(&slot->number, number, memory_order_relaxed);
    MANY_FAULT_POINT("deque.push.before_bottom");
    /* Who sees the new bottom (seq_cst, so acquire) sees the slot, and what the task consists of. */
    atomic_store_explicit(&deque->bottom, b + 1, memory_order_release);
}

/* Owner: what was pushed comes before whatever it reads next with seq_cst: for "push, then see who sleeps". */
static inline void many_deque_publish_(many_deque_ *deque)
{
    atomic_store_explicit(&deque->bottom, many_deque_bottom_(deque), memory_order_seq_cst);
}

/* Owner: the youngest, which stays where it is, or no task. A thief may have it at the same time. */
static inline many_deque_entry_ many_deque_youngest_(const many_deque_ *deque)
{
    const int64_t b = many_deque_bottom_(deque);
    const many_deque_ring_ *ring = atomic_load_explicit(&deque->ring, memory_order_relaxed);
    const many_deque_slot_ *slot;
    many_deque_entry_ entry = {NULL, 0};

    if (ring == NULL || b == deque->top_seen)
        return entry;
    slot = &ring->slot[(b - 1) & ring->mask];
    entry.task = atomic_load_explicit(&slot->task, memory_order_relaxed);
    entry.number = atomic_load_explicit(&slot->number, memory_order_relaxed);
    return entry;
}

/* Owner: the number of the oldest, as far as can be seen; UINT64_MAX: there is none. */
static inline uint64_t many_deque_oldest_(const many_deque_ *deque)
{
    const int64_t t = atomic_load_explicit(&deque->top, memory_order_relaxed);
    const many_deque_ring_ *ring = atomic_load_explicit(&deque->ring, memory_order_relaxed);

    return t >= many_deque_bottom_(deque)
               ? UINT64_MAX
               : atomic_load_explicit(&ring->slot[t & ring->mask].number, memory_order_relaxed);
}

/*
 * Owner: take the youngest, in two steps; there has been one. Between them the caller may do a read-modify-write:
 * then it says so, and where such a one orders all that is around it (x86) the store need not do it a second
 * time. ThreadSanitizer is shown the general way.
 */
#if (defined(__x86_64__) || defined(__i386__)) && !defined(__SANITIZE_THREAD__)
#define MANY_DEQUE_LOCKED_ORDERS_ 1
#else
#define MANY_DEQUE_LOCKED_ORDERS_ 0
#endif

static inline void many_deque_pop_begin_(many_deque_ *deque)
{
    atomic_store_explicit(&deque->bottom, many_deque_bottom_(deque) - 1,
                          MANY_DEQUE_LOCKED_ORDERS_ ? memory_order_release : memory_order_seq_cst);
}

/* 1: it is the caller's; 0: it was stolen, the deque is empty. locked: there was a read-modify-write between. */
static inline int many_deque_pop_end_(many_deque_ *deque, int locked)
{
    const int64_t b = many_deque_bottom_(deque);
    int64_t t;
    int taken = 0;

    if (MANY_DEQUE_LOCKED_ORDERS_ && !locked)
        atomic_store_explicit(&deque->bottom, b, memory_order_seq_cst);
    MANY_FAULT_POINT("deque.pop.between");
    t = atomic_load_explicit(&deque->top, memory_order_seq_cst);
    if (t < b) {
        deque->top_seen = t;
        return 1;
    }
    if (t == b)
        taken = atomic_compare_exchange_strong_explicit(&deque->top, &t, t + 1,
                                                        memory_order_seq_cst, memory_order_relaxed);
    /* Empty either way, and top is b + 1 by now, whoever has moved it. */
    deque->top_seen = b + 1;
    atomic_store_explicit(&deque->bottom, b + 1, memory_order_release);
    return taken;
}

static inline int many_deque_pop_(many_deque_ *deque)
{
    many_deque_pop_begin_(deque);
    return many_deque_pop_end_(deque, 0);
}

/* Anybody: are there any, as far as can be seen? */
static inline int many_deque_any_(const many_deque_ *deque)
{
    const int64_t t = atomic_load_explicit(&deque->top, memory_order_seq_cst);

    return atomic_load_explicit(&deque->bottom, memory_order_seq_cst) > t;
}

/*
 * Anybody: take the oldest if its place is from or more. 1: *entry is the caller's; 0: there is none; -1: somebody
 * else was faster.
 */
static inline int many_deque_steal_(many_deque_ *deque, int64_t from, many_deque_entry_ *entry)
{
    int64_t t = atomic_load_explicit(&deque->top, memory_order_seq_cst);
    const int64_t b = atomic_load_explicit(&deque->bottom, memory_order_seq_cst);
    const many_deque_slot_ *slot;
    many_deque_ring_ *ring;

    if (t >= b || t < from)
        return 0;
    /* Acquire: the ring that bottom was pushed into, or a newer one with all that this one holds. */
    ring = atomic_load_explicit(&deque->ring, memory_order_acquire);
    slot = &ring->slot[t & ring->mask];
    entry->task = atomic_load_explicit(&slot->task, memory_order_relaxed);
    entry->number = atomic_load_explicit(&slot->number, memory_order_relaxed);
    MANY_FAULT_POINT("deque.steal.before_swap");
    return atomic_compare_exchange_strong_explicit(&deque->top, &t, t + 1, memory_order_seq_cst,
                                                   memory_order_relaxed)
               ? 1
               : -1;
}

#endif
