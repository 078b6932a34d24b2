/* SPDX-License-Identifier: MIT */
/*
 * test_self_faults.c - identities where no page can be wiped, and where /proc cannot be read
 *
 * The page is set up once in a process: so this process itself never asks who it is, and each test
 * runs in a child of its own.
 */
#include "self_cases.h"

#include <string.h>
#include <sys/wait.h>

#include "base/fault.h"

static const char *failing[2];

static int fail_at_points(const char *point)
{
    for (int k = 0; k < 2; k++)
        if (failing[k] != NULL && strcmp(point, failing[k]) == 0)
            return k == 0 ? -ENOMEM : -EMFILE;
    return 0;
}

static void fail_at(const char *page, const char *proc)
{
    failing[0] = page;
    failing[1] = proc;
    many_fault_hook_ = fail_at_points;
}

static void check_without_wiping(void *argument)
{
    (void)argument;
    fail_at("memory.map_wiped", NULL);
    self_check_identities();
    self_check_identities();
}

TEST(without_a_page_that_a_fork_wipes_identities_are_right_all_the_same)
{
    if (TEST_TSAN)
        test_skip("a child of a threaded parent starts a thread");
    CHECK_EQUAL(test_in_child(check_without_wiping, NULL), 0);
}

static void check_without_proc(void *argument)
{
    (void)argument;
    fail_at(NULL, "self.open");
    self_check_identities();
    CHECK_EQUAL(many_self_() >> 32, 0);
    CHECK_EQUAL(many_self_gone_(many_self_()), 0);
    CHECK(many_self_of_(getpid()) == many_self_());
}

TEST(without_proc_an_identity_is_the_thread_id_alone)
{
    if (TEST_TSAN)
        test_skip("a child of a threaded parent starts a thread");
    CHECK_EQUAL(test_in_child(check_without_proc, NULL), 0);
}

static void check_deaths_without_proc(void *argument)
{
    self_found *found = argument;
    pid_t child;

    fail_at(NULL, "self.open");
    child = test_child_start(self_in_child, found);
    UNTIL(atomic_load(&found->live));
    CHECK_EQUAL(many_self_gone_(found->identity), 0);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK_EQUAL(test_child_wait(child), SIGKILL); /* reaped */
    CHECK_EQUAL(many_self_gone_(found->identity), 1);
    CHECK(many_self_of_(child) == 0);
}

TEST(without_proc_the_dead_are_gone_once_they_are_reaped)
{
    if (TEST_TSAN)
        test_skip("a child of a threaded parent starts a thread");
    CHECK_EQUAL(test_in_child(check_deaths_without_proc, test_shared(sizeof(self_found))), 0);
}

/* What was known before is not forgotten when descriptors run out. */
static void check_losing_proc(void *argument)
{
    many_identity_ me = many_self_();

    (void)argument;
    fail_at(NULL, "self.open");
    CHECK(many_self_() == me && me >> 32 != 0);
    CHECK_EQUAL(many_self_gone_(me), 0);
}

TEST(who_runs_out_of_descriptors_stays_who_it_is)
{
    CHECK_EQUAL(test_in_child(check_losing_proc, NULL), 0);
}
