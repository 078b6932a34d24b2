/* SPDX-License-Identifier: MIT */
/*
 * terminal.h - is it a terminal, how wide is it, does it speak UTF-8; one whole write
 */
#ifndef MANY_OS_TERMINAL_H
#define MANY_OS_TERMINAL_H

#include <stddef.h>

/* 1 if fd is a terminal. */
int many_terminal_is_(int fd);

/* Columns of the terminal on fd now; 0 if it is none or does not say. */
int many_terminal_columns_(int fd);

/* 1 if the program's locale encodes in UTF-8, by LC_CTYPE as set, or as the environment would set
 * it. */
int many_terminal_utf8_(void);

/* Write all of text in as few writes as the system allows. 0, or a negative errno; a full
 * non-blocking fd is -EAGAIN. */
int many_terminal_write_(int fd, const char *text, size_t bytes);

#endif
