/* SPDX-License-Identifier: MIT */
/* pool_options.c - what callers say of pools and tasks, read and checked; see pool_options.h */
#include "pool/pool_options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "base/options.h"
#include "base/text.h"
#include "map/call.h"
#include "os/clock.h"
#include "os/local.h"

_Static_assert(sizeof(many_pool_options) == 3 * 8 + 4 * 4 + 10 * 8,
               "no padding in a public struct");
_Static_assert(sizeof(many_submit_options) == 10 * 8 + 8 + 4 * 4 + 4 * 8,
               "no padding in a public struct");

#define OPTIONS_WAITING_MOST ((size_t)1 << 30)

/* Seconds, 0 or more. */
static int options_check_limit(double limit_s, const char *function)
{
    if (isnan(limit_s) || limit_s < 0)
        return many_fail(-EINVAL, "%s: .item_limit_s is %g: seconds from 0, which is no limit",
                         function, limit_s);
    return 0;
}

/* A limit is at least a nanosecond: 0 is none. */
static int64_t options_limit_ns(double limit_s)
{
    int64_t limit_ns = limit_s == 0 ? 0 : many_seconds_ns_(limit_s);

    return limit_s > 0 && limit_ns == 0 ? 1 : limit_ns;
}

static int options_check_named(const struct many_named_ *named, const char *after,
                               const char *function)
{
    if (named != NULL)
        return many_fail(-EINVAL,
                         "%s: a value without a name follows %s: write the name of the option "
                         "that is meant",
                         function, after);
    return 0;
}

/* ---- of a pool ---- */

static int options_check_inherits(const many_pool_options *option, const char *function)
{
    if (option->inherits_count != 0 && option->inherits == NULL)
        return many_fail(-EINVAL, "%s: .inherits is NULL, .inherits_count is %zu", function,
                         option->inherits_count);
    for (size_t i = 0; i < option->inherits_count; i++) {
        const many_inherit *one = &option->inherits[i];
        int set = (one->segment != NULL) + (one->queue != NULL) + (one->pipe != NULL);

        if (set != 1)
            return many_fail(-EINVAL, "%s: .inherits[%zu] has %d of its members set: set one",
                             function, i, set);
    }
    return 0;
}

/* What would be ignored in silence is refused. */
static int options_check_threads(const many_pool_options *option, const char *function)
{
    if (option->method != MANY_FORK)
        return many_fail(-EINVAL, "%s: .method is for .kind = MANY_PROCESSES", function);
    if (option->item_limit_bytes != 0)
        return many_fail(-EINVAL,
                         "%s: .item_limit_bytes is for .kind = MANY_PROCESSES: threads share "
                         "their memory",
                         function);
    if (option->inherits_count != 0)
        return many_fail(-EINVAL,
                         "%s: .inherits is for .kind = MANY_PROCESSES: threads have what the "
                         "process has",
                         function);
    return 0;
}

static int options_check_initializer(const many_pool_options *option, const char *function)
{
    if (option->initializer == NULL &&
        (option->initializer_argument != NULL || option->initializer_bytes != 0))
        return many_fail(-EINVAL, "%s: .initializer_argument needs .initializer", function);
    if (option->initializer_argument == NULL && option->initializer_bytes != 0)
        return many_fail(-EINVAL, "%s: .initializer_argument is NULL, .initializer_bytes is %zu",
                         function, option->initializer_bytes);
    if (option->kind == MANY_PROCESSES && option->method != MANY_FORK &&
        option->initializer_argument != NULL && option->initializer_bytes == 0)
        return many_fail(-EINVAL,
                         "%s: a pointer means nothing in a process that is no fork of this one: "
                         "give .initializer_bytes, to copy what .initializer_argument points at",
                         function);
    return 0;
}

static int options_check_pool(const many_pool_options *option, const char *function)
{
    int code = options_check_named(option->named_, "the pool", function);

    if (code < 0)
        return code;
    if (option->kind != MANY_THREADS && option->kind != MANY_PROCESSES)
        return many_fail(-EINVAL, "%s: .kind is %d: MANY_THREADS or MANY_PROCESSES", function,
                         option->kind);
    if (option->workers < 0 || option->workers > MANY_POOL_WORKERS_MOST_)
        return many_fail(-EINVAL, "%s: .workers is %d: 1 to %d, or 0 for the CPUs that are usable",
                         function, option->workers, MANY_POOL_WORKERS_MOST_);
    if (option->method < MANY_FORK || option->method > MANY_SPAWN)
        return many_fail(-EINVAL, "%s: .method is %d: one of enum many_start_method", function,
                         option->method);
    if (option->callback_thread != 0 && option->callback_thread != 1)
        return many_fail(-EINVAL, "%s: .callback_thread is %d: 0 or 1", function,
                         option->callback_thread);
    if (option->waiting_most > OPTIONS_WAITING_MOST)
        return many_fail(-EINVAL, "%s: .waiting_most is %zu: at most %zu", function,
                         option->waiting_most, OPTIONS_WAITING_MOST);
    if ((code = options_check_limit(option->item_limit_s, function)) < 0 ||
        (code = options_check_initializer(option, function)) < 0)
        return code;
    return option->kind == MANY_THREADS ? options_check_threads(option, function)
                                        : options_check_inherits(option, function);
}

/* Numbers pools that have no name. A forked child goes on where its parent was. */
static _Atomic uint32_t options_numbered;

static void options_name(many_pool *begun)
{
    char numbered[32];
    many_text_ name;

    if (begun->option.name == NULL)
        snprintf(numbered, sizeof numbered, "Pool-%u",
                 (unsigned)atomic_fetch_add_explicit(&options_numbered, 1, memory_order_relaxed) +
                     1);
    many_text_begin_(&name, begun->name, sizeof begun->name);
    many_text_add_(&name, begun->option.name != NULL ? begun->option.name : numbered);
}

int many_pool_read_(many_pool *begun, const many_pool_options *given, const char *function)
{
    many_pool_options *option = &begun->option;
    int code = many_options_read_(option, sizeof *option, given, function);

    if (code < 0)
        return code;
    if (option->pool == NULL)
        return many_fail(-EINVAL, "%s: pool is NULL", function);
    *option->pool = NULL;
    code = options_check_pool(option, function);
    if (code < 0)
        return code;
    if (option->waiting_most == 0)
        option->waiting_most = MANY_POOL_WAITING_;
    begun->kind = option->kind;
    begun->workers = option->workers != 0 ? option->workers : many_usable_cpus();
    if (begun->workers > MANY_POOL_WORKERS_MOST_)
        begun->workers = MANY_POOL_WORKERS_MOST_;
    begun->limit_ns = options_limit_ns(option->item_limit_s);
    options_name(begun);
    return 0;
}

/* ---- of a task ---- */

int many_pool_check_kind_(const many_pool *pool, const void *context, size_t context_bytes,
                          uint64_t limit_bytes, const char *function)
{
    if (pool->kind == MANY_THREADS)
        return limit_bytes == 0
                   ? 0
                   : many_fail(-EINVAL,
                               "%s: .item_limit_bytes is for processes: threads share their memory",
                               function);
    if (pool->option.method != MANY_FORK && context != NULL && context_bytes == 0)
        return many_fail(-EINVAL,
                         "%s: a pointer means nothing in a process that is no fork of this one: "
                         "give .context_bytes, to copy what .context points at",
                         function);
    return 0;
}

static int options_check_kind(const many_pool *pool, const many_submit_options *option,
                              const char *function)
{
    if (pool->kind == MANY_PROCESSES && option->arg != NULL && option->arg_bytes == 0)
        return many_fail(-EINVAL,
                         "%s: a pointer means nothing in another process: give .arg_bytes, to "
                         "copy what arg points at",
                         function);
    return many_pool_check_kind_(pool, option->context, option->context_bytes,
                                 option->item_limit_bytes, function);
}

static MANY_SELDOM_ int options_refuse_task(const many_submit_options *option, const char *function)
{
    int code = options_check_named(option->named_, "the future", function);

    if (code < 0)
        return code;
    if (option->fn == NULL)
        return many_fail(-EINVAL, "%s: fn is NULL", function);
    if (option->arg == NULL && option->arg_bytes != 0)
        return many_fail(-EINVAL, "%s: arg is NULL, .arg_bytes is %zu", function,
                         option->arg_bytes);
    if (option->context == NULL && option->context_bytes != 0)
        return many_fail(-EINVAL, "%s: .context is NULL, .context_bytes is %zu", function,
                         option->context_bytes);
    if (option->priority < MANY_PRIORITY_LOWEST || option->priority > MANY_PRIORITY_HIGHEST)
        return many_fail(-EINVAL, "%s: .priority is %d: %d to %d", function, option->priority,
                         MANY_PRIORITY_LOWEST, MANY_PRIORITY_HIGHEST);
    if (option->retries < 0 || option->retries > MANY_RETRIES_MOST_)
        return many_fail(-EINVAL, "%s: .retries is %d: 0 to %d", function, option->retries,
                         MANY_RETRIES_MOST_);
    if (option->no_wait != 0 && option->no_wait != 1)
        return many_fail(-EINVAL, "%s: .no_wait is %d: 0 or 1", function, option->no_wait);
    if (option->reserved != 0)
        return many_fail(-E2BIG, "%s: .reserved is %d: an option of a newer libmany than %s",
                         function, option->reserved, MANY_VERSION);
    if (option->on_done == NULL && option->on_done_context != NULL)
        return many_fail(-EINVAL, "%s: .on_done_context needs .on_done", function);
    if ((option->arg_bytes | option->result_bytes | option->context_bytes) > PTRDIFF_MAX)
        return many_fail(-EINVAL, "%s: .arg_bytes, .result_bytes or .context_bytes is too large",
                         function);
    return options_check_limit(option->item_limit_s, function);
}

/* Nothing of it has to be refused. */
static int options_task_is_sane(const many_submit_options *option)
{
    return option->named_ == NULL && option->fn != NULL &&
           (option->arg != NULL || option->arg_bytes == 0) &&
           (option->context != NULL || option->context_bytes == 0) &&
           option->priority >= MANY_PRIORITY_LOWEST && option->priority <= MANY_PRIORITY_HIGHEST &&
           option->retries >= 0 && option->retries <= MANY_RETRIES_MOST_ &&
           ((option->no_wait & ~1) | option->reserved) == 0 &&
           (option->on_done != NULL || option->on_done_context == NULL) &&
           (option->arg_bytes | option->result_bytes | option->context_bytes) <= PTRDIFF_MAX &&
           option->item_limit_s >= 0;
}

int many_submit_read_(many_submit_ *submit, many_submit_options *local,
                      const many_submit_options *given, const char *function)
{
    int code;

    if (given == NULL || given->size != sizeof *given) {
        code = many_options_read_(local, sizeof *local, given, function);
        if (code < 0)
            return code;
        given = local;
    }
    if (given->future != NULL)
        *given->future = NULL;
    code = many_pool_check_(given->pool, function);
    if (code < 0)
        return code;
    if (!MANY_LIKELY_(options_task_is_sane(given))) {
        code = options_refuse_task(given, function);
        if (code < 0)
            return code;
    }
    code = options_check_kind(given->pool, given, function);
    if (code < 0)
        return code;
    submit->function = function;
    submit->option = given;
    submit->limit_ns =
        given->item_limit_s > 0 ? options_limit_ns(given->item_limit_s) : given->pool->limit_ns;
    submit->limit_bytes = given->item_limit_bytes != 0 ? given->item_limit_bytes
                                                       : given->pool->option.item_limit_bytes;
    return 0;
}
