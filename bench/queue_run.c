/* SPDX-License-Identifier: MIT */
/*
 * queue_run.c - two processes that send messages to each other: one way, and there and back
 *
 * Process 0 leads: it announces each part of the run by a message of the subject's own, so that nothing
 * else need connect the two. Every message is checked: some in full, before anything is timed;
 * the timed ones by a number in their first and in their last word.
 *
 *   one way         many messages, from the first put (process 0's clock) to the last get (1's: the
 *                   same clock). Their number doubles until they take long enough to tell how many
 *                   fit into ONE_WAY_NS; only that last run counts, and only if it is as long as was
 *                   meant, so that no chance delay of a short one is the figure. So what is slow is measured for
 *                   as long as what is fast, and nobody's first touch of memory is in the figure.
 *   there and back  a message and its answer, each pair timed: the median, and the time that one of a
 *                   hundred exceeds. The first ones, for WARM_NS, do not count.
 */
#include "queue.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#define ONE_WAY_NS INT64_C(300000000)
#define TRIPS_NS   INT64_C(300000000)
#define WARM_NS    INT64_C(50000000)
#define LAST       UINT64_MAX /* the number of the last message there and back */

enum {
    CHECKED = 64,        /* messages that are compared in full, each way */
    FIRST_MESSAGES = 64, /* of the first, untimed part one way */
    TRIPS_MIN = 300, /* there and back: enough to speak of one in a hundred; more time for them */
    TRIPS_MAX = 1000000,
};

/* What process 0 announces. */
enum queue_part { QUEUE_CHECK = 1, QUEUE_ONE_WAY, QUEUE_TRIPS, QUEUE_END };

/* One of the two processes. */
typedef struct queue_side {
    const bench_passage *passage;
    int process;       /* 0 or 1; sends by the direction of this number */
    size_t words;      /* of a message */
    uint64_t *message; /* so many words */
} queue_side;

static void queue_put(const queue_side *self)
{
    self->passage->send(self->process, self->message, self->words * sizeof *self->message);
}

static void queue_get(const queue_side *self)
{
    self->passage->receive(1 - self->process, self->message, self->words * sizeof *self->message);
}

static void queue_number(const queue_side *self, uint64_t number)
{
    self->message[0] = number;
    self->message[self->words - 1] = number;
}

static uint64_t queue_numbered(const queue_side *self)
{
    if (self->message[0] != self->message[self->words - 1])
        bench_die("a message begins as number %llu and ends as %llu",
                  (unsigned long long)self->message[0],
                  (unsigned long long)self->message[self->words - 1]);
    return self->message[0];
}

static void queue_expect(const queue_side *self, uint64_t number)
{
    uint64_t seen = queue_numbered(self);

    if (seen != number)
        bench_die("message %llu came in place of %llu", (unsigned long long)seen,
                  (unsigned long long)number);
}

/* Words that differ within a message and from message to message. */
static uint64_t queue_word(uint64_t number, size_t i)
{
    return (number * 0x9e3779b97f4a7c15u) ^ (i * 0xff51afd7ed558ccdu); /* any odd constants */
}

static void queue_fill(const queue_side *self, uint64_t number)
{
    for (size_t i = 0; i < self->words; i++)
        self->message[i] = queue_word(number, i);
}

static void queue_compare(const queue_side *self, uint64_t number)
{
    for (size_t i = 0; i < self->words; i++)
        if (self->message[i] != queue_word(number, i))
            bench_die("word %zu of message %llu is wrong", i, (unsigned long long)number);
}

/* ---- process 1 ---- */

static void queue_answer_check(const queue_side *self)
{
    for (uint64_t number = 0; number < CHECKED; number++) {
        queue_get(self);
        queue_compare(self, number);
        queue_fill(self, ~number);
        queue_put(self);
    }
}

static void queue_answer_one_way(const queue_side *self, uint64_t messages)
{
    for (uint64_t number = 0; number < messages; number++) {
        queue_get(self);
        queue_expect(self, number);
    }
    queue_number(self, (uint64_t)bench_now_ns());
    queue_put(self);
}

static void queue_answer_trips(const queue_side *self)
{
    uint64_t number;

    do {
        queue_get(self);
        number = queue_numbered(self);
        queue_put(self);
    } while (number != LAST);
}

static void queue_answer(const queue_side *self)
{
    enum queue_part part;

    do {
        uint64_t messages;

        queue_get(self);
        part = (enum queue_part)self->message[0];
        messages = self->message[1];
        if (part != QUEUE_END) /* who ends at once may not get it out any more */
            queue_put(self);
        if (part == QUEUE_CHECK)
            queue_answer_check(self);
        else if (part == QUEUE_ONE_WAY)
            queue_answer_one_way(self, messages);
        else if (part == QUEUE_TRIPS)
            queue_answer_trips(self);
        else if (part != QUEUE_END)
            bench_die("part %d was announced", (int)part);
    } while (part != QUEUE_END);
}

/* ---- process 0 ---- */

static void queue_announce(const queue_side *self, enum queue_part part, uint64_t messages)
{
    self->message[0] = part;
    self->message[1] = messages;
    queue_put(self);
    if (part != QUEUE_END)
        queue_get(self);
}

static void queue_check(const queue_side *self)
{
    queue_announce(self, QUEUE_CHECK, 0);
    for (uint64_t number = 0; number < CHECKED; number++) {
        queue_fill(self, number);
        queue_put(self);
        queue_get(self);
        queue_compare(self, ~number);
    }
}

static int64_t queue_one_way_ns(const queue_side *self, uint64_t messages)
{
    int64_t begin;

    queue_announce(self, QUEUE_ONE_WAY, messages);
    memset(self->message, 0, self->words * sizeof *self->message);
    begin = bench_now_ns();
    for (uint64_t number = 0; number < messages; number++) {
        queue_number(self, number);
        queue_put(self);
    }
    queue_get(self);
    return (int64_t)queue_numbered(self) - begin;
}

static void queue_one_way(const queue_side *self)
{
    size_t bytes = self->words * sizeof *self->message;
    uint64_t messages = FIRST_MESSAGES;
    int64_t taken;
    int planned = 0; /* a run before this one has told how many messages it needs */
    double rate;

    for (;;) {
        taken = queue_one_way_ns(self, messages);
        if (planned && taken >= ONE_WAY_NS / 2)
            break;
        planned = taken >= ONE_WAY_NS / 8;
        if (planned)
            messages = (uint64_t)((double)messages * (double)ONE_WAY_NS / (double)taken) + 1;
        else
            messages *= 2;
    }
    rate = (double)messages / (double)taken; /* a ns */
    if (bytes >= 1 << 20)
        bench_print(rate * (double)bytes, "GB/s");
    else
        bench_print(rate * 1e9, "msgs/s");
}

static void queue_trips(const queue_side *self)
{
    int64_t *taken = bench_memory(TRIPS_MAX * sizeof *taken, 0);
    size_t trips = 0;
    size_t slow;
    int64_t begin;
    int64_t now;
    int warm = 0;

    queue_announce(self, QUEUE_TRIPS, 0);
    begin = now = bench_now_ns();
    while (!warm || (now - begin < (trips < TRIPS_MIN ? 10 : 1) * TRIPS_NS && trips < TRIPS_MAX)) {
        int64_t sent = now; /* one look at the clock serves two trips */

        queue_number(self, trips);
        queue_put(self);
        queue_get(self);
        queue_expect(self, trips);
        now = bench_now_ns();
        if (warm) {
            taken[trips++] = now - sent;
        } else if (now - begin >= WARM_NS) {
            warm = 1;
            begin = now;
        }
    }
    queue_number(self, LAST);
    queue_put(self);
    queue_get(self);
    bench_print((double)bench_median_ns(taken, trips) / 1000.0, "us p50"); /* sorts them */
    slow = trips / 100;
    bench_print((double)taken[trips - 1 - slow] / 1000.0, "us p99");
}

static size_t queue_bytes(const char *name)
{
    if (strcmp(name, "queue.64") == 0)
        return 64;
    if (strcmp(name, "queue.4k") == 0)
        return 4096;
    if (strcmp(name, "queue.1m") == 0)
        return 1 << 20;
    bench_die("no case %s", name);
}

/* The first two processors that we may use, one for each process; one alone serves both. */
static void queue_pin(int process)
{
    cpu_set_t all;
    cpu_set_t one;
    int left = process;

    if (sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) < 2)
        return;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all) || left-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof one, &one) != 0)
            bench_die("sched_setaffinity: %s", strerror(errno));
        return;
    }
}

void bench_queue_process(const char *name, const bench_passage *passage, int process)
{
    size_t bytes = queue_bytes(name);
    const queue_side self = {.passage = passage,
                             .process = process,
                             .words = bytes / sizeof(uint64_t),
                             .message = bench_memory(bytes, 0)};

    if (!passage->threads)
        queue_pin(process);
    if (passage->begin != NULL)
        passage->begin(process);
    if (process != 0) {
        queue_answer(&self);
        return;
    }
    queue_check(&self);
    queue_one_way(&self);
    queue_trips(&self);
    queue_announce(&self, QUEUE_END, 0);
}

int bench_queue_main(int argc, char **argv, const bench_passage *subjects, size_t count)
{
    const bench_passage *passage = NULL;
    size_t bytes;
    pid_t child;

    for (size_t i = 0; i < count && argc == 3; i++)
        if (strcmp(argv[2], subjects[i].name) == 0)
            passage = &subjects[i];
    if (passage == NULL)
        bench_die("usage: %s CASE SUBJECT; there is no such subject", argv[0]);
    bytes = queue_bytes(argv[1]);
    if (passage->longest != 0 && bytes > passage->longest)
        bench_die("%s: no messages of %zu bytes", passage->name, bytes);
    if (passage->open != NULL)
        passage->open(bytes);
    child = bench_fork();
    bench_queue_process(argv[1], passage, child == 0);
    if (child != 0)
        bench_join(child);
    return 0;
}
