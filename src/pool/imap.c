/* SPDX-License-Identifier: MIT */
/*
 * imap.c - results one by one, while the input flows: the public calls
 *
 * Promise    Each item that was pulled is handed out exactly once, in the order of the source or as it is
 *            finished; then the end of the source, or its failure, once.
 * Invariant  Only the consumer's thread pulls, sends and takes. No thread is started, and nothing goes on
 *            between two calls but what was sent.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "map/call.h"
#include "os/clock.h"
#include "os/self.h"
#include "pool/imap_parts.h"
#include "pool/pool_map_run.h"
#include "pool/pool_options.h"
#include "task/cause.h"

/* Batches: with the workers, so that each finds the next one at once; and in memory all together. */
#define IMAP_FLYING_PER_WORKER 4
#define IMAP_FLYING_MORE       4
#define IMAP_SLOTS_MORE        64   /* that are over, and wait for a slow one before them */
#define IMAP_SLOTS_MOST        1024 /* whatever the window: what does not fit is spilled */

/* Items, results and what is noted of each item in a batch: small enough for a cache. */
#define IMAP_BATCH_BYTES ((size_t)120 << 10)
#define IMAP_NOTED_BYTES 16
#define IMAP_ROOM_MOST   4096
#define IMAP_CHUNK_MOST  ((size_t)1 << 24)
#define IMAP_BYTES_MOST  (SIZE_MAX / 8)

/* Batches that are sent when a part begins to be taken. */
#define IMAP_FED 2

#define IMAP_SPILL_BYTES ((size_t)1 << 30)

_Static_assert(sizeof(many_imap_options) == 4 * 4 + (sizeof(void *) == 8 ? 20 * 8 : 0) ||
                   sizeof(void *) != 8,
               "no padding in a public struct");

static const char imap_open_name[] = "many_pool_imap";

/* ---- open ---- */

static int imap_check_source(const many_imap_options *option)
{
    if (option->next == NULL && option->next_context != NULL)
        return many_fail(-EINVAL, "%s: next_context is given, but next is NULL", imap_open_name);
    if (option->next != NULL && option->items != NULL)
        return many_fail(-EINVAL, "%s: next and .items are both given: items come from one of them",
                         imap_open_name);
    if (option->item_bytes == 0 && (option->next != NULL || option->items != NULL))
        return many_fail(-EINVAL, "%s: .item_bytes is 0: give the size of an item", imap_open_name);
    if (option->item_bytes > IMAP_BYTES_MOST || option->result_bytes > IMAP_BYTES_MOST ||
        (option->items != NULL && option->n > IMAP_BYTES_MOST / option->item_bytes))
        return many_fail(-EINVAL,
                         "%s: items of %zu bytes, or results of %zu, do not fit into memory",
                         imap_open_name, option->item_bytes, option->result_bytes);
    return 0;
}

static int imap_check(const many_imap_options *option)
{
    if (option->named_ != NULL)
        return many_fail(-EINVAL,
                         "%s: a value without a name follows next_context: write .item_bytes = "
                         "value, or the name of the option that is meant",
                         imap_open_name);
    if (option->fn == NULL)
        return many_fail(-EINVAL, "%s: fn is NULL", imap_open_name);
    if (option->unordered != 0 && option->unordered != 1)
        return many_fail(-EINVAL, "%s: .unordered is %d: 0 or 1", imap_open_name,
                         option->unordered);
    if (option->retries < 0 || option->retries > MANY_RETRIES_MOST_)
        return many_fail(-EINVAL, "%s: .retries is %d: 0 to %d", imap_open_name, option->retries,
                         MANY_RETRIES_MOST_);
    if (option->priority < MANY_PRIORITY_LOWEST || option->priority > MANY_PRIORITY_HIGHEST)
        return many_fail(-EINVAL, "%s: .priority is %d: %d to %d", imap_open_name, option->priority,
                         MANY_PRIORITY_LOWEST, MANY_PRIORITY_HIGHEST);
    if (option->reserved != 0)
        return many_fail(-EINVAL, "%s: .reserved is %d: it has to be 0", imap_open_name,
                         option->reserved);
    if (isnan(option->item_limit_s) || option->item_limit_s < 0)
        return many_fail(-EINVAL, "%s: .item_limit_s is %g: seconds from 0, which is no limit",
                         imap_open_name, option->item_limit_s);
    if (option->context == NULL && option->context_bytes > 0)
        return many_fail(-EINVAL, "%s: .context_bytes is %zu but .context is NULL", imap_open_name,
                         option->context_bytes);
    return imap_check_source(option);
}

/* How many batches, of how many items. */
static void imap_measure(many_imap *it)
{
    const many_imap_options *option = &it->option;
    const size_t workers = (size_t)it->pool->workers;
    size_t slots = workers * IMAP_FLYING_PER_WORKER + IMAP_FLYING_MORE + IMAP_SLOTS_MORE;
    size_t room = IMAP_BATCH_BYTES / (option->item_bytes + option->result_bytes + IMAP_NOTED_BYTES);

    if (option->window > slots)
        slots = option->window < IMAP_SLOTS_MOST ? option->window
                : slots > IMAP_SLOTS_MOST        ? slots
                                                 : IMAP_SLOTS_MOST;
    room = room < IMAP_ROOM_MOST ? room : IMAP_ROOM_MOST;
    if (option->window > 0) {
        size_t share = option->window / (workers * 2);

        slots = slots < option->window ? slots : option->window;
        room = room < share ? room : share;
    }
    if (option->chunk > 0)
        room = option->chunk < IMAP_CHUNK_MOST ? option->chunk : IMAP_CHUNK_MOST;
    if (option->window > 0 && room > option->window)
        room = option->window;
    it->plan.room = room > 0 ? room : 1;
    it->chunk = option->chunk > 0 ? it->plan.room : 1;
    it->slots_most = slots;
    it->flying_most = workers * IMAP_FLYING_PER_WORKER + IMAP_FLYING_MORE;
    it->window = option->window > 0 ? option->window : SIZE_MAX / 2;
    it->parts_most = slots * 2 + 4;
}

static void imap_plan(many_imap *it)
{
    const many_imap_options *option = &it->option;
    many_batch_plan_ *plan = &it->plan;
    int64_t limit_ns = many_seconds_ns_(option->item_limit_s);

    if (option->name != NULL)
        snprintf(it->name, sizeof it->name, "%s", option->name);
    else
        snprintf(it->name, sizeof it->name, "imap %llu",
                 (unsigned long long)atomic_load_explicit(&it->pool->serial, memory_order_relaxed));
    plan->function = imap_open_name;
    plan->fn = option->fn;
    plan->item_bytes = option->next != NULL || option->items != NULL ? option->item_bytes : 0;
    plan->result_bytes = option->result_bytes;
    plan->replies = option->result_bytes == 0;
    plan->context = it->context != NULL ? it->context : option->context;
    plan->context_bytes = option->context_bytes;
    plan->in = option->next == NULL ? option->items : NULL;
    plan->name = it->name;
    plan->retries = option->retries;
    plan->priority = option->priority;
    plan->limit_ns = option->item_limit_s <= 0 ? it->pool->limit_ns : limit_ns > 0 ? limit_ns : 1;
    plan->limit_bytes = option->item_limit_bytes != 0 ? option->item_limit_bytes
                                                      : it->pool->option.item_limit_bytes;
}

/* What the caller's pointers point at is copied. 0 or -ENOMEM. */
static int imap_copy(many_imap *it)
{
    const many_imap_options *option = &it->option;

    if (option->context_bytes > 0) {
        it->context = malloc(option->context_bytes);
        if (it->context == NULL)
            return -ENOMEM;
        memcpy(it->context, option->context, option->context_bytes);
    }
    if (option->spill_folder != NULL && (it->folder = strdup(option->spill_folder)) == NULL)
        return -ENOMEM;
    return 0;
}

static void imap_free(many_imap *it)
{
    many_spill_close_(&it->spill);
    many_sent_waiter_end_(&it->wait);
    free(it->waits);
    free(it->part);
    free(it->slot);
    free(it->folder);
    free(it->context);
    free(it);
}

static int imap_begin(many_imap *it)
{
    int code = imap_copy(it);

    if (code == 0) {
        imap_measure(it);
        imap_plan(it);
        it->slot = calloc(it->slots_most, sizeof *it->slot);
        it->part = calloc(it->parts_most, sizeof *it->part);
        it->waits = calloc(it->slots_most, sizeof(many_sent_ *));
        many_spill_open_(&it->spill, it->folder,
                         it->option.spill_bytes != 0 ? it->option.spill_bytes : IMAP_SPILL_BYTES);
        if (it->slot == NULL || it->part == NULL || it->waits == NULL)
            code = -ENOMEM;
    }
    if (code < 0)
        return many_fail(code, "%s: no memory for an iterator", imap_open_name);
    it->ended = it->option.next == NULL && it->option.n == 0;
    it->pull_ns = it->option.next != NULL ? -1 : 0;
    it->index = UINT64_MAX;
    return many_imap_slot_open_(it);
}

int many_pool_imap_with(const many_imap_options *options)
{
    many_imap_options option;
    many_imap *it;
    int code = many_options_read_(&option, sizeof option, options, imap_open_name);

    if (code < 0)
        return code;
    if (option.it == NULL)
        return many_fail(-EINVAL, "%s: it is NULL", imap_open_name);
    *option.it = NULL;
    if ((code = many_pool_check_(option.pool, imap_open_name)) < 0 ||
        (code = imap_check(&option)) < 0 ||
        (code = many_pool_check_kind_(option.pool, option.context, option.context_bytes,
                                      option.item_limit_bytes, imap_open_name)) < 0)
        return code;
    it = calloc(1, sizeof *it);
    if (it == NULL)
        return many_fail(-ENOMEM, "%s: no memory for an iterator", imap_open_name);
    it->process = many_self_process_();
    it->pool = option.pool;
    it->option = option;
    it->spill.fd = -1;
    many_sent_waiter_begin_(&it->wait, -1);
    code = imap_begin(it);
    if (code < 0) {
        imap_free(it);
        return code;
    }
    many_pool_hold_(it->pool);
    *option.it = it;
    return 0;
}

/* ---- next ---- */

/* What can be handed out now: the first part, or any; NULL: nothing. */
static many_imap_part_ *imap_ready(many_imap *it)
{
    many_imap_part_ *part = it->first;

    if (!it->option.unordered)
        return part != NULL && many_imap_part_is_over_(it, part) ? part : NULL;
    while (part != NULL && !many_imap_part_is_over_(it, part))
        part = part->next;
    return part;
}

/* The item was about to be handed out, and is now. */
static void imap_advance(many_imap *it)
{
    if (++it->at < it->current->count)
        return;
    many_imap_part_drop_(it, it->current);
    it->current = NULL;
    it->ask_ns = 0; /* a result was taken: the source may have more */
}

static int imap_fail_item(many_imap *it)
{
    int code =
        it->cause.code == -EIO && it->current->lost == 2 ? -EIO : many_outcome_code_(&it->cause);

    it->failed = 1;
    it->has_cause = 1;
    imap_advance(it);
    return many_fail(code, "many_imap_next: %s", it->cause.text);
}

/* The item has no outcome of a worker's. */
static int imap_hand_lost(many_imap *it)
{
    memset(&it->cause, 0, sizeof it->cause);
    it->cause.item = it->index;
    it->cause.worker = -1;
    it->cause.exit_status = -1;
    it->cause.code = it->current->lost == 2 ? -EIO : -ECANCELED;
    it->cause.cancelled = it->current->lost == 1;
    if (it->current->lost == 1)
        many_cause_write_(&it->cause, "", 0);
    else
        snprintf(it->cause.text, sizeof it->cause.text,
                 "item %llu was done, but its result could not be read back from the spill file",
                 (unsigned long long)it->index);
    return imap_fail_item(it);
}

static int imap_too_long(const many_imap *it, size_t count, size_t room)
{
    return many_fail(-EMSGSIZE,
                     "many_imap_next: the result of item %llu has %zu bytes, room is %zu",
                     (unsigned long long)it->index, count, room);
}

static int imap_hand_spilled(many_imap *it, void *result, size_t room, size_t *bytes)
{
    many_imap_part_ *part = it->current;
    int32_t code;
    size_t count;
    int read = many_spill_look_(&it->spill, &part->run, &code, &count);

    if (read == 0 && code == 0) {
        *bytes = count;
        if (result != NULL && count > room)
            return imap_too_long(it, count, room);
    }
    if (read == 0)
        read = many_spill_take_(&it->spill, &part->run, code == 0 ? result : &it->cause);
    if (read < 0) {
        part->lost = 2;
        return imap_hand_lost(it);
    }
    if (code != 0)
        return imap_fail_item(it);
    imap_advance(it);
    return 1;
}

static int imap_hand_out(many_imap *it, void *result, size_t room, size_t *bytes)
{
    many_imap_part_ *part = it->current;
    many_batch_outcome_ outcome;
    many_batch_ *batch;

    it->index = part->first + it->at;
    it->failed = it->has_cause = 0;
    if (part->lost)
        return imap_hand_lost(it);
    if (part->slot == NULL)
        return imap_hand_spilled(it, result, room, bytes);
    batch = part->slot->sent.batch;
    batch->ops->outcome(batch, it->at, &outcome);
    if (outcome.code != 0) {
        memset(&it->cause, 0, sizeof it->cause);
        batch->ops->cause(batch, it->at, &it->cause);
        return imap_fail_item(it);
    }
    *bytes = outcome.result_bytes;
    if (it->plan.replies)
        it->reply_bytes = (it->reply_bytes * 7 + outcome.result_bytes) / 8 + 1;
    if (result != NULL) {
        if (outcome.result_bytes > room)
            return imap_too_long(it, outcome.result_bytes, room);
        if (outcome.result_bytes > 0)
            memcpy(result, outcome.result, outcome.result_bytes);
    }
    imap_advance(it);
    return 1;
}

/* Nothing is there, nothing more can be sent: sleep. 0: look again. */
static int imap_sleep(many_imap *it, int64_t deadline_ns)
{
    int64_t until_ns = it->ask_ns != 0 && it->ask_ns < deadline_ns ? it->ask_ns : deadline_ns;
    /* In order, and with no use for room, only the first matters. */
    int any = it->option.unordered || !(it->ended || it->blocked);
    size_t n = 0;
    int code;

    /* The first may have been seen to be over while room for more was looked for. */
    if (imap_ready(it) != NULL)
        return 0;
    for (many_imap_part_ *part = it->first; part != NULL && (any || n == 0); part = part->next)
        if (part->slot != NULL && !part->over && part != it->unsent)
            it->waits[n++] = &part->slot->sent;
    if (n > 0)
        code = many_sent_wait_(&it->wait, it->waits, n, it->option.unordered ? n / 2 : 0, until_ns);
    else
        code = poll(NULL, 0, many_poll_ms_(until_ns)) < 0 && errno == EINTR ? -EINTR : -ETIMEDOUT;
    if (code != -ETIMEDOUT)
        return code;
    if (many_clock_ns_() < deadline_ns)
        return 0; /* the source is to be asked */
    return -ETIMEDOUT;
}

/* The source has ended, and all was handed out. */
static int imap_finish(many_imap *it)
{
    int code = it->end_code;

    it->end_code = 0;
    return code == 0 ? 0 : many_fail(code, "%s", it->end_words);
}

static int imap_next(many_imap *it, void *result, size_t room, size_t *bytes, double timeout_s)
{
    int64_t deadline_ns = timeout_s == 0 ? 0 : many_deadline_ns_(timeout_s);

    it->failed = 0;
    for (;;) {
        int code = 0;

        it->current = imap_ready(it);
        it->at = 0;
        /* One for the one that is taken now, and one more: so there are soon as many as there may be. */
        for (int k = 0; k < IMAP_FED && it->current != NULL && many_imap_is_quick_(it); k++)
            many_imap_feed_(it);
        if (it->current != NULL)
            return imap_hand_out(it, result, room, bytes);
        if (many_imap_feed_(it))
            continue;
        if (it->ended && it->first == NULL)
            return imap_finish(it);
        code = timeout_s == 0 ? -ETIMEDOUT : imap_sleep(it, deadline_ns);
        if (code == -ETIMEDOUT)
            return many_fail(code, "many_imap_next: no result in %g s", timeout_s);
        if (code == -EINTR)
            return many_fail(code, "many_imap_next: a signal handler ran on this thread");
        if (code < 0)
            return code;
    }
}

static int imap_check_open(const many_imap *it, const char *function)
{
    if (it == NULL)
        return many_fail(-EINVAL, "%s: it is NULL", function);
    if (it->process != many_self_process_())
        return many_fail(-MANY_EFORKED,
                         "%s: the iterator belongs to the process that opened it, not to this "
                         "child",
                         function);
    return 0;
}

int many_imap_next(many_imap *it, void *result, size_t room, size_t *bytes, double timeout_s)
{
    int code = imap_check_open(it, "many_imap_next");
    size_t unwanted;

    if (bytes == NULL)
        bytes = &unwanted;
    *bytes = 0;
    if (code < 0 || (code = many_timeout_check_(timeout_s, "many_imap_next")) < 0)
        return code;
    if (result == NULL && room > 0)
        return many_fail(-EINVAL, "many_imap_next: result is NULL, but room is %zu", room);
    if (it->current != NULL)
        return imap_hand_out(it, result, room, bytes);
    return imap_next(it, result, room, bytes, timeout_s);
}

/* ---- the rest ---- */

size_t many_imap_index(const many_imap *it)
{
    return it == NULL ? SIZE_MAX : (size_t)it->index;
}

int many_imap_failed(const many_imap *it)
{
    return it == NULL ? -EINVAL : it->failed;
}

int many_imap_cause(const many_imap *it, many_cause *cause)
{
    if (it == NULL || cause == NULL)
        return many_fail(-EINVAL, "many_imap_cause: %s is NULL", it == NULL ? "it" : "cause");
    if (it->index == UINT64_MAX)
        return many_fail(-EAGAIN, "many_imap_cause: there was no item yet");
    memset(cause, 0, sizeof *cause);
    cause->item = it->index;
    if (it->has_cause)
        *cause = it->cause;
    return 0;
}

void many_imap_close(many_imap *it)
{
    many_pool *pool;

    if (it == NULL)
        return;
    if (it->process != many_self_process_()) {
        imap_free(it);
        return;
    }
    pool = it->pool;
    for (many_imap_part_ *part = it->first; part != NULL; part = part->next)
        if (part != it->unsent && !many_imap_part_is_over_(it, part))
            part->slot->sent.batch->ops->cancel(part->slot->sent.batch, 0);
    for (size_t k = 0; k < it->slots_opened; k++) {
        many_sent_forget_(&it->slot[k].sent);
        it->slot[k].sent.batch->ops->close(it->slot[k].sent.batch);
    }
    imap_free(it);
    many_pool_let_go_(pool);
}
