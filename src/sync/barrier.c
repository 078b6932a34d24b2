/* SPDX-License-Identifier: MIT */
/*
 * barrier.c - a place where so many threads wait for each other
 *
 * A round is FILLING until the last has come; then EMPTYING until all others have left; then the
 * next is FILLING. BROKEN ends either, and lasts until a reset, which begins the next round at
 * once.
 *
 * Promise    A wait ends when all have come, its time is over, a signal handler ran, or one of the
 *            first 32 who had arrived is dead; in the last three cases it ends for all.
 * Invariant  All fields are changed under lock_ alone, which is held for moments. state_ is round *
 *            4 + phase, the word to sleep on: each change is one store, and wakes all. A round goes
 *            from FILLING to the next FILLING by a reset only, else it passes through EMPTYING,
 *            which waits for all its parties: so who comes back and sees another round than its
 *            own knows that it was reset. arrived_ and leaving_ count the present round.
 *            spoiled_: who came while a round was emptying has left again; the next one is broken
 *            from its beginning.
 * Death      Killed with lock_: the next to take it breaks the barrier, because the counts may be
 *            half changed. Killed elsewhere between arriving and leaving: its place in holders_
 *            tells, to the looks of those who wait for it, be it that they wait for the others to
 *            come or for the dead one to leave.
 * Source     the states of CPython's threading.Barrier, without one for resetting: rounds do that.
 */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

#include <many/sync.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/self.h"
#include "sync/lock.h"
#include "sync/owner.h"
#include "sync/say.h"
#include "sync/wait.h"

_Static_assert(sizeof(many_barrier) == 40 + 8 * MANY_BARRIER_HOLDERS, "as the header says");

typedef enum barrier_phase {
    BARRIER_FILLING = 0,
    BARRIER_EMPTYING = 1,
    BARRIER_BROKEN = 2
} barrier_phase;

#define BARRIER_PHASES UINT32_C(3)
#define BARRIER_ROUND  UINT32_C(4)

/* What one wait knows of itself. */
typedef struct barrier_visit {
    many_barrier *barrier;
    const char *function;
    many_identity_ me;
    uint32_t round; /* of arrival, as in state_ */
    int place;      /* in holders_; -1: none */
    int index;
    int64_t deadline_ns;
    double timeout_s;
} barrier_visit;

static _Atomic uint32_t *barrier_state(const many_barrier *barrier)
{
    return (_Atomic uint32_t *)(uintptr_t)&barrier->state_;
}

static uint32_t barrier_load(const many_barrier *barrier)
{
    return atomic_load_explicit(barrier_state(barrier), memory_order_acquire);
}

/* Read by many_barrier_waiting() without the lock, hence atomic. */
static _Atomic uint32_t *barrier_arrived(const many_barrier *barrier)
{
    return (_Atomic uint32_t *)(uintptr_t)&barrier->arrived_;
}

static uint32_t barrier_count(const many_barrier *barrier)
{
    return atomic_load_explicit(barrier_arrived(barrier), memory_order_relaxed);
}

static void barrier_set_count(many_barrier *barrier, uint32_t arrived)
{
    atomic_store_explicit(barrier_arrived(barrier), arrived, memory_order_relaxed);
}

static barrier_phase barrier_phase_of(uint32_t state)
{
    return (barrier_phase)(state & BARRIER_PHASES);
}

static uint32_t barrier_round_of(uint32_t state)
{
    return state & ~BARRIER_PHASES;
}

/* ---- with lock_ held ---- */

static void barrier_change(many_barrier *barrier, uint32_t round, barrier_phase phase)
{
    atomic_store_explicit(barrier_state(barrier), round | (uint32_t)phase, memory_order_release);
    MANY_FAULT_POINT("barrier.changed");
    many_futex_wake_(barrier_state(barrier), INT_MAX);
}

static void barrier_break(many_barrier *barrier)
{
    barrier_change(barrier, barrier_round_of(barrier_load(barrier)), BARRIER_BROKEN);
}

/* Nobody is there any more. */
static void barrier_empty(many_barrier *barrier)
{
    barrier_set_count(barrier, 0);
    barrier->leaving_ = 0;
    barrier->spoiled_ = 0;
    for (int place = 0; place < MANY_BARRIER_HOLDERS; place++)
        barrier->holders_[place] = 0;
}

static void barrier_next(many_barrier *barrier)
{
    barrier_phase phase = barrier->spoiled_ != 0 ? BARRIER_BROKEN : BARRIER_FILLING;

    barrier_empty(barrier);
    barrier_change(barrier, barrier_round_of(barrier_load(barrier)) + BARRIER_ROUND, phase);
}

/* Somebody who has arrived is dead: its thread id; 0: nobody is. Reads /proc once a holder. */
static unsigned barrier_dead(const many_barrier *barrier)
{
    for (int place = 0; place < MANY_BARRIER_HOLDERS; place++) {
        many_identity_ holder = barrier->holders_[place];

        if (holder != 0 && many_self_gone_(holder))
            return (unsigned)(holder & MANY_IDENTITY_THREAD_);
    }
    return 0;
}

/* The same after a sleep that ended with code: if that was the last one, or it is our turn. */
static unsigned barrier_look(many_barrier *barrier, int code, const many_wait_ *wait)
{
    if (code == -EAGAIN && !many_wait_turn_(wait, (_Atomic uint32_t *)&barrier->looked_))
        return 0;
    return barrier_dead(barrier);
}

static void barrier_lock(many_barrier *barrier)
{
    int code;

    do
        code = many_lock_take_(&barrier->lock_, MANY_NEVER_NS);
    while (code == -EINTR);
    if (code == -EOWNERDEAD) {
        barrier_break(barrier);
        many_lock_mend_(&barrier->lock_);
    }
    MANY_FAULT_POINT("barrier.locked");
}

static void barrier_unlock(many_barrier *barrier)
{
    many_lock_give_(&barrier->lock_);
}

/* Can one more arrive? Not while a round empties, nor while the last to come runs its action. */
static int barrier_is_open(const many_barrier *barrier)
{
    return barrier_phase_of(barrier_load(barrier)) == BARRIER_FILLING &&
           barrier_count(barrier) < barrier->parties;
}

static void barrier_arrive(barrier_visit *visit)
{
    many_barrier *barrier = visit->barrier;

    visit->round = barrier_round_of(barrier_load(barrier));
    visit->place = -1;
    for (int place = 0; place < MANY_BARRIER_HOLDERS && visit->place < 0; place++)
        if (barrier->holders_[place] == 0)
            visit->place = place;
    if (visit->place >= 0)
        barrier->holders_[visit->place] = visit->me;
    MANY_FAULT_POINT("barrier.recorded");
    barrier_set_count(barrier, barrier_count(barrier) + 1);
    visit->index = (int)(barrier->parties - barrier_count(barrier));
}

/* The visit is over. If its round is, too, there is nothing left of it. */
static void barrier_leave(const barrier_visit *visit)
{
    many_barrier *barrier = visit->barrier;
    uint32_t state = barrier_load(barrier);

    if (barrier_round_of(state) != visit->round)
        return;
    if (visit->place >= 0)
        barrier->holders_[visit->place] = 0;
    MANY_FAULT_POINT("barrier.left");
    if (barrier_phase_of(state) == BARRIER_EMPTYING && --barrier->leaving_ == 0)
        barrier_next(barrier);
}

/* All have come: the others may go. */
static void barrier_release(const barrier_visit *visit)
{
    many_barrier *barrier = visit->barrier;

    barrier->leaving_ = barrier->parties;
    barrier_set_count(barrier, 0);
    if (barrier->leaving_ > 1)
        barrier_change(barrier, visit->round, BARRIER_EMPTYING);
    else
        atomic_store_explicit(barrier_state(barrier), visit->round | BARRIER_EMPTYING,
                              memory_order_relaxed); /* nobody sees it */
    barrier_leave(visit);
}

/* ---- waiting ---- */

/* Sleep while the state is this, for one slice at most; as many_wait_slice_(). */
static int barrier_sleep(many_barrier *barrier, uint32_t state, many_wait_ *wait)
{
    for (int pauses = wait->slice_ns == MANY_WAIT_FIRST_NS_ ? many_wait_spin_() : 0;
         many_wait_pause_(&pauses);)
        if (barrier_load(barrier) != state)
            return 0;
    MANY_FAULT_POINT("barrier.asleep");
    return many_wait_slice_(wait, barrier_state(barrier), state);
}

/* Not all have come: why this wait has broken the barrier. */
static int barrier_gave_up(const barrier_visit *visit, int code)
{
    if (code == -EINTR)
        return many_fail(code, "%s: a signal handler ran while it waited: the barrier is broken",
                         visit->function);
    return many_fail(code, "%s: not all came in %g s: the barrier is broken", visit->function,
                     visit->timeout_s);
}

static int barrier_is_broken(const barrier_visit *visit)
{
    return many_fail(-MANY_EBROKEN,
                     "%s: the barrier is broken: many_barrier_reset() makes it whole",
                     visit->function);
}

static int barrier_was_broken(const barrier_visit *visit)
{
    return many_fail(-MANY_EBROKEN,
                     "%s: the barrier was broken or reset by another while it waited",
                     visit->function);
}

static int barrier_told_of(const barrier_visit *visit, unsigned dead)
{
    return many_fail(-MANY_EBROKEN, "%s: thread %u had arrived, and is dead", visit->function,
                     dead);
}

/* Called and returns with lock_. 0: it has arrived. */
static int barrier_enter(barrier_visit *visit)
{
    many_barrier *barrier = visit->barrier;
    many_wait_ wait = many_wait_begin_(visit->deadline_ns);

    while (!barrier_is_open(barrier)) {
        uint32_t state = barrier_load(barrier);
        unsigned dead;
        int code;

        if (barrier_phase_of(state) == BARRIER_BROKEN || barrier->spoiled_ != 0)
            return barrier_is_broken(visit);
        barrier_unlock(barrier);
        code = barrier_sleep(barrier, state, &wait);
        barrier_lock(barrier);
        if (code == 0 || barrier_load(barrier) != state)
            continue;
        dead = barrier_look(barrier, code, &wait);
        if (dead != 0) {
            barrier_break(barrier);
            return barrier_told_of(visit, dead);
        }
        if (code != -EAGAIN) { /* it does not come: the next round lacks it, and is broken */
            barrier->spoiled_ = 1;
            return barrier_gave_up(visit, code);
        }
    }
    barrier_arrive(visit);
    return 0;
}

/* Called and returns with lock_, after it has arrived as the last. */
static int barrier_complete(barrier_visit *visit, int (*action)(void *argument), void *argument)
{
    many_barrier *barrier = visit->barrier;
    int code;

    if (action != NULL) {
        barrier_unlock(barrier);
        code = action(argument);
        barrier_lock(barrier);
        if (barrier_load(barrier) != (visit->round | BARRIER_FILLING)) {
            barrier_leave(visit);
            return code < 0 ? code : barrier_was_broken(visit);
        }
        if (code < 0) {
            barrier_break(barrier);
            barrier_leave(visit);
            return code;
        }
    }
    barrier_release(visit);
    return 0;
}

/* Called and returns with lock_, after it has arrived, and others are to come. */
static int barrier_stay(barrier_visit *visit)
{
    many_barrier *barrier = visit->barrier;
    const uint32_t filling = visit->round | BARRIER_FILLING;
    many_wait_ wait = many_wait_begin_(visit->deadline_ns);
    int code = 0;

    while (barrier_load(barrier) == filling) {
        unsigned dead;

        barrier_unlock(barrier);
        code = barrier_sleep(barrier, filling, &wait);
        barrier_lock(barrier);
        if (code == 0 || barrier_load(barrier) != filling)
            continue;
        dead = barrier_look(barrier, code, &wait);
        if (dead != 0 || code != -EAGAIN) {
            barrier_break(barrier);
            barrier_leave(visit);
            return dead != 0 ? barrier_told_of(visit, dead) : barrier_gave_up(visit, code);
        }
    }
    code = barrier_load(barrier) == (visit->round | BARRIER_EMPTYING) ? visit->index
                                                                      : barrier_was_broken(visit);
    barrier_leave(visit);
    return code;
}

static int barrier_wait(barrier_visit *visit, int (*action)(void *argument), void *argument)
{
    many_barrier *barrier = visit->barrier;
    int code;

    if (many_say_is_none_(barrier))
        return many_say_none_(barrier, visit->function, "barrier");
    code = many_say_timeout_(visit->timeout_s, visit->function);
    if (code < 0)
        return code;
    if (barrier->parties == 0)
        return many_fail(-EINVAL, "%s: .parties is 0: say how many wait for each other",
                         visit->function);
    visit->me = many_self_();
    visit->deadline_ns = many_deadline_ns_(visit->timeout_s);
    barrier_lock(barrier);
    code = barrier_enter(visit);
    if (code == 0)
        code = visit->index == 0 ? barrier_complete(visit, action, argument) : barrier_stay(visit);
    barrier_unlock(barrier);
    return code;
}

/* ---- the functions ---- */

int many_barrier_wait(many_barrier *barrier, double timeout_s)
{
    barrier_visit visit = {
        .barrier = barrier, .function = "many_barrier_wait", .timeout_s = timeout_s};

    return barrier_wait(&visit, NULL, NULL);
}

int many_barrier_wait_and(many_barrier *barrier, int (*action)(void *argument), void *argument,
                          double timeout_s)
{
    barrier_visit visit = {
        .barrier = barrier, .function = "many_barrier_wait_and", .timeout_s = timeout_s};

    return barrier_wait(&visit, action, argument);
}

int many_barrier_reset(many_barrier *barrier)
{
    if (many_say_is_none_(barrier))
        return many_say_none_(barrier, "many_barrier_reset", "barrier");
    barrier_lock(barrier);
    /* A round that is complete, and only empties, stays complete: unless it never will be empty. */
    if (barrier_phase_of(barrier_load(barrier)) != BARRIER_EMPTYING || barrier_dead(barrier) != 0) {
        barrier->spoiled_ = 0;
        barrier_next(barrier);
    }
    barrier_unlock(barrier);
    return 0;
}

int many_barrier_abort(many_barrier *barrier)
{
    if (many_say_is_none_(barrier))
        return many_say_none_(barrier, "many_barrier_abort", "barrier");
    barrier_lock(barrier);
    barrier_break(barrier);
    barrier_unlock(barrier);
    return 0;
}

uint32_t many_barrier_waiting(const many_barrier *barrier)
{
    if (many_say_is_none_(barrier) || barrier_phase_of(barrier_load(barrier)) != BARRIER_FILLING)
        return 0;
    return barrier_count(barrier);
}

int many_barrier_is_broken(const many_barrier *barrier)
{
    return !many_say_is_none_(barrier) && barrier_phase_of(barrier_load(barrier)) == BARRIER_BROKEN;
}
