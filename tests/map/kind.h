/* SPDX-License-Identifier: MIT */
/*
 * kind.h - one test for both kinds of workers, and what such tests share
 *
 *   BOTH(results_are_in_order)
 *   {
 *       CHECK_CODE(MAP(kind, square, in, out, n, .workers = 3), 0);
 *   }
 *
 * makes two TESTs, results_are_in_order_in_threads and ..._in_processes. Under the thread sanitizer
 * the second is left out: that tool is for what runs on threads. What a task tells its test goes
 * through test_shared() memory, because it may run in another process.
 */
#ifndef MANY_TESTS_POOL_KIND_H
#define MANY_TESTS_POOL_KIND_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include <many/map.h>

#include "test.h"

typedef int pool_map(many_fn *fn, const void *in, size_t in_bytes, void *out, size_t out_bytes,
                     const many_map_options *options);
typedef int pool_map_range(many_range_fn *fn, const void *in, size_t in_bytes, void *out,
                           size_t out_bytes, const many_map_options *options);

typedef struct pool_kind {
    const char *map_name; /* as it stands in messages */
    const char *range_name;
    int processes;
    pool_map *map;
    pool_map_range *map_range;
} pool_kind;

static const pool_kind pool_threads = {"many_thread_map", "many_thread_map_range", 0,
                                       many_thread_map_with, many_thread_map_range_with};
static const pool_kind pool_processes = {"many_process_map", "many_process_map_range", 1,
                                         many_process_map_with, many_process_map_range_with};

#define POOL_IN_THREADS_(name)                                                                     \
    TEST(name##_in_threads)                                                                        \
    {                                                                                              \
        name(&pool_threads);                                                                       \
    }
#if TEST_TSAN
#define POOL_IN_PROCESSES_(name)
#else
#define POOL_IN_PROCESSES_(name)                                                                   \
    TEST(name##_in_processes)                                                                      \
    {                                                                                              \
        name(&pool_processes);                                                                     \
    }
#endif

/* One body, two TESTs; the body gets `const pool_kind *kind`. */
#define BOTH(name)                                                                                 \
    static void name(const pool_kind *kind);                                                       \
    POOL_IN_PROCESSES_(name)                                                                       \
    POOL_IN_THREADS_(name)                                                                         \
    static void name(const pool_kind *kind)

/* many_thread_map() and many_process_map(), their range forms, and ..._each(), by kind. */
#define MAP(kind, fn, in, out, ...)                                                                \
    (kind)->map((fn), (in), sizeof *(in), (out), sizeof *(out), MANY_MAP_OPTIONS_(__VA_ARGS__))
#define EACH(kind, fn, in, ...)                                                                    \
    (kind)->map((fn), (in), sizeof *(in), NULL, 0, MANY_MAP_OPTIONS_(__VA_ARGS__))
#define MAP_RANGE(kind, fn, in, out, ...)                                                          \
    (kind)->map_range((fn), (in), sizeof *(in), (out), sizeof *(out),                              \
                      MANY_MAP_OPTIONS_(__VA_ARGS__))

/* No inputs: the task works from many_item_index(). */
#define POOL_NOTHING ((const char *)NULL)

/* Counters that tasks bump, one an item. */
static inline _Atomic uint32_t *pool_counters(size_t n)
{
    return test_shared((n > 0 ? n : 1) * sizeof(_Atomic uint32_t));
}

static inline uint64_t pool_sum(const _Atomic uint32_t *counters, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += atomic_load(&counters[i]);
    return sum;
}

static void *pool_no_work(void *argument)
{
    return argument;
}

/* A census after the first thread of the program has brought what stays (a sanitizer's own thread,
 * stacks that libc keeps), and when the kernel has forgotten those that were joined. */
static inline test_census pool_census(void)
{
    test_census census;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, pool_no_work, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    UNTIL((census = test_census_take()).threads <= 1 + TEST_TSAN);
    return census;
}

#endif
