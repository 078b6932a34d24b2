/* SPDX-License-Identifier: MIT */
/*
 * thread_future.c - waiting for a task of a pool of threads, and what its future can be asked
 *
 * Promise    A wait in a task ends if the awaited task ends; if it has not begun it is run by who waits. While it
 *            runs elsewhere, who waits runs tasks that came from it, and no others: any other may want
 *            what the task that waits holds. Then it sleeps.
 * Outsiders  run what they wait for, too, if they have all the time in the world, a place is free and it would
 *            be next anyway: so a task that is submitted and waited for costs no switch of threads. Not
 *            where workers have something that outsiders lack: an initializer.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/text.h"
#include "os/clock.h"
#include "pool/failure.h"
#include "pool/thread_pool.h"

/* Of a sleep in a task: whether it has become part of a circle is looked at again after each. */
#define THREAD_FUTURE_SLICE_NS      (5 * MANY_MILLISECOND_NS)
#define THREAD_FUTURE_SLICE_MOST_NS (50 * MANY_MILLISECOND_NS)

/* With nothing to help with, look so often, this many pauses apart at most, before sleeping. */
#define THREAD_FUTURE_HELPS  60
#define THREAD_FUTURE_PAUSES 128

static many_thread_task_ *thread_future_task(many_future *future)
{
    return (many_thread_task_ *)(void *)future;
}

static uint32_t thread_future_phase(const many_future *future)
{
    return atomic_load_explicit(&future->state, memory_order_acquire) & MANY_FUTURE_PHASES_;
}

static int thread_future_is_over(const many_future *future)
{
    return thread_future_phase(future) >= MANY_FUTURE_DONE_;
}

/* ---- helping ---- */

/* It has not begun, as far as was seen: run it at this place. 1: it was run. */
static int thread_future_run_awaited(many_thread_place_ *place, many_thread_task_ *task)
{
    const many_deque_entry_ youngest = many_deque_youngest_(&place->deque);
    int claimed;

    /* Mostly it is what was submitted last, and leaves the deque so. Else its entry stays, as a hint that is
     * out of date. */
    if (MANY_LIKELY_(youngest.task == task &&
                     youngest.number ==
                         atomic_load_explicit(&task->number, memory_order_relaxed))) {
        many_deque_pop_begin_(&place->deque);
        claimed = many_future_claim_(&task->head);
        (void)many_deque_pop_end_(&place->deque, claimed);
    } else {
        claimed = many_future_claim_(&task->head);
        if (claimed)
            many_thread_unlisted_(task);
    }
    if (!claimed)
        return 0;
    if (MANY_LIKELY_((atomic_load_explicit(&place->pool->attention, memory_order_relaxed) &
                      MANY_ATTENTION_STOP_) == 0))
        many_thread_visit_(place, task);
    else
        many_thread_refuse_(task, -ECANCELED, "");
    return 1;
}

/*
 * The awaited task runs at another place: run one that came from it. What lies in that deque above where its
 * bottom was when the task began was pushed by it or by what it has run meanwhile; if it is not over after the
 * steal, that is true of what was stolen. What is not, goes to the lists. 1: something was run.
 */
static int thread_future_leap(many_thread_place_ *place, many_thread_task_ *awaited)
{
    many_thread_pool_ *pool = place->pool;
    const int w = atomic_load_explicit(&awaited->place, memory_order_acquire);
    many_deque_entry_ entry;
    many_deque_ *deque;
    many_thread_task_ *task;
    uint32_t base;
    int64_t top;
    int ours;

    if (w < 0 || w >= pool->pool.workers || &pool->places[w] == place)
        return 0;
    deque = &pool->places[w].deque;
    base = atomic_load_explicit(&awaited->base, memory_order_relaxed);
    top = atomic_load_explicit(&deque->top, memory_order_relaxed);
    if ((int32_t)((uint32_t)top - base) < 0 ||
        top < atomic_load_explicit(&pool->places[w].mixed, memory_order_relaxed))
        return 0;
    if (many_deque_steal_(deque, top, &entry) != 1)
        return 0;
    task = entry.task;
    MANY_FAULT_POINT("thread.leap.stolen");
    ours = thread_future_phase(&awaited->head) == MANY_FUTURE_RUNNING_ &&
           top >= atomic_load_explicit(&pool->places[w].mixed, memory_order_relaxed);
    if (atomic_load_explicit(&task->number, memory_order_relaxed) != entry.number ||
        !many_future_claim_(&task->head))
        return 1; /* it was out of date; there may be more */
    if ((ours && (task->flags & MANY_THREAD_DETACHED_) == 0) || !many_thread_unclaim_(task)) {
        many_thread_visit_(place, task);
        return 1;
    }
    return 0;
}

/* Where nobody else will: see thread_visit.c. */
static int thread_future_run_as_visitor(many_thread_task_ *task)
{
    int ran;

    many_circle_sleep_(NULL);
    ran = many_thread_run_as_visitor_(task);
    many_circle_sleep_(&task->head);
    return ran;
}

/* Wait in a task. */
static MANY_SELDOM_ int thread_future_await_in(many_thread_place_ *place, many_future *future,
                                               int64_t deadline_ns)
{
    many_thread_task_ *task = thread_future_task(future), *needed;
    int64_t slice_ns = THREAD_FUTURE_SLICE_NS;
    int pauses = 1, code = 0;

    for (int looks = 0; looks < THREAD_FUTURE_HELPS && place != NULL;) {
        const uint32_t phase = thread_future_phase(future);

        if (phase >= MANY_FUTURE_DONE_)
            return 0;
        if (phase == MANY_FUTURE_PENDING_ && thread_future_run_awaited(place, task))
            continue;
        if (phase == MANY_FUTURE_RUNNING_ && thread_future_leap(place, task)) {
            looks = 0;
            pauses = 1;
            continue;
        }
        if (place->pool->cpus == 1)
            break;
        if (deadline_ns != MANY_NEVER_NS && many_clock_ns_() >= deadline_ns)
            return -ETIMEDOUT;
        for (int k = 0; k < pauses; k++)
            many_pause_();
        pauses = pauses * 2 < THREAD_FUTURE_PAUSES ? pauses * 2 : THREAD_FUTURE_PAUSES;
        looks++;
    }
    MANY_FAULT_POINT("thread.await.sleeps");
    many_circle_sleep_(future);
    for (;;) {
        const int found = many_circle_look_(future, &needed);

        if (found < 0) {
            code = found;
            break;
        }
        if (found > 0) {
            many_circle_sleep_(NULL);
            (void)thread_future_run_awaited(many_thread_at_(many_thread_pool_of_(needed)), needed);
            many_circle_sleep_(future);
            continue;
        }
        if (place == NULL && thread_future_phase(future) == MANY_FUTURE_PENDING_ &&
            thread_future_run_as_visitor(task))
            continue;
        code = many_future_sleep_(future, deadline_ns, slice_ns);
        if (code != -EAGAIN)
            break;
        slice_ns =
            slice_ns * 2 < THREAD_FUTURE_SLICE_MOST_NS ? slice_ns * 2 : THREAD_FUTURE_SLICE_MOST_NS;
    }
    many_circle_sleep_(NULL);
    return code;
}

/* An outsider runs it itself, if it is next. 1: it was run. */
static int thread_future_run_as_guest(many_thread_task_ *task)
{
    many_thread_pool_ *pool = many_thread_pool_of_(task);
    many_thread_place_ *place;
    int claimed = 0, used;

    if (!pool->guests ||
        (atomic_load_explicit(&pool->attention, memory_order_relaxed) & MANY_ATTENTION_STOP_) != 0)
        return 0;
    place = many_thread_take_place_(pool, 0, MANY_PLACE_GUEST_);
    if (place == NULL)
        return 0;
    used = atomic_load_explicit(&pool->used, memory_order_relaxed);
    /* It is the first of all that wait: of the lists, and nothing lies in a deque, which would have come before. */
    if (atomic_load_explicit(&pool->levels, memory_order_relaxed) >> task->level == 1 &&
        atomic_load_explicit(&pool->list[task->level].first, memory_order_relaxed) ==
            atomic_load_explicit(&task->number, memory_order_relaxed)) {
        for (int w = 0; w < used && claimed == 0; w++)
            claimed = -many_deque_any_(&pool->places[w].deque);
        if (claimed == 0 && (claimed = many_future_claim_(&task->head)) != 0 &&
            (atomic_load_explicit(&pool->waiting, memory_order_relaxed) > MANY_THREAD_LIST_SHORT_ ||
             atomic_load_explicit(&pool->crowded, memory_order_seq_cst) != 0))
            many_thread_unlisted_(task);
    }
    if (claimed > 0)
        many_thread_visit_(place, task);
    many_thread_leave_place_(place);
    return claimed > 0;
}

int many_thread_await_(many_future *future, int64_t deadline_ns)
{
    many_thread_task_ *task = thread_future_task(future);
    many_thread_place_ *place = many_thread_at_(many_thread_pool_of_(task));
    int code;

    if (MANY_LIKELY_(place != NULL && thread_future_phase(future) == MANY_FUTURE_PENDING_) &&
        thread_future_run_awaited(place, task))
        return 0;
    if (place == NULL && deadline_ns == MANY_NEVER_NS &&
        thread_future_phase(future) == MANY_FUTURE_PENDING_ && thread_future_run_as_guest(task))
        return 0;
    if (many_thread_here_ != NULL)
        code = thread_future_await_in(place, future, deadline_ns);
    else
        code = many_future_sleep_(future, deadline_ns, 0);
    if (code == -EINTR)
        return many_fail(code, "many_future_wait: a signal handler ran");
    return code;
}

static int thread_future_help(many_future *future)
{
    many_thread_task_ *task = thread_future_task(future);
    many_thread_place_ *place = many_thread_at_(many_thread_pool_of_(task));

    return place != NULL && thread_future_phase(future) == MANY_FUTURE_PENDING_ &&
           thread_future_run_awaited(place, task) && thread_future_is_over(future);
}

static int thread_future_circle(many_future *future)
{
    return many_thread_here_ != NULL && !thread_future_is_over(future) &&
           many_circle_look_(future, NULL) == -EDEADLK;
}

/* ---- ending it before its time ---- */

static int thread_future_cancel(many_future *future)
{
    if (many_future_claim_(future)) {
        many_thread_refuse_(thread_future_task(future), -ECANCELED, "");
        return 1;
    }
    return thread_future_phase(future) == MANY_FUTURE_CANCELLED_;
}

static int thread_future_terminate(many_future *future, int64_t grace_ns)
{
    uint32_t seen = atomic_load_explicit(&future->state, memory_order_relaxed);

    (void)grace_ns; /* a thread cannot be killed */
    if (many_future_claim_(future)) {
        many_thread_refuse_(thread_future_task(future), -ECANCELED, "");
        return 1;
    }
    do {
        if (many_future_is_over_(seen))
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&future->state, &seen,
                                                    seen | MANY_FUTURE_ASKED_, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return 1;
}

/* ---- asking ---- */

static void thread_future_name(const many_future *future, char *text, size_t room)
{
    const many_thread_task_ *task = (const many_thread_task_ *)(const void *)future;

    const char *name = many_thread_name_(task);

    if (name != NULL)
        many_text_tame_(text, room, name);
    else
        snprintf(text, room, "task %llu",
                 (unsigned long long)atomic_load_explicit(&task->number, memory_order_relaxed));
}

static void thread_future_cause(many_future *future, many_cause *cause)
{
    const many_thread_task_ *task = thread_future_task(future);
    const many_thread_note_ *note = (task->flags & MANY_THREAD_NOTED_) != 0 ? task->note : NULL;
    const int64_t limit_ns = task->more != NULL ? task->more->limit_ns : 0;

    memset(cause, 0, sizeof *cause);
    cause->item = atomic_load_explicit(&task->number, memory_order_relaxed);
    cause->worker = atomic_load_explicit(&task->place, memory_order_relaxed);
    if (cause->worker >= 0) /* a visitor's place has a number, too */
        cause->worker %= many_thread_pool_of_(task)->pool.workers;
    cause->exit_status = -1;
    cause->code = future->code;
    if (thread_future_phase(future) == MANY_FUTURE_CANCELLED_) {
        cause->cancelled = 1;
        cause->code = -ECANCELED;
    } else if (note != NULL) {
        cause->code = note->code;
        cause->tries = note->tries;
        cause->over_limit = note->over_limit;
        cause->seconds = note->seconds;
    }
    many_failure_write_(
        cause, &(many_failure_words_){.task = 1,
                                      .name = many_thread_name_(task),
                                      .said = note != NULL ? note->words : "",
                                      .limit_s = (double)limit_ns / (double)MANY_SECOND_NS});
}

const many_future_engine_ many_thread_engine_ = {
    .await = many_thread_await_,
    .help = thread_future_help,
    .circle = thread_future_circle,
    .cancel = thread_future_cancel,
    .terminate = thread_future_terminate,
    .cause = thread_future_cause,
    .name = thread_future_name,
    .drop = many_thread_drop_,
    .callback_failed = many_pool_callback_failed_,
};
