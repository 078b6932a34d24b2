/* SPDX-License-Identifier: MIT */
/* test_process_faults.c - children without pidfd, as on old kernels; calls that fail */
#include "process_cases.h"

#include "base/fault.h"
#include "os/memory.h"
#include "os/reach.h"
#include "os/stream.h"
#include "os/thread.h"

/* The point that fails, and how. */
static const char *failing;
static int failing_code;

static int fail_at_point(const char *point)
{
    return failing != NULL && strcmp(point, failing) == 0 ? failing_code : 0;
}

static void fail_at(const char *point, int code)
{
    failing = point;
    failing_code = code;
    many_fault_hook_ = fail_at_point;
}

TEST(each_end_is_told_without_pidfd)
{
    fail_at("pidfd.open", -ENOSYS);
    process_check_endings();
}

TEST(an_end_is_seen_by_looking_without_pidfd)
{
    fail_at("pidfd.open", -ENOSYS);
    process_check_polling();
}

TEST(without_pidfd_a_status_that_was_taken_is_unknown_and_the_death_is_not)
{
    fail_at("pidfd.open", -ENOSYS);
    CHECK(!process_end_taken().known);
}

TEST(without_pidfd_a_death_is_seen_while_sigchld_is_ignored)
{
    fail_at("pidfd.open", -ENOSYS);
    CHECK(!process_end_ignored(process_exit_3).known);
}

/* With SIGCHLD ignored a blocking wait would last until *all* children are gone. */
TEST(without_pidfd_and_with_sigchld_ignored_another_child_that_lives_does_not_hold_the_wait)
{
    pid_t other = test_child_start(process_sleep, NULL);

    fail_at("pidfd.open", -ENOSYS);
    CHECK(!process_end_ignored(process_exit_3).known);
    CHECK(kill(other, SIGKILL) == 0);
    CHECK_EQUAL(test_child_wait(other), SIGKILL);
}

TEST(a_fork_that_fails_leaves_nobody_and_the_mask_as_it_was)
{
    many_child_ child = {7, 7};
    test_signals before;

    test_signals_take(&before);
    fail_at("fork", -EAGAIN);
    CHECK_CODE(many_child_fork_(&child), -EAGAIN);
    CHECK_EQUAL(child.pid, 0);
    CHECK_EQUAL(child.fd, -1);
    CHECK_SIGNALS(before);
}

TEST(each_call_of_the_floor_that_fails_says_so_and_leaves_nothing)
{
    test_census before = test_census_take();
    pthread_t thread;
    void *memory;

    fail_at("memory.map", -ENOMEM);
    CHECK_CODE(many_memory_map_shared_(&memory, 100), -ENOMEM);
    CHECK(memory == NULL);
    fail_at("memory.map_wiped", -ENOMEM);
    CHECK_CODE(many_memory_map_wiped_(&memory, 100), -ENOMEM);
    CHECK(memory == NULL);
    fail_at("bell.open", -EMFILE);
    CHECK_CODE(many_bell_open_(), -EMFILE);
    fail_at("thread.start", -EAGAIN);
    CHECK_CODE(many_thread_start_(&thread, NULL, NULL), -EAGAIN);
    fail_at("reach.write", -EPERM);
    CHECK_CODE(many_reach_write_(getpid(), &memory, &before, 1), -EPERM);
    CHECK_CENSUS(before);
}
