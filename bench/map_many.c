/* SPDX-License-Identifier: MIT */
/*
 * map_many.c - the map cases with many
 *
 *   many-thread          many_thread_map
 *   many-thread-range    many_thread_map_range: the task is a loop, which the compiler vectorises
 *   many-process-shared  many_process_map with .in_place, results in a touched shared segment
 *   many-process         many_process_map, results in touched private memory
 *   many-process-fresh   the same with results in private memory that nobody has touched
 */
#include "map.h"

#include <many.h>

static void map_many_thread(const bench_map *map)
{
    many_map_options options = {.size = sizeof options, .n = map->n, .workers = map->workers};

    if (many_thread_map_with(map->fn, map->in, map->in_bytes, map->out, map->out_bytes, &options) !=
        0)
        bench_die("%s", many_error_message());
}

static int map_many_square(const void *items, void *results, size_t n, void *context)
{
    const long *x = items;
    long *y = results;

    (void)context;
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * x[i];
    return 0;
}

/* map.trivial only. */
static void map_many_thread_range(const bench_map *map)
{
    const long *in = map->in;
    long *out = map->out;

    if (many_thread_map_range(map_many_square, in, out, map->n, .workers = map->workers) != 0)
        bench_die("%s", many_error_message());
}

static void map_many_process_at(const bench_map *map, int in_place)
{
    many_map_options options = {
        .size = sizeof options, .n = map->n, .workers = map->workers, .in_place = in_place};

    if (many_process_map_with(map->fn, map->in, map->in_bytes, map->out, map->out_bytes,
                              &options) != 0)
        bench_die("%s", many_error_message());
}

static void map_many_process_shared(const bench_map *map)
{
    map_many_process_at(map, 1);
}

static void map_many_process(const bench_map *map)
{
    map_many_process_at(map, 0);
}

int main(int argc, char **argv)
{
    static const bench_subject subjects[] = {
        {.name = "many-thread", .run = map_many_thread},
        {.name = "many-thread-range", .run = map_many_thread_range},
        {.name = "many-process-shared", .run = map_many_process_shared, .shared_out = 1},
        {.name = "many-process", .run = map_many_process},
        {.name = "many-process-fresh", .run = map_many_process, .fresh_out = 1},
    };

    return bench_map_main(argc, argv, subjects, sizeof subjects / sizeof subjects[0]);
}
