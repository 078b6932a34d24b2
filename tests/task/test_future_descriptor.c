/* SPDX-License-Identifier: MIT */
/* test_future_descriptor.c - a future in a loop of poll or epoll */
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <many/future.h>

static many_future *pending(void)
{
    many_future *future = NULL;

    CHECK_CODE(many_future_open(&future), 0);
    return future;
}

static int is_readable(int descriptor, int milliseconds)
{
    struct pollfd poller = {descriptor, POLLIN, 0};

    return poll(&poller, 1, milliseconds) == 1;
}

TEST(it_is_readable_once_it_is_over_and_stays_so)
{
    for (int how = 0; how < 3; how++) {
        many_future *future = pending();
        int descriptor = many_future_descriptor(future);

        CHECK(descriptor > STDERR_FILENO);
        CHECK_EQUAL(fcntl(descriptor, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        CHECK_EQUAL(many_future_descriptor(future), descriptor);
        CHECK(!is_readable(descriptor, 0));
        CHECK_CODE(how == 2 ? 0 : many_future_set_running(future), 0);
        CHECK(!is_readable(descriptor, 0));
        if (how == 0)
            CHECK_CODE(many_future_set_result(future, NULL, 0), 0);
        else if (how == 1)
            CHECK_CODE(many_future_set_failure(future, -EIO, NULL), 0);
        else
            CHECK_EQUAL(many_future_cancel(future), 1);
        CHECK(is_readable(descriptor, 0));
        CHECK_EQUAL(many_future_done(future), 1);
        CHECK(is_readable(descriptor, 0));
        CHECK_EQUAL(many_future_descriptor(future), descriptor);
        many_future_close(future);
    }
}

TEST(one_that_is_over_gives_a_readable_one)
{
    many_future *future = pending();

    CHECK_CODE(many_future_set_result(future, NULL, 0), 0);
    CHECK(is_readable(many_future_descriptor(future), 0));
    many_future_close(future);
}

static void *set_it(void *argument)
{
    CHECK_CODE(many_future_set_result(argument, NULL, 0), 0);
    return NULL;
}

TEST(poll_is_woken_by_the_end)
{
    for (int round = 0; round < 50; round++) {
        many_future *future = pending();
        int descriptor = many_future_descriptor(future);
        pthread_t thread;

        CHECK_EQUAL(pthread_create(&thread, NULL, set_it, future), 0);
        CHECK(is_readable(descriptor, -1));
        CHECK_EQUAL(many_future_done(future), 1);
        pthread_join(thread, NULL);
        many_future_close(future);
    }
}

TEST(an_epoll_loop_serves_many)
{
    enum { COUNT = 20 };
    int loop = epoll_create1(EPOLL_CLOEXEC), served = 0;
    many_future *futures[COUNT];
    pthread_t threads[COUNT];

    CHECK(loop >= 0);
    for (int i = 0; i < COUNT; i++) {
        struct epoll_event event;

        futures[i] = pending();
        memset(&event, 0, sizeof event);
        event.events = EPOLLIN;
        event.data.u32 = (uint32_t)i;
        CHECK_EQUAL(epoll_ctl(loop, EPOLL_CTL_ADD, many_future_descriptor(futures[i]), &event), 0);
    }
    for (int i = 0; i < COUNT; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, set_it, futures[i]), 0);
    while (served < COUNT) {
        struct epoll_event event;
        many_future *future;

        CHECK(epoll_wait(loop, &event, 1, -1) == 1);
        future = futures[event.data.u32];
        CHECK_EQUAL(many_future_done(future), 1);
        pthread_join(threads[event.data.u32], NULL);
        many_future_close(future); /* closes the descriptor, which leaves the loop */
        served++;
    }
    close(loop);
}

TEST(without_descriptors_it_says_so_and_works_later)
{
    many_future *future = pending();
    struct rlimit found, none;
    int descriptor;

    CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &found), 0);
    none = found;
    none.rlim_cur = 3;
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK_CODE(many_future_descriptor(future), -EMFILE);
    CHECK_CONTAINS(many_error_message(), "EMFILE");
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &found), 0);
    descriptor = many_future_descriptor(future);
    CHECK(descriptor >= 0);
    CHECK_CODE(many_future_set_result(future, NULL, 0), 0);
    CHECK(is_readable(descriptor, 0));
    many_future_close(future);
}

static void with_closed_streams(void *argument)
{
    many_future *future = NULL;

    (void)argument;
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    CHECK_CODE(many_future_open(&future), 0);
    CHECK(many_future_descriptor(future) > STDERR_FILENO);
    CHECK_CODE(many_future_set_result(future, NULL, 0), 0);
    many_future_close(future);
}

TEST(it_never_takes_the_place_of_a_closed_stream)
{
    CHECK_EQUAL(test_in_child(with_closed_streams, NULL), 0);
}

TEST(close_gives_them_back)
{
    test_census before = test_census_take();

    for (int i = 0; i < 2000; i++) {
        many_future *future = pending();

        CHECK(many_future_descriptor(future) >= 0);
        if (i % 2 == 0)
            CHECK_EQUAL(many_future_cancel(future), 1);
        many_future_close(future);
    }
    CHECK_CENSUS(before);
}
