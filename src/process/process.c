/* SPDX-License-Identifier: MIT */
/* process.c - the handle of a process: wait, ask, end; the protocol stands in process.h */
#include "process/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bar/bar.h"
#include "base/options.h"
#include "os/clock.h"
#include "os/thread.h"
#include "process/children.h"
#include "process/current.h"
#include "process/server.h"
#include "task/cause.h"

/* Between SIGTERM and SIGKILL when a process is closed that runs still. */
#define PROCESS_PATIENCE_S 5.0

/* How long after the end of a process that the server reaps its status may take to arrive; and after how
 * long it is likely that the server was stopped. */
#define PROCESS_STATUS_MS 1000
#define PROCESS_ROUSE_MS  50

int many_process_check_(const many_process *process, const char *function)
{
    if (process == NULL)
        return many_fail(-EINVAL, "%s: process is NULL", function);
    if (process->process != many_self_process_())
        return many_fail(-MANY_EFORKED,
                         "%s: '%s' was started by another process, of which this is "
                         "a fork",
                         function, process->name);
    return 0;
}

/* ---- has it ended, and how ---- */

/* The message of whoever reaps it (process.h), at most so long from now. 1: here, or nobody sends it any
 * more; 0: not yet. */
static int process_read_status(many_process *process, int wait_ms)
{
    struct pollfd poller = {process->status_fd, POLLIN, 0};
    struct {
        int status;
        uint32_t peak_low, peak_high; /* of a uint64_t that need not be aligned */
    } message = {-1, 0, 0};
    ssize_t got;
    uint64_t peak;

    do
        got = poll(&poller, 1, wait_ms);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        return 0;
    do
        got = read(process->status_fd, &message, sizeof message);
    while (got < 0 && errno == EINTR);
    many_ending_from_(&process->ending, got >= (ssize_t)sizeof message.status ? message.status : -1,
                      process->child.fd);
    if (got == (ssize_t)sizeof message) {
        memcpy(&peak, &message.peak_low, sizeof peak);
        process->ending.peak_bytes = peak;
    }
    return 1;
}

/* It is dead: wait for its status, as long as that makes sense. */
static void process_await_status(many_process *process)
{
    int64_t due_ns = 1; /* now */

    if (process_read_status(process, PROCESS_ROUSE_MS))
        return;
    many_server_rouse_(&due_ns);
    if (!process_read_status(process, PROCESS_STATUS_MS))
        many_ending_from_(&process->ending, -1, process->child.fd);
}

/* One that somebody else reaps. Readable without a pidfd: its status, or the end of who would send it,
 * which the process may outlive. Another child of ours may have a copy of that end, so that it is not
 * seen: then its start time tells that it is gone. */
static int process_learn(many_process *process)
{
    if (process->child.fd >= 0) {
        if (!many_child_is_dead_(&process->child))
            return 0;
        process_await_status(process);
        return 1;
    }
    if (process_read_status(process, 0) && process->ending.known)
        return 1;
    if (!many_self_gone_(process->identity))
        return 0;
    if (!process->ending.known)
        process_await_status(process);
    return 1;
}

/* The lock is held. */
static int process_is_over(many_process *process)
{
    if (process->kind == MANY_IS_CURRENT_)
        return 0;
    if (process->kind == MANY_IS_PARENT_) {
        process->ending.exit_status = -1;
        return many_current_orphaned_(process);
    }
    if (process->status_fd >= 0)
        return process_learn(process);
    return many_child_reap_(&process->child, &process->ending);
}

int many_process_look_(many_process *process)
{
    int ended = atomic_load_explicit(&process->ended, memory_order_acquire), held;

    if (ended)
        return 1;
    held = many_thread_hold_(); /* it may sleep for a moment, with the lock in hand */
    pthread_mutex_lock(&process->lock);
    ended = atomic_load_explicit(&process->ended, memory_order_relaxed);
    if (!ended && process_is_over(process)) {
        process->end_ns = many_clock_ns_();
        ended = 1;
        /* Release: pairs with the acquire of those who then read how. */
        atomic_store_explicit(&process->ended, 1, memory_order_release);
    }
    pthread_mutex_unlock(&process->lock);
    many_thread_let_go_(held);
    return ended;
}

/* ---- wait ---- */

/* 0: it has ended; -ETIMEDOUT, -EINTR. */
static int process_await(many_process *process, int64_t deadline_ns)
{
    static const many_child_ blind = {0, -1};
    const many_child_ *on = &process->child;

    if (atomic_load_explicit(&process->ended, memory_order_acquire) ||
        (on->fd < 0 && many_process_look_(process)))
        return 0;
    for (;;) {
        /* Whoever waits draws the bars of this process. */
        const int64_t due_ns = many_bars_due_ns_();
        int code = many_child_wait_(on, due_ns < deadline_ns ? due_ns : deadline_ns);

        if (code == -EINTR)
            return code;
        if (many_process_look_(process)) {
            many_bars_draw_(); /* lets go of what was kept for the child's */
            return 0;
        }
        if (code == -ETIMEDOUT && due_ns < deadline_ns) {
            many_bars_draw_();
            continue;
        }
        if (code < 0)
            return code;
        /* Its descriptor says so, and it has not: it is in the hands of a tracer. */
        on = &blind;
    }
}

int many_process_join(many_process *process, double timeout_s)
{
    int code = many_process_check_(process, "many_process_join");

    if (code == 0)
        code = many_timeout_check_(timeout_s, "many_process_join");
    if (code < 0)
        return code;
    if (process->kind == MANY_IS_CURRENT_)
        return many_fail(-EDEADLK,
                         "many_process_join: '%s' is this process itself, which would wait "
                         "for ever",
                         process->name);
    code = process_await(process, many_deadline_ns_(timeout_s));
    if (code == -ETIMEDOUT)
        return many_fail(code, "many_process_join: '%s' (pid %d) runs still", process->name,
                         (int)process->pid);
    if (code == -EINTR)
        return many_fail(code, "many_process_join: a signal handler ran: join again");
    return code;
}

/* ---- ask ---- */

int many_process_is_alive(many_process *process)
{
    int code = many_process_check_(process, "many_process_is_alive");

    return code < 0 ? code : !many_process_look_(process);
}

/* 0 if it has ended. */
static int process_check_ended(many_process *process, const void *output, const char *function)
{
    int code = many_process_check_(process, function);

    if (code < 0)
        return code;
    if (output == NULL)
        return many_fail(-EINVAL, "%s: there is nothing to write to: the second argument is NULL",
                         function);
    if (!many_process_look_(process))
        return many_fail(-EAGAIN, "%s: '%s' (pid %d) runs still", function, process->name,
                         (int)process->pid);
    return 0;
}

int many_process_exit_code(many_process *process, int *code)
{
    int failed = process_check_ended(process, code, "many_process_exit_code");

    if (failed < 0)
        return failed;
    if (!process->ending.known)
        *code = MANY_EXIT_UNKNOWN;
    else if (process->ending.signal != 0)
        *code = -process->ending.signal;
    else
        *code = process->ending.exit_status;
    return 0;
}

static const char *process_unknown(const many_process *process)
{
    if (process->kind == MANY_IS_PARENT_)
        return "its status is not its child's to know";
    if (process->status_fd >= 0)
        return "the process that made it, and would know how, ended before it could say";
    return "its status was taken by somebody else in the program";
}

int many_process_cause(many_process *process, many_cause *cause)
{
    int failed = process_check_ended(process, cause, "many_process_cause");
    const many_ending_ *ending;

    if (failed < 0)
        return failed;
    ending = &process->ending;
    *cause = (many_cause){.code = ending->signal != 0 ? -MANY_EDIED : 0,
                          .worker = -1,
                          .signal = ending->signal,
                          .exit_status = ending->exit_status,
                          .pid = process->pid,
                          .peak_bytes = ending->peak_bytes};
    if (process->kind == MANY_IS_CHILD_)
        cause->seconds = (double)(process->end_ns - process->start_ns) / 1e9;
    many_cause_end_(cause, process->name, process_unknown(process));
    return 0;
}

pid_t many_process_pid(const many_process *process)
{
    return process == NULL ? -EINVAL : process->pid;
}

const char *many_process_name(const many_process *process)
{
    return process == NULL ? "" : process->name;
}

int many_process_descriptor(many_process *process)
{
    int code = many_process_check_(process, "many_process_descriptor");

    if (code < 0)
        return code;
    if (process->kind == MANY_IS_CURRENT_)
        return many_fail(-EINVAL,
                         "many_process_descriptor: '%s' is this process itself, which does "
                         "not see its own end",
                         process->name);
    if (process->child.fd < 0)
        return many_fail(-ENOSYS,
                         "many_process_descriptor: there is none for '%s': the system has no "
                         "pidfd, or no descriptors were left",
                         process->name);
    return process->child.fd;
}

/* ---- end ---- */

/* A signal to it, and to nobody else: 0, also when it is dead; -EPERM. */
static int process_signal(many_process *process, int signal)
{
    int held = many_thread_hold_();
    int code = 0;

    /* Under the lock nobody reaps it, so that without a pidfd its number stays its own. */
    pthread_mutex_lock(&process->lock);
    if (atomic_load_explicit(&process->ended, memory_order_relaxed))
        code = 0;
    else if (process->status_fd < 0 || process->child.fd >= 0)
        code = many_child_signal_(&process->child, signal);
    else if (!many_self_gone_(process->identity))
        code = kill(process->pid, signal) < 0 ? -errno : 0;
    pthread_mutex_unlock(&process->lock);
    many_thread_let_go_(held);
    return code == -ESRCH ? 0 : code;
}

static int process_end(many_process *process, int signal, const char *function)
{
    int code = many_process_check_(process, function);

    if (code < 0)
        return code;
    if (process->kind == MANY_IS_PARENT_)
        return many_fail(-EPERM, "%s: '%s' is the parent, which is not its child's to end",
                         function, process->name);
    code = process->kind == MANY_IS_CURRENT_ ? (kill(process->pid, signal) < 0 ? -errno : 0)
                                             : process_signal(process, signal);
    if (code < 0)
        return many_fail(code,
                         "%s: '%s' (pid %d) cannot be sent a signal (%s): it runs as another user",
                         function, process->name, (int)process->pid, many_error_name(code));
    return 0;
}

int many_process_terminate(many_process *process)
{
    return process_end(process, SIGTERM, "many_process_terminate");
}

int many_process_kill(many_process *process)
{
    return process_end(process, SIGKILL, "many_process_kill");
}

/* Its end, whatever handlers of signals run meanwhile. */
static int process_outlast(many_process *process, double timeout_s)
{
    int64_t deadline = many_deadline_ns_(timeout_s);
    int held = many_thread_hold_();
    int code;

    do
        code = process_await(process, deadline);
    while (code == -EINTR);
    many_thread_let_go_(held);
    return code;
}

void many_process_put_down_(many_process *process)
{
    /* Who has become another user and cannot be killed is left to init. */
    if (process_signal(process, SIGKILL) == 0)
        process_outlast(process, MANY_FOREVER);
}

void many_process_free_(many_process *process)
{
    many_child_close_(&process->child);
    if (process->status_fd >= 0)
        close(process->status_fd);
    pthread_mutex_destroy(&process->lock);
    free(process);
}

void many_process_close(many_process *process)
{
    if (process == NULL || process->kind != MANY_IS_CHILD_)
        return;
    if (process->process != many_self_process_()) {
        /* The descriptor stays: the child may have closed all it did not open, and have another file
         * there; and another thread of the parent may have held the lock. */
        free(process);
        return;
    }
    many_children_remove_(process);
    if (!many_process_look_(process)) {
        process_signal(process, SIGTERM);
        if (process_outlast(process, PROCESS_PATIENCE_S) < 0)
            many_process_put_down_(process);
    }
    many_process_free_(process);
}
