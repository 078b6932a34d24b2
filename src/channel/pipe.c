/* SPDX-License-Identifier: MIT */
/*
 * pipe.c - the public verbs of a pipe: arguments are looked at, words are found; the work is done
 * by its kind (pipe_ring.c, pipe_socket.c)
 */
#include "channel/pipe.h"

#include <errno.h>
#include <stdlib.h>

#include "base/options.h"
#include "channel/pipe_kind.h"
#include "os/clock.h"

_Static_assert(sizeof(many_pipe_options) ==
                   3 * sizeof(size_t) + 3 * sizeof(void *) + 2 * sizeof(int),
               "no padding in an options struct");
_Static_assert(sizeof(many_pipe_adopt_options) ==
                   2 * sizeof(size_t) + 2 * sizeof(void *) + 2 * sizeof(int),
               "no padding in an options struct");

/* ---- open ---- */

int many_pipe_open_with(const many_pipe_options *options)
{
    many_pipe_options o;
    int code = many_options_read_(&o, sizeof o, options, "many_pipe_open");
    many_pipe *one, *other;

    if (code < 0)
        return code;
    if (o.one == NULL || o.other == NULL)
        return many_fail(-EINVAL, "many_pipe_open: %s is NULL: give both ends a place",
                         o.one == NULL ? "one" : "other");
    *o.one = *o.other = NULL;
    if (o.one == o.other)
        return many_fail(-EINVAL, "many_pipe_open: one and other are the same place");
    if (o.reserved != 0)
        return many_fail(-EINVAL, "many_pipe_open: .reserved is %d: leave it zero", o.reserved);
    if (o.one_way != 0 && o.one_way != 1)
        return many_fail(-EINVAL, "many_pipe_open: .one_way is %d: 0 or 1", o.one_way);
    one = calloc(1, sizeof *one);
    other = calloc(1, sizeof *other);
    code = one == NULL || other == NULL ? -ENOMEM : many_pipe_ring_open_(one, other, &o);
    if (code < 0) {
        free(one);
        free(other);
        return many_fail(code, "many_pipe_open: %s",
                         code == -ENOMEM ? "no memory" : "no descriptors to be had: it needs six");
    }
    *o.one = one;
    *o.other = other;
    return 0;
}

int many_pipe_adopt_with(const many_pipe_adopt_options *options)
{
    many_pipe_adopt_options o;
    int code = many_options_read_(&o, sizeof o, options, "many_pipe_adopt");
    const char *why = NULL;
    many_pipe *pipe;

    if (code < 0)
        return code;
    if (o.pipe == NULL)
        return many_fail(-EINVAL, "many_pipe_adopt: pipe is NULL: give it a place");
    *o.pipe = NULL;
    if (o.reserved != 0)
        return many_fail(-EINVAL, "many_pipe_adopt: .reserved is %d: leave it zero", o.reserved);
    pipe = calloc(1, sizeof *pipe);
    code = pipe == NULL ? -ENOMEM : many_pipe_socket_open_(pipe, &o, &why);
    if (code == 0) {
        *o.pipe = pipe;
        return 0;
    }
    free(pipe);
    if (why == NULL)
        why = code == -EBADF      ? "it is not open"
              : code == -ENOTSOCK ? "it is no stream socket"
              : code == -ENOMEM   ? "no memory"
                                  : "no more descriptors to be had";
    return many_fail(code, "many_pipe_adopt: descriptor %d: %s", o.descriptor, why);
}

int many_pipe_share_(many_pipe *pipe, int fds[MANY_PIPE_FDS_])
{
    if (pipe == NULL)
        return -EINVAL;
    if (pipe->ring != NULL)
        many_pipe_ring_share_(pipe->ring, fds);
    else
        many_pipe_socket_share_(pipe->socket, fds);
    return 0;
}

int many_pipe_adopt_fds_(many_pipe **pipe, const int fds[MANY_PIPE_FDS_])
{
    many_pipe *made = calloc(1, sizeof *made);
    int code;

    *pipe = NULL;
    if (made == NULL)
        return many_fail(-ENOMEM, "many_pipe: no memory");
    code = many_pipe_socket_adopt_(made, fds);
    if (code == -EBADMSG)
        code = many_pipe_ring_adopt_(made, fds);
    if (code < 0) {
        free(made);
        return many_fail(code, "many_pipe: descriptors %d and %d are no end of a pipe", fds[0],
                         fds[1]);
    }
    *pipe = made;
    return 0;
}

void many_pipe_hold_(many_pipe *pipe, many_identity_ who)
{
    if (pipe != NULL && pipe->ring != NULL)
        many_pipe_ring_hold_(pipe->ring, who);
}

/* ---- words ---- */

/* What there is to say of a failure of an ordinary kind. */
static const char *pipe_words(int code)
{
    switch (code) {
    case -ETIMEDOUT:
        return "not in time";
    case -EPIPE:
        return "the other end is closed, or its holders are dead";
    case -EINTR:
        return "a signal handler ran";
    case -ENOMEM:
        return "no memory";
    case -EMFILE:
        return "a descriptor came, and there was no place for it: it is lost";
    case -ENOTSUP:
        return "only local connections carry descriptors";
    case -EBADMSG:
        return "the shared memory of the pipe does not hold what it should";
    default:
        return "failed";
    }
}

static int pipe_fail(int code, const char *function, const many_pipe_call_ *call)
{
    return many_fail(code, "%s: %s", function, call->why != NULL ? call->why : pipe_words(code));
}

/* Is it open, and does this end serve; the call begins. 0 or a code, with words. */
static int pipe_begin(const many_pipe *pipe, int may, double timeout_s, const char *function,
                      many_pipe_call_ *call)
{
    int code;

    if (pipe == NULL)
        return many_fail(-EINVAL, "%s: pipe is NULL: open one first", function);
    code = many_timeout_check_(timeout_s, function);
    if (code < 0)
        return code;
    if (!may)
        return many_fail(-EBADF, "%s: this end of a one-way pipe only %s", function,
                         pipe->sends ? "sends" : "receives");
    call->deadline_ns = timeout_s == 0 ? 0 : many_deadline_ns_(timeout_s);
    call->why = NULL;
    return 0;
}

#define PIPE_SENDS(pipe)    ((pipe) != NULL && (pipe)->sends)
#define PIPE_RECEIVES(pipe) ((pipe) != NULL && (pipe)->receives)

/* ---- messages ---- */

int many_pipe_send(many_pipe *pipe, const void *message, size_t bytes, double timeout_s)
{
    static const char function[] = "many_pipe_send";
    many_pipe_call_ call;
    int code = pipe_begin(pipe, PIPE_SENDS(pipe), timeout_s, function, &call);

    if (code < 0)
        return code;
    if (message == NULL && bytes > 0)
        return many_fail(-EINVAL, "%s: message is NULL, and bytes %zu", function, bytes);
    if (bytes > pipe->message_max)
        return many_fail(-EMSGSIZE, "%s: %zu bytes are more than .message_max, %llu", function,
                         bytes, (unsigned long long)pipe->message_max);
    code = pipe->ring != NULL ? many_pipe_ring_send_(pipe->ring, message, bytes, &call)
                              : many_pipe_socket_send_(pipe->socket, message, bytes, &call);
    return code < 0 ? pipe_fail(code, function, &call) : code;
}

/* Words for a failed receive. */
static ssize_t pipe_not_received(ssize_t code, const char *function, const many_pipe_call_ *call)
{
    if (code == -EPIPE && call->why == NULL)
        return many_fail(-EPIPE, "%s: the end of the stream: the other end is closed", function);
    return pipe_fail((int)code, function, call);
}

ssize_t many_pipe_receive(many_pipe *pipe, void *message, size_t room, double timeout_s)
{
    static const char function[] = "many_pipe_receive";
    many_pipe_call_ call;
    ssize_t got = pipe_begin(pipe, PIPE_RECEIVES(pipe), timeout_s, function, &call);

    if (got < 0)
        return got;
    if (message == NULL && room > 0)
        return many_fail(-EINVAL, "%s: message is NULL, and room %zu", function, room);
    got = pipe->ring != NULL ? many_pipe_ring_receive_(pipe->ring, message, room, &call)
                             : many_pipe_socket_receive_(pipe->socket, message, room, &call);
    if (got == -EMSGSIZE)
        return many_fail(-EMSGSIZE, "%s: the message is longer than room, %zu", function, room);
    return got < 0 ? pipe_not_received(got, function, &call) : got;
}

ssize_t many_pipe_receive_new(many_pipe *pipe, void **message, double timeout_s)
{
    static const char function[] = "many_pipe_receive_new";
    many_pipe_call_ call;
    ssize_t got;

    if (message == NULL)
        return many_fail(-EINVAL, "%s: message is NULL: give it a place", function);
    *message = NULL;
    got = pipe_begin(pipe, PIPE_RECEIVES(pipe), timeout_s, function, &call);
    if (got < 0)
        return got;
    got = pipe->ring != NULL ? many_pipe_ring_receive_new_(pipe->ring, message, &call)
                             : many_pipe_socket_receive_new_(pipe->socket, message, &call);
    return got < 0 ? pipe_not_received(got, function, &call) : got;
}

ssize_t many_pipe_peek(many_pipe *pipe, double timeout_s)
{
    static const char function[] = "many_pipe_peek";
    many_pipe_call_ call;
    ssize_t length = pipe_begin(pipe, PIPE_RECEIVES(pipe), timeout_s, function, &call);

    if (length < 0)
        return length;
    length = pipe->ring != NULL ? many_pipe_ring_peek_(pipe->ring, &call)
                                : many_pipe_socket_peek_(pipe->socket, &call);
    return length < 0 ? pipe_not_received(length, function, &call) : length;
}

int many_pipe_ready_(many_pipe *pipe, many_pipe_call_ *call)
{
    ssize_t length = pipe->ring != NULL ? many_pipe_ring_ready_(pipe->ring, call)
                                        : many_pipe_socket_peek_(pipe->socket, call);

    if (length >= 0 || length == -EPIPE || length == -EBADMSG)
        return 1;
    return length == -ETIMEDOUT ? 0 : (int)length;
}

int many_pipe_poll(many_pipe *pipe, double timeout_s)
{
    static const char function[] = "many_pipe_poll";
    many_pipe_call_ call;
    int ready = pipe_begin(pipe, PIPE_RECEIVES(pipe), timeout_s, function, &call);

    if (ready < 0)
        return ready;
    ready = many_pipe_ready_(pipe, &call);
    return ready < 0 ? pipe_fail(ready, function, &call) : ready;
}

/* ---- descriptors ---- */

int many_pipe_send_descriptor(many_pipe *pipe, int descriptor, double timeout_s)
{
    static const char function[] = "many_pipe_send_descriptor";
    many_pipe_call_ call;
    int code = pipe_begin(pipe, PIPE_SENDS(pipe), timeout_s, function, &call);

    if (code < 0)
        return code;
    code = pipe->ring != NULL ? many_pipe_ring_send_descriptor_(pipe->ring, descriptor, &call)
                              : many_pipe_socket_send_descriptor_(pipe->socket, descriptor, &call);
    if (code == -EBADF)
        return many_fail(code, "%s: %d is not an open descriptor", function, descriptor);
    return code < 0 ? pipe_fail(code, function, &call) : 0;
}

int many_pipe_receive_descriptor(many_pipe *pipe, double timeout_s)
{
    static const char function[] = "many_pipe_receive_descriptor";
    many_pipe_call_ call;
    int code = pipe_begin(pipe, PIPE_RECEIVES(pipe), timeout_s, function, &call);

    if (code < 0)
        return code;
    code = pipe->ring != NULL ? many_pipe_ring_receive_descriptor_(pipe->ring, &call)
                              : many_pipe_socket_receive_descriptor_(pipe->socket, &call);
    return code < 0 ? pipe_fail(code, function, &call) : code;
}

int many_pipe_descriptor(many_pipe *pipe)
{
    if (pipe == NULL)
        return many_fail(-EINVAL, "many_pipe_descriptor: pipe is NULL: open one first");
    return pipe->ring != NULL ? many_pipe_ring_descriptor_(pipe->ring)
                              : many_pipe_socket_descriptor_(pipe->socket);
}

void many_pipe_close(many_pipe *pipe)
{
    if (pipe == NULL)
        return;
    if (pipe->ring != NULL)
        many_pipe_ring_close_(pipe->ring);
    else
        many_pipe_socket_close_(pipe->socket);
    free(pipe);
}
