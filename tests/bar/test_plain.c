/* SPDX-License-Identifier: MIT */
/* test_plain.c - a bar where there is no terminal */
#include "test.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bar/plain.h"
#include "os/clock.h"

TEST(lines_come_after_1_2_4_8_16_32_60_seconds_and_then_each_minute)
{
    static const int64_t seconds[] = {1, 2, 4, 8, 16, 32, 60, 120, 180, 240};
    const int64_t begun = 77 * MANY_SECOND_NS + 5;
    int64_t now = begun;

    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        int64_t due = many_plain_due_ns_(begun, now);

        CHECK_EQUAL(due, begun + seconds[i] * MANY_SECOND_NS);
        CHECK_EQUAL(many_plain_due_ns_(begun, due - 1), due);
        now = due;
    }
    CHECK_EQUAL(many_plain_due_ns_(begun, begun + 3605 * MANY_SECOND_NS),
                begun + 3660 * MANY_SECOND_NS);
}

TEST(a_line_that_finds_no_room_is_dropped_and_one_cut_in_two_is_not_continued)
{
    char bytes[4096], small[200];
    int ends[2];
    size_t filled = 0;
    ssize_t got;
    many_plain_ plain;

    CHECK(pipe(ends) == 0);
    CHECK(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    memset(bytes, '.', sizeof bytes);
    while ((got = write(ends[1], bytes, sizeof bytes)) > 0)
        filled += (size_t)got;
    many_plain_begin_(&plain, ends[1]);
    many_plain_print_(&plain, "dropped", 7, 0);
    while (filled > 0)
        filled -= (size_t)read(ends[0], bytes, filled < sizeof bytes ? filled : sizeof bytes);
    many_plain_print_(&plain, "one", 3, 0);
    plain.torn = 1;
    many_plain_print_(&plain, "two", 3, 0);
    many_plain_print_(&plain, "three", 5, 0);
    got = read(ends[0], small, sizeof small);
    CHECK_EQUAL(got, 15);
    CHECK_BYTES(small, "one\n\ntwo\nthree\n", 15);
    close(ends[0]);
    close(ends[1]);
}
