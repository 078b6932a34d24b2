/* SPDX-License-Identifier: MIT */
/*
 * test_limits.c - an item may run for so long, never shorter, and the others do not suffer
 *
 * Times are measured in the tasks: an item notes in shared memory when it began, and the test when
 * it was known to be over. That an item ends no earlier than its limit is checked to the
 * microsecond; how much later has room for a machine that is busy with other things.
 */
#include "kind.h"

#include <stdlib.h>

#define LIMIT_S 0.06

typedef struct limit_scene {
    size_t long_one; /* the item that does not end by itself; SIZE_MAX: none */
    int honest;      /* 1: it ends when it is told to */
    double busy_s;   /* what any other item takes */
    uint32_t good_try;
    double began_s[64];
    double ended_s[64]; /* of those that were told to end: when they noticed */
    _Atomic uint32_t entered[64];
} limit_scene;

static void limit_busy(double seconds)
{
    const double until = test_seconds() + seconds;

    while (test_seconds() < until)
        ;
}

static int limit_task(const void *item, void *result, void *context)
{
    limit_scene *scene = context;
    size_t index = many_item_index();
    uint32_t tries;

    (void)item;
    scene->began_s[index] = test_seconds();
    tries = atomic_fetch_add(&scene->entered[index], 1) + 1;
    if (index == scene->long_one && (scene->good_try == 0 || tries < scene->good_try)) {
        UNTIL(many_cancelled()); /* a process never sees it: it is killed */
        scene->ended_s[index] = test_seconds();
        return scene->honest ? -ECANCELED : 0;
    }
    limit_busy(scene->busy_s);
    if (result != NULL)
        *(size_t *)result = index + 1;
    return 0;
}

/* No later than promised, and a generous second for other programs on this machine. */
static double limit_latest(void)
{
    return 1.25 * LIMIT_S + 0.05 + 1.0 * test_slowness();
}

BOTH(an_item_over_its_limit_fails_and_the_others_are_done)
{
    for (size_t at = 0; at < 40; at += 13) {
        limit_scene *scene = test_shared(sizeof *scene);
        many_cause cause;
        size_t out[40] = {0};
        int codes[40];
        double over;

        scene->long_one = at;
        CHECK_CODE(MAP(kind, limit_task, POOL_NOTHING, out, 40, .workers = 2,
                       .item_limit_s = LIMIT_S, .on_error = MANY_GO_ON, .codes = codes,
                       .cause = &cause, .context = scene),
                   1);
        over = test_seconds() - scene->began_s[at];
        CHECK(over >= LIMIT_S && over < limit_latest());
        for (size_t i = 0; i < 40; i++) {
            CHECK_EQUAL(codes[i], i == at ? -ETIMEDOUT : 0);
            CHECK_EQUAL(atomic_load(&scene->entered[i]), 1);
            if (i != at)
                CHECK_EQUAL(out[i], i + 1);
        }
        CHECK_EQUAL(cause.item, at);
        CHECK_EQUAL(cause.code, -ETIMEDOUT);
        CHECK(cause.seconds >= LIMIT_S);
        CHECK_CONTAINS(cause.text, "was over its limit of 0.06 s");
        CHECK_CONTAINS(cause.text, kind->processes ? "and was killed" : "cannot be killed");
        CHECK(kind->processes ? cause.pid > 0 && cause.signal == SIGKILL
                              : cause.pid == 0 && cause.signal == 0);
    }
}

BOTH(an_item_over_its_limit_stops_the_map)
{
    limit_scene *scene = test_shared(sizeof *scene);
    int codes[60];

    scene->long_one = 7;
    CHECK_CODE(EACH(kind, limit_task, POOL_NOTHING, 60, .workers = 1, .item_limit_s = LIMIT_S,
                    .codes = codes, .context = scene),
               -ETIMEDOUT);
    CHECK_CONTAINS(many_error_message(), kind->map_name);
    CHECK_CONTAINS(many_error_message(), "item 7 was over its limit");
    for (size_t i = 0; i < 60; i++) {
        CHECK_EQUAL(codes[i], i < 7 ? 0 : i == 7 ? -ETIMEDOUT : -ECANCELED);
        CHECK_EQUAL(atomic_load(&scene->entered[i]), i <= 7);
    }
}

TEST(a_thread_is_told_no_earlier_than_its_limit_and_its_code_does_not_count)
{
    for (int honest = 0; honest < 2; honest++) {
        limit_scene *scene = test_shared(sizeof *scene);
        int codes[4];
        double over;

        scene->long_one = 2;
        scene->honest = honest;
        CHECK_CODE(many_thread_each(limit_task, POOL_NOTHING, 4, .workers = 2,
                                    .item_limit_s = LIMIT_S, .on_error = MANY_GO_ON, .codes = codes,
                                    .context = scene),
                   1);
        CHECK_EQUAL(codes[2], -ETIMEDOUT);
        over = scene->ended_s[2] - scene->began_s[2];
        CHECK(over >= LIMIT_S && over < limit_latest());
    }
}

/* Together they take longer than the limit, in one chunk; each takes a small part of it. */
BOTH(items_below_their_limit_are_left_alone_however_many_there_are)
{
    limit_scene *scene = test_shared(sizeof *scene);

    scene->long_one = SIZE_MAX;
    scene->busy_s = 0.008;
    CHECK_CODE(EACH(kind, limit_task, POOL_NOTHING, 60, .workers = 1, .chunk = 60,
                    .item_limit_s = 0.3 * test_slowness(), .context = scene),
               0);
    CHECK_EQUAL(pool_sum(scene->entered, 60), 60);
}

typedef struct limit_source {
    size_t next, n;
    double busy_s; /* what handing out a result takes */
} limit_source;

static int limit_next(void *item, void *context)
{
    limit_source *source = context;

    if (source->next == source->n)
        return 0;
    *(size_t *)item = source->next++;
    return 1;
}

static int limit_take(const many_outcome *outcome, void *context)
{
    const limit_source *source = context;

    (void)outcome;
    limit_busy(source->busy_s);
    return 0;
}

/* Results are taken so slowly that whenever the caller's thread looks at the worker, it sees it in
 * the same slot, with another item each time. */
BOTH(items_of_a_source_below_their_limit_are_left_alone_in_whatever_slot)
{
    for (size_t window = 2; window <= 3; window++) {
        limit_scene *scene = test_shared(sizeof *scene);
        limit_source source = {0, 30, 0.015};

        scene->long_one = SIZE_MAX;
        scene->busy_s = 0.004;
        CHECK_CODE(EACH(kind, limit_task, (size_t *)NULL, 0, .workers = 1, .window = window,
                        .item_limit_s = 0.25 * test_slowness(), .next = limit_next,
                        .next_context = &source, .on_result = limit_take,
                        .on_result_context = &source, .context = scene),
                   0);
        CHECK_EQUAL(pool_sum(scene->entered, 30), 30);
    }
}

BOTH(an_item_of_a_source_over_its_limit_fails_alone)
{
    limit_scene *scene = test_shared(sizeof *scene);
    limit_source source = {0, 60, 0};
    many_cause cause;
    int codes[60];
    double over;

    scene->long_one = 31;
    CHECK_CODE(EACH(kind, limit_task, (size_t *)NULL, 60, .workers = 2, .window = 3,
                    .item_limit_s = LIMIT_S, .on_error = MANY_GO_ON, .codes = codes,
                    .cause = &cause, .next = limit_next, .next_context = &source, .context = scene),
               1);
    over = test_seconds() - scene->began_s[31];
    CHECK(over >= LIMIT_S && over < limit_latest());
    for (size_t i = 0; i < 60; i++)
        CHECK_EQUAL(codes[i], i == 31 ? -ETIMEDOUT : 0);
    CHECK_EQUAL(cause.item, 31);
    CHECK(cause.seconds >= LIMIT_S);
}

BOTH(an_item_over_its_limit_is_tried_again)
{
    limit_scene *scene = test_shared(sizeof *scene);
    size_t out[10] = {0};
    int codes[10];

    scene->long_one = 4;
    scene->good_try = 3;
    CHECK_CODE(MAP(kind, limit_task, POOL_NOTHING, out, 10, .workers = 2, .item_limit_s = LIMIT_S,
                   .retries = 2, .codes = codes, .context = scene),
               0);
    for (size_t i = 0; i < 10; i++) {
        CHECK_EQUAL(atomic_load(&scene->entered[i]), i == 4 ? 3 : 1);
        CHECK_EQUAL(codes[i], 0);
        CHECK_EQUAL(out[i], i + 1);
    }
}

BOTH(an_item_that_is_always_over_its_limit_uses_up_its_retries)
{
    limit_scene *scene = test_shared(sizeof *scene);
    many_cause cause;

    scene->long_one = 4;
    CHECK_CODE(EACH(kind, limit_task, POOL_NOTHING, 10, .workers = 2, .item_limit_s = LIMIT_S,
                    .retries = 1, .cause = &cause, .context = scene),
               -ETIMEDOUT);
    CHECK_EQUAL(atomic_load(&scene->entered[4]), 2);
    CHECK_EQUAL(cause.tries, 2);
}

static int limit_range(const void *items, void *results, size_t n, void *context)
{
    limit_scene *scene = context;
    size_t index = many_item_index();

    (void)items;
    (void)results;
    scene->began_s[index] = test_seconds();
    for (size_t i = index; i < index + n; i++)
        atomic_fetch_add(&scene->entered[i], 1);
    if (index <= scene->long_one && scene->long_one < index + n)
        UNTIL(many_cancelled());
    return 0;
}

BOTH(a_run_of_items_over_its_limit_fails_as_one)
{
    limit_scene *scene = test_shared(sizeof *scene);
    int codes[40];
    double over;

    scene->long_one = 17;
    CHECK_CODE(MAP_RANGE(kind, limit_range, POOL_NOTHING, (char *)NULL, 40, .workers = 2,
                         .chunk = 5, .item_limit_s = LIMIT_S, .on_error = MANY_GO_ON,
                         .codes = codes, .context = scene),
               5);
    over = test_seconds() - scene->began_s[15];
    CHECK(over >= LIMIT_S && over < limit_latest());
    for (size_t i = 0; i < 40; i++) {
        CHECK_EQUAL(codes[i], i >= 15 && i < 20 ? -ETIMEDOUT : 0);
        CHECK_EQUAL(atomic_load(&scene->entered[i]), 1);
    }
}

BOTH(limits_that_never_come_are_no_limits)
{
    limit_scene *scene = test_shared(sizeof *scene);

    scene->long_one = SIZE_MAX;
    CHECK_CODE(EACH(kind, limit_task, POOL_NOTHING, 40, .workers = 2,
                    .item_limit_s = __builtin_inf(), .context = scene),
               0);
    CHECK_CODE(EACH(kind, limit_task, POOL_NOTHING, 40, .workers = 2, .item_limit_s = 1e300,
                    .context = scene),
               0);
    CHECK_EQUAL(pool_sum(scene->entered, 40), 80);
}

/* The smallest limit there is: an item that ends at once may end in time, one that waits may not.
 */
BOTH(the_smallest_limit_ends_what_waits_and_loses_nothing)
{
    limit_scene *scene = test_shared(sizeof *scene);
    int codes[40], code;

    scene->long_one = 11;
    code = EACH(kind, limit_task, POOL_NOTHING, 40, .workers = 2, .item_limit_s = 1e-12,
                .on_error = MANY_GO_ON, .codes = codes, .context = scene);
    CHECK(code >= 1);
    for (size_t i = 0; i < 40; i++) {
        CHECK(codes[i] == 0 || codes[i] == -ETIMEDOUT);
        CHECK_EQUAL(atomic_load(&scene->entered[i]), 1);
        code -= codes[i] != 0;
    }
    CHECK_EQUAL(code, 0);
    CHECK_EQUAL(codes[11], -ETIMEDOUT);
}
