/* SPDX-License-Identifier: MIT */
/*
 * thread_and_process_map.c - the same function over the same data, by threads and by processes
 *
 * In Python:
 *
 *     from tqdm.contrib.concurrent import thread_map, process_map
 *
 *     def compute(x):
 *         return x * x
 *
 *     data = list(range(10))
 *     results_thread = thread_map(compute, data, max_workers=4)
 *     print("Thread results:", results_thread)
 *     results_process = process_map(compute, data, max_workers=4)
 *     print("Process results:", results_process)
 *
 * The two calls differ by one word. There, only processes could compute side by side; here both do,
 * and processes are for tasks that may crash, hang, or change what they should not.
 */
#include <many.h>
#include <stdio.h>

enum { ITEMS = 10 };

static int compute(const void *item, void *result, void *context)
{
    const long *x = item;
    long *y = result;

    (void)context;
    *y = *x * *x;
    return 0;
}

static void print_list(const char *words, const long *list, int n)
{
    printf("%s [", words);
    for (int k = 0; k < n; k++)
        printf("%s%ld", k == 0 ? "" : ", ", list[k]);
    printf("]\n");
}

int main(void)
{
    long data[ITEMS], results[ITEMS];

    for (long k = 0; k < ITEMS; k++)
        data[k] = k;

    if (many_thread_map(compute, data, results, ITEMS, .workers = 4, .desc = "threads") < 0)
        goto failed;
    print_list("Thread results:", results, ITEMS);

    if (many_process_map(compute, data, results, ITEMS, .workers = 4, .desc = "processes") < 0)
        goto failed;
    print_list("Process results:", results, ITEMS);
    return 0;
failed:
    fprintf(stderr, "thread_and_process_map: %s\n", many_error_message());
    return 1;
}
