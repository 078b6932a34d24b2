/* SPDX-License-Identifier: MIT */
/* cancel.c - tokens, and signals that set them; the protocol stands in cancel.h */
#include "task/cancel.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/atomic.h"
#include "os/stream.h"

_Static_assert(sizeof(many_cancel) == 32, "no padding in a public struct");

/* The public header has no atomics, because C++ lacks them; gcc's and clang's builtins work on
 * plain words. */
#define CANCEL_LOAD(word)       __atomic_load_n(&(word), __ATOMIC_SEQ_CST)
#define CANCEL_STORE(word, new) __atomic_store_n(&(word), (new), __ATOMIC_SEQ_CST)
#define CANCEL_SWAP(word, old, new)                                                                \
    __atomic_compare_exchange_n(&(word), (old), (new), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

/* So many looks at setters, of a moment each and then of a millisecond, and no more: only a child
 * that was forked while another thread sat in many_cancel_set() sees a setter that never leaves. */
#define CANCEL_LOOKS      100
#define CANCEL_LONG_LOOKS 2000

static uint64_t cancel_pack(int bell, uint32_t waiters)
{
    return (uint64_t)((uint32_t)bell + 1) << 40 | (uint64_t)(waiters & 0xFFFF) << 24 |
           ((uint64_t)getpid() & 0xFFFFFF);
}

static int cancel_bell(uint64_t watch)
{
    return (int)(watch >> 40) - 1;
}

/* How many of this process wait. */
static uint32_t cancel_waiters(uint64_t watch)
{
    return (watch & 0xFFFFFF) == ((uint64_t)getpid() & 0xFFFFFF) ? (uint32_t)(watch >> 24) & 0xFFFF
                                                                 : 0;
}

/* Wait until nobody is inside many_cancel_set(). 1; 0 if somebody seems to be for ever. */
static int cancel_settle(const many_cancel *token)
{
    for (int look = 0; look < CANCEL_LOOKS + CANCEL_LONG_LOOKS; look++) {
        if (CANCEL_LOAD(token->setters) == 0)
            return 1;
        if (look < CANCEL_LOOKS)
            sched_yield();
        else
            poll(NULL, 0, 1);
    }
    return 0;
}

void many_cancel_settle_(const many_cancel *token)
{
    if (many_cancel_is_set(token))
        cancel_settle(token);
}

int many_cancel_watch_(many_cancel *token)
{
    uint64_t watch;

    if (token == NULL)
        return -1;
    watch = CANCEL_LOAD(token->watch);
    for (;;) {
        uint32_t waiters = cancel_waiters(watch);

        if (waiters == 0) {
            int bell = many_bell_open_();

            if (bell < 0)
                return bell == -1 ? -EMFILE : bell;
            if (CANCEL_SWAP(token->watch, &watch, cancel_pack(bell, 1)))
                return bell;
            many_bell_close_(bell);
        } else if (CANCEL_SWAP(token->watch, &watch,
                               cancel_pack(cancel_bell(watch), waiters + 1))) {
            return cancel_bell(watch);
        }
    }
}

void many_cancel_unwatch_(many_cancel *token)
{
    uint64_t watch = CANCEL_LOAD(token->watch);

    for (;;) {
        uint32_t waiters = cancel_waiters(watch);
        uint64_t next = waiters <= 1 ? 0 : cancel_pack(cancel_bell(watch), waiters - 1);

        if (waiters == 0)
            return;
        if (!CANCEL_SWAP(token->watch, &watch, next))
            continue;
        if (next != 0)
            return;
        if (cancel_settle(
                token)) /* else the bell stays open, lest it be rung when it is another's */
            many_bell_close_(cancel_bell(watch));
        return;
    }
}

void many_cancel_set(many_cancel *token)
{
    uint64_t watch;

    if (token == NULL)
        return;
    __atomic_fetch_add(&token->setters, 1, __ATOMIC_SEQ_CST);
    CANCEL_STORE(token->set, 1);
    watch = CANCEL_LOAD(token->watch);
    MANY_FAULT_POINT("cancel.ring");
    if (cancel_waiters(watch) > 0)
        many_bell_ring_(cancel_bell(watch));
    __atomic_fetch_sub(&token->setters, 1, __ATOMIC_SEQ_CST);
}

int many_cancel_is_set(const many_cancel *token)
{
    return token != NULL && CANCEL_LOAD(token->set) != 0;
}

/* The one table of the process: a signal handler has nothing but the signal's number to go by. */
static struct {
    _Atomic(many_cancel *) token;
    struct sigaction found; /* written while token is NULL or CANCEL_BUSY */
} cancel_signals[NSIG];

static many_cancel cancel_busy_token;
#define CANCEL_BUSY (&cancel_busy_token)

static void cancel_handle(int signal)
{
    int saved = errno;
    many_cancel *token = atomic_load_explicit(&cancel_signals[signal].token, memory_order_acquire);

    if (token != NULL && token != CANCEL_BUSY && !many_cancel_is_set(token)) {
        many_cancel_set(token);
    } else {
        /* The second one: as if we were not there. It is blocked now and comes when we return. */
        sigaction(signal, &cancel_signals[signal].found, NULL);
        raise(signal);
    }
    errno = saved;
}

static int cancel_install(int signal, struct sigaction *found)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = cancel_handle;
    action.sa_flags = SA_RESTART;
    return sigaction(signal, &action, found);
}

int many_cancel_on_signal(many_cancel *token, int signal)
{
    many_cancel *before = NULL;

    if (signal <= 0 || signal >= NSIG || signal == SIGKILL || signal == SIGSTOP)
        return many_fail(-EINVAL, "many_cancel_on_signal: signal %d cannot be caught", signal);
    if (token == NULL) {
        before = atomic_load(&cancel_signals[signal].token);
        if (before == NULL || before == CANCEL_BUSY ||
            !atomic_compare_exchange_strong(&cancel_signals[signal].token, &before, CANCEL_BUSY))
            return 0;
        sigaction(signal, &cancel_signals[signal].found, NULL);
        atomic_store(&cancel_signals[signal].token, NULL);
        return 0;
    }
    if (!atomic_compare_exchange_strong(&cancel_signals[signal].token, &before, CANCEL_BUSY)) {
        if (before == token) {
            /* A second signal may have put back what was found. */
            cancel_install(signal, NULL);
            return 0;
        }
        return many_fail(-EALREADY,
                         "many_cancel_on_signal: signal %d sets another token: give it back first "
                         "with many_cancel_on_signal(NULL, %d)",
                         signal, signal);
    }
    if (sigaction(signal, NULL, &cancel_signals[signal].found) != 0) {
        int code = -errno;

        atomic_store(&cancel_signals[signal].token, NULL);
        return many_fail(code, "many_cancel_on_signal: signal %d cannot be caught", signal);
    }
    /* The token first: a signal that comes in between must find it. */
    atomic_store(&cancel_signals[signal].token, token);
    if (cancel_install(signal, NULL) != 0) {
        int code = -errno;

        atomic_store(&cancel_signals[signal].token, NULL);
        return many_fail(code, "many_cancel_on_signal: signal %d cannot be caught", signal);
    }
    return 0;
}
