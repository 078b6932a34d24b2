/* SPDX-License-Identifier: MIT */
/*
 * done_callback.c - a function that is called with each future as it is over
 *
 * In Python:
 *
 *     def func(name, t):
 *         time.sleep(t)
 *         print(f'{name} is running')
 *         return name
 *
 *     def fn(res):
 *         print(res.result())
 *
 *     with ThreadPoolExecutor(max_workers=3) as executor:
 *         executor.submit(func, 'A', 0.2).add_done_callback(fn)
 *         executor.submit(func, 'B', 0.1).add_done_callback(fn)
 *         executor.submit(func, 'C', 0.3).add_done_callback(fn)
 *
 * An exception in a callback is written to a log there, and is forgotten. Here a callback returns a code, and
 * the pool's close returns the first that is not 0. many_future_on_done() adds a callback to a future
 * that is there already.
 */
#define _POSIX_C_SOURCE 200809L
#include <many.h>
#include <stdio.h>
#include <time.h>

typedef struct call {
    char name;
    long milliseconds;
} call;

static int func(const void *item, void *result, void *context)
{
    const call *args = item;
    char *name = result;

    (void)context;
    nanosleep(&(struct timespec){0, args->milliseconds * 1000000}, NULL);
    printf("%c is running\n", args->name);
    *name = args->name;
    return 0;
}

/* With no future of ours, the one that it gets is closed after it. */
static int fn(many_future *res, void *context)
{
    char name;
    ssize_t bytes = many_future_result(res, &name, sizeof name, 0);

    (void)context;
    if (bytes < 0)
        return (int)bytes;
    printf("%c\n", name);
    return 0;
}

int main(void)
{
    const call calls[] = {{'A', 200}, {'B', 100}, {'C', 300}};
    many_pool *executor = NULL;
    int failed, code = many_pool_open(&executor, .kind = MANY_THREADS, .workers = 3);

    for (int k = 0; k < 3 && code == 0; k++)
        code = many_pool_submit(executor, func, &calls[k], NULL, .arg_bytes = sizeof calls[k],
                                .result_bytes = sizeof(char), .on_done = fn);
    if (code < 0)
        fprintf(stderr, "done_callback: %s\n", many_error_message());
    failed = many_pool_close(executor, MANY_FOREVER);
    if (failed < 0)
        fprintf(stderr, "done_callback: %s\n", many_error_message());
    return code < 0 || failed < 0;
}
