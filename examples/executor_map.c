/* SPDX-License-Identifier: MIT */
/*
 * executor_map.c - a function of two arguments over two lists, results in order
 *
 * In Python:
 *
 *     def func(name, t):
 *         time.sleep(t)
 *         print(f'{name} is running')
 *         return name
 *
 *     with ThreadPoolExecutor(max_workers=3) as executor:
 *         for i in executor.map(func, ['A', 'B', 'C'], [0.2, 0.1, 0.3]):
 *             print(i)
 *
 * The results are in the order of the items, whichever was finished first. They are there all at once;
 * imap.c takes them one by one.
 */
#define _POSIX_C_SOURCE 200809L
#include <many.h>
#include <stdio.h>
#include <time.h>

/* Of two arrays an item is a pointer into each. */
static int func(const void *item, void *result, void *context)
{
    const void *const *args = item;
    const char *const *name = args[0];
    const double *t = args[1];

    (void)context;
    nanosleep(&(struct timespec){0, (long)(*t * 1e9)}, NULL);
    printf("%s is running\n", *name);
    *(const char **)result = *name;
    return 0;
}

int main(void)
{
    const char *names[] = {"A", "B", "C"}, *results[3];
    const double times[] = {0.2, 0.1, 0.3};
    const many_input inputs[] = {{names, sizeof *names}, {times, sizeof *times}};
    many_pool *executor = NULL;
    int code = many_pool_open(&executor, .kind = MANY_THREADS, .workers = 3);

    if (code == 0) /* the place for one input says only what an item would be */
        code = many_pool_map(executor, func, (const char **)NULL, results, 3, .inputs = inputs,
                             .inputs_count = 2);
    if (code < 0)
        fprintf(stderr, "executor_map: %s\n", many_error_message());
    for (int i = 0; i < 3 && code == 0; i++)
        printf("%s\n", results[i]);
    many_pool_close(executor, MANY_FOREVER);
    return code < 0;
}
