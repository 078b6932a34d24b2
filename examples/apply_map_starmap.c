/* SPDX-License-Identifier: MIT */
/*
 * apply_map_starmap.c - a function of two arguments by apply, by map and by starmap
 *
 * In Python:
 *
 *     def power(x, y):
 *         time.sleep(0.02)
 *         return x ** y
 *
 *     def power_worker(pair):
 *         return power(*pair)
 *
 *     with mp.Pool(2) as pool:
 *         params = [(num, 2) for num in range(total)]
 *         print(pool.apply(power, params[3]))
 *         results = [pool.apply_async(power, param) for param in params]
 *         print([result.get() for result in results])
 *         print(pool.map_async(power_worker, params).get())
 *         print(pool.starmap_async(power, params).get())
 *
 * Who gets each result right after apply_async, and so waits for it, has one worker work at a time:
 * first all are submitted, then all are waited for. The arguments lie in a struct, so there is nothing to
 * unpack, and map does what starmap does; starmap's own form here takes each argument from an array.
 */
#define _POSIX_C_SOURCE 200809L
#include <many.h>
#include <stdio.h>
#include <time.h>

enum { TOTAL = 8 };

typedef struct pair {
    long x, y;
} pair;

static long power(long x, long y)
{
    long product = 1;

    nanosleep(&(struct timespec){0, 20000000}, NULL);
    while (y-- > 0)
        product *= x;
    return product;
}

static int power_of_pair(const void *item, void *result, void *context)
{
    const pair *param = item;
    long *product = result;

    (void)context;
    *product = power(param->x, param->y);
    return 0;
}

/* Of two arrays an item is a pointer into each. */
static int power_of_two(const void *item, void *result, void *context)
{
    const void *const *args = item;
    const long *x = args[0], *y = args[1];
    long *product = result;

    (void)context;
    *product = power(*x, *y);
    return 0;
}

static void print_list(const char *words, const long *list)
{
    printf("%s [", words);
    for (int k = 0; k < TOTAL; k++)
        printf("%s%ld", k == 0 ? "" : ", ", list[k]);
    printf("]\n");
}

static int apply_all(many_pool *pool, const pair *params, long *products)
{
    many_future *futures[TOTAL] = {NULL};
    int code = 0;

    for (int k = 0; k < TOTAL && code == 0; k++)
        code = many_pool_submit(pool, power_of_pair, &params[k], &futures[k],
                                .arg_bytes = sizeof(pair), .result_bytes = sizeof(long));
    for (int k = 0; k < TOTAL && code >= 0; k++)
        code = (int)many_future_result(futures[k], &products[k], sizeof(long), MANY_FOREVER);
    for (int k = 0; k < TOTAL; k++)
        many_future_close(futures[k]);
    return code < 0 ? code : 0;
}

int main(void)
{
    pair params[TOTAL];
    long xs[TOTAL], ys[TOTAL], products[TOTAL];
    const many_input inputs[] = {{xs, sizeof *xs}, {ys, sizeof *ys}};
    many_pool *pool = NULL;
    int code;

    for (long k = 0; k < TOTAL; k++) {
        params[k] = (pair){k, 2};
        xs[k] = k;
        ys[k] = 2;
    }
    code = many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2);
    if (code == 0)
        code = many_pool_apply(pool, power_of_pair, &params[3], &products[3]);
    if (code == 0) {
        printf("apply        %ld\n", products[3]);
        code = apply_all(pool, params, products);
    }
    if (code == 0) {
        print_list("apply_async", products);
        code = many_pool_map(pool, power_of_pair, params, products, TOTAL);
    }
    if (code == 0) {
        print_list("map        ", products);
        code = many_pool_map(pool, power_of_two, (const long *)NULL, products, TOTAL,
                             .inputs = inputs, .inputs_count = 2);
    }
    if (code == 0)
        print_list("starmap    ", products);
    else
        fprintf(stderr, "apply_map_starmap: %s\n", many_error_message());
    many_pool_close(pool, MANY_FOREVER);
    return code != 0;
}
