/* SPDX-License-Identifier: MIT */
/*
 * cues.h - an actor that draws bars on the emulator's terminal, and a test that looks at them, in turns
 */
#ifndef MANY_TEST_CUES_H
#define MANY_TEST_CUES_H

#include <stdatomic.h>
#include <stdlib.h>

#include <many/bar.h>

#include "bar/bar.h"
#include "bar/emulator.h"

#define AT_ONCE 1e-9

/* What the actor and the test tell each other. */
typedef struct cue {
    _Atomic int reached; /* by the actor */
    _Atomic int wanted;  /* by the test */
    _Atomic int pid;
} cue;

static cue *cues;

static void begin(int rows, int columns)
{
    emulator_open(rows, columns);
    cues = test_shared(sizeof *cues);
    setenv("LC_ALL", "C", 1);
}

/* The actor waits here until the test has looked at the screen. */
static __attribute__((unused)) void pause_at(int step)
{
    atomic_store(&cues->reached, step);
    UNTIL((many_bars_draw_(), atomic_load(&cues->wanted)) >= step);
}

static __attribute__((unused)) void look_at(int step)
{
    EMULATOR_UNTIL(atomic_load(&cues->reached) >= step);
    emulator_settle();
}

static __attribute__((unused)) void go_on(int step)
{
    atomic_store(&cues->wanted, step);
}

static int row_is(int row, const char *words)
{
    const char *line = emulator_row(row);

    return *words == '\0' ? *line == '\0' : strncmp(line, words, strlen(words)) == 0;
}

static __attribute__((unused)) void check_row(int row, const char *words)
{
    double end = test_seconds() + 20.0 * test_slowness();

    EMULATOR_UNTIL(row_is(row, words) || test_seconds() > end);
    if (!row_is(row, words))
        test_fail_(__FILE__, __LINE__, "row %d is '%s', not '%s...'", row, emulator_row(row),
                   words);
}

static __attribute__((unused)) many_bar *open_bar(const char *desc, int leave)
{
    many_bar *bar = NULL;

    CHECK_CODE(many_bar_open(&bar, .total = 10, .desc = desc, .interval_s = AT_ONCE, .ascii = 1,
                             .leave = leave),
               0);
    return bar;
}

#endif
