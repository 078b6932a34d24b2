/* SPDX-License-Identifier: MIT */
/*
 * future.h - the state of a future, and what an engine has to know of it
 *
 * Promise    A future is over exactly once: many_future_settle_() is called once for each, by
 *            whoever has the right to end it (its engine; for one set by hand who wins the state).
 *            After that its outcome (code, result, result_bytes, and what the engine says as its
 *            cause) does not change.
 * Invariant  state is one word, changed by read-modify-write only while a future is not over, is
 *            SETTLING, or calls a callback that came late (a pin). Whoever makes it over owns the
 *            outcome's fields before, and publishes them by that change (release; who reads the
 *            phase acquires). Its memory goes back to the engine exactly once: by the closer, if it
 *            is over and neither SETTLING nor pinned when it is closed; else by the last of those,
 *            who finds CLOSED when it is through.
 * Memory     of futures is type-stable while their home lives: a stale pointer in an engine's queue
 *            is a hint that points at some future of that home, never at something else.
 */
#ifndef MANY_TASK_FUTURE_H
#define MANY_TASK_FUTURE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <many/future.h>

/* The phase of state. */
#define MANY_FUTURE_PENDING_   0U
#define MANY_FUTURE_RUNNING_   1U
#define MANY_FUTURE_DONE_      2U /* this and the following: over */
#define MANY_FUTURE_FAILED_    3U
#define MANY_FUTURE_CANCELLED_ 4U
#define MANY_FUTURE_PHASES_    7U

/* Flags in state. */
#define MANY_FUTURE_SLEEPERS_ 8U  /* somebody sleeps on the word: wake all when it is over */
#define MANY_FUTURE_WATCHED_  16U /* watch is there, with callbacks, gathers or a descriptor */
#define MANY_FUTURE_CLOSED_   32U /* its user let go before it was over, or while it was SETTLING */
#define MANY_FUTURE_SETTLING_ 64U /* over, but its settler still uses it */
#define MANY_FUTURE_ASKED_    128U /* many_future_terminate(): many_cancelled() is 1 in it */
#define MANY_FUTURE_TAKEN_    256U /* set by hand: somebody owns its outcome, and is about to end it */
#define MANY_FUTURE_PIN_                                                                           \
    65536U /* from here on a count: of those who use it though it may be closed */

typedef struct many_future_engine_ many_future_engine_;
typedef struct many_future_watch_ many_future_watch_;
typedef struct many_future_node_ many_future_node_;

struct many_future {
    _Atomic uint32_t state;
    int32_t
        code; /* outcome: 0, -MANY_ETASK, -MANY_EDIED, -ETIMEDOUT, -ENOMEM, -ECANCELED, -MANY_EBROKEN; or as
                     it was set by hand */
    const many_future_engine_ *engine;
    void *home;                          /* of the engine: its pool; NULL: set by hand */
    void *result;                        /* when done; memory of the engine */
    size_t result_bytes;                 /* likewise */
    _Atomic(many_future_watch_ *) watch; /* NULL until somebody watches; then until it is freed */
    uint64_t process;                    /* many_self_process_() of who may use it */
    /* the engine's own fields follow in a struct of its that begins with this one */
};

/* What stands behind a future. home is future->home. */
struct many_future_engine_ {
    /* Bring it up to date: if it is over and nobody knows yet, settle it. Takes no time. NULL: it
     * always is. */
    void (*look)(many_future *future);

    /*
     * Wait until it is over, helping where that is right. 0; -ETIMEDOUT; -EINTR; -EDEADLK with
     * words; another code: nobody will ever know. NULL: sleep on the word.
     */
    int (*await)(many_future *future, int64_t deadline_ns);

    /* In a task of the same pool: run it here, if it has not begun. 1: it was run, and is over; 0;
     * a code with words: the wait has to end. NULL: never. */
    int (*help)(many_future *future);

    /* It is RUNNING: does somebody run it now, or a part of it? What waits for its parts to begin
     * (a map) may be RUNNING while nobody does. 1 or 0. NULL: somebody does. */
    int (*runs)(many_future *future);

    /* Would a wait for it wait for the task that runs in this thread? 1, with words naming the
     * circle as many_fail(-EDEADLK) gives them; 0. Whoever is the youngest in it: the others cannot
     * see a wait for several, and its caller gives up only if all of those say 1. NULL: never. */
    int (*circle)(many_future *future);

    /*
     * From now on its end has to be heard of: it is WATCHED for the first time, or about to be
     * closed before it is over. Until then the engine may find out when it is looked at. May be
     * called again, and may settle it. NULL: its settler always comes by itself.
     */
    void (*watch)(many_future *future);

    int (*cancel)(many_future *future);                      /* many_future_cancel(): 1 or 0 */
    int (*terminate)(many_future *future, int64_t grace_ns); /* many_future_terminate(): 1 or 0 */
    void (*cause)(many_future *future, many_cause *cause);   /* it has failed or was cancelled */
    uint64_t (*id)(const many_future *future);               /* NULL: 0 */
    void (*name)(const many_future *future, char *text, size_t room);

    /* It is over, closed, and nobody uses it any more: unwatch it, and its memory goes back. */
    void (*drop)(many_future *future);

    /*
     * A home whose ends are not settled by who ends them (processes): a descriptor that turns
     * readable when a WATCHED future of it may be over, or -1 with nothing to hear; and: silence
     * it, and settle all those. Both NULL: settled by who ends them.
     */
    int (*bell)(void *home);
    void (*collect)(void *home);

    /* A callback of future has returned code, which is not 0. NULL: nobody wants to know. */
    void (*callback_failed)(many_future *future, int code);

    /* It is about to be closed, and is not over. NULL: nothing to do. */
    void (*leave)(many_future *future);

    /* It was closed before it was over, and nobody else has it: end it, which drops it. NULL: its
     * task will. */
    void (*abandoned)(many_future *future);
};

static inline int many_future_is_over_(uint32_t state)
{
    return (state & MANY_FUTURE_PHASES_) >= MANY_FUTURE_DONE_;
}

/* ---- for engines ---- */

/* A fresh one: PENDING, no flags. */
void many_future_begin_(many_future *future, const many_future_engine_ *engine, void *home);

/*
 * It is over, with this phase; code, result and result_bytes are written. Wakes who sleeps, calls
 * the callbacks, tells gathers, rings its descriptor; and drops it if it was closed. Once for each
 * future. After it the settler must not touch the future any more. Returns the code of the first
 * callback that failed, or 0. The quick way, where nobody sleeps, watches or has closed, is one
 * read-modify-write.
 */
int many_future_settle_slow_(many_future *future, uint32_t phase);

static inline int many_future_settle_(many_future *future, uint32_t phase)
{
    uint32_t seen = MANY_FUTURE_RUNNING_;

    if (atomic_compare_exchange_strong_explicit(&future->state, &seen, phase, memory_order_acq_rel,
                                                memory_order_relaxed))
        return 0;
    return many_future_settle_slow_(future, phase);
}

/*
 * End it in one step if it has not begun, for an outcome that needs no field written: CANCELLED
 * (whose code is -ECANCELED, whatever the field says). Settles it. 1; 0: it has begun, or is over.
 */
int many_future_settle_pending_(many_future *future, uint32_t phase);

/* Begin it: PENDING to RUNNING. 1; 0: somebody else has begun it, or it is over. */
static inline int many_future_claim_(many_future *future)
{
    uint32_t seen = atomic_load_explicit(&future->state, memory_order_relaxed);

    while ((seen & MANY_FUTURE_PHASES_) == MANY_FUTURE_PENDING_)
        if (atomic_compare_exchange_weak_explicit(&future->state, &seen,
                                                  seen | MANY_FUTURE_RUNNING_, memory_order_acq_rel,
                                                  memory_order_relaxed))
            return 1;
    return 0;
}

/*
 * Sleep on the word until it is over, without helping: for engines whose settler comes by itself.
 * Spins for a moment first. slice_ns > 0: come back after so long with -EAGAIN. 0, -ETIMEDOUT,
 * -EINTR, -EAGAIN.
 */
int many_future_sleep_(many_future *future, int64_t deadline_ns, int64_t slice_ns);

/* Add a callback before anybody can have ended it; engine->watch is not called. 0 or -ENOMEM. */
int many_future_prepare_callback_(many_future *future, many_done_fn *fn, void *context);

/* 0, or -EINVAL (NULL) or -MANY_EFORKED with words. */
int many_future_check_(const many_future *future, const char *function);

/* Its name for a sentence: "task 17" for one without a name, else with quotes, as in "'letter'". In
 * text. */
#define MANY_FUTURE_SAID_ 68
const char *many_future_say_(const many_future *future, char text[MANY_FUTURE_SAID_]);

/* Free watch and what hangs there, if it is there; the engine calls it in drop. */
void many_future_unwatch_(many_future *future);

/*
 * many_future_wait() without its checks: 0; -ETIMEDOUT (without words), -EINTR, -EDEADLK and others
 * with them.
 */
int many_future_await_(many_future *future, int64_t deadline_ns);

/* ---- waiting for several (future_watch.c) ---- */

struct many_future_node_ {
    many_future *future;
    void *gather;
    many_future_node_ *next, *before; /* in the list of its future */
    many_future_node_ *next_ready;    /* in the list of its gather */
    void (*told)(many_future_node_ *node);
    int attached,
        ready; /* attached: protected by the lock of its future's watch; ready: its gather's */
};

/*
 * Watch future with node: when it is over, told(node) is called by its settler, once, under no lock
 * that attach or detach take. 1: it is over already, and told will not be called. 0; -ENOMEM.
 */
int many_future_attach_(many_future *future, many_future_node_ *node,
                        void (*told)(many_future_node_ *node));

/*
 * No longer; after its return told is not running and will not be called. Its caller holds no lock
 * that told takes. The future is open. A node that was never attached, or was told, may be detached
 * as well.
 */
void many_future_detach_(many_future_node_ *node);

#endif
