/* SPDX-License-Identifier: MIT */
/*
 * test.c - runs the TESTs of one program; see test.h (census.c has what is left behind)
 *
 * cmocka keeps the list, prints the verdicts, and jumps out of a failed test. Everything that knows
 * more than one process, or a clock, is ours.
 */
#include "test.h"

#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <many/base.h>

#define TEST_SECONDS     200 /* below ctest's 300 s a program, so that our words come first */
#define TEST_HUNG_STATUS 99
#define TEST_SKIP_STATUS 77
#define TEST_MOST        512
#define TEST_SHARED_MOST 64

/* cmocka catches these to go on with the next test. We would rather die of them where they happen,
 * with a core, or a sanitizer's report. */
static const int test_faults[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS};
#define TEST_FAULTS (sizeof test_faults / sizeof test_faults[0])

static test_entry_ *test_entries; /* sorted by line */
static const test_entry_ *volatile test_running;
static pid_t test_process;
static pthread_t test_thread;
static timer_t test_timer;
static struct sigaction test_fault_actions[TEST_FAULTS];
static int test_skipped;
static char test_folder[4096]; /* "": none in this test */
static struct {
    void *memory;
    size_t bytes;
} test_shareds[TEST_SHARED_MOST];
static int test_shareds_count;

void test_register_(test_entry_ *entry)
{
    test_entry_ **at = &test_entries;

    while (*at != NULL && (*at)->line < entry->line)
        at = &(*at)->next;
    entry->next = *at;
    *at = entry;
}

/* ---- failing ---- */

/* Three ways to fail: cmocka's jump is for the thread that runs the test only. */
void test_fail_(const char *file, int line, const char *format, ...)
{
    char text[4096];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (getpid() != test_process || !pthread_equal(pthread_self(), test_thread)) {
        const char *where = getpid() != test_process ? "a child process" : "another thread";

        fprintf(stderr, "%s:%d: error: in %s of %s: %s\n", file, line, where,
                test_running != NULL ? test_running->name : "?", text);
        fflush(stderr);
        _exit(getpid() != test_process ? TEST_CHILD_FAILED : 1);
    }
    print_error("%s\n", text);
    _fail(file, line);
    abort(); /* not reached */
}

void test_check_(const char *file, int line, int holds, const char *text)
{
    if (!holds)
        test_fail_(file, line, "does not hold: %s", text);
}

void test_check_equal_(const char *file, int line, intmax_t actual, intmax_t expected,
                       const char *actual_text, const char *expected_text)
{
    if (actual != expected)
        test_fail_(file, line, "%s is %jd, not %jd (%s)", actual_text, actual, expected,
                   expected_text);
}

void test_check_code_(const char *file, int line, long actual, long expected, const char *text)
{
    if (actual != expected)
        test_fail_(file, line, "%s is %ld (%s: \"%s\"), not %ld (%s)", text, actual,
                   many_error_name((int)actual), many_error_message(), expected,
                   many_error_name((int)expected));
}

void test_check_string_(const char *file, int line, const char *actual, const char *expected,
                        const char *text)
{
    if (actual == NULL || strcmp(actual, expected) != 0)
        test_fail_(file, line, "%s is\n  \"%s\", not\n  \"%s\"", text, actual ? actual : "NULL",
                   expected);
}

void test_check_contains_(const char *file, int line, const char *actual, const char *part,
                          const char *text)
{
    if (actual == NULL || strstr(actual, part) == NULL)
        test_fail_(file, line, "%s is\n  \"%s\", without\n  \"%s\"", text, actual ? actual : "NULL",
                   part);
}

void test_check_bytes_(const char *file, int line, const void *actual, const void *expected,
                       size_t bytes, const char *text)
{
    const unsigned char *a = actual, *b = expected;

    for (size_t i = 0; i < bytes; i++)
        if (a[i] != b[i])
            test_fail_(file, line, "%s: byte %zu of %zu is 0x%02x, not 0x%02x", text, i, bytes,
                       a[i], b[i]);
}

void test_skip(const char *reason)
{
    if (getpid() != test_process)
        test_fail_(__FILE__, __LINE__, "test_skip(\"%s\") is for the test's own process", reason);
    printf("skipped: %s: %s\n", test_running->name, reason);
    test_skipped++;
    _skip(__FILE__, __LINE__);
    abort(); /* not reached */
}

int test_shared_count_(void)
{
    return test_shareds_count;
}

/* ---- time ---- */

double test_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int test_slowness(void)
{
    const char *text = getenv("MANY_TEST_SLOWNESS");
    int slowness = text != NULL ? atoi(text) : 1;

    return slowness < 1 ? 1 : slowness;
}

/* Look often at first, since most things happen at once; then leave the cores to others. */
void test_pause_(int looks)
{
    const struct timespec moment = {0, 200000};

    if (looks < 100)
        sched_yield();
    else
        nanosleep(&moment, NULL);
}

static void test_hung(int signal)
{
    static const char head[] = "\nerror: over its time limit: ";
    const char *name = test_running != NULL ? test_running->name : "?";

    (void)signal;
    if (write(STDERR_FILENO, head, sizeof head - 1) < 0 ||
        write(STDERR_FILENO, name, strlen(name)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
        _exit(TEST_HUNG_STATUS);
    _exit(TEST_HUNG_STATUS);
}

/* A timer of our own, on a signal that no test wants: SIGALRM stays free for tests, and forked
 * children do not inherit it. */
static void test_watchdog_open(void)
{
    struct sigaction action;
    struct sigevent event;

    memset(&action, 0, sizeof action);
    action.sa_handler = test_hung;
    sigaction(SIGRTMAX, &action, NULL);
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMAX;
    if (timer_create(CLOCK_MONOTONIC, &event, &test_timer) != 0) {
        perror("timer_create");
        exit(1);
    }
}

void test_limit(int seconds)
{
    struct itimerspec limit;

    memset(&limit, 0, sizeof limit);
    limit.it_value.tv_sec = (time_t)seconds * test_slowness();
    timer_settime(test_timer, 0, &limit, NULL);
}

/* ---- children ---- */

/* As a process that this test program never configured: defaults for what it or cmocka catches. */
static void test_child_signals(void)
{
    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction old;

        if (sigaction(signal, NULL, &old) != 0 || old.sa_handler == SIG_IGN ||
            old.sa_handler == SIG_DFL)
            continue;
        old.sa_handler = SIG_DFL;
        old.sa_flags = 0;
        sigaction(signal, &old, NULL);
    }
}

pid_t test_child_start(void (*body)(void *argument), void *argument)
{
    pid_t parent = getpid();
    pid_t child;

    fflush(stdout);
    fflush(stderr);
    child = fork();
    CHECK(child >= 0);
    if (child > 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(TEST_CHILD_FAILED);
    test_child_signals();
    body(argument);
    fflush(stdout);
    fflush(stderr);
    _exit(0);
}

int test_child_wait(pid_t child)
{
    pid_t got;
    int status;

    do
        got = waitpid(child, &status, 0);
    while (got < 0 && errno == EINTR);
    CHECK_EQUAL(got, child);
    if (WIFSIGNALED(status))
        return WTERMSIG(status);
    return WEXITSTATUS(status) == 0 ? 0 : TEST_EXIT(WEXITSTATUS(status));
}

int test_in_child(void (*body)(void *argument), void *argument)
{
    return test_child_wait(test_child_start(body, argument));
}

void *test_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(memory != MAP_FAILED);
    CHECK(test_shareds_count < TEST_SHARED_MOST);
    test_shareds[test_shareds_count].memory = memory;
    test_shareds[test_shareds_count].bytes = bytes;
    test_shareds_count++;
    return memory;
}

/* ---- files ---- */

static int test_remove(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

static void test_directory_remove(void)
{
    if (test_folder[0] != '\0')
        nftw(test_folder, test_remove, 16, FTW_DEPTH | FTW_PHYS);
    test_folder[0] = '\0';
}

const char *test_directory(void)
{
    const char *where = getenv("TMPDIR");

    test_directory_remove();
    snprintf(test_folder, sizeof test_folder, "%s/many-test-XXXXXX",
             where != NULL && where[0] != '\0' ? where : "/tmp");
    CHECK(mkdtemp(test_folder) != NULL);
    return test_folder;
}

void test_write_file(const char *folder, const char *path, const char *text)
{
    char name[8192];
    FILE *file;

    snprintf(name, sizeof name, "%s/%s", folder, path);
    for (char *slash = name + strlen(folder) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        CHECK(mkdir(name, 0777) == 0 || errno == EEXIST);
        *slash = '/';
    }
    file = fopen(name, "we");
    CHECK(file != NULL);
    CHECK(fputs(text, file) >= 0);
    CHECK(fclose(file) == 0);
}

/* ---- running ---- */

static void test_run(void **state)
{
    const test_entry_ *entry = *state;

    test_running = entry;
    for (size_t i = 0; i < TEST_FAULTS; i++)
        sigaction(test_faults[i], &test_fault_actions[i], NULL);
    test_limit(TEST_SECONDS);
    entry->body();
}

/* Called after each test, also after one that failed half-way. */
static int test_tidy(void **state)
{
    (void)state;
    test_limit(0);
    while (test_shareds_count > 0) {
        test_shareds_count--;
        munmap(test_shareds[test_shareds_count].memory, test_shareds[test_shareds_count].bytes);
    }
    test_directory_remove();
    return 0;
}

static int test_chosen(const test_entry_ *entry, int words, char **word)
{
    if (words == 0)
        return 1;
    for (int i = 0; i < words; i++)
        if (strstr(entry->name, word[i]) != NULL)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[TEST_MOST];
    size_t count = 0;
    int failed;

    test_process = getpid();
    test_thread = pthread_self();
    setvbuf(stdout, NULL, _IOLBF, 0); /* what ran is known even after a crash */
    for (size_t i = 0; i < TEST_FAULTS; i++)
        sigaction(test_faults[i], NULL, &test_fault_actions[i]);
    for (test_entry_ *entry = test_entries; entry != NULL; entry = entry->next) {
        if (!test_chosen(entry, argc - 1, argv + 1))
            continue;
        if (count == TEST_MOST) {
            fprintf(stderr, "more than %d tests in one program\n", TEST_MOST);
            return 1;
        }
        tests[count].name = entry->name;
        tests[count].test_func = test_run;
        tests[count].teardown_func = test_tidy;
        tests[count].initial_state = entry;
        count++;
    }
    if (count == 0) {
        fprintf(stderr, "%s: no test to run\n", argv[0]);
        return 1;
    }
    test_watchdog_open();
    failed = _cmocka_run_group_tests(argv[0], tests, count, NULL, NULL);
    if (failed != 0)
        return 1;
    return (size_t)test_skipped == count ? TEST_SKIP_STATUS : 0;
}
