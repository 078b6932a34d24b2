/* SPDX-License-Identifier: MIT */
/*
 * test_process.c - who starts a process, or is started, is killed at each step of it
 *
 * The queue is held by the test, which is neither: its stream has to end, whole, whoever is killed.
 */
#include "process/process_cases.h"

#include <time.h>

#include "base/fault.h"

#define PROCESS_MESSAGES 50

/* In shared memory. */
static struct process_plan {
    const char *point; /* a string constant: the same address in all forks */
    _Atomic int hits;
    _Atomic pid_t child;
    int kill_parent; /* 1: at the child's point its parent is killed */
    _Atomic pid_t parent;
    many_queue *queue;
    _Atomic int finished;
} * process_plan;

static int process_hook(const char *point)
{
    if (strcmp(point, process_plan->point) != 0)
        return 0;
    atomic_fetch_add(&process_plan->hits, 1);
    if (process_plan->kill_parent) {
        atomic_store(&process_plan->child, getpid());
        if (getppid() == atomic_load(&process_plan->parent))
            kill(getppid(), SIGKILL);
    } else {
        kill(getpid(), SIGKILL);
    }
    return 0;
}

static void process_begin(const char *point, int kill_parent)
{
    process_plan = test_shared(sizeof *process_plan);
    process_plan->point = point;
    process_plan->kill_parent = kill_parent;
    CHECK_CODE(many_queue_open(&process_plan->queue), 0);
    many_fault_hook_ = process_hook;
}

static int process_produce(void *argument)
{
    (void)argument;
    alarm(35);
    for (int i = 0; i < PROCESS_MESSAGES; i++)
        if (many_queue_put(process_plan->queue, &i, sizeof i, MANY_FOREVER) != 0)
            return 1;
    atomic_store(&process_plan->finished, 1);
    return 0;
}

/* Whole messages, in order, then the end. How many. */
static int process_drain(void)
{
    int count = 0, message;
    ssize_t got;

    while ((got = many_queue_get(process_plan->queue, &message, sizeof message, MANY_FOREVER)) >= 0)
        CHECK_EQUAL(message, count++);
    CHECK_CODE((int)got, -EPIPE);
    return count;
}

/* ---- the child is killed ---- */

TEST(a_child_that_is_killed_at_any_step_is_a_producer_that_is_gone)
{
    static const struct {
        const char *point;
        int messages;
    } steps[] = {{"process.child.enlisted", 0},
                 {"process.child.told", 0},
                 {"process.child.begins", 0},
                 {"process.child.returned", PROCESS_MESSAGES}};
    test_census before = test_census_take();

    for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
        many_process *process;

        process_begin(steps[k].point, 0);
        CHECK_CODE(
            many_process_start(&process, process_produce, NULL, .produces = process_plan->queue),
            0);
        CHECK_EQUAL(process_drain(), steps[k].messages);
        CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
        CHECK_EQUAL(case_exit_code(process), -SIGKILL);
        CHECK_EQUAL(atomic_load(&process_plan->hits), 1);
        many_process_close(process);
        many_fault_hook_ = NULL;
        many_queue_close(process_plan->queue);
    }
    CHECK_CENSUS(before);
}

/* Before it has even enlisted itself. */
static int process_kill_in_the_cradle(const char *point)
{
    if (strcmp(point, "ends.add.stored") == 0 && getpid() != getpgrp())
        return process_hook(process_plan->point);
    return 0;
}

static void process_start_one(void *argument)
{
    many_process *process;

    (void)argument;
    CHECK(setpgid(0, 0) == 0); /* so that the hook knows the child by it */
    many_fault_hook_ = process_kill_in_the_cradle;
    CHECK_CODE(many_process_start(&process, process_produce, NULL, .produces = process_plan->queue),
               0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_EQUAL(case_exit_code(process), -SIGKILL);
    many_process_close(process);
}

TEST(a_child_that_is_killed_while_it_is_registered_holds_up_nobody)
{
    process_begin("in the cradle", 0);
    many_fault_hook_ = NULL;
    CHECK_EQUAL(test_in_child(process_start_one, NULL), 0);
    CHECK(atomic_load(&process_plan->hits) >= 1);
    CHECK_EQUAL(process_drain(), 0);
    many_queue_close(process_plan->queue);
}

/* ---- the parent is killed ---- */

static void process_be_the_parent(void *argument)
{
    const int *daemon = argument;
    many_process *process;

    atomic_store(&process_plan->parent, getpid());
    many_process_start(&process, process_produce, NULL, .produces = process_plan->queue,
                       .daemon = *daemon);
    pause();
}

TEST(a_child_whose_parent_is_killed_at_any_step_does_all_its_work)
{
    static const char *const own[] = {"process.start.forked"};
    static const char *const childs[] = {"process.child.enlisted", "process.child.told",
                                         "process.child.begins", "process.child.returned"};
    int daemon = 0;

    for (size_t k = 0; k < 5; k++) {
        process_begin(k == 0 ? own[0] : childs[k - 1], k > 0);
        CHECK_EQUAL(test_in_child(process_be_the_parent, &daemon), SIGKILL);
        /* It may have to come to be registered first: until then the queue is open. */
        CHECK_EQUAL(process_drain(), PROCESS_MESSAGES);
        UNTIL(atomic_load(&process_plan->finished));
        many_fault_hook_ = NULL;
        many_queue_close(process_plan->queue);
    }
}

TEST(a_daemon_whose_parent_is_killed_at_any_step_is_gone)
{
    static const char *const childs[] = {"server.keep.asked", "process.child.enlisted",
                                         "process.child.told", "process.child.begins",
                                         "process.child.returned"};
    int daemon = 1;

    for (size_t k = 0; k < 5; k++) {
        process_begin(childs[k], 1);
        CHECK_EQUAL(test_in_child(process_be_the_parent, &daemon), SIGKILL);
        UNTIL(atomic_load(&process_plan->child) != 0);
        UNTIL(!case_runs(atomic_load(&process_plan->child)));
        many_fault_hook_ = NULL;
        many_queue_close(process_plan->queue);
    }
}

/* ---- at random ---- */

#define PROCESS_LOG 4096

typedef struct process_log {
    _Atomic int count;
    _Atomic pid_t daemons[PROCESS_LOG];
} process_log;

static int process_last(void *argument)
{
    process_log *log = argument;
    int place = atomic_fetch_add(&log->count, 1);

    alarm(35);
    if (place < PROCESS_LOG)
        atomic_store(&log->daemons[place], getpid());
    for (;;)
        pause();
    return 0;
}

static void process_start_daemons(void *argument)
{
    many_process *process;

    while (many_process_start(&process, process_last, argument, .daemon = 1) == 0)
        continue;
}

TEST(daemons_of_a_parent_that_is_killed_at_random_are_gone)
{
    process_log *log = test_shared(sizeof *log);
    unsigned seed = 12345;

    for (int turn = 0; turn < 40; turn++) {
        pid_t parent = test_child_start(process_start_daemons, log);
        struct timespec moment = {0, 0};

        seed = seed * 1103515245 + 12345;
        moment.tv_nsec = (long)(seed >> 8) % 15000000;
        nanosleep(&moment, NULL);
        CHECK(kill(parent, SIGKILL) == 0);
        CHECK_EQUAL(test_child_wait(parent), SIGKILL);
    }
    for (int i = 0; i < atomic_load(&log->count) && i < PROCESS_LOG; i++)
        UNTIL(!case_runs(atomic_load(&log->daemons[i])));
    printf("  %d daemons\n", atomic_load(&log->count));
    CHECK(atomic_load(&log->count) > 0);
}
