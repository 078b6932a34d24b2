/* SPDX-License-Identifier: MIT */
/*
 * current.c - what a process knows of itself; see current.h
 *
 * Invariant  Names and numbers are written before fn runs, and never again. The descriptor of the parent
 *            is opened at the first many_process_parent(), under the lock of its handle.
 * Death      The parent is known by its descriptor, which was opened while it was still seen to be
 *            the parent, or its start time the same: its number may be another's afterwards. A child of the
 *            fork server asks whether that is still there, which leaves when its owner has ended; the start
 *            time is that of a thread, which may have ended before its process.
 */
#include "process/current.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "os/clock.h"
#include "process/own.h"

typedef struct current_record {
    many_process self, parent;
    int started;        /* 1: by many_process_start(), and so there is a parent */
    _Atomic int sought; /* 1: the parent's descriptor was opened, or there is none; release */
} current_record;

/*
 * What this process was started with, and its pid: written in a new child before it has other threads.
 * The record is made of it when somebody asks, because most do not, and every page that a child touches
 * costs it a microsecond. A child that was forked otherwise finds another's pid here; it has the inherits
 * all the same.
 */
static const many_child_plan_ *current_plan;
static pid_t current_plan_pid;
static pid_t current_server; /* that made this process; 0: none did */

/* many_self_process_() of the first process that asked; its forks inherit it. */
static _Atomic uint64_t current_first;

int many_current_is_forked_(void)
{
    const uint64_t mine = many_self_process_();
    uint64_t first = 0;

    return !atomic_compare_exchange_strong(&current_first, &first, mine) && first != mine;
}

static void current_fill(many_process *process, int kind, const char *name, pid_t pid)
{
    many_text_ text;

    memset(process, 0, sizeof *process);
    process->process = many_self_process_();
    process->kind = kind;
    process->pid = pid;
    process->child = (many_child_){pid, -1};
    process->status_fd = -1;
    pthread_mutex_init(&process->lock, NULL);
    many_text_begin_(&text, process->name, sizeof process->name);
    many_text_add_(&text, name);
}

static void current_begin(void *memory)
{
    const many_child_plan_ *plan = current_plan;
    current_record *record = memory;
    const pid_t pid = getpid();
    const int started = plan != NULL && current_plan_pid == pid;

    record->started = started;
    if (started) {
        /* The parent first: its name may lie where the record's own comes to lie. */
        current_fill(&record->parent, MANY_IS_PARENT_, plan->parent_name, plan->parent);
        record->parent.identity = plan->parent_identity;
    }
    current_fill(&record->self, MANY_IS_CURRENT_, started ? plan->name : "MainProcess", pid);
    record->self.method = started ? plan->method : MANY_FORK;
    record->self.daemon = started && plan->daemon;
    atomic_init(&record->sought, 0);
}

static current_record *current_own(void)
{
    static current_record record;

    return many_own_(MANY_OWN_PROCESS_, &record, current_begin);
}

void many_current_become_(const many_child_plan_ *plan)
{
    current_plan = plan;
    current_plan_pid = getpid();
    current_server = plan->method == MANY_FORKSERVER ? getppid() : 0;
}

many_process *many_process_current(void)
{
    return &current_own()->self;
}

int many_current_orphaned_(const many_process *parent)
{
    if (parent->child.fd >= 0)
        return many_child_is_dead_(&parent->child);
    /* A child in the system's sense gets another parent in the moment in which its own is dead. */
    return parent->identity == 0 ? many_orphan_(parent->pid) : many_self_gone_(parent->identity);
}

/* Open the parent's descriptor; what was opened for a stranger is closed again. */
static void current_seek(many_process *parent)
{
    int fd = many_child_open_(parent->pid);
    int served = current_server != 0 && getppid() == current_server; /* after the opening */

    if (served && fd >= 0)
        parent->child.fd = fd;
    if (many_current_orphaned_(parent)) {
        parent->child.fd = -1;
        parent->end_ns = many_clock_ns_();
        parent->ending.exit_status = -1;
        atomic_store_explicit(&parent->ended, 1, memory_order_release);
        if (fd >= 0)
            close(fd);
        return;
    }
    parent->child.fd = fd;
}

many_process *many_process_parent(void)
{
    current_record *record = current_own();
    many_process *parent = &record->parent;

    if (!record->started)
        return NULL;
    if (!atomic_load_explicit(&record->sought, memory_order_acquire)) {
        pthread_mutex_lock(&parent->lock);
        if (!atomic_load(&record->sought)) {
            current_seek(parent);
            atomic_store_explicit(&record->sought, 1, memory_order_release);
        }
        pthread_mutex_unlock(&parent->lock);
    }
    return parent;
}

many_inherit many_inherited(size_t index)
{
    if (current_plan == NULL || index >= current_plan->inherits_count)
        return (many_inherit){NULL, NULL, NULL};
    return current_plan->inherits[index];
}
