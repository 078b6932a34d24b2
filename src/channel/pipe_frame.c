/* SPDX-License-Identifier: MIT */
/*
 * pipe_frame.c - receive frames from a socket; the protocol stands in pipe_socket.c
 *
 * The length is looked at in the socket, and taken from there together with what follows it; so a
 * frame whose length alone was asked for, or that nobody has room for, is still there whole. Only
 * of a length that has come in part the part is taken, lest a poll say for ever that something
 * came.
 */
#include "channel/pipe_socket.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fault.h"
#include "channel/pass.h"
#include "os/clock.h"
#include "os/memory.h"
#include "sync/lock.h"

#define FRAME_FIRST_BYTES ((size_t)65536) /* memory for a frame of which little has come */
#define FRAME_PUNCH_BYTES UINT64_C(65536) /* kept bytes whose memory is worth giving back */

/* A frame that is being received. */
typedef struct frame {
    uint64_t length;
    unsigned char *bytes;
    uint64_t have;                              /* of them are at bytes */
    uint64_t room;                              /* at bytes */
    int fresh;                                  /* 1: bytes is malloc's, and grows */
    uint32_t ahead;                             /* so many bytes of its length are in the socket */
    unsigned char head[MANY_SOCKET_HEAD_MOST_]; /* the length, whole */
} frame;

static uint64_t frame_number(const unsigned char *digits, int count)
{
    uint64_t number = 0;

    for (int i = 0; i < count; i++)
        number = number << 8 | digits[i];
    return number;
}

static int frame_is_long(const unsigned char head[MANY_SOCKET_HEAD_MOST_])
{
    return frame_number(head, 4) == UINT32_MAX;
}

/* ---- the length ---- */

/* Look at n bytes at the front: how many there are; 0: the end; -EAGAIN, -EPIPE, -ENOMEM. *brings:
 * there may be a descriptor. */
static ssize_t frame_look(int fd, unsigned char *bytes, size_t n, int *brings)
{
    struct iovec part;
    struct msghdr message;
    int code = MANY_FAULT_ERROR("socket.look");
    ssize_t got;

    if (code < 0)
        return code;
    do {
        part = (struct iovec){bytes, n};
        message = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1};
        got = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    *brings = got > 0 && (message.msg_flags & MSG_CTRUNC) != 0;
    if (got < 0)
        return errno == EAGAIN ? -EAGAIN : errno == ENOMEM || errno == ENOBUFS ? -ENOMEM : -EPIPE;
    return got;
}

/* Take from the socket the part of a length that is all there is of it. */
static void frame_keep_head(many_pipe_socket_ *end, const unsigned char *bytes, size_t n)
{
    many_socket_state_ *state = end->state;

    atomic_store(&state->receiving, 1);
    many_pass_drop_(end->fd, n);
    MANY_FAULT_POINT("socket.receive.head");
    memcpy(state->head + state->head_bytes, bytes, n);
    state->head_bytes += (uint32_t)n;
    atomic_store(&state->receiving, 0);
}

/* The get-lock is held. 0: f has the length, and f->ahead; -EAGAIN: it has not come; -ENOSPC: too
 * many descriptors come before it; others: over. */
static int frame_begin(many_pipe_socket_ *end, frame *f, many_pipe_call_ *call)
{
    many_socket_state_ *state = end->state;
    uint32_t need = 4;

    for (;;) {
        ssize_t got = 0;
        int brings = 0;

        memcpy(f->head, state->head, state->head_bytes);
        if (need == 4 && state->head_bytes >= 4)
            need = frame_is_long(f->head) ? 12 : 4;
        f->ahead = need - state->head_bytes;
        if (f->ahead > 0)
            got = frame_look(end->fd, f->head + state->head_bytes, f->ahead, &brings);
        if (brings && state->head_bytes == 0) {
            int code = many_socket_aside_put_(end);

            if (code == -ENOSPC)
                call->why = "64 descriptors come before it: receive those first";
            if (code < 0)
                return code;
            continue;
        }
        if (got < 0)
            return (int)got;
        if (got == 0 && f->ahead > 0)
            return state->head_bytes > 0 || state->kept > 0
                       ? many_socket_end_receiving_(end, MANY_SOCKET_HUNG_UP_, call)
                       : -EPIPE;
        if ((uint32_t)got < f->ahead) {
            frame_keep_head(end, f->head + state->head_bytes, (size_t)got);
        } else if (need == 4 && frame_is_long(f->head)) {
            need = 12;
        } else {
            break;
        }
    }
    f->length = frame_number(f->head + (need == 4 ? 0 : 4), need == 4 ? 4 : 8);
    if (need == 4 && f->length > INT32_MAX)
        return many_socket_end_receiving_(end, MANY_SOCKET_ALIEN_, call);
    if (f->length > state->message_max || f->length > SSIZE_MAX)
        return many_socket_end_receiving_(end, MANY_SOCKET_LONG_, call);
    return 0;
}

/* ---- the bytes ---- */

/* Have room for more: as much again as has come, never more than was announced. 0 or -ENOMEM. */
static int frame_grow(frame *f)
{
    uint64_t room = f->have < FRAME_FIRST_BYTES ? FRAME_FIRST_BYTES : 2 * f->have;
    unsigned char *bytes;

    if (room > f->length)
        room = f->length;
    if (!f->fresh || (f->bytes != NULL && room <= f->room))
        return 0;
    bytes = realloc(f->bytes, room > 0 ? (size_t)room : 1);
    if (bytes == NULL)
        return -ENOMEM;
    f->bytes = bytes;
    f->room = room;
    return 0;
}

/* Bytes from or to the file. 0 or -1. */
static int frame_copy(int file, unsigned char *bytes, uint64_t from, uint64_t to, int out)
{
    while (from < to) {
        off_t at = (off_t)(MANY_SOCKET_KEPT_AT_ + from);
        size_t n = (size_t)(to - from);
        ssize_t done = out ? pwrite(file, bytes + from, n, at) : pread(file, bytes + from, n, at);

        if (done > 0)
            from += (uint64_t)done;
        else if (done == 0 || errno != EINTR)
            return -1;
    }
    return 0;
}

/* Leave the frame as far as it has come to whoever receives next; then reason is why. */
static int frame_keep(many_pipe_socket_ *end, frame *f, int reason, many_pipe_call_ *call)
{
    many_socket_state_ *state = end->state;

    if (f->have > state->kept &&
        (many_memory_file_grow_(end->file, (size_t)(MANY_SOCKET_KEPT_AT_ + state->kept),
                                (size_t)(MANY_SOCKET_KEPT_AT_ + f->have)) < 0 ||
         frame_copy(end->file, f->bytes, state->kept, f->have, 1) < 0))
        return many_socket_end_receiving_(end, MANY_SOCKET_LOST_, call);
    MANY_FAULT_POINT("socket.receive.kept");
    state->kept = f->have;
    atomic_store(&state->receiving, 0);
    return reason;
}

/* Take what is there of the frame: how many bytes, 0: the peer hung up, or negative. */
static ssize_t frame_read(many_pipe_socket_ *end, frame *f)
{
    unsigned char scratch[MANY_SOCKET_HEAD_MOST_];
    struct iovec parts[2] = {{scratch, f->ahead},
                             {f->bytes + f->have, (size_t)(f->room - f->have)}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    int code = MANY_FAULT_ERROR("socket.read");
    uint32_t head;
    ssize_t got;

    if (code < 0)
        return code;
    if (f->length - f->have < parts[1].iov_len)
        parts[1].iov_len = (size_t)(f->length - f->have);
    do
        got = recvmsg(end->fd, &message, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? -EAGAIN : errno == ENOMEM || errno == ENOBUFS ? -ENOMEM : 0;
    head = (uint64_t)got < f->ahead ? (uint32_t)got : f->ahead;
    memcpy(end->state->head + end->state->head_bytes, scratch, head);
    end->state->head_bytes += head;
    f->ahead -= head;
    f->have += (uint64_t)got - head;
    return got;
}

/* The frame is delivered. */
static void frame_finish(many_pipe_socket_ *end)
{
    many_socket_state_ *state = end->state;
    const uint64_t kept = state->kept;

    state->head_bytes = 0;
    state->kept = 0;
    MANY_FAULT_POINT("socket.receive.taken");
    atomic_store(&state->receiving, 0);
    if (kept >= FRAME_PUNCH_BYTES) {
        const size_t page = many_memory_page_();
        const size_t upto = (size_t)(MANY_SOCKET_KEPT_AT_ + kept) / page * page;

        many_memory_file_punch_(end->file, MANY_SOCKET_KEPT_AT_, upto);
    }
}

/* The get-lock is held, the length is known, and all of it fits. The length or negative. */
static ssize_t frame_receive(many_pipe_socket_ *end, frame *f, many_pipe_call_ *call)
{
    many_socket_state_ *state = end->state;

    f->have = state->kept;
    if (frame_grow(f) < 0) {
        f->have = 0;
        return -ENOMEM;
    }
    if (frame_copy(end->file, f->bytes, 0, f->have, 0) < 0)
        return many_socket_end_receiving_(end, MANY_SOCKET_LOST_, call);
    atomic_store(&state->receiving, 1);
    while (f->have < f->length || f->ahead > 0) {
        ssize_t got = f->have == f->room && f->have < f->length ? frame_grow(f) : 0;

        if (got == 0)
            got = frame_read(end, f);
        MANY_FAULT_POINT("socket.receive.part");
        if (got > 0)
            continue;
        if (got == 0)
            return many_socket_end_receiving_(end, MANY_SOCKET_HUNG_UP_, call);
        if (got == -EAGAIN)
            got = many_pass_sleep_(end->fd, POLLIN, call->deadline_ns, MANY_PASS_SLICE_NS_);
        if (got == -EAGAIN)
            many_socket_look_after_(end);
        else if (got < 0)
            return frame_keep(end, f, (int)got, call);
    }
    frame_finish(end);
    return (ssize_t)f->length;
}

/* ---- the three ways to ask ---- */

enum { FRAME_LENGTH, FRAME_INTO, FRAME_FRESH };

static ssize_t frame_ask(many_pipe_socket_ *end, frame *f, int how, many_pipe_call_ *call)
{
    uint32_t over = atomic_load(&end->state->receive_over);
    int code;

    if (over != 0)
        return many_socket_why_(over, call);
    code = frame_begin(end, f, call);
    if (code < 0)
        return code;
    if (how == FRAME_LENGTH)
        return (ssize_t)f->length;
    if (how == FRAME_INTO && f->length > f->room)
        return -EMSGSIZE;
    return frame_receive(end, f, call);
}

static ssize_t frame_wait(many_pipe_socket_ *end, frame *f, int how, many_pipe_call_ *call)
{
    ssize_t code;

    do {
        code = many_socket_take_get_(end, call->deadline_ns);
        if (code < 0)
            break;
        code = frame_ask(end, f, how, call);
        many_lock_give_(&end->state->get_lock);
        if (code == -EAGAIN)
            code = many_socket_sleep_(end, POLLIN, call);
        else if (code == -ENOSPC) /* what is readable does not help */
            code = many_pass_sleep_(-1, 0, call->deadline_ns, MANY_MILLISECOND_NS);
        else
            break;
    } while (code == 0 || code == -EAGAIN);
    return code;
}

ssize_t many_pipe_socket_receive_(many_pipe_socket_ *end, void *message, size_t room,
                                  many_pipe_call_ *call)
{
    frame f = {.bytes = message, .room = room};

    return frame_wait(end, &f, FRAME_INTO, call);
}

ssize_t many_pipe_socket_receive_new_(many_pipe_socket_ *end, void **message, many_pipe_call_ *call)
{
    frame f = {.fresh = 1};
    ssize_t length = frame_wait(end, &f, FRAME_FRESH, call);

    if (length < 0)
        free(f.bytes);
    else
        *message = f.bytes;
    return length;
}

ssize_t many_pipe_socket_peek_(many_pipe_socket_ *end, many_pipe_call_ *call)
{
    frame f = {.bytes = NULL};

    return frame_wait(end, &f, FRAME_LENGTH, call);
}
