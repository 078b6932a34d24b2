/* SPDX-License-Identifier: MIT */
/* test_pipe_death.c - ends whose holders are killed, with and without copies of them left in
 * others */
#include "test.h"

#include <many.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel/pipe.h"
#include "channel/pipes.h"

typedef struct party {
    many_pipe *mine;
    many_pipe *unused;
    _Atomic int *ready;
} party;

static void send_two_and_hang(void *argument)
{
    const party *p = argument;

    many_pipe_close(p->unused);
    CHECK_CODE(many_pipe_send(p->mine, "1", 1, 5), 0);
    CHECK_CODE(many_pipe_send(p->mine, "2", 1, 5), 0);
    atomic_store(p->ready, 1);
    for (;;)
        pause();
}

static void receive_nothing_and_hang(void *argument)
{
    const party *p = argument;

    many_pipe_close(p->unused);
    CHECK_CODE(many_pipe_receive(p->mine, NULL, 0, 0), -ETIMEDOUT);
    atomic_store(p->ready, 1);
    for (;;)
        pause();
}

/* Kill it once it has said that it is ready. */
static void kill_when_ready(pid_t child, _Atomic int *ready)
{
    UNTIL(atomic_load(ready) == 1);
    kill(child, SIGKILL);
    CHECK_EQUAL(test_child_wait(child), SIGKILL);
}

PIPES(killed_sender_s_messages_are_received_before_the_end)
{
    many_pipe *one = NULL, *other = NULL;
    _Atomic int *ready = test_shared(sizeof *ready);
    pid_t child;
    char byte;
    party p;

    pipe_kind_open(kind, &one, &other);
    p = (party){other, one, ready};
    child = test_child_start(send_two_and_hang, &p);
    many_pipe_close(other);
    kill_when_ready(child, ready);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, MANY_FOREVER), 1);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, MANY_FOREVER), 1);
    CHECK_EQUAL(byte, '2');
    CHECK_CODE(many_pipe_receive(one, &byte, 1, MANY_FOREVER), -EPIPE);
    many_pipe_close(one);
}

/* The parent never closes its copy of the child's end: no HUP comes, and yet it is the end. */
TEST(killed_user_of_an_end_counts_though_the_parent_has_a_copy)
{
    many_pipe *one = NULL, *other = NULL;
    _Atomic int *ready = test_shared(sizeof *ready);
    pid_t child;
    char byte;
    party p;

    CHECK_CODE(many_pipe_open(&one, &other), 0);
    p = (party){other, NULL, ready};
    child = test_child_start(send_two_and_hang, &p);
    kill_when_ready(child, ready);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, MANY_FOREVER), 1);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, MANY_FOREVER), 1);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, MANY_FOREVER), -EPIPE);
    CHECK_CODE(many_pipe_poll(one, 0), 1);
    CHECK_CODE(many_pipe_wait(&one, 1, NULL, MANY_FOREVER), 1);
    UNTIL(many_pipe_send(one, "x", 1, 1) == -EPIPE);
    /* Used by another process, it lives again. */
    CHECK_CODE(many_pipe_send(other, "3", 1, 1), 0);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, MANY_FOREVER), 1);
    CHECK_EQUAL(byte, '3');
    CHECK_CODE(many_pipe_receive(one, &byte, 1, 0), -ETIMEDOUT);
    CHECK_CODE(many_pipe_send(one, "x", 1, 1), 0);
    many_pipe_close(one);
    many_pipe_close(other);
}

static void close_and_hang(void *argument)
{
    const party *p = argument;

    CHECK_CODE(many_pipe_send(p->mine, "1", 1, 5), 0);
    many_pipe_close(p->mine);
    atomic_store(p->ready, 1);
    for (;;)
        pause();
}

/* To close is not to die: who else has the end may still use it. */
TEST(end_closed_by_its_user_is_the_others_still)
{
    many_pipe *one = NULL, *other = NULL;
    _Atomic int *ready = test_shared(sizeof *ready);
    pid_t child;
    char byte;
    party p;

    CHECK_CODE(many_pipe_open(&one, &other), 0);
    p = (party){other, NULL, ready};
    child = test_child_start(close_and_hang, &p);
    kill_when_ready(child, ready);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, 5), 1);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, 0.1), -ETIMEDOUT);
    many_pipe_close(other);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, MANY_FOREVER), -EPIPE);
    many_pipe_close(one);
}

TEST(one_of_several_users_that_is_killed_ends_nothing)
{
    many_pipe *one = NULL, *other = NULL;
    _Atomic int *ready = test_shared(2 * sizeof *ready);
    pid_t children[2];
    party p[2];
    char byte;

    CHECK_CODE(many_pipe_open(&one, &other), 0);
    for (int i = 0; i < 2; i++) {
        p[i] = (party){other, NULL, &ready[i]};
        children[i] = test_child_start(send_two_and_hang, &p[i]);
    }
    UNTIL(atomic_load(&ready[1]) == 1);
    kill_when_ready(children[0], &ready[0]);
    for (int i = 0; i < 4; i++)
        CHECK_CODE(many_pipe_receive(one, &byte, 1, 5), 1);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, 0.1), -ETIMEDOUT);
    kill_when_ready(children[1], &ready[1]);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, MANY_FOREVER), -EPIPE);
    many_pipe_close(one);
    many_pipe_close(other);
}

/* A sender that waits for room learns that the receiver is dead. */
PIPES(killed_receiver_ends_a_wait_for_room)
{
    many_pipe *one = NULL, *other = NULL;
    _Atomic int *ready = test_shared(sizeof *ready);
    char *bytes = calloc(1, 1 << 20);
    pid_t child;
    int code;
    party p;

    pipe_kind_open(kind, &one, &other);
    p = (party){other, one, ready};
    child = test_child_start(receive_nothing_and_hang, &p);
    if (kind != PIPE_RING)
        many_pipe_close(other);
    UNTIL(atomic_load(ready) == 1);
    if (kind == PIPE_RING) /* full; a socket has no telling how much it takes */
        while ((code = many_pipe_send(one, bytes, 1 << 18, 0)) == 0) {
        }
    kill(child, SIGKILL);
    do
        code = many_pipe_send(one, bytes, 1 << 20, MANY_FOREVER);
    while (code == 0);
    CHECK_CODE(code, -EPIPE);
    CHECK_EQUAL(test_child_wait(child), SIGKILL);
    many_pipe_close(one);
    if (kind == PIPE_RING)
        many_pipe_close(other);
    free(bytes);
}

static void *wait_for_end(void *argument)
{
    many_pipe *pipe = argument;

    CHECK_CODE(many_pipe_receive(pipe, NULL, 0, MANY_FOREVER), -EPIPE);
    return NULL;
}

/* Those that sleep already, and in each way. */
TEST(killed_user_wakes_all_who_wait)
{
    many_pipe *one = NULL, *other = NULL;
    _Atomic int *ready = test_shared(sizeof *ready);
    pthread_t threads[3];
    pid_t child;
    party p;

    if (TEST_TSAN)
        test_skip("a child is forked by a process with threads");
    CHECK_CODE(many_pipe_open(&one, &other), 0);
    p = (party){other, NULL, ready};
    child = test_child_start(receive_nothing_and_hang, &p);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, wait_for_end, one) == 0);
    UNTIL(atomic_load(ready) == 1);
    CHECK_CODE(many_pipe_poll(one, 0.1), 0);
    kill_when_ready(child, ready);
    CHECK_CODE(many_pipe_poll(one, MANY_FOREVER), 1);
    CHECK_CODE(many_pipe_peek(one, MANY_FOREVER), -EPIPE);
    CHECK_CODE(many_pipe_receive_descriptor(one, MANY_FOREVER), -EPIPE);
    CHECK_CODE(many_pipe_send_descriptor(one, 1, MANY_FOREVER), -EPIPE);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    many_pipe_close(one);
    many_pipe_close(other);
}

/* A holder that was recorded and never used the end: what many_process_start() does for
 * .inherits. */
static void hang(void *argument)
{
    _Atomic int *ready = argument;

    atomic_store(ready, 1);
    for (;;)
        pause();
}

TEST(recorded_holder_that_is_killed_before_it_used_the_end_counts)
{
    many_pipe *one = NULL, *other = NULL;
    _Atomic int *ready = test_shared(sizeof *ready);
    pid_t child;

    CHECK_CODE(many_pipe_open(&one, &other), 0);
    child = test_child_start(hang, ready);
    many_pipe_hold_(other, many_self_of_(child));
    many_pipe_hold_(other, many_self_of_(child)); /* once is enough */
    many_pipe_hold_(NULL, 1);
    CHECK_CODE(many_pipe_receive(one, NULL, 0, 0.05), -ETIMEDOUT);
    kill_when_ready(child, ready);
    CHECK_CODE(many_pipe_receive(one, NULL, 0, MANY_FOREVER), -EPIPE);
    many_pipe_close(one);
    many_pipe_close(other);
}

static void use_and_exit(void *argument)
{
    CHECK_CODE(many_pipe_send(argument, "x", 1, 5), 0);
}

/* More users than have places, one after the other: dead ones give theirs to the next. */
TEST(many_users_of_an_end_come_and_go)
{
    many_pipe *one = NULL, *other = NULL;
    char byte;

    CHECK_CODE(many_pipe_open(&one, &other), 0);
    for (int i = 0; i < 80; i++) {
        CHECK_EQUAL(test_in_child(use_and_exit, other), 0);
        CHECK_CODE(many_pipe_receive(one, &byte, 1, 5), 1);
        CHECK_CODE(many_pipe_receive(one, &byte, 1, 5), -EPIPE);
    }
    many_pipe_close(one);
    many_pipe_close(other);
}

/* A child that was forked in between, and sits on copies of both ends, keeps nobody waiting. */
TEST(forked_sibling_with_copies_of_both_ends_does_not_hide_a_death)
{
    many_pipe *one = NULL, *other = NULL;
    _Atomic int *ready = test_shared(2 * sizeof *ready);
    pid_t sibling, child;
    party p;

    CHECK_CODE(many_pipe_open(&one, &other), 0);
    sibling = test_child_start(hang, &ready[1]);
    p = (party){other, one, &ready[0]};
    child = test_child_start(receive_nothing_and_hang, &p);
    many_pipe_close(other);
    kill_when_ready(child, &ready[0]);
    CHECK_CODE(many_pipe_receive(one, NULL, 0, MANY_FOREVER), -EPIPE);
    kill_when_ready(sibling, &ready[1]);
    many_pipe_close(one);
}
