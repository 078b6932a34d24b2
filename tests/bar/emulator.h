/* SPDX-License-Identifier: MIT */
/*
 * emulator.h - a small terminal: what stands on the screen after all that was written to it
 *
 *   emulator_open(24, 80);
 *   pid_t actor = emulator_start(body, argument);   // a child whose stdout and stderr lead there
 *   EMULATOR_UNTIL(emulator_find("files:") >= 0);
 *   CHECK(emulator_wait(actor) == 0);               // all it wrote is on the screen now
 *   CHECK_STRING(emulator_row(0), "...");
 *   emulator_close();
 *
 * It knows what bars write: characters, "\r", "\n", erasing to the end of the line and of the screen,
 * moving up. Anything else, a move beyond the top, and a character in the last column (after which
 * terminals differ) while emulator.strict is set fails the test. What scrolls off the top is kept.
 */
#ifndef MANY_TEST_EMULATOR_H
#define MANY_TEST_EMULATOR_H

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/width.h"
#include "test.h"

enum { EMULATOR_ROWS = 60, EMULATOR_COLUMNS = 240, EMULATOR_HISTORY = 8192, EMULATOR_MARK = 5 };

static struct emulator {
    int master, slave;
    int rows, columns, y, x;
    int strict; /* 1: nothing may come into the last column */
    int marks;  /* seen of what emulator_settle() writes */
    char cell[EMULATOR_ROWS][EMULATOR_COLUMNS][5];
    char *history[EMULATOR_HISTORY];
    int scrolled;
    char pending[64]; /* the begin of a sequence or character */
    size_t held;
    char line[EMULATOR_COLUMNS * 4 + 1];
} emulator;

static void emulator_resize(int rows, int columns)
{
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};

    CHECK(ioctl(emulator.master, TIOCSWINSZ, &size) == 0);
    emulator.rows = rows;
    emulator.columns = columns;
}

static void emulator_open(int rows, int columns)
{
    memset(&emulator, 0, sizeof emulator);
    emulator.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(emulator.master > 2 && grantpt(emulator.master) == 0 && unlockpt(emulator.master) == 0);
    emulator.slave = open(ptsname(emulator.master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(emulator.slave > 2 && fcntl(emulator.master, F_SETFL, O_NONBLOCK) == 0);
    emulator_resize(rows, columns);
    emulator.strict = 1;
}

static void emulator_close(void)
{
    close(emulator.slave);
    close(emulator.master);
    for (int i = 0; i < emulator.scrolled; i++)
        free(emulator.history[i]);
    emulator.scrolled = 0;
}

/* ---- writing ---- */

static const char *emulator_row(int row)
{
    size_t used = 0, end = 0;

    for (int x = 0; x < emulator.columns; x++) {
        const char *cell = emulator.cell[row][x];

        if (*cell == '\x01') /* the right half of a wide character */
            continue;
        memcpy(emulator.line + used, *cell != '\0' ? cell : " ", *cell != '\0' ? strlen(cell) : 1);
        used += *cell != '\0' ? strlen(cell) : 1;
        if (*cell != '\0' && *cell != ' ')
            end = used;
    }
    emulator.line[end] = '\0';
    return emulator.line;
}

static void emulator_feed_line(void)
{
    if (emulator.y < emulator.rows - 1) {
        emulator.y++;
        return;
    }
    CHECK(emulator.scrolled < EMULATOR_HISTORY);
    emulator.history[emulator.scrolled++] = strdup(emulator_row(0));
    memmove(emulator.cell[0], emulator.cell[1],
            sizeof emulator.cell[0] * (size_t)(emulator.rows - 1));
    memset(emulator.cell[emulator.rows - 1], 0, sizeof emulator.cell[0]);
}

static void emulator_erase(int row, int column)
{
    memset(emulator.cell[row][column], 0,
           sizeof emulator.cell[0][0] * (size_t)(EMULATOR_COLUMNS - column));
}

static void emulator_put(const char *bytes, size_t count, uint32_t point)
{
    int wide = many_width_(point);

    if (wide == 0)
        return;
    if (emulator.x + wide > emulator.columns) {
        emulator.x = 0;
        emulator_feed_line();
    }
    CHECK(!emulator.strict || emulator.x + wide < emulator.columns);
    memcpy(emulator.cell[emulator.y][emulator.x], bytes, count);
    emulator.cell[emulator.y][emulator.x][count] = '\0';
    if (wide == 2)
        strcpy(emulator.cell[emulator.y][emulator.x + 1], "\x01");
    emulator.x += wide;
}

/* An escape sequence that is whole: ESC [ digits letter. */
static void emulator_control(const char *text, size_t bytes)
{
    int number = atoi(text + 2);

    switch (text[bytes - 1]) {
    case 'K':
        CHECK(bytes == 3);
        emulator_erase(emulator.y, emulator.x);
        break;
    case 'J':
        CHECK(bytes == 3);
        emulator_erase(emulator.y, emulator.x);
        for (int row = emulator.y + 1; row < emulator.rows; row++)
            emulator_erase(row, 0);
        break;
    case 'A':
        CHECK(number > 0 && number <= emulator.y);
        emulator.y -= number;
        break;
    default:
        test_fail_(__FILE__, __LINE__, "a bar wrote the sequence ESC %.*s", (int)bytes - 1,
                   text + 1);
    }
}

/* One byte; sequences and characters are gathered first. */
static void emulator_take(char byte)
{
    unsigned char first;
    size_t wanted;

    emulator.pending[emulator.held++] = byte;
    first = (unsigned char)emulator.pending[0];
    if (first == 0x1b) {
        CHECK(emulator.held < 16 && (emulator.held != 2 || byte == '['));
        if (emulator.held < 3 || (byte >= '0' && byte <= '9'))
            return;
        emulator_control(emulator.pending, emulator.held);
    } else if (first == '\r') {
        emulator.x = 0;
    } else if (first == '\n') {
        emulator_feed_line();
    } else if (first == EMULATOR_MARK) {
        emulator.marks++;
    } else {
        uint32_t point;

        wanted = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
        CHECK(first >= 0x20);
        if (emulator.held < wanted)
            return;
        point = wanted == 1 ? first : first & (0xffU >> (wanted + 1));
        for (size_t i = 1; i < wanted; i++)
            point = point << 6 | ((unsigned char)emulator.pending[i] & 0x3f);
        emulator_put(emulator.pending, wanted, point);
    }
    emulator.held = 0;
}

/* Show what has been written so far. 1: there was something. */
static int emulator_pump(void)
{
    char bytes[4096];
    ssize_t got;
    int any = 0;

    while ((got = read(emulator.master, bytes, sizeof bytes)) > 0) {
        any = 1;
        for (ssize_t i = 0; i < got; i++)
            emulator_take(bytes[i]);
    }
    return any;
}

/* All that has been written until now is on the screen: it reaches this end a moment later than write()
 * returns at the other, but in order. */
static void emulator_settle(void)
{
    const char mark = EMULATOR_MARK;
    int seen = emulator.marks;

    CHECK(write(emulator.slave, &mark, 1) == 1);
    UNTIL((emulator_pump(), emulator.marks > seen));
}

#define EMULATOR_UNTIL(...) UNTIL((emulator_pump(), (__VA_ARGS__)))

/* The condition holds soon: a redraw that finds no room, because this end is slow to read, is dropped, and
 * comes again; and what is seen here may be half of a redraw. */
#define CHECK_SOON(...)                                                                            \
    do {                                                                                           \
        double emulator_end_ = test_seconds() + 20.0 * test_slowness();                            \
        EMULATOR_UNTIL((__VA_ARGS__) || test_seconds() > emulator_end_);                           \
        CHECK(__VA_ARGS__);                                                                        \
    } while (0)

/* ---- looking ---- */

/* The first row that begins with these words; -1: none. */
static __attribute__((unused)) int emulator_find(const char *words)
{
    for (int row = 0; row < emulator.rows; row++)
        if (strncmp(emulator_row(row), words, strlen(words)) == 0)
            return row;
    return -1;
}

/* Rows with something on them. */
static __attribute__((unused)) int emulator_filled(void)
{
    int filled = 0;

    for (int row = 0; row < emulator.rows; row++)
        filled += *emulator_row(row) != '\0';
    return filled;
}

/* All lines from the first that was written, the screen's included: calls take(line) for each that is
 * not empty. */
static __attribute__((unused)) void emulator_each(void (*take)(const char *line))
{
    for (int i = 0; i < emulator.scrolled; i++)
        if (*emulator.history[i] != '\0')
            take(emulator.history[i]);
    for (int row = 0; row < emulator.rows; row++) {
        char line[sizeof emulator.line];

        strcpy(line, emulator_row(row));
        if (*line != '\0')
            take(line);
    }
}

/* ---- who writes ---- */

static struct {
    void (*body)(void *argument);
    void *argument;
} emulator_actor;

static void emulator_act(void *unused)
{
    (void)unused;
    CHECK(dup2(emulator.slave, 1) == 1 && dup2(emulator.slave, 2) == 2);
    emulator_actor.body(emulator_actor.argument);
}

/* A child process whose stdout and stderr are the terminal. */
static pid_t emulator_start(void (*body)(void *argument), void *argument)
{
    emulator_actor.body = body;
    emulator_actor.argument = argument;
    return test_child_start(emulator_act, NULL);
}

/* Its end, as test_child_wait() tells it; what it has written is on the screen. */
static int emulator_wait(pid_t actor)
{
    siginfo_t info = {.si_pid = 0};

    EMULATOR_UNTIL(waitid(P_PID, (id_t)actor, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                   info.si_pid != 0);
    emulator_settle();
    if (info.si_status != 0) /* what it said is on the screen */
        for (int row = 0; row < emulator.rows; row++)
            if (*emulator_row(row) != '\0')
                fprintf(stderr, "# %s\n", emulator_row(row));
    return test_child_wait(actor);
}

#endif
