/* SPDX-License-Identifier: MIT */
/*
 * pool_map_run.h - one map over a pool: what was asked for, which items are where, what came of them
 *
 * pool_map.c drives it from the thread that called, pool_map_async.c from whoever ends a batch. Neither of them
 * looks at an item; this does, one thread at a time.
 */
#ifndef MANY_POOL_POOL_MAP_RUN_H
#define MANY_POOL_POOL_MAP_RUN_H

#include <many/pool_map.h>

#include "pool/batch.h"

typedef struct many_map_run_ {
    const char *function; /* for messages */
    many_pool *pool;
    many_pool_map_options option; /* the newest layout */
    many_batch_plan_ plan;
    char name[64];
    uint64_t n, next; /* items in all; in batches so far */
    uint64_t over;    /* outcomes known */
    uint64_t failed;  /* of them */
    uint64_t cancelled;
    int64_t item_ns; /* as measured; 0: not yet */
    int stop;        /* no more batches */
    int reason;      /* a negative code that ended it, if it was not a failed item; 0 */
    char words[256]; /* of reason */
    int has_first;
    many_cause first; /* the first failure */
} many_map_run_;

/* Read and check the call; run is zeroed. 0, or -EINVAL, -E2BIG, -MANY_EFORKED with words. */
int many_map_run_read_(many_map_run_ *run, many_pool *pool, many_fn *fn, const void *in,
                       size_t in_bytes, void *out, size_t out_bytes,
                       const many_pool_map_options *options);

/* Items of the next batch: 1 or more while next < n. Never grows from one call to the next, except with a bar. */
size_t many_map_run_chunk_(const many_map_run_ *run);

/* Most items that a batch of it has. */
size_t many_map_run_room_(const many_map_run_ *run);

/* Fill the next count items into batch and submit it. 0, or a code of the backend's. */
int many_map_run_send_(many_map_run_ *run, many_batch_ *batch, size_t count);

/* The batch is over: take its outcomes. stop is set if it is to end by one of them. */
void many_map_run_take_(many_map_run_ *run, many_batch_ *batch);

/* It ends early, for this reason; the first one counts. words as for printf are those of many_fail(). */
void many_map_run_end_(many_map_run_ *run, int reason);

/* All that was sent is over: the rest becomes -ECANCELED, cause is filled, and this is the map's return. */
int many_map_run_return_(many_map_run_ *run);

/* What a failed item's outcome is called outside: -MANY_ETASK, -MANY_EDIED, -ETIMEDOUT, ... */
int many_outcome_code_(const many_cause *cause);

/* words without "function: " at their beginning, for a call that has a name of its own. */
const char *many_words_without_(const char *words, const char *function);

#endif
