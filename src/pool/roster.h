/* SPDX-License-Identifier: MIT */
/*
 * roster.h - the page that tells what a pool is doing: in a memfd of its own name, at its beginning
 *
 * Written by the pool with plain stores as it goes on, each line by one thread at a time; read by
 * many_pool_look() and, through /proc/PID/fd, by many_watcher_look() of another process. Readers
 * lock nothing, believe nothing, and change nothing.
 *
 * Promise    What a reader says of one worker (task, name, since, waits for) belongs together:
 *            version is odd while that changes, and other than before when it has changed. Sums
 *            were true at some moment each.
 * Death      A writer that is killed between the two leaves version odd: its line is of no use
 *            until many_roster_leave_() makes it whole again. Nobody waits.
 *
 * The counts of a place go on when its worker is replaced: they are the place's.
 */
#ifndef MANY_POOL_ROSTER_H
#define MANY_POOL_ROSTER_H

#include <stdatomic.h>
#include <stdint.h>

#include <many/pool_status.h>

#include "os/atomic.h"

/* The memfd's name in /proc/PID/fd: "/memfd:many-pool (deleted)". */
#define MANY_ROSTER_FILE_    "many-pool"
#define MANY_ROSTER_MAGIC_   UINT64_C(0x6d616e79706f6f6c)
#define MANY_ROSTER_VERSION_ 1

#define MANY_ROSTER_WORKERS_MOST_ 4096

/* A name of at most 63 bytes, in words, so that it can be read while it is written. */
#define MANY_ROSTER_NAME_BYTES_ 64
typedef struct many_roster_name_ {
    _Atomic uint64_t word[MANY_ROSTER_NAME_BYTES_ / 8];
} many_roster_name_;

/*
 * One worker's line, written by the worker; pid and thread by whoever knows them. version is odd
 * while any of depth from 0 to 1, task, since_ns, names and waits changes; depth of 2 and more,
 * back to 0, and the counts are stored as they are.
 */
typedef struct many_roster_place_ {
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t version;
    _Atomic uint32_t depth; /* tasks it is in */
    _Atomic int32_t pid;    /* 0: nobody */
    _Atomic int32_t thread;
    _Atomic uint64_t task;            /* the outermost's number */
    _Atomic int64_t since_ns;         /* when that began, as many_clock_ns_(); -1: not known */
    _Atomic uint64_t begun;           /* tasks, nested ones, too; less those that were put back */
    _Atomic uint64_t done;            /* of those over, by outcome */
    _Atomic uint64_t failed;          /* likewise */
    _Atomic uint64_t cancelled;       /* likewise */
    _Atomic uint64_t waits_for;       /* number of the task that the innermost one waits for */
    _Atomic int32_t waits;            /* 1: it waits */
    _Atomic int32_t waits_for_worker; /* as it was at last seen; -1 */
    many_roster_name_ name;           /* of the outermost; "": it has none, "task N" */
    many_roster_name_ waits_for_name; /* likewise */
} many_roster_place_;

typedef struct many_roster_ {
    _Atomic uint64_t magic; /* written last: the rest is there */
    uint32_t version;
    int32_t kind;
    int32_t pid; /* of the owner */
    int32_t workers;
    char name[MANY_ROSTER_NAME_BYTES_];
    _Atomic int32_t finished; /* 1: it takes no more tasks */
    _Atomic int32_t broken;   /* 0, or the negative code that it has become useless with */
    _Atomic uint32_t closed;  /* 1: the pool is gone */
    uint32_t reserved;
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t submitted; /* by the owner; with places' below */
    _Atomic uint64_t cancelled;                           /* before they began */
    _Atomic uint64_t lost; /* begun, and failed by a death or limit: no place counts them */
    _Atomic uint64_t replaced, died;
    many_roster_place_ place[]; /* [workers] */
} many_roster_;

/* Tasks that workers submit count here, a word a place, behind the places. */
static inline _Atomic uint64_t *many_roster_submitted_(many_roster_ *roster, int w)
{
    return (_Atomic uint64_t *)(void *)((char *)(roster->place + roster->workers) +
                                        (size_t)w * MANY_CACHE_LINE);
}

static inline size_t many_roster_bytes_(int workers)
{
    return sizeof(many_roster_) + (size_t)workers * (sizeof(many_roster_place_) + MANY_CACHE_LINE);
}

/* Fill in a zeroed one, as the process that owns the pool. name: 63 bytes of it at most. */
void many_roster_begin_(many_roster_ *roster, int kind, int workers, const char *name);

/*
 * A worker has this place: said by itself, or by who made it, at any time. And: it has ended, and
 * the place is empty; said before the next one has it. Mends what a killed one left half-written.
 */
void many_roster_arrive_(many_roster_place_ *place, int pid, int thread);
void many_roster_leave_(many_roster_place_ *place);

/*
 * The worker of this place is dead, and every task it was in has its outcome, which was counted
 * here. It may have been killed between a task's beginning or end and the counting of that: make
 * begun what it must be; what is not known counts as failed.
 */
void many_roster_mend_(many_roster_place_ *place);

/* In a worker: it begins its outermost task (name NULL: none; depth becomes 1); now_ns:
 * many_clock_ns_(), or -1: not looked at. Or has ended it: now_ns is 0 (depth becomes 0; name
 * and task are not used). */
void many_roster_task_(many_roster_place_ *place, uint64_t task, const char *name, int64_t now_ns);

/* The innermost task of a worker begins to wait for another (name NULL: it has none; worker -1:
 * nobody runs it yet), or no longer does (waits = 0). */
void many_roster_wait_(many_roster_place_ *place, int waits, uint64_t task, const char *name,
                       int worker);

/*
 * A snapshot, as many_watcher_look(); bytes: so much of roster can be read. Nothing in it is
 * believed. How many workers there are; -ENOENT: closed; -EBADMSG. Without words.
 */
ssize_t many_roster_read_(const many_roster_ *roster, size_t bytes, many_pool_status *status,
                          many_worker_status *workers, size_t room);

/* Is this the beginning of a roster, and of how many workers? Their number, or -EBADMSG. */
int many_roster_check_(const many_roster_ *roster);

#endif
