/* SPDX-License-Identifier: MIT */
/*
 * process_batch.c - some items of a map as one ticket (batch.h)
 *
 * Everything that a batch needs lies in one block of its submitter: items, inputs, codes, results, places of
 * replies. It stays from batch to batch; each submit takes a ticket and a future of its own, and lets go of the last.
 * Whoever closes a batch that still runs leaves the block to its future, which takes it along when it is dropped.
 *
 * Contexts   Batches of one map have the same: in the owner it is copied once, and counted. A worker that dies leaves
 *            its blocks to a successor who knows of no counts, so there each batch has its own.
 */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "pool/batch.h"
#include "pool/failure.h"
#include "pool/functions.h"
#include "pool/process_pool.h"

/* Areas of a block begin at multiples of this, counted from its data. */
#define BATCH_ALIGN 16U

typedef struct many_process_context_ {
    struct many_process_context_ *next;
    uint64_t block;
    size_t bytes;
    size_t batches;
} batch_context;

typedef struct process_batch {
    many_batch_ base;
    many_process_pool_ *pool;
    const many_batch_plan_ *plan;
    uint32_t number; /* of the function */
    uint64_t block;  /* whose data is the area */
    uint64_t context;
    many_batch_area_ *area;
} process_batch;

static process_batch *batch_of(many_batch_ *base)
{
    return (process_batch *)base;
}

static many_process_future_ *batch_future(const process_batch *batch)
{
    return (many_process_future_ *)batch->base.future;
}

/* ---- contexts; under table->lock ---- */

static uint64_t batch_context_take(many_process_pool_ *pool, const void *bytes, size_t count)
{
    batch_context *context = pool->contexts;

    if (pool->worker)
        return many_process_block_(pool, bytes, count, 0);
    /* Alike is as good as the same. */
    while (context != NULL && (context->bytes != count ||
                               memcmp(many_block_data_(many_table_at_(pool->table, context->block)),
                                      bytes, count) != 0))
        context = context->next;
    if (context == NULL) {
        context = calloc(1, sizeof *context);
        if (context == NULL)
            return 0;
        context->block = many_process_block_(pool, bytes, count, 0);
        context->bytes = count;
        if (context->block == 0) {
            free(context);
            return 0;
        }
        context->next = pool->contexts;
        pool->contexts = context;
    }
    context->batches++;
    return context->block;
}

static void batch_context_give(many_process_pool_ *pool, uint64_t block, uint64_t key)
{
    batch_context **at = &pool->contexts;

    if (block == 0)
        return;
    while (*at != NULL && (*at)->block != block)
        at = &(*at)->next;
    if (*at != NULL) {
        batch_context *context = *at;

        if (--context->batches > 0)
            return;
        *at = context->next;
        free(context);
        many_arena_give_(pool->table, block);
        return;
    }
    many_arena_give_of_(pool->table, block, key);
}

/* ---- the block ---- */

static uint64_t batch_part(uint64_t *end, size_t each, size_t count)
{
    const uint64_t at = *end;

    *end += ((uint64_t)each * count + BATCH_ALIGN - 1) / BATCH_ALIGN * BATCH_ALIGN;
    return at;
}

/* No sum of these overflows. */
static int batch_fits(const many_batch_plan_ *plan)
{
    uint64_t each = plan->item_bytes;

    if (plan->item_bytes > SIZE_MAX / 8 || plan->result_bytes > SIZE_MAX / 8)
        return 0;
    each += plan->result_bytes;
    for (size_t k = 0; k < plan->inputs_count; k++) {
        if (plan->inputs[k].item_bytes > SIZE_MAX / 8)
            return 0;
        each += plan->inputs[k].item_bytes;
        if (each > SIZE_MAX / 4)
            return 0;
    }
    each += sizeof(int32_t) + sizeof(many_reply_place_) + 2 * BATCH_ALIGN;
    return plan->room <= UINT32_MAX / 2 && plan->room <= SIZE_MAX / 2 / each;
}

/* Under table->lock. 0 or -ENOMEM. */
static int batch_place(process_batch *batch)
{
    const many_batch_plan_ *plan = batch->plan;
    many_table_ *table = batch->pool->table;
    many_batch_area_ area = {0};
    uint64_t end = 0, data;
    many_batch_input_ *inputs;

    area.room = plan->room;
    area.item_bytes = plan->item_bytes;
    area.result_bytes = plan->replies ? 0 : plan->result_bytes;
    area.stop_at_failure = plan->stop_at_failure;
    area.inputs_count = (uint32_t)plan->inputs_count;
    (void)batch_part(&end, sizeof area, 1);
    area.inputs = batch_part(&end, sizeof *inputs, plan->inputs_count);
    area.codes = batch_part(&end, sizeof(int32_t), plan->room);
    area.replies = batch_part(&end, sizeof(many_reply_place_), plan->replies ? plan->room : 0);
    area.items = batch_part(&end, plan->inputs_count > 0 ? 0 : plan->item_bytes, plan->room);
    area.results = batch_part(&end, area.result_bytes, plan->room);
    for (size_t k = 0; k < plan->inputs_count; k++)
        (void)batch_part(&end, plan->inputs[k].item_bytes, plan->room);
    batch->block = many_process_block_(batch->pool, NULL, end, 0);
    if (batch->block == 0)
        return -ENOMEM;
    batch->area = many_block_data_(many_table_at_(table, batch->block));
    data = (uint64_t)((char *)batch->area - table->base);
    if (plan->inputs_count > 0) {
        uint64_t at =
            data + area.results +
            (area.result_bytes * plan->room + BATCH_ALIGN - 1) / BATCH_ALIGN * BATCH_ALIGN;

        inputs = many_table_at_(table, data + area.inputs);
        for (size_t k = 0; k < plan->inputs_count; k++) {
            inputs[k].items = at;
            inputs[k].item_bytes = plan->inputs[k].item_bytes;
            at += (plan->inputs[k].item_bytes * plan->room + BATCH_ALIGN - 1) / BATCH_ALIGN *
                  BATCH_ALIGN;
        }
    }
    area.inputs = plan->inputs_count > 0 ? data + area.inputs : 0;
    area.codes += data;
    area.replies = plan->replies ? data + area.replies : 0;
    area.items = plan->inputs_count == 0 && plan->item_bytes > 0 ? data + area.items : 0;
    area.results = area.result_bytes > 0 ? data + area.results : 0;
    *batch->area = area;
    if (plan->replies)
        memset(many_table_at_(table, area.replies), 0, plan->room * sizeof(many_reply_place_));
    return 0;
}

static void batch_free_replies(many_table_ *table, const many_batch_area_ *area)
{
    many_reply_place_ *places;

    if (area->replies == 0)
        return;
    places = many_table_at_(table, area->replies);
    for (uint64_t i = 0; i < area->room; i++) {
        many_arena_give_(table, places[i].at);
        places[i].at = places[i].bytes = 0;
    }
}

void many_process_batch_free_(many_process_pool_ *pool, many_ticket_ *ticket, uint64_t key)
{
    many_block_ *block = many_table_at_(pool->table, ticket->arg);

    /* It is another's already, where one was killed between this and the ticket. */
    if (block->owner == key)
        batch_free_replies(pool->table, many_block_data_(block));
    many_arena_give_of_(pool->table, ticket->arg, key);
    if ((ticket->flags & (MANY_TICKET_COLD_ | MANY_TICKET_POINTER_)) == MANY_TICKET_COLD_)
        batch_context_give(pool, many_table_cold_(pool->table, key)->context, key);
}

/* ---- filled and sent ---- */

static void *batch_item(many_batch_ *base, size_t i)
{
    const process_batch *batch = batch_of(base);

    return (char *)many_table_at_(batch->pool->table, batch->area->items) +
           i * batch->area->item_bytes;
}

static void *batch_input(many_batch_ *base, size_t k, size_t i)
{
    const process_batch *batch = batch_of(base);
    const many_batch_input_ *input =
        (many_batch_input_ *)many_table_at_(batch->pool->table, batch->area->inputs) + k;

    return (char *)many_table_at_(batch->pool->table, input->items) + i * input->item_bytes;
}

static int batch_cold(const process_batch *batch, uint64_t key)
{
    const many_batch_plan_ *plan = batch->plan;
    many_ticket_ *ticket = many_table_ticket_(batch->pool->table, key);
    many_cold_ *cold;

    if (plan->limit_ns == 0 && plan->limit_bytes == 0 && plan->retries == 0 && plan->name == NULL &&
        plan->context == NULL)
        return 0;
    if (many_ticket_need_cold_(batch->pool->table, key) < 0)
        return -ENOMEM;
    cold = many_table_cold_(batch->pool->table, key);
    cold->limit_ns = plan->limit_ns;
    cold->limit_bytes = plan->limit_bytes;
    cold->retries = (uint32_t)plan->retries;
    cold->context_bytes = plan->context_bytes;
    cold->context = batch->context != 0 ? batch->context : (uint64_t)(uintptr_t)plan->context;
    snprintf(cold->name, sizeof cold->name, "%s", plan->name != NULL ? plan->name : "");
    ticket->flags |= MANY_TICKET_COLD_ | (batch->context == 0 ? MANY_TICKET_POINTER_ : 0);
    if (plan->limit_ns != 0 || plan->limit_bytes != 0)
        ticket->flags |= MANY_TICKET_LIMITED_;
    if (batch->context != 0)
        ((many_block_ *)many_table_at_(batch->pool->table, batch->context))->owner = key;
    return 0;
}

/* Under table->lock. 0 or -ENOMEM. */
static int batch_fill(process_batch *batch, uint64_t key, uint64_t first, size_t count)
{
    const many_batch_plan_ *plan = batch->plan;
    many_table_ *table = batch->pool->table;
    many_ticket_ *ticket = many_table_ticket_(table, key);
    int32_t *codes = many_table_at_(table, batch->area->codes);

    atomic_store_explicit(&ticket->progress, many_state_(0, 0, MANY_BETWEEN_),
                          memory_order_relaxed);
    atomic_store_explicit(&ticket->attention, many_attention_(key), memory_order_relaxed);
    ticket->serial = first;
    ticket->function = batch->number;
    ticket->count = (uint32_t)count;
    ticket->code = 0;
    ticket->flags = (uint32_t)(plan->priority - MANY_PRIORITY_LOWEST) << MANY_TICKET_LEVEL_ |
                    MANY_TICKET_BATCH_ | (plan->replies ? MANY_TICKET_REPLIES_ : 0);
    ticket->arg = batch->block;
    ticket->arg_bytes = 0;
    ticket->result = 0;
    ticket->result_bytes = 0;
    ticket->failure = 0;
    for (size_t i = 0; i < count; i++)
        codes[i] = -ECANCELED;
    batch_free_replies(table, batch->area);
    batch->area->spent_ns = 0;
    ((many_block_ *)many_table_at_(table, batch->block))->owner = key;
    return batch_cold(batch, key);
}

static int batch_submit(many_batch_ *base, uint64_t first, size_t count)
{
    process_batch *batch = batch_of(base);
    const many_batch_plan_ *plan = batch->plan;
    many_process_pool_ *pool = batch->pool;
    const int level = plan->priority - MANY_PRIORITY_LOWEST;
    many_process_future_ *future = NULL;
    uint64_t key;
    int code = many_process_open_(pool, plan->function, 1);

    if (code < 0)
        return code;
    many_future_close(base->future);
    base->future = NULL;
    if (plan->in != NULL && plan->item_bytes > 0)
        memcpy(many_table_at_(pool->table, batch->area->items), plan->in + first * plan->item_bytes,
               count * plan->item_bytes);
    pthread_mutex_lock(&pool->table->lock);
    key = many_ticket_take_(pool->table);
    if (key != 0) {
        many_table_ticket_(pool->table, key)->failure = 0;
        many_table_ticket_(pool->table, key)->flags = 0;
        future = many_process_future_begin_(pool, key, MANY_PROCESS_BATCH_);
        if (future == NULL)
            many_ticket_free_(pool->table, key);
    }
    if (future != NULL &&
        (batch_fill(batch, key, first, count) < 0 || many_lane_reserve_(pool->table, level) < 0)) {
        many_process_future_undo_(pool, future);
        future = NULL;
    }
    if (future == NULL) {
        pthread_mutex_unlock(&pool->table->lock);
        return many_fail(-ENOMEM, "%s: no shared memory for another batch", plan->function);
    }
    base->future = &future->base;
    base->first = first;
    base->count = count;
    pool->room -= pool->room > 0;
    many_process_publish_(pool, future, level, 0);
    return 0;
}

/* ---- what became of it ---- */

static int32_t batch_code(const process_batch *batch, size_t i)
{
    const int32_t *codes = many_table_at_(batch->pool->table, batch->area->codes);

    /* What was not begun has the reason of them all. */
    if (codes[i] == -ECANCELED && batch->base.future->code == -MANY_EBROKEN)
        return -MANY_EBROKEN;
    return codes[i];
}

static void batch_outcome(many_batch_ *base, size_t i, many_batch_outcome_ *outcome)
{
    process_batch *batch = batch_of(base);
    const many_table_ *table = batch->pool->table;
    const many_batch_area_ *area = batch->area;

    outcome->code = batch_code(batch, i);
    outcome->result = NULL;
    outcome->result_bytes = 0;
    if (outcome->code != 0)
        return;
    if (area->replies != 0) {
        const many_reply_place_ *place =
            (many_reply_place_ *)many_table_at_(table, area->replies) + i;

        if (place->at == 0)
            return; /* it gave no reply */
        outcome->result = many_block_data_(many_table_at_(table, place->at));
        outcome->result_bytes = (size_t)place->bytes;
    } else if (area->results != 0) {
        outcome->result = (char *)many_table_at_(table, area->results) + i * area->result_bytes;
        outcome->result_bytes = (size_t)area->result_bytes;
    }
}

static void batch_cause(many_batch_ *base, size_t i, many_cause *cause)
{
    process_batch *batch = batch_of(base);
    const many_table_ *table = batch->pool->table;
    const uint64_t item = base->first + i;
    uint64_t at = many_table_ticket_(table, batch_future(batch)->key)->failure;

    while (at != 0) {
        const many_failure_ *failure = many_block_data_(many_table_at_(table, at));

        if (failure->cause.item == item) {
            *cause = failure->cause;
            return;
        }
        at = failure->next;
    }
    memset(cause, 0, sizeof *cause);
    cause->item = item;
    cause->code = batch_code(batch, i);
    if (cause->code == 0)
        return;
    cause->worker = -1;
    cause->exit_status = -1;
    cause->cancelled = cause->code == -ECANCELED;
    cause->over_limit = cause->code == -ETIMEDOUT;
    if (cause->code == -MANY_EBROKEN)
        snprintf(cause->text, sizeof cause->text, "'%s' has no workers: %s", base->pool->name,
                 table->head->broken_words);
    else
        many_failure_write_(cause, &(many_failure_words_){.task = 0});
}

static size_t batch_failed(const many_batch_ *base)
{
    const process_batch *batch = (const process_batch *)base;
    const int32_t *codes = many_table_at_(batch->pool->table, batch->area->codes);
    size_t failed = 0;

    for (size_t i = 0; i < base->count; i++)
        failed += codes[i] != 0;
    return failed;
}

static int64_t batch_spent_ns(const many_batch_ *base)
{
    return ((const process_batch *)base)->area->spent_ns;
}

/* ---- its end ---- */

static void batch_cancel(many_batch_ *base, int hard)
{
    process_batch *batch = batch_of(base);
    many_process_future_ *future = batch_future(batch);

    if (future == NULL)
        return;
    if (hard)
        many_process_engine_.terminate(&future->base, 0);
    else if (!many_process_engine_.cancel(&future->base))
        atomic_fetch_or_explicit(&many_table_ticket_(batch->pool->table, future->key)->attention,
                                 MANY_ATTENTION_STOP_, memory_order_relaxed);
}

static void batch_close(many_batch_ *base)
{
    process_batch *batch = batch_of(base);
    many_process_pool_ *pool = batch->pool;
    many_process_future_ *future = batch_future(batch);

    if (future != NULL) {
        atomic_fetch_or_explicit(&future->flags, MANY_PROCESS_ORPHAN_, memory_order_relaxed);
        many_future_close(&future->base);
    } else {
        pthread_mutex_lock(&pool->table->lock);
        batch_free_replies(pool->table, batch->area);
        many_arena_give_(pool->table, batch->block);
        batch_context_give(pool, batch->context, 0);
        pthread_mutex_unlock(&pool->table->lock);
    }
    free(batch);
    many_pool_let_go_(&pool->base);
}

static const many_batch_ops_ batch_ops = {
    .item = batch_item,
    .input = batch_input,
    .submit = batch_submit,
    .outcome = batch_outcome,
    .cause = batch_cause,
    .cancel = batch_cancel,
    .close = batch_close,
    .spent_ns = batch_spent_ns,
    .failed = batch_failed,
};

int many_process_batch_open_(many_pool *base, const many_batch_plan_ *plan, many_batch_ **made)
{
    many_process_pool_ *pool = (many_process_pool_ *)base;
    int code = many_process_open_(pool, plan->function, 0);
    process_batch *batch;

    *made = NULL;
    if (code < 0)
        return code;
    batch = calloc(1, sizeof *batch);
    if (batch == NULL || !batch_fits(plan)) {
        free(batch);
        return many_fail(-ENOMEM, "%s: no memory for %zu items at a time", plan->function,
                         plan->room);
    }
    batch->base.ops = &batch_ops;
    batch->base.pool = base;
    batch->base.room = plan->room;
    batch->pool = pool;
    batch->plan = plan;
    pthread_mutex_lock(&pool->table->lock);
    code = many_function_number_(pool->table, (many_any_fn_ *)plan->fn, &batch->number,
                                 plan->function);
    if (code == 0 && (code = batch_place(batch)) == 0 && plan->context != NULL &&
        plan->context_bytes > 0) {
        batch->context = batch_context_take(pool, plan->context, plan->context_bytes);
        if (batch->context == 0) {
            many_arena_give_(pool->table, batch->block);
            code = -ENOMEM;
        }
    }
    pthread_mutex_unlock(&pool->table->lock);
    if (code < 0) {
        free(batch);
        return code == -ENOMEM
                   ? many_fail(code, "%s: no shared memory for %zu items at a time, and .context",
                               plan->function, plan->room)
                   : code;
    }
    many_pool_hold_(base);
    *made = &batch->base;
    return 0;
}
