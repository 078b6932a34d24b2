/* SPDX-License-Identifier: MIT */
/*
 * test_nth_call.c - the first system call or allocation of a map fails, the second, ... the last
 *
 * Whatever fails, a map either succeeds with right results, or returns a negative code with words;
 * and nothing is left behind.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <many/bar.h>
#include <many/map.h>

#include "base/fault.h"
#include "kill/ledger.h"
#include "test.h"

#define NTH_ITEMS 12
#define NTH_MOST  400 /* no map of these has more such calls */

/* What can fail, and how it fails then. */
static const struct nth_point {
    const char *name;
    int code;
} nth_points[] = {
    {"memory.map", -ENOMEM}, {"memory.map_wiped", -ENOMEM}, {"bell.open", -EMFILE},
    {"fork", -EAGAIN},       {"thread.start", -EAGAIN},     {"pidfd.open", -EMFILE},
    {"reach.write", -EPERM}, {"calloc", -ENOMEM},           {"posix_memalign", -ENOMEM}};
#define NTH_POINTS (sizeof nth_points / sizeof nth_points[0])

/* In shared memory: workers make such calls too. */
static struct nth_plan {
    _Atomic uint32_t calls;
    uint32_t fails;    /* this one, from 1; 0: none */
    int for_good;      /* 1: and all later ones of its name */
    _Atomic int which; /* index of the name that failed, + 1 */
} * nth_plan;

/* Allocations count only here, in the middle of a map. */
static _Thread_local int nth_in_map;

static int nth_call(const char *point)
{
    for (size_t k = 0; k < NTH_POINTS; k++) {
        uint32_t call;

        if (strcmp(nth_points[k].name, point) != 0)
            continue;
        if (nth_plan->for_good && atomic_load(&nth_plan->which) == (int)k + 1)
            return nth_points[k].code;
        call = atomic_fetch_add(&nth_plan->calls, 1) + 1;
        if (call != nth_plan->fails)
            return 0;
        atomic_store(&nth_plan->which, (int)k + 1);
        return nth_points[k].code;
    }
    return 0;
}

#if !TEST_ASAN && !TEST_TSAN
/* In place of libc's, for the whole program. */
static void *(*volatile nth_set)(void *, int, size_t) = memset; /* not to be made a calloc again */

void *calloc(size_t count, size_t bytes)
{
    void *memory;

    if (nth_in_map && nth_call("calloc") < 0)
        return NULL;
    if (bytes != 0 && count > SIZE_MAX / bytes)
        return NULL;
    memory = malloc(count * bytes + 1);
    return memory != NULL ? nth_set(memory, 0, count * bytes) : NULL;
}

int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    if (nth_in_map && nth_call("posix_memalign") < 0)
        return ENOMEM;
    *memory = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    return *memory != NULL ? 0 : ENOMEM;
}
#endif

typedef struct nth_scenario {
    const char *name;
    int threads, source, range, bar, desc, cancel, retries;
    int workers;
    double limit_s;
} nth_scenario;

static int nth_scenario_map(const nth_scenario *scenario, ledger *book)
{
    many_cancel token = {0};
    many_bar *bar = NULL;
    many_map_options options = {.size = sizeof options,
                                .n = book->n,
                                .workers = scenario->workers,
                                .retries = scenario->retries,
                                .item_limit_s = scenario->limit_s,
                                .chunk = 3,
                                .context = book,
                                .cancel = scenario->cancel ? &token : NULL,
                                .desc = scenario->desc ? "nth" : NULL,
                                .window = 4};
    const size_t in = sizeof(uint64_t), out = sizeof(ledger_result);
    int code = 0;

    ledger_clear(book);
    if (scenario->bar)
        code = many_bar_open(&bar, .total = book->n, .quiet = 1);
    options.bar = bar;
    if (code == 0 && scenario->source) {
        options.n = 0;
        options.next = ledger_next;
        options.next_context = book;
        options.on_result = ledger_take;
        options.on_result_context = book;
        code = scenario->threads
                   ? many_thread_map_with(ledger_task, NULL, in, NULL, out, &options)
                   : many_process_map_with(ledger_task, NULL, in, NULL, out, &options);
    } else if (code == 0) {
        options.codes = book->codes;
        if (scenario->range)
            code = scenario->threads ? many_thread_map_range_with(ledger_range_task, book->in, in,
                                                                  book->out, out, &options)
                                     : many_process_map_range_with(ledger_range_task, book->in, in,
                                                                   book->out, out, &options);
        else
            code = scenario->threads
                       ? many_thread_map_with(ledger_task, book->in, in, book->out, out, &options)
                       : many_process_map_with(ledger_task, book->in, in, book->out, out, &options);
    }
    many_bar_close(bar);
    return code;
}

/* The bar of .desc is drawn on stderr; not into the test's report. */
static int nth_run(const nth_scenario *scenario, ledger *book)
{
    int kept = -1, nowhere, code;

    if (scenario->desc) {
        fflush(stderr);
        kept = dup(STDERR_FILENO);
        nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(nowhere, STDERR_FILENO);
        close(nowhere);
    }
    many_fail(-1, "%s", "");
    nth_in_map = 1;
    code = nth_scenario_map(scenario, book);
    nth_in_map = 0;
    if (kept >= 0) {
        dup2(kept, STDERR_FILENO);
        close(kept);
    }
    return code;
}

static void nth_check(const ledger *book, const nth_scenario *scenario, int code)
{
    const struct nth_point *point = &nth_points[atomic_load(&nth_plan->which) - 1];
    ledger_rule rule = {.code = code, .retries = (uint32_t)scenario->retries};

    if (code == 0) {
        ledger_check(book, &rule);
        return;
    }
    /* Not what fails can be done without: */
    CHECK(strcmp(point->name, "pidfd.open") != 0 && strcmp(point->name, "reach.write") != 0);
    CHECK_CODE(code, point->code);
    CHECK(strlen(many_error_message()) > 20);
    CHECK_CONTAINS(many_error_message(), "many_");
    CHECK_CONTAINS(many_error_message(), ": ");
    for (size_t i = 0; i < book->n; i++)
        CHECK(book->codes[i] == LEDGER_NO_OUTCOME || book->codes[i] == -ECANCELED ||
              book->codes[i] == 0);
}

static void nth_scenario_run(const nth_scenario *scenario, int for_good)
{
    ledger *book = ledger_open(NTH_ITEMS);
    uint32_t failed[NTH_POINTS] = {0}, fails, refused = 0;
    test_signals signals;
    test_census census;

    nth_plan = test_shared(sizeof *nth_plan);
    many_fault_hook_ = nth_call;
    CHECK_CODE(nth_run(scenario, book), 0);
    census = test_census_take();
    test_signals_take(&signals);
    for (fails = 1;; fails++) {
        int code;

        CHECK(fails < NTH_MOST);
        memset(nth_plan, 0, sizeof *nth_plan);
        nth_plan->fails = fails;
        nth_plan->for_good = for_good;
        code = nth_run(scenario, book);
        CHECK_CENSUS(census);
        CHECK_SIGNALS(signals);
        if (atomic_load(&nth_plan->which) == 0) {
            CHECK_CODE(code, 0);
            break;
        }
        failed[atomic_load(&nth_plan->which) - 1]++;
        refused += code < 0;
        nth_check(book, scenario, code);
    }
    many_fault_hook_ = NULL;
    printf("  %s%s: %u calls failed, %u maps with them:", scenario->name,
           for_good ? ", for good" : "", fails - 1, refused);
    for (size_t k = 0; k < NTH_POINTS; k++)
        if (failed[k] > 0)
            printf(" %s %u", nth_points[k].name, failed[k]);
    printf("\n");
    CHECK(fails > 1);
}

static const nth_scenario nth_scenarios[] = {
    {.name = "processes", .workers = 3},
    {.name = "processes, one worker", .workers = 1},
    {.name = "processes with a limit", .workers = 2, .limit_s = 60, .retries = 1},
    {.name = "processes, range", .workers = 2, .range = 1},
    {.name = "processes with a token and .desc", .workers = 2, .cancel = 1, .desc = 1},
    {.name = "processes with a bar", .workers = 2, .bar = 1},
    {.name = "processes, source", .workers = 3, .source = 1},
    {.name = "processes, source, token, .desc", .workers = 2, .source = 1, .cancel = 1, .desc = 1},
    {.name = "threads", .workers = 3, .threads = 1},
    {.name = "threads with a limit", .workers = 3, .threads = 1, .limit_s = 60},
    {.name = "threads, range", .workers = 2, .threads = 1, .range = 1},
    {.name = "threads with a token and .desc", .workers = 2, .threads = 1, .cancel = 1, .desc = 1},
    {.name = "threads, source", .workers = 3, .threads = 1, .source = 1},
    {.name = "threads, source, token, .desc",
     .workers = 2,
     .threads = 1,
     .source = 1,
     .cancel = 1,
     .desc = 1}};

TEST(map_outlives_or_reports_the_failure_of_any_one_call)
{
    for (size_t k = 0; k < sizeof nth_scenarios / sizeof nth_scenarios[0]; k++)
        nth_scenario_run(&nth_scenarios[k], 0);
}

TEST(map_outlives_or_reports_the_failure_of_all_later_calls_of_a_kind)
{
    for (size_t k = 0; k < sizeof nth_scenarios / sizeof nth_scenarios[0]; k++)
        nth_scenario_run(&nth_scenarios[k], 1);
}

/* ---- nobody can take the place of the dead ---- */

static _Atomic uint32_t *nth_forks;

static int nth_two_forks(const char *point)
{
    if (strcmp(point, "fork") == 0 && atomic_fetch_add(nth_forks, 1) >= 2)
        return -EAGAIN;
    return 0;
}

static int nth_dies(const void *item, void *result, void *context)
{
    ledger *book = context;
    size_t i = many_item_index();
    uint64_t dies = *(const uint64_t *)item;

    (void)result;
    atomic_fetch_add(&book->cell[i].entered, 1);
    if (dies == 1)
        kill(getpid(), SIGKILL);
    ledger_spin(100e-6); /* worth waiting for: a worker that finds less to do leaves */
    atomic_fetch_add(&book->cell[i].left, 1);
    return 0;
}

static int nth_next_dies(void *item, void *context)
{
    ledger *book = context;

    if (book->next == book->n)
        return 0;
    *(uint64_t *)item = book->in[book->next++];
    return 1;
}

static int nth_note(const many_outcome *outcome, void *context)
{
    ledger *book = context;

    book->codes[outcome->index] = outcome->code;
    return 0;
}

static int nth_map_of_two(ledger *book, int source)
{
    int code;

    atomic_store(nth_forks, 0);
    ledger_clear(book);
    many_fault_hook_ = nth_two_forks;
    if (source)
        code = many_process_map(nth_dies, (uint64_t *)NULL, (char *)NULL, 0, .workers = 2,
                                .context = book, .next = nth_next_dies, .next_context = book,
                                .on_result = nth_note, .on_result_context = book,
                                .on_error = MANY_GO_ON, .result_bytes = 1);
    else
        code = many_process_each(nth_dies, book->in, book->n, .workers = 2, .context = book,
                                 .codes = book->codes, .on_error = MANY_GO_ON);
    many_fault_hook_ = NULL;
    return code;
}

/* The victim lies in the first half: the other worker does not leave before it is dead. */
TEST(map_goes_on_with_the_workers_that_are_left)
{
    ledger *book = ledger_open(200);
    test_census census = test_census_take();

    nth_forks = test_shared(sizeof *nth_forks);
    for (int source = 0; source < 2; source++)
        for (size_t victim = 0; victim < 80; victim += 13) {
            memset(book->in, 0, book->n * sizeof book->in[0]);
            book->in[victim] = 1;
            CHECK_CODE(nth_map_of_two(book, source), 1);
            for (size_t i = 0; i < book->n; i++) {
                CHECK_CODE(book->codes[i], i == victim ? -MANY_EDIED : 0);
                CHECK_EQUAL(book->cell[i].entered, 1);
            }
            CHECK_CENSUS(census);
        }
}

TEST(map_ends_with_words_when_no_worker_is_left_and_none_can_be_made)
{
    ledger *book = ledger_open(200);
    test_census census = test_census_take();

    nth_forks = test_shared(sizeof *nth_forks);
    for (int source = 0; source < 2; source++) {
        for (size_t i = 0; i < book->n; i++)
            book->in[i] = i % 9 == 5;
        CHECK_CODE(nth_map_of_two(book, source), -EAGAIN);
        CHECK_CONTAINS(many_error_message(), "no worker process could be made (EAGAIN)");
        CHECK_EQUAL(ledger_count(book, -MANY_EDIED), 2);
        for (size_t i = 0; i < book->n; i++) {
            CHECK(book->cell[i].entered <= 1);
            switch (book->codes[i]) {
            case 0:
                CHECK_EQUAL(book->cell[i].left, 1);
                break;
            case -MANY_EDIED:
                CHECK_EQUAL(i % 9, 5);
                break;
            case LEDGER_NO_OUTCOME:
                CHECK(source);
                CHECK_EQUAL(book->cell[i].entered, 0);
                break;
            default:
                CHECK_CODE(book->codes[i], -ECANCELED);
                CHECK_EQUAL(book->cell[i].entered, 0);
            }
        }
        CHECK_CENSUS(census);
    }
}
