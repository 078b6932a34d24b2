/* SPDX-License-Identifier: MIT */
/*
 * ring_parts.h - how a ring lies in shared memory; for the ring's own files (ring.c tells the
 * story)
 */
#ifndef MANY_CHANNEL_RING_PARTS_H
#define MANY_CHANNEL_RING_PARTS_H

#include <stdatomic.h>
#include <stdint.h>

#include "channel/park.h"
#include "channel/ring.h"
#include "os/atomic.h"
#include "sync/lock.h"

/* Bytes in use at first, and again after a burst; a power of two. Small, so that what flows by
 * stays in the caches; measured with 64 and 4096 byte messages. */
#define RING_FIRST_BYTES ((uint64_t)1 << 18)

/* A ring that grew beyond this is made small again when it is empty. */
#define RING_LARGE_BYTES ((uint64_t)1 << 20)

/* Not before so long after it was last needed: what comes in bursts does not grow and shrink each
 * time. */
#define RING_CALM_NS MANY_SECOND_NS

/* A message from here on is read along while it is written. */
#define RING_LONG_BYTES ((uint64_t)1 << 16)

/* What the writer of a long message copies before it says so. */
#define RING_PIECE_BYTES ((uint64_t)1 << 14)

#define RING_MAGIC   UINT64_C(0x676e69722e796e6d) /* "mny.ring" */
#define RING_VERSION 1

/* Half a length: what is longer is no message of ours. */
#define RING_LENGTH_BITS      48
#define RING_LENGTH_MASK      ((UINT64_C(1) << RING_LENGTH_BITS) - 1)
#define RING_HEADER_LONG      (UINT64_C(1) << 63) /* the number of the attempt follows */
#define RING_HEADER_SKIP      (UINT64_C(1) << 62) /* no message: so many bytes to go on by */
#define RING_HEADER_SIGN      (UINT64_C(0x2d4e) << RING_LENGTH_BITS)
#define RING_HEADER_SIGN_MASK (UINT64_C(0x3fff) << RING_LENGTH_BITS)

/* What was put, or taken, in all. */
typedef struct ring_total {
    _Atomic uint64_t messages;
    _Atomic uint64_t bytes;
    _Atomic uint64_t dropped; /* of the messages; taken only */
} ring_total;

/*
 * How far one side has come. The word is a position in bytes, a multiple of 8 that only grows,
 * and in bit 0 which of the two totals goes with it: whoever moves the word fills the other one
 * first. So position and totals change by one store.
 */
typedef struct ring_mark {
    _Alignas(
        MANY_CACHE_LINE) _Atomic uint64_t word; /* alone in its line: the other side looks at it
                                                        all the time, and one store takes it once */
    _Alignas(MANY_CACHE_LINE) ring_total totals[2];
} ring_mark;

/* Has announce been called since hush? */
#define RING_ANNOUNCED 1u
#define RING_HUSHING   2u /* hush was about to be called; 0: it was */

#define MANY_RING_NO_LIMIT_ UINT64_MAX

#define RING_POSITION(word) ((word) & ~UINT64_C(7))

struct many_ring_shared_ {
    uint64_t magic;
    uint64_t version;
    uint64_t reserve;         /* of the ring's bytes; a power of two */
    many_ring_limits_ limits; /* none: MANY_RING_NO_LIMIT_ */

    /* Read by all, seldom written; size by who holds both locks, the others under the put lock,
     * shut also without one. */
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t size; /* bytes in use; a power of two */
    _Atomic uint32_t shut;
    _Atomic uint32_t polled;    /* somebody has asked for a descriptor */
    _Atomic uint32_t announced; /* one of the three below */
    _Atomic int64_t needed_ns;  /* when it last had to be large */

    /* The put lock, and what its holders know. */
    _Alignas(MANY_CACHE_LINE) many_lock put_lock;
    _Atomic uint64_t own_tail; /* tail.word once more: that line is at the other side */
    uint64_t attempts;         /* long messages begun, by the living and the dead */
    _Atomic uint64_t seen_head;
    uint64_t seen_messages; /* taken */
    uint64_t seen_bytes;

    ring_mark tail; /* what was put; moved by the holder of the put lock */

    /* The long message that is being written; by the holder of the put lock. */
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t along_attempt;
    _Atomic uint64_t along_position;
    _Atomic uint64_t along_length;
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t along_ready; /* bytes of it that are there */

    _Alignas(MANY_CACHE_LINE) many_lock get_lock;
    _Atomic uint64_t own_head; /* head.word once more */
    _Atomic uint64_t seen_tail;

    ring_mark head; /* what was taken; moved by the holder of the get lock */

    many_park_ filled;  /* getters sleep here */
    many_park_ emptied; /* putters */
};

/* ---- ring.c, for the others ---- */

/* Take a lock of the ring: 0, -ETIMEDOUT, -EINTR. It is waited for a moment beyond the deadline:
 * a full ring is a reason not to put, a neighbour who is just putting is none. */
int many_ring_take_(struct many_ring_shared_ *shared, many_lock *lock, int64_t deadline_ns);

/* Take it if it is free, or its owner known to be dead. 0 or negative. */
int many_ring_try_(struct many_ring_shared_ *shared, many_lock *lock);

/* Under both locks: everything there is, is taken; the number of messages. */
uint64_t many_ring_drop_(struct many_ring_shared_ *shared);

/* ---- ring_size.c ---- */

/* Under the put lock: make the ring so large that need more bytes fit. 0; -ENOMEM; -ETIMEDOUT,
 * -EINTR (of the get lock). */
int many_ring_grow_(many_ring_ *ring, uint64_t need, int64_t deadline_ns);

/* Under the get lock, the ring is empty: if it is large, and was not needed for long, make it
 * small. */
void many_ring_calm_(many_ring_ *ring);

#endif
