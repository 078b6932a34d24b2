/* SPDX-License-Identifier: MIT */
/* test_stage_processes.c - bars of several processes on one terminal */
#include "test.h"

#include <pthread.h>
#include <termios.h>

#include <many/map.h>

#include "bar/cues.h"
#include "bar/lines.h"
#include "bar/stages.h"

typedef struct child_order {
    int number, how;
} child_order;

static void print_as_child(void *argument)
{
    const child_order *order = argument;

    if (order->how != BY_PRINT)
        many_stage_child_();
    print_and_count(order->number, order->how);
    many_stage_exit_();
}

static void parent_of_printers(void *argument)
{
    child_order orders[CHILDREN];
    pid_t children[CHILDREN];
    many_bar *bar = open_bar("parent", 0);

    for (int i = 0; i < CHILDREN; i++) {
        orders[i] = (child_order){i, *(const int *)argument};
        children[i] = test_child_start(print_as_child, &orders[i]);
    }
    UNTIL((many_bars_draw_(), atomic_load(&cues->pid)) == CHILDREN);
    many_bar_add(bar, 3);
    many_bar_draw(bar);
    pause_at(1);
    for (int i = 0; i < CHILDREN; i++)
        CHECK(test_child_wait(children[i]) == 0);
    many_bar_add(bar, 7);
    many_bar_close(bar);
}

/* stopped_s: for so long the terminal takes nothing, as after Ctrl-S. */
static void printing_children(int how, double stopped_s)
{
    double start = test_seconds() + stopped_s;
    pid_t actor;

    begin(20, 70);
    memset(next_line, 0, sizeof next_line);
    if (stopped_s > 0)
        CHECK(tcflow(emulator.slave, TCOOFF) == 0);
    actor = emulator_start(parent_of_printers, &how);
    EMULATOR_UNTIL(test_seconds() >= start);
    if (stopped_s > 0)
        CHECK(emulator_filled() == 0 && tcflow(emulator.slave, TCOON) == 0);
    look_at(1);
    check_row(
        16, "parent:  30%|"); /* at the foot of the screen; below it the children, in some order */
    for (int row = 17; row < 20; row++)
        check_row(row, "child");
    CHECK_SOON(emulator.y == 16);
    go_on(1);
    CHECK(emulator_wait(actor) == 0);
    emulator_each(take_line);
    for (int i = 0; i < CHILDREN; i++)
        CHECK_EQUAL(next_line[i], LINES);
    CHECK_EQUAL(emulator_find("child0:"), -1);
    CHECK(emulator_find("parent: 100%|") >= 0);
    CHECK_SOON(emulator.y == emulator_find("parent: 100%|") + 1);
    emulator_close();
}

TEST(what_children_print_stands_whole_and_in_order_above_all_bars)
{
    printing_children(BY_PRINT, 0);
}

TEST(on_a_terminal_that_was_stopped_for_a_while_nothing_is_torn_either)
{
    printing_children(BY_PRINT, 3);
}

#if defined(__GLIBC__)
TEST(what_started_children_print_by_stdio_stands_whole_above_all_bars)
{
    printing_children(BY_STDIO, 0);
    printing_children(BY_STDERR, 0);
}
#endif

/* ---- fork in the middle of a redraw ---- */

enum { FORKS = 60 };

static _Atomic int drawing;

static void *draw_all_the_time(void *argument)
{
    while (atomic_load(&drawing)) {
        many_bar_add(argument, 1);
        many_bar_draw(argument);
    }
    return NULL;
}

static void fork_and_draw(void *argument)
{
    many_bar *bar = open_bar("parent", 0);
    pthread_t thread;

    (void)argument;
    atomic_store(&drawing, 1);
    CHECK(pthread_create(&thread, NULL, draw_all_the_time, bar) == 0);
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork(); /* none of many's */

        if (child == 0) {
            many_bar *own = open_bar("child", -1);

            for (int k = 0; k < 10; k++) {
                many_bar_add(own, 1);
                many_bar_add(bar, 1);
            }
            many_bar_draw(bar); /* does nothing: it is the parent's */
            CHECK_CODE(many_bar_print("fork %d", i), 0);
            many_bar_close(own);
            many_bar_close(bar);
            _exit(0);
        }
        CHECK(test_child_wait(child) == 0);
    }
    atomic_store(&drawing, 0);
    pthread_join(thread, NULL);
    many_bar_close(bar);
}

static int forks;

static void take_fork(const char *line)
{
    int number, end = 0;

    if (sscanf(line, "fork %d%n", &number, &end) == 1 && line[end] == '\0')
        CHECK_EQUAL(number, forks++);
    else if (strncmp(line, "parent: ", 8) != 0)
        test_fail_(__FILE__, __LINE__, "torn: '%s'", line);
}

TEST(a_fork_in_the_middle_of_a_redraw_harms_neither_side)
{
    begin(20, 80);
    CHECK(emulator_wait(emulator_start(fork_and_draw, NULL)) == 0);
    forks = 0;
    emulator_each(take_fork);
    CHECK_EQUAL(forks, FORKS);
    CHECK(emulator_find("parent: ") == emulator.y - 1);
    emulator_close();
}

static void child_with_bar(void *argument)
{
    many_bar *bar = open_bar(argument, 0);

    many_bar_add(bar, 4);
    atomic_store(&cues->pid, (int)getpid());
    for (;;)
        pause();
}

static void parent_of_killed(void *argument)
{
    many_bar *first = open_bar("first", -1), *second;
    pid_t child = test_child_start(child_with_bar, argument);

    UNTIL(atomic_load(&cues->pid) != 0);
    second = open_bar("second", -1);
    pause_at(1);
    kill(child, SIGKILL);
    CHECK(test_child_wait(child) == SIGKILL);
    UNTIL((many_bars_draw_(), atomic_load(&cues->wanted)) >= 2);
    many_bar_close(first);
    many_bar_close(second);
}

TEST(a_childs_bar_is_below_its_parents_and_what_is_left_of_a_killed_one_goes_above)
{
    pid_t actor;

    begin(24, 80);
    actor = emulator_start(parent_of_killed, "child");
    look_at(1);
    check_row(0, "first:   0%|");
    check_row(1, "second:   0%|");
    check_row(2, "child:  40%|");
    go_on(1);
    EMULATOR_UNTIL(strncmp(emulator_row(0), "child:  40%|", 12) == 0 && emulator.y == 1);
    check_row(1, "first:   0%|");
    check_row(2, "second:   0%|");
    go_on(2);
    CHECK(emulator_wait(actor) == 0);
    check_row(0, "child:  40%|");
    CHECK_SOON(emulator_filled() == 1);
    emulator_close();
}

static int inner_task(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    if (many_worker_index() == 0)
        atomic_fetch_add(&cues->pid, 1);
    UNTIL(atomic_load(&cues->wanted) >= 1);
    return 0;
}

static int outer_task(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    return many_process_each(inner_task, (const int *)NULL, 4, .workers = 1, .desc = "inner");
}

static void nested_maps(void *argument)
{
    (void)argument;
    CHECK_CODE(many_process_each(outer_task, (const int *)NULL, 2, .workers = 2, .desc = "outer"),
               0);
}

TEST(maps_in_maps_have_a_line_each)
{
    pid_t actor;

    begin(24, 80);
    actor = emulator_start(nested_maps, NULL);
    EMULATOR_UNTIL(atomic_load(&cues->pid) >= 2 && emulator_filled() == 3);
    check_row(0, "outer:   0%|");
    check_row(1, "inner:   0%|");
    check_row(2, "inner:   0%|");
    go_on(1);
    CHECK(emulator_wait(actor) == 0);
    check_row(0, "outer: 100%|");
    CHECK_SOON(emulator_filled() == 1);
    emulator_close();
}

static void adopt_and_print(void *argument)
{
    many_bar *bar;

    CHECK_CODE(many_stage_adopt_(*(const int *)argument), 0);
    many_stage_child_();
    bar = open_bar("adopted", -1);
    many_bar_add(bar, 1);
    CHECK_CODE(many_bar_print("printed by one who adopted"), 0);
    many_bar_close(bar);
}

static void share_with_a_stranger(void *argument)
{
    int line[2], fd = -1, bad;
    pid_t stranger;
    many_bar *bar;

    (void)argument;
    CHECK(pipe(line) == 0);
    CHECK_CODE(many_stage_share_(&fd), -ENOENT);
    /* Forked before there is a bar: it has nothing by inheritance, but gets the descriptor through a
     * number that both know. */
    CHECK(dup2(line[0], 100) == 100);
    stranger = fork();
    if (stranger == 0) {
        char byte, path[64];
        int given;

        CHECK(read(line[0], &byte, 1) == 1);
        snprintf(path, sizeof path, "/proc/%d/fd/100", (int)getppid());
        given = open(path, O_RDWR | O_CLOEXEC);
        CHECK(given >= 0);
        adopt_and_print(&given);
        _exit(0);
    }
    bar = open_bar("parent", 0);
    CHECK_CODE(many_stage_share_(&fd), 0);
    CHECK(dup2(fd, 100) == 100);
    CHECK(write(line[1], "x", 1) == 1);
    CHECK(test_child_wait(stranger) == 0);
    many_bar_add(bar, 10);
    many_bar_close(bar);
    bad = open("/dev/null", O_RDWR);
    CHECK(many_stage_adopt_(bad) < 0);
    CHECK(many_stage_adopt_(-1) < 0);
    CHECK(many_stage_adopt_(line[0]) < 0);
}

TEST(a_process_that_did_not_fork_from_us_shares_the_stage_by_a_descriptor)
{
    begin(24, 80);
    CHECK(emulator_wait(emulator_start(share_with_a_stranger, NULL)) == 0);
    check_row(0, "printed by one who adopted");
    check_row(1, "parent: 100%|");
    CHECK_SOON(emulator_filled() == 2);
    emulator_close();
}

static void open_and_close_in_child(void *argument)
{
    many_stage_child_();
    many_bar_close(open_bar("child", -1));
    printf("half a line");
    fflush(stdout);
    (void)argument;
    many_stage_exit_();
}

static void leave_nothing(void *argument)
{
    test_census before = test_census_take();

    (void)argument;
    for (int i = 0; i < 2 * TEST_MAPPINGS_SLACK; i++) {
        many_bar *outer = open_bar("outer", -1), *inner = open_bar("inner", -1);

        CHECK(test_in_child(open_and_close_in_child, NULL) == 0);
        many_bar_close(outer);
        many_bar_close(inner);
    }
    many_bars_draw_();
    CHECK_CENSUS(before);
}

TEST(many_stages_leave_nothing_behind)
{
    begin(24, 80);
    CHECK(emulator_wait(emulator_start(leave_nothing, NULL)) == 0);
    CHECK(emulator_find("outer") < 0);
    emulator_close();
}

static void outlive_the_parents_bar(void *argument)
{
    (void)argument;
    many_stage_child_();
    pause_at(1);
    UNTIL(atomic_load(&cues->wanted) >= 2);
}

static void keep_for_the_living(void *argument)
{
    test_census before = test_census_take();
    many_bar *bar = open_bar("bar", -1);
    pid_t child = test_child_start(outlive_the_parents_bar, NULL);
    int fd = -1;

    (void)argument;
    UNTIL(atomic_load(&cues->reached) == 1);
    many_bar_close(bar);
    CHECK_CODE(many_stage_share_(&fd), 0); /* the child may still open a bar there */
    close(fd);
    atomic_store(&cues->wanted, 2);
    CHECK(test_child_wait(child) == 0);
    many_bars_draw_();
    CHECK_CODE(many_stage_share_(&fd), -ENOENT);
    CHECK_CENSUS(before);
}

TEST(a_stage_stays_while_started_children_live_and_then_goes)
{
    begin(24, 80);
    CHECK(emulator_wait(emulator_start(keep_for_the_living, NULL)) == 0);
    emulator_close();
}
