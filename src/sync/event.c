/* SPDX-License-Identifier: MIT */
/*
 * event.c - a flag to wait for
 *
 * Promise    Who waits when the flag is set comes back, even if it is cleared at once.
 * Invariant  state_ is how often it has been set, and in the lowest bit whether it is: each change
 *            is one compare-and-swap. A waiter compares the count with that of its arrival.
 *            waiters_ is 1 if somebody may sleep: a waiter reads the count, sets it to 1, sleeps if
 *            the count is still that. A setter clears it *before* its change, looks at it once more
 *            after it, and wakes all if it was 1 either time. All these are in one order for all:
 *            who set it to 1 before the change is seen or sees the change, and who did so after it
 *            is not cleared away.
 * Death      A setter killed after its change and before the wake costs who sleeps one slice. A
 *            killed waiter leaves waiters_ at 1: one wake too many.
 */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

#include <many/sync.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "sync/say.h"
#include "sync/wait.h"

_Static_assert(sizeof(many_event) == 16, "two words, as the header says");

static _Atomic uint32_t *event_state(const many_event *event)
{
    return (_Atomic uint32_t *)(uintptr_t)&event->state_;
}

static _Atomic uint32_t *event_waiters(many_event *event)
{
    return (_Atomic uint32_t *)&event->waiters_;
}

int many_event_set(many_event *event)
{
    uint32_t seen, waiters;

    if (many_say_is_none_(event))
        return many_say_none_(event, "many_event_set", "event");
    waiters = atomic_load(event_waiters(event));
    if (waiters != 0)
        waiters = atomic_exchange(event_waiters(event), 0);
    MANY_FAULT_POINT("event.set.unseen");
    seen = atomic_load(event_state(event));
    /* The next count, and set. What was written before is seen by who waited: release. */
    while ((seen & 1) == 0 &&
           !atomic_compare_exchange_weak(event_state(event), &seen, (seen + 2) | 1))
        continue;
    MANY_FAULT_POINT("event.set.changed");
    if (waiters != 0 || atomic_load(event_waiters(event)) != 0)
        many_futex_wake_(event_state(event), INT_MAX);
    return 0;
}

int many_event_clear(many_event *event)
{
    if (many_say_is_none_(event))
        return many_say_none_(event, "many_event_clear", "event");
    atomic_fetch_and(event_state(event), ~UINT32_C(1));
    return 0;
}

/* It is set, or has been since it was seen. */
static int event_came(const many_event *event, uint32_t seen)
{
    uint32_t now = atomic_load(event_state(event));

    return (now & 1) != 0 || (now >> 1) != (seen >> 1);
}

static int event_wait(many_event *event, int64_t deadline_ns)
{
    const uint32_t seen = atomic_load(event_state(event));
    many_wait_ wait = many_wait_begin_(deadline_ns);

    if ((seen & 1) != 0)
        return 0;
    if (deadline_ns == 0)
        return -ETIMEDOUT;
    for (int pauses = many_wait_spin_(); many_wait_pause_(&pauses);)
        if (event_came(event, seen))
            return 0;
    for (;;) {
        int code;

        atomic_store(event_waiters(event), 1);
        MANY_FAULT_POINT("event.wait.asleep");
        code = many_wait_slice_(&wait, event_state(event), seen);
        if (event_came(event, seen))
            return 0;
        if (code < 0 && code != -EAGAIN)
            return code;
    }
}

int many_event_wait(many_event *event, double timeout_s)
{
    int code;

    if (many_say_is_none_(event))
        return many_say_none_(event, "many_event_wait", "event");
    code = many_say_timeout_(timeout_s, "many_event_wait");
    if (code < 0)
        return code;
    code = event_wait(event, timeout_s == 0 ? 0 : many_deadline_ns_(timeout_s));
    return many_say_waited_(code, "many_event_wait", "event", timeout_s);
}

int many_event_is_set(const many_event *event)
{
    return !many_say_is_none_(event) && (atomic_load(event_state(event)) & 1) != 0;
}
