/* SPDX-License-Identifier: MIT */
/*
 * thread_visit.c - a task of one pool runs a task of another, where all places are taken and all asleep
 *
 * Two pools of one worker each: the worker of the first waits for a task of the second, that of the second for a
 * task of the first; neither task has begun, and there is no place for it. So who waits for one runs it where it
 * is, as a visitor, with the number of a worker that is asleep.
 *
 * Promise    A task that waits for one that has not begun does not wait for a place all of which are held by
 *            tasks that wait.
 * Invariant  A visitor has a place of its own, on its stack, which no thief sees: its tasks go to the lists. While
 *            it is there it can be found by its id, from workers on, in the list of visitors, by the lock of
 *            all waits. Its number is that of a worker that was asleep when it came; if that wakes up before the
 *            visitor is through, both have it. To wait for it would be to wait for a task that may want what the
 *            other holds.
 * Counts     of a place in the roster have one writer, who has the place. A visitor leaves its counts with the pool
 *            (debts), and who leaves a place next, or the visitor itself if one is free, puts them there.
 */
#include <string.h>

#include "base/fault.h"
#include "pool/thread_pool.h"

typedef struct thread_visit {
    many_thread_place_ place;
    many_roster_place_ line;
    _Atomic uint64_t submitted;
} thread_visit;

static uint64_t thread_visit_counted(const _Atomic uint64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

static void thread_visit_add(_Atomic uint64_t *count, uint64_t more)
{
    atomic_store_explicit(count, thread_visit_counted(count) + more, memory_order_release);
}

void many_thread_pay_(many_thread_pool_ *pool)
{
    /* By outsiders as a guest would take it. Who finds none free leaves it to who leaves one: he looks at debts
     * after he has made it free, and we at the places after debts was set. */
    many_thread_place_ *place = many_thread_take_place_(pool, 0, MANY_PLACE_GUEST_);

    if (place == NULL)
        return;
    many_latch_take_(&pool->latch);
    thread_visit_add(&place->line->begun, pool->debt.begun);
    thread_visit_add(&place->line->done, pool->debt.done);
    thread_visit_add(&place->line->failed, pool->debt.failed);
    thread_visit_add(&place->line->cancelled, pool->debt.cancelled);
    thread_visit_add(&place->settled, pool->debt.settled);
    memset(&pool->debt, 0, sizeof pool->debt);
    atomic_store_explicit(&pool->debts, 0, memory_order_seq_cst);
    many_latch_give_(&pool->latch);
    many_thread_leave_place_(place);
}

static void thread_visit_owe(many_thread_pool_ *pool, const thread_visit *visit)
{
    many_latch_take_(&pool->latch);
    pool->debt.begun += thread_visit_counted(&visit->line.begun);
    pool->debt.done += thread_visit_counted(&visit->line.done);
    pool->debt.failed += thread_visit_counted(&visit->line.failed);
    pool->debt.cancelled += thread_visit_counted(&visit->line.cancelled);
    pool->debt.settled += thread_visit_counted(&visit->place.settled);
    atomic_store_explicit(&pool->debts, 1, memory_order_seq_cst);
    many_latch_give_(&pool->latch);
    MANY_FAULT_POINT("thread.visit.owes");
    many_thread_pay_(pool);
}

int many_thread_run_as_visitor_(many_thread_task_ *task)
{
    many_thread_pool_ *pool = many_thread_pool_of_(task);
    thread_visit visit;

    /* Visitors have not run the initializer. */
    if (pool->pool.option.initializer != NULL || many_thread_is_told_(pool))
        return 0;
    memset(&visit, 0, sizeof visit);
    visit.place.pool = pool;
    visit.place.visits = 1;
    visit.place.line = &visit.line;
    visit.place.submitted = &visit.submitted;
    if (!many_circle_visit_(&visit.place))
        return 0;
    if (!many_future_claim_(&task->head)) {
        many_circle_leave_(&visit.place);
        return 0;
    }
    many_thread_unlisted_(task);
    many_thread_visit_(&visit.place, task);
    many_circle_leave_(&visit.place);
    many_thread_empty_(&visit.place);
    thread_visit_owe(pool, &visit);
    return 1;
}
