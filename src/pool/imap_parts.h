/* SPDX-License-Identifier: MIT */
/*
 * imap_parts.h - an iterator's memory: what was pulled, in the order of the source, until it is taken
 *
 * A part is some items that follow one another: in a batch (pulled, sent, over), in the spill file, or lost with
 * their batch. Parts hang in a list in the order of the source. A slot is a batch, used for one part after
 * another.
 *
 *   imap.c        the public calls: hand out item after item of the first part (unordered: of any that is over)
 *   imap_feed.c   pull items into a free slot, send it, learn how large the next one should be; spill
 *   spill.c       the file
 *
 * Invariant  A slot is free, or belongs to one part. Items in slots are at most window, slots at most
 *            slots_most. Two spilled parts do not follow one another (unless the file failed), so there are never
 *            more parts than twice the slots and one.
 */
#ifndef MANY_POOL_IMAP_PARTS_H
#define MANY_POOL_IMAP_PARTS_H

#include <many/imap.h>

#include "pool/imap_wait.h"
#include "pool/spill.h"

typedef struct many_imap_slot_ {
    many_sent_ sent;
    struct many_imap_slot_ *next_free;
} many_imap_slot_;

typedef struct many_imap_part_ {
    struct many_imap_part_ *next, *before;
    uint64_t first;
    size_t count;
    many_imap_slot_ *slot; /* NULL: spilled or lost */
    int over;              /* slot's batch is */
    int lost;              /* 1: never accepted by the pool; 2: not to be read back */
    many_spill_run_ run;   /* neither a slot nor lost */
} many_imap_part_;

struct many_imap {
    uint64_t process;
    many_pool *pool;
    many_imap_options option; /* the newest layout */
    many_batch_plan_ plan;
    char name[64];
    void *context; /* a copy, if .context_bytes */
    char *folder;  /* likewise */

    size_t slots_most, slots_opened;
    size_t flying_most; /* parts that are with the workers at a time */
    size_t window;      /* items in slots */
    many_imap_slot_ *slot, *slot_free;
    size_t parts_most, parts_used;
    many_imap_part_ *part, *part_free;
    many_imap_part_ *first, *last; /* the list */
    many_sent_ **waits;            /* [slots_most]: scratch for a wait */
    size_t flying;                 /* parts that were sent, and were not seen to be over */
    many_imap_part_ *unsent;       /* the last one, when the pool had no memory for it; else NULL */
    size_t used;                   /* slots that belong to a part */
    size_t held;                   /* items in slots */

    many_imap_part_ *current; /* being handed out, from item at on; NULL: none */
    size_t at;

    uint64_t pulled;
    int ended;    /* the source has no more, or is not asked any more */
    int end_code; /* 0, or what next said, or the pool; told once, after the last item */
    char end_words[320];
    int64_t ask_ns;  /* the source said -EAGAIN: not before that; 0: now */
    int64_t pull_ns; /* one call of next, as measured; -1: not yet */
    int blocked;     /* no place for more before the first part is taken */

    size_t chunk;         /* items of the next batch */
    int64_t item_ns;      /* as measured in the workers */
    uint64_t reply_bytes; /* of a result of any length, on average */

    many_sent_waiter_ wait;
    many_spill_ spill;

    uint64_t index; /* of the item that the last call was about; UINT64_MAX: none yet */
    int failed;
    int has_cause; /* cause is its; else it was done */
    many_cause cause;
};

/* What the source gives at a time is pulled, and sent. 1: something has changed; 0: not now. */
int many_imap_feed_(many_imap *it);

/* Was it over, or is it now? Notes it, and learns from it. */
int many_imap_part_is_over_(many_imap *it, many_imap_part_ *part);

/* The part's items were handed out: it leaves the list, and its slot is free. */
void many_imap_part_drop_(many_imap *it, many_imap_part_ *part);

/* Room for one batch more, opened, but in no part. 0 or a code of the backend's. */
int many_imap_slot_open_(many_imap *it);

/* The source is fast enough to be asked while there is something to hand out. */
int many_imap_is_quick_(const many_imap *it);

#endif
