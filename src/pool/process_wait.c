/* SPDX-License-Identifier: MIT */
/*
 * process_wait.c - wait for a task of processes, in the owner or in a task
 *
 * Promise    A wait ends when its ticket is over, whoever dies meanwhile; in a task it helps where it can, and ends
 *            with -EDEADLK where it would wait for itself.
 * Sleep      on the low half of the claim word: SLEEPERS is set in it before, by compare-and-swap, so that who makes it
 *            OVER sees it; in slices, after each of which the owner looks after the supervisor, and a task looks for
 *            a circle. Where others are watched, one thread of the owner listens to the bell for all instead, and has
 *            its own ticket ring, too.
 */
#include <poll.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "pool/process_pool.h"

/* To spin longer than it takes to wake a core is in vain. */
#define AWAIT_SPIN_NS    (50 * MANY_MICROSECOND_NS)
#define AWAIT_LOOKS      16 /* pauses between two looks at the clock */
#define AWAIT_DOUBT_MOST 6

/* 1: it is not under way any more. */
static int await_spin(many_process_pool_ *pool, uint64_t key, int64_t deadline_ns)
{
    const uint32_t doubt = atomic_load_explicit(&pool->doubt, memory_order_relaxed);
    int64_t until_ns;

    if (pool->table->head->cpus <= 1 || many_wait_spin_() == 0)
        return 0;
    until_ns = many_clock_ns_() + (AWAIT_SPIN_NS >> doubt);
    if (until_ns > deadline_ns)
        until_ns = deadline_ns;
    do {
        for (int k = 0; k < AWAIT_LOOKS; k++) {
            many_pause_();
            if (!many_process_under_way_(pool, key)) {
                if (doubt != 0)
                    atomic_store_explicit(&pool->doubt, 0, memory_order_relaxed);
                return 1;
            }
        }
    } while (many_clock_ns_() < until_ns);
    if (doubt < AWAIT_DOUBT_MOST)
        atomic_store_explicit(&pool->doubt, doubt + 1, memory_order_relaxed);
    return 0;
}

/* Sleep on the claim word for a slice. */
static int await_doze(many_process_pool_ *pool, uint64_t key, many_wait_ *wait)
{
    many_ticket_ *ticket = many_table_ticket_(pool->table, key);
    uint64_t seen = atomic_load_explicit(&ticket->claim, memory_order_acquire);

    do {
        if (many_claim_phase_(seen) == MANY_TICKET_OVER_ || !many_key_is_(key, seen))
            return 0;
    } while ((seen & MANY_TICKET_SLEEPERS_) == 0 &&
             !atomic_compare_exchange_weak_explicit(&ticket->claim, &seen,
                                                    seen | MANY_TICKET_SLEEPERS_,
                                                    memory_order_acq_rel, memory_order_acquire));
    return many_wait_slice_(wait, many_wait_half_((uint64_t *)&ticket->claim),
                            (uint32_t)(seen | MANY_TICKET_SLEEPERS_));
}

/* Others are watched: who waits hears of their ends, too. One thread at a time. */
static int await_listen(many_process_pool_ *pool, uint64_t key, many_wait_ *wait)
{
    struct pollfd bell = {pool->table->owner_bell, POLLIN, 0};
    const int64_t now_ns = many_clock_ns_();
    const int64_t until_ns =
        wait->deadline_ns - now_ns < wait->slice_ns ? wait->deadline_ns : now_ns + wait->slice_ns;

    if (now_ns >= wait->deadline_ns)
        return -ETIMEDOUT;
    many_process_collect_(pool);
    if (!many_process_under_way_(pool, key))
        return 0;
    if (poll(&bell, 1, many_poll_ms_(until_ns)) < 0 && errno == EINTR)
        return -EINTR;
    many_process_collect_(pool);
    return -EAGAIN;
}

int many_process_sleep_(many_process_pool_ *pool, uint64_t key, many_wait_ *wait)
{
    many_process_future_ *own;
    int code;

    if (pool->worker || pool->called || many_process_settling_(pool) ||
        atomic_load_explicit(&pool->watched, memory_order_relaxed) == 0 ||
        pthread_mutex_trylock(&pool->listener) != 0)
        return await_doze(pool, key, wait);
    if (many_key_submitter_(key) == 0) {
        /* Its own end has to ring, too. */
        MANY_FAULT_POINT("process.sleep.listens");
        own = many_process_future_at_(pool, many_key_index_(key));
        if (own != NULL)
            (void)many_process_notify_(pool, own, key, 0);
    }
    code = await_listen(pool, key, wait);
    pthread_mutex_unlock(&pool->listener);
    return code;
}

/* May this thread run a task of the pool, in the one that it is in? */
static int await_in_task(const many_process_pool_ *pool)
{
    return pool->worker && pool->table->run != NULL && many_pool_inside_() == &pool->base;
}

int many_process_help_(many_future *base)
{
    many_process_pool_ *pool = base->home;
    const many_process_future_ *future = (many_process_future_ *)base;
    int code;

    if (!await_in_task(pool))
        return 0;
    code = many_worker_help_(pool->table, future->key);
    if (code > 0)
        many_process_update_(base);
    return code;
}

int many_process_circle_(many_future *base)
{
    many_process_pool_ *pool = base->home;

    return await_in_task(pool) &&
           many_circle_would_(pool->table, ((const many_process_future_ *)base)->key);
}

int many_process_await_(many_future *base, int64_t deadline_ns)
{
    many_process_pool_ *pool = base->home;
    many_process_future_ *future = (many_process_future_ *)base;
    many_wait_ wait = many_wait_begin_(deadline_ns);
    const int in_task = await_in_task(pool);
    const int settling = many_process_settling_(pool);
    int code = 0;

    for (int round = 0;; round++) {
        many_process_update_(base);
        if (many_future_is_over_(atomic_load_explicit(&base->state, memory_order_acquire)))
            return 0;
        if (code == -EINTR)
            return many_fail(code, "many_future_wait: a signal handler ran on this thread");
        if (code == -ETIMEDOUT || (code = many_process_gone_(future)) < 0)
            return code;
        if (in_task && (code = many_process_help_(base)) != 0) {
            if (code < 0)
                return code;
            continue;
        }
        /* Callbacks are called by who waits; but not within one another. */
        if (!settling && (pool->worker || round > 0) &&
            (atomic_load_explicit(&pool->watched, memory_order_relaxed) != 0 ||
             pool->guests != NULL))
            many_process_collect_(pool);
        if (await_spin(pool, future->key, deadline_ns))
            continue;
        if (in_task)
            many_circle_wait_(pool->table, future->key);
        code = in_task && many_circle_stuck_(pool->table) ? -EDEADLK
               : many_process_under_way_(pool, future->key)
                   ? many_process_sleep_(pool, future->key, &wait)
                   : 0;
        if (in_task)
            many_circle_through_(pool->table);
        if (code == -EDEADLK)
            return code;
        many_process_tend_(pool);
    }
}
