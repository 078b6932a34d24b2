/* SPDX-License-Identifier: MIT */
/*
 * test_stuck.c - programs whose pools are stuck, for `many status` (pool_status.sh) to look at
 *
 * With MANY_TEST_STAY in the environment, the path of a file, a program writes its pid there when
 * it is stuck, and stays so until it is killed; pool_status.sh looks at it meanwhile. Else it looks
 * itself.
 */
#include <many.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool/pages.h"
#include "test.h"

/* 1: it was looked at, by a process that has killed us; 0: look yourself. */
static void stay_if_asked(void)
{
    const char *path = getenv("MANY_TEST_STAY");
    char fresh[4096];
    FILE *file;

    if (path == NULL)
        return;
    snprintf(fresh, sizeof fresh, "%s.new", path);
    file = fopen(fresh, "w");
    CHECK(file != NULL);
    CHECK(fprintf(file, "%ld\n", (long)getpid()) > 0);
    CHECK(fclose(file) == 0);
    CHECK(rename(fresh, path) == 0);
    for (;;)
        pause();
}

/* ---- pages without a pool behind them: names that a terminal must not get ---- */

TEST(names_may_hold_anything)
{
    struct page page = page_open(MANY_PROCESSES, 5, "Pool \033]0;me\007\n\"\\");
    many_roster_ *roster = page.roster;
    many_watcher *watcher;
    many_pool_status status;

    for (int w = 0; w < 4; w++)
        many_roster_arrive_(&roster->place[w], 4713 + w, 4713 + w);
    many_roster_task_(&roster->place[0], 16,
                      "resize\033[31m\xff \xc3\xa4 \xc2\x9b \xed\xa0\x80.jpg", 1);
    many_roster_wait_(&roster->place[0], 1, 17, "a \"b\" \\c\td", 1);
    many_roster_task_(&roster->place[1], 17, NULL, -1);
    many_roster_task_(&roster->place[2], 18, "deep", -1);
    many_roster_wait_(&roster->place[2], 1, 19, NULL, -1);
    atomic_store(&roster->place[2].depth, 3);
    atomic_store(&roster->submitted, 143);
    atomic_store(&roster->place[0].begun, 126);
    atomic_store(&roster->place[0].done, 120);
    atomic_store(&roster->place[1].failed, 1);
    atomic_store(&roster->cancelled, 3);
    atomic_store(&roster->replaced, 2);
    atomic_store(&roster->died, 1);
    atomic_store(&roster->finished, 1);
    stay_if_asked();
    CHECK_CODE(many_watcher_open(&watcher, 0), 1);
    CHECK_CODE(many_watcher_look(watcher, 0, &status, NULL, 0), 5);
    CHECK_EQUAL(status.waiting, 14);
    CHECK_EQUAL(status.running, 5);
    many_watcher_close(watcher);
    page_close(&page);
}

TEST(a_page_may_be_no_page)
{
    struct page page = page_open(MANY_THREADS, 2, "p");

    page.roster->workers = INT32_MAX;
    stay_if_asked();
    CHECK_CODE(look_at(0, NULL, NULL, 0), -EBADMSG);
    page_close(&page);
}

TEST(there_may_be_no_pools)
{
    stay_if_asked();
}

/* ---- pools: one task stands still, the next waits for it, three more wait for a worker ---- */

typedef struct scene {
    _Atomic int go; /* shared, so that tasks of processes see it, too */
    many_future *still;
    uint64_t still_id;
} scene;

static scene *stage;

static int stand_still(const void *item, void *result, void *context)
{
    (void)item, (void)result, (void)context;
    while (!atomic_load(&stage->go) && !many_cancelled())
        usleep(1000);
    return 0;
}

static int wait_for_it(const void *item, void *result, void *context)
{
    many_future *still = stage->still;
    int code = 0;

    (void)item, (void)result, (void)context;
    if (stage->still_id != 0)
        code = many_future_from_id(&still, stage->still_id);
    if (code == 0)
        code = many_future_wait(still, MANY_FOREVER);
    if (stage->still_id != 0)
        many_future_close(still);
    return code;
}

static int waits_in(const many_worker_status *workers, int count)
{
    for (int w = 0; w < count; w++)
        if (workers[w].waits)
            return w;
    return -1;
}

/* What many_pool_look() says is what many_watcher_look() says. */
static void look_at_it(many_pool *pool)
{
    many_pool_status status, seen;
    many_worker_status workers[2], from_outside[2];
    many_watcher *watcher;
    int waiter;

    CHECK_CODE(many_pool_look(pool, &status, workers, 2), 2);
    CHECK_EQUAL(status.waiting, 3);
    CHECK_EQUAL(status.running, 2);
    CHECK_EQUAL(status.done + status.failed + status.cancelled, 0);
    waiter = waits_in(workers, 2);
    CHECK_STRING(workers[waiter].name, "waiter");
    CHECK_STRING(workers[waiter].waits_for_name, "still");
    CHECK_EQUAL(workers[waiter].waits_for_worker, 1 - waiter);
    CHECK_STRING(workers[1 - waiter].name, "still");
    CHECK_EQUAL(workers[1 - waiter].task, 0);

    CHECK_CODE(many_watcher_open(&watcher, 0), 1);
    CHECK_CODE(many_watcher_look(watcher, 0, &seen, from_outside, 2), 2);
    CHECK_BYTES(&seen, &status, sizeof status);
    for (int w = 0; w < 2; w++) {
        CHECK(from_outside[w].seconds >= workers[w].seconds);
        from_outside[w].seconds = workers[w].seconds;
        CHECK_BYTES(&from_outside[w], &workers[w], sizeof *workers);
    }
    many_watcher_close(watcher);
}

static void be_stuck(int kind)
{
    many_pool *pool;
    many_pool_status status;
    many_worker_status workers[2];
    many_future *still, *waiter;

    stage = test_shared(sizeof *stage);
    CHECK_CODE(many_pool_open(&pool, .kind = kind, .workers = 2, .name = "stuck pool"), 0);
    CHECK_CODE(many_pool_submit(pool, stand_still, NULL, &still, .name = "still"), 0);
    UNTIL(many_future_running(still) == 1);
    stage->still = still;
    stage->still_id = many_future_id(still);
    CHECK_EQUAL(stage->still_id != 0, kind == MANY_PROCESSES);
    CHECK_CODE(many_pool_submit(pool, wait_for_it, NULL, &waiter, .name = "waiter"), 0);
    for (int i = 0; i < 3; i++)
        CHECK_CODE(many_pool_submit(pool, stand_still, NULL, NULL), 0);
    UNTIL(many_pool_look(pool, &status, workers, 2) == 2 && waits_in(workers, 2) >= 0);
    stay_if_asked();
    look_at_it(pool);

    atomic_store(&stage->go, 1);
    CHECK_CODE(many_future_result(waiter, NULL, 0, MANY_FOREVER), 0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    /* A worker counts a task when it is over: some moments later. */
    UNTIL(many_pool_look(pool, &status, workers, 2) == 2 && status.done == 5);
    CHECK_EQUAL(status.waiting, 0);
    CHECK_EQUAL(status.running, 0);
    CHECK(waits_in(workers, 2) < 0);
    CHECK_EQUAL(workers[0].depth + workers[1].depth, 0);
    CHECK_EQUAL(workers[0].tasks + workers[1].tasks, 5);
    many_future_close(still);
    many_future_close(waiter);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(a_pool_of_threads_may_be_stuck)
{
    be_stuck(MANY_THREADS);
}

TEST(a_pool_of_processes_may_be_stuck)
{
    be_stuck(MANY_PROCESSES);
}
