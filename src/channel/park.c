/* SPDX-License-Identifier: MIT */
/*
 * park.c - sleep until a 64-bit word of shared memory changes
 *
 * Promise    A sleeper wakes when the word has changed, however soon; while nobody sleeps, who
 *            changes it pays one load of a line that stays in its cache.
 * Sleeping   The sleeper sets bit 0 of the park's word, looks at the word it waits for once more,
 *            and sleeps while the park's word is what it was. The waker changes the word, looks
 *            at bit 0, and if it is set clears it, counts up, and wakes one. Both put a full
 *            fence between their store and their load (Dekker): either the waker sees the bit, or
 *            the sleeper the change. A waker that comes between the sleeper's look and its sleep
 *            has changed the park's word, and the kernel does not let it sleep.
 * Next       The bit is cleared for one; the others that sleep no longer have it set. So the one
 *            that woke sets it again if there are others, then takes something, and then looks
 *            whether it left something behind, and wakes the next: one after the other, as many
 *            as there is work for. What came after that look was followed by a look at the bit,
 *            which was set before it (Dekker again).
 * Spinning   A sleeping core takes some 60 us to come back, so it pays to spin for a while if
 *            what is waited for comes soon. Each process learns whether it does; there are only
 *            so many places to spin as there are processors to spare; a place is taken until a
 *            certain time, so that one whose spinner was killed is free again.
 * Death      A sleeper that is killed leaves the bit set (one wake for nothing) and sleepers too
 *            high (one more wake for nothing each time somebody slept). A waker that is killed
 *            after it cleared the bit has woken nobody; the one that was woken and is killed does
 *            not wake the next. All sleep in slices, and look again after each, so that this
 *            costs one slice.
 * Source     Drepper, "Futexes are tricky", 2011; Dekker's store and load.
 */
#include "channel/park.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"

/* Less than it takes to wake a core: what does not come in this time costs little more by
 * sleeping. */
#define PARK_SPIN_NS (50 * MANY_MICROSECOND_NS)

/* A sleep that was over so soon would have been a spin, had the other side not been asleep as
 * well. */
#define PARK_NAP_NS (100 * MANY_MICROSECOND_NS)

/* Each time in vain halves the next; from here on not at all, but for one full try in so many. */
#define PARK_DOUBT_MOST 6
#define PARK_TRY_EVERY  16

/* Looks (14 ns each here) between two looks at the clock. */
#define PARK_LOOKS 16

/* After a second of waiting nobody is in a hurry. */
#define PARK_SLICE_NS      (50 * MANY_MILLISECOND_NS)
#define PARK_SLICE_CALM_NS (250 * MANY_MILLISECOND_NS)
#define PARK_CALM_NS       MANY_SECOND_NS

/* Processors of the machine. Not those that this thread may use: tied to one, it may well wait
 * for somebody who is tied to another. Where the two share one, spinning is in vain, and that is
 * learned. */
static int park_places(void)
{
    static _Atomic int
        places; /* + 1; 0: not known yet. The system is asked once, because it reads a file */
    int known = atomic_load_explicit(&places, memory_order_relaxed);

    if (known == 0) {
        int saved = errno;
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);

        known = cpus < 1 ? 1 : cpus > MANY_PARK_SPINNERS_ ? MANY_PARK_SPINNERS_ + 1 : (int)cpus;
        atomic_store_explicit(&places, known, memory_order_relaxed);
        errno = saved;
    }
    return known - 1;
}

static int park_changed(const many_park_wait_ *wait)
{
    return atomic_load_explicit(wait->word, memory_order_acquire) != wait->seen ||
           (wait->also != NULL &&
            atomic_load_explicit(wait->also, memory_order_acquire) != wait->seen_also);
}

/* How long it is worth to spin, this time; 0: not at all. */
static int64_t park_spin_ns(many_park_habit_ *habit)
{
    uint32_t doubt = atomic_load_explicit(&habit->doubt, memory_order_relaxed);
    uint32_t waits;

    if (doubt < PARK_DOUBT_MOST)
        return PARK_SPIN_NS >> doubt;
    waits = atomic_load_explicit(&habit->waits, memory_order_relaxed) + 1;
    atomic_store_explicit(&habit->waits, waits, memory_order_relaxed);
    return waits % PARK_TRY_EVERY == 0 ? PARK_SPIN_NS : 0;
}

static void park_learn(many_park_habit_ *habit, int in_vain)
{
    uint32_t doubt = atomic_load_explicit(&habit->doubt, memory_order_relaxed);

    if (!in_vain && doubt != 0)
        atomic_store_explicit(&habit->doubt, 0, memory_order_relaxed);
    else if (in_vain && doubt < PARK_DOUBT_MOST)
        atomic_store_explicit(&habit->doubt, doubt + 1, memory_order_relaxed);
}

/* 1: it has changed. */
static int park_spin(many_park_ *park, many_park_habit_ *habit, const many_park_wait_ *wait,
                     int64_t now_ns)
{
    const int64_t spin_ns = park_spin_ns(habit);
    const int places = spin_ns == 0 ? 0 : park_places();
    const char *expected = wait->expected != NULL ? wait->expected : (const char *)wait->word;
    const int64_t until_ns =
        spin_ns < wait->deadline_ns - now_ns ? now_ns + spin_ns : wait->deadline_ns;
    _Atomic int64_t *place = NULL;
    int changed = 0;

    for (int k = 0; k < places && place == NULL; k++) {
        int64_t taken = atomic_load_explicit(&park->spins[k], memory_order_relaxed);

        if (taken < now_ns &&
            atomic_compare_exchange_strong_explicit(&park->spins[k], &taken, now_ns + PARK_SPIN_NS,
                                                    memory_order_relaxed, memory_order_relaxed))
            place = &park->spins[k];
    }
    if (place == NULL)
        return 0;
    do {
        for (int k = 0; k < PARK_LOOKS && !changed; k++) {
            many_pause_();
            /* The word and what it tells of come together, instead of one after the other. */
            __builtin_prefetch(expected);
            __builtin_prefetch(expected + 64);
            changed = park_changed(wait);
        }
    } while (!changed && many_clock_ns_() < until_ns);
    atomic_store_explicit(place, 0, memory_order_relaxed);
    park_learn(habit, !changed);
    return changed;
}

/* Ask the watch; if it has nothing to say, is the time over? */
static int park_ask(const many_park_wait_ *wait, int64_t now_ns)
{
    int code = wait->watch != NULL ? wait->watch(wait->argument) : 0;

    if (code < 0)
        return code;
    return now_ns >= wait->deadline_ns ? -ETIMEDOUT : 0;
}

static int park_sleep(many_park_ *park, many_park_habit_ *habit, many_park_wait_ *wait,
                      int64_t now_ns)
{
    const int64_t slice_ns =
        now_ns - wait->began_ns < PARK_CALM_NS ? PARK_SLICE_NS : PARK_SLICE_CALM_NS;
    const int64_t until_ns =
        slice_ns < wait->deadline_ns - now_ns ? now_ns + slice_ns : wait->deadline_ns;
    uint32_t word;
    int code;

    atomic_fetch_add_explicit(&park->sleepers, 1, memory_order_relaxed);
    word = atomic_fetch_or_explicit(&park->word, 1, memory_order_seq_cst) | 1;
    atomic_thread_fence(memory_order_seq_cst); /* pairs with the one in wanted */
    MANY_FAULT_POINT("park.sleep.announced");
    /* The watch after the word was read: whoever made it speak has counted the word up since, or
     * before, and then it speaks now. */
    code = park_ask(wait, now_ns);
    if (code == 0 && !park_changed(wait)) {
        code = many_futex_wait_(&park->word, word, until_ns);
        if (code == 0) {
            wait->woken = 1;
            if (many_clock_ns_() - wait->began_ns < PARK_NAP_NS)
                park_learn(habit, 0);
        } else if (code == -ETIMEDOUT) {
            code = 0; /* the caller looks, and comes again */
        }
    }
    MANY_FAULT_POINT("park.sleep.woken");
    if (atomic_fetch_sub_explicit(&park->sleepers, 1, memory_order_relaxed) > 1) {
        atomic_fetch_or_explicit(&park->word, 1, memory_order_seq_cst);
        atomic_thread_fence(memory_order_seq_cst); /* before the look of whoever wakes the next */
    }
    return code;
}

int many_park_wait_for_(many_park_ *park, many_park_habit_ *habit, many_park_wait_ *wait)
{
    int64_t now_ns;

    if (park_changed(wait))
        return 0;
    if (wait->deadline_ns == 0)
        return park_ask(wait, 0);
    now_ns = many_clock_ns_();
    if (wait->began_ns == 0)
        wait->began_ns = now_ns;
    if (now_ns >= wait->deadline_ns)
        return park_ask(wait, now_ns);
    if (park_spin(park, habit, wait, now_ns))
        return 0;
    now_ns = many_clock_ns_();
    return park_sleep(park, habit, wait, now_ns);
}

void many_park_wake_some_(many_park_ *park, int count)
{
    uint32_t word = atomic_load_explicit(&park->word, memory_order_relaxed);

    while ((word & 1) != 0)
        if (atomic_compare_exchange_weak_explicit(&park->word, &word, word + 1,
                                                  memory_order_seq_cst, memory_order_relaxed)) {
            MANY_FAULT_POINT("park.wake.cleared");
            many_futex_wake_(&park->word, count);
            return;
        }
}

void many_park_wake_all_(many_park_ *park)
{
    uint32_t word = atomic_load_explicit(&park->word, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(&park->word, &word, (word | 1) + 1,
                                                  memory_order_seq_cst, memory_order_relaxed)) {
    }
    MANY_FAULT_POINT("park.wake.cleared");
    many_futex_wake_(&park->word, INT_MAX);
}
