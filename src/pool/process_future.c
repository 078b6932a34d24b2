/* SPDX-License-Identifier: MIT */
/*
 * process_future.c - the futures of tasks of processes: what the table knows, brought to who holds them
 *
 * Promise    A future is settled once, by whoever first looks at it after its ticket is over; its outcome lies in
 *            the ticket and its blocks until it is dropped.
 * Invariant  turn is changed once in each life of a future, from its key; the key names the generation, so that a
 *            thread that comes late with the key of a former life changes nothing.
 * Waiting    in a task first runs the awaited one here, if it has not begun; else spins, tells the circle, and sleeps
 *            on the low half of the claim word, in slices: SLEEPERS is set in it before by compare-and-swap, so who
 *            makes it OVER sees it. After each slice the owner looks after the supervisor.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/local.h"
#include "os/self.h"
#include "os/stream.h"
#include "pool/failure.h"
#include "pool/process_pool.h"
#include "sync/wait.h"

static _Thread_local MANY_LOCAL_FAST_ const many_process_pool_ *future_settling;

int many_process_settling_(const many_process_pool_ *pool)
{
    return future_settling == pool;
}

static many_process_future_ *future_of(many_future *future)
{
    return (many_process_future_ *)future;
}

static many_ticket_ *future_ticket(const many_process_future_ *future)
{
    const many_process_pool_ *pool = future->base.home;

    return many_table_ticket_(pool->table, future->key);
}

static uint64_t future_claim(const many_process_future_ *future)
{
    return atomic_load_explicit(&future_ticket(future)->claim, memory_order_acquire);
}

static int future_flag(const many_process_future_ *future, uint32_t flag)
{
    return (atomic_load_explicit(&future->flags, memory_order_relaxed) & flag) != 0;
}

static int future_over(const many_future *future)
{
    return many_future_is_over_(atomic_load_explicit(&future->state, memory_order_acquire));
}

/* ---- their memory, and the list of watched ones; all under table->lock ---- */

many_process_future_ *many_process_future_begin_(many_process_pool_ *pool, uint64_t key,
                                                 uint32_t flags)
{
    const uint32_t index = many_key_index_(key);
    many_process_future_ *future = many_process_future_at_(pool, index);

    if (future == NULL) {
        many_process_future_ *chunk = calloc(MANY_PROCESS_CHUNK_, sizeof *chunk);

        if (chunk == NULL)
            return NULL;
        atomic_store_explicit(&pool->chunk[index >> MANY_PROCESS_CHUNK_BITS_], chunk,
                              memory_order_release);
        future = many_process_future_at_(pool, index);
    }
    many_pool_hold_(&pool->base);
    future->key = key;
    atomic_store_explicit(&future->flags, flags, memory_order_relaxed);
    many_future_begin_(&future->base, &many_process_engine_, pool);
    atomic_store_explicit(&future->turn, key, memory_order_release);
    return future;
}

void many_process_list_(many_process_pool_ *pool, many_process_future_ *future)
{
    const uint32_t at = many_key_index_(future->key) + 1;

    if (future_flag(future, MANY_PROCESS_LISTED_))
        return;
    atomic_fetch_or_explicit(&future->flags, MANY_PROCESS_LISTED_, memory_order_relaxed);
    future->before = 0;
    future->next = pool->watched_first;
    if (future->next != 0)
        many_process_future_at_(pool, future->next - 1)->before = at;
    pool->watched_first = at;
    atomic_fetch_add_explicit(&pool->watched, 1, memory_order_relaxed);
}

static void future_unlist(many_process_pool_ *pool, many_process_future_ *future)
{
    if (!future_flag(future, MANY_PROCESS_LISTED_))
        return;
    atomic_fetch_and_explicit(&future->flags, ~MANY_PROCESS_LISTED_, memory_order_relaxed);
    if (future->before != 0)
        many_process_future_at_(pool, future->before - 1)->next = future->next;
    else
        pool->watched_first = future->next;
    if (future->next != 0)
        many_process_future_at_(pool, future->next - 1)->before = future->before;
    atomic_fetch_sub_explicit(&pool->watched, 1, memory_order_relaxed);
}

/* Each belongs to the ticket, as long as it was not given back by one who was killed before he freed the ticket. */
static void future_free_blocks(many_process_pool_ *pool, const many_process_future_ *future)
{
    many_table_ *table = pool->table;
    many_ticket_ *ticket = future_ticket(future);
    const uint64_t key = future->key;
    uint64_t failure = ticket->failure;

    while (failure != 0) {
        many_block_ *block = many_table_at_(table, failure);
        const uint64_t next =
            block->owner == key ? ((many_failure_ *)many_block_data_(block))->next : 0;

        many_arena_give_of_(table, failure, key);
        failure = next;
    }
    if (future_flag(future, MANY_PROCESS_ORPHAN_))
        many_process_batch_free_(pool, ticket, key);
    if (future_flag(future, MANY_PROCESS_BATCH_))
        return;
    many_arena_give_of_(table, ticket->arg, key);
    many_arena_give_of_(table, ticket->result, key);
    if ((ticket->flags & (MANY_TICKET_COLD_ | MANY_TICKET_POINTER_)) == MANY_TICKET_COLD_)
        many_arena_give_of_(table, many_table_cold_(table, key)->context, key);
}

void many_process_future_undo_(many_process_pool_ *pool, many_process_future_ *future)
{
    many_future_unwatch_(&future->base);
    future_free_blocks(pool, future);
    /* Who comes with this key settles nothing. */
    atomic_store_explicit(&future->turn, future->key & ~MANY_KEY_FULL_, memory_order_relaxed);
    many_ticket_free_(pool->table, future->key);
    atomic_fetch_sub_explicit(&pool->base.references, 1,
                              memory_order_relaxed); /* the handle's is left */
}

static void future_drop(many_future *base)
{
    many_process_pool_ *pool = base->home;
    many_process_future_ *future = future_of(base);

    if (atomic_load_explicit(&base->watch, memory_order_relaxed) != NULL)
        many_future_unwatch_(base);
    if (future_flag(future, MANY_PROCESS_GUEST_)) {
        many_process_guest_free_(pool, future);
    } else {
        pthread_mutex_lock(&pool->table->lock);
        future_free_blocks(pool, future);
        many_ticket_free_(pool->table, future->key);
        pthread_mutex_unlock(&pool->table->lock);
    }
    many_pool_let_go_(&pool->base);
}

/* ---- its end ---- */

/* How a ticket that is over ended: the phase of its future, and *code. */
uint32_t many_process_outcome_(uint64_t claim, int32_t ticket_code, int32_t *code)
{
    switch (claim & MANY_VERDICTS_) {
    case MANY_VERDICT_CANCELLED_:
        *code = -ECANCELED;
        return MANY_FUTURE_CANCELLED_;
    case MANY_VERDICT_TIMEOUT_:
        *code = -ETIMEDOUT;
        return MANY_FUTURE_FAILED_;
    case MANY_VERDICT_MEMORY_:
        *code = -ENOMEM;
        return MANY_FUTURE_FAILED_;
    case MANY_VERDICT_BROKEN_:
        *code = -MANY_EBROKEN;
        return MANY_FUTURE_FAILED_;
    default:
        *code = ticket_code;
        return ticket_code == 0            ? MANY_FUTURE_DONE_
               : ticket_code == -ECANCELED ? MANY_FUTURE_CANCELLED_
                                           : MANY_FUTURE_FAILED_;
    }
}

/* Tell who waits; callbacks are called in here. */
void many_process_end_(many_process_pool_ *pool, many_process_future_ *future, uint32_t phase)
{
    const many_process_pool_ *outer = future_settling;
    uint32_t pending = MANY_FUTURE_PENDING_;

    if (atomic_compare_exchange_strong_explicit(&future->base.state, &pending, phase,
                                                memory_order_acq_rel, memory_order_relaxed))
        return; /* nobody sleeps, watches, or has closed it */
    /* The pool lives at least until it is counted down again, whoever closes it in there. */
    many_pool_hold_(&pool->base);
    atomic_fetch_add_explicit(&pool->settling, 1, memory_order_seq_cst);
    future_settling = pool;
    many_future_settle_(&future->base, phase);
    future_settling = outer;
    atomic_fetch_sub_explicit(&pool->settling, 1, memory_order_release);
    many_pool_let_go_(&pool->base);
}

void many_process_settle_(many_process_pool_ *pool, many_process_future_ *future, uint64_t key)
{
    many_table_ *table = pool->table;
    many_ticket_ *ticket = many_table_ticket_(table, key);
    const uint64_t claim = atomic_load_explicit(&ticket->claim, memory_order_acquire);
    uint64_t turn = key;
    uint32_t phase;

    if (many_claim_phase_(claim) != MANY_TICKET_OVER_ || !many_key_is_(key, claim) ||
        !atomic_compare_exchange_strong_explicit(&future->turn, &turn, key & ~MANY_KEY_FULL_,
                                                 memory_order_acq_rel, memory_order_relaxed))
        return;
    MANY_FAULT_POINT("process.settle.turn");
    phase = many_process_outcome_(claim, ticket->code, &future->base.code);
    if (phase == MANY_FUTURE_DONE_ && (ticket->flags & MANY_TICKET_BATCH_) == 0) {
        future->base.result = many_ticket_result_(table, ticket);
        future->base.result_bytes = ticket->result_bytes;
    }
    if (future_flag(future, MANY_PROCESS_LISTED_)) {
        /* Settling before it leaves the list: a join that finds the list empty finds this. */
        atomic_fetch_add_explicit(&pool->settling, 1, memory_order_seq_cst);
        pthread_mutex_lock(&table->lock);
        future_unlist(pool, future);
        pthread_mutex_unlock(&table->lock);
        many_process_end_(pool, future, phase);
        atomic_fetch_sub_explicit(&pool->settling, 1, memory_order_release);
    } else {
        many_process_end_(pool, future, phase);
    }
}

void many_process_update_(many_future *base)
{
    many_process_pool_ *pool = base->home;
    many_process_future_ *future = future_of(base);
    const uint64_t claim = future_claim(future);

    if (future_flag(future, MANY_PROCESS_GUEST_))
        many_process_guest_look_(pool, future);
    else if (many_claim_phase_(claim) == MANY_TICKET_OVER_)
        many_process_settle_(pool, future, future->key);
    if (many_claim_phase_(claim) > MANY_TICKET_READY_ &&
        many_claim_phase_(claim) < MANY_TICKET_OVER_ && many_key_is_(future->key, claim))
        many_future_claim_(base);
}

/* ---- heard of, ended ---- */

int many_process_gone_(const many_process_future_ *future)
{
    if (many_key_is_(future->key, future_claim(future)))
        return 0;
    return many_fail(-ENOENT,
                     "many_future_wait: the future that this one was taken from was closed");
}

/* Tell its submitter of the end of key's ticket, with these flags more. 1; 0: it is over, or another's by now. */
int many_process_notify_(many_process_pool_ *pool, many_process_future_ *future, uint64_t key,
                         uint64_t flags)
{
    many_ticket_ *ticket = many_table_ticket_(pool->table, key);
    uint64_t seen;
    int under_way, listed;

    pthread_mutex_lock(&pool->table->lock);
    seen = atomic_load_explicit(&ticket->claim, memory_order_acquire);
    under_way = many_key_is_(key, seen) && many_claim_phase_(seen) != MANY_TICKET_FREE_ &&
                many_claim_phase_(seen) != MANY_TICKET_OVER_;
    /* Listed before: who makes it OVER with NOTIFY set, and who then settles it, finds it there. Only what is
     * listed here is taken back here: one with a callback stays until that is called, and join waits for it. */
    listed = under_way && !future_flag(future, MANY_PROCESS_LISTED_);
    if (listed)
        many_process_list_(pool, future);
    while (under_way && !atomic_compare_exchange_weak_explicit(
                            &ticket->claim, &seen, seen | MANY_TICKET_NOTIFY_ | flags,
                            memory_order_acq_rel, memory_order_acquire))
        under_way = many_claim_phase_(seen) != MANY_TICKET_OVER_;
    if (!under_way && listed)
        future_unlist(pool, future);
    pthread_mutex_unlock(&pool->table->lock);
    return under_way;
}

static void future_watch(many_future *base)
{
    many_process_pool_ *pool = base->home;
    many_process_future_ *future = future_of(base);
    /* WATCHED is set before; where it is not, the future is about to be closed, and its task to be nobody's. */
    const int closing =
        (atomic_load_explicit(&base->state, memory_order_relaxed) & MANY_FUTURE_WATCHED_) == 0;

    if (future_flag(future, MANY_PROCESS_GUEST_))
        many_process_guest_watch_(pool, future, closing);
    else if (!many_process_notify_(pool, future, future->key, closing ? MANY_TICKET_DETACHED_ : 0))
        many_process_update_(base);
}

static int future_cancel(many_future *base)
{
    many_process_pool_ *pool = base->home;
    many_process_future_ *future = future_of(base);

    if (!many_ticket_cancel_(pool->table, future->key, MANY_VERDICT_CANCELLED_)) {
        many_process_update_(base);
        return 0;
    }
    atomic_fetch_add_explicit(&pool->table->roster->cancelled, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&pool->cancelled, 1, memory_order_relaxed);
    many_process_update_(base);
    return 1;
}

/* Its task is told; the ticket may be another's by now, whose attention has another generation. */
static void future_attend(const many_process_future_ *future)
{
    _Atomic uint32_t *attention = &future_ticket(future)->attention;
    uint32_t untold = many_attention_(future->key);

    (void)atomic_compare_exchange_strong_explicit(attention, &untold, untold | MANY_ATTENTION_STOP_,
                                                  memory_order_release, memory_order_relaxed);
}

static int future_terminate(many_future *base, int64_t grace_ns)
{
    const int64_t most_ns = (int64_t)UINT32_MAX * MANY_MILLISECOND_NS;
    const int64_t grace_ms =
        ((grace_ns < most_ns ? grace_ns : most_ns) + MANY_MILLISECOND_NS - 1) / MANY_MILLISECOND_NS;
    many_process_pool_ *pool = base->home;
    many_process_future_ *future = future_of(base);

    for (;;) {
        if (future_cancel(base))
            return 1;
        if (future_over(base) || many_process_gone_(future) < 0)
            return 0;
        atomic_store_explicit(&future_ticket(future)->grace_ms, (uint32_t)grace_ms,
                              memory_order_relaxed);
        if (many_ticket_ask_(pool->table, future->key))
            break;
        if (many_claim_phase_(future_claim(future)) >= MANY_TICKET_ASKED_ &&
            many_process_under_way_(pool, future->key))
            break; /* asked before: with another grace now */
    }
    MANY_FAULT_POINT("process.terminate.asked");
    future_attend(future);
    if (pool->worker)
        many_bell_ring_(pool->table->supervisor_bell);
    else
        many_supervision_ring_(&pool->supervision);
    return 1;
}

/* ---- what it is called, and why it failed ---- */

/* What the task was called by who submitted it; "": nothing. */
static const char *future_called(const many_process_future_ *future)
{
    const many_process_pool_ *pool = future->base.home;

    if (future_flag(future, MANY_PROCESS_GUEST_))
        return ((const many_process_guest_ *)future)->name;
    return (future_ticket(future)->flags & MANY_TICKET_COLD_) != 0
               ? many_table_cold_(pool->table, future->key)->name
               : "";
}

static void future_name(const many_future *base, char *text, size_t room)
{
    const many_process_future_ *future = (const many_process_future_ *)base;

    if (base->process != many_self_process_())
        snprintf(text, room, "task"); /* a forked child may have let go of the table */
    else if (future_called(future)[0] != '\0')
        snprintf(text, room, "%s", future_called(future));
    else
        snprintf(text, room, "task %llu",
                 (unsigned long long)(future_flag(future, MANY_PROCESS_GUEST_)
                                          ? ((const many_process_guest_ *)future)->serial
                                          : future_ticket(future)->serial));
}

void many_process_cause_(const many_process_future_ *future, uint64_t serial, many_cause *cause)
{
    const many_process_pool_ *pool = future->base.home;
    const int32_t code = future->base.code;

    memset(cause, 0, sizeof *cause);
    cause->item = serial;
    cause->code = code;
    cause->worker = -1;
    cause->exit_status = -1;
    cause->cancelled = code == -ECANCELED;
    cause->over_limit = code == -ETIMEDOUT;
    if (code == -MANY_EBROKEN)
        snprintf(cause->text, sizeof cause->text, "'%s' has no workers: %s", pool->base.name,
                 pool->table->head->broken_words);
    else
        many_failure_write_(cause,
                            &(many_failure_words_){.task = 1, .name = future_called(future)});
}

static void future_cause(many_future *base, many_cause *cause)
{
    const many_process_pool_ *pool = base->home;
    const many_process_future_ *future = future_of(base);
    const many_ticket_ *ticket = future_ticket(future);

    if (future_flag(future, MANY_PROCESS_GUEST_))
        *cause = ((const many_process_guest_ *)future)->cause;
    else if (ticket->failure != 0 && (ticket->flags & MANY_TICKET_BATCH_) == 0)
        *cause =
            ((const many_failure_ *)many_block_data_(many_table_at_(pool->table, ticket->failure)))
                ->cause;
    else /* nobody began it, or there was no memory to say more */
        many_process_cause_(future, ticket->serial, cause);
}

/*
 * Ids: tag of the pool (7 bits), generation, submitter, index; of the last two as many bits as the pool needs, so
 * that the generation has all of its own, but in a pool of thousands of workers.
 */
uint64_t many_process_id_(const many_process_pool_ *pool, uint64_t key)
{
    const uint32_t index_bits = many_process_index_bits_(pool);
    const uint32_t low_bits = index_bits + many_process_submitter_bits_(pool);
    const uint64_t generation =
        key >> (MANY_KEY_INDEX_BITS_ + MANY_KEY_SUBMITTER_BITS_) & MANY_KEY_GENERATIONS_;

    return (uint64_t)pool->table->head->tag << 57 |
           (generation << low_bits & ((UINT64_C(1) << 57) - 1)) |
           (uint64_t)many_key_submitter_(key) << index_bits | many_key_index_(key);
}

static uint64_t future_id(const many_future *base)
{
    return many_process_id_(base->home, ((const many_process_future_ *)base)->key);
}

static int future_bell(void *home)
{
    many_process_pool_ *pool = home;

    if (pool->worker)
        return -1;
    many_process_listen_(pool);
    return many_process_ears_(pool);
}

static void future_collect(void *home)
{
    many_process_collect_(home);
}

const many_future_engine_ many_process_engine_ = {
    .look = many_process_update_,
    .await = many_process_await_,
    .help = many_process_help_,
    .circle = many_process_circle_,
    .watch = future_watch,
    .cancel = future_cancel,
    .terminate = future_terminate,
    .cause = future_cause,
    .id = future_id,
    .name = future_name,
    .drop = future_drop,
    .bell = future_bell,
    .collect = future_collect,
    .callback_failed = many_pool_callback_failed_,
};
