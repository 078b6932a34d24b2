/* SPDX-License-Identifier: MIT */
/*
 * imap_with_bar.c - results as they come, with a bar over them, from an input that is never all there
 *
 * In Python:
 *
 *     def func(parameter):
 *         return parameter ** 3
 *
 *     def parameters():
 *         for i in range(10):
 *             yield i
 *
 *     pool = Pool(4)
 *     results = pool.imap(func, parameters())
 *     for result in tqdm(results, total=10):
 *         tqdm.write(str(result))
 *     pool.close()
 *     pool.join()
 *
 * There, imap reads the whole generator before the first result is taken. Here next_parameter() is called
 * as results are taken, so that it may go on for ever. The bar is on stderr, the results are on stdout.
 */
#include <many.h>
#include <stdio.h>

static int func(const void *item, void *result, void *context)
{
    const long *parameter = item;
    long *out = result;

    (void)context;
    *out = *parameter * *parameter * *parameter;
    return 0;
}

/* The source: 1: here is one; 0: that was all. */
static int next_parameter(void *item, void *context)
{
    long *i = context;

    if (*i == 10)
        return 0;
    *(long *)item = (*i)++;
    return 1;
}

int main(void)
{
    many_pool *pool = NULL;
    many_imap *results = NULL;
    many_bar *bar = NULL;
    long i = 0, result;
    int code = many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 4);

    if (code == 0)
        code = many_pool_imap(pool, &results, func, next_parameter, &i, .item_bytes = sizeof i,
                              .result_bytes = sizeof result);
    if (code == 0)
        code = many_bar_open(&bar, .total = 10);
    if (code == 0)
        while ((code = many_imap_next(results, &result, sizeof result, NULL, MANY_FOREVER)) > 0) {
            many_bar_print("%ld", result);
            many_bar_add(bar, 1);
        }
    many_bar_close(bar);
    if (code < 0)
        fprintf(stderr, "imap_with_bar: %s\n", many_error_message());
    many_imap_close(results);
    many_pool_close(pool, MANY_FOREVER);
    return code < 0;
}
