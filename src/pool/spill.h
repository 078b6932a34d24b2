/* SPDX-License-Identifier: MIT */
/*
 * spill.h - finished results that do not fit into the window, in an unnamed file
 *
 * A record holds the outcomes of some items that follow one another. Records that follow one another in the
 * order of their items, wherever they lie in the file, are linked: a run. So memory is one small run for each
 * stretch of items that are spilled, and never one for each record.
 *
 * What was read is given back to the disk. When the file cannot be written (no folder, no room, over the
 * limit, RLIMIT_FSIZE) the caller is told so, and keeps what it has in memory.
 */
#ifndef MANY_POOL_SPILL_H
#define MANY_POOL_SPILL_H

#include <stddef.h>
#include <stdint.h>

typedef struct many_spill_ {
    const char *folder; /* of the caller; NULL: /var/tmp, else /tmp */
    uint64_t most;      /* bytes that are not read yet, at most */
    int fd;             /* -1: there was no need yet */
    int full;         /* the last try did not fit: it is not tried again until something was read */
    int gives_back;   /* 1: the file system frees what was read, bit by bit */
    uint64_t end;     /* where the next record begins */
    uint64_t held;    /* bytes of records that were not read to their end */
    uint64_t written; /* bytes in all, ever */

    char *out;        /* what of the record that is being written has no place in the file yet */
    size_t out_bytes; /* so much of it */
    uint64_t out_at;  /* where that goes; end <= out_at */
    uint64_t out_items;

    char *in; /* bytes of the file from in_at on */
    size_t in_bytes;
    uint64_t in_at;
} many_spill_;

/* Records in the order of their items, as they are read: a plain value. */
typedef struct many_spill_run_ {
    uint64_t record, last; /* where the first one that is left begins, and the last one */
    uint64_t at;           /* the next item in the first; 0: it was not begun */
    uint64_t left;         /* items left in it */
} many_spill_run_;

/* Nothing is opened before the first record. */
void many_spill_open_(many_spill_ *spill, const char *folder, uint64_t most);
void many_spill_close_(many_spill_ *spill);

/*
 * Write a record: begin, add each item's outcome, end. 0; or -ENOSPC, then nothing was written, and the record
 * has to be begun anew some time later. run becomes a run of this one record.
 */
int many_spill_begin_(many_spill_ *spill);
int many_spill_add_(many_spill_ *spill, int32_t code, const void *bytes, size_t count);
int many_spill_end_(many_spill_ *spill, many_spill_run_ *run);

/* next follows run: make them one. 0; or -EIO, and they stay two. */
int many_spill_join_(many_spill_ *spill, many_spill_run_ *run, const many_spill_run_ *next);

/* The next item of a run that is not empty: its code and size, without taking it. 0 or -EIO. */
int many_spill_look_(many_spill_ *spill, many_spill_run_ *run, int32_t *code, size_t *count);

/* Take it: its bytes into room (NULL: nowhere). 0 or -EIO. After the last item of a run it is empty, and not
 * to be used any more. */
int many_spill_take_(many_spill_ *spill, many_spill_run_ *run, void *room);

#endif
