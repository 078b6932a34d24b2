/* SPDX-License-Identifier: MIT */
/*
 * tables.h - the debug mode's memory: which thread holds what and waits for whom, what was acquired
 *            in which order, what the locks are called
 *
 * Promise    A thread is killed at any instruction, and the others go on: nothing here is locked.
 * Invariant  Each entry is claimed by one compare-and-swap of its first word, and is never given
 *            back, but for that of a dead thread. A thread's entry is written by that thread alone;
 *            others read it, and believe it only if visit says that the thread waited all the time.
 * Death      Killed while it takes over the entry of a dead thread: one entry less. Killed while it
 *            writes a name: a part of the name. Of the dead, what they held and waited for stays
 *            written until their entry is taken over: who reads it asks whether they live.
 */
#ifndef MANY_SYNC_TABLES_H
#define MANY_SYNC_TABLES_H

#include <stdatomic.h>
#include <stdint.h>

#include "os/self.h"

#define MANY_TABLES_THREADS_ 1024 /* powers of two */
#define MANY_TABLES_NAMES_   4096
#define MANY_TABLES_ORDERS_  65536
#define MANY_TABLES_HELD_    32 /* what one thread holds beyond that is not watched */
#define MANY_TABLES_NAME_    32 /* bytes of a lock's name, with the NUL */

/* A lock as one thread sees it. */
typedef struct many_tables_lock_ {
    _Atomic uint32_t id; /* 0: none */
    uint32_t reserved;
    _Atomic uint64_t address;
} many_tables_lock_;

typedef struct many_tables_thread_ {
    _Atomic uint64_t identity;    /* 0: free; 1: being taken over */
    _Atomic uint64_t process;     /* its process id */
    _Atomic uint64_t visit;       /* odd: it waits; goes up with each beginning, change, and end */
    _Atomic uint64_t waits_owner; /* who held it when it was looked at last */
    many_tables_lock_ waits;
    many_tables_lock_ held[MANY_TABLES_HELD_];
} many_tables_thread_;

/* "first was held when second was acquired", first * 2^32 + second; bit 63: told already. */
typedef struct many_tables_pair_ {
    _Atomic uint64_t key;
    _Atomic uint64_t who; /* the first one that did so: process id * 2^32 + thread id */
} many_tables_pair_;

typedef struct many_tables_label_ {
    _Atomic uint32_t id;
    uint32_t reserved;
    _Atomic uint64_t text[MANY_TABLES_NAME_ / 8];
} many_tables_label_;

/* In memory shared with children that are forked later; zero at first. */
typedef struct many_tables_ {
    _Atomic uint32_t ids; /* given so far */
    many_tables_thread_ threads[MANY_TABLES_THREADS_];
    many_tables_label_ names[MANY_TABLES_NAMES_];
    many_tables_pair_ orders[MANY_TABLES_ORDERS_];
} many_tables_;

/* The number of a lock, which it keeps: in its bytes 12 to 15. Gives it one if it has none, and
 * give. */
uint32_t many_tables_id_(many_tables_ *tables, const uint64_t *word, int give);

/* The calling thread's entry; NULL: there are too many threads, and this one is not watched. */
many_tables_thread_ *many_tables_me_(many_tables_ *tables);

/* Another's; NULL: not watched. */
many_tables_thread_ *many_tables_find_(many_tables_ *tables, many_identity_ identity);

/* What this thread holds; address 0: whatever its address. NULL: it does not. */
many_tables_lock_ *many_tables_held_(many_tables_thread_ *thread, uint32_t id, uint64_t address);
void many_tables_hold_(many_tables_thread_ *thread, uint32_t id, const uint64_t *word);

/* The calling thread begins to wait, or waits for another owner now; ends to. */
void many_tables_wait_(many_tables_thread_ *thread, uint32_t id, const uint64_t *word,
                       many_identity_ owner);
void many_tables_go_on_(many_tables_thread_ *thread);

/* Note that second was acquired while first was held. 1: it is new, and the other order is known
 * but was not told yet; *who is the first that did so. Once a pair. */
int many_tables_order_(many_tables_ *tables, uint32_t first, uint32_t second, uint64_t me,
                       uint64_t *who);

/* 0, or -ENOMEM. */
int many_tables_set_name_(many_tables_ *tables, uint32_t id, const char *name);

/* "" if it has none. */
void many_tables_name_of_(many_tables_ *tables, uint32_t id, char name[MANY_TABLES_NAME_]);

#endif
