/* SPDX-License-Identifier: MIT */
/* future_watch.c - callbacks, nodes and the descriptor of a future; see future_watch.h */
#include "task/future_watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/fault.h"
#include "os/clock.h"
#include "os/listen.h"
#include "os/stream.h"

typedef struct watch_callback {
    struct watch_callback *next;
    many_done_fn *fn;
    void *context;
} watch_callback;

struct many_future_watch_ {
    pthread_mutex_t lock;       /* protects what follows; no callback and no told() runs under it */
    pthread_cond_t told;        /* telling has become NULL, and somebody waited for it */
    many_future_node_ *nodes;   /* in no order */
    many_future_node_ *telling; /* the one whose told() runs now */
    watch_callback *first, **last;
    int waiting;        /* so many sit in many_future_detach_() until a told() is through */
    int bell;           /* readable once it is over; -1 */
    int tick;           /* where the home has no bell for us: readable now and then; -1 */
    _Atomic int listen; /* listens to bell and to the home's; what the user polls, then; -1 */
};

static many_future_watch_ *watch_new(void)
{
    many_future_watch_ *watch =
        MANY_FAULT_ERROR("future.watch") < 0 ? NULL : calloc(1, sizeof *watch);

    if (watch == NULL)
        return NULL;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_cond_init(&watch->told, NULL);
    watch->last = &watch->first;
    watch->bell = -1;
    watch->tick = -1;
    atomic_init(&watch->listen, -1);
    return watch;
}

static void watch_free(many_future_watch_ *watch)
{
    for (watch_callback *next; watch->first != NULL; watch->first = next) {
        next = watch->first->next;
        free(watch->first);
    }
    many_bell_close_(atomic_load_explicit(&watch->listen, memory_order_relaxed));
    many_bell_close_(watch->tick);
    many_bell_close_(watch->bell);
    pthread_cond_destroy(&watch->told);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

void many_future_unwatch_(many_future *future)
{
    many_future_watch_ *watch = atomic_load_explicit(&future->watch, memory_order_acquire);

    if (watch == NULL)
        return;
    atomic_store_explicit(&future->watch, NULL, memory_order_relaxed);
    watch_free(watch);
}

static int watch_is_over(const many_future *future)
{
    return many_future_is_over_(atomic_load_explicit(&future->state, memory_order_acquire));
}

/* The one of this future, made at first use. NULL: no memory. */
static many_future_watch_ *watch_of(many_future *future)
{
    many_future_watch_ *watch = atomic_load_explicit(&future->watch, memory_order_acquire);
    many_future_watch_ *fresh;

    if (watch != NULL)
        return watch;
    fresh = watch_new();
    if (fresh == NULL)
        return NULL;
    if (atomic_compare_exchange_strong_explicit(&future->watch, &watch, fresh, memory_order_acq_rel,
                                                memory_order_acquire))
        return fresh;
    watch_free(fresh); /* another thread was first */
    return watch;
}

/* WATCHED, unless it is over. 1: for the first time. Release: a settler who sees it finds watch. */
static int watch_mark(many_future *future)
{
    uint32_t seen = atomic_load_explicit(&future->state, memory_order_relaxed);

    while (!many_future_is_over_(seen) && (seen & MANY_FUTURE_WATCHED_) == 0)
        if (atomic_compare_exchange_weak_explicit(&future->state, &seen,
                                                  seen | MANY_FUTURE_WATCHED_, memory_order_acq_rel,
                                                  memory_order_relaxed))
            return 1;
    return 0;
}

/*
 * Before an entry is made: from here on its end is heard of. The engine is asked now and not after
 * the entry, because the future may be closed by a callback as soon as there is one.
 */
static many_future_watch_ *watch_begin(many_future *future)
{
    many_future_watch_ *watch = watch_of(future);

    if (watch != NULL && watch_mark(future) && future->engine->watch != NULL)
        future->engine->watch(future);
    return watch;
}

static void watch_add_callback(many_future_watch_ *watch, watch_callback *callback)
{
    *watch->last = callback;
    watch->last = &callback->next;
}

static watch_callback *watch_new_callback(many_done_fn *fn, void *context)
{
    watch_callback *callback =
        MANY_FAULT_ERROR("future.callback") < 0 ? NULL : malloc(sizeof *callback);

    if (callback != NULL)
        *callback = (watch_callback){NULL, fn, context};
    return callback;
}

/* Words of an earlier failure of this thread are not the callback's. */
static int watch_call(many_future *future, many_done_fn *fn, void *context)
{
    const many_future_engine_ *engine = future->engine;
    int code;

    many_error_expire_();
    code = fn(future, context);
    if (code != 0 && engine->callback_failed != NULL)
        engine->callback_failed(future, code);
    return code;
}

/* It is over: fn may close it, and it is asked for its name if fn fails. */
static void watch_call_now(many_future *future, many_done_fn *fn, void *context)
{
    many_future_pin_(future);
    watch_call(future, fn, context);
    many_future_unpin_(future);
}

/* ---- the settler's part ---- */

/* The lock is held, and let go of around each told(). */
static void watch_tell_nodes(many_future_watch_ *watch)
{
    for (many_future_node_ *node; (node = watch->nodes) != NULL;) {
        watch->nodes = node->next;
        if (node->next != NULL)
            node->next->before = NULL;
        node->attached = 0;
        watch->telling = node;
        pthread_mutex_unlock(&watch->lock);
        MANY_FAULT_POINT("future.tell.node");
        node->told(node);
        /* The node may be gone, or be attached to another future. */
        pthread_mutex_lock(&watch->lock);
        watch->telling = NULL;
        if (watch->waiting > 0)
            pthread_cond_broadcast(&watch->told);
    }
}

/* Call them in order; free them. The code of the first that failed, with its words. */
static int watch_call_all(many_future *future, watch_callback *callback)
{
    char words[256];
    int first = 0;

    for (watch_callback *next; callback != NULL; callback = next) {
        int code = watch_call(future, callback->fn, callback->context);

        next = callback->next;
        free(callback);
        if (code != 0 && first == 0) {
            first = code;
            snprintf(words, sizeof words, "%s", many_error_words_(code));
        }
    }
    return first == 0 ? 0 : many_fail(first, "%s", words);
}

int many_future_tell_(many_future *future)
{
    many_future_watch_ *watch = atomic_load_explicit(&future->watch, memory_order_acquire);
    watch_callback *callbacks;

    pthread_mutex_lock(&watch->lock);
    if (watch->bell >= 0)
        many_bell_ring_(watch->bell);
    watch_tell_nodes(watch);
    callbacks = watch->first;
    watch->first = NULL;
    watch->last = &watch->first;
    pthread_mutex_unlock(&watch->lock);
    return watch_call_all(future, callbacks);
}

/* ---- callbacks ---- */

int many_future_prepare_callback_(many_future *future, many_done_fn *fn, void *context)
{
    many_future_watch_ *watch = watch_of(future);
    watch_callback *callback = watch == NULL ? NULL : watch_new_callback(fn, context);

    if (callback == NULL)
        return -ENOMEM;
    pthread_mutex_lock(&watch->lock);
    watch_add_callback(watch, callback);
    pthread_mutex_unlock(&watch->lock);
    watch_mark(future);
    return 0;
}

int many_future_on_done(many_future *future, many_done_fn *fn, void *context)
{
    int code = many_future_check_(future, "many_future_on_done");
    many_future_watch_ *watch;
    watch_callback *callback;

    if (code < 0)
        return code;
    if (fn == NULL)
        return many_fail(-EINVAL, "many_future_on_done: fn is NULL");
    if (future->engine->look != NULL && !watch_is_over(future))
        future->engine->look(future);
    if (watch_is_over(future)) {
        watch_call_now(future, fn, context);
        return 0;
    }
    callback = watch_new_callback(fn, context);
    watch = callback == NULL ? NULL : watch_begin(future);
    if (watch == NULL) {
        free(callback);
        return many_fail(-ENOMEM, "many_future_on_done: no memory for a callback");
    }
    pthread_mutex_lock(&watch->lock);
    if (!watch_is_over(future)) {
        watch_add_callback(watch, callback);
        pthread_mutex_unlock(&watch->lock);
        return 0;
    }
    pthread_mutex_unlock(&watch->lock);
    free(callback);
    watch_call_now(future, fn, context);
    return 0;
}

/* ---- nodes ---- */

int many_future_attach_(many_future *future, many_future_node_ *node,
                        void (*told)(many_future_node_ *node))
{
    many_future_watch_ *watch;
    int over;

    node->future = future;
    node->told = told;
    node->attached = 0;
    if (watch_is_over(future))
        return 1;
    watch = watch_begin(future);
    if (watch == NULL)
        return -ENOMEM;
    pthread_mutex_lock(&watch->lock);
    over = watch_is_over(future);
    if (!over) {
        node->before = NULL;
        node->next = watch->nodes;
        if (node->next != NULL)
            node->next->before = node;
        watch->nodes = node;
        node->attached = 1;
    }
    pthread_mutex_unlock(&watch->lock);
    return over;
}

void many_future_detach_(many_future_node_ *node)
{
    many_future_watch_ *watch;

    if (node->future == NULL)
        return;
    watch = atomic_load_explicit(&node->future->watch, memory_order_acquire);
    if (watch == NULL)
        return; /* it was over before anybody watched it */
    pthread_mutex_lock(&watch->lock);
    while (watch->telling == node) {
        watch->waiting++;
        pthread_cond_wait(&watch->told, &watch->lock);
        watch->waiting--;
    }
    if (node->attached) {
        if (node->before != NULL)
            node->before->next = node->next;
        else
            watch->nodes = node->next;
        if (node->next != NULL)
            node->next->before = node->before;
        node->attached = 0;
    }
    pthread_mutex_unlock(&watch->lock);
}

/* ---- the descriptor ---- */

#define WATCH_TICK_NS (10 * MANY_MILLISECOND_NS)

int many_future_silence_(const many_future *future)
{
    const many_future_watch_ *watch = atomic_load_explicit(&future->watch, memory_order_acquire);

    if (watch == NULL || future->engine->collect == NULL ||
        atomic_load_explicit(&watch->listen, memory_order_acquire) < 0)
        return 0;
    if (watch->tick >= 0)
        many_bell_silence_(watch->tick);
    return 1;
}

/* The lock is held. 0 or a negative errno; what was opened before that stays for the next try. */
static int watch_open_bell(many_future *future, many_future_watch_ *watch)
{
    if (watch->bell >= 0)
        return 0;
    watch->bell = many_bell_open_();
    if (watch->bell < 0) {
        int code = watch->bell;

        watch->bell = -1;
        return code;
    }
    if (watch_is_over(future)) /* else the settler finds it, under the lock */
        many_bell_ring_(watch->bell);
    return 0;
}

/* The lock is held. home says that something may be over, our bell that this one is. */
static int watch_open_listen(many_future_watch_ *watch, int home)
{
    int listen, code;

    if (atomic_load_explicit(&watch->listen, memory_order_relaxed) >= 0)
        return 0;
    if (home < 0 && watch->tick < 0) {
        code = many_tick_open_(WATCH_TICK_NS);
        if (code < 0)
            return code;
        watch->tick = code;
    }
    listen = many_listen_open_();
    if (listen < 0)
        return listen;
    code = many_listen_add_(listen, watch->bell);
    if (code == 0)
        code = many_listen_add_(listen, home < 0 ? watch->tick : home);
    if (code < 0) {
        many_bell_close_(listen);
        return code;
    }
    atomic_store_explicit(&watch->listen, listen, memory_order_release);
    return 0;
}

int many_future_descriptor(many_future *future)
{
    int code = many_future_check_(future, "many_future_descriptor");
    many_future_watch_ *watch;
    int descriptor = -1, home;

    if (code < 0)
        return code;
    watch = watch_begin(future);
    if (watch == NULL)
        return many_fail(-ENOMEM, "many_future_descriptor: no memory for it");
    home = future->engine->bell == NULL ? -1 : future->engine->bell(future->home);
    pthread_mutex_lock(&watch->lock);
    code = watch_open_bell(future, watch);
    /* One that is over, or settled by who ends it, needs no bell but its own. */
    if (code == 0 && future->engine->collect != NULL && !watch_is_over(future))
        code = watch_open_listen(watch, home);
    if (code == 0) {
        descriptor = atomic_load_explicit(&watch->listen, memory_order_relaxed);
        descriptor = descriptor < 0 ? watch->bell : descriptor;
    }
    pthread_mutex_unlock(&watch->lock);
    if (code < 0)
        return many_fail(code, "many_future_descriptor: none to be had (%s)",
                         many_error_name(code));
    return descriptor;
}
