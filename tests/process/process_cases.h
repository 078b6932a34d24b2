/* SPDX-License-Identifier: MIT */
/*
 * process_cases.h - what the tests of processes share: functions for children
 */
#ifndef MANY_TEST_PROCESS_CASES_H
#define MANY_TEST_PROCESS_CASES_H

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <many/process.h>

/* Children of a test end with it: in theirs, before anything that could last. */
static inline void case_end_with_test(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static inline int case_return(void *argument)
{
    return (int)(intptr_t)argument;
}

static inline int case_stay(void *argument)
{
    (void)argument;
    case_end_with_test();
    for (;;)
        pause();
    return 0;
}

/* Until a word in shared memory is set; then its value. */
static inline int case_pass_gate(void *argument)
{
    _Atomic int *gate = argument;

    case_end_with_test();
    UNTIL(atomic_load(gate) != 0);
    return atomic_load(gate);
}

/* SIGTERM is no end for it; it says when it is so. */
static inline int case_be_stubborn(void *argument)
{
    _Atomic int *ready = argument;

    case_end_with_test();
    signal(SIGTERM, SIG_IGN);
    atomic_store(ready, 1);
    for (;;)
        pause();
    return 0;
}

/* A pointer that holds a number, as fn's argument. */
static inline void *case_number(int number)
{
    return (void *)(intptr_t)number;
}

static inline int case_exit_code(many_process *process)
{
    int code = -12345;

    CHECK_CODE(many_process_exit_code(process, &code), 0);
    return code;
}

/* Start, join, and tell the exit code. */
static inline int case_run(many_process_fn *fn, void *argument)
{
    many_process *process;
    int code;

    CHECK_CODE(many_process_start(&process, fn, argument), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    code = case_exit_code(process);
    many_process_close(process);
    return code;
}

static inline void *case_nothing(void *argument)
{
    return argument;
}

/* The census of a process that had a thread before: the thread sanitizer starts one of its own then. */
static inline test_census case_census(void)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, case_nothing, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return test_census_take();
}

/* Is there a process of this number that is not a zombie? */
static inline int case_runs(pid_t pid)
{
    char path[64], text[512], *end;
    FILE *file;
    size_t got;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[got] = '\0';
    end = strrchr(text, ')');
    return end != NULL && end[1] == ' ' && end[2] != 'Z' && end[2] != 'X';
}

#endif
