/* SPDX-License-Identifier: MIT */
/*
 * listener.c - let in who knows the key
 *
 * Promise    No peer can hold up another. Each that connects gets a place among those that are
 *            half-way, and is gone on with when its socket has something, all by the one thread
 *            that is in many_listener_accept(). Who takes longer than handshake_s is dropped; when
 *            all places are taken the oldest is. (So a flood can drop honest peers that are slower
 *            than it. It cannot take memory, or the time of a peer that answers at once.)
 * Fork       Those half-way belong to the process that accepted them. A child has its own places,
 *            and its own epoll: one that it shared with its parent would tell it of sockets it
 *            does not have.
 */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "options.h"

_Static_assert(sizeof(many_listener_options) ==
                   3 * sizeof(size_t) + 4 * sizeof(void *) + sizeof(double) + 2 * sizeof(int),
               "no padding in an options struct");

#define LISTENER_HANDSHAKE_S 10.0
#define LISTENER_BACKLOG     128
#define LISTENER_SELF        MANY_LISTENER_HALF_MOST_ /* the socket's own number in the epoll */
#define LISTENER_ROUND       64 /* connections that are looked at before the clock is */

static const char listener_open_name[] = "many_listener_open";
static const char listener_accept_name[] = "many_listener_accept";

/* ---- the ones half-way ---- */

static void listener_watch(many_listener *listener, int how, uint32_t number, int fd, int events)
{
    struct epoll_event event = {.events = ((events & POLLIN) != 0 ? EPOLLIN : 0u) |
                                          ((events & POLLOUT) != 0 ? EPOLLOUT : 0u),
                                .data.u32 = number};

    epoll_ctl(listener->poll, how, fd, &event);
}

/* Take it from its place; the socket stays open. */
static int listener_release(many_listener *listener, many_listener_half_ *half)
{
    int fd = half->socket;

    epoll_ctl(listener->poll, EPOLL_CTL_DEL, fd, NULL);
    many_authenticate_end_(&half->proof);
    half->socket = -1;
    return fd;
}

static void listener_refuse(many_listener *listener, many_listener_half_ *half)
{
    close(listener_release(listener, half));
    atomic_fetch_add(&listener->refused, 1);
}

/* A free place; the oldest has to go if there is none. */
static many_listener_half_ *listener_place(many_listener *listener)
{
    many_listener_half_ *oldest = &listener->half[0];

    for (int i = 0; i < MANY_LISTENER_HALF_MOST_; i++) {
        if (listener->half[i].socket < 0)
            return &listener->half[i];
        if (listener->half[i].number < oldest->number)
            oldest = &listener->half[i];
    }
    listener_refuse(listener, oldest);
    return oldest;
}

/* Drop those whose time is over. When the next one's is; INT64_MAX: there is none. */
static int64_t listener_expire(many_listener *listener)
{
    const int64_t now_ns = many_remote_now_();
    int64_t next_ns = INT64_MAX;

    for (int i = 0; i < MANY_LISTENER_HALF_MOST_; i++) {
        many_listener_half_ *half = &listener->half[i];

        if (half->socket < 0)
            continue;
        if (now_ns >= half->deadline_ns)
            listener_refuse(listener, half);
        else if (half->deadline_ns < next_ns)
            next_ns = half->deadline_ns;
    }
    return next_ns;
}

/* ---- letting in ---- */

/* 1: *pipe is there; 0: dropped; negative: the system has nothing for it. */
static int listener_admit(many_listener *listener, int fd, many_pipe **pipe)
{
    int code = many_pipe_adopt(pipe, .descriptor = fd, .message_max = listener->message_max);

    if (code == 0)
        return 1;
    close(fd);
    if (code == -ENOMEM || code == -EMFILE || code == -ENFILE)
        return code;
    atomic_fetch_add(&listener->refused, 1);
    return 0;
}

/* Without a key: whoever comes; locally only the same user. */
static int listener_admit_any(many_listener *listener, int fd, many_pipe **pipe)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t bytes = sizeof peer;

    if (listener->local &&
        (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0 || peer.uid != geteuid())) {
        close(fd);
        atomic_fetch_add(&listener->refused, 1);
        return 0;
    }
    return listener_admit(listener, fd, pipe);
}

/* Go on with one that is half-way. As listener_admit(). */
static int listener_go_on(many_listener *listener, many_listener_half_ *half, many_pipe **pipe)
{
    int code = many_authenticate_go_(&half->proof);

    if (code == MANY_AUTHENTICATED_)
        return listener_admit(listener, listener_release(listener, half), pipe);
    if (code < 0) {
        listener_refuse(listener, half);
        return 0;
    }
    if (code != half->events)
        listener_watch(listener, EPOLL_CTL_MOD, (uint32_t)(half - listener->half), half->socket,
                       code);
    half->events = code;
    return 0;
}

/* One that has just connected. As listener_admit(). */
static int listener_greet(many_listener *listener, int fd, many_pipe **pipe)
{
    many_listener_half_ *half;

    if (listener->key == NULL)
        return listener_admit_any(listener, fd, pipe);
    half = listener_place(listener);
    if (many_authenticate_begin_(&half->proof, fd, 1, listener->key, listener->key_bytes) < 0) {
        close(fd);
        return -ENOMEM;
    }
    half->socket = fd;
    half->events = POLLIN;
    half->number = listener->came++;
    half->deadline_ns = many_remote_now_() + listener->handshake_ns;
    listener_watch(listener, EPOLL_CTL_ADD, (uint32_t)(half - listener->half), fd, POLLIN);
    return listener_go_on(listener, half, pipe);
}

/* Those that wait to be accepted. As listener_admit(). */
static int listener_take(many_listener *listener, many_pipe **pipe)
{
    for (int i = 0; i < LISTENER_ROUND; i++) {
        int fd =
            many_remote_lift_(accept4(listener->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
        int code;

        if (fd < 0) {
            switch (errno) {
            case EMFILE:
            case ENFILE:
                return -errno;
            case ENOMEM:
            case ENOBUFS:
                return -ENOMEM;
            case EAGAIN:
                return 0;
            default: /* it has hung up already, or its network is in trouble: its matter */
                continue;
            }
        }
        code = listener_greet(listener, fd, pipe);
        if (code != 0)
            return code;
    }
    return 0;
}

/* ---- accept ---- */

/* Places and an epoll of this process's own. 0 or negative. */
static int listener_own(many_listener *listener)
{
    if (listener->owner == getpid())
        return 0;
    for (int i = 0; i < MANY_LISTENER_HALF_MOST_; i++) {
        if (listener->owner != 0 && listener->half[i].socket >= 0)
            close(listener->half[i].socket); /* the child's copy: the parent goes on with it */
        listener->half[i].socket = -1;
    }
    if (listener->owner != 0 && listener->poll >= 0)
        close(listener->poll);
    listener->poll = many_remote_lift_(epoll_create1(EPOLL_CLOEXEC));
    if (listener->poll < 0)
        return -errno;
    listener->owner = getpid();
    listener_watch(listener, EPOLL_CTL_ADD, LISTENER_SELF, listener->socket, POLLIN);
    return 0;
}

/* What the epoll has to say, for everybody. As listener_admit(); -ETIMEDOUT: nothing; -EINTR. */
static int listener_round(many_listener *listener, many_pipe **pipe, int64_t until_ns)
{
    struct epoll_event events[16];
    int count = epoll_wait(listener->poll, events, 16, many_remote_poll_ms_(until_ns));

    if (count < 0)
        return errno == EINTR ? -EINTR : -ENOMEM;
    if (count == 0)
        return -ETIMEDOUT;
    for (int i = 0; i < count; i++) {
        const uint32_t number = events[i].data.u32;
        int code = 0;

        if (number == LISTENER_SELF)
            code = listener_take(listener, pipe);
        else if (listener->half[number].socket >= 0) /* not dropped earlier in this round */
            code = listener_go_on(listener, &listener->half[number], pipe);
        if (code != 0)
            return code;
    }
    return 0;
}

int many_listener_accept(many_listener *listener, many_pipe **pipe, double timeout_s)
{
    int64_t deadline_ns;
    int code;

    if (pipe != NULL)
        *pipe = NULL;
    if (listener == NULL || pipe == NULL)
        return many_fail(-EINVAL, "%s: %s is NULL", listener_accept_name,
                         listener == NULL ? "listener" : "pipe");
    code = many_remote_timeout_(timeout_s, listener_accept_name);
    if (code < 0)
        return code;
    deadline_ns = timeout_s == 0 ? 0 : many_remote_deadline_(timeout_s);
    code = listener_own(listener);
    for (int round = 0; code == 0; round++) {
        const int64_t next_ns = listener_expire(listener);

        code = listener_round(listener, pipe, deadline_ns < next_ns ? deadline_ns : next_ns);
        if (code == 1)
            return 0;
        /* Whoever waits behind others that come without end is told in time. */
        if (code == -ETIMEDOUT || (code == 0 && round % 4 == 3))
            code = deadline_ns != INT64_MAX && many_remote_now_() >= deadline_ns ? -ETIMEDOUT : 0;
    }
    return many_fail(code, "%s: %s: %s", listener_accept_name, listener->name,
                     code == -ETIMEDOUT ? "nobody came in time that knows the key"
                     : code == -EINTR   ? "a signal handler ran"
                                        : many_strerror(code));
}

/* ---- open and close ---- */

static int listener_check(const many_listener_options *o)
{
    int code = many_remote_key_(o->key, o->key_bytes, listener_open_name);

    if (code < 0)
        return code;
    if (!(o->handshake_s >= 0)) /* NaN, too */
        return many_fail(-EINVAL, "%s: .handshake_s is %g: seconds, 0 for %g", listener_open_name,
                         o->handshake_s, LISTENER_HANDSHAKE_S);
    if (o->backlog < 0)
        return many_fail(-EINVAL, "%s: .backlog is %d", listener_open_name, o->backlog);
    if (o->open != 0 && o->open != 1)
        return many_fail(-EINVAL, "%s: .open is %d: 0 or 1", listener_open_name, o->open);
    return 0;
}

static int listener_begin(many_listener *listener, const many_listener_options *o)
{
    const double handshake_s = o->handshake_s == 0 ? LISTENER_HANDSHAKE_S : o->handshake_s;
    int code;

    listener->socket = listener->poll = -1;
    listener->opener = getpid();
    listener->message_max = o->message_max;
    listener->handshake_ns = handshake_s < 1e9 ? (int64_t)(handshake_s * 1e9) : INT64_MAX / 4;
    if (o->key != NULL) {
        listener->key = malloc(o->key_bytes);
        if (listener->key == NULL)
            return many_fail(-ENOMEM, "%s: no memory", listener_open_name);
        memcpy(listener->key, o->key, o->key_bytes);
        listener->key_bytes = o->key_bytes;
    }
    code = many_listener_bind_(listener, o->address,
                               o->backlog == 0 ? LISTENER_BACKLOG : o->backlog, o->open);
    if (code < 0)
        return code;
    code = listener_own(listener);
    return code < 0 ? many_fail(code, "%s: no descriptor to be had", listener_open_name) : 0;
}

int many_listener_open_with(const many_listener_options *options)
{
    many_listener_options o;
    many_listener *listener;
    int code = many_remote_options_(&o, sizeof o, options, listener_open_name);

    if (code < 0)
        return code;
    if (o.listener == NULL)
        return many_fail(-EINVAL, "%s: listener is NULL: give it a place", listener_open_name);
    *o.listener = NULL;
    code = listener_check(&o);
    if (code < 0)
        return code;
    listener = calloc(1, sizeof *listener);
    if (listener == NULL)
        return many_fail(-ENOMEM, "%s: no memory", listener_open_name);
    code = listener_begin(listener, &o);
    if (code < 0) {
        many_listener_close(listener);
        return code;
    }
    *o.listener = listener;
    return 0;
}

uint64_t many_listener_refused(const many_listener *listener)
{
    return listener == NULL ? 0 : atomic_load(&listener->refused);
}

const char *many_listener_address(const many_listener *listener)
{
    return listener == NULL ? "" : listener->name;
}

int many_listener_descriptor(many_listener *listener)
{
    int code;

    if (listener == NULL)
        return many_fail(-EINVAL, "many_listener_descriptor: listener is NULL: open one first");
    code = listener_own(listener);
    return code < 0 ? many_fail(code, "many_listener_descriptor: none to be had") : listener->poll;
}

void many_listener_close(many_listener *listener)
{
    if (listener == NULL)
        return;
    if (listener->owner != 0) { /* or nothing was begun */
        for (int i = 0; i < MANY_LISTENER_HALF_MOST_; i++)
            if (listener->half[i].socket >= 0)
                close(listener->half[i].socket);
        close(listener->poll);
    }
    many_listener_unlink_(listener); /* before the socket: a file that answers is never stale */
    if (listener->socket >= 0)
        close(listener->socket);
    if (listener->key != NULL)
        OPENSSL_cleanse(listener->key, listener->key_bytes);
    free(listener->key);
    OPENSSL_cleanse(listener->half, sizeof listener->half);
    free(listener);
}
