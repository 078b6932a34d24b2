/* SPDX-License-Identifier: MIT */
/*
 * thread_submit.c - tasks of a pool of threads as they come: from its own tasks, and from outside
 *
 * Promise    What was submitted with success is settled; what was refused has left nothing behind.
 * Invariant  A task's fields are written while it is not PENDING, and published by the store that makes it so
 *            (release; who claims it acquires). It is counted as submitted before anybody can find it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "pool/thread_pool.h"

/* Numbers for tasks that are submitted in tasks: so many at a time. */
#define THREAD_SUBMIT_NUMBERS       256
/* ... and one for so many that were submitted there before: the first ones are numbered as they come. */
#define THREAD_SUBMIT_SHARE         8
/* Who waits for room looks again after so long: where tasks lie in deques, and where they do not. */
#define THREAD_SUBMIT_SLICE_NS      MANY_MILLISECOND_NS
#define THREAD_SUBMIT_SLICE_MOST_NS (20 * MANY_MILLISECOND_NS)

static MANY_SELDOM_ int thread_submit_refuse(many_thread_pool_ *pool, const char *function)
{
    if (atomic_load_explicit(&pool->broken, memory_order_seq_cst) != 0)
        return many_fail(-MANY_EBROKEN, "%s: %s", function, pool->broken_words);
    return many_fail(-ESHUTDOWN, "%s: '%s' was %s, and takes no more", function, pool->pool.name,
                     many_thread_is_told_(pool) ? "terminated" : "finished");
}

/* Nothing of it needs memory of its own. */
static int thread_submit_is_plain(const many_submit_ *submit)
{
    const many_submit_options *option = submit->option;

    return option->arg_bytes <= MANY_THREAD_INLINE_ && option->context_bytes == 0 &&
           option->name == NULL && option->retries == 0 && submit->limit_ns == 0 &&
           option->on_done == NULL;
}

/* It was filled, and is not to be submitted. */
static MANY_SELDOM_ void thread_submit_give_up(many_thread_task_ *task)
{
    atomic_store_explicit(&task->head.state, MANY_FUTURE_CANCELLED_, memory_order_relaxed);
    many_thread_drop_(&task->head);
}

/* What needs memory. 0 or -ENOMEM; then the task is to be dropped. */
static MANY_SELDOM_ int thread_submit_fill_more(many_thread_task_ *task, const many_submit_ *submit)
{
    const many_submit_options *option = submit->option;

    if (option->arg_bytes > MANY_THREAD_INLINE_) {
        void *copy = malloc(option->arg_bytes);

        if (copy == NULL)
            return -ENOMEM;
        memcpy(copy, option->arg, option->arg_bytes);
        task->arg = copy;
        task->flags |= MANY_THREAD_OWN_ARG_;
    }
    if (option->name != NULL || option->retries != 0 || submit->limit_ns != 0 ||
        option->context_bytes != 0) {
        many_thread_more_ *more = task->more = calloc(1, sizeof *more);

        if (more == NULL)
            return -ENOMEM;
        more->limit_ns = submit->limit_ns;
        more->retries = option->retries;
        if (option->name != NULL)
            memcpy(more->name, option->name, strnlen(option->name, sizeof more->name - 1));
        if (option->context_bytes != 0) {
            more->context = malloc(option->context_bytes);
            if (more->context == NULL)
                return -ENOMEM;
            memcpy(more->context, option->context, option->context_bytes);
            task->context = more->context;
        }
    }
    if (option->on_done == NULL)
        return 0;
    /* Neither over nor to be begun: it can be marked as watched. */
    atomic_store_explicit(&task->head.state, MANY_FUTURE_RUNNING_, memory_order_relaxed);
    return many_future_prepare_callback_(&task->head, option->on_done, option->on_done_context);
}

static inline void thread_submit_fill(many_thread_task_ *task, const many_submit_ *submit)
{
    const many_submit_options *option = submit->option;

    task->head.code = 0;
    task->head.result = NULL;
    task->head.result_bytes = option->result_bytes;
    task->fn = option->fn;
    task->arg = option->arg;
    task->context = option->context;
    task->level = (int8_t)(option->priority + MANY_THREAD_LEVEL_);
    task->flags = (uint8_t)((option->result_bytes != 0 ? MANY_THREAD_FIXED_ : 0U) |
                            (option->future == NULL ? MANY_THREAD_DETACHED_ : 0U));
    atomic_store_explicit(&task->place, -1, memory_order_relaxed);
    if (option->arg_bytes - 1 < MANY_THREAD_INLINE_) {
        if (option->arg_bytes == sizeof(uint64_t)) /* most are so long: a load and a store */
            memcpy(task->argument, option->arg, sizeof(uint64_t));
        else
            memcpy(task->argument, option->arg, option->arg_bytes);
        task->arg = task->argument;
    }
}

static inline void thread_submit_publish(many_thread_task_ *task, uint64_t number)
{
    const uint32_t state = atomic_load_explicit(&task->head.state, memory_order_relaxed);

    atomic_store_explicit(&task->number, number, memory_order_relaxed);
    /* RUNNING: a callback was prepared. */
    atomic_store_explicit(&task->head.state,
                          MANY_LIKELY_((state & MANY_FUTURE_PHASES_) != MANY_FUTURE_RUNNING_)
                              ? MANY_FUTURE_PENDING_
                              : state & MANY_FUTURE_WATCHED_,
                          memory_order_release);
}

static MANY_SELDOM_ void thread_submit_more_numbers(many_thread_place_ *place)
{
    many_thread_pool_ *pool = place->pool;
    uint64_t more = place->numbers / THREAD_SUBMIT_SHARE;

    more = more < 1 ? 1 : more > THREAD_SUBMIT_NUMBERS ? THREAD_SUBMIT_NUMBERS : more;
    many_latch_take_(&pool->latch);
    place->number_next = atomic_load_explicit(&pool->pool.serial, memory_order_relaxed);
    place->number_end = place->number_next + more;
    atomic_store_explicit(&pool->pool.serial, place->number_end, memory_order_relaxed);
    many_latch_give_(&pool->latch);
    place->numbers += more;
}

static MANY_SELDOM_ int thread_submit_more_room(many_thread_place_ *place)
{
    int moved;

    if (!many_deque_room_(&place->deque, 1, many_thread_is_live_, &moved))
        return 0;
    if (moved)
        atomic_store_explicit(&place->mixed, many_deque_bottom_(&place->deque),
                              memory_order_release);
    return 1;
}

static int thread_submit_wake(many_thread_pool_ *pool)
{
    const uint32_t rest = atomic_load_explicit(&pool->rest, memory_order_seq_cst);

    return MANY_LIKELY_(!many_thread_sleeps_(rest)) ? 0 : many_thread_wake_(pool);
}

/* By the latch: number it, count it, and list it. There is room. */
static inline void thread_submit_push(many_thread_pool_ *pool, many_thread_task_ *task)
{
    const uint64_t number = atomic_load_explicit(&pool->pool.serial, memory_order_relaxed);

    atomic_store_explicit(&pool->pool.serial, number + 1, memory_order_relaxed);
    many_thread_count_(&pool->pool.roster->submitted);
    task->flags |= MANY_THREAD_LISTED_;
    thread_submit_publish(task, number);
    many_thread_list_push_(pool, task);
}

/* Into the lists, whatever the bound. 0; -ENOMEM: it is not submitted; another code: nobody can be woken. */
static int thread_submit_unbounded(many_thread_pool_ *pool, many_thread_task_ *task)
{
    int room;

    many_latch_take_(&pool->latch);
    room = many_thread_list_room_(pool, task->level);
    if (room)
        thread_submit_push(pool, task);
    many_latch_give_(&pool->latch);
    return room ? thread_submit_wake(pool) : -ENOMEM;
}

/* At a place of the calling thread. 0, or -ENOMEM: it is not submitted. */
static inline int thread_submit_here(many_thread_place_ *place, many_thread_task_ *task)
{
    if (!MANY_LIKELY_(task->level == MANY_THREAD_LEVEL_ && place->visits == 0 &&
                      (many_deque_has_room_(&place->deque) || thread_submit_more_room(place))))
        return thread_submit_unbounded(place->pool, task) == -ENOMEM ? -ENOMEM : 0;
    if (!MANY_LIKELY_(place->number_next != place->number_end))
        thread_submit_more_numbers(place);
    many_thread_count_(place->submitted);
    thread_submit_publish(task, place->number_next);
    many_deque_push_(&place->deque, task, place->number_next++);
    many_thread_nudge_(place);
    return 0;
}

static MANY_SELDOM_ int thread_submit_no_memory(many_thread_task_ *task, const char *function)
{
    if (task != NULL)
        thread_submit_give_up(task);
    return many_fail(-ENOMEM, "%s: no memory for a task", function);
}

/* In a task of the pool: it never waits. */
static int thread_submit_inside(many_thread_place_ *place, const many_submit_ *submit,
                                many_future **future)
{
    many_thread_pool_ *pool = place->pool;
    many_thread_task_ *task;

    if (!MANY_LIKELY_(atomic_load_explicit(&pool->refuses, memory_order_relaxed) == 0))
        return thread_submit_refuse(pool, submit->function);
    task = many_thread_take_here_(place);
    if (!MANY_LIKELY_(task != NULL))
        return thread_submit_no_memory(task, submit->function);
    thread_submit_fill(task, submit);
    if (!MANY_LIKELY_(thread_submit_is_plain(submit)) && thread_submit_fill_more(task, submit) < 0)
        return thread_submit_no_memory(task, submit->function);
    *future = &task->head;
    if (!MANY_LIKELY_(thread_submit_here(place, task) == 0)) {
        *future = NULL;
        return thread_submit_no_memory(task, submit->function);
    }
    return 0;
}

/* May no more wait? By the latch. */
static int thread_submit_is_full(many_thread_pool_ *pool)
{
    const int used = atomic_load_explicit(&pool->used, memory_order_relaxed);
    size_t waiting = atomic_load_explicit(&pool->waiting, memory_order_relaxed);

    if (MANY_LIKELY_(waiting + (size_t)used * pool->moved_most < pool->waiting_most))
        return 0;
    many_thread_list_sift_(pool);
    waiting = atomic_load_explicit(&pool->waiting, memory_order_relaxed);
    for (int w = 0; w < used && pool->moved_most > 1; w++) {
        const int64_t many =
            atomic_load_explicit(&pool->places[w].deque.bottom, memory_order_relaxed) -
            atomic_load_explicit(&pool->places[w].deque.top, memory_order_relaxed);

        waiting += many > 0 ? (size_t)many : 0;
    }
    return waiting >= pool->waiting_most;
}

/* Until there is room, or none is needed any more. 0, -EAGAIN, -EINTR with words. */
static MANY_SELDOM_ int thread_submit_wait_for_room(many_thread_pool_ *pool,
                                                    const many_submit_ *submit)
{
    int code = 0;

    if (submit->option->no_wait)
        return many_fail(-EAGAIN, "%s: %zu tasks wait in '%s', which is .waiting_most",
                         submit->function, pool->waiting_most, pool->pool.name);
    atomic_fetch_add_explicit(&pool->crowded, 1, memory_order_seq_cst);
    for (;;) {
        const uint32_t seen = atomic_load_explicit(&pool->roomy, memory_order_acquire);
        int full;

        MANY_FAULT_POINT("thread.crowd.counted");
        many_latch_take_(&pool->latch);
        full = thread_submit_is_full(pool) &&
               atomic_load_explicit(&pool->finished, memory_order_relaxed) == 0;
        many_latch_give_(&pool->latch);
        if (!full)
            break;
        /* Who takes one out of a deque does not look at crowded, and who runs what he waits for may do so too
         * early to see this one. */
        code = many_futex_wait_(&pool->roomy, seen,
                                many_clock_ns_() + (pool->moved_most > 1
                                                        ? THREAD_SUBMIT_SLICE_NS
                                                        : THREAD_SUBMIT_SLICE_MOST_NS));
        if (code == -EINTR)
            break;
        code = 0;
    }
    atomic_fetch_sub_explicit(&pool->crowded, 1, memory_order_seq_cst);
    if (code == -EINTR)
        return many_fail(code, "%s: a signal handler ran while it waited for room",
                         submit->function);
    return 0;
}

/* By the latch: may it be submitted? 0; -EAGAIN: there is no room; another code: no. */
static inline int thread_submit_admit(many_thread_pool_ *pool)
{
    if (!MANY_LIKELY_(atomic_load_explicit(&pool->finished, memory_order_relaxed) == 0))
        return -ESHUTDOWN;
    return MANY_LIKELY_(!thread_submit_is_full(pool)) ? 0 : -EAGAIN;
}

/* Nobody can be woken for it, and no thread started. */
static MANY_SELDOM_ int thread_submit_withdraw(many_thread_pool_ *pool, many_thread_task_ *task,
                                               const char *function, int code)
{
    if (!many_future_claim_(&task->head))
        return 0; /* somebody has it after all */
    many_thread_refuse_(task, -ECANCELED, "");
    many_future_close(&task->head);
    return many_fail(-MANY_EBROKEN,
                     "%s: '%s' has no thread, and none could be started (%s): raise ulimit -u, or "
                     "free memory",
                     function, pool->pool.name, many_error_name(code));
}

/* By the latch: take a task, if it is none yet, fill it and list it. 0; -EAGAIN: there is no room; or a code. */
static inline int thread_submit_latched(many_thread_pool_ *pool, const many_submit_ *submit,
                                        many_thread_task_ **task)
{
    const int level = submit->option->priority + MANY_THREAD_LEVEL_;
    int code = thread_submit_admit(pool);

    if (!MANY_LIKELY_(code == 0))
        return code;
    if (!MANY_LIKELY_(many_thread_list_room_(pool, level)))
        return -ENOMEM;
    if (*task == NULL) {
        *task = many_thread_take_latched_(pool);
        if (!MANY_LIKELY_(*task != NULL))
            return -ENOMEM;
        thread_submit_fill(*task, submit);
    }
    thread_submit_push(pool, *task);
    return 0;
}

/* What needs memory of its own is prepared before the latch is taken. */
static MANY_SELDOM_ int thread_submit_prepare(many_thread_pool_ *pool, const many_submit_ *submit,
                                              many_thread_task_ **task)
{
    many_latch_take_(&pool->latch);
    *task = many_thread_take_latched_(pool);
    many_latch_give_(&pool->latch);
    if (*task == NULL)
        return thread_submit_no_memory(NULL, submit->function);
    thread_submit_fill(*task, submit);
    if (thread_submit_fill_more(*task, submit) == 0)
        return 0;
    return thread_submit_no_memory(*task, submit->function);
}

static int thread_submit_outside(many_thread_pool_ *pool, const many_submit_ *submit,
                                 many_future **future)
{
    many_thread_task_ *task = NULL;
    int code = 0;

    if (!MANY_LIKELY_(thread_submit_is_plain(submit)))
        code = thread_submit_prepare(pool, submit, &task);
    if (code < 0)
        return code;
    for (;;) {
        many_latch_take_(&pool->latch);
        code = thread_submit_latched(pool, submit, &task);
        many_latch_give_(&pool->latch);
        if (MANY_LIKELY_(code == 0))
            break;
        if (code == -ENOMEM)
            return thread_submit_no_memory(task, submit->function);
        code = code == -EAGAIN ? thread_submit_wait_for_room(pool, submit)
                               : thread_submit_refuse(pool, submit->function);
        if (code < 0) {
            if (task != NULL)
                thread_submit_give_up(task);
            return code;
        }
    }
    code = thread_submit_wake(pool);
    if (!MANY_LIKELY_(code == 0) &&
        (code = thread_submit_withdraw(pool, task, submit->function, code)) < 0)
        return code;
    *future = &task->head;
    return 0;
}

int many_thread_submit_(many_pool *base, const many_submit_ *submit, many_future **future)
{
    many_thread_pool_ *pool = (many_thread_pool_ *)(void *)base;
    many_thread_place_ *place = many_thread_at_(pool);

    return place != NULL ? thread_submit_inside(place, submit, future)
                         : thread_submit_outside(pool, submit, future);
}

int many_thread_admit_map_(many_thread_pool_ *pool, const char *function)
{
    if (many_thread_at_(pool) != NULL ||
        (atomic_load_explicit(&pool->finished, memory_order_seq_cst) == 0 &&
         atomic_load_explicit(&pool->refuses, memory_order_seq_cst) == 0))
        return 0;
    return thread_submit_refuse(pool, function);
}

/* For a batch: it does not wait for room. 0 or a code with words. */
int many_thread_submit_batch_(many_thread_pool_ *pool, many_thread_task_ *task,
                              const char *function)
{
    many_thread_place_ *place = many_thread_at_(pool);
    int code;

    if (atomic_load_explicit(&pool->refuses, memory_order_seq_cst) != 0)
        return thread_submit_refuse(pool, function);
    code = place != NULL ? thread_submit_here(place, task) : thread_submit_unbounded(pool, task);
    if (code == -ENOMEM)
        return many_fail(code, "%s: no memory for a task", function);
    if (code < 0 && many_future_claim_(&task->head))
        many_thread_refuse_(task, -MANY_EBROKEN, "no thread could be started");
    return 0;
}
