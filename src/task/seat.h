/* SPDX-License-Identifier: MIT */
/*
 * seat.h - where a worker sits while it runs tasks: what many_item_index() and its like look at
 *
 * A seat is the worker's own and lives on its stack; the thread points at it while the worker runs,
 * and at the outer one again afterwards (a map inside a task).
 *
 * A many_thread has one, too, for many_cancelled() alone: worker is -1, first UINT64_MAX and its state 0,
 * so that it is in no item.
 */
#ifndef MANY_TASK_SEAT_H
#define MANY_TASK_SEAT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <many/task.h>

/*
 * The state word of a worker: which item, which try, how far. One word, so that it is always whole.
 *
 *   bits  0..31  number of the item in its round (of a source: its index): low, so that the next is
 *                + 1
 *   bits 32..33  MANY_BETWEEN_: not in fn; this item is next, the ones before it are done
 *                MANY_RUNNING_: in fn
 *                MANY_ENDED_: fn has returned, and its outcome is being recorded
 *                MANY_CONDEMNED_: the supervisor has ended this try; the worker may not go on
 *   bits 48..63  tries before this one
 */
#define MANY_BETWEEN_   UINT64_C(0)
#define MANY_RUNNING_   (UINT64_C(1) << 32)
#define MANY_CONDEMNED_ (UINT64_C(2) << 32)
#define MANY_ENDED_     (UINT64_C(3) << 32)
#define MANY_PHASES_    (UINT64_C(3) << 32)

static inline uint64_t many_state_(uint32_t item, uint32_t tries, uint64_t phase)
{
    return (uint64_t)(tries & 0xFFFF) << 48 | phase | item;
}

static inline uint32_t many_state_item_(uint64_t state)
{
    return (uint32_t)state;
}

static inline uint32_t many_state_tries_(uint64_t state)
{
    return (uint32_t)(state >> 48);
}

/* Bits of the word that a worker looks at between two items. */
#define MANY_ATTENTION_STOP_ 1U /* begin no more items */
#define MANY_ATTENTION_HUNGRY_                                                                     \
    2U /* somebody has nothing to do: give back what you have not begun */

typedef struct many_seat_ {
    const _Atomic uint64_t *state;     /* this worker's state word */
    const _Atomic uint32_t *attention; /* the map's */
    const many_cancel *token;          /* the map's, or NULL */
    const _Atomic uint64_t
        *slot_index;          /* index of the item in the slot that runs; NULL: use first */
    uint64_t first;           /* index of the round's first item */
    struct many_seat_ *outer; /* of the task around this map, or NULL */
    int worker;               /* -1: no worker, and in no task */
    int alone; /* 1: a task around this one has nothing to do with it: a pool's worker, who
                                 runs one while another waits */
    const _Atomic uint32_t
        *asked;          /* the state of the future of a pool's task: MANY_FUTURE_ASKED_; or NULL */
    int64_t deadline_ns; /* of this try of it; 0: none */
} many_seat_;

/* Sit down; the thread's tasks are now those of this seat. */
void many_seat_take_(many_seat_ *seat);

/* Get up again. */
void many_seat_leave_(many_seat_ *seat);

/* Is this thread inside a task? */
int many_seat_taken_(void);

#endif
