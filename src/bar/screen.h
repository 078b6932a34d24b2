/* SPDX-License-Identifier: MIT */
/*
 * screen.h - the one line of a terminal that a bar redraws
 *
 * Promise    of a bar alone each change is one write: "\r", the line, erase to the end. The cursor
 *            stays on the line, and never in the last column, where terminals wrap. With others on the
 *            terminal: see stage.h.
 *
 * The owner of the bar's drawing lock calls these.
 */
#ifndef MANY_BAR_SCREEN_H
#define MANY_BAR_SCREEN_H

#include <stddef.h>
#include <stdint.h>

#include "bar/stage.h"

typedef struct many_screen_ {
    many_place_ place;
} many_screen_;

/* A line on fd's terminal; leave: the last one stays. 0 or -ENOMEM. */
int many_screen_begin_(many_screen_ *screen, int fd, int columns, int leave);

/* Give it back; what is on the terminal is not touched. */
void many_screen_end_(many_screen_ *screen);

/* Columns that a line may take now. */
int many_screen_room_(const many_screen_ *screen);

/* Show this line in place of ours. If the terminal has no room for it just now, it is dropped. 0, or
 * when to come again, because somebody else writes. first: wait for him a little. */
int64_t many_screen_show_(many_screen_ *screen, const char *line, size_t bytes, int64_t now_ns,
                          int first);

/* Take our line away until then, and all others of the terminal, if there are any; the cursor is where
 * the first began. 1: there were some. */
int many_screen_wipe_(many_screen_ *screen, int64_t until_ns);

/* Show this line for good, above those that go on; or take ours away if it was not to stay. */
void many_screen_finish_(many_screen_ *screen, const char *line, size_t bytes);

#endif
