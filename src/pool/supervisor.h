/* SPDX-License-Identifier: MIT */
/*
 * supervisor.h - the small process that makes the workers of a pool, limits, ends and replaces them
 *
 * It has one thread, blocks all signals, and sleeps in one poll: on its bell, on the ends of its children, on the
 * end of the owner. It runs no code of the user's. Every process of the pool but itself is its child, and dies
 * with it (PDEATHSIG), so that two kills leave nothing behind: the owner's is seen by it, its own by the kernel.
 */
#ifndef MANY_POOL_SUPERVISOR_H
#define MANY_POOL_SUPERVISOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <many/pool.h>

#include "os/module.h"
#include "os/self.h"
#include "process/process.h"
#include "task/reference.h"

/*
 * What the owner tells a supervisor: with MANY_FORK where it lies; else as bytes, in which no pointer means
 * anything, and the descriptors come by the last of the inherits, a pipe.
 */
typedef struct many_supervisor_plan_ {
    int32_t method;                   /* enum many_start_method */
    int32_t memory, bell, owner_bell; /* MANY_FORK: by the owner's numbers */
    int32_t owner;                    /* its pid */
    int32_t has_initializer;
    int32_t workers;
    int32_t reserved;
    many_identity_ owner_identity; /* of its main thread */
    uint64_t inherits_count;       /* the user's */
    uint64_t tasks_per_worker;
    uint64_t argument_bytes; /* of the initializer; not MANY_FORK: they lie behind this struct */
    char owner_name[MANY_PROCESS_NAME_BYTES_];
    /* MANY_FORK */
    char *base; /* where the table is mapped; else NULL */
    many_initializer_fn *initializer;
    void *argument;
    const many_module_ *modules;
    size_t modules_count;
    const many_inherit *inherits;
    /* the others */
    many_reference_ reference;
} many_supervisor_plan_;

/* The life of a supervisor: a many_process_fn, argument is the plan. */
int many_supervisor_main_(void *argument);

#endif
