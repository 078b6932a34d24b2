/* SPDX-License-Identifier: MIT */
/*
 * record.h - range words and worker records: who does what next, and what is left when one dies
 *
 * The items of a map are cut into one contiguous range a worker. The range that a worker has not
 * begun is its range word; the chunk it is in, and how far it is, stand in its record beside it.
 * Word and record lie in shared memory, so that after a death they say exactly what is done, what
 * was running, and what is left.
 *
 *   Range word  begin (low half) and end, packed into 64 bits, changed by compare-and-swap only.
 *               The owner moves begin: forward to claim a chunk, back to give the end of a claimed
 *               chunk back. Others cut end down: a thief among threads, the supervisor among
 *               processes. An empty word is filled by its owner (threads), or by the supervisor
 *               while the owner asks for work or is dead (processes).
 *               No ABA problem: a word that was changed and changed back is the same range.
 *   Intent      what the owner is about to claim: begin (32 bits), count (16), and a tag (16), the
 *               low half of done. Stored before the compare-and-swap of a claim; 0 before the owner
 *               asks for work, lest a word that is filled then seem to be claimed.
 *   Closed      done and failed items of this worker so far, 32 bits each. Storing it ends the
 *               chunk: done grows by 1 to 32768, so its low half differs from the intent's tag.
 *   State       which item, how far: task/seat.h.
 *
 * After a death the order of the owner's stores is its program order: the kernel stops it between
 * two instructions, and who reads has seen the death, which orders all that was before it. Then
 *
 *   intent is 0, or its tag is not the low half of done    no chunk is open
 *   word.begin is intent.begin                             the claim was not made: none is open
 *   else                                                   the chunk is [intent.begin, word.begin):
 *                                                          begin moved to its end, or some of it was
 *                                                          given back; nobody else moves begin
 *   items of the chunk before state.item                   are done; their codes and results are in
 *                                                          shared memory
 *   state.item, unless MANY_BETWEEN_                       was running: it fails, or is tried again
 *   the others, and [word.begin, word.end)                 were not begun. They are one range, and
 *                                                          go back into the word of the dead, for
 *                                                          its successor or whoever runs dry
 *
 * tests/model/record_model.py visits every interleaving of this with cuts, fills and kills.
 *
 * Memory orders: a claim and a cut are acquire-release, so that who receives a range sees what its
 * giver wrote. Intent and state are relaxed: fn, an opaque call, and the fences beside them keep the
 * compiler's order, and the processor's does not matter to who has seen the death. Closed is stored
 * with release, for the bar that counts it while its owner lives.
 */
#ifndef MANY_MAP_RECORD_H
#define MANY_MAP_RECORD_H

#include <stdatomic.h>
#include <stdint.h>

#include <many/task.h>

#include "os/atomic.h"

typedef _Atomic uint64_t many_word_;

/* What idle says. */
#define MANY_WORKS_   0U
#define MANY_ASKS_    1U /* has nothing to do */
#define MANY_GO_HOME_ 2U /* there is nothing more to do */
#define MANY_LEAVES_  3U /* has seen that, and ends */

typedef struct many_record_ {
    _Alignas(MANY_CACHE_LINE) many_word_ word; /* range not begun; touched by others, so alone */
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t state;
    _Atomic uint64_t intent;
    _Atomic uint64_t closed;
    _Atomic uint64_t slot_index;    /* index of the item in its slot (stream.c) */
    _Atomic int64_t chunk_ns;       /* when the open chunk was begun */
    _Atomic uint32_t item_ns;       /* what an item takes, lately */
    _Atomic uint32_t failures;      /* items that failed, those of the open chunk included */
    _Atomic uint32_t idle;          /* MANY_WORKS_ ...; a futex */
    _Atomic int32_t pid;            /* of a worker process */
    _Atomic uint32_t way;           /* how its results go home (shared_map.h) */
    _Atomic uint32_t failure_taken; /* 1: failure is being written; 2: it is whole */
    int64_t failure_ns;             /* when */
    many_cause failure;             /* the first failure of this worker */
} many_record_;

static inline uint64_t many_range_(uint32_t begin, uint32_t end)
{
    return (uint64_t)end << 32 | begin;
}

static inline uint32_t many_range_begin_(uint64_t word)
{
    return (uint32_t)word;
}

static inline uint32_t many_range_end_(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static inline uint32_t many_range_left_(uint64_t word)
{
    uint32_t begin = many_range_begin_(word), end = many_range_end_(word);

    return end > begin ? end - begin : 0;
}

static inline uint32_t many_closed_done_(uint64_t closed)
{
    return (uint32_t)(closed >> 32);
}

static inline uint32_t many_closed_failed_(uint64_t closed)
{
    return (uint32_t)closed;
}

static inline uint64_t many_closed_(uint32_t done, uint32_t failed)
{
    return (uint64_t)done << 32 | failed;
}

/* Owner: claim up to most items from the front. How many, 0 if there are none; *begin is the first.
 */
uint32_t many_record_claim_(many_record_ *record, uint32_t most, uint32_t *begin);

/* Owner: give [from, end of the open chunk) back to the own word. 1 if that was still possible. */
int many_record_give_back_(many_record_ *record, uint32_t from, uint32_t chunk_end);

/* Anybody: cut the back half (of 1, the one) off another's word. 1 if there was something; [*begin,
 * *end). */
int many_record_cut_(many_record_ *record, uint32_t *begin, uint32_t *end);

/* Who knows that the word is empty and its owner will not touch it, or is its owner: put a range
 * there. */
void many_record_fill_(many_record_ *record, uint32_t begin, uint32_t end);

/* The owner is dead: what of its chunk is open, [*begin, *end)? 0: no chunk is. */
int many_record_open_chunk_(const many_record_ *record, uint32_t *begin, uint32_t *end);

/* Owner: was the try that has just ended condemned by the supervisor? */
int many_record_condemned_(const many_record_ *record);

/* Items of the open chunk that were not begun yet; a guess while the owner runs on. */
uint32_t many_record_ahead_(const many_record_ *record);

/* Items this worker has done so far, those of the open chunk included; for a progress bar. */
uint32_t many_record_progress_(const many_record_ *record);

/* Of them, and perhaps some later ones, those that failed. To be asked after the progress: no item
 * is in that as done before it is here as failed. */
uint32_t many_record_failures_(const many_record_ *record);

/* Owner: so many more items have failed; before the state says that they are done. */
void many_record_fail_(many_record_ *record, uint32_t count);

#endif
