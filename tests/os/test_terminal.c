/* SPDX-License-Identifier: MIT */
/* test_terminal.c - a write that never blocks for ever and never kills; what a terminal is like */
#include "test.h"

#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/terminal.h"

static int ends[2];

static void open_pipe(void)
{
    CHECK(pipe(ends) == 0);
}

static void close_pipe(void)
{
    close(ends[0]);
    close(ends[1]);
}

/* Fill the pipe to its last byte; how many it holds. */
static size_t fill_pipe(void)
{
    char bytes[4096] = "";
    int flags = fcntl(ends[1], F_GETFL);
    size_t filled = 0;
    ssize_t wrote;

    CHECK(fcntl(ends[1], F_SETFL, flags | O_NONBLOCK) == 0);
    while ((wrote = write(ends[1], bytes, sizeof bytes)) > 0)
        filled += (size_t)wrote;
    CHECK(fcntl(ends[1], F_SETFL, flags) == 0);
    return filled;
}

static int sigpipe_is_pending(void)
{
    sigset_t pending;

    CHECK(sigpending(&pending) == 0);
    return sigismember(&pending, SIGPIPE);
}

TEST(all_is_written)
{
    char got[8];

    open_pipe();
    CHECK_EQUAL(many_terminal_write_(ends[1], "files", 5, 0), 5);
    CHECK_EQUAL(many_terminal_write_(ends[1], "", 0, 0), 0);
    CHECK_EQUAL(read(ends[0], got, sizeof got), 5);
    CHECK_BYTES(got, "files", 5);
    close_pipe();
}

TEST(a_full_pipe_does_not_block_though_its_writes_would)
{
    double begin;

    open_pipe();
    fill_pipe();
    CHECK_EQUAL(many_terminal_write_(ends[1], "files", 5, 0), -EAGAIN);
    begin = test_seconds();
    CHECK_EQUAL(many_terminal_write_(ends[1], "files", 5, 50 * MANY_MILLISECOND_NS), -EAGAIN);
    CHECK(test_seconds() - begin >= 0.05);
    close_pipe();
}

static void *make_room(void *argument)
{
    char got[4096];

    (void)argument;
    CHECK(read(ends[0], got, sizeof got) == sizeof got);
    return NULL;
}

TEST(patience_waits_for_room)
{
    pthread_t reader;

    open_pipe();
    fill_pipe();
    CHECK(pthread_create(&reader, NULL, make_room, NULL) == 0);
    CHECK_EQUAL(many_terminal_write_(ends[1], "files", 5, 30 * MANY_SECOND_NS), 5);
    pthread_join(reader, NULL);
    close_pipe();
}

TEST(what_is_begun_and_finds_no_more_room_says_how_much_it_was)
{
    static char bytes[1 << 20];
    ssize_t wrote;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    wrote = many_terminal_write_(ends[1], bytes, sizeof bytes, 0);
    CHECK(wrote > 0);
    CHECK(wrote < (ssize_t)sizeof bytes);
    close_pipe();
}

static void write_to_a_closed_pipe(void *argument)
{
    (void)argument;
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(many_terminal_write_(ends[1], "files", 5, 0), -EPIPE);
    CHECK(!sigpipe_is_pending());
}

TEST(a_reader_that_is_gone_raises_no_sigpipe)
{
    test_signals before;

    open_pipe();
    close(ends[0]);
    CHECK(test_in_child(write_to_a_closed_pipe, NULL) == 0);
    close(ends[1]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    close(ends[0]);
    CHECK(test_in_child(write_to_a_closed_pipe, NULL) == 0);
    test_signals_take(&before);
    CHECK_EQUAL(many_terminal_write_(ends[1], "files", 5, 0), -EPIPE);
    CHECK_SIGNALS(before);
    close(ends[1]);
}

TEST(a_sigpipe_that_the_caller_holds_back_stays_his)
{
    const struct timespec at_once = {0, 0};
    sigset_t pipe_only;

    open_pipe();
    close(ends[0]);
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
    CHECK_EQUAL(many_terminal_write_(ends[1], "files", 5, 0), -EPIPE);
    CHECK(!sigpipe_is_pending());
    raise(SIGPIPE);
    CHECK_EQUAL(many_terminal_write_(ends[1], "files", 5, 0), -EPIPE);
    CHECK(sigpipe_is_pending());
    CHECK_EQUAL(sigtimedwait(&pipe_only, NULL, &at_once), SIGPIPE);
    CHECK(!sigpipe_is_pending());
    pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL);
    close(ends[1]);
}

TEST(what_cannot_be_written_to_says_why_and_errno_is_left_alone)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    int closed = dup(STDERR_FILENO);

    close(closed);
    errno = ENOTTY;
    CHECK_EQUAL(many_terminal_write_(full, "files", 5, 0), -ENOSPC);
    CHECK_EQUAL(many_terminal_write_(closed, "files", 5, 0), -EBADF);
    errno = EPIPE; /* an old one is not taken for a new one */
    CHECK_EQUAL(many_terminal_write_(full, "", 0, 0), 0);
    CHECK_EQUAL(errno, EPIPE);
    close(full);
}

static void *write_while_cancelled(void *argument)
{
    int *wrote = argument, ignored;

    CHECK(pthread_cancel(pthread_self()) == 0);
    *wrote = (int)many_terminal_write_(ends[1], "files", 5, 0);
    /* The cancellation is still to come; a return does as well. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &ignored);
    return wrote;
}

TEST(it_is_no_place_where_a_thread_is_cancelled)
{
    int wrote = 0;
    pthread_t thread;
    void *returned;

    open_pipe();
    CHECK(pthread_create(&thread, NULL, write_while_cancelled, &wrote) == 0);
    CHECK(pthread_join(thread, &returned) == 0);
    CHECK(returned == &wrote);
    CHECK_EQUAL(wrote, 5);
    close_pipe();
}

static int open_terminal(int *master)
{
    int slave;

    *master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(*master >= 0 && grantpt(*master) == 0 && unlockpt(*master) == 0);
    slave = open(ptsname(*master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(slave >= 0);
    return slave;
}

TEST(a_terminal_is_told_from_a_pipe_a_file_and_nothing)
{
    int master, slave = open_terminal(&master);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    CHECK_EQUAL(many_terminal_is_(slave), 1);
    CHECK_EQUAL(many_terminal_is_(file), 0);
    CHECK_EQUAL(many_terminal_columns_(file), 0);
    CHECK_EQUAL(many_terminal_is_(-1), 0);
    CHECK_EQUAL(many_terminal_columns_(-1), 0);
    open_pipe();
    CHECK_EQUAL(many_terminal_is_(ends[1]), 0);
    CHECK_EQUAL(many_terminal_columns_(ends[1]), 0);
    close_pipe();
    close(file);
    close(slave);
    close(master);
}

TEST(the_width_follows_a_resize)
{
    struct winsize size = {.ws_row = 24, .ws_col = 123};
    int master, slave = open_terminal(&master);

    CHECK(ioctl(master, TIOCSWINSZ, &size) == 0);
    CHECK_EQUAL(many_terminal_columns_(slave), 123);
    size.ws_col = 40;
    CHECK(ioctl(master, TIOCSWINSZ, &size) == 0);
    CHECK_EQUAL(many_terminal_columns_(slave), 40);
    size.ws_col = 0; /* it does not say */
    CHECK(ioctl(master, TIOCSWINSZ, &size) == 0);
    CHECK_EQUAL(many_terminal_columns_(slave), 0);
    close(slave);
    close(master);
}

TEST(a_program_without_a_locale_speaks_what_the_environment_says)
{
    CHECK(setlocale(LC_ALL, "C") != NULL);
    unsetenv("LC_CTYPE");
    unsetenv("LANG");
    setenv("LC_ALL", "de_DE.UTF-8", 1);
    CHECK_EQUAL(many_terminal_utf8_(), 1);
    setenv("LC_ALL", "C.utf8", 1);
    CHECK_EQUAL(many_terminal_utf8_(), 1);
    setenv("LC_ALL", "de_DE.ISO-8859-1", 1);
    setenv("LANG", "C.UTF-8", 1);
    CHECK_EQUAL(many_terminal_utf8_(), 0);
    setenv("LC_ALL", "", 1);
    CHECK_EQUAL(many_terminal_utf8_(), 1);
    unsetenv("LANG");
    CHECK_EQUAL(many_terminal_utf8_(), 0);
    if (setlocale(LC_ALL, "C.UTF-8") != NULL)
        CHECK_EQUAL(many_terminal_utf8_(), 1);
}
