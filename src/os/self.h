/* SPDX-License-Identifier: MIT */
/*
 * self.h - which process and which thread this is, known without a system call; who else is alive
 *
 * A fork wipes one page (MADV_WIPEONFORK), and with it all that is true of one process alone: its
 * number of birth, and what the rooms above hang there (the list of live children, the fork
 * server). So a forked child starts with none of it, and nobody has to notice the fork.
 */
#ifndef MANY_OS_SELF_H
#define MANY_OS_SELF_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * A thread of any process: thread id in bits 0..29, 30 and 31 zero, start time in clock ticks since
 * boot (low 32 bits; 0: unknown) in the upper half. Never 0. A thread id that is used again has
 * another start time.
 */
typedef uint64_t many_identity_;

#define MANY_IDENTITY_THREAD_ UINT64_C(0x3fffffff)

/* The calling thread's. After the first call in a thread of a process some nanoseconds. */
many_identity_ many_self_(void);

/* A number of this process, other than that of its parent and of its children; never 0. */
uint64_t many_self_process_(void);

/* Where that number mostly stands, for many_self_is_(); 0 there: ask. */
extern _Atomic(const _Atomic uint64_t *) many_self_word_;

/* Is it this process's? In place, for what is asked with each task. */
static inline int many_self_is_(uint64_t process)
{
    const _Atomic uint64_t *word = atomic_load_explicit(&many_self_word_, memory_order_acquire);

    return (process != 0 && atomic_load_explicit(word, memory_order_relaxed) == process) ||
           many_self_process_() == process;
}

/*
 * Is this thread gone? 1: it has ended or was killed (a process that nobody reaped included); 0: it
 * lives, or nobody can say. Reads /proc/ID/stat: some 10 us.
 */
int many_self_gone_(many_identity_ identity);

/* The identity of the main thread of another process, as its many_self_() gives it; 0: gone. */
many_identity_ many_self_of_(int pid);

/* The name of a thread, as pthread_setname_np() gave it; "?" when it is gone. Not tamed. */
#define MANY_NAME_BYTES_ 32
void many_self_name_(many_identity_ identity, char name[MANY_NAME_BYTES_]);

/* Pointers that are this process's own: NULL at first, and again in each forked child. */
enum {
    MANY_OWN_PROCESS_,
    MANY_OWN_CHILDREN_,
    MANY_OWN_THREADS_,
    MANY_OWN_SERVER_,
    MANY_OWN_BARS_,
    MANY_OWN_WAITS_,
    MANY_OWN_POOLS_,
    MANY_OWN_COUNT_
};

/* NULL only when there is no memory for the page. */
_Atomic(void *) *many_self_own_(int which);

#endif
