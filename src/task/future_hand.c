/* SPDX-License-Identifier: MIT */
/*
 * future_hand.c - futures that are set by hand: no task stands behind them
 *
 * Promise    The first who sets it wins; who comes later is told, and changes nothing.
 * Invariant  Who changes the state to RUNNING and TAKEN owns the outcome's fields until it settles
 *            the future. Cancelling what has not begun is one change of the state and writes no
 *            field.
 */
#include "task/future.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/options.h"
#include "base/text.h"

_Static_assert(sizeof(many_future_options) == 4 * sizeof(void *), "no padding in a public struct");

typedef struct hand_future {
    many_future head;
    char *words; /* of its failure; NULL: many_strerror() of its code */
    char name[64];
} hand_future;

static hand_future *hand_of(const many_future *future)
{
    return (hand_future *)(uintptr_t)future;
}

/* RUNNING and TAKEN: the outcome is the caller's to write. 0; -ECANCELED; -EBUSY. */
static int hand_take(many_future *future)
{
    uint32_t seen = atomic_load_explicit(&future->state, memory_order_acquire);
    uint32_t next;

    do {
        if ((seen & MANY_FUTURE_PHASES_) == MANY_FUTURE_CANCELLED_)
            return -ECANCELED;
        if (many_future_is_over_(seen) || (seen & MANY_FUTURE_TAKEN_) != 0)
            return -EBUSY;
        next = (seen & ~MANY_FUTURE_PHASES_) | MANY_FUTURE_RUNNING_ | MANY_FUTURE_TAKEN_;
    } while (!atomic_compare_exchange_weak_explicit(&future->state, &seen, next,
                                                    memory_order_acq_rel, memory_order_acquire));
    MANY_FAULT_POINT("future.hand.taken");
    return 0;
}

static int hand_cancel(many_future *future)
{
    if (many_future_settle_pending_(future, MANY_FUTURE_CANCELLED_))
        return 1;
    /* Another thread may have cancelled it since it was looked at. */
    return (atomic_load_explicit(&future->state, memory_order_acquire) & MANY_FUTURE_PHASES_) ==
           MANY_FUTURE_CANCELLED_;
}

/* There is no task that could be told, and nothing to wait for. */
static int hand_terminate(many_future *future, int64_t grace_ns)
{
    (void)grace_ns;
    if (many_future_settle_pending_(future, MANY_FUTURE_CANCELLED_))
        return 1;
    if (hand_take(future) < 0)
        return 0;
    many_future_settle_(future, MANY_FUTURE_CANCELLED_);
    return 1;
}

/* Who could set it has it no more: what waits to be called is called. */
static void hand_abandoned(many_future *future)
{
    hand_terminate(future, 0);
}

static void hand_name(const many_future *future, char *text, size_t room)
{
    many_text_ name;

    many_text_begin_(&name, text, room);
    many_text_add_(&name, hand_of(future)->name);
}

static void hand_cause(many_future *future, many_cause *cause)
{
    const hand_future *hand = hand_of(future);

    cause->worker = -1;
    cause->exit_status = -1;
    if ((atomic_load_explicit(&future->state, memory_order_acquire) & MANY_FUTURE_PHASES_) ==
        MANY_FUTURE_CANCELLED_) {
        cause->code = -ECANCELED;
        cause->cancelled = 1;
        snprintf(cause->text, sizeof cause->text, "'%s' was cancelled", hand->name);
        return;
    }
    cause->code = future->code;
    snprintf(cause->text, sizeof cause->text, "%s",
             hand->words != NULL ? hand->words : many_strerror(future->code));
}

static void hand_drop(many_future *future)
{
    many_future_unwatch_(future);
    free(future->result);
    free(hand_of(future)->words);
    free(future);
}

static const many_future_engine_ hand_engine = {
    .cancel = hand_cancel,
    .terminate = hand_terminate,
    .cause = hand_cause,
    .name = hand_name,
    .drop = hand_drop,
    .abandoned = hand_abandoned,
};

int many_future_open_with(const many_future_options *given)
{
    many_future_options options;
    hand_future *hand;
    many_text_ name;
    int code = many_options_read_(&options, sizeof options, given, "many_future_open");

    if (code < 0)
        return code;
    if (options.future == NULL)
        return many_fail(-EINVAL, "many_future_open: future is NULL");
    *options.future = NULL;
    hand = MANY_FAULT_ERROR("future.open") < 0 ? NULL : calloc(1, sizeof *hand);
    if (hand == NULL)
        return many_fail(-ENOMEM, "many_future_open: no memory for a handle");
    many_future_begin_(&hand->head, &hand_engine, NULL);
    many_text_begin_(&name, hand->name, sizeof hand->name);
    many_text_add_(&name, options.name != NULL ? options.name : "future");
    *options.future = &hand->head;
    return 0;
}

static int hand_check(many_future *future, const char *function)
{
    int code = many_future_check_(future, function);

    if (code < 0)
        return code;
    if (future->engine != &hand_engine)
        return many_fail(-EINVAL, "%s: a task stands behind this future, which sets it", function);
    return 0;
}

static int hand_refuse(const many_future *future, int code, const char *function)
{
    if (code == -ECANCELED)
        return many_fail(code, "%s: '%s' was cancelled before", function, hand_of(future)->name);
    return many_fail(code, "%s: '%s' was set before", function, hand_of(future)->name);
}

int many_future_set_running(many_future *future)
{
    static const char function[] = "many_future_set_running";
    int code = hand_check(future, function);
    uint32_t seen;

    if (code < 0)
        return code;
    if (many_future_claim_(future))
        return 0;
    seen = atomic_load_explicit(&future->state, memory_order_acquire);
    if ((seen & MANY_FUTURE_PHASES_) == MANY_FUTURE_CANCELLED_)
        return hand_refuse(future, -ECANCELED, function);
    return many_fail(-EBUSY, "%s: '%s' %s already", function, hand_of(future)->name,
                     many_future_is_over_(seen) ? "is over" : "runs");
}

/* It is taken, and its outcome written. What the callbacks said is said once more. */
static int hand_end(many_future *future, uint32_t phase, const char *function)
{
    char words[256];
    int code = many_future_settle_(future, phase);

    if (code == 0)
        return 0;
    snprintf(words, sizeof words, "%s", many_error_words_(code));
    return many_fail(code < 0 ? code : -MANY_ETASK, "%s: a callback failed with %d%s%s", function,
                     code, words[0] == '\0' ? "" : ": ", words);
}

int many_future_set_result(many_future *future, const void *result, size_t bytes)
{
    static const char function[] = "many_future_set_result";
    void *copy = NULL;
    int code = hand_check(future, function);

    if (code < 0)
        return code;
    if (result == NULL && bytes != 0)
        return many_fail(-EINVAL, "%s: result is NULL, bytes is %zu", function, bytes);
    if (bytes > 0) {
        copy = bytes > PTRDIFF_MAX || MANY_FAULT_ERROR("future.result") < 0 ? NULL : malloc(bytes);
        if (copy == NULL)
            return many_fail(-ENOMEM, "%s: no memory for %zu bytes", function, bytes);
        memcpy(copy, result, bytes);
    }
    code = hand_take(future);
    if (code < 0) {
        free(copy);
        return hand_refuse(future, code, function);
    }
    future->result = copy;
    future->result_bytes = bytes;
    return hand_end(future, MANY_FUTURE_DONE_, function);
}

int many_future_set_failure(many_future *future, int failure, const char *words)
{
    static const char function[] = "many_future_set_failure";
    char *copy = NULL;
    int code = hand_check(future, function);

    if (code < 0)
        return code;
    if (failure >= 0)
        return many_fail(-EINVAL, "%s: code is %d: give a negative one", function, failure);
    if (words != NULL) {
        copy = MANY_FAULT_ERROR("future.words") < 0 ? NULL : strdup(words);
        if (copy == NULL)
            return many_fail(-ENOMEM, "%s: no memory for the words", function);
    }
    code = hand_take(future);
    if (code < 0) {
        free(copy);
        return hand_refuse(future, code, function);
    }
    future->code = failure;
    hand_of(future)->words = copy;
    return hand_end(future, MANY_FUTURE_FAILED_, function);
}
