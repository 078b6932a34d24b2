/* SPDX-License-Identifier: MIT */
/*
 * producer_consumer.c - a queue between two processes, ended by a message that stands for None
 *
 * In Python:
 *
 *     def producer(queue):
 *         for i in range(10):
 *             queue.put(i)
 *         queue.put(None)
 *
 *     def consumer(queue):
 *         while (item := queue.get()) is not None:
 *             print(item)
 */
#include <many.h>
#include <stdio.h>

static int producer(void *argument)
{
    many_queue *queue = argument;

    for (int i = 0; i < 10; i++)
        if (many_queue_put(queue, &i, sizeof i, MANY_FOREVER) < 0)
            return 1;
    return many_queue_put(queue, NULL, 0, MANY_FOREVER) < 0; /* a message of no bytes: None */
}

static int consumer(void *argument)
{
    many_queue *queue = argument;
    ssize_t bytes;
    int item;

    while ((bytes = many_queue_get(queue, &item, sizeof item, MANY_FOREVER)) > 0)
        printf("%d\n", item);
    return bytes < 0;
}

int main(void)
{
    many_queue *queue = NULL;
    many_process *p1 = NULL, *p2 = NULL;
    int code = many_queue_open(&queue);

    /* Registered ends: were one of the two killed, the other would get -EPIPE, and not wait for
     * ever. */
    if (code == 0)
        code = many_process_start(&p1, producer, queue, .produces = queue);
    if (code == 0)
        code = many_process_start(&p2, consumer, queue, .consumes = queue);
    if (code == 0)
        code = many_process_join(p1, MANY_FOREVER);
    if (code == 0)
        code = many_process_join(p2, MANY_FOREVER);
    if (code < 0)
        fprintf(stderr, "producer_consumer: %s\n", many_error_message());
    many_process_close(p1);
    many_process_close(p2);
    many_queue_close(queue);
    return code < 0;
}
