/* SPDX-License-Identifier: MIT */
/*
 * fake_engine.h - futures of an engine that a test plays: ended by hand, settled when they are looked at or
 * collected, as those of processes are; or by who ends them, as those of threads
 */
#ifndef MANY_TEST_FAKE_ENGINE_H
#define MANY_TEST_FAKE_ENGINE_H

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "os/stream.h"
#include "task/future.h"
#include "task/seat.h"

#define FAKES 8

typedef struct fake_future {
    many_future head;
    _Atomic uint32_t ended; /* a phase: it has ended, and may not be settled yet */
    _Atomic int settling;   /* somebody settles it */
    _Atomic int watched;    /* engine->watch was called */
    _Atomic int dropped;    /* so often */
    _Atomic int helps;      /* help() runs it */
    _Atomic int circles;    /* circle() says 1 */
    _Atomic int failed;     /* code of a callback */
    _Atomic int helped, awaited, looked, circled;
    int number;
} fake_future;

typedef struct fake_home {
    int bell; /* -1: it has none for us */
    _Atomic int collected;
    fake_future futures[FAKES];
} fake_home;

static inline fake_future *fake_of(const many_future *future)
{
    return (fake_future *)(uintptr_t)future;
}

static inline void fake_look(many_future *future)
{
    fake_future *fake = fake_of(future);
    uint32_t phase = atomic_load(&fake->ended);

    atomic_fetch_add(&fake->looked, 1);
    if (phase != 0 && atomic_exchange(&fake->settling, 1) == 0) {
        future->code = phase == MANY_FUTURE_FAILED_ ? -MANY_ETASK : 0;
        many_future_settle_(future, phase);
    }
}

static inline void fake_watch(many_future *future)
{
    atomic_store(&fake_of(future)->watched, 1);
    fake_look(future);
}

static inline int fake_help(many_future *future)
{
    fake_future *fake = fake_of(future);

    atomic_fetch_add(&fake->helped, 1);
    if (!atomic_load(&fake->helps) || !many_future_claim_(future))
        return 0;
    atomic_store(&fake->ended, MANY_FUTURE_DONE_);
    fake_look(future);
    return 1;
}

static inline int fake_circle(many_future *future)
{
    fake_future *fake = fake_of(future);

    atomic_fetch_add(&fake->circled, 1);
    if (!atomic_load(&fake->circles))
        return 0;
    many_fail(-EDEADLK, "fake %d is in a circle", fake->number);
    return 1;
}

static inline int fake_await(many_future *future, int64_t deadline_ns)
{
    fake_future *fake = fake_of(future);

    atomic_fetch_add(&fake->awaited, 1);
    if (many_seat_taken_() && fake_help(future))
        return 0;
    for (;;) {
        int code;

        fake_look(future);
        code = many_future_sleep_(future, deadline_ns, 2000000);
        if (code != -EAGAIN)
            return code;
        if (fake_circle(future))
            return -EDEADLK;
    }
}

static inline int fake_cancel(many_future *future)
{
    return many_future_settle_pending_(future, MANY_FUTURE_CANCELLED_);
}

static inline int fake_terminate(many_future *future, int64_t grace_ns)
{
    (void)grace_ns;
    return fake_cancel(future);
}

static inline void fake_cause(many_future *future, many_cause *cause)
{
    cause->code = future->code;
    snprintf(cause->text, sizeof cause->text, "fake %d failed", fake_of(future)->number);
}

static inline void fake_name(const many_future *future, char *text, size_t room)
{
    snprintf(text, room, "fake %d", fake_of(future)->number);
}

static inline void fake_drop(many_future *future)
{
    many_future_unwatch_(future);
    atomic_fetch_add(&fake_of(future)->dropped, 1);
}

static inline int fake_bell(void *home)
{
    return ((fake_home *)home)->bell;
}

static inline void fake_collect(void *argument)
{
    fake_home *home = argument;

    atomic_fetch_add(&home->collected, 1);
    if (home->bell >= 0)
        many_bell_silence_(home->bell);
    for (int i = 0; i < FAKES; i++)
        if (home->futures[i].head.engine != NULL && atomic_load(&home->futures[i].watched) &&
            !many_future_is_over_(atomic_load(&home->futures[i].head.state)))
            fake_look(&home->futures[i].head);
}

/* As that of a pool it asks the future for its name, so that it must not be gone. */
static inline void fake_callback_failed(many_future *future, int code)
{
    CHECK_EQUAL(atomic_load(&fake_of(future)->dropped), 0);
    atomic_store(&fake_of(future)->failed, code);
}

/* As of processes. */
static const many_future_engine_ fake_far = {
    .look = fake_look,
    .await = fake_await,
    .help = fake_help,
    .circle = fake_circle,
    .watch = fake_watch,
    .cancel = fake_cancel,
    .terminate = fake_terminate,
    .cause = fake_cause,
    .name = fake_name,
    .drop = fake_drop,
    .callback_failed = fake_callback_failed,
    .bell = fake_bell,
    .collect = fake_collect,
};

/* As of threads: settled by who ends them. */
static const many_future_engine_ fake_near = {
    .await = fake_await,
    .help = fake_help,
    .circle = fake_circle,
    .cancel = fake_cancel,
    .terminate = fake_terminate,
    .cause = fake_cause,
    .name = fake_name,
    .drop = fake_drop,
    .callback_failed = fake_callback_failed,
};

static inline void fake_begin(fake_home *home, const many_future_engine_ *engine, int bell)
{
    memset(home, 0, sizeof *home);
    home->bell = bell;
    for (int i = 0; i < FAKES; i++) {
        home->futures[i].number = i;
        many_future_begin_(&home->futures[i].head, engine, home);
    }
}

/* What a worker elsewhere does; rings: as if it was not killed before it could ring. */
static inline void fake_end(fake_home *home, int i, uint32_t phase, int rings)
{
    atomic_store(&home->futures[i].ended, phase);
    if (rings && atomic_load(&home->futures[i].watched) && home->bell >= 0)
        many_bell_ring_(home->bell);
}

/* The calling thread is in a task from here to there. */
typedef struct fake_task {
    many_seat_ seat;
    _Atomic uint64_t state;
    _Atomic uint32_t attention;
} fake_task;

static inline void fake_task_enter(fake_task *task)
{
    memset(task, 0, sizeof *task);
    atomic_init(&task->state, MANY_RUNNING_);
    task->seat.state = &task->state;
    task->seat.attention = &task->attention;
    many_seat_take_(&task->seat);
}

static inline void fake_task_leave(fake_task *task)
{
    many_seat_leave_(&task->seat);
}

#endif
