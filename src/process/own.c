/* SPDX-License-Identifier: MIT */
/*
 * own.c - what each process has one of; see own.h
 *
 * Death      A fork by another thread while one is in begin() wipes the mark, and the child begins anew.
 *            A signal handler does not come here, so nobody waits for the thread it interrupted.
 */
#include "process/own.h"

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>

static char own_busy; /* its address: somebody is at it */

void *many_own_(int which, void *memory, void (*begin)(void *memory))
{
    _Atomic(void *) *mark = many_self_own_(which);
    void *seen = atomic_load_explicit(mark, memory_order_acquire); /* pairs with release below */

    while (seen != memory) {
        if (seen == NULL && atomic_compare_exchange_strong(mark, &seen, &own_busy)) {
            begin(memory);
            atomic_store_explicit(mark, memory, memory_order_release);
            return memory;
        }
        if (seen == &own_busy) {
            sched_yield();
            seen = atomic_load_explicit(mark, memory_order_acquire);
        }
    }
    return memory;
}
