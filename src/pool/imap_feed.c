/* SPDX-License-Identifier: MIT */
/* imap_feed.c - pull, send, spill; see imap_parts.h */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/fault.h"
#include "os/clock.h"
#include "pool/imap_parts.h"
#include "pool/pool_map_run.h"

/* Work that a batch should be: much longer than what it costs to send it, and short enough to be shared out. */
#define FEED_BATCH_NS (50 * MANY_MICROSECOND_NS)

/* A chunk grows by this factor at most when a batch is over: one lucky item does not tell much. */
#define FEED_GROWTH 4

/* What was pulled is sent after so long, however little it is. */
#define FEED_FLUSH_NS (50 * MANY_MICROSECOND_NS)

/* A source that takes longer for an item is slow: each call is timed, and what is ready is handed out first. */
#define FEED_QUICK_NS (3 * MANY_MICROSECOND_NS)

/* No call counts for more: it may only have been interrupted. */
#define FEED_SLOWEST_NS (50 * MANY_MICROSECOND_NS)

/* A quick source is timed each so many items, because a look at the clock costs more than it does. */
#define FEED_TIMED 8

/* After -EAGAIN the source is asked again when a result was taken, or after so long. */
#define FEED_ASK_NS (10 * MANY_MILLISECOND_NS)

/* Replies of a batch together, about. */
#define FEED_REPLY_BYTES ((uint64_t)128 << 10)

int many_imap_is_quick_(const many_imap *it)
{
    return it->pull_ns <= FEED_QUICK_NS;
}

/* ---- slots and parts ---- */

int many_imap_slot_open_(many_imap *it)
{
    many_imap_slot_ *slot = &it->slot[it->slots_opened];
    int code = MANY_FAULT_ERROR("imap.slot");

    if (code == 0)
        code = it->pool->backend->batch_open(it->pool, &it->plan, &slot->sent.batch);
    if (code < 0)
        return code;
    it->slots_opened++;
    slot->next_free = it->slot_free;
    it->slot_free = slot;
    return 0;
}

static void feed_slot_free(many_imap *it, many_imap_slot_ *slot)
{
    slot->next_free = it->slot_free;
    it->slot_free = slot;
}

/* A part at the end of the list. NULL: only if the file failed again and again. */
static many_imap_part_ *feed_part(many_imap *it)
{
    many_imap_part_ *part = it->part_free;

    if (part != NULL)
        it->part_free = part->next;
    else if (it->parts_used < it->parts_most)
        part = &it->part[it->parts_used++];
    else
        return NULL;
    memset(part, 0, sizeof *part);
    part->before = it->last;
    if (it->last != NULL)
        it->last->next = part;
    else
        it->first = part;
    it->last = part;
    return part;
}

static void feed_unlink(many_imap *it, many_imap_part_ *part)
{
    if (part->before != NULL)
        part->before->next = part->next;
    else
        it->first = part->next;
    if (part->next != NULL)
        part->next->before = part->before;
    else
        it->last = part->before;
    part->next = it->part_free;
    it->part_free = part;
}

/* The part's slot is free; the part stays. */
static void feed_release(many_imap *it, many_imap_part_ *part)
{
    if (part->slot == NULL)
        return;
    many_sent_forget_(&part->slot->sent);
    feed_slot_free(it, part->slot);
    part->slot = NULL;
    it->used--;
    it->held -= part->count;
}

void many_imap_part_drop_(many_imap *it, many_imap_part_ *part)
{
    feed_release(it, part);
    feed_unlink(it, part);
    it->blocked = 0;
    it->spill.full = 0; /* time has passed: there may be room on the disk */
}

/* How large should a batch be? */
static void feed_learn(many_imap *it, const many_imap_part_ *part)
{
    many_batch_ *batch = part->slot->sent.batch;
    int64_t spent_ns = batch->ops->spent_ns != NULL ? batch->ops->spent_ns(batch) : 0;
    int64_t item_ns = spent_ns / (int64_t)part->count + 1;
    uint64_t wanted;

    if (it->option.chunk > 0 || spent_ns <= 0)
        return;
    it->item_ns = it->item_ns == 0 ? item_ns : (it->item_ns * 3 + item_ns) / 4;
    wanted = (uint64_t)(FEED_BATCH_NS / it->item_ns);
    if (it->plan.replies && it->reply_bytes > 0 && wanted > FEED_REPLY_BYTES / it->reply_bytes)
        wanted = FEED_REPLY_BYTES / it->reply_bytes;
    if (wanted > it->chunk * FEED_GROWTH)
        wanted = it->chunk * FEED_GROWTH;
    /* A small batch that was flushed early says how long an item is, but not that larger ones are wanted. */
    if (wanted > it->chunk && part->count * 2 < it->chunk)
        wanted = it->chunk;
    if (wanted > it->plan.room)
        wanted = it->plan.room;
    it->chunk = wanted > 0 ? (size_t)wanted : 1;
}

int many_imap_part_is_over_(many_imap *it, many_imap_part_ *part)
{
    if (part->over || part->slot == NULL)
        return 1;
    if (part == it->unsent || !many_sent_is_over_(&part->slot->sent))
        return 0;
    part->over = 1;
    it->flying--;
    feed_learn(it, part);
    return 1;
}

/* Look at all that fly. */
static void feed_sweep(many_imap *it)
{
    for (many_imap_part_ *part = it->first; part != NULL; part = part->next)
        many_imap_part_is_over_(it, part);
}

/* ---- spilling ---- */

static int feed_write(many_imap *it, const many_imap_part_ *part, many_spill_run_ *run)
{
    many_batch_ *batch = part->slot->sent.batch;
    int code = many_spill_begin_(&it->spill);

    for (size_t i = 0; i < part->count && code == 0; i++) {
        many_batch_outcome_ outcome;
        many_cause cause;

        batch->ops->outcome(batch, i, &outcome);
        if (outcome.code == 0) {
            code = many_spill_add_(&it->spill, 0, outcome.result, outcome.result_bytes);
            continue;
        }
        memset(&cause, 0, sizeof cause);
        batch->ops->cause(batch, i, &cause);
        code = many_spill_add_(&it->spill, outcome.code, &cause, sizeof cause);
    }
    return code < 0 ? code : many_spill_end_(&it->spill, run);
}

static int feed_is_spilled(const many_imap_part_ *part)
{
    return part->slot == NULL && !part->lost;
}

/* left and its follower are both in the file: they become one. */
static void feed_merge(many_imap *it, many_imap_part_ *left)
{
    many_imap_part_ *right = left->next;

    if (right == NULL || !feed_is_spilled(left) || !feed_is_spilled(right) ||
        many_spill_join_(&it->spill, &left->run, &right->run) < 0)
        return;
    left->count += right->count;
    feed_unlink(it, right);
}

/*
 * Move one finished part to the file: the last one, because it is wanted last. Not the first of the list, which
 * is handed out next. 1: a slot is free; 0: nothing to move, or no room.
 */
static int feed_spill(many_imap *it)
{
    many_imap_part_ *part = it->last;
    many_spill_run_ run;

    /* Who has something to take may do that first. */
    if (it->option.unordered || it->spill.full || it->current != NULL)
        return 0;
    feed_sweep(it);
    while (part != NULL && (part->slot == NULL || !part->over))
        part = part->before;
    if (part == NULL || part == it->first)
        return 0;
    if (feed_write(it, part, &run) < 0)
        return 0;
    feed_release(it, part);
    part->run = run;
    feed_merge(it, part);
    if (part->before != NULL)
        feed_merge(it, part->before);
    return 1;
}

/* ---- pulling ---- */

static void feed_end(many_imap *it, int code, const char *words)
{
    it->ended = 1;
    it->end_code = code;
    snprintf(it->end_words, sizeof it->end_words, "%s", words);
}

/* One item into place i. 1; 0: none now, or none any more. */
static int feed_pull(many_imap *it, many_batch_ *batch, size_t i)
{
    char words[256];
    int code;

    if (it->option.n > 0 && it->pulled + i == it->option.n) {
        it->ended = 1;
        return 0;
    }
    code = it->option.next(batch->ops->item(batch, i), it->option.next_context);
    if (code == 1)
        return 1;
    if (code == -EAGAIN) {
        it->ask_ns = many_clock_ns_() + FEED_ASK_NS;
        return 0;
    }
    words[0] = '\0';
    if (code != 0)
        snprintf(words, sizeof words, "many_imap_next: next failed with %d after %llu items", code,
                 (unsigned long long)(it->pulled + i));
    feed_end(it, code <= 0 ? code : -EINVAL, words);
    return 0;
}

/* Note how long count calls took that began at *since_ns. */
static void feed_time(many_imap *it, int64_t *since_ns, size_t count)
{
    int64_t now = many_clock_ns_(), each = (now - *since_ns) / (int64_t)count;

    /* Slow at once, quick again after some calls. */
    if (each > FEED_SLOWEST_NS)
        each = FEED_SLOWEST_NS;
    it->pull_ns = each > it->pull_ns ? each : (it->pull_ns + each) / 2;
    *since_ns = now;
}

/* As many as a batch should have, from the source. Returns how many. */
static size_t feed_fill(many_imap *it, many_batch_ *batch, size_t most)
{
    int64_t begun_ns = many_clock_ns_(), since_ns = begun_ns;
    size_t filled = 0, timed = 0;

    while (filled < most && feed_pull(it, batch, filled)) {
        filled++;
        if (it->pull_ns >= 0 && many_imap_is_quick_(it) && filled - timed < FEED_TIMED)
            continue;
        feed_time(it, &since_ns, filled - timed);
        timed = filled;
        if (since_ns - begun_ns > FEED_FLUSH_NS || !many_imap_is_quick_(it))
            break;
    }
    if (filled > timed)
        feed_time(it, &since_ns, filled - timed);
    return filled;
}

/* Items of an array, or of nothing: they need no pulling. */
static size_t feed_count(many_imap *it, size_t most)
{
    uint64_t left = it->option.n - it->pulled;

    if (left <= most)
        it->ended = 1;
    return left < most ? (size_t)left : most;
}

/* A free slot, and room for some items in the window. NULL: not now. */
static many_imap_slot_ *feed_slot(many_imap *it, size_t *most)
{
    many_imap_slot_ *slot;

    for (;;) {
        *most = it->chunk < it->window - it->held ? it->chunk : it->window - it->held;
        if (*most > 0 && it->slot_free == NULL && it->slots_opened < it->slots_most &&
            many_imap_slot_open_(it) < 0)
            it->slots_most = it->slots_opened; /* with those that there are */
        if (*most > 0 && it->slot_free != NULL)
            break;
        if (!feed_spill(it)) {
            it->blocked = it->spill.full; /* else the next one that is over makes room */
            return NULL;
        }
    }
    slot = it->slot_free;
    it->slot_free = slot->next_free;
    return slot;
}

/* The pool did not take it. What was pulled has to have an outcome all the same. */
static void feed_lost(many_imap *it, many_imap_part_ *part, int code)
{
    const char *said = many_words_without_(many_error_words_(code), it->plan.function);
    char words[320];

    if (said[0] != '\0')
        snprintf(words, sizeof words, "many_imap_next: %s", said);
    else
        snprintf(words, sizeof words, "many_imap_next: %s: the pool took no more (%s)", it->name,
                 many_error_name(code));
    part->lost = 1;
    feed_release(it, part);
    feed_end(it, code, words);
}

/* Submit the part at the end of the list. 1; 0: not now. */
static int feed_submit(many_imap *it, many_imap_part_ *part)
{
    int code = MANY_FAULT_ERROR("imap.submit");

    if (code == 0)
        code =
            part->slot->sent.batch->ops->submit(part->slot->sent.batch, part->first, part->count);
    /* The others will make room, when they are over or taken. */
    it->unsent = code == -ENOMEM && it->used > 1 ? part : NULL;
    if (it->unsent != NULL)
        return 0;
    if (code < 0)
        feed_lost(it, part, code);
    else
        it->flying++;
    return 1;
}

static int feed_send(many_imap *it, many_imap_slot_ *slot, size_t count)
{
    many_imap_part_ *part = feed_part(it);

    part->first = it->pulled;
    part->count = count;
    part->slot = slot;
    it->pulled += count;
    it->used++;
    it->held += count;
    return feed_submit(it, part);
}

int many_imap_feed_(many_imap *it)
{
    many_imap_slot_ *slot;
    size_t most, count;

    it->blocked = 0;
    if (it->unsent != NULL)
        return feed_submit(it, it->unsent);
    if (it->ended || (it->ask_ns != 0 && many_clock_ns_() < it->ask_ns))
        return 0;
    it->ask_ns = 0;
    /* Ahead of a consumer who has something to take it is enough that the workers are busy. */
    if (it->current != NULL && it->used >= it->flying_most)
        return 0;
    if (it->flying >= it->flying_most)
        feed_sweep(it);
    if (it->flying >= it->flying_most)
        return 0;
    if (it->part_free == NULL && it->parts_used == it->parts_most) {
        it->blocked = 1;
        return 0;
    }
    slot = feed_slot(it, &most);
    if (slot == NULL)
        return 0;
    count = it->option.next != NULL ? feed_fill(it, slot->sent.batch, most) : feed_count(it, most);
    if (count > 0)
        return feed_send(it, slot, count) || it->ended;
    feed_slot_free(it, slot);
    return it->ended;
}
