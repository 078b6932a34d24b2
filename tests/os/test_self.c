/* SPDX-License-Identifier: MIT */
/* test_self.c - who am I, and who is gone: threads, forked children, the killed, the zombies */
#include "self_cases.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

TEST(threads_and_forked_children_are_others_and_know_it)
{
    self_check_identities();
}

TEST(own_pointers_are_null_at_first)
{
    for (int which = 0; which < MANY_OWN_COUNT_; which++) {
        CHECK(many_self_own_(which) != NULL);
        CHECK(atomic_load(many_self_own_(which)) == NULL);
    }
}

static void fork_again(void *argument)
{
    self_found *found = argument;

    found[0].identity = many_self_();
    found[0].process = many_self_process_();
    atomic_store(&found[1].over, 1);
    CHECK_EQUAL(test_in_child(self_in_child, &found[1]), 0);
    CHECK(found[1].identity != found[0].identity && found[1].process != found[0].process);
}

TEST(a_grandchild_is_neither_child_nor_parent)
{
    self_found *found = test_shared(2 * sizeof *found);
    many_identity_ me = many_self_();

    CHECK_EQUAL(test_in_child(fork_again, found), 0);
    CHECK(found[1].identity != me && found[1].process != many_self_process_());
}

TEST(whoever_lives_is_not_gone)
{
    self_found *found = test_shared(sizeof *found);
    pid_t child = test_child_start(self_in_child, found);

    CHECK_EQUAL(many_self_gone_(many_self_()), 0);
    UNTIL(atomic_load(&found->live));
    CHECK_EQUAL(many_self_gone_(found->identity), 0);
    CHECK(many_self_of_(child) == found->identity);
    CHECK(many_self_of_(getpid()) == many_self_());
    atomic_store(&found->over, 1);
    CHECK_EQUAL(test_child_wait(child), 0);
    CHECK_EQUAL(many_self_gone_(found->identity), 1);
    CHECK(many_self_of_(child) == 0);
}

TEST(a_killed_child_that_nobody_has_reaped_is_gone)
{
    self_found *found = test_shared(sizeof *found);
    pid_t child = test_child_start(self_in_child, found);
    siginfo_t info;

    UNTIL(atomic_load(&found->live));
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
    CHECK_EQUAL(many_self_gone_(found->identity), 1);
    CHECK(many_self_of_(child) == 0);
    CHECK_EQUAL(test_child_wait(child), SIGKILL);
}

TEST(a_stopped_child_is_not_gone)
{
    self_found *found = test_shared(sizeof *found);
    pid_t child = test_child_start(self_in_child, found);
    siginfo_t info;

    UNTIL(atomic_load(&found->live));
    CHECK(kill(child, SIGSTOP) == 0);
    CHECK(waitid(P_PID, (id_t)child, &info, WSTOPPED | WNOWAIT) == 0);
    CHECK_EQUAL(many_self_gone_(found->identity), 0);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK_EQUAL(test_child_wait(child), SIGKILL);
}

TEST(a_thread_that_ended_is_gone)
{
    many_identity_ identity;
    pthread_t thread;

    CHECK_EQUAL(pthread_create(&thread, NULL, self_in_thread, &identity), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    UNTIL(many_self_gone_(identity)); /* the kernel is a moment later than the join */
}

static void *outlive(void *argument)
{
    self_found *found = argument;

    UNTIL(many_self_gone_(found->identity));
    CHECK(many_self_of_(getpid()) == 0);
    _exit(0);
}

static void end_main_thread(void *argument)
{
    self_found *found = argument;
    pthread_t thread;

    found->identity = many_self_();
    CHECK_EQUAL(pthread_create(&thread, NULL, outlive, found), 0);
    pthread_exit(NULL);
}

TEST(a_main_thread_that_ended_is_gone_though_its_process_lives)
{
    if (getenv("MANY_TEST_TOOL") != NULL)
        test_skip("the tool finds what a main thread leaves behind that ends by pthread_exit()");
    if (TEST_TSAN)
        test_skip("a child of a threaded parent starts a thread");
    CHECK_EQUAL(test_in_child(end_main_thread, test_shared(sizeof(self_found))), 0);
}

/* A namespace of process ids in which /proc is still that of the one outside, as in a careless
 * container: numbers 1, 2, ... are others' there, and most of them never die. */
static void be_first_of_a_namespace(self_found *found)
{
    many_identity_ me = many_self_();
    pid_t child;

    CHECK_EQUAL(me, 1); /* a number, and no start time: that of another would be wrong */
    CHECK_EQUAL(many_self_gone_(me), 0);
    child = fork();
    if (child == 0) {
        found->identity = many_self_();
        found->again = many_self_of_(1);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, NULL, 0) == child);
    CHECK_EQUAL(found->identity, (many_identity_)child);
    CHECK(found->again == me);
    CHECK_EQUAL(many_self_gone_(found->identity), 1);
    CHECK(many_self_of_(child) == 0);
}

#define NO_NAMESPACE 3

static void open_namespace(void *argument)
{
    int status = 0;
    pid_t child;

    if (unshare(CLONE_NEWPID) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
        _exit(NO_NAMESPACE);
    child = fork();
    if (child == 0) {
        be_first_of_a_namespace(argument);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_EQUAL(status, 0);
}

TEST(the_numbers_of_another_namespaces_proc_are_not_believed)
{
    int ended = test_in_child(open_namespace, test_shared(sizeof(self_found)));

    if (ended == TEST_EXIT(NO_NAMESPACE))
        test_skip("no namespace of process ids is to be had");
    CHECK_EQUAL(ended, 0);
}

TEST(the_same_number_with_another_start_time_is_gone)
{
    CHECK_EQUAL(many_self_gone_(many_self_() + (UINT64_C(7) << 32)), 1);
    CHECK_EQUAL(many_self_gone_(many_self_() & MANY_IDENTITY_THREAD_), 0); /* it is not known */
    CHECK_EQUAL(many_self_gone_(0), 1);
}

/* The name is the only part of /proc/ID/stat that may hold anything. */
static void have_a_hostile_name(void *argument)
{
    (void)argument;
    CHECK(prctl(PR_SET_NAME, "a) Z 1 (b)\n Z 0") == 0);
    CHECK_EQUAL(many_self_() & MANY_IDENTITY_THREAD_, self_thread_id());
    CHECK(many_self_() >> 32 != 0);
    CHECK_EQUAL(many_self_gone_(many_self_()), 0);
    CHECK(many_self_of_(getpid()) == many_self_());
}

TEST(a_name_cannot_make_a_thread_seem_dead)
{
    CHECK_EQUAL(test_in_child(have_a_hostile_name, NULL), 0);
}

TEST(a_name_is_told_while_the_thread_lives)
{
    char name[MANY_NAME_BYTES_];

    CHECK(prctl(PR_SET_NAME, "self-test") == 0);
    many_self_name_(many_self_(), name);
    CHECK_STRING(name, "self-test");
    many_self_name_(many_self_() + (UINT64_C(7) << 32), name);
    CHECK_STRING(name, "?");
}

TEST(asking_leaves_errno_and_descriptors_alone)
{
    test_census before = test_census_take();

    errno = EXDEV;
    many_self_gone_(many_self_());
    many_self_gone_((UINT64_C(1) << 32) | MANY_IDENTITY_THREAD_);
    many_self_of_(getpid());
    many_self_of_(-1);
    CHECK_EQUAL(errno, EXDEV);
    CHECK_CENSUS(before);
}

static void *first_use(void *argument)
{
    uint64_t *process = argument;

    *process = many_self_process_();
    return NULL;
}

/* In a fresh process, so that all come to a page that is not there yet. */
static void race_for_the_page(void *argument)
{
    enum { THREADS = 8 };
    uint64_t process[THREADS];
    pthread_t threads[THREADS];

    (void)argument;
    for (int i = 0; i < THREADS; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, first_use, &process[i]), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(process[i] == many_self_process_());
}

TEST(threads_that_ask_first_at_the_same_time_agree)
{
    if (TEST_TSAN)
        test_skip("a child of a threaded parent starts a thread");
    for (int round = 0; round < 20; round++)
        CHECK_EQUAL(test_in_child(race_for_the_page, NULL), 0);
}
