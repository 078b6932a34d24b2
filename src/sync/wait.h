/* SPDX-License-Identifier: MIT */
/*
 * wait.h - the one way to wait in this room: spin for a moment, then sleep in slices
 *
 * Whoever waits for a word to change sleeps for 5 ms at first, then 10, 20, 40, 50, 50 ..., and
 * looks after each slice whether those it waits for still live. So neither a dead holder, nor a
 * waker that was killed between its change and its wake, nor a sleeper that was killed after it
 * had been chosen to wake, costs anyone more than one slice.
 *
 *   many_wait_ wait = many_wait_begin_(deadline_ns);
 *   while (!changed(word)) {
 *       int code = many_wait_slice_(&wait, word, seen);
 *       if (code == -EAGAIN)        // a slice is over: is the holder still alive?
 *           ...
 *       else if (code < 0)          // -ETIMEDOUT, -EINTR
 *           return code;
 *   }
 */
#ifndef MANY_SYNC_WAIT_H
#define MANY_SYNC_WAIT_H

#include <stdatomic.h>
#include <stdint.h>

#include "os/clock.h"

#define MANY_WAIT_FIRST_NS_ (5 * MANY_MILLISECOND_NS)
#define MANY_WAIT_MOST_NS_  (50 * MANY_MILLISECOND_NS)

typedef struct many_wait_ {
    int64_t deadline_ns;
    int64_t slice_ns;
    int64_t most_ns; /* no slice is longer */
} many_wait_;

static inline many_wait_ many_wait_begin_(int64_t deadline_ns)
{
    return (many_wait_){deadline_ns, MANY_WAIT_FIRST_NS_, MANY_WAIT_MOST_NS_};
}

/*
 * Sleep while *word is expected, for one slice at most. 0: look again; -EAGAIN: a slice is over and
 * nothing came; -ETIMEDOUT: the deadline has come; -EINTR: a signal handler ran.
 */
int many_wait_slice_(many_wait_ *wait, _Atomic uint32_t *word, uint32_t expected);

/*
 * Before it is worth going to sleep (to wake a sleeper costs its waker some us, and the sleeper
 * 60):
 *
 *   for (int pauses = many_wait_spin_(); many_wait_pause_(&pauses);)
 *       ...look at the word
 *
 * Six looks in some 7 us, ever farther apart: a look takes the cache line from whoever works with
 * it, so that looking all the time makes a contended lock three times slower (measured). No look at
 * all where only one CPU is usable, because then nothing changes while we look.
 */
int many_wait_spin_(void);
int many_wait_pause_(int *pauses);

/* For one who does not wait, and found it taken: 1 if it should look now whether the holder still
 * lives. Not each time, because a try costs 20 ns, and a look 10 us. */
int many_wait_may_look_(void);

/* Of all who wait for the same holders one is enough to look whether they live: after a slice, 1 if
 * nobody has looked for half a slice; then that is noted in *looked, zero at first. A hundred who
 * wait for 32 would else read /proc 64000 times a second. */
int many_wait_turn_(const many_wait_ *wait, _Atomic uint32_t *looked);

/* The low half of a 64-bit word, which a futex can sleep on. */
static inline _Atomic uint32_t *many_wait_half_(uint64_t *word)
{
    const uint32_t probe = 1;
    const int low = *(const unsigned char *)&probe == 1 ? 0 : 1;

    return (_Atomic uint32_t *)word + low;
}

#endif
