/* SPDX-License-Identifier: MIT */
/*
 * bigparent.c - the loop around four starts from a large parent: a fresh process touches 1 GiB in pages
 * of 4 KiB, does it 15 times, and prints the median
 */
#include "bigparent.h"

#include <string.h>
#include <sys/mman.h>

#define BIGPARENT_BYTES ((size_t)1 << 30)
#define BIGPARENT_PAGE  4096

static void bigparent_grow(void)
{
    char *memory =
        mmap(NULL, BIGPARENT_BYTES, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);

    if (memory == MAP_FAILED)
        bench_die("mmap of 1 GiB failed");
    madvise(memory, BIGPARENT_BYTES, MADV_NOHUGEPAGE); /* -EINVAL where there are none */
    for (size_t at = 0; at < BIGPARENT_BYTES; at += BIGPARENT_PAGE)
        memory[at] = 1;
}

int bench_bigparent(long *results, void (*run)(void))
{
    enum { TIMES = 15 };
    int64_t taken[TIMES];

    bigparent_grow();
    for (int turn = 0; turn < TIMES; turn++) {
        int64_t begin;

        memset(results, 0, BIGPARENT_ITEMS * sizeof *results);
        begin = bench_now_ns();
        run();
        taken[turn] = bench_now_ns() - begin;
        for (long i = 0; i < BIGPARENT_ITEMS; i++)
            if (results[i] != i + 1)
                bench_die("result %ld is %ld", i, results[i]);
    }
    bench_print((double)bench_median_ns(taken, TIMES) / 1000.0, "us");
    return 0;
}
