/* SPDX-License-Identifier: MIT */
/*
 * imap_unordered.c - results as they are finished, whichever is first
 *
 * In Python:
 *
 *     def func(msg):
 *         print("msg: ", msg)
 *         time.sleep((4 - msg) / 10)
 *         return msg
 *
 *     pool = mp.Pool(3)
 *     for res in pool.imap_unordered(func, range(3)):
 *         print("res: ", res)
 *     pool.close()
 *     pool.join()
 *     print("done.")
 *
 * Item 0 takes longest, and comes last. many_imap_index() says which item a result belongs to; there one has
 * to return it with the result.
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

    code = many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 3);
    if (code == 0)
        code =
            many_pool_imap(pool, &results, func, NULL, NULL, .items = range, .n = 3,
                           .item_bytes = sizeof *range, .result_bytes = sizeof res, .unordered = 1);
    if (code == 0)
        while ((code = many_imap_next(results, &res, sizeof res, NULL, MANY_FOREVER)) > 0)
            printf("res: %d\n", res);
    if (code < 0)
        fprintf(stderr, "imap_unordered: %s\n", many_error_message());
    else
        printf("done.\n");
    many_imap_close(results);
    many_pool_close(pool, MANY_FOREVER);
    return code < 0;
}
