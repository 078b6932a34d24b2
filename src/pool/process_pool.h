/* SPDX-License-Identifier: MIT */
/*
 * process_pool.h - a pool of processes as its owner has it, and as the tasks of a worker have it
 *
 * In the owner and in each worker it stands over the same table (table.h), each as another submitter. What is
 * told here of futures and tickets holds for both; the supervision is the owner's alone.
 *
 * Invariant  A ticket of this submitter that is not FREE belongs to exactly one future (that of its index), from
 *            its submission until the future is dropped, which frees both. turn is the key while nobody has begun
 *            to settle the future; who changes that settles it.
 * Watched    are futures whose end has to be heard of: they are in a list, and their tickets have NOTIFY. All others
 *            are settled when somebody looks at them.
 * Locks      table->lock protects the list, the free tickets, the lanes and the arena; nothing of the user's is
 *            called under it.
 */
#ifndef MANY_POOL_PROCESS_POOL_H
#define MANY_POOL_PROCESS_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "pool/pool.h"
#include "pool/process_start.h"
#include "pool/table.h"
#include "sync/wait.h"

#define MANY_PROCESS_LISTED_ 1U /* it is in the list of watched ones */
#define MANY_PROCESS_GUEST_  2U /* by many_future_from_id(): its ticket is another's */
#define MANY_PROCESS_BATCH_  4U /* its blocks are the batch's */
#define MANY_PROCESS_ORPHAN_ 8U /* of a batch that is gone: its blocks go with it */

typedef struct many_process_future_ {
    many_future base;
    uint64_t key; /* of its ticket */
    _Atomic uint64_t
        turn; /* key: not settled; key without MANY_KEY_FULL_: it is, or is about to be */
    _Atomic uint32_t flags;
    uint32_t before, next; /* in the list: index + 1 */
} many_process_future_;

/* One by its id: what it needs is copied when it is over. */
typedef struct many_process_guest_ {
    many_process_future_ future;
    struct many_process_guest_ *next, **before; /* in the pool's list of watched ones */
    uint64_t serial;
    char name[64]; /* "": it has none */
    many_cause cause;
} many_process_guest_;

#define MANY_PROCESS_CHUNK_BITS_ 9
#define MANY_PROCESS_CHUNK_      (1U << MANY_PROCESS_CHUNK_BITS_) /* futures that are made at once */

typedef struct many_process_pool_ {
    many_pool base;
    many_table_ *table;
    int worker;    /* 1: in a worker */
    int stopped;   /* 1: no process is left, every ticket is OVER; protected by ending */
    uint64_t room; /* so many more may be submitted before it is looked how many wait */
    _Atomic uint64_t cancelled;             /* tickets were cancelled since the lanes were tidied */
    _Atomic(many_process_future_ *) *chunk; /* futures by index: [capacity / MANY_PROCESS_CHUNK_] */
    uint32_t chunks;
    uint32_t watched_first;    /* index + 1 */
    _Atomic uint32_t watched;  /* how many are in the list */
    _Atomic uint32_t settling; /* threads that call callbacks */
    _Atomic uint32_t doubt;    /* spinning was in vain so often, of late */
    pthread_mutex_t
        tending; /* protects ears, and what is in it; held while a dead supervisor is replaced */
    int ears;    /* readable when the owner's bell rings, and when the supervisor has ended; -1 */
    int deaf;    /* 1: no supervisor comes any more */
    pthread_mutex_t listener; /* held by who listens to the bell for all */
    pthread_mutex_t ending;
    pthread_t callbacks;                    /* .callback_thread */
    _Atomic int calling;                    /* 1: it runs; 0: it is to end, or there is none */
    int called;                             /* 1: it was started, and not joined */
    struct many_process_context_ *contexts; /* of batches (process_batch.c) */
    struct many_process_guest_
        *guests; /* futures by id that are watched; protected by table->lock */
    struct many_process_pool_ *next, *before; /* pools of this process */
    many_supervision_ supervision;
} many_process_pool_;

static inline many_process_pool_ *many_process_pool_of_(const many_future *future)
{
    return future->home;
}

/* The future of a ticket of this submitter; NULL: there never was one. */
static inline many_process_future_ *many_process_future_at_(const many_process_pool_ *pool,
                                                            uint32_t index)
{
    many_process_future_ *chunk =
        atomic_load_explicit(&pool->chunk[index >> MANY_PROCESS_CHUNK_BITS_], memory_order_acquire);

    return chunk == NULL ? NULL : &chunk[index & (MANY_PROCESS_CHUNK_ - 1)];
}

/* Is the ticket of key still under way? */
static inline int many_process_under_way_(const many_process_pool_ *pool, uint64_t key)
{
    const uint64_t claim =
        atomic_load_explicit(&many_table_ticket_(pool->table, key)->claim, memory_order_acquire);

    return many_claim_phase_(claim) != MANY_TICKET_OVER_ && many_key_is_(key, claim);
}

/* ---- process_future.c ---- */

extern const many_future_engine_ many_process_engine_;

/* The future of a ticket that was taken, begun; under table->lock. NULL: no memory. */
many_process_future_ *many_process_future_begin_(many_process_pool_ *pool, uint64_t key,
                                                 uint32_t flags);

/* Its ticket was never published: both are free again; under table->lock. */
void many_process_future_undo_(many_process_pool_ *pool, many_process_future_ *future);

/* Put it into the list; under table->lock, before its ticket is published. */
void many_process_list_(many_process_pool_ *pool, many_process_future_ *future);

/* If its ticket is over in this generation, settle the future. */
void many_process_settle_(many_process_pool_ *pool, many_process_future_ *future, uint64_t key);

/* How a ticket that is over ended: the phase of its future, and *code. */
uint32_t many_process_outcome_(uint64_t claim, int32_t ticket_code, int32_t *code);

/* Its turn was taken, its outcome is written: tell who waits. Callbacks are called in here. */
void many_process_end_(many_process_pool_ *pool, many_process_future_ *future, uint32_t phase);

/* Is this thread in a callback of the pool? */
int many_process_settling_(const many_process_pool_ *pool);

/* engine->look. */
void many_process_update_(many_future *future);

/* Have the end of key's ticket told, with these flags more in its claim word, and its future listed. 1; 0: it is
 * over, or another's by now. */
int many_process_notify_(many_process_pool_ *pool, many_process_future_ *future, uint64_t key,
                         uint64_t flags);

/* Is its ticket another's by now? -ENOENT with words; 0. */
int many_process_gone_(const many_process_future_ *future);

/* ---- process_wait.c ---- */

int many_process_await_(many_future *future, int64_t deadline_ns);
int many_process_help_(many_future *future);
int many_process_circle_(many_future *future);

/* Wait for the ticket of key to be over, for a slice. */
int many_process_sleep_(many_process_pool_ *pool, uint64_t key, many_wait_ *wait);

/* The cause of one of which nothing is known but its code. */
void many_process_cause_(const many_process_future_ *future, uint64_t serial, many_cause *cause);

uint64_t many_process_id_(const many_process_pool_ *pool, uint64_t key);

static inline uint32_t many_process_index_bits_(const many_process_pool_ *pool)
{
    return 31U - (uint32_t)__builtin_clz(pool->table->region[0].capacity);
}

static inline uint32_t many_process_submitter_bits_(const many_process_pool_ *pool)
{
    return 32U - (uint32_t)__builtin_clz((uint32_t)pool->table->head->submitters);
}

/* ---- process_guest.c: futures by id ---- */

void many_process_guest_look_(many_process_pool_ *pool, many_process_future_ *future);
void many_process_guest_watch_(many_process_pool_ *pool, many_process_future_ *future, int closing);
void many_process_guest_free_(many_process_pool_ *pool, many_process_future_ *future);

/* Look at all that are watched. */
void many_process_guests_look_(many_process_pool_ *pool);

/* The pools of this process, for many_future_from_id(). */
void many_process_enlist_(many_process_pool_ *pool);
void many_process_delist_(many_process_pool_ *pool);

/* ---- process_news.c ---- */

/* Settle what the news tell of; in the owner, mend a dead supervisor. */
void many_process_collect_(many_process_pool_ *pool);

/* Settle those that nobody holds any more, so that they are freed; calls nothing of the user's. */
void many_process_sweep_(many_process_pool_ *pool);

/* Settle the watched ones that are over; to be called where no more news come. */
void many_process_scan_(many_process_pool_ *pool);

/* From now on the owner's bell rings at the next news. */
void many_process_listen_(many_process_pool_ *pool);

/* The supervisor is dead: mend. 1: it was. Owner only. */
int many_process_tend_(many_process_pool_ *pool);

/* The descriptor of both, made at the first call; the owner's bell alone where there is none to be had. */
int many_process_ears_(many_process_pool_ *pool);

/* The supervisor is about to end, and that is no news. */
void many_process_deafen_(many_process_pool_ *pool);

/* .callback_thread. 0 or -EAGAIN. */
int many_process_call_(many_process_pool_ *pool);
void many_process_call_no_more_(many_process_pool_ *pool);

/* ---- process_submit.c ---- */

int many_process_submit_(many_pool *pool, const many_submit_ *submit, many_future **future);

/* May something be submitted? 0; -ESHUTDOWN, -MANY_EBROKEN with words. batch: it goes on when finished. */
int many_process_open_(const many_process_pool_ *pool, const char *function, int batch);

/* A block of count bytes with a copy of bytes (NULL: zeroed) for key; under table->lock. 0: no memory. */
uint64_t many_process_block_(many_process_pool_ *pool, const void *bytes, size_t count,
                             uint64_t key);

/* Make it READY, and if the pool was broken or cut meanwhile, over. Unlocks table->lock. */
void many_process_publish_(many_process_pool_ *pool, many_process_future_ *future, int level,
                           uint64_t flags);

/* The cold part: limits, retries, name; flags of the ticket that go with it. 0 or -ENOMEM; under table->lock. */
int many_process_cold_(many_process_pool_ *pool, uint64_t key, const many_submit_ *submit);

/* ---- process_batch.c ---- */

int many_process_batch_open_(many_pool *pool, const many_batch_plan_ *plan, many_batch_ **batch);

/* The blocks of a batch whose future is dropped after it; under table->lock. */
void many_process_batch_free_(many_process_pool_ *pool, many_ticket_ *ticket, uint64_t key);

#endif
