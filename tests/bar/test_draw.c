/* SPDX-License-Identifier: MIT */
/* test_draw.c - the state of one bar becomes one line of text */
#include "test.h"

#include <math.h>
#include <string.h>

#include "bar/draw.h"
#include "base/text.h"

static char line[MANY_DRAW_BYTES];

static const many_draw_ example = {
    .desc = "files",
    .unit = "file",
    .count = 420,
    .total = 1000,
    .elapsed_s = 1.35,
    .rate = 311.0,
    .columns = 59,
};

/* Draws, and checks what holds for every line. */
static const char *drawn(const many_draw_ *draw)
{
    size_t bytes;

    memset(line, 'x', sizeof line);
    bytes = many_draw_line_(draw, line);
    CHECK_EQUAL(strlen(line), bytes);
    CHECK(many_text_columns_(line) <= (size_t)(draw->columns > 0 ? draw->columns : 0));
    CHECK(strpbrk(line, "\r\n\x1b") == NULL);
    return line;
}

static const char *with_columns(many_draw_ draw, int columns)
{
    draw.columns = columns;
    return drawn(&draw);
}

TEST(the_line_looks_like_tqdm)
{
    CHECK_STRING(drawn(&example), "files:  42%|████▏     | 420/1000 [00:01<00:02, 311.0file/s]");
}

TEST(the_bar_takes_what_is_left_of_the_columns)
{
    CHECK_STRING(with_columns(example, 69),
                 "files:  42%|████████▍           | 420/1000 [00:01<00:02, 311.0file/s]");
    for (int columns = 53; columns <= 200; columns++) {
        with_columns(example, columns);
        CHECK_EQUAL(many_text_columns_(line), (size_t)columns);
        CHECK(strstr(line, "|█") != NULL);
    }
}

TEST(ascii_bars_have_tenths_as_digits)
{
    many_draw_ draw = example;

    draw.ascii = 1;
    CHECK_STRING(drawn(&draw), "files:  42%|####2     | 420/1000 [00:01<00:02, 311.0file/s]");
    draw.desc = "日本";
    drawn(&draw);
    for (const char *at = line + strlen("日本"); *at != '\0'; at++)
        CHECK((unsigned char)*at < 0x80);
}

TEST(an_empty_and_a_full_bar)
{
    many_draw_ draw = example;

    draw.count = 0;
    draw.elapsed_s = 0;
    draw.rate = 0;
    CHECK_STRING(with_columns(draw, 49), "files:   0%|          | 0/1000 [00:00<?, ?file/s]");
    draw.count = 1000;
    draw.elapsed_s = 4;
    draw.rate = 250;
    CHECK_STRING(with_columns(draw, 60),
                 "files: 100%|██████████| 1000/1000 [00:04<00:00, 250.0file/s]");
}

TEST(each_eighth_of_a_column_is_seen)
{
    static const char *const bars[] = {"|     |", "|▏    |", "|▎    |", "|▍    |", "|▌    |",
                                       "|▋    |", "|▊    |", "|▉    |", "|█    |", "|█▏   |"};
    many_draw_ draw = example;

    draw.desc = "";
    draw.total = 40; /* 5 columns of 8 eighths */
    draw.columns = (int)strlen("  0%|     | 0/40 [00:01<00:00, 311.0file/s]");
    for (uint64_t i = 0; i < sizeof bars / sizeof bars[0]; i++) {
        draw.count = i;
        drawn(&draw);
        CHECK_CONTAINS(line, bars[i]);
    }
}

TEST(the_percentage_is_rounded_as_python_does_but_is_100_only_at_the_end)
{
    static const struct {
        uint64_t count, total;
        const char *percent;
    } cases[] = {
        {425, 1000, " 42%|"},
        {426, 1000, " 43%|"},
        {435, 1000, " 44%|"},
        {4, 1000, "  0%|"},
        {6, 1000, "  1%|"},
        {994, 1000, " 99%|"},
        {999, 1000, " 99%|"},
        {1, 1, "100%|"},
        {9, 100, "  9%|"},
        {10, 100, " 10%|"},
        {1000, 1000, "100%|"},
        {UINT64_MAX - 1, UINT64_MAX, " 99%|"},
        {UINT64_MAX, UINT64_MAX, "100%|"},
    };
    many_draw_ draw = example;

    draw.desc = "";
    draw.columns = 120;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        draw.count = cases[i].count;
        draw.total = cases[i].total;
        drawn(&draw);
        CHECK(strncmp(line, cases[i].percent, strlen(cases[i].percent)) == 0);
    }
}

TEST(without_a_total_it_counts)
{
    many_draw_ draw = example;

    draw.total = 0;
    CHECK_STRING(drawn(&draw), "files: 420file [00:01, 311.0file/s]");
    draw.desc = "";
    draw.unit = "it";
    CHECK_STRING(drawn(&draw), "420it [00:01, 311.0it/s]");
    draw.unit = "";
    CHECK_STRING(drawn(&draw), "420 [00:01, 311.0/s]");
}

TEST(past_its_total_it_counts_as_without)
{
    many_draw_ draw = example;

    draw.total = 400;
    CHECK_STRING(drawn(&draw), "files: 420file [00:01, 311.0file/s]");
    draw.total = 420;
    drawn(&draw);
    CHECK_CONTAINS(line, "files: 100%|");
}

TEST(failures_stand_beside_the_count)
{
    many_draw_ draw = example;

    draw.failed = 3;
    draw.columns = 69;
    CHECK_STRING(drawn(&draw),
                 "files:  42%|████▏     | 420/1000, 3 failed [00:01<00:02, 311.0file/s]");
    draw.total = 0;
    CHECK_STRING(drawn(&draw), "files: 420file, 3 failed [00:01, 311.0file/s]");
}

TEST(slow_rates_are_seconds_an_item)
{
    many_draw_ draw = example;

    draw.rate = 1 / 3.21;
    draw.count = 999;
    draw.elapsed_s = 3723;
    draw.columns = 100;
    drawn(&draw);
    CHECK_CONTAINS(line, "[1:02:03<00:03, 3.21s/file]");
    draw.rate = 1;
    drawn(&draw);
    CHECK_CONTAINS(line, "<00:01, 1.00file/s]");
    draw.rate = 0.5;
    draw.count = 0;
    drawn(&draw);
    CHECK_CONTAINS(line, "<33:20, 2.00s/file]");
}

TEST(an_end_that_is_too_far_away_is_unknown)
{
    many_draw_ draw = example;

    draw.total = UINT64_MAX;
    draw.columns = 100;
    drawn(&draw);
    CHECK_CONTAINS(line, "[00:01<?, 311.0file/s]");
    draw.rate = 1e-300;
    drawn(&draw);
    CHECK_CONTAINS(line, "<?, ");
    draw.rate = (double)NAN;
    drawn(&draw);
    CHECK_CONTAINS(line, "<?, ?file/s]");
}

TEST(with_less_room_the_bar_goes_then_the_brackets_then_the_words)
{
    CHECK_STRING(with_columns(example, 53),
                 "files:  42%|█▋  | 420/1000 [00:01<00:02, 311.0file/s]");
    CHECK_STRING(with_columns(example, 52), "files:  42% 420/1000 [00:01<00:02, 311.0file/s]");
    CHECK_STRING(with_columns(example, 47), "files:  42% 420/1000 [00:01<00:02, 311.0file/s]");
    CHECK_STRING(with_columns(example, 46), "files:  42% 420/1000");
    CHECK_STRING(with_columns(example, 20), "files:  42% 420/1000");
    CHECK_STRING(with_columns(example, 19), "file:  42% 420/1000");
    CHECK_STRING(with_columns(example, 16), "f:  42% 420/1000");
    CHECK_STRING(with_columns(example, 15), " 42% 420/1000");
    CHECK_STRING(with_columns(example, 13), " 42% 420/1000");
    CHECK_STRING(with_columns(example, 12), " 42%");
    CHECK_STRING(with_columns(example, 4), " 42%");
    CHECK_STRING(with_columns(example, 3), "42%");
    CHECK_STRING(with_columns(example, 2), "");
    CHECK_STRING(with_columns(example, 0), "");
    CHECK_STRING(with_columns(example, -1), "");
}

TEST(with_less_room_the_failures_go_before_the_numbers)
{
    many_draw_ draw = example;

    draw.failed = 3;
    CHECK_STRING(with_columns(draw, 30), "files:  42% 420/1000, 3 failed");
    CHECK_STRING(with_columns(draw, 29), "file:  42% 420/1000, 3 failed");
    CHECK_STRING(with_columns(draw, 23), " 42% 420/1000, 3 failed");
    CHECK_STRING(with_columns(draw, 22), " 42% 420/1000");
}

TEST(without_a_total_and_with_less_room_the_count_stays_last)
{
    many_draw_ draw = example;

    draw.total = 0;
    CHECK_STRING(with_columns(draw, 35), "files: 420file [00:01, 311.0file/s]");
    CHECK_STRING(with_columns(draw, 34), "files: 420file");
    CHECK_STRING(with_columns(draw, 13), "file: 420file");
    CHECK_STRING(with_columns(draw, 9), "420file");
    CHECK_STRING(with_columns(draw, 6), "420");
    CHECK_STRING(with_columns(draw, 2), "");
}

TEST(wide_words_are_measured_and_cut_by_columns)
{
    many_draw_ draw = example;

    draw.desc = "日本語";
    CHECK_STRING(with_columns(draw, 60),
                 "日本語:  42%|████▏     | 420/1000 [00:01<00:02, 311.0file/s]");
    CHECK_STRING(with_columns(draw, 20), "日本:  42% 420/1000");
    CHECK_STRING(with_columns(draw, 19), "日本:  42% 420/1000");
    CHECK_STRING(with_columns(draw, 18), "日:  42% 420/1000");
    CHECK_STRING(with_columns(draw, 16), ":  42% 420/1000");
    draw.desc = "e\xCC\x81t\xCC\x81";
    CHECK_STRING(with_columns(draw, 16), "e\xCC\x81:  42% 420/1000");
    draw.desc = "";
    draw.unit = "枚";
    draw.total = 0;
    CHECK_STRING(with_columns(draw, 5), "420枚");
    CHECK_STRING(with_columns(draw, 4), "420");
}

TEST(every_line_fits_whatever_it_holds)
{
    static const char *const words[] = {"",
                                        "f",
                                        "files",
                                        "日本語のファイル",
                                        "e\xCC\x81\xCC\x81",
                                        "a description that is rather long, for a narrow window"};
    static const uint64_t counts[] = {0, 1, 42, 99999, UINT64_MAX};

    for (int columns = -1; columns <= 200; columns++)
        for (size_t w = 0; w < sizeof words / sizeof words[0]; w++)
            for (size_t c = 0; c < 5; c++)
                for (size_t t = 0; t < 5; t++)
                    for (int all = 0; all <= 1; all++) {
                        many_draw_ draw = {
                            words[w], words[w], counts[c], all ? counts[c] : 0, counts[t],
                            1e9,      1e-9,     columns,   columns % 2 != 0};

                        drawn(&draw);
                    }
}

TEST(the_largest_line_fits_its_buffer)
{
    char words[MANY_DRAW_WORDS_BYTES], unit[MANY_DRAW_UNIT_BYTES];
    many_draw_ draw = example;

    memset(words, 'w', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    memset(unit, 'u', sizeof unit - 1);
    unit[sizeof unit - 1] = '\0';
    draw.unit = unit;
    draw.columns = 1 << 30;
    draw.count = draw.total = UINT64_MAX;
    draw.failed = UINT64_MAX;
    draw.elapsed_s = 1e300;
    draw.rate = 1e300;
    draw.desc = "w";
    drawn(&draw);
    CHECK_EQUAL(many_text_columns_(line), MANY_DRAW_COLUMNS);
    CHECK_EQUAL(line[strlen(line) - 1], ']');
    draw.desc = words;
    drawn(&draw);
    CHECK(strlen(line) <= MANY_DRAW_COLUMNS);
    CHECK_CONTAINS(line, " failed");
}
