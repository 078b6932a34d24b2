/* SPDX-License-Identifier: MIT */
/*
 * supervisor_parts.h - what the files of the supervisor share: supervisor.c and supervisor_limits.c
 */
#ifndef MANY_POOL_SUPERVISOR_PARTS_H
#define MANY_POOL_SUPERVISOR_PARTS_H

#include <stdint.h>
#include <sys/types.h>

#include "pool/supervisor.h"
#include "pool/table.h"
#include "process/process.h"

/* A place of a worker, as its supervisor sees it. */
typedef struct many_supervisor_place_ {
    pid_t pid;           /* 0: nobody; not reaped yet, so that its number is nobody else's */
    uint32_t number;     /* of its hire */
    uint64_t peak_bytes; /* largest resident size that was seen of this worker */
    int condemned;       /* 1: one of its tasks was ended by us, and so is it */
    uint64_t verdict;    /* of an item of a batch: MANY_VERDICT_TIMEOUT_, _MEMORY_ */
    uint64_t asked;      /* key of a ticket that somebody has ended, and it is still in */
    int64_t asked_ns;    /* since when we know */
    int64_t kill_ns;     /* SIGTERM was not enough by then; 0: SIGKILL was sent */
} many_supervisor_place_;

typedef struct many_supervisor_self_ {
    const many_supervisor_plan_ *plan;
    many_table_ *table;
    many_initializer_fn *initializer;
    void *argument;
    many_inherit *inherits; /* the user's */
    many_process *owner;
    pid_t self;
    int ends;       /* many_launch_ends_open_() */
    int ignores;    /* 1: the owner ignores SIGCHLD, and so do the workers */
    uint64_t mask;  /* of the owner: the workers' */
    int living;     /* places that are not empty */
    uint32_t hires; /* so far */
    int failed;     /* initializers in a row that failed, with none in between that succeeded */
    uint32_t failed_hires; /* hires at the last of them */
    int barren; /* workers in a row that died before they began a task, with none done in between */
    uint64_t barren_done;
    int starved; /* forks in a row that failed, with no worker alive */
    int hungry;  /* 1: a fork failed: try again at hungry_ns */
    int64_t hungry_ns;
    int64_t leave_ns;              /* order LEAVE: when to kill who has not left; 0: no order yet */
    int64_t limits_ns;             /* when to look at the limits next; MANY_NEVER_NS */
    many_supervisor_place_ *place; /* [workers] */
} many_supervisor_self_;

/* SIGKILL, or another signal, to worker w and all in its process group. */
void many_supervisor_signal_(const many_supervisor_self_ *supervisor, int w, int signal);

/* Look at what every worker is in, end what is over its limit, or is to be terminated, and set limits_ns. */
void many_supervisor_limit_(many_supervisor_self_ *supervisor);

#endif
