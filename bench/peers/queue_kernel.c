/* SPDX-License-Identifier: MIT */
/*
 * queue_kernel.c - the queue cases by what the kernel has
 *
 *   pipe2       a pipe each way, as large as it may be without privileges (1 MiB)
 *   socketpair  AF_UNIX, SOCK_SEQPACKET up to 64 KiB, SOCK_STREAM above
 *   posix-mq    a POSIX message queue each way, 10 messages of at most 8 KiB (the limits of a user)
 */
#include "queue.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int kernel_write[2], kernel_read[2]; /* by direction */

static void kernel_write_all(int direction, const void *message, size_t bytes)
{
    const char *from = message;

    while (bytes > 0) {
        ssize_t wrote = write(kernel_write[direction], from, bytes);

        if (wrote <= 0)
            bench_die("write: %s", strerror(errno));
        from += wrote;
        bytes -= (size_t)wrote;
    }
}

static void kernel_read_all(int direction, void *message, size_t bytes)
{
    char *to = message;

    while (bytes > 0) {
        ssize_t got = read(kernel_read[direction], to, bytes);

        if (got <= 0)
            bench_die("read: %s", got == 0 ? "end of the stream" : strerror(errno));
        to += got;
        bytes -= (size_t)got;
    }
}

static void pipe_open(size_t bytes)
{
    (void)bytes;
    for (int k = 0; k < 2; k++) {
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) != 0)
            bench_die("pipe2: %s", strerror(errno));
        (void)fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
        kernel_read[k] = ends[0];
        kernel_write[k] = ends[1];
    }
}

static void socket_open(size_t bytes)
{
    int ends[2];
    const int room = 1 << 20;

    if (socketpair(AF_UNIX, (bytes <= 65536 ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0,
                   ends) != 0)
        bench_die("socketpair: %s", strerror(errno));
    for (int k = 0; k < 2; k++)
        (void)setsockopt(ends[k], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    kernel_write[0] = kernel_read[1] = ends[0];
    kernel_write[1] = kernel_read[0] = ends[1];
}

static mqd_t posix_queues[2];

static void posix_open(size_t bytes)
{
    for (int k = 0; k < 2; k++) {
        struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = (long)bytes};
        char name[64];

        snprintf(name, sizeof name, "/bench-queue-%d-%d", (int)getpid(), k);
        posix_queues[k] = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes);
        if (posix_queues[k] == (mqd_t)-1)
            bench_die("mq_open: %s", strerror(errno));
        mq_unlink(name);
    }
}

static void posix_send(int direction, const void *message, size_t bytes)
{
    if (mq_send(posix_queues[direction], message, bytes, 0) != 0)
        bench_die("mq_send: %s", strerror(errno));
}

static void posix_receive(int direction, void *message, size_t bytes)
{
    if (mq_receive(posix_queues[direction], message, bytes, NULL) != (ssize_t)bytes)
        bench_die("mq_receive: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    static const bench_passage subjects[] = {
        {.name = "pipe2", .open = pipe_open, .send = kernel_write_all, .receive = kernel_read_all},
        {.name = "socketpair",
         .open = socket_open,
         .send = kernel_write_all,
         .receive = kernel_read_all},
        {.name = "posix-mq",
         .open = posix_open,
         .send = posix_send,
         .receive = posix_receive,
         .longest = 8192},
    };

    return bench_queue_main(argc, argv, subjects, sizeof subjects / sizeof subjects[0]);
}
