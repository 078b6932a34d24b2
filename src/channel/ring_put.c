/* SPDX-License-Identifier: MIT */
/* ring_put.c - the writers' side of the ring; the story stands in ring.c */
#include <errno.h>

#include "channel/ring_steps.h"
#include "os/clock.h"

/* What was taken so far, as it was at one instant. */
static uint64_t ring_see_head(struct many_ring_shared_ *shared)
{
    for (;;) {
        uint64_t word = atomic_load_explicit(&shared->head.word, memory_order_acquire);
        const ring_total *total = &shared->head.totals[word & 1];

        atomic_store_explicit(&shared->seen_head, RING_POSITION(word), memory_order_relaxed);
        /* Acquire keeps them before the second look at the word. */
        shared->seen_messages = atomic_load_explicit(&total->messages, memory_order_acquire);
        shared->seen_bytes = atomic_load_explicit(&total->bytes, memory_order_acquire);
        if (atomic_load_explicit(&shared->head.word, memory_order_relaxed) == word)
            return word;
    }
}

/* Do the limits allow one more message of so many bytes, as far as is known? */
static inline int ring_allows(const struct many_ring_shared_ *shared, const ring_total *put,
                              uint64_t bytes)
{
    uint64_t messages =
        atomic_load_explicit(&put->messages, memory_order_relaxed) - shared->seen_messages;
    uint64_t held;

    if (messages >= shared->limits.messages)
        return 0;
    if (messages == 0)
        return 1;
    held = atomic_load_explicit(&put->bytes, memory_order_relaxed) - shared->seen_bytes;
    return held < shared->limits.bytes && bytes <= shared->limits.bytes - held;
}

static inline int ring_has_room(const struct many_ring_shared_ *shared, uint64_t word,
                                uint64_t need)
{
    return need <= ring_size(shared) - (RING_POSITION(word) - ring_seen_head(shared));
}

/* Make room for a message: 0; -EAGAIN: wait until head is no longer *seen; or the call fails. */
static MANY_APART_ int ring_make_room(many_ring_ *ring, uint64_t word, uint64_t bytes,
                                      uint64_t need, int64_t deadline_ns, uint64_t *seen)
{
    struct many_ring_shared_ *shared = ring->shared;
    int code;

    if (bytes > shared->limits.longest)
        return -EMSGSIZE;
    if (bytes > RING_LENGTH_MASK || need > shared->reserve)
        return -ENOMEM;
    *seen = ring_see_head(shared);
    /* No message, and yet not empty: a writer was killed while it rewound. Getters that wait for
     * the bell would not come to go on over it. */
    if (RING_POSITION(word) != ring_seen_head(shared) &&
        atomic_load_explicit(&shared->tail.totals[word & 1].messages, memory_order_relaxed) ==
            shared->seen_messages &&
        many_ring_try_(shared, &shared->get_lock) == 0) {
        many_ring_drop_(shared);
        MANY_FAULT_POINT("ring.put.stepped");
        (void)many_lock_give_(&shared->get_lock);
        *seen = ring_see_head(shared);
    }
    if (!ring_allows(shared, &shared->tail.totals[word & 1], bytes))
        return -EAGAIN;
    if (ring_has_room(shared, word, need))
        return 0;
    code = many_ring_grow_(ring, RING_POSITION(word) - ring_seen_head(shared) + need, deadline_ns);
    /* One that is bounded waits until there is room where it is. */
    if (code == -ENOMEM && RING_POSITION(word) != ring_seen_head(shared) &&
        need <= ring_size(shared) &&
        (shared->limits.messages != MANY_RING_NO_LIMIT_ ||
         shared->limits.bytes != MANY_RING_NO_LIMIT_))
        return -EAGAIN;
    return code;
}

/*
 * A long message into an empty ring goes to its beginning, so that one after the other goes to
 * the same place and finds it in the caches (measured: 1 MiB there and back 145 us instead of
 * 290). Under both locks both marks move on to there: tail, over a header that says so, and then
 * head. Killed in between: who gets next goes on over it himself.
 */
static MANY_APART_ uint64_t ring_rewind(many_ring_ *ring, uint64_t word)
{
    struct many_ring_shared_ *shared = ring->shared;
    const uint64_t position = RING_POSITION(word);
    const uint64_t size = ring_size(shared);
    const uint64_t skip = size - (position & (size - 1));

    if (skip > size - RING_LONG_BYTES || position != ring_seen_head(shared) ||
        many_ring_try_(shared, &shared->get_lock) < 0) /* wanted, not needed: no wait for it */
        return word;
    *ring_word(ring, position) = skip | RING_HEADER_SKIP | RING_HEADER_SIGN;
    ring_move(&shared->tail, &shared->own_tail, word, skip, 0, 0, 0);
    MANY_FAULT_POINT("ring.rewind.begun");
    atomic_store_explicit(&shared->seen_tail, position + skip, memory_order_relaxed);
    ring_move(&shared->head, &shared->own_head,
              atomic_load_explicit(&shared->own_head, memory_order_relaxed), skip, 0, 0, 0);
    MANY_FAULT_POINT("ring.rewind.done");
    atomic_store_explicit(&shared->seen_head, position + skip, memory_order_relaxed);
    (void)many_lock_give_(&shared->get_lock);
    return atomic_load_explicit(&shared->own_tail, memory_order_relaxed);
}

/* Write a long message, saying how far it is. */
static MANY_APART_ void ring_write_long(many_ring_ *ring, uint64_t position,
                                        const unsigned char *message, uint64_t bytes)
{
    struct many_ring_shared_ *shared = ring->shared;
    const uint64_t attempt = ++shared->attempts;

    atomic_store_explicit(&shared->needed_ns, many_clock_ns_(), memory_order_relaxed);
    *ring_word(ring, position) = bytes | RING_HEADER_LONG | RING_HEADER_SIGN;
    *ring_word(ring, position + 8) = attempt;
    /* Nothing of this attempt is ready before its number is seen; pairs with acquire in
     * ring_along. */
    atomic_store_explicit(&shared->along_ready, 0, memory_order_relaxed);
    atomic_store_explicit(&shared->along_position, position, memory_order_relaxed);
    atomic_store_explicit(&shared->along_length, bytes, memory_order_relaxed);
    atomic_store_explicit(&shared->along_attempt, attempt, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst); /* no lock is given back here: see park.h */
    many_park_wake_(&shared->filled);
    for (uint64_t done = 0; done < bytes;) {
        uint64_t piece = bytes - done < RING_PIECE_BYTES ? bytes - done : RING_PIECE_BYTES;

        ring_copy_in(ring, position + 16 + done, message + done, piece);
        done += piece;
        MANY_FAULT_POINT("ring.put.piece");
        atomic_store_explicit(&shared->along_ready, done, memory_order_release); /* as above */
    }
}

/* Under the put lock: 0, or 1: there is room for another one; -EAGAIN: wait until head is no
 * longer *seen; or the call fails. */
static inline int ring_put_locked(many_ring_ *ring, const void *message, uint64_t bytes,
                                  int64_t deadline_ns, uint64_t *seen)
{
    struct many_ring_shared_ *shared = ring->shared;
    const uint64_t need = ring_need(bytes);
    uint64_t word = atomic_load_explicit(&shared->own_tail, memory_order_relaxed);
    uint64_t position = RING_POSITION(word);

    MANY_FAULT_POINT("ring.put.locked");
    if (atomic_load_explicit(&shared->shut, memory_order_relaxed))
        return -EPIPE;
    if (!MANY_LIKELY_(bytes < RING_LONG_BYTES && ring_has_room(shared, word, need) &&
                      ring_allows(shared, &shared->tail.totals[word & 1], bytes) &&
                      bytes <= shared->limits.longest)) {
        int code = ring_make_room(ring, word, bytes, need, deadline_ns, seen);

        if (code < 0)
            return code;
    }
    if (bytes >= RING_LONG_BYTES) {
        word = ring_rewind(ring, word);
        position = RING_POSITION(word);
        ring_write_long(ring, position, message, bytes);
    } else {
        *ring_word(ring, position) = bytes | RING_HEADER_SIGN;
        if (bytes > 0)
            ring_copy_in(ring, position + 8, message, bytes);
    }
    MANY_FAULT_POINT("ring.put.copied");
    if (atomic_load_explicit(&shared->polled, memory_order_relaxed) &&
        atomic_load_explicit(&shared->announced, memory_order_relaxed) != RING_ANNOUNCED &&
        ring->announce != NULL) {
        ring->announce(ring->argument);
        MANY_FAULT_POINT("ring.put.announced");
        atomic_store_explicit(&shared->announced, RING_ANNOUNCED, memory_order_relaxed);
    }
    ring_move(&shared->tail, &shared->own_tail, word, need, 1, bytes, 0);
    MANY_FAULT_POINT("ring.put.committed");
    ring_expect_put(ring, position + need);
    return ring_has_room(shared, word + need, need) &&
           ring_allows(shared, &shared->tail.totals[(word & 1) ^ 1], bytes);
}

/* After a put, without the lock: somebody may be glad of it; and if there is room left, another
 * putter. */
static inline void ring_put_done(struct many_ring_shared_ *shared, int room)
{
    many_park_wake_(&shared->filled);
    /* Others sleep, so that it is worth a look at head itself (park.c, Next). */
    if ((atomic_load_explicit(&shared->emptied.word, memory_order_relaxed) & 1) != 0 &&
        (room || RING_POSITION(atomic_load_explicit(&shared->head.word, memory_order_relaxed)) !=
                     ring_seen_head(shared)))
        many_park_wake_some_(&shared->emptied, 1);
}

ssize_t many_ring_put_batch_(many_ring_ *ring, const many_message *messages, size_t n,
                             const many_ring_wait_ *wait)
{
    struct many_ring_shared_ *shared = ring->shared;
    const many_identity_ me = many_self_();
    many_park_wait_ waiting;
    size_t done = 0;
    int code = 0;

    ring_wait_begin(&waiting, wait);
    waiting.word = &shared->head.word;
    while (done < n) {
        const size_t before = done;

        code = ring_take(shared, &shared->put_lock, me, wait->deadline_ns);
        if (code < 0)
            break;
        do {
            code = ring_put_locked(ring, messages[done].data, messages[done].bytes,
                                   wait->deadline_ns, &waiting.seen);
            done += code >= 0;
        } while (code >= 0 && done < n);
        ring_give(&shared->put_lock, me);
        MANY_FAULT_POINT("ring.put.given");
        if (done > before)
            ring_put_done(shared, code > 0);
        if (code != -EAGAIN)
            break;
        code = many_park_wait_for_(&shared->emptied, &ring->put_habit, &waiting);
        if (code < 0)
            break;
    }
    if (code < 0 && waiting.woken)
        many_park_wake_(&shared->emptied); /* somebody else may use what woke us */
    return done > 0 ? (ssize_t)done : code;
}

static MANY_APART_ int ring_put_waiting(many_ring_ *ring, const void *message, size_t bytes,
                                        const many_ring_wait_ *wait)
{
    const many_message one = {.data = (void *)(uintptr_t)message, .bytes = bytes};
    ssize_t code = many_ring_put_batch_(ring, &one, 1, wait);

    return code < 0 ? (int)code : 0;
}

int many_ring_put_(many_ring_ *ring, const void *message, size_t bytes, const many_ring_wait_ *wait)
{
    struct many_ring_shared_ *shared = ring->shared;
    const many_identity_ me = many_self_();
    uint64_t seen;
    int code = ring_take(shared, &shared->put_lock, me, wait->deadline_ns);

    if (code < 0)
        return code;
    code = ring_put_locked(ring, message, bytes, wait->deadline_ns, &seen);
    ring_give(&shared->put_lock, me);
    if (MANY_LIKELY_(code >= 0)) {
        MANY_FAULT_POINT("ring.put.given");
        ring_put_done(shared, code);
        return 0;
    }
    return code == -EAGAIN ? ring_put_waiting(ring, message, bytes, wait) : code;
}
