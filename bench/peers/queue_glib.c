/* SPDX-License-Identifier: MIT */
/*
 * queue_glib.c - queue.mpmc with GLib's GAsyncQueue, among threads
 *
 * It passes pointers, so a message is a piece of memory that the producer gets and the consumer
 * gives back.
 */
#include "queue.h"

#include <stdlib.h>
#include <string.h>

#include <glib.h>

static GAsyncQueue *glib_queue;

static void glib_open(void)
{
    glib_queue = g_async_queue_new();
}

static void glib_put(const void *message)
{
    void *copy = malloc(CROWD_BYTES);

    if (copy == NULL)
        bench_die("no memory");
    memcpy(copy, message, CROWD_BYTES);
    g_async_queue_push(glib_queue, copy);
}

static void glib_get(void *message)
{
    void *copy = g_async_queue_pop(glib_queue);

    memcpy(message, copy, CROWD_BYTES);
    free(copy);
}

int main(int argc, char **argv)
{
    static const bench_crowd glib = {
        .name = "glib-async-queue", .open = glib_open, .put = glib_put, .get = glib_get};

    return bench_crowd_main(argc, argv, &glib, 1);
}
