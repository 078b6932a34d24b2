/* SPDX-License-Identifier: MIT */
/*
 * thread_pool.h - the parts of a pool of threads, and what its files give each other
 *
 *   thread_pool.c    the backend: open, submit, join, terminate, stop
 *   thread_submit.c  tasks as they come
 *   thread_list.c    the lists of what outsiders submit
 *   thread_task.c    tasks' memory, and how one is run
 *   thread_worker.c  the threads: who looks for work, who sleeps, who is woken
 *   thread_find.c    what a worker does next
 *   thread_future.c  waiting for a task, and helping with it; cancel, terminate, cause
 *   thread_circle.c  who waits for whom
 *   thread_visit.c   a task runs one of another pool, where no place would get free
 *   thread_batch.c   several items as one task
 *
 * Task       the future, and what is to be run. What lies in a deque or list is a hint; the task is his who
 *            changes its state from PENDING to RUNNING (many_future_claim_). The memory of tasks is
 *            type-stable until the pool is freed, and not PENDING while it is unused, so a hint that is out of
 *            date points at a task that somebody else has, at none, or at another one that waits and may be
 *            begun as well.
 * Place      what a thread needs to run tasks: a number (many_worker_index), a deque, a line in the roster.
 *            There are as many as workers; nobody runs a task without one. A worker takes one when it finds
 *            work and leaves it when it finds none; so an outsider who waits for a task may take a free
 *            one, and run it itself.
 * Latch      protects the lists, the unused tasks, and what outsiders count. Held for some ten instructions.
 * Counts     a task is submitted before it can be found, begun, then done, failed or cancelled before its
 *            future is over, and settled after (its callbacks have been called). Each count has one writer at a
 *            time: who has the place, or who has the latch.
 */
#ifndef MANY_POOL_THREAD_POOL_H
#define MANY_POOL_THREAD_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "os/local.h"
#include "os/self.h"
#include "pool/deque.h"
#include "pool/latch.h"
#include "pool/pool.h"
#include "task/future.h"
#include "task/seat.h"

#define MANY_THREAD_INLINE_ 32  /* bytes of an argument or result that lie in the task itself */
#define MANY_THREAD_SPARES_ 128 /* unused tasks that a place keeps at most */
#define MANY_THREAD_BARREN_ 3   /* initializers that fail in a row break the pool */
#define MANY_THREAD_LEVEL_  (-MANY_PRIORITY_LOWEST) /* of priority 0, among MANY_PRIORITIES_ */

typedef struct many_thread_pool_ many_thread_pool_;
typedef struct many_thread_place_ many_thread_place_;
typedef struct many_thread_worker_ many_thread_worker_;
typedef struct many_thread_task_ many_thread_task_;

/* What few tasks have; unchanged from the submission on. */
typedef struct many_thread_more_ {
    char name[64]; /* "": none */
    int64_t limit_ns;
    int retries;
    void *context; /* a copy, to be freed; or NULL */
} many_thread_more_;

/* Why one failed; written before it is over, read afterwards. */
typedef struct many_thread_note_ {
    int32_t code; /* of the task, or -ETIMEDOUT */
    int32_t tries;
    int32_t over_limit;
    double seconds;
    char words[256];
} many_thread_note_;

#define MANY_THREAD_OWN_ARG_    1U  /* arg is to be freed */
#define MANY_THREAD_OWN_RESULT_ 2U  /* so is head.result */
#define MANY_THREAD_DETACHED_   4U  /* nobody holds its future */
#define MANY_THREAD_FIXED_      8U  /* it has .result_bytes, and no reply */
#define MANY_THREAD_LISTED_     32U /* it has, or had, an entry in a list */
#define MANY_THREAD_NOTED_      16U /* it has failed: in place of a result there is a note */
#define MANY_THREAD_OWNS_       (MANY_THREAD_OWN_ARG_ | MANY_THREAD_OWN_RESULT_ | MANY_THREAD_NOTED_)

struct many_thread_task_ {
    many_future head;        /* result_bytes: of the result, from the beginning */
    many_fn *fn;             /* NULL: context is a many_thread_batch_ */
    const void *arg;         /* of fn */
    void *context;           /* likewise */
    many_thread_more_ *more; /* NULL, or what is seldom needed */
    many_thread_task_ *next; /* among the unused */
    _Atomic uint64_t number; /* of the task, in its pool */
    _Atomic int32_t place;   /* that runs it; -1: none yet */
    _Atomic uint32_t
        base; /* the bottom of that place's deque when it began: what lies above came from it */
    uint8_t flags;
    int8_t level;
    uint8_t reserved[14];
    _Alignas(64) char argument[MANY_THREAD_INLINE_];
    union {
        char result[MANY_THREAD_INLINE_];
        many_thread_note_ *note;
    };
};

_Static_assert(sizeof(many_thread_task_) == 192, "three lines of 64 bytes");

/* Values of a place's holder. */
#define MANY_PLACE_FREE_  0U
#define MANY_PLACE_HELD_  1U /* by a worker */
#define MANY_PLACE_GUEST_ 2U /* by an outsider */
#define MANY_PLACE_LENT_                                                                           \
    3U /* by an outsider; and one worker less is counted as one who could be woken */

/* Where a thread is: at a place, inside another. Lies on its stack. */
typedef struct many_thread_frame_ {
    many_thread_place_ *place;
    struct many_thread_frame_ *outer;
    many_seat_ seat;
    many_seat_ *seat_before; /* that the place had: of this thread, further out; or NULL */
    many_pool *inside;       /* the pool whose task the thread was in */
} many_thread_frame_;

struct many_thread_place_ {
    many_deque_ deque;

    /* his who has the place */
    _Alignas(MANY_CACHE_LINE) many_thread_pool_ *pool;
    int index; /* number of the worker */
    int id;    /* the same; of a visitor's: more than any, and index modulo the number of workers */
    int visits;                 /* 1: it is a visitor's (thread_visit.c) */
    many_thread_task_ *running; /* the innermost; NULL: none */
    many_thread_task_ *spare;   /* unused ones */
    int spares;
    uint64_t number_next, number_end; /* numbers for tasks that are submitted here */
    many_roster_place_ *line;
    _Atomic uint64_t *submitted; /* in the roster */
    _Atomic uint64_t settled;
    _Atomic uint64_t state; /* the seat's */
    many_seat_ *seat;       /* of who has it */
    int took;               /* so many were taken from the lists at last; 0: never */
    int64_t took_ns;        /* when */
    uint64_t numbers;       /* so many it has had for tasks that were submitted here */
    uint32_t turns;         /* looks for work */

    _Atomic int64_t mixed; /* below this place of the deque may lie tasks that came from anywhere */
    many_future *awaits;   /* what its holder sleeps for; by the lock of all waits */
    many_thread_place_ *next_visitor; /* likewise */

    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t holder; /* MANY_PLACE_... */
};

enum {                      /* of a worker's thread, by the pool's rest_lock */
       MANY_WORKER_NONE_,   /* not started, or ended and to be joined by who starts it again */
       MANY_WORKER_BUSY_,   /* started: works or searches */
       MANY_WORKER_ASLEEP_, /* in the list of sleepers */
};

struct many_thread_worker_ {
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t wake; /* futex; counts */
    many_thread_pool_ *pool;
    int index;
    int phase;    /* MANY_WORKER_... */
    int joinable; /* thread is to be joined */
    pthread_t thread;
    pthread_t predecessor; /* to be joined by the thread, if has_predecessor */
    int has_predecessor;
    int32_t number; /* of the thread, as the system shows it */
    many_thread_worker_ *next_asleep;
};

typedef struct many_thread_list_ {
    many_deque_entry_ *entry; /* ring of mask + 1; NULL until the first */
    size_t mask, head, tail;  /* counts that go round: the entries from head to tail - 1 */
    _Atomic uint64_t first;   /* number of the one at the head; UINT64_MAX: none */
} many_thread_list_;

typedef struct many_thread_slab_ {
    struct many_thread_slab_ *next;
    size_t bytes;
} many_thread_slab_;

struct many_thread_pool_ {
    many_pool pool;
    int cpus, searchers; /* so many may search at a time, and spin */
    int fd;              /* of the roster */
    size_t roster_bytes;
    void *initializer_argument; /* a copy, or the caller's pointer */
    int guests;                 /* 1: an outsider may run a task */
    size_t waiting_most;
    size_t moved_most; /* so many a worker takes from a list at a time */
    many_thread_place_ *places;
    many_thread_worker_ *workers;

    /* seldom written */
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t
        rest;                   /* who searches, low half; who could be woken, high half, signed */
    _Atomic uint32_t attention; /* MANY_ATTENTION_STOP_: terminated */
    _Atomic uint32_t finished;  /* outsiders are refused */
    _Atomic uint32_t refuses;   /* everybody is: terminated or broken */
    _Atomic uint32_t leaving;   /* workers are to go */
    _Atomic int32_t broken;     /* 0, or the code */
    _Atomic uint32_t
        levels; /* bit l: list l has some; changed by the latch, whose line others leave alone */
    _Atomic uint32_t joiners; /* sleep on joined */
    _Atomic uint32_t crowded; /* outsiders who wait for room */
    _Atomic int used;         /* places that were ever taken are below this */
    _Atomic uint32_t joined;  /* futex; counts */
    _Atomic uint32_t roomy;   /* futex; counts */

    /* by the latch */
    _Alignas(MANY_CACHE_LINE) many_latch_ latch;
    many_thread_list_ list[MANY_PRIORITIES_];
    _Atomic uint64_t listed;  /* tasks that were ever listed */
    _Atomic size_t waiting;   /* entries in lists */
    _Atomic uint64_t settled; /* of those that no place settled */
    many_thread_task_ *spare; /* unused ones */
    many_thread_slab_ *slabs;
    char *fresh, *fresh_end; /* of the newest slab: never used */
    int64_t made;            /* tasks that there are */
    struct {
        uint64_t begun, done, failed, cancelled, settled;
    } debt;                 /* what visitors have counted, for the next who leaves a place */
    _Atomic uint32_t debts; /* 1: there is some */

    many_thread_place_ *visitors; /* by the lock of all waits */
    int visits;                   /* likewise: so many there have been */

    /* by anybody */
    _Alignas(MANY_CACHE_LINE) _Atomic(many_thread_task_ *)
        returned;         /* unused ones, dropped by outsiders */
    _Atomic size_t stale; /* entries in lists that have turned out of date, at most */

    /* who rests */
    _Alignas(MANY_CACHE_LINE) pthread_mutex_t rest_lock;
    many_thread_worker_ *asleep;
    pthread_cond_t started_one; /* a thread was started, or not: joinable has changed */
    int started;                /* threads that there are */
    int barren;                 /* initializers that failed, since one succeeded */
    char broken_words[416];
};

/* Where this thread is, innermost; NULL: at no place. */
extern _Thread_local MANY_LOCAL_FAST_ many_thread_frame_ *many_thread_here_;

static inline many_thread_pool_ *many_thread_pool_of_(const many_thread_task_ *task)
{
    return task->head.home;
}

/* The place of this pool that this thread is at, or NULL. */
static inline many_thread_place_ *many_thread_at_(const many_thread_pool_ *pool)
{
    const many_thread_frame_ *frame = many_thread_here_;

    while (frame != NULL && frame->place->pool != pool)
        frame = frame->outer;
    return frame != NULL ? frame->place : NULL;
}

/* Does nobody search, and could somebody be woken? */
static inline int many_thread_sleeps_(uint32_t rest)
{
    return (rest & 0xffff) == 0 && (int32_t)rest > 0;
}

/*
 * After fn: a task that forks, and whose child comes back out of fn, has made a twin of this thread, and a copy of
 * all that waits. It ends here; what it may have printed and not flushed is its parent's, too.
 */
static inline void many_thread_end_twin_(const many_thread_pool_ *pool)
{
    if (!MANY_LIKELY_(many_self_is_(pool->pool.process)))
        _exit(0);
}

/* Is the pool terminated: are tasks told to end, and no more begun? */
static inline int many_thread_is_told_(const many_thread_pool_ *pool)
{
    return (atomic_load_explicit(&pool->attention, memory_order_relaxed) & MANY_ATTENTION_STOP_) !=
           0;
}

static inline void many_thread_count_(_Atomic uint64_t *count)
{
    /* One writer. Release: who reads the count sees what was counted. */
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_release);
}

/* ---- thread_task.c ---- */

/* In place of a stack of tasks that were returned. */
#define MANY_THREAD_CLOSED_ ((many_thread_task_ *)(void *)pool)

extern const many_future_engine_ many_thread_engine_;

/* An unused task, by the latch. NULL: no memory. */
many_thread_task_ *many_thread_take_latched_(many_thread_pool_ *pool);
/* A place has none: bring some. 0: no memory. */
int many_thread_carry_(many_thread_place_ *place);
/* The same at a place of the calling thread. */
static inline many_thread_task_ *many_thread_take_here_(many_thread_place_ *place)
{
    many_thread_task_ *task;

    if (!MANY_LIKELY_(place->spare != NULL) && !many_thread_carry_(place))
        return NULL;
    task = place->spare;
    place->spare = task->next;
    place->spares--;
    return task;
}
/* Give it back: it is over, and nobody uses it. What it owns is freed. */
void many_thread_drop_(many_future *future);
void many_thread_free_tasks_(many_thread_pool_ *pool);
/* From now on who drops a task lets go of the pool instead; it is held once for each that is in use. The workers are
 * gone; by the latch. */
void many_thread_close_tasks_(many_thread_pool_ *pool);
/* Give back the unused ones that a place keeps. */
void many_thread_empty_(many_thread_place_ *place);

/* Where its result is to go; NULL: none. *code becomes -ENOMEM where there is no memory for it. */
void *many_thread_result_room_(many_thread_task_ *task, int *code);
/* It fails: keep why, as far as there is memory. */
void many_thread_note_down_(many_thread_task_ *task, const many_thread_note_ *facts,
                            const char *words);

/* Be at this place, which the thread has taken, or is at further out; and no longer. */
void many_thread_enter_(many_thread_frame_ *frame, many_thread_place_ *place);
void many_thread_exit_(many_thread_frame_ *frame);
/* Run a task that was claimed, at the place where the thread is. */
void many_thread_run_(many_thread_place_ *place, many_thread_task_ *task);
/* The same, wherever the thread is now. */
void many_thread_visit_(many_thread_place_ *place, many_thread_task_ *task);
/* It was claimed, and is given back to be begun by anybody. 0: no memory to list it. */
int many_thread_unclaim_(many_thread_task_ *task);
/* What it has replied is nothing any more. */
void many_thread_forget_reply_(many_thread_task_ *task);
/* End a task that was claimed, without running it: cancelled, or with a negative code. By nobody's place. */
void many_thread_refuse_(many_thread_task_ *task, int code, const char *words);

/* Cancel or refuse all that has not begun; how many. */
size_t many_thread_sweep_(many_thread_pool_ *pool, int code, const char *words);

/* ---- thread_find.c ---- */

/* Is the hint still good? */
int many_thread_is_live_(const many_deque_entry_ *entry);
/* The entry's task, claimed? */
int many_thread_claim_entry_(const many_deque_entry_ *entry);
/* Something to do for who has this place: claimed. NULL: there is nothing. */
many_thread_task_ *many_thread_find_(many_thread_place_ *place);

/* ---- thread_worker.c ---- */

/* Somebody has submitted: is somebody to be woken? 0, or the code with which no thread could be started. */
int many_thread_wake_(many_thread_pool_ *pool);
/* The same for who has found that somebody could be. */
void many_thread_wake_for_(many_thread_place_ *place);
/* Wake all, because they are to go. */
void many_thread_wake_all_(many_thread_pool_ *pool);
/* Join all threads. */
void many_thread_join_all_(many_thread_pool_ *pool);
/* A free place, for the caller (as: MANY_PLACE_...); near: look there first. NULL: none. */
many_thread_place_ *many_thread_take_place_(many_thread_pool_ *pool, int near, uint32_t as);
void many_thread_leave_place_(many_thread_place_ *place);
/* Nothing waits or runs? */
int many_thread_quiet_(many_thread_pool_ *pool);
void many_thread_tell_joiners_(many_thread_pool_ *pool);
/* Could a worker begin something? exactly: sure, for one who is about to sleep. */
int many_thread_work_(many_thread_pool_ *pool, int exactly);

/* After a push into the own deque. */
static inline void many_thread_nudge_(many_thread_place_ *place)
{
    many_thread_pool_ *pool = place->pool;

    /*
     * Who goes to sleep counts itself there first, looks at the deques then, and again a millisecond later: a
     * push whose store it could not see yet, while this load was too early to see the count, is seen then.
     * With somebody asleep it has to be exact, since who searches may find other work, and nobody this one.
     */
    if (MANY_LIKELY_((int32_t)atomic_load_explicit(&pool->rest, memory_order_relaxed) < 0x10000))
        return;
    many_deque_publish_(&place->deque);
    MANY_FAULT_POINT("thread.nudge.published");
    if (many_thread_sleeps_(atomic_load_explicit(&pool->rest, memory_order_seq_cst)))
        many_thread_wake_for_(place);
}

/* ---- thread_list.c: by the latch, but where it says otherwise ---- */

/* Is there room for one more? 0: no memory. */
int many_thread_list_room_(many_thread_pool_ *pool, int level);
/* Put a task with its number into its list, which has room. */
void many_thread_list_push_(many_thread_pool_ *pool, many_thread_task_ *task);
/* Take the first entry: a hint. 0: there is none. */
int many_thread_list_pop_(many_thread_pool_ *pool, int level, many_deque_entry_ *entry);
/* Throw out what is out of date, if there may be some, and it is worth it. */
void many_thread_list_sift_(many_thread_pool_ *pool);
/* Without the latch: a task was claimed otherwise than by its entry. */
void many_thread_unlisted_(many_thread_task_ *task);
/* Lists that are so short are rid of what is out of date by who comes by; nobody has to count it. */
#define MANY_THREAD_LIST_SHORT_ 4
/* Without the latch: all outsiders who wait for room look again. */
void many_thread_make_room_(many_thread_pool_ *pool);
/* Nobody uses the pool any more. */
void many_thread_free_lists_(many_thread_pool_ *pool);

/* ---- thread_submit.c ---- */

/* May a new map begin, by this thread? 0, or a code with words. One that has begun goes on after a finish. */
int many_thread_admit_map_(many_thread_pool_ *pool, const char *function);

int many_thread_submit_(many_pool *pool, const many_submit_ *submit, many_future **future);
/* Submit a filled task that is a batch, from anywhere. 0 or a code with words. */
int many_thread_submit_batch_(many_thread_pool_ *pool, many_thread_task_ *task,
                              const char *function);

/* ---- thread_future.c ---- */

int many_thread_await_(many_future *future, int64_t deadline_ns);

/* ---- thread_visit.c ---- */

/* The task that this thread is in waits for this one of another pool, all of whose places are taken, and asleep:
 * run it here. 1: it was run; 0: it need not, or cannot be. */
int many_thread_run_as_visitor_(many_thread_task_ *task);
/* There are debts: have them counted, if a place is free. */
void many_thread_pay_(many_thread_pool_ *pool);

/* ---- thread_circle.c ---- */

/* Are all places of the pool asleep? Then 1, and the visitor's place has a number and an id. */
int many_circle_visit_(many_thread_place_ *place);
void many_circle_leave_(many_thread_place_ *place);

/*
 * The task that this thread is in is about to sleep for future; or, for future NULL, no longer does. After
 * that many_circle_look_() says: 0: sleep on, for a slice; -EDEADLK with words: it closes a circle, and the task
 * is the one to give up; 1: *needed waits for a place of one of this thread's pools: run it. needed NULL: a wait for
 * several, which no other sees: -EDEADLK whoever is the youngest.
 */
void many_circle_sleep_(many_future *future);
int many_circle_look_(many_future *future, many_thread_task_ **needed);

/* ---- thread_batch.c ---- */

int many_thread_batch_open_(many_pool *pool, const many_batch_plan_ *plan, many_batch_ **batch);
/* Run the items of a batch; its phase. */
uint32_t many_thread_batch_run_(many_thread_place_ *place, many_thread_task_ *task);
int many_thread_batch_reply_(many_thread_task_ *task, const void *bytes, size_t count);
/* It was ended without being run. */
void many_thread_batch_refuse_(many_thread_task_ *task, int code);
const char *many_thread_batch_name_(const many_thread_task_ *task);

/* What a task was called, or NULL. */
static inline const char *many_thread_name_(const many_thread_task_ *task)
{
    if (task->fn == NULL)
        return many_thread_batch_name_(task);
    return task->more != NULL && task->more->name[0] != '\0' ? task->more->name : NULL;
}

#endif
