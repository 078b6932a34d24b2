/* SPDX-License-Identifier: MIT */
/*
 * supervisor_limits.c - limits of time and memory, and tasks that are to be terminated; see supervisor_parts.h
 *
 * Promise    What is ended is the try, or the task, that was looked at, never what its worker runs after it: by a
 *            compare-and-swap that fails if the worker is through. Only after it a signal is sent, to a worker
 *            that cannot get on any more. No try is ended before its limit.
 * Sleep      polling is 0 while the supervisor does not look by the clock. It stores that, fences, and looks at
 *            all stacks once more; a worker that begins something limited counts that, fences, and rings if
 *            polling is 0: one of the two sees the other. Who terminates a task rings always.
 */
#include "pool/supervisor_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/memory.h"

/* A worker's resident size is looked at so often while it is in a task that has a limit of it. */
#define LIMITS_MEMORY_NS (20 * MANY_MILLISECOND_NS)

/* Looks are no closer to each other, and no farther apart while something is watched. */
#define LIMITS_LEAST_NS MANY_MILLISECOND_NS
#define LIMITS_MOST_NS  (250 * MANY_MILLISECOND_NS)

/* One look at everybody. */
typedef struct limits_look {
    many_supervisor_self_ *supervisor;
    int64_t now_ns;
    int64_t due_ns; /* when to look again; MANY_NEVER_NS: nothing is watched */
} limits_look;

static void limits_want(limits_look *look, int64_t due_ns)
{
    if (due_ns < look->now_ns + LIMITS_LEAST_NS)
        due_ns = look->now_ns + LIMITS_LEAST_NS;
    if (due_ns > look->now_ns + LIMITS_MOST_NS)
        due_ns = look->now_ns + LIMITS_MOST_NS;
    if (due_ns < look->due_ns)
        look->due_ns = due_ns;
}

/* ---- memory ---- */

/* Resident bytes of worker w; 0: not to be had. */
static uint64_t limits_resident(many_supervisor_self_ *supervisor, int w)
{
    many_supervisor_place_ *place = &supervisor->place[w];
    char path[32], text[64], *end;
    uint64_t bytes;
    ssize_t got;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)place->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0)
        return 0;
    text[got] = '\0';
    (void)strtoull(text, &end, 10); /* all of it; then what is resident, in pages */
    bytes = strtoull(end, NULL, 10) * many_memory_page_();
    if (bytes > place->peak_bytes)
        place->peak_bytes = bytes;
    return bytes;
}

/* ---- ending ---- */

/* It is condemned, with all that its worker is in. */
static void limits_kill(many_supervisor_self_ *supervisor, int w, int signal)
{
    supervisor->place[w].condemned = 1;
    MANY_FAULT_POINT("supervisor.condemned");
    many_supervisor_signal_(supervisor, w, signal);
}

/* Item of a batch: 1: this very try will not go on. */
static int limits_condemn_item(many_ticket_ *ticket, uint64_t progress)
{
    return atomic_compare_exchange_strong_explicit(&ticket->progress, &progress,
                                                   (progress & ~MANY_PHASES_) | MANY_CONDEMNED_,
                                                   memory_order_acq_rel, memory_order_acquire);
}

/*
 * A task: the same. Its claim word is the same in all tries: so it is looked once more whether it was this one. If
 * not, it is spared; its worker has gone on with the next try, or, having seen the end of the last one, has left
 * with the outcome recorded, which stands.
 */
static int limits_condemn_task(many_table_ *table, uint64_t key, int w, uint64_t verdict,
                               uint64_t progress)
{
    const many_ticket_ *ticket = many_table_ticket_(table, key);

    if (atomic_load_explicit(&ticket->progress, memory_order_acquire) != progress)
        return 0;
    MANY_FAULT_POINT("supervisor.condemn.task");
    if (!many_ticket_condemn_(table, key, w, verdict))
        return 0;
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&ticket->progress, memory_order_acquire) == progress ||
           !many_ticket_spare_(table, key, w, verdict);
}

/* ---- limits ---- */

/* What it is over by now; 0: nothing. */
static uint64_t limits_verdict(limits_look *look, int w, const many_cold_ *cold, int64_t began_ns)
{
    if (cold->limit_ns > 0) {
        /* Not more than the distance, which cannot overflow. */
        if (look->now_ns - began_ns >= cold->limit_ns)
            return MANY_VERDICT_TIMEOUT_;
        limits_want(look, cold->limit_ns > MANY_NEVER_NS - began_ns ? MANY_NEVER_NS
                                                                    : began_ns + cold->limit_ns);
    }
    if (cold->limit_bytes > 0) {
        if (limits_resident(look->supervisor, w) > cold->limit_bytes)
            return MANY_VERDICT_MEMORY_;
        limits_want(look, look->now_ns + LIMITS_MEMORY_NS);
    }
    return 0;
}

/* A ticket with limits, which w runs. 1: w is killed. */
static int limits_check(limits_look *look, int w, uint64_t key, const many_stack_ *place)
{
    many_supervisor_self_ *supervisor = look->supervisor;
    many_table_ *table = supervisor->table;
    many_ticket_ *ticket = many_table_ticket_(table, key);
    const many_cold_ *cold = many_table_cold_(table, key);
    /* In this order: when began_ns is older than the progress, that has changed, and the swap fails. */
    const uint64_t progress = atomic_load_explicit(&ticket->progress, memory_order_acquire);
    const int64_t began_ns = atomic_load_explicit(&place->began_ns, memory_order_acquire);
    uint64_t verdict;

    if (began_ns == 0 || (progress & MANY_PHASES_) != MANY_RUNNING_) {
        /* It is just about to begin. */
        limits_want(look,
                    look->now_ns + (cold->limit_ns > 0 && cold->limit_ns < 8 * LIMITS_MEMORY_NS
                                        ? cold->limit_ns / 8
                                        : LIMITS_MEMORY_NS));
        return 0;
    }
    verdict = limits_verdict(look, w, cold, began_ns);
    if (verdict == 0)
        return 0;
    MANY_FAULT_POINT("supervisor.condemn");
    if ((ticket->flags & MANY_TICKET_BATCH_) != 0) {
        if (!limits_condemn_item(ticket, progress))
            return 0;
    } else if (!limits_condemn_task(table, key, w, verdict, progress)) {
        return 0;
    }
    supervisor->place[w].verdict = verdict;
    limits_kill(supervisor, w, SIGKILL);
    return 1;
}

/* ---- terminate ---- */

/* A ticket that somebody has ended, and that w is still in. */
static void limits_press(limits_look *look, int w, uint64_t key)
{
    many_supervisor_self_ *supervisor = look->supervisor;
    many_supervisor_place_ *place = &supervisor->place[w];
    many_ticket_ *ticket = many_table_ticket_(supervisor->table, key);
    const int64_t grace_ns =
        (int64_t)atomic_load_explicit(&ticket->grace_ms, memory_order_acquire) *
        MANY_MILLISECOND_NS;

    if (place->asked != key) {
        place->asked = key;
        place->asked_ns = look->now_ns;
    }
    if (look->now_ns - place->asked_ns < grace_ns) {
        limits_want(look, place->asked_ns + grace_ns);
        return;
    }
    if (!many_ticket_condemn_(supervisor->table, key, w, MANY_VERDICT_CANCELLED_))
        return;
    place->kill_ns = look->now_ns + grace_ns;
    limits_kill(supervisor, w, grace_ns > 0 ? SIGTERM : SIGKILL);
    limits_want(look, place->kill_ns);
}

/* ---- everybody ---- */

static void limits_look_at(limits_look *look, int w)
{
    many_supervisor_self_ *supervisor = look->supervisor;
    many_supervisor_place_ *place = &supervisor->place[w];
    many_table_ *table = supervisor->table;
    const many_worker_record_ *record = &table->record[w];
    const many_stack_ *stack = many_table_stack_(table, w);
    uint32_t depth = atomic_load_explicit(&record->depth, memory_order_acquire);

    if (place->condemned) {
        if (place->kill_ns != 0 && look->now_ns >= place->kill_ns)
            many_supervisor_signal_(supervisor, w, SIGKILL);
        limits_want(look, place->kill_ns);
        return;
    }
    for (uint32_t d = 0; d < depth && d < MANY_STACK_MOST_; d++) {
        const uint64_t key = atomic_load_explicit(&stack[d].key, memory_order_acquire);
        const many_ticket_ *ticket = many_table_ticket_(table, key);
        const uint64_t claim =
            key == 0 ? 0 : atomic_load_explicit(&ticket->claim, memory_order_acquire);

        if (key == 0 || !many_key_is_(key, claim) || many_claim_worker_(claim) != w)
            continue;
        if (many_claim_phase_(claim) == MANY_TICKET_ASKED_)
            limits_press(look, w, key);
        else if (many_claim_phase_(claim) == MANY_TICKET_CLAIMED_ &&
                 (ticket->flags & MANY_TICKET_LIMITED_) != 0 &&
                 limits_check(look, w, key, &stack[d]))
            return;
    }
}

static int64_t limits_look_at_all(many_supervisor_self_ *supervisor)
{
    limits_look look = {supervisor, many_clock_ns_(), MANY_NEVER_NS};

    for (int w = 0; w < supervisor->table->head->workers; w++)
        if (supervisor->place[w].pid != 0)
            limits_look_at(&look, w);
    return look.due_ns;
}

void many_supervisor_limit_(many_supervisor_self_ *supervisor)
{
    many_table_head_ *head = supervisor->table->head;

    supervisor->limits_ns = limits_look_at_all(supervisor);
    if (supervisor->limits_ns == MANY_NEVER_NS &&
        atomic_load_explicit(&head->polling, memory_order_relaxed) == 0)
        return;
    if (supervisor->limits_ns == MANY_NEVER_NS) {
        atomic_store_explicit(&head->polling, 0, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        MANY_FAULT_POINT("supervisor.dozes");
        supervisor->limits_ns = limits_look_at_all(supervisor);
    }
    if (supervisor->limits_ns != MANY_NEVER_NS)
        atomic_store_explicit(&head->polling, 1, memory_order_relaxed);
}
