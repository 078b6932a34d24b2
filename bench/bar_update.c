/* SPDX-License-Identifier: MIT */
/*
 * bar_update.c - bar.update: the time of one many_bar_add(bar, 1) while the bar is drawn
 *
 * `bar_update THREADS`. Linked once with the static and once with the shared library. Each thread
 * adds 100 million on the same bar, long enough for several redraws; the figure is the time from
 * the first start to the last end, divided by the calls of one thread.
 */
#include "bench.h"

#include <many.h>

#include <pthread.h>
#include <stdlib.h>

static const uint64_t bar_calls = 100000000;

static void *bar_add(void *argument)
{
    many_bar *bar = argument;

    for (uint64_t i = 0; i < bar_calls; i++)
        many_bar_add(bar, 1);
    return NULL;
}

int main(int argc, char **argv)
{
    enum { MOST = 16 };
    int threads = argc == 2 ? atoi(argv[1]) : 0;
    pthread_t others[MOST];
    bench_terminal terminal;
    many_bar *bar = NULL;
    int64_t begin;
    int64_t taken;

    if (threads < 1 || threads > MOST)
        bench_die("usage: %s THREADS", argv[0]);
    bench_terminal_open(&terminal);
    if (many_bar_open(&bar, .total = bar_calls * (uint64_t)threads, .desc = "bar.update",
                      .fd = terminal.fd, .terminal = 1) != 0)
        bench_die("%s", many_error_message());
    begin = bench_now_ns();
    for (int i = 1; i < threads; i++)
        if (pthread_create(&others[i], NULL, bar_add, bar) != 0)
            bench_die("pthread_create failed");
    bar_add(bar);
    for (int i = 1; i < threads; i++)
        pthread_join(others[i], NULL);
    taken = bench_now_ns() - begin;
    if (many_bar_count(bar) != bar_calls * (uint64_t)threads)
        bench_die("the bar counted %llu", (unsigned long long)many_bar_count(bar));
    many_bar_close(bar);
    bench_terminal_close(&terminal);
    bench_print((double)taken / (double)bar_calls, "ns");
    return 0;
}
