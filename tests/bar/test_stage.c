/* SPDX-License-Identifier: MIT */
/* test_stage.c - several bars of one process on one terminal */
#include "test.h"

#include <pthread.h>

#include "bar/cues.h"
#include "os/clock.h"

/* ---- one process ---- */

static void two_bars(void *argument)
{
    many_bar *upper, *lower;

    (void)argument;
    upper = open_bar("upper", 0);
    lower = open_bar("lower", 0);
    pause_at(1);
    many_bar_add(upper, 5);
    many_bar_add(lower, 2);
    many_bar_add(upper, 1);
    pause_at(2);
    many_bar_close(upper);
    pause_at(3);
    many_bar_add(lower, 8);
    many_bar_close(lower);
}

TEST(two_bars_of_a_process_stand_below_each_other_and_the_first_to_end_is_above)
{
    pid_t actor;

    begin(24, 80);
    actor = emulator_start(two_bars, NULL);
    look_at(1);
    check_row(0, "upper:   0%|");
    check_row(1, "lower:   0%|");
    go_on(1);
    look_at(2);
    check_row(0, "upper:  60%|");
    check_row(1, "lower:  20%|");
    CHECK_SOON(emulator_filled() == 2);
    CHECK_SOON(emulator.y == 0);
    go_on(2);
    look_at(3);
    check_row(0, "upper:  60%|");
    check_row(1, "lower:  20%|");
    CHECK_SOON(emulator.y == 1);
    go_on(3);
    CHECK(emulator_wait(actor) == 0);
    check_row(1, "lower: 100%|");
    check_row(2, "");
    CHECK_SOON(emulator.y == 2);
    CHECK_SOON(emulator.x == 0);
    emulator_close();
}

static void bars_that_vanish(void *argument)
{
    many_bar *bars[4];
    static const char *const names[] = {"one", "two", "three", "four"};

    (void)argument;
    for (int i = 0; i < 4; i++)
        bars[i] = open_bar(names[i], i == 1 ? 0 : -1);
    pause_at(1);
    many_bar_close(bars[0]);
    pause_at(2);
    many_bar_close(bars[2]);
    pause_at(3);
    many_bar_add(bars[1], 10);
    many_bar_close(bars[1]);
    pause_at(4);
    many_bar_close(bars[3]);
}

TEST(a_bar_that_does_not_stay_vanishes_and_those_below_move_up)
{
    pid_t actor;

    begin(24, 80);
    actor = emulator_start(bars_that_vanish, NULL);
    look_at(1);
    check_row(3, "four:   0%|");
    go_on(1);
    look_at(2);
    check_row(0, "two:   0%|");
    check_row(1, "three:   0%|");
    check_row(2, "four:   0%|");
    check_row(3, "");
    go_on(2);
    look_at(3);
    check_row(0, "two:   0%|");
    check_row(1, "four:   0%|");
    CHECK_SOON(emulator_filled() == 2);
    go_on(3);
    look_at(4);
    check_row(0, "two: 100%|");
    check_row(1, "four:   0%|");
    CHECK_SOON(emulator_filled() == 2);
    go_on(4);
    CHECK(emulator_wait(actor) == 0);
    check_row(0, "two: 100%|");
    CHECK_SOON(emulator_filled() == 1);
    CHECK_SOON(emulator.y == 1);
    emulator_close();
}

enum { THREADS = 4, ADDS = 3000 };

static void *thread_with_bars(void *argument)
{
    (void)argument;
    for (int round = 0; round < 5; round++) {
        many_bar *bar = NULL;

        CHECK_CODE(many_bar_open(&bar, .total = ADDS, .desc = "thread", .interval_s = 1e-4,
                                 .leave = round == 4 ? 0 : -1),
                   0);
        for (int i = 0; i < ADDS; i++)
            many_bar_add(bar, 1);
        many_bars_draw_();
        if (round % 2 == 0)
            CHECK_CODE(many_bar_print("round %d", round), 0);
        many_bar_close(bar);
    }
    return NULL;
}

static void threads_with_bars(void *argument)
{
    pthread_t threads[THREADS];

    (void)argument;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, thread_with_bars, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQUAL(many_bars_due_ns_(), MANY_NEVER_NS);
}

static int rounds, bars_left, others;

static void count_rounds(const char *line)
{
    rounds += strncmp(line, "round ", 6) == 0 && strlen(line) == 7;
    bars_left += strncmp(line, "thread: 100%|", 13) == 0;
    others += strncmp(line, "round ", 6) != 0 && strncmp(line, "thread: 100%|", 13) != 0;
}

TEST(threads_open_print_and_close_at_the_same_time_and_nothing_is_torn)
{
    begin(12, 80);
    CHECK(emulator_wait(emulator_start(threads_with_bars, NULL)) == 0);
    rounds = bars_left = others = 0;
    emulator_each(count_rounds);
    CHECK_EQUAL(rounds, 3 * THREADS);
    CHECK_EQUAL(bars_left, THREADS);
    CHECK_EQUAL(others, 0);
    emulator_close();
}

/* ---- more than there is room for ---- */

static void crowd_of_bars(void *argument)
{
    const int count = *(const int *)argument;
    many_bar **bars = calloc((size_t)count, sizeof(void *));

    for (int i = 0; i < count; i++) {
        char name[16];

        snprintf(name, sizeof name, "b%d", i);
        bars[i] = open_bar(name, -1);
    }
    pause_at(1);
    many_bar_close(bars[0]);
    for (int i = 1; i < count; i++)
        many_bar_add(bars[i], 1);
    pause_at(2);
    CHECK_CODE(many_bar_print("a line that is longer than ten columns"), 0);
    pause_at(3);
    for (int i = 1; i < count; i++)
        many_bar_close(bars[i]);
    free(bars);
}

TEST(on_a_small_terminal_those_without_room_are_counted)
{
    int count = 5;
    pid_t actor;

    begin(3, 10);
    actor = emulator_start(crowd_of_bars, &count);
    look_at(1);
    check_row(0, "  0% 0/10");
    check_row(1, "(4 more)");
    check_row(2, "");
    go_on(1);
    look_at(2);
    check_row(0, " 10% 1/10");
    check_row(1, "(3 more)");
    emulator.strict = 0; /* printed text wraps, bars do not */
    go_on(2);
    look_at(3);
    check_row(0, " columns"); /* the wrapped line's end; bars below, as far as there is room */
    check_row(1, " 10% 1/10");
    check_row(2, "(3 more)");
    go_on(3);
    CHECK(emulator_wait(actor) == 0);
    CHECK_SOON(emulator_filled() == 1);
    emulator_close();
}

TEST(of_two_hundred_bars_thirty_one_are_shown_and_the_others_counted)
{
    int count = 200;
    pid_t actor;

    begin(50, 60);
    actor = emulator_start(crowd_of_bars, &count);
    look_at(1);
    check_row(0, "b0:   0%|");
    check_row(30, "b30:   0%|");
    check_row(31, "(97 more)"); /* 128 have a place; the others come when one is free */
    CHECK_SOON(emulator_filled() == 32);
    go_on(1);
    look_at(2);
    check_row(0, "b1:  10%|");
    check_row(30, "b31:  10%|");
    check_row(31, "(97 more)");
    CHECK_SOON(emulator_filled() == 32);
    go_on(3);
    CHECK(emulator_wait(actor) == 0);
    check_row(0, "a line that");
    CHECK_SOON(emulator_filled() == 1);
    emulator_close();
}

static void resized_bars(void *argument)
{
    many_bar *upper = open_bar("upper", -1), *lower = open_bar("lower", -1);

    (void)argument;
    pause_at(1);
    many_bar_add(lower, 1);
    pause_at(2);
    many_bar_add(upper, 1);
    pause_at(3);
    many_bar_close(upper);
    many_bar_close(lower);
}

TEST(a_resize_is_followed_with_several_bars)
{
    pid_t actor;

    begin(24, 100);
    actor = emulator_start(resized_bars, NULL);
    look_at(1);
    CHECK_SOON(strlen(emulator_row(0)) == 99);
    CHECK_SOON(strlen(emulator_row(1)) == 99);
    emulator_resize(24, 60);
    go_on(1);
    look_at(2);
    CHECK_SOON(strlen(emulator_row(1)) == 59);
    CHECK_SOON(strlen(emulator_row(0)) <= 59);
    emulator_resize(2, 60);
    go_on(2);
    look_at(3);
    check_row(0, "upper:  10%|");
    CHECK_SOON(emulator_filled() == 1);
    go_on(3);
    CHECK(emulator_wait(actor) == 0);
    emulator_close();
}
