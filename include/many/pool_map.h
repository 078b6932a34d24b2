/* SPDX-License-Identifier: MIT */
/*
 * pool_map.h - one function over an array, by the workers of a pool (Python's Pool.map, starmap, map_async)
 *
 *   many_pool_map(pool, square, in, out, 1000);
 *
 * What many_process_map() and many_thread_map() (map.h) do with workers of their own. Results come in
 * order. For results of any length, and inputs without end: imap.h.
 */
#ifndef MANY_POOL_MAP_H
#define MANY_POOL_MAP_H

#include <many/map.h>
#include <many/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* By name: many_pool_map(pool, fn, in, out, n, .chunk = 4). */
typedef struct many_pool_map_options {
    size_t size;                /* sizeof this struct; the macros fill it */
    size_t n;                   /* items in the arrays */
    struct many_named_ *named_; /* keeps options named; leave it alone */

    size_t chunk;           /* items that one worker gets at a time; 0: a share of what is left */
    many_on_error on_error; /* MANY_STOP or MANY_GO_ON */
    int retries;            /* how often a failed item is tried again, whatever failed it */
    int priority;           /* as of a task */
    int reserved;           /* zero */
    double item_limit_s;    /* seconds one call of fn may run, else -ETIMEDOUT; 0: the pool's */
    uint64_t item_limit_bytes; /* resident bytes its worker process may reach; 0: the pool's */

    void *context;        /* third argument of every call of fn; as many_pool_submit()'s */
    size_t context_bytes; /* so many bytes at context are copied; 0: the pointer itself */
    int *codes;           /* receives n codes, one an item, 0 if it is done; NULL: not wanted */
    many_cause *cause;    /* receives the first failure, untouched if there is none; NULL */
    many_cancel *cancel;  /* many_pool_map: ends it when it is set; NULL: nothing does */

    const char *desc; /* many_pool_map: draw a bar with these words before it; NULL: no bar */
    const char *unit; /* one item, for that bar; NULL: "it" */
    many_bar *bar;    /* many_pool_map: add to this open bar, and draw it while waiting */

    const many_input *inputs; /* several arrays instead of in, which is NULL then: starmap */
    size_t inputs_count;      /* how many; 64 at most */

    const char *name;      /* for messages and status; NULL: "map 17" */
    many_future **future;  /* many_pool_map_async: receives the handle; see there */
    many_done_fn *on_done; /* many_pool_map_async: called when all items are over */
    void *on_done_context; /* second argument of on_done */

    size_t item_bytes;   /* an item's size where in is void * or NULL; 0: as passed */
    size_t result_bytes; /* a result's size where out is void * or NULL; 0: as passed */
} many_pool_map_options;

/*
 * many_pool_map - call fn for every item, by the workers of pool; results in order
 *
 *   in       n items of in_bytes each; threads read them where they lie, for processes they are copied. NULL: fn
 *            works from many_item_index() and its context
 *   out      n results of out_bytes each; NULL: no results
 *   options  by name: many_pool_map(pool, fn, in, out, 1000, .context = &scale, .context_bytes = sizeof scale)
 *
 * returns   as many_process_map() (map.h); and
 *           -ESHUTDOWN, -MANY_EBROKEN, -ENOENT, -ENOMEM, -MANY_EFORKED  as many_pool_submit()
 * order     out and codes are in input order
 * blocks    until all items have an outcome; ended early by .cancel, by a failure under MANY_STOP, by limits,
 *           and by the end of the pool. Signal handlers of the caller do not end it. In a task of the same
 *           pool it works too, so that nested maps end on a pool of one
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Pool.map, Pool.starmap, Executor.map
 */
MANY_API int many_pool_map_with(many_pool *pool, many_fn *fn, const void *in, size_t in_bytes,
                                void *out, size_t out_bytes, const many_pool_map_options *options);

/*
 * many_pool_map_async - the same, and return at once
 *
 * .future receives the outcome of the whole, whose result is a size_t: how many items failed (0, unless
 * MANY_GO_ON). in, out, codes, cause and context stay where they are until it is over; out is complete once
 * somebody has learned that it is. Cancelling it cancels the items that have not begun: 1 if it is over by that, 0
 * if some run, which go on; -ECANCELED in the end, if any was cancelled. Closing its future before it is over is
 * allowed when .on_done is given, else it waits until it is. .context, as far as .context_bytes, and .inputs
 * themselves are copied.
 *
 * returns   0, or what many_pool_map() says before anything is run
 * blocks    never; but where there is no memory to be told of its end with, while its items run
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Pool.map_async, Pool.starmap_async
 */
MANY_API int many_pool_map_async_with(many_pool *pool, many_fn *fn, const void *in, size_t in_bytes,
                                      void *out, size_t out_bytes,
                                      const many_pool_map_options *options);

#ifndef __cplusplus
#define MANY_POOL_MAP_OPTIONS_(...)                                                                \
    (&(many_pool_map_options){.size = sizeof(many_pool_map_options), .n = __VA_ARGS__})

#define many_pool_map(pool, fn, in, out, ...)                                                      \
    many_pool_map_with((pool), (fn), (in), sizeof *(in), (out), sizeof *(out),                     \
                       MANY_POOL_MAP_OPTIONS_(__VA_ARGS__))
#define many_pool_each(pool, fn, in, ...)                                                          \
    many_pool_map_with((pool), (fn), (in), sizeof *(in), NULL, 0,                                  \
                       MANY_POOL_MAP_OPTIONS_(__VA_ARGS__))
#define many_pool_map_async(pool, fn, in, out, ...)                                                \
    many_pool_map_async_with((pool), (fn), (in), sizeof *(in), (out), sizeof *(out),               \
                             MANY_POOL_MAP_OPTIONS_(__VA_ARGS__))
#define many_pool_each_async(pool, fn, in, ...)                                                    \
    many_pool_map_async_with((pool), (fn), (in), sizeof *(in), NULL, 0,                            \
                             MANY_POOL_MAP_OPTIONS_(__VA_ARGS__))
#endif

#ifdef __cplusplus
}
#endif

#endif
