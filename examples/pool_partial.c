/* SPDX-License-Identifier: MIT */
/*
 * pool_partial.c - some arguments are the same for every item: functools.partial
 *
 * In Python:
 *
 *     def func(a, b, c):
 *         return a * c + b
 *
 *     pool = Pool(4)
 *     print(pool.map(partial(func, 3, 4), range(10)))
 *     pool.close()
 *     pool.join()
 *
 * The arguments that stay are the context. It is copied once for each call of map, not for each item.
 */
#include <many.h>
#include <stdio.h>

enum { ITEMS = 10 };

typedef struct fixed {
    long a, b;
} fixed;

static int func(const void *item, void *result, void *context)
{
    const fixed *same = context;
    const long *c = item;
    long *out = result;

    *out = same->a * *c + same->b;
    return 0;
}

int main(void)
{
    fixed three_and_four = {.a = 3, .b = 4};
    long cs[ITEMS], results[ITEMS];
    many_pool *pool = NULL;
    int code;

    for (long k = 0; k < ITEMS; k++)
        cs[k] = k;
    code = many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 4);
    if (code == 0)
        code = many_pool_map(pool, func, cs, results, ITEMS, .context = &three_and_four,
                             .context_bytes = sizeof three_and_four);
    if (code < 0)
        fprintf(stderr, "pool_partial: %s\n", many_error_message());
    for (int k = 0; k < ITEMS && code == 0; k++)
        printf("%s%ld%s", k == 0 ? "[" : ", ", results[k], k == ITEMS - 1 ? "]\n" : "");
    many_pool_close(pool, MANY_FOREVER);
    return code < 0;
}
