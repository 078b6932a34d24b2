/* SPDX-License-Identifier: MIT */
/* test_process_ends.c - what is registered for a process or a thread, and what it inherits */
#include "process_cases.h"

#include <pthread.h>

static int produce(void *argument)
{
    many_queue *queue = argument;

    case_end_with_test();
    for (int i = 0; i < 100; i++)
        if (many_queue_put(queue, &i, sizeof i, MANY_FOREVER) != 0)
            return 1;
    return 0;
}

static int leave_at_once(void *argument)
{
    (void)argument;
    return 0;
}

static int die_at_once(void *argument)
{
    (void)argument;
    raise(SIGKILL);
    return 0;
}

static int produce_and_close(void *argument)
{
    many_queue *queue = many_inherited(0).queue;
    int code = produce(argument != NULL ? argument : queue);

    many_queue_close(queue);
    return code;
}

/* How many messages come before the end of the stream. */
static int drain(many_queue *queue)
{
    int count = 0, message;
    ssize_t got;

    while ((got = many_queue_get(queue, &message, sizeof message, MANY_FOREVER)) >= 0)
        count++;
    CHECK_CODE((int)got, -EPIPE);
    return count;
}

TEST(the_end_of_a_registered_producer_is_the_end_of_the_stream)
{
    static many_process_fn *const ways[] = {produce, leave_at_once, die_at_once};
    test_census before = case_census();

    for (int i = 0; i < 30; i++) {
        many_process *process;
        many_queue *queue;

        CHECK_CODE(many_queue_open(&queue), 0);
        CHECK_CODE(many_process_start(&process, ways[i % 3], queue, .produces = queue), 0);
        CHECK_EQUAL(drain(queue), i % 3 == 0 ? 100 : 0);
        many_process_close(process);
        many_queue_close(queue);
    }
    CHECK_CENSUS(before);
}

TEST(a_process_may_close_the_queue_that_it_is_registered_for)
{
    const int limit = 100; /* messages of produce() */

    for (int i = 0; i < 4; i++) {
        many_process *process;
        many_queue *queue;

        CHECK_CODE(many_queue_open(&queue), 0);
        CHECK_CODE(many_process_start(&process, produce_and_close, NULL, .produces = queue,
                                      .consumes = i % 2 == 0 ? queue : NULL,
                                      .inherits = &(const many_inherit){.queue = queue},
                                      .inherits_count = 1),
                   0);
        CHECK_EQUAL(drain(queue), limit);
        CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
        CHECK_EQUAL(case_exit_code(process), 0);
        many_process_close(process);
        many_queue_close(queue);
    }
}

TEST(the_stream_lasts_as_long_as_any_of_several_producers)
{
    _Atomic int *gate = test_shared(sizeof *gate);
    many_process *one, *other;
    many_queue *queue;
    int message;

    CHECK_CODE(many_queue_open(&queue), 0);
    CHECK_CODE(many_process_start(&other, case_pass_gate, gate, .produces = queue), 0);
    CHECK_CODE(many_process_start(&one, produce, queue, .produces = queue), 0);
    CHECK_CODE(many_process_join(one, MANY_FOREVER), 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQUAL(many_queue_get(queue, &message, sizeof message, MANY_FOREVER), sizeof message);
    CHECK_CODE((int)many_queue_get(queue, &message, sizeof message, 0.2), -ETIMEDOUT);
    atomic_store(gate, 1);
    CHECK_EQUAL(drain(queue), 0);
    many_process_close(one);
    many_process_close(other);
    many_queue_close(queue);
}

TEST(a_put_fails_when_the_registered_consumer_is_gone)
{
    many_process *process;
    many_queue *queue;
    int message = 1;

    CHECK_CODE(many_queue_open(&queue), 0);
    CHECK_CODE(many_process_start(&process, die_at_once, NULL, .consumes = queue), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    UNTIL(many_queue_put(queue, &message, sizeof message, 0) == -EPIPE);
    many_process_close(process);
    many_queue_close(queue);
}

typedef struct early {
    many_queue *queue;
    _Atomic int *finished, *leave;
} early;

static int finish_early(void *argument)
{
    early *notes = argument;

    case_end_with_test();
    if (many_queue_finish(notes->queue, MANY_PRODUCER) != 0)
        return 1;
    atomic_store(notes->finished, 1);
    UNTIL(atomic_load(notes->leave));
    return 0;
}

TEST(a_producer_that_says_it_is_done_is_not_counted_again)
{
    for (int i = 0; i < 20; i++) {
        early notes = {NULL, test_shared(sizeof(int)), test_shared(sizeof(int))};
        many_process *process;

        CHECK_CODE(many_queue_open(&notes.queue), 0);
        CHECK_CODE(many_process_start(&process, finish_early, &notes, .produces = notes.queue), 0);
        UNTIL(atomic_load(notes.finished));
        CHECK_EQUAL(drain(notes.queue), 0); /* while it lives */
        CHECK_EQUAL(many_process_is_alive(process), 1);
        atomic_store(notes.leave, 1);
        CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
        CHECK_EQUAL(case_exit_code(process), 0);
        many_process_close(process);
        many_queue_close(notes.queue);
    }
}

TEST(a_process_that_no_queue_has_a_place_for_does_not_run)
{
    many_process *processes[64], *more;
    test_census before = case_census();
    many_queue *queue;

    CHECK_CODE(many_queue_open(&queue), 0);
    for (int i = 0; i < 64; i++)
        CHECK_CODE(many_process_start(&processes[i], case_stay, NULL, .produces = queue), 0);
    CHECK_CODE(many_process_start(&more, case_stay, NULL, .produces = queue), -ENOSPC);
    CHECK(more == NULL);
    CHECK_CONTAINS(many_error_message(), "registered");
    for (int i = 0; i < 64; i++)
        CHECK_CODE(many_process_kill(processes[i]), 0);
    for (int i = 0; i < 64; i++)
        many_process_close(processes[i]);
    many_queue_close(queue);
    CHECK_CENSUS(before);
}

/* ---- threads ---- */

static int produce_a_hundred(void *argument)
{
    many_queue *queue = argument;

    for (int i = 0; i < 100; i++)
        if (many_queue_put(queue, &i, sizeof i, MANY_FOREVER) != 0)
            return 1;
    return 0;
}

static int leave_by_pthread_exit(void *argument)
{
    (void)argument;
    pthread_exit(NULL);
}

TEST(the_end_of_a_registered_thread_is_the_end_of_the_stream_however_it_leaves)
{
    static many_process_fn *const ways[] = {produce_a_hundred, leave_at_once,
                                            leave_by_pthread_exit};
    test_census before = case_census();

    for (int i = 0; i < 30; i++) {
        many_thread *thread;
        many_queue *queue;

        CHECK_CODE(many_queue_open(&queue), 0);
        CHECK_CODE(many_thread_start(&thread, ways[i % 3], queue, .produces = queue), 0);
        CHECK_EQUAL(drain(queue), i % 3 == 0 ? 100 : 0);
        many_thread_close(thread);
        many_queue_close(queue);
    }
    CHECK_CENSUS(before);
}

/* ---- what is inherited ---- */

static void look_at_inherited(void *argument)
{
    CHECK(many_inherited(0).segment == argument);
    CHECK(many_process_parent() == NULL); /* of ours */
}

static int use_inherited_and_fork(void *argument)
{
    int *sum = many_segment_data(many_inherited(0).segment);
    int message;

    (void)argument;
    CHECK(many_inherited(0).queue == NULL);
    CHECK(many_inherited(2).segment == NULL && many_inherited(2).queue == NULL &&
          many_inherited(2).pipe == NULL);
    while (many_queue_get(many_inherited(1).queue, &message, sizeof message, MANY_FOREVER) >= 0)
        *sum += message;
    return test_in_child(look_at_inherited, many_inherited(0).segment);
}

TEST(a_process_finds_what_it_was_to_inherit)
{
    many_inherit inherits[2] = {{NULL, NULL, NULL}, {NULL, NULL, NULL}};
    many_process *process;

    CHECK(many_inherited(0).segment == NULL);
    CHECK_CODE(many_segment_open(&inherits[0].segment, .bytes = sizeof(int)), 0);
    CHECK_CODE(many_queue_open(&inherits[1].queue), 0);
    for (int i = 1; i <= 4; i++)
        CHECK_CODE(many_queue_put(inherits[1].queue, &i, sizeof i, MANY_FOREVER), 0);
    CHECK_CODE(many_queue_shutdown(inherits[1].queue, 0), 0);
    CHECK_CODE(many_process_start(&process, use_inherited_and_fork, NULL, .inherits = inherits,
                                  .inherits_count = 2),
               0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_EQUAL(case_exit_code(process), 0);
    CHECK_EQUAL(*(int *)many_segment_data(inherits[0].segment), 10);
    many_process_close(process);
    many_queue_close(inherits[1].queue);
    many_segment_close(inherits[0].segment);
}

static int die_unused(void *argument)
{
    (void)argument;
    kill(getpid(), SIGKILL);
    return 0;
}

TEST(an_end_of_a_pipe_that_a_child_inherited_ends_with_it_though_it_never_used_it)
{
    many_pipe *one = NULL, *other = NULL;
    many_process *process = NULL;
    char byte;

    CHECK_CODE(many_pipe_open(&one, &other), 0);
    CHECK_CODE(many_process_start(&process, die_unused, NULL,
                                  .inherits = &(many_inherit){.pipe = other}, .inherits_count = 1),
               0);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, 60), -EPIPE); /* this process has a copy */
    many_process_close(process);
    many_pipe_close(one);
    many_pipe_close(other);
}
