/* SPDX-License-Identifier: MIT */
/*
 * submit_spin.c - submit.one at its limit: one thread that spins, and one cache line a way
 *
 * No pool that runs a task in another thread can be faster: the argument crosses, the result comes
 * back.
 */
#include "submit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static bench_fn *volatile task_kept = bench_submit_task; /* read back, so that nobody inlines it */

/* x and y belong to who sees turn change: odd, the worker's; even, the submitter's. */
static struct {
    _Alignas(64) _Atomic uint64_t turn;
    long x;
    long y;
} spin_task;

/* Ties the calling thread to the processor that is the place-th of those it may use. */
static void spin_tie(size_t place)
{
    cpu_set_t usable;
    cpu_set_t one;

    if (sched_getaffinity(0, sizeof usable, &usable) != 0)
        bench_die("sched_getaffinity failed");
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &usable) && place-- == 0)
            CPU_SET(cpu, &one);
    if (CPU_COUNT(&one) == 0)
        bench_die("two processors are needed");
    if (pthread_setaffinity_np(pthread_self(), sizeof one, &one) != 0)
        bench_die("pthread_setaffinity_np failed");
}

static void *spin_worker(void *argument)
{
    (void)argument;
    spin_tie(1);
    for (uint64_t turn = 1;; turn += 2) {
        while (atomic_load_explicit(&spin_task.turn, memory_order_acquire) != turn)
            continue;
        task_kept(&spin_task.x, &spin_task.y, NULL);
        atomic_store_explicit(&spin_task.turn, turn + 1, memory_order_release);
    }
    return NULL;
}

static void spin_open(size_t tasks_most)
{
    pthread_t thread;

    (void)tasks_most;
    if (pthread_create(&thread, NULL, spin_worker, NULL) != 0)
        bench_die("pthread_create failed");
    pthread_detach(thread); /* it ends with the process */
    spin_tie(0);            /* after the thread was made, which would have inherited it */
}

static void spin_one(const long *x, long *y)
{
    uint64_t turn = atomic_load_explicit(&spin_task.turn, memory_order_relaxed);

    spin_task.x = *x;
    atomic_store_explicit(&spin_task.turn, turn + 1, memory_order_release);
    while (atomic_load_explicit(&spin_task.turn, memory_order_acquire) != turn + 2)
        continue;
    *y = spin_task.y;
}

int main(int argc, char **argv)
{
    static const bench_submitter subjects[] = {
        {.name = "spin-limit", .open = spin_open, .one = spin_one}};

    return bench_submit_main(argc, argv, subjects, sizeof subjects / sizeof subjects[0]);
}
