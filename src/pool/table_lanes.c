/* SPDX-License-Identifier: MIT */
/*
 * table_lanes.c - the ready tickets of each submitter, by level; and where idle workers sleep
 *
 * Promise    A ticket that was published is found by whoever looks for work, as long as it is READY; first those
 *            that were put back after a death, then by level, and in a lane in order of submission.
 * Invariant  tail is the submitter's alone. head never passes a ticket that is READY and was put before it.
 * Death      of a claimer between the claim and its step of head: the next one finds a ticket that is not READY,
 *            and steps. Of a submitter between READY and the tail, or while it tidies: its successor, or who settles
 *            the death, looks at its tickets, not at its lanes. Of one who had cleared a mark: mend sets them.
 * Stopped    between the mark and the look behind it: a sleeper whose slice is over marks what is there.
 */
#include "pool/table.h"

#include <limits.h>

#include "base/fault.h"
#include "os/futex.h"

static uint64_t lane_word(uint64_t order, uint64_t position)
{
    return order << 56 | position;
}

static uint64_t lane_order(uint64_t word)
{
    return word >> 56;
}

static uint64_t lane_position(uint64_t word)
{
    return word & MANY_LANE_POSITIONS_;
}

static uint64_t lane_keys(uint64_t order)
{
    return UINT64_C(1) << (MANY_LANE_FIRST_ + order);
}

/* Where the ring of this order begins: behind the smaller ones. */
static uint64_t lane_ring(const many_region_ *region, int level, uint64_t order)
{
    return region->lanes_at + region->lane_bytes * (uint64_t)level +
           (lane_keys(order) - lane_keys(0)) * sizeof(uint64_t);
}

static _Atomic uint64_t *lane_slot(const many_table_ *table, const many_region_ *region, int level,
                                   uint64_t word)
{
    const uint64_t order = lane_order(word);
    _Atomic uint64_t *ring = many_table_at_(table, lane_ring(region, level, order));

    return &ring[lane_position(word) & (lane_keys(order) - 1)];
}

/* The first key, and *head where it was found; 0: there is none. Leaves rings that are empty for good. */
static uint64_t lane_first(many_table_ *table, many_region_ *region, int level, uint64_t *head)
{
    many_lane_ *lane = &region->lane[level];
    const int owners = region == table->region;
    uint64_t tail = owners ? table->tail_seen[level] : 0;

    *head = atomic_load_explicit(&lane->head, memory_order_acquire);
    if (lane_order(*head) == lane_order(tail) && lane_position(*head) < lane_position(tail))
        return atomic_load_explicit(lane_slot(table, region, level, *head), memory_order_relaxed);
    for (;;) {
        const uint64_t order = lane_order(*head);

        /* Pairs with the release in lane_put: the keys before it, and end of the rings before its own. */
        tail = atomic_load_explicit(&lane->tail, memory_order_acquire);
        if (owners)
            table->tail_seen[level] = tail;
        if (order == lane_order(tail)) {
            if (*head == tail)
                return 0;
        } else if (order < lane_order(tail) &&
                   lane_position(*head) ==
                       atomic_load_explicit(&lane->end[order], memory_order_relaxed)) {
            const uint64_t next = lane_word(order + 1, 0);

            if (atomic_compare_exchange_strong_explicit(&lane->head, head, next,
                                                        memory_order_acq_rel, memory_order_acquire))
                *head = next;
            continue;
        }
        return atomic_load_explicit(lane_slot(table, region, level, *head), memory_order_relaxed);
    }
}

static void lane_step(many_lane_ *lane, uint64_t head)
{
    /* One of those who saw this head steps. */
    (void)atomic_compare_exchange_strong_explicit(&lane->head, &head, head + 1,
                                                  memory_order_acq_rel, memory_order_relaxed);
}

static int lane_is_ready(const many_table_ *table, uint64_t key)
{
    const uint64_t claim =
        atomic_load_explicit(&many_table_ticket_(table, key)->claim, memory_order_relaxed);

    return many_claim_phase_(claim) == MANY_TICKET_READY_ && many_key_is_(key, claim);
}

/* ---- the submitter ---- */

static uint64_t lane_length(const many_lane_ *lane)
{
    const uint64_t head = atomic_load_explicit(&lane->head, memory_order_acquire);
    const uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_acquire);
    uint64_t length = lane_position(tail);

    if (lane_order(head) == lane_order(tail))
        return length > lane_position(head) ? length - lane_position(head) : 0;
    for (uint64_t order = lane_order(head); order < lane_order(tail); order++)
        length += atomic_load_explicit(&lane->end[order], memory_order_relaxed);
    /* In each ring positions begin at 0. */
    return length - lane_position(head);
}

/* Its own ring of tail is full: behind it lies head, or a whole ring. */
static int lane_full(const many_lane_ *lane)
{
    const uint64_t head = atomic_load_explicit(&lane->head, memory_order_acquire);
    const uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_relaxed);
    const uint64_t behind = lane_order(head) == lane_order(tail) ? lane_position(head) : 0;

    return lane_position(tail) - behind >= lane_keys(lane_order(tail));
}

static void lane_put(many_table_ *table, many_region_ *region, int level, uint64_t key)
{
    many_lane_ *lane = &region->lane[level];
    const uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_relaxed);

    atomic_store_explicit(lane_slot(table, region, level, tail), key, memory_order_relaxed);
    MANY_FAULT_POINT("lane.put.written");
    atomic_store_explicit(&lane->tail, tail + 1, memory_order_release);
}

/* Keys at the head that are not READY any more. */
static void lane_skip(many_table_ *table, many_region_ *region, int level)
{
    uint64_t head, key;

    while ((key = lane_first(table, region, level, &head)) != 0 && !lane_is_ready(table, key))
        lane_step(&region->lane[level], head);
}

/* Behind a fence that follows the tail: mark it, where it is not marked, and wake a worker. */
static void lane_announce(many_table_ *table, int level)
{
    many_rest_ *rest = &table->head->rest;
    _Atomic uint64_t *marks = &table->head->ready[table->submitter / 64].level[level];
    const uint64_t mark = UINT64_C(1) << table->submitter % 64;

    if ((atomic_load_explicit(marks, memory_order_relaxed) & mark) == 0)
        atomic_fetch_or_explicit(marks, mark, memory_order_seq_cst);
    if ((atomic_load_explicit(&rest->word, memory_order_relaxed) & 1) != 0 &&
        atomic_load_explicit(&rest->searcher, memory_order_relaxed) == 0)
        many_rest_wake_some_(rest);
}

/* A ready key is in no lane for a moment, in which a worker may find the lane empty, clear its mark, and fall
 * asleep: so what is left is announced like something new. */
static void lane_tidy(many_table_ *table, many_region_ *region, int level)
{
    uint64_t head, key;

    for (uint64_t left = lane_length(&region->lane[level]); left > 0; left--) {
        key = lane_first(table, region, level, &head);
        if (key == 0)
            break;
        lane_step(&region->lane[level], head);
        MANY_FAULT_POINT("lane.tidy.out");
        if (lane_is_ready(table, key) && !lane_full(&region->lane[level]))
            lane_put(table, region, level, key);
    }
    atomic_thread_fence(memory_order_seq_cst);
    if (lane_length(&region->lane[level]) > 0)
        lane_announce(table, level);
}

void many_lanes_tidy_(many_table_ *table)
{
    for (int level = 0; level < MANY_PRIORITIES_; level++)
        lane_tidy(table, &table->region[table->submitter], level);
}

uint64_t many_lanes_length_(const many_table_ *table, int submitter)
{
    uint64_t length = 0;

    for (int level = 0; level < MANY_PRIORITIES_; level++)
        length += lane_length(&table->region[submitter].lane[level]);
    return length;
}

/* Memory for the first ring is there from the first key on, for a larger one when it is begun. */
static int lane_reserve(many_table_ *table, int level)
{
    many_region_ *region = &table->region[table->submitter];
    many_lane_ *lane = &region->lane[level];
    uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_relaxed);
    uint64_t order = lane_order(tail), ring;

    if (tail == 0) {
        ring = lane_ring(region, level, 0);
        return many_table_grow_(table, ring, ring + lane_keys(0) * sizeof(uint64_t));
    }
    if (!lane_full(lane))
        return 0;
    lane_skip(table, region, level);
    if (!lane_full(lane))
        return 0;
    order++;
    ring = lane_ring(region, level, order);
    if (ring + lane_keys(order) * sizeof(uint64_t) >
        region->lanes_at + region->lane_bytes * (uint64_t)(level + 1)) {
        lane_tidy(table, region, level);
        return lane_full(lane) ? -ENOMEM : 0;
    }
    if (many_table_grow_(table, ring, ring + lane_keys(order) * sizeof(uint64_t)) < 0)
        return -ENOMEM;
    atomic_store_explicit(&lane->end[order - 1], lane_position(tail), memory_order_relaxed);
    MANY_FAULT_POINT("lane.longer.end");
    atomic_store_explicit(&lane->tail, lane_word(order, 0), memory_order_release);
    return 0;
}

int many_lane_reserve_(many_table_ *table, int level)
{
    const many_lane_ *lane = &table->region[table->submitter].lane[level];
    const uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_relaxed);
    uint64_t *seen = &table->head_seen[level];

    if (lane_position(tail) != 0 && lane_order(*seen) == lane_order(tail) &&
        lane_position(tail) - lane_position(*seen) < lane_keys(lane_order(tail)))
        return 0;
    *seen = atomic_load_explicit(&lane->head, memory_order_acquire);
    return lane_position(tail) != 0 && !lane_full(lane) ? 0 : lane_reserve(table, level);
}

void many_ticket_publish_(many_table_ *table, uint64_t key, int level, uint64_t flags)
{
    many_region_ *region = &table->region[table->submitter];
    many_ticket_ *ticket = many_table_ticket_(table, key);
    const uint32_t generation =
        many_claim_generation_(atomic_load_explicit(&ticket->claim, memory_order_relaxed));

    atomic_store_explicit(&region->last, key, memory_order_relaxed);
    /* Ours alone: a store does. Before READY, for who counts submissions and then looks at tickets. */
    atomic_store_explicit(&region->submits,
                          atomic_load_explicit(&region->submits, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    /* Release: all that is in the ticket and in its blocks; pairs with the claim. */
    atomic_store_explicit(&ticket->claim, many_claim_(MANY_TICKET_READY_, 0, generation) | flags,
                          memory_order_release);
    MANY_FAULT_POINT("ticket.publish.ready");
    lane_put(table, region, level, key);
    MANY_FAULT_POINT("ticket.publish.put");
    atomic_thread_fence(
        memory_order_seq_cst); /* pairs with those in work_ and of who goes to sleep */
    lane_announce(table, level);
}

int many_requeue_(many_table_ *table, uint64_t key)
{
    const int level =
        (int)(many_table_ticket_(table, key)->flags >> MANY_TICKET_LEVEL_ & 15) % MANY_PRIORITIES_;

    if (many_lane_reserve_(table, level) < 0)
        return -ENOMEM;
    lane_put(table, &table->region[table->submitter], level, key);
    MANY_FAULT_POINT("requeue.put");
    atomic_thread_fence(memory_order_seq_cst);
    lane_announce(table, level);
    return 0;
}

/* ---- the claimer ---- */

/* Who waits for room in the owner's lanes is woken as soon as there is some. */
static void lane_room(many_table_ *table)
{
    many_table_head_ *head = table->head;

    if (atomic_load_explicit(&head->room_wanted, memory_order_relaxed) == 0 ||
        many_lanes_length_(table, 0) >
            atomic_load_explicit(&head->room_below, memory_order_relaxed))
        return;
    if (atomic_exchange_explicit(&head->room_wanted, 0, memory_order_seq_cst) != 0)
        many_futex_wake_(&head->room_wanted, INT_MAX);
}

/* The ticket behind this one, which its submitter has just written, comes while this one runs. */
static void lane_foresee(many_table_ *table, const many_region_ *region, int level, uint64_t head)
{
    uint64_t key;

    if (region != table->region || head + 1 >= table->tail_seen[level])
        return;
    key = atomic_load_explicit(lane_slot(table, region, level, head + 1), memory_order_relaxed);
    if (key != 0) {
        const char *next = (const char *)many_table_ticket_(table, key);

        __builtin_prefetch(next, 1);
        __builtin_prefetch(next + 64, 1);
    }
}

static uint64_t lane_claim(many_table_ *table, int s, int level, int w, _Atomic uint64_t *intent)
{
    many_region_ *region = &table->region[s];
    many_lane_ *lane = &region->lane[level];
    uint64_t head, key;

    while ((key = lane_first(table, region, level, &head)) != 0) {
        many_ticket_ *ticket = many_table_ticket_(table, key);

        atomic_store_explicit(intent, key, memory_order_relaxed);
        if (many_ticket_claim_(ticket, key, w)) {
            MANY_FAULT_POINT("lane.claim.claimed");
            lane_step(lane, head);
            if (s == 0)
                lane_room(table);
            lane_foresee(table, region, level, head);
            return key;
        }
        lane_step(lane, head);
    }
    return 0;
}

static uint64_t lane_claim_level(many_table_ *table, int level, int w, _Atomic uint64_t *intent)
{
    const int submitters = table->head->submitters;
    const int own = w + 1;
    uint64_t key;

    /* Its own tasks' first, which are the innermost, then the owner's; then its neighbours', each beginning at
     * another. */
    for (int k = 0; k < submitters; k++) {
        const int s = k == 0                     ? own
                      : k == 1                   ? 0
                      : own + k - 1 < submitters ? own + k - 1
                                                 : own + k - submitters;
        const uint64_t marks =
            atomic_load_explicit(&table->head->ready[s / 64].level[level], memory_order_relaxed);

        if (k > 1 && marks == 0 && s % 64 == 0 && k + 63 < submitters && s + 63 < submitters) {
            k += 63;
            continue;
        }
        if ((marks >> s % 64 & 1) == 0)
            continue;
        key = lane_claim(table, s, level, w, intent);
        if (key != 0)
            return key;
    }
    return 0;
}

uint64_t many_table_claim_(many_table_ *table, int w, _Atomic uint64_t *intent)
{
    const int supervisor = table->head->submitters - 1;
    uint64_t key;

    for (int level = MANY_PRIORITIES_ - 1; level >= 0; level--) {
        const uint64_t marks = atomic_load_explicit(
            &table->head->ready[supervisor / 64].level[level], memory_order_relaxed);

        if ((marks >> supervisor % 64 & 1) == 0)
            continue;
        key = lane_claim(table, supervisor, level, w, intent);
        if (key != 0)
            return key;
    }
    for (int level = MANY_PRIORITIES_ - 1; level >= 0; level--) {
        key = lane_claim_level(table, level, w, intent);
        if (key != 0)
            return key;
    }
    return 0;
}

static int lane_empty(many_table_ *table, int s, int level)
{
    const many_lane_ *lane = &table->region[s].lane[level];

    return lane_length(lane) == 0;
}

int many_table_work_(many_table_ *table)
{
    const int submitters = table->head->submitters;

    for (int level = MANY_PRIORITIES_ - 1; level >= 0; level--)
        for (int group = 0; group * 64 < submitters; group++) {
            _Atomic uint64_t *marks = &table->head->ready[group].level[level];
            uint64_t seen = atomic_load_explicit(marks, memory_order_relaxed);

            for (; seen != 0; seen &= seen - 1) {
                const int bit = __builtin_ctzll(seen);

                if (!lane_empty(table, group * 64 + bit, level))
                    return 1;
                MANY_FAULT_POINT("lane.mark.empty");
                atomic_fetch_and_explicit(marks, ~(UINT64_C(1) << bit), memory_order_seq_cst);
                MANY_FAULT_POINT("lane.mark.cleared");
                /* Pairs with the fence in publish: either it sees the mark gone, or we its ticket. */
                atomic_thread_fence(memory_order_seq_cst);
                if (lane_empty(table, group * 64 + bit, level))
                    continue;
                atomic_fetch_or_explicit(marks, UINT64_C(1) << bit, memory_order_seq_cst);
                return 1;
            }
        }
    return 0;
}

static void lane_mark(many_table_ *table, int from, int until)
{
    for (int s = from; s < until && s < table->head->submitters; s++)
        for (int level = 0; level < MANY_PRIORITIES_; level++)
            if (!lane_empty(table, s, level))
                atomic_fetch_or_explicit(&table->head->ready[s / 64].level[level],
                                         UINT64_C(1) << s % 64, memory_order_seq_cst);
}

void many_table_remark_(many_table_ *table, uint32_t turn)
{
    const uint32_t groups = ((uint32_t)table->head->submitters + 63) / 64;
    const int from = (int)(turn % groups) * 64;

    lane_mark(table, from, from + 64);
}

/* ---- idle workers ---- */

void many_rest_wake_some_(many_rest_ *rest)
{
    uint32_t word = atomic_load_explicit(&rest->word, memory_order_relaxed);

    while ((word & 1) != 0)
        if (atomic_compare_exchange_weak_explicit(&rest->word, &word, word + 1,
                                                  memory_order_seq_cst, memory_order_relaxed)) {
            MANY_FAULT_POINT("rest.wake.cleared");
            many_futex_wake_(&rest->word, 1);
            return;
        }
}

void many_table_mend_(many_table_ *table, int w)
{
    many_table_head_ *head = table->head;
    uint32_t searcher = (uint32_t)w + 1;

    (void)atomic_compare_exchange_strong_explicit(&head->rest.searcher, &searcher, 0,
                                                  memory_order_seq_cst, memory_order_relaxed);
    lane_mark(table, 0, head->submitters);
    /* Whoever it was about to wake: the bit may be clear, so it is counted up in any case. */
    atomic_fetch_add_explicit(&head->rest.word, 2, memory_order_seq_cst);
    many_futex_wake_(&head->rest.word, INT_MAX);
}
