/* SPDX-License-Identifier: MIT */
/*
 * process_start.c - the owner's side of the supervisor; see pool/process_start.h
 *
 * The supervisor is a process as many_process_start() makes them, by any method, that is not among the caller's
 * children: many_process_children() is for what he started. It is no daemon: it watches its owner itself.
 */
#include "pool/process_start.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"
#include "os/clock.h"
#include "os/launch.h"
#include "os/stream.h"
#include "os/thread.h"
#include "pool/recovery.h"
#include "pool/supervisor.h"
#include "process/current.h"
#include "process/server.h"
#include "process/spawn.h"
#include "task/reference.h"

/* A supervisor answers an order in microseconds; one that was stopped is told to go on so often. */
#define SUPERVISION_ROUSE_NS MANY_SECOND_NS

/* One that does not end although all was to be cut off is killed, and its work done here. */
#define SUPERVISION_PATIENCE_NS (10 * MANY_SECOND_NS)

/* How often to look for the end of a process that no descriptor tells of. */
#define SUPERVISION_LOOK_MS 2

/* So many supervisors in a row died before any task was done: something kills them at once. */
#define SUPERVISION_BARREN_MOST 1000

/* ---- what the supervisor is told ---- */

static int supervision_fill(const many_supervision_ *supervision, many_supervisor_plan_ *plan)
{
    const many_pool_options *option = &supervision->option;
    const many_process *current = many_process_current();
    const pid_t self = getpid();
    many_identity_ me = many_self_();
    many_text_ name;

    memset(plan, 0, offsetof(many_supervisor_plan_, reference));
    plan->method = option->method;
    plan->memory = supervision->table->memory;
    plan->bell = supervision->table->supervisor_bell;
    plan->workers = supervision->table->head->workers;
    plan->owner_bell = supervision->table->owner_bell;
    plan->owner = self;
    plan->owner_identity =
        (me & MANY_IDENTITY_THREAD_) == (uint32_t)self ? me : many_self_of_(self);
    plan->has_initializer = option->initializer != NULL;
    plan->inherits_count = option->inherits_count;
    plan->tasks_per_worker = option->tasks_per_worker;
    plan->argument_bytes = option->initializer_bytes;
    many_text_begin_(&name, plan->owner_name, sizeof plan->owner_name);
    many_text_add_(&name, current->name);
    plan->base = option->method == MANY_FORK ? supervision->table->base : NULL;
    plan->initializer = option->initializer;
    plan->argument = option->initializer_argument;
    plan->modules = supervision->modules;
    plan->modules_count = supervision->modules_count;
    plan->inherits = option->inherits;
    if (option->method == MANY_FORK || option->initializer == NULL)
        return 0;
    return many_reference_make_((many_any_fn_ *)option->initializer, &plan->reference,
                                "many_pool_open: .initializer");
}

static many_process *supervision_new(const many_supervision_ *supervision)
{
    many_process *process =
        MANY_FAULT_ERROR("supervisor.new") < 0 ? NULL : calloc(1, sizeof *process);
    many_text_ name;

    if (process == NULL)
        return NULL;
    many_text_begin_(&name, process->name, sizeof process->name);
    many_text_add_(&name, supervision->table->roster->name);
    many_text_add_(&name, " supervisor");
    process->process = many_self_process_();
    process->kind = MANY_IS_CHILD_;
    process->method = supervision->option.method;
    process->child.fd = -1;
    process->status_fd = -1;
    process->start_ns = many_clock_ns_();
    pthread_mutex_init(&process->lock, NULL);
    return process;
}

/* ---- starting it ---- */

static int supervision_fork(many_supervision_ *supervision, many_process *process)
{
    many_supervisor_plan_ plan; /* the child has it where it lies: this very frame */
    int code = supervision_fill(supervision, &plan);
    many_process_options options = {.size = sizeof options,
                                    .fn = many_supervisor_main_,
                                    .argument = &plan,
                                    .method = MANY_FORK,
                                    .inherits = supervision->option.inherits,
                                    .inherits_count = supervision->option.inherits_count};

    return code < 0 ? code : many_process_start_fork_(process, &options);
}

/* The memory and the bells, by the pipe that is the last of its inherits. */
static int supervision_send(const many_supervision_ *supervision, many_pipe *pipe)
{
    const many_table_ *table = supervision->table;
    const int descriptors[] = {table->memory, table->supervisor_bell, table->owner_bell};
    int code = 0;

    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0] && code == 0; i++) {
        MANY_FAULT_POINT("supervisor.start.send");
        code = many_pipe_send_descriptor(pipe, descriptors[i], MANY_FOREVER);
    }
    /* Dead already, which is noticed as it is at any other time. */
    return code == -EPIPE ? 0 : code;
}

static int supervision_apart_with(many_supervision_ *supervision, many_process *process,
                                  many_supervisor_plan_ *plan, size_t bytes, many_inherit *inherits)
{
    const many_pool_options *option = &supervision->option;
    const size_t count = option->inherits_count;
    many_pipe *ours, *theirs;
    many_process_options options = {.size = sizeof options,
                                    .fn = many_supervisor_main_,
                                    .argument = plan,
                                    .argument_bytes = bytes,
                                    .method = option->method,
                                    .inherits = inherits,
                                    .inherits_count = count + 1};
    int code = supervision_fill(supervision, plan);

    if (code < 0)
        return code;
    if (option->initializer_bytes > 0)
        memcpy(plan + 1, option->initializer_argument, option->initializer_bytes);
    if (count > 0)
        memcpy(inherits, option->inherits, count * sizeof *inherits);
    code = many_pipe_open(&ours, &theirs);
    if (code < 0)
        return code;
    inherits[count] = (many_inherit){.pipe = theirs};
    code = option->method == MANY_SPAWN ? many_process_start_spawn_(process, &options)
                                        : many_process_start_server_(process, &options);
    many_pipe_close(theirs);
    if (code == 0) {
        /* Without a pidfd, what somebody else reaps is known by its start time. */
        if (process->status_fd >= 0 && process->child.fd < 0)
            process->identity = many_self_of_(process->pid);
        code = supervision_send(supervision, ours);
        if (code < 0)
            many_process_put_down_(process);
    }
    many_pipe_close(ours);
    return code;
}

/* As a process that is no fork of this one. */
static int supervision_apart(many_supervision_ *supervision, many_process *process)
{
    const many_pool_options *option = &supervision->option;
    const size_t bytes = sizeof(many_supervisor_plan_) + option->initializer_bytes;
    many_supervisor_plan_ *plan = calloc(1, bytes);
    many_inherit *inherits = calloc(option->inherits_count + 1, sizeof *inherits);
    int code = -ENOMEM;

    if (plan != NULL && inherits != NULL)
        code = supervision_apart_with(supervision, process, plan, bytes, inherits);
    else
        many_fail(code, "no memory for its arguments");
    free(inherits);
    free(plan);
    return code;
}

/* Under the lock, or before there is another thread; none lives. */
static int supervision_once(many_supervision_ *supervision)
{
    const int held = many_thread_hold_(); /* a pthread_cancel() would leave a process behind */
    many_process *process = supervision_new(supervision);
    char words[192];
    int code = -ENOMEM;

    MANY_FAULT_POINT("supervisor.start");
    (void)many_current_is_forked_(); /* what this process starts, shall know that it is */
    atomic_fetch_add_explicit(&supervision->table->head->generation, 1, memory_order_relaxed);
    if (process != NULL)
        code = supervision->option.method == MANY_FORK ? supervision_fork(supervision, process)
                                                       : supervision_apart(supervision, process);
    if (code < 0) {
        many_text_ text;

        many_text_begin_(&text, words, sizeof words);
        many_text_add_(&text, process == NULL ? "no memory for a handle" : many_error_words_(code));
        many_fail(code, "many_pool_open: '%s' got no process that makes its workers: %s",
                  supervision->table->roster->name, words);
        if (process != NULL)
            many_process_free_(process);
        process = NULL;
    }
    supervision->supervisor = process;
    supervision->rouse_ns = 0;
    MANY_FAULT_POINT("supervisor.started");
    many_thread_let_go_(held);
    return code;
}

/* ---- the copies that outlive the call of open ---- */

static int supervision_copy(many_supervision_ *supervision)
{
    many_pool_options *option = &supervision->option;
    const size_t inherits = option->inherits_count * sizeof *option->inherits;

    if (option->initializer_bytes > 0) {
        supervision->initializer_copy = malloc(option->initializer_bytes);
        if (supervision->initializer_copy == NULL)
            return -ENOMEM;
        memcpy(supervision->initializer_copy, option->initializer_argument,
               option->initializer_bytes);
        option->initializer_argument = supervision->initializer_copy;
    }
    if (inherits > 0) {
        supervision->inherits_copy = malloc(inherits);
        if (supervision->inherits_copy == NULL)
            return -ENOMEM;
        memcpy(supervision->inherits_copy, option->inherits, inherits);
        option->inherits = supervision->inherits_copy;
    }
    /* In a fork of a process with threads the lock of the loader may be held for ever: it is asked now. */
    if (option->method == MANY_FORK)
        supervision->modules = many_current_is_forked_()
                                   ? many_module_program_(&supervision->modules_count)
                                   : many_module_list_(&supervision->modules_count);
    if (supervision->modules == NULL)
        supervision->modules_count = 0;
    return 0;
}

/* It listens to its children by a descriptor: where there is none for it now, there will be none for the next. */
static int supervision_has_room(void)
{
    const int fd = many_bell_open_();

    if (fd < 0)
        return many_fail(fd,
                         "many_pool_open: no descriptor to be had for the process that makes the "
                         "workers: close some, or raise the limit (ulimit -n)");
    many_bell_close_(fd);
    return 0;
}

int many_supervision_open_(many_supervision_ *supervision, many_table_ *table,
                           const many_pool_options *option)
{
    int code;

    memset(supervision, 0, sizeof *supervision);
    pthread_mutex_init(&supervision->lock, NULL);
    supervision->table = table;
    supervision->option = *option;
    supervision->process = many_self_process_();
    code = supervision_copy(supervision);
    if (code < 0)
        many_fail(code, "many_pool_open: no memory for copies of the options");
    else
        code = supervision_has_room();
    if (code == 0)
        code = supervision_once(supervision);
    if (code < 0)
        many_supervision_close_(supervision);
    return code;
}

void many_supervision_close_(many_supervision_ *supervision)
{
    free(supervision->initializer_copy);
    free(supervision->inherits_copy);
    free(supervision->modules);
    supervision->initializer_copy = NULL;
    supervision->inherits_copy = NULL;
    supervision->modules = NULL;
}

void many_supervision_forget_(many_supervision_ *supervision)
{
    /* The lock may have been held by a thread that is not in this process; what it protects is not touched
     * by more than a read, and the descriptors of the copy are closed. */
    many_process *process = supervision->supervisor;

    if (process != NULL) {
        if (process->child.fd >= 0)
            close(process->child.fd);
        if (process->status_fd >= 0)
            close(process->status_fd);
    }
    many_supervision_close_(supervision);
}

/* ---- looking ---- */

/* The lock is held: 1: it lives. */
static int supervision_lives(many_supervision_ *supervision)
{
    return supervision->supervisor != NULL && !many_process_look_(supervision->supervisor);
}

/* The lock is held: should somebody have stopped it, it goes on. */
static void supervision_rouse(many_supervision_ *supervision)
{
    const int64_t now_ns = many_clock_ns_();

    if (supervision->rouse_ns != 0 && now_ns >= supervision->rouse_ns)
        many_child_signal_(&supervision->supervisor->child, SIGCONT);
    if (supervision->rouse_ns == 0 || now_ns >= supervision->rouse_ns)
        supervision->rouse_ns = now_ns + SUPERVISION_ROUSE_NS;
}

int many_supervision_look_(many_supervision_ *supervision)
{
    int lives;

    pthread_mutex_lock(&supervision->lock);
    /* None is left, and none will come: there is nothing to mend. */
    lives = supervision->supervisor == NULL || supervision_lives(supervision);
    if (supervision->supervisor != NULL && lives)
        supervision_rouse(supervision);
    pthread_mutex_unlock(&supervision->lock);
    return lives;
}

int many_supervision_descriptor_(many_supervision_ *supervision)
{
    int fd = -1;

    pthread_mutex_lock(&supervision->lock);
    if (supervision->supervisor != NULL)
        fd = supervision->supervisor->child.fd;
    pthread_mutex_unlock(&supervision->lock);
    return fd;
}

void many_supervision_ring_(const many_supervision_ *supervision)
{
    many_bell_ring_(supervision->table->supervisor_bell);
}

/* ---- after its death ---- */

/* The lock is held, the supervisor is dead: settle what it left. code: what becomes of the tasks of its workers,
 * as many_recover_all_() has it. */
static void supervision_bury(many_supervision_ *supervision, int cancelled)
{
    MANY_FAULT_POINT("supervisor.bury");
    many_recover_all_(supervision->table, cancelled);
    MANY_FAULT_POINT("supervisor.buried");
    many_process_free_(supervision->supervisor);
    supervision->supervisor = NULL;
}

/* Has nobody done anything since the last death, again and again? */
static int supervision_is_barren(many_supervision_ *supervision)
{
    const uint64_t done = many_recover_done_(supervision->table);

    supervision->barren = done == supervision->barren_done ? supervision->barren + 1 : 0;
    supervision->barren_done = done;
    return supervision->barren > SUPERVISION_BARREN_MOST;
}

int many_supervision_mend_(many_supervision_ *supervision)
{
    const int held = many_thread_hold_();
    int code = 0;

    pthread_mutex_lock(&supervision->lock);
    if (supervision->supervisor != NULL && !supervision_lives(supervision)) {
        supervision_bury(supervision, 0);
        if (supervision_is_barren(supervision))
            code = many_fail(-MANY_EDIED,
                             "many_pool: %d processes in a row that make the workers of '%s' were "
                             "killed before a task was done",
                             SUPERVISION_BARREN_MOST, supervision->table->roster->name);
        else if (!supervision->ending && atomic_load(&supervision->table->roster->broken) == 0)
            code = supervision_once(supervision);
        if (code < 0)
            many_recover_break_(supervision->table, -MANY_EBROKEN, many_error_words_(code));
    }
    pthread_mutex_unlock(&supervision->lock);
    many_thread_let_go_(held);
    return code < 0 ? -MANY_EBROKEN : 0;
}

/* ---- the end ---- */

/* The lock is held: wait for its end; impatient: kill it if it takes too long. */
static void supervision_await_end(many_supervision_ *supervision, int impatient)
{
    const int64_t until_ns = many_clock_ns_() + SUPERVISION_PATIENCE_NS;
    many_process *process = supervision->supervisor;

    while (!many_process_look_(process)) {
        const int64_t slice_ns = many_clock_ns_() + 50 * MANY_MILLISECOND_NS;

        if (process->status_fd >= 0 && process->child.fd < 0)
            poll(NULL, 0, SUPERVISION_LOOK_MS);
        else
            many_child_wait_(&process->child, slice_ns);
        supervision_rouse(supervision);
        if (impatient && many_clock_ns_() >= until_ns)
            many_process_kill(process);
    }
}

void many_supervision_stop_(many_supervision_ *supervision, int cut)
{
    const int held = many_thread_hold_();

    pthread_mutex_lock(&supervision->lock);
    supervision->ending = 1;
    /* Sequentially consistent, as the supervisor's look at it after it was rung. */
    atomic_store(&supervision->table->head->order, cut ? MANY_ORDER_CUT_ : MANY_ORDER_LEAVE_);
    MANY_FAULT_POINT("supervisor.stop.ordered");
    if (supervision->supervisor != NULL) {
        many_bell_ring_(supervision->table->supervisor_bell);
        supervision_await_end(supervision, cut);
        supervision_bury(supervision, 1);
    } else {
        many_recover_all_(supervision->table, 1);
    }
    pthread_mutex_unlock(&supervision->lock);
    many_thread_let_go_(held);
}
