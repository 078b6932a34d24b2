/* SPDX-License-Identifier: MIT */
/* test_watcher_hostile.c - who looks at pools from outside believes nothing, and comes to no harm */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "pages.h"

/* A file of the name that is nothing else yet, and can shrink. */
static int stray_open(size_t bytes)
{
    int fd = memfd_create(MANY_ROSTER_FILE_, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK(fd >= 0);
    CHECK(ftruncate(fd, (off_t)bytes) == 0);
    return fd;
}

TEST(what_is_no_pool_of_this_version_is_told)
{
    struct page page = page_open(MANY_THREADS, 2, "p");
    const int32_t workers[] = {0, -1, 3, 4097, INT32_MAX, INT32_MIN};

    CHECK_CODE(look_at(0, NULL, NULL, 0), 2);
    page.roster->magic++;
    CHECK_CODE(look_at(0, NULL, NULL, 0), -EBADMSG);
    page.roster->magic--;
    page.roster->version++;
    CHECK_CODE(look_at(0, NULL, NULL, 0), -EBADMSG);
    CHECK_CONTAINS(many_error_message(), many_version());
    page.roster->version--;
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
        page.roster->workers = workers[i];
        CHECK_CODE(look_at(0, NULL, NULL, 0), -EBADMSG);
    }
    page_close(&page);
}

TEST(files_that_are_too_short_are_told)
{
    const size_t lengths[] = {
        0, 1, 7, 8, sizeof(many_roster_) - 1, sizeof(many_roster_), many_roster_bytes_(2) - 1};

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const int fd = stray_open(lengths[i]);
        struct page page = page_open(MANY_THREADS, 2, "p");

        CHECK(pwrite(fd, page.roster, lengths[i], 0) == (ssize_t)lengths[i]);
        page_close(&page);
        CHECK_CODE(look_at(0, NULL, NULL, 0), -EBADMSG);
        close(fd);
    }
}

TEST(what_a_file_of_the_name_holds_is_not_mapped)
{
    many_pool_status status;
    many_worker_status workers[2];
    many_roster_ head = {.magic = MANY_ROSTER_MAGIC_,
                         .version = MANY_ROSTER_VERSION_,
                         .pid = getpid(),
                         .workers = 2};
    int fd = memfd_create(MANY_ROSTER_FILE_, MFD_CLOEXEC | MFD_HUGETLB);

    /* Huge pages that there are none of: who maps and touches them gets a SIGBUS. */
    if (fd >= 0) {
        (void)!ftruncate(fd, 64 << 20);
        CHECK_CODE(look_at(0, &status, workers, 2), -EBADMSG);
        close(fd);
    }
    /* Nothing but a head, and a hole behind it. */
    fd = stray_open(1 << 20);
    CHECK(pwrite(fd, &head, sizeof head, 0) == (ssize_t)sizeof head);
    CHECK_CODE(look_at(0, &status, workers, 2), 2);
    CHECK_EQUAL(status.alive, 0);
    CHECK_STRING(status.name, "");
    close(fd);
}

TEST(a_line_that_its_dead_writer_left_half_written_stops_nobody)
{
    struct page page = page_open(MANY_PROCESSES, 2, "p");
    many_worker_status workers[2];

    for (int w = 0; w < 2; w++) {
        many_roster_arrive_(&page.roster->place[w], 5 + w, 5 + w);
        many_roster_task_(&page.roster->place[w], 1, "a", 1);
    }
    atomic_fetch_add(&page.roster->place[0].version, 1);
    CHECK_CODE(look_at(0, NULL, workers, 2), 2);
    CHECK_STRING(workers[0].name, "?");
    CHECK_EQUAL(workers[0].pid, 5);
    CHECK_STRING(workers[1].name, "a");
    page_close(&page);
}

struct change {
    struct page page;
    int length; /* 1: of its length, too */
    _Atomic int ended;
};

static void *change_its_mind(void *argument)
{
    struct change *change = argument;

    for (int i = 0; !atomic_load(&change->ended); i++) {
        change->page.roster->workers = i % 2 == 0 ? 1 : MANY_ROSTER_WORKERS_MOST_;
        if (change->length)
            (void)!ftruncate(change->page.fd, i % 3 == 0 ? 0 : (off_t)change->page.bytes);
    }
    return NULL;
}

/* Its numbers, and its length, change while it is read. */
static void read_while_it_changes(int length, struct page page)
{
    struct change *change = test_shared(sizeof *change);
    many_worker_status *workers = test_shared(sizeof *workers * MANY_ROSTER_WORKERS_MOST_);
    many_watcher *watcher;
    pthread_t thread;

    change->page = page;
    change->length = length;
    CHECK_CODE(many_watcher_open(&watcher, 0), 1);
    CHECK(pthread_create(&thread, NULL, change_its_mind, change) == 0);
    for (int looks = 0; looks < 100; looks++) {
        many_pool_status status;
        const ssize_t count =
            many_watcher_look(watcher, 0, &status, workers, MANY_ROSTER_WORKERS_MOST_);

        CHECK(count == 1 || count == MANY_ROSTER_WORKERS_MOST_ || count == -EBADMSG);
    }
    atomic_store(&change->ended, 1);
    pthread_join(thread, NULL);
    many_watcher_close(watcher);
}

TEST(a_head_that_changes_while_it_is_read_does_no_harm)
{
    struct page page = page_open(MANY_THREADS, MANY_ROSTER_WORKERS_MOST_, "p");

    read_while_it_changes(0, page);
    page_close(&page);
}

TEST(a_file_that_shrinks_while_it_is_read_does_no_harm)
{
    const size_t bytes = many_roster_bytes_(MANY_ROSTER_WORKERS_MOST_);
    struct page page = {.bytes = bytes, .fd = stray_open(bytes)};
    static many_roster_ head;

    many_roster_begin_(&head, MANY_THREADS, 0, "p");
    head.workers = 1;
    CHECK(pwrite(page.fd, &head, sizeof head, 0) == (ssize_t)sizeof head);
    /* Not by a mapping: the one who shrinks it would have the SIGBUS. */
    page.roster = &head;
    read_while_it_changes(1, page);
    close(page.fd);
}

/* A descriptor that is the pool's at one moment, and a FIFO the next: opening that would be
 * noticed. */
struct swap {
    int memory, fifo, number;
    const char *path; /* of the FIFO */
    _Atomic int ended, met;
};

static void *swap_on(void *argument)
{
    struct swap *swap = argument;

    while (!atomic_load(&swap->ended)) {
        dup3(swap->memory, swap->number, O_CLOEXEC);
        dup3(swap->fifo, swap->number, O_CLOEXEC);
    }
    return NULL;
}

/* Returns from open() when somebody has opened it to read, for however short a time. */
static void *meet_a_reader(void *argument)
{
    struct swap *swap = argument;
    const int fd = open(swap->path, O_WRONLY | O_CLOEXEC);

    atomic_store(&swap->met, 1);
    close(fd);
    return NULL;
}

TEST(nothing_but_a_pool_is_opened_whatever_takes_its_number)
{
    const double end = test_seconds() + 2.0;
    struct page page = page_open(MANY_THREADS, 1, "p");
    struct swap swap = {.memory = page.fd};
    int times[3] = {0, 0, 0};
    char path[4096];
    pthread_t thread, writer;
    int reader;

    snprintf(path, sizeof path, "%s/fifo", test_directory());
    CHECK(mkfifo(path, 0600) == 0);
    swap.path = path;
    swap.fifo = open(path, O_PATH | O_CLOEXEC);
    swap.number = dup(page.fd);
    CHECK(swap.fifo >= 0 && swap.number >= 0);
    /* So that the pool is there by the number that changes alone. */
    swap.memory = fcntl(page.fd, F_DUPFD_CLOEXEC, 500);
    close(page.fd);
    CHECK(swap.memory >= 0);
    CHECK(pthread_create(&thread, NULL, swap_on, &swap) == 0);
    CHECK(pthread_create(&writer, NULL, meet_a_reader, &swap) == 0);
    for (int looks = 0; looks < 20000 && test_seconds() < end; looks++) {
        many_watcher *watcher;
        const ssize_t count = many_watcher_open(&watcher, 0);

        CHECK(count >= 0 && count <= 1);
        times[count]++;
        CHECK(!atomic_load(&swap.met));
        many_watcher_close(watcher);
    }
    atomic_store(&swap.ended, 1);
    pthread_join(thread, NULL);
    reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    CHECK(reader >= 0);
    pthread_join(writer, NULL);
    CHECK(times[1] > 0);
    close(reader);
    close(swap.memory);
    close(swap.fifo);
    close(swap.number);
    many_memory_unmap_(page.roster, page.bytes);
}
