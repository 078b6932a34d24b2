/* SPDX-License-Identifier: MIT */
/*
 * atomic.h - C11 atomics, the size of a cache line, and a pause for spinning
 */
#ifndef MANY_OS_ATOMIC_H
#define MANY_OS_ATOMIC_H

#include <stdatomic.h>
#include <stdint.h>

/* 64 on x86-64 and on nearly all aarch64; two lines, because both prefetch pairs of lines. */
#define MANY_CACHE_LINE 128

static inline void many_pause_(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
