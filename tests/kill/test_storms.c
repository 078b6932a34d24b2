/* SPDX-License-Identifier: MIT */
/*
 * test_storms.c - many kills at the same time, in the wrong moment, on maps of odd sizes
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <many/map.h>

#include "base/fault.h"
#include "kill/killer.h"
#include "kill/ledger.h"
#include "test.h"

#define STORMS_ITEMS 800

static int storms_map(ledger *book, int source, int workers, int retries)
{
    ledger_clear(book);
    if (source)
        return many_process_map(
            ledger_task, (uint64_t *)NULL, (ledger_result *)NULL, 0, .workers = workers,
            .context = book, .next = ledger_next, .next_context = book, .on_result = ledger_take,
            .on_result_context = book, .on_error = MANY_GO_ON, .retries = retries);
    return many_process_map(ledger_task, book->in, book->out, book->n, .workers = workers,
                            .context = book, .codes = book->codes, .on_error = MANY_GO_ON,
                            .retries = retries);
}

static void storms_all(int source, int workers, int retries)
{
    const uint32_t share = 60 * (getenv("MANY_SOAK") != NULL ? 10 : 1);
    ledger *book = ledger_open(STORMS_ITEMS);
    killer *hunt = killer_start(KILLER_ALL, 5 + (uint64_t)workers, 4000, book);
    test_census census = test_census_take();

    test_limit(getenv("MANY_SOAK") != NULL ? 2000 : 200);
    book->least_us = 50;
    book->most_us = 500;
    while (atomic_load(&hunt->kills) < share) {
        uint32_t aimed = atomic_load(&hunt->aimed);
        ledger_rule rule = {.retries = (uint32_t)retries};

        rule.code = storms_map(book, source, workers, retries);
        rule.most = atomic_load(&hunt->aimed) - aimed;
        ledger_check(book, &rule);
        CHECK_CENSUS(census);
    }
    killer_stop(hunt);
    printf("  %u kills of all %d workers at a time\n", atomic_load(&hunt->kills), workers);
}

TEST(kill_of_all_workers_at_once_is_survived)
{
    storms_all(0, 2, 0);
    storms_all(0, 6, 1);
}

TEST(kill_of_all_workers_of_a_source_map_at_once_is_survived)
{
    storms_all(1, 2, 0);
    storms_all(1, 6, 1);
}

/* Nobody gets to work for a while. Either the map outlives it, or it says that workers die before
 * they begin; it neither hangs nor invents outcomes. */
static void storms_born(int source)
{
    ledger *book = ledger_open(100);
    killer *hunt = killer_start(KILLER_BORN, 1, 0, NULL);
    test_census census = test_census_take();
    int survived = 0, gave_up = 0;

    book->least_us = 50;
    book->most_us = 100;
    for (double end = test_seconds() + 0.5;
         test_seconds() < end || atomic_load(&hunt->kills) == 0;) {
        uint32_t aimed = atomic_load(&hunt->aimed);
        ledger_rule rule = {.retries = 0};

        rule.code = storms_map(book, source, 3, 0);
        rule.most = atomic_load(&hunt->aimed) - aimed;
        if (rule.code >= 0) {
            ledger_check(book, &rule);
            survived++;
            continue;
        }
        CHECK_CODE(rule.code, -MANY_EDIED);
        CHECK_CONTAINS(many_error_message(), "in a row died before they began an item");
        CHECK(rule.most >= 1000);
        gave_up++;
        for (size_t i = 0; i < book->n; i++)
            CHECK(book->codes[i] == 0 || book->codes[i] == -MANY_EDIED ||
                  book->codes[i] == -ECANCELED || book->codes[i] == LEDGER_NO_OUTCOME);
    }
    killer_stop(hunt);
    printf("  %u workers killed as soon as they were seen; %d maps survived it, %d gave up\n",
           atomic_load(&hunt->kills), survived, gave_up);
    CHECK_CODE(storms_map(book, source, 3, 0), 0);
    CHECK_EQUAL(test_census_take().descriptors, census.descriptors);
}

TEST(kill_of_each_worker_at_its_birth_ends)
{
    storms_born(0);
}

TEST(kill_of_each_worker_of_a_source_map_at_its_birth_ends)
{
    storms_born(1);
}

/* Stopped and continued workers lose nothing, and nobody is taken for dead. */
static void storms_stop(int source)
{
    ledger *book = ledger_open(STORMS_ITEMS);
    killer *hunt = killer_start(KILLER_STOP, 77, 500, book);
    test_census census = test_census_take();

    book->least_us = 50;
    book->most_us = 300;
    for (int round = 0; round < 3 || atomic_load(&hunt->kills) == 0; round++) {
        ledger_rule rule = {.code = storms_map(book, source, 3, 0)};

        ledger_check(book, &rule);
        CHECK_CODE(rule.code, 0);
        CHECK_CENSUS(census);
    }
    killer_stop(hunt);
}

TEST(stopping_and_continuing_workers_loses_nothing)
{
    storms_stop(0);
}

TEST(stopping_and_continuing_workers_of_a_source_map_loses_nothing)
{
    storms_stop(1);
}

/* ---- sizes ---- */

typedef struct storms_size {
    size_t n, bytes; /* items, bytes of a result */
    int workers;
    size_t chunk;
} storms_size;

#define STORMS_MOST 1000 /* items */

static size_t storms_bytes; /* of a result */
static int storms_codes[STORMS_MOST];

/* Every third item dies at its first try, every fifth in its second, too. */
static int storms_fill(const void *item, void *result, void *context)
{
    _Atomic uint32_t *tries = context;
    size_t i = many_item_index();
    uint32_t try = atomic_fetch_add(&tries[i], 1);

    (void)item;
    if (result != NULL)
        memset(result, (int)(i % 251), storms_bytes);
    if ((try == 0 && i % 3 == 0) || (try == 1 && i % 5 == 0))
        kill(getpid(), SIGKILL);
    return 0;
}

static int storms_no_reach(const char *point)
{
    return strcmp(point, "reach.write") == 0 ? -EPERM : 0;
}

static void storms_sized(const storms_size *size, int area)
{
    _Atomic uint32_t *tries = test_shared((size->n + 1) * sizeof *tries);
    char *out = malloc(size->n * size->bytes + 1), *in = calloc(size->n + 1, 1);
    test_census census = test_census_take();
    int code;

    CHECK(out != NULL && in != NULL && size->n <= STORMS_MOST);
    storms_bytes = size->bytes;
    many_fault_hook_ = area ? storms_no_reach : NULL;
    code = many_process_map(storms_fill, in, size->bytes > 0 ? out : NULL, size->n,
                            .result_bytes = size->bytes, .workers = size->workers,
                            .chunk = size->chunk, .context = (void *)(uintptr_t)tries,
                            .codes = storms_codes, .retries = 2, .on_error = MANY_GO_ON);
    many_fault_hook_ = NULL;
    CHECK_CODE(code, 0);
    for (size_t i = 0; i < size->n; i++) {
        CHECK_CODE(storms_codes[i], 0);
        CHECK_EQUAL(tries[i], 1 + (i % 3 == 0) + (i % 15 == 0));
        for (size_t b = 0; b < size->bytes; b++)
            if (out[i * size->bytes + b] != (char)(i % 251))
                CHECK_EQUAL(out[i * size->bytes + b], (char)(i % 251));
    }
    CHECK_CENSUS(census);
    free(out);
    free(in);
}

TEST(deaths_are_survived_whatever_the_size)
{
    static const storms_size sizes[] = {
        {0, 8, 4, 0},     {1, 0, 1, 0},      {1, 8, 16, 0},       {1, 1000000, 2, 0},
        {2, 8, 64, 1},    {5, 0, 3, 0},      {7, 1, 7, 1},        {16, 1000000, 3, 0},
        {100, 8, 1, 1},   {100, 8, 1, 1000}, {100, 8, 3, 40000},  {100, 0, 3, 65536},
        {333, 3, 2, 7},   {1000, 8, 2, 0},   {40, 131072, 2, 40}, {40, 131073, 2, 40},
        {64, 65536, 5, 3}};

    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
        for (int area = 0; area < 2; area++)
            storms_sized(&sizes[k], area);
}
