/* SPDX-License-Identifier: MIT */
/* shared_map.c - the shared memory of a process map, and the life of a worker; see shared_map.h */
#include "map/shared_map.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "bar/stages.h"
#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/reach.h"
#include "os/stream.h"
#include "map/run.h"

/* Results of one chunk fit into this, where one result does: it stays in the second-level cache. */
#define SHARED_BUFFER_BYTES ((size_t)128 * 1024)

/* A round has at most so many items (a range word has 32 bits for an index), and its area so many
 * bytes. */
#define SHARED_ROUND_ITEMS UINT64_C(0x40000000)
#define SHARED_ROUND_BYTES (UINT64_C(4) << 30)

/* Work that is done in this time is not worth asking for. */
#define SHARED_WORTH_NS ((uint64_t)(100 * MANY_MICROSECOND_NS))

/* How often a worker sees for itself that its parent lives: the kernel forgets to kill it when a task
 * has changed its uid or gid. */
#define SHARED_ORPHAN_NS (100 * MANY_MILLISECOND_NS)

/* A worker that has nothing to do looks for this long before it sleeps: shorter than waking a core.
 */
#define SHARED_SPIN_NS (20 * MANY_MICROSECOND_NS)

static size_t shared_align(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

static int shared_wants_area(const many_call_ *call)
{
    return call->out != NULL && !call->option.in_place;
}

static int shared_try(many_shared_map_ *map, uint32_t n)
{
    const many_call_ *call = map->call;
    const size_t page = many_memory_page_();
    const size_t workers = (size_t)call->workers;
    const int area = shared_wants_area(call);
    const int retries = call->option.retries > 0;
    size_t records, buffers, codes, tries, marks, results;

    map->n = n;
    map->buffer_bytes = 0;
    if (area) {
        /* Room for a chunk, or for all there is: the buffers of a small map share the records'
         * page. */
        size_t most = call->out_bytes > SHARED_BUFFER_BYTES ? call->out_bytes : SHARED_BUFFER_BYTES;

        map->buffer_bytes = n < most / call->out_bytes ? n * call->out_bytes : most;
        map->buffer_bytes = shared_align(map->buffer_bytes, MANY_CACHE_LINE);
    }
    records = shared_align(sizeof(many_shared_head_), MANY_CACHE_LINE);
    buffers = records + workers * sizeof(many_record_);
    codes = shared_align(buffers + workers * map->buffer_bytes, page);
    tries = shared_align(codes + (size_t)n * sizeof(int), page);
    marks = shared_align(tries + (retries ? (size_t)n * sizeof(uint16_t) : 0), page);
    results = shared_align(marks + (area ? n : 0), page);
    map->bytes = shared_align(results + (area ? (size_t)n * call->out_bytes : 0), page);
    if (many_memory_map_shared_(&map->memory, map->bytes) < 0)
        return -ENOMEM;
    map->head = map->memory;
    map->records = (many_record_ *)((char *)map->memory + records);
    map->buffers = (char *)map->memory + buffers;
    map->codes = (int *)((char *)map->memory + codes);
    map->tries = retries ? (uint16_t *)((char *)map->memory + tries) : NULL;
    map->marks = (unsigned char *)map->memory + marks;
    map->area = (char *)map->memory + results;
    return 0;
}

int many_shared_open_(many_shared_map_ *map, uint64_t first)
{
    const many_call_ *call = map->call;
    uint64_t left = call->option.n - first;

    map->first = first;
    if (left > SHARED_ROUND_ITEMS)
        left = SHARED_ROUND_ITEMS;
    if (shared_wants_area(call) && left > SHARED_ROUND_BYTES / call->out_bytes)
        left = SHARED_ROUND_BYTES / call->out_bytes;
    if (left == 0)
        left = 1;
    /* A limit on address space may refuse what would never be touched: then in smaller rounds. */
    while (shared_try(map, (uint32_t)left) < 0) {
        if (left <= (uint64_t)call->workers)
            return many_fail(-ENOMEM,
                             "%s: no memory for %d workers (%zu bytes): fewer .workers need less",
                             call->function, call->workers, map->bytes);
        left = left / 16 > (uint64_t)call->workers ? left / 16 : (uint64_t)call->workers;
    }
    return 0;
}

void many_shared_close_(many_shared_map_ *map)
{
    many_memory_unmap_(map->memory, map->bytes);
    map->memory = NULL;
}

static void shared_aim(const many_shared_map_ *map, many_run_ *run, uint32_t way, int w)
{
    const many_call_ *call = map->call;

    run->chunk_most = MANY_CHUNK_MOST_;
    run->hands_over = way == MANY_REACH_;
    run->results_from = 0;
    if (way == MANY_AREA_) {
        run->results = map->area;
    } else if (way == MANY_IN_PLACE_) {
        run->results = call->out != NULL ? call->out + map->first * call->out_bytes : NULL;
    } else {
        size_t fit = map->buffer_bytes / call->out_bytes;

        run->results = map->buffers + (size_t)w * map->buffer_bytes;
        if (fit < run->chunk_most)
            run->chunk_most = (uint32_t)fit;
    }
}

/* Results that fn is about to write straight into shared memory: their pages, mapped in by the
 * piece. */
#define SHARED_PIECE_BYTES ((size_t)512 * 1024)

typedef struct shared_piece {
    const char *from, *to; /* mapped in already */
} shared_piece;

static void shared_touch(shared_piece *piece, const many_run_ *run, uint32_t begin, uint32_t count)
{
    const size_t step = run->call->out_bytes;
    char *from = run->results + (size_t)begin * step;
    uint32_t left =
        many_range_left_(atomic_load_explicit(&run->record->word, memory_order_relaxed));
    size_t bytes = count * step, most = bytes + left * step;

    if (from >= piece->from && from + bytes <= piece->to)
        return;
    if (bytes < SHARED_PIECE_BYTES)
        bytes = most < SHARED_PIECE_BYTES ? most : SHARED_PIECE_BYTES;
    many_memory_touch_(from, bytes);
    piece->from = from;
    piece->to = from + bytes;
}

/* Results of [begin, end) become visible to the parent, whatever happens to us next. */
static uint32_t shared_bring_home(const many_shared_map_ *map, many_run_ *run, uint32_t way,
                                  uint32_t begin, uint32_t end, int w)
{
    const many_call_ *call = map->call;
    const size_t bytes = (size_t)(end - begin) * call->out_bytes;

    MANY_FAULT_POINT("hand-over");
    if (way == MANY_REACH_) {
        if (many_reach_write_(map->parent, call->out + (map->first + begin) * call->out_bytes,
                              run->results, bytes) == 0)
            return way;
        /* The permission is gone (fn changed the uid, a sandbox closed): the other way, from here
         * on. */
        memcpy(map->area + (size_t)begin * call->out_bytes, run->results, bytes);
        way = MANY_AREA_;
        shared_aim(map, run, way, w);
    }
    if (way == MANY_AREA_) {
        atomic_store_explicit(&map->head->area_used, 1, memory_order_relaxed);
        memset(map->marks + begin, 1, end - begin);
        /* Now only: until here a death leaves them to be taken from the buffer. */
        atomic_store_explicit(&map->records[w].way, way, memory_order_release);
    }
    return way;
}

/*
 * Is there anything that a worker without work should ask for: words that others have not worked
 * off, or chunks that they may give back? What would be done before a hand-over is through (two
 * wake-ups), by the time that the own items took, is not worth it: the worker leaves by itself.
 * Should that turn out wrong, or a death make work again, the supervisor makes a worker for it.
 */
static int shared_should_ask(const many_shared_map_ *map, const many_record_ *own)
{
    uint64_t item_ns = atomic_load_explicit(&own->item_ns, memory_order_relaxed);
    uint64_t items = 0;

    for (int w = 0; w < map->call->workers; w++) {
        const many_record_ *record = &map->records[w];

        if (record != own)
            items += many_range_left_(atomic_load_explicit(&record->word, memory_order_relaxed)) +
                     many_record_ahead_(record);
    }
    return items > 0 && (item_ns == 0 || items * item_ns > SHARED_WORTH_NS);
}

/* Nothing left in the own range: ask for more. 0: there is none, go home. */
static int shared_ask(const many_shared_map_ *map, many_record_ *record)
{
    int64_t until = many_clock_ns_() + SHARED_SPIN_NS;

    /* Release: the supervisor that sees us ask may read all we did. */
    atomic_store_explicit(&record->idle, MANY_ASKS_, memory_order_seq_cst);
    MANY_FAULT_POINT("ask");
    if (many_bell_ring_(map->bell) < 0)
        return 0; /* a task closed it: the worker's end is seen without it */
    for (;;) {
        uint32_t idle = atomic_load_explicit(&record->idle, memory_order_acquire);

        if (idle != MANY_ASKS_)
            return idle == MANY_WORKS_;
        if (many_clock_ns_() < until)
            many_pause_();
        else
            many_futex_wait_(&record->idle, MANY_ASKS_, many_clock_ns_() + SHARED_ORPHAN_NS * 10);
        if (many_orphan_(map->parent))
            _exit(0);
    }
}

_Noreturn void many_shared_work_(many_shared_map_ *map, int w)
{
    many_record_ *record = &map->records[w];
    shared_piece piece = {NULL, NULL};
    many_run_ run;
    int64_t look_ns;
    uint32_t way =
        map->call->out == NULL || map->call->option.in_place ? MANY_IN_PLACE_ : MANY_REACH_;

    run.first = map->first;
    run.codes = map->codes;
    run.tries = map->tries;
    atomic_store_explicit(&record->way, way, memory_order_relaxed);
    atomic_store_explicit(&record->pid, getpid(), memory_order_relaxed);
    atomic_store_explicit(&record->item_ns, 0, memory_order_relaxed);
    many_run_begin_(&run, map->call, record, &map->head->attention, w);
    shared_aim(map, &run, way, w);
    look_ns = run.clock_ns + SHARED_ORPHAN_NS;
    for (;;) {
        uint64_t word = atomic_load_explicit(&record->word, memory_order_relaxed);
        uint32_t begin, end, count;

        if ((atomic_load_explicit(run.attention, memory_order_relaxed) & MANY_ATTENTION_STOP_) != 0)
            break;
        count = many_record_claim_(record, many_run_chunk_(&run, many_range_left_(word)), &begin);
        if (count == 0) {
            if (!shared_should_ask(map, record) || !shared_ask(map, record))
                break;
            run.clock_ns = many_clock_ns_();
            continue;
        }
        if (way == MANY_REACH_)
            run.results_from = begin;
        else if (run.results != NULL)
            shared_touch(&piece, &run, begin, count);
        if (atomic_load_explicit(&record->item_ns, memory_order_relaxed) == 0)
            run.clock_ns = many_clock_ns_(); /* what the start took is not the items' time */
        end = many_run_items_(&run, begin, begin + count);
        many_run_end_twin_(map->call, record);
        if ((atomic_load_explicit(run.attention, memory_order_relaxed) & MANY_ATTENTION_STOP_) !=
            0) {
            /* The open chunk says what is done and what is not begun; an item that ran and does
             * not count was not begun either: we do not die of it. */
            atomic_store_explicit(&record->state, many_state_(end, 0, MANY_BETWEEN_),
                                  memory_order_relaxed);
            many_bell_ring_(map->bell);
            break;
        }
        way = shared_bring_home(map, &run, way, begin, end, w);
        many_run_close_(&run, end - begin);
        if (run.clock_ns >= look_ns) {
            look_ns = run.clock_ns + SHARED_ORPHAN_NS;
            if (many_orphan_(map->parent))
                _exit(0);
        }
        if (end < begin + count && many_bell_ring_(map->bell) < 0)
            break; /* given back, and somebody waits for it */
    }
    atomic_store_explicit(&record->idle, MANY_LEAVES_, memory_order_release);
    many_stage_exit_();
    many_child_exit_(0);
}
