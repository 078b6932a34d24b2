/* SPDX-License-Identifier: MIT */
/* first.c - the first failure of a map; see first.h */
#include "map/first.h"

#include <errno.h>
#include <limits.h>

void many_first_keep_(many_first_ *first, int64_t at_ns, const many_cause *cause)
{
    if (first->at_ns != 0 && first->at_ns <= at_ns)
        return;
    first->at_ns = at_ns;
    first->cause = *cause;
}

void many_first_gather_(many_first_ *first, const many_record_ *records, int count)
{
    for (int w = 0; w < count; w++)
        if (atomic_load_explicit(&records[w].failure_taken, memory_order_acquire) == 2)
            many_first_keep_(first, records[w].failure_ns, &records[w].failure);
}

int many_first_return_(const many_first_ *first, const many_call_ *call, uint64_t failed,
                       int reason)
{
    const many_cause *cause = &first->cause;
    int code = -MANY_ETASK;

    if (first->at_ns != 0 && call->option.cause != NULL)
        *call->option.cause = *cause;
    if (reason < 0)
        return reason; /* its words are there already */
    if (failed == 0)
        return 0;
    if (call->option.on_error == MANY_GO_ON)
        return failed > INT_MAX ? INT_MAX : (int)failed;
    if (cause->over_limit)
        code = -ETIMEDOUT;
    else if (cause->pid != 0)
        code = -MANY_EDIED;
    return many_fail(code, "%s: %s", call->function, cause->text);
}
