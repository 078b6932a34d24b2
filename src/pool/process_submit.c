/* SPDX-License-Identifier: MIT */
/*
 * process_submit.c - give a task to the workers, from the owner or from a task
 *
 * Promise    After a success the task runs once at most a permitted try, and its future is over once; after a
 *            failure nothing of it is left.
 * Room       So many tickets of the owner may wait. How many do is counted only when as many were submitted as there
 *            was room for at the last count, for by then it can only have become more.
 */
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/local.h"
#include "pool/functions.h"
#include "pool/process_pool.h"
#include "sync/wait.h"

/* Submissions between two looks, for who never waits: whether the supervisor lives; and at those whose futures
 * nobody holds, once there are so many. */
#define SUBMIT_LOOK 64U

int many_process_open_(const many_process_pool_ *pool, const char *function, int batch)
{
    const many_table_ *table = pool->table;
    const int broken = atomic_load_explicit(&table->roster->broken, memory_order_acquire);
    const uint32_t order = atomic_load_explicit(&table->head->order, memory_order_relaxed);

    if (MANY_LIKELY_(broken == 0 && order == MANY_ORDER_GO_ON_ &&
                     (batch || pool->worker ||
                      !atomic_load_explicit(&table->roster->finished, memory_order_relaxed))))
        return 0;
    if (broken != 0)
        return many_fail(-MANY_EBROKEN, "%s: '%s' has no workers: %s", function, pool->base.name,
                         table->head->broken_words);
    return many_fail(-ESHUTDOWN, "%s: '%s' was %s, and takes no more tasks", function,
                     pool->base.name, order == MANY_ORDER_CUT_ ? "terminated" : "finished");
}

uint64_t many_process_block_(many_process_pool_ *pool, const void *bytes, size_t count,
                             uint64_t key)
{
    const uint64_t at = many_arena_take_(pool->table, count, key);
    void *data;

    if (at == 0)
        return 0;
    data = many_block_data_(many_table_at_(pool->table, at));
    if (bytes != NULL)
        memcpy(data, bytes, count);
    return at;
}

/* ---- room ---- */

/* Is there room for one more? Under table->lock. */
static int submit_room(many_process_pool_ *pool)
{
    const uint64_t most = pool->table->head->waiting_most;
    uint64_t waiting;

    if (pool->room > 0)
        return 1;
    waiting = many_lanes_length_(pool->table, 0);
    if (waiting >= most && pool->cancelled != 0) {
        pool->cancelled = 0;
        many_lanes_tidy_(pool->table);
        waiting = many_lanes_length_(pool->table, 0);
    }
    pool->room = waiting < most ? most - waiting : 0;
    return pool->room > 0;
}

/* Wait for room; table->lock is held at the beginning and after 0. */
static int submit_wait(many_process_pool_ *pool, const many_submit_ *submit)
{
    many_table_head_ *head = pool->table->head;
    const uint64_t most = head->waiting_most;
    many_wait_ wait = many_wait_begin_(MANY_NEVER_NS);
    int code = 0;

    wait.slice_ns = MANY_MILLISECOND_NS;
    wait.most_ns = 5 * MANY_MILLISECOND_NS;
    while (!submit_room(pool)) {
        /* To be woken for each task that begins would cost more than to run a short one: with an eighth of the
         * room free again. Where tasks are long the slices see to it. */
        atomic_store_explicit(&head->room_below, most - (most + 7) / 8, memory_order_relaxed);
        atomic_store_explicit(&head->room_wanted, 1, memory_order_seq_cst);
        atomic_thread_fence(memory_order_seq_cst); /* pairs with the step of a claimer */
        if (submit_room(pool))
            break;
        pthread_mutex_unlock(&pool->table->lock);
        code = many_wait_slice_(&wait, &head->room_wanted, 1);
        many_process_collect_(pool);
        if (code == -EINTR)
            return many_fail(code, "%s: a signal handler ran while it waited for room",
                             submit->function);
        code = many_process_open_(pool, submit->function, 0);
        if (code < 0)
            return code;
        pthread_mutex_lock(&pool->table->lock);
    }
    return 0;
}

/* ---- the ticket ---- */

int many_process_cold_(many_process_pool_ *pool, uint64_t key, const many_submit_ *submit)
{
    const many_submit_options *option = submit->option;
    many_ticket_ *ticket = many_table_ticket_(pool->table, key);
    many_cold_ *cold;

    if (submit->limit_ns == 0 && submit->limit_bytes == 0 && option->retries == 0 &&
        option->name == NULL && option->context == NULL)
        return 0;
    if (many_ticket_need_cold_(pool->table, key) < 0)
        return -ENOMEM;
    cold = many_table_cold_(pool->table, key);
    cold->limit_ns = submit->limit_ns;
    cold->limit_bytes = submit->limit_bytes;
    cold->retries = (uint32_t)option->retries;
    cold->context = 0;
    cold->context_bytes = option->context != NULL ? option->context_bytes : 0;
    cold->name[0] = '\0';
    if (option->name != NULL)
        snprintf(cold->name, sizeof cold->name, "%s", option->name);
    ticket->flags |= MANY_TICKET_COLD_;
    if (submit->limit_ns != 0 || submit->limit_bytes != 0)
        ticket->flags |= MANY_TICKET_LIMITED_;
    if (option->context == NULL)
        return 0;
    if (option->context_bytes == 0) {
        cold->context = (uint64_t)(uintptr_t)option->context;
        ticket->flags |= MANY_TICKET_POINTER_;
        return 0;
    }
    cold->context = many_process_block_(pool, option->context, option->context_bytes, key);
    return cold->context == 0 ? -ENOMEM : 0;
}

static int submit_fill(many_process_pool_ *pool, uint64_t key, uint32_t number,
                       const many_submit_ *submit)
{
    const many_submit_options *option = submit->option;
    many_ticket_ *ticket = many_table_ticket_(pool->table, key);

    atomic_store_explicit(&ticket->progress, many_state_(0, 0, MANY_BETWEEN_),
                          memory_order_relaxed);
    atomic_store_explicit(&ticket->attention, many_attention_(key), memory_order_relaxed);
    ticket->serial = atomic_fetch_add_explicit(&pool->table->head->serial, 1, memory_order_relaxed);
    ticket->function = number;
    ticket->count = 0;
    ticket->code = 0;
    ticket->flags = (uint32_t)(option->priority - MANY_PRIORITY_LOWEST) << MANY_TICKET_LEVEL_ |
                    (option->result_bytes == 0 ? MANY_TICKET_REPLIES_ : 0);
    ticket->arg = 0;
    ticket->arg_bytes = option->arg_bytes;
    ticket->result = 0;
    ticket->result_bytes = option->result_bytes;
    ticket->failure = 0;
    if (option->arg_bytes <= sizeof ticket->arg_inline) {
        if (option->arg_bytes > 0)
            memcpy(ticket->arg_inline, option->arg, option->arg_bytes);
    } else if ((ticket->arg = many_process_block_(pool, option->arg, option->arg_bytes, key)) == 0)
        return -ENOMEM;
    if (option->result_bytes > sizeof ticket->result_inline &&
        (ticket->result = many_process_block_(pool, NULL, option->result_bytes, key)) == 0)
        return -ENOMEM;
    return many_process_cold_(pool, key, submit);
}

static void submit_count(many_process_pool_ *pool)
{
    many_table_ *table = pool->table;
    _Atomic uint64_t *count = table->worker >= 0
                                  ? many_roster_submitted_(table->roster, table->worker)
                                  : &table->roster->submitted;

    /* Under table->lock, of the only process that writes it. */
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void many_process_publish_(many_process_pool_ *pool, many_process_future_ *future, int level,
                           uint64_t flags)
{
    many_table_ *table = pool->table;
    const uint64_t key = future->key;

    many_ticket_publish_(table, key, level, flags);
    submit_count(pool);
    pthread_mutex_unlock(&table->lock);
    /* Who breaks or cuts the pool stores that, and then sweeps the tickets: either the sweep finds this one, or
     * we what was stored (the fence is in publish). */
    if (atomic_load_explicit(&table->roster->broken, memory_order_acquire) != 0)
        flags = MANY_VERDICT_BROKEN_;
    else if (atomic_load_explicit(&table->head->order, memory_order_acquire) != MANY_ORDER_GO_ON_)
        flags = MANY_VERDICT_CANCELLED_;
    else
        return;
    if (many_ticket_cancel_(table, key, flags))
        atomic_fetch_add_explicit(&table->roster->cancelled, 1, memory_order_relaxed);
}

/* A ticket with its future; under table->lock. NULL: no memory, with words. */
static many_process_future_ *submit_take(many_process_pool_ *pool, uint32_t number,
                                         const many_submit_ *submit, int level)
{
    many_table_ *table = pool->table;
    uint64_t key = many_ticket_take_(table);
    many_process_future_ *future;

    if (key == 0) {
        /* Those that nobody holds any more are freed when they are settled. */
        pthread_mutex_unlock(&table->lock);
        many_process_sweep_(pool);
        pthread_mutex_lock(&table->lock);
        key = many_ticket_take_(table);
    }
    if (key == 0) {
        many_fail(-ENOMEM, "%s: %u futures are open, and there is no memory for more: close some",
                  submit->function,
                  (unsigned)atomic_load_explicit(&table->region[table->submitter].fresh,
                                                 memory_order_relaxed));
        return NULL;
    }
    /* First of all, so that what follows can be undone as by a drop. */
    many_table_ticket_(table, key)->flags = 0;
    many_table_ticket_(table, key)->arg = many_table_ticket_(table, key)->result = 0;
    many_table_ticket_(table, key)->failure = 0;
    future = many_process_future_begin_(pool, key, 0);
    if (future == NULL)
        many_ticket_free_(table, key);
    else if (submit_fill(pool, key, number, submit) < 0 || many_lane_reserve_(table, level) < 0) {
        many_process_future_undo_(pool, future);
        future = NULL;
    }
    if (future == NULL)
        many_fail(-ENOMEM, "%s: no shared memory for the task, its argument and its result",
                  submit->function);
    return future;
}

int many_process_submit_(many_pool *base, const many_submit_ *submit, many_future **result)
{
    many_process_pool_ *pool = (many_process_pool_ *)base;
    const many_submit_options *option = submit->option;
    const int level = option->priority - MANY_PRIORITY_LOWEST;
    many_table_ *table = pool->table;
    many_process_future_ *future;
    uint64_t flags = 0;
    uint32_t number;
    int code = many_process_open_(pool, submit->function, 0), look;

    *result = NULL;
    if (code < 0)
        return code;
    pthread_mutex_lock(&table->lock);
    code = many_function_number_(table, (many_any_fn_ *)option->fn, &number, submit->function);
    if (code == 0 && !pool->worker && !submit_room(pool)) {
        if (option->no_wait)
            code = many_fail(-EAGAIN, "%s: %llu tasks wait, as many as may (.waiting_most)",
                             submit->function, (unsigned long long)table->head->waiting_most);
        else if ((code = submit_wait(pool, submit)) < 0)
            return code;
    }
    future = code == 0 ? submit_take(pool, number, submit, level) : NULL;
    if (code == 0 && future == NULL)
        code = -ENOMEM;
    if (code == 0 && option->on_done != NULL &&
        many_future_prepare_callback_(&future->base, option->on_done, option->on_done_context) <
            0) {
        many_process_future_undo_(pool, future);
        code = many_fail(-ENOMEM, "%s: no memory for the callback", submit->function);
    }
    if (code != 0) {
        pthread_mutex_unlock(&table->lock);
        return code;
    }
    if (pool->room > 0)
        pool->room--;
    if (option->on_done != NULL || option->future == NULL) {
        many_process_list_(pool, future);
        flags = MANY_TICKET_NOTIFY_ | (option->future == NULL ? MANY_TICKET_DETACHED_ : 0);
    }
    look = atomic_load_explicit(&table->region[table->submitter].submits, memory_order_relaxed) %
               SUBMIT_LOOK ==
           SUBMIT_LOOK - 1;
    *result = &future->base;
    many_process_publish_(pool, future, level, flags);
    if (look) {
        many_process_tend_(pool);
        if (atomic_load_explicit(&pool->watched, memory_order_relaxed) >= SUBMIT_LOOK)
            many_process_sweep_(pool);
    }
    return 0;
}
