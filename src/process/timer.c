/* SPDX-License-Identifier: MIT */
/*
 * timer.c - a thread that waits for its time, and then calls a function
 *
 * Invariant  After its beginning state changes once, from TIMER_WAITS to TIMER_FIRED or TIMER_CANCELLED, by
 *            compare-and-swap: so fn is called if and only if no cancel has returned 1.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <many/process.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/self.h"
#include "process/thread.h"

enum {
    TIMER_NEW, /* the thread runs, and start has not written all of it */
    TIMER_WAITS,
    TIMER_FIRED,
    TIMER_CANCELLED
};

struct many_timer {
    uint64_t process; /* many_self_process_() of the one it runs in */
    many_thread *thread;
    many_process_fn *fn;
    void *argument;
    int64_t deadline_ns;
    _Atomic uint32_t state; /* futex */
};

static int timer_settle(many_timer *timer, uint32_t how)
{
    uint32_t waits = TIMER_WAITS;

    return atomic_compare_exchange_strong(&timer->state, &waits, how);
}

static int timer_body(void *argument)
{
    many_timer *timer = argument;

    while (atomic_load(&timer->state) == TIMER_NEW)
        many_futex_wait_(&timer->state, TIMER_NEW, MANY_NEVER_NS);
    while (atomic_load(&timer->state) == TIMER_WAITS)
        if (many_futex_wait_(&timer->state, TIMER_WAITS, timer->deadline_ns) == -ETIMEDOUT)
            break;
    /* fn may close the timer, and so free it. */
    if (timer_settle(timer, TIMER_FIRED))
        timer->fn(timer->argument);
    return 0;
}

int many_timer_start(many_timer **given, double delay_s, many_process_fn *fn, void *argument)
{
    many_timer *timer;
    many_thread *thread;
    int code;

    if (given != NULL)
        *given = NULL;
    if (given == NULL || fn == NULL)
        return many_fail(-EINVAL, "many_timer_start: %s is NULL", given == NULL ? "timer" : "fn");
    if (isnan(delay_s) || delay_s < 0)
        return many_fail(-EINVAL, "many_timer_start: delay_s is %g: give seconds from 0", delay_s);
    timer = MANY_FAULT_ERROR("timer.new") < 0 ? NULL : calloc(1, sizeof *timer);
    if (timer == NULL)
        return many_fail(-ENOMEM, "many_timer_start: no memory for a handle");
    timer->process = many_self_process_();
    timer->fn = fn;
    timer->argument = argument;
    timer->deadline_ns = many_deadline_ns_(delay_s);
    code = many_thread_start(&thread, timer_body, timer, .name = "timer");
    if (code < 0) {
        free(timer);
        return code;
    }
    timer->thread = thread;
    *given = timer;
    /* From here on fn may run, and cancel, close and so free it. */
    atomic_store(&timer->state, TIMER_WAITS);
    many_futex_wake_(&timer->state, INT_MAX);
    return 0;
}

static int timer_check(const many_timer *timer, const char *function)
{
    if (timer == NULL)
        return many_fail(-EINVAL, "%s: timer is NULL", function);
    if (timer->process != many_self_process_())
        return many_fail(-MANY_EFORKED,
                         "%s: the timer is one of another process, of which this is a fork",
                         function);
    return 0;
}

int many_timer_cancel(many_timer *timer)
{
    int code = timer_check(timer, "many_timer_cancel");

    if (code < 0)
        return code;
    if (!timer_settle(timer, TIMER_CANCELLED))
        return 0;
    many_futex_wake_(&timer->state, INT_MAX);
    return 1;
}

int many_timer_join(many_timer *timer, double timeout_s)
{
    int code = timer_check(timer, "many_timer_join");

    return code < 0 ? code : many_thread_wait_(timer->thread, timeout_s, "many_timer_join");
}

void many_timer_close(many_timer *timer)
{
    if (timer == NULL || timer->process != many_self_process_())
        return;
    many_timer_cancel(timer);
    many_thread_close(timer->thread);
    free(timer);
}
