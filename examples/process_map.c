/* SPDX-License-Identifier: MIT */
/*
 * process_map.c - two inputs side by side, worked off by four processes
 *
 * In Python:
 *
 *     from tqdm.contrib.concurrent import process_map
 *
 *     def worker(i, j):
 *         sleep(0.5 if i == 0 else 0.01)
 *         return i
 *
 *     results = process_map(worker, range(10), range(10), total=10, max_workers=4)
 *
 * Item 0 takes fifty times as long as the others. They do not wait behind it, and their results
 * still come back in order. The bar is on stderr, the results are on stdout.
 */
#define _POSIX_C_SOURCE 200809L
#include <many.h>
#include <stdio.h>
#include <time.h>

enum { ITEMS = 10 };

static void nap(long milliseconds)
{
    nanosleep(&(struct timespec){0, milliseconds * 1000000}, NULL);
}

/* Item k is a pointer to the k-th number of each input. */
static int worker(const void *item, void *result, void *context)
{
    const void *const *pair = item;
    const long *i = pair[0];
    const long *j = pair[1];
    long *out = result;

    (void)context;
    if (*i != *j)
        return many_fail(-1, "%ld and %ld do not belong together", *i, *j);
    nap(*i == 0 ? 500 : 10);
    *out = *i;
    return 0;
}

int main(void)
{
    long xs[ITEMS], ys[ITEMS];
    long results[ITEMS] = {0}; /* for valgrind alone, which does not see workers write here */
    int code;

    for (long k = 0; k < ITEMS; k++)
        xs[k] = ys[k] = k;

    /* zip(xs, ys): the inputs stand in an option, so the place for one input says only its type. */
    code = many_process_map(worker, (const long *)NULL, results, ITEMS,
                            .inputs = (many_input[]){{xs, sizeof *xs}, {ys, sizeof *ys}},
                            .inputs_count = 2, .workers = 4, .desc = "worker");
    if (code < 0) {
        fprintf(stderr, "process_map: %s\n", many_error_message());
        return 1;
    }
    for (int k = 0; k < ITEMS; k++)
        printf("%s%ld%s", k == 0 ? "[" : ", ", results[k], k == ITEMS - 1 ? "]\n" : "");
    return 0;
}
