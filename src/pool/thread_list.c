/* SPDX-License-Identifier: MIT */
/*
 * thread_list.c - the tasks that outsiders have submitted, in order, one list for each priority; by the latch
 *
 * A list is a ring of entries as those of a deque: hints. So who takes some does not touch the tasks themselves,
 * which lie in the cache of who submitted them, while others wait for the latch.
 *
 * Invariant  Every task that waits and is in no deque has its entry here. Entries that are out of date (a waiter
 *            has run the task, or it was cancelled) go when they come to the front, or when room is wanted. stale
 *            is not 0 if there may be some since they were thrown out last.
 */
#include <limits.h>
#include <stdlib.h>

#include "base/fault.h"
#include "os/futex.h"
#include "pool/thread_pool.h"

#define THREAD_LIST_FIRST 64 /* entries of the first ring */
/* With more entries than this it has to be worth it to go through them all. */
#define THREAD_LIST_LONG  1024
#define THREAD_LIST_WORTH 16

static size_t thread_list_count(const many_thread_list_ *list)
{
    return list->tail - list->head;
}

static void thread_list_changed(many_thread_pool_ *pool, int level)
{
    many_thread_list_ *list = &pool->list[level];
    const int any = list->tail != list->head;
    const uint32_t levels = atomic_load_explicit(&pool->levels, memory_order_relaxed);
    const uint32_t now = any ? levels | 1U << level : levels & ~(1U << level);

    atomic_store_explicit(&list->first,
                          any ? list->entry[list->head & list->mask].number : UINT64_MAX,
                          memory_order_relaxed);
    if (now != levels)
        atomic_store_explicit(&pool->levels, now, memory_order_relaxed);
}

static void thread_list_count_waiting(many_thread_pool_ *pool, size_t more, size_t less)
{
    atomic_store_explicit(&pool->waiting,
                          atomic_load_explicit(&pool->waiting, memory_order_relaxed) + more - less,
                          memory_order_relaxed);
}

MANY_SELDOM_ void many_thread_make_room_(many_thread_pool_ *pool)
{
    atomic_fetch_add_explicit(&pool->roomy, 1, memory_order_release);
    many_futex_wake_(&pool->roomy, INT_MAX);
}

/* Throw out what is out of date. */
static MANY_SELDOM_ void thread_list_sift(many_thread_pool_ *pool, int level)
{
    many_thread_list_ *list = &pool->list[level];
    size_t to = list->head;

    for (size_t at = list->head; at != list->tail; at++)
        if (many_thread_is_live_(&list->entry[at & list->mask]))
            list->entry[to++ & list->mask] = list->entry[at & list->mask];
    thread_list_count_waiting(pool, 0, list->tail - to);
    list->tail = to;
    thread_list_changed(pool, level);
}

MANY_SELDOM_ void many_thread_list_sift_(many_thread_pool_ *pool)
{
    const size_t stale = atomic_load_explicit(&pool->stale, memory_order_seq_cst);
    const size_t waiting = atomic_load_explicit(&pool->waiting, memory_order_relaxed);

    if ((stale == 0 && waiting > MANY_THREAD_LIST_SHORT_) ||
        (waiting > THREAD_LIST_LONG && stale < waiting / THREAD_LIST_WORTH))
        return;
    /* What turns out of date from here on is counted anew. */
    atomic_store_explicit(&pool->stale, 0, memory_order_seq_cst);
    for (int level = 0; level < MANY_PRIORITIES_; level++)
        thread_list_sift(pool, level);
}

MANY_SELDOM_ int many_thread_list_grow_(many_thread_list_ *list)
{
    const size_t count = thread_list_count(list);
    const size_t size = list->entry == NULL ? THREAD_LIST_FIRST : 2 * (list->mask + 1);
    many_deque_entry_ *entry = malloc(size * sizeof *entry);

    if (entry == NULL)
        return 0;
    for (size_t k = 0; list->entry != NULL && k < count; k++)
        entry[k] = list->entry[(list->head + k) & list->mask];
    free(list->entry);
    list->entry = entry;
    list->mask = size - 1;
    list->head = 0;
    list->tail = count;
    return 1;
}

int many_thread_list_room_(many_thread_pool_ *pool, int level)
{
    many_thread_list_ *list = &pool->list[level];

    /* One who submits and waits, again and again, is to find his task to be the first. */
    while (thread_list_count(list) - 1 < MANY_THREAD_LIST_SHORT_ &&
           !many_thread_is_live_(&list->entry[list->head & list->mask])) {
        list->head++;
        thread_list_count_waiting(pool, 0, 1);
    }
    if (MANY_LIKELY_(list->entry != NULL && thread_list_count(list) <= list->mask))
        return 1;
    many_thread_list_sift_(pool);
    if (list->entry != NULL && thread_list_count(list) <= list->mask / 2)
        return 1;
    return many_thread_list_grow_(list);
}

void many_thread_list_push_(many_thread_pool_ *pool, many_thread_task_ *task)
{
    many_thread_list_ *list = &pool->list[task->level];

    list->entry[list->tail++ & list->mask] =
        (many_deque_entry_){task, atomic_load_explicit(&task->number, memory_order_relaxed)};
    thread_list_count_waiting(pool, 1, 0);
    atomic_store_explicit(&pool->listed,
                          atomic_load_explicit(&pool->listed, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    thread_list_changed(pool, task->level);
}

int many_thread_list_pop_(many_thread_pool_ *pool, int level, many_deque_entry_ *entry)
{
    many_thread_list_ *list = &pool->list[level];

    if (list->head == list->tail) {
        thread_list_changed(pool,
                            level); /* the last were thrown out, and then there was no memory */
        return 0;
    }
    *entry = list->entry[list->head++ & list->mask];
    thread_list_count_waiting(pool, 0, 1);
    thread_list_changed(pool, level);
    /* Who waits for room has counted itself there before it took the latch to look. */
    if (!MANY_LIKELY_(atomic_load_explicit(&pool->crowded, memory_order_relaxed) == 0))
        many_thread_make_room_(pool);
    return 1;
}

void many_thread_unlisted_(many_thread_task_ *task)
{
    many_thread_pool_ *pool = many_thread_pool_of_(task);

    if ((task->flags & MANY_THREAD_LISTED_) == 0)
        return;
    atomic_fetch_add_explicit(&pool->stale, 1, memory_order_seq_cst);
    MANY_FAULT_POINT("thread.list.stale");
    /* Either this sees who waits for room, or that one sees stale. */
    if (atomic_load_explicit(&pool->crowded, memory_order_seq_cst) != 0)
        many_thread_make_room_(pool);
}

void many_thread_free_lists_(many_thread_pool_ *pool)
{
    for (int level = 0; level < MANY_PRIORITIES_; level++)
        free(pool->list[level].entry);
}
