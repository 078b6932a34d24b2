/* SPDX-License-Identifier: MIT */
/*
 * imap.c - results in the order of the items, each as soon as it can be had
 *
 * In Python:
 *
 *     def func(msg):
 *         print("msg: ", msg)
 *         time.sleep((4 - msg) / 10)
 *         return msg
 *
 *     print("start")
 *     pool = mp.Pool(3)
 *     for res in pool.imap(func, range(3)):
 *         print("res: ", res)
 *     pool.close()
 *     pool.join()
 *     print("done.")
 *
 * Item 0 takes longest, and the others wait for it; with imap_unordered they would not (imap_unordered.c).
 */
#define _POSIX_C_SOURCE 200809L
#include <many.h>
#include <stdio.h>
#include <time.h>

static int func(const void *item, void *result, void *context)
{
    const int *msg = item;
    int *res = result;

    (void)context;
    printf("msg: %d\n", *msg);
    nanosleep(&(struct timespec){0, (4 - *msg) * 100000000L}, NULL);
    *res = *msg;
    return 0;
}

int main(void)
{
    int range[] = {0, 1, 2};
    many_pool *pool = NULL;
    many_imap *results = NULL;
    int res, code;

    printf("start\n");
    code = many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 3);
    if (code == 0)
        code = many_pool_imap(pool, &results, func, NULL, NULL, .items = range, .n = 3,
                              .item_bytes = sizeof *range, .result_bytes = sizeof res);
    if (code == 0)
        while ((code = many_imap_next(results, &res, sizeof res, NULL, MANY_FOREVER)) > 0)
            printf("res: %d\n", res);
    if (code < 0)
        fprintf(stderr, "imap: %s\n", many_error_message());
    else
        printf("done.\n");
    many_imap_close(results);
    many_pool_close(pool, MANY_FOREVER);
    return code < 0;
}
