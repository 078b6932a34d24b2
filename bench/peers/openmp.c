/* SPDX-License-Identifier: MIT */
/*
 * openmp.c - OpenMP loops: static inlined, and dynamic schedules through a pointer
 */
#include "map.h"

#include <string.h>

/* map.trivial only: the function is known to the compiler, as OpenMP's users write it. */
static void openmp_static(const bench_map *map)
{
    const long *x = map->in;
    long *y = map->out;

#pragma omp parallel for schedule(static) num_threads(map->workers)
    for (size_t i = 0; i < map->n; i++)
        y[i] = x[i] * x[i];
}

static void openmp_dynamic1(const bench_map *map)
{
    bench_fn *volatile fn_kept = map->fn;
    bench_fn *fn = fn_kept;
    const char *in = map->in;
    char *out = map->out;

#pragma omp parallel for schedule(dynamic, 1) num_threads(map->workers)
    for (size_t i = 0; i < map->n; i++)
        fn(in + i * map->in_bytes, out + i * map->out_bytes, NULL);
}

static void openmp_dynamic64(const bench_map *map)
{
    bench_fn *volatile fn_kept = map->fn;
    bench_fn *fn = fn_kept;
    const char *in = map->in;
    char *out = map->out;

#pragma omp parallel for schedule(dynamic, 64) num_threads(map->workers)
    for (size_t i = 0; i < map->n; i++)
        fn(in + i * map->in_bytes, out + i * map->out_bytes, NULL);
}

int main(int argc, char **argv)
{
    static const bench_subject subjects[] = {
        {.name = "openmp-static", .run = openmp_static, .warm = 1},
        {.name = "openmp-dynamic1", .run = openmp_dynamic1, .warm = 1},
        {.name = "openmp-dynamic64", .run = openmp_dynamic64, .warm = 1},
    };

    return bench_map_main(argc, argv, subjects, sizeof subjects / sizeof subjects[0]);
}
