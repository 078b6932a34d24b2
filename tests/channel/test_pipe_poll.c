/* SPDX-License-Identifier: MIT */
/* test_pipe_poll.c - waiting for pipes by their descriptors, and for several at once */
#include "test.h"

#include <many.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "channel/pipes.h"

static int readable(many_pipe *pipe, int ms)
{
    struct pollfd wait = {many_pipe_descriptor(pipe), POLLIN, 0};

    CHECK(wait.fd > 2);
    return poll(&wait, 1, ms) == 1;
}

/* What the manual says to do: receive without waiting, and expect that nothing is there. */
static void settle(many_pipe *pipe)
{
    char bytes[64];

    CHECK_CODE(many_pipe_receive(pipe, bytes, sizeof bytes, 0), -ETIMEDOUT);
}

PIPES(descriptor_is_readable_while_there_is_a_message)
{
    many_pipe *one = NULL, *other = NULL;
    char byte;

    pipe_kind_open(kind, &one, &other);
    (void)readable(one, 0);
    settle(one);
    CHECK(!readable(one, 0));
    for (int round = 0; round < 5; round++) {
        CHECK_CODE(many_pipe_send(other, "a", 1, 1), 0);
        CHECK_CODE(many_pipe_send(other, "b", 1, 1), 0);
        CHECK(readable(one, 30000));
        CHECK_CODE(many_pipe_receive(one, &byte, 1, 5), 1);
        CHECK(readable(one, 30000));
        CHECK_CODE(many_pipe_receive(one, &byte, 1, 5), 1);
        settle(one);
        CHECK(!readable(one, 0));
    }
    many_pipe_close(one);
    many_pipe_close(other);
}

PIPES(descriptor_tells_of_messages_that_were_there_before_it_was_asked_for)
{
    many_pipe *one = NULL, *other = NULL;
    char byte;

    pipe_kind_open(kind, &one, &other);
    CHECK_CODE(many_pipe_send(other, "a", 1, 1), 0);
    CHECK_CODE(many_pipe_send(other, "b", 1, 1), 0);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, 5), 1);
    CHECK(readable(one, 30000));
    CHECK_CODE(many_pipe_receive(one, &byte, 1, 5), 1);
    settle(one);
    CHECK(!readable(one, 0));
    CHECK_CODE(many_pipe_send(other, "", 0, 1), 0); /* of no bytes, too */
    CHECK(readable(one, 30000));
    CHECK_CODE(many_pipe_peek(one, 0), 0);
    CHECK(readable(one, 30000));
    many_pipe_close(one);
    many_pipe_close(other);
}

PIPES(descriptor_is_readable_at_the_end_of_the_stream)
{
    many_pipe *one = NULL, *other = NULL;

    pipe_kind_open(kind, &one, &other);
    (void)readable(one, 0);
    settle(one);
    many_pipe_close(other);
    CHECK(readable(one, 30000));
    CHECK_CODE(many_pipe_receive(one, NULL, 0, 5), -EPIPE);
    CHECK(readable(one, 0));
    many_pipe_close(one);
}

/* One end polls and receives, the other sends at any moment: never does the poller sleep with a
 * message there, whatever the two do at the same time. */
typedef struct flow {
    many_pipe *pipe;
    uint32_t count;
} flow;

static void *flow_send(void *argument)
{
    const flow *f = argument;

    for (uint32_t i = 0; i < f->count; i++) {
        CHECK_CODE(many_pipe_send(f->pipe, &i, sizeof i, 30), 0);
        if (i % 7 == 0)
            sched_yield();
        if (i % 1000 == 0)
            usleep(1000); /* let it run empty */
    }
    return NULL;
}

PIPES(descriptor_is_never_readable_too_short)
{
    many_pipe *one = NULL, *other = NULL;
    struct epoll_event event = {.events = EPOLLIN};
    int poll_ = epoll_create1(EPOLL_CLOEXEC);
    uint32_t next = 0, number;
    pthread_t thread;
    flow f;

    pipe_kind_open(kind, &one, &other);
    f = (flow){other, (uint32_t)(30000 / test_slowness())};
    CHECK(epoll_ctl(poll_, EPOLL_CTL_ADD, many_pipe_descriptor(one), &event) == 0);
    CHECK(pthread_create(&thread, NULL, flow_send, &f) == 0);
    while (next < f.count) {
        ssize_t got;

        CHECK(epoll_wait(poll_, &event, 1, 30000) ==
              1); /* or a message was there, and nobody told */
        while ((got = many_pipe_receive(one, &number, sizeof number, 0)) == sizeof number)
            CHECK_EQUAL(number, next++);
        CHECK_CODE(got, -ETIMEDOUT);
    }
    pthread_join(thread, NULL);
    close(poll_);
    many_pipe_close(one);
    many_pipe_close(other);
}

static void flow_process(void *argument)
{
    flow_send(argument);
}

TEST(descriptor_serves_a_sender_in_another_process)
{
    many_pipe *one = NULL, *other = NULL;
    uint32_t next = 0, number;
    pid_t child;
    flow f;

    CHECK_CODE(many_pipe_open(&one, &other), 0);
    f = (flow){other, 20000};
    child = test_child_start(flow_process, &f);
    many_pipe_close(other);
    while (next < f.count) {
        CHECK(readable(one, 30000));
        while (many_pipe_receive(one, &number, sizeof number, 0) == sizeof number)
            CHECK_EQUAL(number, next++);
    }
    CHECK_EQUAL(test_child_wait(child), 0);
    CHECK(readable(one, 30000));
    CHECK_CODE(many_pipe_receive(one, &number, sizeof number, 0), -EPIPE);
    many_pipe_close(one);
}

/* ---- several at once ---- */

TEST(wait_tells_which_of_several_are_ready)
{
    many_pipe *one[4] = {NULL}, *other[4] = {NULL};
    many_pipe *all[5];
    int ready[5] = {9, 9, 9, 9, 9};
    char byte;

    pipe_kind_open(PIPE_RING, &one[0], &other[0]);
    pipe_kind_open(PIPE_LOCAL, &one[1], &other[1]);
    pipe_kind_open(PIPE_TCP, &one[2], &other[2]);
    pipe_kind_open(PIPE_RING, &one[3], &other[3]);
    for (int i = 0; i < 4; i++)
        all[i] = one[i];
    all[4] = NULL;
    CHECK_CODE(many_pipe_wait(all, 5, ready, 0), 0);
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(ready[i], 0);
    CHECK_CODE(many_pipe_wait(all, 5, NULL, 0.03), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_CODE(many_pipe_send(other[i], "x", 1, 1), 0);
        CHECK_CODE(many_pipe_wait(all, 5, ready, 30), 1);
        for (int j = 0; j < 5; j++)
            CHECK_EQUAL(ready[j], i == j);
        CHECK_CODE(many_pipe_receive(all[i], &byte, 1, 5), 1);
    }
    CHECK_CODE(many_pipe_send(other[0], "x", 1, 1), 0);
    many_pipe_close(other[3]); /* the end of a stream counts */
    CHECK_CODE(many_pipe_wait(all, 5, ready, 30), 2);
    CHECK(ready[0] == 1 && ready[3] == 1 && ready[1] == 0 && ready[2] == 0);
    for (int i = 0; i < 4; i++) {
        many_pipe_close(one[i]);
        if (i < 3)
            many_pipe_close(other[i]);
    }
}

TEST(wait_refuses_arguments_that_make_no_sense)
{
    many_pipe *one = NULL, *other = NULL;
    many_pipe *none[2] = {NULL, NULL};

    CHECK_CODE(many_pipe_open(&one, &other, .one_way = 1), 0);
    CHECK_CODE(many_pipe_wait(NULL, 1, NULL, 0), -EINVAL);
    CHECK_CODE(many_pipe_wait(&one, 0, NULL, 0), -EINVAL);
    CHECK_CODE(many_pipe_wait(&one, 1, NULL, -2), -EINVAL);
    CHECK_CODE(many_pipe_wait(&other, 1, NULL, 0), -EBADF);
    CHECK_CODE(many_pipe_wait(none, 2, NULL, 0.02), 0);
    many_pipe_close(one);
    many_pipe_close(other);
}

#define CROWD 40

typedef struct worker {
    many_pipe *pipe;
    int number;
} worker;

static void work(void *argument)
{
    const worker *w = argument;

    for (int i = 0; i < 50; i++)
        CHECK_CODE(many_pipe_send(w->pipe, &w->number, sizeof w->number, 30), 0);
    many_pipe_close(w->pipe);
}

/* As the example of multiprocessing.connection.wait: read from all until all have ended. */
TEST(wait_serves_many_processes_until_all_have_ended)
{
    many_pipe *readers[CROWD];
    int counts[CROWD] = {0}, ready[CROWD], left = CROWD;
    pid_t children[CROWD];

    for (int i = 0; i < CROWD; i++) {
        worker w = {NULL, i};

        CHECK_CODE(many_pipe_open(&readers[i], &w.pipe, .one_way = 1), 0);
        children[i] = test_child_start(work, &w);
        many_pipe_close(w.pipe);
    }
    while (left > 0) {
        CHECK(many_pipe_wait(readers, CROWD, ready, 30) > 0);
        for (int i = 0; i < CROWD; i++) {
            int number;
            ssize_t got;

            if (!ready[i])
                continue;
            got = many_pipe_receive(readers[i], &number, sizeof number, 0);
            if (got == -EPIPE) {
                many_pipe_close(readers[i]);
                readers[i] = NULL;
                left--;
                continue;
            }
            CHECK_CODE(got, sizeof number);
            CHECK_EQUAL(number, i);
            counts[i]++;
        }
    }
    for (int i = 0; i < CROWD; i++) {
        CHECK_EQUAL(counts[i], 50);
        CHECK_EQUAL(test_child_wait(children[i]), 0);
    }
}
