/* SPDX-License-Identifier: MIT */
/*
 * semaphore.c - so many permits, each of the first 32 with a place that says who has it
 *
 * Promise    There are never more permits out than there are, and none is lost with a killed holder
 *            of the first 32.
 * Invariant  A place holds 0, or the identity of who has the permit: to take it and to record it is
 *            one compare-and-swap. extra_ counts the permits without a place that are to be had, as
 *            a difference (modulo 2^32) to how many there are at first, permits - 32 or none, so
 *            that zero is right. changes_ is bumped by a release that saw waiters_ above 0; a
 *            waiter counts itself there before it looks at the places. Both are in one order for
 *            all: either the release sees the waiter, or the waiter the permit.
 * Death      A dead holder is noticed after a slice, or two where others have just looked; exactly
 *            one of those who wait swaps itself into its place. A release killed after its swap and
 *            before the wake costs a slice. A killed waiter stays counted, which costs a wake for
 *            nobody each time.
 */
#include <errno.h>
#include <stdatomic.h>

#include <many/sync.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/self.h"
#include "sync/owner.h"
#include "sync/say.h"
#include "sync/wait.h"

_Static_assert(sizeof(many_semaphore) == 280, "as the header says");

#define SEMAPHORE_MOST ((uint32_t)INT32_MAX)

static _Atomic uint32_t *semaphore_half(const uint32_t *half)
{
    return (_Atomic uint32_t *)(uintptr_t)half;
}

static uint32_t semaphore_places(const many_semaphore *semaphore)
{
    return semaphore->permits < MANY_SEMAPHORE_HOLDERS ? semaphore->permits
                                                       : MANY_SEMAPHORE_HOLDERS;
}

/* Permits that have no place, at first. */
static uint32_t semaphore_beyond(const many_semaphore *semaphore)
{
    return semaphore->permits - semaphore_places(semaphore);
}

/* Permits without a place that are to be had. */
static uint32_t semaphore_extra(const many_semaphore *semaphore)
{
    return semaphore_beyond(semaphore) + atomic_load(semaphore_half(&semaphore->extra_));
}

static int semaphore_swap(many_semaphore *semaphore, uint32_t place, uint64_t from, uint64_t to)
{
    return atomic_compare_exchange_strong(many_owner_word_(&semaphore->holders_[place]), &from, to);
}

static uint64_t semaphore_holder(const many_semaphore *semaphore, uint32_t place)
{
    return atomic_load(many_owner_word_(&semaphore->holders_[place]));
}

/* ---- acquire ---- */

/* A free permit: 1 and it is the caller's. */
static int semaphore_try(many_semaphore *semaphore, many_identity_ me)
{
    const uint32_t places = semaphore_places(semaphore);
    uint32_t extra;

    for (uint32_t place = 0; place < places; place++)
        if (semaphore_holder(semaphore, place) == 0 && semaphore_swap(semaphore, place, 0, me)) {
            MANY_FAULT_POINT("semaphore.acquire.taken");
            return 1;
        }
    extra = atomic_load(semaphore_half(&semaphore->extra_));
    while (semaphore_beyond(semaphore) + extra > 0)
        if (atomic_compare_exchange_weak(semaphore_half(&semaphore->extra_), &extra, extra - 1))
            return 1;
    return 0;
}

/* The permit of a dead holder: 1 and it is the caller's. Reads /proc once a holder. */
static int semaphore_inherit(many_semaphore *semaphore, many_identity_ me)
{
    const uint32_t places = semaphore_places(semaphore);
    many_identity_ alive = me;

    for (uint32_t place = 0; place < places; place++) {
        uint64_t holder = semaphore_holder(semaphore, place);

        if (holder == 0 || holder == alive)
            continue;
        if (!many_self_gone_(holder)) {
            alive = holder;
            continue;
        }
        MANY_FAULT_POINT("semaphore.acquire.dead");
        if (semaphore_swap(semaphore, place, holder, me))
            return 1;
    }
    return 0;
}

/* As many_semaphore_acquire(), for one who is counted among the waiters. */
static int semaphore_wait(many_semaphore *semaphore, many_identity_ me, int64_t deadline_ns)
{
    _Atomic uint32_t *changes = semaphore_half(&semaphore->changes_);
    _Atomic uint32_t *looked = semaphore_half(&semaphore->looked_);
    many_wait_ wait = many_wait_begin_(deadline_ns);

    for (;;) {
        uint32_t seen = atomic_load(changes); /* before the places are looked at */
        int code;

        if (semaphore_try(semaphore, me))
            return 0;
        MANY_FAULT_POINT("semaphore.acquire.asleep");
        code = many_wait_slice_(&wait, changes, seen);
        if (code == -EINTR)
            return code;
        if (code == 0)
            continue;
        if (semaphore_try(semaphore, me))
            return 0;
        if (code == -ETIMEDOUT || many_wait_turn_(&wait, looked)) {
            if (semaphore_inherit(semaphore, me)) {
                atomic_store(looked, 0); /* there may be more: let the next one look at once */
                return -EOWNERDEAD;
            }
        }
        if (code == -ETIMEDOUT)
            return code;
    }
}

static int semaphore_take(many_semaphore *semaphore, int64_t deadline_ns)
{
    const many_identity_ me = many_self_();
    int code;

    if (semaphore_try(semaphore, me))
        return 0;
    if (deadline_ns == 0)
        return many_wait_may_look_() && semaphore_inherit(semaphore, me) ? -EOWNERDEAD : -ETIMEDOUT;
    for (int pauses = many_wait_spin_(); many_wait_pause_(&pauses);)
        if (semaphore_try(semaphore, me))
            return 0;
    atomic_fetch_add(semaphore_half(&semaphore->waiters_), 1);
    code = semaphore_wait(semaphore, me, deadline_ns);
    atomic_fetch_sub(semaphore_half(&semaphore->waiters_), 1);
    return code;
}

static int semaphore_acquire(many_semaphore *semaphore, double timeout_s, const char *function)
{
    int code;

    if (many_say_is_none_(semaphore))
        return many_say_none_(semaphore, function, "semaphore");
    code = many_say_timeout_(timeout_s, function);
    if (code < 0)
        return code;
    code = semaphore_take(semaphore, timeout_s == 0 ? 0 : many_deadline_ns_(timeout_s));
    if (code == -EOWNERDEAD)
        return many_fail(code,
                         "%s: a permit is yours, and its last holder died with it: see whether "
                         "what it worked on is in order",
                         function);
    return many_say_waited_(code, function, "permit", timeout_s);
}

/* ---- release ---- */

/* Free a place that holds this, or with 0 any. 1: done. */
static int semaphore_free(many_semaphore *semaphore, many_identity_ whose)
{
    const uint32_t places = semaphore_places(semaphore);

    for (uint32_t place = 0; place < places; place++) {
        uint64_t holder = semaphore_holder(semaphore, place);

        if (holder != 0 && (whose == 0 || holder == whose) &&
            semaphore_swap(semaphore, place, holder, 0))
            return 1;
    }
    return 0;
}

/* Up to n more without a place, as long as there are not more than most. How many were added. */
static uint32_t semaphore_add(many_semaphore *semaphore, uint32_t n, uint32_t most)
{
    const uint32_t beyond = semaphore_beyond(semaphore);
    uint32_t extra = atomic_load(semaphore_half(&semaphore->extra_));
    uint32_t more;

    do {
        more = beyond + extra < most ? most - (beyond + extra) : 0;
        more = more < n ? more : n;
    } while (more > 0 && !atomic_compare_exchange_weak(semaphore_half(&semaphore->extra_), &extra,
                                                       extra + more));
    return more;
}

/* Up to n permits: the caller's own; then those that nobody is recorded for; then anybody's; then,
 * if there may be more than at first, new ones. How many were released. */
static uint32_t semaphore_put(many_semaphore *semaphore, uint32_t n, int bounded)
{
    const many_identity_ whose[] = {many_self_(), 0};
    uint32_t released = 0;

    for (int turn = 0; turn < 2; turn++) {
        while (released < n && semaphore_free(semaphore, whose[turn])) {
            released++;
            MANY_FAULT_POINT("semaphore.release.free");
        }
        if (turn == 0)
            released += semaphore_add(semaphore, n - released, semaphore_beyond(semaphore));
    }
    if (!bounded)
        released += semaphore_add(semaphore, n - released, SEMAPHORE_MOST);
    return released;
}

/* How many may be released. */
static uint32_t semaphore_room(const many_semaphore *semaphore, int bounded)
{
    uint32_t most = bounded ? semaphore->permits : SEMAPHORE_MOST;
    uint32_t value = many_semaphore_value(semaphore);

    return value < most ? most - value : 0;
}

static int semaphore_release(many_semaphore *semaphore, uint32_t n, int bounded,
                             const char *function)
{
    uint32_t released = 0;

    if (many_say_is_none_(semaphore))
        return many_say_none_(semaphore, function, "semaphore");
    if (n == 0)
        return many_fail(-EINVAL, "%s: n is 0: give 1 or more", function);
    /* Nothing is released where it would be too many. Only two that do so at the same instant, both
     * of them more than one, may get that far: then those that are too many are not released. */
    if (n <= semaphore_room(semaphore, bounded))
        released = semaphore_put(semaphore, n, bounded);
    if (released > 0 && atomic_load(semaphore_half(&semaphore->waiters_)) != 0) {
        atomic_fetch_add(semaphore_half(&semaphore->changes_), 1);
        MANY_FAULT_POINT("semaphore.release.quiet");
        many_futex_wake_(semaphore_half(&semaphore->changes_), (int)released);
    }
    if (released == n)
        return 0;
    if (bounded)
        return many_fail(-EOVERFLOW, "%s: n is %u, and fewer are taken: a release too many",
                         function, (unsigned)n);
    return many_fail(-EOVERFLOW, "%s: n is %u: there would be more than 2147483647 permits",
                     function, (unsigned)n);
}

/* ---- the functions ---- */

int many_semaphore_acquire(many_semaphore *semaphore, double timeout_s)
{
    return semaphore_acquire(semaphore, timeout_s, "many_semaphore_acquire");
}

int many_semaphore_release(many_semaphore *semaphore, uint32_t n)
{
    return semaphore_release(semaphore, n, 0, "many_semaphore_release");
}

uint32_t many_semaphore_value(const many_semaphore *semaphore)
{
    uint32_t places, value;

    if (many_say_is_none_(semaphore))
        return 0;
    places = semaphore_places(semaphore);
    value = semaphore_extra(semaphore);
    for (uint32_t place = 0; place < places; place++)
        value += semaphore_holder(semaphore, place) == 0;
    return value;
}

/* The first field of the bounded one is the plain one: what is NULL or not aligned here is so
 * there. */
int many_bounded_semaphore_acquire(many_bounded_semaphore *semaphore, double timeout_s)
{
    return semaphore_acquire((many_semaphore *)semaphore, timeout_s,
                             "many_bounded_semaphore_acquire");
}

int many_bounded_semaphore_release(many_bounded_semaphore *semaphore, uint32_t n)
{
    return semaphore_release((many_semaphore *)semaphore, n, 1, "many_bounded_semaphore_release");
}

uint32_t many_bounded_semaphore_value(const many_bounded_semaphore *semaphore)
{
    return many_semaphore_value((const many_semaphore *)semaphore);
}
