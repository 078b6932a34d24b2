/* SPDX-License-Identifier: MIT */
/* seat.c - what a task can ask about itself; see seat.h */
#include "task/seat.h"

#include "base/error.h"
#include "os/clock.h"
#include "os/local.h"
#include "task/future.h"

static _Thread_local many_seat_ *seat_current;

void many_seat_take_(many_seat_ *seat)
{
    seat->outer = seat_current;
    seat_current = seat;
    many_error_about_(seat->state);
}

void many_seat_leave_(many_seat_ *seat)
{
    seat_current = seat->outer;
    many_error_about_(seat_current != NULL ? seat_current->state : NULL);
}

int many_seat_taken_(void)
{
    for (const many_seat_ *seat = seat_current; seat != NULL; seat = seat->outer)
        if (seat->worker >= 0)
            return 1;
    return 0;
}

size_t many_item_index(void)
{
    const many_seat_ *seat = seat_current;

    if (seat == NULL)
        return (size_t)-1;
    if (seat->slot_index != NULL)
        return (size_t)atomic_load_explicit(seat->slot_index, memory_order_relaxed);
    return (size_t)(seat->first +
                    many_state_item_(atomic_load_explicit(seat->state, memory_order_relaxed)));
}

int many_worker_index(void)
{
    return seat_current != NULL ? seat_current->worker : -1;
}

/* A task of a pool: was it told to end, or is it over its limit? Nobody else looks at the clock for it. */
static MANY_APART_ int seat_asked(const many_seat_ *seat)
{
    return (atomic_load_explicit(seat->asked, memory_order_relaxed) & MANY_FUTURE_ASKED_) != 0 ||
           (seat->deadline_ns != 0 && many_clock_ns_() >= seat->deadline_ns);
}

int many_cancelled(void)
{
    /* An item around this map that is to end ends this one, too. */
    for (const many_seat_ *seat = seat_current; seat != NULL; seat = seat->outer) {
        uint64_t state = atomic_load_explicit(seat->state, memory_order_relaxed);

        if ((atomic_load_explicit(seat->attention, memory_order_relaxed) & MANY_ATTENTION_STOP_) !=
                0 ||
            (state & MANY_PHASES_) == MANY_CONDEMNED_ || many_cancel_is_set(seat->token))
            return 1;
        if (seat->asked != NULL && seat_asked(seat))
            return 1;
        if (seat->alone)
            return 0;
    }
    return 0;
}
