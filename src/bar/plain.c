/* SPDX-License-Identifier: MIT */
/* plain.c - a bar where there is no terminal; see plain.h */
#include "bar/plain.h"

#include "bar/draw.h"
#include "base/text.h"
#include "os/terminal.h"

void many_plain_begin_(many_plain_ *plain, int fd)
{
    *plain = (many_plain_){fd, 0};
}

void many_plain_print_(many_plain_ *plain, const char *line, size_t bytes, int64_t patience_ns)
{
    char frame[MANY_DRAW_BYTES + 2];
    many_text_ text;
    ssize_t wrote;

    many_text_begin_(&text, frame, sizeof frame);
    many_text_add_(&text, plain->torn ? "\n" : ""); /* so that no two lines are glued together */
    many_text_add_part_(&text, line, bytes);
    many_text_add_(&text, "\n");
    wrote = many_terminal_write_(plain->fd, frame, text.used, patience_ns);
    if (wrote > 0)
        plain->torn = wrote < (ssize_t)text.used;
}

int64_t many_plain_due_ns_(int64_t begun_ns, int64_t now_ns)
{
    const int64_t minute = 60 * MANY_SECOND_NS;
    int64_t elapsed = now_ns - begun_ns;
    int64_t after = MANY_SECOND_NS;

    if (elapsed >= minute)
        return begun_ns + (elapsed / minute + 1) * minute;
    while (after <= elapsed)
        after *= 2;
    return begun_ns + (after < minute ? after : minute);
}
