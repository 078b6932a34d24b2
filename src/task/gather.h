/* SPDX-License-Identifier: MIT */
/*
 * gather.h - wait for the ends of several futures
 *
 * Promise    Each future's node is handed out once, in the order of their ends. Who waits in a task
 *            runs tasks that nobody else runs, and is told when none of its futures can end any
 *            more.
 * Invariant  A node is in the list of its future (attached), or on its way (told() runs), or in
 *            ready, or was handed out. told() runs in any thread and touches the gather;
 *            many_gather_end_() detaches every node, which waits for told(), so the gather lives
 *            longer than any of them.
 */
#ifndef MANY_TASK_GATHER_H
#define MANY_TASK_GATHER_H

#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "task/future.h"

/* A home that has to be listened to. */
typedef struct many_gather_home_ {
    const many_future_engine_ *engine;
    void *home;
} many_gather_home_;

/* Used by one thread at a time, but for what is atomic. */
typedef struct many_gather_ {
    _Atomic(many_future_node_ *) ready; /* told, the newest first */
    _Atomic uint32_t told;              /* counts; what is slept on */
    _Atomic uint32_t sleeps;            /* 1: wake or ring */
    many_future_node_ *next;            /* taken out of ready, the oldest first */
    many_future_node_ *nodes;           /* [count], of the caller's futures */
    size_t count, left;                 /* left: not handed out */
    size_t running;   /* number of a node whose task ran when it was last looked at */
    int64_t slice_ns; /* of the next sleep, where it has to look up now and then */
    int slept;        /* 1: a slice went by, and nothing came */
    many_gather_home_ *homes;
    struct pollfd *polls; /* [homes_count + 1]; the first is bell */
    size_t homes_count;
    int bell; /* -1: no home has one, and told is slept on */
} many_gather_;

/* Begin with room for so many. 0 or -ENOMEM. */
int many_gather_begin_(many_gather_ *gather, size_t most);

/* One more, if it is open until many_gather_end_(). 0; -ENOMEM. */
int many_gather_add_(many_gather_ *gather, many_future *future);

/* The next that is over; NULL: none now. */
many_future *many_gather_take_(many_gather_ *gather);

/* Ask all homes: for who does not wait. */
void many_gather_look_(many_gather_ *gather);

/*
 * Nothing was there to take: help, or sleep. 0: look again; -ETIMEDOUT; -EINTR; -EDEADLK, with
 * words; -EMFILE, -ENFILE, -ENOMEM: nothing to wait with.
 */
int many_gather_wait_(many_gather_ *gather, int64_t deadline_ns);

/* Nothing of it is used any more. Not in a forked child. */
void many_gather_end_(many_gather_ *gather);

/* In a forked child: the copy's memory. */
void many_gather_forget_(many_gather_ *gather);

#endif
