/* SPDX-License-Identifier: MIT */
/*
 * test_on_result.c - .on_result gets each outcome that there is, once, in the caller's thread
 *
 * Over sources and over arrays, whole and cut short by a failure, by a token, or by itself.
 */
#include "kind.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RESULT_MOST 4000

typedef struct result_scene {
    size_t pulled, end; /* of the source */
    size_t fail_at;     /* SIZE_MAX: none fails */
    int fail_code;
    size_t fail_every; /* 0: none */
    size_t stop_after; /* .on_result stops after so many outcomes; 0: never */
    int stop_code;
    size_t outcomes, done, failed, cancelled;
    size_t wrong; /* outcomes that do not fit together */
    pthread_t thread;
    many_cancel token;
    uint8_t seen[RESULT_MOST];
    _Atomic uint32_t entered[RESULT_MOST];
} result_scene;

static result_scene *result_scene_of(size_t end)
{
    result_scene *scene = test_shared(sizeof *scene);

    scene->end = end;
    scene->fail_at = SIZE_MAX;
    scene->thread = pthread_self();
    return scene;
}

static int result_next(void *item, void *context)
{
    result_scene *scene = context;

    if (scene->pulled == scene->end)
        return 0;
    *(size_t *)item = scene->pulled++;
    return 1;
}

/* An item is its index; a result is the item's square. */
static int result_task(const void *item, void *result, void *context)
{
    result_scene *scene = context;
    const size_t *x = item;
    size_t *y = result;

    atomic_fetch_add(&scene->entered[*x], 1);
    *y = *x * *x;
    if (*x == scene->fail_at || (scene->fail_every > 0 && *x % scene->fail_every == 0))
        return many_fail(scene->fail_code, "no %zu", *x);
    return 0;
}

static int result_take(const many_outcome *outcome, void *context)
{
    result_scene *scene = context;
    size_t index = outcome->index;
    const size_t *result = outcome->result;

    scene->outcomes++;
    scene->done += outcome->code == 0;
    scene->cancelled += outcome->code == -ECANCELED;
    scene->failed += outcome->code != 0 && outcome->code != -ECANCELED;
    if (index >= scene->end || scene->seen[index]++ > 0 ||
        !pthread_equal(scene->thread, pthread_self()) || outcome->reserved != 0 ||
        outcome->item == NULL || *(const size_t *)outcome->item != index || result == NULL ||
        (outcome->code == 0) != (outcome->cause == NULL))
        scene->wrong++;
    else if (outcome->code == 0
                 ? *result != index * index
                 : outcome->cause->item != index || outcome->cause->code != outcome->code ||
                       outcome->cause->text[0] == '\0')
        scene->wrong++;
    if (scene->stop_after > 0 && scene->outcomes == scene->stop_after)
        return scene->stop_code;
    return 0;
}

/* Every item that was pulled has its outcome, and nothing was entered twice. */
static void result_check(const result_scene *scene, size_t expected)
{
    CHECK_EQUAL(scene->wrong, 0);
    CHECK_EQUAL(scene->outcomes, expected);
    CHECK_EQUAL(scene->done + scene->failed + scene->cancelled, expected);
    for (size_t i = 0; i < expected; i++) {
        CHECK_EQUAL(scene->seen[i], 1);
        CHECK(atomic_load(&scene->entered[i]) <= 1);
    }
}

#define RESULT_STREAM(kind, scene, ...)                                                            \
    (kind)->map(result_task, NULL, sizeof(size_t), NULL, sizeof(size_t),                           \
                MANY_MAP_OPTIONS_(0, .next = result_next, .next_context = (scene),                 \
                                  .on_result = result_take, .on_result_context = (scene),          \
                                  .context = (scene), __VA_ARGS__))

BOTH(each_outcome_of_a_source_is_handed_out_once)
{
    for (int workers = 1; workers <= 4; workers++) {
        result_scene *scene = result_scene_of(RESULT_MOST);

        CHECK_CODE(RESULT_STREAM(kind, scene, .workers = workers), 0);
        result_check(scene, RESULT_MOST);
        CHECK_EQUAL(scene->done, RESULT_MOST);
    }
}

BOTH(failures_are_handed_out_with_their_cause)
{
    result_scene *scene = result_scene_of(RESULT_MOST);

    scene->fail_every = 5;
    scene->fail_code = -EIO;
    CHECK_CODE(RESULT_STREAM(kind, scene, .workers = 3, .on_error = MANY_GO_ON), RESULT_MOST / 5);
    result_check(scene, RESULT_MOST);
    CHECK_EQUAL(scene->failed, RESULT_MOST / 5);
    CHECK_EQUAL(scene->cancelled, 0);
}

BOTH(an_array_goes_with_on_result_and_with_out_and_codes)
{
    result_scene *scene = result_scene_of(RESULT_MOST);
    static size_t in[RESULT_MOST], out[RESULT_MOST];
    static int codes[RESULT_MOST];

    for (size_t i = 0; i < RESULT_MOST; i++)
        in[i] = i;
    memset(out, 0, sizeof out);
    memset(codes, 0x11, sizeof codes);
    scene->fail_every = 7;
    scene->fail_code = 12;
    CHECK_CODE(MAP(kind, result_task, in, out, RESULT_MOST, .workers = 3, .on_error = MANY_GO_ON,
                   .codes = codes, .on_result = result_take, .on_result_context = scene,
                   .context = scene),
               (RESULT_MOST + 6) / 7);
    result_check(scene, RESULT_MOST);
    for (size_t i = 0; i < RESULT_MOST; i++) {
        CHECK_EQUAL(codes[i], i % 7 == 0 ? 12 : 0);
        if (i % 7 != 0)
            CHECK_EQUAL(out[i], i * i);
    }
}

typedef struct result_zip {
    size_t outcomes;
    size_t wrong;
    const long *a, *b;
} result_zip;

static int result_add(const void *item, void *result, void *context)
{
    const void *const *zip = item;

    (void)context;
    *(long *)result = *(const long *)zip[0] + *(const long *)zip[1];
    return 0;
}

static int result_take_zip(const many_outcome *outcome, void *context)
{
    result_zip *scene = context;
    const void *const *zip = outcome->item;

    scene->outcomes++;
    scene->wrong += zip[0] != &scene->a[outcome->index] || zip[1] != &scene->b[outcome->index] ||
                    *(const long *)outcome->result != (long)outcome->index * 3;
    return 0;
}

BOTH(zipped_arrays_go_with_on_result)
{
    long a[100], b[100];
    const many_input inputs[] = {{a, sizeof *a}, {b, sizeof *b}};
    result_zip scene = {0, 0, a, b};

    for (long i = 0; i < 100; i++) {
        a[i] = i;
        b[i] = 2 * i;
    }
    CHECK_CODE(
        kind->map(result_add, NULL, 0, NULL, sizeof(long),
                  MANY_MAP_OPTIONS_(100, .workers = 2, .inputs = inputs, .inputs_count = 2,
                                    .on_result = result_take_zip, .on_result_context = &scene)),
        0);
    CHECK(scene.outcomes == 100 && scene.wrong == 0);
}

/* ---- ended early ---- */

BOTH(on_result_stops_an_endless_source)
{
    static const int stops[] = {-EIO, 1, -ECANCELED};

    for (size_t s = 0; s < 3; s++) {
        result_scene *scene = result_scene_of(SIZE_MAX);

        scene->end = RESULT_MOST; /* far beyond where it stops */
        scene->stop_after = 500;
        scene->stop_code = stops[s];
        CHECK_CODE(RESULT_STREAM(kind, scene, .workers = 2, .window = 20),
                   stops[s] < 0 ? stops[s] : -ECANCELED);
        CHECK_CONTAINS(many_error_message(), kind->map_name);
        CHECK_CONTAINS(many_error_message(), ".on_result");
        result_check(scene, scene->pulled);
        CHECK(scene->pulled >= 500 && scene->pulled <= 520);
    }
}

BOTH(a_failed_item_stops_the_source)
{
    for (size_t round = 0; round < 50; round++) {
        result_scene *scene = result_scene_of(RESULT_MOST);
        many_cause cause;

        scene->fail_at = round * 11;
        scene->fail_code = -EIO;
        CHECK_CODE(RESULT_STREAM(kind, scene, .workers = 1 + (int)round % 3, .window = 30,
                                 .cause = &cause),
                   -MANY_ETASK);
        result_check(scene, scene->pulled);
        CHECK(scene->pulled > scene->fail_at);
        if (round % 3 == 0) /* one worker, in order */
            CHECK(scene->pulled <= scene->fail_at + 30);
        CHECK_EQUAL(scene->failed, 1);
        CHECK_EQUAL(cause.item, scene->fail_at);
        CHECK_EQUAL(cause.code, -EIO);
    }
}

/* Fails, in a worker that from now on runs only while nobody else wants to. */
static int result_fail_last_in_line(const void *item, void *result, void *context)
{
    const struct sched_param none = {0};

    /* musl has no sched_setscheduler(). */
    if (*(const size_t *)item == ((const result_scene *)context)->fail_at)
        CHECK(syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &none) == 0);
    return result_task(item, result, context);
}

/* On one core the supervisor, once woken, runs in place of the worker that woke it, wherever that
 * one is: between its failure and the word that it has failed, too. */
static void result_on_one_core(void *argument)
{
    const pool_kind *kind = argument;
    cpu_set_t one;
    const double end = test_seconds() + 10; /* who runs last in line may have to wait long */
    int cpu = sched_getcpu();

    CHECK(cpu >= 0);
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    for (size_t round = 0; round < 16 && (round < 2 || test_seconds() < end); round++) {
        result_scene *scene = result_scene_of(8);
        int codes[8];

        scene->fail_at = round % 8;
        scene->fail_code = -EIO;
        CHECK_CODE(
            kind->map(result_fail_last_in_line, NULL, sizeof(size_t), NULL, sizeof(size_t),
                      MANY_MAP_OPTIONS_(8, .workers = 2, .next = result_next, .next_context = scene,
                                        .codes = codes, .context = scene)),
            -MANY_ETASK);
        CHECK_EQUAL(codes[scene->fail_at], -EIO);
    }
}

BOTH(a_failed_item_is_never_lost_on_one_core)
{
    CHECK_EQUAL(test_in_child(result_on_one_core, (void *)kind), 0);
}

static int result_take_and_cancel(const many_outcome *outcome, void *context)
{
    result_scene *scene = context;

    if (scene->outcomes == 300)
        many_cancel_set(&scene->token);
    return result_take(outcome, context);
}

BOTH(a_token_set_while_results_are_taken_ends_the_source)
{
    result_scene *scene = result_scene_of(RESULT_MOST);

    CHECK_CODE(kind->map(result_task, NULL, sizeof(size_t), NULL, sizeof(size_t),
                         MANY_MAP_OPTIONS_(0, .workers = 2, .window = 20, .next = result_next,
                                           .next_context = scene, .cancel = &scene->token,
                                           .on_result = result_take_and_cancel,
                                           .on_result_context = scene, .context = scene)),
               -ECANCELED);
    result_check(scene, scene->pulled);
    CHECK(scene->pulled >= 300 && scene->pulled <= 340);
}

/* A retry in a worker, and on_result hears of the last try only. */
static int result_second_try(const void *item, void *result, void *context)
{
    result_scene *scene = context;
    const size_t *x = item;

    *(size_t *)result = *x * *x;
    return atomic_fetch_add(&scene->entered[*x], 1) == 0 ? -EIO : 0;
}

BOTH(retries_come_before_on_result)
{
    result_scene *scene = result_scene_of(200);

    CHECK_CODE(kind->map(result_second_try, NULL, sizeof(size_t), NULL, sizeof(size_t),
                         MANY_MAP_OPTIONS_(0, .workers = 2, .retries = 1, .next = result_next,
                                           .next_context = scene, .on_result = result_take,
                                           .on_result_context = scene, .context = scene)),
               0);
    CHECK_EQUAL(scene->done, 200);
    CHECK_EQUAL(scene->wrong, 0);
    for (size_t i = 0; i < 200; i++)
        CHECK_EQUAL(atomic_load(&scene->entered[i]), 2);
}
