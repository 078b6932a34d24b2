/* SPDX-License-Identifier: MIT */
/* test_bar.c - bars as users know them: options, exact counts, children, logs and pipes */
#include "test.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <many/bar.h>

#include "bar/bar.h"
#include "os/clock.h"

static many_bar *bar;
static char got[1 << 16];
static int ends[2];

static void open_pipe(void)
{
    CHECK(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
}

static void close_pipe(void)
{
    close(ends[0]);
    close(ends[1]);
}

/* What has come out of the pipe since the last look. */
static const char *printed(void)
{
    ssize_t bytes = read(ends[0], got, sizeof got - 1);

    got[bytes > 0 ? bytes : 0] = '\0';
    return got;
}

/* ---- options ---- */

static void check_refused(const many_bar_options *options, const char *words)
{
    bar = (many_bar *)&bar;
    CHECK_CODE(many_bar_open_with(options), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "many_bar_open: ");
    CHECK_CONTAINS(many_error_message(), words);
    CHECK(bar == NULL);
}

#define REFUSED(words, ...)                                                                        \
    check_refused(&(many_bar_options){.size = sizeof(many_bar_options), .bar = &bar, __VA_ARGS__}, \
                  words)

TEST(options_out_of_range_are_refused_with_their_name)
{
    REFUSED("options.interval_s is -1", .interval_s = -1);
    REFUSED("options.interval_s is nan", .interval_s = (double)NAN);
    REFUSED("options.ascii is 2", .ascii = 2);
    REFUSED("options.leave is 1", .leave = 1);
    REFUSED("options.quiet is -1", .quiet = -1);
    REFUSED("options.columns is -80", .columns = -80);
    REFUSED("options.fd is -1", .fd = -1);
    REFUSED("options.terminal is 7", .terminal = 7);
    REFUSED("write .total = value", .named_ = (struct many_named_ *)&bar);
}

TEST(options_that_nobody_filled_in_are_refused)
{
    many_bar_options options = {.bar = &bar};

    CHECK_CODE(many_bar_open_with(NULL), -EINVAL);
    CHECK_CODE(many_bar_open_with(&options), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "use the macro");
    CHECK_CODE(many_bar_open(NULL), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "options.bar is NULL");
}

TEST(an_option_of_a_newer_library_is_refused_and_an_older_callers_struct_is_read)
{
    struct {
        many_bar_options known;
        int newer[2];
    } options = {.known = {.size = sizeof options, .bar = &bar, .total = 4, .quiet = 1}};

    CHECK_CODE(many_bar_open_with(&options.known), 0);
    many_bar_close(bar);
    options.newer[1] = 1;
    bar = (many_bar *)&bar;
    CHECK_CODE(many_bar_open_with(&options.known), -E2BIG);
    CHECK(bar == NULL);
    options.known.size = offsetof(many_bar_options, fd);
    options.known.fd = -1; /* beyond what this caller has */
    CHECK_CODE(many_bar_open_with(&options.known), 0);
    many_bar_close(bar);
}

TEST(every_function_takes_null)
{
    many_bar_add(NULL, 1);
    many_bar_add_failed(NULL, 1);
    many_bar_total(NULL, 1);
    many_bar_draw(NULL);
    many_bar_hide(NULL);
    many_bar_close(NULL);
    CHECK_EQUAL(many_bar_count(NULL), 0);
    CHECK_EQUAL(many_bar_due_ns_(NULL), MANY_NEVER_NS);
}

/* ---- counting ---- */

enum { THREADS = 8 };

static uint64_t each;

static void *add_each(void *argument)
{
    for (uint64_t i = 0; i < each; i++)
        many_bar_add(argument, 1);
    return NULL;
}

static void add_each_and_close(void *argument)
{
    add_each(argument);
    many_bar_close(argument);
}

TEST(eight_threads_count_exactly_while_the_bar_is_drawn)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pthread_t threads[THREADS];

    each = 1000000;
    CHECK_CODE(many_bar_open(&bar, .total = 1, .fd = null, .terminal = 1, .interval_s = 1e-4), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, add_each, bar) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQUAL(many_bar_count(bar), THREADS * each);
    many_bar_close(bar);
    close(null);
}

TEST(a_hundred_threads_one_after_another_and_at_once_count_exactly)
{
    enum { CROWD = 100 };
    pthread_t threads[CROWD];

    each = 1000;
    CHECK_CODE(many_bar_open(&bar, .quiet = 1), 0);
    for (int i = 0; i < CROWD; i++) {
        CHECK(pthread_create(&threads[0], NULL, add_each, bar) == 0);
        pthread_join(threads[0], NULL);
    }
    CHECK_EQUAL(many_bar_count(bar), CROWD * each);
    for (int i = 0; i < CROWD; i++)
        CHECK(pthread_create(&threads[i], NULL, add_each, bar) == 0);
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQUAL(many_bar_count(bar), 2 * CROWD * each);
    many_bar_close(bar);
}

TEST(children_and_threads_count_exactly_at_the_same_time)
{
    enum { CHILDREN = 4 };
    pid_t children[CHILDREN];
    pthread_t threads[CHILDREN];

    each = 500000;
    CHECK_CODE(many_bar_open(&bar, .quiet = 1), 0);
    add_each(bar); /* the parent's thread has a cell that children may not take for theirs */
    for (int i = 0; i < CHILDREN; i++)
        children[i] = test_child_start(add_each_and_close, bar);
    for (int i = 0; i < CHILDREN; i++)
        CHECK(pthread_create(&threads[i], NULL, add_each, bar) == 0);
    add_each(bar);
    for (int i = 0; i < CHILDREN; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < CHILDREN; i++)
        CHECK(test_child_wait(children[i]) == 0);
    CHECK_EQUAL(many_bar_count(bar), (2 * CHILDREN + 2) * each);
    many_bar_close(bar);
}

typedef struct told {
    _Atomic uint64_t added; /* the child's own count, bumped after each addition */
} told;

static void add_for_ever(void *argument)
{
    told *child = argument;

    for (;;) {
        many_bar_add(bar, 1);
        atomic_fetch_add(&child->added, 1);
    }
}

TEST(what_a_killed_child_has_added_stays_to_the_last_one)
{
    told *child = test_shared(sizeof *child);

    CHECK_CODE(many_bar_open(&bar, .quiet = 1), 0);
    for (uint64_t kills = 1; kills <= 20; kills++) {
        uint64_t before = many_bar_count(bar), added;
        pid_t pid;

        atomic_store(&child->added, 0);
        pid = test_child_start(add_for_ever, child);
        UNTIL(atomic_load(&child->added) > 1000 * kills);
        CHECK(kill(pid, SIGKILL) == 0);
        CHECK(test_child_wait(pid) == SIGKILL);
        added = many_bar_count(bar) - before;
        CHECK(added == atomic_load(&child->added) || added == atomic_load(&child->added) + 1);
        CHECK_EQUAL(many_bar_count(bar), before + added); /* nothing goes on counting */
    }
    many_bar_close(bar);
}

TEST(nested_and_alternating_bars_count_each_their_own)
{
    enum { BARS = 10 };
    many_bar *bars[BARS], *inner;

    for (int b = 0; b < BARS; b++)
        CHECK_CODE(many_bar_open(&bars[b], .quiet = 1), 0);
    for (int i = 0; i < 1000; i++) {
        CHECK_CODE(many_bar_open(&inner, .quiet = 1), 0);
        for (int b = 0; b < BARS; b++) {
            many_bar_add(bars[b], (uint64_t)b);
            many_bar_add(inner, 1);
        }
        CHECK_EQUAL(many_bar_count(inner), BARS);
        many_bar_close(inner);
    }
    for (int b = 0; b < BARS; b++) {
        CHECK_EQUAL(many_bar_count(bars[b]), 1000 * b);
        many_bar_close(bars[b]);
    }
}

typedef struct relay {
    pthread_barrier_t open, added;
    int bars;
} relay;

static void *add_to_each_in_turn(void *argument)
{
    relay *turns = argument;

    for (int i = 0; i < turns->bars; i++) {
        pthread_barrier_wait(&turns->open);
        add_each(bar);
        pthread_barrier_wait(&turns->added);
    }
    return NULL;
}

TEST(a_thread_that_outlives_bars_never_takes_one_for_another)
{
    relay turns = {.bars = 500};
    pthread_t thread;

    each = 50;
    pthread_barrier_init(&turns.open, NULL, 2);
    pthread_barrier_init(&turns.added, NULL, 2);
    CHECK(pthread_create(&thread, NULL, add_to_each_in_turn, &turns) == 0);
    for (int i = 0; i < turns.bars; i++) {
        CHECK_CODE(many_bar_open(&bar, .quiet = 1), 0);
        pthread_barrier_wait(&turns.open);
        add_each(bar);
        pthread_barrier_wait(&turns.added);
        CHECK_EQUAL(many_bar_count(bar), 2 * each);
        many_bar_close(bar);
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&turns.open);
    pthread_barrier_destroy(&turns.added);
}

static void add_failed_and_total(void *argument)
{
    many_bar_add_failed(argument, 2);
    many_bar_add(argument, 3);
    many_bar_total(argument, 40);
    CHECK_EQUAL(many_bar_count(argument), 15);
}

TEST(failures_are_counted_and_shown_and_the_total_may_change)
{
    open_pipe();
    CHECK_CODE(many_bar_open(&bar, .total = 20, .desc = "files", .fd = ends[1], .ascii = 1,
                             .interval_s = 1000),
               0);
    many_bar_add(bar, 9);
    many_bar_add_failed(bar, 1);
    CHECK_EQUAL(many_bar_count(bar), 10);
    CHECK(test_in_child(add_failed_and_total, bar) == 0);
    CHECK_EQUAL(many_bar_count(bar), 15);
    many_bar_close(bar);
    printed();
    CHECK(strncmp(got, "files:  38%|", 12) == 0);
    CHECK_CONTAINS(got, "| 15/40, 3 failed [");
    close_pipe();
}

/* ---- a log ---- */

TEST(without_a_terminal_a_bar_that_ends_at_once_is_one_line)
{
    open_pipe();
    CHECK_CODE(many_bar_open(&bar, .total = 3, .desc = "files", .unit = "file", .fd = ends[1],
                             .interval_s = 1000), /* else a line may be due, where we are slow */
               0);
    many_bar_add(bar, 3);
    many_bar_draw(bar);
    many_bar_hide(bar);
    CHECK_STRING(printed(), "");
    many_bar_close(bar);
    printed();
    CHECK(strncmp(got, "files: 100%|", 12) == 0);
    CHECK_CONTAINS(got, "| 3/3 [0");
    CHECK_STRING(got + strlen(got) - 8, "file/s]\n");
    CHECK(strchr(got, '\n') == got + strlen(got) - 1);
    CHECK(strpbrk(got, "\r\x1b") == NULL);
    CHECK_CODE(many_bar_open(&bar, .total = 3, .fd = ends[1], .leave = -1, .interval_s = 1000), 0);
    many_bar_add(bar, 3);
    many_bar_close(bar);
    CHECK_STRING(printed(), "");
    close_pipe();
}

TEST(without_a_terminal_whole_lines_come_when_they_are_due)
{
    int64_t opened = many_clock_ns_(), due;

    open_pipe();
    CHECK_CODE(many_bar_open(&bar, .desc = "files", .unit = "file", .fd = ends[1]), 0);
    due = many_bar_due_ns_(bar);
    many_bar_add(bar, 5);
    CHECK(due >= opened + MANY_SECOND_NS);
    CHECK(due <= many_clock_ns_() + MANY_SECOND_NS);
    UNTIL((many_bar_draw(bar), *printed()) != '\0');
    CHECK(many_clock_ns_() >= due);
    CHECK(strncmp(got, "files: 5file [0", 15) == 0);
    CHECK(strchr(got, '\n') == got + strlen(got) - 1);
    CHECK(many_bar_due_ns_(bar) >= opened + 2 * MANY_SECOND_NS);
    many_bar_close(bar);
    CHECK(*printed() != '\0');
    close_pipe();
}

TEST(a_longer_interval_holds_for_lines_too)
{
    open_pipe();
    CHECK_CODE(many_bar_open(&bar, .fd = ends[1], .interval_s = 7000), 0);
    CHECK(many_bar_due_ns_(bar) > many_clock_ns_() + 6000 * MANY_SECOND_NS);
    many_bar_close(bar);
    CHECK_CODE(many_bar_open(&bar, .fd = ends[1], .interval_s = (double)INFINITY), 0);
    many_bar_add(bar, 1);
    CHECK_EQUAL(many_bar_due_ns_(bar), MANY_NEVER_NS);
    many_bar_close(bar);
    close_pipe();
}

static void use_a_bar_nobody_reads(void *argument)
{
    const int *terminal = argument;

    signal(SIGPIPE, SIG_DFL);
    CHECK_CODE(
        many_bar_open(&bar, .total = 100, .fd = ends[1], .terminal = *terminal, .interval_s = 1e-9),
        0);
    for (int i = 0; i < 100; i++)
        many_bar_add(bar, 1);
    many_bar_hide(bar);
    CHECK_EQUAL(many_bar_count(bar), 100);
    many_bar_close(bar);
}

TEST(a_pipe_whose_reader_is_gone_kills_nobody)
{
    int terminal = 1;

    open_pipe();
    close(ends[0]);
    CHECK(test_in_child(use_a_bar_nobody_reads, &terminal) == 0);
    terminal = -1;
    CHECK(test_in_child(use_a_bar_nobody_reads, &terminal) == 0);
    close(ends[1]); /* now it is no descriptor at all */
    CHECK(test_in_child(use_a_bar_nobody_reads, &terminal) == 0);
}

TEST(a_pipe_that_nobody_reads_delays_only_the_end_and_not_for_ever)
{
    double begin = test_seconds();

    CHECK(pipe2(ends, O_CLOEXEC) == 0); /* its writes block when it is full */
    CHECK_CODE(many_bar_open(&bar, .total = 5000, .fd = ends[1], .terminal = 1, .interval_s = 1e-9),
               0);
    for (int i = 0; i < 5000; i++)
        many_bar_add(bar, 1);
    many_bar_close(bar);
    CHECK(test_seconds() - begin < 60.0 * test_slowness());
    close_pipe();
}

TEST(a_number_that_is_no_descriptor_yet_is_left_alone_when_it_becomes_one)
{
    int file;

    open_pipe();
    close(ends[1]);
    CHECK_CODE(many_bar_open(&bar, .total = 2, .fd = ends[1], .terminal = 1, .interval_s = 1e-9),
               0);
    CHECK_EQUAL(many_bar_due_ns_(bar), MANY_NEVER_NS);
    file = open(test_directory(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CHECK_EQUAL(file, ends[1]);
    many_bar_add(bar, 2);
    many_bar_draw(bar);
    many_bar_hide(bar);
    CHECK_EQUAL(many_bar_count(bar), 2);
    many_bar_close(bar);
    CHECK_EQUAL(lseek(file, 0, SEEK_END), 0);
    close_pipe();
}

/* ---- who draws ---- */

TEST(a_quiet_bar_counts_and_says_nothing)
{
    open_pipe();
    CHECK_CODE(many_bar_open(&bar, .total = 10, .fd = ends[1], .terminal = 1, .quiet = 1), 0);
    many_bar_add(bar, 4);
    many_bar_draw(bar);
    many_bar_hide(bar);
    CHECK_EQUAL(many_bar_count(bar), 4);
    CHECK_EQUAL(many_bar_due_ns_(bar), MANY_NEVER_NS);
    many_bar_close(bar);
    CHECK_STRING(printed(), "");
    close_pipe();
}

static void do_all_a_child_may(void *argument)
{
    for (int i = 0; i < 1000; i++)
        many_bar_add(argument, 1);
    many_bar_add_failed(argument, 1);
    many_bar_draw(argument);
    many_bar_hide(argument);
    CHECK_EQUAL(many_bar_due_ns_(argument), MANY_NEVER_NS);
    many_bar_close(argument);
}

TEST(only_the_process_that_opened_a_bar_draws_it)
{
    open_pipe();
    CHECK_CODE(many_bar_open(&bar, .total = 10, .fd = ends[1], .terminal = 1, .interval_s = 1e-9),
               0);
    CHECK(*printed() == '\r');
    CHECK(test_in_child(do_all_a_child_may, bar) == 0);
    CHECK_STRING(printed(), "");
    CHECK_EQUAL(many_bar_count(bar), 1001);
    many_bar_draw(bar);
    CHECK_CONTAINS(printed(), "1001it, 1 failed [");
    many_bar_close(bar);
    close_pipe();
}

static void open_one_in_the_child(void *argument)
{
    many_bar *inner = NULL;

    (void)argument;
    CHECK_CODE(many_bar_open(&inner, .total = 2, .fd = ends[1]), 0);
    many_bar_add(inner, 2);
    many_bar_add(bar, 1);
    many_bar_close(inner);
    many_bar_close(bar);
    CHECK_CODE(many_bar_open(&inner, .total = 2, .quiet = 1), 0); /* maybe where bar was */
    many_bar_add(inner, 2);
    CHECK_EQUAL(many_bar_count(inner), 2);
    many_bar_close(inner);
}

TEST(a_child_may_have_bars_of_its_own)
{
    open_pipe();
    CHECK_CODE(many_bar_open(&bar, .quiet = 1), 0);
    many_bar_add(bar, 1);
    CHECK(test_in_child(open_one_in_the_child, NULL) == 0);
    CHECK_EQUAL(many_bar_count(bar), 2);
    CHECK_CONTAINS(printed(), "| 2/2 [");
    many_bar_close(bar);
    close_pipe();
}

TEST(errno_and_signals_are_as_before)
{
    test_signals before;

    test_signals_take(&before);
    open_pipe();
    close(ends[0]);
    errno = ERANGE;
    CHECK_CODE(many_bar_open(&bar, .total = 10, .fd = ends[1], .terminal = 1, .interval_s = 1e-9),
               0);
    errno = ERANGE;
    for (int i = 0; i < 10; i++)
        many_bar_add(bar, 1);
    many_bar_draw(bar);
    many_bar_hide(bar);
    CHECK_EQUAL(errno, ERANGE);
    many_bar_close(bar);
    CHECK_SIGNALS(before);
    close(ends[1]);
}

TEST(many_bars_leave_nothing_behind)
{
    test_census before = test_census_take();

    each = 10;
    open_pipe();
    for (int i = 0; i < 2 * TEST_MAPPINGS_SLACK; i++) {
        CHECK_CODE(many_bar_open(&bar, .total = 10, .fd = ends[1], .terminal = 1), 0);
        add_each(bar);
        CHECK(test_in_child(add_each_and_close, bar) == 0);
        many_bar_close(bar);
        printed();
    }
    close_pipe();
    CHECK_CENSUS(before);
}
