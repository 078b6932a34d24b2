/* SPDX-License-Identifier: MIT */
/* test_thread.c - a thread of ours runs no handler of the caller's, and leaves nothing */
#include "test.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/thread.h"

static void *take_mask(void *argument)
{
    pthread_sigmask(SIG_SETMASK, NULL, argument);
    return NULL;
}

TEST(a_thread_has_all_signals_blocked_but_those_of_a_fault)
{
    test_signals before;
    pthread_t thread;
    sigset_t mask;

    test_signals_take(&before);
    CHECK_CODE(many_thread_start_(&thread, take_mask, &mask), 0);
    many_thread_join_(thread);
    CHECK(sigismember(&mask, SIGINT) && sigismember(&mask, SIGALRM) && sigismember(&mask, SIGUSR1));
    CHECK(!sigismember(&mask, SIGSEGV) && !sigismember(&mask, SIGABRT));
    CHECK_SIGNALS(before);
}

TEST(threads_leave_nothing_behind)
{
    test_census before = test_census_take();

    for (int i = 0; i < 2 * TEST_MAPPINGS_SLACK; i++) {
        pthread_t thread;
        sigset_t mask;

        CHECK_CODE(many_thread_start_(&thread, take_mask, &mask), 0);
        many_thread_join_(thread);
    }
    CHECK_CENSUS(before);
}

/* As a user whose number of tasks is used up. */
static void start_without_tasks(void *argument)
{
    struct rlimit none = {0, 0};
    test_signals before;
    pthread_t thread;
    sigset_t mask;

    (void)argument;
    if (geteuid() == 0)
        CHECK(setuid(65534) == 0);
    CHECK(setrlimit(RLIMIT_NPROC, &none) == 0);
    test_signals_take(&before);
    CHECK_CODE(many_thread_start_(&thread, take_mask, &mask), -EAGAIN);
    CHECK_SIGNALS(before);
}

TEST(without_a_thread_to_be_had_the_code_says_so_and_the_mask_is_back)
{
    if (TEST_TSAN)
        test_skip("the sanitizer ends a program that cannot start a thread");
    CHECK_EQUAL(test_in_child(start_without_tasks, NULL), 0);
}
