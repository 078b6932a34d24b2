/* SPDX-License-Identifier: MIT */
/* pool_map_run.c - one map over a pool; see pool_map_run.h */
#include "pool/pool_map_run.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/options.h"
#include "map/call.h"
#include "os/clock.h"
#include "pool/pool_options.h"

/* Batches that a worker gets of what is left: more of them balance better, fewer cost less. */
#define RUN_SHARES 8

/* Items and results that are copied go in pieces of this size: what the owner wrote is still in the cache
 * when the worker reads it, and memory does not grow with the map. */
#define RUN_COPIED_BYTES ((size_t)256 << 10)

/* Items in a batch: their number has 32 bits in a state word. */
#define RUN_CHUNK_MOST ((size_t)1 << 24)

/* With a bar: so long a batch should take, for the bar to move. */
#define RUN_SHOWN_NS (100 * MANY_MILLISECOND_NS)

#define RUN_BYTES_MOST (SIZE_MAX / 8)

_Static_assert(sizeof(many_pool_map_options) == 4 * 4 + (sizeof(void *) == 8 ? 22 * 8 : 0) ||
                   sizeof(void *) != 8,
               "no padding in a public struct");

static int map_run_check_inputs(const many_map_run_ *run)
{
    const many_pool_map_options *option = &run->option;

    if (option->inputs == NULL)
        return option->inputs_count == 0
                   ? 0
                   : many_fail(-EINVAL, "%s: .inputs_count is %zu but .inputs is NULL",
                               run->function, option->inputs_count);
    if (run->plan.in != NULL)
        return many_fail(-EINVAL,
                         "%s: in and .inputs are both given: pass NULL for in, cast to any type",
                         run->function);
    if (option->inputs_count == 0 || option->inputs_count > MANY_INPUTS_MOST_)
        return many_fail(-EINVAL, "%s: .inputs_count is %zu: 1 to %d are possible", run->function,
                         option->inputs_count, MANY_INPUTS_MOST_);
    for (size_t k = 0; k < option->inputs_count; k++) {
        if (option->inputs[k].items == NULL && option->n > 0)
            return many_fail(-EINVAL, "%s: .inputs[%zu].items is NULL", run->function, k);
        if (option->inputs[k].item_bytes > RUN_BYTES_MOST / (option->n + 1))
            return many_fail(-EINVAL, "%s: %zu items of .inputs[%zu] do not fit into memory",
                             run->function, option->n, k);
    }
    return 0;
}

static int map_run_check(const many_map_run_ *run)
{
    const many_pool_map_options *option = &run->option;
    const many_batch_plan_ *plan = &run->plan;
    size_t most = plan->item_bytes > plan->result_bytes ? plan->item_bytes : plan->result_bytes;

    if (option->named_ != NULL)
        return many_fail(-EINVAL,
                         "%s: a value without a name follows n: write .chunk = value, or the name "
                         "of the option that is meant",
                         run->function);
    if (plan->fn == NULL)
        return many_fail(-EINVAL, "%s: fn is NULL", run->function);
    if (most > RUN_BYTES_MOST || option->n > RUN_BYTES_MOST / (most + 1))
        return many_fail(-EINVAL, "%s: %zu items of %zu bytes do not fit into memory",
                         run->function, option->n, most);
    if (option->on_error != MANY_STOP && option->on_error != MANY_GO_ON)
        return many_fail(-EINVAL, "%s: .on_error is %d: MANY_STOP or MANY_GO_ON", run->function,
                         (int)option->on_error);
    if (option->retries < 0 || option->retries > MANY_RETRIES_MOST_)
        return many_fail(-EINVAL, "%s: .retries is %d: 0 to %d", run->function, option->retries,
                         MANY_RETRIES_MOST_);
    if (option->priority < MANY_PRIORITY_LOWEST || option->priority > MANY_PRIORITY_HIGHEST)
        return many_fail(-EINVAL, "%s: .priority is %d: %d to %d", run->function, option->priority,
                         MANY_PRIORITY_LOWEST, MANY_PRIORITY_HIGHEST);
    if (option->reserved != 0)
        return many_fail(-EINVAL, "%s: .reserved is %d: it has to be 0", run->function,
                         option->reserved);
    if (isnan(option->item_limit_s) || option->item_limit_s < 0)
        return many_fail(-EINVAL, "%s: .item_limit_s is %g: seconds from 0, which is no limit",
                         run->function, option->item_limit_s);
    if (option->context == NULL && option->context_bytes > 0)
        return many_fail(-EINVAL, "%s: .context_bytes is %zu but .context is NULL", run->function,
                         option->context_bytes);
    return map_run_check_inputs(run);
}

static int64_t map_run_limit_ns(const many_map_run_ *run)
{
    int64_t limit_ns = many_seconds_ns_(run->option.item_limit_s);

    if (run->option.item_limit_s <= 0)
        return run->pool->limit_ns;
    return limit_ns > 0 ? limit_ns : 1;
}

int many_map_run_read_(many_map_run_ *run, many_pool *pool, many_fn *fn, const void *in,
                       size_t in_bytes, void *out, size_t out_bytes,
                       const many_pool_map_options *options)
{
    many_pool_map_options *option = &run->option;
    many_batch_plan_ *plan = &run->plan;
    int code = many_options_read_(option, sizeof *option, options, run->function);

    if (code < 0 || (code = many_pool_check_(pool, run->function)) < 0)
        return code;
    run->pool = pool;
    run->n = option->n;
    plan->function = run->function;
    plan->fn = fn;
    plan->in = in;
    plan->out = out;
    if (in != NULL)
        plan->item_bytes = option->item_bytes != 0 ? option->item_bytes : in_bytes;
    if (out != NULL)
        plan->result_bytes = option->result_bytes != 0 ? option->result_bytes : out_bytes;
    if (plan->result_bytes == 0)
        plan->out = NULL;
    if ((code = map_run_check(run)) < 0 ||
        (code = many_pool_check_kind_(pool, option->context, option->context_bytes,
                                      option->item_limit_bytes, run->function)) < 0)
        return code;
    if (option->name != NULL)
        snprintf(run->name, sizeof run->name, "%s", option->name);
    else
        snprintf(run->name, sizeof run->name, "map %llu",
                 (unsigned long long)atomic_load_explicit(&pool->serial, memory_order_relaxed));
    plan->name = run->name;
    plan->context = option->context;
    plan->context_bytes = option->context_bytes;
    plan->inputs = option->inputs;
    plan->inputs_count = option->inputs_count;
    plan->retries = option->retries;
    plan->priority = option->priority;
    plan->limit_ns = map_run_limit_ns(run);
    plan->limit_bytes =
        option->item_limit_bytes != 0 ? option->item_limit_bytes : pool->option.item_limit_bytes;
    plan->stop_at_failure = option->on_error == MANY_STOP;
    plan->room = many_map_run_room_(run);
    return 0;
}

static int map_run_is_shown(const many_map_run_ *run)
{
    return run->option.desc != NULL || run->option.bar != NULL;
}

/* What is copied with each item; 0: threads, nothing. */
static size_t map_run_copied_bytes(const many_map_run_ *run)
{
    size_t bytes = run->plan.item_bytes + run->plan.result_bytes + 1;

    if (run->pool->kind != MANY_PROCESSES)
        return 0;
    for (size_t k = 0; k < run->option.inputs_count; k++)
        bytes += run->option.inputs[k].item_bytes;
    return bytes;
}

size_t many_map_run_room_(const many_map_run_ *run)
{
    size_t room, copied = map_run_copied_bytes(run);

    if (run->n == 0)
        return 1;
    if (run->option.chunk > 0)
        room = run->option.chunk;
    else
        room = (size_t)run->n / ((size_t)run->pool->workers * RUN_SHARES);
    if (run->option.chunk == 0 && copied > 0 && room > RUN_COPIED_BYTES / copied)
        room = RUN_COPIED_BYTES / copied;
    if (room > RUN_CHUNK_MOST)
        room = RUN_CHUNK_MOST;
    if (room > run->n)
        room = (size_t)run->n;
    return room > 0 ? room : 1;
}

size_t many_map_run_chunk_(const many_map_run_ *run)
{
    size_t left = (size_t)(run->n - run->next), count = run->plan.room;
    size_t share = left / ((size_t)run->pool->workers * RUN_SHARES);

    if (run->option.chunk == 0) {
        count = share < count ? share : count;
        if (map_run_is_shown(run)) {
            size_t shown = run->item_ns > 0 ? (size_t)(RUN_SHOWN_NS / run->item_ns)
                                            : 1; /* at first: to measure */

            count = shown < count ? shown : count;
        }
    }
    count = count < left ? count : left;
    return count > 0 ? count : 1;
}

int many_map_run_send_(many_map_run_ *run, many_batch_ *batch, size_t count)
{
    const many_batch_plan_ *plan = &run->plan;
    int code;

    for (size_t k = 0; batch->ops->input != NULL && k < plan->inputs_count; k++) {
        const size_t bytes = plan->inputs[k].item_bytes;
        const char *from = (const char *)plan->inputs[k].items + run->next * bytes;

        for (size_t i = 0; i < count; i++)
            memcpy(batch->ops->input(batch, k, i), from + i * bytes, bytes);
    }
    code = batch->ops->submit(batch, run->next, count);
    if (code >= 0)
        run->next += count;
    return code < 0 ? code : 0;
}

int many_outcome_code_(const many_cause *cause)
{
    if (cause->cancelled)
        return -ECANCELED;
    if (cause->over_limit)
        return -ETIMEDOUT;
    if (cause->pid != 0)
        return cause->code == -ENOMEM ? -ENOMEM : -MANY_EDIED;
    if (cause->worker < 0 && cause->code == -MANY_EBROKEN)
        return -MANY_EBROKEN;
    return -MANY_ETASK;
}

const char *many_words_without_(const char *words, const char *function)
{
    size_t length = strlen(function);

    return strncmp(words, function, length) == 0 && strncmp(words + length, ": ", 2) == 0
               ? words + length + 2
               : words;
}

void many_map_run_end_(many_map_run_ *run, int reason)
{
    run->stop = 1;
    if (run->reason != 0)
        return;
    run->reason = reason;
    snprintf(run->words, sizeof run->words, "%s", many_error_words_(reason));
}

/* Item i of batch was not done. */
static void map_run_take_failure(many_map_run_ *run, many_batch_ *batch, size_t i, int code)
{
    many_cause cause;
    int outcome;

    /* After the end was decided on, what is cancelled is so by us. */
    if (code == -ECANCELED && run->stop) {
        run->cancelled++;
        return;
    }
    memset(&cause, 0, sizeof cause);
    batch->ops->cause(batch, i, &cause);
    outcome = many_outcome_code_(&cause);
    if (outcome == -ECANCELED || outcome == -MANY_EBROKEN) {
        run->cancelled++;
        many_map_run_end_(run, many_fail(outcome, "%s: %s%s", run->function, cause.text,
                                         outcome == -ECANCELED ? ", with all that waited"
                                                               : ": the pool has no workers"));
        return;
    }
    run->failed++;
    if (!run->has_first) {
        run->has_first = 1;
        run->first = cause;
    }
    if (run->option.on_error == MANY_STOP)
        run->stop = 1;
}

void many_map_run_take_(many_map_run_ *run, many_batch_ *batch)
{
    const many_batch_plan_ *plan = &run->plan;
    const uint64_t first = batch->first;
    const size_t bytes = plan->result_bytes, count = batch->count;
    const int in_place = plan->out == NULL || run->pool->kind != MANY_PROCESSES;
    int *codes = run->option.codes;
    int64_t spent_ns = batch->ops->spent_ns != NULL ? batch->ops->spent_ns(batch) : 0;

    run->over += count;
    if (spent_ns > 0)
        run->item_ns = spent_ns / (int64_t)count + 1;
    if (in_place && batch->ops->failed != NULL && batch->ops->failed(batch) == 0) {
        if (codes != NULL)
            memset(codes + first, 0, count * sizeof *codes);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        char *place = plan->out == NULL ? NULL : plan->out + (first + i) * bytes;
        many_batch_outcome_ outcome;

        batch->ops->outcome(batch, i, &outcome);
        if (codes != NULL)
            codes[first + i] = outcome.code;
        if (outcome.code != 0)
            map_run_take_failure(run, batch, i, outcome.code);
        else if (place != NULL && outcome.result != place && outcome.result != NULL)
            memcpy(place, outcome.result, bytes);
    }
}

int many_map_run_return_(many_map_run_ *run)
{
    int code;

    run->cancelled += run->n - run->next;
    for (uint64_t i = run->next; run->option.codes != NULL && i < run->n; i++)
        run->option.codes[i] = -ECANCELED;
    if (run->has_first && run->option.cause != NULL)
        *run->option.cause = run->first;
    if (run->reason < 0)
        return many_fail(run->reason, "%s", run->words);
    if (run->failed == 0)
        return 0;
    if (run->option.on_error == MANY_GO_ON)
        return run->failed > INT_MAX ? INT_MAX : (int)run->failed;
    code = many_outcome_code_(&run->first);
    return many_fail(code, "%s: %s", run->function, run->first.text);
}
