/* SPDX-License-Identifier: MIT */
/*
 * run.c - the loop inside a worker; see run.h
 *
 * The plain loop is what trivial items pay: two stores to the worker's own cache line (one before
 * fn, one after), one load of a line that nobody writes, and the call. The fences are for the
 * compiler only; see record.h.
 */
#include "map/run.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "os/clock.h"
#include "task/cause.h"

/* A chunk fills this much time: long against a claim (some 50 ns), short against everything that a
 * person or a balance would notice. Where its results are handed over by a system call (2 us, more
 * with the parent's pages) it is longer. */
#define RUN_CHUNK_NS      (30 * MANY_MICROSECOND_NS)
#define RUN_CHUNK_HAND_NS (250 * MANY_MICROSECOND_NS)

/* Items that would take less than this are not worth giving back: handing them on costs as much. */
#define RUN_GIVE_BACK_NS (50 * MANY_MICROSECOND_NS)

/* Near the end of a range a chunk is a quarter of what is left, but not less than this part of a
 * full one. */
#define RUN_SHARE      4
#define RUN_LEAST_PART 16

/* A chunk that was faster than expected grows by this factor at most. */
#define RUN_GROWTH 8

void many_run_begin_(many_run_ *run, const many_call_ *call, many_record_ *record,
                     _Atomic uint32_t *attention, int worker)
{
    const many_map_options *option = &call->option;

    run->call = call;
    run->record = record;
    run->attention = attention;
    run->failed = 0;
    run->chunk_most = MANY_CHUNK_MOST_;
    run->hands_over = 0;
    run->chunk = 1;
    if (option->chunk != 0)
        run->chunk = option->chunk < MANY_CHUNK_MOST_ ? (uint32_t)option->chunk : MANY_CHUNK_MOST_;
    run->careful = call->limit_ns > 0 || option->retries > 0 || option->inputs != NULL ||
                   (option->cancel != NULL && !call->processes);
    run->clock_ns = many_clock_ns_();
    memset(&run->seat, 0, sizeof run->seat);
    run->seat.state = &record->state;
    run->seat.attention = attention;
    run->seat.token = option->cancel;
    run->seat.first = run->first;
    run->seat.worker = worker;
    many_seat_take_(&run->seat);
    many_error_expire_(); /* what the caller's thread said before is not about an item */
}

uint32_t many_run_chunk_(const many_run_ *run, uint32_t left)
{
    uint32_t chunk = run->chunk < run->chunk_most ? run->chunk : run->chunk_most;
    uint32_t share = left / RUN_SHARE, least = chunk / RUN_LEAST_PART;

    if (run->call->option.chunk != 0) {
        /* What was just given back for others to have must not be taken again at once. */
        if (left > 1 && chunk > left / 2 &&
            (atomic_load_explicit(run->attention, memory_order_relaxed) & MANY_ATTENTION_HUNGRY_) !=
                0)
            return left / 2;
        return chunk;
    }
    if (share < least)
        share = least;
    if (chunk > share)
        chunk = share;
    return chunk > 0 ? chunk : 1;
}

void many_run_close_(many_run_ *run, uint32_t count)
{
    many_record_ *record = run->record;
    uint64_t closed = atomic_load_explicit(&record->closed, memory_order_relaxed);
    int64_t now = many_clock_ns_();
    int64_t took = now - run->clock_ns;
    int64_t item_ns;

    MANY_FAULT_POINT("close");
    /* Release: who sees the items counted as done, sees what they did. */
    atomic_store_explicit(
        &record->closed,
        many_closed_(many_closed_done_(closed) + count, many_closed_failed_(closed) + run->failed),
        memory_order_release);
    MANY_FAULT_POINT("closed");
    run->failed = 0;
    run->clock_ns = now;
    if (count == 0)
        return;
    item_ns = took / count;
    atomic_store_explicit(&record->item_ns, item_ns > UINT32_MAX ? UINT32_MAX : (uint32_t)item_ns,
                          memory_order_relaxed);
    if (run->call->option.chunk == 0) {
        int64_t goal_ns = run->hands_over ? RUN_CHUNK_HAND_NS : RUN_CHUNK_NS;
        int64_t next = took > 0 ? count * goal_ns / took : count * RUN_GROWTH;

        if (next > (int64_t)count * RUN_GROWTH)
            next = (int64_t)count * RUN_GROWTH;
        if (next > MANY_CHUNK_MOST_)
            next = MANY_CHUNK_MOST_;
        run->chunk = next > 0 ? (uint32_t)next : 1;
    }
}

void many_run_note_(const many_call_ *call, many_record_ *record, uint64_t index, int code,
                    uint32_t tries, int worker, double seconds)
{
    many_cause *cause = &record->failure;

    if (atomic_load_explicit(&record->failure_taken, memory_order_relaxed) != 0)
        return;
    atomic_store_explicit(&record->failure_taken, 1, memory_order_relaxed);
    record->failure_ns = many_clock_ns_();
    memset(cause, 0, sizeof *cause);
    cause->item = index;
    cause->code = code;
    cause->worker = worker;
    cause->exit_status = -1;
    cause->tries = (int32_t)tries;
    cause->over_limit = many_record_condemned_(record);
    cause->seconds = seconds;
    many_cause_write_(cause, many_error_words_(code), call->option.item_limit_s);
    /* Release: the supervisor reads the cause only when it sees 2. */
    atomic_store_explicit(&record->failure_taken, 2, memory_order_release);
}

void many_run_end_twin_(const many_call_ *call, const many_record_ *record)
{
    if (call->processes &&
        atomic_load_explicit(&record->pid, memory_order_relaxed) != (int32_t)getpid())
        _exit(0); /* what it may have printed and not flushed is its parent's, too */
}

/* An item, or a run of items in the range form, has failed for good. */
static void run_fail(many_run_ *run, uint32_t begin, uint32_t end, int code, uint32_t tries)
{
    const many_call_ *call = run->call;
    int64_t since = atomic_load_explicit(&run->record->chunk_ns, memory_order_relaxed);
    uint32_t chunk_begin, chunk_end;
    double seconds = 0;

    /* The first item of a chunk began with the chunk; of another nobody has looked at the clock. */
    if (many_record_open_chunk_(run->record, &chunk_begin, &chunk_end) && chunk_begin == begin)
        seconds = (double)(many_clock_ns_() - since) / 1e9;
    else if (many_record_condemned_(run->record))
        seconds = call->option.item_limit_s; /* or more; so much was seen */
    many_run_note_(call, run->record, run->first + begin, code, tries, run->seat.worker, seconds);
    many_error_clear_();
    for (uint32_t i = begin; i < end; i++)
        if (run->codes != NULL)
            run->codes[i] = code;
    /* Chunks pass through one buffer in processes: another item's result must not shine through. */
    if (call->processes && run->results != NULL)
        memset(run->results + (size_t)(begin - run->results_from) * call->out_bytes, 0,
               (size_t)(end - begin) * call->out_bytes);
    run->failed += end - begin;
    many_record_fail_(run->record, end - begin);
    if (call->option.on_error == MANY_STOP)
        atomic_fetch_or_explicit(run->attention, MANY_ATTENTION_STOP_, memory_order_release);
}

/* Is the map to end? Then the item that has just run does not count any more: it may have cut
 * itself short. */
static int run_is_over(const many_run_ *run)
{
    const many_call_ *call = run->call;

    return (atomic_load_explicit(run->attention, memory_order_acquire) & MANY_ATTENTION_STOP_) !=
               0 ||
           (!call->processes && many_cancel_is_set(call->option.cancel));
}

/* Somebody has nothing to do; next is the first item not begun. Returns the chunk's new end. */
static uint32_t run_share(many_run_ *run, uint32_t begin, uint32_t next, uint32_t end)
{
    int64_t took, before, item_ns;

    if (next >= end)
        return end;
    /* Worth it? Judge by this chunk so far, or by the ones before if they were slower. */
    took = many_clock_ns_() - run->clock_ns;
    item_ns = took / (next - begin);
    before = atomic_load_explicit(&run->record->item_ns, memory_order_relaxed);
    if (item_ns < before)
        item_ns = before;
    if (item_ns * (end - next) < RUN_GIVE_BACK_NS)
        return end;
    return many_record_give_back_(run->record, next, end) ? next : end;
}

/* The supervisor has condemned this try: a process waits for the signal that is on its way. */
static void run_park(const many_call_ *call)
{
    while (call->processes)
        pause();
}

int many_run_one_(const many_call_ *call, many_record_ *record, const _Atomic uint32_t *attention,
                  const void *item, void *result, uint32_t number, uint32_t tries_before,
                  uint32_t *tries)
{
    const uint32_t most = (uint32_t)call->option.retries;
    uint32_t before = tries_before;
    int code;

    for (;;) {
        uint64_t running = many_state_(number, before, MANY_RUNNING_);

        atomic_store_explicit(&record->state, running, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        MANY_FAULT_POINT("start");
        code = call->range_fn != NULL ? call->range_fn(item, result, 1, call->option.context)
                                      : call->fn(item, result, call->option.context);
        many_run_end_twin_(call, record);
        MANY_FAULT_POINT("end");
        atomic_signal_fence(memory_order_seq_cst);
        if (!atomic_compare_exchange_strong_explicit(&record->state, &running,
                                                     many_state_(number, before, MANY_ENDED_),
                                                     memory_order_acq_rel, memory_order_acquire)) {
            run_park(call);
            code = -ETIMEDOUT;
        }
        before++;
        if (code == 0 || before > most ||
            (atomic_load_explicit(attention, memory_order_relaxed) & MANY_ATTENTION_STOP_) != 0 ||
            (!call->processes && many_cancel_is_set(call->option.cancel)))
            break;
        many_error_clear_();
    }
    *tries = before;
    return code;
}

static void run_done(many_record_ *record, uint32_t next)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&record->state, many_state_(next, 0, MANY_BETWEEN_),
                          memory_order_relaxed);
    MANY_FAULT_POINT("done-mark");
}

/*
 * Something is up: the item before mark's failed, the map is over, or somebody is hungry. mark and
 * stop are state words. Returns where the chunk stops now; an item before mark's when the one that
 * has just run does not count. Not inlined, so that the plain loop keeps its registers.
 */
__attribute__((noinline)) static uint64_t run_attend(many_run_ *run, uint32_t begin, uint64_t mark,
                                                     uint64_t stop, int code)
{
    const uint32_t next = many_state_item_(mark);

    many_run_end_twin_(run->call, run->record);
    if (run_is_over(run))
        return mark - 1;
    if (code == 0)
        return many_state_(run_share(run, begin, next, many_state_item_(stop)), 0, MANY_RUNNING_);
    run_fail(run, next - 1, next, code, 1);
    return run_is_over(run) ? mark : stop;
}

/* marks: 1: record what is done, item by item; 0: nobody will ask (a thread does not die alone). */
__attribute__((always_inline)) static inline uint32_t run_simple(many_run_ *run, uint32_t begin,
                                                                 uint32_t end, const int marks)
{
    const many_call_ *call = run->call;
    many_fn *const fn = call->fn;
    void *const context = call->option.context;
    _Atomic uint64_t *const state = &run->record->state;
    const _Atomic uint32_t *const attention = run->attention;
    const size_t in_step = call->in != NULL ? call->in_bytes : 0;
    const size_t out_step = run->results != NULL ? call->out_bytes : 0;
    const char *item = many_call_item_(call, run->first + begin);
    char *result =
        run->results != NULL ? run->results + (size_t)(begin - run->results_from) * out_step : NULL;
    uint64_t mark = many_state_(begin, 0, MANY_RUNNING_);
    uint64_t stop = many_state_(end, 0, MANY_RUNNING_);

    do {
        int code;

        atomic_store_explicit(state, mark, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        MANY_FAULT_POINT("start");
        code = fn(item, result, context);
        MANY_FAULT_POINT("end");
        mark++;
        if (__builtin_expect(
                (code | (int)atomic_load_explicit(attention, memory_order_relaxed)) != 0, 0)) {
            stop = run_attend(run, begin, mark, stop, code);
            if (stop < mark)
                break;
        }
        if (marks) {
            atomic_signal_fence(memory_order_seq_cst);
            atomic_store_explicit(state, many_state_(many_state_item_(mark), 0, MANY_BETWEEN_),
                                  memory_order_relaxed);
            MANY_FAULT_POINT("done-mark");
        }
        item += in_step;
        result += out_step;
    } while (mark != stop);
    return many_state_item_(stop);
}

static uint32_t run_plain(many_run_ *run, uint32_t begin, uint32_t end)
{
    return run->call->processes ? run_simple(run, begin, end, 1) : run_simple(run, begin, end, 0);
}

static uint32_t run_careful(many_run_ *run, uint32_t begin, uint32_t end)
{
    const many_call_ *call = run->call;
    const void *zip[MANY_INPUTS_MOST_];

    for (uint32_t i = begin; i < end; i++) {
        const void *item = many_call_item_(call, run->first + i);
        char *result = run->results != NULL
                           ? run->results + (size_t)(i - run->results_from) * call->out_bytes
                           : NULL;
        uint32_t before = run->tries != NULL ? run->tries[i] : 0;
        uint32_t tries;
        int code;

        if (call->option.inputs != NULL) {
            many_call_zip_(call, run->first + i, zip);
            item = zip;
        }
        code = many_run_one_(call, run->record, run->attention, item, result, i, before, &tries);
        if (run_is_over(run))
            return i;
        if (code != 0)
            run_fail(run, i, i + 1, code, tries);
        run_done(run->record, i + 1);
        if (code != 0 && run_is_over(run))
            return i + 1;
        if ((atomic_load_explicit(run->attention, memory_order_relaxed) & MANY_ATTENTION_HUNGRY_) !=
            0)
            end = run_share(run, begin, i + 1, end);
    }
    return end;
}

/* The range form: fn takes [begin, end) at once, and it is one try of them all. 0: the map is over.
 */
static int run_range_once(many_run_ *run, uint32_t begin, uint32_t end)
{
    const many_call_ *call = run->call;
    char *results = run->results != NULL
                        ? run->results + (size_t)(begin - run->results_from) * call->out_bytes
                        : NULL;
    uint32_t before = run->tries != NULL ? run->tries[begin] : 0;
    int code;

    for (;;) {
        uint64_t running = many_state_(begin, before, MANY_RUNNING_);

        atomic_store_explicit(&run->record->state, running, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        MANY_FAULT_POINT("start");
        code = call->range_fn(many_call_item_(call, run->first + begin), results, end - begin,
                              call->option.context);
        many_run_end_twin_(call, run->record);
        MANY_FAULT_POINT("end");
        atomic_signal_fence(memory_order_seq_cst);
        if (call->limit_ns > 0 &&
            !atomic_compare_exchange_strong_explicit(&run->record->state, &running,
                                                     many_state_(begin, before, MANY_ENDED_),
                                                     memory_order_acq_rel, memory_order_acquire)) {
            run_park(call);
            code = -ETIMEDOUT;
        }
        if (run_is_over(run))
            return 0;
        before++;
        if (code == 0 || before > (uint32_t)call->option.retries)
            break;
        many_error_clear_();
    }
    if (code != 0)
        run_fail(run, begin, end, code, before);
    run_done(run->record, end);
    return 1;
}

/* Items that were begun equally often go together: each has its own number of tries. */
static uint32_t run_range(many_run_ *run, uint32_t begin, uint32_t end)
{
    while (begin < end) {
        uint32_t to = begin + 1;

        if (run->tries == NULL)
            to = end;
        while (to < end && run->tries[to] == run->tries[begin])
            to++;
        if (!run_range_once(run, begin, to))
            return begin;
        begin = to;
        if (run_is_over(run))
            break;
    }
    return begin;
}

uint32_t many_run_items_(many_run_ *run, uint32_t begin, uint32_t end)
{
    atomic_store_explicit(&run->record->chunk_ns, run->clock_ns, memory_order_relaxed);
    if (run->call->range_fn != NULL)
        return run_range(run, begin, end);
    return run->careful ? run_careful(run, begin, end) : run_plain(run, begin, end);
}
