/* SPDX-License-Identifier: MIT */
/*
 * children.c - the children of this process, and the wait for any of several; see children.h
 *
 * Invariant  In the list are the children that this process started and has not closed, but for those
 *            whose end many_process_children() has seen.
 * Locks      The list's comes before that of a handle.
 */
#include "process/children.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bar/bar.h"
#include "base/fault.h"
#include "base/options.h"
#include "os/clock.h"
#include "os/thread.h"
#include "process/own.h"
#include "process/process.h"

typedef struct children_list {
    pthread_mutex_t lock; /* protects first, and the links of those in the list */
    many_process *first;
    _Atomic unsigned numbers;
} children_list;

static void children_begin(void *memory)
{
    children_list *list = memory;

    pthread_mutex_init(&list->lock, NULL);
    list->first = NULL;
    atomic_init(&list->numbers, 0);
}

static children_list *children_list_own(void)
{
    static children_list list;

    return many_own_(MANY_OWN_CHILDREN_, &list, children_begin);
}

/* The list's lock is held. */
static void children_unlink(children_list *list, many_process *process)
{
    if (!process->listed)
        return;
    if (process->before != NULL)
        process->before->next = process->next;
    else
        list->first = process->next;
    if (process->next != NULL)
        process->next->before = process->before;
    process->listed = 0;
}

void many_children_add_(many_process *process)
{
    children_list *list = children_list_own();

    pthread_mutex_lock(&list->lock);
    process->before = NULL;
    process->next = list->first;
    if (list->first != NULL)
        list->first->before = process;
    list->first = process;
    process->listed = 1;
    pthread_mutex_unlock(&list->lock);
}

void many_children_remove_(many_process *process)
{
    children_list *list = children_list_own();

    pthread_mutex_lock(&list->lock);
    children_unlink(list, process);
    pthread_mutex_unlock(&list->lock);
}

void many_children_each_(void (*visit)(const many_process *process, void *argument), void *argument)
{
    children_list *list = children_list_own();
    int held = many_thread_hold_();

    pthread_mutex_lock(&list->lock);
    for (const many_process *process = list->first; process != NULL; process = process->next)
        visit(process, argument);
    pthread_mutex_unlock(&list->lock);
    many_thread_let_go_(held);
}

unsigned many_children_number_(void)
{
    return atomic_fetch_add_explicit(&children_list_own()->numbers, 1, memory_order_relaxed) + 1;
}

ssize_t many_process_children(many_process **processes, size_t room)
{
    children_list *list = children_list_own();
    int held = many_thread_hold_(); /* the looks may sleep, with the lock in hand */
    size_t count = 0;

    pthread_mutex_lock(&list->lock);
    for (many_process *process = list->first, *next; process != NULL; process = next) {
        next = process->next;
        if (many_process_look_(process)) {
            children_unlink(list, process);
            continue;
        }
        if (processes != NULL && count < room)
            processes[count] = process;
        count++;
    }
    pthread_mutex_unlock(&list->lock);
    many_thread_let_go_(held);
    return (ssize_t)count;
}

/* ---- wait for any ---- */

#define CHILDREN_FEW 16 /* so many need no memory for the poll */

/* Look at all. How many have ended; *blind: one of the others has no descriptor that helps. */
static int children_look(many_process *const *processes, size_t n, int *ended,
                         struct pollfd *pollers, int *blind)
{
    int count = 0;

    *blind = 0;
    for (size_t i = 0; i < n; i++) {
        int over = processes[i] != NULL && many_process_look_(processes[i]);

        count += over;
        if (ended != NULL)
            ended[i] = over;
        if (processes[i] == NULL || over)
            continue;
        /* Readable, and it has not ended: it is in the hands of a tracer. */
        if ((pollers[i].revents != 0 || pollers[i].fd < 0) &&
            processes[i]->kind != MANY_IS_CURRENT_)
            *blind = 1;
    }
    return count;
}

static int children_wait(many_process *const *processes, size_t n, int *ended,
                         struct pollfd *pollers, int64_t deadline_ns)
{
    for (size_t i = 0; i < n; i++)
        pollers[i] = (struct pollfd){processes[i] != NULL ? processes[i]->child.fd : -1, POLLIN, 0};
    for (;;) {
        int64_t until = deadline_ns;
        int blind, got, count = children_look(processes, n, ended, pollers, &blind);

        many_bars_draw_(); /* whoever waits draws; and lets go of what was kept for those that ended */
        if (count > 0)
            return count;
        until = many_bars_due_ns_();
        until = until < deadline_ns ? until : deadline_ns;
        if (blind) {
            int64_t look = many_clock_ns_() + MANY_CHILD_LOOK_NS_;

            until = look < until ? look : until;
        }
        for (size_t i = 0; blind && i < n; i++)
            if (pollers[i].revents != 0)
                pollers[i].fd = -1;
        got = poll(pollers, (nfds_t)n, many_poll_ms_(until));
        if (got < 0 && errno != EINTR) { /* more than ulimit -n; or no memory: look, and sleep */
            int64_t look = many_clock_ns_() + MANY_CHILD_LOOK_NS_;

            until = look < until ? look : until;
            got = poll(NULL, 0, many_poll_ms_(until));
        }
        if (got < 0)
            return many_fail(-EINTR, "many_process_wait: a signal handler ran: wait again");
        if (got == 0 && until == deadline_ns) {
            count = children_look(processes, n, ended, pollers, &blind);
            return count > 0 ? count
                             : many_fail(-ETIMEDOUT, "many_process_wait: all %zu run still", n);
        }
    }
}

int many_process_wait(many_process *const *processes, size_t n, int *ended, double timeout_s)
{
    struct pollfd few[CHILDREN_FEW], *pollers = few;
    int64_t deadline;
    int code = many_timeout_check_(timeout_s, "many_process_wait");

    if (code < 0)
        return code;
    if (processes == NULL || n == 0 || n > INT32_MAX)
        return many_fail(-EINVAL,
                         "many_process_wait: processes is %s, n is %zu: nothing to wait for",
                         processes == NULL ? "NULL" : "given", n);
    for (size_t i = 0; i < n; i++)
        if (processes[i] != NULL &&
            (code = many_process_check_(processes[i], "many_process_wait")) < 0)
            return code;
    deadline = many_deadline_ns_(timeout_s);
    if (n > CHILDREN_FEW) {
        pollers = MANY_FAULT_ERROR("children.wait") < 0 ? NULL : calloc(n, sizeof *pollers);
        if (pollers == NULL)
            return many_fail(-ENOMEM, "many_process_wait: no memory to wait for %zu processes", n);
        pthread_cleanup_push(free, pollers); /* the poll is where a pthread_cancel() acts */
        code = children_wait(processes, n, ended, pollers, deadline);
        pthread_cleanup_pop(1);
        return code;
    }
    return children_wait(processes, n, ended, pollers, deadline);
}
