/* SPDX-License-Identifier: MIT */
/*
 * lock.c - two threads write the same list, and a lock keeps each list whole
 *
 * In Python:
 *
 *     def change_resource(para, sleep):
 *         lock.acquire()
 *         for i in range(len(global_resource)):
 *             global_resource[i] = para
 *             time.sleep(sleep)
 *         print("the list is now:", global_resource)
 *         lock.release()
 *
 * Without the lock the lists that are printed are a mixture. The pauses are a tenth of the original's.
 */
#define _POSIX_C_SOURCE 200809L
#include <many.h>
#include <stdio.h>
#include <time.h>

static many_lock lock; /* zero is an unlocked lock */

static const char *global_resource[5];

typedef struct change {
    const char *para;
    long sleep_ms;
} change;

static int change_resource(void *argument)
{
    const change *todo = argument;
    const struct timespec pause = {0, todo->sleep_ms * 1000000};
    int code = many_lock_acquire(&lock, MANY_FOREVER);

    if (code < 0)
        return 1;
    for (int i = 0; i < 5; i++) {
        global_resource[i] = todo->para;
        nanosleep(&pause, NULL);
    }
    printf("the list is now:");
    for (int i = 0; i < 5; i++)
        printf(" %s", global_resource[i]);
    printf("\n");
    return many_lock_release(&lock) < 0;
}

int main(void)
{
    change hi = {"hi", 200}, hello = {"hello", 100};
    many_thread *thread_hi = NULL, *thread_hello = NULL;
    int code = many_thread_start(&thread_hi, change_resource, &hi);

    if (code == 0)
        code = many_thread_start(&thread_hello, change_resource, &hello);
    if (code < 0)
        fprintf(stderr, "lock: %s\n", many_error_message());
    many_thread_join(thread_hi, MANY_FOREVER);
    many_thread_join(thread_hello, MANY_FOREVER);
    many_thread_close(thread_hi);
    many_thread_close(thread_hello);
    return code < 0;
}
