/* SPDX-License-Identifier: MIT */
/*
 * deadlock_circle.c - two threads' tasks that wait for each other
 *
 * In Python, for ever:
 *
 *     def wait_on_b():
 *         time.sleep(5)
 *         print(b.result())  # b will never complete because it is waiting on a
 *         return 5
 *
 *     def wait_on_a():
 *         time.sleep(5)
 *         print(a.result())  # a will never complete because it is waiting on b
 *         return 6
 *
 *     executor = ThreadPoolExecutor(max_workers=2)
 *     a = executor.submit(wait_on_b)
 *     b = executor.submit(wait_on_a)
 *
 * Here the wait of the circle's youngest task, which is b, is -EDEADLK, with words that name the circle (they
 * go to stderr). What b makes of that is its own matter: it returns all the same, and a gets its result.
 */
#include <many.h>
#include <stdio.h>

static many_future *a, *b;
static many_event submitted; /* both are: instead of the sleep */

static void wait_on(const char *name, many_future *const *future)
{
    int number = 0;
    ssize_t code;

    many_event_wait(&submitted, MANY_FOREVER);
    code = many_future_result(*future, &number, sizeof number, MANY_FOREVER);
    if (code < 0) {
        fprintf(stderr, "%s\n", many_error_message());
        printf("%s waits in vain: %s\n", name, many_error_name((int)code));
    } else {
        printf("%s waited for %d\n", name, number);
    }
}

static int wait_on_b(const void *item, void *result, void *context)
{
    (void)item;
    (void)context;
    wait_on("a", &b);
    *(int *)result = 5;
    return 0;
}

static int wait_on_a(const void *item, void *result, void *context)
{
    (void)item;
    (void)context;
    wait_on("b", &a);
    *(int *)result = 6;
    return 0;
}

int main(void)
{
    many_pool *executor = NULL;
    int numbers[2] = {0, 0};
    ssize_t code = many_pool_open(&executor, .kind = MANY_THREADS, .workers = 2);

    if (code == 0)
        code = many_pool_submit(executor, wait_on_b, NULL, &a, .result_bytes = sizeof(int),
                                .name = "a");
    if (code == 0)
        code = many_pool_submit(executor, wait_on_a, NULL, &b, .result_bytes = sizeof(int),
                                .name = "b");
    many_event_set(&submitted);
    if (code == 0)
        code = many_future_result(a, &numbers[0], sizeof numbers[0], MANY_FOREVER);
    if (code >= 0)
        code = many_future_result(b, &numbers[1], sizeof numbers[1], MANY_FOREVER);
    if (code < 0)
        fprintf(stderr, "deadlock_circle: %s\n", many_error_message());
    else
        printf("a: %d, b: %d\n", numbers[0], numbers[1]);
    many_pool_close(executor, MANY_FOREVER);
    many_future_close(a);
    many_future_close(b);
    return code < 0;
}
