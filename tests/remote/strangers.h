/* SPDX-License-Identifier: MIT */
/*
 * strangers.h - plain sockets that talk to a listener, or pose as one: bytes by hand
 */
#ifndef MANY_TESTS_REMOTE_STRANGERS_H
#define MANY_TESTS_REMOTE_STRANGERS_H

#include "test.h"

#include <many/remote.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define KEY       "a secret of some length"
#define KEY_BYTES (sizeof KEY - 1)

/* A socket connected to the address of a listener. */
static inline int stranger_connect(const char *address)
{
    int fd;

    if (strncmp(address, "unix:", 5) == 0) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        size_t n = strlen(address + 5);

        memcpy(un.sun_path, address + 5, n);
        if (un.sun_path[0] == '@')
            un.sun_path[0] = '\0';
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(connect(fd, (struct sockaddr *)&un,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) == 0);
    } else {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};

        in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(connect(fd, (struct sockaddr *)&in, sizeof in) == 0);
    }
    return fd;
}

/* Send a frame; what the peer does with it is its matter. */
static inline void stranger_say(int fd, const void *bytes, size_t n)
{
    unsigned char head[4] = {0, 0, (unsigned char)(n >> 8), (unsigned char)n};

    (void)!send(fd, head, 4, MSG_NOSIGNAL);
    (void)!send(fd, bytes, n, MSG_NOSIGNAL);
}

/* Read n bytes: 1; 0: it hung up before. */
static inline int stranger_read(int fd, void *bytes, size_t n)
{
    size_t have = 0;

    while (have < n) {
        ssize_t got = recv(fd, (char *)bytes + have, n - have, 0);

        if (got <= 0)
            return 0;
        have += (size_t)got;
    }
    return 1;
}

/* Receive a frame: its length, or -1: it hung up. */
static inline int stranger_hear(int fd, unsigned char *bytes, size_t room)
{
    unsigned char head[4];
    size_t n;

    if (!stranger_read(fd, head, 4))
        return -1;
    n = (size_t)head[2] << 8 | head[3];
    CHECK(head[0] == 0 && head[1] == 0 && n <= room);
    return stranger_read(fd, bytes, n) ? (int)n : -1;
}

/* "{sha256}" and the signature of a message. */
static inline void stranger_sign(const char *key, const void *message, size_t n,
                                 unsigned char out[40])
{
    unsigned bytes = 0;

    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)"{sha256}"[i];
    CHECK(HMAC(EVP_sha256(), key, (int)strlen(key), message, n, out + 8, &bytes) != NULL);
    CHECK_EQUAL(bytes, 32);
}

/* Wait until the peer hangs up, whatever it says before. */
static inline void stranger_expect_end(int fd)
{
    char bytes[256];

    while (recv(fd, bytes, sizeof bytes, 0) > 0) {
    }
    close(fd);
}

#endif
