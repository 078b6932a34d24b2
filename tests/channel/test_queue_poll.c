/* SPDX-License-Identifier: MIT */
/* test_queue_poll.c - a descriptor that is readable while there is something to get */
#include "test.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <many/channel.h>

static many_queue *queue_of(size_t capacity)
{
    many_queue *queue = NULL;

    CHECK_CODE(many_queue_open(&queue, .capacity = capacity), 0);
    return queue;
}

static int readable(int descriptor, int timeout_ms)
{
    struct pollfd entry = {descriptor, POLLIN, 0};

    return poll(&entry, 1, timeout_ms);
}

TEST(the_descriptor_is_readable_while_there_is_something)
{
    many_queue *queue = queue_of(0);
    int descriptor = many_queue_descriptor(queue);
    char byte;

    CHECK(descriptor > STDERR_FILENO);
    CHECK_EQUAL(readable(descriptor, 0), 0);
    CHECK_CODE(many_queue_put(queue, "a", 1, 0), 0);
    CHECK_EQUAL(readable(descriptor, 0), 1);
    CHECK_CODE(many_queue_put(queue, "b", 1, 0), 0);
    CHECK_EQUAL(many_queue_get(queue, &byte, 1, 0), 1);
    CHECK_EQUAL(readable(descriptor, 0), 1);
    CHECK_EQUAL(many_queue_peek(queue, &byte, 1, 0), 1);
    CHECK_EQUAL(readable(descriptor, 0), 1);
    CHECK_EQUAL(many_queue_get(queue, &byte, 1, 0), 1);
    CHECK_EQUAL(readable(descriptor, 0), 0);
    CHECK_CODE(many_queue_put(queue, "c", 1, 0), 0);
    CHECK_EQUAL(readable(descriptor, 0), 1);
    CHECK_EQUAL(many_queue_descriptor(queue), descriptor);
    many_queue_close(queue);
}

TEST(what_was_put_before_somebody_asked_is_shown)
{
    many_queue *queue = queue_of(0);

    CHECK_CODE(many_queue_put(queue, "a", 1, 0), 0);
    CHECK_EQUAL(readable(many_queue_descriptor(queue), 0), 1);
    many_queue_close(queue);
}

TEST(it_is_readable_for_ever_after_shutdown)
{
    many_queue *queue = queue_of(0), *late = queue_of(0);
    int descriptor = many_queue_descriptor(queue);
    char byte;

    CHECK_CODE(many_queue_put(queue, "a", 1, 0), 0);
    CHECK_CODE(many_queue_shutdown(queue, 0), 0);
    CHECK_EQUAL(readable(descriptor, 0), 1);
    CHECK_EQUAL(many_queue_get(queue, &byte, 1, 0), 1);
    CHECK_CODE(many_queue_get(queue, &byte, 1, 0), -EPIPE);
    CHECK_EQUAL(readable(descriptor, 0), 1);
    CHECK_CODE(many_queue_shutdown(late, 1), 0);
    CHECK_EQUAL(readable(many_queue_descriptor(late), 0), 1);
    many_queue_close(queue);
    many_queue_close(late);
}

typedef struct crowd {
    many_queue *queue;
    int descriptor;
    _Atomic int got;
    _Atomic int over;
    int all;
} crowd;

/* Polls, gets without waiting, and expects to come too late now and then. */
static void crowd_member(void *argument)
{
    crowd *us = argument;
    int epoll = epoll_create1(EPOLL_CLOEXEC), number;
    struct epoll_event event = {.events = EPOLLIN};

    CHECK_EQUAL(epoll_ctl(epoll, EPOLL_CTL_ADD, us->descriptor, &event), 0);
    while (us->got < us->all) {
        ssize_t bytes;

        if (epoll_wait(epoll, &event, 1, 20) != 1)
            continue;
        bytes = many_queue_get(us->queue, &number, sizeof number, 0);
        CHECK(bytes == sizeof number || bytes == -ETIMEDOUT);
        if (bytes > 0)
            us->got++;
    }
    close(epoll);
}

TEST(several_processes_poll_and_nobody_misses_anything)
{
    enum { MEMBERS = 3, ALL = 3000 };
    crowd *us = test_shared(sizeof *us);
    pid_t members[MEMBERS];

    us->queue = queue_of(16);
    us->descriptor = many_queue_descriptor(us->queue);
    us->all = ALL;
    for (int k = 0; k < MEMBERS; k++)
        members[k] = test_child_start(crowd_member, us);
    for (int k = 0; k < ALL; k++)
        CHECK_CODE(many_queue_put(us->queue, &k, sizeof k, MANY_FOREVER), 0);
    for (int k = 0; k < MEMBERS; k++)
        CHECK_EQUAL(test_child_wait(members[k]), 0);
    CHECK_EQUAL(us->got, ALL);
    CHECK_EQUAL(many_queue_size(us->queue), 0);
    CHECK_EQUAL(readable(us->descriptor, 0), 0);
    many_queue_close(us->queue);
}

static void *poll_and_get(void *argument)
{
    many_queue *queue = argument;
    int descriptor = many_queue_descriptor(queue);
    char byte;

    for (int k = 0; k < 2000; k++) {
        CHECK_EQUAL(readable(descriptor, 30000), 1); /* never too short */
        if (many_queue_get_nowait(queue, &byte, 1) == -EAGAIN)
            k--;
    }
    return NULL;
}

TEST(a_put_right_after_the_queue_ran_empty_is_always_heard)
{
    many_queue *queue = queue_of(1);
    pthread_t thread;

    CHECK_EQUAL(pthread_create(&thread, NULL, poll_and_get, queue), 0);
    for (int k = 0; k < 2000; k++)
        CHECK_CODE(many_queue_put(queue, "x", 1, MANY_FOREVER), 0);
    pthread_join(thread, NULL);
    many_queue_close(queue);
}

/* A core dump would read the reserve, and the kernel have memory for all that is read. */
TEST(a_reserve_is_no_part_of_a_core_dump)
{
    many_queue *queue = queue_of(4);
    FILE *maps = fopen("/proc/self/smaps", "re");
    char line[512];
    int inside = 0, kept_out = 0;

    if (maps == NULL)
        test_skip("no /proc/self/smaps");
    while (fgets(line, sizeof line, maps) != NULL) {
        if (strstr(line, "/memfd:many ") != NULL)
            inside = 1;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            kept_out += strstr(line, " dd") != NULL;
        if (strncmp(line, "VmFlags:", 8) == 0)
            inside = 0;
    }
    fclose(maps);
    CHECK_EQUAL(kept_out, 1);
    many_queue_close(queue);
}
