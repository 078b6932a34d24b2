/* SPDX-License-Identifier: MIT */
/*
 * terminal.h - is it a terminal, how wide is it, does it speak UTF-8; one whole write
 */
#ifndef MANY_OS_TERMINAL_H
#define MANY_OS_TERMINAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/clock.h"

/* 1 if fd is an open descriptor. */
int many_terminal_is_open_(int fd);

/* 1 if fd is a terminal. */
int many_terminal_is_(int fd);

/* Columns of the terminal on fd now; 0 if it is none or does not say. */
int many_terminal_columns_(int fd);

/* 1 if the program's locale encodes in UTF-8, by LC_CTYPE as set, or as the environment would set
 * it. */
int many_terminal_utf8_(void);

/*
 * Write text in one write(2); what a signal or a nearly full descriptor cuts off follows at once.
 *
 * Never blocks for ever: before each write it waits for room, patience_ns at most (0: not at all),
 * and MANY_TERMINAL_REST_NS longer for the rest of what has been begun. With room for one page a
 * pipe takes text of PIPE_BUF bytes without blocking, and a terminal a line. Raises no SIGPIPE, is
 * no cancellation point, leaves errno alone.
 *
 * The bytes that were written, which are fewer if the patience came to its end; or, if none, a
 * negative errno: -EAGAIN for no room, else why fd cannot be written to.
 */
ssize_t many_terminal_write_(int fd, const char *text, size_t bytes, int64_t patience_ns);

/* A line cut in two is worse than a pause that nobody notices. */
#define MANY_TERMINAL_REST_NS (100 * MANY_MILLISECOND_NS)

#endif
