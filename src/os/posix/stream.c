/* SPDX-License-Identifier: MIT */
/* stream.c - descriptors that wake a poll; see os/stream.h */
#include "os/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

int many_stream_lift_(int fd)
{
    int lifted, saved;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    lifted = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    saved = errno;
    close(fd);
    errno = saved;
    return lifted;
}

int many_stream_lift_pair_(int pair[2])
{
    int code = 0;

    for (int i = 0; i < 2; i++) {
        pair[i] = many_stream_lift_(pair[i]);
        if (pair[i] < 0)
            code = -errno;
    }
    for (int i = 0; i < 2 && code < 0; i++) {
        if (pair[i] >= 0)
            close(pair[i]);
        pair[i] = -1;
    }
    return code;
}

int many_bell_open_(void)
{
    int code = MANY_FAULT_ERROR("bell.open");
    int bell;

    if (code < 0)
        return code;
    bell = many_stream_lift_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return bell < 0 ? -errno : bell;
}

int many_bell_ring_(int bell)
{
    const uint64_t one = 1;
    int saved = errno, code = 0;
    struct stat status;
    ssize_t wrote;

    /* What has a type is a file, a pipe, a socket: not an eventfd. */
    if (fstat(bell, &status) != 0 || (status.st_mode & S_IFMT) != 0) {
        code = -EBADF;
    } else {
        do
            wrote = write(bell, &one, sizeof one);
        while (wrote < 0 && errno == EINTR);
        if (wrote < 0 && errno != EAGAIN) /* EAGAIN: rung 2^64 times, so it is heard */
            code = -EBADF;
    }
    errno = saved;
    return code;
}

void many_bell_silence_(int bell)
{
    uint64_t rung;
    ssize_t got;

    do
        got = read(bell, &rung, sizeof rung);
    while (got < 0 && errno == EINTR);
}

void many_bell_close_(int bell)
{
    if (bell >= 0)
        close(bell);
}
