/* SPDX-License-Identifier: MIT */
/*
 * thread_pool.c - a pool of threads: opened, joined, terminated, stopped
 *
 * Promise    What was submitted is settled, whatever happens to the pool. After a stop no thread of it is left;
 *            its memory stays for the futures that are not closed, and goes with the last of them.
 * Fork       A forked child is refused by the public calls; many_pool_close() in it gives back the roster.
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/memory.h"
#include "pool/thread_pool.h"

/* So many tasks go from a list to a place at a time, where so many may wait that nobody can tell. */
#define THREAD_POOL_MOVED         32
#define THREAD_POOL_MOVED_FROM    1024
/* A joiner looks again after so long, though it will be told. */
#define THREAD_POOL_JOIN_SLICE_NS (100 * MANY_MILLISECOND_NS)

static many_thread_pool_ *thread_pool_of(many_pool *pool)
{
    return (many_thread_pool_ *)(void *)pool;
}

/* ---- opening ---- */

static void thread_pool_free(many_pool *base)
{
    many_thread_pool_ *pool = thread_pool_of(base);

    many_thread_free_tasks_(pool);
    many_thread_free_lists_(pool);
    for (int w = 0; w < base->workers && pool->places != NULL; w++)
        many_deque_free_(&pool->places[w].deque);
    if (base->roster != NULL)
        many_memory_unmap_(base->roster, pool->roster_bytes);
    if (pool->fd >= 0)
        close(pool->fd);
    if (base->option.initializer_bytes != 0)
        free(pool->initializer_argument);
    free(pool->places);
    free(pool->workers);
    pthread_cond_destroy(&pool->started_one);
    pthread_mutex_destroy(&pool->rest_lock);
    pthread_mutex_destroy(&base->lock);
    free(pool);
}

static int thread_pool_open_roster(many_thread_pool_ *pool)
{
    const size_t page = many_memory_page_();
    const size_t bytes = (many_roster_bytes_(pool->pool.workers) + page - 1) / page * page;
    void *memory = NULL;
    int code;

    pool->fd = many_memory_file_open_(MANY_ROSTER_FILE_, bytes);
    if (pool->fd < 0) {
        code = pool->fd;
        pool->fd = -1;
        return code;
    }
    /* Memory is made sure of, so that a write is never a SIGBUS. */
    code = many_memory_file_grow_(pool->fd, 0, bytes);
    if (code == 0)
        code = many_memory_file_map_(&memory, pool->fd, bytes);
    if (code < 0)
        return code == -ENOSPC ? -ENOMEM : code;
    pool->roster_bytes = bytes;
    pool->pool.roster = memory;
    many_roster_begin_(memory, MANY_THREADS, pool->pool.workers, pool->pool.name);
    return 0;
}

static int thread_pool_open_places(many_thread_pool_ *pool)
{
    const size_t workers = (size_t)pool->pool.workers;
    void *places = NULL, *threads = NULL;

    if (posix_memalign(&places, MANY_CACHE_LINE, workers * sizeof *pool->places) == 0)
        pool->places = places;
    if (posix_memalign(&threads, MANY_CACHE_LINE, workers * sizeof *pool->workers) == 0)
        pool->workers = threads;
    if (pool->places == NULL || pool->workers == NULL)
        return -ENOMEM;
    memset(pool->places, 0, workers * sizeof *pool->places);
    memset(pool->workers, 0, workers * sizeof *pool->workers);
    for (int w = 0; w < pool->pool.workers; w++) {
        pool->places[w].pool = pool;
        pool->places[w].index = w;
        pool->places[w].id = w;
        pool->places[w].line = &pool->pool.roster->place[w];
        pool->places[w].submitted = many_roster_submitted_(pool->pool.roster, w);
        pool->workers[w].pool = pool;
        pool->workers[w].index = w;
    }
    atomic_store_explicit(&pool->rest, (uint32_t)workers << 16, memory_order_relaxed);
    return 0;
}

static int thread_pool_open_initializer(many_thread_pool_ *pool)
{
    const many_pool_options *option = &pool->pool.option;

    pool->initializer_argument = option->initializer_argument;
    if (option->initializer_bytes == 0)
        return 0;
    pool->initializer_argument = malloc(option->initializer_bytes);
    if (pool->initializer_argument == NULL)
        return -ENOMEM;
    memcpy(pool->initializer_argument, option->initializer_argument, option->initializer_bytes);
    return 0;
}

static int thread_pool_open(many_pool **opened, const many_pool *begun)
{
    many_thread_pool_ *pool = NULL;
    int code;

    if (posix_memalign((void **)&pool, MANY_CACHE_LINE, sizeof *pool) != 0)
        return many_fail(-ENOMEM, "many_pool_open: no memory for '%s'", begun->name);
    memset(pool, 0, sizeof *pool);
    pool->pool = *begun;
    pool->fd = -1;
    pool->cpus = many_usable_cpus();
    pool->searchers = pool->cpus > 3 ? pool->cpus / 2 : 1;
    pool->waiting_most = begun->option.waiting_most;
    pool->moved_most = pool->waiting_most >= THREAD_POOL_MOVED_FROM ? THREAD_POOL_MOVED : 1;
    pool->guests = begun->option.initializer == NULL && begun->option.tasks_per_worker == 0;
    for (int level = 0; level < MANY_PRIORITIES_; level++)
        atomic_store_explicit(&pool->list[level].first, UINT64_MAX, memory_order_relaxed);
    pthread_mutex_init(&pool->rest_lock, NULL);
    pthread_cond_init(&pool->started_one, NULL);
    code = thread_pool_open_initializer(pool);
    if (code < 0)
        pool->pool.option.initializer_bytes = 0; /* nothing to free */
    else if ((code = thread_pool_open_roster(pool)) == 0)
        code = thread_pool_open_places(pool);
    if (code < 0) {
        thread_pool_free(&pool->pool);
        return many_fail(code, "many_pool_open: '%s' with %d workers could not be made: %s",
                         begun->name, begun->workers, many_strerror(code));
    }
    *opened = &pool->pool;
    return 0;
}

/* ---- ending ---- */

static void thread_pool_finish(many_pool *base)
{
    many_thread_pool_ *pool = thread_pool_of(base);

    /* By the latch, so that no outsider's task comes into the lists after it. */
    many_latch_take_(&pool->latch);
    atomic_store_explicit(&pool->finished, 1, memory_order_seq_cst);
    atomic_store_explicit(&base->roster->finished, 1, memory_order_relaxed);
    many_latch_give_(&pool->latch);
    many_thread_make_room_(pool);
}

static int thread_pool_join(many_pool *base, int64_t deadline_ns, int handlers)
{
    many_thread_pool_ *pool = thread_pool_of(base);
    int code = 0;

    if (many_thread_quiet_(pool))
        return 0;
    atomic_fetch_add_explicit(&pool->joiners, 1, memory_order_seq_cst);
    for (;;) {
        const uint32_t seen = atomic_load_explicit(&pool->joined, memory_order_acquire);
        int64_t until_ns;

        if (many_thread_quiet_(pool)) {
            code = 0;
            break;
        }
        if (code == -ETIMEDOUT || (code == -EINTR && handlers))
            break;
        until_ns = many_clock_ns_() + THREAD_POOL_JOIN_SLICE_NS;
        code =
            many_futex_wait_(&pool->joined, seen, until_ns < deadline_ns ? until_ns : deadline_ns);
        if (code == -ETIMEDOUT && many_clock_ns_() < deadline_ns)
            code = 0;
    }
    atomic_fetch_sub_explicit(&pool->joiners, 1, memory_order_seq_cst);
    return code;
}

static ssize_t thread_pool_cancel_waiting(many_pool *base)
{
    return (ssize_t)many_thread_sweep_(thread_pool_of(base), -ECANCELED, "");
}

static void thread_pool_terminate(many_pool *base)
{
    many_thread_pool_ *pool = thread_pool_of(base);

    atomic_fetch_or_explicit(&pool->attention, MANY_ATTENTION_STOP_, memory_order_seq_cst);
    atomic_store_explicit(&pool->refuses, 1, memory_order_seq_cst);
    thread_pool_finish(base);
    many_thread_sweep_(pool, -ECANCELED, "");
}

static void thread_pool_stop(many_pool *base)
{
    many_thread_pool_ *pool = thread_pool_of(base);

    if (!many_thread_quiet_(pool))
        thread_pool_terminate(base);
    pthread_mutex_lock(&pool->rest_lock);
    atomic_store_explicit(&pool->leaving, 1, memory_order_seq_cst);
    pthread_mutex_unlock(&pool->rest_lock);
    many_thread_wake_all_(pool);
    many_thread_join_all_(pool);
    for (int w = 0; w < base->workers; w++)
        while (atomic_load_explicit(&pool->places[w].holder, memory_order_acquire) !=
               MANY_PLACE_FREE_)
            many_futex_wait_(&pool->joined, atomic_load(&pool->joined),
                             many_clock_ns_() + MANY_MILLISECOND_NS); /* an outsider helps */

    many_latch_take_(&pool->latch);
    many_thread_close_tasks_(pool);
    many_latch_give_(&pool->latch);
    atomic_store_explicit(&base->roster->closed, 1, memory_order_release);
    close(pool->fd);
    pool->fd = -1;
}

static void thread_pool_forget(many_pool *base)
{
    many_thread_pool_ *pool = thread_pool_of(base);

    /* What another thread of the parent had in its hands at the fork stays as it is. */
    if (pool->fd >= 0)
        close(pool->fd);
    if (base->roster != NULL)
        many_memory_unmap_(base->roster, pool->roster_bytes);
}

/* ---- inside ---- */

static int thread_pool_inside(const many_pool *base)
{
    return many_thread_at_((const many_thread_pool_ *)(const void *)base) != NULL;
}

static int thread_pool_reply(many_pool *base, const void *bytes, size_t count)
{
    many_thread_place_ *place = many_thread_at_(thread_pool_of(base));
    many_thread_task_ *task = place != NULL ? place->running : NULL;
    void *room;

    if (task == NULL)
        return many_fail(-EINVAL, "many_reply: this is no task of a pool");
    if (task->fn == NULL)
        return many_thread_batch_reply_(task, bytes, count);
    if ((task->flags & MANY_THREAD_FIXED_) != 0)
        return many_fail(-EINVAL, "many_reply: the task has .result_bytes");
    room = task->result;
    if (count > MANY_THREAD_INLINE_ && (room = malloc(count)) == NULL)
        return many_fail(-ENOMEM, "many_reply: no memory for %zu bytes", count);
    if (count > 0)
        memmove(room, bytes, count);
    many_thread_forget_reply_(task);
    if (room != task->result)
        task->flags |= MANY_THREAD_OWN_RESULT_;
    task->head.result = room;
    task->head.result_bytes = count;
    return 0;
}

const many_backend_ many_thread_backend_ = {
    .open = thread_pool_open,
    .submit = many_thread_submit_,
    .finish = thread_pool_finish,
    .join = thread_pool_join,
    .cancel_waiting = thread_pool_cancel_waiting,
    .terminate = thread_pool_terminate,
    .stop = thread_pool_stop,
    .free = thread_pool_free,
    .forget = thread_pool_forget,
    .inside = thread_pool_inside,
    .reply = thread_pool_reply,
    .batch_open = many_thread_batch_open_,
};
