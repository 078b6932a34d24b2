/* SPDX-License-Identifier: MIT */
/*
 * process_worker.h - the life of a worker process: look for ready tickets, run them, rest
 *
 * What it runs is process_run.c's. many_worker_help_() is declared in table.h.
 */
#ifndef MANY_POOL_PROCESS_WORKER_H
#define MANY_POOL_PROCESS_WORKER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <many/pool.h>

#include "os/module.h"
#include "pool/table.h"

/* What its supervisor has it begin with; of the supervisor's memory, of which it is a fork. */
typedef struct many_worker_life_ {
    const many_table_ *table; /* as the supervisor sees it */
    int worker;
    pid_t supervisor;
    many_initializer_fn *initializer; /* NULL: none */
    void *argument;
    uint64_t tasks_most; /* it leaves after so many; 0: never */
    const many_module_ *modules;
    size_t modules_count;
} many_worker_life_;

/* A many_process_fn; argument is a many_worker_life_. */
int many_worker_main_(void *argument);

/* ---- process_run.c ---- */

/*
 * Run the ticket of key, which this worker has just claimed at stack[depth] (depth is counted up here), until it
 * is OVER. Does not return where the ticket was condemned, and in a twin: a fork of this process that a task made,
 * and that has come back out of fn.
 */
void many_run_ticket_(many_table_ *table, uint64_t key);

/* The area of a batch's ticket. */
static inline many_batch_area_ *many_batch_area_of_(const many_table_ *table,
                                                    const many_ticket_ *ticket)
{
    return many_block_data_(many_table_at_(table, ticket->arg));
}

#endif
