/* SPDX-License-Identifier: MIT */
/*
 * process_worker.c - the life of a worker process; see pool/process_worker.h
 *
 * Promise    What is ready is claimed by somebody as long as a worker is idle: no order of events lets a worker
 *            fall asleep beside a ready ticket that nobody else was woken for.
 * Invariant  At most one worker looks for work without sleeping (rest.searcher), so that an idle pool of any size
 *            uses one CPU for some 50 us after the last task, and none after that.
 * Death      A worker that is killed holds no lock. What it claimed is on its stack (process_run.c); that it
 *            searched, or had been woken, is put right by who settles its death (recovery.c).
 *
 * Sleep      A worker that finds nothing sets bit 0 of rest.word, fences, looks once more, and sleeps as long as
 *            the word is unchanged. Who publishes fences, and looks at the bit: one of the two sees the other.
 *            The waker clears the bit; who woke sets it again while others sleep, takes something, and wakes the
 *            next if there is more. So each wake is answered by a look, and a wake-up costs its submitter one
 *            system call, not one for each ticket.
 */
#include "pool/process_worker.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/process.h"
#include "os/self.h"
#include "process/child.h"
#include "sync/wait.h"

/* How long the searcher looks before it sleeps: what it costs to wake a core that sleeps. */
#define WORKER_SEARCH_NS (60 * MANY_MICROSECOND_NS)

/*
 * Pauses between two of its looks: it shares the lines it looks at with those that submit. They double each time
 * that what it finds is not alone, so that those who submit a lot are not disturbed for each (measured: 158 to
 * 143 ns a task), and are the fewest again when it is.
 */
#define WORKER_PAUSES      24
#define WORKER_PAUSES_MOST 384

/* The clock is read after so many looks. */
#define WORKER_LOOKS 8

/* Insurance: a death that loses a wake ends with one by who settles it; a worker that was stopped does not. */
#define WORKER_SLEEP_NS MANY_SECOND_NS

typedef struct worker_self {
    const many_worker_life_ *life;
    many_table_ *table;
    many_worker_record_ *record;
    many_stack_ *stack;
    many_pool *pool;
    uint32_t me;   /* 1 + the worker's number */
    int pauses;    /* between two looks of a search */
    uint32_t turn; /* slept for a whole slice so often */
} worker_self;

/* ---- its beginning ---- */

/*
 * Who it is stands in the record before anything else, and then it looks whether its supervisor is still there:
 * who comes after a dead supervisor finds either its identity, or that it has done nothing.
 */
static void worker_sign(const many_worker_life_ *life)
{
    many_worker_record_ *record = &life->table->record[life->worker];

    MANY_FAULT_POINT("worker.born");
    atomic_store_explicit(&record->pid, (int32_t)getpid(), memory_order_relaxed);
    atomic_store(&record->identity, many_self_());
    MANY_FAULT_POINT("worker.signed");
    if (many_orphan_(life->supervisor))
        _exit(0);
}

static int worker_initialize(const worker_self *worker)
{
    const many_worker_life_ *life = worker->life;
    const uint64_t process = many_self_process_();
    many_text_ text;
    int code;

    if (life->initializer == NULL)
        return 0;
    many_error_clear_();
    code = life->initializer(life->argument);
    if (process != many_self_process_())
        _exit(0); /* a fork that it made, and that has come back out of it: it is no worker */
    if (code == 0)
        return 0;
    many_text_begin_(&text, worker->record->words, sizeof worker->record->words);
    many_text_add_(&text, many_error_words_(code));
    atomic_store_explicit(&worker->record->initializer_code, code, memory_order_release);
    return code;
}

/* 0; or the process is of no use. */
static int worker_begin(worker_self *worker, const many_worker_life_ *life)
{
    const many_table_ *seen = life->table;
    int code;

    worker->life = life;
    worker->me = (uint32_t)life->worker + 1;
    worker_sign(life);
    code = many_table_attach_(&worker->table, seen->base, seen->memory, seen->supervisor_bell,
                              seen->owner_bell, life->worker + 1);
    if (code < 0)
        return code;
    worker->table->modules = life->modules;
    worker->table->modules_count = life->modules_count;
    worker->record = &worker->table->record[life->worker];
    worker->stack = many_table_stack_(worker->table, life->worker);
    MANY_FAULT_POINT("worker.attached");
    code = many_table_stack_reserve_(worker->table, 0);
    if (code < 0)
        return code;
    code = worker_initialize(worker);
    if (code == 0)
        code = many_process_pool_enter_(worker->table, &worker->pool);
    if (code != 0)
        return code;
    worker->table->pool = worker->pool;
    atomic_store_explicit(&worker->record->began, 1, memory_order_release);
    MANY_FAULT_POINT("worker.initialized");
    return 0;
}

/* ---- looking for work ---- */

static int worker_is_to_leave(const worker_self *worker)
{
    return atomic_load_explicit(&worker->table->head->order, memory_order_relaxed) !=
           MANY_ORDER_GO_ON_;
}

static uint64_t worker_claim(const worker_self *worker)
{
    return many_table_claim_(worker->table, worker->life->worker, &worker->stack[0].key);
}

/* Whoever publishes now wakes somebody again; what was published before may need somebody, too. */
static void worker_stop_searching(const worker_self *worker)
{
    many_rest_ *rest = &worker->table->head->rest;

    atomic_store(&rest->searcher, 0);
    if (atomic_load_explicit(&rest->sleepers, memory_order_relaxed) > 0)
        atomic_fetch_or(&rest->word, 1);
}

/* It has got something: if there is more, that is for the next. */
static void worker_call_next(const worker_self *worker)
{
    many_rest_ *rest = &worker->table->head->rest;

    if (atomic_load_explicit(&rest->sleepers, memory_order_relaxed) == 0)
        return;
    atomic_fetch_or(&rest->word, 1);
    if (many_table_work_(worker->table))
        many_rest_wake_(rest);
}

/* Look for a while without sleep, if nobody else does. A key, claimed; or 0. */
static uint64_t worker_search(worker_self *worker)
{
    many_rest_ *rest = &worker->table->head->rest;
    const int64_t until_ns = many_clock_ns_() + WORKER_SEARCH_NS;
    uint32_t nobody = 0;
    uint64_t key = 0;

    if (worker->table->head->cpus < 2 ||
        !atomic_compare_exchange_strong(&rest->searcher, &nobody, worker->me))
        return 0;
    atomic_store_explicit(&worker->record->idle, MANY_IDLE_SEARCHES_, memory_order_relaxed);
    MANY_FAULT_POINT("worker.searches");
    for (uint32_t looks = 1; key == 0 && !worker_is_to_leave(worker); looks++) {
        for (int k = 0; k < worker->pauses; k++)
            many_pause_();
        key = worker_claim(worker);
        if (looks % WORKER_LOOKS == 0 && many_clock_ns_() >= until_ns)
            break;
    }
    worker_stop_searching(worker);
    MANY_FAULT_POINT("worker.searched");
    if (key == 0)
        return 0;
    worker_call_next(worker);
    if (many_lanes_length_(worker->table, 0) < 2)
        worker->pauses = WORKER_PAUSES;
    else if (worker->pauses < WORKER_PAUSES_MOST)
        worker->pauses *= 2;
    return key;
}

/* Until somebody has work, or a slice is over. A key, claimed; or 0: look again. */
static uint64_t worker_sleep(worker_self *worker)
{
    many_rest_ *rest = &worker->table->head->rest;
    uint32_t searcher = atomic_load_explicit(&rest->searcher, memory_order_relaxed);
    uint64_t key = 0;
    uint32_t seen;
    int unwoken = 0;

    atomic_fetch_add(&rest->sleepers, 1);
    atomic_store_explicit(&worker->record->idle, MANY_IDLE_SLEEPS_, memory_order_relaxed);
    MANY_FAULT_POINT("worker.sleepy");
    seen = atomic_fetch_or(&rest->word, 1) | 1;
    atomic_thread_fence(memory_order_seq_cst); /* pairs with that in many_rest_wake_() */
    if (many_table_work_(worker->table))
        key = worker_claim(worker);
    if (key == 0 && !worker_is_to_leave(worker))
        unwoken =
            many_futex_wait_(&rest->word, seen, many_clock_ns_() + WORKER_SLEEP_NS) == -ETIMEDOUT;
    if (unwoken)
        many_table_remark_(worker->table, worker->me + worker->turn++);
    MANY_FAULT_POINT("worker.woken");
    atomic_store_explicit(&worker->record->idle, MANY_IDLE_NOT_, memory_order_relaxed);
    atomic_fetch_sub(&rest->sleepers, 1);
    if (key == 0)
        key = worker_claim(worker);
    if (unwoken && key != 0 && searcher != 0)
        (void)atomic_compare_exchange_strong(&rest->searcher, &searcher, 0);
    worker_call_next(worker);
    return key;
}

/* The next ticket, claimed; 0: it is time to leave. */
static uint64_t worker_next(worker_self *worker)
{
    while (!worker_is_to_leave(worker)) {
        uint64_t key = worker_claim(worker);

        if (key == 0)
            key = worker_search(worker);
        if (key == 0)
            key = worker_sleep(worker);
        atomic_store_explicit(&worker->record->idle, MANY_IDLE_NOT_, memory_order_relaxed);
        if (key != 0)
            return key;
    }
    return 0;
}

/* ---- its life ---- */

static int worker_has_done_its_share(const worker_self *worker)
{
    const uint64_t tasks = atomic_load_explicit(&worker->record->tasks, memory_order_relaxed) + 1;

    atomic_store_explicit(&worker->record->tasks, tasks, memory_order_relaxed);
    return worker->life->tasks_most != 0 && tasks >= worker->life->tasks_most;
}

int many_worker_main_(void *argument)
{
    worker_self worker = {.pauses = WORKER_PAUSES};
    uint64_t key;

    if (worker_begin(&worker, argument) != 0)
        return MANY_CHILD_LOST_;
    while ((key = worker_next(&worker)) != 0) {
        MANY_FAULT_POINT("worker.claimed");
        many_run_ticket_(worker.table, key);
        if (worker_has_done_its_share(&worker))
            break;
    }
    atomic_store_explicit(&worker.record->idle, MANY_IDLE_LEAVES_, memory_order_release);
    MANY_FAULT_POINT("worker.leaves");
    return 0;
}

int many_worker_help_(many_table_ *table, uint64_t key)
{
    const int w = table->worker;
    const uint32_t depth = atomic_load_explicit(&table->record[w].depth, memory_order_relaxed);

    if (depth + 1 >= MANY_STACK_MOST_ || (depth > 0 && many_table_stack_reserve_(table, depth) < 0))
        return many_fail(-EDEADLK,
                         "many_future_wait: worker %d is in %d tasks that wait for one another: it "
                         "takes no more",
                         w, MANY_STACK_MOST_ - 1);
    atomic_store_explicit(&many_table_stack_(table, w)[depth].key, key, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    MANY_FAULT_POINT("worker.help.intent");
    if (!many_ticket_claim_(many_table_ticket_(table, key), key, w))
        return 0;
    MANY_FAULT_POINT("worker.help.claimed");
    many_run_ticket_(table, key);
    return 1;
}
