/* SPDX-License-Identifier: MIT */
/*
 * lines.h - children that print numbered lines above bars, and a look whether each stands there whole, once, in
 * order
 */
#ifndef MANY_TEST_LINES_H
#define MANY_TEST_LINES_H

#include <many/bar.h>

#include "bar/cues.h"

enum { CHILDREN = 3, LINES = 200 };

/* What the printing children do; the argument says how. */
enum { BY_PRINT, BY_STDIO, BY_STDERR };

static void print_and_count(int number, int how)
{
    char name[16];
    many_bar *bar;

    snprintf(name, sizeof name, "child%d", number);
    bar = open_bar(name, -1);
    for (int i = 0; i < LINES; i++) {
        if (how == BY_PRINT)
            CHECK_CODE(many_bar_print("child %d says line %d of %d", number, i, LINES), 0);
        else if (how == BY_STDIO)
            printf("child %d says line %d of %d\n", number, i, LINES);
        else
            fprintf(stderr, "child %d says line %d of %d\n", number, i, LINES);
        if (i % 20 == 0)
            many_bar_add(bar, 1);
    }
    CHECK(fflush(stdout) == 0);
    atomic_fetch_add(&cues->pid, 1);
    UNTIL(atomic_load(&cues->wanted) >= 1);
    many_bar_close(bar);
}

static int next_line[CHILDREN];

static void take_line(const char *line)
{
    int child, number, all, end = 0;

    if (sscanf(line, "child %d says line %d of %d%n", &child, &number, &all, &end) != 3) {
        if (strncmp(line, "parent: ", 8) != 0 && strncmp(line, "child", 5) != 0)
            test_fail_(__FILE__, __LINE__, "torn: '%s'", line);
        return;
    }
    CHECK(line[end] == '\0' && all == LINES && child >= 0 && child < CHILDREN);
    CHECK_EQUAL(number, next_line[child]);
    next_line[child]++;
}

#endif
