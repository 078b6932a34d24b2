/* SPDX-License-Identifier: MIT */
/*
 * test_pipe.c - a pipe's user is killed at each fault point in turn; the others find whole
 * messages, each once, in order, and then the end
 *
 * Each case runs its victim again and again, killed at the first fault point it comes by, at the
 * second, the third ..., until it gets through.
 */
#include "test.h"

#include <many.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "channel/pipes.h"

#define MESSAGES 4
#define LONG     ((size_t)150000)

typedef struct victim {
    many_pipe *pipe;
    many_pipe *unused;
    _Atomic uint32_t done; /* calls that have returned */
    uint32_t points_left;
    many_segment *segment;
} victim;

static victim *hunted;

static int kill_at_point(const char *point)
{
    (void)point;
    if (hunted->points_left > 0 && --hunted->points_left == 0)
        raise(SIGKILL);
    return 0;
}

static size_t length_of(uint32_t number)
{
    return number % 2 == 1 ? LONG + number : 10 + number;
}

static void hunt(victim *v)
{
    hunted = v;
    many_fault_hook_ = kill_at_point;
}

static void send_all(void *argument)
{
    victim *v = argument;
    unsigned char *bytes = malloc(LONG + MESSAGES);

    CHECK_CODE(many_pipe_poll(v->pipe, 0), 0); /* recorded from here on as one who has this end */
    hunt(v);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        pattern_fill(bytes, length_of(i), i);
        CHECK_CODE(many_pipe_send(v->pipe, bytes, length_of(i), 30), 0);
        atomic_fetch_add(&v->done, 1);
    }
    free(bytes); /* not closed: its death is the end, wherever it comes */
}

/* Receive what there is: how many; each the one that is next, and whole. -EPIPE comes then. */
static uint32_t receive_until_end(many_pipe *pipe, uint32_t next)
{
    void *bytes;
    ssize_t got;

    while ((got = many_pipe_receive_new(pipe, &bytes, 30)) >= 0) {
        CHECK_EQUAL(got, length_of(next));
        CHECK(pattern_holds(bytes, (size_t)got, next));
        next++;
        free(bytes);
    }
    CHECK_CODE(got, -EPIPE);
    return next;
}

static void check_sender(pipe_kind kind, int polled)
{
    int ending = SIGKILL;

    for (uint32_t point = 1; ending == SIGKILL; point++) {
        victim *v = test_shared(sizeof *v);
        many_pipe *one = NULL, *other = NULL;
        uint32_t received;
        pid_t child;

        pipe_kind_open(kind, &one, &other);
        if (polled)
            CHECK(many_pipe_descriptor(one) > 2);
        v->pipe = other;
        v->points_left = point;
        child = test_child_start(send_all, v);
        if (kind == PIPE_TCP || kind == PIPE_LOCAL)
            many_pipe_close(other); /* a socket's end is seen when all copies are closed */
        received = receive_until_end(one, 0);
        ending = test_child_wait(child);
        CHECK(ending == SIGKILL || ending == 0);
        /* What send said is sent is sent; what it did not come to say may be. */
        CHECK(received == v->done || received == v->done + 1);
        CHECK(ending != 0 || received == MESSAGES);
        if (kind == PIPE_RING) { /* the copy that is left serves as before */
            CHECK_CODE(many_pipe_send(other, "x", 1, 5), 0);
            CHECK_CODE(many_pipe_peek(one, 5), 1);
            many_pipe_close(other);
        }
        many_pipe_close(one);
        CHECK(point < 1000);
    }
}

TEST(sender_killed_at_each_point_of_a_ring)
{
    check_sender(PIPE_RING, 0);
}

TEST(sender_killed_at_each_point_of_a_ring_that_is_polled)
{
    check_sender(PIPE_RING, 1);
}

TEST(sender_killed_at_each_point_of_a_local_socket)
{
    check_sender(PIPE_LOCAL, 0);
}

TEST(sender_killed_at_each_point_of_a_tcp_socket)
{
    check_sender(PIPE_TCP, 0);
}

/* The peer of a socket waits for the rest of a frame; the end is shared with a process that lives,
 * and only receives. It has to end the connection in the dead one's place. */
static void only_receive(void *argument)
{
    victim *v = argument;

    CHECK_CODE(many_pipe_receive(v->pipe, NULL, 0, 30), -EPIPE);
}

static void send_half_and_die(void *argument)
{
    victim *v = argument;
    char *bytes = calloc(1, (size_t)64 << 20);

    hunt(v);
    many_pipe_send(v->pipe, bytes, (size_t)64 << 20, 30); /* more than goes; dies at a part */
}

TEST(sender_killed_in_the_middle_of_a_frame_is_cleared_away_by_a_sibling)
{
    victim *v = test_shared(2 * sizeof *v);
    many_pipe *one = NULL, *other = NULL;
    pid_t dying, sibling;
    void *message;

    pipe_kind_open(PIPE_LOCAL, &one, &other);
    v[0].pipe = v[1].pipe = other;
    v[0].points_left = 5;
    dying = test_child_start(send_half_and_die, &v[0]);
    v[1].unused = one;
    sibling = test_child_start(only_receive, &v[1]);
    CHECK_CODE(many_pipe_receive_new(one, &message, 30), -EPIPE);
    CHECK_CONTAINS(many_error_message(), "middle of a message");
    CHECK_EQUAL(test_child_wait(dying), SIGKILL);
    many_pipe_close(other);
    many_pipe_close(one);
    CHECK_EQUAL(test_child_wait(sibling), 0);
}

static void receive_all(void *argument)
{
    victim *v = argument;
    unsigned char *bytes = malloc(LONG + MESSAGES);

    hunt(v);
    if (v->unused != NULL)
        many_pipe_close(v->unused);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        CHECK_CODE(many_pipe_receive(v->pipe, bytes, LONG + MESSAGES, 30), (long)length_of(i));
        CHECK(pattern_holds(bytes, length_of(i), i));
        atomic_fetch_add(&v->done, 1);
    }
    free(bytes);
}

/* A receiver is killed; another that shares the end goes on. */
static void check_receiver(pipe_kind kind, int polled)
{
    int ending = SIGKILL;

    for (uint32_t point = 1; ending == SIGKILL; point++) {
        victim *v = test_shared(2 * sizeof *v);
        many_pipe *one = NULL, *other = NULL;
        void *bytes = NULL;
        uint32_t next;
        pid_t child, sender;
        ssize_t got;

        pipe_kind_open(kind, &one, &other);
        CHECK_CODE(many_pipe_poll(one, 0), 0); /* this process is recorded as one who has it, too */
        if (polled)
            CHECK(many_pipe_descriptor(one) > 2);
        v[0].pipe = one;
        v[0].unused = other;
        v[0].points_left = point;
        v[1].pipe = other;
        v[1].unused = NULL;
        child = test_child_start(receive_all, &v[0]);
        sender = test_child_start(send_all, &v[1]);
        many_pipe_close(other);
        ending = test_child_wait(child);
        CHECK(ending == SIGKILL || ending == 0);
        next = v[0].done;
        got = many_pipe_receive_new(one, &bytes, 30);
        if (got >= 0 && got != (ssize_t)length_of(next))
            next++; /* the dead one took it */
        if (got >= 0) {
            CHECK_EQUAL(got, length_of(next));
            CHECK(pattern_holds(bytes, (size_t)got, next));
            free(bytes);
            next = receive_until_end(one, next + 1);
            CHECK(kind != PIPE_RING || next == MESSAGES);
        } else {
            /* All is received; or, of a socket, the dead one took a part of a frame. */
            CHECK_CODE(got, -EPIPE);
            CHECK(kind != PIPE_RING || next + 1 >= MESSAGES);
        }
        if (kind == PIPE_RING)
            CHECK_EQUAL(test_child_wait(sender), 0);
        else { /* who sends on a connection that is over is told, and fails its CHECK */
            many_pipe_close(one);
            one = NULL;
            kill(sender, SIGKILL);
            test_child_wait(sender);
        }
        many_pipe_close(one);
        CHECK(point < 1000);
    }
}

TEST(receiver_killed_at_each_point_of_a_ring)
{
    check_receiver(PIPE_RING, 0);
}

TEST(receiver_killed_at_each_point_of_a_ring_that_is_polled)
{
    check_receiver(PIPE_RING, 1);
}

TEST(receiver_killed_at_each_point_of_a_local_socket)
{
    check_receiver(PIPE_LOCAL, 0);
}

/* ---- the bell ---- */

static void poll_and_receive(void *argument)
{
    victim *v = argument;
    char byte;

    hunt(v);
    CHECK(many_pipe_descriptor(v->pipe) > 2);
    for (int i = 0; i < 4; i++)
        (void)many_pipe_receive(v->pipe, &byte, 1, 0);
    atomic_fetch_add(&v->done, 1);
}

/* Killed anywhere between asking for the descriptor and silencing the bell: a message that comes
 * or is there wakes whoever polls after that. */
TEST(bell_survives_a_killed_receiver)
{
    for (int before = 0; before < 3; before++) {
        int ending = SIGKILL;

        for (uint32_t point = 1; ending == SIGKILL; point++) {
            victim *v = test_shared(sizeof *v);
            many_pipe *one = NULL, *other = NULL;
            struct pollfd wait = {-1, POLLIN, 0};
            char byte;

            CHECK_CODE(many_pipe_open(&one, &other), 0);
            for (int i = 0; i < before; i++)
                CHECK_CODE(many_pipe_send(other, "x", 1, 1), 0);
            v->pipe = one;
            v->points_left = point;
            ending = test_in_child(poll_and_receive, v);
            CHECK(ending == SIGKILL || ending == 0);
            wait.fd = many_pipe_descriptor(one);
            while (many_pipe_receive(one, &byte, 1, 0) == 1) {
            }
            CHECK(many_pipe_poll(one, 0) == 0);
            CHECK_EQUAL(poll(&wait, 1, 0), 0); /* the leftovers of the dead are gone */
            CHECK_CODE(many_pipe_send(other, "y", 1, 5), 0);
            CHECK_EQUAL(poll(&wait, 1, 30000), 1);
            CHECK_CODE(many_pipe_receive(one, &byte, 1, 0), 1);
            many_pipe_close(one);
            many_pipe_close(other);
            CHECK(point < 1000);
        }
    }
}

static void send_one(void *argument)
{
    victim *v = argument;

    hunt(v);
    CHECK_CODE(many_pipe_send(v->pipe, "z", 1, 5), 0);
}

/* A sender that is killed around its message never leaves one that no poll tells of. */
TEST(bell_survives_a_killed_sender)
{
    int ending = SIGKILL;

    for (uint32_t point = 1; ending == SIGKILL; point++) {
        victim *v = test_shared(sizeof *v);
        many_pipe *one = NULL, *other = NULL;
        struct pollfd wait = {-1, POLLIN, 0};
        char byte;

        CHECK_CODE(many_pipe_open(&one, &other), 0);
        CHECK_CODE(many_pipe_send(one, "!", 1, 1), 0); /* this process has one, too: see below */
        CHECK_CODE(many_pipe_send(other, "!", 1, 1), 0);
        CHECK_CODE(many_pipe_receive(one, &byte, 1, 1), 1);
        wait.fd = many_pipe_descriptor(one);
        CHECK_CODE(many_pipe_receive(one, &byte, 1, 0), -ETIMEDOUT);
        v->pipe = other;
        v->points_left = point;
        ending = test_in_child(send_one, v);
        CHECK(ending == SIGKILL || ending == 0);
        if (many_pipe_poll(one, 0) == 1)
            CHECK_EQUAL(poll(&wait, 1, 0), 1);
        else
            CHECK_EQUAL(ending, SIGKILL);
        CHECK_CODE(many_pipe_send(other, "y", 1, 5), 0);
        CHECK_EQUAL(poll(&wait, 1, 30000), 1);
        many_pipe_close(one);
        many_pipe_close(other);
        CHECK(point < 1000);
    }
}

/* ---- closing, and segments ---- */

static void close_pipe(void *argument)
{
    victim *v = argument;

    CHECK_CODE(many_pipe_send(v->pipe, "x", 1, 5), 0);
    hunt(v);
    many_pipe_close(v->pipe);
}

TEST(closer_killed_at_each_point)
{
    int ending = SIGKILL;

    for (uint32_t point = 1; ending == SIGKILL; point++) {
        victim *v = test_shared(sizeof *v);
        many_pipe *one = NULL, *other = NULL;
        pid_t child;
        char byte;

        CHECK_CODE(many_pipe_open(&one, &other), 0);
        v->pipe = other;
        v->points_left = point;
        child = test_child_start(close_pipe, v);
        many_pipe_close(other);
        CHECK_CODE(many_pipe_receive(one, &byte, 1, MANY_FOREVER), 1);
        CHECK_CODE(many_pipe_receive(one, &byte, 1, MANY_FOREVER), -EPIPE);
        ending = test_child_wait(child);
        many_pipe_close(one);
        CHECK(point < 1000);
    }
}

static void grow_segment(void *argument)
{
    victim *v = argument;

    hunt(v);
    CHECK_CODE(many_segment_grow(v->segment, 100000), 0);
}

TEST(grower_of_a_segment_killed_at_each_point)
{
    int ending = SIGKILL;

    for (uint32_t point = 1; ending == SIGKILL; point++) {
        victim *v = test_shared(sizeof *v);
        many_segment *segment = NULL;
        size_t bytes;

        CHECK_CODE(many_segment_open(&segment, .bytes = 10, .max_bytes = 200000), 0);
        v->segment = segment;
        v->points_left = point;
        ending = test_in_child(grow_segment, v);
        bytes = many_segment_bytes(segment);
        CHECK(bytes == 10 || bytes == 100000);
        CHECK_CODE(many_segment_grow(segment, 150000), 0);
        ((volatile char *)many_segment_data(segment))[149999] = 1;
        many_segment_close(segment);
        CHECK(point < 1000);
    }
}

/* ---- the bell ---- */

typedef struct late_sender {
    many_pipe *receiver, *sender;
    pthread_t thread;
    _Atomic int stands; /* it holds the put-lock, and has not looked for the bell yet */
    _Atomic int go_on;
} late_sender;

static late_sender *late;
static _Thread_local int late_is_sender;

static int late_hook(const char *point)
{
    if (late_is_sender && strcmp(point, "ring.put.locked") == 0) {
        late->stands = 1;
        UNTIL(late->go_on);
    }
    return 0;
}

static void *late_send(void *argument)
{
    (void)argument;
    late_is_sender = 1;
    CHECK_CODE(many_pipe_send(late->sender, "late", 4, 30), 0);
    return NULL;
}

/* The descriptor is asked for while a message is there; before it is handed out, another thread
 * receives that message, and a sender is about to put the next. */
static int late_told_hook(const char *point)
{
    char got[8];

    if (late_is_sender || strcmp(point, "ring.polled.told") != 0)
        return late_hook(point);
    CHECK_EQUAL(pthread_create(&late->thread, NULL, late_send, NULL), 0);
    UNTIL(late->stands);
    CHECK_EQUAL(many_pipe_receive(late->receiver, got, sizeof got, 0), 5);
    return 0;
}

TEST(a_message_that_comes_while_the_descriptor_is_asked_for_has_a_bell)
{
    late_sender here = {0};
    struct pollfd bell = {.events = POLLIN};
    char got[8];

    late = &here;
    CHECK_CODE(many_pipe_open(&here.receiver, &here.sender), 0);
    CHECK_CODE(many_pipe_send(here.sender, "early", 5, 0), 0);
    many_fault_hook_ = late_told_hook;
    bell.fd = many_pipe_descriptor(here.receiver);
    many_fault_hook_ = late_hook;
    here.go_on = 1;
    pthread_join(here.thread, NULL);
    many_fault_hook_ = NULL;
    CHECK_EQUAL(poll(&bell, 1, 0), 1);
    CHECK_EQUAL(many_pipe_receive(here.receiver, got, sizeof got, 0), 4);
    CHECK_EQUAL(poll(&bell, 1, 0), 0);
    many_pipe_close(here.receiver);
    many_pipe_close(here.sender);
}
