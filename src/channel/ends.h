/* SPDX-License-Identifier: MIT */
/*
 * ends.h - who is registered at which end of a channel, and whether any of them is still there
 *
 * In shared memory. Who registered and died is noticed by those who wait, and forgotten.
 */
#ifndef MANY_CHANNEL_ENDS_H
#define MANY_CHANNEL_ENDS_H

#include <stdatomic.h>
#include <stdint.h>

#include <many/sync.h>

#include "os/self.h"

#define MANY_ENDS_MOST_ 64

/* Roles are bits: MANY_PRODUCER and MANY_CONSUMER. Zero at first. */
typedef struct many_ends_ {
    many_lock lock;        /* of who changes slots, or finds that a role is played by nobody */
    _Atomic uint32_t ever; /* roles that somebody was registered for */
    _Atomic uint32_t used; /* slots from here on were never used */
    _Atomic uint64_t slots[MANY_ENDS_MOST_]; /* an identity, and in its bits 30 and 31 the roles */
} many_ends_;

/* 0; -EALREADY: has all these roles; -ENOSPC; -ETIMEDOUT. */
int many_ends_add_(many_ends_ *ends, many_identity_ identity, int roles);

/* The roles it had of these and has no more; 0: none; -ETIMEDOUT. */
int many_ends_remove_(many_ends_ *ends, many_identity_ identity, int roles);

/* Were there such, and are they all gone? Asks the kernel about each (some 10 us), until it finds
 * one that lives. */
int many_ends_gone_(many_ends_ *ends, int role);

/* The same as far as it can be told without asking: nobody is written down any more. */
int many_ends_none_(const many_ends_ *ends, int role);

static inline int many_ends_ever_(const many_ends_ *ends, int role)
{
    return (atomic_load_explicit(&ends->ever, memory_order_acquire) & (uint32_t)role) != 0;
}

#endif
