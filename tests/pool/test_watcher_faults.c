/* SPDX-License-Identifier: MIT */
/* test_watcher_faults.c - no memory to look with; who is looked at is killed as it writes */
#include <string.h>

#include "base/fault.h"
#include "os/clock.h"
#include "pages.h"

static const char *point_that_fails;
static int fails_after;

static int say_enomem(const char *point)
{
    return strcmp(point, point_that_fails) == 0 && fails_after-- == 0 ? -ENOMEM : 0;
}

TEST(without_memory_to_look_with_that_is_told_and_nothing_is_left)
{
    struct page pages[9];
    test_census before;
    many_watcher *watcher;

    for (int i = 0; i < 9; i++)
        pages[i] = page_open(MANY_THREADS, 1, "p");
    before = test_census_take();
    many_fault_hook_ = say_enomem;
    point_that_fails = "watcher.open";
    fails_after = 0;
    CHECK_CODE(many_watcher_open(&watcher, 0), -ENOMEM);
    CHECK(watcher == NULL);
    /* The list grows twice. */
    point_that_fails = "peek.list";
    for (int grown = 0; grown < 2; grown++) {
        fails_after = grown;
        CHECK_CODE(many_watcher_open(&watcher, 0), -ENOMEM);
        CHECK(watcher == NULL);
        CHECK_CENSUS(before);
    }
    CHECK_CODE(many_watcher_open(&watcher, 0), 9);
    point_that_fails = "watcher.copy";
    fails_after = 0;
    CHECK_CODE(many_watcher_look(watcher, 0, NULL, NULL, 0), -ENOMEM);
    CHECK_CONTAINS(many_error_message(), "many_watcher_look: no memory");
    CHECK_CODE(many_watcher_look(watcher, 0, NULL, NULL, 0), 1);
    many_fault_hook_ = NULL;
    many_watcher_close(watcher);
    CHECK_CENSUS(before);
    for (int i = 0; i < 9; i++)
        page_close(&pages[i]);
}

static int die(const char *point)
{
    if (strcmp(point, "roster.changing") == 0)
        raise(SIGKILL);
    return 0;
}

static void begin_a_task(void *argument)
{
    many_roster_place_ *place = argument;

    many_fault_hook_ = die;
    many_roster_task_(place, 8, "never seen", many_clock_ns_());
}

static void begin_to_wait(void *argument)
{
    many_roster_place_ *place = argument;

    many_fault_hook_ = die;
    many_roster_wait_(place, 1, 8, "never seen", 0);
}

TEST(a_worker_that_is_killed_as_it_changes_its_line_is_seen_to_be_there_until_its_place_is_mended)
{
    void (*const change[])(void *) = {begin_a_task, begin_to_wait};
    struct page page = page_open(MANY_PROCESSES, 1, "p");
    many_roster_place_ *place = &page.roster->place[0];
    many_worker_status worker;

    for (size_t i = 0; i < 2; i++) {
        many_roster_arrive_(place, 5, 5);
        many_roster_task_(place, 7, "before", many_clock_ns_());
        CHECK_EQUAL(test_in_child(change[i], place), SIGKILL);
        CHECK_CODE(look_at(0, NULL, &worker, 1), 1);
        CHECK_EQUAL(worker.pid, 5);
        CHECK_EQUAL(worker.depth, 1);
        CHECK_STRING(worker.name, "?");
        CHECK(worker.waits == 0 && worker.task == 0 && worker.seconds == 0.0);
        many_roster_leave_(place);
        CHECK_CODE(look_at(0, NULL, &worker, 1), 1);
        CHECK(worker.pid == 0 && worker.depth == 0);
        many_roster_arrive_(place, 6, 6);
        many_roster_task_(place, 9, "after", many_clock_ns_());
        CHECK_CODE(look_at(0, NULL, &worker, 1), 1);
        CHECK_STRING(worker.name, "after");
        CHECK_EQUAL(worker.waits, 0);
    }
    page_close(&page);
}
