/* SPDX-License-Identifier: MIT */
/*
 * descriptors.c - messages that carry descriptors; see os/descriptors.h
 *
 * Sources: unix(7), cmsg(3).
 */
#include "os/descriptors.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/stream.h"

typedef union descriptors_control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(MANY_DESCRIPTORS_MOST_ * sizeof(int))];
} descriptors_control;

/* size_t in one C library, socklen_t in another. */
typedef __typeof__(((struct msghdr *)0)->msg_controllen) descriptors_length;

int many_descriptors_pair_(int ends[2])
{
    int code = MANY_FAULT_ERROR("descriptors.pair");

    ends[0] = ends[1] = -1;
    if (code < 0)
        return code;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return errno == ENOBUFS ? -ENOMEM : -errno;
    return many_stream_lift_pair_(ends);
}

int many_descriptors_send_(int line, const void *message, size_t bytes, const int *descriptors,
                           size_t count, int wait)
{
    descriptors_control control;
    struct iovec part = {(void *)message, bytes};
    struct msghdr header;
    ssize_t sent;

    if (count > MANY_DESCRIPTORS_MOST_)
        return -EINVAL;
    memset(&header, 0, sizeof header);
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (count > 0) {
        struct cmsghdr *first;

        memset(&control, 0, CMSG_SPACE(count * sizeof(int)));
        header.msg_control = &control;
        header.msg_controllen = (descriptors_length)CMSG_SPACE(count * sizeof(int));
        first = CMSG_FIRSTHDR(&header);
        first->cmsg_level = SOL_SOCKET;
        first->cmsg_type = SCM_RIGHTS;
        first->cmsg_len = (descriptors_length)CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(first), descriptors, count * sizeof(int));
    }
    do
        sent = sendmsg(line, &header, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return 0;
    return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
}

/* Put the descriptors of a message in their places; those without a place are closed. They are in one
 * piece, because nothing else was asked to come with a message. */
static void descriptors_take(struct msghdr *header, int *descriptors, size_t room, size_t *count,
                             int *lost)
{
    const struct cmsghdr *at = CMSG_FIRSTHDR(header);
    size_t n = 0;

    if ((header->msg_flags & MSG_CTRUNC) != 0)
        *lost = 1;
    if (at != NULL && at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_RIGHTS)
        n = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
        int fd;

        memcpy(&fd, CMSG_DATA(at) + i * sizeof fd, sizeof fd);
        fd = many_stream_lift_(fd);
        if (fd < 0)
            *lost = 1;
        else if (*count < room)
            descriptors[(*count)++] = fd;
        else
            close(fd);
    }
}

ssize_t many_descriptors_receive_(int line, void *message, size_t room, int *descriptors,
                                  size_t *count, int *lost, int wait)
{
    const size_t places = *count;
    descriptors_control control;
    struct iovec part = {message, room};
    struct msghdr header;
    ssize_t got;
    int none;

    if (lost == NULL)
        lost = &none;
    *lost = 0;
    *count = 0;
    for (size_t i = 0; i < places; i++)
        descriptors[i] = -1;
    memset(&header, 0, sizeof header);
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = &control;
    header.msg_controllen = sizeof control;
    do
        got = recvmsg(line, &header, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
    descriptors_take(&header, descriptors, places, count, lost);
    if ((header.msg_flags & MSG_TRUNC) != 0) {
        many_descriptors_close_(descriptors, places);
        *count = 0;
        return -EMSGSIZE;
    }
    return got == 0 ? -EPIPE : got;
}

void many_descriptors_close_(int *descriptors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (descriptors[i] >= 0)
            close(descriptors[i]);
        descriptors[i] = -1;
    }
}
