/* SPDX-License-Identifier: MIT */
/*
 * thread_circle.c - who waits for whom among the tasks of all pools of threads of this process
 *
 * Promise    Of tasks that wait for one another in a circle one is told (-EDEADLK); which one does not depend
 *            on who came first: it is the youngest, the one with the highest number. It can give up, and then
 *            the others end.
 * Invariant  awaits of a place is what the thread that has the place is asleep for, and is changed under the one
 *            lock, by that thread. It holds that future open meanwhile. So whoever has the lock can go from a
 *            task that runs to the place that runs it, and from there to the next future, and nothing on the
 *            way goes away; and a thread that is asleep stays in all the tasks it was in.
 *            A task that was claimed a moment ago has no place yet: there the way ends. Who of a circle comes
 *            last to sleep finds all the others asleep, and their tasks at their places.
 * Stuck      A way may end at a task that waits for a place, while this thread is at a place of that pool and is
 *            asleep: then it runs that task. It is waited for, by way of others, by who waits here.
 */
#include <errno.h>
#include <pthread.h>

#include "base/text.h"
#include "os/self.h"
#include "pool/thread_pool.h"
#include "process/own.h"

/* A way is followed so far; longer ones are no circle. */
#define THREAD_CIRCLE_STEPS (MANY_POOL_WORKERS_MOST_ + 1)
/* Words have room for so many. */
#define THREAD_CIRCLE_NAMED 6

typedef struct thread_circle_lock {
    pthread_mutex_t mutex;
} thread_circle_lock;

static void thread_circle_begin(void *memory)
{
    thread_circle_lock *lock = memory;

    pthread_mutex_init(&lock->mutex, NULL);
}

/* The child of a fork begins with a fresh one. */
static pthread_mutex_t *thread_circle_mutex(void)
{
    static thread_circle_lock lock;

    return &((thread_circle_lock *)many_own_(MANY_OWN_WAITS_, &lock, thread_circle_begin))->mutex;
}

static int thread_circle_is_here(const many_thread_place_ *place)
{
    const many_thread_frame_ *frame = many_thread_here_;

    while (frame != NULL && frame->place != place)
        frame = frame->outer;
    return frame != NULL;
}

/* The place of this id, if there is one now. */
static many_thread_place_ *thread_circle_of(many_thread_pool_ *pool, int id)
{
    many_thread_place_ *visitor = pool->visitors;

    if (id < 0)
        return NULL;
    if (id < pool->pool.workers)
        return &pool->places[id];
    while (visitor != NULL && visitor->id != id)
        visitor = visitor->next_visitor;
    return visitor;
}

/* The task that this future is of runs at: the place; NULL: it is of no thread, is over, or has not begun. */
static many_thread_place_ *thread_circle_place(many_future *future, int *pending)
{
    const uint32_t phase =
        atomic_load_explicit(&future->state, memory_order_acquire) & MANY_FUTURE_PHASES_;
    many_thread_task_ *task = (many_thread_task_ *)(void *)future;

    *pending = 0;
    if (future->engine != &many_thread_engine_)
        return NULL;
    *pending = phase == MANY_FUTURE_PENDING_;
    if (phase != MANY_FUTURE_RUNNING_)
        return NULL;
    return thread_circle_of(many_thread_pool_of_(task),
                            atomic_load_explicit(&task->place, memory_order_acquire));
}

/* Is one younger than the other? In different pools numbers say little, but the same to everybody. */
static int thread_circle_is_younger(const many_thread_task_ *one, const many_thread_task_ *other)
{
    const uint64_t a = atomic_load_explicit(&one->number, memory_order_relaxed);
    const uint64_t b = atomic_load_explicit(&other->number, memory_order_relaxed);

    return a != b ? a > b : (uintptr_t)one > (uintptr_t)other;
}

/* "task 'a' (worker 0)" */
static void thread_circle_say(many_text_ *text, const many_future *future)
{
    const many_thread_task_ *task = (const many_thread_task_ *)(const void *)future;
    char name[64];

    many_future_name(future, name, sizeof name);
    if (many_thread_name_(task) != NULL) {
        many_text_add_(text, "task '");
        many_text_add_(text, name);
        many_text_add_(text, "'");
    } else {
        many_text_add_(text, name);
    }
}

/* One more on the circle. */
static void thread_circle_add(many_text_ *text, const many_future *future,
                              const many_thread_place_ *place, int *named)
{
    if ((*named)++ > THREAD_CIRCLE_NAMED)
        return;
    many_text_add_(text, " waits for ");
    if (*named > THREAD_CIRCLE_NAMED) {
        many_text_add_(text, "others");
        return;
    }
    thread_circle_say(text, future);
    many_text_add_(text, " (worker ");
    many_text_add_count_(text, (uint64_t)place->index);
    many_text_add_(text, ")");
}

/*
 * The words: from the task that waits here to itself again, by way of first and all that those wait for. Inside of
 * a task on the way another may run, which it waits for.
 */
static int thread_circle_fail(many_future *last, many_future *first)
{
    /* No task: a callback waits. */
    many_thread_task_ *running = many_thread_here_->place->running;
    many_future *self = running != NULL ? &running->head : last, *future = first;
    char words[232];
    many_text_ text;
    int pending, named = 0;

    many_text_begin_(&text, words, sizeof words);
    thread_circle_say(&text, self);
    while (future != NULL) {
        many_thread_place_ *place = thread_circle_place(future, &pending);
        const int ends = future == last;

        if (future != self)
            thread_circle_add(&text, future, place, &named);
        if (!ends && &place->running->head != future)
            thread_circle_add(&text, &place->running->head, place, &named);
        future = ends ? NULL : place->awaits;
    }
    many_text_add_(&text, " waits for ");
    if (first == self)
        many_text_add_(&text, "itself");
    else
        thread_circle_say(&text, self);
    return many_fail(-EDEADLK, "%s", words);
}

int many_circle_look_(many_future *future, many_thread_task_ **needed)
{
    pthread_mutex_t *mutex = thread_circle_mutex();
    many_future *at = future, *youngest = future;
    many_thread_place_ *place = NULL;
    int code = 0;

    pthread_mutex_lock(mutex);
    for (int steps = 0; steps < THREAD_CIRCLE_STEPS; steps++) {
        int pending;

        place = thread_circle_place(at, &pending);
        if (needed != NULL && pending && many_thread_at_(at->home) != NULL) {
            *needed = (many_thread_task_ *)(void *)at;
            code = 1;
        }
        if (place == NULL)
            break;
        if (thread_circle_is_younger((many_thread_task_ *)(void *)at,
                                     (many_thread_task_ *)(void *)youngest))
            youngest = at;
        if (thread_circle_is_here(place)) {
            if (needed == NULL || youngest == at)
                code = thread_circle_fail(at, future);
            break;
        }
        if (place->awaits == NULL)
            break;
        at = place->awaits;
    }
    pthread_mutex_unlock(mutex);
    return code;
}

void many_circle_sleep_(many_future *future)
{
    pthread_mutex_t *mutex = thread_circle_mutex();
    const many_thread_task_ *task = (const many_thread_task_ *)(const void *)future;
    const char *name = NULL;
    uint64_t number = 0;
    int worker = -1;

    if (future != NULL && future->engine == &many_thread_engine_) {
        number = atomic_load_explicit(&task->number, memory_order_relaxed);
        worker = atomic_load_explicit(&task->place, memory_order_relaxed);
        name = many_thread_name_(task);
    }
    pthread_mutex_lock(mutex);
    for (many_thread_frame_ *frame = many_thread_here_; frame != NULL; frame = frame->outer) {
        frame->place->awaits = future;
        many_roster_wait_(frame->place->line, future != NULL, number, name,
                          future != NULL && future->home == frame->place->pool ? worker : -1);
    }
    pthread_mutex_unlock(mutex);
}

int many_circle_visit_(many_thread_place_ *place)
{
    many_thread_pool_ *pool = place->pool;
    pthread_mutex_t *mutex = thread_circle_mutex();
    const int workers = pool->pool.workers;
    int asleep = 0;

    pthread_mutex_lock(mutex);
    while (asleep < workers &&
           atomic_load_explicit(&pool->places[asleep].holder, memory_order_relaxed) !=
               MANY_PLACE_FREE_ &&
           pool->places[asleep].awaits != NULL)
        asleep++;
    if (workers > 0 && asleep == workers) {
        /* Ids go round, long after those that had them are gone. */
        pool->visits = pool->visits % (INT32_MAX / workers - 2) + 1;
        place->index = pool->visits % workers;
        place->id = pool->visits * workers + place->index;
        place->next_visitor = pool->visitors;
        pool->visitors = place;
    }
    pthread_mutex_unlock(mutex);
    return asleep == workers;
}

void many_circle_leave_(many_thread_place_ *place)
{
    many_thread_place_ **link = &place->pool->visitors;
    pthread_mutex_t *mutex = thread_circle_mutex();

    pthread_mutex_lock(mutex);
    while (*link != place)
        link = &(*link)->next_visitor;
    *link = place->next_visitor;
    pthread_mutex_unlock(mutex);
}
