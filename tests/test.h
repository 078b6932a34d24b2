/* SPDX-License-Identifier: MIT */
/*
 * test.h - small helpers over cmocka; all that a test needs to include besides what it tests
 *
 *   #include "test.h"
 *
 *   TEST(lock_reports_owner_death_instead_of_blocking_for_ever)
 *   {
 *       CHECK_CODE(many_lock_acquire(&lock, 1.0), -EOWNERDEAD);
 *       CHECK(test_in_child(take_and_die, &lock) == SIGKILL);
 *   }
 *
 * A file tests/ROOM/test_NAME.c is one program. Its TESTs register themselves and run in the order
 * of the file; `test_NAME WORD...` runs those whose name contains one of the words. There is no
 * main() to write and no list to keep.
 *
 * Time     Each TEST has 200 s (test_limit() changes it); then the program ends with words that
 *          name the test. So nothing needs a time limit of its own. Nothing may sleep to
 *          synchronise: UNTIL(condition) waits for what another thread or process does. No verdict
 *          may hang on how fast this machine is, or on who runs when.
 * Failing  A failed CHECK ends the TEST. In a child process it prints and leaves with
 *          TEST_CHILD_FAILED; in another thread it prints and ends the program.
 * Skipping test_skip("reason") ends the TEST; a program that only skipped exits with 77.
 * Tidying  test_shared() and test_directory() are given back when the TEST ends, however it ends.
 */
#ifndef MANY_TEST_H
#define MANY_TEST_H

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* 1 where the program is built with the sanitizer. */
#if defined(__has_feature)
#define TEST_FEATURE_(name) __has_feature(name)
#else
#define TEST_FEATURE_(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || TEST_FEATURE_(address_sanitizer)
#define TEST_ASAN 1
#else
#define TEST_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || TEST_FEATURE_(thread_sanitizer)
#define TEST_TSAN 1
#else
#define TEST_TSAN 0
#endif

typedef struct test_entry_ {
    void (*body)(void);
    const char *name;
    int line; /* the order in which tests run */
    struct test_entry_ *next;
} test_entry_;

void test_register_(test_entry_ *entry);

/* For census.c: fail as a CHECK does; how many mappings of test_shared() there are. */
void test_fail_(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));
int test_shared_count_(void);

/* One test; the name is a sentence. Followed by the body in braces. */
#define TEST(name_)                                                                                \
    static void name_(void);                                                                       \
    __attribute__((constructor)) static void name_##_register_(void)                               \
    {                                                                                              \
        static test_entry_ entry = {name_, #name_, __LINE__, NULL};                                \
        test_register_(&entry);                                                                    \
    }                                                                                              \
    static void name_(void)

/* The condition holds. */
#define CHECK(...) test_check_(__FILE__, __LINE__, !!(__VA_ARGS__), #__VA_ARGS__)

/* Two integers are equal; both values are printed if not. */
#define CHECK_EQUAL(actual, expected)                                                              \
    test_check_equal_(__FILE__, __LINE__, (intmax_t)(actual), (intmax_t)(expected), #actual,       \
                      #expected)

/* A call returned this code (0, a count, a negative errno); names and the message are printed if
 * not. */
#define CHECK_CODE(actual, expected)                                                               \
    test_check_code_(__FILE__, __LINE__, (actual), (expected), #actual)

/* Two strings are equal. */
#define CHECK_STRING(actual, expected)                                                             \
    test_check_string_(__FILE__, __LINE__, (actual), (expected), #actual)

/* text contains part. */
#define CHECK_CONTAINS(text, part) test_check_contains_(__FILE__, __LINE__, (text), (part), #text)

/* Two blocks of memory of the same size hold the same bytes; the first difference is printed. */
#define CHECK_BYTES(actual, expected, bytes)                                                       \
    test_check_bytes_(__FILE__, __LINE__, (actual), (expected), (bytes), #actual)

/* Wait until the condition holds, looking again and again; the test's time limit ends it. */
#define UNTIL(...)                                                                                 \
    do {                                                                                           \
        for (int test_looks_ = 0; !(__VA_ARGS__); test_looks_++)                                   \
            test_pause_(test_looks_);                                                              \
    } while (0)

void test_check_(const char *file, int line, int holds, const char *text);
void test_check_equal_(const char *file, int line, intmax_t actual, intmax_t expected,
                       const char *actual_text, const char *expected_text);
void test_check_code_(const char *file, int line, long actual, long expected, const char *text);
void test_check_string_(const char *file, int line, const char *actual, const char *expected,
                        const char *text);
void test_check_contains_(const char *file, int line, const char *actual, const char *part,
                          const char *text);
void test_check_bytes_(const char *file, int line, const void *actual, const void *expected,
                       size_t bytes, const char *text);
void test_pause_(int looks);

/* End this TEST without a verdict; the reason is printed. Only in the test's own process. */
void test_skip(const char *reason) __attribute__((noreturn));

/* Give this TEST so many seconds from now on, in place of 200; times test_slowness(). */
void test_limit(int seconds);

/* How much slower than a normal build things run here: 1; more under a sanitizer or valgrind
 * (MANY_TEST_SLOWNESS in the environment). For bounds on time, and for numbers of repetitions. */
int test_slowness(void);

/* Seconds on the monotonic clock. */
double test_seconds(void);

/* ---- children ---- */

/* What a child process's end looks like: 0 if it returned or exited with 0, the signal's number if
 * a signal killed it, TEST_EXIT(status) if it exited with another status. */
#define TEST_EXIT(status) (256 + (status))

/* Exit status of a process in which a CHECK has failed. */
#define TEST_CHILD_FAILED 98

/* Run body(argument) in a forked child; wait; how it ended. Caught signals are at their default in
 * it, and it dies with the calling thread. stdout and stderr are flushed. */
int test_in_child(void (*body)(void *argument), void *argument);

/* The same in two steps, for several at a time. */
pid_t test_child_start(void (*body)(void *argument), void *argument);
int test_child_wait(pid_t child);

/* Zeroed memory, shared with children that are forked later; unmapped when the TEST ends. */
void *test_shared(size_t bytes);

/* ---- files ---- */

/* A new empty folder; removed with all in it when the TEST ends, or asks for the next one. */
const char *test_directory(void);

/* Write text to the file folder/path; folders on the way are made. */
void test_write_file(const char *folder, const char *path, const char *text);

/* ---- what is left behind ---- */

/*
 * Descriptors, threads, children and mappings of this process.
 *
 *   test_census before = test_census_take();
 *   ...
 *   CHECK_CENSUS(before);
 *
 * Descriptors, threads, children and *shared* mappings (other than those of test_shared()) have to
 * be exactly as many as before; threads that were joined do not count. Private mappings may grow by
 * TEST_MAPPINGS_SLACK, because libc keeps the stacks of ended threads and an arena a thread for
 * malloc; so a test that looks for leaks there makes the call often enough to pass the slack.
 */
typedef struct test_census {
    int descriptors;
    int threads;
    int children;
    int shared_mappings;
    int private_mappings;
} test_census;

#define TEST_MAPPINGS_SLACK 40

test_census test_census_take(void);
void test_census_check_(const char *file, int line, const test_census *before);
#define CHECK_CENSUS(before) test_census_check_(__FILE__, __LINE__, &(before))

/*
 * Signal dispositions of this process and the mask of this thread.
 *
 *   test_signals before;
 *   test_signals_take(&before);
 *   ...
 *   CHECK_SIGNALS(before);
 */
typedef struct test_signals {
    struct sigaction action[NSIG];
    sigset_t mask;
} test_signals;

void test_signals_take(test_signals *signals);
void test_signals_check_(const char *file, int line, const test_signals *before);
#define CHECK_SIGNALS(before) test_signals_check_(__FILE__, __LINE__, &(before))

#endif
