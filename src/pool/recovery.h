/* SPDX-License-Identifier: MIT */
/*
 * recovery.h - what a dead worker left is settled: by the supervisor, or by the owner when that is dead, too
 *
 * Promise    After it every ticket that the worker had claimed is READY again, or OVER with a cause; nothing that
 *            had its outcome loses it.
 * Death      of who settles: another does it again from the beginning. Each step leaves what the one before it
 *            has found: a ticket leaves the worker's stack only when the next worker comes; an item has its
 *            code before the progress passes it; a ticket that is READY and still on the stack is put into
 *            the lanes once more, which does no harm, because a key in a lane is a hint.
 */
#ifndef MANY_POOL_RECOVERY_H
#define MANY_POOL_RECOVERY_H

#include <stdint.h>
#include <sys/types.h>

#include "os/process.h"
#include "pool/table.h"

/* How a worker ended, as far as who settles it knows. */
typedef struct many_death_ {
    pid_t pid;
    many_ending_ ending;
    int cancelled; /* 1: the pool is at its end: what it was in is cancelled */
    uint64_t
        item_verdict; /* why an item of a batch was condemned: MANY_VERDICT_TIMEOUT_ or _MEMORY_; 0: not known */
    uint64_t peak_bytes; /* resident size that was seen of it */
} many_death_;

/* What that says of the pool as a whole. */
typedef struct many_recovered_ {
    int left;               /* 1: by itself, as it was to */
    int initializer_failed; /* 1: it ended before its initializer had succeeded */
    int barren;             /* 1: it died before it began a task */
    char words[192];        /* how it ended */
} many_recovered_;

/* Worker w is dead. table: of the supervisor's submitter. */
void many_recover_worker_(many_table_ *table, int w, const many_death_ *death,
                          many_recovered_ *recovered);

/* A worker is about to be made for place w, whose last one was settled: nothing of that is left in its record. */
void many_recover_place_(many_table_ *table, int w);

/*
 * The owner, whose table this is: the supervisor is dead. Wait until its workers are, and settle what they had.
 * cancelled: the pool is at its end, and what was not over is cancelled.
 */
void many_recover_all_(many_table_ *table, int cancelled);

/* All that is READY is OVER with this verdict. */
void many_recover_sweep_(many_table_ *table, uint64_t verdict);

/* The pool is broken with this negative code, for ever; the first one that says so counts. */
void many_recover_break_(many_table_ *table, int code, const char *words);

/* Tasks that the pool has been through, however they ended. */
uint64_t many_recover_done_(const many_table_ *table);

#endif
