/* SPDX-License-Identifier: MIT */
/*
 * pipe_socket.c - a pipe on a connected stream socket: frames as Python's Connection writes them
 *
 * A frame is the length in four bytes, big end first, and the bytes; from 2^31 on it is -1 in four
 * bytes, the length in eight, and the bytes. One byte that brings a descriptor may stand between
 * two frames.
 *
 * Promise    Threads, and processes that forked or were handed this end, may all send and receive:
 *            frames are not torn, each goes to one of them. A timeout or a signal in the middle of
 *            a frame that comes loses nothing: what has come is kept for whoever receives next.
 * Invariant  1. Who has sent part of a frame holds the put-lock until the rest is sent; who has
 *            taken a byte of a frame holds the get-lock until it is delivered or kept. Nobody
 *            waits for a frame to begin, or for room to begin one, while holding a lock.
 *            2. The last byte of a frame leaves the socket only as the frame is delivered. So the
 *            socket is readable whenever a frame is there, and others can poll it.
 * Death      The state says that somebody is in the middle (sending, receiving). Who finds the
 *            lock's owner dead and that said ends the connection in this direction: the rest of
 *            the frame is lost, and nobody can tell where the next one begins. Whoever waits, in
 *            either direction, looks once a slice for such a death, because the peer would wait
 *            for ever for the rest of a frame.
 * Strangers  A length is believed only when it is no more than message_max, and then memory is
 *            taken as bytes come. Anything else ends the connection.
 * Source     Python multiprocessing.connection.Connection.
 */
#include "channel/pipe_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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
#include "os/self.h"
#include "os/stream.h"
#include "sync/lock.h"

#define SOCKET_MAGIC         UINT64_C(0x31746b736570706d) /* in memory: "mppeskt1" */
#define SOCKET_GRACE_NS      (2 * MANY_MILLISECOND_NS)
#define SOCKET_MESSAGE_MAX   (UINT64_C(1) << 30) /* unless something else is asked for */
#define SOCKET_MESSAGE_SHORT INT32_MAX           /* a longer one has its length in twelve bytes */

/* ---- over ---- */

int many_socket_why_(uint32_t over, many_pipe_call_ *call)
{
    static const char *const words[] = {
        [MANY_SOCKET_DEAD_] = "a process that shares this end died in the middle of a message",
        [MANY_SOCKET_TORN_] = "a message was sent in part when its time was over",
        [MANY_SOCKET_LONG_] = "the peer announced a message longer than .message_max",
        [MANY_SOCKET_ALIEN_] = "what the peer sent is not a message",
        [MANY_SOCKET_HUNG_UP_] = "the peer hung up in the middle of a message",
        [MANY_SOCKET_LOST_] = "there was no memory to keep a message that had come in part",
    };

    if (over < sizeof words / sizeof words[0])
        call->why = words[over];
    return over == MANY_SOCKET_LONG_ || over == MANY_SOCKET_ALIEN_ ? -EBADMSG : -EPIPE;
}

int many_socket_end_sending_(many_pipe_socket_ *end, uint32_t over, many_pipe_call_ *call)
{
    atomic_store(&end->state->send_over, over);
    shutdown(end->fd, SHUT_WR); /* or the peer would wait for the rest of the frame */
    atomic_store(&end->state->sending, 0);
    return many_socket_why_(over, call);
}

int many_socket_end_receiving_(many_pipe_socket_ *end, uint32_t over, many_pipe_call_ *call)
{
    /* Nothing can be received any more, so the peer should not send: the connection is over. */
    atomic_store(&end->state->receive_over, over);
    atomic_store(&end->state->send_over, over);
    shutdown(end->fd, SHUT_RDWR);
    atomic_store(&end->state->receiving, 0);
    return many_socket_why_(over, call);
}

/* ---- locks ---- */

/* Even who does not wait for a message waits for others that look at the socket just now. */
static int socket_take(many_lock *lock, int64_t deadline_ns)
{
    int code = many_lock_take_(lock, 0);
    int64_t soon;

    if (code != -ETIMEDOUT)
        return code;
    soon = many_clock_ns_() + SOCKET_GRACE_NS;
    return many_lock_take_(lock, deadline_ns < soon ? soon : deadline_ns);
}

int many_socket_take_put_(many_pipe_socket_ *end, int64_t deadline_ns)
{
    many_pipe_call_ none = {0, NULL};
    int code = socket_take(&end->state->put_lock, deadline_ns);

    if (code != -EOWNERDEAD)
        return code;
    if (atomic_load(&end->state->sending))
        many_socket_end_sending_(end, MANY_SOCKET_DEAD_, &none);
    many_lock_mend_(&end->state->put_lock);
    return 0;
}

int many_socket_take_get_(many_pipe_socket_ *end, int64_t deadline_ns)
{
    many_pipe_call_ none = {0, NULL};
    int code = socket_take(&end->state->get_lock, deadline_ns);

    if (code != -EOWNERDEAD)
        return code;
    if (atomic_load(&end->state->receiving))
        many_socket_end_receiving_(end, MANY_SOCKET_DEAD_, &none);
    many_lock_mend_(&end->state->get_lock);
    return 0;
}

void many_socket_look_after_(many_pipe_socket_ *end)
{
    many_socket_state_ *state = end->state;

    if (atomic_load(&state->sending) && many_lock_orphaned_(&state->put_lock) &&
        many_socket_take_put_(end, 0) == 0)
        many_lock_give_(&state->put_lock);
    if (atomic_load(&state->receiving) && many_lock_orphaned_(&state->get_lock) &&
        many_socket_take_get_(end, 0) == 0)
        many_lock_give_(&state->get_lock);
}

int many_socket_sleep_(many_pipe_socket_ *end, short events, const many_pipe_call_ *call)
{
    int code = many_pass_sleep_(end->fd, events, call->deadline_ns, MANY_PASS_SLICE_NS_);

    if (code != -EAGAIN)
        return code;
    many_socket_look_after_(end);
    return 0;
}

/* ---- send ---- */

/* Send what goes of two parts, the first so_far bytes of which have gone: how much, or -EAGAIN,
 * -EPIPE, -ENOMEM. */
static ssize_t socket_write(int fd, const struct iovec parts[2], size_t so_far)
{
    struct iovec rest[2] = {parts[0], parts[1]};
    struct msghdr message = {.msg_iov = rest, .msg_iovlen = 2};
    int code = MANY_FAULT_ERROR("socket.write");
    ssize_t sent;

    if (code < 0)
        return code;
    for (int i = 0; i < 2; i++) {
        size_t gone = so_far < rest[i].iov_len ? so_far : rest[i].iov_len;

        rest[i].iov_base = (char *)rest[i].iov_base + gone;
        rest[i].iov_len -= gone;
        so_far -= gone;
    }
    do
        sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return sent;
    return errno == EAGAIN ? -EAGAIN : errno == ENOMEM || errno == ENOBUFS ? -ENOMEM : -EPIPE;
}

/* The put-lock is held. 0; -EAGAIN: no room to begin; else it is over with this frame. */
static int socket_send_frame(many_pipe_socket_ *end, const struct iovec parts[2],
                             many_pipe_call_ *call)
{
    const size_t all = parts[0].iov_len + parts[1].iov_len;
    many_socket_state_ *state = end->state;
    size_t so_far = 0;

    atomic_store(&state->sending, 1);
    while (so_far < all) {
        ssize_t sent = socket_write(end->fd, parts, so_far);

        MANY_FAULT_POINT("socket.send.part");
        if (sent >= 0) {
            so_far += (size_t)sent;
            continue;
        }
        if (so_far == 0) {
            atomic_store(&state->sending, 0);
            return (int)sent;
        }
        if (sent == -EPIPE)
            return many_socket_end_sending_(end, MANY_SOCKET_HUNG_UP_, call);
        /* A part is on its way: no signal may end this, and the deadline ends the connection. */
        switch (many_pass_sleep_(end->fd, POLLOUT, call->deadline_ns, MANY_PASS_SLICE_NS_)) {
        case -ETIMEDOUT:
            return many_socket_end_sending_(end, MANY_SOCKET_TORN_, call);
        case -EAGAIN:
            many_socket_look_after_(end);
        }
    }
    MANY_FAULT_POINT("socket.send.sent");
    atomic_store(&state->sending, 0);
    return 0;
}

static size_t socket_write_length(unsigned char head[MANY_SOCKET_HEAD_MOST_], uint64_t length)
{
    const size_t at = length > SOCKET_MESSAGE_SHORT ? 4 : 0;
    const size_t digits = at == 0 ? 4 : 8;

    memset(head, 0xff, 4);
    for (size_t i = 0; i < digits; i++)
        head[at + i] = (unsigned char)(length >> 8 * (digits - 1 - i));
    return at + digits;
}

int many_pipe_socket_send_(many_pipe_socket_ *end, const void *message, size_t bytes,
                           many_pipe_call_ *call)
{
    unsigned char head[MANY_SOCKET_HEAD_MOST_];
    const struct iovec parts[2] = {{head, socket_write_length(head, bytes)},
                                   {(void *)(uintptr_t)message, bytes}};
    int code;

    do {
        uint32_t over;

        code = many_socket_take_put_(end, call->deadline_ns);
        if (code < 0)
            return code;
        over = atomic_load(&end->state->send_over);
        code = over != 0 ? many_socket_why_(over, call) : socket_send_frame(end, parts, call);
        many_lock_give_(&end->state->put_lock);
        if (code != -EAGAIN)
            return code == -EBADMSG ? -EPIPE : code;
        code = many_socket_sleep_(end, POLLOUT, call);
    } while (code == 0);
    return code;
}

/* ---- descriptors ---- */

int many_pipe_socket_send_descriptor_(many_pipe_socket_ *end, int descriptor, many_pipe_call_ *call)
{
    const char byte = 1; /* how many, as Python's send_handle */
    int code;

    if (!end->local)
        return -ENOTSUP;
    do {
        code = many_socket_take_put_(end, call->deadline_ns);
        if (code < 0)
            return code;
        code = atomic_load(&end->state->send_over) != 0
                   ? many_socket_why_(atomic_load(&end->state->send_over), call)
                   : many_pass_send_(end->fd, &byte, 1, descriptor);
        many_lock_give_(&end->state->put_lock);
        if (code != -EAGAIN)
            return code == -EBADMSG ? -EPIPE : code;
        /* Too many descriptors under way is no matter of room, and no event tells when it is
         * over. */
        code = many_pass_sleep_(end->fd, 0, call->deadline_ns, MANY_MILLISECOND_NS);
        if (code == 0) /* the peer is gone */
            continue;
        if (code == -EAGAIN)
            code = 0;
    } while (code == 0);
    return code;
}

void many_socket_aside_own_(many_pipe_socket_ *end)
{
    const uint64_t process = many_self_process_();

    if (end->aside_process == process)
        return;
    while (end->aside_count > 0) /* copies, in a forked child: the parent delivers them */
        close(end->aside[--end->aside_count]);
    end->aside_process = process;
}

int many_socket_front_(many_pipe_socket_ *end)
{
    many_socket_state_ *state = end->state;
    unsigned char byte;
    int code;

    if (state->head_bytes > 0)
        return -ENOMSG;
    code = many_pass_next_(end->fd);
    if (code <= 0)
        return code == 0 ? -ENOMSG : code;
    atomic_store(&state->receiving, 1);
    code = many_pass_take_(end->fd, &byte);
    MANY_FAULT_POINT("socket.front.taken");
    if (code == -ENOMSG) { /* a later one brings it; this is the first of a length */
        state->head[0] = byte;
        state->head_bytes = 1;
    }
    atomic_store(&state->receiving, 0);
    return code;
}

int many_socket_aside_put_(many_pipe_socket_ *end)
{
    int fd;

    many_socket_aside_own_(end);
    if (end->aside_count == MANY_SOCKET_ASIDE_MOST_)
        return -ENOSPC;
    fd = many_socket_front_(end);
    if (fd >= 0)
        end->aside[end->aside_count++] = fd;
    /* What had no place is lost, as its receiver would have lost it. */
    return fd >= 0 || fd == -EMFILE || fd == -ENOMSG ? 0 : fd;
}

/* The get-lock is held. A descriptor; -EAGAIN: none is there; -ENOMSG: a message is, before it. */
static int socket_next_descriptor(many_pipe_socket_ *end, many_pipe_call_ *call)
{
    many_socket_state_ *state = end->state;

    many_socket_aside_own_(end);
    if (end->aside_count > 0) {
        int fd = end->aside[0];

        end->aside_count--;
        memmove(end->aside, end->aside + 1, (size_t)end->aside_count * sizeof end->aside[0]);
        return fd;
    }
    if (atomic_load(&state->receive_over) != 0)
        return many_socket_why_(atomic_load(&state->receive_over), call);
    return many_socket_front_(end);
}

int many_pipe_socket_receive_descriptor_(many_pipe_socket_ *end, many_pipe_call_ *call)
{
    int code;

    if (!end->local)
        return -ENOTSUP;
    do {
        int got = many_socket_take_get_(end, call->deadline_ns);

        if (got < 0)
            return got;
        got = socket_next_descriptor(end, call);
        many_lock_give_(&end->state->get_lock);
        if (got != -EAGAIN && got != -ENOMSG)
            return got == -EBADMSG ? -EPIPE : got;
        if (got == -ENOMSG)
            call->why = "a message comes before it: receive that first";
        /* Another thread that receives may put one aside, and no event tells of it; nor does the
         * socket while a message is at its front. */
        code = many_pass_sleep_(end->fd, got == -ENOMSG ? 0 : POLLIN, call->deadline_ns,
                                got == -ENOMSG ? MANY_MILLISECOND_NS : MANY_PASS_SLICE_NS_);
        if (code == 0 && got == -ENOMSG) { /* hung up, behind that message */
            code = many_pass_sleep_(-1, 0, call->deadline_ns, MANY_MILLISECOND_NS);
        }
        if (code == -EAGAIN) {
            many_socket_look_after_(end);
            code = 0;
        }
    } while (code == 0);
    return code;
}

int many_pipe_socket_descriptor_(const many_pipe_socket_ *end)
{
    return end->fd;
}

/* ---- open and close ---- */

/* An end over a socket and a state, both of which become its own. */
static int socket_make(many_pipe *pipe, int fd, int file)
{
    many_pipe_socket_ *end = calloc(1, sizeof *end);
    int domain = 0;
    socklen_t bytes = sizeof domain;
    const int on = 1, off = 0;
    void *memory;

    if (end == NULL)
        return -ENOMEM;
    if (many_memory_file_map_(&memory, file, MANY_SOCKET_KEPT_AT_) < 0) {
        free(end);
        return -ENOMEM;
    }
    end->state = memory;
    end->fd = fd;
    end->file = file;
    end->fd_file = many_pass_file_(fd);
    end->file_file = many_pass_file_(file);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) == 0 && domain == AF_UNIX) {
        end->local = 1;
        /* Credentials would look like descriptors to many_pass_next_(). */
        setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &off, sizeof off);
    } else {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* no TCP: no delay */
    }
    pipe->socket = end;
    pipe->sends = pipe->receives = 1;
    return 0;
}

int many_pipe_socket_open_(many_pipe *pipe, const many_pipe_adopt_options *options,
                           const char **why)
{
    int fd = options->descriptor, type = 0, listens = 0, file, code;
    socklen_t bytes = sizeof type;
    many_socket_state_ *state;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) != 0)
        return errno == EBADF ? -EBADF : -ENOTSOCK;
    if (type != SOCK_STREAM)
        return -ENOTSOCK;
    bytes = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) == 0 && listens) {
        *why = "it listens: accept a connection first";
        return -ENOTSOCK;
    }
    file = many_memory_file_open_("many-socket", sizeof *state);
    if (file < 0)
        return file == -EFBIG ? -ENOMEM : file;
    code = many_memory_file_grow_(file, 0, sizeof *state); /* no SIGBUS later */
    if (code == 0) {
        int above = fd <= STDERR_FILENO ? fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : fd;

        code = above < 0 ? -errno : socket_make(pipe, above, file);
        if (code == 0 && above != fd)
            close(fd);
        else if (above != fd && above >= 0)
            close(above);
    }
    if (code < 0) {
        close(file);
        return code;
    }
    fcntl(pipe->socket->fd, F_SETFD, FD_CLOEXEC);
    state = pipe->socket->state;
    state->magic = SOCKET_MAGIC;
    state->message_max = options->message_max == 0 ? SOCKET_MESSAGE_MAX : options->message_max;
    pipe->message_max = state->message_max;
    return 0;
}

int many_pipe_socket_adopt_(many_pipe *pipe, const int fds[MANY_PIPE_FDS_])
{
    size_t length = 0;
    int code = many_memory_file_check_(fds[0], &length);
    int type = 0;
    socklen_t bytes = sizeof type;
    uint64_t magic;

    if (code < 0)
        return code;
    if (length < sizeof(many_socket_state_) ||
        pread(fds[0], &magic, sizeof magic, 0) != (ssize_t)sizeof magic || magic != SOCKET_MAGIC)
        return -EBADMSG;
    if (getsockopt(fds[1], SOL_SOCKET, SO_TYPE, &type, &bytes) != 0 || type != SOCK_STREAM)
        return errno == EBADF ? -EBADF : -EBADMSG;
    code = socket_make(pipe, fds[1], fds[0]);
    if (code < 0)
        return code;
    pipe->message_max = pipe->socket->state->message_max;
    for (int i = 0; i < 2; i++)
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    if (fds[2] != fds[1]) /* there are three for the other kind */
        close(fds[2]);
    return 0;
}

void many_pipe_socket_share_(const many_pipe_socket_ *end, int fds[MANY_PIPE_FDS_])
{
    fds[0] = end->file;
    fds[1] = end->fd;
    fds[2] = end->fd;
}

void many_pipe_socket_close_(many_pipe_socket_ *end)
{
    while (end->aside_count > 0)
        close(end->aside[--end->aside_count]);
    many_memory_unmap_(end->state, MANY_SOCKET_KEPT_AT_);
    many_pass_close_(end->file, end->file_file);
    many_pass_close_(end->fd, end->fd_file);
    free(end);
}
