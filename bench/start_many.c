/* SPDX-License-Identifier: MIT */
/*
 * start_many.c - map.start with many: `start_many many-process`, `start_many many-thread`
 */
#include "start.h"

#include <many.h>

#include <string.h>

static int start_item(const void *item, void *result, void *context)
{
    const long *i = item;
    long *y = result;

    (void)context;
    *y = *i + 1;
    return 0;
}

static const long start_items[START_WORKERS] = {0, 1, 2, 3};

static void start_process(long *results)
{
    if (many_process_map(start_item, start_items, results, START_WORKERS,
                         .workers = START_WORKERS) != 0)
        bench_die("%s", many_error_message());
}

static void start_thread(long *results)
{
    if (many_thread_map(start_item, start_items, results, START_WORKERS,
                        .workers = START_WORKERS) != 0)
        bench_die("%s", many_error_message());
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "many-process") == 0)
        return bench_start(start_process);
    if (argc == 2 && strcmp(argv[1], "many-thread") == 0)
        return bench_start(start_thread);
    bench_die("usage: %s many-process|many-thread", argv[0]);
}
