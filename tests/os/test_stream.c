/* SPDX-License-Identifier: MIT */
/* test_stream.c - bells, and descriptors that keep away from 0 to 2 */
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/stream.h"

static int is_readable(int fd)
{
    struct pollfd poller = {fd, POLLIN, 0};

    return poll(&poller, 1, 0) == 1;
}

TEST(a_bell_is_readable_once_rung_until_it_is_silenced)
{
    int bell = many_bell_open_();

    CHECK(bell > STDERR_FILENO);
    CHECK(!is_readable(bell));
    many_bell_ring_(bell);
    many_bell_ring_(bell);
    CHECK(is_readable(bell));
    CHECK(is_readable(bell));
    many_bell_silence_(bell);
    CHECK(!is_readable(bell));
    many_bell_silence_(bell); /* does not block */
    many_bell_ring_(bell);
    CHECK(is_readable(bell));
    many_bell_close_(bell);
}

TEST(a_bell_is_not_inherited_by_programs)
{
    int bell = many_bell_open_();

    CHECK(fcntl(bell, F_GETFD) & FD_CLOEXEC);
    many_bell_close_(bell);
}

TEST(ringing_leaves_errno_alone)
{
    int bell = many_bell_open_();

    errno = EDOM;
    many_bell_ring_(bell);
    CHECK_EQUAL(errno, EDOM);
    many_bell_ring_(-1); /* in a signal handler the descriptor may be gone */
    CHECK_EQUAL(errno, EDOM);
    many_bell_close_(bell);
}

static void ring(void *argument)
{
    many_bell_ring_(*(int *)argument);
}

TEST(a_child_rings_and_its_parent_wakes)
{
    struct pollfd poller = {many_bell_open_(), POLLIN, 0};
    pid_t child;

    CHECK(poller.fd > STDERR_FILENO);
    child = test_child_start(ring, &poller.fd);
    CHECK_EQUAL(poll(&poller, 1, -1), 1);
    CHECK_EQUAL(test_child_wait(child), 0);
    many_bell_close_(poller.fd);
}

static void open_with_closed_streams(void *argument)
{
    int bell;

    (void)argument;
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    bell = many_bell_open_();
    CHECK(bell > STDERR_FILENO);
    CHECK(fcntl(STDIN_FILENO, F_GETFD) == -1); /* still closed: the bell did not stay there */
    CHECK(fcntl(STDOUT_FILENO, F_GETFD) == -1);
    CHECK(fcntl(bell, F_GETFD) & FD_CLOEXEC);
    many_bell_ring_(bell);
    CHECK(is_readable(bell));
    many_bell_close_(bell);
}

TEST(a_bell_never_takes_the_place_of_a_closed_stream)
{
    CHECK_EQUAL(test_in_child(open_with_closed_streams, NULL), 0);
}

TEST(closing_no_bell_does_nothing)
{
    test_census before = test_census_take();

    many_bell_close_(-1);
    for (int i = 0; i < 10; i++)
        many_bell_close_(many_bell_open_());
    CHECK_CENSUS(before);
}

/* No descriptor is free: neither the lowest nor one above 2. */
static void open_without_descriptors(void *argument)
{
    struct rlimit limit = {0, 0};
    int free_fd = dup(STDERR_FILENO);

    (void)argument;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = (rlim_t)free_fd;
    close(free_fd);
    while (dup(STDERR_FILENO) >= 0) /* a gap below */
        continue;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK_CODE(many_bell_open_(), -EMFILE);

    /* One is free, but it is stdin's: the bell may not keep it. */
    limit.rlim_cur = 3;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    close(STDIN_FILENO);
    CHECK(many_bell_open_() < 0);
    CHECK(fcntl(STDIN_FILENO, F_GETFD) == -1);
}

TEST(without_a_free_descriptor_the_code_says_so)
{
    CHECK_EQUAL(test_in_child(open_without_descriptors, NULL), 0);
}

TEST(lift_passes_a_failure_on)
{
    errno = EDOM;
    CHECK_EQUAL(many_stream_lift_(-1), -1);
    CHECK_EQUAL(errno, EDOM);
}
