/* SPDX-License-Identifier: MIT */
/*
 * latch.h - a lock inside one process that is held for some ten instructions
 *
 * pthread_mutex_t would do; this one is inlined, and given back by a store instead of an exchange, which
 * halves what a submission costs. So nobody is woken: who finds it held for long looks again every 50 us,
 * which happens only where the holder has lost its CPU.
 */
#ifndef MANY_POOL_LATCH_H
#define MANY_POOL_LATCH_H

#include <stdatomic.h>
#include <stdint.h>

#include "os/atomic.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/local.h"

typedef struct many_latch_ {
    _Atomic uint32_t word; /* 0: free; 1: held */
} many_latch_;

/* Its holder may have lost its CPU, so nobody looks on for long: so often, then after each sleep. */
#define MANY_LATCH_LOOKS_    20
#define MANY_LATCH_SLEEP_NS_ (50 * MANY_MICROSECOND_NS)

static MANY_SELDOM_ __attribute__((unused)) void many_latch_wait_(many_latch_ *latch)
{
    for (int look = 0;; look++) {
        uint32_t seen = 0;

        if (look >= MANY_LATCH_LOOKS_)
            many_futex_wait_(&latch->word, 1, many_clock_ns_() + MANY_LATCH_SLEEP_NS_);
        for (int pause = 0; pause < 8; pause++)
            many_pause_();
        if (atomic_load_explicit(&latch->word, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(&latch->word, &seen, 1, memory_order_acquire,
                                                    memory_order_relaxed))
            return;
    }
}

static inline void many_latch_take_(many_latch_ *latch)
{
    uint32_t seen = 0;

    if (MANY_LIKELY_(atomic_compare_exchange_strong_explicit(
            &latch->word, &seen, 1, memory_order_acquire, memory_order_relaxed)))
        return;
    many_latch_wait_(latch);
}

static inline void many_latch_give_(many_latch_ *latch)
{
    atomic_store_explicit(&latch->word, 0, memory_order_release);
}

#endif
