/* SPDX-License-Identifier: MIT */
/*
 * test_process_map.c - what only maps in processes promise: a death fails one item, memory is the
 * worker's own, results come home by whatever way there is
 *
 * What both kinds promise is in test_map.c and its neighbours; deaths at every point, and odd
 * surroundings, are in tests/kill/.
 */
#include "kind.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct process_scene {
    size_t dies_at;
    int how; /* a signal, or a status of exit, negative */
    uint32_t good_try;
    long private_sum; /* a plain word: what workers do to it, they do to their copy */
    pid_t parent;
    _Atomic uint32_t entered[1000];
} process_scene;

static int process_die_at_one(const void *item, void *result, void *context)
{
    process_scene *scene = context;
    size_t index = many_item_index();
    uint32_t tries = atomic_fetch_add(&scene->entered[index], 1) + 1;

    (void)item;
    *(size_t *)result = index + 1;
    if (index == scene->dies_at && (scene->good_try == 0 || tries < scene->good_try)) {
        if (scene->how < 0)
            _exit(-scene->how);
        signal(scene->how, SIG_DFL); /* a sanitizer may have an interest in it */
        raise(scene->how);
    }
    return 0;
}

/* Ways to die, and what the cause says of them. */
static const struct process_death {
    int how;
    const char *words;
} process_deaths[] = {
    {SIGKILL, "item 700 died of SIGKILL"},           {SIGSEGV, "item 700 died of SIGSEGV"},
    {SIGABRT, "item 700 died of SIGABRT"},           {SIGTERM, "item 700 died of SIGTERM"},
    {-7, "item 700 died: its worker exited with 7"},
};

TEST(a_death_fails_the_item_that_ran_and_no_other)
{
    for (size_t d = 0; d < sizeof process_deaths / sizeof process_deaths[0]; d++) {
        process_scene *scene = test_shared(sizeof *scene);
        many_cause cause;
        size_t out[1000] = {0};
        int codes[1000];

        scene->dies_at = 700;
        scene->how = process_deaths[d].how;
        CHECK_CODE(many_process_map(process_die_at_one, POOL_NOTHING, out, 1000, .workers = 3,
                                    .on_error = MANY_GO_ON, .codes = codes, .cause = &cause,
                                    .context = scene),
                   1);
        for (size_t i = 0; i < 1000; i++) {
            CHECK_EQUAL(codes[i], i == 700 ? -MANY_EDIED : 0);
            CHECK_EQUAL(atomic_load(&scene->entered[i]), 1);
            if (i != 700)
                CHECK_EQUAL(out[i], i + 1);
        }
        CHECK_EQUAL(cause.item, 700);
        CHECK_EQUAL(cause.code, -MANY_EDIED);
        CHECK_EQUAL(cause.signal, scene->how > 0 ? scene->how : 0);
        CHECK_EQUAL(cause.exit_status, scene->how > 0 ? -1 : 7);
        CHECK(cause.pid > 0 && cause.peak_bytes > 0);
        CHECK_CONTAINS(cause.text, process_deaths[d].words);
    }
}

TEST(a_death_stops_the_map_if_it_is_to_stop)
{
    process_scene *scene = test_shared(sizeof *scene);
    size_t out[1000] = {0};
    int codes[1000];

    scene->dies_at = 500;
    scene->how = SIGKILL;
    CHECK_CODE(many_process_map(process_die_at_one, POOL_NOTHING, out, 1000, .workers = 1,
                                .codes = codes, .context = scene),
               -MANY_EDIED);
    CHECK_CONTAINS(many_error_message(), "many_process_map: item 500 died of SIGKILL");
    for (size_t i = 0; i < 1000; i++) {
        CHECK_EQUAL(codes[i], i < 500 ? 0 : i == 500 ? -MANY_EDIED : -ECANCELED);
        CHECK_EQUAL(atomic_load(&scene->entered[i]), i <= 500);
        if (i < 500)
            CHECK_EQUAL(out[i], i + 1);
    }
}

TEST(an_item_that_killed_its_worker_is_tried_again)
{
    process_scene *scene = test_shared(sizeof *scene);
    size_t out[1000] = {0};

    scene->dies_at = 700;
    scene->how = SIGKILL;
    scene->good_try = 3;
    CHECK_CODE(many_process_map(process_die_at_one, POOL_NOTHING, out, 1000, .workers = 2,
                                .retries = 2, .context = scene),
               0);
    for (size_t i = 0; i < 1000; i++) {
        CHECK_EQUAL(atomic_load(&scene->entered[i]), i == 700 ? 3 : 1);
        CHECK_EQUAL(out[i], i + 1);
    }
}

TEST(an_item_that_always_kills_its_worker_uses_up_its_retries)
{
    process_scene *scene = test_shared(sizeof *scene);
    many_cause cause;
    size_t out[1000] = {0};
    int codes[1000];

    scene->dies_at = 700;
    scene->how = SIGKILL;
    CHECK_CODE(many_process_map(process_die_at_one, POOL_NOTHING, out, 1000, .workers = 2,
                                .retries = 2, .on_error = MANY_GO_ON, .codes = codes,
                                .cause = &cause, .context = scene),
               1);
    for (size_t i = 0; i < 1000; i++) {
        CHECK_EQUAL(atomic_load(&scene->entered[i]), i == 700 ? 3 : 1);
        CHECK_EQUAL(codes[i], i == 700 ? -MANY_EDIED : 0);
    }
    CHECK_EQUAL(cause.tries, 3);
}

static int process_write_privately(const void *item, void *result, void *context)
{
    process_scene *scene = context;

    (void)item;
    scene->private_sum += 1;
    *(long *)result = scene->private_sum;
    return getpid() == scene->parent || getppid() != scene->parent;
}

TEST(what_a_task_changes_stays_in_its_worker)
{
    static process_scene scene;
    long out[100] = {0}, most = 0;

    scene.parent = getpid();
    scene.private_sum = 0;
    CHECK_CODE(many_process_map(process_write_privately, POOL_NOTHING, out, 100, .workers = 2,
                                .context = &scene),
               0);
    CHECK_EQUAL(scene.private_sum, 0);
    for (int i = 0; i < 100; i++)
        most = out[i] > most ? out[i] : most;
    CHECK(most >= 50); /* and a worker sees what it did before */
}

/* ---- ways home ---- */

static int process_give_up_rights(const void *item, void *result, void *context)
{
    size_t index = many_item_index();

    (void)item;
    (void)context;
    *(size_t *)result = index * 3;
    /* In the middle of the map: the way home that needs a permission is closed from here on. */
    return index > 200 && getuid() == 0 && setuid(65534) != 0;
}

TEST(workers_that_give_up_their_rights_bring_their_results_home)
{
    static size_t out[20000];

    if (getuid() != 0)
        test_skip("only root can become somebody else");
    memset(out, 0xAA, sizeof out);
    CHECK_CODE(many_process_map(process_give_up_rights, POOL_NOTHING, out, 20000, .workers = 3), 0);
    for (size_t i = 0; i < 20000; i++)
        CHECK(out[i] == i * 3);
}

static int process_triple(const void *item, void *result, void *context)
{
    (void)item;
    *(size_t *)result = many_item_index() * 3;
    return context != NULL &&
           (const char *)result != (const char *)context + many_item_index() * sizeof(size_t);
}

TEST(in_place_results_are_written_where_out_lies)
{
    size_t *out = test_shared(5000 * sizeof *out);

    CHECK_CODE(many_process_map(process_triple, POOL_NOTHING, out, 5000, .workers = 3,
                                .in_place = 1, .context = out),
               0);
    for (size_t i = 0; i < 5000; i++)
        CHECK(out[i] == i * 3);
}

TEST(results_go_into_memory_of_any_kind)
{
    const size_t bytes = 5000 * sizeof(size_t);
    size_t *fresh = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t *shared = test_shared(bytes);
    size_t stack[5000];

    CHECK(fresh != MAP_FAILED);
    CHECK_CODE(many_process_map(process_triple, POOL_NOTHING, fresh, 5000, .workers = 2), 0);
    CHECK_CODE(many_process_map(process_triple, POOL_NOTHING, shared, 5000, .workers = 2), 0);
    CHECK_CODE(many_process_map(process_triple, POOL_NOTHING, stack, 5000, .workers = 2), 0);
    CHECK_BYTES(fresh, stack, bytes);
    CHECK_BYTES(shared, stack, bytes);
    CHECK(stack[4999] == 4999 * 3);
    munmap(fresh, bytes);
}

/* A result that failed holds nothing of its neighbours in the worker's buffer. */
static int process_fail_odd(const void *item, void *result, void *context)
{
    (void)item;
    (void)context;
    *(size_t *)result = SIZE_MAX;
    return many_item_index() % 2 == 1;
}

TEST(a_failed_item_leaves_no_stray_result)
{
    size_t out[1000];

    memset(out, 0, sizeof out);
    CHECK_CODE(many_process_map(process_fail_odd, POOL_NOTHING, out, 1000, .workers = 2,
                                .chunk = 100, .on_error = MANY_GO_ON),
               500);
    for (size_t i = 0; i < 1000; i++)
        CHECK(out[i] == (i % 2 == 1 ? 0 : SIZE_MAX));
}

/* ---- with children of the caller's own ---- */

static void process_end_at_once(void *argument)
{
    (void)argument;
}

TEST(the_callers_own_children_are_left_to_the_caller)
{
    pid_t child = test_child_start(process_end_at_once, NULL);
    siginfo_t info;
    size_t out[100] = {0};

    CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0); /* dead, and not reaped */
    CHECK_CODE(many_process_map(process_triple, POOL_NOTHING, out, 100, .workers = 3), 0);
    CHECK_EQUAL(test_child_wait(child), 0);
}

/* Workers by the dozen, for more items than they are, on whatever cores there are. */
TEST(more_workers_than_cores_share_the_work)
{
    size_t out[3000] = {0};

    CHECK_CODE(many_process_map(process_triple, POOL_NOTHING, out, 3000, .workers = 40), 0);
    for (size_t i = 0; i < 3000; i++)
        CHECK(out[i] == i * 3);
}

TEST(a_hundred_small_maps_lose_nothing)
{
    for (int round = 0; round < 200 / test_slowness(); round++) {
        size_t n = (size_t)round % 13, out[13];

        memset(out, 0xAA, sizeof out);
        CHECK_CODE(many_process_map(process_triple, POOL_NOTHING, out, n, .workers = 1 + round % 4,
                                    .chunk = (size_t)round % 3),
                   0);
        for (size_t i = 0; i < n; i++)
            CHECK(out[i] == i * 3);
    }
}
