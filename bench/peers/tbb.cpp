/* SPDX-License-Identifier: MIT */
/*
 * tbb.cpp - tbb::parallel_for, auto partitioner, the task called through a pointer
 */
#include "map.h"

#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

static void tbb_run(const bench_map *map)
{
    /* Read back from a volatile, so that the compiler cannot know which function it is. */
    bench_fn *volatile fn_kept = map->fn;
    bench_fn *fn = fn_kept;
    const char *in = static_cast<const char *>(map->in);
    char *out = static_cast<char *>(map->out);
    const size_t in_bytes = map->in_bytes;
    const size_t out_bytes = map->out_bytes;

    tbb::parallel_for(
        tbb::blocked_range<size_t>(0, map->n),
        [=](const tbb::blocked_range<size_t> &range) {
            for (size_t i = range.begin(); i < range.end(); i++)
                fn(in + i * in_bytes, out + i * out_bytes, nullptr);
        },
        tbb::auto_partitioner());
}

static const bench_subject subjects[] = {
    {"tbb-fnptr", tbb_run, 0, 0, 0, 1},
    {"tbb-auto", tbb_run, 0, 0, 0, 1},
};

int main(int argc, char **argv)
{
    tbb::global_control workers(tbb::global_control::max_allowed_parallelism, 2);

    return bench_map_main(argc, argv, subjects, sizeof subjects / sizeof subjects[0]);
}
