/* SPDX-License-Identifier: MIT */
/*
 * started_cases.h - what holds of each process that is no fork of its starter
 *
 * Included by a file that says which method it means:
 *
 *   #define STARTED MANY_FORKSERVER
 *   #include "started_cases.h"
 *   #include "started_around.h"
 *
 * Such a process has none of the test's memory: what it finds out goes into a segment that it inherits.
 */
#ifndef MANY_TEST_STARTED_CASES_H
#define MANY_TEST_STARTED_CASES_H

#include "process_cases.h"

#include <many/channel.h>

/* What a process tells, and is told; zero at first. */
typedef struct started_facts {
    _Atomic int gate, ready;
    pid_t test; /* its process, with which all that wait for the gate end */
    _Atomic long sum;
    pid_t pid, parent, parent_pid;
    char name[64], parent_name[64];
    int daemon_dies, join_code, alive;
    size_t bytes;
    int aligned, equal, none;
    sigset_t mask;
    int caught_is_default, ignored_is_ignored;
    int descriptors[16];
    size_t descriptors_count;
} started_facts;

static many_segment *started_segment;
static started_facts *started_here;

/* A segment for this TEST; closed by started_close(). */
static many_inherit started_open(void)
{
    CHECK_CODE(many_segment_open(&started_segment, .bytes = sizeof *started_here), 0);
    started_here = many_segment_data(started_segment);
    started_here->test = getpid();
    return (many_inherit){.segment = started_segment};
}

static void started_close(void)
{
    many_segment_close(started_segment);
    started_segment = NULL;
}

/* In a started process. */
static started_facts *started_told(void)
{
    return many_segment_data(many_inherited(0).segment);
}

static int started_join(many_process *process)
{
    int code = -12345;

    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_CODE(many_process_exit_code(process, &code), 0);
    many_process_close(process);
    return code;
}

/* fn with a number as its argument; the exit code. */
static int started_run(many_process_fn *fn, int number)
{
    many_process *process;

    CHECK_CODE(many_process_start(&process, fn, &number, .argument_bytes = sizeof number,
                                  .method = STARTED),
               0);
    return started_join(process);
}

/* ---- ends ---- */

static int started_return(void *argument)
{
    return *(int *)argument;
}

static int started_exit(void *argument)
{
    exit(*(int *)argument);
}

static int started_exit_at_once(void *argument)
{
    _exit(*(int *)argument);
}

static int started_raise(void *argument)
{
    raise(*(int *)argument);
    return 0;
}

TEST(an_exit_code_or_a_signal_is_told_as_of_a_fork)
{
    CHECK_EQUAL(started_run(started_return, 0), 0);
    CHECK_EQUAL(started_run(started_return, 3), 3);
    CHECK_EQUAL(started_run(started_return, 255), 255);
    CHECK_EQUAL(started_run(started_return, 256 + 7), 7);
    CHECK_EQUAL(started_run(started_exit, 4), 4);
    CHECK_EQUAL(started_run(started_exit_at_once, 5), 5);
    CHECK_EQUAL(started_run(started_raise, SIGKILL), -SIGKILL);
    CHECK_EQUAL(started_run(started_raise, SIGTERM), -SIGTERM);
}

TEST(the_cause_has_name_pid_and_the_end_in_words)
{
    many_process *process;
    many_cause cause;
    char text[64];
    int number = SIGTERM;

    CHECK_CODE(many_process_start(&process, started_raise, &number, .argument_bytes = sizeof number,
                                  .method = STARTED, .name = "victim"),
               0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_CODE(many_process_cause(process, &cause), 0);
    snprintf(text, sizeof text, "'victim' (pid %d) died of SIGTERM",
             (int)many_process_pid(process));
    CHECK_CONTAINS(cause.text, text);
    CHECK_EQUAL(cause.signal, SIGTERM);
    CHECK_EQUAL(cause.pid, many_process_pid(process));
    many_process_close(process);
}

/* ---- what it is given ---- */

static int started_tell_names(void *argument)
{
    started_facts *facts = started_told();
    many_process *parent = many_process_parent();

    (void)argument;
    facts->pid = many_process_pid(many_process_current());
    facts->parent = getppid();
    facts->parent_pid = many_process_pid(parent);
    snprintf(facts->name, sizeof facts->name, "%s", many_process_name(many_process_current()));
    snprintf(facts->parent_name, sizeof facts->parent_name, "%s", many_process_name(parent));
    facts->alive = many_process_is_alive(parent);
    facts->join_code = many_process_join(parent, 0);
    return getpid() == facts->pid ? 0 : 1;
}

TEST(it_knows_its_name_and_its_parent)
{
    many_inherit inherits = started_open();
    many_process *process;
    pid_t pid;

    CHECK_CODE(many_process_start(&process, started_tell_names, NULL, .method = STARTED,
                                  .name = "child", .inherits = &inherits, .inherits_count = 1),
               0);
    pid = many_process_pid(process);
    CHECK_EQUAL(started_join(process), 0);
    CHECK_EQUAL(started_here->pid, pid);
    CHECK_EQUAL(started_here->parent_pid, getpid());
    CHECK_STRING(started_here->name, "child");
    CHECK_STRING(started_here->parent_name, "MainProcess");
    CHECK_EQUAL(started_here->alive, 1);
    CHECK_EQUAL(started_here->join_code, -ETIMEDOUT);
    started_close();
}

static int started_tell_argument(void *argument)
{
    const size_t bytes = *(size_t *)argument;
    unsigned char *at = (unsigned char *)argument + sizeof bytes;

    for (size_t i = 0; i < bytes - sizeof bytes; i++)
        if (at[i] != (unsigned char)(i * 7))
            return 2;
    if ((uintptr_t)argument % _Alignof(max_align_t) != 0)
        return 3;
    memset(argument, 0xff, bytes); /* it is a copy, and may be written to */
    return 0;
}

TEST(argument_bytes_arrive_as_they_are_aligned_and_writable)
{
    static const size_t sizes[] = {sizeof(size_t), sizeof(size_t) + 1, 4095, 4096, 4097, 3000001};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *bytes = malloc(sizes[i]);
        many_process *process;

        CHECK(bytes != NULL);
        memcpy(bytes, &sizes[i], sizeof sizes[i]);
        for (size_t k = sizeof sizes[i]; k < sizes[i]; k++)
            bytes[k] = (unsigned char)((k - sizeof sizes[i]) * 7);
        CHECK_CODE(many_process_start(&process, started_tell_argument, bytes,
                                      .argument_bytes = sizes[i], .method = STARTED),
                   0);
        free(bytes);
        CHECK_EQUAL(started_join(process), 0);
    }
}

static int started_wants_nothing(void *argument)
{
    many_inherit one = many_inherited(0);

    return argument == NULL && one.segment == NULL && one.queue == NULL && one.pipe == NULL ? 0 : 1;
}

TEST(without_an_argument_it_gets_null_and_what_was_not_handed_over_is_not_there)
{
    many_process *process;

    CHECK_CODE(many_process_start(&process, started_wants_nothing, NULL, .method = STARTED), 0);
    CHECK_EQUAL(started_join(process), 0);
}

TEST(a_pointer_without_its_bytes_is_refused)
{
    many_process *process = (many_process *)&process;
    int number = 0;

    CHECK_CODE(many_process_start(&process, started_return, &number, .method = STARTED), -EINVAL);
    CHECK(process == NULL);
}

/* ---- segments, queues, pipes ---- */

static int started_use_all(void *argument)
{
    char text[32];
    many_queue *queue = many_inherited(1).queue;
    many_pipe *pipe = many_inherited(2).pipe;
    ssize_t got;

    (void)argument;
    if (many_inherited(3).segment == NULL || many_inherited(4).segment != NULL)
        return 2;
    atomic_fetch_add(&started_told()->sum, 5);
    *(int *)many_segment_data(many_inherited(3).segment) = 11;
    got = many_queue_get(queue, text, sizeof text, MANY_FOREVER);
    if (got != 5 || memcmp(text, "hello", 5) != 0)
        return 3;
    if (many_queue_put(queue, "queue", 5, MANY_FOREVER) != 0)
        return 4;
    got = many_pipe_receive(pipe, text, sizeof text, MANY_FOREVER);
    if (got != 4 || memcmp(text, "pipe", 4) != 0)
        return 5;
    return many_pipe_send(pipe, "back", 4, MANY_FOREVER) == 0 ? 0 : 6;
}

TEST(it_has_the_segments_queues_and_pipes_that_it_inherits)
{
    many_inherit first = started_open();
    many_segment *other;
    many_queue *queue;
    many_pipe *mine, *its;
    many_process *process;
    char text[32];

    CHECK_CODE(many_segment_open(&other, .bytes = sizeof(int)), 0);
    CHECK_CODE(many_queue_open(&queue), 0);
    CHECK_CODE(many_pipe_open(&mine, &its), 0);
    CHECK_CODE(many_queue_put(queue, "hello", 5, MANY_FOREVER), 0);
    CHECK_CODE(
        many_process_start(
            &process, started_use_all, NULL, .method = STARTED,
            .inherits =
                (const many_inherit[]){first, {.queue = queue}, {.pipe = its}, {.segment = other}},
            .inherits_count = 4),
        0);
    many_pipe_close(its);
    CHECK_CODE(many_pipe_send(mine, "pipe", 4, MANY_FOREVER), 0);
    CHECK_CODE(many_pipe_receive(mine, text, sizeof text, MANY_FOREVER), 4);
    CHECK_BYTES(text, "back", 4);
    CHECK_EQUAL(started_join(process), 0);
    CHECK_CODE(many_queue_get(queue, text, sizeof text, MANY_FOREVER), 5);
    CHECK_BYTES(text, "queue", 5);
    CHECK_EQUAL(atomic_load(&started_here->sum), 5);
    CHECK_EQUAL(*(int *)many_segment_data(other), 11);
    CHECK_CODE(many_pipe_receive(mine, text, sizeof text, MANY_FOREVER), -EPIPE);
    many_pipe_close(mine);
    many_queue_close(queue);
    many_segment_close(other);
    started_close();
}

#define STARTED_LOTS 300 /* more than one message carries */

static int started_count(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < STARTED_LOTS; i++)
        atomic_fetch_add(&((started_facts *)many_segment_data(many_inherited(i).segment))->sum, 1);
    return 0;
}

TEST(any_number_of_things_may_be_inherited)
{
    many_inherit inherits[STARTED_LOTS];
    many_process *process;

    inherits[0] = started_open();
    for (size_t i = 1; i < STARTED_LOTS; i++)
        inherits[i] = inherits[0];
    CHECK_CODE(many_process_start(&process, started_count, NULL, .method = STARTED,
                                  .inherits = inherits, .inherits_count = STARTED_LOTS),
               0);
    CHECK_EQUAL(started_join(process), 0);
    CHECK_EQUAL(atomic_load(&started_here->sum), STARTED_LOTS);
    started_close();
}

static int started_produce(void *argument)
{
    many_queue *queue = many_inherited(0).queue;

    for (int i = 0; i < *(int *)argument; i++)
        if (many_queue_put(queue, &i, sizeof i, MANY_FOREVER) != 0)
            return 1;
    return 0;
}

TEST(the_stream_of_a_registered_producer_ends_with_it)
{
    many_queue *queue;
    many_process *process;
    int number = 100, got;

    CHECK_CODE(many_queue_open(&queue), 0);
    CHECK_CODE(
        many_process_start(&process, started_produce, &number, .argument_bytes = sizeof number,
                           .method = STARTED, .produces = queue,
                           .inherits = &(const many_inherit){.queue = queue}, .inherits_count = 1),
        0);
    for (int i = 0; i < number; i++) {
        CHECK_CODE(many_queue_get(queue, &got, sizeof got, MANY_FOREVER), sizeof got);
        CHECK_EQUAL(got, i);
    }
    CHECK_CODE(many_queue_get(queue, &got, sizeof got, MANY_FOREVER), -EPIPE);
    CHECK_EQUAL(started_join(process), 0);
    many_queue_close(queue);
}

static int started_produce_and_close(void *argument)
{
    int code = started_produce(argument);

    many_queue_close(many_inherited(0).queue);
    return code;
}

TEST(a_producer_may_close_its_queue_itself)
{
    many_queue *queue;
    many_process *process;
    int number = 1, got;

    CHECK_CODE(many_queue_open(&queue), 0);
    CHECK_CODE(
        many_process_start(&process, started_produce_and_close, &number,
                           .argument_bytes = sizeof number, .method = STARTED, .produces = queue,
                           .inherits = &(const many_inherit){.queue = queue}, .inherits_count = 1),
        0);
    CHECK_CODE(many_queue_get(queue, &got, sizeof got, MANY_FOREVER), sizeof got);
    CHECK_CODE(many_queue_get(queue, &got, sizeof got, MANY_FOREVER), -EPIPE);
    CHECK_EQUAL(started_join(process), 0);
    many_queue_close(queue);
}

TEST(a_producer_that_dies_before_it_puts_anything_ends_the_stream_too)
{
    many_queue *queue;
    many_process *process;
    int number = SIGKILL, got;

    CHECK_CODE(many_queue_open(&queue), 0);
    CHECK_CODE(many_process_start(&process, started_raise, &number, .argument_bytes = sizeof number,
                                  .method = STARTED, .produces = queue),
               0);
    CHECK_CODE(many_queue_get(queue, &got, sizeof got, MANY_FOREVER), -EPIPE);
    CHECK_EQUAL(started_join(process), -SIGKILL);
    many_queue_close(queue);
}

TEST(a_put_fails_when_the_registered_consumer_is_gone)
{
    many_queue *queue;
    many_process *process;
    int number = 0, code = 0;

    CHECK_CODE(many_queue_open(&queue, .capacity = 2), 0);
    CHECK_CODE(many_process_start(&process, started_return, &number,
                                  .argument_bytes = sizeof number, .method = STARTED,
                                  .consumes = queue),
               0);
    while (code == 0)
        code = many_queue_put(queue, &number, sizeof number, MANY_FOREVER);
    CHECK_CODE(code, -EPIPE);
    CHECK_EQUAL(started_join(process), 0);
    many_queue_close(queue);
}

#endif
