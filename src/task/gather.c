/* SPDX-License-Identifier: MIT */
/*
 * gather.c - wait for the ends of several futures; see gather.h
 *
 * Sleeping   The sleeper stores sleeps, then looks at ready; a settler pushes to ready, then looks
 *            at sleeps. Both are sequentially consistent, so one of the two sees the other. What a
 *            home's settlers do not settle by themselves (processes) is heard of by the home's
 *            bell, and collected here.
 */
#include "task/gather.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/stream.h"
#include "sync/wait.h"
#include "task/seat.h"

/* A bell may stay silent if who was about to ring it was killed: look up after so long, and then
 * longer. */
#define GATHER_BELL_FIRST_NS (50 * MANY_MILLISECOND_NS)
#define GATHER_BELL_MOST_NS  (500 * MANY_MILLISECOND_NS)

/* Where a home has no bell for us (a worker process that waits for what it submitted): look that
 * often. */
#define GATHER_DEAF_NS (10 * MANY_MILLISECOND_NS)

int many_gather_begin_(many_gather_ *gather, size_t most)
{
    *gather = (many_gather_){.bell = -1, .slice_ns = MANY_WAIT_FIRST_NS_};
    gather->nodes = MANY_FAULT_ERROR("gather.begin") < 0
                        ? NULL
                        : calloc(most == 0 ? 1 : most, sizeof *gather->nodes);
    return gather->nodes == NULL ? -ENOMEM : 0;
}

void many_gather_forget_(many_gather_ *gather)
{
    free(gather->nodes);
    free(gather->homes);
    free(gather->polls);
}

void many_gather_end_(many_gather_ *gather)
{
    for (size_t i = 0; i < gather->count; i++)
        many_future_detach_(&gather->nodes[i]);
    many_bell_close_(gather->bell);
    many_gather_forget_(gather);
}

/* ---- ready ---- */

static void gather_push(many_gather_ *gather, many_future_node_ *node)
{
    node->next_ready = atomic_load_explicit(&gather->ready, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&gather->ready, &node->next_ready, node))
        ;
}

/* By the settler of the node's future. */
static void gather_told(many_future_node_ *node)
{
    many_gather_ *gather = node->gather;

    gather_push(gather, node);
    MANY_FAULT_POINT("gather.told");
    atomic_fetch_add(&gather->told, 1);
    if (atomic_load(&gather->sleeps) == 0)
        return;
    if (gather->bell >= 0)
        many_bell_ring_(gather->bell);
    else
        many_futex_wake_(&gather->told, INT_MAX);
}

many_future *many_gather_take_(many_gather_ *gather)
{
    many_future_node_ *node = gather->next;

    if (node == NULL) {
        many_future_node_ *newest =
            atomic_exchange_explicit(&gather->ready, NULL, memory_order_acquire);

        while (newest != NULL) { /* the oldest comes to the front */
            many_future_node_ *older = newest->next_ready;

            newest->next_ready = node;
            node = newest;
            newest = older;
        }
    }
    if (node == NULL)
        return NULL;
    gather->next = node->next_ready;
    gather->left--;
    gather->slept = 0;
    gather->slice_ns = MANY_WAIT_FIRST_NS_;
    node->ready = 1;
    return node->future;
}

static int gather_has_ready(many_gather_ *gather)
{
    return gather->next != NULL || atomic_load(&gather->ready) != NULL;
}

/* ---- what is waited for ---- */

static int gather_add_home(many_gather_ *gather, const many_future *future)
{
    many_gather_home_ *homes;
    struct pollfd *polls;

    if (future->engine->collect == NULL)
        return 0;
    for (size_t i = gather->homes_count; i-- > 0;) /* mostly the last one */
        if (gather->homes[i].home == future->home && gather->homes[i].engine == future->engine)
            return 0;
    homes = realloc(gather->homes, (gather->homes_count + 1) * sizeof *homes);
    if (homes == NULL)
        return -ENOMEM;
    gather->homes = homes;
    polls = realloc(gather->polls, (gather->homes_count + 2) * sizeof *polls);
    if (polls == NULL)
        return -ENOMEM;
    gather->polls = polls;
    homes[gather->homes_count++] = (many_gather_home_){future->engine, future->home};
    return 0;
}

int many_gather_add_(many_gather_ *gather, many_future *future)
{
    many_future_node_ *node = &gather->nodes[gather->count];
    int code = gather_add_home(gather, future);

    if (code < 0)
        return code;
    if (future->engine->look != NULL)
        future->engine->look(future);
    node->gather = gather;
    code = many_future_attach_(future, node, gather_told);
    if (code < 0)
        return code;
    gather->count++;
    gather->left++;
    if (code == 1)
        gather_push(gather, node);
    return 0;
}

void many_gather_look_(many_gather_ *gather)
{
    for (size_t i = 0; i < gather->homes_count; i++)
        gather->homes[i].engine->collect(gather->homes[i].home);
}

/* ---- sleeping ---- */

static int gather_sleep_on_word(many_gather_ *gather, int64_t until_ns)
{
    int code = 0;

    while (code == 0) {
        const uint32_t seen = atomic_load(&gather->told);

        if (gather_has_ready(gather))
            break;
        code = many_futex_wait_(&gather->told, seen, until_ns);
    }
    return code;
}

/* Bells that are not there are -1, and not polled. 1: some are not. */
static int gather_find_bells(many_gather_ *gather)
{
    int deaf = 0;

    gather->polls[0] = (struct pollfd){.fd = gather->bell, .events = POLLIN};
    for (size_t i = 0; i < gather->homes_count; i++) {
        const many_gather_home_ *home = &gather->homes[i];
        int bell = home->engine->bell == NULL ? -1 : home->engine->bell(home->home);

        gather->polls[i + 1] = (struct pollfd){.fd = bell, .events = POLLIN};
        deaf |= bell < 0;
    }
    return deaf;
}

static int gather_sleep_on_bells(many_gather_ *gather, int64_t until_ns)
{
    int got = 0, milliseconds = many_poll_ms_(until_ns);

    if (gather_find_bells(gather) &&
        (milliseconds < 0 || milliseconds > (int)(GATHER_DEAF_NS / MANY_MILLISECOND_NS)))
        milliseconds = (int)(GATHER_DEAF_NS / MANY_MILLISECOND_NS);
    if (!gather_has_ready(gather))
        got = poll(gather->polls, (nfds_t)(gather->homes_count + 1), milliseconds);
    if (got < 0)
        return -errno;
    if (got > 0 && gather->polls[0].revents != 0)
        many_bell_silence_(gather->bell);
    for (size_t i = 0; i < gather->homes_count; i++)
        if (got == 0 || gather->polls[i + 1].fd < 0 || gather->polls[i + 1].revents != 0)
            gather->homes[i].engine->collect(gather->homes[i].home);
    return got == 0 && many_clock_ns_() >= until_ns ? -ETIMEDOUT : 0;
}

/* 0; -ETIMEDOUT; -EINTR; what a bell costs. */
static int gather_sleep(many_gather_ *gather, int64_t until_ns)
{
    int code;

    for (int pauses = many_wait_spin_(); many_wait_pause_(&pauses);)
        if (gather_has_ready(gather))
            return 0;
    if (gather->homes_count > 0 && gather->bell < 0) {
        code = many_bell_open_();
        if (code < 0)
            return many_fail(code, "no descriptor to wait with (%s)", many_error_name(code));
        gather->bell = code; /* told() reads it after it saw sleeps */
    }
    atomic_store(&gather->sleeps, 1);
    code = gather->bell >= 0 ? gather_sleep_on_bells(gather, until_ns)
                             : gather_sleep_on_word(gather, until_ns);
    atomic_store(&gather->sleeps, 0);
    return gather_has_ready(gather) ? 0 : code;
}

/* ---- in a task ---- */

static uint32_t gather_phase(many_future *future)
{
    if (future->engine->look != NULL)
        future->engine->look(future);
    return atomic_load_explicit(&future->state, memory_order_acquire) & MANY_FUTURE_PHASES_;
}

/* Nobody does what has to be done for it. */
static int gather_is_idle(many_future *future, uint32_t phase)
{
    return phase == MANY_FUTURE_PENDING_ ||
           (phase == MANY_FUTURE_RUNNING_ && future->engine->runs != NULL &&
            !future->engine->runs(future));
}

static int gather_is_circle(many_future *future)
{
    return future->engine->circle != NULL && future->engine->circle(future);
}

/* One is left: a wait like any other, which shows others what this task waits for. */
static int gather_wait_for_last(many_gather_ *gather, int64_t deadline_ns)
{
    for (size_t i = 0; i < gather->count; i++) {
        many_future_node_ *node = &gather->nodes[i];
        int code;

        if (node->ready)
            continue;
        if (many_future_is_over_(gather_phase(node->future)))
            return 0; /* it is about to be told */
        code = many_future_await_(node->future, deadline_ns);
        return code < 0 ? code : 1;
    }
    return 0;
}

/* Does any of them run elsewhere, and can end without this task? At first it is believed that it
 * can. */
static int gather_any_goes_on(many_gather_ *gather)
{
    const size_t first = gather->running;

    for (size_t i = 0; i < gather->count; i++) {
        /* The one that ran last time is looked at first: mostly it still does. */
        size_t k = i == 0 ? first : i <= first ? i - 1 : i;
        many_future_node_ *node = &gather->nodes[k];
        uint32_t phase;

        if (node->ready)
            continue;
        phase = gather_phase(node->future);
        if (gather_is_idle(node->future, phase))
            continue;
        gather->running = k;
        if (phase != MANY_FUTURE_RUNNING_ || !gather->slept || !gather_is_circle(node->future))
            return 1;
    }
    return 0;
}

/* 1: something was done, look again; 0: sleep; a code. */
static int gather_help(many_gather_ *gather, int64_t deadline_ns)
{
    if (gather->left == 1)
        return gather_wait_for_last(gather, deadline_ns);
    if (gather_any_goes_on(gather))
        return 0;
    for (size_t i = 0; i < gather->count; i++) {
        many_future *future = gather->nodes[i].future;

        const int helped = gather->nodes[i].ready || future->engine->help == NULL
                               ? 0
                               : future->engine->help(future);

        if (helped != 0)
            return helped;
    }
    for (size_t i = 0; i < gather->count; i++)
        if (!gather->nodes[i].ready && !gather_is_circle(gather->nodes[i].future))
            return 0;
    return -EDEADLK;
}

int many_gather_wait_(many_gather_ *gather, int64_t deadline_ns)
{
    int64_t until_ns = deadline_ns, slice_ns = 0;
    int code;

    if (many_seat_taken_() && gather->left > 0) {
        code = gather_help(gather, deadline_ns);
        if (code != 0)
            return code < 0 ? code : 0;
        slice_ns = gather->slice_ns; /* to look for a circle that others have closed meanwhile */
    }
    if (slice_ns == 0 && gather->homes_count > 0)
        slice_ns =
            gather->slice_ns < GATHER_BELL_FIRST_NS ? GATHER_BELL_FIRST_NS : gather->slice_ns;
    if (slice_ns > 0 && deadline_ns - many_clock_ns_() > slice_ns)
        until_ns = many_clock_ns_() + slice_ns;
    code = gather_sleep(gather, until_ns);
    if (code != -ETIMEDOUT || until_ns == deadline_ns)
        return code;
    gather->slept = 1;
    slice_ns *= 2;
    if (many_seat_taken_() && slice_ns > MANY_WAIT_MOST_NS_)
        slice_ns = MANY_WAIT_MOST_NS_;
    gather->slice_ns = slice_ns > GATHER_BELL_MOST_NS ? GATHER_BELL_MOST_NS : slice_ns;
    return 0;
}
