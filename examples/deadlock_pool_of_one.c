/* SPDX-License-Identifier: MIT */
/*
 * deadlock_pool_of_one.c - a task that waits for a task of its own pool, which has no other worker
 *
 * In Python, for ever:
 *
 *     def wait_on_future():
 *         f = executor.submit(pow, 5, 2)
 *         # This will never complete because there is only one worker thread and
 *         # it is executing this function.
 *         print(f.result())
 *
 *     executor = ThreadPoolExecutor(max_workers=1)
 *     executor.submit(wait_on_future)
 *
 * Here the wait runs the task itself, because it has not begun. With processes, too.
 */
#include <many.h>
#include <stdio.h>

typedef struct powers {
    int base, exponent;
} powers;

static int power(const void *item, void *result, void *context)
{
    const powers *of = item;
    int product = 1;

    (void)context;
    for (int k = 0; k < of->exponent; k++)
        product *= of->base;
    *(int *)result = product;
    return 0;
}

static int wait_on_future(const void *item, void *result, void *context)
{
    powers five_two = {5, 2};
    many_future *f = NULL;
    ssize_t code = many_pool_submit(many_pool_current(), power, &five_two, &f,
                                    .arg_bytes = sizeof five_two, .result_bytes = sizeof(int));

    (void)item;
    (void)context;
    if (code == 0)
        code = many_future_result(f, result, sizeof(int), MANY_FOREVER);
    many_future_close(f);
    return code < 0 ? (int)code : 0;
}

static int run(int kind, const char *words)
{
    many_pool *executor = NULL;
    many_future *outer = NULL;
    int number = 0;
    ssize_t code = many_pool_open(&executor, .kind = kind, .workers = 1);

    if (code == 0)
        code =
            many_pool_submit(executor, wait_on_future, NULL, &outer, .result_bytes = sizeof(int));
    if (code == 0)
        code = many_future_result(outer, &number, sizeof number, MANY_FOREVER);
    if (code < 0)
        fprintf(stderr, "deadlock_pool_of_one: %s\n", many_error_message());
    else
        printf("%s: %d\n", words, number);
    many_future_close(outer);
    many_pool_close(executor, MANY_FOREVER);
    return code < 0;
}

int main(void)
{
    return run(MANY_THREADS, "a thread") != 0 || run(MANY_PROCESSES, "a process") != 0;
}
