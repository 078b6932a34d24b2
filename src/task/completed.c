/* SPDX-License-Identifier: MIT */
/* completed.c - many_completed_*: futures in the order of their ends */
#include <many/future.h>

#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/options.h"
#include "os/clock.h"
#include "os/self.h"
#include "task/gather.h"

struct many_completed {
    uint64_t process; /* many_self_process_() of who opened it */
    many_gather_ gather;
};

/* A set of addresses: [mask + 1] places, at most half of them taken; 0: free. */
typedef struct completed_set {
    uintptr_t *places;
    size_t mask;
} completed_set;

static int completed_set_begin(completed_set *set, size_t most)
{
    size_t places = 4;

    while (places / 2 < most && places < SIZE_MAX / 4)
        places *= 2;
    set->mask = places - 1;
    set->places =
        MANY_FAULT_ERROR("completed.set") < 0 ? NULL : calloc(places, sizeof *set->places);
    return set->places == NULL ? -ENOMEM : 0;
}

/* 1: it was not there. */
static int completed_set_add(completed_set *set, const many_future *future)
{
    size_t at = (size_t)(((uint64_t)(uintptr_t)future * UINT64_C(0x9e3779b97f4a7c15)) >> 32);

    for (;; at++) {
        uintptr_t *place = &set->places[at & set->mask];

        if (*place == (uintptr_t)future)
            return 0;
        if (*place == 0) {
            *place = (uintptr_t)future;
            return 1;
        }
    }
}

static int completed_fill(many_completed *completed, many_future *const *futures, size_t n)
{
    completed_set set = {NULL, 0};
    int code = many_gather_begin_(&completed->gather, n);

    if (code == 0)
        code = completed_set_begin(&set, n);
    if (code < 0)
        return code;
    for (size_t i = 0; i < n && code == 0; i++)
        if (futures[i] != NULL && completed_set_add(&set, futures[i]))
            code = many_gather_add_(&completed->gather, futures[i]);
    free(set.places);
    return code;
}

int many_completed_open(many_completed **completed, many_future *const *futures, size_t n)
{
    static const char function[] = "many_completed_open";
    many_completed *fresh;
    int code;

    if (completed == NULL)
        return many_fail(-EINVAL, "%s: completed is NULL", function);
    *completed = NULL;
    if (futures == NULL && n > 0)
        return many_fail(-EINVAL, "%s: futures is NULL, n is %zu", function, n);
    for (size_t i = 0; i < n; i++)
        if (futures[i] != NULL && (code = many_future_check_(futures[i], function)) < 0)
            return code;
    fresh = MANY_FAULT_ERROR("completed.open") < 0 ? NULL : calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return many_fail(-ENOMEM, "%s: no memory for an iterator", function);
    fresh->process = many_self_process_();
    code = completed_fill(fresh, futures, n);
    if (code < 0) {
        many_completed_close(fresh);
        return many_fail(code, "%s: no memory to wait with", function);
    }
    *completed = fresh;
    return 0;
}

int many_completed_next(many_completed *completed, many_future **future, double timeout_s)
{
    static const char function[] = "many_completed_next";
    int64_t deadline_ns;
    int code;

    if (future != NULL)
        *future = NULL;
    if (completed == NULL || future == NULL)
        return many_fail(-EINVAL, "%s: %s is NULL", function,
                         completed == NULL ? "completed" : "future");
    if (!many_self_is_(completed->process))
        return many_fail(-MANY_EFORKED, "%s: the iterator belongs to another process", function);
    code = many_timeout_check_(timeout_s, function);
    if (code < 0)
        return code;
    *future = many_gather_take_(&completed->gather);
    if (*future != NULL || completed->gather.left == 0)
        return *future != NULL;
    many_gather_look_(&completed->gather);
    deadline_ns = many_deadline_ns_(timeout_s);
    while ((*future = many_gather_take_(&completed->gather)) == NULL && code == 0)
        code = timeout_s == 0 ? -ETIMEDOUT : many_gather_wait_(&completed->gather, deadline_ns);
    if (*future != NULL)
        return 1;
    if (code == -ETIMEDOUT)
        return many_fail(code, "%s: none of %zu is over after %g s", function,
                         completed->gather.left, timeout_s);
    if (code == -EINTR)
        return many_fail(code, "%s: a signal handler ran on this thread", function);
    return code;
}

void many_completed_close(many_completed *completed)
{
    if (completed == NULL)
        return;
    /* Nodes of the copy in a child hang in futures that it may not touch. */
    if (!many_self_is_(completed->process))
        many_gather_forget_(&completed->gather);
    else
        many_gather_end_(&completed->gather);
    free(completed);
}
