/* SPDX-License-Identifier: MIT */
/*
 * process_pool.c - a pool of processes: opened, joined, ended; and as the tasks of a worker see it
 *
 * Promise    A join returns when no ticket of any submitter is READY or claimed, and no callback is to be called.
 * Join       looks at all tickets and waits for the first that is not over, again and again, until a whole round
 *            found none while nothing was submitted: a task that is submitted by one that was seen over was
 *            submitted before that was over, and shows in submits of its submitter.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/self.h"
#include "pool/process_pool.h"
#include "sync/wait.h"

static many_process_pool_ *pool_of(many_pool *pool)
{
    return (many_process_pool_ *)pool;
}

/* ---- made and freed ---- */

static many_process_pool_ *pool_new(const many_pool *begun, uint32_t capacity)
{
    many_process_pool_ *pool = calloc(1, sizeof *pool);
    const uint32_t chunks = (capacity + MANY_PROCESS_CHUNK_ - 1) / MANY_PROCESS_CHUNK_;

    if (pool == NULL)
        return NULL;
    pool->base = *begun;
    pool->chunks = chunks;
    pool->chunk = calloc(chunks, sizeof pool->chunk[0]);
    pool->ears = -1;
    pthread_mutex_init(&pool->tending, NULL);
    pthread_mutex_init(&pool->listener, NULL);
    pthread_mutex_init(&pool->ending, NULL);
    if (pool->chunk != NULL)
        return pool;
    free(pool);
    return NULL;
}

static void pool_delete(many_process_pool_ *pool)
{
    for (uint32_t k = 0; k < pool->chunks; k++)
        free(atomic_load_explicit(&pool->chunk[k], memory_order_relaxed));
    free((void *)pool->chunk);
    pthread_mutex_destroy(&pool->tending);
    pthread_mutex_destroy(&pool->listener);
    pthread_mutex_destroy(&pool->ending);
    free(pool);
}

static int process_pool_open(many_pool **made, const many_pool *begun)
{
    many_table_ *table;
    many_process_pool_ *pool;
    int code = many_table_open_(&table, begun);

    *made = NULL;
    if (code < 0)
        return code;
    pool = pool_new(begun, table->region[0].capacity);
    if (pool == NULL) {
        many_table_close_(table);
        return many_fail(-ENOMEM, "many_pool_open: no memory for the pool");
    }
    pool->table = table;
    pool->base.roster = table->roster;
    table->pool = &pool->base;
    code = many_supervision_open_(&pool->supervision, table, &begun->option);
    if (code < 0) {
        many_table_close_(table);
        pool_delete(pool);
        return code;
    }
    if (begun->option.callback_thread && (code = many_process_call_(pool)) < 0) {
        many_supervision_stop_(&pool->supervision, 1);
        many_supervision_close_(&pool->supervision);
        many_table_close_(table);
        pool_delete(pool);
        return many_fail(code, "many_pool_open: no thread for the callbacks to be had");
    }
    many_process_enlist_(pool);
    *made = &pool->base;
    return 0;
}

static void process_pool_free(many_pool *base)
{
    many_process_pool_ *pool = pool_of(base);

    many_process_delist_(pool);
    if (!pool->worker)
        many_supervision_close_(&pool->supervision);
    if (pool->ears >= 0)
        close(pool->ears);
    many_table_close_(pool->table);
    pthread_mutex_destroy(&pool->base.lock);
    pool_delete(pool);
}

/*
 * In a forked child: what the kernel gave it a copy of is given back. Locks may be held by threads that are not
 * here, and futures of this pool are still asked who they belong to: both stay where they are.
 */
static void process_pool_forget(many_pool *base)
{
    many_process_pool_ *pool = pool_of(base);

    if (!pool->worker)
        many_supervision_forget_(&pool->supervision);
    if (pool->ears >= 0)
        close(pool->ears);
    many_table_close_(pool->table);
    pool->table = NULL;
}

/* ---- in a worker ---- */

/* What the last process of this submitter had submitted, and is still under way: nobody holds it. */
static void pool_adopt(many_process_pool_ *pool)
{
    many_table_ *table = pool->table;
    const many_region_ *region = &table->region[table->submitter];
    const uint32_t fresh = atomic_load_explicit(&region->fresh, memory_order_relaxed);

    for (uint32_t index = 0; index < fresh; index++) {
        const uint64_t slot = many_key_(table->submitter, index, 0);
        many_ticket_ *ticket = many_table_ticket_(table, slot);
        const uint64_t claim = atomic_load_explicit(&ticket->claim, memory_order_acquire);
        const uint64_t key = many_key_(table->submitter, index, many_claim_generation_(claim));
        many_process_future_ *future;

        if (many_claim_phase_(claim) == MANY_TICKET_FREE_)
            continue;
        pthread_mutex_lock(&table->lock);
        future = many_process_future_begin_(pool, key,
                                            (ticket->flags & MANY_TICKET_BATCH_) != 0
                                                ? MANY_PROCESS_BATCH_ | MANY_PROCESS_ORPHAN_
                                                : 0);
        /* It may have been killed before it stood in a lane; twice in one does no harm. */
        if (many_claim_phase_(claim) == MANY_TICKET_READY_)
            (void)many_requeue_(table, key);
        pthread_mutex_unlock(&table->lock);
        if (future != NULL)
            many_future_close(&future->base);
    }
}

/* Was the last submission of our predecessor made, and is it not counted yet? */
static void pool_adopt_count(const many_table_ *table)
{
    many_region_ *region = &table->region[table->submitter];
    _Atomic uint64_t *count = many_roster_submitted_(table->roster, table->worker);
    const uint64_t last = atomic_load_explicit(&region->last, memory_order_relaxed);
    uint64_t claim;

    if (last == 0 || atomic_load_explicit(count, memory_order_relaxed) ==
                         atomic_load_explicit(&region->submits, memory_order_relaxed))
        return;
    /* Nobody but a submitter frees its tickets: what was published is there. */
    claim = atomic_load_explicit(&many_table_ticket_(table, last)->claim, memory_order_acquire);
    if (many_key_is_(last, claim) && many_claim_phase_(claim) != MANY_TICKET_FREE_)
        atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    else
        atomic_store_explicit(&region->submits, atomic_load_explicit(count, memory_order_relaxed),
                              memory_order_relaxed);
}

int many_process_pool_enter_(many_table_ *table, many_pool **made)
{
    many_pool begun;
    many_process_pool_ *pool;

    *made = NULL;
    memset(&begun, 0, sizeof begun);
    begun.process = many_self_process_();
    begun.backend = &many_process_backend_;
    begun.kind = MANY_PROCESSES;
    begun.workers = table->head->workers;
    memcpy(begun.name, table->roster->name, sizeof begun.name - 1);
    begun.option.size = sizeof begun.option;
    begun.option.kind = MANY_PROCESSES;
    begun.option.method = table->head->method;
    begun.option.item_limit_bytes = table->head->limit_bytes;
    begun.limit_ns = table->head->limit_ns;
    begun.roster = table->roster;
    atomic_init(&begun.references, 1);
    pthread_mutex_init(&begun.lock, NULL);
    pool = pool_new(&begun, table->region[table->submitter].capacity);
    if (pool == NULL)
        return -ENOMEM;
    pool->table = table;
    pool->worker = 1;
    table->pool = &pool->base;
    pool_adopt_count(table);
    pool_adopt(pool);
    many_process_enlist_(pool);
    *made = &pool->base;
    return 0;
}

static int process_pool_inside(const many_pool *base)
{
    const many_process_pool_ *pool = (const many_process_pool_ *)base;

    return (pool->worker && pool->table->run != NULL) || many_process_settling_(pool);
}

static int process_pool_reply(many_pool *base, const void *bytes, size_t count)
{
    many_process_pool_ *pool = pool_of(base);
    many_task_run_ *run = pool->table->run;
    uint64_t block = 0;

    if (run == NULL || !run->replies)
        return many_fail(-EINVAL, run == NULL ? "many_reply: this is no task of a pool"
                                              : "many_reply: the task has .result_bytes");
    if (count > 0) {
        pthread_mutex_lock(&pool->table->lock);
        block = many_process_block_(pool, bytes, count, run->key);
        pthread_mutex_unlock(&pool->table->lock);
        if (block == 0)
            return many_fail(-ENOMEM, "many_reply: no shared memory for %zu bytes", count);
    }
    many_arena_give_(pool->table, run->reply);
    run->reply = block;
    run->reply_bytes = count;
    return 0;
}

/* ---- waited for ---- */

static uint64_t pool_submits(const many_table_ *table)
{
    uint64_t submits = 0;

    for (int s = 0; s < table->head->submitters; s++)
        submits += atomic_load_explicit(&table->region[s].submits, memory_order_acquire);
    return submits;
}

/* The first ticket from *s, *index on that is not over; 0: none. */
static uint64_t pool_busy(const many_table_ *table, int *s, uint32_t *index)
{
    for (; *s < table->head->submitters; (*s)++, *index = 0) {
        const many_region_ *region = &table->region[*s];
        const uint32_t fresh = atomic_load_explicit(&region->fresh, memory_order_acquire);

        for (; *index < fresh; (*index)++) {
            const uint64_t slot = many_key_(*s, *index, 0);
            const uint64_t claim =
                atomic_load_explicit(&many_table_ticket_(table, slot)->claim, memory_order_acquire);

            if (many_claim_phase_(claim) != MANY_TICKET_FREE_ &&
                many_claim_phase_(claim) != MANY_TICKET_OVER_)
                return many_key_(*s, *index, many_claim_generation_(claim));
        }
    }
    return 0;
}

/* Its callbacks, too: none is being called, and none is to be. */
static int pool_quiet(many_process_pool_ *pool)
{
    many_process_collect_(pool);
    many_process_scan_(pool);
    return atomic_load_explicit(&pool->watched, memory_order_acquire) == 0 &&
           atomic_load_explicit(&pool->settling, memory_order_seq_cst) == 0;
}

/* Another thread is in a callback, or just before it: it will be through when that returns. */
static int pool_settled(many_process_pool_ *pool, many_wait_ *wait, int handlers)
{
    _Atomic uint32_t nobody = 0;
    int code;

    wait->slice_ns = MANY_MILLISECOND_NS;
    while (!pool_quiet(pool)) {
        code = many_wait_slice_(wait, &nobody, 0);
        if (code == -ETIMEDOUT || (code == -EINTR && handlers))
            return code;
        wait->slice_ns = MANY_MILLISECOND_NS;
    }
    return 0;
}

static int process_pool_join(many_pool *base, int64_t deadline_ns, int handlers)
{
    many_process_pool_ *pool = pool_of(base);
    const many_table_ *table = pool->table;
    many_wait_ wait = many_wait_begin_(deadline_ns);
    uint64_t submits, key;
    uint32_t index;
    int s, code, waited;

    many_process_tend_(pool);
    do {
        submits = pool_submits(table);
        waited = 0;
        s = 0;
        index = 0;
        while ((key = pool_busy(table, &s, &index)) != 0) {
            waited = 1;
            code = many_process_sleep_(pool, key, &wait);
            if (code == -ETIMEDOUT || (code == -EINTR && handlers))
                return code;
            many_process_tend_(pool);
            if (code != -EAGAIN)
                wait.slice_ns = MANY_WAIT_FIRST_NS_;
        }
        code = pool_settled(pool, &wait, handlers);
        if (code < 0)
            return code;
    } while (waited || pool_submits(table) != submits);
    return 0;
}

/* ---- ended ---- */

static void process_pool_finish(many_pool *base)
{
    atomic_store_explicit(&base->roster->finished, 1, memory_order_seq_cst);
}

static ssize_t process_pool_cancel_waiting(many_pool *base)
{
    many_process_pool_ *pool = pool_of(base);
    many_table_ *table = pool->table;
    ssize_t count = 0;

    for (int s = 0; s < table->head->submitters; s++) {
        const uint32_t fresh = atomic_load_explicit(&table->region[s].fresh, memory_order_acquire);

        for (uint32_t index = 0; index < fresh; index++) {
            const uint64_t slot = many_key_(s, index, 0);
            const uint64_t claim =
                atomic_load_explicit(&many_table_ticket_(table, slot)->claim, memory_order_acquire);

            if (many_claim_phase_(claim) == MANY_TICKET_READY_)
                count +=
                    many_ticket_cancel_(table, many_key_(s, index, many_claim_generation_(claim)),
                                        MANY_VERDICT_CANCELLED_);
        }
    }
    atomic_fetch_add_explicit(&table->roster->cancelled, (uint64_t)count, memory_order_relaxed);
    atomic_fetch_add_explicit(&pool->cancelled, (uint64_t)count, memory_order_relaxed);
    if (atomic_load_explicit(&table->head->room_wanted, memory_order_seq_cst) != 0) {
        atomic_store_explicit(&table->head->room_wanted, 0, memory_order_seq_cst);
        many_futex_wake_(&table->head->room_wanted, INT_MAX);
    }
    many_process_collect_(pool);
    return count;
}

/* No process is left after it, and every ticket is over. */
static void pool_stop(many_process_pool_ *pool, int cut)
{
    pthread_mutex_lock(&pool->ending);
    if (!pool->stopped) {
        many_process_deafen_(pool);
        many_supervision_stop_(&pool->supervision, cut);
        pool->stopped = 1;
    }
    pthread_mutex_unlock(&pool->ending);
    many_process_collect_(pool);
    many_process_scan_(pool);
}

static void process_pool_terminate(many_pool *base)
{
    many_process_pool_ *pool = pool_of(base);

    process_pool_finish(base);
    if (pool->worker)
        return; /* a task cannot end the pool that it is in: it would end before that */
    pool_stop(pool, 1);
}

static void process_pool_stop(many_pool *base)
{
    many_process_pool_ *pool = pool_of(base);
    uint32_t index = 0;
    int s = 0;

    process_pool_finish(base);
    pool_stop(pool, pool_busy(pool->table, &s, &index) != 0);
    many_process_call_no_more_(pool);
    atomic_store_explicit(&base->roster->closed, 1, memory_order_release);
}

const many_backend_ many_process_backend_ = {
    .open = process_pool_open,
    .submit = many_process_submit_,
    .finish = process_pool_finish,
    .join = process_pool_join,
    .cancel_waiting = process_pool_cancel_waiting,
    .terminate = process_pool_terminate,
    .stop = process_pool_stop,
    .free = process_pool_free,
    .forget = process_pool_forget,
    .inside = process_pool_inside,
    .reply = process_pool_reply,
    .batch_open = many_process_batch_open_,
};
