/* SPDX-License-Identifier: MIT */
/*
 * pipes.h - both kinds of a pipe for a test: by many_pipe_open(), and by many_pipe_adopt() over a
 * local and a TCP connection
 *
 *   PIPES(sends_what_is_received) { ...pipe_kind_open(kind, &one, &other)... }
 */
#ifndef MANY_TESTS_CHANNEL_PIPES_H
#define MANY_TESTS_CHANNEL_PIPES_H

#include "test.h"

#include <many.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef enum pipe_kind { PIPE_RING, PIPE_LOCAL, PIPE_TCP } pipe_kind;

/* A test for each kind: of all, of those that carry descriptors, of those that stand on sockets. */
#define PIPE_TEST_(name, suffix, kind)                                                             \
    TEST(name##__##suffix)                                                                         \
    {                                                                                              \
        name##_with(kind);                                                                         \
    }
#define PIPES(name)                                                                                \
    static void name##_with(pipe_kind kind);                                                       \
    PIPE_TEST_(name, ring, PIPE_RING)                                                              \
    PIPE_TEST_(name, local_socket, PIPE_LOCAL)                                                     \
    PIPE_TEST_(name, tcp, PIPE_TCP)                                                                \
    static void name##_with(pipe_kind kind)
#define LOCALS(name)                                                                               \
    static void name##_with(pipe_kind kind);                                                       \
    PIPE_TEST_(name, ring, PIPE_RING)                                                              \
    PIPE_TEST_(name, local_socket, PIPE_LOCAL)                                                     \
    static void name##_with(pipe_kind kind)
#define SOCKETS(name)                                                                              \
    static void name##_with(pipe_kind kind);                                                       \
    PIPE_TEST_(name, local_socket, PIPE_LOCAL)                                                     \
    PIPE_TEST_(name, tcp, PIPE_TCP)                                                                \
    static void name##_with(pipe_kind kind)

/* A connected pair of TCP sockets on the loopback. */
static inline void tcp_pair(int pair[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(listener >= 0);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &bytes) == 0);
    pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(pair[0], (struct sockaddr *)&address, sizeof address) == 0);
    pair[1] = accept(listener, NULL, NULL);
    CHECK(pair[1] >= 0);
    close(listener);
}

static inline void pipe_kind_pair(pipe_kind kind, int pair[2])
{
    if (kind == PIPE_TCP)
        tcp_pair(pair);
    else
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
}

static inline void pipe_kind_open(pipe_kind kind, many_pipe **one, many_pipe **other)
{
    int pair[2];

    if (kind == PIPE_RING) {
        CHECK_CODE(many_pipe_open(one, other), 0);
        return;
    }
    pipe_kind_pair(kind, pair);
    CHECK_CODE(many_pipe_adopt(one, .descriptor = pair[0]), 0);
    CHECK_CODE(many_pipe_adopt(other, .descriptor = pair[1]), 0);
}

/* Bytes that differ from place to place, and from seed to seed. */
static inline void pattern_fill(unsigned char *bytes, size_t n, unsigned seed)
{
    uint32_t state = seed * 2654435761u + 1;

    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(state >> 24);
    }
}

static inline int pattern_holds(const unsigned char *bytes, size_t n, unsigned seed)
{
    uint32_t state = seed * 2654435761u + 1;

    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        if (bytes[i] != (unsigned char)(state >> 24))
            return 0;
    }
    return 1;
}

#endif
