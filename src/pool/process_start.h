/* SPDX-License-Identifier: MIT */
/*
 * process_start.h - the owner's side of the supervisor: start it, notice its death, put right what it left
 *
 * Promise    Whoever waits for something of the pool and asks many_supervision_look_() now and then hears of
 *            the supervisor's death, whatever killed it; after many_supervision_mend_() every task that its
 *            workers had claimed is ready again or over, and another supervisor makes new workers.
 * Invariant  At most one supervisor lives at a time, and none of its predecessor's workers: a new one is
 *            started under the lock, when all those are gone.
 * Death      Of the owner at any instruction: the supervisor sees it (its parent, or its parent's start time)
 *            before it makes a worker, and from then on; it kills what it made, and leaves.
 */
#ifndef MANY_POOL_PROCESS_START_H
#define MANY_POOL_PROCESS_START_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include <many/pool.h>

#include "os/module.h"
#include "pool/table.h"
#include "process/process.h"

typedef struct many_supervision_ {
    many_table_ *table;
    many_pool_options
        option; /* the pool's; the pointers in it are copies of ours, or stay the caller's */
    char *initializer_copy; /* of .initializer_bytes */
    many_inherit *inherits_copy;
    many_module_ *modules; /* MANY_FORK: what the loader had loaded at the open */
    size_t modules_count;
    uint64_t process; /* many_self_process_() of the owner */

    pthread_mutex_t lock;     /* protects what follows; held while a dead supervisor is replaced */
    many_process *supervisor; /* NULL: none was started, or it is gone for good */
    int ending;               /* 1: it is to end, and none comes after it */
    uint32_t barren;          /* supervisors in a row that died and had let nobody do a task */
    uint64_t barren_done;
    int64_t rouse_ns; /* when to tell it next to go on, should somebody have stopped it */
} many_supervision_;

/*
 * Start the first supervisor. table is filled and stays until the close. 0, or a negative code with words
 * that begin with "many_pool_open"; nothing is left behind then, and no close is needed.
 */
int many_supervision_open_(many_supervision_ *supervision, many_table_ *table,
                           const many_pool_options *option);

/* Does it live? 1; 0: many_supervision_mend_() has something to do. A system call: once a slice of a wait. */
int many_supervision_look_(many_supervision_ *supervision);

/*
 * If it is dead: wait for the end of its workers, settle what they had, and start another one, unless the
 * pool is at its end. 0: one lives, or none is to; or the negative code with which the pool is broken now, in
 * the roster, too: no other could be started.
 */
int many_supervision_mend_(many_supervision_ *supervision);

/* Have it look round: limits, a task to be terminated, an order. Never blocks. */
void many_supervision_ring_(const many_supervision_ *supervision);

/* Readable when it has ended; changes with each mend. -1: this system has none, or none runs. */
int many_supervision_descriptor_(many_supervision_ *supervision);

/*
 * End it, and all workers, and wait for that. cut: kill those that are in a task, whose tasks are cancelled;
 * else workers that are idle leave by themselves (nothing may wait or run any more). Afterwards every task
 * has its outcome, and no process is left. Once.
 */
void many_supervision_stop_(many_supervision_ *supervision, int cut);

/* After the stop, or after a failed open: give back what is left. */
void many_supervision_close_(many_supervision_ *supervision);

/* In a forked child of the owner: let go of the copies. */
void many_supervision_forget_(many_supervision_ *supervision);

#endif
