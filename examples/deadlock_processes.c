/* SPDX-License-Identifier: MIT */
/*
 * deadlock_processes.c - the same two tasks that wait for each other, each in a process of its own
 *
 * In Python a future cannot be handed to a worker process, so there one builds the same with locks or
 * pipes, and waits for ever:
 *
 *     def wait_on_b(): ...  # waits for what b says, and says 5
 *     def wait_on_a(): ...  # waits for what a says, and says 6
 *
 *     with ProcessPoolExecutor(max_workers=2) as executor:
 *         a = executor.submit(wait_on_b)
 *         b = executor.submit(wait_on_a)
 *
 * Here a future has an id, which crosses to the workers through shared memory; the circle is found there as
 * it is among threads (deadlock_circle.c), and ends in the same way.
 */
#include <many.h>
#include <stdio.h>

typedef struct shared {
    many_event submitted; /* both ids are there */
    uint64_t a, b;
} shared;

static void wait_on(const char *name, const uint64_t *id, shared *both)
{
    many_future *future = NULL;
    int number = 0;
    ssize_t code = many_event_wait(&both->submitted, MANY_FOREVER);

    if (code == 0)
        code = many_future_from_id(&future, *id);
    if (code == 0)
        code = many_future_result(future, &number, sizeof number, MANY_FOREVER);
    many_future_close(future);
    if (code < 0) {
        fprintf(stderr, "%s\n", many_error_message());
        printf("%s waits in vain: %s\n", name, many_error_name((int)code));
    } else {
        printf("%s waited for %d\n", name, number);
    }
}

static int wait_on_b(const void *item, void *result, void *context)
{
    shared *both = context;

    (void)item;
    wait_on("a", &both->b, both);
    *(int *)result = 5;
    return 0;
}

static int wait_on_a(const void *item, void *result, void *context)
{
    shared *both = context;

    (void)item;
    wait_on("b", &both->a, both);
    *(int *)result = 6;
    return 0;
}

int main(void)
{
    many_segment *segment = NULL;
    many_pool *executor = NULL;
    many_future *a = NULL, *b = NULL;
    shared *both = NULL;
    int numbers[2] = {0, 0};
    ssize_t code = many_segment_open(&segment, .bytes = sizeof *both);

    /* Before the pool: what is there when it is opened, its workers have, at the same address. */
    if (code == 0) {
        both = many_segment_data(segment);
        code = many_pool_open(&executor, .kind = MANY_PROCESSES, .workers = 2);
    }
    if (code == 0)
        code = many_pool_submit(executor, wait_on_b, NULL, &a, .result_bytes = sizeof(int),
                                .context = both, .name = "a");
    if (code == 0)
        code = many_pool_submit(executor, wait_on_a, NULL, &b, .result_bytes = sizeof(int),
                                .context = both, .name = "b");
    if (code == 0) {
        both->a = many_future_id(a);
        both->b = many_future_id(b);
        code = many_event_set(&both->submitted);
    }
    if (code == 0)
        code = many_future_result(a, &numbers[0], sizeof numbers[0], MANY_FOREVER);
    if (code >= 0)
        code = many_future_result(b, &numbers[1], sizeof numbers[1], MANY_FOREVER);
    if (code < 0)
        fprintf(stderr, "deadlock_processes: %s\n", many_error_message());
    else
        printf("a: %d, b: %d\n", numbers[0], numbers[1]);
    many_pool_close(executor, code < 0 ? 0 : MANY_FOREVER);
    many_future_close(a);
    many_future_close(b);
    many_segment_close(segment);
    return code < 0;
}
