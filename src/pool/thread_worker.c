/* SPDX-License-Identifier: MIT */
/*
 * thread_worker.c - the threads of a pool: who looks for work, who sleeps, who is woken
 *
 * Promise    What was submitted is begun as soon as a place is free and a thread has woken up; an idle pool
 *            uses no CPU.
 * Invariant  rest counts who searches (low half) and who could be woken (high half: threads asleep, and those
 *            not started yet). Whoever is woken counts as one who searches from the waker's change on. So at
 *            any time: work that nobody has begun, with a free place, means that somebody searches, or that
 *            somebody who submits, leaves a place or has just found work is about to look at rest.
 * Order      Who submits pushes, then looks at rest; who goes to sleep counts itself asleep in rest, then looks
 *            for work once more. For the lists the latch is between the two: either the sleeper finds the
 *            task, or its count was there before the submitter took the latch. For the deques see
 *            many_thread_nudge_(). Who has found work no longer searches, then looks whether there is more, and
 *            wakes the next: the same two steps.
 * Source     The rule that at most one is being woken is that of Go's scheduler, and Tokio's.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/thread.h"
#include "pool/thread_pool.h"

#define THREAD_WORKER_SEARCHES 1U
#define THREAD_WORKER_ASLEEP   0x10000U

/* Look for work for so long after the last that was submitted; to wake a core takes about as long. */
#define THREAD_WORKER_SEARCH_NS   (70 * MANY_MICROSECOND_NS)
/* Pauses (10 to 14 ns) between two looks, at most: each takes the lines from who submits. */
#define THREAD_WORKER_PAUSES      96
/* The same while somebody submits one task after another, and runs each himself. */
#define THREAD_WORKER_PAUSES_MOST 800
/* The first part of a sleep: see many_thread_nudge_(). */
#define THREAD_WORKER_NAP_NS      MANY_MILLISECOND_NS

static uint32_t thread_worker_searchers(uint32_t rest)
{
    return rest & 0xffff;
}

/* ---- places ---- */

many_thread_place_ *many_thread_take_place_(many_thread_pool_ *pool, int near, uint32_t as)
{
    const int workers = pool->pool.workers;

    for (int k = 0; k < workers; k++) {
        const int w = near + k < workers ? near + k : near + k - workers;
        many_thread_place_ *place = &pool->places[w];
        uint32_t seen = MANY_PLACE_FREE_;

        /* Acquire: what its last holder left there. Pairs with the exchange below. */
        if (atomic_load_explicit(&place->holder, memory_order_relaxed) == MANY_PLACE_FREE_ &&
            atomic_compare_exchange_strong_explicit(&place->holder, &seen, as, memory_order_acquire,
                                                    memory_order_relaxed)) {
            int used = atomic_load_explicit(&pool->used, memory_order_relaxed);

            while (used <= w && !atomic_compare_exchange_weak_explicit(&pool->used, &used, w + 1,
                                                                       memory_order_seq_cst,
                                                                       memory_order_relaxed))
                ;
            return place;
        }
    }
    return NULL;
}

void many_thread_leave_place_(many_thread_place_ *place)
{
    many_thread_pool_ *pool = place->pool;
    uint32_t rest, holder;

    /* A read-modify-write, so that what was settled here comes before the look at joiners: see
     * many_thread_quiet_(). */
    MANY_FAULT_POINT("thread.place.leaves");
    holder = atomic_exchange_explicit(&place->holder, MANY_PLACE_FREE_, memory_order_seq_cst);
    if (holder == MANY_PLACE_LENT_)
        atomic_fetch_add_explicit(&pool->rest, THREAD_WORKER_ASLEEP, memory_order_seq_cst);
    if (atomic_load_explicit(&pool->debts, memory_order_seq_cst) != 0)
        many_thread_pay_(pool);
    if (atomic_load_explicit(&pool->joiners, memory_order_seq_cst) != 0)
        many_thread_tell_joiners_(pool);
    /* Somebody may have found work, and no place. */
    rest = atomic_load_explicit(&pool->rest, memory_order_seq_cst);
    if (many_thread_sleeps_(rest) && many_thread_work_(pool, 0))
        many_thread_wake_(pool);
}

static int thread_worker_has_free_place(const many_thread_pool_ *pool)
{
    for (int w = 0; w < pool->pool.workers; w++)
        if (atomic_load_explicit(&pool->places[w].holder, memory_order_seq_cst) == MANY_PLACE_FREE_)
            return 1;
    return 0;
}

int many_thread_work_(many_thread_pool_ *pool, int exactly)
{
    int found, used;

    if (exactly)
        many_latch_take_(&pool->latch);
    found = atomic_load_explicit(&pool->levels, memory_order_relaxed) != 0;
    if (exactly)
        many_latch_give_(&pool->latch);
    used = atomic_load_explicit(&pool->used, memory_order_seq_cst);
    for (int w = 0; w < used && !found; w++)
        found = many_deque_any_(&pool->places[w].deque);
    MANY_FAULT_POINT("thread.work.looked");
    return found && thread_worker_has_free_place(pool);
}

/* ---- joining ---- */

/*
 * All that was settled is counted before all that was submitted: both only grow, and nothing is settled that was
 * not submitted, so if they are equal they were so at the moment between.
 * A joiner counts itself in joiners, and looks then; who settles counts, changes a word with sequential
 * consistency (the holder of its place, or the latch by which the count is written), and looks at joiners.
 * If that look came too early to see the joiner, the joiner's look at that word comes later, and sees the
 * count.
 */
int many_thread_quiet_(many_thread_pool_ *pool)
{
    const int workers = atomic_load_explicit(&pool->used, memory_order_seq_cst);
    uint64_t settled, submitted = 0;

    many_latch_take_(&pool->latch);
    settled = atomic_load_explicit(&pool->settled, memory_order_acquire);
    many_latch_give_(&pool->latch);
    for (int w = 0; w < workers; w++) {
        (void)atomic_load_explicit(&pool->places[w].holder, memory_order_seq_cst);
        settled += atomic_load_explicit(&pool->places[w].settled, memory_order_acquire);
    }
    for (int w = 0; w < workers; w++)
        submitted += atomic_load_explicit(pool->places[w].submitted, memory_order_acquire);
    submitted += atomic_load_explicit(&pool->pool.roster->submitted, memory_order_acquire);
    return settled == submitted;
}

void many_thread_tell_joiners_(many_thread_pool_ *pool)
{
    if (!many_thread_quiet_(pool))
        return;
    atomic_fetch_add_explicit(&pool->joined, 1, memory_order_release);
    many_futex_wake_(&pool->joined, INT_MAX);
}

/* ---- starting and waking ---- */

static void *thread_worker_body(void *argument);

/* Start the thread of a worker that counts as one who searches. 0 or a code. */
static MANY_SELDOM_ int thread_worker_start(many_thread_worker_ *worker)
{
    many_thread_pool_ *pool = worker->pool;
    pthread_t thread;
    int code;

    code = many_thread_start_(&thread, thread_worker_body, worker);
    pthread_mutex_lock(&pool->rest_lock);
    if (code < 0) {
        worker->phase = MANY_WORKER_NONE_;
        pool->started--;
        atomic_fetch_add_explicit(&pool->rest, THREAD_WORKER_ASLEEP - THREAD_WORKER_SEARCHES,
                                  memory_order_seq_cst);
        code = pool->started > 0 ? 0 : code; /* those who are there will do it */
    } else {
        worker->thread = thread;
        worker->joinable = 1;
    }
    pthread_cond_broadcast(&pool->started_one);
    pthread_mutex_unlock(&pool->rest_lock);
    return code;
}

MANY_SELDOM_ int many_thread_wake_(many_thread_pool_ *pool)
{
    many_thread_worker_ *worker = NULL;
    uint32_t rest;
    int fresh = 0;

    pthread_mutex_lock(&pool->rest_lock);
    rest = atomic_load_explicit(&pool->rest, memory_order_relaxed);
    if (many_thread_sleeps_(rest) &&
        atomic_load_explicit(&pool->leaving, memory_order_relaxed) == 0) {
        worker = pool->asleep;
        if (worker != NULL) {
            pool->asleep = worker->next_asleep;
        } else {
            for (int w = 0; w < pool->pool.workers && worker == NULL; w++)
                if (pool->workers[w].phase == MANY_WORKER_NONE_)
                    worker = &pool->workers[w];
            fresh = 1;
        }
    }
    if (worker != NULL) {
        worker->phase = MANY_WORKER_BUSY_;
        pool->started += fresh;
        atomic_fetch_add_explicit(&pool->rest, THREAD_WORKER_SEARCHES - THREAD_WORKER_ASLEEP,
                                  memory_order_seq_cst);
        /* Under the lock: it may have seen by itself that there is work, and lie down again before we are back;
         * a count that comes then would get it up while it is in the list. */
        atomic_fetch_add_explicit(&worker->wake, 1, memory_order_release);
    }
    pthread_mutex_unlock(&pool->rest_lock);
    if (worker == NULL)
        return 0;
    MANY_FAULT_POINT("thread.wake.chosen");
    if (fresh)
        return thread_worker_start(worker);
    many_futex_wake_(&worker->wake, 1);
    return 0;
}

/*
 * As long as outsiders have places, so many workers find none: they are not to be woken at each push, so who comes
 * upon that takes them out of the count of those who could be. Who leaves the place counts them in again.
 */
MANY_SELDOM_ void many_thread_wake_for_(many_thread_place_ *place)
{
    many_thread_pool_ *pool = place->pool;

    if (thread_worker_has_free_place(pool)) {
        (void)many_thread_wake_(pool);
        return;
    }
    for (int w = 0; w < pool->pool.workers; w++) {
        uint32_t seen = MANY_PLACE_GUEST_;

        if (atomic_load_explicit(&pool->places[w].holder, memory_order_relaxed) == seen &&
            atomic_compare_exchange_strong_explicit(&pool->places[w].holder, &seen,
                                                    MANY_PLACE_LENT_, memory_order_seq_cst,
                                                    memory_order_relaxed))
            atomic_fetch_sub_explicit(&pool->rest, THREAD_WORKER_ASLEEP, memory_order_seq_cst);
    }
}

void many_thread_wake_all_(many_thread_pool_ *pool)
{
    pthread_mutex_lock(&pool->rest_lock);
    while (pool->asleep != NULL) {
        many_thread_worker_ *worker = pool->asleep;

        pool->asleep = worker->next_asleep;
        worker->phase = MANY_WORKER_BUSY_;
        atomic_fetch_add_explicit(&pool->rest, THREAD_WORKER_SEARCHES - THREAD_WORKER_ASLEEP,
                                  memory_order_seq_cst);
        atomic_fetch_add_explicit(&worker->wake, 1, memory_order_release);
        many_futex_wake_(&worker->wake, 1);
    }
    pthread_mutex_unlock(&pool->rest_lock);
}

/* ---- a worker ---- */

/* Count oneself among those who can be woken. 0: it is time to go. */
static int thread_worker_lie_down(many_thread_worker_ *worker)
{
    many_thread_pool_ *pool = worker->pool;
    int stays;

    pthread_mutex_lock(&pool->rest_lock);
    stays = atomic_load_explicit(&pool->leaving, memory_order_relaxed) == 0;
    if (stays) {
        worker->phase = MANY_WORKER_ASLEEP_;
        worker->next_asleep = pool->asleep;
        pool->asleep = worker;
        atomic_fetch_add_explicit(&pool->rest, THREAD_WORKER_ASLEEP - THREAD_WORKER_SEARCHES,
                                  memory_order_seq_cst);
    } else {
        atomic_fetch_sub_explicit(&pool->rest, THREAD_WORKER_SEARCHES, memory_order_seq_cst);
    }
    pthread_mutex_unlock(&pool->rest_lock);
    return stays;
}

/* There is work after all; unless somebody has woken this one already. */
static void thread_worker_get_up(many_thread_worker_ *worker)
{
    many_thread_pool_ *pool = worker->pool;
    many_thread_worker_ **link = &pool->asleep;

    pthread_mutex_lock(&pool->rest_lock);
    if (worker->phase == MANY_WORKER_ASLEEP_) {
        while (*link != worker)
            link = &(*link)->next_asleep;
        *link = worker->next_asleep;
        worker->phase = MANY_WORKER_BUSY_;
        atomic_fetch_add_explicit(&pool->rest, THREAD_WORKER_SEARCHES - THREAD_WORKER_ASLEEP,
                                  memory_order_seq_cst);
    }
    pthread_mutex_unlock(&pool->rest_lock);
}

/* Sleep until there may be work, and search again. 0: it is time to go. */
static int thread_worker_sleep(many_thread_worker_ *worker)
{
    many_thread_pool_ *pool = worker->pool;
    const uint32_t seen = atomic_load_explicit(&worker->wake, memory_order_relaxed);
    int64_t until_ns = many_clock_ns_() + THREAD_WORKER_NAP_NS;

    if (!thread_worker_lie_down(worker))
        return 0;
    MANY_FAULT_POINT("thread.sleep.counted");
    for (;;) {
        if (many_thread_work_(pool, 1)) {
            MANY_FAULT_POINT("thread.sleep.saw_work");
            thread_worker_get_up(worker);
            return 1;
        }
        if (many_futex_wait_(&worker->wake, seen, until_ns) == -ETIMEDOUT)
            until_ns = MANY_NEVER_NS;
        if (atomic_load_explicit(&worker->wake, memory_order_acquire) != seen)
            return 1;
    }
}

/* Look for work until there has been none for a while: a place, and a task that was claimed; or NULL. */
static many_thread_place_ *thread_worker_search(many_thread_worker_ *worker,
                                                many_thread_task_ **task)
{
    many_thread_pool_ *pool = worker->pool;
    uint64_t listed = 0, young = UINT64_MAX;
    int64_t until_ns = 0;
    int pauses = 1, most = THREAD_WORKER_PAUSES;

    for (;;) {
        const uint64_t now_listed = atomic_load_explicit(&pool->listed, memory_order_relaxed);
        const int crowd =
            (int)thread_worker_searchers(atomic_load_explicit(&pool->rest, memory_order_relaxed)) >
            pool->searchers;
        const int work = many_thread_work_(pool, 0);
        int64_t now_ns;

        /* One task alone, which is new: who has submitted it may be about to wait for it, and then it is his. It is
         * taken if it is still there at the next look. Each look takes some lines from him, so as long as he
         * goes on there are fewer. */
        if (work && atomic_load_explicit(&pool->waiting, memory_order_relaxed) == 1 &&
            young != now_listed && !crowd) {
            young = now_listed;
            most = most * 2 < THREAD_WORKER_PAUSES_MOST ? most * 2 : THREAD_WORKER_PAUSES_MOST;
        } else if (work) {
            many_thread_place_ *place =
                many_thread_take_place_(pool, worker->index, MANY_PLACE_HELD_);

            if (place != NULL) {
                *task = many_thread_find_(place);
                if (*task != NULL)
                    return place;
                many_thread_leave_place_(place);
            }
        }
        if (crowd || (!work && (pool->cpus == 1 ||
                                atomic_load_explicit(&pool->leaving, memory_order_relaxed) != 0)))
            return NULL;
        now_ns = many_clock_ns_();
        if (until_ns == 0 || listed != now_listed) {
            listed = now_listed;
            until_ns = now_ns + THREAD_WORKER_SEARCH_NS;
        } else if (now_ns >= until_ns) {
            return NULL;
        }
        for (int k = 0; k < pauses; k++)
            many_pause_();
        pauses = pauses * 2 < most ? pauses * 2 : most;
    }
}

/* This one has found work; is there more, for others? */
static void thread_worker_pass_on(many_thread_pool_ *pool)
{
    const uint32_t rest =
        atomic_fetch_sub_explicit(&pool->rest, THREAD_WORKER_SEARCHES, memory_order_seq_cst);

    if (many_thread_sleeps_(rest - THREAD_WORKER_SEARCHES) && many_thread_work_(pool, 1))
        many_thread_wake_(pool);
}

/* Work at a place until there is no more, or this thread has done its share. How many tasks. */
static size_t thread_worker_work(many_thread_worker_ *worker, many_thread_place_ *place,
                                 many_thread_task_ *task, size_t most)
{
    many_thread_frame_ frame;
    size_t done = 0;

    if (atomic_load_explicit(&place->line->thread, memory_order_relaxed) != worker->number)
        many_roster_arrive_(place->line, place->pool->pool.roster->pid, worker->number);
    many_thread_enter_(&frame, place);
    do {
        if (MANY_LIKELY_((atomic_load_explicit(&place->pool->attention, memory_order_relaxed) &
                          MANY_ATTENTION_STOP_) == 0))
            many_thread_run_(place, task);
        else
            many_thread_refuse_(task, -ECANCELED, "");
    } while (++done != most && (task = many_thread_find_(place)) != NULL);
    many_thread_exit_(&frame);
    return done;
}

/* The initializer, until it succeeds; 0: the pool is broken. */
static int thread_worker_initialize(many_thread_pool_ *pool)
{
    many_initializer_fn *const initializer = pool->pool.option.initializer;
    const _Atomic uint64_t none = 0;
    /* In no task; but many_cancelled() is to say when the pool is terminated. */
    many_seat_ seat = {.state = &none,
                       .attention = &pool->attention,
                       .first = UINT64_MAX,
                       .worker = -1,
                       .alone = 1};
    int broken = 0, code;

    while (initializer != NULL && !broken) {
        many_error_expire_();
        many_seat_take_(&seat);
        code = initializer(pool->initializer_argument);
        many_seat_leave_(&seat);
        many_thread_end_twin_(pool);
        pthread_mutex_lock(&pool->rest_lock);
        pool->barren = code == 0 ? 0 : pool->barren + 1;
        broken = pool->barren >= MANY_THREAD_BARREN_ ||
                 atomic_load_explicit(&pool->broken, memory_order_relaxed) != 0;
        if (broken && atomic_load_explicit(&pool->broken, memory_order_relaxed) == 0) {
            snprintf(pool->broken_words, sizeof pool->broken_words,
                     "the initializer of '%s' failed %d times in a row, the last time with %d%s%s",
                     pool->pool.name, pool->barren, code,
                     many_error_words_(code)[0] != '\0' ? ": " : "", many_error_words_(code));
            atomic_store_explicit(&pool->broken, -MANY_EBROKEN, memory_order_seq_cst);
            atomic_store_explicit(&pool->refuses, 1, memory_order_seq_cst);
            atomic_store_explicit(&pool->pool.roster->broken, -MANY_EBROKEN, memory_order_relaxed);
        }
        pthread_mutex_unlock(&pool->rest_lock);
        if (code == 0)
            break;
    }
    return !broken;
}

/* A thread in its stead; it joins this one. 0: there is none to be had. */
static int thread_worker_succeed(many_thread_worker_ *worker)
{
    many_thread_pool_ *pool = worker->pool;
    int code;

    pthread_mutex_lock(&pool->rest_lock);
    worker->predecessor = worker->thread;
    worker->has_predecessor = 1;
    /* Once they are to leave, who joins them must find those who are there. */
    code = atomic_load_explicit(&pool->leaving, memory_order_relaxed) != 0
               ? -ESHUTDOWN
               : many_thread_start_(&worker->thread, thread_worker_body, worker);
    if (code < 0)
        worker->has_predecessor = 0;
    else
        atomic_store_explicit(
            &pool->pool.roster->replaced,
            atomic_load_explicit(&pool->pool.roster->replaced, memory_order_relaxed) + 1,
            memory_order_relaxed);
    pthread_mutex_unlock(&pool->rest_lock);
    return code == 0;
}

/* Nothing is begun any more: what waits is refused, and so is what comes. */
static void thread_worker_break(many_thread_pool_ *pool)
{
    many_latch_take_(&pool->latch);
    atomic_store_explicit(&pool->finished, 1, memory_order_seq_cst);
    many_latch_give_(&pool->latch);
    many_thread_sweep_(pool, -MANY_EBROKEN, pool->broken_words);
    many_thread_make_room_(pool);
}

/* The worker's line shows its thread; unless another one is at its place, whose line it is now. comes: 1; 0: it
 * goes. */
static void thread_worker_show(const many_thread_worker_ *worker, int comes)
{
    many_thread_place_ *place = &worker->pool->places[worker->index];
    const int pid = worker->pool->pool.roster->pid;
    uint32_t seen = MANY_PLACE_FREE_;

    if (!atomic_compare_exchange_strong_explicit(&place->holder, &seen, MANY_PLACE_HELD_,
                                                 memory_order_acquire, memory_order_relaxed)) {
        /* An outsider shows no thread. */
        if (comes && atomic_load_explicit(&place->line->pid, memory_order_relaxed) == 0)
            many_roster_arrive_(place->line, pid, worker->number);
        return;
    }
    if (comes)
        many_roster_arrive_(place->line, pid, worker->number);
    else
        many_roster_leave_(place->line);
    many_thread_leave_place_(place);
}

static void thread_worker_name(const many_thread_worker_ *worker)
{
    char name[96];

    snprintf(name, sizeof name, "%s/%d", worker->pool->pool.name, worker->index);
    many_thread_call_(name);
}

static void *thread_worker_body(void *argument)
{
    many_thread_worker_ *worker = argument;
    many_thread_pool_ *pool = worker->pool;
    const size_t most = pool->pool.option.tasks_per_worker;
    size_t done = 0;
    int goes_on;

    /* Until who started it has written down its thread; and, of a successor, until the one before is gone. */
    pthread_mutex_lock(&pool->rest_lock);
    goes_on = worker->has_predecessor;
    worker->has_predecessor = 0;
    pthread_mutex_unlock(&pool->rest_lock);
    if (goes_on)
        many_thread_join_(worker->predecessor);
    worker->number = (int32_t)many_thread_number_();
    thread_worker_name(worker);
    thread_worker_show(worker, 1);

    if (!thread_worker_initialize(pool)) {
        atomic_fetch_sub_explicit(&pool->rest, THREAD_WORKER_SEARCHES, memory_order_seq_cst);
        thread_worker_break(pool);
        thread_worker_show(worker, 0);
        return NULL;
    }
    for (goes_on = 1; goes_on;) {
        many_thread_task_ *task = NULL;
        many_thread_place_ *place = thread_worker_search(worker, &task);

        if (place == NULL) {
            goes_on = thread_worker_sleep(worker);
            continue;
        }
        thread_worker_pass_on(pool);
        done += thread_worker_work(worker, place, task, most == 0 ? 0 : most - done);
        atomic_fetch_add_explicit(&pool->rest, THREAD_WORKER_SEARCHES, memory_order_seq_cst);
        many_thread_leave_place_(place);
        if (most != 0 && done >= most) {
            done = 0;
            if (thread_worker_succeed(worker))
                return NULL; /* the successor searches in its stead */
        }
    }
    thread_worker_show(worker, 0);
    return NULL;
}

void many_thread_join_all_(many_thread_pool_ *pool)
{
    for (int w = 0; w < pool->pool.workers; w++) {
        many_thread_worker_ *worker = &pool->workers[w];
        int joinable;

        pthread_mutex_lock(&pool->rest_lock);
        while (worker->phase != MANY_WORKER_NONE_ && !worker->joinable)
            pthread_cond_wait(&pool->started_one, &pool->rest_lock);
        joinable = worker->joinable;
        pthread_mutex_unlock(&pool->rest_lock);
        if (joinable)
            many_thread_join_(worker->thread); /* who has a successor was joined by it */
        worker->joinable = 0;
    }
}
