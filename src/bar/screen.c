/* SPDX-License-Identifier: MIT */
/*
 * screen.c - the one line of a terminal that a bar redraws; see screen.h
 *
 * A resize is seen by asking for the size at each redraw: one ioctl, no SIGWINCH handler. When the
 * window has become narrower than the line on it, some terminals cut that line, and "\r" still goes
 * to its begin; others break it into two, with the cursor on the lower one: that one is wiped, and
 * what is above it stays. To wipe that too one would have to move up, and so, on the terminals that
 * cut, wipe what others have printed.
 */
#include "bar/screen.h"

#include "os/clock.h"
#include "os/terminal.h"

/* Where the terminal does not say. */
#define SCREEN_COLUMNS 80

/* What others wait for (a hidden bar, the last state) is worth some patience with a terminal that
 * does not keep up; a redraw is not. */
#define SCREEN_WIPE_NS   (100 * MANY_MILLISECOND_NS)
#define SCREEN_FINISH_NS MANY_SECOND_NS

/* The first line makes the bar's place among the others: bars that are opened one after another should
 * come in this order. */
#define SCREEN_FIRST_NS (50 * MANY_MILLISECOND_NS)

int many_screen_begin_(many_screen_ *screen, int fd, int columns, int leave)
{
    screen->place = (many_place_){.fd = fd, .columns = columns, .leave = leave, .row = -1};
    return many_stage_open_(&screen->place.stage, fd);
}

void many_screen_end_(many_screen_ *screen)
{
    many_stage_close_(screen->place.stage);
    screen->place.stage = NULL;
}

int many_screen_room_(const many_screen_ *screen)
{
    const many_place_ *place = &screen->place;
    int columns = place->columns > 0 ? place->columns : many_terminal_columns_(place->fd);

    return (columns > 0 ? columns : SCREEN_COLUMNS) - 1;
}

int64_t many_screen_show_(many_screen_ *screen, const char *line, size_t bytes, int64_t now_ns,
                          int first)
{
    return many_stage_show_(&screen->place, line, bytes, now_ns, first ? SCREEN_FIRST_NS : 0);
}

int many_screen_wipe_(many_screen_ *screen, int64_t until_ns)
{
    return many_stage_hide_(&screen->place, until_ns, SCREEN_WIPE_NS);
}

void many_screen_finish_(many_screen_ *screen, const char *line, size_t bytes)
{
    many_stage_finish_(&screen->place, line, bytes, SCREEN_FINISH_NS);
}
