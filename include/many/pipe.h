/* SPDX-License-Identifier: MIT */
/*
 * pipe.h - two ends that talk (Python's multiprocessing.Pipe, Connection, connection.wait)
 *
 * What all of many/channel.h have in common stands there.
 */
#ifndef MANY_PIPE_H
#define MANY_PIPE_H

#include <many/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One end of a pipe: a connection. */
typedef struct many_pipe many_pipe;

typedef struct many_pipe_options {
    size_t size;                /* sizeof this struct; the macro fills it */
    many_pipe **one;            /* receives one end; required, the macro's first argument */
    many_pipe **other;          /* receives the other; required, the macro's second argument */
    struct many_named_ *named_; /* keeps options named; leave it alone */
    int one_way;                /* 1: one receives and other sends, as Pipe(duplex=False) */
    int reserved;               /* zero */
    size_t capacity_bytes;      /* bytes each direction holds before send waits; 0: 1 MiB. A longer
                                   message passes all the same, when it is alone. There are never
                                   more messages than that either, so that empty ones are bounded,
                                   too. */
    size_t message_max;         /* bytes a message may have; 0: no bound but memory */
} many_pipe_options;

/*
 * many_pipe_open - begin a pipe: two connected ends, each may send and receive
 *
 *   one, other  receive the ends; NULL after a failure
 *   options     by name: many_pipe_open(&one, &other, .one_way = 1)
 *
 * returns   0
 *           -EINVAL  options make no sense
 *           -E2BIG   an option is set that this library is too old for
 *           -ENOMEM  not so much memory
 *           -EMFILE, -ENFILE  no descriptors to be had (each end needs three)
 * blocks    never
 * threads   any
 * fork      children that are forked later have both ends; each closes the one it does not use
 * signals   not from a signal handler
 * death     an end is over when nobody has it any more; or when all who have used it, or were given
 *             it by .inherits, have been dead for a quarter of a second, even if others hold copies.
 *             Who uses it then lets it live again.
 * source    Python multiprocessing.Pipe(duplex), socketpair(2)
 */
MANY_API int many_pipe_open_with(const many_pipe_options *options);

#ifndef __cplusplus
#define many_pipe_open(one_, ...)                                                                  \
    many_pipe_open_with(&(many_pipe_options){                                                      \
        .size = sizeof(many_pipe_options), .one = (one_), .other = __VA_ARGS__})
#endif

typedef struct many_pipe_adopt_options {
    size_t size;                /* sizeof this struct; the macro fills it */
    many_pipe **pipe;           /* receives the handle; required, the macro's first argument */
    struct many_named_ *named_; /* keeps options named; leave it alone */
    int descriptor;             /* a connected stream socket; the pipe's own after success */
    int reserved;               /* zero */
    size_t message_max; /* bytes a message may have; 0: 1 GiB. A longer one that is announced
                                   by the peer ends the connection. */
} many_pipe_adopt_options;

/*
 * many_pipe_adopt - make a connected stream socket (AF_UNIX, TCP) one end of a pipe
 *
 * The other end is a many_pipe_adopt() there, or Python's multiprocessing.connection.Connection with
 * send_bytes and recv_bytes: a message is its length in four bytes, big end first (-1 and eight
 * bytes from 2^31 up), and its bytes. Listener and client (many/remote.h) stand on it.
 *
 *   pipe     receives the handle; NULL after a failure
 *   options  by name: many_pipe_adopt(&pipe, .descriptor = fd)
 *
 * returns   0
 *           -ENOTSOCK  descriptor is no stream socket
 *           -EBADF     not an open descriptor
 *           -EINVAL    options make no sense
 *           -E2BIG     an option is set that this library is too old for
 *           -ENOMEM    not so much memory
 *           -EMFILE, -ENFILE  no descriptors to be had (it needs one besides)
 * blocks    never
 * threads   any
 * fork      children that are forked later have it, too
 * signals   not from a signal handler
 * source    Python multiprocessing.connection.Connection(handle)
 */
MANY_API int many_pipe_adopt_with(const many_pipe_adopt_options *options);

#ifndef __cplusplus
#define many_pipe_adopt(...)                                                                       \
    many_pipe_adopt_with(                                                                          \
        &(many_pipe_adopt_options){.size = sizeof(many_pipe_adopt_options), .pipe = __VA_ARGS__})
#endif

/*
 * many_pipe_send - send one message to the other end, waiting for room
 *
 *   pipe       an end that may send
 *   message    bytes bytes; copied before return. NULL with 0 bytes
 *   bytes      0 .. message_max
 *   timeout_s  seconds to wait for room; 0: do not wait; MANY_FOREVER: no limit
 *
 * returns   0           sent
 *           -ETIMEDOUT  no room in time; nothing was sent. On a socket, when part of the message was
 *                       on its way already: -EPIPE, and the connection is over
 *           -EPIPE      the other end is closed, or all who held it are dead
 *           -EMSGSIZE   more than message_max
 *           -EBADF      this end of a one-way pipe only receives
 *           -ENOMEM     no memory for it
 *           -EINTR      a signal handler ran on this thread; nothing was sent. On a socket, when part
 *                       of the message was on its way already, the wait goes on
 *           -EINVAL     pipe is NULL, message is NULL and bytes is not 0, or the timeout makes no sense
 * blocks    at most timeout_s, or until there is room, or the other end is gone
 * threads   any number, in any process that has this end; messages stay whole
 * fork      usable in a forked child
 * signals   not from a signal handler; raises no SIGPIPE
 * death     killed in this call: the message was sent, or not. On a socket: a part of it ends the
 *           connection.
 * source    Python Connection.send_bytes
 */
MANY_API int many_pipe_send(many_pipe *pipe, const void *message, size_t bytes, double timeout_s);

/*
 * many_pipe_receive - receive one message into a buffer, waiting for it
 *
 *   pipe       an end that may receive
 *   message    room for room bytes
 *   room       when it is too small, the message stays
 *   timeout_s  seconds to wait; 0: do not wait; MANY_FOREVER: no limit
 *
 * returns   0 or more   the length of the message
 *           -ETIMEDOUT  none came in time
 *           -EPIPE      end of the stream: nothing is left, and the other end is closed, or all who held
 *                       it are dead (Python's EOFError)
 *           -EMSGSIZE   the message is longer than room (many_pipe_peek() tells its length)
 *           -EBADMSG    a peer on a socket announced more than message_max; the connection is over
 *           -EBADF      this end of a one-way pipe only sends
 *           -EINTR      a signal handler ran on this thread; nothing was received
 *           -EINVAL     pipe is NULL, message is NULL and room is not 0, or the timeout makes no sense
 * blocks    at most timeout_s, or until a message is here, or the other end is gone
 * threads   any number, in any process that has this end; each message goes to one of them
 * fork      usable in a forked child
 * signals   not from a signal handler
 * death     killed in this call: the message was received, or not. On a socket: killed in the middle of
 *           one ends the connection for those who share this end.
 * source    Python Connection.recv_bytes_into, recv_bytes(maxlength)
 */
MANY_API ssize_t many_pipe_receive(many_pipe *pipe, void *message, size_t room, double timeout_s);

/*
 * many_pipe_receive_new - receive one message, of whatever length, into memory of its own
 *
 * As many_pipe_receive().
 *
 *   message  receives memory that the caller frees with free(); never NULL after success
 *
 * returns   0 or more   the length of the message
 *           -ENOMEM     no memory for it; it stays
 *           others as many_pipe_receive()
 * source    Python Connection.recv_bytes
 */
MANY_API ssize_t many_pipe_receive_new(many_pipe *pipe, void **message, double timeout_s);

/*
 * many_pipe_peek - the length of the next message, which stays
 *
 * As many_pipe_receive().
 *
 * returns   0 or more   its length
 *           -ETIMEDOUT, -EPIPE, -EBADMSG, -EBADF, -EINTR, -EINVAL  as many_pipe_receive()
 */
MANY_API ssize_t many_pipe_peek(many_pipe *pipe, double timeout_s);

/*
 * many_pipe_poll - is there something to receive?
 *
 *   pipe       an end that may receive
 *   timeout_s  seconds to wait for it; 0: just look; MANY_FOREVER: no limit
 *
 * returns   1           a message, or the end of the stream: receive would not wait. On a socket: its
 *                       length is here; the rest may be on its way still
 *           0           nothing in time
 *           -EBADF, -EINTR, -EINVAL  as many_pipe_receive()
 * blocks    at most timeout_s
 * threads   any number
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python Connection.poll(timeout)
 */
MANY_API int many_pipe_poll(many_pipe *pipe, double timeout_s);

/*
 * many_pipe_send_descriptor - hand an open file to the process at the other end
 *
 *   pipe        an end of many_pipe_open(), or of an AF_UNIX socket
 *   descriptor  stays the caller's; the receiver gets a copy
 *   timeout_s   seconds to wait for room
 *
 * returns   0
 *           -EBADF    not an open descriptor, or this end only receives
 *           -ENOTSUP  a TCP connection carries no descriptors
 *           -EPIPE, -ETIMEDOUT, -EINTR, -EINVAL  as many_pipe_send()
 * order     descriptors arrive in order; a message that announces one may arrive before it. On a
 *           socket messages and descriptors are one stream: receive a message that comes first before
 *           the descriptor. (The other way round there is no need: up to 64 descriptors that come
 *           before a message are put aside, in the process that receives it.)
 * blocks    at most timeout_s
 * threads   any number
 * fork      usable in a forked child
 * signals   not from a signal handler
 * death     killed in this call: it was sent, or not
 * source    Python multiprocessing.reduction.send_handle, SCM_RIGHTS of unix(7)
 */
MANY_API int many_pipe_send_descriptor(many_pipe *pipe, int descriptor, double timeout_s);

/*
 * many_pipe_receive_descriptor - receive an open file
 *
 * returns   a descriptor, the caller's to close (close-on-exec is set)
 *           -EMFILE   no place for it; it is lost
 *           -ENOTSUP, -EPIPE, -ETIMEDOUT, -EBADF, -EINTR, -EINVAL  as many_pipe_send_descriptor()
 * blocks    at most timeout_s, or until one is here, or the other end is gone
 * threads   any number
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python multiprocessing.reduction.recv_handle
 */
MANY_API int many_pipe_receive_descriptor(many_pipe *pipe, double timeout_s);

/*
 * many_pipe_wait - wait until at least one of several has something to receive
 *
 *   pipes      n ends that may receive; a NULL among them is never ready
 *   n          1 or more
 *   ready      n flags: 1 for each that many_pipe_poll() would say 1 of, else 0; may be NULL
 *   timeout_s  seconds to wait; 0: just look; MANY_FOREVER: no limit
 *
 * To wait for other things too (a child's end, a queue, a socket), poll() their descriptors.
 *
 * returns   1 .. n      so many are ready
 *           0           none in time
 *           -EINTR, -EBADF, -EINVAL  as many_pipe_receive()
 *           -ENOMEM     no memory for the poll
 * blocks    at most timeout_s
 * threads   any
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python multiprocessing.connection.wait
 */
MANY_API int many_pipe_wait(many_pipe *const *pipes, size_t n, int *ready, double timeout_s);

/*
 * many_pipe_descriptor - a descriptor that is readable while there is something to receive
 *
 * For poll, select, epoll (level triggered); also at the end of the stream, but for an end whose
 * holders are all dead while another process has a copy of it: that is seen by many_pipe_wait() and
 * receive. It may be readable a moment too long, never too short: receive without waiting, and
 * expect -ETIMEDOUT. From the first call on a message that comes to an empty pipe costs a system call.
 *
 * returns   a descriptor, the pipe's own: poll it, do not read or close it. -EINVAL for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python Connection.fileno
 */
MANY_API int many_pipe_descriptor(many_pipe *pipe);

/*
 * many_pipe_close - take this end out of this process
 *
 * The other end sees the end of the stream when nobody has this one any more.
 *
 * blocks    never
 * threads   the last one to use it; NULL does nothing
 * fork      a child closes its own
 * signals   not from a signal handler
 * source    Python Connection.close
 */
MANY_API void many_pipe_close(many_pipe *pipe);

#ifdef __cplusplus
}
#endif

#endif
