/* SPDX-License-Identifier: MIT */
/* test_bar_faults.c - bars when memory runs out, and children that die in the middle of a claim */
#include "test.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <many/bar.h>

#include "bar/board.h"
#include "base/fault.h"

static const char *wanted;
static int times; /* the point is passed so often before it acts */

static int fail_at_wanted(const char *point)
{
    return strcmp(point, wanted) == 0 && times-- == 0 ? -ENOMEM : 0;
}

static int die_at_wanted(const char *point)
{
    if (strcmp(point, wanted) == 0)
        raise(SIGKILL);
    return 0;
}

TEST(without_memory_for_the_counters_there_is_no_bar_and_nothing_is_left)
{
    static const char *const points[] = {"memory.map_wiped", "memory.map"};
    test_census before = test_census_take();

    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        many_bar *bar = (many_bar *)&before;

        wanted = points[i];
        times = 0;
        many_fault_hook_ = fail_at_wanted;
        CHECK_CODE(many_bar_open(&bar, .total = 10), -ENOMEM);
        many_fault_hook_ = NULL;
        CHECK(bar == NULL);
        CHECK_CONTAINS(many_error_message(), "many_bar_open: no memory");
        CHECK_EQUAL(times, -1);
    }
    CHECK_CENSUS(before);
}

static void add_and_die_claiming(void *argument)
{
    many_fault_hook_ = die_at_wanted;
    many_bar_add(argument, 1);
}

static void add_and_live(void *argument)
{
    many_bar_add(argument, 1);
    many_bar_close(argument);
}

TEST(a_claim_that_dies_half_way_costs_a_cell_and_no_count)
{
    many_bar *bar;

    wanted = "bar.claim";
    CHECK_CODE(many_bar_open(&bar, .quiet = 1), 0);
    for (int i = 0; i < MANY_BOARD_CELLS + 5; i++) {
        CHECK(test_in_child(add_and_die_claiming, bar) == (i < MANY_BOARD_CELLS ? SIGKILL : 0));
        CHECK(test_in_child(add_and_live, bar) == 0);
    }
    many_bar_add(bar, 1);
    CHECK_EQUAL(many_bar_count(bar), MANY_BOARD_CELLS + 5 + 5 + 1);
    many_bar_close(bar);
}

TEST(without_memory_for_the_terminals_lines_there_is_no_bar_and_nothing_is_left)
{
    static const struct {
        const char *point;
        int times, code;
    } faults[] = {
        {"memory.map", 0, -ENOMEM},
        {"memory.map_file", 0, -ENOMEM},
        {"memory.file", 0, 0}, /* then it serves those that fork from us */
    };
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    test_census before = test_census_take();

    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        many_bar *bar = NULL;

        wanted = faults[i].point;
        times = faults[i].times;
        many_fault_hook_ = fail_at_wanted;
        CHECK_CODE(many_bar_open(&bar, .total = 10, .fd = null, .terminal = 1), faults[i].code);
        many_fault_hook_ = NULL;
        CHECK_EQUAL(times, -1);
        CHECK((bar != NULL) == (faults[i].code == 0));
        many_bar_add(bar, 1);
        many_bar_close(bar);
    }
    CHECK_CENSUS(before);
    close(null);
}
