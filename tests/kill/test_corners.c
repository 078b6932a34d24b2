/* SPDX-License-Identifier: MIT */
/*
 * test_corners.c - rare orders of events, set up by hand: a map neither hangs nor gives up in them
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <many/map.h>

#include "base/fault.h"
#include "kill/ledger.h"
#include "test.h"

/* ---- many workers ---- */

#define CORNERS_CROWD 1100 /* more than deaths in a row make a map give up */

static void corners_crowd(int source)
{
    ledger *book = ledger_open(CORNERS_CROWD);
    ledger_rule rule = {.retries = 0};
    struct rlimit files;

    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < CORNERS_CROWD + 100) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (source)
        rule.code = many_process_map(ledger_task, (uint64_t *)NULL, (ledger_result *)NULL, 0,
                                     .workers = CORNERS_CROWD, .window = CORNERS_CROWD,
                                     .context = book, .next = ledger_next, .next_context = book,
                                     .on_result = ledger_take, .on_result_context = book);
    else
        rule.code =
            many_process_map(ledger_task, book->in, book->out, CORNERS_CROWD,
                             .workers = CORNERS_CROWD, .context = book, .codes = book->codes);
    CHECK_CODE(rule.code, 0);
    ledger_check(book, &rule);
}

TEST(workers_that_go_home_are_not_taken_for_victims)
{
    corners_crowd(0);
}

TEST(workers_of_a_source_map_that_go_home_are_not_taken_for_victims)
{
    corners_crowd(1);
}

/* ---- deaths of those who have nothing to do ---- */

/* In shared memory. */
static struct corners_stage {
    _Atomic int asleep;      /* pid of a worker that has nothing to do, or 0 */
    _Atomic uint32_t asked;  /* how often a worker had nothing to do */
    _Atomic uint32_t deaths; /* of workers that killed themselves */
    _Atomic int armed;       /* the next worker at "intent" dies, and nobody can be forked */
    _Atomic uint32_t begun[16];
    pid_t parent;
    const ledger *book;
    uint32_t seen; /* of its items, by the last who looked */
} * corners_stage;

static struct corners_stage *corners_set(int (*hook)(const char *point))
{
    corners_stage = test_shared(sizeof *corners_stage);
    corners_stage->parent = getpid();
    many_fault_hook_ = hook;
    return corners_stage;
}

static int corners_says_when_idle(const char *point)
{
    if (strcmp(point, "ask") == 0)
        atomic_store(&corners_stage->asleep, getpid());
    return 0;
}

/* Gives an item, waits until its worker has nothing to do, kills it, gives the next. */
static int corners_next_kills(void *item, void *context)
{
    ledger *book = context;

    if (book->next > 0) {
        UNTIL(atomic_load(&corners_stage->asleep) != 0);
        kill(atomic_load(&corners_stage->asleep), SIGKILL);
        atomic_store(&corners_stage->asleep, 0);
    }
    return ledger_next(item, context);
}

TEST(any_number_of_idle_workers_may_die_while_work_is_done)
{
    ledger *book = ledger_open(1200);
    ledger_rule rule = {.retries = 0};

    corners_set(corners_says_when_idle);
    rule.code =
        many_process_map(ledger_task, (uint64_t *)NULL, (ledger_result *)NULL, 0, .workers = 1,
                         .window = 1, .context = book, .next = corners_next_kills,
                         .next_context = book, .on_result = ledger_take, .on_result_context = book);
    many_fault_hook_ = NULL;
    CHECK_CODE(rule.code, 0);
    ledger_check(book, &rule);
}

/* The second worker, and who follows it, dies before it begins anything; each hundredth of them not
 * before the other one has gone on, which on a busy machine may take a while. */
static int corners_second_dies(const char *point)
{
    struct corners_stage *stage = corners_stage;

    if (many_worker_index() != 1 || strcmp(point, "intent") != 0)
        return 0;
    if (atomic_fetch_add(&stage->deaths, 1) % 100 == 99) {
        UNTIL(atomic_load(&stage->book->begun) != stage->seen ||
              atomic_load(&stage->book->begun) == stage->book->n);
        stage->seen = atomic_load(&stage->book->begun);
    }
    kill(getpid(), SIGKILL);
    return 0;
}

TEST(any_number_of_workers_may_die_beside_one_that_works)
{
    ledger *book = ledger_open(8000);
    ledger_rule rule = {.retries = 0};

    book->least_us = book->most_us = 100;
    corners_set(corners_second_dies)->book = book;
    rule.code = many_process_map(ledger_task, book->in, book->out, book->n, .workers = 2,
                                 .context = book, .codes = book->codes);
    many_fault_hook_ = NULL;
    printf("  %u workers died beside one\n", atomic_load(&corners_stage->deaths));
    CHECK_CODE(rule.code, 0);
    ledger_check(book, &rule);
}

static int corners_all_die(const char *point)
{
    if (strcmp(point, "intent") == 0)
        kill(getpid(), SIGKILL);
    return 0;
}

TEST(map_gives_up_when_every_worker_dies_before_it_begins)
{
    for (int source = 0; source < 2; source++) {
        ledger *book = ledger_open(10);
        test_census census = test_census_take();
        int code;

        corners_set(corners_all_die);
        if (source)
            code = many_process_map(ledger_task, (uint64_t *)NULL, (ledger_result *)NULL, 0,
                                    .workers = 2, .context = book, .next = ledger_next,
                                    .next_context = book, .on_result = ledger_take,
                                    .on_result_context = book, .on_error = MANY_GO_ON);
        else
            code = many_process_map(ledger_task, book->in, book->out, book->n, .workers = 2,
                                    .context = book, .codes = book->codes, .on_error = MANY_GO_ON);
        many_fault_hook_ = NULL;
        CHECK_CODE(code, -MANY_EDIED);
        CHECK_CONTAINS(many_error_message(), "in a row died before they began an item");
        CHECK_EQUAL(ledger_count(book, -ECANCELED), 10);
        CHECK_CENSUS(census);
    }
}

/* ---- the one who was woken dies, and cannot be replaced ---- */

static int corners_dies_when_woken(const char *point)
{
    if (strcmp(point, "ask") == 0)
        atomic_fetch_add(&corners_stage->asked, 1);
    if (!atomic_load(&corners_stage->armed))
        return 0;
    if (strcmp(point, "fork") == 0)
        return -EAGAIN;
    if (strcmp(point, "intent") == 0 && atomic_exchange(&corners_stage->deaths, 1) == 0)
        kill(getpid(), SIGKILL);
    return 0;
}

/* The first two items wait for each other, so that there are two workers. */
static int corners_pair(const void *item, void *result, void *context)
{
    size_t i = many_item_index();

    (void)item;
    (void)result;
    (void)context;
    atomic_fetch_add(&corners_stage->begun[i], 1);
    if (i < 2)
        UNTIL(atomic_load(&corners_stage->begun[1 - i]) > 0);
    return 0;
}

/* Two items; nothing until both workers are asleep; one more. */
static int corners_next_late(void *item, void *context)
{
    int *given = context;

    *(char *)item = 0;
    if (*given == 2 && atomic_load(&corners_stage->asked) < 2)
        return -EAGAIN;
    if (*given == 3)
        return 0;
    if (*given == 2)
        atomic_store(&corners_stage->armed, 1);
    (*given)++;
    return 1;
}

TEST(item_is_not_forgotten_when_the_worker_that_was_woken_for_it_dies)
{
    for (int round = 0; round < 20; round++) {
        int given = 0;

        corners_set(corners_dies_when_woken);
        CHECK_CODE(many_process_map(corners_pair, (char *)NULL, (char *)NULL, 0, .workers = 2,
                                    .next = corners_next_late, .next_context = &given),
                   0);
        many_fault_hook_ = NULL;
        CHECK_EQUAL(corners_stage->begun[2], 1);
    }
}

/* ---- without pidfds, idle workers are helped too ---- */

static int corners_blind(const char *point)
{
    return strcmp(point, "pidfd.open") == 0 ? -ENOSYS : 0;
}

/* Items 0 and 1 lie in the first worker's range; 0 waits for 1, which so has to be moved. */
static int corners_needs_the_other(const void *item, void *result, void *context)
{
    size_t i = many_item_index();

    (void)item;
    (void)result;
    (void)context;
    atomic_fetch_add(&corners_stage->begun[i], 1);
    if (i == 0)
        UNTIL(atomic_load(&corners_stage->begun[1]) > 0);
    return 0;
}

TEST(idle_worker_is_given_the_items_that_wait_behind_a_long_one)
{
    char in[4] = {0};

    corners_set(NULL);
    CHECK_CODE(many_process_each(corners_needs_the_other, in, 4, .workers = 2), 0);
    corners_set(corners_blind);
    CHECK_CODE(many_process_each(corners_needs_the_other, in, 4, .workers = 2), 0);
    many_fault_hook_ = NULL;
}

/* ---- a source that is slow ---- */

typedef struct corners_slow {
    ledger *book;
    many_cancel token;
    size_t cancel_at; /* .next sets the token with this item */
} corners_slow;

/* Results are there whenever it returns: the supervisor always has something to do. */
static int corners_next_slow(void *item, void *context)
{
    corners_slow *slow = context;
    size_t next = slow->book->next;

    if (next == slow->cancel_at)
        many_cancel_set(&slow->token);
    if (next > 2)
        UNTIL(atomic_load(&slow->book->cell[next - 2].left) > 0);
    ledger_spin(300e-6);
    return ledger_next(item, slow->book);
}

static int corners_next_slow_dies(void *item, void *context)
{
    ledger *book = context;

    if (book->next > 2)
        ledger_spin(600e-6);
    return ledger_next(item, book);
}

TEST(cancelling_is_noticed_beside_a_slow_source)
{
    corners_slow slow = {.book = ledger_open(600), .cancel_at = 30};

    CHECK_CODE(many_process_map(ledger_task, (uint64_t *)NULL, (ledger_result *)NULL, 0,
                                .workers = 2, .window = 4, .context = slow.book,
                                .next = corners_next_slow, .next_context = &slow,
                                .cancel = &slow.token),
               -ECANCELED);
    CHECK(slow.book->next <= 30 + 8); /* what one filling of the window may still take */
}

static int corners_mostly_dies(const void *item, void *result, void *context)
{
    ledger *book = context;
    size_t i = many_item_index();

    if (i % 8 != 7)
        return ledger_task(item, result, book);
    atomic_fetch_add(&book->cell[i].entered, 1);
    kill(getpid(), SIGKILL);
    return 0;
}

TEST(dead_workers_are_replaced_beside_a_slow_source)
{
    ledger *book = ledger_open(400);
    ledger_rule rule = {.most = 50};

    rule.code = many_process_map(
        corners_mostly_dies, (uint64_t *)NULL, (ledger_result *)NULL, 0, .workers = 3, .window = 6,
        .context = book, .next = corners_next_slow_dies, .next_context = book,
        .on_result = ledger_take, .on_result_context = book, .on_error = MANY_GO_ON);
    CHECK_CODE(rule.code, 50);
    ledger_check(book, &rule);
}

/* ---- stopping ---- */

static int corners_refuses(const void *item, void *result, void *context)
{
    size_t i = many_item_index();

    (void)item;
    (void)result;
    (void)context;
    atomic_fetch_add(&corners_stage->begun[i], 1);
    if (i != 0)
        for (;;)
            pause();
    /* The others are in the middle of something endless by then, but for the neighbours. */
    UNTIL(atomic_load(&corners_stage->begun[8]) > 0);
    return LEDGER_SAYS_NO;
}

static int corners_refuses_range(const void *items, void *results, size_t n, void *context)
{
    (void)n;
    return corners_refuses(items, results, context);
}

TEST(failure_ends_endless_items_and_begins_no_more)
{
    int codes[16];
    uint64_t in[16] = {0};

    for (int form = 0; form < 4; form++) {
        many_map_options options = {.size = sizeof options, .n = 16, .workers = 2, .chunk = 8};
        ledger *book = ledger_open(9);
        many_cause cause = {.code = 0};
        int code;

        corners_set(NULL);
        options.codes = codes;
        options.cause = &cause;
        options.item_limit_s = form == 1 ? 1000 : 0;
        if (form == 2)
            code = many_process_map_range_with(corners_refuses_range, in, sizeof in[0], NULL, 0,
                                               &options);
        else
            code = many_process_map_with(corners_refuses, in, sizeof in[0], NULL, 0, &options);
        CHECK_CODE(code, -MANY_ETASK);
        CHECK_EQUAL(cause.item, 0);
        CHECK_CODE(cause.code, LEDGER_SAYS_NO);
        for (int i = 0; i < 16; i++) {
            if (form == 2 && i < 8)
                CHECK_CODE(codes[i], LEDGER_SAYS_NO); /* the run's */
            else
                CHECK_CODE(codes[i], i == 0 ? LEDGER_SAYS_NO : -ECANCELED);
            CHECK_EQUAL(corners_stage->begun[i], i == 0 || i == 8);
        }
        (void)book;
    }
}

static int corners_next_nine(void *item, void *context)
{
    size_t *given = context;

    *(char *)item = 0;
    return (*given)++ < 9;
}

static int corners_refuses_in_pairs(const void *item, void *result, void *context)
{
    size_t i = many_item_index();

    (void)item;
    (void)result;
    (void)context;
    atomic_fetch_add(&corners_stage->begun[i], 1);
    if (i == 0)
        UNTIL(atomic_load(&corners_stage->begun[1]) > 0);
    if (i == 1)
        for (;;)
            pause();
    return i == 0 ? LEDGER_SAYS_NO : 0;
}

/* While it hands its failure over, the worker is held: nobody may hear of the failure before. */
static int corners_hands_over_slowly(const char *point)
{
    if (strcmp(point, "hand-over") == 0)
        ledger_spin(20e-3);
    return 0;
}

TEST(failure_in_a_source_map_ends_endless_items_and_is_not_lost)
{
    for (int round = 0; round < 10; round++) {
        many_cause cause = {.code = 0};
        size_t given = 0;

        corners_set(round < 5 ? corners_hands_over_slowly : NULL);
        CHECK_CODE(many_process_map(corners_refuses_in_pairs, (char *)NULL, (char *)NULL, 0,
                                    .workers = 2, .next = corners_next_nine, .next_context = &given,
                                    .cause = &cause),
                   -MANY_ETASK);
        many_fault_hook_ = NULL;
        CHECK_CODE(cause.code, LEDGER_SAYS_NO);
        CHECK_EQUAL(cause.item, 0);
    }
}

/* A worker that hears that the map is over lets go of its item; that is no death of the item. */
static int corners_finishes_late(const void *item, void *result, void *context)
{
    size_t i = many_item_index();

    (void)item;
    (void)result;
    (void)context;
    atomic_fetch_add(&corners_stage->begun[i], 1);
    if (i == 0) {
        UNTIL(atomic_load(&corners_stage->begun[4]) > 0);
        return LEDGER_SAYS_NO;
    }
    ledger_spin(200e-6);
    return 0;
}

TEST(item_that_is_let_go_of_is_cancelled_not_dead)
{
    char in[8] = {0};
    int codes[8];

    for (int round = 0; round < 300; round++) {
        if (round % 60 == 0)
            corners_set(NULL);
        memset(corners_stage->begun, 0, sizeof corners_stage->begun);
        CHECK_CODE(many_process_each(corners_finishes_late, in, 8, .workers = 2, .codes = codes,
                                     .chunk = 4),
                   -MANY_ETASK);
        CHECK_CODE(codes[0], LEDGER_SAYS_NO);
        for (int i = 1; i < 8; i++)
            CHECK(codes[i] == 0 || codes[i] == -ECANCELED);
    }
}
