/* SPDX-License-Identifier: MIT */
/*
 * test_pipe_chaos.c - senders and receivers share the ends of a pipe, and one of them is killed
 * every moment, anywhere, and replaced: no message torn or doubled, and none lost but those that a
 * killed receiver had taken
 *
 * MANY_SOAK in the environment: 10 000 kills in place of some hundreds.
 */
#include "test.h"

#include <many.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "channel/pipes.h"

#define SENDERS   3
#define RECEIVERS 3
#define NUMBERS   (1 << 25) /* more than can be sent in the time; memory is taken as they are */
#define MOST      ((size_t)100000)

enum { NOT_SENT, SENDING, SENT };

typedef struct book {
    many_pipe *one, *other;
    _Atomic uint32_t next; /* number to send */
    _Atomic uint32_t over; /* senders, come to an end */
    _Atomic uint32_t dry;  /* receivers, come to an end */
    _Atomic uint8_t sent[NUMBERS];
    _Atomic uint8_t received[NUMBERS];
} book;

static size_t chaos_length(uint32_t number)
{
    return 4 + (number % 16 == 0 ? number * 2654435761u % MOST : number * 2654435761u % 500);
}

static void chaos_check(book *b, const unsigned char *bytes, ssize_t got)
{
    uint32_t number;

    if (got < 4)
        CHECK_CODE(got, 4); /* says what it was */
    memcpy(&number, bytes, 4);
    CHECK(number < NUMBERS);
    CHECK_EQUAL(got, chaos_length(number));
    CHECK(pattern_holds(bytes + 4, (size_t)got - 4, number));
    CHECK(atomic_load(&b->sent[number]) != NOT_SENT);
    CHECK_EQUAL(atomic_fetch_add(&b->received[number], 1), 0);
}

static void chaos_send(void *argument)
{
    book *b = argument;
    unsigned char *bytes = malloc(MOST + 4);

    while (!atomic_load(&b->over)) {
        uint32_t number = atomic_fetch_add(&b->next, 1);

        if (number >= NUMBERS)
            break;
        memcpy(bytes, &number, 4);
        pattern_fill(bytes + 4, chaos_length(number) - 4, number);
        atomic_store(&b->sent[number], SENDING);
        CHECK_CODE(many_pipe_send(b->other, bytes, chaos_length(number), 60), 0);
        atomic_store(&b->sent[number], SENT);
    }
    free(bytes);
}

static void chaos_receive(void *argument)
{
    book *b = argument;
    unsigned char *bytes = malloc(MOST + 4);

    while (!atomic_load(&b->dry)) {
        ssize_t got = many_pipe_receive(b->one, bytes, MOST + 4, 0.01);

        if (got != -ETIMEDOUT)
            chaos_check(b, bytes, got);
    }
    free(bytes);
}

static pid_t chaos_start(book *b, int which)
{
    return test_child_start(which < SENDERS ? chaos_send : chaos_receive, b);
}

static void chaos_account(const book *b, uint32_t receivers_killed)
{
    uint32_t lost = 0, count = atomic_load(&b->next);

    for (uint32_t i = 0; i < count && i < NUMBERS; i++) {
        CHECK(atomic_load(&b->received[i]) <= 1);
        lost += atomic_load(&b->sent[i]) == SENT && atomic_load(&b->received[i]) == 0;
    }
    CHECK(lost <= receivers_killed);
}

static void chaos(int polled)
{
    const uint32_t kills = getenv("MANY_SOAK") != NULL ? 10000 : 400 / (uint32_t)test_slowness();
    book *b = test_shared(sizeof *b);
    unsigned char *bytes = malloc(MOST + 4);
    pid_t children[SENDERS + RECEIVERS];
    uint32_t receivers_killed = 0, state = 99 + (uint32_t)polled;
    ssize_t got;

    test_limit(getenv("MANY_SOAK") != NULL ? 600 : 120);
    CHECK_CODE(many_pipe_open(&b->one, &b->other), 0);
    /* This process has both ends, too, so that none is ever without a holder. */
    CHECK_CODE(many_pipe_poll(b->one, 0), 0);
    CHECK_CODE(many_pipe_poll(b->other, 0), 0);
    if (polled)
        CHECK(many_pipe_descriptor(b->one) > 2);
    for (int i = 0; i < SENDERS + RECEIVERS; i++)
        children[i] = chaos_start(b, i);
    for (uint32_t i = 0; i < kills; i++) {
        struct timespec moment = {0, 0};
        uint32_t which;

        state = state * 1664525u + 1013904223u;
        which = (state >> 8) % (SENDERS + RECEIVERS);
        moment.tv_nsec = (long)(state % 3000000);
        nanosleep(&moment, NULL);
        kill(children[which], SIGKILL);
        CHECK_EQUAL(test_child_wait(children[which]), SIGKILL);
        receivers_killed += which >= SENDERS;
        children[which] = chaos_start(b, (int)which);
    }
    atomic_store(&b->over, 1);
    for (int i = 0; i < SENDERS; i++)
        CHECK_EQUAL(test_child_wait(children[i]), 0);
    atomic_store(&b->dry, 1);
    for (int i = SENDERS; i < SENDERS + RECEIVERS; i++)
        CHECK_EQUAL(test_child_wait(children[i]), 0);
    while ((got = many_pipe_receive(b->one, bytes, MOST + 4, 0)) != -ETIMEDOUT)
        chaos_check(b, bytes, got);
    chaos_account(b, receivers_killed);
    many_pipe_close(b->one);
    many_pipe_close(b->other);
    free(bytes);
}

TEST(pipe_survives_random_kills_of_its_users)
{
    chaos(0);
}

TEST(pipe_that_is_polled_survives_random_kills_of_its_users)
{
    chaos(1);
}
