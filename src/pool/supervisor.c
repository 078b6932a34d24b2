/* SPDX-License-Identifier: MIT */
/*
 * supervisor.c - the small process that makes the workers of a pool; see pool/supervisor.h
 *
 * Promise    As long as the pool is neither broken nor at its end every place has a worker, or gets one: who
 *            dies is reaped, what it left is settled (pool/recovery.h), and another is forked.
 * Invariant  place[w].pid is a child that is not reaped, so a signal to it, or to its process group, hits
 *            nobody else. A place is filled only after what its last worker left was settled.
 * Death      Of the supervisor: its workers die with it, and whoever waits in the owner settles what they
 *            left and starts another (pool/process_start.h). It holds nothing that others need: what it
 *            was in the middle of is done again from the beginning, which recovery.h allows.
 *            Of the owner: all groups are killed, at once; a supervisor that somebody had stopped is told to go on
 *            by the kernel, when its parent ends. A worker that is being forked meanwhile is killed by
 *            the kernel when the supervisor leaves.
 *
 * Each worker leads a process group: so a signal reaches what a task has started, and those that a terminal
 * sends (Ctrl-C) do not reach the workers, which end when the owner says so. What a terminal does to a group
 * in the background, that is stop it, is ignored: a read from it fails with EIO instead.
 */
#include "pool/supervisor.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/launch.h"
#include "os/stream.h"
#include "pool/process_worker.h"
#include "pool/recovery.h"
#include "pool/supervisor_parts.h"
#include "process/child.h"
#include "process/current.h"

/* Where the owner's end is told by no descriptor, look this often. */
#define SUPERVISOR_LOOK_NS (50 * MANY_MILLISECOND_NS)

/* So many workers in a row whose initializer failed, and the pool is broken. */
#define SUPERVISOR_FAILED_MOST 3

/* So many in a row that died before they began a task: something kills them, whatever they are to do. */
#define SUPERVISOR_BARREN_MOST 1000

/* Where no process can be had: try so often, so many times before it is given up with no worker alive. */
#define SUPERVISOR_HUNGRY_NS    (50 * MANY_MILLISECOND_NS)
#define SUPERVISOR_STARVED_MOST 20

/* Idle workers leave in no time when they are told to. */
#define SUPERVISOR_LEAVE_NS MANY_SECOND_NS

enum { SUPERVISOR_BELL, SUPERVISOR_ENDS, SUPERVISOR_OWNER, SUPERVISOR_POLLS };

/* ---- signals ---- */

void many_supervisor_signal_(const many_supervisor_self_ *supervisor, int w, int signal)
{
    const pid_t pid = supervisor->place[w].pid;

    /* Its group is there from the fork on, because both sides make it; it is not reaped, so the number of
     * neither is anybody else's. */
    if (pid != 0 && kill(-pid, signal) < 0)
        kill(pid, signal);
}

static void supervisor_kill_all(const many_supervisor_self_ *supervisor)
{
    for (int w = 0; w < supervisor->table->head->workers; w++)
        many_supervisor_signal_(supervisor, w, SIGKILL);
}

/* The owner is gone, and with it everybody who could want something. Who reaps orphans in a container is not
 * always there: so it is done here, as far as it goes quickly. */
static _Noreturn void supervisor_abandon(const many_supervisor_self_ *supervisor)
{
    const int64_t until_ns = many_clock_ns_() + SUPERVISOR_LEAVE_NS;
    struct pollfd ends = {supervisor->ends, POLLIN, 0};

    supervisor_kill_all(supervisor);
    MANY_FAULT_POINT("supervisor.abandons");
    do {
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        }
        if (pid < 0)
            break;
        poll(&ends, 1, (int)(SUPERVISOR_LOOK_NS / MANY_MILLISECOND_NS));
        many_launch_ends_quiet_(supervisor->ends);
    } while (many_clock_ns_() < until_ns);
    _exit(0);
}

/* ---- making workers ---- */

/* In the new process. */
static _Noreturn void supervisor_become_worker(const many_supervisor_self_ *supervisor, int w)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    many_worker_life_ life;
    many_child_plan_ plan;
    char name[MANY_PROCESS_NAME_BYTES_ + 24];

    setpgid(0, 0);
    sigaction(SIGTTIN, &ignore, NULL);
    sigaction(SIGTTOU, &ignore, NULL);
    close(supervisor->ends);
    if (supervisor->ignores)
        many_launch_ignore_ends_();
    many_launch_set_mask_(supervisor->mask);
    life = (many_worker_life_){
        .table = supervisor->table,
        .worker = w,
        .supervisor = supervisor->self,
        .initializer = supervisor->initializer,
        .argument = supervisor->argument,
        .tasks_most = supervisor->plan->tasks_per_worker,
        .modules = supervisor->plan->modules,
        .modules_count = supervisor->plan->modules_count,
    };
    snprintf(name, sizeof name, "%s worker %d", supervisor->table->roster->name, w);
    plan = (many_child_plan_){
        .name = name,
        .method = supervisor->plan->method,
        .fn = many_worker_main_,
        .argument = &life,
        .inherits = supervisor->inherits,
        .inherits_count = supervisor->plan->inherits_count,
        .parent_name = supervisor->plan->owner_name,
        .parent = supervisor->plan->owner,
        .parent_identity = supervisor->plan->owner_identity,
    };
    many_child_run_(&plan);
}

/* 1: there is one now; or a negative errno. */
static int supervisor_hire(many_supervisor_self_ *supervisor, int w)
{
    many_supervisor_place_ *place = &supervisor->place[w];
    many_child_ child;
    int code;

    many_recover_place_(supervisor->table, w);
    MANY_FAULT_POINT("supervisor.hire.before");
    code = many_child_fork_(&child);
    if (code == 0)
        supervisor_become_worker(supervisor, w);
    if (code < 0)
        return code;
    setpgid(child.pid, child.pid);
    MANY_FAULT_POINT("supervisor.hire.forked");
    *place = (many_supervisor_place_){.pid = child.pid, .number = ++supervisor->hires};
    supervisor->living++;
    many_roster_arrive_(&supervisor->table->roster->place[w], child.pid, child.pid);
    /* One signal tells of all ends, however many children there are. */
    if (child.fd >= 0)
        close(child.fd);
    return 1;
}

static void supervisor_break(many_supervisor_self_ *supervisor, const char *words)
{
    many_recover_break_(supervisor->table, -MANY_EBROKEN, words);
    supervisor_kill_all(supervisor);
}

static int supervisor_is_broken(const many_supervisor_self_ *supervisor)
{
    return atomic_load_explicit(&supervisor->table->roster->broken, memory_order_acquire) != 0;
}

/* A worker for each place that has none. */
static void supervisor_staff(many_supervisor_self_ *supervisor)
{
    const int workers = supervisor->table->head->workers;
    char words[160];
    int code = 1;

    supervisor->hungry = 0;
    for (int w = 0; w < workers && code > 0; w++)
        if (supervisor->place[w].pid == 0)
            code = supervisor_hire(supervisor, w);
    if (code > 0) {
        supervisor->starved = 0;
        return;
    }
    supervisor->hungry = 1;
    supervisor->hungry_ns = many_clock_ns_() + SUPERVISOR_HUNGRY_NS;
    if (supervisor->living > 0 || ++supervisor->starved < SUPERVISOR_STARVED_MOST)
        return;
    snprintf(words, sizeof words,
             "no worker process could be made (%s): fewer .workers, or raise ulimit -u",
             many_error_name(code));
    supervisor_break(supervisor, words);
}

/* ---- ends of workers ---- */

static void supervisor_judge_initializer(many_supervisor_self_ *supervisor,
                                         const many_recovered_ *recovered)
{
    char words[256];

    for (int w = 0; w < supervisor->table->head->workers; w++)
        if ((int32_t)(supervisor->place[w].number - supervisor->failed_hires) > 0 &&
            atomic_load_explicit(&supervisor->table->record[w].began, memory_order_acquire))
            supervisor->failed = 0;
    supervisor->failed_hires = supervisor->hires;
    if (++supervisor->failed < SUPERVISOR_FAILED_MOST)
        return;
    snprintf(words, sizeof words, "the initializer of %d workers in a row failed: %s",
             SUPERVISOR_FAILED_MOST, recovered->words);
    supervisor_break(supervisor, words);
}

/* What its end says about the pool as a whole. */
static void supervisor_judge(many_supervisor_self_ *supervisor, int w,
                             const many_recovered_ *recovered)
{
    const uint64_t done = many_recover_done_(supervisor->table);
    char words[256];

    if (recovered->initializer_failed && supervisor->initializer != NULL) {
        supervisor_judge_initializer(supervisor, recovered);
        return;
    }
    supervisor->failed = 0;
    if (!recovered->barren || supervisor->place[w].condemned || done != supervisor->barren_done)
        supervisor->barren = 0;
    supervisor->barren_done = done;
    if (!recovered->barren || ++supervisor->barren < SUPERVISOR_BARREN_MOST)
        return;
    snprintf(words, sizeof words, "%d workers in a row died before they began a task: %s",
             SUPERVISOR_BARREN_MOST, recovered->words);
    supervisor_break(supervisor, words);
}

static void supervisor_bury(many_supervisor_self_ *supervisor, int w, int status,
                            const struct rusage *usage)
{
    many_supervisor_place_ *place = &supervisor->place[w];
    many_roster_ *roster = supervisor->table->roster;
    const uint32_t order = atomic_load(&supervisor->table->head->order);
    many_death_ death = {.pid = place->pid,
                         .cancelled = order != MANY_ORDER_GO_ON_,
                         .item_verdict = place->verdict,
                         .peak_bytes = place->peak_bytes};
    many_recovered_ recovered;

    many_ending_from_(&death.ending, status, -1);
    death.ending.peak_bytes = (uint64_t)usage->ru_maxrss * 1024;
    many_recover_worker_(supervisor->table, w, &death, &recovered);
    MANY_FAULT_POINT("supervisor.bury.recovered");
    many_roster_leave_(&roster->place[w]);
    if (order == MANY_ORDER_GO_ON_ && !supervisor_is_broken(supervisor)) {
        atomic_fetch_add_explicit(&roster->replaced, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&roster->died, !recovered.left, memory_order_relaxed);
        supervisor_judge(supervisor, w, &recovered);
    }
    *place = (many_supervisor_place_){0};
    supervisor->living--;
    /* Who listens there may wait for what was just settled. */
    many_bell_ring_(supervisor->table->owner_bell);
}

static void supervisor_reap(many_supervisor_self_ *supervisor)
{
    struct rusage usage;
    int status;
    pid_t pid;

    many_launch_ends_quiet_(supervisor->ends);
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
        MANY_FAULT_POINT("supervisor.reaped");
        for (int w = 0; w < supervisor->table->head->workers; w++) {
            if (supervisor->place[w].pid != pid)
                continue;
            supervisor_bury(supervisor, w, status, &usage);
            break;
        }
    }
}

/* ---- what the owner orders ---- */

/* 1: everybody is gone, and everything settled: the supervisor may go, too. */
static int supervisor_obey(many_supervisor_self_ *supervisor)
{
    many_table_ *table = supervisor->table;
    const uint32_t order = atomic_load(&table->head->order);
    const int64_t now_ns = many_clock_ns_();

    if (order == MANY_ORDER_GO_ON_)
        return 0;
    if (supervisor->leave_ns == 0) {
        supervisor->leave_ns = order == MANY_ORDER_CUT_ ? now_ns : now_ns + SUPERVISOR_LEAVE_NS;
        atomic_fetch_add(&table->head->rest.word, 2);
        many_futex_wake_(&table->head->rest.word, INT_MAX);
    }
    if (order == MANY_ORDER_CUT_ || now_ns >= supervisor->leave_ns) {
        supervisor_kill_all(supervisor);
        supervisor->leave_ns = now_ns + SUPERVISOR_LOOK_NS;
    }
    if (supervisor->living > 0)
        return 0;
    many_recover_sweep_(table, MANY_VERDICT_CANCELLED_);
    atomic_store_explicit(&table->head->workers_gone, 1, memory_order_release);
    MANY_FAULT_POINT("supervisor.obeyed");
    return 1;
}

/* ---- the loop ---- */

static int supervisor_is_orphan(const many_supervisor_self_ *supervisor)
{
    return many_current_orphaned_(supervisor->owner);
}

/* When to wake without an event. */
static int64_t supervisor_due_ns(const many_supervisor_self_ *supervisor)
{
    int64_t due_ns = supervisor->limits_ns;

    if (supervisor->hungry && supervisor->hungry_ns < due_ns)
        due_ns = supervisor->hungry_ns;
    if (supervisor->leave_ns != 0 && supervisor->leave_ns < due_ns)
        due_ns = supervisor->leave_ns;
    if (supervisor->owner->child.fd < 0) {
        const int64_t look_ns = many_clock_ns_() + SUPERVISOR_LOOK_NS;

        due_ns = look_ns < due_ns ? look_ns : due_ns;
    }
    return due_ns;
}

static void supervisor_wait(const many_supervisor_self_ *supervisor)
{
    struct pollfd polls[SUPERVISOR_POLLS] = {
        [SUPERVISOR_BELL] = {supervisor->table->supervisor_bell, POLLIN, 0},
        [SUPERVISOR_ENDS] = {supervisor->ends, POLLIN, 0},
        [SUPERVISOR_OWNER] = {supervisor->owner->child.fd, POLLIN, 0}};

    if (poll(polls, SUPERVISOR_POLLS, many_poll_ms_(supervisor_due_ns(supervisor))) > 0 &&
        polls[SUPERVISOR_BELL].revents != 0)
        many_bell_silence_(supervisor->table->supervisor_bell);
}

static void supervisor_run(many_supervisor_self_ *supervisor)
{
    for (;;) {
        if (supervisor_is_orphan(supervisor))
            supervisor_abandon(supervisor);
        supervisor_reap(supervisor);
        if (supervisor_obey(supervisor))
            return;
        many_supervisor_limit_(supervisor);
        if (supervisor->leave_ns == 0 && !supervisor_is_broken(supervisor) &&
            supervisor->living < supervisor->table->head->workers &&
            (!supervisor->hungry || many_clock_ns_() >= supervisor->hungry_ns))
            supervisor_staff(supervisor);
        MANY_FAULT_POINT("supervisor.round");
        supervisor_wait(supervisor);
    }
}

/* ---- its beginning ---- */

/* The memory and the bells, which the owner sends by the last of the inherits. 0 or a negative code. */
static int supervisor_receive(const many_supervisor_plan_ *plan, int descriptors[3])
{
    many_pipe *pipe = many_inherited(plan->inherits_count).pipe;
    int code = 0;

    for (int i = 0; i < 3 && code >= 0; i++)
        descriptors[i] = code = many_pipe_receive_descriptor(pipe, MANY_FOREVER);
    many_pipe_close(pipe);
    return code < 0 ? code : 0;
}

static int supervisor_find_initializer(many_supervisor_self_ *supervisor)
{
    const many_supervisor_plan_ *plan = supervisor->plan;
    many_any_fn_ *fn;
    int code;

    if (plan->method == MANY_FORK) {
        supervisor->initializer = plan->initializer;
        supervisor->argument = plan->argument;
        return 0;
    }
    if (plan->argument_bytes > 0)
        supervisor->argument = (void *)(uintptr_t)(plan + 1);
    if (!plan->has_initializer)
        return 0;
    code = many_reference_find_(&plan->reference, NULL, 0, &fn, "many_pool_open: .initializer");
    if (code == 0)
        supervisor->initializer = (many_initializer_fn *)fn;
    return code;
}

/* What the user's inherits are in this process. */
static int supervisor_inherit(many_supervisor_self_ *supervisor)
{
    const size_t count = (size_t)supervisor->plan->inherits_count;

    supervisor->inherits = calloc(count + 1, sizeof *supervisor->inherits);
    if (supervisor->inherits == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        supervisor->inherits[i] = many_inherited(i);
    return 0;
}

/* What it needs to watch over workers. 0 or a negative code, with words. */
static int supervisor_equip(many_supervisor_self_ *supervisor)
{
    int code = supervisor_inherit(supervisor);

    supervisor->place = calloc((size_t)supervisor->table->head->workers, sizeof *supervisor->place);
    if (code < 0 || supervisor->place == NULL)
        return many_fail(-ENOMEM, "no memory for the process that makes the workers");
    supervisor->ignores = many_launch_reap_();
    supervisor->ends = many_launch_ends_open_();
    if (supervisor->ends < 0)
        return many_fail(supervisor->ends,
                         "no descriptor for the process that makes the workers (%s): close some, "
                         "or raise ulimit -n",
                         many_error_name(supervisor->ends));
    return supervisor_find_initializer(supervisor);
}

/* 0 or a negative code: it cannot even say why, or has said it. */
static int supervisor_prepare(many_supervisor_self_ *supervisor)
{
    const many_supervisor_plan_ *plan = supervisor->plan;
    int descriptors[3] = {plan->memory, plan->bell, plan->owner_bell};
    int code = 0;

    if (plan->method != MANY_FORK)
        code = supervisor_receive(plan, descriptors);
    if (code == 0)
        code = many_table_attach_(&supervisor->table, plan->base, descriptors[0], descriptors[1],
                                  descriptors[2], plan->workers + 1);
    if (code < 0)
        return code;
    MANY_FAULT_POINT("supervisor.attached");
    code = supervisor_equip(supervisor);
    if (code < 0)
        many_recover_break_(supervisor->table, -MANY_EBROKEN, many_error_words_(code));
    return code;
}

int many_supervisor_main_(void *argument)
{
    many_supervisor_self_ supervisor = {.plan = argument,
                                        .self = getpid(),
                                        .mask = many_launch_mask_(),
                                        .limits_ns = MANY_NEVER_NS};

    many_launch_block_();
    many_launch_rouse_with_parent_();
    supervisor.owner = many_process_parent();
    if (supervisor_is_orphan(&supervisor) || supervisor_prepare(&supervisor) < 0)
        _exit(MANY_CHILD_LOST_);
    supervisor_run(&supervisor);
    free(supervisor.place);
    free(supervisor.inherits);
    many_table_close_(supervisor.table);
    return 0;
}
