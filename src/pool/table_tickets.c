/* SPDX-License-Identifier: MIT */
/* table_tickets.c - tickets taken, ended and freed, and who is told of it; see table.h */
#include <limits.h>

#include "base/fault.h"
#include "os/futex.h"
#include "os/stream.h"
#include "pool/table.h"
#include "sync/wait.h"

/* Memory for so many tickets at a time: 16 at first, then a quarter of what there is. */
#define TICKETS_STEP_FIRST 128U
#define TICKETS_STEP_MOST  4096U

#define TICKET_CLAIMANT UINT64_C(0xffff0000)

static int tickets_grow(many_table_ *table, many_region_ *region, uint32_t index)
{
    const uint32_t grown = atomic_load_explicit(&region->grown, memory_order_relaxed);
    uint32_t step = grown / 4;
    uint64_t from, to;

    if (index < grown)
        return 0;
    step = step < TICKETS_STEP_FIRST  ? TICKETS_STEP_FIRST
           : step > TICKETS_STEP_MOST ? TICKETS_STEP_MOST
                                      : step;
    if (step > region->capacity - grown)
        step = region->capacity - grown;
    from = region->tickets + (uint64_t)grown * sizeof(many_ticket_);
    to = from + (uint64_t)step * sizeof(many_ticket_);
    if (many_table_grow_(table, from, to) < 0)
        return -ENOMEM;
    atomic_store_explicit(&region->grown, grown + step, memory_order_release);
    return 0;
}

uint64_t many_ticket_take_(many_table_ *table)
{
    many_region_ *region = &table->region[table->submitter];
    many_ticket_ *ticket = many_table_at_(table, region->tickets);
    uint32_t index;

    if (table->free != 0) {
        index = table->free - 1;
        table->free = (uint32_t)ticket[index].serial;
        /* The next one's lines, which the worker that had it has written last, come while this one is filled. */
        if (table->free != 0) {
            __builtin_prefetch(&ticket[table->free - 1], 1);
            __builtin_prefetch((char *)&ticket[table->free - 1] + 64, 1);
        }
    } else {
        index = atomic_load_explicit(&region->fresh, memory_order_relaxed);
        if (index >= region->capacity || tickets_grow(table, region, index) < 0)
            return 0;
        /* Release: whoever looks at all tickets finds memory below it. */
        atomic_store_explicit(&region->fresh, index + 1, memory_order_release);
    }
    MANY_FAULT_POINT("ticket.take.taken");
    return many_key_(
        table->submitter, index,
        many_claim_generation_(atomic_load_explicit(&ticket[index].claim, memory_order_relaxed)));
}

void many_ticket_free_(many_table_ *table, uint64_t key)
{
    many_ticket_ *ticket = many_table_ticket_(table, key);
    const uint32_t generation =
        many_claim_generation_(atomic_load_explicit(&ticket->claim, memory_order_relaxed));

    ticket->serial = table->free;
    /* OVER or ours: nobody else changes it. Release: who still reads the ticket by its key looks at the
     * generation again after it. */
    atomic_store_explicit(&ticket->claim, many_claim_(MANY_TICKET_FREE_, 0, generation + 1),
                          memory_order_release);
    MANY_FAULT_POINT("ticket.free.freed");
    table->free = many_key_index_(key) + 1;
}

int many_ticket_need_cold_(many_table_ *table, uint64_t key)
{
    many_region_ *region = &table->region[table->submitter];
    const uint32_t grown = atomic_load_explicit(&region->cold_grown, memory_order_relaxed);
    uint32_t until = many_key_index_(key) + 1;

    if (until <= grown)
        return 0;
    if (until < grown + TICKETS_STEP_FIRST / 2)
        until = grown + TICKETS_STEP_FIRST / 2;
    if (until > region->capacity)
        until = region->capacity;
    if (many_table_grow_(table, region->cold + (uint64_t)grown * sizeof(many_cold_),
                         region->cold + (uint64_t)until * sizeof(many_cold_)) < 0)
        return -ENOMEM;
    atomic_store_explicit(&region->cold_grown, until, memory_order_release);
    return 0;
}

/* ---- changes of the claim word ---- */

int many_ticket_end_(many_table_ *table, uint64_t key)
{
    many_ticket_ *ticket = many_table_ticket_(table, key);
    uint64_t seen = atomic_load_explicit(&ticket->claim, memory_order_relaxed);

    for (;;) {
        const uint64_t over =
            (seen & ~(MANY_TICKET_PHASES_ | MANY_TICKET_SLEEPERS_ | TICKET_CLAIMANT)) |
            MANY_TICKET_OVER_;

        if (many_claim_phase_(seen) != MANY_TICKET_CLAIMED_ &&
            many_claim_phase_(seen) != MANY_TICKET_ASKED_)
            return 0;
        if (atomic_compare_exchange_weak_explicit(&ticket->claim, &seen, over, memory_order_acq_rel,
                                                  memory_order_relaxed))
            break;
    }
    MANY_FAULT_POINT("ticket.end.over");
    if ((seen & (MANY_TICKET_SLEEPERS_ | MANY_TICKET_NOTIFY_)) != 0)
        many_ticket_tell_(table, key, seen);
    return 1;
}

/* From one of these phases to phase, flags cleared and set. 1, and *before; 0: it is in none of them. w: only if
 * it is w's; -1: whoever's. */
static int ticket_change(many_ticket_ *ticket, uint64_t key, uint32_t from, int w, uint64_t clear,
                         uint64_t set, uint64_t *before)
{
    uint64_t seen = atomic_load_explicit(&ticket->claim, memory_order_acquire);

    do {
        *before = seen;
        if (!many_key_is_(key, seen) || (from >> many_claim_phase_(seen) & 1) == 0 ||
            (w >= 0 && many_claim_worker_(seen) != w))
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&ticket->claim, &seen,
                                                    (seen & ~(clear | MANY_TICKET_PHASES_)) | set,
                                                    memory_order_acq_rel, memory_order_acquire));
    return 1;
}

int many_ticket_settle_(many_table_ *table, uint64_t key, uint32_t from, uint64_t verdict)
{
    uint64_t before;

    if (!ticket_change(many_table_ticket_(table, key), key, from, -1,
                       MANY_TICKET_SLEEPERS_ | TICKET_CLAIMANT |
                           (verdict != 0 ? MANY_VERDICTS_ : 0),
                       MANY_TICKET_OVER_ | verdict, &before))
        return 0;
    MANY_FAULT_POINT("ticket.settle.over");
    many_ticket_tell_(table, key, before);
    return 1;
}

int many_ticket_ask_(many_table_ *table, uint64_t key)
{
    uint64_t before;

    return ticket_change(many_table_ticket_(table, key), key, 1U << MANY_TICKET_CLAIMED_, -1,
                         MANY_VERDICTS_, MANY_TICKET_ASKED_ | MANY_VERDICT_CANCELLED_, &before);
}

int many_ticket_condemn_(many_table_ *table, uint64_t key, int w, uint64_t verdict)
{
    many_ticket_ *ticket = many_table_ticket_(table, key);
    uint64_t before;

    return ticket_change(ticket, key, 1U << MANY_TICKET_CLAIMED_, w, MANY_VERDICTS_,
                         MANY_TICKET_CONDEMNED_ | verdict, &before) ||
           ticket_change(ticket, key, 1U << MANY_TICKET_ASKED_, w, 0, MANY_TICKET_CONDEMNED_,
                         &before);
}

int many_ticket_spare_(many_table_ *table, uint64_t key, int w, uint64_t verdict)
{
    many_ticket_ *ticket = many_table_ticket_(table, key);
    uint64_t before = atomic_load_explicit(&ticket->claim, memory_order_relaxed);

    /* One that was ASKED is to end in any case. */
    return (before & MANY_VERDICTS_) == verdict &&
           ticket_change(ticket, key, 1U << MANY_TICKET_CONDEMNED_, w, MANY_VERDICTS_,
                         MANY_TICKET_CLAIMED_, &before);
}

int many_ticket_put_back_(many_table_ *table, uint64_t key, int w)
{
    uint64_t before;

    return ticket_change(many_table_ticket_(table, key), key, 1U << MANY_TICKET_CLAIMED_, w,
                         TICKET_CLAIMANT, MANY_TICKET_READY_, &before);
}

/* ---- news ---- */

static _Atomic uint64_t *news_slot(many_table_ *table, const many_region_ *region,
                                   uint64_t position)
{
    _Atomic uint64_t *slots = many_table_at_(table, region->news_at);

    return &slots[position % region->news_slots];
}

/* 1; 0: there is no room. */
static int news_put(many_table_ *table, many_region_ *region, uint64_t key)
{
    many_news_ *news = &region->news;

    for (;;) {
        uint64_t tail = atomic_load_explicit(&news->tail, memory_order_acquire);
        _Atomic uint64_t *slot = news_slot(table, region, tail);
        uint64_t seen;

        MANY_FAULT_POINT("news.put.tail");
        seen = atomic_load_explicit(slot, memory_order_acquire);
        const uint64_t empty = tail / region->news_slots;

        if (seen == empty) {
            /* Release: who takes it sees that the ticket is over. */
            if (!atomic_compare_exchange_strong_explicit(slot, &seen, key, memory_order_acq_rel,
                                                         memory_order_relaxed))
                continue;
            MANY_FAULT_POINT("news.put.filled");
            (void)atomic_compare_exchange_strong_explicit(
                &news->tail, &tail, tail + 1, memory_order_acq_rel, memory_order_relaxed);
            return 1;
        }
        /* Signed: a tail that was read long ago may be behind the head by now, and is read anew. */
        if ((seen & MANY_KEY_FULL_) != 0 &&
            (int64_t)(tail - atomic_load_explicit(&news->head, memory_order_acquire)) >=
                (int64_t)region->news_slots)
            return 0;
        /* Filled at this position, or emptied since: the tail lags behind. */
        (void)atomic_compare_exchange_strong_explicit(&news->tail, &tail, tail + 1,
                                                      memory_order_acq_rel, memory_order_relaxed);
    }
}

uint64_t many_news_take_(many_table_ *table)
{
    many_region_ *region = &table->region[table->submitter];
    uint64_t head = atomic_load_explicit(&region->news.head, memory_order_relaxed);
    _Atomic uint64_t *slot = news_slot(table, region, head);
    uint64_t key = atomic_load_explicit(slot, memory_order_acquire);

    /* Emptied by a predecessor who was killed before it moved the head. */
    if (key == head / region->news_slots + 1) {
        head++;
        slot = news_slot(table, region, head);
        key = atomic_load_explicit(slot, memory_order_acquire);
    }
    if ((key & MANY_KEY_FULL_) == 0)
        return 0;
    atomic_store_explicit(slot, head / region->news_slots + 1, memory_order_release);
    MANY_FAULT_POINT("news.take.emptied");
    atomic_store_explicit(&region->news.head, head + 1, memory_order_release);
    return key;
}

/* Behind the news, or scan: the owner's bell, if it listens. */
static void news_ring(many_table_ *table, many_region_ *region)
{
    atomic_thread_fence(memory_order_seq_cst); /* pairs with the one of who begins to listen */
    if (region == &table->region[0] &&
        atomic_load_explicit(&region->news.listens, memory_order_relaxed) != 0 &&
        atomic_exchange_explicit(&region->news.listens, 0, memory_order_seq_cst) != 0)
        many_bell_ring_(table->owner_bell);
}

void many_news_lost_(many_table_ *table, int submitter)
{
    many_region_ *region = &table->region[submitter];

    atomic_store_explicit(&region->news.scan, 1, memory_order_seq_cst);
    news_ring(table, region);
}

void many_ticket_tell_(many_table_ *table, uint64_t key, uint64_t claim)
{
    many_region_ *region = &table->region[many_key_submitter_(key)];

    /* The ticket may be another's by now: then somebody wakes for nothing. */
    if ((claim & MANY_TICKET_SLEEPERS_) != 0)
        many_futex_wake_(many_wait_half_((uint64_t *)&many_table_ticket_(table, key)->claim),
                         INT_MAX);
    if ((claim & MANY_TICKET_NOTIFY_) == 0)
        return;
    MANY_FAULT_POINT("ticket.tell.news");
    if (!news_put(table, region, key))
        atomic_store_explicit(&region->news.scan, 1, memory_order_seq_cst);
    news_ring(table, region);
}
