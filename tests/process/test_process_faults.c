/* SPDX-License-Identifier: MIT */
/* test_process_faults.c - processes without pidfd, as on old kernels and under tools */
#include "process_cases.h"

#include <pthread.h>

#include "base/fault.h"

static int without_pidfd(const char *point)
{
    return strcmp(point, "pidfd.open") == 0 ? -ENOSYS : 0;
}

TEST(all_verbs_work_without_pidfd)
{
    _Atomic int *gate = test_shared(sizeof *gate);
    test_census before = case_census();
    many_process *process;

    many_fault_hook_ = without_pidfd;
    CHECK_CODE(many_process_start(&process, case_pass_gate, gate), 0);
    CHECK_CODE(many_process_descriptor(process), -ENOSYS);
    CHECK_EQUAL(many_process_is_alive(process), 1);
    CHECK_CODE(many_process_join(process, 0), -ETIMEDOUT);
    CHECK_CODE(many_process_join(process, 0.03), -ETIMEDOUT);
    CHECK_CODE(many_process_wait(&process, 1, NULL, 0.03), -ETIMEDOUT);
    atomic_store(gate, 4);
    CHECK_CODE(many_process_wait(&process, 1, NULL, MANY_FOREVER), 1);
    CHECK_CODE(many_process_join(process, 0), 0);
    CHECK_EQUAL(case_exit_code(process), 4);
    CHECK_CODE(many_process_kill(process), 0);
    many_process_close(process);

    CHECK_CODE(many_process_start(&process, case_stay, NULL), 0);
    CHECK_CODE(many_process_terminate(process), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_EQUAL(case_exit_code(process), -SIGTERM);
    many_process_close(process);

    CHECK_CODE(many_process_start(&process, case_stay, NULL), 0);
    many_process_close(process);
    CHECK_CENSUS(before);
}

static void ignore_children(void *argument)
{
    many_process *process;
    int code;

    (void)argument;
    signal(SIGCHLD, SIG_IGN);
    many_fault_hook_ = without_pidfd;
    CHECK_CODE(many_process_start(&process, case_stay, NULL), 0);
    CHECK_CODE(many_process_join(process, 0.02), -ETIMEDOUT);
    CHECK_CODE(many_process_kill(process), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_CODE(many_process_exit_code(process, &code), 0);
    CHECK_EQUAL(code, MANY_EXIT_UNKNOWN);
    CHECK_CODE(many_process_kill(process), 0); /* nobody */
    many_process_close(process);
}

TEST(without_pidfd_and_with_sigchld_ignored_an_end_is_seen_and_how_is_unknown)
{
    CHECK_EQUAL(test_in_child(ignore_children, NULL), 0);
}

static void *take_any(void *argument)
{
    pid_t got;

    (void)argument;
    do
        got = waitpid(-1, NULL, 0);
    while (got < 0 && errno == EINTR);
    return NULL;
}

static void have_it_taken(void *argument)
{
    many_process *process;
    many_cause cause;
    pthread_t thread;

    (void)argument;
    many_fault_hook_ = without_pidfd;
    CHECK_CODE(many_process_start(&process, case_return, case_number(3)), 0);
    CHECK(pthread_create(&thread, NULL, take_any, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_CODE(many_process_terminate(process), 0); /* the number may be a stranger's: no signal */
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_CODE(many_process_cause(process, &cause), 0);
    CHECK_CONTAINS(cause.text, "ended; its status was taken by somebody else in the program");
    CHECK_EQUAL(cause.code, 0);
    CHECK_EQUAL(cause.exit_status, -1);
    many_process_close(process);
}

TEST(a_status_that_somebody_else_took_is_unknown_and_no_signal_is_sent_any_more)
{
    CHECK_EQUAL(test_in_child(have_it_taken, NULL), 0);
}

typedef struct orphan {
    _Atomic int seen, fine;
} orphan;

static int outlive_parent(void *argument)
{
    orphan *notes = argument;
    many_process *parent = many_process_parent();

    alarm(30);
    if (many_process_is_alive(parent) != 1 || many_process_join(parent, 0.02) != -ETIMEDOUT ||
        many_process_descriptor(parent) != -ENOSYS)
        atomic_store(&notes->fine, -1);
    atomic_store(&notes->seen, 1);
    if (many_process_join(parent, 30) != 0)
        atomic_store(&notes->fine, -1);
    if (atomic_load(&notes->fine) == 0)
        atomic_store(&notes->fine, 1);
    return 0;
}

static void die_as_parent(void *argument)
{
    orphan *notes = argument;
    many_process *process;

    many_fault_hook_ = without_pidfd;
    CHECK_CODE(many_process_start(&process, outlive_parent, notes), 0);
    UNTIL(atomic_load(&notes->seen));
    raise(SIGKILL);
}

TEST(the_end_of_a_parent_is_seen_without_pidfd)
{
    orphan *notes = test_shared(sizeof *notes);

    CHECK_EQUAL(test_in_child(die_as_parent, notes), SIGKILL);
    UNTIL(atomic_load(&notes->fine) != 0);
    CHECK_EQUAL(atomic_load(&notes->fine), 1);
}

static _Atomic int hurry;

static int yield_here(const char *point)
{
    if (atomic_load(&hurry) && strcmp(point, "thread.end.before_done") == 0)
        for (int i = 0; i < 50; i++)
            test_pause_(i);
    return 0;
}

static void *join_it(void *argument)
{
    return case_number(many_thread_join(argument, MANY_FOREVER));
}

TEST(joins_and_closes_that_meet_a_thread_at_its_end)
{
    test_census before = case_census();

    many_fault_hook_ = yield_here;
    atomic_store(&hurry, 1);
    for (int i = 0; i < 50; i++) {
        many_thread *thread;
        pthread_t joiner;
        void *result = &joiner;

        CHECK_CODE(many_thread_start(&thread, case_return, NULL, .daemon = i & 1), 0);
        CHECK(pthread_create(&joiner, NULL, join_it, thread) == 0);
        CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
        CHECK(pthread_join(joiner, &result) == 0 && result == NULL);
        many_thread_close(thread);
    }
    atomic_store(&hurry, 0);
    CHECK_CENSUS(before);
}
