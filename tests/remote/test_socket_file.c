/* SPDX-License-Identifier: MIT */
/* test_socket_file.c - whose a listener's socket file is: taken over when stale, removed by its
 * own */
#include "remote/sides.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

TEST(remote_listener_removes_its_socket_file)
{
    many_listener *listener = NULL;
    const char *address = file_address();
    struct stat file;

    CHECK_CODE(OPEN(.address = address), 0);
    CHECK_STRING(many_listener_address(listener), address);
    CHECK(lstat(address + 5, &file) == 0 && S_ISSOCK(file.st_mode));
    many_listener_close(listener);
    CHECK(lstat(address + 5, &file) != 0);
}

TEST(remote_listener_never_takes_a_living_listener_s_file)
{
    many_listener *listener = NULL, *second = NULL;
    const char *address = file_address();
    struct stat before, after;

    CHECK_CODE(OPEN(.address = address), 0);
    CHECK(lstat(address + 5, &before) == 0);
    CHECK_CODE(many_listener_open(&second, .address = address, .key = KEY, .key_bytes = 1),
               -EADDRINUSE);
    CHECK(lstat(address + 5, &after) == 0 && before.st_ino == after.st_ino);
    many_listener_close(listener);
    test_write_file(test_directory(), "plain", "not a socket");
}

static void listen_and_die(void *argument)
{
    many_listener *listener = NULL;

    CHECK_CODE(
        many_listener_open(&listener, .address = argument, .key = KEY, .key_bytes = KEY_BYTES), 0);
    raise(SIGKILL);
}

TEST(remote_listener_takes_over_the_file_of_a_killed_one)
{
    many_listener *listener = NULL;
    char address[300];
    struct stat file;

    snprintf(address, sizeof address, "%s", file_address());
    CHECK_EQUAL(test_in_child(listen_and_die, address), SIGKILL);
    CHECK(lstat(address + 5, &file) == 0);
    CHECK_CODE(OPEN(.address = address), 0);
    many_listener_close(listener);
    CHECK(lstat(address + 5, &file) != 0);
}

TEST(remote_listener_leaves_a_file_that_is_no_socket)
{
    many_listener *listener = NULL;
    const char *folder = test_directory();
    char address[300];
    struct stat file;

    test_write_file(folder, "plain", "not a socket");
    snprintf(address, sizeof address, "unix:%s/plain", folder);
    CHECK_CODE(OPEN(.address = address), -EADDRINUSE);
    CHECK(lstat(address + 5, &file) == 0 && S_ISREG(file.st_mode));
}

TEST(remote_listener_removes_no_file_but_its_own)
{
    many_listener *listener = NULL;
    const char *address = file_address();
    struct stat file;

    CHECK_CODE(OPEN(.address = address), 0);
    CHECK(unlink(address + 5) == 0);
    close(open(address + 5, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)); /* somebody else's */
    many_listener_close(listener);
    CHECK(lstat(address + 5, &file) == 0);
}

static void close_in_child(void *argument)
{
    many_listener_close(argument);
}

TEST(remote_listener_closed_by_a_child_stays_the_parent_s)
{
    many_listener *listener = NULL;
    const char *address = file_address();
    many_pipe *pipe = NULL;
    struct stat file;
    caller c;

    CHECK_CODE(OPEN(.address = address), 0);
    CHECK_EQUAL(test_in_child(close_in_child, listener), 0);
    CHECK(lstat(address + 5, &file) == 0);
    call_begin(&c, address, KEY);
    CHECK_CODE(many_listener_accept(listener, &pipe, 30), 0);
    CHECK_CODE(call_end(&c), 0);
    many_pipe_close(pipe);
    many_pipe_close(c.pipe);
    many_listener_close(listener);
}

typedef struct race {
    char address[300];
    _Atomic int won, lost;
} race;

static void race_to_listen(void *argument)
{
    race *r = argument;
    many_listener *listener = NULL;
    int code = many_listener_open(&listener, .address = r->address, .key = KEY, .key_bytes = 1);

    CHECK(code == 0 || code == -EADDRINUSE);
    atomic_fetch_add(code == 0 ? &r->won : &r->lost, 1);
    UNTIL(r->won + r->lost == 8); /* the winner listens until all have tried */
    many_listener_close(listener);
}

/* All find a stale file, and want it: one gets it, the others are told. */
TEST(remote_listeners_that_begin_at_once_do_not_rob_each_other)
{
    race *r = test_shared(sizeof *r);
    pid_t children[8];

    snprintf(r->address, sizeof r->address, "%s", file_address());
    CHECK_EQUAL(test_in_child(listen_and_die, r->address), SIGKILL);
    for (int i = 0; i < 8; i++)
        children[i] = test_child_start(race_to_listen, r);
    for (int i = 0; i < 8; i++)
        CHECK_EQUAL(test_child_wait(children[i]), 0);
    CHECK_EQUAL(r->won, 1);
}
