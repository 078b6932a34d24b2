/* SPDX-License-Identifier: MIT */
/*
 * thread.c - a thread as an object: start, wait, ask, let go
 *
 * Promise    After a join that had time, or a close, the thread is gone from the system, too; however fn
 *            was left, by return, pthread_exit() or pthread_cancel().
 * Invariant  The record is held by the handle, by the thread itself, and by its start until that has
 *            returned (the thread may close its handle meanwhile), and freed by the last of them.
 *            done changes once, from 0 to 1, when exit_code is written and the ends are finished.
 *            Of joined: pthread_join() is called by the one who has changed it from THREAD_THERE to
 *            THREAD_TAKEN, so never twice at a time, and never after it has succeeded.
 */
#include "process/thread.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/options.h"
#include "base/text.h"
#include "channel/queue.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/stream.h"
#include "os/thread.h"
#include "process/own.h"
#include "process/process.h"
#include "task/seat.h"

_Static_assert(sizeof(many_thread_options) == 10 * 8, "no padding in a public struct");

/* A thread that has ended as far as fn is concerned needs some 10 us more, unless destructors of
 * thread-specific data of the caller's take longer: no join waits longer for those than this, or its
 * timeout. */
#define THREAD_GRACE_NS (20 * MANY_MILLISECOND_NS)

enum {
    THREAD_THERE, /* not joined */
    THREAD_TAKEN, /* somebody is at it */
    THREAD_GONE   /* joined */
};

enum {
    THREAD_NEW,    /* not in the list yet */
    THREAD_LISTED, /* in it */
    THREAD_OVER    /* out of it, for good */
};

struct many_thread {
    uint64_t process; /* many_self_process_() of the one it runs in */
    char name[MANY_PROCESS_NAME_BYTES_];
    many_process_fn *fn;
    void *argument;
    int daemon, signals;
    many_queue *produces, *consumes; /* or NULL */
    pthread_t thread;            /* written before anybody but the thread itself has the handle */
    many_signal_state_ caller;   /* the starter's mask, for .signals */
    _Atomic uint32_t references; /* the handle's, the thread's until its end, the start's */
    _Atomic uint32_t id;         /* 0 until it runs; futex */
    _Atomic uint32_t ready; /* 0 until it is registered at its queues, then 1; -code if it could not
                               be; futex; who starts it waits for it, where there are queues */
    _Atomic uint32_t done;  /* futex; release */
    _Atomic uint32_t joined; /* futex */
    _Atomic uint32_t stop;   /* what many_cancelled() looks at */
    _Atomic int bell;        /* the descriptor + 1; 0: none yet */
    int exit_code;
    many_seat_ seat;
    _Atomic uint64_t state; /* the seat's: 0 */
    struct many_thread *next, *before;
    int listed; /* these three: under the list's lock */
};

static _Thread_local many_thread *thread_current;

/* ---- the list ---- */

typedef struct thread_list {
    pthread_mutex_t lock;
    many_thread *first; /* those that run, and were not closed */
    _Atomic unsigned numbers;
} thread_list;

static void thread_list_begin(void *memory)
{
    thread_list *list = memory;

    pthread_mutex_init(&list->lock, NULL);
    list->first = NULL;
    atomic_init(&list->numbers, 0);
}

static thread_list *thread_list_own(void)
{
    static thread_list list;

    return many_own_(MANY_OWN_THREADS_, &list, thread_list_begin);
}

static void thread_list_add(many_thread *thread)
{
    thread_list *list = thread_list_own();

    pthread_mutex_lock(&list->lock);
    if (thread->listed == THREAD_NEW) { /* else it has ended already */
        thread->before = NULL;
        thread->next = list->first;
        if (list->first != NULL)
            list->first->before = thread;
        list->first = thread;
        thread->listed = THREAD_LISTED;
    }
    pthread_mutex_unlock(&list->lock);
}

static void thread_list_remove(many_thread *thread)
{
    thread_list *list = thread_list_own();

    pthread_mutex_lock(&list->lock);
    if (thread->listed == THREAD_LISTED) {
        if (thread->before != NULL)
            thread->before->next = thread->next;
        else
            list->first = thread->next;
        if (thread->next != NULL)
            thread->next->before = thread->before;
    }
    thread->listed = THREAD_OVER;
    pthread_mutex_unlock(&list->lock);
}

ssize_t many_thread_list(many_thread **threads, size_t room)
{
    thread_list *list = thread_list_own();
    size_t count = 0;

    pthread_mutex_lock(&list->lock);
    for (many_thread *thread = list->first; thread != NULL; thread = thread->next) {
        if (threads != NULL && count < room)
            threads[count] = thread;
        count++;
    }
    pthread_mutex_unlock(&list->lock);
    return (ssize_t)count;
}

/* ---- the thread itself ---- */

static void thread_let_go(many_thread *thread)
{
    int bell;

    /* Release: what this holder did; acquire: what the other did, before it is freed. */
    if (atomic_fetch_sub_explicit(&thread->references, 1, memory_order_acq_rel) != 1)
        return;
    bell = atomic_load_explicit(&thread->bell, memory_order_relaxed);
    if (bell != 0)
        many_bell_close_(bell - 1);
    free(thread);
}

/* Its end, however fn was left. */
static void thread_end(void *argument)
{
    many_thread *thread = argument;
    int bell;

    many_thread_hold_(); /* for good: what follows is not to be left in the middle */
    if (thread->produces != NULL)
        many_queue_finish(thread->produces, MANY_PRODUCER);
    if (thread->consumes != NULL)
        many_queue_finish(thread->consumes, MANY_CONSUMER);
    many_seat_leave_(&thread->seat);
    thread_list_remove(thread);
    thread_current = NULL;
    /* Sequentially consistent, as in many_thread_descriptor(): one of the two sees the other's. */
    MANY_FAULT_POINT("thread.end.before_done");
    atomic_store(&thread->done, 1);
    bell = atomic_load(&thread->bell);
    if (bell != 0)
        many_bell_ring_(bell - 1);
    many_futex_wake_(&thread->done, INT_MAX);
    thread_let_go(thread);
}

/* Be counted at both queues, and tell the starter. */
static int thread_enlist(many_thread *thread)
{
    many_identity_ me;
    int code = 0;

    if (thread->produces == NULL && thread->consumes == NULL)
        return 0;
    me = many_self_();
    if (thread->produces != NULL)
        code = many_queue_enlist_(thread->produces, me, MANY_PRODUCER);
    if (code == 0 && thread->consumes != NULL)
        code = many_queue_enlist_(thread->consumes, me, MANY_CONSUMER);
    atomic_store_explicit(&thread->ready, code < 0 ? (uint32_t)-code : 1, memory_order_release);
    many_futex_wake_(&thread->ready, 1);
    return code;
}

static void *thread_body(void *argument)
{
    many_thread *thread = argument;

    thread_current = thread;
    many_seat_take_(&thread->seat);
    pthread_cleanup_push(thread_end, thread);
    many_thread_call_(thread->name);
    atomic_store_explicit(&thread->id, (uint32_t)many_thread_number_(), memory_order_release);
    many_futex_wake_(&thread->id, INT_MAX);
    if (thread_enlist(thread) == 0) {
        /* Only now, so that a handler of the caller's finds all in order. */
        if (thread->signals)
            many_signal_unblock_(&thread->caller);
        thread->exit_code = thread->fn(thread->argument);
    }
    pthread_cleanup_pop(1);
    return NULL;
}

/* ---- start ---- */

static many_thread *thread_new(const many_thread_options *options)
{
    many_thread *thread = MANY_FAULT_ERROR("thread.new") < 0 ? NULL : calloc(1, sizeof *thread);
    char numbered[32];
    many_text_ name;

    if (thread == NULL)
        return NULL;
    if (options->name == NULL)
        snprintf(numbered, sizeof numbered, "Thread-%u",
                 atomic_fetch_add_explicit(&thread_list_own()->numbers, 1, memory_order_relaxed) +
                     1);
    many_text_begin_(&name, thread->name, sizeof thread->name);
    many_text_add_(&name, options->name != NULL ? options->name : numbered);
    thread->process = many_self_process_();
    thread->fn = options->fn;
    thread->argument = options->argument;
    thread->daemon = options->daemon != 0;
    thread->signals = options->signals != 0;
    thread->produces = options->produces;
    thread->consumes = options->consumes;
    thread->exit_code = MANY_EXIT_UNKNOWN;
    atomic_init(&thread->references, 3);
    thread->seat = (many_seat_){
        .state = &thread->state, .attention = &thread->stop, .first = UINT64_MAX, .worker = -1};
    return thread;
}

/* Until it is registered at its queues: 0 or a negative code. */
static int thread_await_ready(many_thread *thread)
{
    uint32_t ready;

    if (thread->produces == NULL && thread->consumes == NULL)
        return 0;
    while ((ready = atomic_load_explicit(&thread->ready, memory_order_acquire)) == 0)
        many_futex_wait_(&thread->ready, 0, MANY_NEVER_NS);
    return ready == 1 ? 0 : -(int)ready;
}

int many_thread_start_with(const many_thread_options *given)
{
    many_thread_options options;
    many_thread *thread;
    int code = many_options_read_(&options, sizeof options, given, "many_thread_start");

    if (code < 0)
        return code;
    if (options.thread != NULL)
        *options.thread = NULL;
    if (options.thread == NULL || options.fn == NULL)
        return many_fail(-EINVAL, "many_thread_start: %s is NULL",
                         options.thread == NULL ? "thread" : "fn");
    thread = thread_new(&options);
    if (thread == NULL)
        return many_fail(-ENOMEM, "many_thread_start: no memory for a handle");
    code = many_thread_start_with_(&thread->thread, thread_body, thread, options.stack_bytes,
                                   &thread->caller);
    if (code < 0) {
        code = many_fail(code,
                         "many_thread_start: no thread to be had for '%s' (%s): fewer threads, a "
                         "smaller .stack_bytes, or raise ulimit -u",
                         thread->name, many_error_name(code));
        free(thread);
        return code;
    }
    code = thread_await_ready(thread);
    if (code < 0) {
        many_fail(code, "many_thread_start: '%s' could not be registered at its queue (%s)",
                  thread->name, many_error_name(code));
        many_thread_join_(thread->thread);
        thread_let_go(thread); /* the handle's, which nobody gets */
    } else {
        thread_list_add(thread);
        *options.thread = thread;
    }
    thread_let_go(thread); /* ours. NOLINT(clang-analyzer-unix.Malloc): it does not count along */
    return code;
}

/* ---- wait ---- */

static int thread_check(const many_thread *thread, const char *function)
{
    if (thread == NULL)
        return many_fail(-EINVAL, "%s: thread is NULL", function);
    if (thread->process != many_self_process_())
        return many_fail(-MANY_EFORKED,
                         "%s: '%s' is a thread of another process, of which this is a fork",
                         function, thread->name);
    return 0;
}

static int thread_is_done(const many_thread *thread)
{
    /* Acquire: pairs with the store in thread_end(). */
    return atomic_load_explicit(&thread->done, memory_order_acquire) != 0;
}

/* 0: done; -ETIMEDOUT, -EINTR. */
static int thread_await(many_thread *thread, int64_t deadline_ns)
{
    int code = 0;

    while (!thread_is_done(thread)) {
        if (code < 0)
            return code;
        code = many_futex_wait_(&thread->done, 0, deadline_ns);
    }
    return 0;
}

/* It is done: see it out of the system, as far as that does not take too long. */
static void thread_reap(many_thread *thread, int64_t deadline_ns)
{
    int64_t grace = many_clock_ns_() + THREAD_GRACE_NS;

    if (deadline_ns < grace)
        deadline_ns = grace;
    for (;;) {
        uint32_t seen = THREAD_THERE;

        if (atomic_compare_exchange_strong(&thread->joined, &seen, THREAD_TAKEN)) {
            int held = many_thread_hold_();
            int code = many_thread_join_by_(thread->thread, deadline_ns);

            many_thread_let_go_(held);
            atomic_store(&thread->joined, code == 0 ? THREAD_GONE : THREAD_THERE);
            many_futex_wake_(&thread->joined, INT_MAX);
            return;
        }
        if (seen == THREAD_GONE ||
            many_futex_wait_(&thread->joined, THREAD_TAKEN, deadline_ns) == -ETIMEDOUT)
            return;
    }
}

int many_thread_wait_(many_thread *thread, double timeout_s, const char *function)
{
    int64_t deadline;
    int code = thread_check(thread, function);

    if (code == 0)
        code = many_timeout_check_(timeout_s, function);
    if (code < 0)
        return code;
    if (thread == thread_current)
        return many_fail(-EDEADLK, "%s: '%s' is the calling thread, which would wait for ever",
                         function, thread->name);
    deadline = many_deadline_ns_(timeout_s);
    code = thread_await(thread, deadline);
    if (code == -ETIMEDOUT)
        return many_fail(code, "%s: '%s' runs still", function, thread->name);
    if (code < 0)
        return many_fail(code, "%s: a signal handler ran: join again", function);
    thread_reap(thread, deadline);
    return 0;
}

int many_thread_join(many_thread *thread, double timeout_s)
{
    return many_thread_wait_(thread, timeout_s, "many_thread_join");
}

/* ---- ask ---- */

int many_thread_is_alive(const many_thread *thread)
{
    int code = thread_check(thread, "many_thread_is_alive");

    return code < 0 ? code : !thread_is_done(thread);
}

int many_thread_exit_code(const many_thread *thread, int *code)
{
    int failed = thread_check(thread, "many_thread_exit_code");

    if (failed < 0)
        return failed;
    if (code == NULL)
        return many_fail(-EINVAL, "many_thread_exit_code: code is NULL");
    if (!thread_is_done(thread))
        return many_fail(-EAGAIN, "many_thread_exit_code: '%s' runs still", thread->name);
    *code = thread->exit_code;
    return 0;
}

int many_thread_terminate(many_thread *thread)
{
    int code = thread_check(thread, "many_thread_terminate");

    if (code < 0)
        return code;
    atomic_store_explicit(&thread->stop, MANY_ATTENTION_STOP_, memory_order_relaxed);
    return 0;
}

pid_t many_thread_id(const many_thread *thread)
{
    _Atomic uint32_t *word;
    uint32_t id;

    if (thread == NULL)
        return -EINVAL;
    /* Known some microseconds after the start; a futex wants a word that may be written. */
    word = (_Atomic uint32_t *)(uintptr_t)&thread->id;
    while ((id = atomic_load_explicit(word, memory_order_acquire)) == 0 &&
           thread->process == many_self_process_())
        many_futex_wait_(word, 0, MANY_NEVER_NS);
    return (pid_t)id;
}

const char *many_thread_name(const many_thread *thread)
{
    return thread == NULL ? "" : thread->name;
}

int many_thread_descriptor(many_thread *thread)
{
    int code = thread_check(thread, "many_thread_descriptor"), none = 0, bell;

    if (code < 0)
        return code;
    bell = atomic_load(&thread->bell);
    if (bell != 0)
        return bell - 1;
    bell = many_bell_open_();
    if (bell < 0)
        return many_fail(
            bell,
            "many_thread_descriptor: no descriptor to be had (%s): close some, or raise "
            "ulimit -n",
            many_error_name(bell));
    if (!atomic_compare_exchange_strong(&thread->bell, &none, bell + 1)) {
        many_bell_close_(bell); /* another thread was first */
        return none - 1;
    }
    if (atomic_load(&thread->done))
        many_bell_ring_(bell);
    return bell;
}

many_thread *many_thread_current(void)
{
    many_thread *thread = thread_current;

    return thread != NULL && thread->process == many_self_process_() ? thread : NULL;
}

/* ---- let go ---- */

void many_thread_close(many_thread *thread)
{
    if (thread == NULL || thread->process != many_self_process_())
        return;
    thread_list_remove(thread);
    if (thread == thread_current) {
        many_thread_detach_(pthread_self());
        thread_let_go(thread);
        return;
    }
    atomic_store_explicit(&thread->stop, MANY_ATTENTION_STOP_, memory_order_relaxed);
    if (thread->daemon && !thread_is_done(thread)) {
        many_thread_detach_(thread->thread);
        thread_let_go(thread);
        return;
    }
    while (thread_await(thread, MANY_NEVER_NS) < 0)
        continue;
    thread_reap(thread, MANY_NEVER_NS);
    thread_let_go(thread);
}
