/* SPDX-License-Identifier: MIT */
/*
 * condition.c - wait for something to become true of what a lock protects
 *
 * Promise    notify(n) ends the waits of n that wait at the time, or of all if they are fewer;
 *            none is ended in advance.
 * Invariant  A waiter reads changes_ while it still holds the lock, and comes back only if that has
 *            changed since and it could take one from granted_. A notification adds to granted_
 *            first, at most up to waiters_, then bumps changes_, then wakes: who sleeps finds it at
 *            the latest when its slice is over. So one who came later takes nothing of it, and one
 *            whose time is over just then takes it along. Only when there is a second notification
 *            before the first was taken, who came between the two may take the first one's, since a
 *            grant names nobody: who comes while there are grants says so in overtaken_ before it
 *            takes one, and who came before it and finds none left comes back all the same.
 * Death      A notifier killed before its bump leaves a grant, which ends a wait too early later
 *            on; killed before its wake, it costs a slice: 50 ms, growing to a second. One that
 *            died holding the lock is noticed by the same looks: then the wait ends with
 *            -EOWNERDEAD, because what it would have notified may never come. A killed waiter
 *            stays counted: a wake for nobody, or a grant too many, each time. Who was granted its
 *            wake and is killed takes the notification with it.
 */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

#include <many/sync.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "sync/debug.h"
#include "sync/lock.h"
#include "sync/owner.h"
#include "sync/rlock.h"
#include "sync/say.h"
#include "sync/wait.h"

_Static_assert(sizeof(many_condition) == 16, "two words, as the header says");

#define CONDITION_FIRST_NS (50 * MANY_MILLISECOND_NS)
#define CONDITION_MOST_NS  MANY_SECOND_NS

static _Atomic uint32_t *condition_changes(many_condition *condition)
{
    return (_Atomic uint32_t *)&condition->changes_;
}

static _Atomic uint32_t *condition_waiters(many_condition *condition)
{
    return (_Atomic uint32_t *)&condition->waiters_;
}

static _Atomic uint32_t *condition_granted(many_condition *condition)
{
    return (_Atomic uint32_t *)&condition->granted_;
}

static _Atomic uint32_t *condition_overtaken(many_condition *condition)
{
    return (_Atomic uint32_t *)&condition->overtaken_;
}

/* What one wait knows of itself. */
typedef struct condition_visit {
    uint32_t seen; /* changes_ when it came */
    int late;      /* there were grants then, and may still be: for those who came before it */
} condition_visit;

/* Does the count of changes lie after the other one? It may have gone round. */
static int condition_is_after(uint32_t count, uint32_t other)
{
    return count != other && count - other <= INT32_MAX;
}

/* The grant that is taken next may be that of one who came before seen. */
static void condition_overtake(many_condition *condition, uint32_t seen)
{
    uint32_t so_far = atomic_load(condition_overtaken(condition));

    while (condition_is_after(seen, so_far) &&
           !atomic_compare_exchange_weak(condition_overtaken(condition), &so_far, seen))
        continue;
    MANY_FAULT_POINT("condition.wait.overtaken");
}

/* Notified since it came, and a wake is left to take, or was until one took it who came later? */
static int condition_came(many_condition *condition, uint32_t now, condition_visit *visit)
{
    uint32_t granted = atomic_load(condition_granted(condition));

    if (granted == 0)
        visit->late = 0; /* whatever is granted from now on is granted to it, too */
    if (now == visit->seen)
        return 0;
    if (visit->late)
        condition_overtake(condition, visit->seen);
    while (granted > 0 &&
           !atomic_compare_exchange_weak(condition_granted(condition), &granted, granted - 1))
        continue;
    return granted > 0 ||
           condition_is_after(atomic_load(condition_overtaken(condition)), visit->seen);
}

/* Sleep until it is notified, or the owner of the lock is dead. 0, -ETIMEDOUT, -EINTR. */
static int condition_sleep(many_condition *condition, const uint64_t *word, condition_visit *visit,
                           int64_t deadline_ns)
{
    _Atomic uint32_t *changes = condition_changes(condition);
    many_wait_ wait = many_wait_begin_(deadline_ns);
    int code = 0;

    wait.slice_ns = CONDITION_FIRST_NS;
    wait.most_ns = CONDITION_MOST_NS;
    for (int pauses = many_wait_spin_(); many_wait_pause_(&pauses);)
        if (condition_came(condition, atomic_load(changes), visit))
            return 0;
    for (;;) {
        uint32_t now = atomic_load(changes); /* before granted_ is looked at: see the invariant */

        if (condition_came(condition, now, visit))
            return 0;
        if (code < 0 && code != -EAGAIN)
            return code;
        if (code == -EAGAIN && many_owner_orphaned_(word))
            return 0; /* -EOWNERDEAD comes of taking it */
        code = many_wait_slice_(&wait, changes, now);
    }
}

/* Get the lock back, however long that takes: 0 or -EOWNERDEAD. */
static int condition_return(uint64_t *word)
{
    int code;

    do
        code = many_debug_on_() ? many_debug_take_(word, 1, MANY_NEVER_NS)
                                : many_owner_take_(word, many_self_(), MANY_NEVER_NS);
    while (code == -EINTR);
    return code;
}

/* The word is that of a lock which the caller holds, once. */
static int condition_wait(many_condition *condition, uint64_t *word, int64_t deadline_ns)
{
    condition_visit visit = {.seen = atomic_load(condition_changes(condition))};
    int code, back;

    visit.late = atomic_load(condition_granted(condition)) > 0; /* after changes_ */
    atomic_fetch_add(condition_waiters(condition), 1);
    if (many_debug_on_())
        many_debug_give_(word);
    many_owner_give_(word, many_self_());
    MANY_FAULT_POINT("condition.wait.released");
    code = condition_sleep(condition, word, &visit, deadline_ns);
    atomic_fetch_sub(condition_waiters(condition), 1);
    MANY_FAULT_POINT("condition.wait.woken");
    back = condition_return(word);
    return back < 0 ? back : code;
}

static int condition_said(int code, const char *function, double timeout_s)
{
    if (code == -EOWNERDEAD)
        return many_fail(code,
                         "%s: an owner died holding the lock: it is yours; repair what it "
                         "protects, and say so by many_lock_consistent()",
                         function);
    return many_say_waited_(code, function, "notification", timeout_s);
}

/* The arguments that all forms have. */
static int condition_check(const many_condition *condition, const void *lock, double timeout_s,
                           const char *function)
{
    if (many_say_is_none_(condition))
        return many_say_none_(condition, function, "condition");
    if (many_say_is_none_(lock))
        return many_say_none_(lock, function, "lock");
    return many_say_timeout_(timeout_s, function);
}

static int condition_stranger(const char *function)
{
    return many_fail(-EPERM,
                     "%s: the calling thread does not hold the lock: acquire it before, look "
                     "at what you wait for, then wait",
                     function);
}

int many_condition_wait(many_condition *condition, many_lock *lock, double timeout_s)
{
    const char *function = "many_condition_wait";
    int code = condition_check(condition, lock, timeout_s, function);

    if (code < 0)
        return code;
    if (!many_lock_mine_(lock))
        return condition_stranger(function);
    code = condition_wait(condition, &lock->owner_, many_deadline_ns_(timeout_s));
    return condition_said(code, function, timeout_s);
}

int many_condition_wait_rlock(many_condition *condition, many_rlock *lock, double timeout_s)
{
    const char *function = "many_condition_wait_rlock";
    int code = condition_check(condition, lock, timeout_s, function);
    uint32_t depth;

    if (code < 0)
        return code;
    if (!many_rlock_mine_(lock))
        return condition_stranger(function);
    depth = lock->depth_;
    code = condition_wait(condition, &lock->owner_, many_deadline_ns_(timeout_s));
    lock->depth_ = depth;
    return condition_said(code, function, timeout_s);
}

/* Until the predicate says something; depth: of an rlock, to be put back after each wait, or NULL. */
static int condition_wait_until(many_condition *condition, uint64_t *word, uint32_t *depth,
                                int (*predicate)(void *argument), void *argument, double timeout_s,
                                const char *function)
{
    const int64_t deadline_ns = many_deadline_ns_(timeout_s);
    int code = 0;

    for (;;) {
        const int64_t look_ns = many_clock_ns_() + CONDITION_MOST_NS;
        uint32_t held;
        int answer = predicate(argument);

        if (answer != 0)
            return answer;
        if (code < 0)
            return condition_said(code, function, timeout_s);
        held = depth != NULL ? *depth : 0; /* after predicate, which may acquire once more */
        code = condition_wait(condition, word, look_ns < deadline_ns ? look_ns : deadline_ns);
        if (depth != NULL)
            *depth = held;
        if (code == -ETIMEDOUT && look_ns < deadline_ns)
            code = 0;
        if (code < 0 && code != -ETIMEDOUT)
            return condition_said(code, function, timeout_s);
    }
}

static int condition_no_predicate(const char *function)
{
    return many_fail(-EINVAL,
                     "%s: predicate is NULL: give a function that says whether what is waited for "
                     "is true",
                     function);
}

int many_condition_wait_for(many_condition *condition, many_lock *lock,
                            int (*predicate)(void *argument), void *argument, double timeout_s)
{
    const char *function = "many_condition_wait_for";
    int code = condition_check(condition, lock, timeout_s, function);

    if (code < 0)
        return code;
    if (predicate == NULL)
        return condition_no_predicate(function);
    if (!many_lock_mine_(lock))
        return condition_stranger(function);
    return condition_wait_until(condition, &lock->owner_, NULL, predicate, argument, timeout_s,
                                function);
}

int many_condition_wait_for_rlock(many_condition *condition, many_rlock *lock,
                                  int (*predicate)(void *argument), void *argument,
                                  double timeout_s)
{
    const char *function = "many_condition_wait_for_rlock";
    int code = condition_check(condition, lock, timeout_s, function);

    if (code < 0)
        return code;
    if (predicate == NULL)
        return condition_no_predicate(function);
    if (!many_rlock_mine_(lock))
        return condition_stranger(function);
    return condition_wait_until(condition, &lock->owner_, &lock->depth_, predicate, argument,
                                timeout_s, function);
}

static int condition_notify(many_condition *condition, int n, const char *function)
{
    uint32_t granted, wakes;

    if (many_say_is_none_(condition))
        return many_say_none_(condition, function, "condition");
    if (n < 1)
        return many_fail(-EINVAL, "%s: n is %d: give 1 or more", function, n);
    granted = atomic_load(condition_granted(condition));
    do {
        uint32_t waiters = atomic_load(condition_waiters(condition));

        if (waiters == 0)
            return 0;
        wakes = waiters > granted ? waiters - granted : 0;
        wakes = wakes < (uint32_t)n ? wakes : (uint32_t)n;
        /* 0: all are on their way, or somebody was killed just here: wake them all the same. */
    } while (
        !atomic_compare_exchange_weak(condition_granted(condition), &granted, granted + wakes));
    MANY_FAULT_POINT("condition.notify.granted");
    atomic_fetch_add(condition_changes(condition), 1);
    MANY_FAULT_POINT("condition.notify.changed");
    many_futex_wake_(condition_changes(condition), n);
    return 0;
}

int many_condition_notify(many_condition *condition, int n)
{
    return condition_notify(condition, n, "many_condition_notify");
}

int many_condition_notify_all(many_condition *condition)
{
    return condition_notify(condition, INT_MAX, "many_condition_notify_all");
}
