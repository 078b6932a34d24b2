/* SPDX-License-Identifier: MIT */
/*
 * pool_map_async.c - many_pool_map_async: a future that is over when all of its batches are
 *
 * Nobody waits who could send more later, so all batches are submitted at once. Each is watched; who settles
 * it takes its outcomes, and whoever takes the last one settles the whole.
 *
 * Promise    The whole is settled once, and after that nobody touches it, its batches or the caller's arrays
 *            but through the future.
 * Invariant  left counts the batches whose end was not told, and 1 for the thread that still submits. Who makes
 *            it 0 settles. lock protects run; it is held while outcomes are taken, and not when a batch is
 *            cancelled, which may settle it, and so come here again.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "os/clock.h"
#include "pool/imap_wait.h"
#include "pool/pool_map_run.h"

typedef struct async_part {
    many_sent_ sent;
    _Atomic int told;
} async_part;

typedef struct async_map {
    many_future future;
    many_future_engine_ engine; /* this one's own: bell and collect are those of its batches */
    many_map_run_ run;
    pthread_mutex_t lock;
    async_part *part; /* [parts]; opened of them have a batch, sent of them were submitted */
    size_t parts, opened;
    _Atomic size_t sent;
    _Atomic size_t left;
    _Atomic int cut;     /* nothing more is to be cancelled: it was, or it is not wanted */
    _Atomic size_t from; /* the parts before it were told */
    size_t failures;     /* the result */
    char *context;       /* a copy, if .context_bytes */
    many_input *inputs;  /* likewise, of .inputs */
    int leaves;          /* 1: it may be closed before it is over */
} async_map;

static async_map *async_of(many_future *future)
{
    return (async_map *)(void *)future; /* its first member */
}

static size_t async_sent(async_map *map)
{
    return atomic_load_explicit(&map->sent, memory_order_acquire);
}

static int async_was_told(async_map *map, size_t k)
{
    return atomic_load_explicit(&map->part[k].told, memory_order_acquire);
}

static void async_free(async_map *map)
{
    many_pool *pool = map->run.pool;

    for (size_t k = 0; k < map->opened; k++) {
        many_batch_ *batch = map->part[k].sent.batch;

        if (batch != NULL)
            batch->ops->close(batch);
    }
    many_future_unwatch_(&map->future);
    pthread_mutex_destroy(&map->lock);
    free(map->part);
    free(map->inputs);
    free(map->context);
    free(map);
    many_pool_let_go_(pool);
}

/* The last batch is over, or there is none. The map may be gone after it. */
static void async_settle(async_map *map)
{
    uint32_t phase = MANY_FUTURE_DONE_;
    int code = many_map_run_return_(&map->run);

    map->failures = (size_t)map->run.failed;
    if (code >= 0) {
        map->future.result = &map->failures;
        map->future.result_bytes = sizeof map->failures;
    } else {
        map->future.code = code;
        phase = code == -ECANCELED ? MANY_FUTURE_CANCELLED_ : MANY_FUTURE_FAILED_;
    }
    MANY_FAULT_POINT("pool_map.async.settle");
    many_future_settle_(&map->future, phase);
}

static void async_let_go(async_map *map)
{
    if (atomic_fetch_sub_explicit(&map->left, 1, memory_order_acq_rel) == 1)
        async_settle(map);
}

static void async_cancel_all(async_map *map, int hard)
{
    for (size_t k = 0; k < async_sent(map); k++)
        if (!async_was_told(map, k))
            map->part[k].sent.batch->ops->cancel(map->part[k].sent.batch, hard);
}

/* A batch is over; its settler, or who found it so, calls this once. */
static void async_take(async_map *map, async_part *part)
{
    int stop;

    pthread_mutex_lock(&map->lock);
    many_map_run_take_(&map->run, part->sent.batch);
    stop = map->run.stop;
    pthread_mutex_unlock(&map->lock);
    atomic_store_explicit(&part->told, 1, memory_order_release);
    /* left still counts this part: nobody frees the others while they are cancelled. */
    if (stop && atomic_exchange_explicit(&map->cut, 1, memory_order_acq_rel) == 0)
        async_cancel_all(map, 1);
    async_let_go(map);
}

static void async_told(many_future_node_ *node)
{
    /* node is the part's, which begins with its sent. */
    async_part *part = (async_part *)(void *)((char *)node - offsetof(async_part, sent) -
                                              offsetof(many_sent_, node));

    async_take(node->gather, part);
}

/* ---- the engine ---- */

/* The first batch that is not over; NULL: all are, as far as was seen. */
static many_future *async_first(async_map *map)
{
    size_t sent = atomic_load_explicit(&map->sent, memory_order_acquire);
    size_t k = atomic_load_explicit(&map->from, memory_order_relaxed);

    while (k < sent && async_was_told(map, k))
        k++;
    atomic_store_explicit(&map->from, k, memory_order_relaxed);
    return k < sent ? map->part[k].sent.batch->future : NULL;
}

static int async_is_over(many_future *future)
{
    return many_future_is_over_(atomic_load_explicit(&future->state, memory_order_acquire));
}

static void async_look(many_future *future)
{
    async_map *map = async_of(future);

    if (map->engine.collect != NULL)
        map->engine.collect(future->home);
    for (size_t k = 0; k < async_sent(map); k++) {
        many_future *one = map->part[k].sent.batch->future;

        if (async_was_told(map, k))
            continue;
        if (one->engine->look == NULL)
            return;
        one->engine->look(one);
        if (!async_is_over(one))
            return;
    }
}

static int async_await(many_future *future, int64_t deadline_ns)
{
    async_map *map = async_of(future);

    while (!async_is_over(future)) {
        many_future *one = async_first(map);
        int code;

        if (one != NULL && !async_is_over(one))
            code = one->engine->await != NULL ? one->engine->await(one, deadline_ns)
                                              : many_future_sleep_(one, deadline_ns, 0);
        else /* another thread is at the last steps */
            code = many_future_sleep_(future, deadline_ns, MANY_MILLISECOND_NS);
        if (code < 0 && code != -EAGAIN)
            return code;
    }
    return 0;
}

static int async_help(many_future *future)
{
    async_map *map = async_of(future);
    int helped = 0;

    for (size_t k = 0; k < async_sent(map); k++) {
        many_future *one = map->part[k].sent.batch->future;

        if (!async_was_told(map, k) && one->engine->help != NULL)
            helped |= one->engine->help(one) == 1;
    }
    return helped && async_is_over(future);
}

/* It is RUNNING from the beginning: all its batches may still wait for a worker. */
static int async_runs(many_future *future)
{
    async_map *map = async_of(future);

    for (size_t k = 0; k < async_sent(map); k++) {
        many_future *one = map->part[k].sent.batch->future;

        if (async_was_told(map, k))
            continue;
        if (one->engine->look != NULL)
            one->engine->look(one);
        if ((atomic_load_explicit(&one->state, memory_order_acquire) & MANY_FUTURE_PHASES_) !=
            MANY_FUTURE_PENDING_)
            return 1;
    }
    return async_is_over(future);
}

static int async_circle(many_future *future)
{
    async_map *map = async_of(future);

    for (size_t k = 0; k < async_sent(map); k++) {
        many_future *one = map->part[k].sent.batch->future;

        if (!async_was_told(map, k) && one->engine->circle != NULL && one->engine->circle(one) == 1)
            return 1;
    }
    return 0;
}

/* Its batches are watched from the beginning. */
static void async_watch(many_future *future)
{
    (void)future;
}

static int async_cancel(many_future *future)
{
    async_map *map = async_of(future);

    atomic_store_explicit(&map->cut, 1, memory_order_release); /* what runs goes on */
    async_cancel_all(map, 0);
    async_look(future);
    return (atomic_load_explicit(&future->state, memory_order_acquire) & MANY_FUTURE_PHASES_) ==
           MANY_FUTURE_CANCELLED_;
}

static int async_terminate(many_future *future, int64_t grace_ns)
{
    async_map *map = async_of(future);

    if (async_is_over(future))
        return 0;
    atomic_store_explicit(&map->cut, 1, memory_order_release);
    for (size_t k = 0; k < async_sent(map); k++) {
        many_future *one = map->part[k].sent.batch->future;

        if (async_was_told(map, k))
            continue;
        if (grace_ns > 0 && one->engine->terminate != NULL)
            one->engine->terminate(one, grace_ns);
        else
            map->part[k].sent.batch->ops->cancel(map->part[k].sent.batch, 1);
    }
    return 1;
}

static void async_cause(many_future *future, many_cause *cause)
{
    async_map *map = async_of(future);

    if (map->run.has_first && map->run.reason == 0) {
        *cause = map->run.first;
        return;
    }
    memset(cause, 0, sizeof *cause);
    cause->code = future->code;
    cause->worker = -1;
    cause->exit_status = -1;
    cause->cancelled = future->code == -ECANCELED;
    if (map->run.words[0] != '\0')
        snprintf(cause->text, sizeof cause->text, "%s",
                 many_words_without_(map->run.words, map->run.function));
    else
        snprintf(cause->text, sizeof cause->text, "%s: %s", map->run.name,
                 many_strerror(future->code));
}

static void async_name(const many_future *future, char *text, size_t room)
{
    snprintf(text, room, "%s", ((const async_map *)(const void *)future)->run.name);
}

static void async_drop(many_future *future)
{
    async_free(async_of(future));
}

/* The caller's arrays are in use until it is over: unless he was to be told of that, he waits. */
static void async_leave(many_future *future)
{
    if (async_of(future)->leaves)
        return;
    while (!async_is_over(future)) {
        int code = async_await(future, MANY_NEVER_NS);

        if (code < 0 && code != -EINTR)
            return; /* a circle: waiting would be for ever */
    }
}

static const many_future_engine_ async_engine = {.look = async_look,
                                                 .await = async_await,
                                                 .help = async_help,
                                                 .runs = async_runs,
                                                 .circle = async_circle,
                                                 .watch = async_watch,
                                                 .cancel = async_cancel,
                                                 .terminate = async_terminate,
                                                 .cause = async_cause,
                                                 .name = async_name,
                                                 .drop = async_drop,
                                                 .leave = async_leave};

/* ---- the call ---- */

/* How many batches it makes. */
static size_t async_count(const many_map_run_ *run)
{
    many_map_run_ ahead = *run;
    size_t count = 0;

    if (run->option.chunk > 0)
        return (size_t)((run->n + run->plan.room - 1) / run->plan.room);
    for (; ahead.next < ahead.n; ahead.next += many_map_run_chunk_(&ahead))
        count++;
    return count;
}

/* What the caller's pointers point at, and need not stay there. 0 or -ENOMEM. */
static int async_copy(async_map *map)
{
    many_map_run_ *run = &map->run;

    map->part = calloc(map->parts > 0 ? map->parts : 1, sizeof *map->part);
    if (map->part == NULL)
        return -ENOMEM;
    if (run->plan.context_bytes > 0) {
        map->context = malloc(run->plan.context_bytes);
        if (map->context == NULL)
            return -ENOMEM;
        memcpy(map->context, run->plan.context, run->plan.context_bytes);
        run->plan.context = map->context;
    }
    if (run->plan.inputs_count > 0) {
        map->inputs = calloc(run->plan.inputs_count, sizeof *map->inputs);
        if (map->inputs == NULL)
            return -ENOMEM;
        memcpy(map->inputs, run->plan.inputs, run->plan.inputs_count * sizeof *map->inputs);
        run->option.inputs = run->plan.inputs = map->inputs;
    }
    return 0;
}

static int async_begin(async_map **begun, const many_map_run_ *run)
{
    async_map *map = calloc(1, sizeof *map);

    *begun = map;
    if (map == NULL)
        return -ENOMEM;
    map->run = *run;
    map->run.plan.name = map->run.name;
    map->parts = async_count(run);
    pthread_mutex_init(&map->lock, NULL);
    map->engine = async_engine;
    map->engine.callback_failed = many_pool_callback_failed_;
    map->leaves = run->option.on_done != NULL;
    atomic_init(&map->left, 1);
    many_future_begin_(&map->future, &map->engine, run->pool);
    many_future_claim_(&map->future);
    many_pool_hold_(run->pool);
    if (async_copy(map) == 0)
        return 0;
    async_free(map);
    return -ENOMEM;
}

/* There is no memory to be told of its end with. As every wait in a task it helps: this may be the only worker. */
static void async_wait_out(async_part *part)
{
    while (!many_sent_is_over_(&part->sent))
        if (many_future_await_(part->sent.batch->future, MANY_NEVER_NS) < 0)
            many_future_sleep_(part->sent.batch->future, MANY_NEVER_NS, MANY_MILLISECOND_NS);
}

/* One batch more: opened, submitted, watched. 0 or a code of the backend's; nothing is sent after a stop. */
static int async_send(async_map *map, size_t k)
{
    async_part *part = &map->part[k];
    many_map_run_ *run = &map->run;
    int stop, code = run->pool->backend->batch_open(run->pool, &run->plan, &part->sent.batch);

    if (code < 0)
        return code;
    map->opened = k + 1;
    pthread_mutex_lock(&map->lock);
    stop = run->stop;
    if (!stop)
        code = many_map_run_send_(run, part->sent.batch, many_map_run_chunk_(run));
    pthread_mutex_unlock(&map->lock);
    if (stop || code < 0)
        return code;
    MANY_FAULT_POINT("pool_map.async.sent");
    atomic_fetch_add_explicit(&map->left, 1, memory_order_relaxed); /* ours keeps it above 0 */
    atomic_store_explicit(&map->sent, k + 1, memory_order_release);
    part->sent.node.gather = map;
    code = many_future_attach_(part->sent.batch->future, &part->sent.node, async_told);
    if (code < 0)
        async_wait_out(part);
    if (code != 0)
        async_take(map, part);
    return 0;
}

static int async_send_all(async_map *map)
{
    int code = 0, stop = 0;

    for (size_t k = 0; k < map->parts && code == 0 && !stop; k++) {
        code = async_send(map, k);
        pthread_mutex_lock(&map->lock);
        stop = map->run.stop;
        pthread_mutex_unlock(&map->lock);
    }
    if (code < 0 && atomic_load(&map->sent) > 0) {
        pthread_mutex_lock(&map->lock);
        many_map_run_end_(&map->run, code);
        pthread_mutex_unlock(&map->lock);
        atomic_store_explicit(&map->cut, 1, memory_order_release);
        async_cancel_all(map, 0);
        return 0;
    }
    /* Who cut the others off may not have seen the last one. */
    if (stop)
        async_cancel_all(map, 1);
    return code;
}

/* Its batches' home is that of the whole: who waits for it listens there. */
static void async_adopt(async_map *map)
{
    const many_future *one;

    if (atomic_load(&map->sent) == 0)
        return;
    one = map->part[0].sent.batch->future;
    map->engine.bell = one->engine->bell;
    map->engine.collect = one->engine->collect;
    map->future.home = one->home;
}

static int async_check(const many_map_run_ *run)
{
    const many_pool_map_options *option = &run->option;

    if (option->future == NULL && option->on_done == NULL)
        return many_fail(-EINVAL,
                         "many_pool_map_async: .future and .on_done are NULL: nobody would know "
                         "when it is over");
    if (option->desc != NULL || option->bar != NULL || option->cancel != NULL)
        return many_fail(-EINVAL,
                         "many_pool_map_async: .desc, .bar and .cancel are many_pool_map()'s: use "
                         "many_future_cancel()");
    if (option->on_done == NULL && option->on_done_context != NULL)
        return many_fail(-EINVAL, "many_pool_map_async: .on_done_context needs .on_done");
    return 0;
}

int many_pool_map_async_with(many_pool *pool, many_fn *fn, const void *in, size_t in_bytes,
                             void *out, size_t out_bytes, const many_pool_map_options *options)
{
    many_map_run_ run = {.function = "many_pool_map_async"};
    int code = many_map_run_read_(&run, pool, fn, in, in_bytes, out, out_bytes, options);
    async_map *map = NULL;

    if (code < 0 || (code = async_check(&run)) < 0)
        return code;
    if (run.option.future != NULL)
        *run.option.future = NULL;
    code = async_begin(&map, &run);
    if (code == 0 && run.option.on_done != NULL &&
        many_future_prepare_callback_(&map->future, run.option.on_done,
                                      run.option.on_done_context) < 0) {
        async_free(map);
        code = -ENOMEM;
    }
    if (code < 0)
        return many_fail(code, "many_pool_map_async: no memory for %llu items",
                         (unsigned long long)run.n);
    code = async_send_all(map);
    if (code < 0) { /* nothing was sent; the callback is not called */
        async_free(map);
        return code;
    }
    async_adopt(map);
    if (run.option.future != NULL)
        *run.option.future = &map->future;
    else
        many_future_close(&map->future);
    async_let_go(map);
    return 0;
}
