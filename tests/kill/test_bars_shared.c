/* SPDX-License-Identifier: MIT */
/*
 * test_bars_shared.c - one who draws on a terminal that others draw on, too, is killed or stopped
 */
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <many/bar.h>

#include "bar/bar.h"
#include "bar/emulator.h"
#include "bar/stages.h"
#include "base/fault.h"
#include "test.h"

enum { CHILD_LINES = 6, PARENT_LINES = 10 };

typedef struct scene {
    const char *point;       /* where the child ends */
    int signal;              /* by which */
    int times;               /* it passes the point so often before */
    _Atomic int child_ready; /* it has its bar */
    _Atomic int reached;
    _Atomic int done; /* the stopped child may go on */
} scene;

static scene *play;

static int end_at_point(const char *point)
{
    if (strcmp(point, play->point) == 0 && play->times-- == 0) {
        atomic_store(&play->reached, 1);
        kill(getpid(), play->signal);
    }
    return 0;
}

static many_bar *open_bar(const char *desc)
{
    many_bar *bar = NULL;

    CHECK_CODE(many_bar_open(&bar, .total = 100, .desc = desc, .interval_s = 1e-9, .ascii = 1), 0);
    return bar;
}

/* musl's streams are what they are: there it prints as one has to. */
#if defined(__GLIBC__)
#define GUESTS              1
#define print_by_stdio(...) fprintf(stderr, __VA_ARGS__)
#else
#define GUESTS 0
#define print_by_stdio(...)                                                                        \
    do {                                                                                           \
        char text_[64];                                                                            \
        int bytes_ = snprintf(text_, sizeof text_, __VA_ARGS__);                                   \
        if (bytes_ > 1)                                                                            \
            CHECK_CODE(many_bar_write(STDERR_FILENO, text_, (size_t)bytes_), 0);                   \
    } while (0)
#endif

/* It passes every point: claims, draws, prints by hand and by stdio, leaves a line without an end. */
static void child_that_ends(void *argument)
{
    many_bar *bar;

    (void)argument;
    atomic_store(&play->child_ready, 1);
    many_fault_hook_ = end_at_point;
    many_stage_child_();
    bar = open_bar("child");
    for (int i = 0; i < CHILD_LINES; i++) {
        many_bar_add(bar, 1);
        if (i % 2 == 0)
            CHECK_CODE(many_bar_print("child line %d", i), 0);
        else
            print_by_stdio("child line %d\n", i);
    }
    print_by_stdio("child line %d", CHILD_LINES);
    print_by_stdio("\n");
    many_bar_close(bar);
    many_stage_exit_();
}

static void parent_that_goes_on(void *argument)
{
    many_bar *bar = open_bar("parent"), *second;
    pid_t child = test_child_start(child_that_ends, NULL);
    int end;

    (void)argument;
    for (int i = 0; i < PARENT_LINES; i++) {
        many_bar_add(bar, 10);
        CHECK_CODE(many_bar_print("parent line %d", i), 0);
    }
    UNTIL(atomic_load(&play->child_ready) == 1);
    end = test_child_wait(child);
    CHECK(end == SIGKILL || (end == 0 && play->point[0] == '\0'));
    second = open_bar("second");
    many_bar_add(second, 100);
    many_bar_close(second);
    many_bar_close(bar);
}

static int parent_lines, child_lines[CHILD_LINES + 1], finals;

static void take_line(const char *line)
{
    int number, end = 0;

    if (sscanf(line, "parent line %d%n", &number, &end) == 1 && line[end] == '\0') {
        CHECK_EQUAL(number, parent_lines);
        parent_lines++;
    } else if (sscanf(line, "child line %d%n", &number, &end) == 1 && line[end] == '\0' &&
               number >= 0 && number <= CHILD_LINES) {
        child_lines[number]++;
    } else if (strncmp(line, "parent: 100%|", 13) == 0 || strncmp(line, "second: 100%|", 13) == 0) {
        finals++;
    } else if (strncmp(line, "child:   ", 9) != 0) {
        test_fail_(__FILE__, __LINE__, "torn after a death at %s: '%s'", play->point, line);
    }
}

static int all_child_lines(void)
{
    int all = 0;

    for (int i = 0; i <= CHILD_LINES; i++) {
        CHECK(child_lines[i] <= 1);
        all += child_lines[i];
    }
    return all;
}

/* The child dies at the point: everything of the parent's is there, whole, and nothing twice. */
static void one_death(const char *point, int times)
{
    play = test_shared(sizeof *play);
    *play = (scene){.point = point, .signal = SIGKILL, .times = times};
    parent_lines = finals = 0;
    memset(child_lines, 0, sizeof child_lines);
    emulator_open(24, 80);
    CHECK(emulator_wait(emulator_start(parent_that_goes_on, NULL)) == 0);
    emulator_each(take_line);
    CHECK_EQUAL(parent_lines, PARENT_LINES);
    CHECK_EQUAL(finals, 2);
    CHECK(atomic_load(&play->reached) == 1 || *point == '\0');
    if (all_child_lines() < CHILD_LINES + 1)
        CHECK(*point != '\0');
    emulator_close();
}

TEST(bars_are_whole_when_nobody_dies)
{
    setenv("LC_ALL", "C", 1);
    one_death("", 0);
}

TEST(bars_survive_a_death_at_each_step_of_a_redraw)
{
    static const struct {
        const char *point;
        int passes; /* at least so many, in the child */
    } points[] = {
        {"stage.enter", 8},         {"stage.row.claimed", 1},
        {"stage.row.copied", 2},    {"stage.frame.built", 8},
        {"stage.frame.piece", 8},   {"stage.frame.sent", 8},
        {"stage.leave", 8},         {"stage.finish.freed", 1},
        {"stage.guest.claimed", 1}, {"stage.guest.copied", GUESTS},
        {"owner.take.claimed", 8},  {"owner.give.free", 0},
    };

    setenv("LC_ALL", "C", 1);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        for (int times = 0; times < points[i].passes; times++)
            one_death(points[i].point, times);
}

/* ---- one who dies while he prints what the dead have left ---- */

static void die_with_a_bar(void *argument)
{
    (void)argument;
    many_bar_add(open_bar("gone"), 7);
    print_by_stdio("last words");
    raise(SIGKILL);
}

static void die_of_the_dead(void *argument)
{
    many_bar *bar = open_bar("child");

    many_stage_child_();
    CHECK(test_in_child(die_with_a_bar, argument) == SIGKILL);
    many_fault_hook_ = end_at_point;
    many_bar_close(bar); /* looks for the dead, too */
}

static void parent_of_heirs(void *argument)
{
    many_bar *bar = open_bar("parent");

    CHECK(test_in_child(die_of_the_dead, argument) == SIGKILL);
    many_bar_add(bar, 100);
    many_bar_close(bar);
}

static int gone, words, parents;

static void take_legacy(const char *line)
{
    gone += strncmp(line, "gone:   7%|", 11) == 0;
    words += strcmp(line, "last words") == 0;
    parents += strncmp(line, "parent: 100%|", 13) == 0;
}

TEST(what_the_dead_leave_is_never_printed_twice)
{
    static const char *const points[] = {"stage.enter",       "stage.finish.freed",
                                         "stage.frame.built", "stage.frame.piece",
                                         "stage.frame.sent",  "stage.leave"};

    setenv("LC_ALL", "C", 1);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        play = test_shared(sizeof *play);
        *play = (scene){.point = points[i], .signal = SIGKILL};
        gone = words = parents = 0;
        emulator_open(24, 80);
        CHECK(emulator_wait(emulator_start(parent_of_heirs, NULL)) == 0);
        emulator_each(take_legacy);
        CHECK(gone <= 1 && words <= 1);
        CHECK(strcmp(points[i], "stage.frame.built") == 0 || (gone == 1 && words == 1));
        CHECK_EQUAL(parents, 1);
        CHECK_EQUAL(emulator_find("parent: 100%|"), emulator.y - 1); /* the others are above */
        CHECK_EQUAL(emulator_filled(), emulator.y);
        emulator_close();
    }
}

/* ---- one who is stopped with the lock ---- */

static void parent_of_stopped(void *argument)
{
    many_bar *bar = open_bar("parent");
    pid_t child = test_child_start(child_that_ends, NULL);
    double begin;

    (void)argument;
    UNTIL(atomic_load(&play->reached) == 1);
    begin = test_seconds();
    for (int i = 0; i < 1000; i++)
        many_bar_add(bar, 1); /* skips its redraws */
    for (int i = 0; i < PARENT_LINES; i++)
        CHECK_CODE(many_bar_print("parent line %d", i), 0);
    many_bar_hide(bar);
    many_bar_close(bar);
    /* Once a second for all who print, and not again for each: else it would be ten. */
    CHECK(test_seconds() - begin < 6.0 * test_slowness());
    UNTIL((kill(child, SIGCONT), waitpid(child, NULL, WNOHANG)) == child);
}

static int heard;

static void take_parents(const char *line)
{
    heard += strstr(line, "parent line ") != NULL || strstr(line, "parent: ") != NULL;
}

TEST(one_who_is_stopped_in_a_redraw_delays_the_others_by_a_second_at_most)
{
    setenv("LC_ALL", "C", 1);
    play = test_shared(sizeof *play);
    *play = (scene){.point = "stage.frame.built", .signal = SIGSTOP};
    heard = 0;
    emulator_open(24, 100);
    emulator.strict = 0;
    CHECK(emulator_wait(emulator_start(parent_of_stopped, NULL)) == 0);
    emulator_each(take_parents);
    CHECK(heard >= PARENT_LINES);
    emulator_close();
}
