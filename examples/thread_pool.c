/* SPDX-License-Identifier: MIT */
/*
 * thread_pool.c - a pool of two threads, a bar over its results, and a result that may be missing
 *
 * In Python:
 *
 *     from multiprocessing.pool import ThreadPool
 *
 *     def func(num):
 *         time.sleep(0.02)
 *         if num % 3 == 0:
 *             return num * 10
 *
 *     with ThreadPool(2) as pool:
 *         for result in tqdm(pool.imap(func, range(10)), total=10, ncols=100):
 *             print(f"{result=}")
 *
 * Where Python's function returns None, this one replies with nothing: without .result_bytes a result has
 * any length, also none.
 */
#define _POSIX_C_SOURCE 200809L
#include <many.h>
#include <stdio.h>
#include <time.h>

static int func(const void *item, void *result, void *context)
{
    const int *num = item;
    int ten_times = *num * 10;

    (void)result;
    (void)context;
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    return *num % 3 == 0 ? many_reply(&ten_times, sizeof ten_times) : 0;
}

int main(void)
{
    int range[10], result, code;
    size_t bytes;
    many_pool *pool = NULL;
    many_imap *results = NULL;
    many_bar *bar = NULL;

    for (int k = 0; k < 10; k++)
        range[k] = k;
    code = many_pool_open(&pool, .kind = MANY_THREADS, .workers = 2);
    if (code == 0)
        code = many_pool_imap(pool, &results, func, NULL, NULL, .items = range, .n = 10,
                              .item_bytes = sizeof *range);
    if (code == 0)
        code = many_bar_open(&bar, .total = 10, .columns = 100);
    if (code == 0)
        while ((code = many_imap_next(results, &result, sizeof result, &bytes, MANY_FOREVER)) > 0) {
            if (bytes > 0)
                many_bar_print("result=%d", result);
            else
                many_bar_print("result=None");
            many_bar_add(bar, 1);
        }
    many_bar_close(bar);
    if (code < 0)
        fprintf(stderr, "thread_pool: %s\n", many_error_message());
    many_imap_close(results);
    many_pool_close(pool, MANY_FOREVER);
    return code < 0;
}
