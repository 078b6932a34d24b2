/* SPDX-License-Identifier: MIT */
/* recover.c - what is left when a worker is dead; the argument stands in record.h */
#include <errno.h>
#include <string.h>

#include "os/clock.h"
#include "map/process_map.h"
#include "task/cause.h"
#include "task/seat.h"

/* A worker that dies before it begins an item says nothing about items; so many in a row, and no
 * work is done here. */
#define RECOVER_BARREN_MOST 1000

/* Results of [begin, end) were finished, and are not home yet. */
static void recover_results(const many_supervisor_ *supervisor, const many_record_ *record,
                            uint32_t begin, uint32_t end)
{
    const many_shared_map_ *map = &supervisor->map;
    const many_call_ *call = supervisor->call;
    const int w = (int)(record - map->records);
    uint32_t way = atomic_load_explicit(&record->way, memory_order_acquire);

    if (begin == end || way == MANY_IN_PLACE_)
        return;
    if (way == MANY_REACH_) {
        memcpy(call->out + (map->first + begin) * call->out_bytes,
               map->buffers + (size_t)w * map->buffer_bytes,
               (size_t)(end - begin) * call->out_bytes);
    } else {
        memset(map->marks + begin, 1, end - begin);
        atomic_store_explicit(&map->head->area_used, 1, memory_order_relaxed);
    }
}

static uint32_t recover_failed(const many_shared_map_ *map, uint32_t begin, uint32_t end)
{
    uint32_t failed = 0;

    for (uint32_t i = begin; i < end; i++)
        failed += map->codes[i] != 0;
    return failed;
}

/* Items [begin, end), one try of them, were running: they fail. */
static void recover_fail(many_supervisor_ *supervisor, int w, pid_t pid, const many_ending_ *ending,
                         uint32_t begin, uint32_t end, uint64_t state)
{
    const many_shared_map_ *map = &supervisor->map;
    const many_record_ *record = &map->records[w];
    int64_t now = many_clock_ns_();
    int64_t chunk = atomic_load_explicit(&record->chunk_ns, memory_order_relaxed);
    int64_t since = supervisor->crew.watch[w].state == ((state & ~MANY_PHASES_) | MANY_RUNNING_)
                        ? supervisor->crew.watch[w].since_ns
                        : 0;
    uint32_t chunk_begin, chunk_end;
    many_cause cause;

    memset(&cause, 0, sizeof cause);
    cause.item = map->first + begin;
    cause.over_limit = (state & MANY_PHASES_) == MANY_CONDEMNED_;
    cause.code = cause.over_limit ? -ETIMEDOUT : -MANY_EDIED;
    cause.worker = w;
    cause.pid = (int32_t)pid;
    cause.signal = ending->signal;
    cause.exit_status = ending->exit_status;
    cause.peak_bytes = ending->peak_bytes;
    cause.tries = (int32_t)many_state_tries_(state) + 1;
    /* The first item of a chunk began with the chunk; of another only a watch knows. */
    if (many_record_open_chunk_(record, &chunk_begin, &chunk_end) && chunk_begin == begin)
        since = chunk;
    cause.seconds = since > 0 ? (double)(now - since) / 1e9 : 0;
    many_cause_write_(&cause, "", supervisor->call->option.item_limit_s);
    for (uint32_t i = begin; i < end; i++)
        map->codes[i] = cause.code;
    many_first_keep_(&supervisor->first, now, &cause);
}

/* One more death before anything was begun; and if nobody has done anything since the last one, one
 * more in a row. */
static void recover_count(many_supervisor_ *supervisor)
{
    uint64_t done = supervisor->done;

    for (int w = 0; w < supervisor->call->workers; w++)
        done += many_record_progress_(&supervisor->map.records[w]);
    supervisor->barren = done == supervisor->barren_done ? supervisor->barren + 1 : 1;
    supervisor->barren_done = done;
}

void many_recover_(many_supervisor_ *supervisor, int w, pid_t pid, const many_ending_ *ending)
{
    const many_shared_map_ *map = &supervisor->map;
    const many_call_ *call = supervisor->call;
    many_record_ *record = &map->records[w];
    uint64_t word = atomic_load_explicit(&record->word, memory_order_acquire);
    uint64_t state = atomic_load_explicit(&record->state, memory_order_acquire);
    uint64_t closed = atomic_load_explicit(&record->closed, memory_order_acquire);
    uint32_t done = many_closed_done_(closed), failed = many_closed_failed_(closed);
    uint32_t begin, end, from, to;
    int finished = (state & MANY_PHASES_) == MANY_BETWEEN_;

    if (atomic_load_explicit(&record->idle, memory_order_relaxed) != MANY_LEAVES_)
        recover_count(supervisor);
    if (many_record_open_chunk_(record, &begin, &end)) {
        from = many_state_item_(state); /* first item that is not done */
        to = from;                      /* first item that was not begun */
        if (!finished)
            to = call->range_fn != NULL ? end : from + 1;
        if (call->range_fn != NULL &&
            map->tries != NULL) /* items that were begun equally often go together */
            while (to > from + 1 && map->tries[to - 1] != map->tries[from])
                to--;
        recover_results(supervisor, record, begin, from);
        done += from - begin;
        failed += recover_failed(map, begin, from);
        if (from > begin || to > from)
            supervisor->barren = 0;
        /* A failure that was noted in words, but is in no code yet, did not come about. */
        if (to > from && map->codes[from] == 0 && record->failure.item == map->first + from)
            atomic_store_explicit(&record->failure_taken, 0, memory_order_relaxed);
        if (to > from && map->codes[from] != 0) {
            /* It had failed by itself, before its mark: that stands, whatever it died of then. */
            for (uint32_t i = from; i < to; i++)
                map->codes[i] = map->codes[from];
            done += to - from;
            failed += to - from;
            if (call->option.on_error == MANY_STOP)
                atomic_fetch_or(&map->head->attention, MANY_ATTENTION_STOP_);
        } else if (to > from && (state & MANY_PHASES_) != MANY_CONDEMNED_ && supervisor->cutting) {
            to = from; /* cut off by us: it counts among those that are cancelled */
        } else if (to > from && map->tries != NULL && !supervisor->cutting &&
                   many_state_tries_(state) + 1 <= (uint32_t)call->option.retries) {
            for (uint32_t i = from; i < to; i++)
                map->tries[i] = (uint16_t)(many_state_tries_(state) + 1);
            to = from;
        } else if (to > from) {
            recover_fail(supervisor, w, pid, ending, from, to, state);
            done += to - from;
            failed += to - from;
            if (call->option.on_error == MANY_STOP)
                atomic_fetch_or(&map->head->attention, MANY_ATTENTION_STOP_);
        }
        word = many_range_(to, many_range_end_(word) > end ? many_range_end_(word) : end);
    }
    if (supervisor->barren > RECOVER_BARREN_MOST && supervisor->reason == 0)
        supervisor->reason = many_fail(
            -MANY_EDIED, "%s: %d workers in a row died before they began an item: the last %s %d",
            call->function, RECOVER_BARREN_MOST, ending->signal != 0 ? "of signal" : "with status",
            ending->signal != 0 ? ending->signal : ending->exit_status);
    /* A clean record for the successor: no chunk open, the range in its word. */
    atomic_store_explicit(&record->intent, 0, memory_order_relaxed);
    atomic_store_explicit(&record->state, 0, memory_order_relaxed);
    atomic_store_explicit(&record->closed, many_closed_(done, failed), memory_order_relaxed);
    atomic_store_explicit(&record->failures, failed, memory_order_relaxed);
    atomic_store_explicit(&record->idle, MANY_WORKS_, memory_order_relaxed);
    if (atomic_load_explicit(&record->failure_taken, memory_order_relaxed) == 1)
        atomic_store_explicit(&record->failure_taken, 0, memory_order_relaxed);
    many_record_fill_(record, many_range_begin_(word), many_range_end_(word));
}
