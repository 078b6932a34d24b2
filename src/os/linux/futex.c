/* SPDX-License-Identifier: MIT */
/* futex.c - sleep until a 32-bit word changes; see os/futex.h */
#include "os/futex.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"

/* Of the kernel's UAPI; a libc without the kernel's headers (musl) has no linux/futex.h. */
#define FUTEX_WAKE             1
#define FUTEX_WAIT_BITSET      9
#define FUTEX_BITSET_MATCH_ANY 0xffffffff

int many_futex_wait_(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    /* Never is 292 years: a wait without a time limit would be restarted after a handler that was
     * installed with SA_RESTART, and could not say -EINTR. */
    struct timespec until = {(time_t)(deadline_ns / MANY_SECOND_NS),
                             (long)(deadline_ns % MANY_SECOND_NS)};

    /* WAIT_BITSET takes an absolute time on CLOCK_MONOTONIC; without FUTEX_PRIVATE_FLAG it serves
     * both kinds. */
    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, &until, NULL,
                FUTEX_BITSET_MATCH_ANY) == 0)
        return 0;
    if (errno == ETIMEDOUT || errno == EINTR)
        return -errno;
    return 0; /* EAGAIN: the word has changed already */
}

void many_futex_wake_(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}
