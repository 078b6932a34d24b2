/* SPDX-License-Identifier: MIT */
/*
 * locks.h - workers that use each kind of lock, and what they know of each other without it
 *
 * Each worker is a process that goes round and round with one kind of object, until .over is set or
 * it is killed. What it does while it holds something it writes into shared memory, so that the
 * next one can tell whether exclusion was broken, and whether a death went untold.
 */
#ifndef MANY_TESTS_KILL_LOCKS_H
#define MANY_TESTS_KILL_LOCKS_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <many/sync.h>

#include "kill/ledger.h"
#include "os/self.h"
#include "test.h"

#define LOCKS_WORKERS 5
#define LOCKS_PERMITS 3
#define LOCKS_PARTIES LOCKS_WORKERS
#define LOCKS_LONG_S  60.0 /* a wait that lasts so long hangs: there is something every ms */

/* In shared memory. */
typedef struct locks_area {
    many_lock lock;
    many_rlock rlock;
    many_semaphore semaphore;
    many_bounded_semaphore bounded;
    many_event event;
    many_condition filled, drained;
    many_barrier barrier;
    ledger *book; /* .begun goes up with each turn */
    _Atomic int over;
    _Atomic uint64_t holder;         /* who holds the lock, as the holders say; 0: nobody */
    volatile uint64_t first, second; /* equal, but for who holds the lock */
    volatile uint32_t count;         /* of things in a buffer, by the lock */
    _Atomic uint32_t told;           /* deaths that were reported */
    _Atomic uint64_t inside[LOCKS_WORKERS];
    _Atomic uint32_t turns[LOCKS_WORKERS];
    _Atomic uint64_t entered[LOCKS_WORKERS], left[LOCKS_WORKERS]; /* the barrier */
} locks_area;

typedef void locks_turn(locks_area *area, int worker, uint64_t *seed);

typedef struct locks_worker {
    locks_area *area;
    locks_turn *turn;
    int number;
    uint64_t seed;
    pid_t process;
} locks_worker;

static inline locks_area *locks_open(void)
{
    locks_area *area = test_shared(sizeof *area);

    area->semaphore.permits = LOCKS_PERMITS;
    area->bounded.semaphore.permits = LOCKS_PERMITS;
    area->barrier.parties = LOCKS_PARTIES;
    area->book = ledger_open(1);
    return area;
}

/* ---- what one does with what one holds ---- */

static inline void locks_work(uint64_t *seed)
{
    ledger_spin((double)ledger_random(seed, 20) / 1e6);
}

/* With the lock held. What a killed holder left half done is seen by who is told of its death, and
 * by nobody else. */
static inline void locks_inside(locks_area *area, int code, uint64_t *seed)
{
    const many_identity_ me = many_self_();
    many_identity_ holder = atomic_load(&area->holder);

    if (code == -EOWNERDEAD) {
        atomic_fetch_add(&area->told, 1);
        CHECK(holder == 0 || many_self_gone_(holder));
        area->second = area->first;
    } else {
        CHECK_CODE(code, 0);
        CHECK(holder == 0);
        CHECK_EQUAL(area->first, area->second);
    }
    atomic_store(&area->holder, me);
    area->first++;
    locks_work(seed);
    area->second++;
    CHECK(atomic_load(&area->holder) == me);
    atomic_store(&area->holder, 0);
}

/* ---- a turn with each ---- */

static inline void locks_turn_lock(locks_area *area, int worker, uint64_t *seed)
{
    int code = many_lock_acquire(&area->lock, ledger_random(seed, 4) == 0 ? 0 : LOCKS_LONG_S);

    (void)worker;
    if (code == -ETIMEDOUT)
        return; /* of a try */
    locks_inside(area, code, seed);
    if (code == -EOWNERDEAD)
        CHECK_CODE(many_lock_consistent(&area->lock), 0);
    CHECK_CODE(many_lock_release(&area->lock), 0);
}

static inline void locks_turn_rlock(locks_area *area, int worker, uint64_t *seed)
{
    uint32_t depth = 1 + (uint32_t)ledger_random(seed, 3);
    int code = many_rlock_acquire(&area->rlock, LOCKS_LONG_S);

    (void)worker;
    for (uint32_t k = 1; k < depth; k++)
        CHECK_CODE(many_rlock_acquire(&area->rlock, 0), 0);
    CHECK_EQUAL(many_rlock_depth(&area->rlock), depth);
    locks_inside(area, code, seed);
    if (code == -EOWNERDEAD)
        CHECK_CODE(many_rlock_consistent(&area->rlock), 0);
    for (uint32_t k = 0; k < depth; k++)
        CHECK_CODE(many_rlock_release(&area->rlock), 0);
}

/* No more are inside than there are permits; the dead do not count any more. */
static inline void locks_count_inside(locks_area *area)
{
    many_identity_ seen[LOCKS_WORKERS];
    int inside = 0;

    for (int k = 0; k < LOCKS_WORKERS; k++) {
        seen[k] = atomic_load(&area->inside[k]);
        inside += seen[k] != 0;
    }
    if (inside <= LOCKS_PERMITS)
        return;
    inside = 0;
    for (int k = 0; k < LOCKS_WORKERS;
         k++) /* one that has left meanwhile was alive, and is not inside */
        inside +=
            seen[k] != 0 && !many_self_gone_(seen[k]) && atomic_load(&area->inside[k]) == seen[k];
    CHECK(inside <= LOCKS_PERMITS);
}

static inline void locks_turn_bounded(locks_area *area, int worker, uint64_t *seed)
{
    int code = many_bounded_semaphore_acquire(&area->bounded,
                                              ledger_random(seed, 4) == 0 ? 0 : LOCKS_LONG_S);

    if (code == -ETIMEDOUT)
        return;
    CHECK(code == 0 || code == -EOWNERDEAD);
    if (code != 0)
        atomic_fetch_add(&area->told, 1);
    atomic_store(&area->inside[worker], many_self_());
    locks_count_inside(area);
    locks_work(seed);
    atomic_store(&area->inside[worker], 0);
    CHECK_CODE(many_bounded_semaphore_release(&area->bounded, 1), 0);
}

/* Two set and clear, the others wait. */
static inline void locks_turn_event(locks_area *area, int worker, uint64_t *seed)
{
    if (worker >= 2) {
        CHECK_CODE(many_event_wait(&area->event, LOCKS_LONG_S), 0);
        return;
    }
    CHECK_CODE(many_event_set(&area->event), 0);
    locks_work(seed);
    if (!atomic_load(&area->over))
        CHECK_CODE(many_event_clear(&area->event), 0);
    locks_work(seed);
}

/* A buffer for one thing, between those who fill and those who drain it. */
static inline void locks_turn_condition(locks_area *area, int worker, uint64_t *seed)
{
    const uint32_t want = worker % 2 == 0 ? 0 : 1;
    many_condition *mine = want == 0 ? &area->drained : &area->filled;
    many_condition *theirs = want == 0 ? &area->filled : &area->drained;
    int code = many_lock_acquire(&area->lock, LOCKS_LONG_S);

    for (;;) {
        locks_inside(area, code, seed);
        if (code == -EOWNERDEAD) { /* what the dead one would have notified, somebody has to */
            CHECK_CODE(many_lock_consistent(&area->lock), 0);
            CHECK_CODE(many_condition_notify_all(mine), 0);
            CHECK_CODE(many_condition_notify_all(theirs), 0);
        }
        if (area->count == want || atomic_load(&area->over))
            break;
        code = many_condition_wait(mine, &area->lock, LOCKS_LONG_S);
    }
    if (area->count == want)
        area->count = 1 - want;
    CHECK_CODE(many_condition_notify(theirs, 1), 0);
    CHECK_CODE(many_lock_release(&area->lock), 0);
}

/* Nobody comes out before all have gone in. */
static inline void locks_turn_barrier(locks_area *area, int worker, uint64_t *seed)
{
    uint64_t left[LOCKS_WORKERS];
    int code;

    (void)seed;
    for (int k = 0; k < LOCKS_WORKERS; k++)
        left[k] = atomic_load(&area->left[k]);
    atomic_fetch_add(&area->entered[worker], 1);
    code = many_barrier_wait(&area->barrier, LOCKS_LONG_S);
    if (code >= 0) {
        CHECK(code < LOCKS_PARTIES);
        for (int k = 0; k < LOCKS_WORKERS; k++)
            CHECK(atomic_load(&area->entered[k]) > left[k]);
    } else {
        CHECK_CODE(code, -MANY_EBROKEN);
    }
    atomic_fetch_add(&area->left[worker], 1);
    /* Somebody resets it, after a death, or at the end aborts it. */
    UNTIL(code >= 0 || atomic_load(&area->over) || !many_barrier_is_broken(&area->barrier));
}

/* ---- workers ---- */

static inline void locks_run(void *argument)
{
    locks_worker *self = argument;

    while (!atomic_load(&self->area->over)) {
        self->turn(self->area, self->number, &self->seed);
        atomic_fetch_add(&self->area->turns[self->number], 1);
        atomic_fetch_add(&self->area->book->begun, 1);
    }
}

static inline void locks_start(locks_worker *worker, locks_area *area, locks_turn *turn, int number,
                               uint64_t seed)
{
    *worker = (locks_worker){area, turn, number, seed, 0};
    worker->process = test_child_start(locks_run, worker);
}

/* All end by themselves. */
static inline void locks_stop(locks_area *area, locks_worker *workers, int count)
{
    atomic_store(&area->over, 1);
    CHECK_CODE(many_event_set(&area->event), 0);
    CHECK_CODE(many_barrier_abort(&area->barrier), 0);
    for (int k = 0; k < count; k++) {
        int status = 0;
        pid_t ended;

        if (workers[k].process == 0)
            continue;
        while ((ended = waitpid(workers[k].process, &status, WNOHANG)) == 0) {
            CHECK_CODE(many_condition_notify_all(&area->filled), 0);
            CHECK_CODE(many_condition_notify_all(&area->drained), 0);
            test_pause_(100);
        }
        CHECK(ended == workers[k].process);
        CHECK_EQUAL(status, 0);
    }
}

/* Everything can be had again, once each, in whatever state the dead have left it. */
static inline void locks_check_usable(locks_area *area)
{
    int code = many_lock_acquire(&area->lock, LOCKS_LONG_S);

    CHECK(code == 0 || code == -EOWNERDEAD);
    if (code == -EOWNERDEAD)
        CHECK_CODE(many_lock_consistent(&area->lock), 0);
    CHECK_CODE(many_lock_release(&area->lock), 0);
    CHECK_CODE(many_lock_acquire(&area->lock, 0), 0);
    CHECK_CODE(many_lock_release(&area->lock), 0);
    code = many_rlock_acquire(&area->rlock, LOCKS_LONG_S);
    CHECK(code == 0 || code == -EOWNERDEAD);
    CHECK_EQUAL(many_rlock_depth(&area->rlock), 1);
    if (code == -EOWNERDEAD)
        CHECK_CODE(many_rlock_consistent(&area->rlock), 0);
    CHECK_CODE(many_rlock_release(&area->rlock), 0);
    for (int k = 0; k < LOCKS_PERMITS; k++) {
        code = many_bounded_semaphore_acquire(&area->bounded, LOCKS_LONG_S);
        CHECK(code == 0 || code == -EOWNERDEAD);
    }
    CHECK_EQUAL(many_bounded_semaphore_value(&area->bounded), 0);
    CHECK_CODE(many_bounded_semaphore_acquire(&area->bounded, 0.001), -ETIMEDOUT);
    CHECK_CODE(many_bounded_semaphore_release(&area->bounded, LOCKS_PERMITS), 0);
    CHECK_CODE(many_bounded_semaphore_release(&area->bounded, 1), -EOVERFLOW);
    CHECK_CODE(many_barrier_reset(&area->barrier), 0);
    CHECK_EQUAL(many_barrier_is_broken(&area->barrier), 0);
    CHECK_EQUAL(many_barrier_waiting(&area->barrier), 0);
}

#endif
