/* SPDX-License-Identifier: MIT */
/*
 * fake_batch.h - a pool that is nothing but batches, for tests of what stands on them (maps, iterators)
 *
 *   fake_pool *fake = fake_pool_open(2, MANY_THREADS);
 *   fake->submit_fails = -ENOMEM;                       // what a real pool does not do when it is asked to
 *   many_pool_map(&fake->pool, ...);
 *   fake_pool_close(fake);
 *
 * Its workers are threads of this process, whatever kind it says; with MANY_PROCESSES items and results are
 * copied as processes copy them. No limits, no circles.
 */
#ifndef MANY_TESTS_POOL_FAKE_BATCH_H
#define MANY_TESTS_POOL_FAKE_BATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "os/clock.h"
#include "os/self.h"
#include "pool/batch.h"
#include "task/cause.h"
#include "task/seat.h"
#include "test.h"

#define FAKE_WORKERS 8

typedef struct fake_batch fake_batch;

typedef struct fake_pool {
    many_pool pool;
    pthread_t thread[FAKE_WORKERS];
    pthread_mutex_t lock;
    pthread_cond_t work;
    fake_batch *first, **last;
    int leave;
    _Atomic int open_fails,
        submit_fails;         /* a code: from now on they fail with it; 0: they do not */
    _Atomic int submits_left; /* so many succeed before that; -1: all */
    _Atomic int busy,
        busy_most;        /* batches that are not over; so many at most, else -ENOMEM; 0: any */
    _Atomic int held;     /* 1: workers begin nothing */
    _Atomic int spent_ns; /* what an item is said to have taken; 0: the truth */
    _Atomic int batches, submits; /* open now; ever */
    _Atomic size_t largest;       /* items in a batch */
} fake_pool;

struct fake_batch {
    many_batch_ batch;
    many_future future;
    const many_batch_plan_ *plan;
    fake_batch *next;
    char *items, *results;
    void **reply;
    size_t *reply_bytes;
    int32_t *codes;
    char (*words)[96];
    _Atomic uint32_t attention; /* MANY_ATTENTION_STOP_: hard */
    _Atomic int cancelled;
    size_t running; /* item */
    int64_t spent_ns;
};

static inline fake_batch *fake_batch_of(const many_batch_ *batch)
{
    return (fake_batch *)(uintptr_t)batch;
}

static inline int fake_copies(const fake_batch *fake)
{
    return fake->batch.pool->kind == MANY_PROCESSES;
}

static inline const void *fake_item(const fake_batch *fake, size_t i, const void **zip)
{
    const many_batch_plan_ *plan = fake->plan;

    for (size_t k = 0; k < plan->inputs_count; k++)
        zip[k] = (const char *)plan->inputs[k].items +
                 (fake->batch.first + i) * plan->inputs[k].item_bytes;
    if (plan->inputs_count > 0)
        return zip;
    if (plan->item_bytes == 0)
        return NULL;
    if (plan->in != NULL && !fake_copies(fake))
        return plan->in + (fake->batch.first + i) * plan->item_bytes;
    return fake->items + i * plan->item_bytes;
}

static inline char *fake_result(const fake_batch *fake, size_t i)
{
    const many_batch_plan_ *plan = fake->plan;

    if (plan->result_bytes == 0)
        return NULL;
    if (plan->out != NULL && !fake_copies(fake))
        return plan->out + (fake->batch.first + i) * plan->result_bytes;
    return fake->results + i * plan->result_bytes;
}

static _Thread_local fake_batch *fake_running;

/* Item i, on worker w. */
static inline void fake_run_item(fake_batch *fake, size_t i, int w)
{
    const many_batch_plan_ *plan = fake->plan;
    _Atomic uint64_t state = many_state_(0, 0, MANY_RUNNING_);
    many_seat_ seat = {.state = &state,
                       .attention = &fake->attention,
                       .first = fake->batch.first + i,
                       .worker = w};
    many_pool *outer = many_pool_inside_();
    const void *zip[64];
    int code = 1;

    fake->running = i;
    many_seat_take_(&seat);
    many_pool_enter_(fake->batch.pool);
    for (int try = 0; code != 0 && try <= plan->retries; try++) {
        many_error_expire_();
        code = plan->fn(fake_item(fake, i, zip), fake_result(fake, i), plan->context);
        if (code != 0)
            snprintf(fake->words[i], sizeof fake->words[i], "%s", many_error_words_(code));
    }
    many_pool_enter_(outer);
    many_seat_leave_(&seat);
    if ((atomic_load(&fake->attention) & MANY_ATTENTION_STOP_) != 0)
        code = -ECANCELED;
    fake->codes[i] = code;
}

static inline void fake_run(fake_pool *pool, fake_batch *fake, int w)
{
    fake_batch *outer = fake_running;
    int64_t begun_ns = many_clock_ns_();
    int stop = 0, said = atomic_load(&pool->spent_ns);

    fake_running = fake;
    for (size_t i = 0; i < fake->batch.count; i++) {
        if (stop || atomic_load(&fake->cancelled)) {
            fake->codes[i] = -ECANCELED;
            fake->words[i][0] = '\1'; /* not begun: not a task's own code */
            continue;
        }
        fake->words[i][0] = '\0';
        fake_run_item(fake, i, w);
        stop = fake->codes[i] != 0 && fake->plan->stop_at_failure;
    }
    fake_running = outer;
    atomic_fetch_sub(&pool->busy, 1);
    fake->spent_ns = said > 0 ? said * (int64_t)fake->batch.count : many_clock_ns_() - begun_ns;
    many_future_settle_(&fake->future, MANY_FUTURE_DONE_);
}

typedef struct fake_place {
    fake_pool *pool;
    int w;
} fake_place;

static inline void *fake_work(void *argument)
{
    fake_place place = *(fake_place *)argument;
    fake_pool *pool = place.pool;

    free(argument);
    pthread_mutex_lock(&pool->lock);
    while (!pool->leave) {
        fake_batch *fake = atomic_load(&pool->held) ? NULL : pool->first;

        if (fake == NULL) {
            pthread_cond_wait(&pool->work, &pool->lock);
            continue;
        }
        pool->first = fake->next;
        if (pool->first == NULL)
            pool->last = &pool->first;
        CHECK(many_future_claim_(&fake->future)); /* under the lock: nobody frees it meanwhile */
        pthread_mutex_unlock(&pool->lock);
        fake_run(pool, fake, place.w);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Let the workers go on, or stop them before the next batch. */
static inline void fake_hold(fake_pool *pool, int held)
{
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->held, held);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

/* ---- a batch ---- */

static inline void *fake_op_item(many_batch_ *batch, size_t i)
{
    fake_batch *fake = fake_batch_of(batch);

    CHECK(i < batch->room);
    return fake->items + i * fake->plan->item_bytes;
}

static inline void fake_drop(many_future *future)
{
    fake_batch *fake = (fake_batch *)(void *)((char *)future - offsetof(fake_batch, future));
    many_pool *pool = fake->batch.pool;

    for (size_t i = 0; i < fake->batch.room; i++)
        free(fake->reply[i]);
    many_future_unwatch_(future);
    atomic_fetch_sub(&((fake_pool *)(void *)pool)->batches, 1);
    free(fake->items);
    free(fake->results);
    free(fake->reply);
    free(fake->reply_bytes);
    free(fake->codes);
    free(fake->words);
    free(fake);
    many_pool_let_go_(pool);
}

/* If it waits in the queue it is ours now: 1. */
static inline int fake_unlink(fake_pool *pool, fake_batch *fake)
{
    int found = 0;

    pthread_mutex_lock(&pool->lock);
    for (fake_batch **at = &pool->first; *at != NULL; at = &(*at)->next)
        if (*at == fake) {
            *at = fake->next;
            if (*at == NULL)
                pool->last = at;
            found = many_future_claim_(&fake->future);
            break;
        }
    pthread_mutex_unlock(&pool->lock);
    return found;
}

static inline int fake_help(many_future *future)
{
    fake_batch *fake = (fake_batch *)(void *)((char *)future - offsetof(fake_batch, future));
    fake_pool *pool = (fake_pool *)(void *)fake->batch.pool;

    if (many_pool_inside_() != fake->batch.pool)
        return 0;
    if (!fake_unlink(pool, fake))
        return 0;
    fake_run(pool, fake, many_worker_index());
    return 1;
}

static const many_future_engine_ fake_engine = {.drop = fake_drop, .help = fake_help};

static inline int fake_op_submit(many_batch_ *batch, uint64_t first, size_t count)
{
    fake_batch *fake = fake_batch_of(batch);
    fake_pool *pool = (fake_pool *)(void *)batch->pool;
    int code = atomic_load(&pool->submit_fails);

    CHECK(count > 0 && count <= batch->room);
    if (code != 0 && atomic_load(&pool->submits_left) == 0)
        return many_fail(code, "the fake pool fails");
    if (atomic_load(&pool->busy_most) > 0 &&
        atomic_load(&pool->busy) >= atomic_load(&pool->busy_most))
        return many_fail(-ENOMEM, "the fake pool has no memory");
    atomic_fetch_add(&pool->busy, 1);
    if (atomic_load(&pool->submits_left) > 0)
        atomic_fetch_sub(&pool->submits_left, 1);
    atomic_fetch_add(&pool->submits, 1);
    if (count > atomic_load(&pool->largest))
        atomic_store(&pool->largest, count);
    if (batch->future != NULL)
        many_future_unwatch_(batch->future);
    many_future_begin_(&fake->future, &fake_engine, batch->pool);
    batch->future = &fake->future;
    batch->first = first;
    batch->count = count;
    atomic_store(&fake->attention, 0);
    atomic_store(&fake->cancelled, 0);
    if (fake_copies(fake) && fake->plan->in != NULL && fake->plan->item_bytes > 0)
        memcpy(fake->items, fake->plan->in + first * fake->plan->item_bytes,
               count * fake->plan->item_bytes);
    for (size_t i = 0; i < batch->room; i++) {
        free(fake->reply[i]);
        fake->reply[i] = NULL;
        fake->reply_bytes[i] = 0;
    }
    pthread_mutex_lock(&pool->lock);
    fake->next = NULL;
    *pool->last = fake;
    pool->last = &fake->next;
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    return 0;
}

static inline void fake_op_outcome(many_batch_ *batch, size_t i, many_batch_outcome_ *outcome)
{
    fake_batch *fake = fake_batch_of(batch);

    *outcome =
        (many_batch_outcome_){fake->codes[i], fake_result(fake, i), fake->plan->result_bytes};
    if (fake->plan->replies) {
        outcome->result = fake->reply[i];
        outcome->result_bytes = fake->reply_bytes[i];
    }
}

static inline void fake_op_cause(many_batch_ *batch, size_t i, many_cause *cause)
{
    fake_batch *fake = fake_batch_of(batch);

    memset(cause, 0, sizeof *cause);
    cause->item = batch->first + i;
    cause->code = fake->codes[i];
    cause->cancelled = cause->code == -ECANCELED &&
                       (fake->words[i][0] == '\1' || atomic_load(&fake->attention) != 0);
    cause->worker = cause->cancelled ? -1 : 0;
    cause->exit_status = -1;
    many_cause_write_(cause, fake->words[i], 0);
}

static inline void fake_op_cancel(many_batch_ *batch, int hard)
{
    fake_batch *fake = fake_batch_of(batch);
    fake_pool *pool = (fake_pool *)(void *)batch->pool;

    atomic_store(&fake->cancelled, 1);
    if (hard)
        atomic_fetch_or(&fake->attention, MANY_ATTENTION_STOP_);
    if (fake_unlink(pool, fake))
        fake_run(pool, fake, -1); /* all of it is cancelled */
}

static inline void fake_op_close(many_batch_ *batch)
{
    fake_batch *fake = fake_batch_of(batch);

    if (batch->future == NULL) {
        many_future_begin_(&fake->future, &fake_engine, batch->pool);
        fake_drop(&fake->future);
        return;
    }
    fake_op_cancel(batch, 0);
    while (many_future_sleep_(batch->future, MANY_NEVER_NS, 0) == -EINTR)
        ;
    many_future_close(batch->future);
}

static inline int64_t fake_op_spent_ns(const many_batch_ *batch)
{
    return fake_batch_of(batch)->spent_ns;
}

static inline size_t fake_op_failed(const many_batch_ *batch)
{
    const fake_batch *fake = fake_batch_of(batch);
    size_t failed = 0;

    for (size_t i = 0; i < batch->count; i++)
        failed += fake->codes[i] != 0;
    return failed;
}

static const many_batch_ops_ fake_ops = {
    .item = fake_op_item,
    .submit = fake_op_submit,
    .outcome = fake_op_outcome,
    .cause = fake_op_cause,
    .cancel = fake_op_cancel,
    .close = fake_op_close,
    .spent_ns = fake_op_spent_ns,
    .failed = fake_op_failed,
};

static inline int fake_batch_open(many_pool *pool, const many_batch_plan_ *plan,
                                  many_batch_ **batch)
{
    fake_pool *owner = (fake_pool *)(void *)pool;
    fake_batch *fake;
    size_t room = plan->room;
    int code = atomic_load(&owner->open_fails);

    if (code != 0)
        return many_fail(code, "the fake pool fails");
    fake = calloc(1, sizeof *fake);
    fake->batch = (many_batch_){&fake_ops, pool, NULL, 0, 0, room};
    fake->plan = plan;
    fake->items = calloc(room, plan->item_bytes + 1);
    fake->results = calloc(room, plan->result_bytes + 1);
    fake->reply = calloc(room, sizeof *fake->reply);
    fake->reply_bytes = calloc(room, sizeof *fake->reply_bytes);
    fake->codes = calloc(room, sizeof *fake->codes);
    fake->words = calloc(room, sizeof *fake->words);
    atomic_fetch_add(&owner->batches, 1);
    many_pool_hold_(pool);
    *batch = &fake->batch;
    return 0;
}

/* ---- the pool ---- */

static inline int fake_reply(many_pool *pool, const void *bytes, size_t count)
{
    fake_batch *fake = fake_running;

    CHECK(fake->batch.pool == pool && fake->plan->replies);
    free(fake->reply[fake->running]);
    fake->reply[fake->running] = malloc(count + 1);
    memcpy(fake->reply[fake->running], bytes, count);
    fake->reply_bytes[fake->running] = count;
    return 0;
}

static inline void fake_free(many_pool *pool)
{
    fake_pool *fake = (fake_pool *)(void *)pool;

    pthread_cond_destroy(&fake->work);
    pthread_mutex_destroy(&fake->lock);
    pthread_mutex_destroy(&pool->lock);
    free(fake);
}

static const many_backend_ fake_backend = {
    .batch_open = fake_batch_open, .free = fake_free, .reply = fake_reply};

static inline fake_pool *fake_pool_open(int workers, int kind)
{
    fake_pool *fake = calloc(1, sizeof *fake);

    fake->pool.process = many_self_process_();
    fake->pool.backend = &fake_backend;
    fake->pool.kind = kind;
    fake->pool.workers = workers;
    atomic_init(&fake->pool.references, 1);
    pthread_mutex_init(&fake->pool.lock, NULL);
    pthread_mutex_init(&fake->lock, NULL);
    pthread_cond_init(&fake->work, NULL);
    fake->last = &fake->first;
    atomic_store(&fake->submits_left, -1);
    for (int w = 0; w < workers; w++) {
        fake_place *place = malloc(sizeof *place);

        *place = (fake_place){fake, w};
        CHECK(pthread_create(&fake->thread[w], NULL, fake_work, place) == 0);
    }
    return fake;
}

/* Every batch was closed, or it fails. */
static inline void fake_pool_close(fake_pool *fake)
{
    pthread_mutex_lock(&fake->lock);
    fake->leave = 1;
    pthread_cond_broadcast(&fake->work);
    pthread_mutex_unlock(&fake->lock);
    for (int w = 0; w < fake->pool.workers; w++)
        CHECK(pthread_join(fake->thread[w], NULL) == 0);
    CHECK_EQUAL(atomic_load(&fake->batches), 0);
    many_pool_let_go_(&fake->pool);
}

#endif
