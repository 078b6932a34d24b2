/* SPDX-License-Identifier: MIT */
/* slots.c - the worker's side of a window of slots; the protocol stands in slots.h */
#include "map/slots.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/stream.h"
#include "map/run.h"
#include "task/cause.h"

/* A worker that finds nothing looks on for so long before it sleeps. */
#define SLOTS_SPIN_NS (20 * MANY_MICROSECOND_NS)

/* How often a sleeping worker process sees for itself that its parent lives; see shared_map.c. */
#define SLOTS_ORPHAN_NS MANY_SECOND_NS

static size_t slots_align(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

int many_slots_open_(many_slots_ *slots, const many_call_ *call, uint32_t window, int bell)
{
    const size_t page = many_memory_page_();
    const size_t item_bytes = call->option.next != NULL ? call->in_bytes : 0;
    size_t records, status, first;

    memset(slots, 0, sizeof *slots);
    slots->call = call;
    slots->window = window;
    slots->bell = bell;
    slots->parent = getpid();
    slots->result_at = slots_align(offsetof(many_slot_, item) + item_bytes, 64);
    slots->cause_at = slots_align(slots->result_at + call->out_bytes, 16);
    slots->stride = slots_align(slots->cause_at + sizeof(many_cause), 64);
    records = slots_align(sizeof(many_slots_head_), MANY_CACHE_LINE);
    status = slots_align(records + (size_t)call->workers * sizeof(many_record_), MANY_CACHE_LINE);
    first = slots_align(status + window * sizeof(_Atomic uint32_t), page);
    if (slots->stride > (SIZE_MAX / 2 - first) / window)
        return many_fail(-ENOMEM, "%s: %u slots of %zu bytes do not fit into memory: less .window",
                         call->function, window, slots->stride);
    slots->bytes = first + slots->stride * window;
    if (many_memory_map_shared_(&slots->memory, slots->bytes) < 0)
        return many_fail(-ENOMEM, "%s: no memory for %u slots (%zu bytes): less .window",
                         call->function, window, slots->bytes);
    slots->head = slots->memory;
    slots->records = (many_record_ *)((char *)slots->memory + records);
    slots->status = (_Atomic uint32_t *)((char *)slots->memory + status);
    slots->slots = (char *)slots->memory + first;
    return 0;
}

void many_slots_close_(many_slots_ *slots)
{
    many_memory_unmap_(slots->memory, slots->bytes);
    slots->memory = NULL;
}

many_slot_ *many_slot_at_(const many_slots_ *slots, uint32_t s)
{
    return (many_slot_ *)(slots->slots + s * slots->stride);
}

void *many_slot_result_(const many_slots_ *slots, uint32_t s)
{
    return slots->call->out_bytes > 0 ? slots->slots + s * slots->stride + slots->result_at : NULL;
}

many_cause *many_slot_cause_(const many_slots_ *slots, uint32_t s)
{
    return (many_cause *)(slots->slots + s * slots->stride + slots->cause_at);
}

int64_t many_slots_claimed_by_(const many_slots_ *slots, int w)
{
    for (uint32_t s = 0; s < slots->window; s++)
        if (atomic_load_explicit(&slots->status[s], memory_order_acquire) ==
            MANY_SLOT_CLAIMED_ + (uint32_t)w)
            return s;
    return -1;
}

void many_slots_nudge_(many_slots_ *slots)
{
    atomic_fetch_add_explicit(&slots->head->news, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&slots->head->sleepers, memory_order_seq_cst) > 0)
        many_futex_wake_(&slots->head->news, 1);
}

void many_slots_publish_(many_slots_ *slots, uint32_t s)
{
    atomic_store_explicit(&slots->status[s], MANY_SLOT_READY_, memory_order_release);
    many_slots_nudge_(slots);
}

void many_slots_finish_(many_slots_ *slots)
{
    atomic_store_explicit(&slots->head->closed, 1, memory_order_release);
    atomic_fetch_add_explicit(&slots->head->news, 1, memory_order_seq_cst);
    many_futex_wake_(&slots->head->news, INT_MAX);
}

static int slots_are_over(const many_slots_ *slots)
{
    return (atomic_load_explicit(&slots->head->attention, memory_order_acquire) &
            MANY_ATTENTION_STOP_) != 0 ||
           (!slots->call->processes && many_cancel_is_set(slots->call->option.cancel));
}

/* A ready slot, now ours; -1 if there is none. Oldest first, but for those that are tried again. */
static int64_t slots_claim(many_slots_ *slots, many_record_ *record, int w)
{
    uint32_t from = atomic_load_explicit(&slots->head->claim_from, memory_order_relaxed);
    int looked_again = 0;

    atomic_store_explicit(&record->state, many_state_(0, 0, MANY_BETWEEN_), memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    for (uint32_t k = 0; k < slots->window; k++) {
        uint32_t s = (from + k) % slots->window;
        uint32_t ready = MANY_SLOT_READY_;

        /* Acquire: who sees this slot filled, sees those filled that were before it. */
        if (atomic_load_explicit(&slots->status[s], memory_order_acquire) != MANY_SLOT_READY_)
            continue;
        if (k > 0 && !looked_again) {
            /* Those that we have passed may have been filled since, and are older. */
            looked_again = 1;
            k = UINT32_MAX; /* from the first one again */
            continue;
        }
        MANY_FAULT_POINT("intent");
        if (!atomic_compare_exchange_strong_explicit(&slots->status[s], &ready,
                                                     MANY_SLOT_CLAIMED_ + (uint32_t)w,
                                                     memory_order_acq_rel, memory_order_relaxed))
            continue;
        MANY_FAULT_POINT("claim");
        atomic_store_explicit(&slots->head->claim_from, (s + 1) % slots->window,
                              memory_order_relaxed);
        return s;
    }
    return -1;
}

/* Ring for the supervisor if it is as drowsy as this, or more. */
static void slots_ring(many_slots_ *slots, uint32_t drowsy)
{
    uint32_t seen = atomic_load_explicit(&slots->head->supervisor, memory_order_seq_cst);

    if (seen < drowsy ||
        !atomic_compare_exchange_strong(&slots->head->supervisor, &seen, MANY_AWAKE_))
        return;
    /* A task that closed the bell: the worker's end is seen without it. */
    if (many_bell_ring_(slots->bell) < 0 && slots->call->processes)
        many_child_exit_(0);
}

static void slots_run(many_slots_ *slots, many_record_ *record, int w, uint32_t s)
{
    const many_call_ *call = slots->call;
    many_slot_ *slot = many_slot_at_(slots, s);
    const void *zip[MANY_INPUTS_MOST_];
    const void *item = call->option.next != NULL ? slot->item : many_call_item_(call, slot->index);
    int64_t begun;
    uint32_t tries;
    int code, stop;

    if (call->option.inputs != NULL) {
        many_call_zip_(call, slot->index, zip);
        item = zip;
    }
    atomic_store_explicit(&record->slot_index, slot->index, memory_order_relaxed);
    begun = many_clock_ns_();
    atomic_store_explicit(&record->chunk_ns, begun, memory_order_relaxed);
    /* By its index, not by its slot: the next item in the slot must not look like this one. */
    code = many_run_one_(call, record, &slots->head->attention, item, many_slot_result_(slots, s),
                         (uint32_t)slot->index, slot->tries, &tries);
    slot->cancelled = slots_are_over(slots) ? 1 : 0; /* it may have cut itself short */
    if (slot->cancelled)
        code = -ECANCELED;
    slot->code = code;
    slot->tries = tries;
    if (code != 0) {
        many_cause *cause = many_slot_cause_(slots, s);

        slot->failure_ns = many_clock_ns_();
        memset(cause, 0, sizeof *cause);
        cause->item = slot->index;
        cause->code = code;
        cause->worker = w;
        cause->exit_status = -1;
        cause->tries = (int32_t)tries;
        cause->cancelled = (int32_t)slot->cancelled;
        cause->over_limit = !slot->cancelled && many_record_condemned_(record);
        cause->seconds = (double)(slot->failure_ns - begun) / 1e9;
        many_cause_write_(cause, slot->cancelled ? "" : many_error_words_(code),
                          call->option.item_limit_s);
        many_error_clear_();
    }
    stop = code != 0 && !slot->cancelled && call->option.on_error == MANY_STOP;
    MANY_FAULT_POINT("hand-over");
    atomic_store_explicit(&slots->status[s], MANY_SLOT_DONE_, memory_order_seq_cst);
    /* Not before: who hears of it kills us all, and the failure itself must not be lost. */
    if (stop)
        atomic_fetch_or(&slots->head->attention, MANY_ATTENTION_STOP_);
    MANY_FAULT_POINT("done-mark");
    slots_ring(slots, stop ? MANY_NAPS_ : MANY_SLEEPS_);
}

void many_slots_work_(many_slots_ *slots, int w)
{
    many_slots_head_ *head = slots->head;
    many_record_ *record = &slots->records[w];
    many_seat_ seat = {.state = &record->state,
                       .attention = &head->attention,
                       .token = slots->call->option.cancel,
                       .slot_index = &record->slot_index,
                       .worker = w};
    int64_t until = 0;

    atomic_store_explicit(&record->pid, getpid(), memory_order_relaxed);
    many_seat_take_(&seat);
    many_error_expire_(); /* what the forking thread said before is not about an item */
    while (!slots_are_over(slots)) {
        uint32_t news = atomic_load_explicit(&head->news, memory_order_acquire);
        uint32_t closed = atomic_load_explicit(&head->closed, memory_order_acquire);
        int64_t s;

        if (slots->call->processes && many_orphan_(slots->parent))
            _exit(0);
        s = slots_claim(slots, record, w);

        if (s >= 0) {
            slots_run(slots, record, w, (uint32_t)s);
            until = 0;
            continue;
        }
        if (closed)
            break;
        if (until == 0) {
            /* The supervisor may nap on outcomes that would free slots. */
            slots_ring(slots, MANY_NAPS_);
            until = many_clock_ns_() + SLOTS_SPIN_NS;
        }
        if (many_clock_ns_() < until) {
            many_pause_();
            continue;
        }
        MANY_FAULT_POINT("ask");
        atomic_fetch_add_explicit(&head->sleepers, 1, memory_order_seq_cst);
        many_futex_wait_(&head->news, news,
                         slots->call->processes ? many_clock_ns_() + SLOTS_ORPHAN_NS
                                                : MANY_NEVER_NS);
        atomic_fetch_sub_explicit(&head->sleepers, 1, memory_order_seq_cst);
    }
    many_seat_leave_(&seat);
}
