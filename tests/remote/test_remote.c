/* SPDX-License-Identifier: MIT */
/* test_remote.c - listener and client: addresses, keys, waiting */
#include "remote/sides.h"

#include <fcntl.h>
#include <pthread.h>

static void *nothing(void *argument)
{
    return argument;
}

static void check_connects(const char *address, const char *key)
{
    test_census before;
    pthread_t first; /* a sanitizer begins one of its own with it */
    many_listener *listener = NULL;
    many_pipe *pipe = NULL;
    caller c;

    CHECK(pthread_create(&first, NULL, nothing, NULL) == 0 && pthread_join(first, NULL) == 0);
    before = test_census_take();
    CHECK_CODE(many_listener_open(&listener, .address = address, .key = key,
                                  .key_bytes = key != NULL ? strlen(key) : 0, .open = 1),
               0);
    call_begin(&c, many_listener_address(listener), key);
    CHECK_CODE(many_listener_accept(listener, &pipe, 30), 0);
    CHECK_CODE(call_end(&c), 0);
    check_echo(pipe, c.pipe);
    CHECK_EQUAL(many_listener_refused(listener), 0);
    many_listener_close(listener);
    check_echo(c.pipe, pipe); /* what was accepted stays */
    many_pipe_close(c.pipe);
    CHECK_CODE(many_pipe_receive(pipe, NULL, 0, 5), -EPIPE);
    many_pipe_close(pipe);
    CHECK_CENSUS(before);
}

TEST(remote_connects_by_tcp_with_a_key)
{
    check_connects("tcp:127.0.0.1:0", KEY);
}

TEST(remote_connects_by_tcp_to_a_name)
{
    check_connects("tcp:localhost:0", KEY);
}

TEST(remote_connects_by_tcp_without_a_key_if_that_is_meant)
{
    check_connects("tcp:127.0.0.1:0", NULL);
}

TEST(remote_connects_by_a_socket_file)
{
    check_connects(file_address(), KEY);
}

TEST(remote_connects_by_a_socket_file_without_a_key)
{
    check_connects(file_address(), NULL);
}

TEST(remote_connects_by_an_abstract_name)
{
    check_connects(abstract_address(), KEY);
}

TEST(remote_listens_on_all_interfaces_and_says_its_port)
{
    many_listener *listener = NULL;
    char address[64];
    int port;
    many_pipe *pipe = NULL;
    caller c;

    CHECK_CODE(
        many_listener_open(&listener, .address = "tcp::0", .key = KEY, .key_bytes = KEY_BYTES), 0);
    port = atoi(strrchr(many_listener_address(listener), ':') + 1);
    CHECK(port > 0);
    snprintf(address, sizeof address, "tcp:127.0.0.1:%d", port);
    call_begin(&c, address, KEY);
    CHECK_CODE(many_listener_accept(listener, &pipe, 30), 0);
    CHECK_CODE(call_end(&c), 0);
    many_pipe_close(pipe);
    many_pipe_close(c.pipe);
    many_listener_close(listener);
}

/* ---- what makes no sense ---- */

TEST(remote_refuses_options_that_make_no_sense)
{
    many_listener *listener = NULL;
    many_pipe *pipe = NULL;
    char name[300];

    CHECK_CODE(many_listener_open_with(NULL), -EINVAL);
    CHECK_CODE(many_listener_open(&listener), -EINVAL);
    CHECK_CODE(many_listener_open(NULL, .address = "tcp:127.0.0.1:0"), -EINVAL);
    CHECK_CODE(many_listener_open(&listener, .address = "tcp:127.0.0.1:0"), -EINVAL);
    CHECK_CONTAINS(many_error_message(), ".open");
    CHECK_CODE(OPEN(.address = "127.0.0.1:1"), -EINVAL);
    CHECK_CODE(OPEN(.address = "tcp:127.0.0.1"), -EINVAL);
    CHECK_CODE(OPEN(.address = "tcp:127.0.0.1:"), -EINVAL);
    CHECK_CODE(OPEN(.address = "tcp:127.0.0.1:65536"), -EINVAL);
    CHECK_CODE(OPEN(.address = "tcp:127.0.0.1:1x"), -EINVAL);
    CHECK_CODE(OPEN(.address = "tcp:::1:80"), -EINVAL);
    CHECK_CODE(OPEN(.address = "tcp:[::1:80"), -EINVAL);
    CHECK_CODE(OPEN(.address = "unix:"), -EINVAL);
    CHECK_CODE(OPEN(.address = "unix:@"), -EINVAL);
    CHECK_CODE(OPEN(.address = "unix:/does/not/exist/socket"), -ENOENT);
    memset(name, 'x', sizeof name);
    memcpy(name, "unix:/", 6);
    name[sizeof name - 1] = '\0';
    CHECK_CODE(OPEN(.address = name), -ENAMETOOLONG);
    CHECK_CODE(OPEN(.address = "tcp:127.0.0.1:0", .handshake_s = -1), -EINVAL);
    CHECK_CODE(OPEN(.address = "tcp:127.0.0.1:0", .backlog = -1), -EINVAL);
    CHECK_CODE(OPEN(.address = "tcp:127.0.0.1:0", .open = 2), -EINVAL);
    CHECK_CODE(many_listener_open(&listener, .address = "tcp:127.0.0.1:0", .key = KEY), -EINVAL);
    CHECK_CODE(
        many_listener_open(&listener, .address = "tcp:127.0.0.1:0", .key = KEY, .key_bytes = 4097),
        -EINVAL);
    CHECK_CODE(many_listener_open(&listener, .address = "tcp:127.0.0.1:0", .key_bytes = 1),
               -EINVAL);
    CHECK(listener == NULL);
    CHECK_CODE(many_listener_accept(NULL, &pipe, 0), -EINVAL);
    CHECK_EQUAL(many_listener_refused(NULL), 0);
    CHECK_STRING(many_listener_address(NULL), "");
    CHECK_CODE(many_listener_descriptor(NULL), -EINVAL);
    many_listener_close(NULL);

    CHECK_CODE(many_client_open_with(NULL), -EINVAL);
    CHECK_CODE(many_client_open(NULL, .address = "unix:@x"), -EINVAL);
    CHECK_CODE(CALL(.address = NULL), -EINVAL);
    CHECK_CODE(CALL(.address = "tcp::80"), -EINVAL);
    CHECK_CODE(CALL(.address = "tcp:127.0.0.1:0"), -EINVAL);
    CHECK_CODE(CALL(.address = "tcp:127.0.0.1:1", .timeout_s = -2), -EINVAL);
    CHECK(pipe == NULL);
}

TEST(remote_client_is_told_that_nobody_listens)
{
    test_census before = test_census_take();
    many_listener *listener = NULL;
    many_pipe *pipe = NULL;
    char address[64];

    CHECK_CODE(CALL(.address = file_address()), -ENOENT);
    CHECK_CODE(CALL(.address = abstract_address()), -ECONNREFUSED);
    CHECK_CODE(OPEN(.address = "tcp:127.0.0.1:0"), 0);
    snprintf(address, sizeof address, "%s", many_listener_address(listener));
    many_listener_close(listener);
    CHECK_CODE(CALL(.address = address), -ECONNREFUSED);
    CHECK_CONTAINS(many_error_message(), "nobody listens");
    CHECK(pipe == NULL);
    CHECK_CENSUS(before);
}

/* ---- keys ---- */

TEST(remote_lets_nobody_in_with_another_key)
{
    test_census before = test_census_take();
    many_listener *listener = NULL;
    many_pipe *pipe = NULL;
    caller wrong, right;

    CHECK_CODE(OPEN(.address = "tcp:127.0.0.1:0"), 0);
    call_begin(&wrong, many_listener_address(listener), "a secret of some lengti");
    while (many_listener_refused(listener) == 0)
        CHECK_CODE(many_listener_accept(listener, &pipe, 0.01), -ETIMEDOUT);
    CHECK_CODE(call_end(&wrong), -EACCES);
    call_begin(&right, many_listener_address(listener), KEY);
    CHECK_CODE(many_listener_accept(listener, &pipe, 30), 0);
    CHECK_CODE(call_end(&right), 0);
    CHECK_EQUAL(many_listener_refused(listener), 1);
    check_echo(pipe, right.pipe);
    many_pipe_close(pipe);
    many_pipe_close(right.pipe);
    many_listener_close(listener);
    CHECK_CENSUS(before);
}

/* The other direction: the client finds out that the listener does not know the key. A listener by
 * hand welcomes anyone, and then signs with its own key. */
static void *pose_as_listener(void *argument)
{
    int door = *(int *)argument;
    int fd = accept(door, NULL, NULL);
    unsigned char bytes[256], answer[40];
    int n;

    stranger_say(fd, "#CHALLENGE#{sha256}0123456789012345678901234567890123456789", 59);
    CHECK_EQUAL(stranger_hear(fd, bytes, sizeof bytes), 40);
    stranger_say(fd, "#WELCOME#", 9);
    n = stranger_hear(fd, bytes, sizeof bytes);
    CHECK_EQUAL(n, 59);
    CHECK_BYTES(bytes, "#CHALLENGE#{sha256}", 19);
    stranger_sign("another key", bytes + 11, (size_t)n - 11, answer);
    stranger_say(fd, answer, sizeof answer);
    CHECK_EQUAL(stranger_hear(fd, bytes, sizeof bytes), 9);
    CHECK_BYTES(bytes, "#FAILURE#", 9);
    stranger_expect_end(fd);
    return NULL;
}

static int pose_open(char address[64])
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof in;
    int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(bind(door, (struct sockaddr *)&in, sizeof in) == 0 && listen(door, 8) == 0);
    CHECK(getsockname(door, (struct sockaddr *)&in, &bytes) == 0);
    snprintf(address, 64, "tcp:127.0.0.1:%d", ntohs(in.sin_port));
    return door;
}

TEST(remote_client_turns_away_from_a_listener_that_does_not_know_the_key)
{
    char address[64];
    int door = pose_open(address);
    many_pipe *pipe = NULL;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, pose_as_listener, &door) == 0);
    CHECK_CODE(CALL(.address = address), -EACCES);
    CHECK(pipe == NULL);
    pthread_join(thread, NULL);
    close(door);
}

static void *talk_otherwise(void *argument)
{
    static const char *const texts[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n", "\0\0\0\5hello",
        "\0\0\0\37#CHALLENGE#01234567890123456789", /* of Python 3.11 */
        "\0\0\1\1#CHALLENGE#{sha256}", "\377\377\377\377\0\0\0\0\0\0\0\5"};
    static const size_t lengths[] = {28, 9, 35, 23, 12};

    for (size_t i = 0; i < 5; i++) {
        int fd = accept(*(int *)argument, NULL, NULL);

        (void)!send(fd, texts[i], lengths[i], MSG_NOSIGNAL);
        stranger_expect_end(fd);
    }
    return NULL;
}

TEST(remote_client_knows_what_is_not_this_protocol)
{
    char address[64];
    int door = pose_open(address);
    many_pipe *pipe = NULL;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, talk_otherwise, &door) == 0);
    for (int i = 0; i < 5; i++)
        CHECK_CODE(CALL(.address = address), -EPROTO);
    pthread_join(thread, NULL);
    close(door);
}

TEST(remote_client_does_not_wait_longer_than_its_timeout)
{
    char address[64];
    int door = pose_open(address), fd;
    many_pipe *pipe = NULL;
    double began = test_seconds();

    CHECK_CODE(CALL(.address = address, .timeout_s = 0.1), -ETIMEDOUT);
    CHECK(test_seconds() - began >= 0.099);
    fd = accept(door, NULL, NULL);
    close(fd);
    close(door);
}

/* ---- waiting ---- */

TEST(remote_accept_waits_for_its_timeout)
{
    many_listener *listener = NULL;
    many_pipe *pipe = (many_pipe *)&listener;
    double began;

    CHECK_CODE(OPEN(.address = "tcp:127.0.0.1:0"), 0);
    CHECK_CODE(many_listener_accept(listener, &pipe, 0), -ETIMEDOUT);
    CHECK(pipe == NULL);
    began = test_seconds();
    CHECK_CODE(many_listener_accept(listener, &pipe, 0.1), -ETIMEDOUT);
    CHECK(test_seconds() - began >= 0.099);
    CHECK_CODE(many_listener_accept(listener, &pipe, -3), -EINVAL);
    many_listener_close(listener);
}

TEST(remote_listener_can_be_polled)
{
    many_listener *listener = NULL;
    many_pipe *pipe = NULL;
    struct pollfd wait = {-1, POLLIN, 0};
    int code = -ETIMEDOUT;
    caller c;

    CHECK_CODE(OPEN(.address = "tcp:127.0.0.1:0"), 0);
    wait.fd = many_listener_descriptor(listener);
    CHECK(poll(&wait, 1, 0) == 0);
    call_begin(&c, many_listener_address(listener), KEY);
    while (code == -ETIMEDOUT) {
        CHECK(poll(&wait, 1, 30000) == 1);
        code = many_listener_accept(listener, &pipe, 0);
    }
    CHECK_CODE(code, 0);
    CHECK_CODE(call_end(&c), 0);
    CHECK(poll(&wait, 1, 0) == 0);
    many_pipe_close(pipe);
    many_pipe_close(c.pipe);
    many_listener_close(listener);
}

static void on_alarm(int number)
{
    (void)number;
}

TEST(remote_accept_ends_by_a_signal_handler)
{
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    many_listener *listener = NULL;
    many_pipe *pipe = NULL;

    CHECK_CODE(OPEN(.address = "tcp:127.0.0.1:0"), 0);
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    alarm(1);
    CHECK_CODE(many_listener_accept(listener, &pipe, MANY_FOREVER), -EINTR);
    many_listener_close(listener);
}

static void accept_and_echo(void *argument)
{
    many_listener *listener = argument;
    many_pipe *pipe = NULL;
    char message[16];
    ssize_t n;

    CHECK_CODE(many_listener_accept(listener, &pipe, 30), 0);
    while ((n = many_pipe_receive(pipe, message, sizeof message, 30)) >= 0)
        CHECK_CODE(many_pipe_send(pipe, message, (size_t)n, 30), 0);
    CHECK_CODE(n, -EPIPE);
}

/* A prefork server: the children accept at the socket that the parent opened. */
TEST(remote_children_accept_at_their_parent_s_listener)
{
    many_listener *listener = NULL;
    pid_t children[3];
    many_pipe *pipes[3];
    char message[16];

    CHECK_CODE(OPEN(.address = "tcp:127.0.0.1:0"), 0);
    for (int i = 0; i < 3; i++)
        children[i] = test_child_start(accept_and_echo, listener);
    for (int i = 0; i < 3; i++)
        CHECK_CODE(many_client_open(&pipes[i], .address = many_listener_address(listener),
                                    .key = KEY, .key_bytes = KEY_BYTES, .timeout_s = 30),
                   0);
    for (int i = 0; i < 3; i++) {
        CHECK_CODE(many_pipe_send(pipes[i], "hello", 5, 5), 0);
        CHECK_CODE(many_pipe_receive(pipes[i], message, sizeof message, 30), 5);
        many_pipe_close(pipes[i]);
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(test_child_wait(children[i]), 0);
    many_listener_close(listener);
}

TEST(remote_connection_keeps_to_the_limit_of_messages)
{
    many_listener *listener = NULL;
    many_pipe *pipe = NULL;
    caller c;
    char bytes[101] = {0};

    CHECK_CODE(OPEN(.address = "tcp:127.0.0.1:0", .message_max = 100), 0);
    call_begin(&c, many_listener_address(listener), KEY);
    CHECK_CODE(many_listener_accept(listener, &pipe, 30), 0);
    CHECK_CODE(call_end(&c), 0);
    CHECK_CODE(many_pipe_send(pipe, bytes, 101, 1), -EMSGSIZE);
    CHECK_CODE(many_pipe_send(c.pipe, bytes, 100, 1), 0);
    CHECK_CODE(many_pipe_receive(pipe, bytes, sizeof bytes, 5), 100);
    CHECK_CODE(many_pipe_send(c.pipe, bytes, 101, 1), 0); /* the client's limit is 1 GiB */
    CHECK_CODE(many_pipe_receive(pipe, bytes, sizeof bytes, 5), -EBADMSG);
    CHECK_CODE(many_pipe_receive(pipe, bytes, sizeof bytes, 5), -EBADMSG);
    many_pipe_close(pipe);
    many_pipe_close(c.pipe);
    many_listener_close(listener);
}

TEST(remote_local_connection_carries_descriptors)
{
    many_listener *listener = NULL;
    many_pipe *pipe = NULL;
    caller c;
    int pair[2], fd;
    char byte = 'q';

    CHECK_CODE(OPEN(.address = abstract_address()), 0);
    call_begin(&c, many_listener_address(listener), KEY);
    CHECK_CODE(many_listener_accept(listener, &pipe, 30), 0);
    CHECK_CODE(call_end(&c), 0);
    CHECK(pipe2(pair, O_CLOEXEC) == 0);
    CHECK_CODE(many_pipe_send_descriptor(pipe, pair[1], 5), 0);
    fd = many_pipe_receive_descriptor(c.pipe, 5);
    CHECK(fd > 2);
    CHECK(write(fd, &byte, 1) == 1);
    byte = 0;
    CHECK(read(pair[0], &byte, 1) == 1 && byte == 'q');
    close(fd);
    close(pair[0]);
    close(pair[1]);
    many_pipe_close(pipe);
    many_pipe_close(c.pipe);
    many_listener_close(listener);
}
