/* SPDX-License-Identifier: MIT */
/*
 * lock.c - the lock: an owner's word (owner.h), with words for people
 */
#include "sync/lock.h"

#include <errno.h>

#include "os/clock.h"
#include "os/self.h"
#include "sync/debug.h"
#include "sync/owner.h"
#include "sync/say.h"

_Static_assert(sizeof(many_lock) == 16, "two words, as the header says");

/* ---- for the rooms ---- */

int many_lock_take_(many_lock *lock, int64_t deadline_ns)
{
    const many_identity_ me = many_self_();

    if (many_owner_try_(&lock->owner_, me))
        return 0;
    return many_owner_take_(&lock->owner_, me, deadline_ns);
}

int many_lock_give_(many_lock *lock)
{
    const many_identity_ me = many_self_();

    if (many_owner_drop_(&lock->owner_, me))
        return 0;
    return many_owner_give_(&lock->owner_, me);
}

void many_lock_mend_(many_lock *lock)
{
    many_owner_mend_(&lock->owner_, many_self_());
}

int many_lock_orphaned_(const many_lock *lock)
{
    return many_owner_orphaned_(&lock->owner_);
}

int many_lock_mine_(const many_lock *lock)
{
    return many_owner_of_(many_owner_load_(&lock->owner_)) == many_self_();
}

/* ---- for users ---- */

/* All but a free lock that nobody watches. */
static MANY_SELDOM_ int lock_acquire(many_lock *lock, double timeout_s)
{
    const char *function = "many_lock_acquire";
    int64_t deadline_ns;
    int code;

    if (many_say_is_none_(lock))
        return many_say_none_(lock, function, "lock");
    code = many_say_timeout_(timeout_s, function);
    if (code < 0)
        return code;
    deadline_ns = timeout_s == 0 ? 0 : many_deadline_ns_(timeout_s);
    if (many_debug_on_()) {
        code = many_debug_take_(&lock->owner_, 0, deadline_ns);
        if (code == -EDEADLK)
            return code;
    } else {
        code = many_owner_take_(&lock->owner_, many_self_(), deadline_ns);
    }
    if (code == -EOWNERDEAD)
        return many_fail(code,
                         "%s: its last owner died holding it: it is yours; repair what it "
                         "protects, then many_lock_consistent()",
                         function);
    if (code == -EDEADLK)
        return many_fail(code,
                         "%s: the caller has the lock already, and would wait for itself: "
                         "release it first, or use a many_rlock",
                         function);
    return many_say_waited_(code, function, "lock", timeout_s);
}

int many_lock_acquire(many_lock *lock, double timeout_s)
{
    if (MANY_LIKELY_(!many_say_is_none_(lock) && (timeout_s >= 0 || timeout_s == MANY_FOREVER) &&
                     !many_debug_on_() && many_owner_try_(&lock->owner_, many_self_())))
        return 0;
    return lock_acquire(lock, timeout_s);
}

static MANY_SELDOM_ int lock_release(many_lock *lock)
{
    const char *function = "many_lock_release";
    int code;

    if (many_say_is_none_(lock))
        return many_say_none_(lock, function, "lock");
    if (many_debug_on_())
        many_debug_give_(&lock->owner_);
    code = many_owner_give_(&lock->owner_, many_self_());
    if (code == 0)
        return 0;
    return many_fail(code,
                     "%s: the calling thread does not hold it: the one that acquired it has "
                     "to release it",
                     function);
}

int many_lock_release(many_lock *lock)
{
    if (MANY_LIKELY_(!many_say_is_none_(lock) && !many_debug_on_() &&
                     many_owner_drop_(&lock->owner_, many_self_())))
        return 0;
    return lock_release(lock);
}

int many_lock_consistent(many_lock *lock)
{
    const char *function = "many_lock_consistent";
    int code;

    if (many_say_is_none_(lock))
        return many_say_none_(lock, function, "lock");
    code = many_owner_mend_(&lock->owner_, many_self_());
    if (code == -EPERM)
        return many_fail(code, "%s: the calling thread does not hold the lock", function);
    if (code == -EINVAL)
        return many_fail(code, "%s: no owner died: only after -EOWNERDEAD", function);
    return code;
}

int many_lock_locked(const many_lock *lock)
{
    return !many_say_is_none_(lock) && many_owner_of_(many_owner_load_(&lock->owner_)) != 0;
}
