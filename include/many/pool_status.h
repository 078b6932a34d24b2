/* SPDX-License-Identifier: MIT */
/*
 * pool_status.h - what pools are doing, seen from inside and from outside
 *
 *   many_pool_status status;
 *   many_worker_status workers[16];
 *
 *   many_pool_look(pool, &status, workers, 16);
 *   printf("%s: %llu wait, %llu run\n", status.name, ...);
 *
 * A snapshot, taken without a lock while the pool goes on: each number was true at some moment of the call. It
 * also works on a pool that is stuck, and on the pools of another process of the same user (`many status PID`).
 */
#ifndef MANY_POOL_STATUS_H
#define MANY_POOL_STATUS_H

#include <many/base.h>
#include <many/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A pool's numbers. Filled by the library; a plain value. */
typedef struct many_pool_status {
    char name[64];
    int32_t kind;     /* enum many_kind */
    int32_t workers;  /* as many as it is to have */
    int32_t alive;    /* so many it has; threads are started as they are needed */
    int32_t pid;      /* of the owner */
    uint64_t waiting; /* tasks that have not begun */
    uint64_t running; /* that have, and are not over (a task that waits for another runs) */
    uint64_t done;    /* over, by outcome, since the open */
    uint64_t failed;
    uint64_t cancelled;
    uint64_t replaced;    /* workers that were replaced, of */
    uint64_t died;        /* which so many had died */
    int32_t finished;     /* 1: it takes no more tasks */
    int32_t broken;       /* 0; or the code that it has become useless with */
    uint64_t reserved[4]; /* zero */
} many_pool_status;

/* A worker. */
typedef struct many_worker_status {
    int32_t index;  /* its number in the pool */
    int32_t pid;    /* its process, or the owner's for a thread; 0: not started, or dead */
    int32_t thread; /* its thread */
    int32_t depth;  /* tasks it is in: 0: idle; 2 or more: one waits for the next, which it runs */
    uint64_t task;  /* number of the outermost task it is in */
    char name[64];  /* of that; "" when idle; "?": it stopped or died as it began or ended one */
    double seconds; /* since that began; 0 when idle */
    int32_t waits;  /* 1: it waits for another task */
    int32_t waits_for_worker; /* who runs that one; -1: nobody yet, or another pool */
    uint64_t waits_for;       /* number of that task */
    char waits_for_name[64];
    uint64_t tasks;       /* that are over, of this worker and those it replaced */
    uint64_t reserved[4]; /* zero */
} many_worker_status;

/*
 * many_pool_look - a snapshot of one's own pool
 *
 *   status   receives the numbers; may be NULL
 *   workers  receives up to room workers; may be NULL with room 0
 *
 * In a task many_pool_current() will do.
 *
 * returns   how many workers there are, which may be more than room
 *           -EINVAL  pool is NULL, or workers is and room is not 0
 *           -MANY_EFORKED  it belongs to another process
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 */
MANY_API ssize_t many_pool_look(many_pool *pool, many_pool_status *status,
                                many_worker_status *workers, size_t room);

typedef struct many_watcher many_watcher;

/*
 * many_watcher_open - look at the pools of a process from outside
 *
 *   watcher  receives the handle
 *   pid      the process: one that has opened pools, or a worker process of one; 0 or one's own will do
 *
 * returns   >= 0     so many pools it has open
 *           -ESRCH   there is no such process
 *           -EACCES  it is another user's
 *           -EINVAL  watcher is NULL, or pid makes no sense
 *           -ENOMEM, -EMFILE, -ENFILE
 * blocks    reads files under /proc
 * threads   any; the handle is used by one at a time
 * fork      usable in a forked child
 * signals   not from a signal handler
 */
MANY_API ssize_t many_watcher_open(many_watcher **watcher, pid_t pid);

/*
 * many_watcher_look - a snapshot of one of them
 *
 *   index  0 .. as many as open said, - 1
 *
 * Nothing that the other process wrote is believed: what makes no sense is -EBADMSG.
 *
 * returns   how many workers there are, as many_pool_look()
 *           -ENOENT   the pool is closed, or the process is gone
 *           -EBADMSG  it is not a pool of this version of the library
 *           -EINVAL   an argument makes no sense
 *           -ENOMEM   no memory for a copy of what it says
 * blocks    never
 * threads   one at a time
 * fork      usable in a forked child
 * signals   not from a signal handler
 */
MANY_API ssize_t many_watcher_look(many_watcher *watcher, size_t index, many_pool_status *status,
                                   many_worker_status *workers, size_t room);

/*
 * many_watcher_close - let go
 *
 * blocks    never
 * threads   the last one to use it; NULL does nothing
 * fork      frees the child's copy
 * signals   not from a signal handler
 */
MANY_API void many_watcher_close(many_watcher *watcher);

#ifdef __cplusplus
}
#endif

#endif
