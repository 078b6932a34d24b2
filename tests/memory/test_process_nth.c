/* SPDX-License-Identifier: MIT */
/*
 * test_process_nth.c - the first call that can fail in a start fails, the second, ... the last
 *
 * Whatever fails, the start works all the same, or returns a negative code with words; and nothing is
 * left behind.
 */
#include "process/process_cases.h"

#include "base/fault.h"

#define NTH_MOST 100

static const struct nth_point {
    const char *name;
    int code;
} nth_points[] = {{"memory.map", -ENOMEM},      {"bell.open", -EMFILE},  {"fork", -EAGAIN},
                  {"thread.start", -EAGAIN},    {"pidfd.open", -EMFILE}, {"process.new", -ENOMEM},
                  {"process.copy", -ENOMEM},    {"thread.new", -ENOMEM}, {"timer.new", -ENOMEM},
                  {"children.wait", -ENOMEM},   {"self.open", -EMFILE},  {"launch.fork", -EAGAIN},
                  {"descriptors.pair", -EMFILE}};
#define NTH_POINTS (sizeof nth_points / sizeof nth_points[0])

/* In shared memory: children make such calls too. */
static struct nth_plan {
    _Atomic int calls, fails; /* fails: this one, from 1; 0: none */
    _Atomic int which;        /* index of the name that failed, + 1 */
} * nth_plan;

static int nth_call(const char *point)
{
    for (size_t k = 0; k < NTH_POINTS; k++) {
        if (strcmp(nth_points[k].name, point) != 0)
            continue;
        if (atomic_fetch_add(&nth_plan->calls, 1) + 1 != atomic_load(&nth_plan->fails))
            return 0;
        atomic_store(&nth_plan->which, (int)k + 1);
        return nth_points[k].code;
    }
    return 0;
}

static int nth_produce(void *argument)
{
    many_queue *queue = many_inherited(0).queue;
    int message = *(int *)argument;

    case_end_with_test();
    return many_queue_put(queue, &message, sizeof message, MANY_FOREVER) == 0 ? message : 1;
}

/* A process with all that it can have. The code of the start. */
static int nth_process(int daemon)
{
    many_inherit inherits[1] = {{NULL, NULL, NULL}};
    many_process *process, *many[20];
    int message = 42, got = 0, code;

    atomic_store(&nth_plan->calls, -1000); /* the queue is not what is tested */
    CHECK_CODE(many_queue_open(&inherits[0].queue), 0);
    atomic_store(&nth_plan->calls, 0);
    code = many_process_start(&process, nth_produce, &message, .argument_bytes = sizeof message,
                              .produces = inherits[0].queue, .inherits = inherits,
                              .inherits_count = 1, .daemon = daemon);
    if (code == 0) {
        CHECK_EQUAL(many_queue_get(inherits[0].queue, &got, sizeof got, MANY_FOREVER), sizeof got);
        CHECK_EQUAL(got, 42);
        CHECK_CODE((int)many_queue_get(inherits[0].queue, &got, sizeof got, MANY_FOREVER), -EPIPE);
        for (int i = 0; i < 20; i++)
            many[i] = process;
        code = many_process_wait(many, 20, NULL, MANY_FOREVER);
        code = code > 0 ? 0 : code; /* it may end while its twenty handles are looked at */
        CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
        CHECK_EQUAL(case_exit_code(process), 42);
        many_process_close(process);
    } else {
        CHECK(process == NULL);
    }
    many_queue_close(inherits[0].queue);
    return code;
}

static int nth_plain(void)
{
    return nth_process(0);
}

static int nth_daemon(void)
{
    return nth_process(1);
}

static int nth_return(void *argument)
{
    return *(int *)argument;
}

static int nth_thread(void)
{
    many_thread *thread;
    many_queue *queue;
    int number = 7, code;

    atomic_store(&nth_plan->calls, -1000);
    CHECK_CODE(many_queue_open(&queue), 0);
    atomic_store(&nth_plan->calls, 0);
    code = many_thread_start(&thread, nth_return, &number, .consumes = queue);
    if (code == 0) {
        code = many_thread_descriptor(thread);
        code = code > 0 ? 0 : code;
        CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
        many_thread_close(thread);
    } else {
        CHECK(thread == NULL);
    }
    many_queue_close(queue);
    return code;
}

static int nth_timer(void)
{
    many_timer *timer;
    int number = 7, code;

    atomic_store(&nth_plan->calls, 0);
    code = many_timer_start(&timer, 0, nth_return, &number);
    if (code == 0) {
        CHECK_CODE(many_timer_join(timer, MANY_FOREVER), 0);
        many_timer_close(timer);
    } else {
        CHECK(timer == NULL);
    }
    return code;
}

static void nth_run(const char *name, int (*scenario)(void))
{
    test_signals signals;
    test_census census;
    int refused = 0, fails;

    nth_plan = test_shared(sizeof *nth_plan);
    many_fault_hook_ = nth_call;
    CHECK_CODE(scenario(), 0);
    census = test_census_take();
    test_signals_take(&signals);
    for (fails = 1;; fails++) {
        const struct nth_point *point;
        int code;

        CHECK(fails < NTH_MOST);
        atomic_store(&nth_plan->which, 0);
        atomic_store(&nth_plan->fails, fails);
        many_fail(-1, "%s", "");
        code = scenario();
        CHECK_SIGNALS(signals);
        CHECK_CENSUS(census);
        if (atomic_load(&nth_plan->which) == 0) {
            CHECK_CODE(code, 0);
            break;
        }
        if (code == 0)
            continue;
        point = &nth_points[atomic_load(&nth_plan->which) - 1];
        refused++;
        /* Not what can be done without: */
        CHECK(strcmp(point->name, "pidfd.open") != 0 && strcmp(point->name, "self.open") != 0);
        CHECK_CODE(code, point->code);
        CHECK(strlen(many_error_message()) > 20);
        CHECK_CONTAINS(many_error_message(), "many_");
        CHECK_CONTAINS(many_error_message(), ": ");
    }
    many_fault_hook_ = NULL;
    printf("  %s: %d calls failed, %d starts with them\n", name, fails - 1, refused);
    CHECK(refused > 0);
}

TEST(a_start_outlives_or_reports_the_failure_of_any_one_call)
{
    nth_run("process", nth_plain);
}

TEST(a_start_of_a_thread_outlives_or_reports_the_failure_of_any_one_call)
{
    nth_run("thread", nth_thread);
}

TEST(a_start_of_a_timer_outlives_or_reports_the_failure_of_any_one_call)
{
    nth_run("timer", nth_timer);
}

static void nth_in_a_child(void *argument)
{
    (void)argument;
    nth_run("daemon", nth_daemon);
}

/* In a child of its own, because the server stays as long as that. */
TEST(a_start_of_a_daemon_outlives_or_reports_the_failure_of_any_one_call)
{
    CHECK_EQUAL(test_in_child(nth_in_a_child, NULL), 0);
}
