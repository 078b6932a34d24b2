/* SPDX-License-Identifier: MIT */
/*
 * test_thread_map.c - what only maps in threads promise
 *
 * What both kinds promise is in test_map.c and its neighbours.
 */
#include "kind.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct thread_scene {
    pthread_t caller;
    _Atomic uint32_t by_caller;
    _Atomic uint32_t entered;
} thread_scene;

static int thread_note(const void *item, void *result, void *context)
{
    thread_scene *scene = context;

    (void)item;
    (void)result;
    atomic_fetch_add(&scene->entered, 1);
    if (pthread_equal(pthread_self(), scene->caller))
        atomic_fetch_add(&scene->by_caller, 1);
    return 0;
}

TEST(the_caller_works_too_and_alone_if_it_is_the_only_worker)
{
    thread_scene scene = {.caller = pthread_self()};
    test_census before = pool_census();

    CHECK_CODE(many_thread_each(thread_note, POOL_NOTHING, 1000, .workers = 1, .context = &scene),
               0);
    CHECK_EQUAL(atomic_load(&scene.entered), 1000);
    CHECK_EQUAL(atomic_load(&scene.by_caller), 1000);
    CHECK_CENSUS(before);
}

TEST(a_caller_that_has_a_bar_or_limits_to_watch_does_not_work)
{
    thread_scene scene = {.caller = pthread_self()};
    many_bar *bar = NULL;

    CHECK_CODE(many_bar_open(&bar, .quiet = 1), 0);
    CHECK_CODE(many_thread_each(thread_note, POOL_NOTHING, 1000, .workers = 2, .bar = bar,
                                .context = &scene),
               0);
    CHECK_CODE(many_thread_each(thread_note, POOL_NOTHING, 1000, .workers = 2, .item_limit_s = 1000,
                                .context = &scene),
               0);
    CHECK_EQUAL(atomic_load(&scene.entered), 2000);
    CHECK_EQUAL(atomic_load(&scene.by_caller), 0);
    many_bar_close(bar);
}

/* fn shares memory with the caller: plain variables, written by one, read by the other after. */
static int thread_append(const void *item, void *result, void *context)
{
    long *const *lists = context;

    (void)result;
    lists[many_worker_index()][0] += *(const long *)item;
    return 0;
}

TEST(tasks_write_into_the_callers_memory_by_worker_number)
{
    long lists_memory[4][16] = {{0}};
    long *lists[4], in[5000], sum = 0;

    for (int w = 0; w < 4; w++)
        lists[w] = lists_memory[w];
    for (long i = 0; i < 5000; i++)
        in[i] = i;
    CHECK_CODE(many_thread_each(thread_append, in, 5000, .workers = 4, .context = lists), 0);
    for (int w = 0; w < 4; w++)
        sum += lists_memory[w][0];
    CHECK_EQUAL(sum, 5000L * 4999 / 2);
}

/* Items are where they lie, results go straight to out: nothing is copied. */
static int thread_in_place(const void *item, void *result, void *context)
{
    const long *in = ((void **)context)[0];
    const long *out = ((void **)context)[1];
    size_t index = many_item_index();

    *(long *)result = 1;
    return item != &in[index] || result != &out[index];
}

TEST(items_and_results_are_used_where_they_lie)
{
    long in[100] = {0}, out[100] = {0};
    void *both[] = {in, out};

    CHECK_CODE(many_thread_map(thread_in_place, in, out, 100, .workers = 3, .context = both), 0);
    CHECK_EQUAL(out[99], 1);
}

/* Each item waits for the other six: more threads than cores run at
 * the same time, and none of them is awaited by polling. */
static int thread_meet(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    pthread_barrier_wait(context);
    return 0;
}

TEST(as_many_items_run_at_once_as_there_are_workers)
{
    pthread_barrier_t barrier;

    CHECK(pthread_barrier_init(&barrier, NULL, 7) == 0);
    CHECK_CODE(many_thread_each(thread_meet, POOL_NOTHING, 7, .workers = 7, .context = &barrier),
               0);
    CHECK_CODE(many_thread_each(thread_meet, POOL_NOTHING, 7, .workers = 7, .item_limit_s = 1000,
                                .context = &barrier),
               0);
    pthread_barrier_destroy(&barrier);
}

static int thread_free_result(const void *item, void *result, void *context)
{
    char **text = result;

    (void)context;
    *text = malloc(32);
    if (*text == NULL)
        return -ENOMEM;
    snprintf(*text, 32, "item %ld", *(const long *)item);
    return 0;
}

TEST(a_result_may_be_memory_that_the_task_allocated)
{
    long in[200];
    char *out[200];

    for (long i = 0; i < 200; i++)
        in[i] = i;
    CHECK_CODE(many_thread_map(thread_free_result, in, out, 200, .workers = 4), 0);
    CHECK_STRING(out[0], "item 0");
    CHECK_STRING(out[199], "item 199");
    for (int i = 0; i < 200; i++)
        free(out[i]);
}

/* Small maps again and again: start, steal, end, at every phase of one another. */
TEST(a_thousand_small_maps_lose_nothing)
{
    const int rounds = 3000 / test_slowness();

    for (int round = 0; round < rounds; round++) {
        thread_scene scene = {.caller = pthread_self()};
        size_t n = (size_t)round % 17;

        CHECK_CODE(many_thread_each(thread_note, POOL_NOTHING, n, .workers = 1 + round % 5,
                                    .chunk = (size_t)round % 3, .context = &scene),
                   0);
        CHECK_EQUAL(atomic_load(&scene.entered), n);
    }
}
