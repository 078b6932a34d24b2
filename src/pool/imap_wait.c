/* SPDX-License-Identifier: MIT */
/* imap_wait.c - wait until one of several batches is over; see imap_wait.h */
#include "pool/imap_wait.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>

#include "os/clock.h"
#include "os/stream.h"

/* So long the first batch alone is waited for: longer than most of them take, and shorter than a worker that
 * has nothing to do would mind. */
#define SENT_BRIEF_NS (200 * MANY_MICROSECOND_NS)

/* In a task, whose wait is for one future at a time: how soon the others are looked at. */
#define SENT_SLICE_FIRST_NS (1 * MANY_MILLISECOND_NS)
#define SENT_SLICE_MOST_NS  (10 * MANY_MILLISECOND_NS)

/* A poll ends after so long and looks, whatever happens to those who should ring; and where there is no
 * descriptor that they could ring. */
#define SENT_POLL_NS (500 * MANY_MILLISECOND_NS)
#define SENT_LOOK_NS (5 * MANY_MILLISECOND_NS)

void many_sent_waiter_begin_(many_sent_waiter_ *wait, int token)
{
    wait->bell = -1;
    wait->token = token;
}

void many_sent_waiter_end_(many_sent_waiter_ *wait)
{
    if (wait->bell >= 0)
        many_bell_close_(wait->bell);
    wait->bell = -1;
}

int many_sent_is_over_(many_sent_ *sent)
{
    many_future *future = sent->batch->future;
    uint32_t state = atomic_load_explicit(&future->state, memory_order_acquire);

    if (!many_future_is_over_(state)) {
        if (future->engine->look != NULL)
            future->engine->look(future);
        state = atomic_load_explicit(&future->state, memory_order_acquire);
        if (!many_future_is_over_(state))
            return 0;
    }
    /* A few instructions of another thread: nothing but our bell hangs at it. */
    while ((state & MANY_FUTURE_SETTLING_) != 0) {
        sched_yield();
        state = atomic_load_explicit(&future->state, memory_order_acquire);
    }
    return 1;
}

void many_sent_forget_(many_sent_ *sent)
{
    if (sent->watched)
        many_future_detach_(&sent->node);
    sent->watched = 0;
}

static int sent_one_is_over(many_sent_ *const *sent, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (many_sent_is_over_(sent[k]))
            return 1;
    return 0;
}

static int64_t sent_sooner(int64_t deadline_ns, int64_t wait_ns)
{
    int64_t now = many_clock_ns_();

    return deadline_ns - now > wait_ns ? now + wait_ns : deadline_ns;
}

/* Sleep until one future is over, without helping. 0, -ETIMEDOUT, -EINTR. */
static int sent_sleep(many_future *future, int64_t deadline_ns)
{
    if (future->engine->await != NULL && future->engine->bell != NULL)
        return future->engine->await(future, deadline_ns);
    return many_future_sleep_(future, deadline_ns, 0);
}

/* ---- in a task ---- */

static int sent_help(many_sent_ *const *sent, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        many_future *future = sent[k]->batch->future;

        if (future->engine->help != NULL && future->engine->help(future) == 1)
            return 1;
    }
    return 0;
}

/* The first one that can end although the task waits; n: there is none, with words. */
static size_t sent_hopeful(many_sent_ *const *sent, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        many_future *future = sent[k]->batch->future;

        if (future->engine->circle == NULL || future->engine->circle(future) != 1)
            return k;
    }
    return n;
}

static int sent_wait_inside(many_sent_waiter_ *wait, many_sent_ *const *sent, size_t n,
                            int64_t deadline_ns)
{
    int64_t slice_ns = SENT_SLICE_FIRST_NS;
    size_t k = 0;

    for (;;) {
        many_future *future;
        int64_t until_ns;
        int code;

        if (many_clock_ns_() < deadline_ns && sent_help(sent, n))
            return 0;
        if (sent_one_is_over(sent, n))
            return 0;
        future = sent[k]->batch->future;
        until_ns = n == 1 && wait->token < 0 ? deadline_ns : sent_sooner(deadline_ns, slice_ns);
        code = future->engine->await != NULL ? future->engine->await(future, until_ns)
                                             : many_future_sleep_(future, until_ns, 0);
        if (code == -EDEADLK && (n == 1 || (k = sent_hopeful(sent, n)) == n))
            return -EDEADLK;
        if (code == 0 || code == -EINTR)
            return code;
        if (many_clock_ns_() >= deadline_ns)
            return -ETIMEDOUT;
        if (wait->token >= 0)
            return 0;
        slice_ns = slice_ns * 2 < SENT_SLICE_MOST_NS ? slice_ns * 2 : SENT_SLICE_MOST_NS;
    }
}

/* ---- elsewhere ---- */

static void sent_told(many_future_node_ *node)
{
    const many_sent_waiter_ *wait = node->gather;

    many_bell_ring_(wait->bell);
}

/* Have the bell rung by each of them. 1: one is over; 0; negative: it cannot be done. */
static int sent_watch(many_sent_waiter_ *wait, many_sent_ *const *sent, size_t n)
{
    if (wait->bell < 0 && (wait->bell = many_bell_open_()) < 0)
        return wait->bell;
    for (size_t k = 0; k < n; k++) {
        int code;

        if (sent[k]->watched)
            continue;
        memset(&sent[k]->node, 0, sizeof sent[k]->node);
        sent[k]->node.gather = wait;
        code = many_future_attach_(sent[k]->batch->future, &sent[k]->node, sent_told);
        if (code != 0)
            return code;
        sent[k]->watched = 1;
    }
    return 0;
}

static int sent_wait_watching(many_sent_waiter_ *wait, many_sent_ *const *sent, size_t n,
                              int64_t deadline_ns)
{
    many_future *future = sent[0]->batch->future;
    const many_future_engine_ *engine = future->engine;
    struct pollfd polled[3] = {{wait->bell, POLLIN, 0}, {-1, POLLIN, 0}, {wait->token, POLLIN, 0}};

    int64_t slice_ns = SENT_POLL_NS;

    if (engine->bell != NULL)
        polled[1].fd = engine->bell(future->home);
    if (engine->collect != NULL && polled[1].fd < 0)
        slice_ns = SENT_LOOK_NS;
    for (;;) {
        if (sent_one_is_over(sent, n))
            return 0;
        if (poll(polled, 3, many_poll_ms_(sent_sooner(deadline_ns, slice_ns))) < 0)
            return errno == EINTR ? -EINTR : 0;
        if (polled[0].revents != 0)
            many_bell_silence_(wait->bell);
        if (engine->collect != NULL && (polled[1].revents != 0 || polled[1].fd < 0))
            engine->collect(future->home);
        if (polled[2].revents != 0 || sent_one_is_over(sent, n))
            return 0;
        if (many_clock_ns_() >= deadline_ns)
            return -ETIMEDOUT;
    }
}

int many_sent_wait_(many_sent_waiter_ *wait, many_sent_ *const *sent, size_t n, size_t k,
                    int64_t deadline_ns)
{
    many_future *one = sent[k]->batch->future;
    int code;

    if (many_sent_is_over_(sent[k]))
        return 0;
    if (many_pool_inside_() != NULL)
        return sent_wait_inside(wait, sent, n, deadline_ns);
    if (n == 1 && wait->token < 0)
        return sent_sleep(one, deadline_ns);
    code = sent_sleep(one, sent_sooner(deadline_ns, SENT_BRIEF_NS));
    if (code == 0 || code == -EINTR || sent_one_is_over(sent, n))
        return code == -EINTR ? code : 0;
    if (many_clock_ns_() >= deadline_ns)
        return -ETIMEDOUT;
    code = sent_watch(wait, sent, n);
    if (code > 0)
        return 0;
    if (code == 0)
        return sent_wait_watching(wait, sent, n, deadline_ns);
    /* No descriptor, no memory: the others, and the token, are looked at now and then. */
    code = sent_sleep(sent[0]->batch->future, sent_sooner(deadline_ns, SENT_SLICE_MOST_NS));
    if (code == -ETIMEDOUT && many_clock_ns_() < deadline_ns)
        code = 0;
    return code;
}
