/* SPDX-License-Identifier: MIT */
/*
 * thread_batch.c - some items of a map or an iterator as one task of a pool of threads; see batch.h
 *
 * Promise    Every item of a batch that was submitted has an outcome when its future is over.
 * Invariant  The batch is the worker's from the claim of its task to the end of that task's run, and the
 *            submitter's otherwise; the settling of the future is the hand-over. Each submission has a future of
 *            its own, so that one that is still being settled is never used again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "os/clock.h"
#include "pool/batch.h"
#include "pool/failure.h"
#include "pool/thread_pool.h"

/* Why an item failed. */
typedef struct thread_batch_note {
    struct thread_batch_note *next;
    size_t i;
    int tries, over_limit, cancelled;
    double seconds;
    char words[256];
} thread_batch_note;

typedef struct thread_batch_reply {
    void *bytes;
    size_t count;
} thread_batch_reply;

typedef struct thread_batch {
    many_batch_ batch;
    const many_batch_plan_ *plan;
    many_thread_pool_ *pool;
    _Atomic uint32_t stop; /* begin no more items */
    char *items, *results; /* where they do not lie in arrays of the caller's; or NULL */
    int32_t *codes;
    thread_batch_reply *replies; /* [room], or NULL */
    const void **zipped;         /* [inputs_count] pointers to what an item consists of; or NULL */
    thread_batch_note *notes;
    size_t running; /* the item that runs */
    size_t failed;
    int64_t spent_ns;
    int worker;
} thread_batch;

static thread_batch *thread_batch_of(const many_thread_task_ *task)
{
    return task->context;
}

/* ---- running ---- */

static int thread_batch_is_stopped(const many_thread_place_ *place, const many_thread_task_ *task,
                                   const thread_batch *batch)
{
    return atomic_load_explicit(&batch->stop, memory_order_relaxed) != 0 ||
           (atomic_load_explicit(&task->head.state, memory_order_relaxed) & MANY_FUTURE_ASKED_) !=
               0 ||
           (atomic_load_explicit(&place->pool->attention, memory_order_relaxed) &
            MANY_ATTENTION_STOP_) != 0;
}

/* Should what runs come to its end? Not by stop: that is for those that have not begun. */
static int thread_batch_is_asked(const many_thread_place_ *place, const many_thread_task_ *task)
{
    return (atomic_load_explicit(&task->head.state, memory_order_relaxed) & MANY_FUTURE_ASKED_) !=
               0 ||
           (atomic_load_explicit(&place->pool->attention, memory_order_relaxed) &
            MANY_ATTENTION_STOP_) != 0;
}

static const void *thread_batch_item(thread_batch *batch, size_t i)
{
    const many_batch_plan_ *plan = batch->plan;
    const size_t index = (size_t)batch->batch.first + i;

    if (plan->inputs_count != 0) {
        for (size_t k = 0; k < plan->inputs_count; k++)
            batch->zipped[k] =
                (const char *)plan->inputs[k].items + index * plan->inputs[k].item_bytes;
        return batch->zipped;
    }
    if (plan->item_bytes == 0)
        return NULL;
    return plan->in != NULL ? plan->in + index * plan->item_bytes
                            : batch->items + i * plan->item_bytes;
}

static char *thread_batch_result(const thread_batch *batch, size_t i)
{
    const many_batch_plan_ *plan = batch->plan;

    if (plan->result_bytes == 0)
        return NULL;
    return plan->out != NULL ? plan->out + ((size_t)batch->batch.first + i) * plan->result_bytes
                             : batch->results + i * plan->result_bytes;
}

static MANY_SELDOM_ void thread_batch_note_failure(thread_batch *batch, size_t i, int32_t code,
                                                   int tries, int over_limit, int cancelled,
                                                   int64_t took_ns, const char *words)
{
    thread_batch_note *note = malloc(sizeof *note);

    batch->codes[i] = code;
    batch->failed++;
    if (note == NULL)
        return; /* then its cause is told without words */
    note->next = batch->notes;
    note->i = i;
    note->tries = tries;
    note->over_limit = over_limit;
    note->cancelled = cancelled;
    note->seconds = (double)took_ns / (double)MANY_SECOND_NS;
    snprintf(note->words, sizeof note->words, "%s", words);
    batch->notes = note;
}

static void thread_batch_drop_reply(thread_batch *batch, size_t i)
{
    if (batch->replies == NULL)
        return;
    free(batch->replies[i].bytes);
    batch->replies[i] = (thread_batch_reply){NULL, 0};
}

/* With a limit, retries, or what has failed at the first try (code). 1: it is done. */
static MANY_SELDOM_ int thread_batch_try(many_thread_place_ *place, const many_thread_task_ *task,
                                         thread_batch *batch, size_t i)
{
    const many_batch_plan_ *plan = batch->plan;
    int tries = 0;

    for (;;) {
        const int64_t begun_ns = many_clock_ns_();
        int over_limit, code;
        int64_t took_ns;

        place->seat->deadline_ns = plan->limit_ns > 0 ? begun_ns + plan->limit_ns : 0;
        atomic_store_explicit(&place->state,
                              many_state_((uint32_t)i, (uint32_t)tries, MANY_RUNNING_),
                              memory_order_relaxed);
        thread_batch_drop_reply(batch, i);
        code = plan->fn(thread_batch_item(batch, i), thread_batch_result(batch, i), plan->context);
        many_thread_end_twin_(place->pool);
        took_ns = many_clock_ns_() - begun_ns;
        over_limit = plan->limit_ns > 0 && took_ns >= plan->limit_ns;
        tries++;
        if (thread_batch_is_asked(place, task)) {
            thread_batch_note_failure(batch, i, -ECANCELED, tries, 0, 1, took_ns, "");
            return 0;
        }
        if (code == 0 && !over_limit)
            return 1;
        if (tries > plan->retries) {
            thread_batch_note_failure(batch, i, over_limit ? -ETIMEDOUT : code, tries, over_limit,
                                      0, took_ns, many_error_words_(code));
            return 0;
        }
    }
}

static void thread_batch_cancel_from(thread_batch *batch, size_t i, int32_t code)
{
    for (; i < batch->batch.count; i++) {
        batch->codes[i] = code;
        batch->failed++;
    }
}

uint32_t many_thread_batch_run_(many_thread_place_ *place, many_thread_task_ *task)
{
    thread_batch *batch = thread_batch_of(task);
    const many_batch_plan_ *plan = batch->plan;
    const int plain = plan->limit_ns == 0 && plan->retries == 0;
    const int64_t begun_ns = many_clock_ns_();

    batch->worker = place->index;
    place->seat->first = batch->batch.first;
    many_error_expire_(); /* words are told apart by the item's number in its batch */
    for (size_t i = 0; i < batch->batch.count; i++) {
        int done = 1;

        if (thread_batch_is_stopped(place, task, batch)) {
            thread_batch_cancel_from(batch, i, -ECANCELED);
            break;
        }
        batch->running = i;
        if (plain) {
            int code, asked;

            atomic_store_explicit(&place->state, many_state_((uint32_t)i, 0, MANY_RUNNING_),
                                  memory_order_relaxed);
            code =
                plan->fn(thread_batch_item(batch, i), thread_batch_result(batch, i), plan->context);
            many_thread_end_twin_(place->pool);
            asked = thread_batch_is_asked(place, task);
            done = code == 0 && !asked;
            if (!MANY_LIKELY_(done))
                thread_batch_note_failure(batch, i, asked ? -ECANCELED : code, 1, 0, asked, 0,
                                          asked ? "" : many_error_words_(code));
        } else {
            done = thread_batch_try(place, task, batch, i);
        }
        if (!done && plan->stop_at_failure) {
            thread_batch_cancel_from(batch, i + 1, -ECANCELED);
            break;
        }
    }
    batch->spent_ns = many_clock_ns_() - begun_ns;
    return MANY_FUTURE_DONE_;
}

void many_thread_batch_refuse_(many_thread_task_ *task, int code)
{
    thread_batch *batch = thread_batch_of(task);

    batch->worker = -1;
    thread_batch_cancel_from(batch, 0, code);
}

const char *many_thread_batch_name_(const many_thread_task_ *task)
{
    return thread_batch_of(task)->plan->name;
}

int many_thread_batch_reply_(many_thread_task_ *task, const void *bytes, size_t count)
{
    thread_batch *batch = thread_batch_of(task);
    void *copy = NULL;

    if (batch->replies == NULL)
        return many_fail(-EINVAL, "many_reply: the items of this map have results of a fixed size");
    if (count > 0 && (copy = malloc(count)) == NULL)
        return many_fail(-ENOMEM, "many_reply: no memory for %zu bytes", count);
    if (count > 0)
        memcpy(copy, bytes, count);
    thread_batch_drop_reply(batch, batch->running);
    batch->replies[batch->running] = (thread_batch_reply){copy, count};
    return 0;
}

/* ---- the submitter's side ---- */

static thread_batch *thread_batch_own(many_batch_ *batch)
{
    return (thread_batch *)(void *)batch;
}

static void *thread_batch_item_room(many_batch_ *base, size_t i)
{
    thread_batch *batch = thread_batch_own(base);

    return batch->items == NULL ? NULL : batch->items + i * batch->plan->item_bytes;
}

/* What the last run has left. */
static void thread_batch_clear(thread_batch *batch)
{
    for (size_t i = 0; batch->replies != NULL && i < batch->batch.count; i++)
        thread_batch_drop_reply(batch, i);
    while (batch->notes != NULL) {
        thread_batch_note *note = batch->notes;

        batch->notes = note->next;
        free(note);
    }
    batch->failed = 0;
    batch->spent_ns = 0;
    atomic_store_explicit(&batch->stop, 0, memory_order_relaxed);
}

static int thread_batch_submit(many_batch_ *base, uint64_t first, size_t count)
{
    thread_batch *batch = thread_batch_own(base);
    many_thread_pool_ *pool = batch->pool;
    many_thread_place_ *place = many_thread_at_(pool);
    many_thread_task_ *task;
    int code;

    many_future_close(base->future);
    base->future = NULL;
    thread_batch_clear(batch);
    base->first = first;
    base->count = count;
    memset(batch->codes, 0, count * sizeof *batch->codes);
    if (place != NULL) {
        task = many_thread_take_here_(place);
    } else {
        many_latch_take_(&pool->latch);
        task = many_thread_take_latched_(pool);
        many_latch_give_(&pool->latch);
    }
    if (task == NULL)
        return many_fail(-ENOMEM, "%s: no memory for a task", batch->plan->function);
    task->head.code = 0;
    task->head.result = NULL;
    task->head.result_bytes = 0;
    task->fn = NULL;
    task->arg = NULL;
    task->context = batch;
    task->flags = 0;
    task->level = (int8_t)(batch->plan->priority + MANY_THREAD_LEVEL_);
    atomic_store_explicit(&task->place, -1, memory_order_relaxed);
    base->future = &task->head;
    code = many_thread_submit_batch_(pool, task, batch->plan->function);
    if (code < 0) {
        base->future = NULL;
        many_thread_drop_(&task->head);
    }
    return code;
}

static void thread_batch_outcome(many_batch_ *base, size_t i, many_batch_outcome_ *outcome)
{
    thread_batch *batch = thread_batch_own(base);

    outcome->code = batch->codes[i];
    outcome->result = NULL;
    outcome->result_bytes = 0;
    if (outcome->code != 0)
        return;
    if (batch->replies != NULL) {
        outcome->result = batch->replies[i].bytes != NULL ? batch->replies[i].bytes : "";
        outcome->result_bytes = batch->replies[i].count;
    } else {
        outcome->result = thread_batch_result(batch, i);
        outcome->result_bytes = batch->plan->result_bytes;
    }
}

static void thread_batch_cause(many_batch_ *base, size_t i, many_cause *cause)
{
    thread_batch *batch = thread_batch_own(base);
    const thread_batch_note *note = batch->notes;

    memset(cause, 0, sizeof *cause);
    cause->item = base->first + i;
    cause->code = batch->codes[i];
    cause->exit_status = -1;
    cause->worker = -1;
    if (cause->code == 0)
        return;
    while (note != NULL && note->i != i)
        note = note->next;
    if (note != NULL) {
        cause->worker = batch->worker;
        cause->tries = note->tries;
        cause->over_limit = note->over_limit;
        cause->cancelled = note->cancelled;
        cause->seconds = note->seconds;
    } else {
        cause->cancelled = cause->code == -ECANCELED; /* it was not begun */
    }
    many_failure_write_(cause, &(many_failure_words_){.said = note != NULL ? note->words : "",
                                                      .limit_s = (double)batch->plan->limit_ns /
                                                                 (double)MANY_SECOND_NS});
}

static void thread_batch_cancel(many_batch_ *base, int hard)
{
    thread_batch *batch = thread_batch_own(base);

    atomic_store_explicit(&batch->stop, 1, memory_order_relaxed);
    if (base->future == NULL)
        return;
    if (hard)
        many_thread_engine_.terminate(base->future, 0);
    else
        many_thread_engine_.cancel(base->future);
}

static int thread_batch_is_over(const many_batch_ *base)
{
    return base->future == NULL ||
           many_future_is_over_(atomic_load_explicit(&base->future->state, memory_order_acquire));
}

static void thread_batch_close(many_batch_ *base)
{
    thread_batch *batch = thread_batch_own(base);

    if (!thread_batch_is_over(base))
        thread_batch_cancel(base, 1);
    /* A circle can be no reason to free what a worker uses. */
    while (!thread_batch_is_over(base))
        if (many_future_await_(base->future, MANY_NEVER_NS) == -EDEADLK)
            (void)many_future_sleep_(base->future, MANY_NEVER_NS, 0);
    many_future_close(base->future);
    thread_batch_clear(batch);
    free(batch->zipped);
    free(batch->replies);
    free(batch->codes);
    free(batch->results);
    free(batch->items);
    free(batch);
}

static int64_t thread_batch_spent_ns(const many_batch_ *base)
{
    return ((const thread_batch *)(const void *)base)->spent_ns;
}

static size_t thread_batch_failed(const many_batch_ *base)
{
    return ((const thread_batch *)(const void *)base)->failed;
}

static const many_batch_ops_ thread_batch_ops = {
    .item = thread_batch_item_room,
    .submit = thread_batch_submit,
    .outcome = thread_batch_outcome,
    .cause = thread_batch_cause,
    .cancel = thread_batch_cancel,
    .close = thread_batch_close,
    .spent_ns = thread_batch_spent_ns,
    .failed = thread_batch_failed,
};

/* room * bytes, aligned for whatever type that is; 1 if it is there, or not wanted. */
static int thread_batch_room(char **memory, size_t room, size_t bytes)
{
    void *block = NULL;

    if (bytes == 0)
        return 1;
    if (room > SIZE_MAX / bytes || posix_memalign(&block, 64, room * bytes) != 0)
        return 0;
    *memory = block;
    return 1;
}

int many_thread_batch_open_(many_pool *pool, const many_batch_plan_ *plan, many_batch_ **opened)
{
    int there, code = many_thread_admit_map_((many_thread_pool_ *)(void *)pool, plan->function);
    thread_batch *batch;

    *opened = NULL;
    if (code < 0)
        return code;
    batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return many_fail(-ENOMEM, "%s: no memory for %zu items", plan->function, plan->room);
    batch->batch.ops = &thread_batch_ops;
    batch->batch.pool = pool;
    batch->batch.room = plan->room;
    batch->plan = plan;
    batch->pool = (many_thread_pool_ *)(void *)pool;
    batch->codes = calloc(plan->room + 1, sizeof *batch->codes);
    there = batch->codes != NULL;
    if (plan->in == NULL && plan->inputs_count == 0)
        there &= thread_batch_room(&batch->items, plan->room, plan->item_bytes);
    if (plan->out == NULL)
        there &= thread_batch_room(&batch->results, plan->room, plan->result_bytes);
    if (plan->replies && plan->result_bytes == 0)
        there &= (batch->replies = calloc(plan->room + 1, sizeof *batch->replies)) != NULL;
    if (plan->inputs_count != 0)
        there &= (batch->zipped = calloc(plan->inputs_count, sizeof *batch->zipped)) != NULL;
    if (!there) {
        thread_batch_close(&batch->batch);
        return many_fail(-ENOMEM, "%s: no memory for %zu items", plan->function, plan->room);
    }
    *opened = &batch->batch;
    return 0;
}
