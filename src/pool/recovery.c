/* SPDX-License-Identifier: MIT */
/* recovery.c - what a dead worker left is settled; see pool/recovery.h */
#include "pool/recovery.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/text.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/self.h"
#include "os/stream.h"
#include "pool/failure.h"
#include "pool/process_worker.h"
#include "task/cause.h"

/* How often to look whether a worker is gone that the kernel, or we, have just killed. */
#define RECOVERY_LOOK_MS 1

/* Phases of w's tickets, as many_ticket_settle_() wants them. */
#define RECOVERY_OF_WORKER                                                                         \
    (1U << MANY_TICKET_CLAIMED_ | 1U << MANY_TICKET_ASKED_ | 1U << MANY_TICKET_CONDEMNED_)

typedef struct recovery_case {
    many_table_ *table;
    int w;
    const many_death_ *death;
} recovery_case;

/* So many places of its stack are filled; one more may be. */
static uint32_t recovery_depth(const many_table_ *table, int w)
{
    const uint32_t depth = atomic_load_explicit(&table->record[w].depth, memory_order_acquire);

    return depth < MANY_STACK_MOST_ ? depth : MANY_STACK_MOST_ - 1;
}

/* ---- why ---- */

static const char *recovery_name(const many_table_ *table, const many_ticket_ *ticket, uint64_t key)
{
    return (ticket->flags & MANY_TICKET_COLD_) != 0 ? many_table_cold_(table, key)->name : NULL;
}

static int32_t recovery_code(uint64_t verdict)
{
    if (verdict == MANY_VERDICT_TIMEOUT_)
        return -ETIMEDOUT;
    if (verdict == MANY_VERDICT_MEMORY_)
        return -ENOMEM;
    if (verdict == MANY_VERDICT_CANCELLED_)
        return -ECANCELED;
    return -MANY_EDIED;
}

/* When the try began that the worker died in, where somebody wrote that down; else 0. */
static double recovery_seconds(const recovery_case *recovery, uint64_t key)
{
    const many_stack_ *stack = many_table_stack_(recovery->table, recovery->w);
    const uint32_t depth = recovery_depth(recovery->table, recovery->w);

    for (uint32_t d = 0; d < depth; d++) {
        const int64_t began_ns = atomic_load_explicit(&stack[d].began_ns, memory_order_relaxed);

        if (atomic_load_explicit(&stack[d].key, memory_order_relaxed) == key)
            return began_ns == 0 ? 0 : (double)(many_clock_ns_() - began_ns) / 1e9;
    }
    return 0;
}

/* The offset of a block with the cause; 0: there is no memory for it, and the code alone must do. */
static uint64_t recovery_explain(const recovery_case *recovery, uint64_t key, uint64_t item,
                                 uint64_t verdict, uint32_t tries)
{
    many_table_ *table = recovery->table;
    const many_death_ *death = recovery->death;
    const many_ticket_ *ticket = many_table_ticket_(table, key);
    const int limited = (ticket->flags & MANY_TICKET_LIMITED_) != 0;
    const many_cold_ *cold = limited ? many_table_cold_(table, key) : NULL;
    many_failure_words_ words = {.task = (ticket->flags & MANY_TICKET_BATCH_) == 0,
                                 .name = recovery_name(table, ticket, key)};
    many_failure_ *failure;
    uint64_t block;

    pthread_mutex_lock(&table->lock);
    block = many_arena_take_(table, sizeof *failure, key);
    pthread_mutex_unlock(&table->lock);
    if (block == 0)
        return 0;
    failure = many_block_data_(many_table_at_(table, block));
    memset(failure, 0, sizeof *failure);
    failure->cause.item = item;
    failure->cause.code = recovery_code(verdict);
    failure->cause.worker = recovery->w;
    failure->cause.exit_status = -1;
    failure->cause.tries = (int32_t)tries;
    if (verdict !=
        MANY_VERDICT_CANCELLED_) { /* how its worker was made to end is nobody's business */
        failure->cause.signal = death->ending.signal;
        failure->cause.exit_status = death->ending.exit_status;
        failure->cause.pid = death->pid;
    }
    failure->cause.over_limit = verdict == MANY_VERDICT_TIMEOUT_;
    failure->cause.cancelled = verdict == MANY_VERDICT_CANCELLED_;
    failure->cause.seconds = recovery_seconds(recovery, key);
    failure->cause.peak_bytes =
        death->ending.peak_bytes > death->peak_bytes ? death->ending.peak_bytes : death->peak_bytes;
    if (verdict == MANY_VERDICT_TIMEOUT_ && cold != NULL)
        words.limit_s = (double)cold->limit_ns / 1e9;
    if (verdict == MANY_VERDICT_MEMORY_ && cold != NULL)
        words.limit_bytes = cold->limit_bytes;
    many_failure_write_(&failure->cause, &words);
    return block;
}

/* ---- one ticket ---- */

static void recovery_count(const recovery_case *recovery, uint64_t verdict)
{
    many_roster_place_ *place = &recovery->table->roster->place[recovery->w];

    atomic_fetch_add_explicit(verdict == MANY_VERDICT_CANCELLED_ ? &place->cancelled
                                                                 : &place->failed,
                              1, memory_order_relaxed);
}

static void recovery_settle(const recovery_case *recovery, uint64_t key, uint64_t verdict)
{
    if (many_ticket_settle_(recovery->table, key, RECOVERY_OF_WORKER, verdict))
        recovery_count(recovery, verdict);
}

/* It is w's, and its progress says what is left of it: anybody's again. */
static void recovery_put_back(const recovery_case *recovery, uint64_t key)
{
    many_table_ *table = recovery->table;
    many_ticket_ *ticket = many_table_ticket_(table, key);
    uint64_t seen = atomic_load_explicit(&ticket->claim, memory_order_acquire);

    MANY_FAULT_POINT("recovery.put_back");
    do {
        const uint64_t phase = many_claim_phase_(seen);

        if (!many_key_is_(key, seen) ||
            (phase != MANY_TICKET_CLAIMED_ && phase != MANY_TICKET_CONDEMNED_))
            break;
    } while (!atomic_compare_exchange_weak_explicit(
        &ticket->claim, &seen,
        (seen & ~(MANY_TICKET_PHASES_ | MANY_VERDICTS_ | UINT64_C(0xffff0000))) |
            MANY_TICKET_READY_,
        memory_order_acq_rel, memory_order_acquire));
    /* Asked to end meanwhile. */
    if (many_key_is_(key, seen) && many_claim_phase_(seen) == MANY_TICKET_ASKED_) {
        recovery_settle(recovery, key, MANY_VERDICT_CANCELLED_);
        return;
    }
    atomic_fetch_sub_explicit(&table->roster->place[recovery->w].begun, 1, memory_order_relaxed);
    MANY_FAULT_POINT("recovery.ready");
    if (many_requeue_(table, key) < 0)
        many_ticket_cancel_(table, key, MANY_VERDICT_BROKEN_);
}

/* What is to become of a task or an item that had begun: 0: it died with its worker. */
static uint64_t recovery_verdict(const recovery_case *recovery, uint64_t claim)
{
    if (many_claim_phase_(claim) == MANY_TICKET_ASKED_)
        return MANY_VERDICT_CANCELLED_;
    if (many_claim_phase_(claim) == MANY_TICKET_CONDEMNED_)
        return claim & MANY_VERDICTS_;
    return recovery->death->cancelled ? MANY_VERDICT_CANCELLED_ : 0;
}

static int recovery_is_broken(const recovery_case *recovery)
{
    return atomic_load_explicit(&recovery->table->roster->broken, memory_order_acquire) != 0;
}

/* It had not begun, or is to be tried again; verdict: that of those that are not to begin any more. */
static void recovery_leave_to_others(const recovery_case *recovery, uint64_t key, uint64_t verdict)
{
    if (verdict == MANY_VERDICT_CANCELLED_)
        recovery_settle(recovery, key, verdict);
    else if (recovery_is_broken(recovery))
        recovery_settle(recovery, key, MANY_VERDICT_BROKEN_);
    else
        recovery_put_back(recovery, key);
}

static uint32_t recovery_retries(const recovery_case *recovery, uint64_t key)
{
    const many_ticket_ *ticket = many_table_ticket_(recovery->table, key);

    return (ticket->flags & MANY_TICKET_COLD_) != 0
               ? many_table_cold_(recovery->table, key)->retries
               : 0;
}

static void recovery_task(const recovery_case *recovery, uint64_t key, uint64_t claim)
{
    many_ticket_ *ticket = many_table_ticket_(recovery->table, key);
    const uint64_t progress = atomic_load_explicit(&ticket->progress, memory_order_acquire);
    const uint32_t tries = many_state_tries_(progress);
    const uint64_t verdict = recovery_verdict(recovery, claim);
    uint64_t failure, before;

    if ((progress & MANY_PHASES_) == MANY_BETWEEN_) {
        /* Its outcome is there, and stands: but for the word of who ended it. Or fn was not begun. */
        if (many_state_item_(progress) == 0)
            recovery_leave_to_others(recovery, key, verdict);
        else if (many_claim_phase_(claim) == MANY_TICKET_CLAIMED_)
            many_ticket_settle_(recovery->table, key, RECOVERY_OF_WORKER, 0);
        else
            recovery_settle(recovery, key, verdict);
        return;
    }
    if (verdict != MANY_VERDICT_CANCELLED_ && tries < recovery_retries(recovery, key)) {
        atomic_store_explicit(&ticket->progress, many_state_(0, tries + 1, MANY_BETWEEN_),
                              memory_order_release);
        recovery_leave_to_others(recovery, key, verdict);
        return;
    }
    failure = recovery_explain(recovery, key, ticket->serial, verdict, tries + 1);
    before = ticket->failure;
    ticket->failure = failure;
    ticket->code = recovery_code(verdict);
    MANY_FAULT_POINT("recovery.explained");
    many_arena_give_(recovery->table, before);
    recovery_settle(recovery, key, verdict);
}

/* Item i of a batch has failed. */
static void recovery_fail_item(const recovery_case *recovery, uint64_t key, uint32_t i,
                               uint64_t verdict, uint32_t tries)
{
    many_table_ *table = recovery->table;
    many_ticket_ *ticket = many_table_ticket_(table, key);
    const many_batch_area_ *area = many_batch_area_of_(table, ticket);
    int32_t *codes = many_table_at_(table, area->codes);
    uint64_t block = recovery_explain(recovery, key, ticket->serial + i, verdict, tries);

    if (block != 0) {
        many_failure_ *failure = many_block_data_(many_table_at_(table, block));

        failure->next = ticket->failure;
        ticket->failure = block;
    }
    codes[i] = recovery_code(verdict);
    MANY_FAULT_POINT("recovery.item");
    atomic_store_explicit(&ticket->progress, many_state_(i + 1, 0, MANY_BETWEEN_),
                          memory_order_release);
}

static void recovery_batch(const recovery_case *recovery, uint64_t key, uint64_t claim)
{
    many_ticket_ *ticket = many_table_ticket_(recovery->table, key);
    const many_batch_area_ *area = many_batch_area_of_(recovery->table, ticket);
    const int32_t *codes = many_table_at_(recovery->table, area->codes);
    const uint64_t progress = atomic_load_explicit(&ticket->progress, memory_order_acquire);
    const uint32_t tries = many_state_tries_(progress);
    uint64_t verdict = recovery_verdict(recovery, claim);
    uint32_t i = many_state_item_(progress);
    int stop;

    if ((progress & MANY_PHASES_) != MANY_BETWEEN_ && verdict != MANY_VERDICT_CANCELLED_) {
        uint64_t item_verdict = verdict;

        if ((progress & MANY_PHASES_) == MANY_CONDEMNED_)
            item_verdict = recovery->death->item_verdict;
        if (item_verdict == 0 && (progress & MANY_PHASES_) == MANY_CONDEMNED_)
            item_verdict = many_table_cold_(recovery->table, key)->limit_ns > 0
                               ? MANY_VERDICT_TIMEOUT_
                               : MANY_VERDICT_MEMORY_;
        if (tries < recovery_retries(recovery, key)) {
            atomic_store_explicit(&ticket->progress, many_state_(i, tries + 1, MANY_BETWEEN_),
                                  memory_order_release);
        } else {
            recovery_fail_item(recovery, key, i, item_verdict, tries + 1);
            i++;
        }
    }
    stop = (atomic_load_explicit(&ticket->attention, memory_order_acquire) &
            MANY_ATTENTION_STOP_) != 0 ||
           (area->stop_at_failure && i > 0 && codes[i - 1] != 0);
    /* The rest has -ECANCELED from the beginning. */
    if (verdict != MANY_VERDICT_CANCELLED_ && (i >= ticket->count || stop))
        many_ticket_settle_(recovery->table, key, RECOVERY_OF_WORKER, 0);
    else
        recovery_leave_to_others(recovery, key, verdict);
}

static void recovery_ticket(const recovery_case *recovery, uint64_t key)
{
    many_table_ *table = recovery->table;
    many_ticket_ *ticket = many_table_ticket_(table, key);
    const uint64_t claim = atomic_load_explicit(&ticket->claim, memory_order_acquire);
    const uint64_t phase = many_claim_phase_(claim);

    if (!many_key_is_(key, claim))
        return;
    if (phase == MANY_TICKET_OVER_) {
        /* Who made it OVER knew whether somebody sleeps there; now nobody does. */
        many_ticket_tell_(table, key, claim | MANY_TICKET_SLEEPERS_);
        if ((claim & MANY_TICKET_NOTIFY_) != 0)
            many_news_lost_(table, many_key_submitter_(key));
    } else if (phase == MANY_TICKET_READY_) {
        /* It was not claimed; or it was put back by one who was killed before he could say so. */
        many_requeue_(table, key);
    } else if (phase != MANY_TICKET_FREE_ && many_claim_worker_(claim) == recovery->w) {
        if ((ticket->flags & MANY_TICKET_BATCH_) != 0)
            recovery_batch(recovery, key, claim);
        else
            recovery_task(recovery, key, claim);
    }
}

/* ---- one worker ---- */

/*
 * What the dead worker had submitted: nobody can wait any more for what has not begun, so it is cancelled, but for
 * what was to run in any case; that may not be in its lane yet.
 */
static void recovery_orphans(many_table_ *table, int w)
{
    const many_region_ *region = &table->region[w + 1];
    const many_ticket_ *tickets = many_table_at_(table, region->tickets);
    const uint32_t fresh = atomic_load_explicit(&region->fresh, memory_order_acquire);

    for (uint32_t i = 0; i < fresh; i++) {
        const uint64_t claim = atomic_load_explicit(&tickets[i].claim, memory_order_acquire);
        const uint64_t key = many_key_(w + 1, i, many_claim_generation_(claim));

        if (many_claim_phase_(claim) != MANY_TICKET_READY_)
            continue;
        if ((claim & MANY_TICKET_DETACHED_) == 0 || many_requeue_(table, key) < 0) {
            if (many_ticket_cancel_(table, key, MANY_VERDICT_CANCELLED_))
                atomic_fetch_add_explicit(&table->roster->cancelled, 1, memory_order_relaxed);
        }
        MANY_FAULT_POINT("recovery.orphan");
    }
}

/* How it ended, for the words that say why the pool is broken. */
static void recovery_describe(const recovery_case *recovery, many_recovered_ *recovered)
{
    const many_worker_record_ *record = &recovery->table->record[recovery->w];
    const many_ending_ *ending = &recovery->death->ending;
    const int code = atomic_load_explicit(&record->initializer_code, memory_order_relaxed);
    char name[32], words[sizeof record->words];

    memcpy(words, record->words, sizeof words);
    words[sizeof words - 1] = '\0';
    if (recovered->initializer_failed && code != 0)
        snprintf(recovered->words, sizeof recovered->words, "it returned %d%s%.120s", code,
                 words[0] != '\0' ? ": " : "", words);
    else if (ending->signal != 0)
        snprintf(recovered->words, sizeof recovered->words, "the last died of %s",
                 many_signal_name_(ending->signal, name, sizeof name));
    else
        snprintf(recovered->words, sizeof recovered->words, "the last exited with %d",
                 ending->exit_status);
}

static void recovery_judge(const recovery_case *recovery, many_recovered_ *recovered)
{
    const many_worker_record_ *record = &recovery->table->record[recovery->w];
    const many_stack_ *stack = many_table_stack_(recovery->table, recovery->w);
    const int code = atomic_load_explicit(&record->initializer_code, memory_order_relaxed);

    recovered->left =
        atomic_load_explicit(&record->idle, memory_order_relaxed) == MANY_IDLE_LEAVES_;
    recovered->initializer_failed =
        !recovered->left && atomic_load_explicit(&record->began, memory_order_relaxed) == 0;
    if (code != 0)
        recovered->initializer_failed = 1;
    recovered->barren = !recovered->left &&
                        atomic_load_explicit(&record->tasks, memory_order_relaxed) == 0 &&
                        atomic_load_explicit(&record->depth, memory_order_relaxed) == 0 &&
                        atomic_load_explicit(&stack[0].key, memory_order_relaxed) == 0;
    recovery_describe(recovery, recovered);
}

void many_recover_worker_(many_table_ *table, int w, const many_death_ *death,
                          many_recovered_ *recovered)
{
    const recovery_case recovery = {table, w, death};
    many_worker_record_ *record = &table->record[w];
    const many_stack_ *stack = many_table_stack_(table, w);

    memset(recovered, 0, sizeof *recovered);
    recovery_judge(&recovery, recovered);
    MANY_FAULT_POINT("recovery.begin");
    /* The innermost first: what a task that waits for it goes on with. */
    for (uint32_t d = recovery_depth(table, w) + 1; d-- > 0;) {
        const uint64_t key = atomic_load_explicit(&stack[d].key, memory_order_relaxed);

        if (key != 0)
            recovery_ticket(&recovery, key);
        MANY_FAULT_POINT("recovery.ticket");
    }
    recovery_orphans(table, w);
    atomic_store_explicit(&record->waits, 0, memory_order_release);
    atomic_store_explicit(&record->asleep, 0, memory_order_release);
    if (atomic_load_explicit(&record->idle, memory_order_relaxed) == MANY_IDLE_SLEEPS_) {
        atomic_store_explicit(&record->idle, MANY_IDLE_NOT_, memory_order_relaxed);
        atomic_fetch_sub(&table->head->rest.sleepers, 1);
    }
    many_table_mend_(table, w);
    many_roster_mend_(&table->roster->place[w]);
    MANY_FAULT_POINT("recovery.settled");
}

void many_recover_place_(many_table_ *table, int w)
{
    many_worker_record_ *record = &table->record[w];
    many_stack_ *stack = many_table_stack_(table, w);

    /* Without memory for it the worker finds none either, and says so. */
    (void)many_table_grow_(table, record->stack, record->stack + sizeof *stack);
    atomic_store_explicit(&record->depth, 0, memory_order_relaxed);
    atomic_store_explicit(&stack[0].key, 0, memory_order_relaxed);
    atomic_store_explicit(&stack[0].began_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&record->idle, MANY_IDLE_NOT_, memory_order_relaxed);
    atomic_store_explicit(&record->pid, 0, memory_order_relaxed);
    atomic_store_explicit(&record->identity, 0, memory_order_relaxed);
    atomic_store_explicit(&record->began, 0, memory_order_relaxed);
    atomic_store_explicit(&record->initializer_code, 0, memory_order_relaxed);
    atomic_store_explicit(&record->tasks, 0, memory_order_relaxed);
    atomic_store_explicit(&record->waits, 0, memory_order_relaxed);
    atomic_store_explicit(&record->asleep, 0, memory_order_relaxed);
    atomic_store_explicit(&record->limited, 0, memory_order_relaxed);
    memset(record->words, 0, sizeof record->words);
}

/* ---- all of them ---- */

void many_recover_sweep_(many_table_ *table, uint64_t verdict)
{
    for (int s = 0; s < table->head->submitters; s++) {
        many_region_ *region = &table->region[s];
        many_ticket_ *tickets = many_table_at_(table, region->tickets);
        uint32_t fresh = atomic_load_explicit(&region->fresh, memory_order_acquire);

        for (uint32_t i = 0; i < fresh && i < region->capacity; i++) {
            const uint64_t claim = atomic_load_explicit(&tickets[i].claim, memory_order_acquire);

            if (many_claim_phase_(claim) == MANY_TICKET_READY_ &&
                many_ticket_cancel_(table, many_key_(s, i, many_claim_generation_(claim)), verdict))
                atomic_fetch_add_explicit(&table->roster->cancelled, 1, memory_order_relaxed);
        }
    }
    /* Who waits for room finds that there is nothing to wait for. */
    atomic_store(&table->head->room_wanted, 0);
    many_futex_wake_(&table->head->room_wanted, INT_MAX);
}

void many_recover_break_(many_table_ *table, int code, const char *words)
{
    many_table_head_ *head = table->head;
    many_text_ text;

    if (atomic_load_explicit(&table->roster->broken, memory_order_acquire) == 0) {
        many_text_begin_(&text, head->broken_words, sizeof head->broken_words);
        many_text_add_(&text, words);
        MANY_FAULT_POINT("recovery.break");
        /* Sequentially consistent, as the look of a submitter after its READY: one of both sees the other. */
        atomic_store(&table->roster->broken, code);
    }
    atomic_thread_fence(memory_order_seq_cst);
    many_recover_sweep_(table, MANY_VERDICT_BROKEN_);
    many_bell_ring_(table->owner_bell);
}

uint64_t many_recover_done_(const many_table_ *table)
{
    const many_roster_ *roster = table->roster;
    uint64_t done = atomic_load_explicit(&roster->lost, memory_order_relaxed);

    for (int w = 0; w < table->head->workers; w++)
        done += atomic_load_explicit(&roster->place[w].done, memory_order_relaxed) +
                atomic_load_explicit(&roster->place[w].failed, memory_order_relaxed) +
                atomic_load_explicit(&roster->place[w].cancelled, memory_order_relaxed);
    return done;
}

/*
 * Until the worker is gone: its supervisor is dead, so the kernel kills it, unless a task has seen to it that it
 * does not. A worker writes down who it is, and then looks whether its supervisor is still there, before it
 * claims anything: so one whose identity is not there has nothing, and will have nothing.
 */
static void recovery_await(const many_worker_record_ *record)
{
    const many_identity_ who = atomic_load_explicit(&record->identity, memory_order_acquire);
    const pid_t pid = (pid_t)(who & MANY_IDENTITY_THREAD_);
    many_child_ child;

    if (who == 0 || many_self_gone_(who))
        return;
    child = (many_child_){pid, many_child_open_(pid)};
    while (!many_self_gone_(who)) {
        /* It is still the one, and the descriptor was opened before that was seen. */
        if (child.fd >= 0)
            many_child_kill_(&child);
        else
            kill(pid, SIGKILL);
        poll(NULL, 0, RECOVERY_LOOK_MS);
    }
    many_child_close_(&child);
}

/* The owner sees the table as the supervisor does, whose arena and lanes nobody else uses now. */
static many_table_ *recovery_stand_in(const many_table_ *table)
{
    many_table_ *other = NULL;

    while (many_table_attach_(&other, table->base, table->memory, -1, table->owner_bell,
                              table->head->workers + 1) < 0)
        poll(NULL, 0, RECOVERY_LOOK_MS); /* no memory for a few hundred bytes: there will be some */
    return other;
}

void many_recover_all_(many_table_ *table, int cancelled)
{
    many_table_ *other;

    for (int w = 0; w < table->head->workers; w++)
        recovery_await(&table->record[w]);
    MANY_FAULT_POINT("recovery.gone");
    other = recovery_stand_in(table);
    for (int w = 0; w < table->head->workers; w++) {
        /* The supervisor died, and the kernel killed them. */
        const many_death_ death = {
            .pid = atomic_load_explicit(&table->record[w].pid, memory_order_relaxed),
            .ending = {.known = 1, .signal = SIGKILL, .exit_status = -1},
            .cancelled = cancelled};
        many_recovered_ recovered;

        many_recover_worker_(other, w, &death, &recovered);
        if (death.pid != 0 && !cancelled) {
            atomic_fetch_add_explicit(&table->roster->replaced, 1, memory_order_relaxed);
            atomic_fetch_add_explicit(&table->roster->died, 1, memory_order_relaxed);
        }
        many_recover_place_(other, w);
        many_roster_leave_(&table->roster->place[w]);
    }
    if (cancelled) {
        many_recover_sweep_(other, MANY_VERDICT_CANCELLED_);
        atomic_store_explicit(&table->head->workers_gone, 1, memory_order_release);
    }
    /* The descriptors are the owner's. */
    other->memory = other->supervisor_bell = other->owner_bell = -1;
    many_table_close_(other);
}
