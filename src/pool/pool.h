/* SPDX-License-Identifier: MIT */
/*
 * pool.h - the handle of a pool, and what a kind of worker has to fill in
 *
 * pool.c reads and checks what callers say, keeps what is the same for every kind (name, callback failures, who
 * may use it), and leaves the rest to the pool's backend: thread_pool.c or process_pool.c.
 */
#ifndef MANY_POOL_POOL_H
#define MANY_POOL_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include <many/pool.h>

#include "pool/roster.h"
#include "task/future.h"

#define MANY_POOL_WORKERS_MOST_ 4096
#define MANY_POOL_WAITING_      65536 /* .waiting_most, if it is not said */
#define MANY_PRIORITIES_        (MANY_PRIORITY_HIGHEST - MANY_PRIORITY_LOWEST + 1)

typedef struct many_backend_ many_backend_;
typedef struct many_batch_ many_batch_;
typedef struct many_batch_plan_ many_batch_plan_;

/* A backend's own struct begins with this one. */
struct many_pool {
    uint64_t process; /* many_self_process_() of the owner; in a worker process, of the worker */
    const many_backend_ *backend;
    int kind, workers;
    char name[64];
    many_pool_options
        option;       /* newest layout; pointers are the caller's, and only good during the open */
    int64_t limit_ns; /* .item_limit_s; 0: none */
    many_roster_ *roster;
    _Atomic uint64_t serial; /* numbers the tasks of the owner's threads, from 0 */
    _Atomic uint32_t
        references; /* the handle's, and one for each future that is not freed: the last one frees */

    pthread_mutex_t lock;     /* protects what follows */
    int callback_code;        /* of the first callback that failed since the last join; 0 */
    char callback_words[384]; /* what join says of it */
};

/* What many_pool_submit() was given, checked. */
typedef struct many_submit_ {
    const char *function;              /* for messages: "many_pool_submit", ... */
    const many_submit_options *option; /* the newest layout; its pool and fn are not NULL */
    int64_t limit_ns;                  /* of a try; 0: none; the pool's is merged in */
    uint64_t limit_bytes;
} many_submit_;

/* What a kind of worker does. Codes are negative, with words, and begin with the public function's name. */
struct many_backend_ {
    /* Make the pool: allocate it zeroed with *begun copied into it, and start what has to be started. */
    int (*open)(many_pool **pool, const many_pool *begun);

    /* many_pool_submit(); *future (never NULL) receives a future; who has no use for it closes it. */
    int (*submit)(many_pool *pool, const many_submit_ *submit, many_future **future);

    void (*finish)(many_pool *pool);
    /* Until nothing waits or runs. 0, -ETIMEDOUT, -EINTR (handlers == 1: handlers end it). */
    int (*join)(many_pool *pool, int64_t deadline_ns, int handlers);
    ssize_t (*cancel_waiting)(many_pool *pool);
    void (*terminate)(many_pool *pool);
    /* Finished, and terminated if something was left: the workers are gone after it. */
    void (*stop)(many_pool *pool);
    /* The last reference was let go: free what the backend has, and the pool. */
    void (*free)(many_pool *pool);
    /* In a forked child: let go of the copy. */
    void (*forget)(many_pool *pool);

    /* Is the thread in a task of this pool? */
    int (*inside)(const many_pool *pool);
    int (*reply)(many_pool *pool, const void *bytes, size_t count); /* many_reply() */

    /* Several items as one task: batch.h. */
    int (*batch_open)(many_pool *pool, const many_batch_plan_ *plan, many_batch_ **batch);
};

extern const many_backend_ many_thread_backend_;
extern const many_backend_ many_process_backend_;

/* One reference more, and one less. */
void many_pool_hold_(many_pool *pool);
void many_pool_let_go_(many_pool *pool);

/* 0, or -EINVAL (NULL) or -MANY_EFORKED with words. */
int many_pool_check_(const many_pool *pool, const char *function);

/* Note that a callback of future returned code (many_future_engine_.callback_failed). */
void many_pool_callback_failed_(many_future *future, int code);

/* The pool whose task this thread runs now; set by workers around each task they run (nested ones restore it). */
many_pool *many_pool_inside_(void);
void many_pool_enter_(many_pool *pool); /* NULL: none */

#endif
