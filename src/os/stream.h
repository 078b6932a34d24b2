/* SPDX-License-Identifier: MIT */
/*
 * stream.h - descriptors that wake a poll
 */
#ifndef MANY_OS_STREAM_H
#define MANY_OS_STREAM_H

/*
 * Move a fresh descriptor above 2, so that ours never takes the place of a closed stdin, stdout or
 * stderr. Returns the descriptor to use; negative (with errno) if fd was, or if there is none left.
 */
int many_stream_lift_(int fd);

/* Both of a fresh pair. 0; or a negative errno, and both are closed and -1. */
int many_stream_lift_pair_(int pair[2]);

/* A bell: readable once rung, until it is silenced. Works across fork. A descriptor, or a negative
 * errno. */
int many_bell_open_(void);

/*
 * Async-signal-safe. 0; or -EBADF when the descriptor is no bell any more: a task may have closed all
 * that it did not open, and its own file may have the number now, which nothing is written to.
 */
int many_bell_ring_(int bell);

void many_bell_silence_(int bell);

/* -1 does nothing. */
void many_bell_close_(int bell);

#endif
