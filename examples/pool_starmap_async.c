/* SPDX-License-Identifier: MIT */
/*
 * pool_starmap_async.c - a function of two arguments over pairs, while the caller goes on
 *
 * In Python:
 *
 *     def func(msg1, msg2):
 *         print("msg1:", msg1, "msg2:", msg2)
 *         time.sleep(0.1)
 *         print("end")
 *
 *     pool = mp.Pool(2)
 *     pool.starmap_async(func, [(1, 1), (2, 2)])
 *     print("start")
 *     pool.close()
 *     pool.join()
 *     print("done.")
 *
 * A tuple of arguments is a struct, and starmap is map.
 */
#define _POSIX_C_SOURCE 200809L
#include <many.h>
#include <stdio.h>
#include <time.h>

typedef struct messages {
    int msg1, msg2;
} messages;

static int func(const void *item, void *result, void *context)
{
    const messages *args = item;

    (void)result;
    (void)context;
    printf("msg1: %d msg2: %d\n", args->msg1, args->msg2);
    nanosleep(&(struct timespec){0, 100000000}, NULL);
    printf("end\n");
    return 0;
}

int main(void)
{
    messages msgs[] = {{1, 1}, {2, 2}};
    many_pool *pool = NULL;
    many_future *all = NULL;
    int code = many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2);

    if (code == 0)
        code = many_pool_each_async(pool, func, msgs, 2, .future = &all);
    if (code == 0) {
        printf("start\n");
        code = (int)many_future_result(all, NULL, 0, MANY_FOREVER);
    }
    if (code < 0)
        fprintf(stderr, "pool_starmap_async: %s\n", many_error_message());
    else
        printf("done.\n");
    many_future_close(all);
    many_pool_close(pool, MANY_FOREVER);
    return code < 0;
}
