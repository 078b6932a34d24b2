/* SPDX-License-Identifier: MIT */
/* own.c - the one lock of this process's bars; see own.h */
#include "bar/own.h"

#include <sched.h>
#include <stdatomic.h>

#include "os/self.h"

/* In the word while the lock is held: the address of no bar. */
static char own_held;

void *many_bars_take_(void)
{
    _Atomic(void *) *word = many_self_own_(MANY_OWN_BARS_);
    void *first = atomic_load_explicit(word, memory_order_relaxed);

    for (;;) {
        if (first != &own_held &&
            atomic_compare_exchange_weak_explicit(word, &first, &own_held,
                                                  memory_order_acquire, /* release in give */
                                                  memory_order_relaxed))
            return first;
        if (first == &own_held) {
            sched_yield();
            first = atomic_load_explicit(word, memory_order_relaxed);
        }
    }
}

void many_bars_give_(void *first)
{
    atomic_store_explicit(many_self_own_(MANY_OWN_BARS_), first, memory_order_release);
}
