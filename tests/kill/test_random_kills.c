/* SPDX-License-Identifier: MIT */
/*
 * test_random_kills.c - an independent process kills workers at random times
 *
 * Each scenario maps again and again, over items of 50 to 500 us, until its share of kills is
 * reached. The random times are the experiment; nothing is synchronised by them. MANY_SOAK in the
 * environment makes it ten times as long.
 */
#include <stdio.h>

#include <many/map.h>

#include "base/fault.h"
#include "kill/killer.h"
#include "kill/ledger.h"
#include "test.h"

/* Kills a scenario; there are more than ten, so that they add up to more than a thousand. */
#define RANDOM_SHARE 110
#define RANDOM_ITEMS 600

/* How the workers may write home. */
typedef enum random_reach {
    RANDOM_REACH = 0,
    RANDOM_AREA = 1,  /* never permitted */
    RANDOM_SWITCH = 2 /* permitted for a while, then not any more */
} random_reach;

typedef struct random_scenario {
    const char *name;
    random_reach reach;
    int range, source, in_place, retries, workers;
    size_t chunk, window;
    double limit_s;
    many_on_error on_error;
} random_scenario;

/* What the hook sees, in shared memory: workers call it. */
static struct random_calls {
    random_reach reach;
    _Atomic uint32_t reached, denied;
} * random_calls;

static _Atomic uint32_t *random_total;

static int random_hook(const char *point)
{
    uint32_t before;

    if (strcmp(point, "reach.write") != 0)
        return 0;
    before = atomic_load(&random_calls->reached);
    if (random_calls->reach == RANDOM_AREA ||
        (random_calls->reach == RANDOM_SWITCH && before % 64 > 48)) {
        atomic_fetch_add(&random_calls->denied, 1);
        if (random_calls->reach == RANDOM_SWITCH)
            atomic_fetch_add(&random_calls->reached, 1);
        return -EPERM;
    }
    atomic_fetch_add(&random_calls->reached, 1);
    return 0;
}

static int random_map(const random_scenario *scenario, ledger *book, many_cause *cause)
{
    many_map_options options = {.size = sizeof options,
                                .n = book->n,
                                .workers = scenario->workers,
                                .retries = scenario->retries,
                                .on_error = scenario->on_error,
                                .in_place = scenario->in_place,
                                .chunk = scenario->chunk,
                                .item_limit_s = scenario->limit_s,
                                .context = book,
                                .cause = cause,
                                .window = scenario->window};

    if (scenario->source) {
        options.n = 0;
        options.next = ledger_next;
        options.next_context = book;
        options.on_result = ledger_take;
        options.on_result_context = book;
        return many_process_map_with(ledger_task, NULL, sizeof(uint64_t), NULL,
                                     sizeof(ledger_result), &options);
    }
    options.codes = book->codes;
    if (scenario->range)
        return many_process_map_range_with(ledger_range_task, book->in, sizeof(uint64_t), book->out,
                                           sizeof(ledger_result), &options);
    return many_process_map_with(ledger_task, book->in, sizeof(uint64_t), book->out,
                                 sizeof(ledger_result), &options);
}

static void random_check_cause(const ledger *book, const killer *hunt, const many_cause *cause)
{
    CHECK_CODE(cause->code, -MANY_EDIED);
    CHECK(cause->item < book->n);
    CHECK_CODE(book->codes[cause->item], -MANY_EDIED);
    CHECK_EQUAL(cause->signal, SIGKILL);
    CHECK_EQUAL(cause->exit_status, -1);
    CHECK(killer_had(hunt, cause->pid));
    CHECK_CONTAINS(cause->text, "died of SIGKILL");
}

static void random_scenario_run(const random_scenario *scenario)
{
    const uint32_t share = RANDOM_SHARE * (getenv("MANY_SOAK") != NULL ? 10 : 1);
    uint32_t maps = 0, failed = 0, kills;
    ledger *book = ledger_open(RANDOM_ITEMS);
    test_signals signals;
    test_census census;
    killer *hunt;

    test_limit(getenv("MANY_SOAK") != NULL ? 2000 : 200);
    random_calls = test_shared(sizeof *random_calls);
    random_calls->reach = scenario->reach;
    many_fault_hook_ = random_hook;
    book->least_us = 50;
    book->most_us = 500;
    hunt = killer_start(KILLER_ONE, 2024 + (uint64_t)scenario->workers, 800, book);
    census = test_census_take();
    test_signals_take(&signals);
    while (atomic_load(&hunt->kills) < share) {
        uint32_t aimed = atomic_load(&hunt->aimed);
        many_cause cause = {.code = 0};
        ledger_rule rule = {.retries = (uint32_t)scenario->retries,
                            .stopped = scenario->on_error == MANY_STOP,
                            .source = scenario->source};
        size_t died;

        ledger_clear(book);
        rule.code = random_map(scenario, book, &cause);
        rule.most = atomic_load(&hunt->aimed) - aimed;
        if (scenario->range)
            rule.most *= scenario->chunk;
        ledger_check(book, &rule);
        died = ledger_count(book, -MANY_EDIED);
        failed += (uint32_t)died;
        if (died > 0)
            random_check_cause(book, hunt, &cause);
        else
            CHECK_EQUAL(cause.code, 0);
        for (size_t i = 0; i < book->n && scenario->source && !rule.stopped; i++)
            CHECK_EQUAL(book->outcomes[i], 1);
        maps++;
        CHECK_CENSUS(census);
    }
    killer_stop(hunt);
    CHECK_SIGNALS(signals);
    many_fault_hook_ = NULL;
    kills = atomic_load(&hunt->kills);
    if (!scenario->source && !scenario->in_place) {
        CHECK((atomic_load(&random_calls->reached) > 0) == (scenario->reach != RANDOM_AREA));
        CHECK((atomic_load(&random_calls->denied) > 0) == (scenario->reach != RANDOM_REACH));
    }
    /* With retries an item has to be killed again and again to fail. */
    if (scenario->retries == 0)
        CHECK(failed > 0);
    printf("  %s: %u kills, %u items failed, %u maps\n", scenario->name, kills, failed, maps);
    if (random_total == NULL) {
        static _Atomic uint32_t total;

        random_total = &total;
    }
    atomic_fetch_add(random_total, kills);
}

#define RANDOM_TEST(test, ...)                                                                     \
    TEST(test)                                                                                     \
    {                                                                                              \
        random_scenario scenario = {.name = #test, .on_error = MANY_GO_ON, __VA_ARGS__};           \
                                                                                                   \
        random_scenario_run(&scenario);                                                            \
    }

RANDOM_TEST(map_survives_random_kills, .workers = 3)
RANDOM_TEST(map_survives_random_kills_of_its_only_worker, .workers = 1)
RANDOM_TEST(map_with_many_workers_survives_random_kills, .workers = 16)
RANDOM_TEST(map_that_may_not_reach_its_parent_survives_random_kills, .workers = 3,
            .reach = RANDOM_AREA)
RANDOM_TEST(map_that_loses_the_permission_survives_random_kills, .workers = 3,
            .reach = RANDOM_SWITCH, .chunk = 3)
RANDOM_TEST(map_in_place_survives_random_kills, .workers = 3, .in_place = 1)
RANDOM_TEST(map_with_retries_survives_random_kills, .workers = 3, .retries = 2)
RANDOM_TEST(map_with_retries_through_the_area_survives_random_kills, .workers = 4, .retries = 1,
            .reach = RANDOM_AREA)
RANDOM_TEST(map_with_limits_survives_random_kills, .workers = 3, .limit_s = 30)
RANDOM_TEST(map_with_large_chunks_survives_random_kills, .workers = 4, .chunk = 100)
RANDOM_TEST(range_map_survives_random_kills, .workers = 3, .range = 1, .chunk = 4)
RANDOM_TEST(range_map_with_retries_survives_random_kills, .workers = 3, .range = 1, .chunk = 5,
            .retries = 3)
RANDOM_TEST(source_map_survives_random_kills, .workers = 3, .source = 1)
RANDOM_TEST(source_map_with_retries_survives_random_kills, .workers = 4, .source = 1, .retries = 2)
RANDOM_TEST(source_map_with_one_slot_survives_random_kills, .workers = 2, .source = 1, .window = 1)

TEST(there_were_a_thousand_random_kills)
{
    if (random_total == NULL)
        test_skip("the scenarios were not run");
    printf("  random kills in all: %u\n", atomic_load(random_total));
    CHECK(atomic_load(random_total) >= 1000);
}

TEST(map_that_is_to_stop_stops_at_the_first_random_kill)
{
    random_scenario scenario = {.name = "map_that_is_to_stop_stops_at_the_first_random_kill",
                                .workers = 3};

    random_scenario_run(&scenario);
}

TEST(source_map_that_is_to_stop_stops_at_the_first_random_kill)
{
    random_scenario scenario = {.name = "source_map_that_is_to_stop_stops_at_the_first_random_kill",
                                .workers = 3,
                                .source = 1};

    random_scenario_run(&scenario);
}
