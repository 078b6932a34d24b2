/* SPDX-License-Identifier: MIT */
/* test_watcher.c - pools seen from inside and from outside */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/self.h"
#include "pages.h"
#include "pool/pool.h"

static ssize_t count_of(pid_t pid)
{
    many_watcher *watcher = NULL;
    const ssize_t count = many_watcher_open(&watcher, pid);

    CHECK((count < 0) == (watcher == NULL));
    many_watcher_close(watcher);
    return count;
}

/* ---- one's own ---- */

TEST(a_process_without_pools_has_none)
{
    CHECK_CODE(count_of(0), 0);
    CHECK_CODE(count_of(getpid()), 0);
}

TEST(one_s_own_pools_are_seen_each_once)
{
    test_census before = test_census_take();
    struct page one = page_open(MANY_THREADS, 2, "one"),
                other = page_open(MANY_PROCESSES, 3, "other");
    const int again = dup(one.fd);
    many_watcher *watcher;
    many_pool_status status;
    int seen = 0;

    CHECK(again >= 0);
    CHECK_CODE(many_watcher_open(&watcher, 0), 2);
    for (size_t i = 0; i < 2; i++) {
        const ssize_t workers = many_watcher_look(watcher, i, &status, NULL, 0);

        CHECK_EQUAL(workers, status.workers);
        CHECK_EQUAL(status.pid, getpid());
        seen += strcmp(status.name, "one") == 0 && workers == 2 && status.kind == MANY_THREADS;
        seen += 10 * (strcmp(status.name, "other") == 0 && workers == 3);
    }
    CHECK_EQUAL(seen, 11);
    CHECK_CODE(many_watcher_look(watcher, 2, &status, NULL, 0), -EINVAL);
    many_watcher_close(watcher);
    close(again);
    page_close(&one);
    page_close(&other);
    CHECK_CENSUS(before);
}

TEST(many_pool_look_reads_the_roster_of_the_pool)
{
    struct page page = page_open(MANY_THREADS, 2, "mine");
    many_pool pool = {
        .process = many_self_process_(), .workers = 2, .kind = MANY_THREADS, .roster = page.roster};
    many_pool_status status;
    many_worker_status workers[2];

    many_roster_arrive_(&page.roster->place[1], getpid(), 99);
    many_roster_task_(&page.roster->place[1], 4, "work", many_clock_ns_());
    atomic_store(&page.roster->submitted, 7);
    atomic_store(&page.roster->place[1].begun, 1);
    CHECK_CODE(many_pool_look(&pool, &status, workers, 2), 2);
    CHECK_STRING(status.name, "mine");
    CHECK_EQUAL(status.waiting, 6);
    CHECK_EQUAL(status.running, 1);
    CHECK_STRING(workers[1].name, "work");
    CHECK_CODE(many_pool_look(&pool, NULL, NULL, 0), 2);
    CHECK_CODE(many_pool_look(&pool, NULL, NULL, 1), -EINVAL);
    CHECK_CODE(many_pool_look(NULL, &status, NULL, 0), -EINVAL);
    page_close(&page);
}

/* ---- another's ---- */

struct scene {
    struct page page;
    _Atomic int ready, go;
    int extra;
    pid_t heir;
    int pipe[2];
};

static void stand_still(struct scene *scene)
{
    atomic_store(&scene->ready, 1);
    for (;;)
        pause();
}

static void be_a_pool(void *argument)
{
    struct scene *scene = argument;

    scene->page = page_open(MANY_PROCESSES, 2, "Pool-7");
    many_roster_arrive_(&scene->page.roster->place[0], getpid(), getpid());
    many_roster_task_(&scene->page.roster->place[0], 3, "stuck\033[31m", 1);
    many_roster_wait_(&scene->page.roster->place[0], 1, 4, NULL, 1);
    stand_still(scene);
}

static pid_t start(void (*body)(void *), struct scene *scene)
{
    pid_t child;

    atomic_store(&scene->ready, 0);
    child = test_child_start(body, scene);
    UNTIL(atomic_load(&scene->ready));
    return child;
}

static void stop(pid_t child)
{
    kill(child, SIGKILL);
    CHECK_EQUAL(test_child_wait(child), SIGKILL);
}

TEST(a_pool_of_another_process_is_seen_while_it_stands_still)
{
    struct scene *scene = test_shared(sizeof *scene);
    const pid_t child = start(be_a_pool, scene);
    test_census before = test_census_take();
    many_watcher *watcher;
    many_pool_status status;
    many_worker_status workers[2];

    CHECK_CODE(many_watcher_open(&watcher, child), 1);
    for (int stopped = 0; stopped < 2; stopped++) {
        CHECK_CODE(many_watcher_look(watcher, 0, &status, workers, 2), 2);
        CHECK_STRING(status.name, "Pool-7");
        CHECK_EQUAL(status.pid, child);
        CHECK_EQUAL(status.alive, 1);
        CHECK_STRING(workers[0].name, "stuck\033[31m");
        CHECK_STRING(workers[0].waits_for_name, "task 4");
        CHECK_EQUAL(workers[0].waits_for_worker, 1);
        CHECK_EQUAL(workers[1].pid, 0);
        CHECK(kill(child, SIGSTOP) == 0);
    }
    kill(child, SIGKILL);
    test_child_wait(child);
    CHECK_CODE(many_watcher_look(watcher, 0, &status, workers, 2), -ENOENT);
    CHECK_CONTAINS(many_error_message(), "gone");
    many_watcher_close(watcher);
    before.children--;
    CHECK_CENSUS(before);
}

TEST(a_pool_that_is_closed_or_whose_process_has_ended_is_not_there)
{
    struct page page = page_open(MANY_THREADS, 1, "p");
    many_watcher *watcher;

    CHECK_CODE(many_watcher_open(&watcher, 0), 1);
    atomic_store(&page.roster->closed, 1);
    CHECK_CODE(many_watcher_look(watcher, 0, NULL, NULL, 0), -ENOENT);
    page_close(&page);
    CHECK_CODE(many_watcher_look(watcher, 0, NULL, NULL, 0), -ENOENT);
    many_watcher_close(watcher);
}

/* Forks one that has the memory still, and lives until the test has closed its end of the pipe. */
static void be_a_pool_and_leave(void *argument)
{
    struct scene *scene = argument;
    pid_t heir;
    char byte;

    scene->page = page_open(MANY_PROCESSES, 1, "p");
    heir = fork();
    if (heir != 0) {
        scene->heir = heir;
        return;
    }
    close(scene->pipe[1]);
    while (read(scene->pipe[0], &byte, 1) < 0 && errno == EINTR)
        ;
    _exit(0);
}

TEST(a_pool_whose_owner_is_dead_is_not_there_whoever_has_its_memory)
{
    struct scene *scene = test_shared(sizeof *scene);
    many_watcher *watcher;

    CHECK(pipe(scene->pipe) == 0);
    CHECK_EQUAL(test_in_child(be_a_pool_and_leave, scene), 0);
    CHECK_CODE(many_watcher_open(&watcher, scene->heir), 1);
    CHECK_CODE(many_watcher_look(watcher, 0, NULL, NULL, 0), -ENOENT);
    many_watcher_close(watcher);
    close(scene->pipe[1]);
    close(scene->pipe[0]);
}

static void end(void *argument)
{
    (void)argument;
}

TEST(a_process_that_is_not_there_is_told)
{
    many_watcher *watcher = (many_watcher *)&watcher;
    siginfo_t info;
    pid_t child = test_child_start(end, NULL);

    /* A zombie is no process any more. */
    CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
    CHECK_CODE(many_watcher_open(&watcher, child), -ESRCH);
    CHECK(watcher == NULL);
    CHECK_EQUAL(test_child_wait(child), 0);
    CHECK_CODE(many_watcher_open(&watcher, child), -ESRCH);
    CHECK_CONTAINS(many_error_message(), "many_watcher_open: pid ");
    CHECK_CODE(many_watcher_open(&watcher, INT32_MAX), -ESRCH);
    CHECK_CODE(many_watcher_open(&watcher, -1), -EINVAL);
    CHECK_CODE(many_watcher_open(NULL, 1), -EINVAL);
    CHECK_CODE(many_watcher_look(NULL, 0, NULL, NULL, 0), -EINVAL);
    many_watcher_close(NULL);
}

static void look_as_nobody(void *argument)
{
    struct scene *scene = argument;
    many_watcher *watcher;

    CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    CHECK_CODE(many_watcher_open(&watcher, scene->extra), -EACCES);
}

TEST(a_process_of_another_user_cannot_be_looked_at)
{
    struct scene *scene = test_shared(sizeof *scene);

    if (geteuid() != 0)
        test_skip("nobody to be but ourselves");
    scene->extra = getpid();
    CHECK_EQUAL(test_in_child(look_as_nobody, scene), 0);
}

static void look_with_few_descriptors(void *argument)
{
    struct rlimit limit;
    many_watcher *watcher;
    struct page pages[8];
    int last;

    (void)argument;
    for (int i = 0; i < 8; i++)
        pages[i] = page_open(MANY_THREADS, 1, "p");
    last = pages[7].fd;
    CHECK_CODE(count_of(0), 8);
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int more = 1; more < 12; more++) {
        ssize_t count;

        limit.rlim_cur = (rlim_t)(last + more);
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        count = many_watcher_open(&watcher, 0);
        CHECK_CODE(count, more < 11 ? -EMFILE : 8);
        many_watcher_close(watcher);
    }
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK_CODE(count_of(0), 8);
}

TEST(without_descriptors_to_look_with_that_is_told)
{
    CHECK_EQUAL(test_in_child(look_with_few_descriptors, NULL), 0);
}

static void look_at_parent(void *argument)
{
    many_watcher *watcher = argument;
    many_pool_status status;

    CHECK_CODE(many_watcher_look(watcher, 0, &status, NULL, 0), 1);
    CHECK_STRING(status.name, "parent's");
    many_watcher_close(watcher);
    /* The memory was inherited: a forked child sees the pool, as one of its parent's. */
    CHECK_CODE(look_at(0, &status, NULL, 0), 1);
    CHECK_EQUAL(status.pid, getppid());
}

TEST(a_forked_child_can_look_too)
{
    struct page page = page_open(MANY_PROCESSES, 1, "parent's");
    many_watcher *watcher;

    CHECK_CODE(many_watcher_open(&watcher, 0), 1);
    CHECK_EQUAL(test_in_child(look_at_parent, watcher), 0);
    many_watcher_close(watcher);
    page_close(&page);
}

/* ---- while it is used ---- */

#define CROWD 64

/* A place whose name lies on two pages: these are copied one after the other. */
static int place_on_two_pages(void)
{
    for (size_t w = 0; w < CROWD; w++) {
        const size_t name = offsetof(many_roster_, place) + w * sizeof(many_roster_place_) +
                            offsetof(many_roster_place_, name);

        if (name / 4096 != (name + MANY_ROSTER_NAME_BYTES_ - 1) / 4096)
            return (int)w;
    }
    return 0;
}

static const char *long_name_of(uint64_t n, char name[64])
{
    for (int i = 0; i < 63; i += 3)
        snprintf(name + i, 4, "%03u", (unsigned)(n % 1000));
    return name;
}

static void work_on(void *argument)
{
    struct scene *scene = argument;
    many_roster_place_ *place;
    char names[8][64];

    for (uint64_t n = 0; n < 8; n++)
        long_name_of(n, names[n]);
    scene->page = page_open(MANY_PROCESSES, CROWD, "p");
    place = &scene->page.roster->place[place_on_two_pages()];
    many_roster_arrive_(place, getpid(), getpid());
    atomic_store(&scene->ready, 1);
    for (uint64_t n = 1;; n++) {
        atomic_fetch_add(&scene->page.roster->submitted, 1);
        atomic_fetch_add(&place->begun, 1);
        many_roster_task_(place, n % 8, names[n % 8], (int64_t)n);
        atomic_fetch_add(&place->done, 1);
        many_roster_task_(place, 0, NULL, 0);
    }
}

TEST(what_is_said_of_a_worker_belongs_together_while_its_process_goes_on)
{
    struct scene *scene = test_shared(sizeof *scene);
    const pid_t child = start(work_on, scene);
    const int place = place_on_two_pages();
    const double end = test_seconds() + 2.0;
    many_watcher *watcher;
    uint64_t done = 0;
    int seen = 0, looks = 0;

    CHECK_CODE(many_watcher_open(&watcher, child), 1);
    for (; seen == 0 || (looks < 50000 && test_seconds() < end); looks++) {
        many_pool_status status;
        many_worker_status workers[CROWD];
        char name[64];

        CHECK_CODE(many_watcher_look(watcher, 0, &status, workers, CROWD), CROWD);
        CHECK(status.done >= done);
        done = status.done;
        if (workers[place].depth == 0 || strcmp(workers[place].name, "?") == 0)
            continue;
        seen++;
        CHECK_STRING(workers[place].name, long_name_of(workers[place].task, name));
    }
    many_watcher_close(watcher);
    stop(child);
}
