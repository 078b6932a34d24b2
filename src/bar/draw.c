/* SPDX-License-Identifier: MIT */
/* draw.c - the state of one bar becomes one line of text; see draw.h */
#include "bar/draw.h"

#include <string.h>

#include "bar/rate.h"
#include "base/text.h"

/* A bar that is shorter tells less than the percentage beside it. */
#define DRAW_BAR_LEAST 4

/* The numbers, and what is in brackets: eight numbers, a unit twice. */
#define DRAW_PART_BYTES 384

/* A wait of more than 10 000 hours is as good as unknown, and would only take room. */
#define DRAW_LEFT_MOST_S 3.6e7

typedef struct draw_style {
    const char *full;        /* a column that is done */
    const char *const *part; /* a column that is partly done, by steps */
    unsigned steps;          /* in one column */
} draw_style;

static const char *const draw_eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
static const char *const draw_digits[] = {" ", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
static const draw_style draw_unicode = {"█", draw_eighths, 8};
static const draw_style draw_ascii = {"#", draw_digits, 10};

/* The pieces of a line, and the columns of each. */
typedef struct draw_parts {
    char numbers[DRAW_PART_BYTES]; /* 420/1000 or 420file */
    char failed[DRAW_PART_BYTES];  /* ", 3 failed" or nothing */
    char stats[DRAW_PART_BYTES];   /* " [00:01<00:02, 311.0file/s]" */
    char percent[8];               /* " 42%", or "" without a total */
    size_t numbers_columns, failed_columns, stats_columns, percent_columns;
} draw_parts;

/* " 42%": rounded half to even as Python does, but 100 only when all is done. */
static void draw_percent(char *percent, size_t room, uint64_t count, uint64_t total)
{
    double exact = 100.0 * ((double)count / (double)total);
    unsigned whole = (unsigned)exact;
    double rest = exact - whole;
    many_text_ text;

    if (rest > 0.5 || (rest == 0.5 && whole % 2 == 1))
        whole++;
    if (whole >= 100 && count < total)
        whole = 99;
    many_text_begin_(&text, percent, room);
    many_text_add_times_(&text, " ", whole < 10 ? 2 : whole < 100 ? 1 : 0);
    many_text_add_count_(&text, whole);
    many_text_add_(&text, "%");
}

/* 311.0file/s, 3.21s/file, ?file/s */
static void draw_rate(many_text_ *text, double rate, const char *unit)
{
    if (!(rate > 0)) {
        many_text_add_(text, "?");
    } else if (rate < 1) {
        many_text_add_short_(text, 1 / rate);
        many_text_add_(text, "s/");
        many_text_add_(text, unit);
        return;
    } else {
        many_text_add_short_(text, rate);
    }
    many_text_add_(text, unit);
    many_text_add_(text, "/s");
}

static void draw_stats(many_text_ *text, const many_draw_ *draw, int with_total)
{
    many_text_add_(text, " [");
    many_text_add_clock_(text, draw->elapsed_s);
    if (with_total) {
        double left = many_rate_left_s_(draw->rate, draw->count, draw->total);

        many_text_add_(text, "<");
        if (left < 0 || left > DRAW_LEFT_MOST_S)
            many_text_add_(text, "?");
        else
            many_text_add_clock_(text, left + 0.5); /* to the nearest second */
    }
    many_text_add_(text, ", ");
    draw_rate(text, draw->rate, draw->unit);
    many_text_add_(text, "]");
}

static void draw_make_parts(draw_parts *parts, const many_draw_ *draw)
{
    int with_total = draw->total > 0 && draw->count <= draw->total;
    many_text_ text;

    parts->percent[0] = '\0';
    if (with_total)
        draw_percent(parts->percent, sizeof parts->percent, draw->count, draw->total);

    many_text_begin_(&text, parts->numbers, sizeof parts->numbers);
    many_text_add_count_(&text, draw->count);
    many_text_add_(&text, with_total ? "/" : draw->unit);
    if (with_total)
        many_text_add_count_(&text, draw->total);

    many_text_begin_(&text, parts->failed, sizeof parts->failed);
    if (draw->failed > 0) {
        many_text_add_(&text, ", ");
        many_text_add_count_(&text, draw->failed);
        many_text_add_(&text, " failed");
    }

    many_text_begin_(&text, parts->stats, sizeof parts->stats);
    draw_stats(&text, draw, with_total);

    parts->percent_columns = many_text_columns_(parts->percent);
    parts->numbers_columns = many_text_columns_(parts->numbers);
    parts->failed_columns = many_text_columns_(parts->failed);
    parts->stats_columns = many_text_columns_(parts->stats);
}

/* "|████▏     | " in columns + 3 */
static void draw_bar(many_text_ *text, const many_draw_ *draw, size_t columns)
{
    const draw_style *style = draw->ascii ? &draw_ascii : &draw_unicode;
    double share = (double)draw->count / (double)draw->total;
    size_t steps = (size_t)(share * (double)(columns * style->steps));
    size_t full = steps / style->steps;

    many_text_add_(text, "|");
    many_text_add_times_(text, style->full, full);
    if (full < columns) {
        many_text_add_(text, style->part[steps % style->steps]);
        many_text_add_times_(text, " ", columns - full - 1);
    }
    many_text_add_(text, "| ");
}

/* " 42% 420/1000" or "420file", and the failures if they are wanted. */
static void draw_numbers(many_text_ *text, const draw_parts *parts, int with_failed)
{
    many_text_add_(text, parts->percent);
    many_text_add_(text, parts->percent_columns > 0 ? " " : "");
    many_text_add_(text, parts->numbers);
    if (with_failed)
        many_text_add_(text, parts->failed);
}

/* Not even the numbers have room: the percentage, or the count, whole or not at all. */
static void draw_least(many_text_ *text, const draw_parts *parts, size_t columns)
{
    const char *percent = parts->percent + strspn(parts->percent, " ");
    size_t digits = strspn(parts->numbers, "0123456789");

    if (parts->percent_columns > 0 && parts->percent_columns <= columns)
        many_text_add_(text, parts->percent);
    else if (parts->percent_columns > 0 && strlen(percent) <= columns)
        many_text_add_(text, percent);
    else if (parts->percent_columns == 0 && digits <= columns)
        many_text_add_part_(text, parts->numbers, digits);
}

static void draw_without_bar(many_text_ *text, const many_draw_ *draw, const draw_parts *parts)
{
    size_t columns = (size_t)draw->columns;
    size_t numbers = parts->percent_columns + (parts->percent_columns > 0) + parts->numbers_columns;
    size_t words = many_text_columns_(draw->desc);
    size_t need = numbers + parts->failed_columns;

    if (numbers > columns) {
        draw_least(text, parts, columns);
        return;
    }
    if (need > columns) {
        draw_numbers(text, parts, 0);
        return;
    }
    if (words > 0 && need + 3 <= columns) { /* a column of words at the least, and ": " */
        size_t room = columns - need - 2;

        many_text_add_part_(text, draw->desc, many_text_fit_(draw->desc, room));
        many_text_add_(text, ": ");
        need += (words < room ? words : room) + 2;
    }
    draw_numbers(text, parts, 1);
    if (need + parts->stats_columns <= columns)
        many_text_add_(text, parts->stats);
}

size_t many_draw_line_(const many_draw_ *draw, char line[MANY_DRAW_BYTES])
{
    many_draw_ bounded = *draw;
    draw_parts parts;
    many_text_ text;
    size_t taken, words;

    many_text_begin_(&text, line, MANY_DRAW_BYTES);
    if (draw->columns <= 0)
        return 0;
    if (bounded.columns > MANY_DRAW_COLUMNS)
        bounded.columns = MANY_DRAW_COLUMNS;
    draw_make_parts(&parts, &bounded);

    words = many_text_columns_(draw->desc);
    taken = (words > 0 ? words + 2 : 0) + parts.percent_columns + 3 + parts.numbers_columns +
            parts.failed_columns + parts.stats_columns;
    if (parts.percent_columns == 0 || taken + DRAW_BAR_LEAST > (size_t)bounded.columns) {
        draw_without_bar(&text, &bounded, &parts);
        return text.used;
    }
    if (words > 0) {
        many_text_add_(&text, draw->desc);
        many_text_add_(&text, ": ");
    }
    many_text_add_(&text, parts.percent);
    draw_bar(&text, &bounded, (size_t)bounded.columns - taken);
    many_text_add_(&text, parts.numbers);
    many_text_add_(&text, parts.failed);
    many_text_add_(&text, parts.stats);
    return text.used;
}
