/* SPDX-License-Identifier: MIT */
/*
 * rlock.c - the lock that its owner may acquire again
 *
 * Invariant  depth_ means something only while the lock is held, and only its owner reads and
 *            writes it: who gets the lock from nobody, or from the dead, sets it to 0 first.
 */
#include "sync/rlock.h"

#include <errno.h>

#include "os/clock.h"
#include "os/self.h"
#include "sync/debug.h"
#include "sync/owner.h"
#include "sync/say.h"

_Static_assert(sizeof(many_rlock) == 16, "two words, as the header says");

int many_rlock_mine_(const many_rlock *lock)
{
    return many_owner_of_(many_owner_load_(&lock->owner_)) == many_self_();
}

/* All but a free lock that nobody watches. */
static MANY_SELDOM_ int rlock_acquire(many_rlock *lock, double timeout_s)
{
    const char *function = "many_rlock_acquire";
    int64_t deadline_ns;
    int code;

    if (many_say_is_none_(lock))
        return many_say_none_(lock, function, "lock");
    code = many_say_timeout_(timeout_s, function);
    if (code < 0)
        return code;
    if (many_rlock_mine_(lock)) {
        if (lock->depth_ == UINT32_MAX - 1)
            return many_fail(-EAGAIN,
                             "%s: held 2^32 - 1 times already: release it as often as it was "
                             "acquired",
                             function);
        lock->depth_++;
        return 0;
    }
    deadline_ns = timeout_s == 0 ? 0 : many_deadline_ns_(timeout_s);
    code = many_debug_on_() ? many_debug_take_(&lock->owner_, 0, deadline_ns)
                            : many_owner_take_(&lock->owner_, many_self_(), deadline_ns);
    if (code == 0 || code == -EOWNERDEAD)
        lock->depth_ = 0;
    if (code == -EOWNERDEAD)
        return many_fail(code,
                         "%s: its last owner died holding it: it is yours; repair what it "
                         "protects, then many_rlock_consistent()",
                         function);
    return many_say_waited_(code, function, "lock", timeout_s);
}

int many_rlock_acquire(many_rlock *lock, double timeout_s)
{
    if (MANY_LIKELY_(!many_say_is_none_(lock) && (timeout_s >= 0 || timeout_s == MANY_FOREVER) &&
                     !many_debug_on_() && many_owner_try_(&lock->owner_, many_self_()))) {
        lock->depth_ = 0;
        return 0;
    }
    return rlock_acquire(lock, timeout_s);
}

int many_rlock_release(many_rlock *lock)
{
    const char *function = "many_rlock_release";

    if (many_say_is_none_(lock))
        return many_say_none_(lock, function, "lock");
    if (!many_rlock_mine_(lock))
        return many_fail(-EPERM,
                         "%s: the calling thread does not hold it: the one that acquired it "
                         "has to release it",
                         function);
    if (lock->depth_ > 0) {
        lock->depth_--;
        return 0;
    }
    if (many_debug_on_())
        many_debug_give_(&lock->owner_);
    if (MANY_LIKELY_(many_owner_drop_(&lock->owner_, many_self_())))
        return 0;
    return many_owner_give_(&lock->owner_, many_self_());
}

int many_rlock_consistent(many_rlock *lock)
{
    const char *function = "many_rlock_consistent";
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

uint32_t many_rlock_depth(const many_rlock *lock)
{
    if (many_say_is_none_(lock) || !many_rlock_mine_(lock))
        return 0;
    return lock->depth_ + 1;
}
