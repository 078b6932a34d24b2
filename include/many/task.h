/* SPDX-License-Identifier: MIT */
/*
 * task.h - the task function, what a failed item says, cancelling
 */
#ifndef MANY_TASK_H
#define MANY_TASK_H

#include <many/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * many_fn - a task: one item in, one result out
 *
 *   item     the item, read-only, valid until return; NULL for a map without inputs (ask
 *            many_item_index()); with .inputs a `const void *const *`, one pointer an input
 *   result   where the result goes, uninitialised, aligned as the result type; NULL if there is
 *            none
 *   context  .context of the map: functools.partial's fixed arguments
 *
 * returns   0           done
 *           other       the item failed with this code; any number that is not 0 counts as a
 *                       failure. many_fail() adds words.
 *
 * In a process map fn runs in a forked child: it may do what POSIX and libc allow after fork. What
 * it changes, other than *result and shared memory, stays in the child. In a thread map it runs in
 * a thread of the caller's process (or in the caller's thread).
 */
typedef int many_fn(const void *item, void *result, void *context);

/*
 * many_range_fn - a task that gets a run of items at a time, so that its loop can be vectorised
 *
 *   items    n items, one after another
 *   results  room for n results
 *   n        1 or more; chosen by the map (or by .chunk), different from call to call
 *   context  .context of the map
 *
 * returns   0 or a code, as many_fn; a code fails all n items
 */
typedef int many_range_fn(const void *items, void *results, size_t n, void *context);

/*
 * many_cause - why an item failed: the facts, and a sentence made of them
 *
 * Filled by the library; a plain value that needs no closing.
 */
typedef struct many_cause {
    uint64_t item;        /* index of the item, from 0 */
    int32_t code;         /* what codes[item] holds */
    int32_t worker;       /* number of the worker that ran it, from 0; -1 if none had begun */
    int32_t signal;       /* that killed the worker; 0 if none did, or if it is unknown */
    int32_t exit_status;  /* of the worker; -1 if it did not exit, or if it is unknown */
    int32_t tries;        /* how often the item was begun */
    int32_t pid;          /* process id of the dead worker; 0 where no process died */
    int32_t over_limit;   /* 1: it was over its limit; code is -ETIMEDOUT */
    int32_t cancelled;    /* 1: it was cut off, or never begun; code is -ECANCELED */
    double seconds;       /* how long the item had run, as far as it was seen; 0: not seen */
    uint64_t peak_bytes;  /* largest resident size of the dead worker; 0: unknown */
    uint64_t reserved[4]; /* zero */
    char text[384];       /* "item 812 died of SIGSEGV (worker 3, pid 4711)"; NUL-terminated */
} many_cause;

/*
 * many_item_index - inside a task: the index of the item it runs
 *
 * With the range form: of the first item of the run.
 *
 * returns   the index, from 0; (size_t)-1 outside a task
 * blocks    never
 * threads   the calling thread's task
 * fork      in a child forked by the task: still the task's
 * signals   safe in a signal handler
 * source    Python enumerate
 */
MANY_API size_t many_item_index(void);

/*
 * many_worker_index - inside a task: the number of the worker that runs it
 *
 * No two items that run at the same time share it, so it may index scratch space. A replaced
 * worker's number is taken over by its replacement.
 *
 * returns   0 .. workers-1; -1 outside a task
 * blocks    never
 * threads   the calling thread's task
 * fork      in a child forked by the task: still the task's
 * signals   safe in a signal handler
 * source    OpenMP omp_get_thread_num
 */
MANY_API int many_worker_index(void);

/*
 * many_cancelled - inside a task: should this item come to its end?
 *
 * A thread cannot be killed, so a long task in a thread map asks this now and then, and returns
 * early. True once the map was cancelled, another item failed under MANY_STOP, or the item is over
 * its limit. Whatever the task returns after that, the item counts as cancelled or timed out;
 * unless it had finished before anyone noticed.
 *
 * returns   1 or 0; 0 outside a task
 * blocks    never
 * threads   the calling thread's task
 * fork      in a child forked by the task: as it was at the fork
 * signals   safe in a signal handler
 */
MANY_API int many_cancelled(void);

/*
 * many_cancel - a token that ends what it was given to
 *
 * Valid when zero: `many_cancel token = {0};`. Give its address as .cancel to any number of maps,
 * at the same time or one after another. Once set it stays set; to use it again when no map uses
 * it, zero it. It needs no closing. The fields are the library's.
 */
typedef struct many_cancel {
    uint64_t watch;
    uint32_t set;
    uint32_t setters;
    uint64_t reserved[2];
} many_cancel;

/*
 * many_cancel_set - end what waits with this token, and wake it
 *
 *   token  a token; NULL does nothing
 *
 * blocks    never
 * threads   any thread of the process that waits; idempotent
 * fork      a child's copy is its own: setting it says nothing to the parent
 * signals   safe in a signal handler
 * source    nsync_note, Python Event.set, Go context.CancelFunc
 */
MANY_API void many_cancel_set(many_cancel *token);

/*
 * many_cancel_is_set - has it been set?
 *
 *   token  a token; NULL is never set
 *
 * returns   1 or 0
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 */
MANY_API int many_cancel_is_set(const many_cancel *token);

/*
 * many_cancel_on_signal - let a signal set a token; NULL gives the signal back
 *
 * Installs a handler because it was asked to. The first such signal sets the token; a second one
 * acts as if the handler were not there (Ctrl-C twice ends a program that does not end itself).
 *
 *   token   what the signal sets, alive until the signal was given back; NULL: put back the
 *           disposition that was found at the first call
 *   signal  a signal that can be caught, such as SIGINT
 *
 * returns   0
 *           -EINVAL    signal cannot be caught, or does not exist
 *           -EALREADY  another token has this signal
 * blocks    never
 * threads   any; dispositions are the process's
 * fork      the child inherits handler and token; workers of a process map do not
 * signals   not from a signal handler
 * source    POSIX sigaction
 */
MANY_API int many_cancel_on_signal(many_cancel *token, int signal);

#ifdef __cplusplus
}
#endif

#endif
