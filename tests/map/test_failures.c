/* SPDX-License-Identifier: MIT */
/*
 * test_failures.c - what failed items do to the others, to codes, to the cause, and to the return
 *
 * The conformance suite of both kinds for MANY_STOP, MANY_GO_ON and retries. Deaths are in
 * test_process_map.c and tests/kill/, limits in test_limits.c.
 */
#include "kind.h"

#include <stdlib.h>

typedef struct fail_plan {
    int (*code_of)(size_t index);
    size_t fail_at;
    int code;
    uint32_t wait_for;         /* items that have to be inside before fail_at fails */
    uint32_t good_tries;       /* of fail_at: the try that succeeds, from 1; 0: none */
    _Atomic uint32_t inside;   /* items that were entered */
    _Atomic uint32_t tries;    /* of fail_at */
    _Atomic uint32_t returned; /* 1: fail_at is about to return its code */
    _Atomic uint32_t entered[];
} fail_plan;

static fail_plan *fail_plan_of(size_t n)
{
    return test_shared(sizeof(fail_plan) + n * sizeof(_Atomic uint32_t));
}

static int fail_some(const void *item, void *result, void *context)
{
    fail_plan *plan = context;
    size_t index = many_item_index();
    int code = plan->code_of(index);

    (void)item;
    if (result != NULL)
        *(size_t *)result = index + 1;
    atomic_fetch_add(&plan->entered[index], 1);
    return code;
}

/* ---- MANY_GO_ON ---- */

static int fail_every_third(size_t index)
{
    if (index % 3 != 2)
        return 0;
    return index % 2 == 0 ? -(int)(index % 4000) - 1 : (int)index + 1;
}

BOTH(going_on_gives_every_item_its_own_code)
{
    const size_t n = 100000;
    fail_plan *plan = fail_plan_of(n);
    int *codes = malloc(n * sizeof *codes);
    size_t *out = malloc(n * sizeof *out);

    CHECK(codes != NULL && out != NULL);
    memset(codes, 0x11, n * sizeof *codes);
    memset(out, 0, n * sizeof *out);
    plan->code_of = fail_every_third;
    CHECK_CODE(MAP(kind, fail_some, POOL_NOTHING, out, n, .workers = 3, .on_error = MANY_GO_ON,
                   .codes = codes, .context = plan),
               33333);
    for (size_t i = 0; i < n; i++) {
        CHECK_EQUAL(codes[i], fail_every_third(i));
        CHECK_EQUAL(atomic_load(&plan->entered[i]), 1);
        if (codes[i] == 0)
            CHECK_EQUAL(out[i], i + 1);
    }
    free(codes);
    free(out);
}

static int fail_all(size_t index)
{
    return (int)index - 1000; /* positive ones, negative ones, and one that is 0 */
}

BOTH(going_on_when_nearly_everything_fails)
{
    const size_t n = 2000;
    fail_plan *plan = fail_plan_of(n);
    int codes[2000];

    plan->code_of = fail_all;
    CHECK_CODE(EACH(kind, fail_some, POOL_NOTHING, n, .workers = 2, .on_error = MANY_GO_ON,
                    .codes = codes, .context = plan),
               1999);
    for (size_t i = 0; i < n; i++)
        CHECK_EQUAL(codes[i], (int)i - 1000);
    CHECK_CODE(EACH(kind, fail_some, POOL_NOTHING, n, .workers = 2, .on_error = MANY_GO_ON,
                    .context = plan), /* without codes it is the number that tells */
               1999);
}

static int fail_library_codes(size_t index)
{
    static const int codes[] = {0, -ECANCELED, -ETIMEDOUT, -MANY_EDIED, -MANY_ETASK, INT32_MIN};

    return codes[index];
}

BOTH(a_task_may_return_the_librarys_own_codes)
{
    fail_plan *plan = fail_plan_of(6);
    many_cause cause;
    int codes[6];

    plan->code_of = fail_library_codes;
    CHECK_CODE(EACH(kind, fail_some, POOL_NOTHING, 6, .workers = 1, .on_error = MANY_GO_ON,
                    .codes = codes, .cause = &cause, .context = plan),
               5);
    for (size_t i = 0; i < 6; i++)
        CHECK_EQUAL(codes[i], fail_library_codes(i));
    CHECK_EQUAL(cause.item, 1);
    CHECK_EQUAL(cause.code, -ECANCELED);
}

/* ---- MANY_STOP ---- */

static int fail_at_one(const void *item, void *result, void *context)
{
    fail_plan *plan = context;
    size_t index = many_item_index();

    (void)item;
    if (result != NULL)
        *(size_t *)result = index + 1;
    atomic_fetch_add(&plan->entered[index], 1);
    atomic_fetch_add(&plan->inside, 1);
    if (index != plan->fail_at)
        return 0;
    return many_fail(plan->code, "item %zu is on fire", index);
}

/* Every item has an outcome, and it says the truth about what was entered. */
static void fail_check_stopped(const fail_plan *plan, const int *codes, const size_t *out, size_t n)
{
    CHECK_EQUAL(codes[plan->fail_at], plan->code);
    for (size_t i = 0; i < n; i++) {
        uint32_t entered = atomic_load(&plan->entered[i]);

        CHECK(entered <= 1);
        CHECK(codes[i] == 0 || codes[i] == -ECANCELED || i == plan->fail_at);
        if (codes[i] == 0)
            CHECK(entered == 1 && out[i] == i + 1);
    }
}

BOTH(stopping_gives_every_item_one_outcome)
{
    static const int codes_of_tasks[] = {-EIO, 1, -1, 4711};
    const size_t n = 5000;
    int *codes = malloc(n * sizeof *codes);
    size_t *out = malloc(n * sizeof *out);

    CHECK(codes != NULL && out != NULL);
    for (size_t k = 0; k < 40; k++) {
        fail_plan *plan = fail_plan_of(n);
        many_cause cause;

        memset(codes, 0x11, n * sizeof *codes);
        memset(out, 0, n * sizeof *out);
        plan->fail_at = k * 127 % n;
        plan->code = codes_of_tasks[k % 4];
        CHECK_CODE(MAP(kind, fail_at_one, POOL_NOTHING, out, n, .workers = 1 + (int)k % 4,
                       .codes = codes, .cause = &cause, .context = plan),
                   -MANY_ETASK);
        fail_check_stopped(plan, codes, out, n);
        CHECK_EQUAL(cause.item, plan->fail_at);
        CHECK_EQUAL(cause.code, plan->code);
        CHECK_CONTAINS(cause.text, "is on fire");
        CHECK_CONTAINS(many_error_message(), kind->map_name);
        CHECK_CONTAINS(many_error_message(), "is on fire");
    }
    free(codes);
    free(out);
}

BOTH(one_worker_enters_nothing_after_the_item_that_failed)
{
    const size_t n = 1000;
    size_t out[1000] = {0};
    int codes[1000];

    for (size_t at = 0; at < n; at += 111)
        for (size_t chunk = 0; chunk <= 64; chunk += 64) {
            fail_plan *plan = fail_plan_of(n);

            plan->fail_at = at;
            plan->code = -EIO;
            CHECK_CODE(MAP(kind, fail_at_one, POOL_NOTHING, out, n, .workers = 1, .chunk = chunk,
                           .codes = codes, .context = plan),
                       -MANY_ETASK);
            for (size_t i = 0; i < n; i++) {
                CHECK_EQUAL(atomic_load(&plan->entered[i]), i <= at);
                CHECK_EQUAL(codes[i], i < at ? 0 : i == at ? -EIO : -ECANCELED);
            }
        }
}

BOTH(one_worker_with_retries_enters_nothing_after_the_item_that_failed)
{
    fail_plan *plan = fail_plan_of(1000);

    plan->fail_at = 500;
    plan->code = -EIO;
    CHECK_CODE(
        EACH(kind, fail_at_one, POOL_NOTHING, 1000, .workers = 1, .retries = 2, .context = plan),
        -MANY_ETASK);
    for (size_t i = 0; i < 1000; i++)
        CHECK_EQUAL(atomic_load(&plan->entered[i]), i < 500 ? 1 : i == 500 ? 3 : 0);
}

/* Each worker sits in its first item until it is told to end; fail_at's fails when all are there.
 */
static int fail_while_others_wait(const void *item, void *result, void *context)
{
    fail_plan *plan = context;
    size_t index = many_item_index();

    (void)item;
    (void)result;
    atomic_fetch_add(&plan->entered[index], 1);
    atomic_fetch_add(&plan->inside, 1);
    if (index == plan->fail_at) {
        UNTIL(atomic_load(&plan->inside) == plan->wait_for);
        return plan->code;
    }
    UNTIL(many_cancelled()); /* processes are killed here */
    return 0;
}

BOTH(stopping_cuts_off_what_runs_and_begins_nothing_more)
{
    for (size_t failing = 0; failing < 4; failing++) {
        fail_plan *plan = fail_plan_of(1000);
        int codes[1000];

        plan->fail_at = failing * 250; /* the first item of a worker's range */
        plan->code = -EIO;
        plan->wait_for = 4;
        CHECK_CODE(EACH(kind, fail_while_others_wait, POOL_NOTHING, 1000, .workers = 4,
                        .codes = codes, .context = plan),
                   -MANY_ETASK);
        CHECK_EQUAL(pool_sum(plan->entered, 1000), 4);
        for (size_t i = 0; i < 1000; i++)
            CHECK_EQUAL(codes[i], i == plan->fail_at ? -EIO : -ECANCELED);
    }
}

/* ---- the cause ---- */

/* Item 10 of 20 fails; the same worker goes on with 11, and only then item 0 fails elsewhere. */
static int fail_in_order(const void *item, void *result, void *context)
{
    fail_plan *plan = context;
    size_t index = many_item_index();

    (void)item;
    (void)result;
    atomic_fetch_add(&plan->entered[index], 1);
    if (index == 10)
        return many_fail(-EIO, "first: %d%%", 50);
    if (index == 0) {
        UNTIL(atomic_load(&plan->entered[11]) > 0);
        return many_fail(-EIO, "second");
    }
    return 0;
}

BOTH(the_cause_is_the_first_failure_with_its_words)
{
    fail_plan *plan = fail_plan_of(20);
    many_cause cause;

    CHECK_CODE(EACH(kind, fail_in_order, POOL_NOTHING, 20, .workers = 2, .chunk = 1,
                    .on_error = MANY_GO_ON, .cause = &cause, .context = plan),
               2);
    CHECK_EQUAL(cause.item, 10);
    CHECK_EQUAL(cause.code, -EIO);
    CHECK_EQUAL(cause.worker, 1);
    CHECK_EQUAL(cause.tries, 1);
    CHECK_EQUAL(cause.signal, 0);
    CHECK_EQUAL(cause.exit_status, -1);
    CHECK_EQUAL(cause.pid, 0);
    CHECK(cause.seconds >= 0 && cause.seconds < 40.0 * test_slowness());
    CHECK_CONTAINS(cause.text, "item 10 failed with -5: first: 50% (worker 1");
}

BOTH(words_of_an_earlier_failure_are_not_taken_for_the_items)
{
    fail_plan *plan = fail_plan_of(6);
    many_cause cause;

    plan->code_of = fail_library_codes;
    many_fail(-ECANCELED, "what the caller did before");
    CHECK_CODE(EACH(kind, fail_some, POOL_NOTHING, 6, .workers = 1, .on_error = MANY_GO_ON,
                    .cause = &cause, .context = plan),
               5);
    CHECK_CONTAINS(cause.text, "item 1 failed with -125 (ECANCELED) (worker 0");
    plan->code_of = fail_all;
    many_fail(-1000, "what the caller did before");
    CHECK_CODE(EACH(kind, fail_some, POOL_NOTHING, 6, .workers = 1, .on_error = MANY_GO_ON,
                    .cause = &cause, .context = plan),
               6);
    CHECK_CONTAINS(cause.text, "item 0 failed with -1000 (worker 0");
}

/* Items of a millisecond, fifty in a chunk before the one that fails. */
static int fail_late_in_a_chunk(const void *item, void *result, void *context)
{
    const double until = test_seconds() + 0.001;

    (void)item;
    (void)result;
    (void)context;
    while (test_seconds() < until)
        ;
    return many_item_index() == 50;
}

BOTH(the_seconds_of_a_cause_are_the_items_or_unknown_but_not_its_chunks)
{
    many_cause cause;

    CHECK_CODE(EACH(kind, fail_late_in_a_chunk, POOL_NOTHING, 60, .workers = 1, .chunk = 60,
                    .cause = &cause),
               -MANY_ETASK);
    CHECK_EQUAL(cause.item, 50);
    CHECK(cause.seconds < 0.05);
}

BOTH(without_a_failure_the_cause_is_untouched)
{
    fail_plan *plan = fail_plan_of(100);
    many_cause cause, before;

    memset(&cause, 0x5A, sizeof cause);
    before = cause;
    plan->fail_at = SIZE_MAX;
    CHECK_CODE(
        EACH(kind, fail_at_one, POOL_NOTHING, 100, .workers = 2, .cause = &cause, .context = plan),
        0);
    CHECK_BYTES(&cause, &before, sizeof cause);
}

BOTH(a_map_that_succeeds_leaves_the_callers_message_alone)
{
    fail_plan *plan = fail_plan_of(100);

    plan->fail_at = SIZE_MAX;
    many_fail(-EIO, "what the caller did before");
    CHECK_CODE(EACH(kind, fail_at_one, POOL_NOTHING, 100, .workers = 2, .context = plan), 0);
    CHECK_STRING(many_error_message(), "what the caller did before");
}

/* ---- retries ---- */

static int fail_until(const void *item, void *result, void *context)
{
    fail_plan *plan = context;
    size_t index = many_item_index();
    uint32_t tries = atomic_fetch_add(&plan->entered[index], 1) + 1;

    (void)item;
    if (index % 10 == plan->fail_at && (plan->good_tries == 0 || tries < plan->good_tries))
        return many_fail(plan->code, "try %u", (unsigned)tries);
    if (result != NULL)
        *(size_t *)result = index + 1;
    return 0;
}

BOTH(an_item_that_fails_twice_and_then_succeeds_is_entered_three_times)
{
    const size_t n = 300;
    fail_plan *plan = fail_plan_of(n);
    size_t out[300] = {0};
    int codes[300];

    plan->fail_at = 4;
    plan->code = -EIO;
    plan->good_tries = 3;
    CHECK_CODE(MAP(kind, fail_until, POOL_NOTHING, out, n, .workers = 3, .retries = 5,
                   .codes = codes, .context = plan),
               0);
    for (size_t i = 0; i < n; i++) {
        CHECK_EQUAL(atomic_load(&plan->entered[i]), i % 10 == 4 ? 3 : 1);
        CHECK_EQUAL(codes[i], 0);
        CHECK_EQUAL(out[i], i + 1);
    }
}

BOTH(an_item_whose_retries_are_used_up_fails_with_its_last_words)
{
    const size_t n = 300;
    fail_plan *plan = fail_plan_of(n);
    many_cause cause;
    int codes[300];

    plan->fail_at = 4;
    plan->code = -EIO;
    CHECK_CODE(EACH(kind, fail_until, POOL_NOTHING, n, .workers = 3, .retries = 2,
                    .on_error = MANY_GO_ON, .codes = codes, .cause = &cause, .context = plan),
               30);
    for (size_t i = 0; i < n; i++) {
        CHECK_EQUAL(atomic_load(&plan->entered[i]), i % 10 == 4 ? 3 : 1);
        CHECK_EQUAL(codes[i], i % 10 == 4 ? -EIO : 0);
    }
    CHECK_EQUAL(cause.tries, 3);
    CHECK_CONTAINS(cause.text, "failed with -5: try 3 (worker ");
    CHECK_CONTAINS(cause.text, ", try 3");
}

BOTH(retries_go_with_zipped_inputs)
{
    const size_t n = 300;
    fail_plan *plan = fail_plan_of(n);
    long xs[300] = {0};
    size_t out[300] = {0};
    const many_input inputs[] = {{xs, sizeof *xs}};

    plan->fail_at = 9;
    plan->code = 3;
    plan->good_tries = 2;
    CHECK_CODE(MAP(kind, fail_until, POOL_NOTHING, out, n, .workers = 2, .retries = 1,
                   .inputs = inputs, .inputs_count = 1, .context = plan),
               0);
    for (size_t i = 0; i < n; i++)
        CHECK_EQUAL(atomic_load(&plan->entered[i]), i % 10 == 9 ? 2 : 1);
}

/* The first item has an error, says so, and finds another way; the second only has the error. */
static int fail_then_recover(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    if (many_item_index() > 0)
        return -EIO;
    many_fail(-EIO, "opening the cache");
    return 0;
}

BOTH(words_of_an_item_that_recovered_are_not_the_next_ones)
{
    many_cause cause;

    CHECK_CODE(EACH(kind, fail_then_recover, POOL_NOTHING, 2, .workers = 1, .on_error = MANY_GO_ON,
                    .cause = &cause),
               1);
    CHECK_CONTAINS(cause.text, "item 1 failed with -5 (EIO)");
}
