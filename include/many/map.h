/* SPDX-License-Identifier: MIT */
/*
 * map.h - thread_map and process_map: one function over many items, in parallel
 *
 *   static int square(const void *item, void *result, void *context)
 *   {
 *       const long *x = item;
 *       long *y = result;
 *
 *       (void)context;
 *       *y = *x * *x;
 *       return 0;
 *   }
 *
 *   long in[1000], out[1000];
 *   int code = many_process_map(square, in, out, 1000, .workers = 4, .desc = "squares");
 *
 * many_process_map   workers are processes, forked by the call: fn, context and inputs need no
 *                    registration and are not copied. A worker that dies fails the one item it was
 *                    running, with index and cause, and is replaced; every other item is done.
 * many_thread_map    workers are threads of this process (the caller's own among them).
 * ..._each           the same without results.
 * ..._map_range      fn gets a run of items at a time.
 *
 * Results come back in order, in out[]. Instead of an array the input may be a function (.next)
 * that is called only as fast as items are worked off, and .on_result may take each result as it
 * comes: then any number of items needs memory for .window of them only.
 *
 * What is promised when a worker dies: every item has exactly one outcome; fn is entered at most
 * once per permitted try; a worker killed between two items fails none; one killed after fn
 * returned, but before that was recorded, fails that item. What a killed item had done to the
 * outside world cannot be undone.
 *
 * When the parent dies, the workers are killed by the kernel (a worker whose task changed its uid or
 * gid, which clears that, leaves by itself after its item). When the call returns, whatever its
 * code, no process, thread, descriptor or mapping of it is left, and no signal disposition of the
 * caller has changed.
 */
#ifndef MANY_MAP_H
#define MANY_MAP_H

#include <many/bar.h>
#include <many/base.h>
#include <many/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the first failed item does to the others. */
typedef enum many_on_error {
    MANY_STOP =
        0, /* what runs is cut off (threads: many_cancelled() turns true), the rest is -ECANCELED */
    MANY_GO_ON = 1 /* everything else is done; the map returns the number of failed items */
} many_on_error;

/* One of several input arrays; the task gets a pointer into each (Python's zip, map(f, xs, ys),
 * starmap). */
typedef struct many_input {
    const void *items; /* n items of item_bytes each */
    size_t item_bytes;
} many_input;

/*
 * many_next_fn - a source of items
 *
 *   item     room for one item of item_bytes; it is handed to fn as it is filled here
 *   context  .next_context
 *
 * returns   1        item is filled
 *           0        there are no more; not called again
 *           -EAGAIN  none now: it is asked again when *next_fd is readable (or, without next_fd,
 *                    some milliseconds later)
 *           other    a negative code: no more are pulled, what was pulled is finished, the map
 *                    returns it
 *
 * Called by the thread that called the map, never by two at a time. While it blocks, results wait.
 * In a process map the item crosses as its bytes: what it points at must have been there before the
 * call, when the workers are forked.
 */
typedef int many_next_fn(void *item, void *context);

/* An item's end, as .on_result gets it; everything in it lives until .on_result returns. */
typedef struct many_outcome {
    size_t index;       /* of the item, from 0, in the order of the source */
    int code;           /* 0, or why it failed, as codes[index] */
    int reserved;       /* zero */
    const void *item;   /* the item */
    const void *result; /* its result; what fn left there if code is not 0, and NULL if there are no
                           results */
    const many_cause *cause; /* NULL if code is 0 */
} many_outcome;

/*
 * many_result_fn - takes each item's outcome, as items finish (not in order)
 *
 * returns   0      go on
 *           other  stop: the rest is cancelled, and the map returns this code if it is negative,
 *                  else -ECANCELED
 *
 * Called by the thread that called the map, exactly once an item that was pulled.
 */
typedef int many_result_fn(const many_outcome *outcome, void *context);

/* By name: many_process_map(fn, in, out, n, .workers = 4). What is left out is zero, the default.
 */
typedef struct many_map_options {
    size_t size;                /* sizeof this struct; the macros fill it */
    size_t n;                   /* items in the arrays; with .next: pull no more; 0: no limit */
    struct many_named_ *named_; /* keeps options named; leave it alone */

    int workers;            /* 0: many_usable_cpus(); never more than there are items */
    int retries;            /* how often a failed item is tried again, whatever failed it */
    many_on_error on_error; /* MANY_STOP or MANY_GO_ON */
    int in_place;           /* process maps: 1: out is shared memory, results are written there */
    size_t chunk;           /* items claimed at a time; 0: chosen from measured item time */
    double item_limit_s;    /* seconds one call of fn may run, else -ETIMEDOUT; 0: no limit */

    void *context;       /* third argument of every call of fn */
    int *codes;          /* receives n codes, one an item, 0 if it is done; NULL: not wanted */
    many_cause *cause;   /* receives the first failure, untouched if there is none; NULL */
    many_cancel *cancel; /* ends the map when it is set; NULL: nothing does */

    const char *desc; /* draw a bar with these words before it; NULL: no bar */
    const char *unit; /* one item, for that bar; NULL: "it" */
    many_bar *bar;    /* instead of .desc: add to this open bar, and draw it while waiting */

    const many_input *inputs; /* several arrays instead of in, which is NULL then */
    size_t inputs_count;      /* how many */

    many_next_fn *next; /* a source instead of in, which then only gives the item's size */
    void *next_context; /* second argument of next */
    const int *next_fd; /* polled when next says -EAGAIN; NULL: next is asked again soon */
    size_t window;      /* most items pulled and not yet handed out; 0: chosen, 64 or more */

    many_result_fn *on_result; /* takes each outcome; NULL: out and codes say it all */
    void *on_result_context;   /* second argument of on_result */

    size_t item_bytes;   /* an item's size where in is void * or NULL; 0: as passed */
    size_t result_bytes; /* a result's size where out is void * or NULL; 0: as passed */
} many_map_options;

/*
 * many_process_map - call fn for every item, in worker processes; results in order
 *
 *   fn       the task; runs in forked children
 *   in       n items of in_bytes each, read where they lie; NULL: fn works from many_item_index()
 *            and its context
 *   out      n results of out_bytes each; NULL: no results. What stands there for an item that was
 *            not done is of no use
 *   options  by name: many_process_map(fn, in, out, 1000, .workers = 4, .desc = "files")
 *
 * With .next, in only carries the type ((record *)NULL will do) and out may be NULL; if out or
 * codes are given, n is their length and no more than n items are pulled; what stands behind the last
 * item of a source that ends before is left alone.
 *
 * returns   0              all n items are done
 *           > 0            MANY_GO_ON: so many items failed, the others are done
 *           -MANY_ETASK    MANY_STOP: fn returned a code; .cause and .codes have it
 *           -MANY_EDIED    MANY_STOP: a worker died in an item; or workers died again and again
 *                          between items
 *           -ETIMEDOUT     MANY_STOP: an item was over its limit
 *           -ECANCELED     .cancel was set, or on_result said so; what was done is kept, the rest
 *                          is -ECANCELED
 *           -EINVAL        an argument makes no sense; nothing was run
 *           -E2BIG         an option is set that this library is too old for; nothing was run
 *           -EAGAIN        no process could be made
 *           -ENOMEM        no memory for the workers' records
 *           -EMFILE        no descriptor left to wait with; also -ENFILE
 *           other          what .next or .on_result returned
 *           After a negative code out holds the results of what was done; codes[] tells which.
 * order     out and codes are in input order; on_result is called as items finish
 * blocks    until all items have an outcome; ended early by .cancel, by a failure under MANY_STOP,
 *           or by limits. Signal handlers of the caller do not end it (no -EINTR).
 * threads   any number of maps at a time, from any threads, with other threads running: then fn may
 *           do what POSIX and libc allow after fork in a threaded program (with glibc and musl
 *           malloc works)
 * fork      works in a forked child, and inside a task (nested)
 * signals   not from a signal handler. Workers: caught signals go to default, SIGINT is ignored.
 * death     see the head of this file
 * output    stdout and stderr are flushed before the fork and at a worker's end; other FILEs are
 *           the caller's
 * source    Python tqdm.contrib.concurrent.process_map, multiprocessing.Pool.map, starmap,
 *           imap_unordered
 */
MANY_API int many_process_map_with(many_fn *fn, const void *in, size_t in_bytes, void *out,
                                   size_t out_bytes, const many_map_options *options);

/*
 * many_thread_map - call fn for every item, in threads of this process; results in order
 *
 * As many_process_map() in its parameters and returns, but: fn shares memory with the caller; a
 * crash in fn is a crash of the program (-MANY_EDIED does not occur); a thread cannot be killed, so
 * that an item over its limit or cancelled counts as -ETIMEDOUT or -ECANCELED, and the call returns
 * when fn does (see many_cancelled()).
 *
 * blocks    as many_process_map(), and until the last fn has returned
 * threads   any number of maps at a time; the calling thread works too, unless it has a bar to
 *           draw, limits to watch, or a source to ask. The other threads have all signals blocked
 *           but those of a fault.
 * fork      works in a forked child, and inside a task
 * signals   not from a signal handler
 * source    Python tqdm.contrib.concurrent.thread_map, concurrent.futures.ThreadPoolExecutor.map
 */
MANY_API int many_thread_map_with(many_fn *fn, const void *in, size_t in_bytes, void *out,
                                  size_t out_bytes, const many_map_options *options);

/*
 * many_process_map_range, many_thread_map_range - the same, for a task that takes a run of items at
 * a time
 *
 * As the maps above; but a failure (code, death, limit) fails all items of the run, and a retry
 * repeats the run. .inputs is -EINVAL here; with .next or .on_result every run has one
 * item.
 *
 * source    Python Pool.map with chunksize, OpenMP schedule(guided)
 */
MANY_API int many_process_map_range_with(many_range_fn *fn, const void *in, size_t in_bytes,
                                         void *out, size_t out_bytes,
                                         const many_map_options *options);
MANY_API int many_thread_map_range_with(many_range_fn *fn, const void *in, size_t in_bytes,
                                        void *out, size_t out_bytes,
                                        const many_map_options *options);

#ifndef __cplusplus
/* The last required argument, n, opens the struct, so the list of options may be empty. */
#define MANY_MAP_OPTIONS_(...)                                                                     \
    (&(many_map_options){.size = sizeof(many_map_options), .n = __VA_ARGS__})

#define many_process_map(fn, in, out, ...)                                                         \
    many_process_map_with((fn), (in), sizeof *(in), (out), sizeof *(out),                          \
                          MANY_MAP_OPTIONS_(__VA_ARGS__))
#define many_thread_map(fn, in, out, ...)                                                          \
    many_thread_map_with((fn), (in), sizeof *(in), (out), sizeof *(out),                           \
                         MANY_MAP_OPTIONS_(__VA_ARGS__))

#define many_process_each(fn, in, ...)                                                             \
    many_process_map_with((fn), (in), sizeof *(in), NULL, 0, MANY_MAP_OPTIONS_(__VA_ARGS__))
#define many_thread_each(fn, in, ...)                                                              \
    many_thread_map_with((fn), (in), sizeof *(in), NULL, 0, MANY_MAP_OPTIONS_(__VA_ARGS__))

#define many_process_map_range(fn, in, out, ...)                                                   \
    many_process_map_range_with((fn), (in), sizeof *(in), (out), sizeof *(out),                    \
                                MANY_MAP_OPTIONS_(__VA_ARGS__))
#define many_thread_map_range(fn, in, out, ...)                                                    \
    many_thread_map_range_with((fn), (in), sizeof *(in), (out), sizeof *(out),                     \
                               MANY_MAP_OPTIONS_(__VA_ARGS__))
#endif

#ifdef __cplusplus
}
#endif

#endif
