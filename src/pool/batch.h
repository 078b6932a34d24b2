/* SPDX-License-Identifier: MIT */
/*
 * batch.h - some items of a map or an iterator as one task of a pool
 *
 * A batch has a plan (which function, what sizes), room for some items, and is used again and again: fill,
 * submit, wait for its future, read the outcomes, fill ...
 *
 *   backend->batch_open(pool, &plan, &batch);
 *   batch->ops->item(batch, i)        // where item i of this batch goes; before submit
 *   batch->ops->submit(batch, first_index, count);
 *   batch->future                     // over when every item has its outcome: settled like any other; valid
 *                                     // from submit to the next submit or close
 *   batch->ops->outcome(batch, i, &outcome);
 *   batch->ops->close(batch);
 *
 * Threads read items that lie in an array where they are (plan.in), and write results where they belong
 * (plan.out); processes copy.
 */
#ifndef MANY_POOL_BATCH_H
#define MANY_POOL_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include <many/map.h>

#include "pool/pool.h"

struct many_batch_plan_ {
    const char *function; /* for messages */
    many_fn *fn;
    size_t item_bytes;   /* 0: no items */
    size_t result_bytes; /* 0: none, or of any length (replies) */
    int replies;         /* 1: the task may use many_reply() */
    void *
        context; /* as many_pool_submit()'s: bytes are copied once, at batch_open of the first batch */
    size_t context_bytes;
    const many_input
        *inputs; /* zipped arrays instead of items; the widths matter, and for threads the arrays */
    size_t inputs_count;
    const char *in;   /* an array of items that stays where it is; NULL: they are put into item() */
    char *out;        /* an array of results, likewise; NULL: they are read by outcome() */
    const char *name; /* "map 17" */
    int retries, priority;
    int64_t limit_ns;
    uint64_t limit_bytes;
    int stop_at_failure; /* 1: after the first failed item of a batch the rest of it is not begun (-ECANCELED) */
    size_t room; /* items that one batch holds at most */
};

typedef struct many_batch_outcome_ {
    int32_t
        code; /* 0; the task's own, -MANY_EDIED, -ETIMEDOUT, -ENOMEM, -ECANCELED: as codes[] of a map */
    const void *result;  /* when 0; valid until the next submit or close */
    size_t result_bytes; /* plan.result_bytes, or the length of the reply */
} many_batch_outcome_;

typedef struct many_batch_ops_ {
    void *(*item)(many_batch_ *batch, size_t i);
    /* Zipped: where item i of input k goes (processes); NULL where inputs are read in place. */
    void *(*input)(many_batch_ *batch, size_t k, size_t i);
    /* Give it to the workers. Does not wait for room: maps and iterators bound themselves. 0, or a code. */
    int (*submit)(many_batch_ *batch, uint64_t first_index, size_t count);
    void (*outcome)(many_batch_ *batch, size_t i, many_batch_outcome_ *outcome);
    /* Why item i failed, in full; cause->item is first_index + i. */
    void (*cause)(many_batch_ *batch, size_t i, many_cause *cause);
    /* Ask: begin no more items of it (those become -ECANCELED); what runs goes on. hard: what runs is cut off. */
    void (*cancel)(many_batch_ *batch, int hard);
    /* It must not run any more with threads: waits. With processes what runs goes on without us. */
    void (*close)(many_batch_ *batch);
    /* Nanoseconds that the items of it took in the worker, all together; after it is over. */
    int64_t (*spent_ns)(const many_batch_ *batch);
    /* When it is over: how many of its items have a code that is not 0. NULL: nobody counted. */
    size_t (*failed)(const many_batch_ *batch);
} many_batch_ops_;

/* A backend's own struct begins with this one. */
struct many_batch_ {
    const many_batch_ops_ *ops;
    many_pool *pool;
    many_future *future; /* NULL before the first submit */
    uint64_t first;
    size_t count, room;
};

#endif
