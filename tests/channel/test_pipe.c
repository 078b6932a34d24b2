/* SPDX-License-Identifier: MIT */
/* test_pipe.c - what Python's documentation promises of Pipe and Connection, with each kind of
 * pipe */
#include "test.h"

#include <many.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel/pipes.h"

#define MIB ((size_t)1 << 20)

PIPES(pipe_passes_messages_both_ways_in_order)
{
    test_census before = test_census_take();
    many_pipe *one = NULL, *other = NULL;
    char message[32];

    pipe_kind_open(kind, &one, &other);
    CHECK_CODE(many_pipe_send(one, "thank you", 9, 1), 0);
    CHECK_CODE(many_pipe_send(one, "", 0, 1), 0);
    CHECK_CODE(many_pipe_send(one, NULL, 0, 1), 0);
    CHECK_CODE(many_pipe_send(other, "back", 4, 1), 0);
    CHECK_CODE(many_pipe_receive(other, message, sizeof message, 5), 9);
    CHECK_BYTES(message, "thank you", 9);
    CHECK_CODE(many_pipe_receive(other, message, sizeof message, 5), 0);
    CHECK_CODE(many_pipe_receive(other, NULL, 0, 5), 0);
    CHECK_CODE(many_pipe_receive(one, message, sizeof message, 5), 4);
    CHECK_BYTES(message, "back", 4);
    many_pipe_close(one);
    many_pipe_close(other);
    CHECK_CENSUS(before);
}

TEST(pipe_one_way_has_one_end_that_receives_and_another_that_sends)
{
    many_pipe *one = NULL, *other = NULL;
    char byte;

    CHECK_CODE(many_pipe_open(&one, &other, .one_way = 1), 0);
    CHECK_CODE(many_pipe_send(one, "x", 1, 0), -EBADF);
    CHECK_CONTAINS(many_error_message(), "only receives");
    CHECK_CODE(many_pipe_receive(other, &byte, 1, 0), -EBADF);
    CHECK_CODE(many_pipe_poll(other, 0), -EBADF);
    CHECK_CODE(many_pipe_peek(other, 0), -EBADF);
    CHECK_CODE(many_pipe_send_descriptor(one, 0, 0), -EBADF);
    CHECK_CODE(many_pipe_receive_descriptor(other, 0), -EBADF);
    CHECK_CODE(many_pipe_send(other, "x", 1, 0), 0);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, 0), 1);
    many_pipe_close(one);
    many_pipe_close(other);
}

TEST(pipe_refuses_options_and_arguments_that_make_no_sense)
{
    many_pipe *one = NULL, *other = NULL;
    char byte = 0;

    CHECK_CODE(many_pipe_open(&one, NULL), -EINVAL);
    CHECK_CODE(many_pipe_open(&one, &one), -EINVAL);
    CHECK_CODE(many_pipe_open(&one, &other, .one_way = 2), -EINVAL);
    CHECK_CODE(many_pipe_open(&one, &other, .reserved = 1), -EINVAL);
    CHECK_CODE(many_pipe_open_with(NULL), -EINVAL);
    CHECK_CODE(many_pipe_adopt(&one, .descriptor = -1), -EBADF);
    CHECK_CODE(many_pipe_adopt(NULL, .descriptor = 0), -EINVAL);
    CHECK(one == NULL && other == NULL);
    CHECK_CODE(many_pipe_open(&one, &other, .message_max = 10), 0);
    CHECK_CODE(many_pipe_send(NULL, &byte, 1, 0), -EINVAL);
    CHECK_CODE(many_pipe_send(one, NULL, 1, 0), -EINVAL);
    CHECK_CODE(many_pipe_send(one, &byte, 1, -2), -EINVAL);
    CHECK_CODE(many_pipe_send(one, &byte, 11, 0), -EMSGSIZE);
    CHECK_CODE(many_pipe_receive(one, NULL, 1, 0), -EINVAL);
    CHECK_CODE(many_pipe_receive(NULL, &byte, 1, 0), -EINVAL);
    CHECK_CODE(many_pipe_receive_new(one, NULL, 0), -EINVAL);
    CHECK_CODE(many_pipe_poll(NULL, 0), -EINVAL);
    CHECK_CODE(many_pipe_peek(NULL, 0), -EINVAL);
    CHECK_CODE(many_pipe_descriptor(NULL), -EINVAL);
    CHECK_CODE(many_pipe_send_descriptor(NULL, 0, 0), -EINVAL);
    CHECK_CODE(many_pipe_receive_descriptor(NULL, 0), -EINVAL);
    many_pipe_close(NULL);
    many_pipe_close(one);
    many_pipe_close(other);
}

PIPES(pipe_receive_waits_for_its_timeout_and_no_longer)
{
    many_pipe *one = NULL, *other = NULL;
    char byte;
    double began;

    pipe_kind_open(kind, &one, &other);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, 0), -ETIMEDOUT);
    began = test_seconds();
    CHECK_CODE(many_pipe_receive(one, &byte, 1, 0.12), -ETIMEDOUT);
    CHECK(test_seconds() - began >= 0.119);
    began = test_seconds();
    CHECK_CODE(many_pipe_poll(one, 0.06), 0);
    CHECK(test_seconds() - began >= 0.059);
    CHECK_CODE(many_pipe_peek(one, 0), -ETIMEDOUT);
    CHECK_CODE(many_pipe_poll(one, 0), 0);
    many_pipe_close(one);
    many_pipe_close(other);
}

PIPES(pipe_poll_and_peek_leave_the_message_there)
{
    many_pipe *one = NULL, *other = NULL;
    char message[8];

    pipe_kind_open(kind, &one, &other);
    CHECK_CODE(many_pipe_send(other, "abcd", 4, 1), 0);
    CHECK_CODE(many_pipe_poll(one, MANY_FOREVER), 1);
    CHECK_CODE(many_pipe_poll(one, 0), 1);
    CHECK_CODE(many_pipe_peek(one, 1), 4);
    CHECK_CODE(many_pipe_peek(one, 0), 4);
    CHECK_CODE(many_pipe_receive(one, message, sizeof message, 0), 4);
    CHECK_CODE(many_pipe_poll(one, 0), 0);
    many_pipe_close(one);
    many_pipe_close(other);
}

/* recv_bytes(maxlength) closes Python's connection; ours keeps the message. */
PIPES(pipe_keeps_a_message_that_does_not_fit)
{
    many_pipe *one = NULL, *other = NULL;
    char message[8];

    pipe_kind_open(kind, &one, &other);
    CHECK_CODE(many_pipe_send(other, "abcdef", 6, 1), 0);
    CHECK_CODE(many_pipe_send(other, "next", 4, 1), 0);
    CHECK_CODE(many_pipe_receive(one, message, 5, 1), -EMSGSIZE);
    CHECK_CODE(many_pipe_receive(one, NULL, 0, 1), -EMSGSIZE);
    CHECK_CODE(many_pipe_receive(one, message, 6, 1), 6);
    CHECK_BYTES(message, "abcdef", 6);
    CHECK_CODE(many_pipe_receive(one, message, 8, 1), 4);
    many_pipe_close(one);
    many_pipe_close(other);
}

PIPES(pipe_ends_when_the_other_end_is_closed_and_all_is_received)
{
    many_pipe *one = NULL, *other = NULL;
    char byte;

    pipe_kind_open(kind, &one, &other);
    CHECK_CODE(many_pipe_send(other, "1", 1, 1), 0);
    CHECK_CODE(many_pipe_send(other, "2", 1, 1), 0);
    many_pipe_close(other);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, 5), 1);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, 5), 1);
    CHECK_EQUAL(byte, '2');
    CHECK_CODE(many_pipe_receive(one, &byte, 1, MANY_FOREVER), -EPIPE);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, 0), -EPIPE);
    CHECK_CODE(many_pipe_peek(one, 0), -EPIPE);
    CHECK_CODE(many_pipe_poll(one, 0), 1); /* Python: poll says so at the end of file */
    CHECK_CODE(many_pipe_wait(&one, 1, NULL, 0), 1);
    many_pipe_close(one);
}

PIPES(pipe_send_to_a_closed_end_fails)
{
    many_pipe *one = NULL, *other = NULL;

    pipe_kind_open(kind, &one, &other);
    many_pipe_close(other);
    if (kind == PIPE_TCP) /* the first goes into nowhere, and is answered by a reset */
        UNTIL(many_pipe_send(one, "x", 1, 1) == -EPIPE);
    CHECK_CODE(many_pipe_send(one, "x", 1, MANY_FOREVER), -EPIPE);
    CHECK_CODE(many_pipe_send(one, "x", 1, 0), -EPIPE);
    many_pipe_close(one);
}

PIPES(pipe_receive_new_brings_memory_of_the_right_size)
{
    many_pipe *one = NULL, *other = NULL;
    void *message = &message;

    pipe_kind_open(kind, &one, &other);
    CHECK_CODE(many_pipe_receive_new(one, &message, 0), -ETIMEDOUT);
    CHECK(message == NULL);
    CHECK_CODE(many_pipe_send(other, "hello", 6, 1), 0);
    CHECK_CODE(many_pipe_send(other, "", 0, 1), 0);
    CHECK_CODE(many_pipe_receive_new(one, &message, 1), 6);
    CHECK_STRING(message, "hello");
    free(message);
    CHECK_CODE(many_pipe_receive_new(one, &message, 1), 0);
    CHECK(message != NULL);
    free(message);
    many_pipe_close(one);
    many_pipe_close(other);
}

/* ---- threads and processes ---- */

typedef struct stream {
    many_pipe *pipe;
    many_pipe *unused; /* the end that is not the child's */
    size_t count;
    size_t most;
} stream;

static size_t stream_length(const stream *s, size_t i)
{
    return i * 2654435761u % (s->most + 1);
}

static void send_stream(void *argument)
{
    const stream *s = argument;
    unsigned char *bytes = malloc(s->most + 1);

    many_pipe_close(s->unused);
    for (size_t i = 0; i < s->count; i++) {
        pattern_fill(bytes, stream_length(s, i), (unsigned)i);
        CHECK_CODE(many_pipe_send(s->pipe, bytes, stream_length(s, i), 30), 0);
    }
    many_pipe_close(s->pipe);
    free(bytes);
}

static void receive_stream(many_pipe *pipe, const stream *s)
{
    void *bytes;

    for (size_t i = 0; i < s->count; i++) {
        CHECK_CODE(many_pipe_receive_new(pipe, &bytes, 30), (long)stream_length(s, i));
        CHECK(pattern_holds(bytes, stream_length(s, i), (unsigned)i));
        free(bytes);
    }
    CHECK_CODE(many_pipe_receive_new(pipe, &bytes, 30), -EPIPE);
}

PIPES(pipe_carries_many_messages_between_processes)
{
    many_pipe *one = NULL, *other = NULL;
    stream s = {NULL, NULL, 5000, 300};
    pid_t child;

    pipe_kind_open(kind, &one, &other);
    s.pipe = other;
    s.unused = one;
    child = test_child_start(send_stream, &s);
    many_pipe_close(other);
    receive_stream(one, &s);
    CHECK_EQUAL(test_child_wait(child), 0);
    many_pipe_close(one);
}

PIPES(pipe_carries_messages_larger_than_any_buffer)
{
    many_pipe *one = NULL, *other = NULL;
    stream s = {NULL, NULL, 12, 9 * MIB};
    pid_t child;

    pipe_kind_open(kind, &one, &other);
    s.pipe = other;
    s.unused = one;
    child = test_child_start(send_stream, &s);
    many_pipe_close(other);
    receive_stream(one, &s);
    CHECK_EQUAL(test_child_wait(child), 0);
    many_pipe_close(one);
}

TEST(pipe_passes_a_message_longer_than_its_capacity_when_it_is_alone)
{
    many_pipe *one = NULL, *other = NULL;
    char *bytes = calloc(1, MIB), byte;
    void *got;

    CHECK_CODE(many_pipe_open(&one, &other, .capacity_bytes = 1000), 0);
    CHECK_CODE(many_pipe_send(one, bytes, MIB, 0), 0);
    CHECK_CODE(many_pipe_send(one, bytes, 1, 0), -ETIMEDOUT);
    CHECK_CODE(many_pipe_receive_new(other, &got, 0), (long)MIB);
    free(got);
    CHECK_CODE(many_pipe_send(one, bytes, 1, 0), 0);
    CHECK_CODE(many_pipe_send(one, bytes, MIB, 0.05), -ETIMEDOUT);
    CHECK_CODE(many_pipe_receive(other, &byte, 1, 0), 1);
    many_pipe_close(one);
    many_pipe_close(other);
    free(bytes);
}

typedef struct crowd {
    many_pipe *pipe;
    many_pipe *unused;
    unsigned sender;
    _Atomic uint32_t *seen;  /* how often each was received */
    _Atomic uint32_t *begun; /* receivers, senders */
} crowd;

#define CROWD_EACH 400

static void crowd_send(void *argument)
{
    const crowd *c = argument;
    unsigned char bytes[2000];

    for (unsigned i = 0; i < CROWD_EACH; i++) {
        uint32_t number = c->sender * CROWD_EACH + i;
        size_t n = 4 + number * 7919u % 1900;

        memcpy(bytes, &number, 4);
        pattern_fill(bytes + 4, n - 4, number);
        CHECK_CODE(many_pipe_send(c->pipe, bytes, n, 30), 0);
        /* Nobody is through before all have begun: it would seem that the last of them is gone. */
        if (i == 0 && c->begun != NULL) {
            atomic_fetch_add(&c->begun[1], 1);
            UNTIL(atomic_load(&c->begun[1]) == 4);
        }
    }
}

static void crowd_receive(void *argument)
{
    const crowd *c = argument;
    unsigned char bytes[2000];
    ssize_t got;

    many_pipe_close(c->unused);
    CHECK(many_pipe_poll(c->pipe, 0) >= 0);
    atomic_fetch_add(&c->begun[0], 1);
    while ((got = many_pipe_receive(c->pipe, bytes, sizeof bytes, 30)) != -EPIPE) {
        uint32_t number;

        CHECK(got >= 4);
        memcpy(&number, bytes, 4);
        CHECK_EQUAL(got, 4 + number * 7919u % 1900);
        CHECK(pattern_holds(bytes + 4, (size_t)got - 4, number));
        atomic_fetch_add(&c->seen[number], 1);
    }
}

/* Several processes on either side: no message torn, none twice. */
PIPES(pipe_is_shared_by_processes_on_both_sides)
{
    _Atomic uint32_t *seen = test_shared((4 * CROWD_EACH + 2) * sizeof *seen);
    _Atomic uint32_t *begun = seen + 4 * CROWD_EACH;
    many_pipe *one = NULL, *other = NULL;
    pid_t senders[4], receivers[3];
    crowd c[4];

    pipe_kind_open(kind, &one, &other);
    for (unsigned i = 0; i < 3; i++) {
        c[i] = (crowd){other, one, 0, seen, begun};
        receivers[i] = test_child_start(crowd_receive, &c[i]);
    }
    UNTIL(atomic_load(&begun[0]) == 3);
    for (unsigned i = 0; i < 4; i++) {
        c[i] = (crowd){one, other, i, seen, begun};
        senders[i] = test_child_start(crowd_send, &c[i]);
    }
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(test_child_wait(senders[i]), 0);
    many_pipe_close(one);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(test_child_wait(receivers[i]), 0);
    many_pipe_close(other);
    for (int i = 0; i < 4 * CROWD_EACH; i++)
        CHECK_EQUAL(seen[i], 1);
}

static void *crowd_thread(void *argument)
{
    const crowd *c = argument;
    unsigned char bytes[2000];
    ssize_t got;

    while ((got = many_pipe_receive(c->pipe, bytes, sizeof bytes, 30)) > 1) {
        uint32_t number;

        memcpy(&number, bytes, 4);
        CHECK(pattern_holds(bytes + 4, (size_t)got - 4, number));
        atomic_fetch_add(&c->seen[number], 1);
    }
    CHECK(got == 1); /* the word to stop */
    return NULL;
}

PIPES(pipe_is_shared_by_threads)
{
    static _Atomic uint32_t seen[4 * CROWD_EACH];
    many_pipe *one = NULL, *other = NULL;
    pthread_t threads[3];
    crowd c[4];

    for (int i = 0; i < 4 * CROWD_EACH; i++)
        seen[i] = 0;
    pipe_kind_open(kind, &one, &other);
    for (int i = 0; i < 3; i++) {
        c[i] = (crowd){other, NULL, 0, seen, NULL};
        CHECK(pthread_create(&threads[i], NULL, crowd_thread, &c[i]) == 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        crowd sender = {one, NULL, i, seen, NULL};

        crowd_send(&sender);
    }
    for (int i = 0; i < 3; i++)
        CHECK_CODE(many_pipe_send(one, "x", 1, 30), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4 * CROWD_EACH; i++)
        CHECK_EQUAL(seen[i], 1);
    many_pipe_close(one);
    many_pipe_close(other);
}

/* ---- signals ---- */

static void on_signal(int number)
{
    (void)number;
}

typedef struct poke {
    pthread_t thread;
    _Atomic int over;
} poke;

static void *poke_thread(void *argument)
{
    poke *p = argument;

    while (!atomic_load(&p->over)) {
        pthread_kill(p->thread, SIGUSR1);
        usleep(2000);
    }
    return NULL;
}

static void poke_begin(poke *p, pthread_t *thread)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    p->thread = pthread_self();
    p->over = 0;
    CHECK(pthread_create(thread, NULL, poke_thread, p) == 0);
}

static void poke_end(poke *p, pthread_t thread)
{
    p->over = 1;
    pthread_join(thread, NULL);
    signal(SIGUSR1, SIG_DFL);
}

PIPES(pipe_waits_end_by_a_signal_handler)
{
    many_pipe *one = NULL, *other = NULL;
    pthread_t thread;
    char byte;
    poke p;
    int code;

    pipe_kind_open(kind, &one, &other);
    poke_begin(&p, &thread);
    CHECK_CODE(many_pipe_receive(one, &byte, 1, MANY_FOREVER), -EINTR);
    CHECK_CODE(many_pipe_poll(one, MANY_FOREVER), -EINTR);
    CHECK_CODE(many_pipe_wait(&one, 1, NULL, MANY_FOREVER), -EINTR);
    CHECK_CODE(many_pipe_receive_descriptor(one, MANY_FOREVER),
               kind == PIPE_TCP ? -ENOTSUP : -EINTR);
    if (kind != PIPE_TCP) { /* which may take a part of a message, and then has to take the rest */
        do
            code = many_pipe_send(one, &byte, 1, MANY_FOREVER);
        while (code == 0);
        CHECK_CODE(code, -EINTR);
    }
    poke_end(&p, thread);
    many_pipe_close(one);
    many_pipe_close(other);
}

/* Signals in the middle of long messages: each -EINTR may be tried again, and nothing is lost or
 * torn. */
PIPES(pipe_loses_nothing_by_signals_in_the_middle_of_a_message)
{
    many_pipe *one = NULL, *other = NULL;
    stream s = {NULL, NULL, 8, 5 * MIB};
    pthread_t thread;
    pid_t child;
    void *bytes;
    poke p;

    pipe_kind_open(kind, &one, &other);
    s.pipe = other;
    s.unused = one;
    child = test_child_start(send_stream, &s);
    many_pipe_close(other);
    poke_begin(&p, &thread);
    for (size_t i = 0; i < s.count; i++) {
        ssize_t got;

        do
            got = many_pipe_receive_new(one, &bytes, MANY_FOREVER);
        while (got == -EINTR);
        CHECK_CODE(got, (long)stream_length(&s, i));
        CHECK(pattern_holds(bytes, (size_t)got, (unsigned)i));
        free(bytes);
    }
    poke_end(&p, thread);
    CHECK_EQUAL(test_child_wait(child), 0);
    many_pipe_close(one);
}
