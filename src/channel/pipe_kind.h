/* SPDX-License-Identifier: MIT */
/*
 * pipe_kind.h - the two kinds of a pipe, as the public verbs (pipe.c) see them
 *
 * ring    made by many_pipe_open(): two rings in shared memory, and a socket pair (pipe_ring.c)
 * socket  made by many_pipe_adopt(): frames on a connected stream socket (pipe_socket.c)
 *
 * Arguments have been looked at already. No words are left, but .why may be set for a code that
 * has more than one reason.
 */
#ifndef MANY_CHANNEL_PIPE_KIND_H
#define MANY_CHANNEL_PIPE_KIND_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <many/channel.h>

#include "channel/pipe.h"

/* One call: when it has to be over, and what there is to say of its failure. */
typedef struct many_pipe_call_ {
    int64_t deadline_ns; /* 0: do not wait */
    const char *why;     /* NULL: nothing beyond the code */
} many_pipe_call_;

typedef struct many_pipe_ring_ many_pipe_ring_;
typedef struct many_pipe_socket_ many_pipe_socket_;

struct many_pipe {
    many_pipe_ring_ *ring; /* one of the two is NULL */
    many_pipe_socket_ *socket;
    uint64_t message_max; /* UINT64_MAX: no bound but memory */
    int sends;            /* this end may */
    int receives;
};

/* Would a receive, or its failure at the end of the stream, come at once: 1 or 0 by the deadline;
 * or negative. */
int many_pipe_ready_(many_pipe *pipe, many_pipe_call_ *call);

/* ---- ring ---- */

int many_pipe_ring_open_(many_pipe *one, many_pipe *other, const many_pipe_options *options);
int many_pipe_ring_adopt_(many_pipe *pipe, const int fds[MANY_PIPE_FDS_]);
int many_pipe_ring_send_(many_pipe_ring_ *end, const void *message, size_t bytes,
                         many_pipe_call_ *call);
ssize_t many_pipe_ring_receive_(many_pipe_ring_ *end, void *message, size_t room,
                                many_pipe_call_ *call);
ssize_t many_pipe_ring_receive_new_(many_pipe_ring_ *end, void **message, many_pipe_call_ *call);
ssize_t many_pipe_ring_peek_(many_pipe_ring_ *end, many_pipe_call_ *call);
int many_pipe_ring_ready_(many_pipe_ring_ *end, many_pipe_call_ *call); /* 0: a message is there */
int many_pipe_ring_send_descriptor_(many_pipe_ring_ *end, int descriptor, many_pipe_call_ *call);
int many_pipe_ring_receive_descriptor_(many_pipe_ring_ *end, many_pipe_call_ *call);
int many_pipe_ring_descriptor_(many_pipe_ring_ *end);
int many_pipe_ring_empty_(
    const many_pipe_ring_ *end); /* 1: nothing there, as far as a look tells */
void many_pipe_ring_share_(const many_pipe_ring_ *end, int fds[MANY_PIPE_FDS_]);
void many_pipe_ring_hold_(many_pipe_ring_ *end, many_identity_ who);
void many_pipe_ring_close_(many_pipe_ring_ *end);

/* ---- socket ---- */

int many_pipe_socket_open_(many_pipe *pipe, const many_pipe_adopt_options *options,
                           const char **why);
int many_pipe_socket_adopt_(many_pipe *pipe, const int fds[MANY_PIPE_FDS_]);
int many_pipe_socket_send_(many_pipe_socket_ *end, const void *message, size_t bytes,
                           many_pipe_call_ *call);
ssize_t many_pipe_socket_receive_(many_pipe_socket_ *end, void *message, size_t room,
                                  many_pipe_call_ *call);
ssize_t many_pipe_socket_receive_new_(many_pipe_socket_ *end, void **message,
                                      many_pipe_call_ *call);
ssize_t many_pipe_socket_peek_(many_pipe_socket_ *end, many_pipe_call_ *call);
int many_pipe_socket_send_descriptor_(many_pipe_socket_ *end, int descriptor,
                                      many_pipe_call_ *call);
int many_pipe_socket_receive_descriptor_(many_pipe_socket_ *end, many_pipe_call_ *call);
int many_pipe_socket_descriptor_(const many_pipe_socket_ *end);
void many_pipe_socket_share_(const many_pipe_socket_ *end, int fds[MANY_PIPE_FDS_]);
void many_pipe_socket_close_(many_pipe_socket_ *end);

#endif
