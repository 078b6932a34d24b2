/* SPDX-License-Identifier: MIT */
/*
 * owner.c - take and give back the word that is a lock; see owner.h
 *
 * Promise    One thread has it at a time, whoever is killed. A dead owner is found out after one
 *            slice (wait.h), and exactly one of those who wait takes its place and is told.
 * Invariant  Only the owner changes the word of a living owner, but for WAITERS, which anybody may
 *            add. A word whose owner is dead is changed by a compare-and-swap from that very word:
 *            the identity in it never lives again, so the winner is one.
 * Death      Before the claiming swap: nothing has changed. After it: held by the dead, and found.
 *            A sleeper leaves WAITERS behind: one wake too many. Killed between giving back and
 *            waking, or woken and killed: the others sleep to the end of their slice.
 * Source     Drepper, "Futexes are tricky", 2011, the mutex with three states. Not a PI futex,
 *            which would report the death itself: that call restarts after a signal handler
 *            (tried), and -EINTR is promised.
 */
#include "sync/owner.h"

#include <errno.h>

#include "os/clock.h"
#include "os/futex.h"
#include "sync/wait.h"

/* Take a word that has no owner, or a dead one; keep are the flags to take over. 1: done. */
static int owner_claim(uint64_t *word, uint64_t seen, many_identity_ me, uint64_t flags)
{
    int taken = atomic_compare_exchange_strong_explicit(
        many_owner_word_(word), &seen, me | flags, memory_order_acquire, /* pairs with release in
                                                                            give */
        memory_order_relaxed);

    if (taken)
        MANY_FAULT_POINT("owner.take.claimed");
    return taken;
}

/* After a free word was claimed: was there something to tell? */
static int owner_told(uint64_t flags)
{
    return (flags & MANY_OWNER_SUSPECT_) != 0 ? -EOWNERDEAD : 0;
}

/* Its owner is dead: take its place. Others may sleep. */
static int owner_succeed(uint64_t *word, uint64_t seen, many_identity_ me)
{
    MANY_FAULT_POINT("owner.take.dead");
    return owner_claim(word, seen, me, MANY_OWNER_SUSPECT_ | MANY_OWNER_WAITERS_);
}

int many_owner_orphaned_(const uint64_t *word)
{
    many_identity_ owner = many_owner_of_(many_owner_load_(word));

    return owner != 0 && owner != many_self_() && many_self_gone_(owner);
}

/* The whole of a try that found the word taken: 0, -EOWNERDEAD, -ETIMEDOUT. */
static int owner_try(uint64_t *word, many_identity_ me, int look)
{
    uint64_t seen = many_owner_load_(word);

    while (many_owner_of_(seen) == 0) {
        uint64_t flags = seen & MANY_OWNER_SUSPECT_;

        if (owner_claim(word, seen, me, flags))
            return owner_told(flags);
        seen = many_owner_load_(word);
    }
    if (many_owner_of_(seen) == me || !(look || many_wait_may_look_()) ||
        !many_self_gone_(many_owner_of_(seen)) || !owner_succeed(word, seen, me))
        return -ETIMEDOUT;
    return -EOWNERDEAD;
}

/* Look at the word for a moment, until it is free. 1: claimed, and *flags says what is in it. */
static int owner_spin(uint64_t *word, many_identity_ me, uint64_t *flags)
{
    for (int pauses = many_wait_spin_(); many_wait_pause_(&pauses);) {
        uint64_t seen = many_owner_load_(word);

        if (many_owner_of_(seen) == 0) {
            *flags = seen & MANY_OWNER_SUSPECT_;
            if (owner_claim(word, seen, me, *flags))
                return 1;
        } else if (many_owner_of_(seen) == me) {
            return 0;
        }
    }
    return 0;
}

MANY_SELDOM_ int many_owner_take_(uint64_t *word, many_identity_ me, int64_t deadline_ns)
{
    many_wait_ wait = many_wait_begin_(deadline_ns);
    uint64_t flags, others = 0;

    if (deadline_ns == 0)
        return owner_try(word, me, 0);
    if (owner_spin(word, me, &flags))
        return owner_told(flags);
    for (;;) {
        uint64_t seen = many_owner_load_(word);
        int code;

        if (many_owner_of_(seen) == 0) {
            flags = seen & MANY_OWNER_SUSPECT_;
            if (owner_claim(word, seen, me, flags | others))
                return owner_told(flags);
            continue;
        }
        if (many_owner_of_(seen) == me)
            return -EDEADLK;
        if ((seen & MANY_OWNER_WAITERS_) == 0) {
            if (!atomic_compare_exchange_strong_explicit(
                    many_owner_word_(word), &seen, seen | MANY_OWNER_WAITERS_, memory_order_relaxed,
                    memory_order_relaxed))
                continue;
            seen |= MANY_OWNER_WAITERS_;
        }
        /* Others may sleep from now on, and this one be woken in place of them all. */
        others = MANY_OWNER_WAITERS_;
        MANY_FAULT_POINT("owner.take.asleep");
        code = many_wait_slice_(&wait, many_wait_half_(word), (uint32_t)seen);
        if (code == -ETIMEDOUT)
            return owner_try(word, me, 1);
        if (code == -EINTR)
            return code;
        if (code == -EAGAIN && many_self_gone_(many_owner_of_(seen)) &&
            owner_succeed(word, seen, me))
            return -EOWNERDEAD;
    }
}

int many_owner_give_(uint64_t *word, many_identity_ me)
{
    uint64_t seen = many_owner_load_(word);

    do {
        if (many_owner_of_(seen) != me)
            return -EPERM;
    } while (!atomic_compare_exchange_weak_explicit(
        many_owner_word_(word), &seen, seen & MANY_OWNER_SUSPECT_,
        memory_order_release, /* pairs with acquire in take */
        memory_order_relaxed));
    MANY_FAULT_POINT("owner.give.free");
    if ((seen & MANY_OWNER_WAITERS_) != 0)
        many_futex_wake_(many_wait_half_(word), 1);
    return 0;
}

int many_owner_mend_(uint64_t *word, many_identity_ me)
{
    uint64_t seen = many_owner_load_(word);

    if (many_owner_of_(seen) != me)
        return -EPERM;
    if ((seen & MANY_OWNER_SUSPECT_) == 0)
        return -EINVAL;
    MANY_FAULT_POINT("owner.mend");
    atomic_fetch_and_explicit(many_owner_word_(word), ~MANY_OWNER_SUSPECT_, memory_order_relaxed);
    return 0;
}
