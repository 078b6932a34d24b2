/* SPDX-License-Identifier: MIT */
/*
 * slots.h - items that flow: a window of slots between a source and its workers
 *
 * The supervisor fills free slots in ring order; a worker claims a ready one with a single
 * compare-and-swap of its number into the slot's status: claim and record are the same write, so
 * there is no instant at which a death loses an item. One slot a claim; a slow item holds its own
 * slot and no other.
 *
 *   FREE       the supervisor may fill it              -> READY
 *   READY      any worker may claim it                 -> CLAIMED|w
 *   CLAIMED|w  worker w runs it, writes its outcome    -> DONE
 *   DONE       the supervisor hands the outcome out    -> FREE
 *
 * Who may write a slot: of FREE and DONE the supervisor, of CLAIMED|w worker w. Each step stores
 * (release) after the writes that it publishes, and is loaded (acquire) before they are read.
 *
 * After worker w's death: at most one slot is CLAIMED|w. Its record's state (task/seat.h) names
 * that slot's item, not MANY_BETWEEN_: fn had begun. Else it had not, and the slot is READY again. A
 * worker stores MANY_BETWEEN_ before each claim, so that a state left over from an earlier item
 * never speaks of a later one.
 *
 * Nobody is woken twice for one thing:
 *   news        counts what is filled (and the end). A worker reads it, looks for a ready slot, and
 *               sleeps only while it is unchanged.
 *   supervisor  AWAKE, NAPS (comes back by itself in a moment) or SLEEPS. A worker that has stored
 *               DONE then reads it; the supervisor stores it, then looks for DONE: one of them sees
 *               the other (sequentially consistent). Who is to be rung for is only SLEEPS, so that
 *               thousands of short items a second do not wake it thousands of times; or NAPS by a
 *               worker that finds nothing to do.
 */
#ifndef MANY_MAP_SLOTS_H
#define MANY_MAP_SLOTS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/atomic.h"
#include "map/call.h"
#include "map/record.h"

#define MANY_SLOT_FREE_    0U
#define MANY_SLOT_READY_   1U
#define MANY_SLOT_DONE_    2U
#define MANY_SLOT_CLAIMED_ 4U /* + the worker's number */

#define MANY_AWAKE_  0U
#define MANY_NAPS_   1U
#define MANY_SLEEPS_ 2U

typedef struct many_slot_ {
    uint64_t index;     /* of the item */
    int32_t code;       /* its outcome */
    uint32_t tries;     /* how often it was begun so far */
    uint32_t cancelled; /* 1: cut off or never begun, because the map ended early */
    uint32_t reserved;
    int64_t failure_ns;       /* when it failed */
    _Alignas(64) char item[]; /* item_bytes, then (aligned) result_bytes, then the cause */
} many_slot_;

typedef struct many_slots_head_ {
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t attention; /* MANY_ATTENTION_STOP_ */
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t news;
    _Atomic uint32_t closed;   /* 1: nothing will be filled any more */
    _Atomic uint32_t sleepers; /* about so many workers sleep; a killed one stays counted */
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t supervisor; /* MANY_AWAKE_ ... */
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t
        claim_from; /* where to look for a ready slot first: a hint */
} many_slots_head_;

typedef struct many_slots_ {
    const many_call_ *call;
    uint32_t window; /* slots */
    int bell;        /* the supervisor's */
    pid_t parent;    /* the supervisor's process */
    void *memory;
    size_t bytes;
    size_t stride, result_at, cause_at; /* of a slot, in bytes */
    many_slots_head_ *head;
    many_record_ *records;    /* [workers] */
    _Atomic uint32_t *status; /* [window] */
    char *slots;              /* [window], stride apart */
} many_slots_;

/* 0 or -ENOMEM with words. */
int many_slots_open_(many_slots_ *slots, const many_call_ *call, uint32_t window, int bell);
void many_slots_close_(many_slots_ *slots);

many_slot_ *many_slot_at_(const many_slots_ *slots, uint32_t s);
void *many_slot_result_(const many_slots_ *slots, uint32_t s); /* NULL if there are no results */
many_cause *many_slot_cause_(const many_slots_ *slots, uint32_t s);

/* The life of worker w: until the slots are closed and none is ready, or the map is over. */
void many_slots_work_(many_slots_ *slots, int w);

/* Slot s was filled: let a worker have it. */
void many_slots_publish_(many_slots_ *slots, uint32_t s);

/* Let one more worker that sleeps look for a ready slot. */
void many_slots_nudge_(many_slots_ *slots);

/* Nothing more will be filled: workers that find nothing leave. */
void many_slots_finish_(many_slots_ *slots);

/* The slot that worker w, who is dead, had claimed; -1 if none. */
int64_t many_slots_claimed_by_(const many_slots_ *slots, int w);

#endif
