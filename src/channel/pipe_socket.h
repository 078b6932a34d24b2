/* SPDX-License-Identifier: MIT */
/*
 * pipe_socket.h - what sending (pipe_socket.c) and receiving (pipe_frame.c) on a socket share
 */
#ifndef MANY_CHANNEL_PIPE_SOCKET_H
#define MANY_CHANNEL_PIPE_SOCKET_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include <many/sync.h>

#include "channel/pipe_kind.h"

#define MANY_SOCKET_HEAD_MOST_  12
#define MANY_SOCKET_ASIDE_MOST_ 64

/* In the file of the state: here begin the bytes of a message that came in part. */
#define MANY_SOCKET_KEPT_AT_ 65536

/* Why a direction is over; 0: it is not. */
enum {
    MANY_SOCKET_OPEN_,
    MANY_SOCKET_DEAD_,
    MANY_SOCKET_TORN_,
    MANY_SOCKET_LONG_,
    MANY_SOCKET_ALIEN_,
    MANY_SOCKET_HUNG_UP_,
    MANY_SOCKET_LOST_
};

/* In memory that all who have this end share. */
typedef struct many_socket_state_ {
    uint64_t magic;
    uint64_t message_max;
    many_lock put_lock;
    many_lock get_lock;
    _Atomic uint32_t sending;   /* 1: the put-lock's owner is in the middle of a frame */
    _Atomic uint32_t receiving; /* 1: the get-lock's owner is, and has bytes that are not kept */
    _Atomic uint32_t send_over; /* why */
    _Atomic uint32_t receive_over;
    /* The frame that has come in part; under the get-lock. */
    uint32_t head_bytes; /* so many of its length have been taken from the socket */
    unsigned char head[MANY_SOCKET_HEAD_MOST_];
    uint64_t kept; /* so many of its bytes lie in the file */
} many_socket_state_;

struct many_pipe_socket_ {
    many_socket_state_ *state;
    int fd;
    int file; /* of the state */
    uint64_t fd_file, file_file;
    int local; /* AF_UNIX: carries descriptors */
    /* Descriptors that came before a message that was received; of one process, this one or, if it
     * is a forked child's copy, its parent; under the get-lock. */
    int aside_count;
    uint64_t aside_process;
    int aside[MANY_SOCKET_ASIDE_MOST_];
};

/* A direction is over, because of a reason above: the code for callers, and call->why. */
int many_socket_why_(uint32_t over, many_pipe_call_ *call);
int many_socket_end_sending_(many_pipe_socket_ *end, uint32_t over, many_pipe_call_ *call);
int many_socket_end_receiving_(many_pipe_socket_ *end, uint32_t over, many_pipe_call_ *call);

/* Take a lock; ends the direction if the last owner died in the middle. 0, -ETIMEDOUT, -EINTR. */
int many_socket_take_put_(many_pipe_socket_ *end, int64_t deadline_ns);
int many_socket_take_get_(many_pipe_socket_ *end, int64_t deadline_ns);

/* Is somebody in the middle of a frame, and dead? Then that direction is over. */
void many_socket_look_after_(many_pipe_socket_ *end);

/* Sleep for a slice, with no lock held; then look whether somebody died in the middle. 0: look
 * again; -ETIMEDOUT, -EINTR. */
int many_socket_sleep_(many_pipe_socket_ *end, short events, const many_pipe_call_ *call);

/*
 * With the get-lock held. front: the descriptor at the front of the socket; -ENOMSG: a message is
 * there; -EMFILE: one was there, and is lost; -EAGAIN, -EPIPE. aside_put: put that descriptor
 * aside, if there is one: 0; -ENOSPC: no place is left; -EAGAIN, -EPIPE. aside_own: those put
 * aside are this process's.
 */
int many_socket_front_(many_pipe_socket_ *end);
int many_socket_aside_put_(many_pipe_socket_ *end);
void many_socket_aside_own_(many_pipe_socket_ *end);

#endif
