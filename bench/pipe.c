/* SPDX-License-Identifier: MIT */
/*
 * pipe.c - the queue cases with many_pipe: one pipe, an end for each process
 */
#include "queue.h"

#include <many.h>

static many_pipe *pipe_ends[2]; /* of process 0 and of process 1 */

static void pipe_open(size_t bytes)
{
    (void)bytes;
    if (many_pipe_open(&pipe_ends[0], &pipe_ends[1]) != 0)
        bench_die("%s", many_error_message());
}

static void pipe_begin(int child)
{
    many_pipe_close(pipe_ends[1 - child]);
}

static void pipe_send(int direction, const void *message, size_t bytes)
{
    if (many_pipe_send(pipe_ends[direction], message, bytes, MANY_FOREVER) != 0)
        bench_die("%s", many_error_message());
}

static void pipe_receive(int direction, void *message, size_t bytes)
{
    ssize_t got = many_pipe_receive(pipe_ends[1 - direction], message, bytes, MANY_FOREVER);

    if (got != (ssize_t)bytes)
        bench_die("%zd bytes came, not %zu: %s", got, bytes, many_error_message());
}

int main(int argc, char **argv)
{
    static const bench_passage passage = {.name = "many-pipe",
                                          .open = pipe_open,
                                          .begin = pipe_begin,
                                          .send = pipe_send,
                                          .receive = pipe_receive};

    return bench_queue_main(argc, argv, &passage, 1);
}
