/* SPDX-License-Identifier: MIT */
/*
 * table.h - the memory that the owner of a pool of processes, its supervisor and its workers share
 *
 * One memfd, set aside large and touched late, mapped at any address: nothing in it is a pointer, but what the
 * user gave as one. It begins with the roster; then come the head, the workers' records, the functions, and
 * a region a submitter: 0 is the owner, 1 .. workers are the workers (1 + w), workers + 1 is the supervisor.
 * A region has tickets, seven lanes of ready ones, news, and an arena (arena.h).
 *
 * Promise    Every ticket that was made READY is OVER once, whoever is killed at whatever instruction, as long as
 *            one of owner and supervisor lives. Nobody holds anything that another process waits for.
 * Ticket     a task, or a batch of items. Its claim word says whose it is:
 *
 *              FREE       the submitter's, unused
 *              READY      anybody's who claims it           submitter: FREE -> READY, a store
 *              CLAIMED    worker w's (claimant)              w: READY -> CLAIMED
 *              ASKED      w's; whoever holds it has ended it, and it counts as cancelled, whatever w returns
 *                                                           anybody: CLAIMED -> ASKED
 *              CONDEMNED  the supervisor's, who kills w      CLAIMED or ASKED -> CONDEMNED
 *              OVER       the submitter's again              w: CLAIMED or ASKED -> OVER
 *                                                           anybody: READY -> OVER, with a verdict
 *                                                           after w's death who settles that: CLAIMED, ASKED
 *                                                           or CONDEMNED of w -> READY or OVER
 *              OVER -> FREE, with the next generation: the submitter, a store.
 *
 *            All but the two stores are compare-and-swap of the whole word, generation included. So a key (ticket
 *            and generation) that lies around somewhere is a hint that can do no harm.
 * Orders     What a submitter wrote into a ticket is published by the store of READY (release) and the claim
 *            (acquire); the outcome by -> OVER (release) and the look of who reads it (acquire). What a dead worker
 *            wrote is there for who has seen the death. Each Dekker pair (work and sleepers, end and listener)
 *            has a sequentially consistent fence between store and load on both sides.
 * Intent     A worker stores the key at the top of its stack before it claims, and counts the depth up after it.
 *            So after a death every ticket that is claimed by w is among stack[0 .. depth], that place included.
 * Death      between -> OVER and the news or the wake that go with it: who settles the death finds the ticket
 *            OVER on the stack, wakes, and has the submitter look through all that it watches (scan).
 * Model      tests/model/ticket_model.py visits every interleaving of a ticket's life, kills and sleep included.
 */
#ifndef MANY_POOL_TABLE_H
#define MANY_POOL_TABLE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <many/pool.h>
#include <many/task.h>

#include "os/atomic.h"
#include "pool/arena.h"
#include "pool/pool.h"
#include "pool/roster.h"
#include "task/reference.h"
#include "task/seat.h"

/* ---- claim words ---- */

#define MANY_TICKET_FREE_      UINT64_C(0)
#define MANY_TICKET_READY_     UINT64_C(1)
#define MANY_TICKET_CLAIMED_   UINT64_C(2)
#define MANY_TICKET_ASKED_     UINT64_C(3)
#define MANY_TICKET_CONDEMNED_ UINT64_C(4)
#define MANY_TICKET_OVER_      UINT64_C(5)
#define MANY_TICKET_PHASES_    UINT64_C(7)

#define MANY_TICKET_SLEEPERS_                                                                      \
    UINT64_C(8) /* somebody sleeps on the low half: wake all when it is over */
#define MANY_TICKET_NOTIFY_ UINT64_C(16) /* tell its submitter's news when it is over */

#define MANY_TICKET_DETACHED_                                                                      \
    UINT64_C(256) /* its future was closed: it runs even if its submitter is dead */

/* What a ticket ended with, where that is not in its code: bits 5..7; 0: it is in its code. */
#define MANY_VERDICT_CANCELLED_ (UINT64_C(1) << 5)
#define MANY_VERDICT_TIMEOUT_   (UINT64_C(2) << 5) /* over .item_limit_s */
#define MANY_VERDICT_MEMORY_    (UINT64_C(3) << 5) /* over .item_limit_bytes */
#define MANY_VERDICT_BROKEN_    (UINT64_C(4) << 5) /* the pool has no workers */
#define MANY_VERDICTS_          (UINT64_C(7) << 5)

static inline uint64_t many_claim_(uint64_t phase, int claimant, uint32_t generation)
{
    return (uint64_t)generation << 32 | (uint64_t)(claimant & 0xffff) << 16 | phase;
}

static inline uint64_t many_claim_phase_(uint64_t claim)
{
    return claim & MANY_TICKET_PHASES_;
}

/* The worker, 0 .. workers - 1, while CLAIMED, ASKED or CONDEMNED. */
static inline int many_claim_worker_(uint64_t claim)
{
    return (int)(claim >> 16 & 0xffff);
}

static inline uint32_t many_claim_generation_(uint64_t claim)
{
    return (uint32_t)(claim >> 32);
}

/* ---- keys: generation (27 bits), submitter (13), index (23), and one bit that is always set ---- */

#define MANY_KEY_INDEX_BITS_      23
#define MANY_KEY_SUBMITTER_BITS_  13
#define MANY_KEY_GENERATION_BITS_ 27
#define MANY_KEY_FULL_            (UINT64_C(1) << 63)
#define MANY_KEY_GENERATIONS_     ((UINT32_C(1) << MANY_KEY_GENERATION_BITS_) - 1)

static inline uint64_t many_key_(int submitter, uint32_t index, uint32_t generation)
{
    return MANY_KEY_FULL_ |
           (uint64_t)(generation & MANY_KEY_GENERATIONS_)
               << (MANY_KEY_SUBMITTER_BITS_ + MANY_KEY_INDEX_BITS_) |
           (uint64_t)submitter << MANY_KEY_INDEX_BITS_ | index;
}

static inline uint32_t many_key_index_(uint64_t key)
{
    return (uint32_t)key & ((UINT32_C(1) << MANY_KEY_INDEX_BITS_) - 1);
}

static inline int many_key_submitter_(uint64_t key)
{
    return (int)(key >> MANY_KEY_INDEX_BITS_ & ((1U << MANY_KEY_SUBMITTER_BITS_) - 1));
}

/* Is claim one of the generation that key names? */
static inline int many_key_is_(uint64_t key, uint64_t claim)
{
    return (((key >> (MANY_KEY_SUBMITTER_BITS_ + MANY_KEY_INDEX_BITS_)) ^ (claim >> 32)) &
            MANY_KEY_GENERATIONS_) == 0;
}

/* ---- tickets ---- */

/* Kinds of hot flags: what the ticket has besides the plain task. */
#define MANY_TICKET_COLD_    1U  /* the cold part is filled in */
#define MANY_TICKET_LIMITED_ 2U  /* it has a limit: cold->limit_ns, cold->limit_bytes */
#define MANY_TICKET_REPLIES_ 4U  /* many_reply() gives its result */
#define MANY_TICKET_BATCH_   8U  /* arg is the offset of a many_batch_area_; count items */
#define MANY_TICKET_LEVEL_   8   /* bits 8..11: its lane, 0 (lowest) .. MANY_PRIORITIES_ - 1 */
#define MANY_TICKET_POINTER_ 16U /* cold->context is a pointer, not an offset */

#define MANY_TICKET_ARG_BYTES_    24
#define MANY_TICKET_RESULT_BYTES_ 16

/* Bits of attention: MANY_ATTENTION_STOP_; from here on the generation of the ticket: so who ends a task by its id,
 * and is late, does not end the next one in its ticket. */
#define MANY_ATTENTION_GENERATION_ 8

typedef struct many_ticket_ {
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t claim;
    /*
     * many_state_: item of the batch (0: a task), tries before, BETWEEN / RUNNING / ENDED / CONDEMNED. Stored by its
     * worker; with LIMITED in a batch the worker leaves RUNNING by compare-and-swap, and so does the supervisor
     * who condemns that item alone. A task (no batch) is condemned by its claim word.
     */
    _Atomic uint64_t progress;
    uint64_t serial;   /* number of the task in its pool; of a batch: index of its first item */
    uint32_t function; /* functions.h */
    uint32_t count;    /* items of a batch */
    _Atomic uint32_t attention; /* many_cancelled(); at first many_attention_() */
    int32_t code;               /* when OVER without a verdict: 0, -MANY_ETASK, -MANY_EDIED, ... */
    uint32_t flags;             /* MANY_TICKET_COLD_ ... */
    _Atomic uint32_t grace_ms;  /* of who terminates it; written before ASKED */
    uint64_t arg;               /* offset of its block; 0: inline */
    uint64_t arg_bytes;
    uint64_t result;       /* offset of its block; 0: inline, or none */
    uint64_t result_bytes; /* of a reply: as the worker says */
    _Alignas(16) unsigned char arg_inline[MANY_TICKET_ARG_BYTES_];
    uint64_t failure; /* offset of a many_failure_; 0: none */
    unsigned char result_inline[MANY_TICKET_RESULT_BYTES_];
} many_ticket_;

_Static_assert(sizeof(many_ticket_) == 128, "two lines of 64, so that it is one object to the bus");

typedef struct many_cold_ {
    int64_t limit_ns;     /* of a try; 0: none */
    uint64_t limit_bytes; /* likewise */
    uint64_t context;     /* offset of its block, or with MANY_TICKET_POINTER_ a pointer */
    uint64_t context_bytes;
    uint32_t retries;
    uint32_t reserved;
    char name[64]; /* "": it has none */
    uint64_t unused[3];
} many_cold_;

/* Why a task or an item failed: a block in the arena of whoever saw it. cause is complete, words included. */
typedef struct many_failure_ {
    uint64_t next; /* of a batch: the next item's; 0: none */
    many_cause cause;
} many_failure_;

/*
 * What a batch needs: a block of its submitter. Offsets are of the table; each area has room items.
 * A worker writes codes[i] before the progress says that item i is through; failures of its items are linked
 * at ticket->failure (last first).
 */
typedef struct many_batch_area_ {
    uint64_t items, item_bytes;     /* 0: none */
    uint64_t results, result_bytes; /* 0: none */
    uint64_t codes;                 /* int32_t[room]: as codes[] of a map; -ECANCELED at first */
    uint64_t replies;               /* many_reply_place_[room]; 0: no replies */
    uint64_t inputs;                /* many_batch_input_[inputs_count]; 0: none */
    uint32_t inputs_count;
    int32_t stop_at_failure;
    int64_t spent_ns; /* written by the worker that ends it; of those that died nothing */
    uint64_t room;
} many_batch_area_;

typedef struct many_reply_place_ {
    uint64_t at, bytes; /* offset of its block in the arena of the worker; 0: none */
} many_reply_place_;

typedef struct many_batch_input_ {
    uint64_t items, item_bytes;
} many_batch_input_;

/* ---- lanes: the ready tickets of one submitter at one level, first in first out ---- */

/*
 * Rings of 512, 1024, 2048 ... keys; when one is full the submitter goes on in the next, and claimers follow
 * when it is empty. head and tail: order of the ring (8 bits), position in it (56). The submitter alone moves
 * the tail; anybody moves the head, by compare-and-swap, past a key whose ticket is not READY any more: first
 * claim, then step. Killed between the two, the next one steps.
 */
#define MANY_LANE_FIRST_  9 /* 2^9 keys in the first ring */
#define MANY_LANE_ORDERS_ (MANY_KEY_INDEX_BITS_ - MANY_LANE_FIRST_ + 1)

typedef struct many_lane_ {
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t head;
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t tail;
    _Atomic uint64_t end[MANY_LANE_ORDERS_]; /* where the tail left each ring */
} many_lane_;

#define MANY_LANE_POSITIONS_ ((UINT64_C(1) << 56) - 1)

/* ---- news: which of the watched tickets of a submitter are over ---- */

/*
 * Many put, the submitter takes. slot holds a key, or for whom it is empty: (position / slots) at which it may be
 * filled. A key is there as soon as it is in its slot; whoever finds the tail at a full slot moves it on, so that
 * one who was killed before he could holds up nobody. Full: scan is set, and the submitter looks at all.
 */
typedef struct many_news_ {
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t tail;
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t head; /* the submitter's */
    _Atomic uint32_t scan;                           /* 1: something may have been lost */
    _Atomic uint32_t listens; /* the owner's: 1: ring its bell; cleared by who does */
} many_news_;

/* ---- regions ---- */

typedef struct many_region_ {
    /* Constant after the open. */
    _Alignas(MANY_CACHE_LINE) uint64_t tickets; /* many_ticket_[capacity] */
    uint64_t cold;                              /* many_cold_[capacity] */
    uint64_t lanes_at;                          /* memory of the rings: lane_bytes a level */
    uint64_t lane_bytes;
    uint64_t news_at; /* _Atomic uint64_t[news_slots] */
    uint64_t arena_at, arena_bytes;
    uint32_t capacity; /* a power of two */
    uint32_t news_slots;
    /* The submitter's. */
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t fresh; /* tickets from here on were never used */
    _Atomic uint32_t cold_grown;                      /* cold parts below have memory */
    _Atomic uint64_t last;    /* key of the ticket published last, or just now; before submits */
    _Atomic uint64_t submits; /* counted before READY */
    _Atomic uint32_t grown;   /* tickets below have memory */
    many_news_ news;
    many_arena_shared_ arena;
    many_lane_ lane[MANY_PRIORITIES_];
} many_region_;

/* ---- workers ---- */

/* A worker is in so many tasks at once at most, each waiting for the next. */
#define MANY_STACK_MOST_ 8192

typedef struct many_stack_ {
    _Atomic uint64_t key;
    _Atomic int64_t
        began_ns; /* of its current try, where it is limited or was asked about; else 0 */
} many_stack_;

/* idle: what a worker does between tasks. */
#define MANY_IDLE_NOT_      0U
#define MANY_IDLE_SEARCHES_ 1U
#define MANY_IDLE_SLEEPS_   2U
#define MANY_IDLE_LEAVES_   3U /* it ends by itself: nothing has happened */

typedef struct many_worker_record_ {
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t
        depth; /* stack[0 .. depth - 1] are claimed; [depth] may be */
    _Atomic uint32_t idle;
    _Atomic int32_t pid;
    _Atomic uint32_t began;           /* 1: its initializer has succeeded */
    _Atomic uint64_t tasks;           /* outermost ones it has ended, since it was made */
    _Atomic uint64_t waits;           /* key of what its innermost task waits for; 0: none */
    _Atomic uint32_t limited;         /* tasks with limits on its stack */
    _Atomic uint32_t asleep;          /* 1: the wait of waits is asleep: WORKER's circle */
    uint64_t stack;                   /* offset of many_stack_[MANY_STACK_MOST_] */
    _Atomic uint64_t identity;        /* many_identity_ of its main thread */
    _Atomic int32_t initializer_code; /* 0, or what the initializer returned */
    char words[192];                  /* what its initializer said when it failed */
} many_worker_record_;

/* ---- where idle workers sleep ---- */

/*
 * word: bit 0: somebody sleeps; above: wakes so far. searcher: 1 + the worker that looks for work without sleep: 0:
 * nobody. Who published work wakes one, if one sleeps and nobody searches; it clears bit 0, so that the next
 * does not; the one that woke sets it again if others sleep, takes something, and wakes the next if more is
 * there. Who stops searching clears searcher, sets bit 0, fences, and looks once more. A killed searcher or
 * waker costs a slice of sleep, and who settles its death clears searcher and wakes one. A searcher that was
 * stopped (SIGSTOP) costs one, too: who finds work although nobody woke him clears searcher.
 */
typedef struct many_rest_ {
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t word;
    _Atomic uint32_t sleepers; /* about so many */
    _Atomic uint32_t searcher;
} many_rest_;

/* ---- the head ---- */

#define MANY_TABLE_GROUPS_ 65 /* of 64 submitters */

/* What the owner asks of the supervisor. */
#define MANY_ORDER_GO_ON_ 0U
#define MANY_ORDER_LEAVE_ 1U /* idle workers leave, none are made, and it leaves after them */
#define MANY_ORDER_CUT_   2U /* the same, but kill them */

typedef struct many_table_head_ {
    uint64_t bytes; /* of the file */
    int32_t workers, submitters;
    uint64_t records, functions, regions; /* offsets of the arrays */
    uint64_t functions_room;
    uint64_t waiting_most, tasks_per_worker;
    int64_t limit_ns;
    uint64_t limit_bytes;
    uint32_t tag; /* of ids: 1 .. 127 */
    int32_t method;
    int32_t cpus; /* usable ones at the open */
    int32_t reserved;

    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t serial; /* numbers all tasks of the pool, from 0 */

    many_rest_ rest;
    /* Which submitters may have something ready, by group and level: set after a lane was filled, cleared by who
     * found it empty and is about to sleep, and looks again after it. */
    struct {
        _Alignas(MANY_CACHE_LINE) _Atomic uint64_t level[MANY_PRIORITIES_];
    } ready[MANY_TABLE_GROUPS_];

    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t order;
    _Atomic uint32_t polling;     /* 1: the supervisor looks at limits by the clock */
    _Atomic uint32_t room_wanted; /* a futex: 1: a submitter waits for room in the owner's lanes */
    _Atomic uint64_t room_below;  /* wake it when so many or fewer wait */
    /* Recovery's and the supervisor's, from here. */
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t generation; /* of supervisors */
    _Atomic uint32_t barren;                               /* deaths in a row without a task done */
    _Atomic uint32_t initializer_failures;                 /* in a row */
    _Atomic uint32_t workers_gone; /* 1: after LEAVE or CUT: all are dead, and all is settled */
    char broken_words[256];        /* written before roster->broken */
} many_table_head_;

/* ---- what a process knows of a table; private memory ---- */

/* The task that this process runs now, and those around it: set by the worker around fn. */
typedef struct many_task_run_ {
    struct many_task_run_ *outer;
    uint64_t key;
    many_ticket_ *ticket;
    uint32_t item;    /* of a batch */
    uint32_t replies; /* 1: many_reply() is allowed */
    uint64_t
        reply; /* offset of its block (arena_take_), 0: none; whoever ends the item puts it where it
                             belongs, or gives it back */
    uint64_t reply_bytes;
} many_task_run_;

typedef struct many_functions_ many_functions_; /* functions.h */

typedef struct many_table_ {
    char *base;
    many_roster_ *roster;
    many_table_head_ *head;
    many_region_ *region; /* [submitters] */
    many_worker_record_ *record;
    int memory, supervisor_bell, owner_bell; /* descriptors: the memfd, and two bells */
    int submitter;                           /* whose submitter this process is */
    int worker;          /* submitter - 1 in a worker; -1 in the owner and the supervisor */
    int mapped;          /* 1: base was mapped by attach or open, and is unmapped by close */
    many_pool *pool;     /* in the owner and in workers */
    many_task_run_ *run; /* innermost; the worker's thread's */
    many_functions_ *functions;
    const many_module_ *modules; /* known to this process without asking the loader; may be NULL */
    size_t modules_count;

    pthread_mutex_t lock; /* threads of this process: lanes, tickets and arena as their submitter */
    many_arena_ arena;
    /*
     * What was last seen of the ends of lanes that others move, so that their lines are asked for only when that
     * does not do: heads of one's own lanes (a head only grows: an old one errs towards full), and for a worker
     * tails of the owner's (a tail only grows: the keys before it are there). Zero is valid.
     */
    uint64_t head_seen[MANY_PRIORITIES_];
    uint64_t tail_seen[MANY_PRIORITIES_];
    /* First of the list of free tickets + 1, which goes on in their serial; 0: none. */
    uint32_t free;
} many_table_;

static inline uint32_t many_attention_(uint64_t key)
{
    return (uint32_t)(key >> (MANY_KEY_SUBMITTER_BITS_ + MANY_KEY_INDEX_BITS_))
           << MANY_ATTENTION_GENERATION_;
}

static inline void *many_table_at_(const many_table_ *table, uint64_t offset)
{
    return table->base + offset;
}

static inline many_ticket_ *many_table_ticket_(const many_table_ *table, uint64_t key)
{
    return (many_ticket_ *)many_table_at_(table, table->region[many_key_submitter_(key)].tickets) +
           many_key_index_(key);
}

static inline many_cold_ *many_table_cold_(const many_table_ *table, uint64_t key)
{
    return (many_cold_ *)many_table_at_(table, table->region[many_key_submitter_(key)].cold) +
           many_key_index_(key);
}

static inline many_stack_ *many_table_stack_(const many_table_ *table, int w)
{
    return many_table_at_(table, table->record[w].stack);
}

static inline void *many_ticket_arg_(const many_table_ *table, many_ticket_ *ticket)
{
    return ticket->arg_bytes == 0 ? NULL
           : ticket->arg != 0     ? many_block_data_(many_table_at_(table, ticket->arg))
                                  : (void *)ticket->arg_inline;
}

/* Where a result of fixed size goes. */
static inline void *many_ticket_result_(const many_table_ *table, many_ticket_ *ticket)
{
    return ticket->result != 0         ? many_block_data_(many_table_at_(table, ticket->result))
           : ticket->result_bytes == 0 ? NULL
                                       : (void *)ticket->result_inline;
}

/* ---- making one, finding it, letting go (table.c) ---- */

/*
 * The owner: make it for a pool (kind, workers, name, option, limits are read). Its submitter is 0. 0, or
 * a negative code with words that begin with "many_pool_open".
 */
int many_table_open_(many_table_ **table, const many_pool *begun);

/*
 * Another process, or the owner in another's place: see the table in memory. base: where it is mapped already
 * (a fork), or NULL. The descriptors are its own from now on, and closed by close; -1: none. begin: take over what
 * the last process of that submitter left (its tickets and its arena). 0, -ENOMEM, -EBADMSG without words.
 */
int many_table_attach_(many_table_ **table, char *base, int memory, int bell, int owner_bell,
                       int submitter);

void many_table_close_(many_table_ *table); /* unmap, close descriptors, free. NULL: nothing */

/* Have memory for bytes from .. to of the table. 0 or -ENOMEM. */
int many_table_grow_(many_table_ *table, uint64_t from, uint64_t to);

/* A worker is about to use stack[depth]: its memory. 0 or -ENOMEM. */
int many_table_stack_reserve_(many_table_ *table, uint32_t depth);

/* ---- the submitting side; under table->lock ---- */

/* A free ticket of one's own, its memory made sure of; 0: -ENOMEM. Generation is the one of the key. */
uint64_t many_ticket_take_(many_table_ *table);

/* It is OVER, or was never READY: free it. Its blocks are the caller's business. */
void many_ticket_free_(many_table_ *table, uint64_t key);

int many_ticket_need_cold_(many_table_ *table, uint64_t key); /* memory for it. 0 or -ENOMEM */

/* Have room for one more in one's own lane of this level; before the ticket is READY. 0 or -ENOMEM. */
int many_lane_reserve_(many_table_ *table, int level);

/* Room was reserved: READY, with these flags of the claim word, into its lane, and a worker woken if need be. */
void many_ticket_publish_(many_table_ *table, uint64_t key, int level, uint64_t flags);

/* Keys in the lanes of a submitter: those that are READY, and some that were. */
uint64_t many_lanes_length_(const many_table_ *table, int submitter);
/* Drop keys of one's own lanes that are not READY any more, wherever they are. */
void many_lanes_tidy_(many_table_ *table);

uint64_t many_news_take_(many_table_ *table); /* the next of one's news; 0: no more */

/* ---- the claiming side ---- */

/* The first READY ticket of the lanes, claimed for w; 0: there is none. intent: where its key is stored before. */
uint64_t many_table_claim_(many_table_ *table, int w, _Atomic uint64_t *intent);

/* May there be something READY? Clears marks of lanes that are empty; for who is about to sleep. */
int many_table_work_(many_table_ *table);

static inline int many_ticket_claim_(many_ticket_ *ticket, uint64_t key, int w)
{
    uint64_t seen = atomic_load_explicit(&ticket->claim, memory_order_relaxed);

    while (many_claim_phase_(seen) == MANY_TICKET_READY_ && many_key_is_(key, seen)) {
        const uint64_t wanted = (seen & ~(MANY_TICKET_PHASES_ | UINT64_C(0xffff0000))) |
                                MANY_TICKET_CLAIMED_ | (uint64_t)w << 16;

        if (atomic_compare_exchange_weak_explicit(&ticket->claim, &seen, wanted,
                                                  memory_order_acq_rel, memory_order_relaxed))
            return 1;
    }
    return 0;
}

/*
 * Its worker: fn has returned, code and result are written. 1: it is OVER; sleepers are woken and the news told.
 * 0: it was CONDEMNED: the process is to end. After it the ticket may be another's.
 */
int many_ticket_end_(many_table_ *table, uint64_t key);

/* After the death of its worker, or READY: OVER with this verdict (0: code is written), woken and told. 1; 0:
 * it is not in such a state (any more). from: the phases that may be left, as bits 1 << phase. */
int many_ticket_settle_(many_table_ *table, uint64_t key, uint32_t from, uint64_t verdict);

/* READY -> OVER, cancelled. 1 or 0. */
static inline int many_ticket_cancel_(many_table_ *table, uint64_t key, uint64_t verdict)
{
    return many_ticket_settle_(table, key, 1U << MANY_TICKET_READY_, verdict);
}

/*
 * CLAIMED -> ASKED, verdict cancelled; CLAIMED (with this verdict) or ASKED -> CONDEMNED, if it is w's; CONDEMNED with
 * this verdict -> CLAIMED, if it is w's: it was another try. 1; 0: it is in no such state.
 */
int many_ticket_ask_(many_table_ *table, uint64_t key);
int many_ticket_condemn_(many_table_ *table, uint64_t key, int w, uint64_t verdict);
int many_ticket_spare_(many_table_ *table, uint64_t key, int w, uint64_t verdict);

/* After the death of w: CLAIMED by it -> READY; then many_requeue_ it. 1 or 0 (ASKED, CONDEMNED: settle it). */
int many_ticket_put_back_(many_table_ *table, uint64_t key, int w);

/* One's own lanes: have a READY ticket of anybody's claimed. 0 or -ENOMEM. */
int many_requeue_(many_table_ *table, uint64_t key);

/* After the death of w: put right what it may have left of the marks and of the rest; and, for who slept and
 * was not woken, marks alone, of 64 submitters, whose turn it is. */
void many_table_mend_(many_table_ *table, int w);
void many_table_remark_(many_table_ *table, uint32_t turn);

/* It is OVER (of that generation): wake who sleeps, tell the news if notify. */
void many_ticket_tell_(many_table_ *table, uint64_t key, uint64_t claim);

void many_news_lost_(many_table_ *table, int submitter); /* let it look at all: some may be lost */

/* ---- bells and sleep ---- */

/* Work was published: wake an idle worker if that is wanted. */
void many_rest_wake_some_(many_rest_ *rest);

static inline void many_rest_wake_(many_rest_ *rest)
{
    atomic_thread_fence(memory_order_seq_cst); /* between the lane's tail and this look */
    if ((atomic_load_explicit(&rest->word, memory_order_relaxed) & 1) != 0 &&
        atomic_load_explicit(&rest->searcher, memory_order_relaxed) == 0)
        many_rest_wake_some_(rest);
}

/* ---- what the other files of the engine give each other ---- */

/* process_pool.c: the handle that tasks of this worker see as many_pool_current(). 0 or -ENOMEM. */
int many_process_pool_enter_(many_table_ *table, many_pool **pool);

/* process_worker.c: in a worker: claim it and run it here, in the task that waits for it. 1: it is over; 0: it
 * was not READY; -EDEADLK with words: MANY_STACK_MOST_ tasks are around it. */
int many_worker_help_(many_table_ *table, uint64_t key);

/* process_circle.c: the innermost task of this worker is about to wait for key (published), or no longer is. */
void many_circle_wait_(many_table_ *table, uint64_t key);
void many_circle_through_(many_table_ *table);

/* Is this worker the victim of a circle that its wait closes? 1, with words by many_fail(-EDEADLK); 0. */
int many_circle_stuck_(many_table_ *table);

/* Would a wait of this worker's innermost task for key close a circle? 1 with words; 0. */
int many_circle_would_(many_table_ *table, uint64_t key);

#endif
