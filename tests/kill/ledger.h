/* SPDX-License-Identifier: MIT */
/*
 * ledger.h - what really happened to each item, kept by the tasks themselves in shared memory
 *
 * A map says what became of its items; the ledger says it independently: how often fn was entered
 * and left for each. A test compares the two.
 *
 *   ledger *book = ledger_open(1000);
 *   many_process_map(ledger_task, book->in, book->out, 1000, .context = book, ...);
 *   ledger_check(book, &(ledger_rule){.retries = 0, .kills = 3, .failed = 1});
 */
#ifndef MANY_TESTS_KILL_LEDGER_H
#define MANY_TESTS_KILL_LEDGER_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <many/map.h>

#include "test.h"

typedef struct ledger_cell {
    _Atomic uint32_t entered; /* fn began */
    _Atomic uint32_t left;    /* fn was about to return */
} ledger_cell;

typedef struct ledger_result {
    uint64_t square, index, sum; /* an odd size for a result: not a power of two */
} ledger_result;

/* Lies in shared memory as a whole, arrays too. */
typedef struct ledger {
    size_t n;
    uint32_t least_us, most_us; /* an item spins so long; both 0: not at all */
    uint64_t fails;             /* the item that returns LEDGER_SAYS_NO; UINT64_MAX: none */
    size_t next;                /* what the source gives next */
    _Atomic uint32_t begun;     /* items of all maps so far, for the killer */
    uint64_t *in;
    ledger_result *out;
    int *codes;
    uint32_t *outcomes; /* how often on_result had each item */
    ledger_cell *cell;
} ledger;

#define LEDGER_SAYS_NO    7
#define LEDGER_NO_OUTCOME 0x5EED /* what codes[] holds before the map */

static inline uint64_t ledger_hash(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9); /* splitmix64, Steele and others 2014 */
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

/* The next number of a sequence: 0 to below most. */
static inline uint64_t ledger_random(uint64_t *seed, uint64_t most)
{
    *seed += UINT64_C(0x9E3779B97F4A7C15);
    return ledger_hash(*seed) % most;
}

/* Ready for another map over the same items. */
static inline void ledger_clear(ledger *book)
{
    memset(book->out, 0xEE, book->n * sizeof *book->out);
    memset(book->outcomes, 0, book->n * sizeof *book->outcomes);
    memset(book->cell, 0, book->n * sizeof *book->cell);
    for (size_t i = 0; i < book->n; i++)
        book->codes[i] = LEDGER_NO_OUTCOME;
    book->next = 0;
}

static inline ledger *ledger_open(size_t n)
{
    const size_t bytes = sizeof(ledger) + n * (sizeof(uint64_t) + sizeof(ledger_result) +
                                               sizeof(ledger_cell) + 2 * sizeof(int));
    char *memory = test_shared(bytes);
    ledger *book = (ledger *)memory;

    memory += sizeof *book;
    book->n = n;
    book->fails = UINT64_MAX;
    book->in = (uint64_t *)memory;
    book->out = (ledger_result *)(book->in + n);
    book->cell = (ledger_cell *)(book->out + n);
    book->codes = (int *)(book->cell + n);
    book->outcomes = (uint32_t *)(book->codes + n);
    for (size_t i = 0; i < n; i++)
        book->in[i] = ledger_hash(i) >> 33;
    ledger_clear(book);
    return book;
}

static inline void ledger_spin(double seconds)
{
    double end = test_seconds() + seconds;

    while (test_seconds() < end) {
    }
}

static inline ledger_result ledger_answer(const ledger *book, size_t i)
{
    uint64_t x = book->in[i];

    return (ledger_result){x * x, i, x + i};
}

static inline int ledger_run(ledger *book, size_t i, uint64_t x, ledger_result *result)
{
    atomic_fetch_add(&book->cell[i].entered, 1);
    atomic_fetch_add(&book->begun, 1);
    if (book->most_us > 0) {
        uint64_t us = book->least_us + ledger_hash(i + 99) % (book->most_us - book->least_us + 1);

        ledger_spin((double)us / 1e6);
    }
    if (result != NULL)
        *result = (ledger_result){x * x, i, x + i};
    atomic_fetch_add(&book->cell[i].left, 1);
    return i == book->fails ? LEDGER_SAYS_NO : 0;
}

/* The tasks; context is the ledger. */
static inline int ledger_task(const void *item, void *result, void *context)
{
    return ledger_run(context, many_item_index(), *(const uint64_t *)item, result);
}

static inline int ledger_range_task(const void *items, void *results, size_t n, void *context)
{
    const uint64_t *x = items;
    ledger_result *result = results;
    size_t first = many_item_index();
    int code = 0;

    for (size_t k = 0; k < n && code == 0; k++)
        code = ledger_run(context, first + k, x[k], &result[k]);
    return code;
}

/* The same items as a source, and who takes what comes of them. */
static inline int ledger_next(void *item, void *context)
{
    ledger *book = context;

    if (book->next == book->n)
        return 0;
    *(uint64_t *)item = book->in[book->next++];
    return 1;
}

static inline int ledger_take(const many_outcome *outcome, void *context)
{
    ledger *book = context;

    CHECK(outcome->index < book->n);
    CHECK_EQUAL(book->outcomes[outcome->index], 0);
    CHECK_EQUAL(*(const uint64_t *)outcome->item, book->in[outcome->index]);
    CHECK((outcome->cause != NULL) == (outcome->code != 0));
    if (outcome->code != 0) {
        CHECK_EQUAL(outcome->cause->code, outcome->code);
        CHECK_EQUAL(outcome->cause->item, outcome->index);
    }
    book->outcomes[outcome->index]++;
    book->codes[outcome->index] = outcome->code;
    memcpy(&book->out[outcome->index], outcome->result, sizeof book->out[0]);
    return 0;
}

typedef struct ledger_rule {
    int code;         /* what the map returned */
    uint32_t retries; /* .retries */
    uint64_t most;    /* no more items than these died: one a kill, or a run a kill */
    int stopped;      /* 1: the map was to stop at the first failure: the rest is -ECANCELED */
    int source;       /* 1: the items came from a source */
} ledger_rule;

/* How many items have this code. */
static inline size_t ledger_count(const ledger *book, int code)
{
    size_t count = 0;

    for (size_t i = 0; i < book->n; i++)
        count += book->codes[i] == code;
    return count;
}

/*
 * Whatever was killed, wherever: every item has one outcome; fn was entered at most once a
 * permitted try; what is said to be done is done, and its result right; no more items died than
 * were killed.
 */
static inline void ledger_check(const ledger *book, const ledger_rule *rule)
{
    size_t died = ledger_count(book, -MANY_EDIED);
    size_t refused = ledger_count(book, LEDGER_SAYS_NO);
    uint64_t lost = 0;

    for (size_t i = 0; i < book->n; i++) {
        uint32_t entered = atomic_load(&book->cell[i].entered);
        uint32_t left = atomic_load(&book->cell[i].left);
        ledger_result answer = ledger_answer(book, i);

        CHECK(entered <= 1 + rule->retries);
        CHECK(left <= entered);
        lost += entered - left;
        switch (book->codes[i]) {
        case 0:
            CHECK(left >= 1);
            CHECK_BYTES(&book->out[i], &answer, sizeof answer);
            break;
        case -MANY_EDIED:
            break;
        case LEDGER_SAYS_NO:
            CHECK_EQUAL(i, book->fails);
            break;
        case -ECANCELED:
            CHECK(rule->stopped);
            break;
        case LEDGER_NO_OUTCOME: /* never pulled from the source */
            CHECK(rule->stopped && rule->source);
            CHECK_EQUAL(entered, 0);
            break;
        default:
            CHECK_CODE(book->codes[i], 0); /* no outcome, or one that cannot be */
        }
    }
    CHECK(died <= rule->most);
    if (!rule->stopped)
        CHECK(lost <= rule->most);
    if (!rule->stopped)
        CHECK_CODE(rule->code, (long)(died + refused));
    else if (died + refused > 0)
        CHECK(rule->code == -MANY_EDIED || rule->code == -MANY_ETASK);
    else
        CHECK(rule->code == 0 && ledger_count(book, 0) == book->n);
}

#endif
