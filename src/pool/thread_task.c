/* SPDX-License-Identifier: MIT */
/*
 * thread_task.c - tasks of a pool of threads: their memory, and how one is run
 *
 * Promise    A task that was claimed is settled exactly once, by who has claimed it.
 * Invariant  A task's memory is in use, or among the unused of one place, of the pool (by the latch), or of those
 *            that outsiders have returned. Only who drops it, after it is over and closed, moves it there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/fault.h"
#include "os/clock.h"
#include "os/self.h"
#include "pool/thread_pool.h"

/* Tasks come from the system so many at a time. */
#define THREAD_TASK_SLAB_BYTES ((size_t)256 * 1024)
/* So many go from the pool to a place, and back, at a time. */
#define THREAD_TASK_CARRY      (MANY_THREAD_SPARES_ / 2)

_Thread_local MANY_LOCAL_FAST_ many_thread_frame_ *many_thread_here_;

/* ---- memory ---- */

/* One that was never used, by the latch. NULL: no memory. */
static many_thread_task_ *thread_task_fresh_task(many_thread_pool_ *pool)
{
    many_thread_task_ *task;

    if (pool->fresh == pool->fresh_end) {
        void *memory = NULL;
        many_thread_slab_ *slab;

        if (posix_memalign(&memory, 64, THREAD_TASK_SLAB_BYTES) != 0)
            return NULL;
        slab = memory;
        slab->next = pool->slabs;
        slab->bytes = THREAD_TASK_SLAB_BYTES;
        pool->slabs = slab;
        pool->fresh = (char *)memory + sizeof *task; /* the first place is the slab's own */
        pool->fresh_end =
            (char *)memory + THREAD_TASK_SLAB_BYTES / sizeof(many_thread_task_) * sizeof *task;
    }
    task = (many_thread_task_ *)(void *)pool->fresh;
    pool->fresh += sizeof *task;
    pool->made++;
    memset(task, 0, sizeof *task);
    many_future_begin_(&task->head, &many_thread_engine_, pool);
    atomic_store_explicit(&task->head.state, MANY_FUTURE_CANCELLED_, memory_order_relaxed);
    return task;
}

/* An outsider has dropped it. Only all of them are taken at once, so that no compare-and-swap here is misled. */
static void thread_task_return(many_thread_pool_ *pool, many_thread_task_ *task)
{
    many_thread_task_ *top = atomic_load_explicit(&pool->returned, memory_order_relaxed);

    do {
        if (!MANY_LIKELY_(top != MANY_THREAD_CLOSED_)) {
            many_pool_let_go_(&pool->pool);
            return;
        }
        task->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&pool->returned, &top, task,
                                                    memory_order_release, memory_order_relaxed));
}

static int64_t thread_task_length(const many_thread_task_ *task)
{
    int64_t length = 0;

    for (; task != NULL; task = task->next)
        length++;
    return length;
}

void many_thread_close_tasks_(many_thread_pool_ *pool)
{
    const uint32_t made = (uint32_t)pool->made;
    const many_thread_task_ *top;
    int64_t unused;

    /* One for each that may be in use, before anybody can let go of one; then those too many are taken back. */
    atomic_fetch_add_explicit(&pool->pool.references, made, memory_order_relaxed);
    top = atomic_exchange_explicit(&pool->returned, MANY_THREAD_CLOSED_, memory_order_acq_rel);
    MANY_FAULT_POINT("thread.close.marked");
    unused = thread_task_length(pool->spare) + thread_task_length(top);
    for (int w = 0; w < pool->pool.workers; w++)
        unused += pool->places[w].spares;
    atomic_fetch_sub_explicit(&pool->pool.references, (uint32_t)unused, memory_order_release);
}

many_thread_task_ *many_thread_take_latched_(many_thread_pool_ *pool)
{
    many_thread_task_ *task = pool->spare;

    if (task == NULL &&
        (task = atomic_load_explicit(&pool->returned, memory_order_relaxed)) != NULL) {
        /* Acquire: what those who have dropped them did before. */
        task = atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    }
    if (MANY_LIKELY_(task != NULL))
        pool->spare = task->next;
    else
        task = thread_task_fresh_task(pool);
    return task;
}

MANY_SELDOM_ int many_thread_carry_(many_thread_place_ *place)
{
    many_thread_pool_ *pool = place->pool;

    many_latch_take_(&pool->latch);
    while (place->spares < THREAD_TASK_CARRY) {
        many_thread_task_ *task = many_thread_take_latched_(pool);

        if (task == NULL)
            break;
        task->next = place->spare;
        place->spare = task;
        place->spares++;
    }
    many_latch_give_(&pool->latch);
    return place->spare != NULL;
}

/* A place has more than enough unused ones: others may have them. */
static MANY_SELDOM_ void thread_task_carry_back(many_thread_place_ *place)
{
    many_thread_pool_ *pool = place->pool;
    many_thread_task_ *first = place->spare, *last = first;

    for (int k = 1; k < THREAD_TASK_CARRY; k++)
        last = last->next;
    place->spare = last->next;
    place->spares -= THREAD_TASK_CARRY;
    many_latch_take_(&pool->latch);
    last->next = pool->spare;
    pool->spare = first;
    many_latch_give_(&pool->latch);
}

void many_thread_empty_(many_thread_place_ *place)
{
    many_thread_pool_ *pool = place->pool;

    many_latch_take_(&pool->latch);
    for (; place->spares > 0; place->spares--) {
        many_thread_task_ *task = place->spare;

        place->spare = task->next;
        task->next = pool->spare;
        pool->spare = task;
    }
    many_latch_give_(&pool->latch);
}

/* What a task owns besides its own memory. */
static MANY_SELDOM_ void thread_task_free_owned(many_thread_task_ *task)
{
    if (atomic_load_explicit(&task->head.watch, memory_order_relaxed) != NULL)
        many_future_unwatch_(&task->head);
    if ((task->flags & MANY_THREAD_OWN_ARG_) != 0)
        free((void *)(uintptr_t)task->arg);
    if ((task->flags & MANY_THREAD_OWN_RESULT_) != 0)
        free(task->head.result);
    if ((task->flags & MANY_THREAD_NOTED_) != 0)
        free(task->note);
    if (task->more != NULL) {
        free(task->more->context);
        free(task->more);
        task->more = NULL;
    }
    task->flags = 0;
}

void many_thread_drop_(many_future *future)
{
    many_thread_task_ *task = (many_thread_task_ *)(void *)future;
    many_thread_pool_ *pool = many_thread_pool_of_(task);
    many_thread_place_ *place = many_thread_at_(pool);

    if (!MANY_LIKELY_((task->flags & MANY_THREAD_OWNS_) == 0 && task->more == NULL &&
                      atomic_load_explicit(&future->watch, memory_order_relaxed) == NULL))
        thread_task_free_owned(task);
    if (place != NULL) {
        task->next = place->spare;
        place->spare = task;
        if (++place->spares > MANY_THREAD_SPARES_)
            thread_task_carry_back(place);
        return;
    }
    thread_task_return(pool, task);
}

void many_thread_free_tasks_(many_thread_pool_ *pool)
{
    while (pool->slabs != NULL) {
        many_thread_slab_ *slab = pool->slabs;

        pool->slabs = slab->next;
        free(slab);
    }
}

void many_thread_note_down_(many_thread_task_ *task, const many_thread_note_ *facts,
                            const char *words)
{
    many_thread_note_ *note = malloc(sizeof *note);

    many_thread_forget_reply_(task);
    if (note == NULL)
        return; /* then the cause is told without its words */
    *note = *facts;
    snprintf(note->words, sizeof note->words, "%s", words);
    task->note = note;
    task->flags |= MANY_THREAD_NOTED_;
}

/* ---- where a thread is ---- */

void many_thread_enter_(many_thread_frame_ *frame, many_thread_place_ *place)
{
    frame->place = place;
    frame->outer = many_thread_here_;
    frame->seat = (many_seat_){.state = &place->state,
                               .attention = &place->pool->attention,
                               .worker = place->index,
                               .alone = 1};
    frame->seat_before = place->seat;
    place->seat = &frame->seat;
    frame->inside = many_pool_inside_();
    many_thread_here_ = frame;
    many_seat_take_(&frame->seat);
    many_pool_enter_(&place->pool->pool);
    many_error_expire_(); /* what the thread said before is not about a task of this place */
}

void many_thread_exit_(many_thread_frame_ *frame)
{
    many_pool_enter_(frame->inside);
    many_seat_leave_(&frame->seat);
    frame->place->seat = frame->seat_before;
    many_thread_here_ = frame->outer;
}

void many_thread_visit_(many_thread_place_ *place, many_thread_task_ *task)
{
    many_thread_frame_ frame;

    if (MANY_LIKELY_(many_thread_here_ != NULL && many_thread_here_->place == place)) {
        many_thread_run_(place, task);
        return;
    }
    many_thread_enter_(&frame, place);
    many_thread_run_(place, task);
    many_thread_exit_(&frame);
}

/* ---- running ---- */

/* When a task began, for people to look at: to the tick (1 to 10 ms), and 5 ns instead of 20. */
static int64_t thread_task_about_now_ns(void)
{
#ifdef CLOCK_MONOTONIC_COARSE
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) == 0)
        return (int64_t)now.tv_sec * MANY_SECOND_NS + now.tv_nsec;
#endif
    return many_clock_ns_();
}

void *many_thread_result_room_(many_thread_task_ *task, int *code)
{
    const size_t bytes = task->head.result_bytes;
    size_t align =
        bytes & (~bytes + 1); /* no type's alignment is more than what divides its size */
    void *memory = NULL;

    if (bytes <= MANY_THREAD_INLINE_)
        return bytes == 0 ? NULL : task->result;
    if ((task->flags & MANY_THREAD_OWN_RESULT_) != 0)
        return task->head.result; /* of an earlier try */
    align = align < 16 ? 16 : align > 64 ? 64 : align;
    if (posix_memalign(&memory, align, bytes) != 0) {
        *code = many_fail(-ENOMEM, "no memory for a result of %zu bytes", bytes);
        return NULL;
    }
    task->head.result = memory;
    task->flags |= MANY_THREAD_OWN_RESULT_;
    return memory;
}

void many_thread_forget_reply_(many_thread_task_ *task)
{
    if ((task->flags & MANY_THREAD_OWN_RESULT_) != 0)
        free(task->head.result);
    task->flags &= (uint8_t)~MANY_THREAD_OWN_RESULT_;
    task->head.result = NULL;
    task->head.result_bytes = 0;
}

/* It has failed: keep why, for many_future_cause(). */
static MANY_SELDOM_ void thread_task_note(many_thread_task_ *task, int code, int tries,
                                          int over_limit, int64_t took_ns)
{
    task->head.code = over_limit ? -ETIMEDOUT : -MANY_ETASK;
    many_thread_note_down_(
        task,
        &(many_thread_note_){.code = over_limit ? -ETIMEDOUT : code,
                             .tries = tries,
                             .over_limit = over_limit,
                             .seconds = (double)took_ns / (double)MANY_SECOND_NS},
        many_error_words_(code));
}

static int thread_task_is_asked(const many_thread_place_ *place, const many_thread_task_ *task)
{
    return (atomic_load_explicit(&task->head.state, memory_order_relaxed) & MANY_FUTURE_ASKED_) !=
               0 ||
           (atomic_load_explicit(&place->pool->attention, memory_order_relaxed) &
            MANY_ATTENTION_STOP_) != 0;
}

/* With a limit or retries: its phase. */
static MANY_SELDOM_ uint32_t thread_task_try(many_thread_place_ *place, many_thread_task_ *task)
{
    const int64_t limit_ns = task->more->limit_ns;
    const uint64_t number = atomic_load_explicit(&task->number, memory_order_relaxed);
    int tries = 0;

    for (;;) {
        int64_t begun_ns = many_clock_ns_(), took_ns;
        int code = 0, over_limit;
        void *result;

        if ((task->flags & MANY_THREAD_FIXED_) == 0)
            many_thread_forget_reply_(task); /* of an earlier try */
        result = many_thread_result_room_(task, &code);
        place->seat->deadline_ns = limit_ns > 0 ? begun_ns + limit_ns : 0;
        atomic_store_explicit(&place->state,
                              many_state_((uint32_t)number, (uint32_t)tries, MANY_RUNNING_),
                              memory_order_relaxed);
        if (code == 0)
            code = task->fn(task->arg, result, task->context);
        many_thread_end_twin_(place->pool);
        took_ns = many_clock_ns_() - begun_ns;
        over_limit = limit_ns > 0 && took_ns >= limit_ns;
        tries++;
        if (thread_task_is_asked(place, task))
            return MANY_FUTURE_CANCELLED_;
        if (code == 0 && !over_limit)
            return MANY_FUTURE_DONE_;
        if (tries > task->more->retries) {
            thread_task_note(task, code, tries, over_limit, took_ns);
            return MANY_FUTURE_FAILED_;
        }
    }
}

static MANY_SELDOM_ uint32_t thread_task_ended_badly(many_thread_place_ *place,
                                                     many_thread_task_ *task, int code)
{
    if (thread_task_is_asked(place, task))
        return MANY_FUTURE_CANCELLED_;
    thread_task_note(task, code, 1, 0, 0);
    return MANY_FUTURE_FAILED_;
}

/* How it ended has been counted, and somebody asked it to end just before. */
static MANY_SELDOM_ void thread_task_settle_slow(many_thread_place_ *place, many_thread_task_ *task,
                                                 uint32_t phase)
{
    many_roster_place_ *line = place->line;

    if (phase == MANY_FUTURE_DONE_ && thread_task_is_asked(place, task)) {
        atomic_store_explicit(&line->done,
                              atomic_load_explicit(&line->done, memory_order_relaxed) - 1,
                              memory_order_relaxed);
        many_thread_count_(&line->cancelled);
        phase = MANY_FUTURE_CANCELLED_;
    }
    many_future_settle_slow_(&task->head, phase);
}

void many_thread_run_(many_thread_place_ *place, many_thread_task_ *task)
{
    many_roster_place_ *line = place->line;
    many_seat_ *seat = place->seat;
    many_thread_task_ *outer = place->running;
    const uint64_t number = atomic_load_explicit(&task->number, memory_order_relaxed);
    const uint64_t outer_state = atomic_load_explicit(&place->state, memory_order_relaxed);
    const uint64_t outer_first = seat->first;
    const _Atomic uint32_t *outer_asked = seat->asked;
    const int64_t outer_deadline_ns = seat->deadline_ns;
    uint32_t phase = MANY_FUTURE_DONE_, depth = 0, seen = MANY_FUTURE_RUNNING_;

    atomic_store_explicit(&task->base, (uint32_t)many_deque_bottom_(&place->deque),
                          memory_order_relaxed);
    atomic_store_explicit(&task->place, place->id, memory_order_release);
    place->running = task;
    seat->first = number & ~(uint64_t)UINT32_MAX;
    seat->asked = &task->head.state;
    seat->deadline_ns = 0;
    atomic_store_explicit(&place->state, many_state_((uint32_t)number, 0, MANY_RUNNING_),
                          memory_order_relaxed);
    many_thread_count_(&line->begun);
    if (outer != NULL) {
        depth = atomic_load_explicit(&line->depth, memory_order_relaxed);
        atomic_store_explicit(&line->depth, depth + 1, memory_order_relaxed);
    } else {
        many_roster_task_(line, number, many_thread_name_(task), thread_task_about_now_ns());
    }

    if (MANY_LIKELY_(task->more == NULL && task->fn != NULL)) {
        int code = 0;
        void *result = many_thread_result_room_(task, &code);

        if (MANY_LIKELY_(code == 0))
            code = task->fn(task->arg, result, task->context);
        many_thread_end_twin_(place->pool);
        if (MANY_LIKELY_(code == 0 &&
                         (atomic_load_explicit(&place->pool->attention, memory_order_relaxed) &
                          MANY_ATTENTION_STOP_) == 0))
            task->head.result =
                (task->flags & MANY_THREAD_OWN_RESULT_) != 0 ? task->head.result : task->result;
        else
            phase = thread_task_ended_badly(place, task, code);
    } else if (task->fn != NULL) {
        phase = thread_task_try(place, task);
        if (phase == MANY_FUTURE_DONE_ && (task->flags & MANY_THREAD_OWN_RESULT_) == 0)
            task->head.result = task->result;
    } else {
        phase = many_thread_batch_run_(place, task);
    }

    place->running = outer;
    seat = place->seat;
    seat->first = outer_first;
    seat->asked = outer_asked;
    seat->deadline_ns = outer_deadline_ns;
    atomic_store_explicit(&place->state, outer_state, memory_order_relaxed);
    if (outer != NULL)
        atomic_store_explicit(&line->depth, depth, memory_order_relaxed);
    else
        many_roster_task_(line, number, NULL, 0);
    many_thread_count_(phase == MANY_FUTURE_DONE_     ? &line->done
                       : phase == MANY_FUTURE_FAILED_ ? &line->failed
                                                      : &line->cancelled);
    MANY_FAULT_POINT("thread.run.before_settle");
    /* Release: who sees it over sees its result. Acquire: what was set in it is seen by who drops it. */
    if (!atomic_compare_exchange_strong_explicit(&task->head.state, &seen, phase,
                                                 memory_order_acq_rel, memory_order_relaxed))
        thread_task_settle_slow(place, task, phase);
    many_thread_count_(&place->settled);
}

/* ---- ending without running ---- */

void many_thread_refuse_(many_thread_task_ *task, int code, const char *words)
{
    many_thread_pool_ *pool = many_thread_pool_of_(task);
    const uint32_t phase = code == -ECANCELED ? MANY_FUTURE_CANCELLED_ : MANY_FUTURE_FAILED_;

    if (task->fn == NULL)
        many_thread_batch_refuse_(task, code);
    task->head.code = code;
    if (phase == MANY_FUTURE_FAILED_)
        many_thread_note_down_(task, &(many_thread_note_){.code = code}, words);
    many_thread_unlisted_(task);
    many_latch_take_(&pool->latch);
    many_thread_count_(&pool->pool.roster->cancelled);
    many_latch_give_(&pool->latch);
    many_future_settle_(&task->head, phase);
    many_latch_take_(&pool->latch);
    many_thread_count_(&pool->settled);
    many_latch_give_(&pool->latch);
    /* The latch's last giving and joiners: see many_thread_quiet_(). */
    if (atomic_load_explicit(&pool->joiners, memory_order_seq_cst) != 0)
        many_thread_tell_joiners_(pool);
}

int many_thread_unclaim_(many_thread_task_ *task)
{
    many_thread_pool_ *pool = many_thread_pool_of_(task);
    int listed;

    many_latch_take_(&pool->latch);
    listed = many_thread_list_room_(pool, task->level);
    if (listed) {
        task->flags |= MANY_THREAD_LISTED_;
        /* RUNNING becomes PENDING; flags stay. */
        atomic_fetch_sub_explicit(&task->head.state, MANY_FUTURE_RUNNING_ - MANY_FUTURE_PENDING_,
                                  memory_order_release);
        many_thread_list_push_(pool, task);
    }
    many_latch_give_(&pool->latch);
    if (listed && many_thread_sleeps_(atomic_load_explicit(&pool->rest, memory_order_seq_cst)))
        (void)many_thread_wake_(pool);
    return listed;
}

size_t many_thread_sweep_(many_thread_pool_ *pool, int code, const char *words)
{
    many_deque_entry_ entry;
    size_t count = 0;
    int taken;

    for (int level = MANY_PRIORITIES_ - 1; level >= 0; level--)
        do {
            many_latch_take_(&pool->latch);
            taken = many_thread_list_pop_(pool, level, &entry);
            many_latch_give_(&pool->latch);
            if (taken && many_thread_claim_entry_(&entry)) {
                many_thread_refuse_(entry.task, code, words);
                count++;
            }
        } while (taken);
    for (int w = 0; w < pool->pool.workers; w++)
        while ((taken = many_deque_steal_(&pool->places[w].deque, INT64_MIN, &entry)) != 0)
            if (taken == 1 && many_thread_claim_entry_(&entry)) {
                many_thread_refuse_(entry.task, code, words);
                count++;
            }
    return count;
}
