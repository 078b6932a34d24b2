/* SPDX-License-Identifier: MIT */
/*
 * pool_map_async.c - one function over five items by a pool of two, while the caller goes on
 *
 * In Python:
 *
 *     def func(msg):
 *         print("msg:", msg)
 *         time.sleep(0.1)
 *         print("end")
 *
 *     pool = mp.Pool(2)
 *     result = pool.map_async(func, range(5))
 *     print("start")
 *     pool.close()
 *     pool.join()
 *     print("done.")
 *
 * Whoever leaves the result alone, as there, never learns that a task has failed. It is asked here.
 */
#define _POSIX_C_SOURCE 200809L
#include <many.h>
#include <stdio.h>
#include <time.h>

static int func(const void *item, void *result, void *context)
{
    const int *msg = item;

    (void)result;
    (void)context;
    printf("msg: %d\n", *msg);
    nanosleep(&(struct timespec){0, 100000000}, NULL);
    printf("end\n");
    return 0;
}

int main(void)
{
    int range[] = {0, 1, 2, 3, 4};
    many_pool *pool = NULL;
    many_future *all = NULL;
    int code = many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2);

    if (code == 0)
        code = many_pool_each_async(pool, func, range, 5, .future = &all);
    if (code == 0) {
        printf("start\n");
        code = (int)many_future_result(all, NULL, 0, MANY_FOREVER);
    }
    if (code < 0)
        fprintf(stderr, "pool_map_async: %s\n", many_error_message());
    else
        printf("done.\n");
    many_future_close(all);
    many_pool_close(pool, MANY_FOREVER);
    return code < 0;
}
