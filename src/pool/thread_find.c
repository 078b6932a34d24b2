/* SPDX-License-Identifier: MIT */
/*
 * thread_find.c - what a worker does next
 *
 * Order      Higher priorities; the own deque, oldest first; what outsiders have submitted; others' deques, oldest
 *            first; lower priorities. So tasks of the same priority begin about in the order of their submission, on
 *            a pool of one exactly so, but for those that a task submits: they come before older ones from outside.
 */
#include "os/clock.h"
#include "pool/thread_pool.h"

/* Take what will be begun in so long. */
#define THREAD_FIND_TAKE_NS (20 * MANY_MICROSECOND_NS)
/* Where less is there, a little later there will be more: so many pauses, about 1 us. */
#define THREAD_FIND_PAUSES  96

/* One turn in so many a task in the list that is older than all in the own deque comes first, so that tasks that
 * submit tasks for ever do not keep those of others waiting for ever. */
#define THREAD_FIND_FAIR_TURN 32

int many_thread_claim_entry_(const many_deque_entry_ *entry)
{
    many_thread_task_ *task = entry->task;

    return atomic_load_explicit(&task->number, memory_order_relaxed) == entry->number &&
           many_future_claim_(&task->head);
}

int many_thread_is_live_(const many_deque_entry_ *entry)
{
    many_thread_task_ *task = entry->task;

    return atomic_load_explicit(&task->number, memory_order_relaxed) == entry->number &&
           (atomic_load_explicit(&task->head.state, memory_order_relaxed) & MANY_FUTURE_PHASES_) ==
               MANY_FUTURE_PENDING_;
}

/* The oldest of a deque that can be begun; claimed. */
static many_thread_task_ *thread_find_in(many_deque_ *deque)
{
    many_deque_entry_ entry;
    int taken;

    while ((taken = many_deque_steal_(deque, INT64_MIN, &entry)) != 0)
        if (taken == 1 && many_thread_claim_entry_(&entry))
            return entry.task;
    return NULL;
}

/*
 * How many more to take with the first: as many as are begun within some 20 us, by what the last ones took. So
 * long tasks begin exactly in order, and short ones are not handed over each by itself, which would cost three
 * times what they take.
 */
static size_t thread_find_more(many_thread_place_ *place)
{
    many_thread_pool_ *pool = place->pool;
    const int64_t now_ns = many_clock_ns_();
    const int64_t wanted = place->took * THREAD_FIND_TAKE_NS / (now_ns - place->took_ns + 1);
    const size_t most = wanted < (int64_t)pool->moved_most ? (size_t)wanted : pool->moved_most;
    int moved;

    place->took_ns = now_ns;
    if (most < 2 || !many_deque_room_(&place->deque, (int64_t)most, many_thread_is_live_, &moved))
        return 0;
    if (atomic_load_explicit(&pool->waiting, memory_order_relaxed) < most)
        for (int k = 0; k < THREAD_FIND_PAUSES; k++)
            many_pause_();
    return most - 1;
}

/* The first of a list, claimed, if its number is below before; and from that of level 0 some more into the own
 * deque, where others can steal them, so that the latch is taken less often. */
static many_thread_task_ *thread_find_listed(many_thread_place_ *place, int level, uint64_t before)
{
    many_thread_pool_ *pool = place->pool;
    many_thread_task_ *found = NULL;
    many_deque_entry_ entry;
    size_t more = 0;

    if (level == MANY_THREAD_LEVEL_ && pool->moved_most > 1)
        more = thread_find_more(place);
    many_latch_take_(&pool->latch);
    while (found == NULL &&
           atomic_load_explicit(&pool->list[level].first, memory_order_relaxed) < before &&
           many_thread_list_pop_(pool, level, &entry))
        if (many_thread_claim_entry_(&entry))
            found = entry.task;
    if (found != NULL) {
        const size_t share =
            atomic_load_explicit(&pool->waiting, memory_order_relaxed) / (size_t)pool->pool.workers;

        place->took = 1;
        for (more = more < share ? more : share;
             more > 0 && many_thread_list_pop_(pool, level, &entry); more--) {
            many_deque_push_(&place->deque, entry.task, entry.number);
            place->took++;
        }
    }
    many_latch_give_(&pool->latch);
    return found;
}

/* Something to do for who has this place: claimed. NULL: there is nothing. */
many_thread_task_ *many_thread_find_(many_thread_place_ *place)
{
    many_thread_pool_ *pool = place->pool;
    const int used = atomic_load_explicit(&pool->used, memory_order_relaxed);
    many_thread_task_ *task = NULL;
    uint32_t levels = atomic_load_explicit(&pool->levels, memory_order_relaxed);
    int level = MANY_PRIORITIES_ - 1;

    for (; level > MANY_THREAD_LEVEL_; level--)
        if ((levels >> level & 1) != 0 &&
            (task = thread_find_listed(place, level, UINT64_MAX)) != NULL)
            return task;
    if (++place->turns % THREAD_FIND_FAIR_TURN == 0 && (levels >> level & 1) != 0 &&
        (task = thread_find_listed(place, level, many_deque_oldest_(&place->deque))) != NULL)
        return task;
    if ((task = thread_find_in(&place->deque)) != NULL)
        return task;
    if ((levels >> level & 1) != 0 && (task = thread_find_listed(place, level, UINT64_MAX)) != NULL)
        return task;
    for (int k = 0; k < used; k++) {
        const int w = place->index + k;

        task = thread_find_in(&pool->places[w < used ? w : w - used].deque);
        if (task != NULL)
            return task;
    }
    while (--level >= 0)
        if ((levels >> level & 1) != 0 &&
            (task = thread_find_listed(place, level, UINT64_MAX)) != NULL)
            return task;
    return NULL;
}
