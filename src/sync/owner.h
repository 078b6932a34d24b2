/* SPDX-License-Identifier: MIT */
/*
 * owner.h - the word that is a lock: it holds the identity of who has it
 *
 *   bits 0..29   thread id of the owner; 0: nobody has it
 *   bit  30      SUSPECT: an owner died, and nobody has said since that all is in order again. Also
 *                in the word of a lock that nobody has, so that the next one is told.
 *   bit  31      WAITERS: somebody may sleep; the release has to wake one. Never in a free word.
 *   bits 32..63  start time of the owner; 0 if unknown, and in a free word
 *
 * The low half is the word that waiters sleep on. To claim the word and to record who has it is one
 * write: there is no instant at which the lock is held by nobody in particular.
 */
#ifndef MANY_SYNC_OWNER_H
#define MANY_SYNC_OWNER_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/fault.h"
#include "os/local.h"
#include "os/self.h"

#define MANY_OWNER_SUSPECT_ (UINT64_C(1) << 30)
#define MANY_OWNER_WAITERS_ (UINT64_C(1) << 31)
#define MANY_OWNER_FLAGS_   (MANY_OWNER_SUSPECT_ | MANY_OWNER_WAITERS_)

/* The public headers have no atomics, because C++ lacks them. */
static inline _Atomic uint64_t *many_owner_word_(const uint64_t *word)
{
    return (_Atomic uint64_t *)(uintptr_t)word;
}

static inline uint64_t many_owner_load_(const uint64_t *word)
{
    return atomic_load_explicit(many_owner_word_(word), memory_order_relaxed);
}

/* Who has it, in a word that was loaded; 0: nobody. */
static inline many_identity_ many_owner_of_(uint64_t word)
{
    return word & ~MANY_OWNER_FLAGS_;
}

/* Take a free word with nothing to tell. 1: done. */
static inline int many_owner_try_(uint64_t *word, many_identity_ me)
{
    uint64_t free = 0;
    int taken = atomic_compare_exchange_strong_explicit(
        many_owner_word_(word), &free, me, memory_order_acquire, /* pairs with release in give */
        memory_order_relaxed);

    if (taken)
        MANY_FAULT_POINT("owner.take.claimed");
    return taken;
}

/* Give back a word that nobody waits for, and that nothing is to be told of. 1: done. */
static inline int many_owner_drop_(uint64_t *word, many_identity_ me)
{
    return atomic_compare_exchange_strong_explicit(many_owner_word_(word), &me, 0,
                                                   memory_order_release, /* pairs with acquire in
                                                                            take */
                                                   memory_order_relaxed);
}

/*
 * Take it, waiting: 0; -EOWNERDEAD: taken, SUSPECT; -ETIMEDOUT; -EINTR; -EDEADLK: the caller has
 * it, and would wait. A deadline of 0, or any other that is over, does not wait; then now and then,
 * but not each time, it is found out that the owner is dead.
 */
int many_owner_take_(uint64_t *word, many_identity_ me, int64_t deadline_ns);

/* 0, or -EPERM if it is not the caller's. SUSPECT stays. */
int many_owner_give_(uint64_t *word, many_identity_ me);

/* The caller has it, and all is in order again. 0; -EINVAL if nobody died; -EPERM. */
int many_owner_mend_(uint64_t *word, many_identity_ me);

/* Is there an owner, and dead? Reads /proc. */
int many_owner_orphaned_(const uint64_t *word);

#endif
