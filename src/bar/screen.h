/* SPDX-License-Identifier: MIT */
/*
 * screen.h - the one line of a terminal that a bar redraws
 *
 * Promise    each change is one write: "\r", the line, erase to the end. The cursor stays on the
 *            line, and never in the last column, where terminals wrap.
 *
 * The owner of the bar's drawing lock calls these.
 */
#ifndef MANY_BAR_SCREEN_H
#define MANY_BAR_SCREEN_H

#include <stddef.h>
#include <stdint.h>

#include "bar/draw.h"

typedef struct many_screen_ {
    int fd;
    int columns; /* asked for; 0: ask the terminal, each time */
    int visible; /* 1: our line is on the screen */
    size_t bytes;
    char line[MANY_DRAW_BYTES]; /* what is on it */
} many_screen_;

void many_screen_begin_(many_screen_ *screen, int fd, int columns);

/* Columns that a line may take now. */
int many_screen_room_(const many_screen_ *screen);

/* Show this line in place of ours. If the terminal has no room for it just now, it is dropped. */
void many_screen_show_(many_screen_ *screen, const char *line, size_t bytes);

/* Take our line away, if it is there; the cursor is where it began. */
void many_screen_wipe_(many_screen_ *screen);

/* Show this line for good; the cursor is on the next. */
void many_screen_finish_(many_screen_ *screen, const char *line, size_t bytes);

#endif
