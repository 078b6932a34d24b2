/* SPDX-License-Identifier: MIT */
/*
 * threads.c - a function in a thread, and an object with a thread
 *
 * In Python:
 *
 *     t1 = Thread(target=func, args=('t1',))
 *     t1.start()
 *
 * and a class MyThread(Thread) with a name and a run(self). In C an object is a struct, and its run() a
 * function that gets the struct.
 */
#include <many.h>
#include <stdio.h>

static int func(void *argument)
{
    const char *name = argument;

    for (int i = 0; i < 50; i++)
        printf("%s %d\n", name, i);
    return 0;
}

typedef struct my_thread {
    many_thread *thread;
    const char *name;
} my_thread;

static int my_thread_run(void *argument)
{
    const my_thread *self = argument;

    for (int i = 0; i < 50; i++)
        printf("%s %d\n", self->name, i);
    return 0;
}

static int my_thread_start(my_thread *self)
{
    return many_thread_start(&self->thread, my_thread_run, self, .name = self->name);
}

int main(void)
{
    static char name[] = "t1";
    many_thread *t1 = NULL;
    my_thread r1 = {NULL, "r1"}, r3 = {NULL, "r3"};
    int code;

    code = many_thread_start(&t1, func, name);
    if (code == 0)
        code = many_thread_join(t1, MANY_FOREVER);
    if (code == 0)
        code = my_thread_start(&r1);
    if (code == 0)
        code = my_thread_start(&r3);
    if (code < 0)
        fprintf(stderr, "threads: %s\n", many_error_message());
    many_thread_close(t1); /* closing waits for the end, too */
    many_thread_close(r1.thread);
    many_thread_close(r3.thread);
    return code < 0;
}
