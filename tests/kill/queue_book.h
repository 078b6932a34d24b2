/* SPDX-License-Identifier: MIT */
/*
 * queue_book.h - who put and who got which message: what the tests that kill judge a queue by
 *
 * A seat is a producer or a consumer; who sits on it may be killed, and another takes its place.
 * Each writes down what it is about to do, and that it was done, so that after a kill all that is
 * not known is one message. Lies in shared memory.
 */
#ifndef MANY_TESTS_KILL_QUEUE_BOOK_H
#define MANY_TESTS_KILL_QUEUE_BOOK_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <many/channel.h>

#include "kill/ledger.h"
#include "test.h"

#define BOOK_SEATS      8
#define BOOK_NUMBERS    ((uint64_t)1 << 24) /* messages a seat may put */
#define BOOK_BYTES_MOST (210000)
#define BOOK_LONG_EVERY 97

typedef struct book_seat {
    _Atomic uint64_t begun;   /* the number of the message that was about to be put last */
    _Atomic uint64_t done;    /* and that was put */
    _Atomic uint64_t unknown; /* messages that somebody was killed over putting */
    _Atomic uint32_t getting; /* 1: about to get, and has not written down what */
    _Atomic uint32_t losses;  /* killed in that state */
    _Atomic uint64_t lives;
} book_seat;

typedef struct book {
    book_seat seats[BOOK_SEATS];
    _Atomic uint64_t torn;
    _Atomic uint64_t doubled;
    _Atomic uint64_t disordered;
    _Atomic uint64_t refused; /* calls that failed with a code that they should not */
    _Atomic int64_t refusal;
    _Atomic uint64_t got;  /* about: who is killed may not have come to count */
    _Atomic uint32_t over; /* no more puts */
    uint32_t dropped;      /* 1: an immediate shutdown has made messages disappear */
    uint32_t long_every;   /* one message in so many is long; 0: BOOK_LONG_EVERY */
    _Atomic uint8_t times[BOOK_SEATS][BOOK_NUMBERS]; /* each was got */
} book;

typedef struct book_head {
    uint64_t seat;
    uint64_t number;
    uint64_t bytes; /* all */
    uint64_t check;
} book_head;

static inline uint64_t book_check(const unsigned char *bytes, uint64_t n, uint64_t number)
{
    uint64_t sum = number * 0x9E3779B97F4A7C15u, word;

    for (; n >= sizeof word; bytes += sizeof word, n -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        sum = (sum ^ word) * 0x100000001B3u;
    }
    return sum ^ n;
}

static inline uint64_t book_length(uint64_t every, uint64_t seat, uint64_t number)
{
    uint64_t dice = ledger_hash(seat << 40 | number);

    return sizeof(book_head) + (dice % every == 0 ? 200000 + dice % 9000 : (dice >> 20) % 8192);
}

/* Put the seat's next message; 0, or what the queue said. */
static inline int book_put(book *us, uint64_t seat, many_queue *queue, double timeout_s)
{
    static _Thread_local unsigned char message[BOOK_BYTES_MOST];
    book_head head = {.seat = seat, .number = us->seats[seat].begun + 1};
    int code;

    head.bytes =
        book_length(us->long_every != 0 ? us->long_every : BOOK_LONG_EVERY, seat, head.number);
    memset(message + sizeof head, (int)(head.number * 7 + seat), head.bytes - sizeof head);
    head.check = book_check(message + sizeof head, head.bytes - sizeof head, head.number);
    memcpy(message, &head, sizeof head);
    us->seats[seat].begun = head.number;
    code = many_queue_put(queue, message, head.bytes, timeout_s);
    if (code == 0)
        us->seats[seat].done = head.number;
    else
        us->seats[seat].begun = head.number - 1;
    return code;
}

/* Get one message and write it down; its length, or what the queue said. last: of each seat, the
 * number that this life of the getter saw last. */
static inline ssize_t book_get(book *us, uint64_t seat, many_queue *queue, uint64_t *last,
                               double timeout_s)
{
    static _Thread_local unsigned char message[BOOK_BYTES_MOST];
    book_head head;
    ssize_t bytes;

    us->seats[seat].getting = 1;
    bytes = many_queue_get(queue, message, sizeof message, timeout_s);
    if (bytes < 0) {
        us->seats[seat].getting = 0;
        return bytes;
    }
    memcpy(&head, message, sizeof head);
    if ((size_t)bytes < sizeof head || head.bytes != (uint64_t)bytes || head.seat >= BOOK_SEATS ||
        head.number >= BOOK_NUMBERS ||
        head.check != book_check(message + sizeof head, head.bytes - sizeof head, head.number)) {
        us->torn++;
    } else {
        if (atomic_fetch_add(&us->times[head.seat][head.number], 1) != 0)
            us->doubled++;
        if (head.number <= last[head.seat])
            us->disordered++;
        last[head.seat] = head.number;
        us->got++;
    }
    us->seats[seat].getting = 0;
    return bytes;
}

/* A call failed as none should. */
static inline void book_refuse(book *us, long code)
{
    us->refusal = code;
    us->refused++;
}

/* Who sat there was killed: what is not known now? */
static inline void book_bury(book *us, uint64_t seat)
{
    book_seat *grave = &us->seats[seat];

    if (grave->begun != grave->done) {
        grave->unknown++;
        grave->done =
            grave->begun; /* the next one goes on behind it; whether it came is seen later */
    }
    if (grave->getting) {
        grave->losses++;
        grave->getting = 0;
    }
}

/* The queue is empty and everybody is gone: does it all add up? */
static inline void book_judge(book *us)
{
    uint64_t missing = 0, unknown = 0, losses = 0;

    CHECK_EQUAL(us->torn, 0);
    CHECK_EQUAL(us->doubled, 0);
    CHECK_EQUAL(us->disordered, 0);
    if (us->refused != 0)
        test_fail_(__FILE__, __LINE__, "%llu calls failed, the last with %s",
                   (unsigned long long)us->refused, many_error_name((int)us->refusal));
    for (int seat = 0; seat < BOOK_SEATS; seat++) {
        unknown += us->seats[seat].unknown;
        losses += us->seats[seat].losses;
        for (uint64_t number = 1; number <= us->seats[seat].begun; number++)
            missing += us->times[seat][number] == 0;
        /* Nobody got what was never put. */
        CHECK_EQUAL(us->times[seat][us->seats[seat].begun + 1], 0);
    }
    if (missing > unknown + losses && !us->dropped)
        test_fail_(__FILE__, __LINE__,
                   "%llu messages are missing, and only %llu putters and %llu getters were killed "
                   "over one",
                   (unsigned long long)missing, (unsigned long long)unknown,
                   (unsigned long long)losses);
}

#endif
