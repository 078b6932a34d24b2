/* SPDX-License-Identifier: MIT */
/*
 * executor_submit.c - thirty tasks for three threads, and a pool that is closed when its block is left
 *
 * In Python:
 *
 *     def func(name):
 *         for i in range(10):
 *             print(f'{name} is running', i)
 *
 *     with ThreadPoolExecutor(max_workers=3) as executor:
 *         for i in range(30):
 *             executor.submit(func, 'test' + str(i))
 *
 * MANY_POOL_SCOPE is `with`: on every way out of the block, the early return too, the pool is closed after
 * its last task.
 */
#include <many.h>
#include <stdio.h>

static int func(const void *item, void *result, void *context)
{
    const char *name = item;

    (void)result;
    (void)context;
    for (int i = 0; i < 10; i++)
        printf("%s is running %d\n", name, i);
    return 0;
}

int main(void)
{
    MANY_POOL_SCOPE many_pool *executor = NULL;
    int code = many_pool_open(&executor, .kind = MANY_THREADS, .workers = 3);

    for (int i = 0; i < 30 && code == 0; i++) {
        char name[16];

        snprintf(name, sizeof name, "test%d", i);
        code = many_pool_submit(executor, func, name, NULL, .arg_bytes = sizeof name); /* copied */
    }
    if (code < 0) {
        fprintf(stderr, "executor_submit: %s\n", many_error_message());
        return 1;
    }
    return 0;
}
