/* SPDX-License-Identifier: MIT */
/*
 * process_guest.c - futures by their ids: many_future_from_id()
 *
 * A guest looks at another submitter's ticket, which may be freed at any moment, and used again. So it copies the
 * outcome, and then looks whether the claim word is still the one it was: generation and all (a seqlock whose
 * version is the generation). What it copied before that is believed only then; nothing that it reads is outside
 * the table.
 */
#include <stdlib.h>
#include <string.h>

#include "os/local.h"
#include "os/self.h"
#include "pool/process_pool.h"
#include "process/own.h"

/* How the result in claim's generation looks, copied; 1; 0: it has gone meanwhile. */
static int guest_copy(many_process_pool_ *pool, many_process_guest_ *guest, uint64_t claim,
                      uint32_t *phase)
{
    const many_table_ *table = pool->table;
    many_process_future_ *future = &guest->future;
    many_ticket_ *ticket = many_table_ticket_(table, future->key);
    const uint64_t end = table->head->bytes, bytes = ticket->result_bytes;
    const uint64_t failure = ticket->failure, result = ticket->result;
    const int inside = bytes < end && result < end - bytes - sizeof(many_block_);
    void *copy = NULL;

    /* Now, too: what is one's length and another's place may be more than there is memory for. */
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&ticket->claim, memory_order_relaxed) != claim)
        return 0;
    *phase = many_process_outcome_(claim, ticket->code, &future->base.code);
    memset(&guest->cause, 0, sizeof guest->cause);
    if (*phase == MANY_FUTURE_DONE_ && bytes > 0 && inside) {
        copy = malloc(bytes);
        if (copy != NULL && result != 0)
            memcpy(copy, many_block_data_(many_table_at_(table, result)), bytes);
        else if (copy != NULL && bytes <= sizeof ticket->result_inline)
            memcpy(copy, ticket->result_inline, bytes);
    }
    if (*phase != MANY_FUTURE_DONE_ && failure != 0 &&
        failure < end - sizeof(many_failure_) - sizeof(many_block_))
        guest->cause =
            ((const many_failure_ *)many_block_data_(many_table_at_(table, failure)))->cause;
    atomic_thread_fence(memory_order_acquire); /* the copies come before the second look */
    if (atomic_load_explicit(&ticket->claim, memory_order_relaxed) != claim) {
        free(copy);
        return 0;
    }
    if (*phase == MANY_FUTURE_DONE_ && bytes > 0 && copy == NULL) {
        *phase = MANY_FUTURE_FAILED_;
        future->base.code = -ENOMEM;
    }
    future->base.result = copy;
    future->base.result_bytes = *phase == MANY_FUTURE_DONE_ ? (size_t)bytes : 0;
    return 1;
}

static void guest_say(many_process_guest_ *guest, uint32_t phase)
{
    if (phase != MANY_FUTURE_DONE_ && guest->cause.text[0] == '\0')
        many_process_cause_(&guest->future, guest->serial, &guest->cause);
}

static int guest_turn(many_process_future_ *future)
{
    uint64_t turn = future->key;

    return atomic_compare_exchange_strong_explicit(&future->turn, &turn,
                                                   future->key & ~MANY_KEY_FULL_,
                                                   memory_order_acq_rel, memory_order_relaxed);
}

static int guest_over(const many_process_pool_ *pool, const many_process_future_ *future, int gone)
{
    const uint64_t claim = atomic_load_explicit(
        &many_table_ticket_(pool->table, future->key)->claim, memory_order_acquire);

    return many_key_is_(future->key, claim) ? many_claim_phase_(claim) == MANY_TICKET_OVER_ : gone;
}

/* Its turn was taken. unknown: the code where it is not to be known any more how it ended; 0: leave it then. */
static void guest_end(many_process_pool_ *pool, many_process_future_ *future, int unknown)
{
    const uint64_t claim = atomic_load_explicit(
        &many_table_ticket_(pool->table, future->key)->claim, memory_order_acquire);
    uint32_t phase;

    if (!many_key_is_(future->key, claim) || many_claim_phase_(claim) != MANY_TICKET_OVER_ ||
        !guest_copy(pool, (many_process_guest_ *)future, claim, &phase)) {
        if (unknown == 0) {
            atomic_store_explicit(&future->turn, future->key, memory_order_release);
            return;
        }
        future->base.code = unknown;
        phase = unknown == -ECANCELED ? MANY_FUTURE_CANCELLED_ : MANY_FUTURE_FAILED_;
    }
    guest_say((many_process_guest_ *)future, phase);
    many_process_end_(pool, future, phase);
}

void many_process_guest_look_(many_process_pool_ *pool, many_process_future_ *future)
{
    if (guest_over(pool, future, 0) && guest_turn(future))
        guest_end(pool, future, 0);
}

void many_process_guest_watch_(many_process_pool_ *pool, many_process_future_ *future, int closing)
{
    many_process_guest_ *guest = (many_process_guest_ *)future;

    if (closing) {
        /* It ends for those who wait for this handle, of whom there are none. */
        if (guest_turn(future))
            guest_end(pool, future, -ECANCELED);
        return;
    }
    pthread_mutex_lock(&pool->table->lock);
    if (guest->before == NULL) {
        guest->next = pool->guests;
        guest->before = &pool->guests;
        if (guest->next != NULL)
            guest->next->before = &guest->next;
        pool->guests = guest;
    }
    pthread_mutex_unlock(&pool->table->lock);
}

static void guest_unlist(many_process_guest_ *guest)
{
    if (guest->before == NULL)
        return;
    *guest->before = guest->next;
    if (guest->next != NULL)
        guest->next->before = guest->before;
    guest->before = NULL;
}

void many_process_guest_free_(many_process_pool_ *pool, many_process_future_ *future)
{
    many_process_guest_ *guest = (many_process_guest_ *)future;

    pthread_mutex_lock(&pool->table->lock);
    guest_unlist(guest);
    pthread_mutex_unlock(&pool->table->lock);
    free(future->base.result);
    free(guest);
}

void many_process_guests_look_(many_process_pool_ *pool)
{
    many_process_guest_ *guest;

    do {
        pthread_mutex_lock(&pool->table->lock);
        /* Who has its turn keeps it alive: it is not over, and so not freed, before he ends it. */
        for (guest = pool->guests; guest != NULL; guest = guest->next)
            if (guest_over(pool, &guest->future, 1) && guest_turn(&guest->future))
                break;
        if (guest != NULL)
            guest_unlist(guest);
        pthread_mutex_unlock(&pool->table->lock);
        if (guest != NULL)
            guest_end(pool, &guest->future, -ENOENT);
    } while (guest != NULL);
}

/* ---- the pools of this process ---- */

typedef struct guest_pools {
    pthread_mutex_t lock;
    many_process_pool_ *first;
} guest_pools;

static void guest_pools_begin(void *memory)
{
    guest_pools *pools = memory;

    pthread_mutex_init(&pools->lock, NULL);
    pools->first = NULL;
}

static guest_pools *guest_pools_of(void)
{
    static guest_pools pools;

    return many_own_(MANY_OWN_POOLS_, &pools, guest_pools_begin);
}

void many_process_enlist_(many_process_pool_ *pool)
{
    guest_pools *pools = guest_pools_of();

    pthread_mutex_lock(&pools->lock);
    pool->before = NULL;
    pool->next = pools->first;
    if (pool->next != NULL)
        pool->next->before = pool;
    pools->first = pool;
    pthread_mutex_unlock(&pools->lock);
}

void many_process_delist_(many_process_pool_ *pool)
{
    guest_pools *pools = guest_pools_of();

    pthread_mutex_lock(&pools->lock);
    if (pool->before != NULL)
        pool->before->next = pool->next;
    else if (pools->first == pool)
        pools->first = pool->next;
    if (pool->next != NULL)
        pool->next->before = pool->before;
    pool->before = pool->next = NULL;
    pthread_mutex_unlock(&pools->lock);
}

/* The key that id stands for in this pool; 0: none. */
static uint64_t guest_key(const many_process_pool_ *pool, uint64_t id)
{
    const uint32_t index_bits = many_process_index_bits_(pool);
    const uint32_t submitter_bits = many_process_submitter_bits_(pool);
    const uint32_t index = (uint32_t)(id & ((UINT64_C(1) << index_bits) - 1));
    const int submitter = (int)(id >> index_bits & ((UINT64_C(1) << submitter_bits) - 1));
    uint64_t key, claim;

    if (id >> 57 != pool->table->head->tag || submitter >= pool->table->head->submitters ||
        index >= atomic_load_explicit(&pool->table->region[submitter].fresh, memory_order_acquire))
        return 0;
    key = many_key_(submitter, index, 0);
    claim =
        atomic_load_explicit(&many_table_ticket_(pool->table, key)->claim, memory_order_acquire);
    key = many_key_(submitter, index, many_claim_generation_(claim));
    return many_claim_phase_(claim) != MANY_TICKET_FREE_ && many_process_id_(pool, key) == id ? key
                                                                                              : 0;
}

static int guest_begin(many_process_pool_ *pool, uint64_t key, many_future **future)
{
    many_process_guest_ *guest = calloc(1, sizeof *guest);
    const many_ticket_ *ticket = many_table_ticket_(pool->table, key);
    uint32_t references = atomic_load_explicit(&pool->base.references, memory_order_relaxed);

    if (guest == NULL)
        return -ENOMEM;
    /* The last reference may just be let go of: then the pool only waits for the lock that we hold. */
    do {
        if (references == 0) {
            free(guest);
            return -ENOENT;
        }
    } while (!atomic_compare_exchange_weak_explicit(&pool->base.references, &references,
                                                    references + 1, memory_order_acquire,
                                                    memory_order_relaxed));
    if ((ticket->flags & MANY_TICKET_COLD_) != 0)
        memcpy(guest->name, many_table_cold_(pool->table, key)->name, sizeof guest->name - 1);
    guest->serial = ticket->serial;
    guest->future.key = key;
    atomic_init(&guest->future.flags, MANY_PROCESS_GUEST_);
    many_future_begin_(&guest->future.base, &many_process_engine_, pool);
    atomic_init(&guest->future.turn, key);
    *future = &guest->future.base;
    return 0;
}

int many_future_from_id(many_future **future, uint64_t id)
{
    static const char function[] = "many_future_from_id";
    guest_pools *pools = guest_pools_of();
    int code = -ENOENT;

    if (future == NULL)
        return many_fail(-EINVAL, "%s: future is NULL", function);
    *future = NULL;
    pthread_mutex_lock(&pools->lock);
    for (many_process_pool_ *pool = pools->first; pool != NULL && code == -ENOENT;
         pool = pool->next) {
        const uint64_t key = guest_key(pool, id);

        if (key != 0)
            code = guest_begin(pool, key, future);
    }
    pthread_mutex_unlock(&pools->lock);
    if (code == -ENOENT)
        many_fail(code, "%s: there is no open future of this id here", function);
    if (code == -ENOMEM)
        many_fail(code, "%s: no memory for the future", function);
    return code;
}
