/* SPDX-License-Identifier: MIT */
/* client.c - connect to a listener, and make sure that it knows the key */
#include <many/remote.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "authenticate.h"
#include "options.h"

_Static_assert(sizeof(many_client_options) ==
                   3 * sizeof(size_t) + 4 * sizeof(void *) + sizeof(double),
               "no padding in an options struct");

#define CLIENT_TIMEOUT_S 10.0

static const char client_name[] = "many_client_open";

static const char *client_words(int code)
{
    switch (code) {
    case -EACCES:
        return "one of the two does not know the other's key, or may not connect";
    case -ECONNREFUSED:
        return "nobody listens there";
    case -ENOENT:
        return "there is no such socket";
    case -ETIMEDOUT:
        return "not in time";
    case -EPROTO:
        return "what is there does not speak this protocol (Python does from 3.12 on)";
    case -EPIPE:
        return "it hung up before it had proved itself";
    case -EINTR:
        return "a signal handler ran";
    default:
        return many_strerror(code);
    }
}

/* 0: the socket is what it was waited for, or broken. */
static int client_sleep(int fd, short events, int64_t deadline_ns)
{
    struct pollfd wait = {fd, events, 0};
    int code = poll(&wait, 1, many_remote_poll_ms_(deadline_ns));

    if (code < 0)
        return errno == EINTR ? -EINTR : -ENOMEM;
    return code == 0 ? -ETIMEDOUT : 0;
}

/* A connected socket, or negative. */
static int client_connect(const struct sockaddr *to, socklen_t to_bytes, int64_t deadline_ns)
{
    int fd =
        many_remote_lift_(socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int code = 0, error = 0;
    socklen_t bytes = sizeof error;

    if (fd < 0)
        return -errno;
    while (connect(fd, to, to_bytes) != 0 && errno != EISCONN) {
        if (errno == EINPROGRESS || errno == EALREADY || errno == EINTR) {
            code = client_sleep(fd, POLLOUT, deadline_ns);
            if (code == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0)
                code = -error;
            break;
        }
        if (errno != EAGAIN) {
            code = -errno;
            break;
        }
        /* A local listener whose backlog is full; no event tells when it is not. */
        code = many_remote_now_() >= deadline_ns ? -ETIMEDOUT : poll(NULL, 0, 2) < 0 ? -EINTR : 0;
        if (code < 0)
            break;
    }
    if (code == 0)
        return fd;
    close(fd);
    return code;
}

/* The first of the addresses that answers; or the code of the last. */
static int client_connect_any(const many_address_ *address, int64_t deadline_ns)
{
    int fd = -EHOSTUNREACH;

    if (address->local)
        return client_connect((const struct sockaddr *)&address->un, address->un_bytes,
                              deadline_ns);
    for (const struct addrinfo *one = address->found; one != NULL; one = one->ai_next) {
        fd = client_connect(one->ai_addr, one->ai_addrlen, deadline_ns);
        if (fd >= 0 || fd == -EINTR || fd == -ETIMEDOUT)
            break;
    }
    return fd;
}

static int client_prove(int fd, const many_client_options *o, int64_t deadline_ns)
{
    many_authenticate_ a;
    int code = many_authenticate_begin_(&a, fd, 0, o->key, o->key_bytes);

    while (code == 0) {
        int events = many_authenticate_go_(&a);

        if (events == MANY_AUTHENTICATED_)
            break;
        code = events < 0 ? events : client_sleep(fd, (short)events, deadline_ns);
    }
    many_authenticate_end_(&a);
    return code;
}

int many_client_open_with(const many_client_options *options)
{
    many_client_options o;
    many_address_ address;
    int64_t deadline_ns;
    int fd, code = many_remote_options_(&o, sizeof o, options, client_name);

    if (code < 0)
        return code;
    if (o.pipe == NULL)
        return many_fail(-EINVAL, "%s: pipe is NULL: give it a place", client_name);
    *o.pipe = NULL;
    if ((code = many_remote_timeout_(o.timeout_s, client_name)) < 0 ||
        (code = many_remote_key_(o.key, o.key_bytes, client_name)) < 0 ||
        (code = many_address_read_(&address, o.address, 0, client_name)) < 0)
        return code;
    deadline_ns = many_remote_deadline_(o.timeout_s == 0 ? CLIENT_TIMEOUT_S : o.timeout_s);
    fd = client_connect_any(&address, deadline_ns);
    many_address_free_(&address);
    code = fd;
    if (fd >= 0)
        code = o.key != NULL ? client_prove(fd, &o, deadline_ns) : 0;
    if (code < 0)
        many_fail(code, "%s: %.80s: %s", client_name, o.address, client_words(code));
    else
        code = many_pipe_adopt(o.pipe, .descriptor = fd, .message_max = o.message_max);
    if (code < 0 && fd >= 0)
        close(fd);
    return code;
}
