/* SPDX-License-Identifier: MIT */
/*
 * spill.h - what was printed out of turn, kept until its turn
 *
 * With --keep-order an item that ends early waits for those before it. It must neither hold up the
 * jobs nor hold descriptors or memory, however long that takes: so its bytes go to the end of one
 * file without a name, and where they lie goes to another one, at the item's index.
 *
 *   data     the bytes, in the order in which items ended. In segments: one in which nothing is
 *            waiting any more is given back to the file system, long before the file's end is.
 *   ledger   a spill_record for each item, at its index; zeros: not there.
 *
 * Both are cut to nothing whenever nothing waits.
 */
#ifndef SPILL_H
#define SPILL_H

#include <stdint.h>
#include <sys/types.h>

/* What waits for one item: out_bytes, then err_bytes, at offset of data. */
typedef struct spill_record {
    uint64_t there; /* 1 */
    int64_t offset, out_bytes, err_bytes;
} spill_record;

struct spill {
    int data, ledger; /* -1 until something waits */
    uint64_t waiting; /* records that were put and not yet taken */
    uint64_t base;    /* the ledger's first index */
    int64_t end;      /* of data, and of what the current record has of it */
    uint32_t *live;   /* [segments] records that wait in each */
    size_t segments;
    int64_t begun; /* where the current record begins */
};

void spill_begin(struct spill *spill);
void spill_end(struct spill *spill);

/* An item: first what it printed, from a descriptor or from memory, then its record. 0 or a
 * negative code, after which the spill can only be ended. */
int spill_put_file(struct spill *spill, int from, off_t bytes);
int spill_put_text(struct spill *spill, const char *text, size_t bytes);
int spill_put_record(struct spill *spill, uint64_t index, off_t out_bytes, off_t err_bytes);

/* Is there one for the item? 1 and the record, 0, or a negative code. */
int spill_find(const struct spill *spill, uint64_t index, spill_record *record);

/* The record's bytes were used: forget it. No item before this one is put any more. */
void spill_drop(struct spill *spill, uint64_t index, const spill_record *record);

#endif
