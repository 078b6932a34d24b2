/* SPDX-License-Identifier: MIT */
/*
 * pool.c - the public calls of pools, over a backend; see pool.h
 *
 * Promise    Every call that a forked child makes on a handle of its parent's is refused before it
 *            touches a lock or a word that another thread of the parent may have held in its hands
 *            at the fork.
 * Invariant  references counts the handle and the futures that are not freed; the pool's memory
 *            goes when the last one is let go of, whoever that is.
 */
#include "pool/pool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/options.h"
#include "os/clock.h"
#include "os/local.h"
#include "os/self.h"
#include "pool/pool_options.h"

/* ---- who may use it ---- */

static MANY_SELDOM_ int pool_refuse(const many_pool *pool, const char *function)
{
    if (pool == NULL)
        return many_fail(-EINVAL, "%s: pool is NULL", function);
    return many_fail(-MANY_EFORKED,
                     "%s: the pool belongs to the process that opened it, not to this child",
                     function);
}

int many_pool_check_(const many_pool *pool, const char *function)
{
    if (MANY_LIKELY_(pool != NULL && many_self_is_(pool->process)))
        return 0;
    return pool_refuse(pool, function);
}

void many_pool_hold_(many_pool *pool)
{
    atomic_fetch_add_explicit(&pool->references, 1, memory_order_relaxed);
}

void many_pool_let_go_(many_pool *pool)
{
    /* Release: what was done with it comes before its end; acquire: by the last one. */
    if (atomic_fetch_sub_explicit(&pool->references, 1, memory_order_acq_rel) == 1)
        pool->backend->free(pool);
}

static _Thread_local MANY_LOCAL_FAST_ many_pool *pool_inside;

many_pool *many_pool_inside_(void)
{
    return pool_inside;
}

void many_pool_enter_(many_pool *pool)
{
    pool_inside = pool;
}

many_pool *many_pool_current(void)
{
    many_pool *pool = pool_inside;

    return pool != NULL && many_self_is_(pool->process) ? pool : NULL;
}

/* ---- open ---- */

int many_pool_open_with(const many_pool_options *options)
{
    static const char function[] = "many_pool_open";
    many_pool begun;
    many_pool *pool = NULL;
    int code;

    memset(&begun, 0, sizeof begun);
    code = many_pool_read_(&begun, options, function);
    if (code < 0)
        return code;
    begun.process = many_self_process_();
    begun.backend = begun.kind == MANY_THREADS ? &many_thread_backend_ : &many_process_backend_;
    atomic_init(&begun.references, 1);
    pthread_mutex_init(&begun.lock, NULL); /* copied before anybody has taken it */
    code = begun.backend->open(&pool, &begun);
    if (code < 0)
        return code;
    *begun.option.pool = pool;
    return 0;
}

/* ---- tasks ---- */

int many_pool_submit_with(const many_submit_options *options)
{
    many_submit_options local;
    many_submit_ submit;
    many_future *future = NULL;
    int code = many_submit_read_(&submit, &local, options, "many_pool_submit");

    if (code < 0)
        return code;
    code = submit.option->pool->backend->submit(submit.option->pool, &submit, &future);
    if (code < 0)
        return code;
    if (submit.option->future != NULL)
        *submit.option->future = future;
    else
        many_future_close(future);
    return 0;
}

/*
 * Until it is over: a handler of the caller's that runs meanwhile does not end it, because there
 * would be no handle left to go on with. What does end it is a circle; then nobody will want the
 * outcome.
 */
static int pool_apply_wait(many_future *future, void *result, size_t result_bytes)
{
    ssize_t got;

    do
        got = many_future_result(future, result, result_bytes, MANY_FOREVER);
    while (got == -EINTR);
    if (many_future_done(future) == 0)
        many_future_terminate(future, 0);
    many_future_close(future);
    return got < 0 ? (int)got : 0;
}

int many_pool_apply_with(many_pool *pool, many_fn *fn, const void *arg, size_t arg_bytes,
                         void *result, size_t result_bytes, const many_submit_options *options)
{
    static const char function[] = "many_pool_apply";
    many_submit_options option, local;
    many_submit_ submit;
    many_future *future = NULL;
    int code;

    memset(&option, 0, sizeof option);
    if (options != NULL) {
        code = many_options_read_(&option, sizeof option, options, function);
        if (code < 0)
            return code;
    }
    if ((result == NULL) != (result_bytes == 0))
        return many_fail(-EINVAL, "%s: result is %s, result_bytes is %zu", function,
                         result == NULL ? "NULL" : "not NULL", result_bytes);
    option.size = sizeof option;
    option.pool = pool;
    option.fn = fn;
    option.arg = arg;
    option.arg_bytes = arg_bytes;
    option.result_bytes = result_bytes;
    option.future = &future;
    code = many_submit_read_(&submit, &local, &option, function);
    if (code < 0)
        return code;
    code = pool->backend->submit(pool, &submit, &future);
    return code < 0 ? code : pool_apply_wait(future, result, result_bytes);
}

int many_reply(const void *bytes, size_t count)
{
    many_pool *pool = many_pool_current();

    if (pool == NULL)
        return many_fail(-EINVAL, "many_reply: this is no task of a pool");
    if (bytes == NULL && count != 0)
        return many_fail(-EINVAL, "many_reply: bytes is NULL, count is %zu", count);
    return pool->backend->reply(pool, bytes, count);
}

/* ---- callbacks that fail ---- */

void many_pool_callback_failed_(many_future *future, int code)
{
    many_pool *pool = future->home;
    const char *words = many_error_words_(code);
    char name[MANY_FUTURE_SAID_];

    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    if (pool->callback_code == 0) {
        pool->callback_code = code;
        snprintf(pool->callback_words, sizeof pool->callback_words,
                 "the callback of %s failed with %d%s%s", many_future_say_(future, name), code,
                 words[0] == '\0' ? "" : ": ", words);
    }
    pthread_mutex_unlock(&pool->lock);
}

/* What callbacks have failed with since it was asked last: 0, or a code with words. */
static int pool_take_callback_failure(many_pool *pool, const char *function)
{
    char words[sizeof pool->callback_words];
    int code;

    pthread_mutex_lock(&pool->lock);
    code = pool->callback_code;
    pool->callback_code = 0;
    memcpy(words, pool->callback_words, sizeof words);
    pthread_mutex_unlock(&pool->lock);
    if (code == 0)
        return 0;
    return many_fail(code < 0 ? code : -MANY_ETASK, "%s: %s", function, words);
}

/* ---- its end ---- */

int many_pool_finish(many_pool *pool)
{
    int code = many_pool_check_(pool, "many_pool_finish");

    if (code == 0)
        pool->backend->finish(pool);
    return code;
}

static int pool_refuse_inside(const many_pool *pool, const char *function)
{
    if (!pool->backend->inside(pool))
        return 0;
    return many_fail(-EDEADLK, "%s: called by a task of '%s' itself, which would wait for itself",
                     function, pool->name);
}

int many_pool_join(many_pool *pool, double timeout_s)
{
    static const char function[] = "many_pool_join";
    int code = many_pool_check_(pool, function);

    if (code < 0 || (code = many_timeout_check_(timeout_s, function)) < 0 ||
        (code = pool_refuse_inside(pool, function)) < 0)
        return code;
    code = pool->backend->join(pool, many_deadline_ns_(timeout_s), 1);
    if (code == -ETIMEDOUT)
        return many_fail(code, "%s: '%s' still has something to do after %g s", function,
                         pool->name, timeout_s);
    if (code == -EINTR)
        return many_fail(code, "%s: a signal handler ran on this thread", function);
    return code < 0 ? code : pool_take_callback_failure(pool, function);
}

ssize_t many_pool_cancel_waiting(many_pool *pool)
{
    int code = many_pool_check_(pool, "many_pool_cancel_waiting");

    return code < 0 ? code : pool->backend->cancel_waiting(pool);
}

int many_pool_terminate(many_pool *pool)
{
    int code = many_pool_check_(pool, "many_pool_terminate");

    if (code == 0 && pool->kind == MANY_PROCESSES && pool->backend->inside(pool))
        return many_fail(-EDEADLK,
                         "many_pool_terminate: a task of '%s' cannot kill the worker it runs in: "
                         "many_pool_finish() works here",
                         pool->name);
    if (code == 0)
        pool->backend->terminate(pool);
    return code;
}

int many_pool_close(many_pool *pool, double grace_s)
{
    static const char function[] = "many_pool_close";
    int64_t deadline_ns;
    int code, failure;

    if (pool == NULL)
        return 0;
    code = many_pool_check_(pool, function);
    if (code < 0) {
        pool->backend->forget(pool);
        return code;
    }
    code = pool_refuse_inside(pool, function);
    if (code < 0)
        return code;
    deadline_ns = many_deadline_ns_(grace_s > 0 || grace_s == MANY_FOREVER ? grace_s : 0);
    pool->backend->finish(pool);
    code = pool->backend->join(pool, deadline_ns, 0);
    pool->backend->stop(pool);
    failure = pool_take_callback_failure(pool, function);
    if (code == -ETIMEDOUT)
        many_fail(code, "%s: '%s' still had something to do after %g s, which was cut off",
                  function, pool->name, grace_s);
    many_pool_let_go_(pool);
    return code < 0 ? code : failure;
}

void many_pool_leave(many_pool **pool)
{
    if (pool == NULL || *pool == NULL)
        return;
    many_pool_close(*pool, MANY_FOREVER);
    *pool = NULL;
}

/* ---- asking; safe in a signal handler, so without words ---- */

const char *many_pool_name(const many_pool *pool)
{
    return pool == NULL ? "" : pool->name;
}

int many_pool_workers(const many_pool *pool)
{
    return pool == NULL ? -EINVAL : pool->workers;
}
