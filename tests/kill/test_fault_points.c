/* SPDX-License-Identifier: MIT */
/*
 * test_fault_points.c - a worker kills itself at each named point of the protocols
 *
 * A trap is set at the k-th arrival of any worker at a point, and exactly one worker dies of it.
 * What has to follow is known exactly: killed in an item (start, end), that item and no other
 * fails; anywhere else none does, and none runs twice. The points:
 *
 *   intent      it is written what will be claimed          claim       it is claimed
 *   start, end  before and after fn                         done-mark   the item counts as done
 *   give-back   the end of a chunk was handed on            hand-over   results go home
 *   close       before, closed: after the chunk is counted  ask         it has nothing to do
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <many/map.h>

#include "base/fault.h"
#include "kill/ledger.h"
#include "test.h"

#define POINTS_ITEMS 48

static const char *const points_names[] = {"intent",    "claim",     "start", "end",    "done-mark",
                                           "give-back", "hand-over", "close", "closed", "ask"};
#define POINTS (int)(sizeof points_names / sizeof points_names[0])

/* Which loop of the workers runs. */
typedef enum points_form {
    POINTS_PLAIN = 0,
    POINTS_CAREFUL = 1, /* with limits */
    POINTS_RANGE = 2,
    POINTS_SOURCE = 3
} points_form;

/* How results come home. */
typedef enum points_way { POINTS_REACH = 0, POINTS_AREA = 1, POINTS_IN_PLACE = 2 } points_way;

static const char *const points_forms[] = {"plain", "careful", "range", "source"};
static const char *const points_ways[] = {"reach", "area", "in place"};

/* In shared memory. */
static struct points_trap {
    pid_t parent;
    int point;     /* index of the name; -1: at whatever point */
    uint32_t at;   /* which arrival dies, from 1; 0: none does */
    uint32_t odds; /* instead: one arrival in so many dies; 0: none */
    points_way way;
    _Atomic uint32_t arrivals;
    _Atomic uint32_t kills;
    _Atomic uint32_t seen[16]; /* arrivals at each point */
    int died_at;               /* which point it was */
    uint64_t item;             /* many_item_index() there */
    pid_t pid;
} * points_trap;

/* How many died, by form, way, point. */
static uint32_t points_kills[4][3][16];

static int points_index(const char *point)
{
    for (int k = 0; k < POINTS; k++)
        if (strcmp(points_names[k], point) == 0)
            return k;
    return -1;
}

static int points_hook(const char *point)
{
    struct points_trap *trap = points_trap;
    uint32_t arrival;
    int index;

    if (strcmp(point, "reach.write") == 0)
        return trap->way == POINTS_AREA ? -EPERM : 0;
    index = points_index(point);
    if (index < 0 || getpid() == trap->parent)
        return 0;
    atomic_fetch_add(&trap->seen[index], 1);
    if (trap->point >= 0 && index != trap->point)
        return 0;
    arrival = atomic_fetch_add(&trap->arrivals, 1) + 1;
    if (trap->odds != 0 ? ledger_hash(trap->at + arrival) % trap->odds != 0 : arrival != trap->at)
        return 0;
    trap->died_at = index;
    trap->item = many_item_index();
    trap->pid = getpid();
    atomic_fetch_add(&trap->kills, 1);
    kill(getpid(), SIGKILL);
    return 0;
}

static void points_set(int point, uint32_t at, points_way way)
{
    /* For the whole program: a test that fails must not leave a hook without its memory. */
    if (points_trap == NULL) {
        void *memory = mmap(NULL, sizeof *points_trap, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        CHECK(memory != MAP_FAILED);
        points_trap = memory;
    }
    memset(points_trap, 0, sizeof *points_trap);
    points_trap->parent = getpid();
    points_trap->point = point;
    points_trap->at = at;
    points_trap->way = way;
    many_fault_hook_ = points_hook;
}

static int points_map(ledger *book, points_form form, points_way way, int retries, size_t chunk,
                      many_on_error on_error, many_cause *cause)
{
    many_map_options options = {.size = sizeof options,
                                .n = book->n,
                                .workers = 3,
                                .retries = retries,
                                .on_error = on_error,
                                .in_place = way == POINTS_IN_PLACE,
                                .chunk = chunk,
                                .item_limit_s = form == POINTS_CAREFUL ? 60 : 0,
                                .context = book,
                                .cause = cause};

    ledger_clear(book);
    if (form == POINTS_SOURCE) {
        options.n = 0;
        options.next = ledger_next;
        options.next_context = book;
        options.on_result = ledger_take;
        options.on_result_context = book;
        options.window = 8;
        return many_process_map_with(ledger_task, NULL, sizeof(uint64_t), NULL,
                                     sizeof(ledger_result), &options);
    }
    options.codes = book->codes;
    if (form == POINTS_RANGE)
        return many_process_map_range_with(ledger_range_task, book->in, sizeof(uint64_t), book->out,
                                           sizeof(ledger_result), &options);
    return many_process_map_with(ledger_task, book->in, sizeof(uint64_t), book->out,
                                 sizeof(ledger_result), &options);
}

/*
 * Was the worker that died here in an item? In the window of slots the outcome counts once it is
 * handed over; the plain loop (not used with retries) gives the end of a chunk back before it marks
 * the last item.
 */
static int points_in_item(points_form form, int retries, int point)
{
    const char *name = points_names[point];

    return strcmp(name, "start") == 0 || strcmp(name, "end") == 0 ||
           (form == POINTS_SOURCE && strcmp(name, "hand-over") == 0) ||
           (form == POINTS_PLAIN && retries == 0 && strcmp(name, "give-back") == 0);
}

/* One worker has died as the trap says, no item is wrong by itself: what must have come of it. */
static void points_check(const ledger *book, points_form form, int retries, size_t chunk, int code,
                         const many_cause *cause)
{
    const struct points_trap *trap = points_trap;
    const int in_item = points_in_item(form, retries, trap->died_at);
    const int before_fn = strcmp(points_names[trap->died_at], "start") == 0;
    ledger_rule rule = {.retries = (uint32_t)retries,
                        .code = code,
                        .most = in_item ? (form == POINTS_RANGE ? chunk : 1) : 0};
    uint64_t first = in_item ? trap->item : book->n, run = 0;

    while (in_item && first + run < book->n && run < rule.most &&
           (retries > 0 ? atomic_load(&book->cell[first + run].entered) == 2
                        : book->codes[first + run] == -MANY_EDIED))
        run++;
    if (in_item && (retries == 0 || !before_fn))
        CHECK(run >= 1 && (form == POINTS_RANGE || run == 1));
    ledger_check(book, &rule);
    CHECK_EQUAL(code, in_item && retries == 0 ? (int)run : 0);
    for (size_t i = 0; i < book->n; i++) {
        uint32_t begun = 1;

        if (i >= first && i < first + run)
            begun = (before_fn ? 0U : 1U) + (retries > 0 ? 1U : 0U);
        CHECK_EQUAL(atomic_load(&book->cell[i].entered), begun);
    }
    if (code == 0) {
        CHECK_EQUAL(cause->code, 0);
        return;
    }
    CHECK_CODE(cause->code, -MANY_EDIED);
    CHECK_EQUAL(cause->item, first);
    CHECK_EQUAL(cause->pid, trap->pid);
    CHECK_EQUAL(cause->signal, SIGKILL);
    CHECK_EQUAL(cause->tries, 1);
}

/* A map with the trap set; 1 if somebody died of it. */
static int points_try(ledger *book, points_form form, points_way way, int retries, size_t chunk,
                      int point, uint32_t at)
{
    many_cause cause = {.code = 0};
    int code;

    points_set(point, at, way);
    code = points_map(book, form, way, retries, chunk, MANY_GO_ON, &cause);
    if (atomic_load(&points_trap->kills) == 0) {
        CHECK_CODE(code, 0);
        return 0;
    }
    CHECK_EQUAL(atomic_load(&points_trap->kills), 1);
    points_check(book, form, retries, chunk, code, &cause);
    points_kills[form][way][points_trap->died_at]++;
    return 1;
}

/* A range is run as a whole, so nothing of it is given back; a slot is a chunk of one. */
static int points_has(points_form form, int point)
{
    const char *name = points_names[point];

    if (strcmp(name, "give-back") == 0)
        return form == POINTS_PLAIN || form == POINTS_CAREFUL;
    if (strcmp(name, "close") == 0 || strcmp(name, "closed") == 0)
        return form != POINTS_SOURCE;
    return 1;
}

/* The first, second, fifth and some later arrival at each point. */
static void points_each(points_form form, points_way way)
{
    const uint32_t fixed[] = {1, 2, 5, 0};
    const size_t chunk = form == POINTS_SOURCE ? 1 : 6;
    ledger *book = ledger_open(POINTS_ITEMS);
    uint64_t seed = (uint64_t)form * 3 + (uint64_t)way;
    test_census census;

    book->least_us = 40;
    book->most_us = 90;
    points_set(0, 0, way);
    census = test_census_take();
    for (int point = 0; point < POINTS; point++) {
        uint32_t seen;

        if (!points_has(form, point))
            continue;
        points_try(book, form, way, 0, chunk, point, 0);
        seen = atomic_load(&points_trap->seen[point]);
        for (int retries = 0; retries <= 1; retries++)
            for (size_t k = 0; k < sizeof fixed / sizeof fixed[0]; k++) {
                uint32_t at = fixed[k] > 0
                                  ? fixed[k]
                                  : 1 + (uint32_t)ledger_random(&seed, seen > 0 ? seen : 1);
                /* A worker has nothing to do, and gets what another gives back, by luck. */
                int tries = at == 1 ? 300 : 10;

                while (!points_try(book, form, way, retries, chunk, point, at) && tries > 0)
                    tries--;
                CHECK(tries > 0 || at > 1);
            }
    }
    CHECK_CENSUS(census);
    many_fault_hook_ = NULL;
}

TEST(death_at_a_point_of_the_plain_loop_fails_what_ran)
{
    for (int way = 0; way < 3; way++)
        points_each(POINTS_PLAIN, (points_way)way);
}

TEST(death_at_a_point_of_the_careful_loop_fails_what_ran)
{
    for (int way = 0; way < 3; way++)
        points_each(POINTS_CAREFUL, (points_way)way);
}

TEST(death_at_a_point_of_the_range_loop_fails_the_run)
{
    for (int way = 0; way < 3; way++)
        points_each(POINTS_RANGE, (points_way)way);
}

TEST(death_at_a_point_of_a_source_map_fails_what_ran)
{
    points_each(POINTS_SOURCE, POINTS_REACH);
}

/* A small map, over and over: the first arrival at any point dies, the second, ... to the last. */
static void points_sweep(points_form form, points_way way, int retries)
{
    ledger *book = ledger_open(11);
    uint32_t at = 1, missed = 0;

    while (missed < 3) {
        if (points_try(book, form, way, retries, 3, -1, at))
            missed = 0;
        else
            missed++;
        at++;
    }
    CHECK(at > 40);
    many_fault_hook_ = NULL;
}

TEST(death_at_any_instant_between_two_points_is_survived)
{
    for (int form = 0; form < 4; form++)
        for (int way = 0; way < (form == POINTS_SOURCE ? 1 : 3); way++)
            for (int retries = 0; retries < 2; retries++)
                points_sweep((points_form)form, (points_way)way, retries);
}

TEST(every_point_was_died_at_with_every_way_home)
{
    int complete = 1, sum = 0;

    printf("  deaths by point %20s", "");
    for (int point = 0; point < POINTS; point++)
        printf(" %9s", points_names[point]);
    printf("\n");
    for (int form = 0; form < 4; form++)
        for (int way = 0; way < (form == POINTS_SOURCE ? 1 : 3); way++) {
            printf("  %-10s %-25s", points_forms[form],
                   form == POINTS_SOURCE ? "" : points_ways[way]);
            for (int point = 0; point < POINTS; point++) {
                int kills = (int)points_kills[form][way][point];

                printf(" %9d", kills);
                complete = complete && (kills > 0) == points_has((points_form)form, point);
                sum += kills;
            }
            printf("\n");
        }
    if (sum == 0)
        test_skip("the other tests were not run");
    CHECK(complete);
}

/* Many deaths at random points: one arrival in some dies. */
TEST(deaths_at_random_points_are_survived)
{
    const int rounds = 60 * (getenv("MANY_SOAK") != NULL ? 10 : 1);
    ledger *book = ledger_open(40);
    uint32_t kills = 0;

    test_limit(getenv("MANY_SOAK") != NULL ? 2000 : 200);
    book->least_us = 0;
    book->most_us = 40;
    for (int round = 0; round < rounds; round++)
        for (int form = 0; form < 4; form++) {
            points_way way = form == POINTS_SOURCE ? POINTS_REACH : (points_way)(round % 3);
            int retries = round % 4;
            many_cause cause = {.code = 0};
            ledger_rule rule = {.retries = (uint32_t)retries};

            points_set(-1, (uint32_t)round * 1000, way);
            points_trap->odds = 4 + (uint32_t)round % 40;
            rule.code = points_map(book, (points_form)form, way, retries, 1 + (size_t)round % 7,
                                   MANY_GO_ON, &cause);
            rule.most = atomic_load(&points_trap->kills) * (form == POINTS_RANGE ? 7 : 1);
            kills += atomic_load(&points_trap->kills);
            ledger_check(book, &rule);
            if (rule.code > 0)
                CHECK_CODE(cause.code, -MANY_EDIED);
        }
    printf("  deaths at random points: %u\n", kills);
    CHECK(kills > 1000);
    many_fault_hook_ = NULL;
}

/* One item says no, and at the same time a worker dies, at every point in turn. */
static void points_refuse(points_form form, points_way way, int retries, many_on_error on_error)
{
    ledger *book = ledger_open(11);
    uint32_t at = 0, missed = 0;

    book->fails = 4;
    while (missed < 4) {
        many_cause cause = {.code = 0};
        ledger_rule rule = {.retries = (uint32_t)retries,
                            .stopped = on_error == MANY_STOP,
                            .source = form == POINTS_SOURCE};

        points_set(-1, at, way);
        rule.code = points_map(book, form, way, retries, 4, on_error, &cause);
        rule.most = atomic_load(&points_trap->kills);
        missed += rule.most == 0;
        at++;
        /* The item that says no has not been lost on the way, */
        CHECK(rule.code != 0);
        if (!rule.stopped)
            CHECK(book->codes[4] == LEDGER_SAYS_NO || book->codes[4] == -MANY_EDIED);
        /* and the first cause and the codes speak of the same. */
        CHECK_CODE(book->codes[cause.item], cause.code);
        if (form != POINTS_RANGE) /* there a no is the whole run's */
            ledger_check(book, &rule);
    }
    many_fault_hook_ = NULL;
}

TEST(death_beside_a_failing_item_loses_neither)
{
    for (int form = 0; form < 4; form++)
        for (int way = 0; way < (form == POINTS_SOURCE ? 1 : 3); way++)
            for (int retries = 0; retries < 2; retries++) {
                points_refuse((points_form)form, (points_way)way, retries, MANY_GO_ON);
                points_refuse((points_form)form, (points_way)way, retries, MANY_STOP);
            }
}
