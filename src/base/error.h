/* SPDX-License-Identifier: MIT */
/*
 * error.h - the thread's last message, seen from inside
 */
#ifndef MANY_BASE_ERROR_H
#define MANY_BASE_ERROR_H

#include <stdint.h>

/* The words that go with code, if this thread's last many_fail() was for it; else "". */
const char *many_error_words_(int code);

/* The thread's message stays to be read, but is no longer the words of any failure to come. */
void many_error_expire_(void);

/* Forget the thread's message, so that an old one is never taken for a new failure's. */
void many_error_clear_(void);

/*
 * From now on this thread's words are about what state says at the time (its low half: the number of an
 * item): words for another item are none. NULL: about nothing in particular.
 */
void many_error_about_(const _Atomic uint64_t *state);

#endif
