/* SPDX-License-Identifier: MIT */
/* test_process.c - the verbs of a process: start, join, wait, ask, end */
#include "process_cases.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>

static int abort_at_once(void *argument)
{
    (void)argument;
    signal(SIGABRT, SIG_DFL);
    raise(SIGABRT);
    return 0;
}

static int call_exit(void *argument)
{
    exit((int)(intptr_t)argument);
}

static int call_exit_at_once(void *argument)
{
    _exit((int)(intptr_t)argument);
}

static int raise_signal(void *argument)
{
    raise((int)(intptr_t)argument);
    return 0;
}

TEST(a_process_runs_its_function_and_its_exit_code_is_what_that_returned)
{
    CHECK_EQUAL(case_run(case_return, case_number(0)), 0);
    CHECK_EQUAL(case_run(case_return, case_number(3)), 3);
    CHECK_EQUAL(case_run(case_return, case_number(255)), 255);
    CHECK_EQUAL(case_run(case_return, case_number(256 + 7)), 7);
}

TEST(an_end_by_exit_or_a_signal_is_told_as_such)
{
    CHECK_EQUAL(case_run(call_exit, case_number(4)), 4);
    CHECK_EQUAL(case_run(call_exit_at_once, case_number(5)), 5);
    CHECK_EQUAL(case_run(abort_at_once, NULL), -SIGABRT);
    CHECK_EQUAL(case_run(raise_signal, case_number(SIGKILL)), -SIGKILL);
    CHECK_EQUAL(case_run(raise_signal, case_number(SIGTERM)), -SIGTERM);
}

TEST(before_its_end_it_is_alive_and_has_no_exit_code_and_afterwards_it_is_the_other_way_round)
{
    _Atomic int *gate = test_shared(sizeof *gate);
    many_process *process;
    many_cause cause;
    int code = 77;

    CHECK_CODE(many_process_start(&process, case_pass_gate, gate), 0);
    CHECK_EQUAL(many_process_is_alive(process), 1);
    CHECK_CODE(many_process_exit_code(process, &code), -EAGAIN);
    CHECK_CODE(many_process_cause(process, &cause), -EAGAIN);
    CHECK_EQUAL(code, 77);
    atomic_store(gate, 9);
    UNTIL(many_process_is_alive(process) == 0);
    CHECK_EQUAL(case_exit_code(process), 9);
    CHECK_EQUAL(case_exit_code(process), 9);
    CHECK_EQUAL(many_process_is_alive(process), 0);
    many_process_close(process);
}

TEST(a_join_may_be_repeated)
{
    many_process *process;

    CHECK_CODE(many_process_start(&process, case_return, NULL), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_CODE(many_process_join(process, 0), 0);
    CHECK_CODE(many_process_join(process, 10), 0);
    many_process_close(process);
}

TEST(a_join_gives_up_after_its_timeout_and_at_once_with_0)
{
    many_process *process;
    double begin;

    CHECK_CODE(many_process_start(&process, case_stay, NULL), 0);
    CHECK_CODE(many_process_join(process, 0), -ETIMEDOUT);
    CHECK_CONTAINS(many_error_message(), "runs still");
    begin = test_seconds();
    CHECK_CODE(many_process_join(process, 0.05), -ETIMEDOUT);
    CHECK(test_seconds() - begin >= 0.05);
    CHECK_CODE(many_process_join(process, -0.5), -EINVAL);
    CHECK_CODE(many_process_join(process, (double)NAN), -EINVAL);
    CHECK_EQUAL(many_process_is_alive(process), 1);
    many_process_close(process);
}

static void note_signal(int signal)
{
    (void)signal;
}

static int interrupt_parent(void *argument)
{
    _Atomic int *gate = argument;

    case_end_with_test();
    while (atomic_load(gate) == 0) {
        kill(getppid(), SIGUSR1);
        test_pause_(200);
    }
    return 0;
}

TEST(a_handler_of_a_signal_ends_a_join_and_a_wait)
{
    _Atomic int *gate = test_shared(sizeof *gate);
    struct sigaction action, old;
    many_process *process;

    memset(&action, 0, sizeof action);
    action.sa_handler = note_signal;
    action.sa_flags = SA_RESTART;
    CHECK(sigaction(SIGUSR1, &action, &old) == 0);
    CHECK_CODE(many_process_start(&process, interrupt_parent, gate), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), -EINTR);
    CHECK_CODE(many_process_wait(&process, 1, NULL, MANY_FOREVER), -EINTR);
    atomic_store(gate, 1);
    while (many_process_join(process, MANY_FOREVER) == -EINTR)
        continue;
    many_process_close(process);
    CHECK(sigaction(SIGUSR1, &old, NULL) == 0);
}

TEST(terminate_is_sigterm_and_kill_is_sigkill)
{
    many_process *process;
    _Atomic int *ready = test_shared(sizeof *ready);

    CHECK_CODE(many_process_start(&process, case_stay, NULL), 0);
    CHECK_CODE(many_process_terminate(process), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_EQUAL(case_exit_code(process), -SIGTERM);
    CHECK_CODE(many_process_terminate(process), 0); /* of the dead: nothing */
    CHECK_CODE(many_process_kill(process), 0);
    many_process_close(process);

    CHECK_CODE(many_process_start(&process, case_be_stubborn, ready), 0);
    UNTIL(atomic_load(ready));
    CHECK_CODE(many_process_terminate(process), 0);
    CHECK_CODE(many_process_join(process, 0.05), -ETIMEDOUT);
    CHECK_CODE(many_process_kill(process), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_EQUAL(case_exit_code(process), -SIGKILL);
    many_process_close(process);
}

TEST(a_cause_is_the_facts_and_a_sentence)
{
    many_process *process;
    many_cause cause;
    char text[128];

    CHECK_CODE(many_process_start(&process, case_return, NULL, .name = "cube"), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_CODE(many_process_cause(process, &cause), 0);
    snprintf(text, sizeof text, "'cube' (pid %d) exited with 0", (int)many_process_pid(process));
    CHECK_STRING(cause.text, text);
    CHECK_EQUAL(cause.code, 0);
    CHECK_EQUAL(cause.signal, 0);
    CHECK_EQUAL(cause.exit_status, 0);
    CHECK_EQUAL(cause.pid, many_process_pid(process));
    CHECK(cause.seconds > 0 && cause.seconds < 40);
    CHECK(cause.peak_bytes > 100000);
    many_process_close(process);

    CHECK_CODE(many_process_start(&process, raise_signal, case_number(SIGKILL)), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_CODE(many_process_cause(process, &cause), 0);
    CHECK_EQUAL(cause.code, -MANY_EDIED);
    CHECK_EQUAL(cause.signal, SIGKILL);
    CHECK_EQUAL(cause.exit_status, -1);
    CHECK_CONTAINS(cause.text, ") died of SIGKILL");
    many_process_close(process);
}

TEST(names_are_given_or_counted)
{
    static const char longer[] =
        "a name that is longer than the sixty-three bytes that are kept of it \xC3\xA4";
    many_process *first, *second, *named, *cut;
    int number;

    CHECK_CODE(many_process_start(&first, case_return, NULL), 0);
    CHECK_CODE(many_process_start(&named, case_return, NULL, .name = "reader"), 0);
    CHECK_CODE(many_process_start(&second, case_return, NULL), 0);
    CHECK_CODE(many_process_start(&cut, case_return, NULL, .name = longer), 0);
    CHECK_EQUAL(sscanf(many_process_name(first), "Process-%d", &number), 1);
    CHECK(number >= 1);
    CHECK_EQUAL(atoi(many_process_name(second) + strlen("Process-")), number + 1);
    CHECK_STRING(many_process_name(named), "reader");
    CHECK_EQUAL(strlen(many_process_name(cut)), 63);
    CHECK_EQUAL(strncmp(many_process_name(cut), longer, 63), 0);
    many_process_close(first);
    many_process_close(second);
    many_process_close(named);
    many_process_close(cut);
}

TEST(a_descriptor_turns_readable_at_the_end_and_stays_so)
{
    _Atomic int *gate = test_shared(sizeof *gate);
    struct pollfd poller;
    many_process *process;

    CHECK_CODE(many_process_start(&process, case_pass_gate, gate), 0);
    poller = (struct pollfd){many_process_descriptor(process), POLLIN, 0};
    if (poller.fd == -ENOSYS) {
        many_process_close(process);
        test_skip("this system has no pidfd");
    }
    CHECK(poller.fd > 2);
    CHECK(fcntl(poller.fd, F_GETFD) == FD_CLOEXEC);
    CHECK_EQUAL(poll(&poller, 1, 0), 0);
    atomic_store(gate, 1);
    CHECK_EQUAL(poll(&poller, 1, -1), 1);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_EQUAL(many_process_descriptor(process), poller.fd);
    CHECK_EQUAL(poll(&poller, 1, 0), 1);
    many_process_close(process);
}

TEST(a_wait_for_several_tells_which_have_ended)
{
    _Atomic int *gates = test_shared(40 * sizeof *gates);
    many_process *processes[40] = {NULL};
    int ended[40];

    for (int i = 0; i < 40; i++)
        if (i != 7)
            CHECK_CODE(many_process_start(&processes[i], case_pass_gate, &gates[i]), 0);
    for (size_t n = 10; n <= 40; n += 30) { /* few, and many */
        int last = (int)n - 1;

        memset(ended, 7, sizeof ended);
        CHECK_CODE(many_process_wait(processes, n, ended, 0), n == 10 ? -ETIMEDOUT : 1);
        if (n == 10)
            CHECK_CODE(many_process_wait(processes, n, ended, 0.02), -ETIMEDOUT);
        CHECK_EQUAL(ended[last], 0);
        atomic_store(&gates[last], 1);
        if (n == 10) {
            CHECK_CODE(many_process_wait(processes, n, ended, MANY_FOREVER), 1);
            CHECK_EQUAL(ended[last], 1);
            CHECK_EQUAL(ended[0], 0);
        } else {
            UNTIL(many_process_wait(processes, n, ended, MANY_FOREVER) == 2);
            CHECK_EQUAL(ended[last], 1);
            CHECK_EQUAL(ended[9], 1);
            CHECK_EQUAL(ended[8], 0);
        }
        CHECK_EQUAL(ended[7], 0);
    }
    for (int i = 0; i < 40; i++)
        atomic_store(&gates[i], 1);
    UNTIL(many_process_wait(processes, 40, NULL, 0) == 39);
    CHECK_CODE(many_process_wait(processes, 0, NULL, 0), -EINVAL);
    CHECK_CODE(many_process_wait(NULL, 1, NULL, 0), -EINVAL);
    CHECK_CODE(many_process_wait(processes, 40, NULL, -3), -EINVAL);
    for (int i = 0; i < 40; i++)
        many_process_close(processes[i]);
}

static void wait_for_more_than_can_be_polled(void *argument)
{
    const struct rlimit limit = {64, 64};
    many_process *processes[100] = {NULL};
    int ended[100];

    CHECK_CODE(many_process_start(&processes[99], case_pass_gate, argument), 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK_CODE(many_process_wait(processes, 100, ended, 0), -ETIMEDOUT);
    CHECK_CODE(many_process_wait(processes, 100, ended, 0.05), -ETIMEDOUT);
    atomic_store((_Atomic int *)argument, 1);
    CHECK_CODE(many_process_wait(processes, 100, ended, MANY_FOREVER), 1);
    CHECK_EQUAL(ended[99], 1);
    many_process_close(processes[99]);
}

TEST(a_wait_for_more_processes_than_descriptors_are_allowed_ends_in_time)
{
    CHECK_EQUAL(test_in_child(wait_for_more_than_can_be_polled, test_shared(sizeof(_Atomic int))),
                0);
}

static int is_listed(const many_process *process)
{
    many_process *list[64];
    ssize_t count = many_process_children(list, 64);

    for (ssize_t i = 0; i < count; i++)
        if (list[i] == process)
            return 1;
    return 0;
}

TEST(the_list_of_children_has_those_that_run)
{
    _Atomic int *gate = test_shared(sizeof *gate);
    many_process *one, *other, *place = NULL;
    ssize_t before = many_process_children(NULL, 0);

    CHECK_CODE(many_process_start(&one, case_pass_gate, gate), 0);
    CHECK_CODE(many_process_start(&other, case_stay, NULL), 0);
    CHECK_EQUAL(many_process_children(NULL, 0), before + 2);
    CHECK_EQUAL(many_process_children(&place, 1), before + 2);
    CHECK(place == one || place == other);
    CHECK(is_listed(one) && is_listed(other));
    atomic_store(gate, 1);
    UNTIL(!is_listed(one));
    CHECK(is_listed(other));
    many_process_close(other);
    CHECK_EQUAL(many_process_children(NULL, 0), before);
    CHECK_EQUAL(case_exit_code(one), 1);
    many_process_close(one);
    CHECK_EQUAL(many_process_children(NULL, 0), before);
}

TEST(close_ends_what_runs_still)
{
    _Atomic int *ready = test_shared(sizeof *ready);
    test_census before = case_census();
    many_process *process;
    pid_t pid;
    double begin;

    CHECK_CODE(many_process_start(&process, case_stay, NULL), 0);
    pid = many_process_pid(process);
    many_process_close(process);
    CHECK(!case_runs(pid));
    CHECK_CODE(many_process_start(&process, case_be_stubborn, ready), 0);
    UNTIL(atomic_load(ready));
    pid = many_process_pid(process);
    begin = test_seconds();
    many_process_close(process); /* SIGTERM is ignored: SIGKILL after 5 s */
    CHECK(test_seconds() - begin >= 4.9);
    CHECK(!case_runs(pid));
    many_process_close(NULL);
    CHECK_CENSUS(before);
}

typedef struct joiner {
    many_process *process;
    int code, exit_code;
} joiner;

static void *join_in_thread(void *argument)
{
    joiner *joins = argument;

    joins->code = many_process_join(joins->process, MANY_FOREVER);
    joins->exit_code = -1;
    many_process_exit_code(joins->process, &joins->exit_code);
    return NULL;
}

TEST(several_threads_may_join_the_same_process_and_all_learn_how_it_ended)
{
    enum { JOINERS = 8, TIMES = 20 };
    _Atomic int *gates = test_shared(TIMES * sizeof *gates);

    for (int turn = 0; turn < TIMES; turn++) {
        joiner joiners[JOINERS];
        pthread_t threads[JOINERS];
        many_process *process;

        CHECK_CODE(many_process_start(&process, case_pass_gate, &gates[turn]), 0);
        for (int i = 0; i < JOINERS; i++) {
            joiners[i].process = process;
            CHECK(pthread_create(&threads[i], NULL, join_in_thread, &joiners[i]) == 0);
        }
        atomic_store(&gates[turn], 23);
        for (int i = 0; i < JOINERS; i++) {
            CHECK(pthread_join(threads[i], NULL) == 0);
            CHECK_CODE(joiners[i].code, 0);
            CHECK_EQUAL(joiners[i].exit_code, 23);
        }
        many_process_close(process);
    }
}

TEST(what_makes_no_sense_is_refused_with_words)
{
    many_process *process = (many_process *)&process;
    many_inherit none = {NULL, NULL, NULL};
    many_process_options options = {.size = sizeof options};
    int number = 1;

    CHECK_CODE(many_process_start_with(NULL), -EINVAL);
    CHECK_CODE(many_process_start_with(&options), -EINVAL);
    CHECK_CODE(many_process_start(&process, NULL, NULL), -EINVAL);
    CHECK(process == NULL);
    CHECK_CONTAINS(many_error_message(), "fn is NULL");
    CHECK_CODE(many_process_start(&process, case_return, NULL, .method = 3), -EINVAL);
    CHECK_CODE(many_process_start(&process, case_return, NULL, .method = -1), -EINVAL);
    CHECK_CODE(many_process_start(&process, case_return, NULL, .argument_bytes = 4), -EINVAL);
    CHECK_CODE(many_process_start(&process, case_return, &number, .method = MANY_FORKSERVER),
               -EINVAL);
    CHECK_CONTAINS(many_error_message(), ".argument_bytes");
    CHECK_CODE(many_process_start(&process, case_return, &number, .method = MANY_SPAWN), -EINVAL);
    CHECK_CODE(
        many_process_start(&process, case_return, &number, .argument_bytes = ((size_t)1 << 30) + 1),
        -E2BIG);
    CHECK_CODE(many_process_start(&process, case_return, NULL, .inherits_count = 1), -EINVAL);
    CHECK_CODE(
        many_process_start(&process, case_return, NULL, .inherits = &none, .inherits_count = 1),
        -EINVAL);
    CHECK_CONTAINS(many_error_message(), ".inherits[0]");

    CHECK_CODE(many_process_join(NULL, 0), -EINVAL);
    CHECK_CODE(many_process_is_alive(NULL), -EINVAL);
    CHECK_CODE(many_process_exit_code(NULL, &number), -EINVAL);
    CHECK_CODE(many_process_terminate(NULL), -EINVAL);
    CHECK_CODE(many_process_kill(NULL), -EINVAL);
    CHECK_CODE(many_process_descriptor(NULL), -EINVAL);
    CHECK_CODE(many_process_pid(NULL), -EINVAL);
    CHECK_STRING(many_process_name(NULL), "");
}

TEST(the_current_process_is_a_handle_that_nobody_can_wait_for)
{
    many_process *current = many_process_current();
    int code;

    CHECK(current == many_process_current());
    CHECK_STRING(many_process_name(current), "MainProcess");
    CHECK_EQUAL(many_process_pid(current), getpid());
    CHECK_EQUAL(many_process_is_alive(current), 1);
    CHECK_CODE(many_process_join(current, 0), -EDEADLK);
    CHECK_CODE(many_process_exit_code(current, &code), -EAGAIN);
    CHECK_CODE(many_process_descriptor(current), -EINVAL);
    CHECK_CODE(many_process_wait(&current, 1, &code, 0), -ETIMEDOUT);
    CHECK(many_process_parent() == NULL);
    many_process_close(current);
    CHECK_STRING(many_process_name(many_process_current()), "MainProcess");
}
