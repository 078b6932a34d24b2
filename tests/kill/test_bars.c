/* SPDX-License-Identifier: MIT */
/*
 * test_bars.c - a bar counts right while those who count are killed
 */
#include <stdio.h>
#include <unistd.h>

#include <many/bar.h>
#include <many/map.h>

#include "base/fault.h"
#include "kill/killer.h"
#include "kill/ledger.h"
#include "test.h"

#define BARS_ITEMS 400

/* The map's own counting: each item once, however often it was tried, and whatever became of it. */
static void bars_of_map(int source, int retries)
{
    ledger *book = ledger_open(BARS_ITEMS);
    killer *hunt = killer_start(KILLER_ONE, 3, 700, book);

    book->least_us = 50;
    book->most_us = 300;
    while (atomic_load(&hunt->kills) < 40) {
        many_bar *bar = NULL;
        int code;

        ledger_clear(book);
        CHECK_CODE(many_bar_open(&bar, .total = BARS_ITEMS, .quiet = 1), 0);
        if (source)
            code = many_process_map(ledger_task, (uint64_t *)NULL, (ledger_result *)NULL, 0,
                                    .workers = 3, .context = book, .next = ledger_next,
                                    .next_context = book, .on_result = ledger_take,
                                    .on_result_context = book, .on_error = MANY_GO_ON, .bar = bar,
                                    .retries = retries);
        else
            code = many_process_map(ledger_task, book->in, book->out, BARS_ITEMS, .workers = 3,
                                    .context = book, .codes = book->codes, .on_error = MANY_GO_ON,
                                    .bar = bar, .retries = retries);
        CHECK_CODE(code, (long)ledger_count(book, -MANY_EDIED));
        CHECK_EQUAL(many_bar_count(bar), BARS_ITEMS);
        many_bar_close(bar);
    }
    killer_stop(hunt);
}

TEST(bar_of_a_map_counts_each_item_once_amid_kills)
{
    bars_of_map(0, 0);
    bars_of_map(0, 2);
}

TEST(bar_of_a_source_map_counts_each_item_once_amid_kills)
{
    bars_of_map(1, 0);
    bars_of_map(1, 2);
}

/* ---- tasks that count for themselves ---- */

typedef struct bars_job {
    ledger *book;
    many_bar *bar;
} bars_job;

static int bars_add(const void *item, void *result, void *context)
{
    const bars_job *job = context;
    ledger_cell *cell = &job->book->cell[many_item_index()];

    (void)item;
    (void)result;
    atomic_fetch_add(&job->book->begun, 1);
    for (int k = 0; k < 50; k++) {
        atomic_fetch_add(&cell->entered, 1);
        many_bar_add(job->bar, 1);
        atomic_fetch_add(&cell->left, 1);
    }
    ledger_spin(50e-6);
    return 0;
}

static _Atomic uint32_t *bars_claims;
static pid_t bars_opener;

/* One claim of a cell in three is the last thing that a worker does. */
static int bars_dies_claiming(const char *point)
{
    if (strcmp(point, "bar.claim") == 0 && getpid() != bars_opener &&
        atomic_fetch_add(bars_claims, 1) % 3 == 0)
        kill(getpid(), SIGKILL);
    return 0;
}

static void bars_of_tasks(int claims, uint32_t share)
{
    bars_job job = {ledger_open(2000), NULL};
    killer *hunt = killer_start(KILLER_ONE, 11, 500, job.book);
    uint64_t begun = 0, ended = 0;

    bars_claims = test_shared(sizeof *bars_claims);
    bars_opener = getpid();
    many_fault_hook_ = claims ? bars_dies_claiming : NULL;
    CHECK_CODE(many_bar_open(&job.bar, .quiet = 1), 0);
    /* There are some 60 cells, and none that was being claimed comes back. */
    while (atomic_load(&hunt->kills) < share || (claims && atomic_load(bars_claims) < 50)) {
        int code = many_process_each(bars_add, job.book->in, job.book->n, .workers = 3,
                                     .context = &job, .on_error = MANY_GO_ON);

        CHECK(code >= 0);
    }
    killer_stop(hunt);
    many_fault_hook_ = NULL;
    for (size_t i = 0; i < job.book->n; i++) {
        begun += atomic_load(&job.book->cell[i].entered);
        ended += atomic_load(&job.book->cell[i].left);
    }
    /* Who died between the two marks may have added, or not. */
    CHECK(many_bar_count(job.bar) >= ended && many_bar_count(job.bar) <= begun);
    CHECK(begun - ended <= atomic_load(&hunt->aimed) + atomic_load(bars_claims));
    many_bar_close(job.bar);
}

TEST(bar_keeps_what_killed_workers_had_added)
{
    bars_of_tasks(0, 100);
}

TEST(bar_counts_right_when_workers_die_while_they_claim_a_cell)
{
    bars_of_tasks(1, 100);
}
