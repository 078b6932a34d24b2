/* SPDX-License-Identifier: MIT */
/*
 * draw.h - the state of one bar becomes one line of text: a pure function
 *
 *   files:  42%|████▏     | 420/1000, 3 failed [00:01<00:02, 311.0file/s]
 *   files: 420file, 3 failed [00:01, 311.0file/s]                          no total, or it is
 * passed
 *
 * tqdm's layout. Where there is less room, first the bar goes (below 4 columns), then what is in
 * brackets, then the words before the bar are cut, then the failures go, then the numbers: the
 * percentage stays last.
 */
#ifndef MANY_BAR_DRAW_H
#define MANY_BAR_DRAW_H

#include <stddef.h>
#include <stdint.h>

/* Room for a line, with its NUL. A line with what frames it stays below PIPE_BUF (4096), so that a
 * pipe takes it in one piece. */
#define MANY_DRAW_BYTES 3072

/* Wider than this no line gets, so that it fits MANY_DRAW_BYTES whatever it holds. */
#define MANY_DRAW_COLUMNS 500

/* Room for the words and the unit, each with its NUL. */
#define MANY_DRAW_WORDS_BYTES 512
#define MANY_DRAW_UNIT_BYTES  64

typedef struct many_draw_ {
    const char *desc; /* words before the bar, tame (see text.h); "": none */
    const char *unit; /* one of what is counted, tame */
    uint64_t count;   /* done, the failed ones included */
    uint64_t failed;
    uint64_t total;   /* 0: not known */
    double elapsed_s; /* since the begin */
    double rate;      /* a second; 0: not known */
    int columns;      /* the line takes at most so many */
    int ascii;        /* 1: the bar of '#' and digits; 0: of Unicode's eighths of a block */
} many_draw_;

/* Write the line, without a line end; how many bytes it has. */
size_t many_draw_line_(const many_draw_ *draw, char line[MANY_DRAW_BYTES]);

#endif
