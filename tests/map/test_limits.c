/* SPDX-License-Identifier: MIT */
/*
 * test_limits.c - an item may run for so long, never shorter, and the others do not suffer
 *
 * Times are measured in the tasks: an item notes in shared memory when it began, and the test when
 * it was known to be over. That an item ends no earlier than its limit is checked to the
 * microsecond; how much later has room for a machine that is busy with other things.
 *
 * Such a machine may also keep an item that takes no time from its core for longer than any limit.
 * Then that item was over it, too, and the test has learned nothing: it tries again with everything
 * twice as long, until only what is meant to be over its limit was.
 */
#include "kind.h"

#include <stdio.h>
#include <stdlib.h>

#include "map/crew.h"
#include "task/seat.h"

#define LIMIT_S      0.06
#define LIMIT_MOST_S 20.0 /* a machine that is never so long at our disposal is none */

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

/* In time, give or take what other programs on this machine take. */
static int limit_was_kept(double over_s, double limit_s)
{
    return over_s >= limit_s && over_s < 1.25 * limit_s + 0.05 + 30.0 * test_slowness();
}

static limit_scene *limit_scene_of(limit_scene *scene, size_t long_one)
{
    memset(scene, 0, sizeof *scene);
    scene->long_one = long_one;
    return scene;
}

/* For another attempt: twice as much. */
static double limit_longer(double limit_s)
{
    CHECK(limit_s < LIMIT_MOST_S);
    return 2 * limit_s;
}

/*
 * Were others over their limit than items [from, to)? Then they really were. Or did one of these
 * never begin, because its worker was kept from it for so long?
 */
static int limit_was_disturbed(const limit_scene *scene, const int *codes, size_t n, size_t from,
                               size_t to, double limit_s)
{
    const double now = test_seconds();
    int disturbed = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t entered = atomic_load(&scene->entered[i]);

        if (i >= from && i < to) {
            disturbed = disturbed || entered == 0;
        } else if (codes[i] == -ETIMEDOUT) {
            CHECK(entered == 0 || now - scene->began_s[i] >= limit_s);
            disturbed = 1;
        }
    }
    return disturbed;
}

static int limit_fails_alone(const pool_kind *kind, limit_scene *scene, size_t at, double limit_s)
{
    many_cause cause;
    size_t out[40] = {0};
    int codes[40], code;
    char words[64];
    double over;

    limit_scene_of(scene, at);
    code = MAP(kind, limit_task, POOL_NOTHING, out, 40, .workers = 2, .item_limit_s = limit_s,
               .on_error = MANY_GO_ON, .codes = codes, .cause = &cause, .context = scene);
    over = test_seconds() - scene->began_s[at];
    CHECK_EQUAL(codes[at], -ETIMEDOUT);
    if (limit_was_disturbed(scene, codes, 40, at, at + 1, limit_s))
        return 0;
    CHECK_CODE(code, 1);
    CHECK(limit_was_kept(over, limit_s));
    for (size_t i = 0; i < 40; i++) {
        CHECK_EQUAL(codes[i], i == at ? -ETIMEDOUT : 0);
        CHECK_EQUAL(atomic_load(&scene->entered[i]), 1);
        if (i != at)
            CHECK_EQUAL(out[i], i + 1);
    }
    CHECK_EQUAL(cause.item, at);
    CHECK_EQUAL(cause.code, -ETIMEDOUT);
    CHECK(cause.seconds >= limit_s);
    snprintf(words, sizeof words, "was over its limit of %g s", limit_s);
    CHECK_CONTAINS(cause.text, words);
    CHECK_CONTAINS(cause.text, kind->processes ? "and was killed" : "cannot be killed");
    CHECK(kind->processes ? cause.pid > 0 && cause.signal == SIGKILL
                          : cause.pid == 0 && cause.signal == 0);
    return 1;
}

BOTH(an_item_over_its_limit_fails_and_the_others_are_done)
{
    limit_scene *scene = test_shared(sizeof *scene);

    for (size_t at = 0; at < 40; at += 13)
        for (double limit_s = LIMIT_S; !limit_fails_alone(kind, scene, at, limit_s);)
            limit_s = limit_longer(limit_s);
}

static int limit_stops(const pool_kind *kind, limit_scene *scene, double limit_s)
{
    int codes[60];

    limit_scene_of(scene, 7);
    CHECK_CODE(EACH(kind, limit_task, POOL_NOTHING, 60, .workers = 1, .item_limit_s = limit_s,
                    .codes = codes, .context = scene),
               -ETIMEDOUT);
    CHECK_CONTAINS(many_error_message(), kind->map_name);
    if (limit_was_disturbed(scene, codes, 60, 7, 8, limit_s))
        return 0;
    CHECK_CONTAINS(many_error_message(), "item 7 was over its limit");
    for (size_t i = 0; i < 60; i++) {
        CHECK_EQUAL(codes[i], i < 7 ? 0 : i == 7 ? -ETIMEDOUT : -ECANCELED);
        CHECK_EQUAL(atomic_load(&scene->entered[i]), i <= 7);
    }
    return 1;
}

BOTH(an_item_over_its_limit_stops_the_map)
{
    limit_scene *scene = test_shared(sizeof *scene);

    for (double limit_s = LIMIT_S; !limit_stops(kind, scene, limit_s);)
        limit_s = limit_longer(limit_s);
}

static int limit_tells(limit_scene *scene, int honest, double limit_s)
{
    int codes[4], code;

    limit_scene_of(scene, 2);
    scene->honest = honest;
    code = many_thread_each(limit_task, POOL_NOTHING, 4, .workers = 2, .item_limit_s = limit_s,
                            .on_error = MANY_GO_ON, .codes = codes, .context = scene);
    CHECK_EQUAL(codes[2], -ETIMEDOUT);
    CHECK(limit_was_kept(scene->ended_s[2] - scene->began_s[2], limit_s));
    if (limit_was_disturbed(scene, codes, 4, 2, 3, limit_s))
        return 0;
    CHECK_CODE(code, 1);
    return 1;
}

TEST(a_thread_is_told_no_earlier_than_its_limit_and_its_code_does_not_count)
{
    limit_scene *scene = test_shared(sizeof *scene);

    for (int honest = 0; honest < 2; honest++)
        for (double limit_s = LIMIT_S; !limit_tells(scene, honest, limit_s);)
            limit_s = limit_longer(limit_s);
}

/* Together they take longer than the limit, in one chunk; each takes a small part of it. */
static int limit_leaves_alone(const pool_kind *kind, limit_scene *scene, double limit_s)
{
    int codes[60], code;

    limit_scene_of(scene, SIZE_MAX);
    scene->busy_s = limit_s / 40;
    code = EACH(kind, limit_task, POOL_NOTHING, 60, .workers = 1, .chunk = 60, .codes = codes,
                .item_limit_s = limit_s, .context = scene);
    if (limit_was_disturbed(scene, codes, 60, 0, 0, limit_s))
        return 0;
    CHECK_CODE(code, 0);
    CHECK_EQUAL(pool_sum(scene->entered, 60), 60);
    return 1;
}

BOTH(items_below_their_limit_are_left_alone_however_many_there_are)
{
    limit_scene *scene = test_shared(sizeof *scene);

    for (double limit_s = 0.3; !limit_leaves_alone(kind, scene, limit_s);)
        limit_s = limit_longer(limit_s);
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
static int limit_leaves_slots_alone(const pool_kind *kind, limit_scene *scene, size_t window,
                                    double limit_s)
{
    limit_source source = {0, 30, limit_s / 16};
    int codes[30], code;

    limit_scene_of(scene, SIZE_MAX);
    scene->busy_s = limit_s / 60;
    code =
        EACH(kind, limit_task, (size_t *)NULL, 30, .workers = 1, .window = window,
             .item_limit_s = limit_s, .codes = codes, .next = limit_next, .next_context = &source,
             .on_result = limit_take, .on_result_context = &source, .context = scene);
    if (limit_was_disturbed(scene, codes, source.next, 0, 0, limit_s))
        return 0;
    CHECK_CODE(code, 0);
    CHECK_EQUAL(pool_sum(scene->entered, 30), 30);
    return 1;
}

BOTH(items_of_a_source_below_their_limit_are_left_alone_in_whatever_slot)
{
    limit_scene *scene = test_shared(sizeof *scene);

    for (size_t window = 2; window <= 3; window++)
        for (double limit_s = 0.25; !limit_leaves_slots_alone(kind, scene, window, limit_s);)
            limit_s = limit_longer(limit_s);
}

static int limit_fails_alone_in_its_slot(const pool_kind *kind, limit_scene *scene, double limit_s)
{
    limit_source source = {0, 60, 0};
    many_cause cause;
    int codes[60], code;
    double over;

    limit_scene_of(scene, 31);
    code = EACH(kind, limit_task, (size_t *)NULL, 60, .workers = 2, .window = 3,
                .item_limit_s = limit_s, .on_error = MANY_GO_ON, .codes = codes, .cause = &cause,
                .next = limit_next, .next_context = &source, .context = scene);
    over = test_seconds() - scene->began_s[31];
    CHECK_EQUAL(codes[31], -ETIMEDOUT);
    if (limit_was_disturbed(scene, codes, 60, 31, 32, limit_s))
        return 0;
    CHECK_CODE(code, 1);
    CHECK(limit_was_kept(over, limit_s));
    for (size_t i = 0; i < 60; i++)
        CHECK_EQUAL(codes[i], i == 31 ? -ETIMEDOUT : 0);
    CHECK_EQUAL(cause.item, 31);
    CHECK(cause.seconds >= limit_s);
    return 1;
}

BOTH(an_item_of_a_source_over_its_limit_fails_alone)
{
    limit_scene *scene = test_shared(sizeof *scene);

    for (double limit_s = LIMIT_S; !limit_fails_alone_in_its_slot(kind, scene, limit_s);)
        limit_s = limit_longer(limit_s);
}

static int limit_is_tried_again(const pool_kind *kind, limit_scene *scene, double limit_s)
{
    size_t out[10] = {0};
    int codes[10], code;

    limit_scene_of(scene, 4);
    scene->good_try = 3;
    code = MAP(kind, limit_task, POOL_NOTHING, out, 10, .workers = 2, .item_limit_s = limit_s,
               .retries = 2, .codes = codes, .context = scene);
    /* Somebody else was tried again, or a try of item 4 was over before it began. */
    for (size_t i = 0; i < 10; i++)
        if (atomic_load(&scene->entered[i]) != (i == 4 ? 3 : 1))
            return 0;
    if (limit_was_disturbed(scene, codes, 10, 0, 0, limit_s))
        return 0;
    CHECK_CODE(code, 0);
    for (size_t i = 0; i < 10; i++) {
        CHECK_EQUAL(codes[i], 0);
        CHECK_EQUAL(out[i], i + 1);
    }
    return 1;
}

BOTH(an_item_over_its_limit_is_tried_again)
{
    limit_scene *scene = test_shared(sizeof *scene);

    for (double limit_s = LIMIT_S; !limit_is_tried_again(kind, scene, limit_s);)
        limit_s = limit_longer(limit_s);
}

static int limit_uses_up_retries(const pool_kind *kind, limit_scene *scene, double limit_s)
{
    many_cause cause;

    limit_scene_of(scene, 4);
    CHECK_CODE(EACH(kind, limit_task, POOL_NOTHING, 10, .workers = 2, .item_limit_s = limit_s,
                    .retries = 1, .cause = &cause, .context = scene),
               -ETIMEDOUT);
    CHECK(atomic_load(&scene->entered[4]) <= 2);
    if (cause.item != 4 || atomic_load(&scene->entered[4]) < 2)
        return 0;
    CHECK_EQUAL(cause.tries, 2);
    return 1;
}

BOTH(an_item_that_is_always_over_its_limit_uses_up_its_retries)
{
    limit_scene *scene = test_shared(sizeof *scene);

    for (double limit_s = LIMIT_S; !limit_uses_up_retries(kind, scene, limit_s);)
        limit_s = limit_longer(limit_s);
}

static int limit_range(const void *items, void *results, size_t n, void *context)
{
    limit_scene *scene = context;
    size_t index = many_item_index();

    (void)items;
    (void)results;
    for (size_t i = index; i < index + n; i++) {
        scene->began_s[i] = test_seconds();
        atomic_fetch_add(&scene->entered[i], 1);
    }
    if (index <= scene->long_one && scene->long_one < index + n)
        UNTIL(many_cancelled());
    return 0;
}

static int limit_fails_as_one(const pool_kind *kind, limit_scene *scene, double limit_s)
{
    int codes[40], code;
    double over;

    limit_scene_of(scene, 17);
    code = MAP_RANGE(kind, limit_range, POOL_NOTHING, (char *)NULL, 40, .workers = 2, .chunk = 5,
                     .item_limit_s = limit_s, .on_error = MANY_GO_ON, .codes = codes,
                     .context = scene);
    over = test_seconds() - scene->began_s[15];
    if (limit_was_disturbed(scene, codes, 40, 15, 20, limit_s))
        return 0;
    CHECK_CODE(code, 5);
    CHECK(limit_was_kept(over, limit_s));
    for (size_t i = 0; i < 40; i++) {
        CHECK_EQUAL(codes[i], i >= 15 && i < 20 ? -ETIMEDOUT : 0);
        CHECK_EQUAL(atomic_load(&scene->entered[i]), 1);
    }
    return 1;
}

BOTH(a_run_of_items_over_its_limit_fails_as_one)
{
    limit_scene *scene = test_shared(sizeof *scene);

    for (double limit_s = LIMIT_S; !limit_fails_as_one(kind, scene, limit_s);)
        limit_s = limit_longer(limit_s);
}

/* A killed worker may take a while to be dead, and is looked at meanwhile. */
TEST(since_when_an_item_ran_is_known_until_its_worker_is_dead)
{
    const uint64_t running = many_state_(5, 0, MANY_RUNNING_);
    _Atomic uint64_t state = running;
    many_watch_ watch = {0, 0};

    CHECK(!many_watch_look_(&watch, &state, 1000, 50));
    CHECK(!many_watch_look_(&watch, &state, 1049, 50));
    CHECK(many_watch_look_(&watch, &state, 1050, 50));
    CHECK_EQUAL(atomic_load(&state), many_state_(5, 0, MANY_CONDEMNED_));
    CHECK(!many_watch_look_(&watch, &state, 1100, 50));
    CHECK_EQUAL(watch.state, running);
    CHECK_EQUAL(watch.since_ns, 1000);
    atomic_store(&state, many_state_(6, 0, MANY_RUNNING_)); /* a thread goes on */
    CHECK(!many_watch_look_(&watch, &state, 1200, 50));
    CHECK_EQUAL(watch.since_ns, 1200);
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
        /* It may have been over before it began. */
        CHECK(atomic_load(&scene->entered[i]) <= 1);
        CHECK(codes[i] != 0 || atomic_load(&scene->entered[i]) == 1);
        code -= codes[i] != 0;
    }
    CHECK_EQUAL(code, 0);
    CHECK_EQUAL(codes[11], -ETIMEDOUT);
}
