/* SPDX-License-Identifier: MIT */
/*
 * sides.h - a listener here, and a client in a thread
 *
 * OPEN(...) opens `listener` and CALL(...) `pipe`, with the key of strangers.h.
 */
#ifndef MANY_TESTS_REMOTE_SIDES_H
#define MANY_TESTS_REMOTE_SIDES_H

#include "remote/strangers.h"

#include <pthread.h>

#define OPEN(...) many_listener_open(&listener, .key = KEY, .key_bytes = KEY_BYTES, __VA_ARGS__)
#define CALL(...) many_client_open(&pipe, .key = KEY, .key_bytes = KEY_BYTES, __VA_ARGS__)

typedef struct caller {
    const char *address;
    const char *key;
    int code;
    many_pipe *pipe;
    pthread_t thread;
} caller;

static inline void *call(void *argument)
{
    caller *c = argument;

    c->code = many_client_open(&c->pipe, .address = c->address, .key = c->key,
                               .key_bytes = c->key != NULL ? strlen(c->key) : 0, .timeout_s = 30);
    return NULL;
}

static inline void call_begin(caller *c, const char *address, const char *key)
{
    *c = (caller){.address = address, .key = key};
    CHECK(pthread_create(&c->thread, NULL, call, c) == 0);
}

static inline int call_end(caller *c)
{
    pthread_join(c->thread, NULL);
    return c->code;
}

static inline void check_echo(many_pipe *one, many_pipe *other)
{
    char message[16];

    CHECK_CODE(many_pipe_send(one, "ping", 4, 5), 0);
    CHECK_CODE(many_pipe_receive(other, message, sizeof message, 5), 4);
    CHECK_BYTES(message, "ping", 4);
    CHECK_CODE(many_pipe_send(other, "pong!", 5, 5), 0);
    CHECK_CODE(many_pipe_receive(one, message, sizeof message, 5), 5);
}

static inline const char *file_address(void)
{
    static char address[300];

    snprintf(address, sizeof address, "unix:%s/socket", test_directory());
    return address;
}

static inline const char *abstract_address(void)
{
    static char address[64];
    static int count;

    snprintf(address, sizeof address, "unix:@many-test-%d-%d", (int)getpid(), ++count);
    return address;
}

#endif
