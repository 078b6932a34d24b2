/* SPDX-License-Identifier: MIT */
/*
 * board.h - counters in shared memory that many threads and processes bump without contention
 *
 * Promise    a count is exact: the sum of the cells is what was added, by the dead too.
 * Invariant  a cell that is a thread's own is written by one living thread at a time; everybody may
 *            read it. How that is kept is told in board.c.
 */
#ifndef MANY_BAR_BOARD_H
#define MANY_BAR_BOARD_H

#include <stdint.h>

#include "os/atomic.h"
#include "os/local.h"

/* Threads that get a cell of their own; those that come later share one, by atomic addition. */
#define MANY_BOARD_CELLS 64

/* Boards that a thread adds to in turn without looking for its cells again. */
#define MANY_BOARD_PLACES 4

/* What one thread has counted. */
typedef struct many_cell_ {
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t count;
    _Atomic uint64_t look_at;  /* who finds this count, or more, looks at the clock */
    _Atomic uint64_t looked;   /* the count when that was last done */
    _Atomic int64_t looked_ns; /* and the time; 0: never */
    _Atomic uint32_t claimed;  /* 1: it is some thread's */
} many_cell_;

/* What all processes see. */
typedef struct many_board_shared_ {
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t total; /* 0: not known */
    _Atomic uint32_t used; /* this cell and those behind it have never been claimed */
    many_cell_ failed;     /* bumped by atomic addition */
    many_cell_ crowd;      /* bumped by atomic addition, by threads without a cell of their own */
    many_cell_ cell[MANY_BOARD_CELLS];
} many_board_shared_;

/* What each process has for itself: a forked child finds it zeroed by the kernel. */
typedef struct many_board_local_ {
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t stamp; /* see board.c; 0: none taken yet */
    int64_t opener;                                   /* 1 in the process that opened the board */
    _Alignas(MANY_CACHE_LINE) _Atomic uintptr_t thread[MANY_BOARD_CELLS]; /* which of our threads
                         has this cell: the address of its places; 0: none of this process */
} many_board_local_;

typedef struct many_board_ {
    many_board_local_ *local; /* all but last_stamp are constant after open */
    many_board_shared_ *shared;
    uint32_t place;              /* 0 .. MANY_BOARD_PLACES-1, where threads remember their cell */
    uint32_t watched;            /* 1: who adds in the opener's process looks at the clock, too */
    int64_t pid;                 /* the opener's, where the system cannot wipe; else 0 */
    _Atomic uint64_t last_stamp; /* no stamp that this process took is newer */
} many_board_;

/* A thread's memory of where its cell is; it holds for a board if both words say so. */
typedef struct many_board_place_ {
    const many_board_ *board;
    uint64_t stamp;   /* never 0 in a place that is taken */
    many_cell_ *cell; /* NULL: none was left, use the crowd's */
} many_board_place_;

typedef struct many_board_places_ {
    many_board_place_ place[MANY_BOARD_PLACES];
    uint64_t opened; /* boards that this thread has opened: they get places in turn */
} many_board_places_;

/* 104 bytes; they have to be few, see os/local.h. */
extern _Thread_local many_board_places_ many_board_mine_ MANY_LOCAL_FAST_;

/* watched: 0 if nobody wants to draw. 0 or -ENOMEM. */
int many_board_open_(many_board_ *board, uint64_t total, int watched);

/* Give the memory back. In a forked child its threads' cells, too: others may go on with them. */
void many_board_close_(many_board_ *board);

/* 1 in the process that opened it. */
int many_board_is_opener_(const many_board_ *board);

/* The calling thread's cell, claimed if it has none; NULL if none is left: then it adds to the
 * crowd's. */
many_cell_ *many_board_claim_(many_board_ *board);

/* The sum of all cells, the failed ones included, which are also given by themselves. */
uint64_t many_board_count_(const many_board_ *board, uint64_t *failed);

/* The clock was looked at: choose the count at which to do so again. */
void many_cell_looked_(many_cell_ *cell, uint64_t count, int64_t now_ns);

/* Does the place hold for this board, as this process knows it? */
static inline int many_board_knows_(const many_board_ *board, const many_board_place_ *place)
{
    return place->stamp == atomic_load_explicit(&board->local->stamp, memory_order_relaxed) &&
           place->board == board;
}

/* Who adds to a cell that holds this count: does it have to look at the clock? */
static inline int many_cell_is_due_(const many_cell_ *cell, uint64_t count)
{
    return count >= atomic_load_explicit(&cell->look_at, memory_order_relaxed);
}

static inline uint64_t many_cell_count_(const many_cell_ *cell)
{
    return atomic_load_explicit(&cell->count, memory_order_relaxed);
}

/* Put a new count into a cell of one's own. No other thread writes there, so that loading, adding
 * and storing lose nothing; relaxed, because a count publishes nothing but itself. */
static inline void many_cell_put_(many_cell_ *cell, uint64_t count)
{
    atomic_store_explicit(&cell->count, count, memory_order_relaxed);
}

/* Add to a cell that others add to as well; the count before. */
static inline uint64_t many_cell_add_shared_(many_cell_ *cell, uint64_t n)
{
    return atomic_fetch_add_explicit(&cell->count, n, memory_order_relaxed);
}

#endif
