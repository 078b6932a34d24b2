/* SPDX-License-Identifier: MIT */
/* test_process_daemon.c - daemons end with the process that started them, however it ends */
#include "process_cases.h"

#include <pthread.h>

typedef struct daemon_notes {
    _Atomic pid_t pid[3];
    _Atomic int beats;
    int signal; /* the parent's own end; 0: it exits */
} daemon_notes;

/* Not by PDEATHSIG: what ends it is what is tested. Should nothing do so, it leaves by itself. */
static int beat(void *argument)
{
    daemon_notes *notes = argument;
    double end = test_seconds() + 35;

    for (int i = 0; i < 3; i++) {
        pid_t none = 0;

        if (atomic_compare_exchange_strong(&notes->pid[i], &none, getpid()))
            break;
    }
    while (test_seconds() < end) {
        atomic_fetch_add(&notes->beats, 1);
        test_pause_(200);
    }
    return 0;
}

static int all_beat(daemon_notes *notes)
{
    for (int i = 0; i < 3; i++)
        if (atomic_load(&notes->pid[i]) == 0)
            return 0;
    return 1;
}

static void end_with_daemons(void *argument)
{
    daemon_notes *notes = argument;
    many_process *processes[3];

    for (int i = 0; i < 3; i++)
        CHECK_CODE(many_process_start(&processes[i], beat, notes, .daemon = 1), 0);
    UNTIL(all_beat(notes));
    CHECK_EQUAL(many_process_is_alive(processes[0]), 1);
    if (notes->signal != 0)
        raise(notes->signal);
}

static void check_daemons_end(int signal)
{
    daemon_notes *notes = test_shared(sizeof *notes);

    notes->signal = signal;
    CHECK_EQUAL(test_in_child(end_with_daemons, notes), signal);
    for (int i = 0; i < 3; i++)
        UNTIL(!case_runs(atomic_load(&notes->pid[i])));
}

TEST(daemons_end_when_their_parent_exits)
{
    check_daemons_end(0);
}

TEST(daemons_end_when_their_parent_is_killed)
{
    check_daemons_end(SIGKILL);
}

TEST(daemons_end_when_their_parent_dies_of_a_fault)
{
    check_daemons_end(SIGTERM);
}

static void *start_in_thread(void *argument)
{
    daemon_notes *notes = argument;
    many_process *process;

    CHECK_CODE(many_process_start(&process, beat, notes, .daemon = 1), 0);
    return process;
}

static void start_by_a_thread_that_ends(void *argument)
{
    daemon_notes *notes = argument;
    many_process *process;
    pthread_t thread;
    void *result;
    int beats;

    CHECK(pthread_create(&thread, NULL, start_in_thread, notes) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    process = result;
    UNTIL(atomic_load(&notes->beats) > 0);
    beats = atomic_load(&notes->beats);
    UNTIL(atomic_load(&notes->beats) > beats + 20);
    CHECK_EQUAL(many_process_is_alive(process), 1);
    CHECK_CODE(many_process_kill(process), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_EQUAL(case_exit_code(process), -SIGKILL);
    many_process_close(process);
}

TEST(a_daemon_lives_on_when_the_thread_that_started_it_ends)
{
    CHECK_EQUAL(test_in_child(start_by_a_thread_that_ends, test_shared(sizeof(daemon_notes))), 0);
}

static void check_daemon_like_others(void *argument)
{
    many_process *process;

    (void)argument;
    for (int i = 0; i < 30; i++) {
        CHECK_CODE(many_process_start(&process, case_return, case_number(i), .daemon = 1), 0);
        CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
        CHECK_EQUAL(case_exit_code(process), i);
        many_process_close(process);
    }
}

TEST(a_daemon_that_ends_first_is_like_any_other)
{
    CHECK_EQUAL(test_in_child(check_daemon_like_others, NULL), 0);
}

static int be_a_parent_of_a_daemon(void *argument)
{
    end_with_daemons(argument);
    return 0;
}

static void start_a_parent_of_daemons(void *argument)
{
    many_process *process;

    CHECK_CODE(many_process_start(&process, be_a_parent_of_a_daemon, argument), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_EQUAL(case_exit_code(process), 0);
    many_process_close(process);
}

TEST(a_child_has_daemons_of_its_own)
{
    daemon_notes *notes = test_shared(sizeof *notes);

    CHECK_EQUAL(test_in_child(start_a_parent_of_daemons, notes), 0);
    for (int i = 0; i < 3; i++)
        UNTIL(!case_runs(atomic_load(&notes->pid[i])));
}
