/* SPDX-License-Identifier: MIT */
/*
 * ends.c - who is registered at which end of a channel
 *
 * Promise    While somebody with a role lives, the role is not gone, whoever registers, hands
 *            over or dies meanwhile.
 * Invariant  A slot is one word, identity and roles together, so that it is always whole. A role
 *            is in `ever` only after somebody who has it is in a slot.
 * Death      The lock keeps a search apart from a registration: who registers its successor and
 *            then leaves would else be missed twice. Whoever dies with the lock has written a
 *            word, or not; there is nothing to repair. Killed before `ever` is set: as if it had
 *            never registered.
 */
#include "channel/ends.h"

#include <errno.h>

#include <many/channel.h>

#include "base/fault.h"
#include "os/clock.h"
#include "sync/lock.h"

/* A holder who is stopped is not waited for longer. */
#define ENDS_PATIENCE_NS (2 * MANY_SECOND_NS)

#define ENDS_ROLES_SHIFT 30
#define ENDS_ROLES       ((uint64_t)(MANY_PRODUCER | MANY_CONSUMER) << ENDS_ROLES_SHIFT)

_Static_assert((MANY_PRODUCER | MANY_CONSUMER) == 3, "two bits that an identity leaves free");

static int ends_take(many_ends_ *ends)
{
    const int64_t deadline_ns = many_clock_ns_() + ENDS_PATIENCE_NS;
    int code;

    do
        code = many_lock_take_(&ends->lock, deadline_ns);
    while (code == -EINTR);
    if (code == -EOWNERDEAD) {
        many_lock_mend_(&ends->lock);
        code = 0;
    }
    return code;
}

static uint64_t ends_load(const many_ends_ *ends, uint32_t slot)
{
    return atomic_load_explicit(&ends->slots[slot], memory_order_acquire);
}

static many_identity_ ends_who(uint64_t word)
{
    return word & ~ENDS_ROLES;
}

static int ends_roles(uint64_t word)
{
    return (int)((word & ENDS_ROLES) >> ENDS_ROLES_SHIFT);
}

static void ends_store(many_ends_ *ends, uint32_t slot, many_identity_ identity, int roles)
{
    atomic_store_explicit(&ends->slots[slot],
                          roles == 0 ? 0 : identity | (uint64_t)roles << ENDS_ROLES_SHIFT,
                          memory_order_release);
}

static uint32_t ends_used(const many_ends_ *ends)
{
    return atomic_load_explicit(&ends->used, memory_order_acquire);
}

/* Under the lock: the slot of this identity; else a free one; else one of a dead; else -1. */
static int ends_place(many_ends_ *ends, many_identity_ identity)
{
    const uint32_t used = ends_used(ends);
    int place = -1;

    for (uint32_t k = 0; k < used; k++) {
        uint64_t word = ends_load(ends, k);

        if (word != 0 && ends_who(word) == identity)
            return (int)k;
        if (word == 0 && place < 0)
            place = (int)k;
    }
    if (place < 0 && used < MANY_ENDS_MOST_) {
        atomic_store_explicit(&ends->used, used + 1, memory_order_release);
        place = (int)used;
    }
    for (uint32_t k = 0; k < used && place < 0; k++)
        if (many_self_gone_(ends_who(ends_load(ends, k))))
            place = (int)k;
    return place;
}

int many_ends_add_(many_ends_ *ends, many_identity_ identity, int roles)
{
    int place, had = 0, code = ends_take(ends);

    if (code < 0)
        return code;
    place = ends_place(ends, identity);
    if (place < 0) {
        code = -ENOSPC;
    } else {
        uint64_t word = ends_load(ends, (uint32_t)place);

        if (ends_who(word) == identity)
            had = ends_roles(word);
        if ((had & roles) == roles)
            code = -EALREADY;
        else
            ends_store(ends, (uint32_t)place, identity, had | roles);
        MANY_FAULT_POINT("ends.add.stored");
        atomic_fetch_or_explicit(&ends->ever, (uint32_t)roles, memory_order_seq_cst);
    }
    (void)many_lock_give_(&ends->lock);
    return code;
}

int many_ends_remove_(many_ends_ *ends, many_identity_ identity, int roles)
{
    int had = 0, code = ends_take(ends);

    if (code < 0)
        return code;
    for (uint32_t k = 0; k < ends_used(ends); k++) {
        uint64_t word = ends_load(ends, k);

        if (word == 0 || ends_who(word) != identity)
            continue;
        had = ends_roles(word) & roles;
        ends_store(ends, k, identity, ends_roles(word) & ~roles);
        MANY_FAULT_POINT("ends.remove.stored");
    }
    (void)many_lock_give_(&ends->lock);
    return had;
}

int many_ends_none_(const many_ends_ *ends, int role)
{
    const uint32_t used = ends_used(ends);

    if (!many_ends_ever_(ends, role))
        return 0;
    for (uint32_t k = 0; k < used; k++)
        if ((ends_roles(ends_load(ends, k)) & role) != 0)
            return 0;
    return 1;
}

int many_ends_gone_(many_ends_ *ends, int role)
{
    uint32_t used;
    int gone = 1;

    if (!many_ends_ever_(ends, role) || ends_take(ends) < 0)
        return 0;
    used = ends_used(ends);
    for (uint32_t k = 0; k < used && gone; k++) {
        uint64_t word = ends_load(ends, k);

        if ((ends_roles(word) & role) == 0)
            continue;
        if (many_self_gone_(ends_who(word)))
            ends_store(ends, k, 0, 0);
        else
            gone = 0;
    }
    (void)many_lock_give_(&ends->lock);
    return gone;
}
