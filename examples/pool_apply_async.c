/* SPDX-License-Identifier: MIT */
/*
 * pool_apply_async.c - five tasks handed to a pool of two processes, one by one
 *
 * In Python:
 *
 *     def func(msg):
 *         print("msg:", msg)
 *         time.sleep(0.1)
 *         print("end")
 *
 *     pool = mp.Pool(processes=2)
 *     for i in range(5):
 *         pool.apply_async(func, ("hello %d" % i,))
 *     print("start")
 *     pool.close()
 *     pool.join()
 *     print("done.")
 *
 * Nobody wants a result here, so no future is asked for. There, a worker that is killed leaves join()
 * waiting for ever; here its one task fails.
 */
#define _POSIX_C_SOURCE 200809L
#include <many.h>
#include <stdio.h>
#include <time.h>

static int func(const void *item, void *result, void *context)
{
    const char *msg = item;

    (void)result;
    (void)context;
    printf("msg: %s\n", msg);
    nanosleep(&(struct timespec){0, 100000000}, NULL);
    printf("end\n");
    return 0;
}

int main(void)
{
    many_pool *pool = NULL;
    int code = many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2);

    for (int i = 0; i < 5 && code == 0; i++) {
        char msg[24];

        snprintf(msg, sizeof msg, "hello %d", i);
        code = many_pool_submit(pool, func, msg, NULL, .arg_bytes = sizeof msg); /* copied */
    }
    if (code == 0) {
        printf("start\n");
        code = many_pool_finish(pool); /* Python's close: no more tasks */
    }
    if (code == 0)
        code = many_pool_join(pool, MANY_FOREVER);
    if (code < 0)
        fprintf(stderr, "pool_apply_async: %s\n", many_error_message());
    else
        printf("done.\n");
    many_pool_close(pool, 0);
    return code < 0;
}
