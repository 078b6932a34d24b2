/* SPDX-License-Identifier: MIT */
/*
 * queue_many.c - the queue cases with many
 *
 *   many-queue    many_queue between two processes; bounded, so that what is under way stays in
 *                 the caches
 *   many-thread   queue.mpmc: many_queue among threads
 *   many-process  queue.mpmc: many_queue among processes
 */
#include "queue.h"

#include <string.h>

#include <many.h>

#define QUEUE_BYTES ((size_t)1 << 17) /* or one message */

static many_queue *queue_many[2];

static void queue_many_open(size_t bytes)
{
    for (int k = 0; k < 2; k++)
        if (many_queue_open(&queue_many[k],
                            .capacity_bytes = bytes > QUEUE_BYTES ? bytes : QUEUE_BYTES) != 0)
            bench_die("%s", many_error_message());
}

static void queue_many_send(int direction, const void *message, size_t bytes)
{
    if (many_queue_put(queue_many[direction], message, bytes, MANY_FOREVER) != 0)
        bench_die("%s", many_error_message());
}

static void queue_many_receive(int direction, void *message, size_t bytes)
{
    if (many_queue_get(queue_many[direction], message, bytes, MANY_FOREVER) != (ssize_t)bytes)
        bench_die("%s", many_error_message());
}

static void crowd_many_open(void)
{
    if (many_queue_open(&queue_many[0], .capacity_bytes = QUEUE_BYTES) != 0)
        bench_die("%s", many_error_message());
}

static void crowd_many_put(const void *message)
{
    queue_many_send(0, message, CROWD_BYTES);
}

static void crowd_many_get(void *message)
{
    queue_many_receive(0, message, CROWD_BYTES);
}

int main(int argc, char **argv)
{
    static const bench_passage passage = {.name = "many-queue",
                                          .open = queue_many_open,
                                          .send = queue_many_send,
                                          .receive = queue_many_receive};
    static const bench_crowd crowds[] = {
        {.name = "many-thread",
         .open = crowd_many_open,
         .put = crowd_many_put,
         .get = crowd_many_get},
        {.name = "many-process",
         .open = crowd_many_open,
         .put = crowd_many_put,
         .get = crowd_many_get,
         .processes = 1},
    };

    if (argc > 1 && strcmp(argv[1], "queue.mpmc") == 0)
        return bench_crowd_main(argc, argv, crowds, sizeof crowds / sizeof crowds[0]);
    return bench_queue_main(argc, argv, &passage, 1);
}
