/* SPDX-License-Identifier: MIT */
/*
 * imap_many.c - imap.stream with many: `imap_many SUBJECT ITEMS [straggler]`, ordered
 *
 * An item is 64 bytes, its number in each word; so is its result, with the numbers' complements.
 * main pulls, checks, and drops. With a straggler one item takes 0.2 s, so that all that may wait
 * for it in memory does: for runs that measure memory.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <many.h>

enum { IMAP_WORDS = 8, IMAP_WORKERS = 2, IMAP_STRAGGLER = 20000 };

typedef struct imap_item {
    uint64_t word[IMAP_WORDS];
} imap_item;

typedef struct imap_source {
    uint64_t next;
    uint64_t end;
} imap_source;

static int imap_pull(void *item, void *context)
{
    imap_source *source = context;
    imap_item *into = item;

    if (source->next == source->end)
        return 0;
    for (int i = 0; i < IMAP_WORDS; i++)
        into->word[i] = source->next;
    source->next++;
    return 1;
}

/* context: not NULL: with a straggler. */
static int imap_task(const void *item, void *result, void *context)
{
    const imap_item *in = item;
    imap_item *out = result;

    if (context != NULL && in->word[0] == IMAP_STRAGGLER) {
        const struct timespec straggles = {.tv_nsec = 200000000};

        nanosleep(&straggles, NULL);
    }
    for (int i = 0; i < IMAP_WORDS; i++)
        out->word[i] = ~in->word[i];
    return 0;
}

/* Nanoseconds of items that flow through the pool, from the open of the iterator to its close. */
static int64_t imap_flow(many_pool *pool, uint64_t items, void *straggler)
{
    imap_source source = {.end = items};
    many_imap *it = NULL;
    imap_item result;
    uint64_t seen = 0;
    int64_t begin = bench_now_ns();
    int code;

    if (many_pool_imap(pool, &it, imap_task, imap_pull, &source, .item_bytes = sizeof(imap_item),
                       .result_bytes = sizeof result, .context = straggler) != 0)
        bench_die("%s", many_error_message());
    while ((code = many_imap_next(it, &result, sizeof result, NULL, MANY_FOREVER)) == 1) {
        if (result.word[0] != ~seen || result.word[IMAP_WORDS - 1] != ~seen)
            bench_die("result %llu is wrong", (unsigned long long)seen);
        seen++;
    }
    if (code != 0 || seen != items)
        bench_die("%llu results, then %d: %s", (unsigned long long)seen, code,
                  many_error_message());
    many_imap_close(it);
    return bench_now_ns() - begin;
}

int main(int argc, char **argv)
{
    many_pool *pool = NULL;
    uint64_t items = argc >= 3 ? strtoull(argv[2], NULL, 10) : 0;
    int processes = argc >= 2 && strcmp(argv[1], "many-process") == 0;
    int straggles = argc == 4 && strcmp(argv[3], "straggler") == 0;

    if (items == 0 || argc != 3 + straggles || (!processes && strcmp(argv[1], "many-thread") != 0))
        bench_die("usage: %s many-thread|many-process ITEMS [straggler]", argv[0]);
    if (many_pool_open(&pool, .kind = processes ? MANY_PROCESSES : MANY_THREADS,
                       .workers = IMAP_WORKERS) != 0)
        bench_die("%s", many_error_message());
    imap_flow(pool, 1000, NULL);
    bench_print((double)imap_flow(pool, items, straggles ? pool : NULL) / (double)items, "ns/item");
    many_pool_close(pool, MANY_FOREVER);
    return 0;
}
