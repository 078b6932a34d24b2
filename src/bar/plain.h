/* SPDX-License-Identifier: MIT */
/*
 * plain.h - a bar where there is no terminal: a whole line now and then
 */
#ifndef MANY_BAR_PLAIN_H
#define MANY_BAR_PLAIN_H

#include <stddef.h>
#include <stdint.h>

typedef struct many_plain_ {
    int fd;
    int torn; /* 1: the last line lacks its end */
} many_plain_;

void many_plain_begin_(many_plain_ *plain, int fd);

/* Print a line. If fd does not take it within patience_ns, it is dropped. */
void many_plain_print_(many_plain_ *plain, const char *line, size_t bytes, int64_t patience_ns);

/* When the next line is due: 1, 2, 4, 8, 16, 32, 60, and then each 60 seconds after the begin. */
int64_t many_plain_due_ns_(int64_t begun_ns, int64_t now_ns);

#endif
