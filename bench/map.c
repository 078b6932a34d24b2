/* SPDX-License-Identifier: MIT */
/*
 * map.c - map.trivial, map.1us, map.10us, map.skewed
 *
 * What is timed: the call of the map, from entry to return. Peers with a lasting pool start it
 * before (warm); many has none here, so its threads and forks are timed too.
 *
 * Memory: the inputs are written and out is touched before the clock starts, for every subject, so
 * that no one pays for the kernel's zeroing of 80 MB; only the subject that says fresh_out gets an
 * untouched out. A process map forks from a process that holds these 160 MB, and pays for that.
 *
 * Efficiency: the same items are done serially in the same process, half of them before the
 * parallel map and half after it, so that a drift of the clock rate falls on both sides. The best
 * possible schedule takes the serial time / workers, or the longest item if that is longer.
 */
#include "map.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { MAP_WORKERS = 2 };

static int map_square(const void *item, void *result, void *context)
{
    const long *x = item;
    long *y = result;

    (void)context;
    *y = *x * *x;
    return 0;
}

static int map_spin(const void *item, void *result, void *context)
{
    const uint64_t *turns = item;
    uint64_t *end = result;

    (void)context;
    *end = bench_spin(*turns);
    return 0;
}

static void map_warm_up(const bench_subject *subject)
{
    long in[64] = {0};
    long out[64];
    bench_map map = {map_square, in, out, sizeof *in, sizeof *out, 64, MAP_WORKERS};

    if (subject->warm)
        subject->run(&map);
}

static void map_trivial(const bench_subject *subject)
{
    size_t n = subject->trivial_items != 0 ? subject->trivial_items : 10000000;
    long *in = bench_memory(n * sizeof *in, 0);
    long *out = bench_memory(n * sizeof *out, subject->shared_out);
    bench_map map = {map_square, in, out, sizeof *in, sizeof *out, n, MAP_WORKERS};
    int64_t begin;
    int64_t taken;

    for (size_t i = 0; i < n; i++)
        in[i] = (long)i;
    if (subject->fresh_out && madvise(out, n * sizeof *out, MADV_DONTNEED) != 0)
        bench_die("madvise failed");
    map_warm_up(subject);
    begin = bench_now_ns();
    subject->run(&map);
    taken = bench_now_ns() - begin;
    for (size_t i = 0; i < n; i++)
        if (out[i] != in[i] * in[i])
            bench_die("result %zu is %ld", i, out[i]);
    bench_print((double)taken / (double)n, "ns/item");
}

/* Calls fn through a pointer, as the parallel maps do. */
static int64_t map_serial_ns(const bench_map *map, size_t first, size_t end)
{
    bench_fn *volatile fn = map->fn;
    const uint64_t *in = map->in;
    uint64_t *out = map->out;
    int64_t begin = bench_now_ns();

    for (size_t i = first; i < end; i++)
        fn(&in[i], &out[i], NULL);
    return bench_now_ns() - begin;
}

/* turns[i]: the length of item i. */
static void map_efficiency(const bench_subject *subject, const uint64_t *turns, size_t n,
                           double longest_ns)
{
    uint64_t *expected = bench_memory(n * sizeof *expected, 0);
    uint64_t *out = bench_memory(n * sizeof *out, subject->shared_out);
    bench_map map = {map_spin, turns, out, sizeof *turns, sizeof *out, n, MAP_WORKERS};
    bench_map serial = map;
    int64_t serial_ns;
    int64_t begin;
    int64_t taken;
    double best_ns;

    serial.out = expected;
    map_warm_up(subject);
    serial_ns = map_serial_ns(&serial, 0, n / 2);
    begin = bench_now_ns();
    subject->run(&map);
    taken = bench_now_ns() - begin;
    serial_ns += map_serial_ns(&serial, n / 2, n);
    if (memcmp(out, expected, n * sizeof *out) != 0)
        bench_die("a result is wrong");
    best_ns = (double)serial_ns / MAP_WORKERS;
    if (best_ns < longest_ns)
        best_ns = longest_ns;
    bench_print(best_ns / (double)taken, "efficiency");
}

static void map_even(const bench_subject *subject, double item_ns)
{
    const size_t n = 100000;
    uint64_t *turns = bench_memory(n * sizeof *turns, 0);
    uint64_t each = bench_turns(item_ns);

    for (size_t i = 0; i < n; i++)
        turns[i] = each;
    map_efficiency(subject, turns, n, item_ns);
}

static void map_1us(const bench_subject *subject)
{
    map_even(subject, 1000.0);
}

static void map_10us(const bench_subject *subject)
{
    map_even(subject, 10000.0);
}

/* 9 980 items of 10 us, then 20 of 10 ms: two thirds of the work lie in the last 0.2 % of items. */
static void map_skewed(const bench_subject *subject)
{
    const size_t n = 10000;
    const size_t long_items = 20;
    const double item_ns = 10000.0;
    const uint64_t factor = 1000;
    uint64_t *turns = bench_memory(n * sizeof *turns, 0);
    uint64_t each = bench_turns(item_ns);

    for (size_t i = 0; i < n; i++)
        turns[i] = i < n - long_items ? each : each * factor;
    map_efficiency(subject, turns, n, item_ns * (double)factor);
}

int bench_map_main(int argc, char **argv, const bench_subject *subjects, size_t count)
{
    static const struct {
        const char *name;
        void (*measure)(const bench_subject *subject);
    } cases[] = {
        {"map.trivial", map_trivial},
        {"map.1us", map_1us},
        {"map.10us", map_10us},
        {"map.skewed", map_skewed},
    };

    if (argc != 3)
        bench_die("usage: %s CASE SUBJECT", argv[0]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t j = 0; j < count; j++)
            if (strcmp(argv[1], cases[i].name) == 0 && strcmp(argv[2], subjects[j].name) == 0) {
                cases[i].measure(&subjects[j]);
                return 0;
            }
    bench_die("%s: no subject %s in a case %s", argv[0], argv[2], argv[1]);
}
