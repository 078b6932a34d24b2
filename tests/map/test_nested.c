/* SPDX-License-Identifier: MIT */
/*
 * test_nested.c - maps inside tasks, beside each other, and in forked children
 */
#include "kind.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct nested_plan {
    const pool_kind *inner;
    long scale;
} nested_plan;

static int nested_scale(const void *item, void *result, void *context)
{
    const nested_plan *plan = context;

    *(long *)result = *(const long *)item * plan->scale;
    return 0;
}

/* The sum of scale * (item .. item + 49), by a map inside the task; the task stays what it was. */
static int nested_sum(const void *item, void *result, void *context)
{
    const nested_plan *plan = context;
    size_t index = many_item_index();
    int worker = many_worker_index(), code;
    long in[50], out[50] = {0};

    for (long i = 0; i < 50; i++)
        in[i] = *(const long *)item + i;
    code = MAP(plan->inner, nested_scale, in, out, 50, .workers = 2, .context = context);
    if (code != 0)
        return code;
    *(long *)result = 0;
    for (int i = 0; i < 50; i++)
        *(long *)result += out[i];
    return many_item_index() != index || many_worker_index() != worker || many_cancelled();
}

static void nested_check(const pool_kind *outer, const pool_kind *inner)
{
    test_census before = pool_census();
    nested_plan plan = {inner, 3};
    long in[20], out[20] = {0};
    test_signals signals;

    test_signals_take(&signals);
    for (long i = 0; i < 20; i++)
        in[i] = i;
    CHECK_CODE(MAP(outer, nested_sum, in, out, 20, .workers = 3, .context = &plan), 0);
    for (long i = 0; i < 20; i++)
        CHECK_EQUAL(out[i], 3 * (50 * i + 49 * 50 / 2));
    CHECK_SIGNALS(signals);
    CHECK_CENSUS(before);
}

TEST(threads_in_threads)
{
    nested_check(&pool_threads, &pool_threads);
}

#if !TEST_TSAN
TEST(processes_in_processes)
{
    nested_check(&pool_processes, &pool_processes);
}

TEST(threads_in_processes)
{
    nested_check(&pool_processes, &pool_threads);
}

TEST(processes_in_threads)
{
    nested_check(&pool_threads, &pool_processes);
}
#endif

/* ---- failures below ---- */

static int nested_fail(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    return many_item_index() == 3 ? many_fail(-ENOENT, "no photo") : 0;
}

static int nested_pass_on(const void *item, void *result, void *context)
{
    const nested_plan *plan = context;
    many_cause cause;
    int code;

    (void)item;
    (void)result;
    code = EACH(plan->inner, nested_fail, POOL_NOTHING, 5, .workers = 2, .cause = &cause);
    if (many_item_index() != 1)
        return code == -MANY_ETASK ? 0 : 1;
    return many_fail(code, "inner: %s", cause.text);
}

BOTH(a_failure_below_reaches_the_top_with_its_words)
{
    nested_plan plan = {kind, 1};
    many_cause cause;
    int codes[4];

    CHECK_CODE(EACH(kind, nested_pass_on, POOL_NOTHING, 4, .workers = 2, .on_error = MANY_GO_ON,
                    .codes = codes, .cause = &cause, .context = &plan),
               1);
    CHECK_EQUAL(codes[1], -MANY_ETASK);
    CHECK_EQUAL(cause.item, 1);
    CHECK_CONTAINS(cause.text, "item 1 failed with -4098: inner: item 3 failed with -2: no photo");
}

/* ---- a task inside is told when the map around it ends ---- */

typedef struct nested_cancel {
    many_cancel token;
    _Atomic uint32_t inside;
} nested_cancel;

static int nested_wait(const void *item, void *result, void *context)
{
    nested_cancel *scene = context;

    (void)item;
    (void)result;
    atomic_fetch_add(&scene->inside, 1);
    UNTIL(many_cancelled());
    return 0;
}

static int nested_around(const void *item, void *result, void *context)
{
    nested_cancel *scene = context;

    (void)item;
    (void)result;
    return many_thread_each(nested_wait, POOL_NOTHING, 2, .workers = 2, .cancel = &scene->token,
                            .context = scene);
}

static void *nested_cancel_when_inside(void *argument)
{
    nested_cancel *scene = argument;

    UNTIL(atomic_load(&scene->inside) == 4);
    many_cancel_set(&scene->token);
    return NULL;
}

TEST(one_token_ends_the_map_and_the_maps_inside_it)
{
    nested_cancel *scene = test_shared(sizeof *scene);
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, nested_cancel_when_inside, scene) == 0);
    CHECK_CODE(many_thread_each(nested_around, POOL_NOTHING, 2, .workers = 2,
                                .cancel = &scene->token, .context = scene),
               -ECANCELED);
    CHECK(pthread_join(thread, NULL) == 0);
}

#if !TEST_TSAN
static int nested_around_processes(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    return many_process_each(nested_wait, POOL_NOTHING, 2, .workers = 2, .context = context);
}

/* When a worker process is killed, so are the workers of the map that it was running: when nobody
 * holds the writing end of the pipe any more, they are gone. */
TEST(cancelling_kills_the_workers_of_workers)
{
    nested_cancel *scene = test_shared(sizeof *scene);
    pthread_t thread;
    char byte;
    int ends[2];

    CHECK(pipe(ends) == 0);
    CHECK(pthread_create(&thread, NULL, nested_cancel_when_inside, scene) == 0);
    CHECK_CODE(many_process_each(nested_around_processes, POOL_NOTHING, 2, .workers = 2,
                                 .cancel = &scene->token, .context = scene),
               -ECANCELED);
    CHECK(pthread_join(thread, NULL) == 0);
    close(ends[1]);
    CHECK_EQUAL(read(ends[0], &byte, 1), 0);
    close(ends[0]);
}
#endif

/* ---- beside each other ---- */

#define NESTED_BESIDE 6

typedef struct nested_job {
    const pool_kind *kind;
    long number;
    int code;
    long wrong;
} nested_job;

static void *nested_run_job(void *argument)
{
    nested_job *job = argument;
    nested_plan plan = {job->kind, job->number};
    long in[3000], out[3000] = {0};

    for (long i = 0; i < 3000; i++)
        in[i] = i;
    for (int round = 0; round < 5 && job->code == 0; round++) {
        memset(out, 0, sizeof out);
        job->code = MAP(job->kind, nested_scale, in, out, 3000, .workers = 2, .context = &plan);
        for (long i = 0; i < 3000; i++)
            job->wrong += out[i] != i * job->number;
    }
    return NULL;
}

BOTH(many_maps_run_at_once_from_several_threads)
{
    test_census before = pool_census();
    nested_job jobs[NESTED_BESIDE];
    pthread_t threads[NESTED_BESIDE];

    for (int j = 0; j < NESTED_BESIDE; j++) {
        jobs[j] = (nested_job){.kind = kind, .number = j + 1};
        CHECK(pthread_create(&threads[j], NULL, nested_run_job, &jobs[j]) == 0);
    }
    for (int j = 0; j < NESTED_BESIDE; j++) {
        CHECK(pthread_join(threads[j], NULL) == 0);
        CHECK_CODE(jobs[j].code, 0);
        CHECK_EQUAL(jobs[j].wrong, 0);
    }
    CHECK_CENSUS(before);
}

#if !TEST_TSAN
TEST(maps_of_both_kinds_run_at_once)
{
    nested_job jobs[NESTED_BESIDE];
    pthread_t threads[NESTED_BESIDE];

    for (int j = 0; j < NESTED_BESIDE; j++) {
        jobs[j] = (nested_job){.kind = j % 2 ? &pool_threads : &pool_processes, .number = j + 1};
        CHECK(pthread_create(&threads[j], NULL, nested_run_job, &jobs[j]) == 0);
    }
    for (int j = 0; j < NESTED_BESIDE; j++) {
        CHECK(pthread_join(threads[j], NULL) == 0);
        CHECK_CODE(jobs[j].code, 0);
        CHECK_EQUAL(jobs[j].wrong, 0);
    }
}

/* Two processes that were forked apart, each with a map of each kind. */
static void nested_in_child(void *argument)
{
    (void)argument;
    nested_check(&pool_threads, &pool_threads);
    nested_check(&pool_processes, &pool_threads);
}

TEST(maps_work_in_a_forked_child)
{
    pid_t children[2];

    nested_check(&pool_threads, &pool_threads); /* and before the fork */
    for (int c = 0; c < 2; c++)
        children[c] = test_child_start(nested_in_child, NULL);
    nested_check(&pool_processes, &pool_processes);
    for (int c = 0; c < 2; c++)
        CHECK_EQUAL(test_child_wait(children[c]), 0);
}
#endif
