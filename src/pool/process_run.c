/* SPDX-License-Identifier: MIT */
/*
 * process_run.c - a worker process runs a ticket; see pool/process_worker.h
 *
 * Order      of what a death may cut off. At the stack: the key, the claim, the depth; so recovery finds every
 *            ticket that is claimed. Around fn: progress RUNNING, fn, progress ENDED, the outcome, progress BETWEEN
 *            with the next item (1 for a task): so an item that is passed has its outcome, and one that is not
 *            has none that counts. At the end: claim OVER, the news, the depth; so what nobody was told of is
 *            found on the stack. All are plain stores, because who reads them has seen the death, which orders
 *            what was before it; the fences keep the compiler's order.
 * Limits     Whoever may be condemned by another leaves that state by compare-and-swap: a task its claim, an item
 *            of a batch its progress. Who loses that ends at once: the signal is on its way.
 * Output     What a task has printed is flushed before its end is told, so that it stands before what those
 *            print who waited for it.
 */
#include "pool/process_worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "map/call.h"
#include "os/clock.h"
#include "os/process.h"
#include "os/self.h"
#include "os/stream.h"
#include "pool/failure.h"
#include "pool/functions.h"

/* Bits 34 to 47 of a state word are free (task/seat.h): the low ones of the ticket's generation. */
#define TICKET_TAG_AT   34
#define TICKET_TAG_MASK UINT64_C(0x3fff)

/* What one ticket is run with. */
typedef struct ticket_run {
    many_table_ *table;
    many_ticket_ *ticket;
    const many_cold_ *cold; /* NULL: it has none */
    many_fn *fn;
    void *context;
    many_stack_ *place; /* on the stack */
    uint64_t key, process;
    uint64_t
        tag; /* of its generation, in the progress while it runs: so no other try has the same word */
    int64_t began_ns;
    uint32_t retries;
    int limited;
    many_task_run_ run;
} ticket_run;

/* ---- ends ---- */

/* The supervisor has ended what it runs, and ends it. */
static _Noreturn void ticket_condemned(void)
{
    MANY_FAULT_POINT("run.condemned");
    many_flush_standard_();
    _exit(0);
}

/*
 * A task that forks, and whose child comes back out of fn (an exec that failed, say), has made a twin with the
 * same record. It ends here; what it may have printed and not flushed is its parent's, too.
 */
static void ticket_end_twin(const ticket_run *run)
{
    if (run->process != many_self_process_())
        _exit(0);
}

/* ---- failures ---- */

static void ticket_give_reply(ticket_run *run)
{
    if (run->run.reply == 0)
        return;
    many_arena_give_(run->table, run->run.reply);
    run->run.reply = 0;
    run->run.reply_bytes = 0;
}

/* The offset of a block that says why; 0: no memory. */
static uint64_t ticket_explain(ticket_run *run, uint64_t number, int code, uint32_t tries,
                               int cancelled)
{
    many_table_ *table = run->table;
    const int task = (run->ticket->flags & MANY_TICKET_BATCH_) == 0;
    many_failure_ *failure;
    uint64_t block;

    pthread_mutex_lock(&table->lock);
    block = many_arena_take_(table, sizeof *failure, run->key);
    pthread_mutex_unlock(&table->lock);
    if (block == 0)
        return 0;
    failure = many_block_data_(many_table_at_(table, block));
    memset(failure, 0, sizeof *failure);
    failure->cause.item = number;
    failure->cause.code = code;
    failure->cause.worker = table->worker;
    failure->cause.exit_status = -1;
    failure->cause.tries = (int32_t)tries;
    failure->cause.cancelled = cancelled;
    if (run->began_ns != 0)
        failure->cause.seconds = (double)(many_clock_ns_() - run->began_ns) / 1e9;
    many_failure_write_(&failure->cause,
                        &(many_failure_words_){.task = task,
                                               .name = run->cold != NULL ? run->cold->name : NULL,
                                               .said = many_error_words_(code)});
    return block;
}

/* ---- one try after the other ---- */

static int ticket_is_stopped(const ticket_run *run)
{
    return (atomic_load_explicit(&run->ticket->attention, memory_order_acquire) &
            MANY_ATTENTION_STOP_) != 0;
}

static void ticket_begin_clock(ticket_run *run)
{
    if (!run->limited)
        return;
    run->began_ns = many_clock_ns_();
    atomic_store_explicit(&run->place->began_ns, run->began_ns, memory_order_relaxed);
}

/* Item i, or the task (0), with its retries. The code of the last try; *tries says how many there were. */
static int ticket_try(ticket_run *run, uint32_t i, const void *item, void *result, uint32_t *tries)
{
    _Atomic uint64_t *progress = &run->ticket->progress;
    const int by_swap = run->limited && (run->ticket->flags & MANY_TICKET_BATCH_) != 0;
    uint32_t before = many_state_tries_(atomic_load_explicit(progress, memory_order_relaxed));
    int code;

    for (;;) {
        uint64_t running = many_state_(i, before, MANY_RUNNING_) | run->tag;
        const uint64_t ended = many_state_(i, before, MANY_ENDED_);

        ticket_begin_clock(run);
        many_error_expire_();
        /* Release: who condemns it has read when it began. */
        atomic_store_explicit(progress, running, memory_order_release);
        atomic_signal_fence(memory_order_seq_cst);
        MANY_FAULT_POINT("run.begin");
        code = run->fn(item, result, run->context);
        ticket_end_twin(run);
        MANY_FAULT_POINT("run.returned");
        atomic_signal_fence(memory_order_seq_cst);
        if (!by_swap)
            atomic_store_explicit(progress, ended, memory_order_relaxed);
        else if (!atomic_compare_exchange_strong_explicit(
                     progress, &running, ended, memory_order_acq_rel, memory_order_acquire))
            ticket_condemned();
        before++;
        if (code == 0 || before > run->retries || ticket_is_stopped(run))
            break;
        ticket_give_reply(run);
    }
    *tries = before;
    return code;
}

/* Has somebody ended it, whatever fn has made of its item? */
static int ticket_is_asked(const ticket_run *run)
{
    return many_claim_phase_(atomic_load_explicit(&run->ticket->claim, memory_order_acquire)) !=
           MANY_TICKET_CLAIMED_;
}

/* All before next are through, and have their outcomes. */
static void ticket_pass(const ticket_run *run, uint32_t next)
{
    atomic_signal_fence(memory_order_seq_cst);
    MANY_FAULT_POINT("run.recorded");
    atomic_store_explicit(&run->ticket->progress, many_state_(next, 0, MANY_BETWEEN_),
                          memory_order_release);
    MANY_FAULT_POINT("run.passed");
}

/* ---- a task ---- */

static int ticket_run_task(ticket_run *run)
{
    many_ticket_ *ticket = run->ticket;
    uint32_t tries;
    int code =
        ticket_try(run, 0, many_ticket_arg_(run->table, ticket),
                   run->run.replies ? NULL : many_ticket_result_(run->table, ticket), &tries);

    if (code != 0) {
        ticket->failure = ticket_explain(run, ticket->serial, code, tries, 0);
        ticket_give_reply(run);
    } else if (run->run.replies) {
        ticket->result = run->run.reply;
        ticket->result_bytes = run->run.reply_bytes;
        run->run.reply = 0;
    }
    ticket->code = code == 0 ? 0 : -MANY_ETASK;
    ticket_pass(run, 1);
    return code != 0;
}

/* ---- a batch ---- */

static const void *ticket_item(const ticket_run *run, const many_batch_area_ *area, uint32_t i,
                               const void **zip)
{
    const many_table_ *table = run->table;
    const many_batch_input_ *inputs;

    if (area->inputs == 0)
        return area->items == 0
                   ? NULL
                   : (const char *)many_table_at_(table, area->items) + i * area->item_bytes;
    inputs = many_table_at_(table, area->inputs);
    for (uint32_t k = 0; k < area->inputs_count; k++)
        zip[k] = (const char *)many_table_at_(table, inputs[k].items) + i * inputs[k].item_bytes;
    return zip;
}

static void ticket_fail_item(ticket_run *run, int32_t *codes, uint32_t i, int code, uint32_t tries,
                             int cancelled)
{
    many_ticket_ *ticket = run->ticket;
    uint64_t block = ticket_explain(run, ticket->serial + i, code, tries, cancelled);

    if (block != 0) {
        many_failure_ *failure = many_block_data_(many_table_at_(run->table, block));

        failure->next = ticket->failure;
        ticket->failure = block;
    }
    codes[i] = code;
    ticket_give_reply(run);
}

static int ticket_run_batch(ticket_run *run)
{
    many_table_ *table = run->table;
    many_ticket_ *ticket = run->ticket;
    many_batch_area_ *area = many_batch_area_of_(table, ticket);
    int32_t *codes = many_table_at_(table, area->codes);
    many_reply_place_ *replies = area->replies == 0 ? NULL : many_table_at_(table, area->replies);
    char *results = area->results == 0 ? NULL : many_table_at_(table, area->results);
    const int64_t began_ns = many_clock_ns_();
    const void *zip[MANY_INPUTS_MOST_];
    const uint32_t count = ticket->count;
    int failed = 0;

    for (uint32_t i =
             many_state_item_(atomic_load_explicit(&ticket->progress, memory_order_relaxed));
         i < count && !ticket_is_stopped(run) && !(failed && area->stop_at_failure); i++) {
        uint32_t tries;
        int code;

        run->run.item = i;
        code = ticket_try(run, i, ticket_item(run, area, i, zip),
                          results == NULL ? NULL : results + i * area->result_bytes, &tries);
        if (ticket_is_asked(run)) {
            ticket_fail_item(run, codes, i, -ECANCELED, tries, 1);
        } else if (code != 0) {
            ticket_fail_item(run, codes, i, code, tries, 0);
            failed = 1;
        } else {
            if (replies != NULL) {
                replies[i] = (many_reply_place_){run->run.reply, run->run.reply_bytes};
                run->run.reply = 0;
            }
            codes[i] = 0;
        }
        ticket_pass(run, i + 1);
    }
    area->spent_ns = many_clock_ns_() - began_ns;
    ticket->code = 0;
    return 0;
}

/* ---- a ticket ---- */

/* A function that is not to be had here fails what was to be run. */
static int ticket_prepare(ticket_run *run)
{
    many_table_ *table = run->table;
    const many_ticket_ *ticket = run->ticket;
    many_any_fn_ *fn;
    int code;

    if ((ticket->flags & MANY_TICKET_COLD_) != 0) {
        run->cold = many_table_cold_(table, run->key);
        run->retries = run->cold->retries;
        if ((ticket->flags & MANY_TICKET_POINTER_) != 0)
            run->context = (void *)(uintptr_t)run->cold->context;
        else if (run->cold->context != 0)
            run->context = many_block_data_(many_table_at_(table, run->cold->context));
    }
    run->limited = (ticket->flags & MANY_TICKET_LIMITED_) != 0;
    run->tag = ((run->key >> (MANY_KEY_SUBMITTER_BITS_ + MANY_KEY_INDEX_BITS_)) & TICKET_TAG_MASK)
               << TICKET_TAG_AT;
    run->run = (many_task_run_){.outer = table->run,
                                .key = run->key,
                                .ticket = run->ticket,
                                .replies = (ticket->flags & MANY_TICKET_REPLIES_) != 0};
    code = many_function_at_(table, ticket->function, &fn, "many_pool_submit");
    run->fn = (many_fn *)fn;
    return code;
}

/* All items of it fail with this code, which has words. */
static void ticket_refuse(ticket_run *run, int code)
{
    many_ticket_ *ticket = run->ticket;

    if ((ticket->flags & MANY_TICKET_BATCH_) == 0) {
        ticket->failure = ticket_explain(run, ticket->serial, code, 1, 0);
        ticket->code = -MANY_ETASK;
        ticket_pass(run, 1);
        return;
    }
    for (uint32_t i =
             many_state_item_(atomic_load_explicit(&ticket->progress, memory_order_relaxed));
         i < ticket->count; i++) {
        int32_t *codes = many_table_at_(run->table, many_batch_area_of_(run->table, ticket)->codes);

        ticket_fail_item(run, codes, i, code, 1, 0);
        ticket_pass(run, i + 1);
    }
    ticket->code = 0;
}

/* A task may have closed the bell: any signal that its poll hears of will do. */
static void ticket_ring_supervisor(const many_table_ *table)
{
    if (many_bell_ring_(table->supervisor_bell) < 0)
        kill(getppid(), SIGCHLD);
}

/* The supervisor watches who has limits; it is told of the first. */
static void ticket_be_watched(many_table_ *table, int by)
{
    many_worker_record_ *record = &table->record[table->worker];
    const uint32_t limited = atomic_load_explicit(&record->limited, memory_order_relaxed);

    atomic_store_explicit(&record->limited, by > 0 ? limited + 1 : limited - 1,
                          memory_order_relaxed);
    atomic_thread_fence(
        memory_order_seq_cst); /* pairs with that before the supervisor's last look */
    if (by > 0 && atomic_load_explicit(&table->head->polling, memory_order_relaxed) == 0)
        ticket_ring_supervisor(table);
}

static void ticket_count(many_roster_place_ *place, int failed, int cancelled)
{
    _Atomic uint64_t *count = cancelled ? &place->cancelled
                              : failed  ? &place->failed
                                        : &place->done;

    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static void ticket_show(ticket_run *run, uint32_t depth)
{
    many_roster_place_ *place = &run->table->roster->place[run->table->worker];
    const int64_t now_ns = depth == 0 ? many_clock_ns_() : 0;

    atomic_store_explicit(&place->begun,
                          atomic_load_explicit(&place->begun, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    if (depth == 0)
        many_roster_task_(place, run->ticket->serial, run->cold != NULL ? run->cold->name : NULL,
                          now_ns);
    else
        atomic_store_explicit(&place->depth, depth + 1, memory_order_relaxed);
    /* The clock was looked at anyway: so it can be said how long a task had run. */
    if ((run->ticket->flags & MANY_TICKET_BATCH_) == 0) {
        run->began_ns = now_ns;
        atomic_store_explicit(&run->place->began_ns, now_ns, memory_order_relaxed);
    }
}

static void ticket_hide(const ticket_run *run, uint32_t depth)
{
    many_roster_place_ *place = &run->table->roster->place[run->table->worker];

    if (depth == 0)
        many_roster_task_(place, 0, NULL, 0);
    else
        atomic_store_explicit(&place->depth, depth, memory_order_relaxed);
}

/* Between these two many_item_index() and its like are about this ticket. */
static int ticket_run_seated(ticket_run *run)
{
    many_table_ *table = run->table;
    many_pool *const before = many_pool_inside_();
    many_seat_ seat = {.state = &run->ticket->progress,
                       .attention = &run->ticket->attention,
                       .first = run->ticket->serial,
                       .worker = table->worker};
    int failed;

    many_seat_take_(&seat);
    many_pool_enter_(table->pool);
    table->run = &run->run;
    failed = (run->ticket->flags & MANY_TICKET_BATCH_) != 0 ? ticket_run_batch(run)
                                                            : ticket_run_task(run);
    table->run = run->run.outer;
    many_pool_enter_(before);
    many_seat_leave_(&seat);
    return failed;
}

void many_run_ticket_(many_table_ *table, uint64_t key)
{
    many_worker_record_ *record = &table->record[table->worker];
    const uint32_t depth = atomic_load_explicit(&record->depth, memory_order_relaxed);
    ticket_run run = {.table = table,
                      .ticket = many_table_ticket_(table, key),
                      .place = &many_table_stack_(table, table->worker)[depth],
                      .key = key,
                      .process = many_self_process_()};
    int failed, cancelled, code;

    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&record->depth, depth + 1, memory_order_release);
    MANY_FAULT_POINT("run.claimed");
    code = ticket_prepare(&run);
    ticket_show(&run, depth);
    if (run.limited)
        ticket_be_watched(table, 1);
    if (code < 0) {
        ticket_refuse(&run, code);
        failed = 1;
    } else {
        failed = ticket_run_seated(&run);
    }
    many_flush_standard_();
    ticket_hide(&run, depth);
    cancelled = many_claim_phase_(atomic_load_explicit(&run.ticket->claim, memory_order_relaxed)) !=
                MANY_TICKET_CLAIMED_;
    ticket_count(&table->roster->place[table->worker], failed, cancelled);
    MANY_FAULT_POINT("run.ending");
    if (!many_ticket_end_(table, key))
        ticket_condemned();
    MANY_FAULT_POINT("run.over");
    if (run.limited)
        ticket_be_watched(table, -1);
    /* Before the next key is stored here: its time is not this one's. */
    atomic_store_explicit(&run.place->began_ns, 0, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&record->depth, depth, memory_order_release);
}
