/* SPDX-License-Identifier: MIT */
/*
 * start_fork.c - start a process by a fork of this one, now
 *
 * Promise    What the child needs besides what it has is allocated before the fork, so that it allocates
 *            nothing until it is in fn, but for a handle of a queue that it is registered for, as the C
 *            library permits after a fork.
 * Death      A daemon is kept by the server before it runs fn (process/server.h): it asks for that itself,
 *            so that it does not matter at which instruction its parent is killed.
 */
#include "process/process.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "channel/queue.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/memory.h"
#include "process/child.h"
#include "process/server.h"
#include "sync/wait.h"

/*
 * ---- kept and counted before the start returns ----
 *
 * A daemon has the server keep it, and who is registered for queues enlists itself there; then the child
 * says so in a word that both share. The parent waits for the word, or for the child's death. The child
 * waits for no word of the parent's, so that it goes on when that is dead.
 */
#define FORK_READY      1
#define FORK_NOT_KEPT   0x10000 /* and why: the number of the error in the low half */
#define FORK_NOT_LISTED 0x20000

static uint32_t fork_prepare(const many_child_plan_ *plan, int line)
{
    int code = plan->daemon ? many_server_keep_(line, plan->parent) : 0;

    if (code < 0)
        return FORK_NOT_KEPT | (uint32_t)-code;
    code = many_child_enlist_(plan);
    return code < 0 ? FORK_NOT_LISTED | (uint32_t)-code : FORK_READY;
}

static _Noreturn void fork_child(const many_child_plan_ *plan, _Atomic uint32_t *word, int line)
{
    if (word != NULL) {
        uint32_t told = fork_prepare(plan, line);

        atomic_store_explicit(word, told,
                              memory_order_release); /* pairs with acquire in fork_await */
        MANY_FAULT_POINT("process.child.told");
        many_futex_wake_(word, 1);
        if (told != FORK_READY)
            _exit(MANY_CHILD_LOST_);
        many_memory_unmap_(word, sizeof *word);
    }
    many_child_run_(plan);
}

/* Dead before it could say: count it as one that was there and is gone. Where it had come to count itself,
 * it is the same twice. No thread but the first ones of the system started in the first tick. */
static void fork_enlist_dead(const many_process *process)
{
    const many_identity_ ghost = UINT64_C(1) << 32 | (uint32_t)process->pid;

    if (process->produces != NULL)
        many_queue_enlist_(process->produces, ghost, MANY_PRODUCER);
    if (process->consumes != NULL)
        many_queue_enlist_(process->consumes, ghost, MANY_CONSUMER);
}

static int fork_refuse(many_process *process, uint32_t told)
{
    const int code = -(int)(told & 0xFFFF);

    many_process_put_down_(process);
    return many_fail(code,
                     told & FORK_NOT_KEPT
                         ? "many_process_start: '%s' is a daemon, and the server that would end it "
                           "did not take it (%s)"
                         : "many_process_start: '%s' could not be registered at its queue (%s)",
                     process->name, many_error_name(code));
}

static int fork_await(many_process *process, _Atomic uint32_t *word)
{
    many_wait_ wait = many_wait_begin_(MANY_NEVER_NS);
    int64_t due_ns = 0;
    uint32_t told;

    while ((told = atomic_load_explicit(word, memory_order_acquire)) == 0) {
        /* Also when a signal came: signals may come more often than a slice ends. */
        if (many_wait_slice_(&wait, word, 0) == 0)
            continue;
        if (many_process_look_(process) && atomic_load_explicit(word, memory_order_acquire) == 0) {
            fork_enlist_dead(process);
            return 0;
        }
        if (process->daemon)
            many_server_rouse_(&due_ns);
    }
    return told == FORK_READY ? 0 : fork_refuse(process, told);
}

/* The child's own copies of what the options point at; NULL where there is nothing to copy. */
static int fork_copy(void **copy, const void *given, size_t bytes)
{
    *copy = NULL;
    if (bytes == 0)
        return 0;
    *copy = MANY_FAULT_ERROR("process.copy") < 0 ? NULL : malloc(bytes);
    if (*copy == NULL)
        return many_fail(-ENOMEM, "many_process_start: no memory for a copy of %zu bytes", bytes);
    memcpy(*copy, given, bytes);
    return 0;
}

static int fork_now(many_process *process, const many_child_plan_ *plan, _Atomic uint32_t *word)
{
    int line = plan->daemon ? many_server_line_() : 0;
    int code;

    if (line < 0)
        return line;
    code = many_child_fork_free_(&process->child);
    if (code == 0)
        fork_child(plan, word, line);
    if (code < 0)
        return many_fail(
            code,
            "many_process_start: no process to be had for '%s' (%s): end some, or raise "
            "ulimit -u",
            process->name, many_error_name(code));
    MANY_FAULT_POINT("process.start.forked");
    process->pid = process->child.pid;
    return word == NULL ? 0 : fork_await(process, word);
}

/* With a word that both share, where there is something to tell. */
static int fork_with_word(many_process *process, const many_child_plan_ *plan)
{
    void *word;
    int code;

    if (!plan->daemon && plan->produces == NULL && plan->consumes == NULL)
        return fork_now(process, plan, NULL);
    code = many_memory_map_shared_(&word, sizeof(uint32_t));
    if (code < 0)
        return many_fail(code, "many_process_start: no memory to hear from '%s'", process->name);
    code = fork_now(process, plan, word);
    many_memory_unmap_(word, sizeof(uint32_t));
    return code;
}

int many_process_start_fork_(many_process *process, const many_process_options *options)
{
    void *argument, *inherits;
    int code = fork_copy(&argument, options->argument, options->argument_bytes);
    many_child_plan_ plan;

    if (code < 0)
        return code;
    code = fork_copy(&inherits, options->inherits,
                     options->inherits_count * sizeof *options->inherits);
    if (code == 0) {
        plan = (many_child_plan_){.name = process->name,
                                  .method = process->method,
                                  .daemon = process->daemon,
                                  .fn = options->fn,
                                  .argument = argument != NULL ? argument : options->argument,
                                  .produces = options->produces,
                                  .consumes = options->consumes,
                                  .inherits = inherits,
                                  .inherits_count = options->inherits_count,
                                  .parent_name = many_process_current()->name,
                                  .parent = getpid()};
        code = fork_with_word(process, &plan);
    }
    free(inherits);
    free(argument);
    return code;
}
