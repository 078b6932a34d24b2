/* SPDX-License-Identifier: MIT */
/*
 * listener.h - a listener's socket, and the peers that are half-way in
 */
#ifndef MANY_REMOTE_LISTENER_H
#define MANY_REMOTE_LISTENER_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include <many/remote.h>

#include "address.h"
#include "authenticate.h"

#define MANY_LISTENER_HALF_MOST_ 64

/* A peer that has not proved itself yet. */
typedef struct many_listener_half_ {
    int socket; /* -1: this place is free */
    int events; /* what it waits for */
    int64_t deadline_ns;
    uint64_t number; /* the order in which they came */
    many_authenticate_ proof;
} many_listener_half_;

struct many_listener {
    int socket;
    int poll; /* an epoll of the socket and of all that are half-way; the user's descriptor, too */
    pid_t owner; /* the process that has poll and the half-way ones; a forked child makes its own */
    pid_t opener; /* the process that removes the file */
    dev_t device; /* the file's */
    ino_t inode;
    int in_files;
    int local;
    char name[MANY_ADDRESS_TEXT_];
    void *key;
    size_t key_bytes;
    int64_t handshake_ns;
    size_t message_max;
    _Atomic uint64_t refused;
    uint64_t came;
    many_listener_half_ half[MANY_LISTENER_HALF_MOST_];
};

/* Bind and listen, in listener_bind.c: 0 or negative, with words. Fills socket, name, and what is
 * known of the file. */
int many_listener_bind_(many_listener *listener, const char *address, int backlog, int open);

/* Remove the socket file, if it is still ours, and we are the process that opened it. */
void many_listener_unlink_(const many_listener *listener);

#endif
