/* SPDX-License-Identifier: MIT */
/* test_listen.c - one descriptor that is readable while one of several is */
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/listen.h"
#include "os/stream.h"

static int is_readable(int descriptor, int milliseconds)
{
    struct pollfd poller = {descriptor, POLLIN, 0};

    return poll(&poller, 1, milliseconds) == 1;
}

TEST(it_is_readable_while_one_of_several_is)
{
    test_census before = test_census_take();
    int one = many_bell_open_(), other = many_bell_open_(), listen = many_listen_open_();

    CHECK(listen > STDERR_FILENO);
    CHECK_EQUAL(fcntl(listen, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    CHECK(!is_readable(listen, 0));
    CHECK_CODE(many_listen_add_(listen, one), 0);
    CHECK_CODE(many_listen_add_(listen, other), 0);
    CHECK_CODE(many_listen_add_(listen, other), -EEXIST);
    CHECK(!is_readable(listen, 0));
    many_bell_ring_(other);
    CHECK(is_readable(listen, 0));
    CHECK(is_readable(listen, 0)); /* to look does not silence it */
    many_bell_ring_(one);
    many_bell_silence_(other);
    CHECK(is_readable(listen, 0));
    many_listen_remove_(listen, one);
    CHECK(!is_readable(listen, 0));
    many_listen_remove_(listen, one);
    many_bell_close_(one);
    many_bell_close_(other);
    many_bell_close_(listen);
    CHECK_CENSUS(before);
}

TEST(one_may_listen_to_another)
{
    int bell = many_bell_open_(), inner = many_listen_open_(), outer = many_listen_open_();

    CHECK_CODE(many_listen_add_(inner, bell), 0);
    CHECK_CODE(many_listen_add_(outer, inner), 0);
    CHECK(!is_readable(outer, 0));
    many_bell_ring_(bell);
    CHECK(is_readable(outer, 0));
    many_bell_silence_(bell);
    CHECK(!is_readable(outer, 0));
    many_bell_close_(outer);
    many_bell_close_(inner);
    many_bell_close_(bell);
}

TEST(a_tick_is_readable_again_and_again)
{
    test_census before = test_census_take();
    int tick = many_tick_open_(2 * MANY_MILLISECOND_NS);

    CHECK(tick > STDERR_FILENO);
    CHECK_EQUAL(fcntl(tick, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    for (int i = 0; i < 3; i++) {
        CHECK(is_readable(tick, -1));
        many_bell_silence_(tick);
    }
    many_bell_silence_(tick); /* does not block */
    many_bell_close_(tick);
    CHECK_CENSUS(before);
}
