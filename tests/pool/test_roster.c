/* SPDX-License-Identifier: MIT */
/* test_roster.c - the page that tells what a pool is doing */
#include "pool/roster.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "test.h"

static many_roster_ *roster_of(int workers, const char *name)
{
    many_roster_ *roster = test_shared(many_roster_bytes_(workers));

    many_roster_begin_(roster, MANY_PROCESSES, workers, name);
    return roster;
}

static ssize_t look(const many_roster_ *roster, many_pool_status *status,
                    many_worker_status *workers, size_t room)
{
    return many_roster_read_(roster, many_roster_bytes_(roster->workers), status, workers, room);
}

static many_worker_status worker_of(const many_roster_ *roster, int index)
{
    many_worker_status workers[64];

    CHECK(look(roster, NULL, workers, 64) > index);
    return workers[index];
}

TEST(a_fresh_roster_says_who_and_how_many_and_nothing_else)
{
    many_roster_ *roster = roster_of(3, "Pool-1");
    many_pool_status status;
    many_worker_status workers[3];

    CHECK(look(roster, &status, workers, 3) == 3);
    CHECK_STRING(status.name, "Pool-1");
    CHECK_EQUAL(status.kind, MANY_PROCESSES);
    CHECK_EQUAL(status.workers, 3);
    CHECK_EQUAL(status.alive, 0);
    CHECK_EQUAL(status.pid, getpid());
    CHECK(status.waiting + status.running + status.done + status.failed + status.cancelled == 0);
    CHECK(status.replaced + status.died == 0);
    CHECK(status.finished == 0 && status.broken == 0);
    for (int w = 0; w < 3; w++) {
        CHECK_EQUAL(workers[w].index, w);
        CHECK(workers[w].pid == 0 && workers[w].depth == 0 && workers[w].waits == 0);
        CHECK_EQUAL(workers[w].waits_for_worker, -1);
        CHECK_STRING(workers[w].name, "");
    }
}

TEST(a_long_name_is_cut_before_a_character)
{
    char name[130] = "x";
    many_pool_status status;

    for (int i = 0; i < 60; i++)
        strcat(name, "\xc3\xa4");
    CHECK(look(roster_of(1, name), &status, NULL, 0) == 1);
    CHECK_EQUAL(strlen(status.name), 63);
    CHECK(strncmp(status.name, name, 63) == 0);
}

TEST(a_worker_shows_its_task_its_name_and_its_age)
{
    many_roster_ *roster = roster_of(2, "p");
    many_roster_place_ *place = &roster->place[1];
    many_worker_status worker;

    many_roster_arrive_(place, 4711, 4712);
    worker = worker_of(roster, 1);
    CHECK_EQUAL(worker.pid, 4711);
    CHECK_EQUAL(worker.thread, 4712);
    CHECK_EQUAL(worker.depth, 0);

    many_roster_task_(place, 17, "resize a.jpg", many_clock_ns_() - 10 * MANY_SECOND_NS);
    worker = worker_of(roster, 1);
    CHECK_EQUAL(worker.depth, 1);
    CHECK_EQUAL(worker.task, 17);
    CHECK_STRING(worker.name, "resize a.jpg");
    CHECK(worker.seconds >= 10.0 && worker.seconds < 10.0 + 200.0 * test_slowness());

    many_roster_task_(place, 0, NULL, 0);
    worker = worker_of(roster, 1);
    CHECK_EQUAL(worker.depth, 0);
    CHECK_STRING(worker.name, "");
    CHECK(worker.seconds == 0.0);

    /* A name stays nowhere; a clock that was not looked at is no age. */
    many_roster_task_(place, UINT64_MAX, NULL, -1);
    worker = worker_of(roster, 1);
    CHECK_STRING(worker.name, "task 18446744073709551615");
    CHECK(worker.seconds == 0.0);
    many_roster_task_(place, 18, "", many_clock_ns_());
    CHECK_STRING(worker_of(roster, 1).name, "task 18");
    CHECK_EQUAL(worker_of(roster, 0).depth, 0);
}

TEST(names_of_every_length_come_back_whole)
{
    many_roster_ *roster = roster_of(1, "p");
    char name[101];

    many_roster_arrive_(&roster->place[0], 1, 1);
    memset(name, 'n', sizeof name);
    for (size_t length = 100; length > 0; length--) {
        many_worker_status worker;

        name[length] = '\0';
        many_roster_task_(&roster->place[0], 1, name, 1);
        many_roster_wait_(&roster->place[0], 1, 2, name, 0);
        worker = worker_of(roster, 0);
        CHECK_EQUAL(strlen(worker.name), length < 63 ? length : 63);
        CHECK_STRING(worker.waits_for_name, worker.name);
    }
}

TEST(a_worker_shows_what_it_waits_for)
{
    many_roster_ *roster = roster_of(3, "p");
    many_roster_place_ *place = &roster->place[0];
    many_worker_status worker;

    many_roster_arrive_(place, 5, 5);
    many_roster_task_(place, 1, "a", 1);
    CHECK_EQUAL(worker_of(roster, 0).waits, 0);
    many_roster_wait_(place, 1, 9, "b", 2);
    worker = worker_of(roster, 0);
    CHECK_EQUAL(worker.waits, 1);
    CHECK_EQUAL(worker.waits_for, 9);
    CHECK_EQUAL(worker.waits_for_worker, 2);
    CHECK_STRING(worker.waits_for_name, "b");
    many_roster_wait_(place, 1, 10, NULL, -1);
    worker = worker_of(roster, 0);
    CHECK_EQUAL(worker.waits_for_worker, -1);
    CHECK_STRING(worker.waits_for_name, "task 10");
    many_roster_wait_(place, 0, 0, NULL, -1);
    worker = worker_of(roster, 0);
    CHECK_EQUAL(worker.waits, 0);
    CHECK_STRING(worker.waits_for_name, "");
    CHECK_STRING(worker.name, "a");
    atomic_store(&place->depth, 3);
    CHECK_EQUAL(worker_of(roster, 0).depth, 3);
}

TEST(a_line_that_a_dead_writer_left_half_written_stops_nobody_and_is_mended)
{
    many_roster_ *roster = roster_of(1, "p");
    many_roster_place_ *place = &roster->place[0];
    many_worker_status worker;

    many_roster_arrive_(place, 5, 5);
    many_roster_task_(place, 1, "a", 1);
    atomic_fetch_add(&place->version, 1); /* killed between the two */
    worker = worker_of(roster, 0);
    CHECK_EQUAL(worker.pid, 5);
    CHECK_EQUAL(worker.depth, 1);
    CHECK_STRING(worker.name, "?");
    many_roster_leave_(place);
    worker = worker_of(roster, 0);
    CHECK(worker.pid == 0 && worker.thread == 0 && worker.depth == 0);
    CHECK_STRING(worker.name, "");

    many_roster_arrive_(place, 6, 7);
    worker = worker_of(roster, 0);
    CHECK(worker.pid == 6 && worker.thread == 7 && worker.depth == 0);
    many_roster_task_(place, 2, "b", 1);
    CHECK_STRING(worker_of(roster, 0).name, "b");
}

TEST(who_made_a_worker_may_say_so_when_it_is_at_work_already)
{
    many_roster_ *roster = roster_of(1, "p");
    many_roster_place_ *place = &roster->place[0];
    many_worker_status worker;

    many_roster_task_(place, 3, "quick", 1);
    many_roster_arrive_(place, 5, 6);
    worker = worker_of(roster, 0);
    CHECK(worker.pid == 5 && worker.thread == 6 && worker.depth == 1);
    CHECK_STRING(worker.name, "quick");
}

TEST(tasks_are_counted_by_what_became_of_them)
{
    many_roster_ *roster = roster_of(2, "p");
    many_pool_status status;
    many_worker_status workers[2];

    many_roster_arrive_(&roster->place[0], 5, 5);
    atomic_store(&roster->submitted, 20);
    atomic_store(many_roster_submitted_(roster, 0), 3);
    atomic_store(many_roster_submitted_(roster, 1), 4); /* 27 in all */
    atomic_store(&roster->place[0].begun, 9);
    atomic_store(&roster->place[1].begun, 8); /* 17 begun */
    atomic_store(&roster->cancelled, 2);      /* 8 wait */
    atomic_store(&roster->place[0].done, 5);
    atomic_store(&roster->place[0].failed, 1);
    atomic_store(&roster->place[0].cancelled, 1);
    atomic_store(&roster->place[1].done, 3);
    atomic_store(&roster->lost, 2); /* 12 over: 5 run */
    atomic_store(&roster->replaced, 6);
    atomic_store(&roster->died, 4);
    atomic_store(&roster->finished, 1);
    atomic_store(&roster->broken, -MANY_EBROKEN);
    CHECK(look(roster, &status, workers, 2) == 2);
    CHECK_EQUAL(status.waiting, 8);
    CHECK_EQUAL(status.running, 5);
    CHECK_EQUAL(status.done, 8);
    CHECK_EQUAL(status.failed, 3);
    CHECK_EQUAL(status.cancelled, 3);
    CHECK_EQUAL(status.replaced, 6);
    CHECK_EQUAL(status.died, 4);
    CHECK_EQUAL(status.alive, 1);
    CHECK_EQUAL(status.finished, 1);
    CHECK_EQUAL(status.broken, -MANY_EBROKEN);
    CHECK_EQUAL(workers[0].tasks, 7);
    CHECK_EQUAL(workers[1].tasks, 3);
}

TEST(counts_that_move_while_they_are_read_are_never_less_than_none)
{
    many_roster_ *roster = roster_of(1, "p");
    many_pool_status status;

    atomic_store(&roster->place[0].begun, 5);
    atomic_store(&roster->place[0].done, 6);
    CHECK(look(roster, &status, NULL, 0) == 1);
    CHECK_EQUAL(status.running, 0);
    CHECK_EQUAL(status.waiting, 0);
}

TEST(counts_that_a_killed_worker_left_add_up_once_they_are_mended)
{
    many_roster_ *roster = roster_of(1, "p");
    many_roster_place_ *place = &roster->place[0];
    many_pool_status status;

    atomic_store(&roster->submitted, 10);
    atomic_store(&place->begun, 7);
    atomic_store(&place->done, 4);
    atomic_store(&place->failed, 1);
    atomic_store(&place->cancelled, 1);
    many_roster_mend_(place); /* one had ended, and was not counted */
    CHECK(look(roster, &status, NULL, 0) == 1);
    CHECK_EQUAL(status.running, 0);
    CHECK_EQUAL(status.waiting, 3);
    CHECK_EQUAL(status.failed, 2);

    atomic_store(&place->begun, 6); /* one was put back that was not counted */
    many_roster_mend_(place);
    CHECK(look(roster, &status, NULL, 0) == 1);
    CHECK_EQUAL(status.running, 0);
    CHECK_EQUAL(status.waiting, 3);

    memset(place, 0, sizeof *place);
    atomic_store(&place->begun, UINT64_MAX); /* likewise the first of all */
    many_roster_mend_(place);
    CHECK(look(roster, &status, NULL, 0) == 1);
    CHECK_EQUAL(status.waiting, 10);
}

TEST(only_as_many_workers_are_written_as_there_is_room_for)
{
    many_roster_ *roster = roster_of(3, "p");
    many_worker_status workers[3];

    memset(workers, 0x5a, sizeof workers);
    CHECK(look(roster, NULL, workers, 2) == 3);
    CHECK_EQUAL(workers[1].index, 1);
    CHECK_EQUAL(workers[2].index, 0x5a5a5a5a);
    CHECK(look(roster, NULL, NULL, 0) == 3);
}

TEST(a_closed_pool_is_not_there)
{
    many_roster_ *roster = roster_of(1, "p");

    atomic_store(&roster->closed, 1);
    CHECK_CODE(look(roster, NULL, NULL, 0), -ENOENT);
}

TEST(what_is_no_roster_is_told_from_one)
{
    const size_t bytes = many_roster_bytes_(2);
    many_roster_ *roster = roster_of(2, "p");

    CHECK(many_roster_read_(roster, bytes, NULL, NULL, 0) == 2);
    CHECK_CODE(many_roster_read_(roster, 0, NULL, NULL, 0), -EBADMSG);
    CHECK_CODE(many_roster_read_(roster, sizeof *roster - 1, NULL, NULL, 0), -EBADMSG);
    CHECK_CODE(many_roster_read_(roster, bytes - 1, NULL, NULL, 0), -EBADMSG);

#define SPOILED(field, value)                                                                      \
    do {                                                                                           \
        roster = roster_of(2, "p");                                                                \
        roster->field = (value);                                                                   \
        CHECK_CODE(many_roster_read_(roster, bytes, NULL, NULL, 0), -EBADMSG);                     \
    } while (0)
    SPOILED(magic, 0);
    SPOILED(magic, MANY_ROSTER_MAGIC_ + 1);
    SPOILED(version, MANY_ROSTER_VERSION_ + 1);
    SPOILED(version, 0);
    SPOILED(kind, 2);
    SPOILED(kind, -1);
    SPOILED(pid, 0);
    SPOILED(pid, -1);
    SPOILED(workers, 0);
    SPOILED(workers, -1);
    SPOILED(workers, 3);
    SPOILED(workers, INT32_MAX);
    SPOILED(workers, INT32_MIN);
    SPOILED(workers, MANY_ROSTER_WORKERS_MOST_ + 1);
#undef SPOILED
}

TEST(a_roster_of_nothing_but_noise_is_read_without_harm)
{
    const size_t bytes = many_roster_bytes_(3);
    many_roster_ *roster = test_shared(bytes);

    srandom(1);
    for (int round = 0; round < 300; round++) {
        many_pool_status status;
        many_worker_status workers[3];

        for (size_t i = 0; i < bytes; i++)
            ((unsigned char *)roster)[i] = round == 0 ? 0xff : (unsigned char)(random() >> 7);
        roster->magic = MANY_ROSTER_MAGIC_;
        roster->version = MANY_ROSTER_VERSION_;
        roster->kind = MANY_THREADS;
        roster->pid = 1;
        roster->workers = 3;
        roster->closed = 0;
        for (int w = 0; w < 3; w++) {
            roster->place[w].version &= ~1U;
            roster->place[w].pid &= INT32_MAX;
        }
        CHECK(many_roster_read_(roster, bytes, &status, workers, 3) == 3);
        CHECK(strnlen(status.name, sizeof status.name) < sizeof status.name);
        CHECK(status.broken <= 0);
        CHECK(status.alive <= 3);
        for (int w = 0; w < 3; w++) {
            const many_worker_status *worker = &workers[w];

            CHECK(strnlen(worker->name, 64) < 64 && strnlen(worker->waits_for_name, 64) < 64);
            CHECK(worker->depth >= 0 && worker->pid >= 0 && worker->thread >= 0);
            CHECK(worker->seconds >= 0.0);
            CHECK(worker->waits_for_worker >= -1 && worker->waits_for_worker < 3);
            CHECK(worker->waits == 0 || worker->waits == 1);
        }
    }
}

/* ---- while it is written ---- */

typedef struct writing {
    many_roster_ *roster;
    _Atomic int ended;
} writing;

/* Task n is called "n n n ...", of a length of its own, and waits for task n + 1. */
static const char *name_of(uint64_t n, char name[64])
{
    int used = 0;

    for (uint64_t i = 0; i <= n % 8; i++)
        used += snprintf(name + used, (size_t)(64 - used), "%llu ", (unsigned long long)(n % 1000));
    return name;
}

static void *write_on(void *argument)
{
    writing *it = argument;
    char name[64];

    for (uint64_t n = 1; !atomic_load(&it->ended); n++) {
        many_roster_task_(&it->roster->place[0], n, name_of(n, name), (int64_t)n);
        many_roster_wait_(&it->roster->place[0], 1, n + 1, name_of(n + 1, name), (int)(n % 7));
        many_roster_task_(&it->roster->place[0], 0, NULL, 0);
    }
    return NULL;
}

/* What is said of a worker belongs together, every time. */
static void read_on(const many_roster_ *roster)
{
    const double end = test_seconds() + 2.0;
    int seen = 0, changes = 0;
    uint64_t last = 0;

    /* On one CPU it changes but some hundred times a second. */
    while (seen < 100 || (changes < 100000 && test_seconds() < end)) {
        many_worker_status worker;
        char name[64];

        CHECK(look(roster, NULL, &worker, 1) == 7);
        if (worker.depth == 0 || strcmp(worker.name, "?") == 0)
            continue;
        seen++;
        changes += worker.task != last;
        last = worker.task;
        CHECK_STRING(worker.name, name_of(worker.task, name));
        if (!worker.waits)
            continue;
        CHECK_EQUAL(worker.waits_for, worker.task + 1);
        CHECK_STRING(worker.waits_for_name, name_of(worker.task + 1, name));
        CHECK_EQUAL(worker.waits_for_worker, (int)(worker.task % 7));
    }
}

TEST(what_is_said_of_a_worker_belongs_together_while_a_thread_writes)
{
    writing it = {.roster = roster_of(7, "p"), .ended = 0};
    pthread_t thread;

    many_roster_arrive_(&it.roster->place[0], 5, 5);
    CHECK(pthread_create(&thread, NULL, write_on, &it) == 0);
    read_on(it.roster);
    atomic_store(&it.ended, 1);
    pthread_join(thread, NULL);
}

static void write_for_ever(void *argument)
{
    write_on(argument);
}

TEST(a_writer_that_is_killed_at_any_moment_leaves_a_line_that_its_successor_mends)
{
    writing *it = test_shared(sizeof *it);

    it->roster = roster_of(7, "p");
    for (int round = 0; round < 50; round++) {
        many_roster_place_ *place = &it->roster->place[0];
        many_worker_status worker;
        uint32_t version;
        pid_t child;

        version = atomic_load(&place->version);
        child = test_child_start(write_for_ever, it);
        UNTIL(atomic_load(&place->version) - version > 1000);
        kill(child, SIGKILL);
        CHECK_EQUAL(test_child_wait(child), SIGKILL);
        CHECK(look(it->roster, NULL, &worker, 1) == 7);
        many_roster_leave_(place);
        CHECK(atomic_load(&place->version) % 2 == 0);
        CHECK(look(it->roster, NULL, &worker, 1) == 7);
        CHECK_EQUAL(worker.depth, 0);
    }
}
