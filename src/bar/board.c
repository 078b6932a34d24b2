/* SPDX-License-Identifier: MIT */
/*
 * board.c - counters in shared memory, one writer a cell; see board.h
 *
 * Who writes a cell. A cell is claimed by compare-and-swap, once, and from then on it is the
 * claiming thread's. The thread finds it again in its places, thread-local memory, or by its
 * address in local->thread[]. Neither may lead a second living thread there:
 *
 * - A forked child has copies of its parent's places and of the board. But the kernel has wiped
 *   local (MADV_WIPEONFORK), so the stamp there is 0, which no place holds, and thread[] names no
 *   cell. The child takes a new stamp and claims cells of its own.
 * - A place outlives its board, and another board may come to lie at the same address. Address and
 *   stamp together are unique: a stamp is the clock's time, or one more than the last if that is
 *   newer, and close waits until the clock has passed it. In a child last_stamp is a copy, which is
 *   not older than what the forking thread's places hold.
 * - A thread that ends leaves thread[] as it is. Its address comes back only with the thread-local
 *   memory of a new thread, which the C library hands out when the old one is gone for good: the
 *   new one goes on with the cell, and the count with it.
 * - A claim is given back only by a child that closes its board, when none of its threads adds any
 *   more: release there, acquire in the next claim. What died without that keeps its cells; the sum
 *   has them all the same. When all are gone, the crowd's cell serves everybody.
 *
 * Where the system cannot wipe (before Linux 4.14), a child could not tell its parent's places from
 * its own: there the stamp stays 0, nobody has a cell of his own, and all use the crowd's: slower,
 * and as exact.
 *
 * Death      an addition is one store: done or not. A claim that died half-way costs a cell.
 */
#include "bar/board.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/memory.h"

/*
 * When a thread looks at the clock. Looking costs 20 ns here, ten additions. So additions skip it
 * that would, at the speed since the last look, take less than this together (2 % of the time goes
 * into looking; items of more than a microsecond are never skipped) ...
 */
#define BOARD_LOOK_NS 1000

/*
 * ... but never more than this share of what the thread has counted. Only from the next look can
 * be seen that additions have become slow (a fast phase that skips what is done already, then
 * work): with few counted, the bar must not stand still for long. What is skipped then is at most
 * 1/8192 of the count, and at most what the fast phase did in a microsecond.
 */
#define BOARD_LOOK_SHARE 8192

/* A clock that is coarser than this does not exist; see board_let_clock_pass(). */
#define BOARD_COARSE_NS (20 * MANY_MILLISECOND_NS)

_Static_assert(sizeof(many_cell_) == MANY_CACHE_LINE, "no two threads may share a line");

_Thread_local many_board_places_ many_board_mine_ MANY_LOCAL_FAST_;

/* A stamp that none of this process's threads has seen with this board's address. */
static uint64_t board_new_stamp(many_board_ *board)
{
    uint64_t last = atomic_load_explicit(&board->last_stamp, memory_order_relaxed);
    uint64_t now = (uint64_t)many_clock_ns_();
    uint64_t stamp;

    do
        stamp = now > last ? now : last + 1;
    while (!atomic_compare_exchange_weak_explicit(&board->last_stamp, &last, stamp,
                                                  memory_order_relaxed, memory_order_relaxed));
    return stamp;
}

/* After this, the next board at this address gets a stamp that is newer than ours. */
static void board_let_clock_pass(const many_board_ *board)
{
    uint64_t last = atomic_load_explicit(&board->last_stamp, memory_order_relaxed);

    for (;;) {
        uint64_t now = (uint64_t)many_clock_ns_();

        /* Far behind: it is another clock, of a time namespace that was entered meanwhile. */
        if (now > last || last - now > (uint64_t)BOARD_COARSE_NS)
            return;
        many_pause_();
    }
}

static int board_open_local(many_board_ *board)
{
    void *memory;
    int code = many_memory_map_wiped_(&memory, sizeof *board->local);

    if (code == -ENOSYS) {
        board->pid = getpid();
        memory = aligned_alloc(_Alignof(many_board_local_), sizeof *board->local);
        if (memory == NULL)
            return -ENOMEM;
        memset(memory, 0, sizeof *board->local);
        code = 0;
    }
    board->local = memory;
    return code;
}

static void board_close_local(many_board_ *board)
{
    if (board->pid != 0)
        free(board->local);
    else
        many_memory_unmap_(board->local, sizeof *board->local);
}

int many_board_open_(many_board_ *board, uint64_t total, int watched)
{
    void *memory;
    int code;

    memset(board, 0, sizeof *board);
    code = board_open_local(board);
    if (code < 0)
        return code;
    code = many_memory_map_shared_(&memory, sizeof *board->shared);
    if (code < 0) {
        board_close_local(board);
        return code;
    }
    board->shared = memory;
    board->watched = watched != 0;
    board->place = (uint32_t)(many_board_mine_.opened++ % MANY_BOARD_PLACES);
    board->local->opener = 1;
    if (board->pid == 0)
        atomic_store_explicit(&board->local->stamp, board_new_stamp(board), memory_order_relaxed);
    atomic_store_explicit(&board->shared->total, total, memory_order_relaxed);
    if (!watched) {
        atomic_store_explicit(&board->shared->failed.look_at, UINT64_MAX, memory_order_relaxed);
        atomic_store_explicit(&board->shared->crowd.look_at, UINT64_MAX, memory_order_relaxed);
    }
    return 0;
}

void many_board_close_(many_board_ *board)
{
    if (!many_board_is_opener_(board))
        for (int i = 0; i < MANY_BOARD_CELLS; i++)
            if (atomic_load_explicit(&board->local->thread[i], memory_order_relaxed) != 0)
                atomic_store_explicit(&board->shared->cell[i].claimed, 0,
                                      memory_order_release); /* pairs with acquire in take */
    board_let_clock_pass(board);
    board_close_local(board);
    many_memory_unmap_(board->shared, sizeof *board->shared);
}

int many_board_is_opener_(const many_board_ *board)
{
    if (board->pid != 0)
        return board->pid == getpid();
    return board->local->opener == 1;
}

/* The stamp of this process, taken now if it is a child's first use of the board. */
static uint64_t board_stamp(many_board_ *board)
{
    uint64_t stamp = atomic_load_explicit(&board->local->stamp, memory_order_relaxed);
    uint64_t ours;

    if (stamp != 0)
        return stamp;
    ours = board_new_stamp(board);
    /* Another thread may come first; then stamp is what it has taken. */
    if (atomic_compare_exchange_strong_explicit(&board->local->stamp, &stamp, ours,
                                                memory_order_relaxed, memory_order_relaxed))
        return ours;
    return stamp;
}

/* The cell that this thread has already, or NULL. */
static many_cell_ *board_find(many_board_ *board, uintptr_t thread)
{
    uint32_t used = atomic_load_explicit(&board->shared->used, memory_order_relaxed);

    for (uint32_t i = 0; i < used; i++)
        if (atomic_load_explicit(&board->local->thread[i], memory_order_relaxed) == thread)
            return &board->shared->cell[i];
    return NULL;
}

/* Count the cell in before anything is counted in it. */
static void board_raise_used(many_board_shared_ *shared, uint32_t used)
{
    uint32_t seen = atomic_load_explicit(&shared->used, memory_order_relaxed);

    while (seen < used &&
           !atomic_compare_exchange_weak_explicit(&shared->used, &seen, used, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

/* A cell that was nobody's, or NULL. */
static many_cell_ *board_take(many_board_ *board, uintptr_t thread)
{
    for (uint32_t i = 0; i < MANY_BOARD_CELLS; i++) {
        many_cell_ *cell = &board->shared->cell[i];
        uint32_t free_cell = 0;

        if (atomic_load_explicit(&cell->claimed, memory_order_relaxed) != 0 ||
            !atomic_compare_exchange_strong_explicit(&cell->claimed, &free_cell, 1,
                                                     memory_order_acquire, /* release in close */
                                                     memory_order_relaxed))
            continue;
        MANY_FAULT_POINT("bar.claim");
        board_raise_used(board->shared, i + 1);
        atomic_store_explicit(&cell->looked_ns, 0, memory_order_relaxed);
        /* Only the opener draws, so only its threads have to look. */
        atomic_store_explicit(&cell->look_at,
                              board->watched && many_board_is_opener_(board) ? 0 : UINT64_MAX,
                              memory_order_relaxed);
        atomic_store_explicit(&board->local->thread[i], thread, memory_order_relaxed);
        return cell;
    }
    return NULL;
}

many_cell_ *many_board_claim_(many_board_ *board)
{
    uintptr_t thread = (uintptr_t)&many_board_mine_;
    many_board_place_ *place = &many_board_mine_.place[board->place];
    many_cell_ *cell;
    uint64_t stamp;

    if (board->pid != 0)
        return NULL;
    stamp = board_stamp(board);
    cell = board_find(board, thread);
    if (cell == NULL)
        cell = board_take(board, thread);
    *place = (many_board_place_){board, stamp, cell};
    return cell;
}

uint64_t many_board_count_(const many_board_ *board, uint64_t *failed)
{
    const many_board_shared_ *shared = board->shared;
    uint32_t used = atomic_load_explicit(&shared->used, memory_order_relaxed);
    uint64_t count;

    *failed = atomic_load_explicit(&shared->failed.count, memory_order_relaxed);
    count = *failed + atomic_load_explicit(&shared->crowd.count, memory_order_relaxed);
    for (uint32_t i = 0; i < used; i++)
        count += atomic_load_explicit(&shared->cell[i].count, memory_order_relaxed);
    return count;
}

void many_cell_looked_(many_cell_ *cell, uint64_t count, int64_t now_ns)
{
    int64_t then_ns = atomic_load_explicit(&cell->looked_ns, memory_order_relaxed);
    uint64_t added = count - atomic_load_explicit(&cell->looked, memory_order_relaxed);
    uint64_t elapsed = (uint64_t)(now_ns - then_ns);
    uint64_t skip = 1;

    /* Additions so large that the product would overflow come too seldom to matter. */
    if (then_ns != 0 && added < UINT64_MAX / BOARD_LOOK_NS)
        skip = added * BOARD_LOOK_NS / (elapsed > 0 ? elapsed : 1);
    if (skip > count / BOARD_LOOK_SHARE)
        skip = count / BOARD_LOOK_SHARE;
    atomic_store_explicit(&cell->looked_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&cell->looked, count, memory_order_relaxed);
    atomic_store_explicit(&cell->look_at, count + (skip > 0 ? skip - 1 : 0), memory_order_relaxed);
}
