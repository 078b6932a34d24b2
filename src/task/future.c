/* SPDX-License-Identifier: MIT */
/*
 * future.c - wait for a future, ask it, end it, let go of it; see task/future.h
 *
 * Promise    What is over is asked without a lock, a system call or a read-modify-write.
 * Invariant  The change that makes it over also takes up SETTLING if anybody was seen to sleep, to
 *            watch or to have let go. From then on the memory is the settler's, until it takes
 *            SETTLING away: a closer who sees SETTLING only leaves CLOSED behind. Both change one
 *            word, so one of the two comes second, finds what the other has left there, and drops
 *            it; the other does not touch it again. Who calls a callback after the end holds a pin,
 *            which works the same. Where nobody was seen there is no SETTLING, and the settler's
 *            last access is that change itself. A sleeper or watcher who comes later finds it over,
 *            and does not begin.
 * Death      A thread ends with its process. What a killed process leaves unsettled lies in memory
 *            that died with it; how a worker's tasks get their end is the engine's business.
 */
#include "task/future.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/fault.h"
#include "base/options.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/local.h"
#include "os/self.h"
#include "sync/wait.h"
#include "task/future_watch.h"

_Static_assert(MANY_FUTURE_PHASES_ >= MANY_FUTURE_CANCELLED_ &&
                   MANY_FUTURE_SLEEPERS_ > MANY_FUTURE_PHASES_,
               "phase and flags do not overlap");

/* Somebody who has to hear of its end, or to give its memory back. */
#define FUTURE_HEARD (MANY_FUTURE_SLEEPERS_ | MANY_FUTURE_WATCHED_ | MANY_FUTURE_CLOSED_)

static uint32_t future_state(const many_future *future)
{
    return atomic_load_explicit(&future->state, memory_order_acquire); /* pairs with future_end */
}

#define FUTURE_PINS (~(MANY_FUTURE_PIN_ - 1))

/* Over, and its settler is through: nobody but who holds it uses it. */
static int future_is_free(uint32_t state)
{
    return many_future_is_over_(state) && (state & (MANY_FUTURE_SETTLING_ | FUTURE_PINS)) == 0;
}

static uint32_t future_phase(uint32_t state)
{
    return state & MANY_FUTURE_PHASES_;
}

/* Its state, brought up to date. */
static uint32_t future_look(many_future *future)
{
    uint32_t state = future_state(future);

    if (many_future_is_over_(state) || future->engine->look == NULL)
        return state;
    future->engine->look(future);
    return future_state(future);
}

static MANY_SELDOM_ int future_refuse(const many_future *future, const char *function)
{
    if (future == NULL)
        return many_fail(-EINVAL, "%s: future is NULL", function);
    return many_fail(-MANY_EFORKED,
                     "%s: the future belongs to the process that submitted it, not to this child",
                     function);
}

int many_future_check_(const many_future *future, const char *function)
{
    if (MANY_LIKELY_(future != NULL && many_self_is_(future->process)))
        return 0;
    return future_refuse(future, function);
}

void many_future_begin_(many_future *future, const many_future_engine_ *engine, void *home)
{
    future->code = 0;
    future->engine = engine;
    future->home = home;
    future->result = NULL;
    future->result_bytes = 0;
    future->process = many_self_process_();
    atomic_store_explicit(&future->watch, NULL, memory_order_relaxed);
    /* Who meets it by a stale pointer claims it as it is now, whole. */
    atomic_store_explicit(&future->state, MANY_FUTURE_PENDING_, memory_order_release);
}

/* ---- its end ---- */

/*
 * SETTLING, or one pin, is taken away. Release: what was done to it comes before what the closer,
 * or the last who lets go, does with the memory; acquire: the other way round.
 */
static void future_let_go(many_future *future, uint32_t share)
{
    const many_future_engine_ *engine = future->engine;
    const uint32_t left =
        atomic_fetch_sub_explicit(&future->state, share, memory_order_acq_rel) - share;

    if ((left & MANY_FUTURE_CLOSED_) != 0 && future_is_free(left))
        engine->drop(future);
}

void many_future_pin_(many_future *future)
{
    atomic_fetch_add_explicit(&future->state, MANY_FUTURE_PIN_, memory_order_relaxed);
}

void many_future_unpin_(many_future *future)
{
    future_let_go(future, MANY_FUTURE_PIN_);
}

/* It is over, and SETTLING: tell all who were seen. */
static int future_deliver(many_future *future, uint32_t seen)
{
    int code = 0;

    MANY_FAULT_POINT("future.settle.deliver");
    if ((seen & MANY_FUTURE_SLEEPERS_) != 0)
        many_futex_wake_(&future->state, INT_MAX);
    if ((seen & MANY_FUTURE_WATCHED_) != 0)
        code = many_future_tell_(future);
    MANY_FAULT_POINT("future.settle.leave");
    future_let_go(future, MANY_FUTURE_SETTLING_);
    return code;
}

/* 1 and *code; 0: pending is asked for, and it is not. */
static int future_end(many_future *future, uint32_t phase, int pending, int *code)
{
    uint32_t seen = atomic_load_explicit(&future->state, memory_order_relaxed);
    uint32_t next;

    do {
        if (pending && future_phase(seen) != MANY_FUTURE_PENDING_)
            return 0;
        next = phase | (seen & (MANY_FUTURE_WATCHED_ | MANY_FUTURE_CLOSED_));
        if ((seen & FUTURE_HEARD) != 0)
            next |= MANY_FUTURE_SETTLING_;
    } while (!atomic_compare_exchange_weak_explicit(&future->state, &seen, next,
                                                    memory_order_acq_rel, memory_order_relaxed));
    *code = (seen & FUTURE_HEARD) == 0 ? 0 : future_deliver(future, seen);
    return 1;
}

int many_future_settle_slow_(many_future *future, uint32_t phase)
{
    int code = 0;

    future_end(future, phase, 0, &code);
    return code;
}

int many_future_settle_pending_(many_future *future, uint32_t phase)
{
    int code = 0;

    return future_end(future, phase, 1, &code);
}

/* It was not free to be dropped at the first look. */
static MANY_SELDOM_ void future_leave(many_future *future)
{
    const many_future_engine_ *engine = future->engine;
    uint32_t seen = future_look(future);

    if (!many_future_is_over_(seen) && engine->leave != NULL) {
        engine->leave(future);
        seen = future_state(future);
    }
    if (!many_future_is_over_(seen) && engine->watch != NULL)
        engine->watch(future);
    seen = future_state(future);
    do {
        if (future_is_free(seen)) {
            engine->drop(future);
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(&future->state, &seen,
                                                    seen | MANY_FUTURE_CLOSED_,
                                                    memory_order_acq_rel, memory_order_acquire));
    if (!many_future_is_over_(seen) && engine->abandoned != NULL)
        engine->abandoned(future);
}

void many_future_close(many_future *future)
{
    if (future == NULL || !many_self_is_(future->process))
        return;
    if (MANY_LIKELY_(future_is_free(future_state(future))))
        future->engine->drop(future);
    else
        future_leave(future);
}

/* ---- waiting ---- */

/* Everybody who sleeps on the word has set SLEEPERS in it before, so whoever ends it sees that
 * there is one. */
int many_future_sleep_(many_future *future, int64_t deadline_ns, int64_t slice_ns)
{
    int64_t until_ns = deadline_ns;
    uint32_t seen = future_state(future);
    int code;

    for (int pauses = many_wait_spin_(); !many_future_is_over_(seen) && many_wait_pause_(&pauses);)
        seen = future_state(future);
    if (slice_ns > 0 && !many_future_is_over_(seen)) {
        const int64_t slice_end_ns = many_clock_ns_() + slice_ns;

        until_ns = slice_end_ns < deadline_ns ? slice_end_ns : deadline_ns;
    }
    while (!many_future_is_over_(seen)) {
        if ((seen & MANY_FUTURE_SLEEPERS_) == 0) {
            if (!atomic_compare_exchange_weak_explicit(&future->state, &seen,
                                                       seen | MANY_FUTURE_SLEEPERS_,
                                                       memory_order_acquire, memory_order_acquire))
                continue;
            seen |= MANY_FUTURE_SLEEPERS_;
        }
        code = many_futex_wait_(&future->state, seen, until_ns);
        seen = future_state(future);
        if (code < 0 && !many_future_is_over_(seen))
            return code == -ETIMEDOUT && until_ns < deadline_ns ? -EAGAIN : code;
    }
    return 0;
}

int many_future_await_(many_future *future, int64_t deadline_ns)
{
    int code;

    if (future->engine->await != NULL)
        return future->engine->await(future, deadline_ns);
    code = many_future_sleep_(future, deadline_ns, 0);
    return code == -EINTR ? many_fail(-EINTR, "a signal handler ran during a wait") : code;
}

/* One that makes no sense is refused, though what is over needs none. */
static int future_is_time(double timeout_s)
{
    return timeout_s >= 0 || timeout_s == MANY_FOREVER;
}

/* Wait for what is not over, as far as was seen. */
static MANY_SELDOM_ int future_reach(many_future *future, double timeout_s, const char *function)
{
    char name[MANY_FUTURE_SAID_];
    int code = many_timeout_check_(timeout_s, function);

    if (code < 0)
        return code;
    if (many_future_is_over_(future_look(future)))
        return 0;
    code = timeout_s == 0 ? -ETIMEDOUT : many_future_await_(future, many_deadline_ns_(timeout_s));
    if (code == -ETIMEDOUT)
        return many_fail(code, "%s: %s is not over after %g s", function,
                         many_future_say_(future, name), timeout_s);
    return code;
}

/* How it ended: the size of its result, or a code. */
static ssize_t future_outcome(const many_future *future, uint32_t state)
{
    switch (future_phase(state)) {
    case MANY_FUTURE_DONE_:
        return (ssize_t)future->result_bytes;
    case MANY_FUTURE_CANCELLED_:
        return -ECANCELED;
    default:
        return future->code < 0 ? future->code : -MANY_ETASK;
    }
}

static MANY_SELDOM_ ssize_t future_say_failure(many_future *future, ssize_t outcome,
                                               const char *function)
{
    many_cause cause;

    memset(&cause, 0, sizeof cause);
    future->engine->cause(future, &cause);
    return many_fail((int)outcome, "%s: %s", function, cause.text);
}

int many_future_wait(many_future *future, double timeout_s)
{
    int code = many_future_check_(future, "many_future_wait");

    if (code < 0)
        return code;
    if (MANY_LIKELY_(many_future_is_over_(future_state(future)) && future_is_time(timeout_s)))
        return 0;
    return future_reach(future, timeout_s, "many_future_wait");
}

ssize_t many_future_result(many_future *future, void *result, size_t room, double timeout_s)
{
    static const char function[] = "many_future_result";
    int code = many_future_check_(future, function);
    ssize_t outcome;

    if (code < 0)
        return code;
    if (result == NULL && room != 0)
        return many_fail(-EINVAL, "%s: result is NULL, room is %zu", function, room);
    if (!many_future_is_over_(future_state(future)) || !future_is_time(timeout_s)) {
        code = future_reach(future, timeout_s, function);
        if (code < 0)
            return code;
    }
    outcome = future_outcome(future, future_state(future));
    if (outcome < 0)
        return future_say_failure(future, outcome, function);
    if (room == 0 || outcome == 0)
        return outcome;
    if ((size_t)outcome > room)
        return many_fail(-EMSGSIZE, "%s: the result has %zd bytes, room is %zu", function, outcome,
                         room);
    memcpy(result, future->result, (size_t)outcome);
    return outcome;
}

/* ---- asking ---- */

ssize_t many_future_result_bytes(many_future *future)
{
    static const char function[] = "many_future_result_bytes";
    int code = many_future_check_(future, function);
    uint32_t state;
    ssize_t outcome;

    if (code < 0)
        return code;
    state = future_look(future);
    if (!many_future_is_over_(state))
        return many_fail(-EAGAIN, "%s: it is not over yet", function);
    outcome = future_outcome(future, state);
    return outcome < 0 ? future_say_failure(future, outcome, function) : outcome;
}

int many_future_cause(many_future *future, many_cause *cause)
{
    int code = many_future_check_(future, "many_future_cause");
    uint32_t state;

    if (code < 0)
        return code;
    if (cause == NULL)
        return many_fail(-EINVAL, "many_future_cause: cause is NULL");
    state = future_look(future);
    if (!many_future_is_over_(state))
        return many_fail(-EAGAIN, "many_future_cause: it is not over yet");
    memset(cause, 0, sizeof *cause);
    if (future_phase(state) != MANY_FUTURE_DONE_)
        future->engine->cause(future, cause);
    return 0;
}

int many_future_done(many_future *future)
{
    int code = many_future_check_(future, "many_future_done");
    uint32_t state;

    if (code < 0)
        return code;
    state = future_look(future);
    /* Its descriptor may be readable for the sake of another one, and has to fall silent. */
    if (!many_future_is_over_(state) && many_future_silence_(future)) {
        future->engine->collect(future->home);
        state = future_state(future);
    }
    return many_future_is_over_(state);
}

int many_future_running(many_future *future)
{
    int code = many_future_check_(future, "many_future_running");

    return code < 0 ? code : future_phase(future_look(future)) == MANY_FUTURE_RUNNING_;
}

int many_future_cancelled(many_future *future)
{
    int code = many_future_check_(future, "many_future_cancelled");

    return code < 0 ? code : future_phase(future_look(future)) == MANY_FUTURE_CANCELLED_;
}

int many_future_successful(many_future *future)
{
    int code = many_future_check_(future, "many_future_successful");

    return code < 0 ? code : future_phase(future_look(future)) == MANY_FUTURE_DONE_;
}

uint64_t many_future_id(const many_future *future)
{
    if (future == NULL || !many_self_is_(future->process) || future->engine->id == NULL)
        return 0;
    return future->engine->id(future);
}

const char *many_future_name(const many_future *future, char *text, size_t room)
{
    if (text == NULL || room == 0)
        return "";
    text[0] = '\0';
    if (future != NULL)
        future->engine->name(future, text, room);
    return text;
}

const char *many_future_say_(const many_future *future, char text[MANY_FUTURE_SAID_])
{
    static const char numbered[] = "task ";
    const size_t before = sizeof numbered - 1;
    size_t end;

    many_future_name(future, text + 1, MANY_FUTURE_SAID_ - 2);
    if (strncmp(text + 1, numbered, before) == 0 &&
        strspn(text + 1 + before, "0123456789") == strlen(text + 1 + before))
        return text + 1;
    text[0] = '\'';
    end = strlen(text);
    text[end] = '\'';
    text[end + 1] = '\0';
    return text;
}

/* ---- ending it before its time ---- */

int many_future_cancel(many_future *future)
{
    int code = many_future_check_(future, "many_future_cancel");
    uint32_t state;

    if (code < 0)
        return code;
    state = future_look(future);
    if (many_future_is_over_(state))
        return future_phase(state) == MANY_FUTURE_CANCELLED_;
    return future->engine->cancel(future);
}

int many_future_terminate(many_future *future, double grace_s)
{
    int code = many_future_check_(future, "many_future_terminate");

    if (code < 0)
        return code;
    if (!(grace_s >= 0))
        return many_fail(-EINVAL, "many_future_terminate: grace_s is %g: give seconds from 0",
                         grace_s);
    if (many_future_is_over_(future_look(future)))
        return 0;
    return future->engine->terminate(future, many_seconds_ns_(grace_s));
}
