/* SPDX-License-Identifier: MIT */
/* futures_wait.c - many_futures_wait(): all, the first, or the first that failed */
#include <many/future.h>

#include <errno.h>
#include <string.h>

#include "base/options.h"
#include "os/clock.h"
#include "task/gather.h"

static const char futures_function[] = "many_futures_wait";

typedef struct futures_call {
    many_future *const *futures;
    size_t n;
    int wait_for;
    int64_t deadline_ns; /* 0: just look */
} futures_call;

static uint32_t futures_phase(many_future *future)
{
    uint32_t state = atomic_load_explicit(&future->state, memory_order_acquire);

    if (!many_future_is_over_(state) && future->engine->look != NULL) {
        future->engine->look(future);
        state = atomic_load_explicit(&future->state, memory_order_acquire);
    }
    return state & MANY_FUTURE_PHASES_;
}

/* What is over; over may be NULL. *left and *failed: so many are not; so many have failed, which a
 * cancelled one has not. */
static size_t futures_count(const futures_call *call, int *over, size_t *left, size_t *failed)
{
    size_t count = 0;

    *left = *failed = 0;
    for (size_t i = 0; i < call->n; i++) {
        uint32_t phase =
            call->futures[i] == NULL ? MANY_FUTURE_PENDING_ : futures_phase(call->futures[i]);
        int is_over = many_future_is_over_(phase);

        if (over != NULL)
            over[i] = is_over;
        count += (size_t)is_over;
        *left += call->futures[i] != NULL && !is_over;
        *failed += phase == MANY_FUTURE_FAILED_;
    }
    return count;
}

static int futures_have(const futures_call *call, size_t count, size_t left, size_t failed)
{
    return left == 0 || (call->wait_for == MANY_FIRST_COMPLETED && count > 0) ||
           (call->wait_for == MANY_FIRST_EXCEPTION && failed > 0);
}

/* All: one wait after the other, each of which helps and sees circles. */
static int futures_wait_all(const futures_call *call)
{
    int code = 0;

    for (size_t i = 0; i < call->n && code == 0; i++)
        if (call->futures[i] != NULL && !many_future_is_over_(futures_phase(call->futures[i])))
            code = many_future_await_(call->futures[i], call->deadline_ns);
    return code;
}

static int futures_wait_first(const futures_call *call)
{
    many_gather_ gather;
    int code = many_gather_begin_(&gather, call->n);
    int have = 0;

    for (size_t i = 0; i < call->n && code == 0; i++)
        if (call->futures[i] != NULL)
            code = many_gather_add_(&gather, call->futures[i]);
    if (code < 0)
        many_fail(code, "%s: no memory to wait with", futures_function);
    while (code == 0 && !have) {
        many_future *future = many_gather_take_(&gather);

        if (future != NULL)
            have = call->wait_for == MANY_FIRST_COMPLETED || gather.left == 0 ||
                   (call->wait_for == MANY_FIRST_EXCEPTION &&
                    futures_phase(future) == MANY_FUTURE_FAILED_);
        else
            code = many_gather_wait_(&gather, call->deadline_ns);
    }
    if (gather.nodes != NULL)
        many_gather_end_(&gather);
    return code;
}

static int futures_check(const futures_call *call, double timeout_s)
{
    int code = many_timeout_check_(timeout_s, futures_function);

    if (code < 0)
        return code;
    if (call->futures == NULL && call->n > 0)
        return many_fail(-EINVAL, "%s: futures is NULL, n is %zu", futures_function, call->n);
    if (call->wait_for < MANY_ALL_COMPLETED || call->wait_for > MANY_FIRST_EXCEPTION)
        return many_fail(-EINVAL, "%s: wait_for is %d: one of enum many_wait_for", futures_function,
                         call->wait_for);
    for (size_t i = 0; i < call->n && code == 0; i++)
        if (call->futures[i] != NULL)
            code = many_future_check_(call->futures[i], futures_function);
    return code;
}

ssize_t many_futures_wait(many_future *const *futures, size_t n, int wait_for, int *over,
                          double timeout_s)
{
    futures_call call = {futures, n, wait_for, 0};
    size_t count, left, failed;
    int code = futures_check(&call, timeout_s);

    if (code < 0)
        return code;
    count = futures_count(&call, over, &left, &failed);
    if (futures_have(&call, count, left, failed))
        return (ssize_t)count;
    if (timeout_s == 0) {
        code = -ETIMEDOUT;
    } else {
        call.deadline_ns = many_deadline_ns_(timeout_s);
        code = wait_for == MANY_ALL_COMPLETED ? futures_wait_all(&call) : futures_wait_first(&call);
        count = futures_count(&call, over, &left, &failed);
        if (code == -ETIMEDOUT && futures_have(&call, count, left, failed))
            code = 0; /* it came about while the time ran out */
    }
    if (code == -ETIMEDOUT)
        return many_fail(code, "%s: %zu of %zu are over after %g s", futures_function, count,
                         count + left, timeout_s);
    if (code == -EINTR)
        return many_fail(code, "%s: a signal handler ran on this thread", futures_function);
    return code < 0 ? code : (ssize_t)count;
}
