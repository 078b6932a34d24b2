/* SPDX-License-Identifier: MIT */
/* wait.c - spin for a moment, then sleep in slices; see wait.h */
#include "sync/wait.h"

#include <errno.h>

#include "os/atomic.h"
#include "os/cpu.h"
#include "os/futex.h"
#include "os/local.h"

/* Pauses (14 ns each here) before the first look, doubling to the last. */
#define WAIT_PAUSES_FIRST 8
#define WAIT_PAUSES_LAST  256

int many_wait_slice_(many_wait_ *wait, _Atomic uint32_t *word, uint32_t expected)
{
    const int64_t slice_end = many_clock_ns_() + wait->slice_ns;
    const int last = wait->deadline_ns <= slice_end;
    int code = many_futex_wait_(word, expected, last ? wait->deadline_ns : slice_end);

    if (code != -ETIMEDOUT || last)
        return code;
    wait->slice_ns *= 2;
    if (wait->slice_ns > wait->most_ns)
        wait->slice_ns = wait->most_ns;
    return -EAGAIN;
}

/* What every process and thread would find out; asked once, because it reads files. 0: not known
 * yet. */
static _Atomic int wait_cpus;

int many_wait_spin_(void)
{
    int cpus = atomic_load_explicit(&wait_cpus, memory_order_relaxed);

    if (cpus == 0) {
        int saved = errno;

        cpus = many_cpu_usable_("");
        atomic_store_explicit(&wait_cpus, cpus, memory_order_relaxed);
        errno = saved;
    }
    return cpus > 1 ? WAIT_PAUSES_FIRST : 0;
}

int many_wait_pause_(int *pauses)
{
    if (*pauses == 0 || *pauses > WAIT_PAUSES_LAST)
        return 0;
    for (int k = 0; k < *pauses; k++)
        many_pause_();
    *pauses *= 2;
    return 1;
}

int many_wait_turn_(const many_wait_ *wait, _Atomic uint32_t *looked)
{
    const uint32_t now_ms = (uint32_t)(many_clock_ns_() / MANY_MILLISECOND_NS);
    uint32_t last_ms = atomic_load_explicit(looked, memory_order_relaxed);

    if (now_ms - last_ms < (uint32_t)(wait->slice_ns / (2 * MANY_MILLISECOND_NS)))
        return 0;
    return atomic_compare_exchange_strong_explicit(looked, &last_ms, now_ms, memory_order_relaxed,
                                                   memory_order_relaxed);
}

#define WAIT_LOOK_NS    MANY_MILLISECOND_NS
#define WAIT_LOOK_TRIES 251 /* odd, so that who tries several things in turn looks at each */

static _Thread_local MANY_LOCAL_FAST_ struct {
    int64_t at_ns;  /* when this thread looked last */
    uint32_t tries; /* that failed since */
} wait_looked;

int many_wait_may_look_(void)
{
    int64_t now = many_clock_ns_();

    if (now - wait_looked.at_ns < WAIT_LOOK_NS && ++wait_looked.tries < WAIT_LOOK_TRIES)
        return 0;
    wait_looked.at_ns = now;
    wait_looked.tries = 0;
    return 1;
}
