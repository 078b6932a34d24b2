/* SPDX-License-Identifier: MIT */
/*
 * imap.h - results one by one, while the input flows (Python's Pool.imap, imap_unordered, Executor.map)
 *
 *   many_imap *it = NULL;
 *
 *   many_pool_imap(pool, &it, resize, next_path, &walk, .item_bytes = PATH_MAX, .result_bytes = sizeof result);
 *   while ((code = many_imap_next(it, &result, sizeof result, &bytes, MANY_FOREVER)) != 0) {
 *       if (code < 0)
 *           ...                    // this item failed: many_imap_cause(); or the input did
 *   }
 *   many_imap_close(it);
 *
 * The input is a function that is called only as fast as results are taken, by the thread that takes them: it
 * may be endless, and memory stays that of .window items. In order, one slow item does not stop the workers:
 * up to .window items wait in memory for it, and what more is finished is spilled to an unnamed file, up to
 * .spill_bytes; only then the input waits.
 */
#ifndef MANY_IMAP_H
#define MANY_IMAP_H

#include <many/map.h>
#include <many/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct many_imap many_imap;

typedef struct many_imap_options {
    size_t size;     /* sizeof this struct; the macro fills it */
    many_pool *pool; /* required, the macro's first argument */
    many_imap **it;  /* receives the iterator; required, the macro's second argument */
    many_fn *fn;     /* required, the macro's third argument */
    many_next_fn
        *next; /* the source (map.h); required, the macro's fourth argument. NULL: .items */
    void *next_context; /* second argument of next; required (NULL will do), the macro's fifth */
    struct many_named_ *named_; /* keeps options named; leave it alone */

    size_t
        item_bytes; /* size of an item; required, but with neither next nor items (many_item_index()) */
    size_t result_bytes; /* size of a result; 0: none, or what the task gives to many_reply() */
    const void *items;   /* without next: n items; NULL: n items of nothing */
    size_t n;            /* how many items at most; 0: as many as next gives */

    int unordered;      /* 1: results come as they are finished */
    int retries;        /* how often a failed item is tried again, whatever failed it */
    int priority;       /* as of a task */
    int reserved;       /* zero */
    size_t chunk;       /* items that a worker gets at a time; 0: chosen from measured times */
    size_t window;      /* items pulled whose results were not taken, in memory; 0: chosen */
    size_t spill_bytes; /* finished results beyond those, in an unnamed file; 0: 1 GiB */
    const char *spill_folder;  /* where that file is; NULL: /var/tmp, else /tmp. Copied */
    double item_limit_s;       /* seconds one call of fn may run, else -ETIMEDOUT; 0: the pool's */
    uint64_t item_limit_bytes; /* resident bytes its worker process may reach; 0: the pool's */

    void *context;        /* third argument of every call of fn; as many_pool_submit()'s */
    size_t context_bytes; /* so many bytes at context are copied; 0: the pointer itself */
    const char *name;     /* for messages and status; NULL: "imap 17" */
} many_imap_options;

/*
 * many_pool_imap - begin to work through a source
 *
 *   it       receives the iterator, to be closed before the pool is. NULL after a failure
 *   options  by name: many_pool_imap(pool, &it, fn, next, &source, .item_bytes = sizeof(item))
 *
 * next is first called by the first many_imap_next(). It may say -EAGAIN (map.h): then it is asked again when
 * a result was taken, or 10 ms later.
 *
 * returns   0
 *           -EINVAL, -E2BIG, -ENOENT, -ESHUTDOWN, -MANY_EBROKEN, -ENOMEM, -MANY_EFORKED  as many_pool_submit()
 * blocks    never
 * threads   any; the iterator is used by one at a time
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Pool.imap(func, iterable, chunksize), Pool.imap_unordered, Executor.map(buffersize)
 */
MANY_API int many_pool_imap_with(const many_imap_options *options);

#ifndef __cplusplus
#define many_pool_imap(pool_, it_, fn_, next_, ...)                                                \
    many_pool_imap_with(&(many_imap_options){.size = sizeof(many_imap_options),                    \
                                             .pool = (pool_),                                      \
                                             .it = (it_),                                          \
                                             .fn = (fn_),                                          \
                                             .next = (next_),                                      \
                                             .next_context = __VA_ARGS__})
#endif

/*
 * many_imap_next - the next result
 *
 *   result     room bytes, which receive it; NULL with 0
 *   room       bytes
 *   bytes      receives its size; may be NULL
 *   timeout_s  seconds to wait; 0: just look; MANY_FOREVER: no limit
 *
 * returns   1             *result is filled
 *           0             there are no more
 *           -MANY_ETASK, -MANY_EDIED, -ETIMEDOUT, -ENOMEM, -ECANCELED
 *                         this item failed (many_imap_failed() is 1, many_imap_cause() says why); the next
 *                         call goes on with the next item
 *           -ETIMEDOUT    no result in time (many_imap_failed() is 0); ask again
 *           -EMSGSIZE     it is longer than room: *bytes says how long; it stays the next
 *           -EDEADLK      the task that waits here is what the items wait for
 *           -EINTR        a signal handler ran on this thread; ask again
 *           -EIO          this item was done, but its result cannot be read back from the spill file
 *                         (many_imap_failed() is 1)
 *           -EINVAL, -MANY_EFORKED  as many_pool_submit()
 *           -ESHUTDOWN, -MANY_EBROKEN, -ENOMEM (many_imap_failed() is 0)
 *                         the pool takes no more; after all items before it were handed out, once; then 0
 *           other         what next failed with, likewise
 * blocks    at most timeout_s; and while next does, or in a task of the same pool an item that it helps with
 * threads   one at a time
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python next(iterator), IMapIterator.next(timeout)
 */
MANY_API int many_imap_next(many_imap *it, void *result, size_t room, size_t *bytes,
                            double timeout_s);

/*
 * many_imap_index, many_imap_failed, many_imap_cause - the item that the last many_imap_next() was about
 *
 *   index   in the order of the source, from 0; (size_t)-1: none yet
 *   failed  1: it failed; 0: it did not, or the call was about no item
 *   cause   receives why, as many_future_cause()
 *
 * returns   as said; cause: 0, -EAGAIN (no item yet), -EINVAL
 * blocks    never
 * threads   one at a time
 * fork      usable in a forked child
 * signals   not from a signal handler
 */
MANY_API size_t many_imap_index(const many_imap *it);
MANY_API int many_imap_failed(const many_imap *it);
MANY_API int many_imap_cause(const many_imap *it, many_cause *cause);

/*
 * many_imap_close - leave: what has not begun is cancelled, what runs is waited for
 *
 * Items that still run when the pool's worker is a process are left to it, and their results dropped; with
 * threads close waits for them, because they use the memory of the iterator.
 *
 * blocks    threads: until the items that run are done; processes: never
 * threads   the last one to use it; NULL does nothing
 * fork      frees the child's copy of the handle, and touches nothing of the pool
 * signals   not from a signal handler
 */
MANY_API void many_imap_close(many_imap *it);

#ifdef __cplusplus
}
#endif

#endif
