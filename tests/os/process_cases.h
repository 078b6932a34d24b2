/* SPDX-License-Identifier: MIT */
/*
 * process_cases.h - what test_process.c (with pidfd) and test_process_faults.c (without) share
 */
#ifndef MANY_TEST_OS_PROCESS_CASES_H
#define MANY_TEST_OS_PROCESS_CASES_H

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/process.h"

/* Fork a child that runs body and then exits with 0. */
static inline many_child_ process_start(void (*body)(void *argument), void *argument)
{
    many_child_ child;
    int code = many_child_fork_(&child);

    if (code == 0) {
        body(argument);
        many_child_exit_(0);
    }
    CHECK_CODE(code, 1);
    CHECK(child.pid > 0);
    return child;
}

/* Wait for the end; the child is then nobody. */
static inline many_ending_ process_end(many_child_ *child)
{
    many_ending_ ending;

    CHECK_EQUAL(many_child_ended_(child, 1, &ending), 1);
    CHECK_EQUAL(child->pid, 0);
    CHECK_EQUAL(child->fd, -1);
    return ending;
}

static inline void process_sleep(void *argument)
{
    (void)argument;
    for (;;)
        pause();
}

static inline void process_exit_3(void *argument)
{
    (void)argument;
    _exit(3);
}

static inline void process_abort(void *argument)
{
    (void)argument;
    raise(SIGABRT);
}

/* However it ends and whoever asks: status or signal are told, and nothing is left. */
static inline void process_check_endings(void)
{
    test_census before = test_census_take();
    many_child_ child;
    many_ending_ ending;

    child = process_start(process_exit_3, NULL);
    ending = process_end(&child);
    CHECK(ending.known);
    CHECK_EQUAL(ending.exit_status, 3);
    CHECK_EQUAL(ending.signal, 0);

    child = process_start(process_abort, NULL);
    ending = process_end(&child);
    CHECK(ending.known);
    CHECK_EQUAL(ending.exit_status, -1);
    CHECK_EQUAL(ending.signal, SIGABRT);

    child = process_start(process_sleep, NULL);
    CHECK_EQUAL(many_child_ended_(&child, 0, &ending), 0);
    CHECK(child.pid > 0);
    many_child_kill_(&child);
    many_child_kill_(&child);
    ending = process_end(&child);
    CHECK(ending.known);
    CHECK_EQUAL(ending.signal, SIGKILL);
    CHECK_CENSUS(before);
}

/* Asked without waiting again and again, the end is seen. */
static inline void process_check_polling(void)
{
    many_child_ child = process_start(process_exit_3, NULL);
    many_ending_ ending;

    UNTIL(many_child_ended_(&child, 0, &ending) == 1);
    CHECK_EQUAL(ending.exit_status, 3);
    CHECK_EQUAL(child.pid, 0);
}

static inline void *process_take_any(void *argument)
{
    pid_t got;

    (void)argument;
    do
        got = waitpid(-1, NULL, 0);
    while (got < 0 && errno == EINTR);
    return NULL;
}

/* Another thread of the program takes the status of any child. The death is seen all the same. */
static inline many_ending_ process_end_taken(void)
{
    many_child_ child = process_start(process_exit_3, NULL);
    pthread_t thread;

    CHECK_EQUAL(pthread_create(&thread, NULL, process_take_any, NULL), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    return process_end(&child);
}

/* The child ends when its parent has all that it gets of it. */
typedef struct process_gate {
    void (*body)(void *argument);
    _Atomic int *open; /* in shared memory */
} process_gate;

static inline void process_pass(void *argument)
{
    const process_gate *gate = argument;

    UNTIL(atomic_load(gate->open));
    gate->body(NULL);
}

/* The kernel throws the status away itself. A child that dies before its parent has the pidfd leaves
 * nothing to ask: this one does not. */
static inline many_ending_ process_end_ignored(void (*body)(void *argument))
{
    process_gate gate = {body, test_shared(sizeof *gate.open)};
    struct sigaction ignore, old;
    many_child_ child;
    many_ending_ ending;

    memset(&ignore, 0, sizeof ignore);
    ignore.sa_handler = SIG_IGN;
    CHECK(sigaction(SIGCHLD, &ignore, &old) == 0);
    child = process_start(process_pass, &gate);
    atomic_store(gate.open, 1);
    ending = process_end(&child);
    CHECK(sigaction(SIGCHLD, &old, NULL) == 0);
    return ending;
}

#endif
