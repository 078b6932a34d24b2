/* SPDX-License-Identifier: MIT */
/*
 * ring.h - messages of any length pass through a ring of bytes in shared memory; first in, first
 * out
 *
 * Any number of threads of any number of processes put and get. Who is killed in the middle of a
 * call costs at most the message of that call, and nobody waits for it. The protocol stands in
 * ring.c.
 *
 * An area is one memfd: bytes of its user's own (a queue's, a pipe's words), then one or more
 * rings. A process has a view of it (many_ring_area_, and a many_ring_ a ring) in private memory,
 * which a forked child may go on using.
 */
#ifndef MANY_CHANNEL_RING_H
#define MANY_CHANNEL_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <many/channel.h>

#include "channel/park.h"
#include "os/atomic.h"

/* ---- areas ---- */

/* What a ring holds before a put waits; 0: no bound. */
typedef struct many_ring_limits_ {
    uint64_t messages;
    uint64_t bytes;   /* a longer message passes all the same, when it is alone; an empty one counts
                         as one of one byte where there are many */
    uint64_t longest; /* the longest message; 0: no bound but memory */
} many_ring_limits_;

typedef struct many_ring_area_ {
    unsigned char *memory; /* the user's own bytes begin here; at a page */
    size_t bytes;          /* mapped */
    int fd;                /* the memfd; -1: none */
    int reserved;
    uint64_t
        inode; /* fd is still ours while it is this file: a caller may close what is not its own */
} many_ring_area_;

struct many_ring_shared_;

/* One process's view of one ring. Threads of the process share it. */
typedef struct many_ring_ {
    struct many_ring_shared_ *shared;
    unsigned char *bytes;  /* the ring's bytes; size of them in use, reserve of them mapped */
    many_ring_area_ *area; /* must not move while the ring is used */
    uint64_t reserve;
    /*
     * Called under the ring's locks; must not wait, and must not call the ring. announce: a
     * message is about to be there, and somebody polls. hush: nothing is there any more. NULL:
     * none.
     */
    void (*announce)(void *argument);
    void (*hush)(void *argument);
    void *argument;
    many_park_habit_ put_habit, get_habit;
} many_ring_;

/*
 * Open a new area with count rings and own_bytes of the user's own, all zero. 0; -ENOMEM, -EMFILE,
 * -ENFILE.
 */
int many_ring_area_open_(many_ring_area_ *area, size_t own_bytes, many_ring_ *rings, size_t count,
                         const many_ring_limits_ *limits);

/*
 * Take part in an area that another process opened with the same own_bytes and count. fd becomes
 * the area's with success alone. 0; -EBADF; -EBADMSG: no such area; -ENOMEM.
 */
int many_ring_area_adopt_(many_ring_area_ *area, size_t own_bytes, many_ring_ *rings, size_t count,
                          int fd);

/* Unmap, and close fd if it is still ours. */
void many_ring_area_close_(many_ring_area_ *area);

/* ---- waiting ---- */

/* The watch is asked before the first sleep and then about every 50 ms (later 250 ms) of waiting,
 * and after each many_ring_wake_(): a negative code ends the wait. NULL: none. */
typedef struct many_ring_wait_ {
    int64_t deadline_ns; /* 0: do not wait */
    many_park_watch_fn_ *watch;
    void *argument;
} many_ring_wait_;

/* Everybody who waits at this ring looks, and asks its watch, again. */
void many_ring_wake_(many_ring_ *ring);

/* ---- messages ---- */

/*
 * No words are left by these. In common:
 *   -ETIMEDOUT  not by the deadline (also where that is 0)
 *   -EPIPE      put: the ring was shut. get: it was, and nothing is left
 *   -EINTR      a signal handler ran on this thread while it waited; nothing was put or taken
 *   -EBADMSG    the shared memory does not hold what it should
 *   negative    what the watch said. A get looks once more for a message after the watch spoke.
 */

/* 0; -EMSGSIZE: longer than limits.longest; -ENOMEM: no memory for it, or more than the ring's
 * reserve. */
int many_ring_put_(many_ring_ *ring, const void *message, size_t bytes,
                   const many_ring_wait_ *wait);

/* The length; -EMSGSIZE: longer than room, it stays. */
ssize_t many_ring_get_(many_ring_ *ring, void *message, size_t room, const many_ring_wait_ *wait);

/*
 * As get, to where place says when it is told the length (0 included); NULL: -ENOMEM, the message
 * stays. place is called under the ring's lock, perhaps again with another length, in place of
 * what it said before (who wrote the first message may die of it); also when the call fails in
 * the end.
 */
typedef void *many_ring_place_fn_(void *argument, size_t bytes);
ssize_t many_ring_get_placed_(many_ring_ *ring, many_ring_place_fn_ *place, void *argument,
                              const many_ring_wait_ *wait);

/* The length of the first message, of which at most room bytes were copied; it stays. */
ssize_t many_ring_peek_(many_ring_ *ring, void *message, size_t room, const many_ring_wait_ *wait);

/* 0 when there is a message. As many_ring_peek_() of no bytes, without keeping anybody from the
 * ring. */
int many_ring_poll_(many_ring_ *ring, const many_ring_wait_ *wait);

/* 1 .. n were put or taken, or negative; a batch waits for room again and again, for a message
 * once. */
ssize_t many_ring_put_batch_(many_ring_ *ring, const many_message *messages, size_t n,
                             const many_ring_wait_ *wait);
ssize_t many_ring_get_batch_(many_ring_ *ring, many_message *messages, size_t n,
                             const many_ring_wait_ *wait);

/* ---- states; async-signal-safe but for shut and polled ---- */

/* How many messages, and bytes in them, it holds; both were true at one instant. */
void many_ring_held_(const many_ring_ *ring, uint64_t *messages, uint64_t *bytes);

int many_ring_empty_(const many_ring_ *ring);

/* Would a put of one byte have to wait? */
int many_ring_full_(const many_ring_ *ring);

/* How many messages were ever put, taken (dropped ones, too), and dropped. */
uint64_t many_ring_puts_(const many_ring_ *ring);
uint64_t many_ring_gets_(const many_ring_ *ring);
uint64_t many_ring_drops_(const many_ring_ *ring);

/* No more puts; drop: what is there goes, too. Everybody wakes. Blocks for moments; 0, or
 * -ETIMEDOUT (a holder of a lock is stopped for seconds: it is shut all the same, but nothing is
 * dropped). */
int many_ring_shut_(many_ring_ *ring, int drop);
int many_ring_is_shut_(const many_ring_ *ring);

/*
 * From now on the ring calls announce when it gets its first message (and now, if it has one or
 * is shut), under the lock that puts hold, before anybody can see the message: who is killed in
 * between has announced too much, never too little. hush is called under both locks when nothing
 * is there, and never after the ring was shut. 0; 1: nothing is announced, so whatever comes from
 * now on will be; or -ETIMEDOUT. Blocks for moments.
 */
int many_ring_polled_(many_ring_ *ring);

#endif
