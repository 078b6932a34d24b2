/* SPDX-License-Identifier: MIT */
/* pass.c - descriptors through a socket, and its other uses; see channel/pass.h */
#include "channel/pass.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/stream.h"

/* A byte may bring more than one; the others are closed. Beyond so many the kernel does that. */
#define PASS_MOST 16

int many_pass_send_(int socket, const void *bytes, size_t n, int descriptor)
{
    struct iovec part = {(void *)(uintptr_t)bytes, n};
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(sizeof(int))];
    } room;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room.bytes};
    int code = MANY_FAULT_ERROR("pass.send");
    struct cmsghdr *header;
    ssize_t sent;

    if (code < 0)
        return code;
    memset(&room, 0, sizeof room);
    message.msg_controllen = sizeof room.bytes;
    header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    do
        sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return 0; /* the kernel does not tear so few bytes of a local socket */
    if (errno == EAGAIN || errno == ETOOMANYREFS)
        return -EAGAIN;
    return errno == EBADF ? -EBADF : errno == ENOMEM || errno == ENOBUFS ? -ENOMEM : -EPIPE;
}

int many_pass_next_(int socket)
{
    struct msghdr message;
    struct iovec part;
    ssize_t got;
    char byte;

    do {
        part = (struct iovec){&byte, 1};
        message = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1};
        got = recvmsg(socket, &message, MSG_PEEK | MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? -EAGAIN : -EPIPE;
    if (got == 0)
        return -EPIPE;
    /* Nobody asked for credentials, so what was cut off for want of room is a descriptor. */
    return (message.msg_flags & MSG_CTRUNC) != 0;
}

int many_pass_take_(int socket, unsigned char *byte)
{
    struct iovec part = {byte, 1};
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(PASS_MOST * sizeof(int))];
    } room;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room.bytes};
    int code = MANY_FAULT_ERROR("pass.take");
    int taken = -ENOMSG;
    struct cmsghdr *header;
    size_t count = 0;
    ssize_t got;

    if (code < 0)
        return code;
    message.msg_controllen = sizeof room.bytes;
    do
        got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got < 0 && errno == EAGAIN ? -EAGAIN : -EPIPE;
    header = CMSG_FIRSTHDR(&message); /* rights are all that can be there */
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        count = (header->cmsg_len - CMSG_LEN(0)) / sizeof taken;
    for (size_t i = 0; i < count; i++) {
        int fd;

        memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        if (i == 0)
            taken = fd;
        else
            close(fd);
    }
    if (taken >= 0) {
        taken = many_stream_lift_(taken);
        return taken < 0 ? -EMFILE : taken;
    }
    return (message.msg_flags & MSG_CTRUNC) != 0 ? -EMFILE : -ENOMSG;
}

void many_pass_drop_(int socket, size_t n)
{
    char bytes[64];
    ssize_t got;

    do
        got = recv(socket, bytes, n < sizeof bytes ? n : sizeof bytes, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
}

int many_pass_is_over_(int socket)
{
    const int saved = errno;
    struct pollfd look = {socket, 0, 0};
    int over = poll(&look, 1, 0) == 1 && (look.revents & (POLLHUP | POLLERR)) != 0;

    errno = saved;
    return over;
}

int many_pass_sleep_(int socket, short events, int64_t deadline_ns, int64_t slice_ns)
{
    struct pollfd wait = {socket, events, 0};
    int64_t now, until;

    if (deadline_ns == 0)
        return -ETIMEDOUT;
    now = many_clock_ns_();
    if (now >= deadline_ns)
        return -ETIMEDOUT;
    until = deadline_ns - now > slice_ns ? now + slice_ns : deadline_ns;
    switch (poll(&wait, 1, many_poll_ms_(until))) {
    case 0:
        return -EAGAIN;
    case 1:
        return 0;
    default:
        return errno == EINTR ? -EINTR : 0; /* what else there may be shows when it is used */
    }
}

uint64_t many_pass_file_(int fd)
{
    const int saved = errno;
    struct stat status;
    uint64_t file = fstat(fd, &status) == 0 ? (uint64_t)status.st_ino : 0;

    errno = saved;
    return file;
}

void many_pass_close_(int fd, uint64_t file)
{
    if (fd >= 0 && file != 0 && many_pass_file_(fd) == file)
        close(fd);
}
