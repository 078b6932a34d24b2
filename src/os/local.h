/* SPDX-License-Identifier: MIT */
/*
 * local.h - thread-local storage that is reached by one instruction, and branches seldom taken
 */
#ifndef MANY_OS_LOCAL_H
#define MANY_OS_LOCAL_H

#include <stdint.h> /* any header of the C library says which library it is */

/*
 * Put after _Thread_local. The initial-exec model: the place of the variable is fixed when the
 * program or a library that it links starts, so no function is called to find it (a call costs more
 * than many_bar_add() may). A library that is opened later gets its place from a reserve of glibc's
 * (1.6 KiB, ld.so(8) "static TLS"), which is why the thread-local variables of this library stay
 * small all together. musl has no such reserve and refuses to open the library (tried:
 * "initial-exec TLS resolves to dynamic definition"): there the compiler's default is used, slower
 * in a shared library and the same in a program.
 */
#if defined(__GLIBC__) && defined(__GNUC__)
#define MANY_LOCAL_FAST_ __attribute__((tls_model("initial-exec")))
#else
#define MANY_LOCAL_FAST_
#endif

/* Functions that are kept out of the way of the code that calls them now and then, or seldom. */
#if defined(__GNUC__)
#define MANY_APART_             __attribute__((noinline))
#define MANY_SELDOM_            __attribute__((noinline, cold))
#define MANY_LIKELY_(condition) __builtin_expect(!!(condition), 1)
#else
#define MANY_APART_
#define MANY_SELDOM_
#define MANY_LIKELY_(condition) (condition)
#endif

#endif
