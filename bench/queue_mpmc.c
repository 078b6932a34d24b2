/* SPDX-License-Identifier: MIT */
/*
 * queue_mpmc.c - four producers and four consumers of one queue, threads or processes
 *
 * All eight wait at a gate; the time runs from its opening to the last message that a consumer got.
 * What each consumer sees of one producer must come in order, and all of them together must have
 * seen each message once. After the last message of all producers, each consumer finds one that
 * says so. Nobody is tied to a processor.
 */
#include "queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum {
    PRODUCERS = CROWD_PRODUCERS,
    CONSUMERS = CROWD_CONSUMERS,
    MESSAGES = 250000, /* of each producer: a third of a second at the rate many must reach */
    WORDS = CROWD_BYTES / sizeof(uint64_t),
    LAST = PRODUCERS, /* the producer that is named in a consumer's last message */
};

/* Shared by all, zero at first. */
typedef struct mpmc_run {
    const bench_crowd *subject;
    int gate[2];           /* a pipe: reading it ends when the last who may write has closed it */
    _Atomic int producing; /* producers that have not ended */
    struct mpmc_seen {
        _Alignas(64) int64_t end_ns;
        uint64_t messages;
        uint64_t sum; /* of all numbers */
    } seen[CONSUMERS];
} mpmc_run;

/* One of the eight: producers first. */
typedef struct mpmc_party {
    mpmc_run *run;
    int number;
} mpmc_party;

static void mpmc_wait(const mpmc_run *run)
{
    char byte;

    while (read(run->gate[0], &byte, 1) < 0)
        if (errno != EINTR)
            bench_die("gate: %s", strerror(errno));
}

static void mpmc_put(const mpmc_run *run, uint64_t producer, uint64_t number)
{
    uint64_t message[WORDS] = {0};

    message[0] = producer;
    message[WORDS - 1] = number;
    run->subject->put(message);
}

static void mpmc_produce(mpmc_run *run, int producer)
{
    mpmc_wait(run);
    for (uint64_t number = 1; number <= MESSAGES; number++)
        mpmc_put(run, (uint64_t)producer, number);
    if (atomic_fetch_sub(&run->producing, 1) == 1)
        for (int consumer = 0; consumer < CONSUMERS; consumer++)
            mpmc_put(run, LAST, 0);
}

static void mpmc_consume(mpmc_run *run, struct mpmc_seen *seen)
{
    uint64_t latest[PRODUCERS] = {0};
    uint64_t messages = 0;
    uint64_t sum = 0;

    mpmc_wait(run);
    for (;;) {
        uint64_t message[WORDS];
        uint64_t producer;
        uint64_t number;

        run->subject->get(message);
        producer = message[0];
        number = message[WORDS - 1];
        if (producer == LAST)
            break;
        if (producer > LAST || number <= latest[producer])
            bench_die("message %llu of producer %llu came late or twice",
                      (unsigned long long)number, (unsigned long long)producer);
        latest[producer] = number;
        messages++;
        sum += number;
    }
    seen->end_ns = bench_now_ns();
    seen->messages = messages;
    seen->sum = sum;
}

static void *mpmc_begin(void *argument)
{
    const mpmc_party *party = argument;

    if (party->number < PRODUCERS)
        mpmc_produce(party->run, party->number);
    else
        mpmc_consume(party->run, &party->run->seen[party->number - PRODUCERS]);
    return NULL;
}

/* Returns when the gate was opened, after all eight have ended. */
static int64_t mpmc_threads(mpmc_party *parties)
{
    enum { PARTIES = PRODUCERS + CONSUMERS };
    pthread_t threads[PARTIES];
    int64_t begin;

    for (int i = 0; i < PARTIES; i++)
        if (pthread_create(&threads[i], NULL, mpmc_begin, &parties[i]) != 0)
            bench_die("pthread_create failed");
    begin = bench_now_ns();
    close(parties->run->gate[1]);
    for (int i = 0; i < PARTIES; i++)
        pthread_join(threads[i], NULL);
    return begin;
}

static int64_t mpmc_processes(mpmc_party *parties)
{
    enum { PARTIES = PRODUCERS + CONSUMERS };
    pid_t children[PARTIES];
    int64_t begin;

    for (int i = 0; i < PARTIES; i++) {
        children[i] = bench_fork();
        if (children[i] == 0) {
            close(parties->run->gate[1]);
            mpmc_begin(&parties[i]);
            _exit(0);
        }
    }
    begin = bench_now_ns();
    close(parties->run->gate[1]);
    for (int i = 0; i < PARTIES; i++)
        bench_join(children[i]);
    return begin;
}

static void mpmc_report(const mpmc_run *run, int64_t begin)
{
    const uint64_t all = (uint64_t)PRODUCERS * MESSAGES;
    int64_t end = begin;
    uint64_t messages = 0;
    uint64_t sum = 0;

    for (int i = 0; i < CONSUMERS; i++) {
        messages += run->seen[i].messages;
        sum += run->seen[i].sum;
        if (run->seen[i].end_ns > end)
            end = run->seen[i].end_ns;
    }
    if (messages != all || sum != PRODUCERS * ((uint64_t)MESSAGES * (MESSAGES + 1) / 2))
        bench_die("%llu messages came of %llu, or not the right ones", (unsigned long long)messages,
                  (unsigned long long)all);
    bench_print((double)all / (double)(end - begin) * 1e9, "msgs/s");
}

int bench_crowd_main(int argc, char **argv, const bench_crowd *subjects, size_t count)
{
    mpmc_run *run = bench_memory(sizeof *run, 1);
    mpmc_party parties[PRODUCERS + CONSUMERS];
    int64_t begin;

    for (size_t i = 0; i < count && argc == 3 && strcmp(argv[1], "queue.mpmc") == 0; i++)
        if (strcmp(argv[2], subjects[i].name) == 0)
            run->subject = &subjects[i];
    if (run->subject == NULL)
        bench_die("usage: %s queue.mpmc SUBJECT; there is no such subject", argv[0]);
    if (pipe(run->gate) != 0)
        bench_die("pipe: %s", strerror(errno));
    run->producing = PRODUCERS;
    run->subject->open();
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
        parties[i] = (mpmc_party){.run = run, .number = i};
    begin = run->subject->processes ? mpmc_processes(parties) : mpmc_threads(parties);
    mpmc_report(run, begin);
    return 0;
}
