/* SPDX-License-Identifier: MIT */
/*
 * queue_of_names.c - a queue whose end is seen by the consumer, without a message that says so
 *
 * In Python:
 *
 *     def funcname(name, q):
 *         for i in range(100):
 *             q.put(name + str(i))
 *         q.put("end")
 *
 *     def funcname2(q):
 *         while (text := q.get()) != 'end':
 *             print(text)
 *
 * "end" has to be put once for each consumer, and never comes from a producer that is killed. Here the
 * producer is registered: when it has returned, or died, the consumer gets -EPIPE after the last message.
 */
#include <many.h>
#include <errno.h>
#include <stdio.h>

typedef struct names {
    const char *name;
    many_queue *queue;
} names;

static int funcname(void *argument)
{
    const names *to = argument;
    char text[32];

    for (int i = 0; i < 100; i++) {
        int bytes = snprintf(text, sizeof text, "%s%d", to->name, i);

        if (many_queue_put(to->queue, text, (size_t)bytes, MANY_FOREVER) < 0)
            return 1;
    }
    return 0;
}

static int funcname2(void *argument)
{
    const names *from = argument;
    char text[32];
    ssize_t bytes;

    while ((bytes = many_queue_get(from->queue, text, sizeof text, MANY_FOREVER)) >= 0)
        printf("%.*s\n", (int)bytes, text);
    return bytes == -EPIPE ? 0 : 1;
}

int main(void)
{
    names bob = {"bob", NULL};
    many_process *p1 = NULL, *p2 = NULL;
    int code = many_queue_open(&bob.queue, .capacity = 16);

    if (code == 0)
        code = many_process_start(&p1, funcname, &bob, .produces = bob.queue);
    if (code == 0)
        code = many_process_start(&p2, funcname2, &bob, .consumes = bob.queue);
    if (code == 0)
        code = many_process_join(p2, MANY_FOREVER);
    if (code < 0)
        fprintf(stderr, "queue_of_names: %s\n", many_error_message());
    many_process_close(p1);
    many_process_close(p2);
    many_queue_close(bob.queue);
    return code < 0;
}
