/* SPDX-License-Identifier: MIT */
/*
 * listen.h - one descriptor that is readable while one of several is
 */
#ifndef MANY_OS_LISTEN_H
#define MANY_OS_LISTEN_H

#include <stdint.h>

/* An empty one, close-on-exec, above 2; it may be polled, and be in another one. A descriptor, or a
 * negative errno. */
int many_listen_open_(void);

/*
 * Listen to descriptor, too. It is to be removed before it is closed, unless no other process and
 * no other descriptor has the same file open. 0 or a negative errno.
 */
int many_listen_add_(int listen, int descriptor);

/* No longer; one that is not there does no harm. */
void many_listen_remove_(int listen, int descriptor);

/* Readable after every so many nanoseconds, until many_bell_silence_(). A descriptor, or a negative
 * errno. */
int many_tick_open_(int64_t every_ns);

#endif
