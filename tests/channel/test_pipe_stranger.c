/* SPDX-License-Identifier: MIT */
/* test_pipe_stranger.c - bytes by hand at the other end of an adopted socket: whole, torn, alien */
#include "test.h"

#include <many.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/pipes.h"

static void open_with(pipe_kind kind, many_pipe **pipe, int *stranger, size_t message_max)
{
    int pair[2];

    pipe_kind_pair(kind, pair);
    CHECK_CODE(many_pipe_adopt(pipe, .descriptor = pair[0], .message_max = message_max), 0);
    *stranger = pair[1];
}

static void say(int fd, const void *bytes, size_t n)
{
    CHECK_EQUAL(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

TEST(adopt_takes_connected_stream_sockets_alone)
{
    test_census before = test_census_take();
    many_pipe *pipe = NULL;
    int fd, pair[2];

    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK_CODE(many_pipe_adopt(&pipe, .descriptor = fd), -ENOTSOCK);
    close(fd);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    CHECK_CODE(many_pipe_adopt(&pipe, .descriptor = pair[0]), -ENOTSOCK);
    close(pair[0]);
    close(pair[1]);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listen(fd, 1) == 0);
    CHECK_CODE(many_pipe_adopt(&pipe, .descriptor = fd), -ENOTSOCK);
    CHECK_CONTAINS(many_error_message(), "listens");
    CHECK_CODE(many_pipe_adopt(&pipe, .descriptor = fd, .reserved = 1), -EINVAL);
    close(fd); /* is the caller's after a failure */
    CHECK(pipe == NULL);
    CHECK_CENSUS(before);
}

SOCKETS(frames_are_as_python_s)
{
    many_pipe *pipe = NULL;
    unsigned char bytes[16];
    char message[8];
    int fd;

    open_with(kind, &pipe, &fd, 0);
    CHECK_CODE(many_pipe_send(pipe, "abc", 3, 1), 0);
    CHECK_EQUAL(recv(fd, bytes, 7, MSG_WAITALL), 7);
    CHECK_BYTES(bytes, "\0\0\0\3abc", 7);
    say(fd, "\0\0\0\2xy", 6);
    CHECK_CODE(many_pipe_receive(pipe, message, sizeof message, 5), 2);
    CHECK_BYTES(message, "xy", 2);
    say(fd, "\377\377\377\377\0\0\0\0\0\0\0\2zw", 14); /* the long form, of any length */
    CHECK_CODE(many_pipe_receive(pipe, message, sizeof message, 5), 2);
    CHECK_BYTES(message, "zw", 2);
    close(fd);
    many_pipe_close(pipe);
}

SOCKETS(frame_that_comes_byte_by_byte_is_received_whole)
{
    static const char bytes[] = "\0\0\0\5hello\377\377\377\377\0\0\0\0\0\0\0\3bye\0\0\0\0";
    many_pipe *pipe = NULL;
    char message[8];
    int fd;

    open_with(kind, &pipe, &fd, 0);
    for (size_t i = 0; i < 28; i++) {
        /* Not there before its last byte; and asking for it loses nothing. */
        CHECK_CODE(many_pipe_receive(pipe, message, sizeof message, i % 2 ? 0 : 0.001), -ETIMEDOUT);
        say(fd, bytes + i, 1);
        if (i == 8) {
            CHECK_CODE(many_pipe_receive(pipe, message, sizeof message, 5), 5);
            CHECK_BYTES(message, "hello", 5);
        } else if (i == 23) {
            CHECK_CODE(many_pipe_receive(pipe, message, sizeof message, 5), 3);
            CHECK_BYTES(message, "bye", 3);
        } else if (i == 27) {
            CHECK_CODE(many_pipe_receive(pipe, message, sizeof message, 5), 0);
        }
    }
    close(fd);
    many_pipe_close(pipe);
}

/* In pieces, to receivers that give up again and again, of both kinds. */
SOCKETS(frame_that_comes_in_pieces_survives_timeouts)
{
    const size_t n = 300000;
    unsigned char *bytes = malloc(n + 4), *message = malloc(n);
    many_pipe *pipe = NULL;
    void *fresh = NULL;
    int fd;

    open_with(kind, &pipe, &fd, 0);
    bytes[0] = 0;
    bytes[1] = (unsigned char)(n >> 16);
    bytes[2] = (unsigned char)(n >> 8);
    bytes[3] = (unsigned char)n;
    pattern_fill(bytes + 4, n, 5);
    for (int round = 0; round < 2; round++) {
        for (size_t at = 0; at < n + 4; at += 30000) {
            say(fd, bytes + at, n + 4 - at < 30000 ? n + 4 - at : 30000);
            if (at + 30000 >= n + 4)
                break;
            CHECK_CODE(many_pipe_receive_new(pipe, &fresh, 0.002), -ETIMEDOUT);
            CHECK_CODE(many_pipe_receive(pipe, message, n, 0), -ETIMEDOUT);
            CHECK_CODE(many_pipe_receive(pipe, message, n - 1, 0), -EMSGSIZE);
            CHECK_CODE(many_pipe_peek(pipe, 5), (long)n);
        }
        if (round == 0) {
            CHECK_CODE(many_pipe_receive(pipe, message, n, 5), (long)n);
            CHECK(pattern_holds(message, n, 5));
        } else {
            CHECK_CODE(many_pipe_receive_new(pipe, &fresh, 5), (long)n);
            CHECK(pattern_holds(fresh, n, 5));
            free(fresh);
        }
    }
    close(fd);
    many_pipe_close(pipe);
    free(bytes);
    free(message);
}

SOCKETS(hang_up_in_the_middle_of_a_frame_is_told)
{
    static const size_t cuts[] = {1, 3, 4, 8};
    char message[16];

    for (size_t i = 0; i < 4; i++) {
        many_pipe *pipe = NULL;
        int fd;

        open_with(kind, &pipe, &fd, 0);
        say(fd, "\0\0\0\5hello", cuts[i]);
        close(fd);
        CHECK_CODE(many_pipe_receive(pipe, message, sizeof message, 5), -EPIPE);
        CHECK_CONTAINS(many_error_message(), "middle of a message");
        CHECK_CODE(many_pipe_receive(pipe, message, sizeof message, 0), -EPIPE);
        CHECK_CODE(many_pipe_poll(pipe, 0), 1);
        many_pipe_close(pipe);
    }
}

static void announce_too_much(pipe_kind kind, const char *head, size_t n, size_t most)
{
    many_pipe *pipe = NULL;
    void *message;
    char byte;
    int fd;

    open_with(kind, &pipe, &fd, most);
    say(fd, head, n);
    CHECK_CODE(many_pipe_receive_new(pipe, &message, 5), -EBADMSG);
    CHECK(message == NULL);
    CHECK_CODE(many_pipe_receive(pipe, NULL, 0, 5), -EBADMSG);
    CHECK_CODE(many_pipe_peek(pipe, 0), -EBADMSG);
    CHECK_CODE(many_pipe_poll(pipe, 0), 1);
    CHECK_CODE(many_pipe_send(pipe, "x", 1, 0), -EPIPE); /* the connection is over */
    CHECK(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
    many_pipe_close(pipe);
}

SOCKETS(announcement_of_too_much_ends_the_connection)
{
    announce_too_much(kind, "\0\0\0\145", 4, 100); /* 101 */
    announce_too_much(kind, "\177\377\377\377", 4, 0);
    announce_too_much(kind, "\200\0\0\0", 4, 0); /* below 0, and not -1 */
    announce_too_much(kind, "\377\377\377\376", 4, 0);
    announce_too_much(kind, "\377\377\377\377\377\377\377\377\377\377\377\377", 12, 0);
    announce_too_much(kind, "\377\377\377\377\0\0\0\1\0\0\0\0", 12, 0); /* 4 GiB */
    announce_too_much(kind, "\377\377\377\377\200\0\0\0\0\0\0\0", 12, SIZE_MAX);
}

static void announce_a_gigabyte(void *argument)
{
    const struct rlimit limit = {(rlim_t)512 << 20, (rlim_t)512 << 20};
    many_pipe *pipe = NULL;
    void *message;
    int fd;

    (void)argument;
    open_with(PIPE_LOCAL, &pipe, &fd, 0);
    if (!TEST_ASAN && !TEST_TSAN)
        CHECK(setrlimit(RLIMIT_AS, &limit) == 0); /* no room for what is announced */
    say(fd, "\100\0\0\0some", 8);                 /* 1 GiB: is allowed */
    CHECK_CODE(many_pipe_receive_new(pipe, &message, 0.05), -ETIMEDOUT);
    CHECK_CODE(many_pipe_peek(pipe, 0), 1 << 30);
    many_pipe_close(pipe);
    close(fd);
}

TEST(memory_is_taken_as_bytes_come_and_not_as_they_are_announced)
{
    CHECK_EQUAL(test_in_child(announce_a_gigabyte, NULL), 0);
}

/* A peer that does not read: what is on its way in part cannot be taken back. */
SOCKETS(send_whose_time_is_over_in_the_middle_ends_the_connection)
{
    const size_t n = (size_t)64 << 20;
    char *bytes = calloc(1, n);
    many_pipe *pipe = NULL;
    int fd;

    open_with(kind, &pipe, &fd, 0);
    CHECK_CODE(many_pipe_send(pipe, bytes, n, 0.05), -EPIPE);
    CHECK_CONTAINS(many_error_message(), "in part");
    CHECK_CODE(many_pipe_send(pipe, bytes, 1, 1), -EPIPE);
    while (recv(fd, bytes, n, 0) > 0) { /* and the peer learns that no more comes */
    }
    close(fd);
    many_pipe_close(pipe);
    free(bytes);
}

SOCKETS(send_that_finds_no_room_at_all_has_sent_nothing)
{
    many_pipe *pipe = NULL, *peer = NULL;
    size_t sent = 0, got = 0;
    char byte = 'a';
    int pair[2], code;

    if (kind == PIPE_TCP)
        test_skip("TCP may take a part");
    pipe_kind_pair(kind, pair);
    CHECK_CODE(many_pipe_adopt(&pipe, .descriptor = pair[0]), 0);
    CHECK_CODE(many_pipe_adopt(&peer, .descriptor = pair[1]), 0);
    while ((code = many_pipe_send(pipe, &byte, 1, 0)) == 0)
        sent++;
    CHECK_CODE(code, -ETIMEDOUT);
    CHECK_CODE(many_pipe_send(pipe, &byte, 1, 0.02), -ETIMEDOUT);
    while (many_pipe_receive(peer, &byte, 1, 0) == 1)
        got++;
    CHECK_EQUAL(got, sent);
    CHECK_CODE(many_pipe_send(pipe, &byte, 1, 5), 0);
    many_pipe_close(pipe);
    many_pipe_close(peer);
}

static uint32_t dice(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Random bytes in random pieces: each receive ends, with one of the codes that the manual names. */
SOCKETS(random_bytes_do_no_harm)
{
    const int rounds = 2000 / test_slowness() + 100;
    uint32_t state = 7;

    for (int round = 0; round < rounds; round++) {
        many_pipe *pipe = NULL;
        int fd;

        open_with(kind, &pipe, &fd, 1000);
        for (uint32_t pieces = dice(&state) % 8; pieces > 0; pieces--) {
            unsigned char noise[300];
            void *message;
            size_t n = dice(&state) % sizeof noise;
            ssize_t got;

            for (size_t i = 0; i < sizeof noise; i++)
                noise[i] =
                    dice(&state) % 3 ? 0 : (unsigned char)dice(&state); /* many small lengths */
            (void)!send(fd, noise, n, MSG_NOSIGNAL);
            if (dice(&state) % 8 == 0)
                shutdown(fd, SHUT_WR);
            got = many_pipe_receive_new(pipe, &message, 0);
            CHECK(got >= 0 || got == -ETIMEDOUT || got == -EPIPE || got == -EBADMSG);
            CHECK(got <= 1000);
            CHECK((got >= 0) == (message != NULL));
            free(message);
            got = many_pipe_poll(pipe, 0);
            CHECK(got == 0 || got == 1);
        }
        close(fd);
        many_pipe_close(pipe);
    }
}

/* Descriptors in the middle of a message, or before it, that nobody asked for. */
TEST(descriptors_of_a_stranger_are_kept_within_bounds)
{
    test_census before = test_census_take();
    many_pipe *pipe = NULL;
    char message[8];
    int fd;

    open_with(PIPE_LOCAL, &pipe, &fd, 0);
    for (int i = 0; i < 200; i++) {
        union {
            struct cmsghdr aligned;
            char bytes[CMSG_SPACE(2 * sizeof(int))];
        } room = {0};
        struct iovec part = {"\1", 1};
        struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room.bytes};
        const int two[2] = {1, 2};
        struct cmsghdr *header;

        head.msg_controllen = sizeof room.bytes;
        header = CMSG_FIRSTHDR(&head);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof two);
        memcpy(CMSG_DATA(header), two, sizeof two);
        if (sendmsg(fd, &head, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
    }
    CHECK_CODE(many_pipe_receive(pipe, message, sizeof message, 0.05), -ETIMEDOUT);
    CHECK_CONTAINS(many_error_message(), "descriptors come before");
    CHECK(test_census_take().descriptors <= before.descriptors + 3 + 64);
    many_pipe_close(pipe);
    close(fd);
    CHECK_CENSUS(before);
}
