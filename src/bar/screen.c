/* SPDX-License-Identifier: MIT */
/*
 * screen.c - the one line of a terminal that a bar redraws; see screen.h
 *
 * A resize is seen by asking for the width at each redraw: one ioctl, no SIGWINCH handler. When the
 * window has become narrower than the line on it, some terminals cut that line, and "\r" still goes
 * to its begin; others break it into two, with the cursor on the lower one: that one is wiped, and
 * what is above it stays. To wipe that too one would have to move up, and so, on the terminals that
 * cut, wipe what others have printed.
 */
#include "bar/screen.h"

#include <string.h>

#include "base/text.h"
#include "os/terminal.h"

/* ECMA-48: EL, from the cursor to the end of the line. */
#define SCREEN_ERASE "\x1b[K"

/* Where the terminal does not say. */
#define SCREEN_COLUMNS 80

/* What others wait for (a hidden bar, the last state) is worth some patience with a terminal that
 * does not keep up; a redraw is not. */
#define SCREEN_WIPE_NS   (100 * MANY_MILLISECOND_NS)
#define SCREEN_FINISH_NS MANY_SECOND_NS

void many_screen_begin_(many_screen_ *screen, int fd, int columns)
{
    memset(screen, 0, sizeof *screen);
    screen->fd = fd;
    screen->columns = columns;
}

int many_screen_room_(const many_screen_ *screen)
{
    int columns = screen->columns > 0 ? screen->columns : many_terminal_columns_(screen->fd);

    return (columns > 0 ? columns : SCREEN_COLUMNS) - 1;
}

/* 1 if all of it is on the screen. */
static int screen_write(const many_screen_ *screen, const char *line, size_t bytes, const char *end,
                        int64_t patience_ns)
{
    char frame[MANY_DRAW_BYTES + 16];
    many_text_ text;

    many_text_begin_(&text, frame, sizeof frame);
    many_text_add_(&text, "\r");
    many_text_add_part_(&text, line, bytes);
    many_text_add_(&text, SCREEN_ERASE);
    many_text_add_(&text, end);
    return many_terminal_write_(screen->fd, frame, text.used, patience_ns) == (ssize_t)text.used;
}

void many_screen_show_(many_screen_ *screen, const char *line, size_t bytes)
{
    if (screen->visible && bytes == screen->bytes && memcmp(line, screen->line, bytes) == 0)
        return;
    screen->bytes = 0;
    if (screen_write(screen, line, bytes, "", 0)) {
        memcpy(screen->line, line, bytes);
        screen->bytes = bytes;
    }
    screen->visible = 1; /* if only in part */
}

void many_screen_wipe_(many_screen_ *screen)
{
    if (!screen->visible)
        return;
    screen->visible = !screen_write(screen, "", 0, "", SCREEN_WIPE_NS);
    screen->bytes = 0;
}

void many_screen_finish_(many_screen_ *screen, const char *line, size_t bytes)
{
    screen_write(screen, line, bytes, "\n", SCREEN_FINISH_NS);
    screen->visible = 0;
}
