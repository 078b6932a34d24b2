/* SPDX-License-Identifier: MIT */
/*
 * process_news.c - a submitter hears of the ends of its tickets, and settles their futures
 *
 * Promise    A watched future is settled soon after its ticket is over: by whoever waits for anything of the pool,
 *            by who polls its bell, or by the pool's own thread.
 * Listening  listens is stored before the news are looked at, and read after news were put; both with a sequentially
 *            consistent fence between: either the look finds the news, or who put them rings.
 * Death      A worker that is killed between the end of a ticket and its news: who settles the death sets scan.
 */
#include <poll.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/listen.h"
#include "os/stream.h"
#include "os/thread.h"
#include "pool/process_pool.h"

/* Keys that are taken from the list under one lock. */
#define NEWS_AT_ONCE 64

/* How long the pool's own thread sleeps at most, before it looks after the supervisor. */
#define NEWS_CALLER_MS 50

/* tending is held. */
static void news_hear_supervisor(many_process_pool_ *pool, int hear)
{
    const int fd = pool->ears >= 0 ? many_supervision_descriptor_(&pool->supervision) : -1;

    if (fd >= 0 && hear)
        (void)many_listen_add_(pool->ears, fd); /* who waits looks now and then, in any case */
    else if (fd >= 0)
        many_listen_remove_(pool->ears, fd);
}

int many_process_tend_(many_process_pool_ *pool)
{
    if (pool->worker || many_supervision_look_(&pool->supervision))
        return 0;
    pthread_mutex_lock(&pool->tending);
    /* Its descriptor stays readable, so it leaves the ears before it is closed, and the next one comes in. */
    news_hear_supervisor(pool, 0);
    (void)many_supervision_mend_(
        &pool->supervision); /* what it cannot mend it breaks: the roster says so */
    news_hear_supervisor(pool, !pool->deaf);
    pthread_mutex_unlock(&pool->tending);
    return 1;
}

int many_process_ears_(many_process_pool_ *pool)
{
    int ears;

    pthread_mutex_lock(&pool->tending);
    if (pool->ears < 0) {
        pool->ears = many_listen_open_();
        if (pool->ears >= 0 && many_listen_add_(pool->ears, pool->table->owner_bell) < 0) {
            close(pool->ears);
            pool->ears = -1;
        }
        news_hear_supervisor(pool, !pool->deaf);
    }
    ears = pool->ears >= 0 ? pool->ears : pool->table->owner_bell;
    pthread_mutex_unlock(&pool->tending);
    return ears;
}

void many_process_deafen_(many_process_pool_ *pool)
{
    pthread_mutex_lock(&pool->tending);
    pool->deaf = 1;
    news_hear_supervisor(pool, 0);
    pthread_mutex_unlock(&pool->tending);
}

void many_process_listen_(many_process_pool_ *pool)
{
    atomic_store_explicit(&pool->table->region[0].news.listens, 1, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with news_ring */
}

void many_process_scan_(many_process_pool_ *pool)
{
    many_table_ *table = pool->table;
    uint64_t keys[NEWS_AT_ONCE];
    int count;

    do {
        count = 0;
        pthread_mutex_lock(&table->lock);
        for (uint32_t at = pool->watched_first; at != 0 && count < NEWS_AT_ONCE;) {
            const many_process_future_ *future = many_process_future_at_(pool, at - 1);
            const uint64_t claim = atomic_load_explicit(
                &many_table_ticket_(table, future->key)->claim, memory_order_acquire);

            /* One whose turn is over is being settled by another thread, which takes it out. */
            if (many_claim_phase_(claim) == MANY_TICKET_OVER_ &&
                atomic_load_explicit(&future->turn, memory_order_relaxed) == future->key)
                keys[count++] = future->key;
            at = future->next;
        }
        pthread_mutex_unlock(&table->lock);
        for (int k = 0; k < count; k++)
            many_process_settle_(pool, many_process_future_at_(pool, many_key_index_(keys[k])),
                                 keys[k]);
    } while (count == NEWS_AT_ONCE);
}

/* Settle what the news tell of; quiet: but those that call something of the user's, which wait for a scan. */
static void news_drain(many_process_pool_ *pool, int quiet)
{
    many_table_ *table = pool->table;
    many_news_ *news = &table->region[table->submitter].news;
    uint64_t keys[NEWS_AT_ONCE];
    int count;

    do {
        count = 0;
        pthread_mutex_lock(&table->lock);
        while (count < NEWS_AT_ONCE && (keys[count] = many_news_take_(table)) != 0)
            count++;
        pthread_mutex_unlock(&table->lock);
        for (int k = 0; k < count; k++) {
            many_process_future_ *future = many_process_future_at_(pool, many_key_index_(keys[k]));

            if (future == NULL)
                continue;
            if (quiet && (atomic_load_explicit(&future->base.state, memory_order_acquire) &
                          MANY_FUTURE_WATCHED_) != 0)
                atomic_store_explicit(&news->scan, 1, memory_order_seq_cst);
            else
                many_process_settle_(pool, future, keys[k]);
        }
    } while (count == NEWS_AT_ONCE);
}

void many_process_sweep_(many_process_pool_ *pool)
{
    news_drain(pool, 1);
}

void many_process_collect_(many_process_pool_ *pool)
{
    many_news_ *news = &pool->table->region[pool->table->submitter].news;

    if (!pool->worker) {
        many_bell_silence_(pool->table->owner_bell);
        many_process_listen_(pool);
        many_process_tend_(pool);
    }
    news_drain(pool, 0);
    if (atomic_load_explicit(&news->scan, memory_order_relaxed) != 0 &&
        atomic_exchange_explicit(&news->scan, 0, memory_order_seq_cst) != 0)
        many_process_scan_(pool);
    if (pool->guests != NULL)
        many_process_guests_look_(pool);
}

static void *news_caller(void *argument)
{
    many_process_pool_ *pool = argument;

    while (atomic_load_explicit(&pool->calling, memory_order_acquire)) {
        struct pollfd bell = {pool->table->owner_bell, POLLIN, 0};

        many_process_collect_(pool);
        if (atomic_load_explicit(&pool->calling, memory_order_acquire))
            (void)poll(&bell, 1, NEWS_CALLER_MS);
    }
    return NULL;
}

int many_process_call_(many_process_pool_ *pool)
{
    int code;

    atomic_store_explicit(&pool->calling, 1, memory_order_relaxed);
    code = many_thread_start_(&pool->callbacks, news_caller, pool);
    if (code == 0)
        pool->called = 1;
    else
        atomic_store_explicit(&pool->calling, 0, memory_order_relaxed);
    return code;
}

void many_process_call_no_more_(many_process_pool_ *pool)
{
    if (!pool->called)
        return;
    atomic_store_explicit(&pool->calling, 0, memory_order_release);
    many_bell_ring_(pool->table->owner_bell);
    many_thread_join_(pool->callbacks);
    pool->called = 0;
}
