/* SPDX-License-Identifier: MIT */
/*
 * cmocka.h - the five names of cmocka that test.c needs, for where cmocka has no package (musl,
 * cross-compiling); included by test.c alone
 */
#ifndef MANY_TEST_PLAIN_CMOCKA_H
#define MANY_TEST_PLAIN_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

struct CMUnitTest {
    const char *name;
    void (*test_func)(void **state);
    int (*setup_func)(void **state);
    int (*teardown_func)(void **state);
    void *initial_state;
};

enum plain_verdict { PLAIN_OK, PLAIN_FAILED, PLAIN_SKIPPED };

static jmp_buf plain_end; /* of the test that runs */
static enum plain_verdict plain_verdict;

__attribute__((format(printf, 1, 2))) static void print_error(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
}

__attribute__((noreturn)) static void _fail(const char *file, int line)
{
    print_error("%s:%d: error: failed\n", file, line);
    plain_verdict = PLAIN_FAILED;
    longjmp(plain_end, 1);
}

__attribute__((noreturn)) static void _skip(const char *file, int line)
{
    (void)file;
    (void)line;
    plain_verdict = PLAIN_SKIPPED;
    longjmp(plain_end, 1);
}

static int plain_run(const struct CMUnitTest *test)
{
    static const char *const words[] = {"OK", "FAILED", "SKIPPED"};
    void *state = test->initial_state;

    plain_verdict = PLAIN_OK;
    printf("[ RUN      ] %s\n", test->name);
    if (setjmp(plain_end) == 0)
        test->test_func(&state);
    if (test->teardown_func != NULL)
        test->teardown_func(&state);
    printf("[ %8s ] %s\n", words[plain_verdict], test->name);
    return plain_verdict == PLAIN_FAILED;
}

static int _cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count,
                                   int (*setup)(void **state), int (*teardown)(void **state))
{
    int failed = 0;

    (void)setup;
    (void)teardown;
    for (size_t i = 0; i < count; i++)
        failed += plain_run(&tests[i]);
    printf("%s: %zu tests, %d failed\n", group, count, failed);
    return failed;
}

#endif
