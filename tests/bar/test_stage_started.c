/* SPDX-License-Identifier: MIT */
/* test_stage_started.c - bars and prints of processes that many has started */
#include "test.h"

#include <stdio.h>

#include <many/map.h>
#include <many/process.h>

#if defined(__GLIBC__) /* elsewhere stdout cannot be replaced */

#include "bar/cues.h"
#include "bar/lines.h"

/* ---- processes that many_process_start() made ---- */

typedef struct started {
    many_bar *bar;
    int number;
} started;

static int print_and_add(void *argument)
{
    const started *mine = argument;

    for (int i = 0; i < LINES; i++)
        printf("child %d says line %d of %d\n", mine->number, i, LINES);
    fflush(stdout);
    many_bar_add(mine->bar, 1);
    atomic_fetch_add(&cues->pid, 1);
    UNTIL(atomic_load(&cues->wanted) >= 1);
    return 0;
}

/* Does nothing but wait. */
static void parent_that_waits(void *argument)
{
    many_bar *bar = open_bar("parent", 0);
    many_process *processes[CHILDREN] = {NULL};
    started children[CHILDREN];
    int ended[CHILDREN], running = CHILDREN;

    for (int i = 0; i < CHILDREN; i++) {
        children[i] = (started){bar, i};
        CHECK_CODE(many_process_start(&processes[i], print_and_add, &children[i]), 0);
    }
    if (*(const int *)argument) {
        for (int i = 0; i < CHILDREN; i++)
            CHECK_CODE(many_process_join(processes[i], MANY_FOREVER), 0);
    }
    while (!*(const int *)argument && running > 0) {
        CHECK(many_process_wait(processes, CHILDREN, ended, MANY_FOREVER) > 0);
        for (int i = 0; i < CHILDREN; i++) {
            if (ended[i]) {
                many_process_close(processes[i]);
                processes[i] = NULL;
                running--;
            }
        }
    }
    for (int i = 0; i < CHILDREN; i++)
        many_process_close(processes[i]);
    many_bar_close(bar);
}

static void waiting_draws(int by_join)
{
    pid_t actor;

    begin(20, 70);
    memset(next_line, 0, sizeof next_line);
    actor = emulator_start(parent_that_waits, &by_join);
    EMULATOR_UNTIL(atomic_load(&cues->pid) == CHILDREN);
    check_row(19, "parent:  30%|"); /* though its process does nothing but wait */
    go_on(1);
    CHECK(emulator_wait(actor) == 0);
    emulator_each(take_line);
    for (int i = 0; i < CHILDREN; i++)
        CHECK_EQUAL(next_line[i], LINES);
    emulator_close();
}

TEST(who_joins_started_processes_draws_its_bar_above_which_their_prints_stand_whole)
{
    waiting_draws(1);
}

TEST(who_waits_for_any_of_several_processes_draws_too)
{
    waiting_draws(0);
}

/* No fork of the process that draws: it has the stage by a descriptor. */
static int print_from_afar(void *argument)
{
    print_and_count(*(const int *)argument, BY_STDIO);
    return 0;
}

static void parent_of_server_children(void *argument)
{
    many_bar *bar = open_bar("parent", 0);
    many_process *processes[CHILDREN];

    (void)argument;
    for (int i = 0; i < CHILDREN; i++)
        CHECK_CODE(many_process_start(&processes[i], print_from_afar, &i,
                                      .argument_bytes = sizeof i, .method = MANY_FORKSERVER),
                   0);
    many_bar_add(bar, 3);
    for (int i = 0; i < CHILDREN; i++) {
        CHECK_CODE(many_process_join(processes[i], MANY_FOREVER), 0);
        many_process_close(processes[i]);
    }
    many_bar_close(bar);
}

TEST(what_children_of_the_fork_server_print_and_open_is_among_the_bars_too)
{
    pid_t actor;

    begin(20, 70);
    memset(next_line, 0, sizeof next_line);
    actor = emulator_start(parent_of_server_children, NULL);
    EMULATOR_UNTIL(atomic_load(&cues->pid) == CHILDREN);
    check_row(16, "parent:  30%|");
    for (int row = 17; row < 20; row++)
        check_row(row, "child");
    go_on(1);
    CHECK(emulator_wait(actor) == 0);
    emulator_each(take_line);
    for (int i = 0; i < CHILDREN; i++)
        CHECK_EQUAL(next_line[i], LINES);
    emulator_close();
}

enum { WORKED = 60 };

static int print_and_work(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    printf("item %d is done\n", (int)many_item_index());
    fprintf(stderr, "item %d is ", (int)many_item_index());
    fprintf(stderr, "well\n");
    return 0;
}

static int next_item(void *item, void *context)
{
    int *next = context;

    *(int *)item = *next;
    return (*next)++ < WORKED;
}

static void maps_that_print(void *argument)
{
    int item = 0;

    (void)argument;
    CHECK_CODE(
        many_process_each(print_and_work, (const int *)NULL, WORKED, .workers = 3, .desc = "array"),
        0);
    CHECK_CODE(many_process_each(print_and_work, (const int *)NULL, 0, .workers = 3,
                                 .next = next_item, .next_context = &item, .desc = "source"),
               0);
}

static int done, well;

static void take_item(const char *line)
{
    int number, end = 0, is_well = 0;

    CHECK(sscanf(line, "item %d is %n", &number, &end) == 1 ||
          strncmp(line, "array: 100%|", 12) == 0 || strncmp(line, "source: 100%|", 13) == 0);
    if (end == 0)
        return;
    is_well = strcmp(line + end, "well") == 0;
    CHECK(is_well || strcmp(line + end, "done") == 0);
    done += !is_well;
    well += is_well;
}

TEST(what_workers_of_a_map_print_by_stdio_stands_whole_above_its_bar)
{
    begin(20, 80);
    CHECK(emulator_wait(emulator_start(maps_that_print, NULL)) == 0);
    done = well = 0;
    emulator_each(take_item);
    CHECK_EQUAL(done, 2 * WORKED);
    CHECK_EQUAL(well, 2 * WORKED);
    emulator_close();
}

#else

TEST(what_started_processes_print_by_stdio_stands_above_the_bars)
{
    test_skip("with this C library stdio is not lifted above the bars");
}

#endif
