/* SPDX-License-Identifier: MIT */
/* record.c - range words and worker records; the protocol stands in record.h */
#include "map/record.h"

#include "base/fault.h"
#include "task/seat.h"

#define INTENT_BEGIN(intent) ((uint32_t)((intent) >> 32))
#define INTENT_TAG(intent)   ((uint32_t)(intent)&0xFFFF)

static uint64_t record_intent(uint32_t begin, uint32_t count, uint32_t done)
{
    return (uint64_t)begin << 32 | (uint64_t)(count & 0xFFFF) << 16 | (done & 0xFFFF);
}

uint32_t many_record_claim_(many_record_ *record, uint32_t most, uint32_t *begin)
{
    uint64_t word = atomic_load_explicit(&record->word, memory_order_acquire);
    uint32_t done = many_closed_done_(atomic_load_explicit(&record->closed, memory_order_relaxed));

    for (;;) {
        uint32_t first = many_range_begin_(word);
        uint32_t count = many_range_left_(word);

        if (count == 0) {
            /* An intent that came to nothing must not be taken for a claim once the word holds
             * another range. */
            atomic_store_explicit(&record->intent, 0, memory_order_relaxed);
            return 0;
        }
        if (count > most)
            count = most;
        /* What a death between here and the done-marks is judged by; before the claim, in this
         * order. */
        atomic_store_explicit(&record->state, many_state_(first, 0, MANY_BETWEEN_),
                              memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        atomic_store_explicit(&record->intent, record_intent(first, count, done),
                              memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        MANY_FAULT_POINT("intent");
        if (atomic_compare_exchange_weak_explicit(&record->word, &word,
                                                  many_range_(first + count, many_range_end_(word)),
                                                  memory_order_acq_rel, memory_order_acquire)) {
            MANY_FAULT_POINT("claim");
            *begin = first;
            return count;
        }
    }
}

int many_record_give_back_(many_record_ *record, uint32_t from, uint32_t chunk_end)
{
    uint64_t word = atomic_load_explicit(&record->word, memory_order_relaxed);

    for (;;) {
        uint32_t end = many_range_end_(word);

        /* Only what still borders on the word can go back: an emptied word may have been cut below.
         */
        if (many_range_begin_(word) != chunk_end || end < chunk_end)
            return 0;
        if (atomic_compare_exchange_weak_explicit(&record->word, &word, many_range_(from, end),
                                                  memory_order_acq_rel, memory_order_relaxed)) {
            MANY_FAULT_POINT("give-back");
            return 1;
        }
    }
}

int many_record_cut_(many_record_ *record, uint32_t *begin, uint32_t *end)
{
    uint64_t word = atomic_load_explicit(&record->word, memory_order_acquire);

    for (;;) {
        uint32_t left = many_range_left_(word);
        uint32_t middle = many_range_begin_(word) + left / 2;

        if (left == 0)
            return 0;
        *begin = middle;
        *end = many_range_end_(word);
        if (atomic_compare_exchange_weak_explicit(&record->word, &word,
                                                  many_range_(many_range_begin_(word), middle),
                                                  memory_order_acq_rel, memory_order_acquire))
            return 1;
    }
}

void many_record_fill_(many_record_ *record, uint32_t begin, uint32_t end)
{
    atomic_store_explicit(&record->word, many_range_(begin, end), memory_order_release);
}

int many_record_open_chunk_(const many_record_ *record, uint32_t *begin, uint32_t *end)
{
    uint64_t intent = atomic_load_explicit(&record->intent, memory_order_acquire);
    uint64_t word = atomic_load_explicit(&record->word, memory_order_acquire);
    uint64_t closed = atomic_load_explicit(&record->closed, memory_order_acquire);

    if (intent == 0 || INTENT_TAG(intent) != (many_closed_done_(closed) & 0xFFFF))
        return 0;
    *begin = INTENT_BEGIN(intent);
    *end = many_range_begin_(word);
    return *end > *begin;
}

int many_record_condemned_(const many_record_ *record)
{
    uint64_t state = atomic_load_explicit(&record->state, memory_order_relaxed);

    return (state & MANY_PHASES_) == MANY_CONDEMNED_;
}

uint32_t many_record_ahead_(const many_record_ *record)
{
    uint32_t item = many_state_item_(atomic_load_explicit(&record->state, memory_order_relaxed));
    uint32_t begin, end;

    if (!many_record_open_chunk_(record, &begin, &end) || item >= end)
        return 0;
    return end - (item < begin ? begin : item) - 1;
}

uint32_t many_record_progress_(const many_record_ *record)
{
    uint64_t closed = atomic_load_explicit(&record->closed, memory_order_relaxed);
    uint64_t state = atomic_load_explicit(&record->state, memory_order_relaxed);
    uint32_t begin, end, item = many_state_item_(state);

    /* Read while the owner runs on: each word is whole, their sum may be a chunk off for a moment.
     */
    if (many_record_open_chunk_(record, &begin, &end) && item >= begin && item <= end)
        return many_closed_done_(closed) + (item - begin);
    return many_closed_done_(closed);
}

void many_record_fail_(many_record_ *record, uint32_t count)
{
    uint32_t failures = atomic_load_explicit(&record->failures, memory_order_relaxed);

    atomic_store_explicit(&record->failures, failures + count, memory_order_relaxed);
    /* With the fence in many_record_failures_(): who sees the state that comes next, sees this. */
    atomic_thread_fence(memory_order_release);
}

uint32_t many_record_failures_(const many_record_ *record)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&record->failures, memory_order_relaxed);
}
