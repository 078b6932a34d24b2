/* SPDX-License-Identifier: MIT */
/* test_text.c - bounded text, numbers as people read them, columns of UTF-8 */
#include "test.h"

#include <math.h>
#include <string.h>

#include "base/text.h"

static char bytes[64];
static many_text_ text;

static const char *fixed(double value, int decimals)
{
    many_text_begin_(&text, bytes, sizeof bytes);
    many_text_add_fixed_(&text, value, decimals);
    return bytes;
}

static const char *brief(double value)
{
    many_text_begin_(&text, bytes, sizeof bytes);
    many_text_add_short_(&text, value);
    return bytes;
}

static const char *clock_of(double seconds)
{
    many_text_begin_(&text, bytes, sizeof bytes);
    many_text_add_clock_(&text, seconds);
    return bytes;
}

static const char *count_of(uint64_t count)
{
    many_text_begin_(&text, bytes, sizeof bytes);
    many_text_add_count_(&text, count);
    return bytes;
}

static const char *tame(const char *given)
{
    many_text_tame_(bytes, sizeof bytes, given);
    return bytes;
}

TEST(text_that_does_not_fit_is_cut_before_a_character_and_nothing_follows)
{
    char small[8];

    memset(small, 'x', sizeof small);
    many_text_begin_(&text, small, 6);
    many_text_add_(&text, "ab");
    CHECK_EQUAL(text.full, 0);
    many_text_add_(&text, "日本"); /* three bytes each, room for three */
    CHECK_STRING(small, "ab日");
    CHECK_EQUAL(text.used, 5);
    CHECK_EQUAL(text.full, 1);
    many_text_begin_(&text, small, 5);
    many_text_add_(&text, "ab");
    many_text_add_(&text, "日本");
    many_text_add_(&text, "c");
    CHECK_STRING(small, "ab");
    CHECK_EQUAL(small[6], 'x');
    CHECK_EQUAL(small[7], 'x');
}

TEST(a_text_of_one_byte_holds_nothing)
{
    char small[2] = "xx";

    many_text_begin_(&text, small, 1);
    many_text_add_(&text, "a");
    many_text_add_count_(&text, 7);
    CHECK_EQUAL(small[0], '\0');
    CHECK_EQUAL(small[1], 'x');
    CHECK_EQUAL(text.used, 0);
}

TEST(pieces_are_repeated_as_often_as_asked_or_as_fits)
{
    char small[8];

    many_text_begin_(&text, bytes, sizeof bytes);
    many_text_add_times_(&text, "█", 3);
    many_text_add_times_(&text, "-", 0);
    CHECK_STRING(bytes, "███");
    many_text_begin_(&text, small, sizeof small);
    many_text_add_times_(&text, "█", SIZE_MAX);
    CHECK_STRING(small, "██");
}

TEST(counts_are_written_in_full)
{
    CHECK_STRING(count_of(0), "0");
    CHECK_STRING(count_of(9), "9");
    CHECK_STRING(count_of(1234567), "1234567");
    CHECK_STRING(count_of(UINT64_MAX), "18446744073709551615");
}

TEST(decimals_are_rounded_and_padded)
{
    CHECK_STRING(fixed(0, 2), "0.00");
    CHECK_STRING(fixed(3.14159, 2), "3.14");
    CHECK_STRING(fixed(3.005, 1), "3.0");
    CHECK_STRING(fixed(2.96, 1), "3.0");
    CHECK_STRING(fixed(0.0625, 3), "0.063");
    CHECK_STRING(fixed(9.99999, 0), "10");
    CHECK_STRING(fixed(123456.5, 1), "123456.5");
    CHECK_STRING(fixed(1.000000001, 9), "1.000000001");
}

TEST(values_beyond_all_reason_stay_bounded)
{
    CHECK_STRING(fixed(1e300, 2), "1000000000000000");
    CHECK_STRING(fixed((double)INFINITY, 2), "1000000000000000");
    CHECK_STRING(fixed((double)NAN, 2), "1000000000000000");
    CHECK_STRING(fixed(1e14, 2), "100000000000000");
}

TEST(short_values_have_decimals_only_where_they_tell_something)
{
    CHECK_STRING(brief(0.0), "0.00");
    CHECK_STRING(brief(3.21), "3.21");
    CHECK_STRING(brief(9.994), "9.99");
    CHECK_STRING(brief(9.996), "10.0");
    CHECK_STRING(brief(42.26), "42.3");
    CHECK_STRING(brief(311.0), "311.0");
    CHECK_STRING(brief(999.94), "999.9");
    CHECK_STRING(brief(999.96), "1000");
    CHECK_STRING(brief(31104.4), "31104");
}

TEST(seconds_are_minutes_and_from_an_hour_on_hours)
{
    CHECK_STRING(clock_of(0), "00:00");
    CHECK_STRING(clock_of(1.99), "00:01");
    CHECK_STRING(clock_of(61), "01:01");
    CHECK_STRING(clock_of(3599.9), "59:59");
    CHECK_STRING(clock_of(3723), "1:02:03");
    CHECK_STRING(clock_of(360000), "100:00:00");
}

TEST(characters_of_every_length_are_decoded)
{
    const char *at = "a\xC3\xA9\xE6\x97\xA5\xF0\x9F\x98\x80";

    CHECK_EQUAL(many_text_next_(&at), 'a');
    CHECK_EQUAL(many_text_next_(&at), 0xE9);
    CHECK_EQUAL(many_text_next_(&at), 0x65E5);
    CHECK_EQUAL(many_text_next_(&at), 0x1F600);
    CHECK_EQUAL(*at, '\0');
}

TEST(what_is_no_utf8_is_one_broken_byte)
{
    static const char *const broken[] = {
        "\x80x",            /* continues nothing */
        "\xC3x",            /* not continued */
        "\xC3",             /* ended by the end */
        "\xE6\x97",         /* so, too */
        "\xF0\x9F\x98",     /* and this */
        "\xC0\xAF",         /* an overlong slash */
        "\xE0\x80\xAF",     /* another */
        "\xF0\x80\x80\xAF", /* another */
        "\xED\xA0\x80",     /* a surrogate */
        "\xF4\x90\x80\x80", /* beyond U+10FFFF */
        "\xFF",
    };

    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        const char *at = broken[i];

        CHECK_EQUAL(many_text_next_(&at), MANY_TEXT_BROKEN_);
        CHECK_EQUAL(at - broken[i], 1);
    }
}

TEST(columns_count_wide_characters_twice_and_marks_not)
{
    CHECK_EQUAL(many_text_columns_(""), 0);
    CHECK_EQUAL(many_text_columns_("files"), 5);
    CHECK_EQUAL(many_text_columns_("日本語"), 6);
    CHECK_EQUAL(many_text_columns_("e\xCC\x81t\xCC\x81"), 2); /* acute accents */
    CHECK_EQUAL(many_text_columns_("é█▏"), 3);
    CHECK_EQUAL(many_text_columns_("😀!"), 3);
    CHECK_EQUAL(many_text_columns_("a\xFFz"), 3);
}

TEST(the_longest_beginning_that_fits_keeps_marks_and_whole_characters)
{
    CHECK_EQUAL(many_text_fit_("files", 3), 3);
    CHECK_EQUAL(many_text_fit_("files", 5), 5);
    CHECK_EQUAL(many_text_fit_("files", 50), 5);
    CHECK_EQUAL(many_text_fit_("日本", 3), 3);
    CHECK_EQUAL(many_text_fit_("日本", 1), 0);
    CHECK_EQUAL(many_text_fit_("e\xCC\x81t", 1), 3);
}

TEST(tame_text_stays_on_one_line)
{
    CHECK_STRING(tame(NULL), "");
    CHECK_STRING(tame("plain"), "plain");
    CHECK_STRING(tame("a\nb\r\nc\td\ve\ff"), "a b  c d e f");
    CHECK_STRING(tame("a\x1b[2Jb\a\x7f"), "a?[2Jb??");
    CHECK_STRING(tame("a\xC2\x85"
                      "b\xE2\x80\xA8"
                      "c\xE2\x80\xA9"
                      "d"),
                 "a b c d");
    CHECK_STRING(tame("\xC2\x9B"
                      "2J"),
                 "?2J"); /* the one-character form of ESC [ */
    CHECK_STRING(tame("日本\xFFx\xE6"), "日本?x?");
}

TEST(tame_text_is_cut_before_a_character)
{
    many_text_tame_(bytes, 6, "ab日本");
    CHECK_STRING(bytes, "ab日");
    many_text_tame_(bytes, 5, "ab日本cd");
    CHECK_STRING(bytes, "ab");
}
