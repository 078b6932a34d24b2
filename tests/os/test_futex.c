/* SPDX-License-Identifier: MIT */
/* test_futex.c - sleeping on a word: changed, woken, timed out, interrupted, across processes */
#include "test.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>

#include "os/clock.h"
#include "os/futex.h"

typedef struct shared {
    _Atomic uint32_t word;
    _Atomic uint32_t asleep; /* about to sleep, or asleep */
    _Atomic uint32_t awake;
} shared;

TEST(a_word_that_has_changed_already_is_not_waited_for)
{
    _Atomic uint32_t word = 1;

    CHECK_CODE(many_futex_wait_(&word, 0, MANY_NEVER_NS), 0);
}

TEST(a_wait_ends_at_its_deadline_and_not_before)
{
    _Atomic uint32_t word = 0;

    for (int i = 0; i < 5; i++) {
        int64_t deadline = many_clock_ns_() + 20 * MANY_MILLISECOND_NS;
        int code;

        do
            code = many_futex_wait_(&word, 0, deadline);
        while (code == 0); /* early, for no reason */
        CHECK_CODE(code, -ETIMEDOUT);
        CHECK(many_clock_ns_() >= deadline);
    }
}

TEST(a_deadline_in_the_past_is_over_at_once)
{
    _Atomic uint32_t word = 0;

    CHECK_CODE(many_futex_wait_(&word, 0, many_clock_ns_() - MANY_SECOND_NS), -ETIMEDOUT);
    CHECK_CODE(many_futex_wait_(&word, 0, 0), -ETIMEDOUT);
}

static void wait_for_one(void *argument)
{
    shared *area = argument;

    atomic_fetch_add(&area->asleep, 1);
    while (atomic_load(&area->word) == 0)
        many_futex_wait_(&area->word, 0, MANY_NEVER_NS);
    atomic_fetch_add(&area->awake, 1);
}

TEST(all_sleepers_in_other_processes_wake)
{
    shared *area = test_shared(sizeof *area);
    pid_t children[4];

    for (int i = 0; i < 4; i++)
        children[i] = test_child_start(wait_for_one, area);
    UNTIL(atomic_load(&area->asleep) == 4);
    CHECK_EQUAL(atomic_load(&area->awake), 0);
    atomic_store(&area->word, 1);
    many_futex_wake_(&area->word, INT_MAX);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(test_child_wait(children[i]), 0);
    CHECK_EQUAL(atomic_load(&area->awake), 4);
}

static void *wait_in_thread(void *argument)
{
    wait_for_one(argument);
    return NULL;
}

TEST(a_sleeper_in_another_thread_wakes)
{
    shared area = {0, 0, 0};
    pthread_t thread;

    CHECK_EQUAL(pthread_create(&thread, NULL, wait_in_thread, &area), 0);
    UNTIL(atomic_load(&area.asleep) == 1);
    atomic_store(&area.word, 1);
    many_futex_wake_(&area.word, 1);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(atomic_load(&area.awake), 1);
}

static void on_signal(int signal)
{
    (void)signal;
}

/* Sleeps until a handler has run, whatever flags it was installed with. */
static void wait_for_interruption(shared *area, int flags, int64_t deadline_ns)
{
    struct sigaction action;
    int code;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = flags;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    atomic_store(&area->asleep, 1);
    do
        code = many_futex_wait_(&area->word, 0, deadline_ns);
    while (code == 0);
    CHECK_CODE(code, -EINTR);
}

static void wait_without_limit(void *area)
{
    wait_for_interruption(area, 0, MANY_NEVER_NS);
}

static void wait_without_limit_restarting(void *area)
{
    wait_for_interruption(area, SA_RESTART, MANY_NEVER_NS);
}

static void wait_an_hour(void *area)
{
    wait_for_interruption(area, SA_RESTART, many_clock_ns_() + 3600 * MANY_SECOND_NS);
}

static int is_dead(pid_t child)
{
    siginfo_t info;

    info.si_pid = 0;
    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

TEST(a_signal_handler_ends_the_wait)
{
    void (*const waits[])(void *) = {wait_without_limit, wait_without_limit_restarting,
                                     wait_an_hour};

    for (int i = 0; i < 3; i++) {
        shared *area = test_shared(sizeof *area);
        pid_t child = test_child_start(waits[i], area);

        UNTIL(atomic_load(&area->asleep) == 1);
        /* A signal that comes a moment before the sleep is not seen by it: send until one is. */
        UNTIL(is_dead(child) || kill(child, SIGUSR1) != 0);
        CHECK_EQUAL(test_child_wait(child), 0);
    }
}
