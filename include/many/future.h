/* SPDX-License-Identifier: MIT */
/*
 * future.h - the outcome of a task, before it is there (Python's concurrent.futures.Future, AsyncResult)
 *
 *   many_future *future = NULL;
 *   many_pool_submit(pool, work, &argument, &future, .arg_bytes = sizeof argument,
 *                    .result_bytes = sizeof result);
 *   if (many_future_result(future, &result, sizeof result, 2.0) < 0) {
 *       many_future_cause(future, &cause);                // "task 3 died of SIGSEGV (worker 1, pid 4711)"
 *       fprintf(stderr, "%s\n", cause.text);
 *   }
 *   many_future_close(future);
 *
 * A future is pending, running, or over; over is one of: done, failed, cancelled. Once over it stays as it
 * is. It is over exactly once, whatever dies.
 *
 *   waiting    a wait helps where it can. In a task, a wait for a task of a pool this worker belongs to that
 *              has not begun runs it, here and now. A wait that would close a circle of tasks that wait for
 *              one another is -EDEADLK, and the message names all who are in it: where each waits for one
 *              task, or for all of several. A task that waits for the first of several is told when every one
 *              of those waits for it, by way of tasks that wait so. Several tasks that all wait for the first
 *              of several of one another are not found out: give such waits a timeout. A wait for what can no
 *              longer happen ends with its outcome.
 *              It also runs what the awaited task has submitted and waits for: so do not wait with a lock in
 *              hand that such tasks take. A thread outside of the pool that waits for a task of threads with
 *              MANY_FOREVER may run it itself, with its own stack, signal mask and thread id, where a worker's
 *              place is free: give a timeout, or the pool an .initializer, where that must not be.
 *   codes      a task that returned a code of its own gives -MANY_ETASK, so that its codes are never taken
 *              for those of the call; many_future_cause() has the task's own.
 *   timeouts   timeout_s is in seconds: 0 does not wait, MANY_FOREVER has no limit, other negative values
 *              and NaN are -EINVAL. Not in time is -ETIMEDOUT. A task over its limit is -ETIMEDOUT, too:
 *              many_future_done() tells the two apart.
 *   signals    a wait that a signal handler of the caller interrupted returns -EINTR.
 *   threads    all functions may be called by any thread at any time, but close: by the last one to use it.
 *   fork       a future belongs to the process that submitted the task: in a child every function returns
 *              -MANY_EFORKED, and close does nothing.
 *   lifetime   a future outlives its pool: it can be asked, and is to be closed, after many_pool_close().
 */
#ifndef MANY_FUTURE_H
#define MANY_FUTURE_H

#include <many/base.h>
#include <many/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct many_future many_future;

/*
 * many_done_fn - called once, when a future is over
 *
 *   future   over: many_future_result() does not wait. It stays open until the caller of
 *            many_future_on_done() closes it, which it may do in here
 *   context  as it was given
 *
 * returns   0      fine
 *           other  the callback failed: the first such code of a pool is what the next many_pool_join() of
 *                  it returns, once, with words; all other callbacks are called nevertheless
 */
typedef int many_done_fn(many_future *future, void *context);

/*
 * many_future_wait - wait until it is over
 *
 * returns   0           it is over, however it ended
 *           -ETIMEDOUT  it is not
 *           -EDEADLK    it waits, by way of others, for the task that waits here; the message names them
 *           -ENOENT     a handle of many_future_from_id(): the future that the id was taken from is closed
 *           -EINTR      a signal handler ran on this thread
 *           -EINVAL     future is NULL, or the timeout makes no sense
 *           -MANY_EFORKED  it belongs to another process
 * blocks    at most timeout_s, or until it is over; and as long as a task runs that it helps with
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python AsyncResult.wait(timeout), POSIX pthread_join
 */
MANY_API int many_future_wait(many_future *future, double timeout_s);

/*
 * many_future_result - wait for it, and copy its result
 *
 *   result     room bytes, which receive the result; NULL with 0: only its outcome is wanted
 *   room       bytes; at least the result's size, unless it is 0
 *   timeout_s  seconds to wait; 0: just look; MANY_FOREVER: no limit
 *
 * May be called again; the result stays until close.
 *
 * returns   >= 0          done; so many bytes the result has (.result_bytes, or as many_reply() gave it)
 *           -MANY_ETASK   the task returned a code of its own: many_future_cause()
 *           -MANY_EDIED   the worker died while it ran it
 *           -ETIMEDOUT    not over in time; or over, because the task was over its limit
 *           -ENOMEM       the task was over its limit of memory, or its result had no room
 *           -ECANCELED    it was cancelled, or its pool was terminated
 *           -MANY_EBROKEN its pool has no workers: none could be made, or the initializer failed
 *           -EMSGSIZE     the result is longer than room; it stays: many_future_result_bytes()
 *           -EDEADLK, -ENOENT, -EINTR, -EINVAL, -MANY_EFORKED  as many_future_wait()
 * blocks    as many_future_wait()
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Future.result(timeout), AsyncResult.get(timeout)
 */
MANY_API ssize_t many_future_result(many_future *future, void *result, size_t room,
                                    double timeout_s);

/*
 * many_future_result_bytes - the size of its result
 *
 * returns   bytes; -EAGAIN: it is not over; or as many_future_result() with 0 room
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 */
MANY_API ssize_t many_future_result_bytes(many_future *future);

/*
 * many_future_cause - why it failed, in full and in words (Python's exception(), after a wait)
 *
 *   cause  receives the facts: item is the task's number in its pool, code the task's own code, -MANY_EDIED,
 *          -ETIMEDOUT, -ENOMEM or -ECANCELED. Zeroed, its text "", for one that is done
 *
 * returns   0        *cause is filled
 *           -EAGAIN  it is not over
 *           -EINVAL  an argument is NULL
 *           -MANY_EFORKED  it belongs to another process
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Future.exception, AsyncResult.successful
 */
MANY_API int many_future_cause(many_future *future, many_cause *cause);

/*
 * many_future_done, many_future_running, many_future_cancelled, many_future_successful - how is it?
 *
 *   done        it is over: done, failed or cancelled (Python's done, ready)
 *   running     the task has begun, and is not over
 *   cancelled   it was cancelled
 *   successful  it is over, neither failed nor cancelled
 *
 * returns   1 or 0; -EINVAL for NULL; -MANY_EFORKED
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Future.done, running, cancelled; AsyncResult.ready, successful
 */
MANY_API int many_future_done(many_future *future);
MANY_API int many_future_running(many_future *future);
MANY_API int many_future_cancelled(many_future *future);
MANY_API int many_future_successful(many_future *future);

/*
 * many_future_cancel - do not begin it
 *
 * returns   1  it had not begun, and is cancelled now (or was already)
 *           0  it runs, or is over otherwise: nothing has changed
 *           -EINVAL for NULL; -MANY_EFORKED
 * blocks    never; its callbacks may be called in here
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Future.cancel
 */
MANY_API int many_future_cancel(many_future *future);

/*
 * many_future_terminate - cancel it, also if it runs
 *
 * Names the task, never the worker: whoever runs another task by now is left alone. The pool stays whole.
 * One that has not begun is cancelled. For one that runs many_cancelled() turns true; a worker process that
 * is still in it after grace_s gets SIGTERM, after another grace_s SIGKILL, both with its children as far as
 * they are in its process group, and is replaced. A thread cannot be killed: the future is over when the
 * task returns. Whatever it returns after this, it counts as cancelled, unless it was over before.
 *
 *   grace_s  seconds, 0 or more; 0: SIGKILL at once
 *
 * returns   1 or 0: it was not over yet; it was
 *           -EINVAL for NULL, or a grace that makes no sense; -MANY_EFORKED
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python ProcessPoolExecutor.terminate_workers (3.14), for one task
 */
MANY_API int many_future_terminate(many_future *future, double grace_s);

/*
 * many_future_on_done - have fn(future, context) called when it is over
 *
 * Several that are given before it is over are called in that order. If it is over already, fn is called before
 * this returns.
 * Else by whom: for tasks of threads and futures that are set by hand, the thread that ends it; for tasks of
 * processes a thread that waits for anything of that pool, or the pool's own (.callback_thread of it).
 *
 * returns   0
 *           -EINVAL  an argument is NULL
 *           -ENOMEM  fn will not be called
 *           -MANY_EFORKED
 * blocks    for fn, if it is over
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Future.add_done_callback, callback and error_callback of Pool
 */
MANY_API int many_future_on_done(many_future *future, many_done_fn *fn, void *context);

/*
 * many_future_descriptor - a descriptor for poll, select or epoll: readable once it is over
 *
 * It may turn readable before that: then many_future_done() says 0, and waiting goes on.
 *
 * returns   a descriptor, the future's own: poll it, do not read or close it
 *           -EMFILE, -ENFILE, -ENOMEM  none to be had
 *           -EINVAL for NULL; -MANY_EFORKED
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 */
MANY_API int many_future_descriptor(many_future *future);

/*
 * many_future_id, many_future_from_id - name a task of processes so that another task can wait for it
 *
 *   id  a number from many_future_id(), which a task may get in its argument, or through shared memory
 *
 * from_id works in the process that submitted the task, and in the pool's workers, as long as the future it was
 * taken from is open; after that its waits are -ENOENT. It is to be closed as well. Tasks of threads share the
 * handle itself.
 *
 * returns   the id, never 0; 0 for NULL, for tasks of threads and for futures that are set by hand
 *           0 and *future; -ENOENT: that future was closed, or there never was one; -ENOMEM; -EINVAL
 * blocks    never
 * threads   any
 * fork      a pool's workers; else -ENOENT in a child
 * signals   not from a signal handler
 */
MANY_API uint64_t many_future_id(const many_future *future);
MANY_API int many_future_from_id(many_future **future, uint64_t id);

/*
 * many_future_name - what it was called, .name of its submission; or "task 17"
 *
 *   text   room bytes, which receive the name; what does not fit is cut
 *
 * returns   text; "" for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   not from a signal handler
 */
MANY_API const char *many_future_name(const many_future *future, char *text, size_t room);

/*
 * many_future_close - let go of it; the task goes on
 *
 * What waits still waits, and runs; nobody learns of its outcome but its callbacks. One that is set by hand,
 * and was not, is cancelled.
 *
 * blocks    never; its callbacks may be called in here, if it is set by hand
 * threads   the last one to use it; NULL does nothing
 * fork      does nothing in a forked child
 * signals   not from a signal handler
 */
MANY_API void many_future_close(many_future *future);

/* ---- several at once (concurrent.futures.wait, as_completed) ---- */

/* What many_futures_wait() waits for. */
enum many_wait_for {
    MANY_ALL_COMPLETED = 0,   /* all are over */
    MANY_FIRST_COMPLETED = 1, /* one is over */
    MANY_FIRST_EXCEPTION = 2  /* one has failed (a cancelled one does not count), or all are over */
};

/*
 * many_futures_wait - wait for several futures, of any pools
 *
 *   futures    n handles; NULLs among them are ignored
 *   n          how many; 0 returns at once
 *   wait_for   one of enum many_wait_for
 *   over       n flags: 1 for each that is over, else 0; may be NULL
 *   timeout_s  seconds to wait; 0: just look; MANY_FOREVER: no limit
 *
 * returns   >= 0        so many are over
 *           -ETIMEDOUT  what was waited for has not come about; over is filled all the same
 *           -EDEADLK    as many_future_wait(), where all must be over; else each of them waits for the task
 *                       that waits here (see "waiting" above for what is not seen)
 *           -ENOENT     as many_future_wait(), where all must be over
 *           -EINTR, -EINVAL, -MANY_EFORKED  as many_future_wait()
 *           -ENOMEM, -EMFILE, -ENFILE  nothing to wait with
 * blocks    at most timeout_s; and as long as a task runs that it helps with
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python concurrent.futures.wait(fs, timeout, return_when)
 */
MANY_API ssize_t many_futures_wait(many_future *const *futures, size_t n, int wait_for, int *over,
                                   double timeout_s);

typedef struct many_completed many_completed;

/*
 * many_completed_open - begin to go through futures as they end, whichever is first
 *
 *   many_completed_open(&completed, futures, n);
 *   while ((code = many_completed_next(completed, &future, MANY_FOREVER)) > 0)
 *       ...
 *   many_completed_close(completed);
 *
 *   futures   n handles, which stay open until many_completed_close(); the array itself is copied. A handle
 *             that is there twice comes once; NULLs among them are ignored
 *
 * returns   0
 *           -EINVAL  completed is NULL, or futures with an n above 0
 *           -ENOMEM  no memory
 *           -MANY_EFORKED
 * blocks    never
 * threads   any; the iterator is used by one at a time
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python concurrent.futures.as_completed(fs, timeout)
 */
MANY_API int many_completed_open(many_completed **completed, many_future *const *futures, size_t n);

/*
 * many_completed_next - the next future that is over
 *
 *   future  receives the handle, which is still the caller's; NULL unless 1 is returned
 *
 * returns   1           *future is over
 *           0           all have been handed out
 *           -ETIMEDOUT  none in time; ask again
 *           -EDEADLK    none can be: each waits for the task that waits here
 *           -EINTR, -EINVAL, -MANY_EFORKED, -EMFILE, -ENFILE, -ENOMEM  as many_futures_wait()
 * blocks    at most timeout_s
 * threads   one at a time
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python next(as_completed(...))
 */
MANY_API int many_completed_next(many_completed *completed, many_future **future, double timeout_s);

/*
 * many_completed_close - let go of the iterator, not of the futures
 *
 * blocks    never
 * threads   the last one to use it; NULL does nothing
 * fork      frees the child's copy
 * signals   not from a signal handler
 */
MANY_API void many_completed_close(many_completed *completed);

/* ---- set by hand: for tests, and for what ends outside of a pool ---- */

typedef struct many_future_options {
    size_t size;                /* sizeof this struct; the macro fills it */
    many_future **future;       /* receives the handle; required, the macro's first argument */
    struct many_named_ *named_; /* keeps options named; leave it alone */
    const char *name;           /* for messages; NULL: "future". Copied, 63 bytes at most */
} many_future_options;

/*
 * many_future_open - a future that no task stands behind: somebody sets it
 *
 *   future   receives the handle, pending; one for all: who waits, who sets, and one close
 *   options  by name: many_future_open(&future, .name = "reply from the printer")
 *
 * returns   0, -EINVAL, -E2BIG, -ENOMEM
 * blocks    never
 * threads   any
 * fork      a child may open its own
 * signals   not from a signal handler
 * source    Python concurrent.futures.Future()
 */
MANY_API int many_future_open_with(const many_future_options *options);

#ifndef __cplusplus
#define many_future_open(...)                                                                      \
    many_future_open_with(                                                                         \
        &(many_future_options){.size = sizeof(many_future_options), .future = __VA_ARGS__})
#endif

/*
 * many_future_set_running - it has begun: it can no longer be cancelled by many_future_cancel()
 *
 * returns   0           it is running
 *           -ECANCELED  it was cancelled before: do not begin
 *           -EBUSY      it runs, or is over already
 *           -EINVAL     NULL, or a task stands behind it; -MANY_EFORKED
 * blocks    never
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Future.set_running_or_notify_cancel
 */
MANY_API int many_future_set_running(many_future *future);

/*
 * many_future_set_result, many_future_set_failure - it is over
 *
 *   result  bytes bytes, copied
 *   code    a negative code, which many_future_result() returns and the cause holds; 0 and positive ones
 *           are -EINVAL
 *   words   what the cause says; NULL: many_strerror(code)
 *
 * returns   0           who waits has been woken, and the callbacks have been called
 *           -ECANCELED  it was cancelled before
 *           -EBUSY      it is over already: the first to set it wins
 *           -EINVAL     NULL, or a task stands behind it; -ENOMEM: it is not over; -MANY_EFORKED
 *           other       what the first callback that failed returned, if negative, else -MANY_ETASK
 * blocks    for the callbacks
 * threads   any
 * fork      -MANY_EFORKED in a child
 * signals   not from a signal handler
 * source    Python Future.set_result, Future.set_exception
 */
MANY_API int many_future_set_result(many_future *future, const void *result, size_t bytes);
MANY_API int many_future_set_failure(many_future *future, int code, const char *words);

#ifdef __cplusplus
}
#endif

#endif
