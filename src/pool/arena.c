/* SPDX-License-Identifier: MIT */
/* arena.c - blocks of shared memory; see arena.h */
#include "pool/arena.h"

#include <string.h>

#include "base/fault.h"
#include "os/memory.h"
#include "pool/table.h"

#define ARENA_LEAST 64U

/* Blocks from this size on give their memory back when they are free, and get it anew when they are taken: a
 * system call or two for so many bytes cost less than to copy them once. */
#define ARENA_LARGE ((uint64_t)1 << 20)

/* Small ones get memory in steps: of a page's fault 1.5 us are saved for the most of them. */
#define ARENA_STEP_FIRST ((uint64_t)1 << 14)
#define ARENA_STEP_MOST  ((uint64_t)1 << 20)

/* How many classes larger a free block may be, when there is no more room for a new one. */
#define ARENA_BORROW 8

static uint64_t arena_size(uint32_t class)
{
    return ((uint64_t)ARENA_LEAST << class / 4) / 4 * (4 + class % 4);
}

/* The smallest class of at least need bytes; MANY_ARENA_CLASSES_ and more: none. */
static uint32_t arena_class(uint64_t need)
{
    uint32_t power, quarter;
    uint64_t base;

    if (need <= ARENA_LEAST)
        return 0;
    power = 63 - (uint32_t)__builtin_clzll(need - 1);
    base = UINT64_C(1) << power; /* base < need <= 2 base */
    quarter = (uint32_t)((need - base + base / 4 - 1) / (base / 4));
    return 4 * (power - 6) + quarter;
}

static many_block_ *arena_block(const many_table_ *table, uint64_t at)
{
    return many_table_at_(table, at);
}

static void arena_keep(many_table_ *table, uint64_t at)
{
    many_block_ *block = arena_block(table, at);

    atomic_store_explicit(&block->state, MANY_BLOCK_FREE_, memory_order_relaxed);
    atomic_store_explicit(&block->next, table->arena.free[block->class], memory_order_relaxed);
    table->arena.free[block->class] = at;
}

/* Take all that is in returned off it, and stand in gathering what comes first; 0: there is nothing. */
static uint64_t arena_detach(many_arena_shared_ *shared)
{
    uint64_t at = atomic_load_explicit(&shared->returned, memory_order_relaxed);

    /* Nobody else takes anything off: so one that is first twice has the same behind it. */
    do {
        if (at == 0)
            break;
        atomic_store_explicit(&shared->gathering, at, memory_order_release);
        MANY_FAULT_POINT("arena.gather.noted");
        /* Pairs with the release of the push. */
    } while (!atomic_compare_exchange_weak_explicit(&shared->returned, &at, 0, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return at;
}

/* What others gave back becomes ours. */
static void arena_gather(many_table_ *table)
{
    many_arena_shared_ *shared = &table->region[table->submitter].arena;
    uint64_t at = arena_detach(shared), next;

    for (; at != 0; at = next) {
        many_block_ *block = arena_block(table, at);

        next = atomic_load_explicit(&block->next, memory_order_relaxed);
        atomic_store_explicit(&block->state, MANY_BLOCK_FREE_, memory_order_relaxed);
        atomic_store_explicit(&shared->gathering, next, memory_order_release);
        atomic_signal_fence(memory_order_seq_cst); /* for who comes after our death */
        MANY_FAULT_POINT("arena.gather.free");
        arena_keep(table, at);
    }
}

/* All of a list is free; in no list of ours yet. */
static void arena_free_list(many_table_ *table, uint64_t at)
{
    while (at != 0) {
        many_block_ *block = arena_block(table, at);

        atomic_store_explicit(&block->state, MANY_BLOCK_FREE_, memory_order_relaxed);
        at = atomic_load_explicit(&block->next, memory_order_relaxed);
    }
}

static int arena_grow(many_table_ *table, const many_region_ *region, uint64_t from, uint64_t to,
                      uint64_t most)
{
    many_arena_shared_ *shared = &table->region[table->submitter].arena;
    const uint64_t limit = region->arena_at + region->arena_bytes;
    uint64_t grown = atomic_load_explicit(&shared->grown, memory_order_relaxed);

    if (to <= grown)
        return 0;
    if (from < grown)
        from = grown;
    if (to < from + most)
        to = from + most;
    if (to > limit)
        to = limit;
    if (many_table_grow_(table, from, to) < 0)
        return -ENOMEM;
    atomic_store_explicit(&shared->grown, to, memory_order_relaxed);
    return 0;
}

/* A new block behind all others; 0: no room, or no memory. */
static uint64_t arena_new(many_table_ *table, uint32_t class, uint64_t need)
{
    many_region_ *region = &table->region[table->submitter];
    const uint64_t at = atomic_load_explicit(&region->arena.bump, memory_order_relaxed);
    const uint64_t size = arena_size(class);
    const uint64_t used = at - region->arena_at;
    uint64_t step = used / 4;
    many_block_ *block;

    if (size > region->arena_bytes - used)
        return 0;
    step = step < ARENA_STEP_FIRST  ? ARENA_STEP_FIRST
           : step > ARENA_STEP_MOST ? ARENA_STEP_MOST
                                    : step;
    /* Of a small one all of its size: who takes it next may need more of it. */
    if (arena_grow(table, region, at, at + (size >= ARENA_LARGE ? need : size),
                   size >= ARENA_LARGE ? 0 : step) < 0)
        return 0;
    block = arena_block(table, at);
    block->class = class;
    atomic_store_explicit(&block->state, MANY_BLOCK_USED_, memory_order_relaxed);
    MANY_FAULT_POINT("arena.new.header");
    /* Release: who walks the blocks after our death finds a header below bump, always. */
    atomic_store_explicit(&region->arena.bump, at + size, memory_order_release);
    return at;
}

static uint64_t arena_pop(many_table_ *table, uint32_t class)
{
    const uint64_t at = table->arena.free[class];

    if (at != 0)
        table->arena.free[class] =
            atomic_load_explicit(&arena_block(table, at)->next, memory_order_relaxed);
    return at;
}

uint64_t many_arena_take_(many_table_ *table, size_t bytes, uint64_t owner)
{
    const uint64_t need = (uint64_t)bytes + sizeof(many_block_);
    const uint32_t class = arena_class(need);
    many_block_ *block;
    uint64_t at;

    if (need < bytes || class >= MANY_ARENA_CLASSES_)
        return 0;
    at = arena_pop(table, class);
    if (at == 0) {
        arena_gather(table);
        at = arena_pop(table, class);
    }
    if (at == 0)
        at = arena_new(table, class, need);
    for (uint32_t k = 1; at == 0 && k <= ARENA_BORROW && class + k < MANY_ARENA_CLASSES_; k++)
        at = arena_pop(table, class + k);
    if (at == 0)
        return 0;
    block = arena_block(table, at);
    if (arena_size(block->class) >= ARENA_LARGE && many_table_grow_(table, at, at + need) < 0) {
        arena_keep(table, at);
        return 0;
    }
    block->owner = owner;
    block->bytes = bytes;
    MANY_FAULT_POINT("arena.take.owner");
    atomic_store_explicit(&block->state, MANY_BLOCK_USED_, memory_order_release);
    return at;
}

/* The memory of a large block, but for the page of its header. */
static void arena_discard(many_table_ *table, uint64_t at, uint64_t size)
{
    const uint64_t page = many_memory_page_();
    const uint64_t from = (at + sizeof(many_block_) + page - 1) / page * page;
    const uint64_t to = (at + size) / page * page;

    if (to > from)
        many_memory_discard_(many_table_at_(table, from), to - from);
}

static many_arena_shared_ *arena_of(const many_table_ *table, uint64_t at)
{
    int low = 0, high = table->head->submitters;

    /* Regions lie one behind the other, in the order of their submitters. */
    for (;;) {
        const int middle = (low + high) / 2;
        many_region_ *region = &table->region[middle];

        if (at < region->arena_at)
            high = middle;
        else if (at >= region->arena_at + region->arena_bytes)
            low = middle + 1;
        else
            return &region->arena;
    }
}

void many_arena_give_(many_table_ *table, uint64_t at)
{
    if (at != 0)
        many_arena_give_of_(table, at, arena_block(table, at)->owner);
}

void many_arena_give_of_(many_table_ *table, uint64_t at, uint64_t owner)
{
    uint32_t used = MANY_BLOCK_USED_;
    many_arena_shared_ *shared;
    many_block_ *block;
    uint64_t size, seen;

    if (at == 0)
        return;
    block = arena_block(table, at);
    shared = arena_of(table, at);
    if (block->owner != owner ||
        !atomic_compare_exchange_strong_explicit(&block->state, &used,
                                                 shared == &table->region[table->submitter].arena
                                                     ? MANY_BLOCK_KEPT_
                                                     : MANY_BLOCK_RETURNED_,
                                                 memory_order_acq_rel, memory_order_relaxed))
        return;
    MANY_FAULT_POINT("arena.give.returned");
    size = arena_size(block->class);
    if (size >= ARENA_LARGE)
        arena_discard(table, at, size);
    seen = atomic_load_explicit(&shared->returned, memory_order_relaxed);
    do
        atomic_store_explicit(&block->next, seen, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&shared->returned, &seen, at,
                                                  memory_order_release, memory_order_relaxed));
}

void many_arena_begin_(many_table_ *table,
                       int (*alive)(many_table_ *table, uint64_t at, const many_block_ *block))
{
    many_region_ *region = &table->region[table->submitter];
    const uint64_t end = atomic_load_explicit(&region->arena.bump, memory_order_acquire);

    memset(&table->arena, 0, sizeof table->arena);
    arena_free_list(table, atomic_load_explicit(&region->arena.gathering, memory_order_acquire));
    arena_free_list(table, arena_detach(&region->arena));
    atomic_store_explicit(&region->arena.gathering, 0, memory_order_release);
    for (uint64_t at = region->arena_at; at < end;) {
        many_block_ *block = arena_block(table, at);
        const uint64_t size = arena_size(block->class);

        uint32_t state = atomic_load_explicit(&block->state, memory_order_acquire);

        if (state == MANY_BLOCK_FREE_ || state == MANY_BLOCK_KEPT_)
            arena_keep(table, at);
        else if (state == MANY_BLOCK_USED_ && !alive(table, at, block) &&
                 /* Not, if it was given back while we looked, by who then freed the ticket. */
                 atomic_compare_exchange_strong_explicit(&block->state, &state, MANY_BLOCK_FREE_,
                                                         memory_order_acq_rel,
                                                         memory_order_relaxed))
            arena_keep(table, at);
        at += size;
    }
}
