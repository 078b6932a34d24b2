/* SPDX-License-Identifier: MIT */
/*
 * pool.h - workers that last: threads or processes that run what is submitted (Python's Pool, ThreadPool,
 *          ThreadPoolExecutor, ProcessPoolExecutor)
 *
 *   many_pool *pool = NULL;
 *   many_future *future = NULL;
 *
 *   many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 3);
 *   many_pool_submit(pool, work, &argument, &future, .arg_bytes = sizeof argument,
 *                    .result_bytes = sizeof result);
 *   many_future_result(future, &result, sizeof result, 2.0);
 *   many_future_close(future);
 *   many_pool_close(pool, 5.0);
 *
 * Every submitted task has exactly one outcome. A worker process that dies fails the task it was running
 * (those, if it ran one while it waited for another), with the cause, and is replaced; everything else goes
 * on. When the owner dies, however it dies, its workers go with it. Maps and iterators over a pool are in
 * pool_map.h and imap.h, what a pool is doing is in pool_status.h.
 *
 * A task may submit to its own pool (many_pool_current()), wait for such tasks, open pools of its own, and
 * map over any of them: nothing of that deadlocks (future.h, "waiting", says what is seen).
 */
#ifndef MANY_POOL_H
#define MANY_POOL_H

#include <many/base.h>
#include <many/future.h>
#include <many/process.h>
#include <many/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct many_pool many_pool;

enum many_kind {
    MANY_THREADS = 0,  /* share memory with the caller; a crash in a task is one of the program */
    MANY_PROCESSES = 1 /* isolated; what crosses are bytes */
};

/* What each worker runs before its first task; not 0: this worker is of no use. many_cancelled() in it is 1 once
 * the pool was terminated. */
typedef int many_initializer_fn(void *argument);

/* Levels of .priority; tasks of a higher one begin first, those of the same in order of submission.
 * Tasks that a task submits to its own pool come about when they are waited for, before older ones of others. */
#define MANY_PRIORITY_LOWEST  (-3)
#define MANY_PRIORITY_HIGHEST 3

typedef struct many_pool_options {
    size_t size;                /* sizeof this struct; the macro fills it */
    many_pool **pool;           /* receives the handle; required, the macro's first argument */
    struct many_named_ *named_; /* keeps options named; leave it alone */

    int kind;    /* MANY_THREADS or MANY_PROCESSES */
    int workers; /* 0: many_usable_cpus(); 4096 at most */
    int method; /* processes: enum many_start_method. MANY_FORK: workers are copies of the caller as it
                    is at the open: what it has by then, they have. They and their replacements are made
                    by a small process that is forked once, so that the caller may start threads and
                    grow afterwards. The others: workers start from little */
    int callback_thread; /* 1: a thread of the pool's own calls the callbacks of processes' tasks
                            (many_future_on_done) at once; 0: who waits for anything of the pool does */

    const char
        *name; /* NULL: "Pool-1", "Pool-2", ...; workers are called after it. Copied, 63 bytes */

    many_initializer_fn *initializer; /* NULL: none */
    void *initializer_argument;       /* for it */
    size_t
        initializer_bytes; /* so many bytes of it are copied for each worker; 0: the pointer itself, for
                                 threads, MANY_FORK, and NULL */

    size_t
        tasks_per_worker; /* a worker is replaced after so many tasks (maxtasksperchild); 0: never */
    size_t waiting_most;  /* so many tasks wait at most, then submit waits for room; 0: 65536. Tasks
                                that a task submits to its own pool are not bounded, for it cannot wait */

    double item_limit_s; /* seconds a task may run, unless its own says otherwise; 0: no limit */
    uint64_t
        item_limit_bytes; /* resident bytes a worker process may reach in a task; 0: no limit */

    const many_inherit
        *inherits; /* processes: queues, pipes and segments that many_inherited() gives in the
                                     workers, with every method; open until the pool is
                     closed, because workers are made anew */
    size_t inherits_count;
} many_pool_options;

/*
 * many_pool_open - begin a pool
 *
 *   pool     receives the handle; close it with many_pool_close(). NULL after a failure
 *   options  by name: many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 4)
 *
 * returns   0
 *           -EINVAL   options make no sense; the message says which
 *           -E2BIG    an option is set that this library is too old for
 *           -EAGAIN   no more processes allowed
 *           -ENOENT   the initializer lies in no file that another process could open
 *           -ENOMEM   not enough memory, or address space (ulimit -v)
 *           -EMFILE, -ENFILE  no descriptors to be had (threads need one, processes a handful)
 *           -EPIPE    the fork server is dead, and could not be started again
 * blocks    threads: never; processes: for a start. Not for the initializers
 * threads   any
 * fork      a child may open its own; a pool in a worker of another pool is a pool like any other
 * signals   not from a signal handler. Workers: caught signals go to default, SIGINT is ignored (processes);
 *           all but those of a fault are blocked (threads). A worker process leads a process group of its own,
 *           so that a terminal's Ctrl-C does not reach it, and it cannot read from that terminal (EIO)
 * death     of the owner: its workers are killed. Of a worker: see the head of this file. Of the process that
 *           makes the workers: they die with it, and all are made anew
 * output    processes: what the caller's stdout and stderr hold is flushed before the open forks; what a task
 *           leaves in those of its worker, before its future is over
 * source    Python multiprocessing.Pool(processes, initializer, initargs, maxtasksperchild),
 *           ThreadPoolExecutor(max_workers, thread_name_prefix), ProcessPoolExecutor(mp_context)
 */
MANY_API int many_pool_open_with(const many_pool_options *options);

#ifndef __cplusplus
#define many_pool_open(...)                                                                        \
    many_pool_open_with(                                                                           \
        &(many_pool_options){.size = sizeof(many_pool_options), .pool = __VA_ARGS__})
#endif

typedef struct many_submit_options {
    size_t size;     /* sizeof this struct; the macro fills it */
    many_pool *pool; /* required, the macro's first argument */
    many_fn *fn;     /* required, the macro's second argument */
    const void *arg; /* required (NULL will do), the macro's third argument */
    many_future *
        *future; /* required (NULL: nobody wants its outcome), the macro's fourth argument */
    struct many_named_ *named_; /* keeps options named; leave it alone */

    size_t arg_bytes; /* so many bytes at arg are copied, and the task gets the copy; 0: the pointer
                            itself (threads), or NULL */
    size_t result_bytes; /* size of the result; 0: none, or what the task gives to many_reply() */
    void *
        context; /* third argument of fn. Processes: with .context_bytes; or, with MANY_FORK, a pointer
                            to what was there at the open */
    size_t context_bytes; /* so many bytes at context are copied; 0: the pointer itself */

    const char *name;    /* for messages and status; NULL: "task 17". Copied, 63 bytes at most */
    int priority;        /* MANY_PRIORITY_LOWEST .. MANY_PRIORITY_HIGHEST */
    int retries;         /* how often it is tried again when it failed, whatever failed it */
    int no_wait;         /* 1: -EAGAIN instead of waiting for room */
    int reserved;        /* zero */
    double item_limit_s; /* seconds one try may run, else -ETIMEDOUT; 0: the pool's */
    uint64_t item_limit_bytes; /* resident bytes its worker process may reach; 0: the pool's */

    many_done_fn *on_done; /* as by many_future_on_done(), before anything can have happened */
    void *on_done_context; /* second argument of on_done */
} many_submit_options;

/*
 * many_pool_submit - have fn(arg, result, context) run by a worker, and return at once
 *
 *   pool     open
 *   fn       the task. Processes: a function of the program, or of a library that the worker can open by the
 *            same path. It ends by returning, not by pthread_exit() or longjmp(). A child that it forks ends in
 *            it, or is ended when it comes back out of it, and leaves result alone
 *   arg      its item; alive until the task is over, unless .arg_bytes says that it is copied
 *   future   receives the handle of its outcome, to be closed; NULL: none is wanted. NULL after a failure. With
 *            .on_done and no future, the callback gets one that is closed after it
 *   options  by name: many_pool_submit(pool, fn, &arg, &future, .arg_bytes = sizeof arg)
 *
 * returns   0
 *           -EAGAIN    .no_wait, and so many are waiting as may wait
 *           -EINVAL    an argument makes no sense (processes: arg without .arg_bytes); the message says which
 *           -E2BIG     an option is set that this library is too old for
 *           -ENOENT    processes: fn lies in no file that another process could open
 *           -ESHUTDOWN the pool was finished or terminated, and takes no more
 *           -MANY_EBROKEN  it has no workers: none could be made, or the initializer failed; the message says
 *           -ENOMEM    no memory
 *           -EINTR     a signal handler ran while it waited for room
 *           -MANY_EFORKED  the pool belongs to another process
 * blocks    while .waiting_most tasks wait, if this is not a task of the pool; the end of a task, of the pool,
 *           and a cancellation make room. Tasks of two pools that fill each other's wait for room for ever: give
 *           one of them .no_wait
 * threads   any
 * fork      -MANY_EFORKED in a child; in the pool's own workers many_pool_current() is the handle
 * signals   not from a signal handler
 * source    Python Executor.submit, Pool.apply_async(func, args, callback, error_callback); for functools.partial
 *           .context
 */
MANY_API int many_pool_submit_with(const many_submit_options *options);

#ifndef __cplusplus
#define many_pool_submit(pool_, fn_, arg_, ...)                                                    \
    many_pool_submit_with(&(many_submit_options){.size = sizeof(many_submit_options),              \
                                                 .pool = (pool_),                                  \
                                                 .fn = (fn_),                                      \
                                                 .arg = (arg_),                                    \
                                                 .future = __VA_ARGS__})
#endif

/*
 * many_pool_apply - run one task, and wait for its result
 *
 *   arg      one item of arg_bytes, copied
 *   result   receives the result, of result_bytes; NULL with 0: none
 *   options  of the task: .context, .name, .priority, .retries, limits; pool, fn, arg, future are not used;
 *            NULL: none
 *
 * returns   0
 *           as many_pool_submit(), and as many_future_result()
 * blocks    until it is over; a signal handler ends no more than a wait for room
 * threads   any
 * fork      as many_pool_submit()
 * signals   not from a signal handler
 * source    Python Pool.apply
 */
MANY_API int many_pool_apply_with(many_pool *pool, many_fn *fn, const void *arg, size_t arg_bytes,
                                  void *result, size_t result_bytes,
                                  const many_submit_options *options);

#ifndef __cplusplus
/* The last required argument, result, is a pointer whose type tells its size; its options follow. */
#define many_pool_apply(pool, fn, arg, result)                                                     \
    many_pool_apply_with((pool), (fn), (arg), sizeof *(arg), (result), sizeof *(result), NULL)
#endif

/*
 * many_reply - inside a task without .result_bytes: its result, of any length
 *
 *   bytes   copied before return
 *
 * The last call counts; none: the result has 0 bytes.
 *
 * returns   0
 *           -EINVAL  this is no task of a pool, or it has .result_bytes
 *           -ENOMEM  no room for so much; return it, and the future has it
 * blocks    never
 * threads   the task's own thread
 * fork      not in a child forked by the task
 * signals   not from a signal handler
 */
MANY_API int many_reply(const void *bytes, size_t count);

/*
 * many_pool_current - inside a task: the pool whose task this is
 *
 * returns   a handle that needs no closing, and cannot be closed; NULL outside a pool's task
 * blocks    never
 * threads   the calling thread's task
 * fork      NULL in a child forked by the task
 * signals   not from a signal handler
 */
MANY_API many_pool *many_pool_current(void);

/*
 * many_pool_finish - take no more tasks; what is there goes on
 *
 * Tasks that run may still submit to it.
 *
 * returns   0; -EINVAL for NULL; -MANY_EFORKED
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Pool.close, Executor.shutdown(wait=False)
 */
MANY_API int many_pool_finish(many_pool *pool);

/*
 * many_pool_join - wait until nothing waits or runs in it
 *
 * The pool need not be finished: then it goes on to be used.
 *
 * returns   0
 *           -ETIMEDOUT  there is still something
 *           -EDEADLK    called by one of its own tasks
 *           -EINTR      a signal handler ran on this thread
 *           -EINVAL     pool is NULL, or the timeout makes no sense
 *           -MANY_EFORKED  it belongs to another process
 *           other       nothing waits or runs, and a callback had failed since the last join: its code, if
 *                       negative, else -MANY_ETASK; the message says of which task
 * blocks    at most timeout_s
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Pool.join, queue.Queue.join
 */
MANY_API int many_pool_join(many_pool *pool, double timeout_s);

/*
 * many_pool_cancel_waiting - cancel all tasks that have not begun
 *
 * returns   how many; -EINVAL for NULL; -MANY_EFORKED
 * blocks    never; callbacks may be called in here
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Executor.shutdown(cancel_futures=True)
 */
MANY_API ssize_t many_pool_cancel_waiting(many_pool *pool);

/*
 * many_pool_terminate - now: nothing more begins, what runs is cut off
 *
 * All that was not over is -ECANCELED. Processes are killed, with their process groups; threads' tasks see
 * many_cancelled(), and are over when they return.
 *
 * returns   0; -EINVAL for NULL; -MANY_EFORKED
 *           -EDEADLK  processes: called by a task of its own; nothing has happened
 * blocks    processes: until they are dead; threads: never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Pool.terminate, ProcessPoolExecutor.kill_workers (3.14)
 */
MANY_API int many_pool_terminate(many_pool *pool);

/*
 * many_pool_close - finish it, wait grace_s for what is there, terminate the rest, and let go of it
 *
 * Always returns. Futures of the pool stay, with their outcomes, until they are closed; its iterators (imap.h)
 * have to be closed before.
 *
 *   grace_s  seconds; 0: terminate at once; MANY_FOREVER: until all is done. What is neither is taken as 0
 *
 * returns   0           all that was there is done
 *           -ETIMEDOUT  some had to be cut off
 *           -EDEADLK    called by one of its own tasks: nothing has happened
 *           -MANY_EFORKED  it belongs to another process: only this copy of the handle is let go
 *           other       a callback's failure, as many_pool_join()
 * blocks    at most about grace_s, and until the workers are gone: with threads until their tasks return.
 *           A signal handler of the caller does not end it
 * threads   the last one to use it; NULL does nothing
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Pool.close, join, terminate; Executor.shutdown(wait=True); __exit__ of both
 */
MANY_API int many_pool_close(many_pool *pool, double grace_s);

/*
 * MANY_POOL_SCOPE - a pool that is closed, as by many_pool_close(pool, MANY_FOREVER), on every way out of
 * the block (compilers with GNU C's cleanup attribute)
 *
 *   MANY_POOL_SCOPE many_pool *pool = NULL;
 *
 *   code = many_pool_open(&pool, .workers = 4);
 *
 * source    Python with ThreadPoolExecutor() as pool
 */
#if defined(__GNUC__)
#define MANY_POOL_SCOPE __attribute__((cleanup(many_pool_leave)))
#endif

/*
 * many_pool_leave - many_pool_close(*pool, MANY_FOREVER), and *pool becomes NULL
 *
 * As many_pool_close(), but that nobody hears its code. NULL, and a pointer to NULL, do nothing.
 */
MANY_API void many_pool_leave(many_pool **pool);

/*
 * many_pool_name, many_pool_workers - what it is called; how many workers it has
 *
 * returns   the name, valid until close, "" for NULL; the number, -EINVAL for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 */
MANY_API const char *many_pool_name(const many_pool *pool);
MANY_API int many_pool_workers(const many_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
