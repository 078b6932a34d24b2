/* SPDX-License-Identifier: MIT */
/* test_width.c - how many columns a character takes */
#include "test.h"

#include "base/width.h"

TEST(letters_and_blocks_take_one_column)
{
    static const uint32_t narrow[] = {'a',    '~',    0xA0,   0xAD,   0xE9,   0x3B1,   0x416,
                                      0x2588, 0x258F, 0x2026, 0x303F, 0xFF61, 0x10FFFF};

    for (size_t i = 0; i < sizeof narrow / sizeof narrow[0]; i++)
        CHECK_EQUAL(many_width_(narrow[i]), 1);
}

TEST(east_asia_and_emoji_take_two_columns)
{
    static const uint32_t wide[] = {0x1100, 0x3000, 0x3042,  0x30AB,  0x4E00,  0x9FFF, 0xAC00,
                                    0xD7A3, 0xFF01, 0x1F600, 0x1F680, 0x20000, 0x3134F};

    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        CHECK_EQUAL(many_width_(wide[i]), 2);
}

TEST(marks_take_no_column)
{
    static const uint32_t marks[] = {0x300,  0x36F,  0x483,  0x591,   0x64B,  0x1160,
                                     0x11FF, 0x200B, 0x200D, 0x20D0,  0x302A, 0x3099,
                                     0xFE00, 0xFE20, 0xFEFF, 0xE0001, 0xE01EF};

    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        CHECK_EQUAL(many_width_(marks[i]), 0);
}

TEST(where_terminals_differ_it_is_the_larger)
{
    CHECK_EQUAL(many_width_(0xFE0F), 1); /* makes some draw what is before it wide */
    CHECK_EQUAL(many_width_(0x600), 1);  /* a format character that is seen */
}
