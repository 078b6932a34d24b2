/* SPDX-License-Identifier: MIT */
/*
 * arena.h - blocks of shared memory: taken by one process, given back by any
 *
 * Promise    No memory is lost but one block for each kill of a process that just gives back another's. What is
 *            taken has memory: to touch it is never a SIGBUS.
 * Invariant  From the arena's beginning to bump lie blocks without a gap, each with its header; its class tells
 *            where the next begins. Only the process of the region's submitter moves bump and takes blocks; bump
 *            moves after the header is written.
 * Give back  By whoever is through with it: state is stored RETURNED (or KEPT, by the process of the taker), then
 *            it is pushed on returned. The taker stores its head in gathering, and then empties it by a
 *            compare-and-swap; each block that it finds is FREE before gathering goes on to the next, and in a
 *            list of its own after that.
 * Death      of the taker: its successor goes through both lists, in which next is whole from gathering on, and
 *            frees what is there, in one or both; then it walks the headers. FREE blocks are free, and so is what was
 *            KEPT and in no list: who gave it is dead. RETURNED ones still come by the list; of the others those
 *            live on that somebody refers to (alive), the rest is freed.
 */
#ifndef MANY_POOL_ARENA_H
#define MANY_POOL_ARENA_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "os/atomic.h"

#define MANY_ARENA_CLASSES_                                                                        \
    160 /* four sizes between each power of two and the next, from 64 bytes */

#define MANY_BLOCK_FREE_     0U /* in a list of the taker's */
#define MANY_BLOCK_USED_     1U
#define MANY_BLOCK_RETURNED_ 2U /* on its way back: in returned, or about to be */
#define MANY_BLOCK_KEPT_     3U /* the same, by the process of the region's own submitter */

typedef struct many_block_ {
    _Atomic uint32_t state;
    uint32_t class;
    _Atomic uint64_t next; /* returned: offset of the next */
    uint64_t owner;        /* key of the ticket that refers to it */
    uint64_t bytes;        /* asked for */
} many_block_;

_Static_assert(sizeof(many_block_) == 32, "data begin aligned for everything");

/* In the region. */
typedef struct many_arena_shared_ {
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t bump; /* offset in the table */
    _Atomic uint64_t grown; /* below, all has memory, but freed large blocks */
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t returned;
    _Atomic uint64_t
        gathering; /* the taker's: the first of those taken off returned that is not in a list yet */
} many_arena_shared_;

/* The taker's. */
typedef struct many_arena_ {
    uint64_t free[MANY_ARENA_CLASSES_]; /* offsets; linked by next */
} many_arena_;

static inline void *many_block_data_(void *block)
{
    return (char *)block + sizeof(many_block_);
}

struct many_table_;

/* A block of one's own arena for bytes; under table->lock. Its offset, 0: no memory. */
uint64_t many_arena_take_(struct many_table_ *table, size_t bytes, uint64_t owner);

/* Give back a block of anybody's arena. 0 does nothing. */
void many_arena_give_(struct many_table_ *table, uint64_t block);

/* The same, but only if it still belongs to owner: for a successor, who may find it given back already. */
void many_arena_give_of_(struct many_table_ *table, uint64_t block, uint64_t owner);

/* The taker begins: walk what is there. alive says whether a used block is still referred to. */
void many_arena_begin_(struct many_table_ *table,
                       int (*alive)(struct many_table_ *table, uint64_t block,
                                    const many_block_ *header));

#endif
