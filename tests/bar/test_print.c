/* SPDX-License-Identifier: MIT */
/* test_print.c - text above the bars, with and without a terminal */
#include "test.h"

#include <sys/stat.h>
#include <wchar.h>

#include <many/bar.h>

#include "bar/emulator.h"
#include "bar/stages.h"

static int ends[2];
static char got[1 << 17];

/* What has come out of the pipe. */
static const char *printed(void)
{
    ssize_t bytes = read(ends[0], got, sizeof got - 1);

    got[bytes > 0 ? bytes : 0] = '\0';
    return got;
}

static void open_pipe(void)
{
    CHECK(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
}

static void close_pipe(void)
{
    close(ends[0]);
    close(ends[1]);
}

static many_bar *open_bar(const char *desc, int leave)
{
    many_bar *bar = NULL;

    CHECK_CODE(many_bar_open(&bar, .total = 10, .desc = desc, .interval_s = 1e-9, .ascii = 1,
                             .leave = leave),
               0);
    return bar;
}

/* ---- without bars ---- */

static void print_to_pipe(void *argument)
{
    static char large[60000];

    (void)argument;
    CHECK(dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO);
    CHECK_CODE(many_bar_print("%d and %s", 42, "words"), 0);
    CHECK_CODE(many_bar_print("one\ntwo\n"), 0);
    CHECK_CODE(many_bar_print("%s", ""), 0);
    printf("first ");
    CHECK_CODE(many_bar_print("then"), 0);
    CHECK_CODE(many_bar_write(STDOUT_FILENO, "a\0b", 3), 0);
    CHECK_CODE(many_bar_write(STDOUT_FILENO, NULL, 0), 0);
    memset(large, 'x', sizeof large - 1);
    CHECK_CODE(many_bar_print("%s", large), 0);
}

TEST(without_bars_text_is_printed_whole_with_a_line_end)
{
    static const char expected[] = "42 and words\none\ntwo\n\nfirst then\na\0b\n\n";

    open_pipe();
    CHECK(test_in_child(print_to_pipe, NULL) == 0);
    printed();
    CHECK_BYTES(got, expected, sizeof expected - 1);
    CHECK_EQUAL(strspn(got + sizeof expected - 1, "x"), 59999);
    CHECK_STRING(got + sizeof expected - 1 + 59999, "\n");
    close_pipe();
}

static void print_nowhere(void *argument)
{
    (void)argument;
    signal(SIGPIPE, SIG_DFL);
    CHECK(dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO);
    errno = ERANGE;
    CHECK_CODE(many_bar_print("nobody reads this"), -EPIPE);
    CHECK_CONTAINS(many_error_message(), "many_bar_print: descriptor 1");
    CHECK_EQUAL(errno, ERANGE);
    close(STDOUT_FILENO);
    CHECK_CODE(many_bar_print("there is no stdout"), -EBADF);
}

TEST(what_cannot_be_printed_is_told)
{
    const char *volatile none = NULL;

    open_pipe();
    close(ends[0]);
    CHECK(test_in_child(print_nowhere, NULL) == 0);
    CHECK_CODE(many_bar_print(none, 1), -EINVAL);
    CHECK_CODE(many_bar_write(-1, "x", 1), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "many_bar_write: fd is -1");
    CHECK_CODE(many_bar_write(1, NULL, 1), -EINVAL);
    close(ends[1]);
}

/* ---- above bars ---- */

static void print_above(void *argument)
{
    many_bar *upper = open_bar("upper", 0), *lower = open_bar("lower", -1);

    (void)argument;
    printf("held by stdio, ");
    CHECK_CODE(many_bar_print("and printed"), 0);
    CHECK_CODE(many_bar_print("two\nlines\n"), 0);
    CHECK_CODE(many_bar_write(STDERR_FILENO, "an error", 8), 0);
    many_bar_add(upper, 10);
    many_bar_add(lower, 5);
    many_bar_close(upper);
    CHECK_CODE(many_bar_print("%s", "between"), 0);
    many_bar_close(lower);
    CHECK_CODE(many_bar_print("last"), 0);
}

TEST(text_goes_above_the_bars_and_they_stay_below)
{
    static const char *const rows[] = {"held by stdio, and printed",
                                       "two",
                                       "lines",
                                       "an error",
                                       "upper: 100%|",
                                       "between",
                                       "last"};

    emulator_open(24, 80);
    CHECK(emulator_wait(emulator_start(print_above, NULL)) == 0);
    for (int i = 0; i < 7; i++)
        CHECK(strncmp(emulator_row(i), rows[i], strlen(rows[i])) == 0);
    CHECK_EQUAL(emulator_filled(), 7);
    emulator_close();
}

enum { LONG_LINES = 3000 };

static void print_much(void *argument)
{
    many_bar *bar = open_bar("bar", -1);
    char *text = malloc(LONG_LINES * 32);
    size_t used = 0;

    (void)argument;
    for (int i = 0; i < LONG_LINES; i++)
        used += (size_t)sprintf(text + used, "line %d of a long text\n", i);
    CHECK(used > 65536);
    CHECK_CODE(many_bar_write(STDOUT_FILENO, text, used), 0);
    free(text);
    many_bar_close(bar);
}

static int next_of_long;

static void take_long(const char *line)
{
    char expected[64];

    snprintf(expected, sizeof expected, "line %d of a long text", next_of_long++);
    CHECK_STRING(line, expected);
}

TEST(a_text_that_is_longer_than_any_buffer_is_printed_whole)
{
    emulator_open(24, 80);
    CHECK(emulator_wait(emulator_start(print_much, NULL)) == 0);
    next_of_long = 0;
    emulator_each(take_long);
    CHECK_EQUAL(next_of_long, LONG_LINES);
    emulator_close();
}

static int file;

static void print_into_file(void *argument)
{
    many_bar *bar;
    pid_t children[3];

    (void)argument;
    CHECK(dup2(file, STDOUT_FILENO) == STDOUT_FILENO);
    bar = open_bar("bar", 0);
    for (int c = 0; c < 3; c++) {
        children[c] = fork();
        if (children[c] == 0) {
            for (int i = 0; i < 100; i++)
                CHECK_CODE(many_bar_print("child %d line %d", c, i), 0);
            _exit(0);
        }
    }
    for (int c = 0; c < 3; c++)
        CHECK(test_child_wait(children[c]) == 0);
    many_bar_add(bar, 10);
    many_bar_close(bar);
}

TEST(where_stdout_is_a_file_text_goes_there_and_the_bars_are_not_disturbed)
{
    int next[3] = {0, 0, 0};
    char line[64];
    FILE *stream;

    emulator_open(24, 80);
    file = open(test_directory(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CHECK(file >= 0);
    CHECK(emulator_wait(emulator_start(print_into_file, NULL)) == 0);
    CHECK(strncmp(emulator_row(0), "bar: 100%|", 10) == 0);
    CHECK_EQUAL(emulator_filled(), 1);
    CHECK(lseek(file, 0, SEEK_SET) == 0);
    stream = fdopen(file, "r");
    while (fgets(line, sizeof line, stream) != NULL) {
        int child, number;

        CHECK(sscanf(line, "child %d line %d", &child, &number) == 2 && child >= 0 && child < 3);
        CHECK_EQUAL(number, next[child]);
        next[child]++;
    }
    CHECK(next[0] == 100 && next[1] == 100 && next[2] == 100);
    fclose(stream);
    emulator_close();
}

/* ---- stdio of started children ---- */

#if defined(__GLIBC__)

static void child_with_parts(void *argument)
{
    (void)argument;
    many_stage_child_();
    CHECK(fileno(stdout) == STDOUT_FILENO && fileno(stderr) == STDERR_FILENO);
    fputs("a line ", stdout);
    fflush(stdout);
    fprintf(stderr, "of stderr, ");
    fputs("in parts\n", stdout);
    fprintf(stderr, "whole too\n");
    fputs("no end", stdout);
    many_stage_exit_();
}

static void child_with_wide_characters(void *argument)
{
    (void)argument;
    many_stage_child_();
    CHECK(wprintf(L"%d wide line\n", 1) == 12);
    CHECK(fflush(stdout) == 0);
    many_stage_exit_();
}

static void parent_of_wide(void *argument)
{
    many_bar *bar = open_bar("bar", -1);

    many_bar_hide(bar);
    CHECK(test_in_child(child_with_wide_characters, argument) == 0);
    many_bar_close(bar);
}

TEST(wide_characters_are_printed_too)
{
    emulator_open(24, 80);
    CHECK(emulator_wait(emulator_start(parent_of_wide, NULL)) == 0);
    CHECK(emulator_find("1 wide line") >= 0);
    emulator_close();
}

static void child_that_exits(void *argument)
{
    (void)argument;
    many_stage_child_();
    printf("printed by one who exits");
    exit(0);
}

static void child_that_is_killed(void *argument)
{
    (void)argument;
    many_stage_child_();
    fprintf(stderr, "the last words of the killed");
    raise(SIGKILL);
}

static void grandchild_prints(void *argument)
{
    (void)argument;
    many_stage_child_();
    printf("a grandchild's line\n");
    many_stage_exit_();
}

static void child_with_child(void *argument)
{
    (void)argument;
    many_stage_child_();
    CHECK(test_in_child(grandchild_prints, NULL) == 0);
    many_stage_exit_();
}

static void child_that_redirects(void *argument)
{
    const char *folder = argument;
    char path[256];

    many_stage_child_();
    snprintf(path, sizeof path, "%s/log", folder);
    printf("before\n");
    CHECK(freopen(path, "w", stdout) == stdout);
    CHECK_EQUAL(fileno(stdout), STDOUT_FILENO);
    printf("after\n");
    CHECK(fflush(stdout) == 0);
    snprintf(path, sizeof path, "%s/errors", folder);
    CHECK(dup2(open(path, O_CREAT | O_RDWR, 0600), STDERR_FILENO) == STDERR_FILENO);
    fprintf(stderr, "elsewhere\n");
    many_stage_exit_();
}

static void parent_of_stdio(void *argument)
{
    many_bar *bar = open_bar("bar", -1);

    CHECK(test_in_child(child_with_parts, NULL) == 0);
    CHECK(test_in_child(child_with_child, NULL) == 0);
    CHECK(test_in_child(child_that_redirects, argument) == 0);
    CHECK(test_in_child(child_that_exits, NULL) == 0);
    CHECK(test_in_child(child_that_is_killed, NULL) == SIGKILL);
    many_bar_close(bar);
}

static void check_file(const char *folder, const char *name, const char *expected)
{
    char path[256], text[64] = "";
    FILE *stream;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    stream = fopen(path, "r");
    CHECK(stream != NULL && fgets(text, sizeof text, stream) != NULL);
    CHECK_STRING(text, expected);
    fclose(stream);
}

TEST(lines_of_started_children_are_put_together_and_none_is_lost)
{
    static const char *const rows[] = {"a line in parts",
                                       "of stderr, whole too",
                                       "no end",
                                       "a grandchild's line",
                                       "before",
                                       "printed by one who exits",
                                       "the last words of the killed"};
    const char *folder = test_directory();

    emulator_open(24, 80);
    emulator.strict = 0;
    CHECK(emulator_wait(emulator_start(parent_of_stdio, (void *)(uintptr_t)folder)) == 0);
    for (int i = 0; i < 7; i++)
        CHECK_STRING(emulator_row(i), rows[i]);
    CHECK_EQUAL(emulator_filled(), 7);
    check_file(folder, "log", "after\n");
    check_file(folder, "errors", "elsewhere\n");
    emulator_close();
}

#endif

static void child_elsewhere(void *argument)
{
    FILE *const out = stdout, *const err = stderr;

    (void)argument;
    many_stage_child_();
    CHECK(stdout == out && stderr == err);
    many_stage_exit_();
}

static void children_that_are_left_alone(void *argument)
{
    many_bar *bar;

    (void)argument;
    CHECK(test_in_child(child_elsewhere, NULL) == 0); /* no bar */
    bar = open_bar("bar", -1);
    CHECK(dup2(file, STDOUT_FILENO) == STDOUT_FILENO);
    CHECK(dup2(file, STDERR_FILENO) == STDERR_FILENO);
    CHECK(test_in_child(child_elsewhere, NULL) == 0); /* no terminal */
    many_bar_close(bar);
}

TEST(children_whose_streams_do_not_lead_to_the_bars_are_left_alone)
{
    emulator_open(24, 80);
    file = open(test_directory(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CHECK(emulator_wait(emulator_start(children_that_are_left_alone, NULL)) == 0);
    close(file);
    emulator_close();
}
