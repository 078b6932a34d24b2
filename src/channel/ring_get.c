/* SPDX-License-Identifier: MIT */
/* ring_get.c - the readers' side of the ring; the story stands in ring.c */
#include <errno.h>

#include "channel/ring_steps.h"
#include "os/clock.h"

/* A reader along that saw no progress for so long lets go: the writer lost its processor, or
 * died. */
#define RING_STALL_NS    (20 * MANY_MICROSECOND_NS)
#define RING_STALL_LOOKS 16 /* between two looks at the clock */

/* What a getter wants with the first message. */
typedef struct ring_wish {
    void *to;
    uint64_t room;
    many_ring_place_fn_ *place; /* says to where; NULL: to */
    void *argument;
    int peek; /* 1: leave it there, and cut what does not fit */
    int reserved;
    uint64_t along; /* the attempt that was read along last, in vain */
} ring_wish;

/* Where it goes: 0, -EMSGSIZE, -ENOMEM. */
static inline int ring_find_place(ring_wish *wish, uint64_t length)
{
    if (wish->place != NULL) {
        wish->to = wish->place(wish->argument, (size_t)length);
        return wish->to != NULL ? 0 : -ENOMEM;
    }
    return length <= wish->room || wish->peek ? 0 : -EMSGSIZE;
}

/* Under the get lock: go on over what a writer left that was killed while it rewound the ring. */
static inline uint64_t ring_step_over(many_ring_ *ring, uint64_t word, uint64_t seen_tail)
{
    const uint64_t position = RING_POSITION(word);
    const uint64_t header = *ring_word(ring, position);
    const uint64_t skip = header & RING_LENGTH_MASK;

    if (MANY_LIKELY_((header & RING_HEADER_SKIP) == 0) ||
        (header & RING_HEADER_SIGN_MASK) != RING_HEADER_SIGN || (skip & 7) != 0 ||
        skip > seen_tail - position)
        return word;
    ring_move(&ring->shared->head, &ring->shared->own_head, word, skip, 0, 0, 0);
    return atomic_load_explicit(&ring->shared->own_head, memory_order_relaxed);
}

/* Under the get lock, there is a message: its length, or the call fails. */
static inline ssize_t ring_get_first(many_ring_ *ring, ring_wish *wish, uint64_t word)
{
    struct many_ring_shared_ *shared = ring->shared;
    const uint64_t position = RING_POSITION(word);
    const uint64_t header = *ring_word(ring, position);
    const uint64_t length = header & RING_LENGTH_MASK;
    const uint64_t need = ring_need(length);
    const uint64_t begin = (header & RING_HEADER_LONG) != 0 ? 16 : 8;
    int code;

    if ((header & RING_HEADER_SIGN_MASK) != RING_HEADER_SIGN ||
        need > ring_seen_tail(shared) - position || (begin == 16) != (length >= RING_LONG_BYTES) ||
        (header & RING_HEADER_SKIP) != 0)
        return -EBADMSG;
    code = ring_find_place(wish, length);
    if (code < 0)
        return code;
    if (wish->peek) {
        uint64_t part = length < wish->room ? length : wish->room;

        if (part > 0)
            ring_copy_out(ring, position + begin, wish->to, part);
        return (ssize_t)length;
    }
    if (length > 0)
        ring_copy_out(ring, position + begin, wish->to, length);
    MANY_FAULT_POINT("ring.get.copied");
    ring_move(&shared->head, &shared->own_head, word, need, 1, length, 0);
    MANY_FAULT_POINT("ring.get.committed");
    return (ssize_t)length;
}

/* Is the attempt that was read along the message that was put? If it is, no other was begun
 * since, and what was said of it holds. If not, there may be anything in this place, but it is a
 * place in the ring. */
static int ring_along_came(const many_ring_ *ring, uint64_t position, uint64_t length,
                           uint64_t attempt)
{
    return *ring_word(ring, position) == (length | RING_HEADER_LONG | RING_HEADER_SIGN) &&
           *ring_word(ring, position + 8) == attempt;
}

/*
 * Under the get lock, the ring is empty: a long message may be on its way; take it along. Its
 * length; -EAGAIN: none is, or none comes on; or the call fails.
 */
static MANY_APART_ ssize_t ring_along(many_ring_ *ring, ring_wish *wish, uint64_t word)
{
    struct many_ring_shared_ *shared = ring->shared;
    const uint64_t position = RING_POSITION(word);
    const uint64_t attempt =
        atomic_load_explicit(&shared->along_attempt, memory_order_acquire); /* pairs with put */
    const uint64_t length = atomic_load_explicit(&shared->along_length, memory_order_relaxed);
    uint64_t done = 0, tail;
    int64_t since_ns = 0;
    unsigned looks = 0;
    int code;

    if (attempt == wish->along)
        return -EAGAIN;
    wish->along = attempt;
    if (wish->peek || length < RING_LONG_BYTES || ring_need(length) > ring_size(shared) ||
        atomic_load_explicit(&shared->along_position, memory_order_relaxed) != position)
        return -EAGAIN;
    code = ring_find_place(wish, length);
    if (code == -EMSGSIZE)
        return -EAGAIN; /* it is told when the message is there */
    if (code < 0)
        return code;
    for (;;) {
        uint64_t ready = atomic_load_explicit(&shared->along_ready, memory_order_acquire);

        if (ready > done && ready <= length) {
            ring_copy_out(ring, position + 16 + done, (unsigned char *)wish->to + done,
                          ready - done);
            MANY_FAULT_POINT("ring.get.piece");
            done = ready;
            since_ns = 0;
            continue;
        }
        /* Pairs with release in ring_move. */
        tail = RING_POSITION(atomic_load_explicit(&shared->tail.word, memory_order_acquire));
        if (tail != position)
            break;
        if (atomic_load_explicit(&shared->along_attempt, memory_order_relaxed) != attempt)
            return -EAGAIN;
        many_pause_();
        if (++looks % RING_STALL_LOOKS == 0) {
            int64_t now_ns = many_clock_ns_();

            if (since_ns == 0)
                since_ns = now_ns;
            else if (now_ns - since_ns > RING_STALL_NS)
                return -EAGAIN;
        }
    }
    ring_see_tail(shared, tail);
    if (!ring_along_came(ring, position, length, attempt))
        return ring_get_first(ring, wish, word);
    if (done < length) /* the last pieces came at once with the commit */
        ring_copy_out(ring, position + 16 + done, (unsigned char *)wish->to + done, length - done);
    MANY_FAULT_POINT("ring.get.copied");
    ring_move(&shared->head, &shared->own_head, word, ring_need(length), 1, length, 0);
    MANY_FAULT_POINT("ring.get.committed");
    return (ssize_t)length;
}

/* Under the get lock, the ring is empty. */
static MANY_APART_ void ring_rest(many_ring_ *ring)
{
    struct many_ring_shared_ *shared = ring->shared;

    if (ring_size(shared) > RING_LARGE_BYTES)
        many_ring_calm_(ring);
    if (atomic_load_explicit(&shared->announced, memory_order_relaxed) == 0 ||
        atomic_load_explicit(&shared->shut, memory_order_relaxed))
        return;
    /* Who has the put lock is about to put something; and this is the wrong order to wait in. */
    if (many_ring_try_(shared, &shared->put_lock) < 0)
        return;
    if (RING_POSITION(atomic_load_explicit(&shared->tail.word, memory_order_acquire)) ==
            RING_POSITION(atomic_load_explicit(&shared->head.word, memory_order_relaxed)) &&
        !atomic_load_explicit(&shared->shut, memory_order_relaxed)) {
        /* Killed before the bell is silent: the next put announces again, and the next who finds it
         * empty hushes again. */
        atomic_store_explicit(&shared->announced, RING_HUSHING, memory_order_relaxed);
        MANY_FAULT_POINT("ring.hush.begun");
        if (ring->hush != NULL)
            ring->hush(ring->argument);
        MANY_FAULT_POINT("ring.hush.silent");
        atomic_store_explicit(&shared->announced, 0, memory_order_relaxed);
    }
    (void)many_lock_give_(&shared->put_lock);
}

static inline int ring_is_restless(const struct many_ring_shared_ *shared)
{
    return ring_size(shared) > RING_LARGE_BYTES ||
           (atomic_load_explicit(&shared->announced, memory_order_relaxed) != 0 &&
            !atomic_load_explicit(&shared->shut, memory_order_relaxed));
}

/* Is it empty? And if so, *seen is what tail was. Without a lock: what it says was so at some
 * instant. Somebody who died before he wrote down that he took the last one makes it look fuller
 * than it is: who takes the lock then finds out. */
static inline int ring_looks_empty(const struct many_ring_shared_ *shared, uint64_t *seen)
{
    const uint64_t head = atomic_load_explicit(&shared->own_head, memory_order_relaxed);

    /* While some are left that were seen before, tail is not looked at: it is the writer's. */
    *seen = atomic_load_explicit(&shared->seen_tail, memory_order_relaxed);
    if (*seen != RING_POSITION(head))
        return 0;
    *seen = atomic_load_explicit(&shared->tail.word, memory_order_acquire); /* of ring_move */
    return RING_POSITION(*seen) == RING_POSITION(head);
}

/* The ring looks empty: is a long message on its way that was not tried before? */
static inline int ring_comes_along(const struct many_ring_shared_ *shared, uint64_t tail,
                                   uint64_t attempt, const ring_wish *wish)
{
    return attempt != wish->along &&
           atomic_load_explicit(&shared->along_position, memory_order_relaxed) ==
               RING_POSITION(tail);
}

/*
 * Take the first message now: its length; -EAGAIN: wait until tail is no longer *seen; or the
 * call fails. *more: others are left. n > 1 is for batches: the first n wishes, and *count tells
 * how many came true.
 */
static ssize_t ring_get_now(many_ring_ *ring, ring_wish *wishes, many_message *messages, size_t n,
                            int64_t deadline_ns, uint64_t *seen, size_t *count)
{
    struct many_ring_shared_ *shared = ring->shared;
    const many_identity_ me = many_self_();
    ssize_t got = -EAGAIN;
    uint64_t word, seen_tail;
    int more, code;

    /* What is read first, while the lock is taken: it comes from another processor's cache. */
    word = atomic_load_explicit(&shared->own_head, memory_order_relaxed);
    __builtin_prefetch(ring_word(ring, RING_POSITION(word)));
    *count = 0;
    code = ring_take(shared, &shared->get_lock, me, deadline_ns);
    if (code < 0)
        return code;
    MANY_FAULT_POINT("ring.get.locked");
    seen_tail = ring_seen_tail(shared);
    do {
        word = atomic_load_explicit(&shared->own_head, memory_order_relaxed);
        /* What the caller saw is good enough, if it is more. */
        if (seen_tail == RING_POSITION(word)) {
            if (RING_POSITION(*seen) <= seen_tail)
                *seen = atomic_load_explicit(&shared->tail.word, memory_order_acquire);
            seen_tail = RING_POSITION(*seen);
            ring_see_tail(shared, seen_tail);
        }
        if (seen_tail != RING_POSITION(word))
            word = ring_step_over(ring, word, seen_tail);
        if (messages != NULL) {
            wishes->to = messages[*count].data;
            wishes->room = messages[*count].bytes;
        }
        if (seen_tail != RING_POSITION(word))
            got = ring_get_first(ring, wishes, word);
        else
            got = *count == 0 ? ring_along(ring, wishes, word) : -EAGAIN;
        if (got >= 0 && messages != NULL)
            messages[*count].bytes = (size_t)got;
        *count += got >= 0;
    } while (got >= 0 && *count < n);
    word = atomic_load_explicit(&shared->own_head, memory_order_relaxed);
    more = ring_seen_tail(shared) != RING_POSITION(word);
    if (!more && ring_is_restless(shared))
        ring_rest(ring);
    ring_give(&shared->get_lock, me);
    if (*count == 0)
        return got;
    MANY_FAULT_POINT("ring.get.given");
    if (!wishes->peek)
        many_park_wake_(&shared->emptied);
    /* Others sleep, so that it is worth a look at tail itself (park.c, Next). */
    if (many_park_wanted_(&shared->filled) &&
        (more || RING_POSITION(atomic_load_explicit(&shared->tail.word, memory_order_relaxed)) !=
                     ring_seen_tail(shared)))
        many_park_wake_some_(&shared->filled, 1);
    return got;
}

static ssize_t ring_get(many_ring_ *ring, ring_wish *wish, many_message *messages, size_t n,
                        const many_ring_wait_ *wait, size_t *count)
{
    struct many_ring_shared_ *shared = ring->shared;
    many_park_wait_ waiting;
    int ending = 0;
    ssize_t got;

    *count = 0;
    waiting.word = NULL;
    for (;;) {
        const uint64_t along = atomic_load_explicit(&shared->along_attempt, memory_order_acquire);
        const uint32_t shut = atomic_load_explicit(&shared->shut, memory_order_acquire);
        uint64_t seen;

        got = -EAGAIN;
        if (!ring_looks_empty(shared, &seen) || ring_comes_along(shared, seen, along, wish) ||
            ring_is_restless(shared))
            got = ring_get_now(ring, wish, messages, n, wait->deadline_ns, &seen, count);
        if (got != -EAGAIN || *count > 0) /* a batch waits for its first one alone */
            break;
        if (shut) {
            got = -EPIPE; /* nothing was put after it was shut */
            break;
        }
        if (ending < 0) {
            got = ending;
            break;
        }
        if (waiting.word == NULL)
            ring_wait_begin(&waiting, wait);
        waiting.word = &shared->tail.word;
        waiting.seen = seen;
        waiting.also = &shared->along_attempt;
        waiting.seen_also = along;
        waiting.expected = ring_word(ring, RING_POSITION(seen));
        /* Whatever it was that ended the wait: one more look. */
        ending = many_park_wait_for_(&shared->filled, &ring->get_habit, &waiting);
    }
    if (got < 0 && waiting.word != NULL && waiting.woken)
        many_park_wake_(&shared->filled); /* somebody else may use what woke us */
    return got;
}

ssize_t many_ring_get_(many_ring_ *ring, void *message, size_t room, const many_ring_wait_ *wait)
{
    ring_wish wish = {.to = message, .room = room};
    size_t count;

    return ring_get(ring, &wish, NULL, 1, wait, &count);
}

ssize_t many_ring_get_placed_(many_ring_ *ring, many_ring_place_fn_ *place, void *argument,
                              const many_ring_wait_ *wait)
{
    ring_wish wish = {.place = place, .argument = argument};
    size_t count;

    return ring_get(ring, &wish, NULL, 1, wait, &count);
}

ssize_t many_ring_peek_(many_ring_ *ring, void *message, size_t room, const many_ring_wait_ *wait)
{
    ring_wish wish = {.to = message, .room = room, .peek = 1};
    size_t count;

    return ring_get(ring, &wish, NULL, 1, wait, &count);
}

ssize_t many_ring_get_batch_(many_ring_ *ring, many_message *messages, size_t n,
                             const many_ring_wait_ *wait)
{
    ring_wish wish = {.to = NULL};
    size_t count;
    ssize_t got;

    if (n == 0)
        return 0;
    got = ring_get(ring, &wish, messages, n, wait, &count);
    return count > 0 ? (ssize_t)count : got;
}

/* It does not look empty: is there only what a writer left that was killed while it rewound? It
 * is gone then. */
static MANY_APART_ int ring_is_hollow(many_ring_ *ring)
{
    const many_ring_wait_ now = {.deadline_ns = 0};

    return many_ring_empty_(ring) && many_ring_peek_(ring, NULL, 0, &now) < 0;
}

int many_ring_poll_(many_ring_ *ring, const many_ring_wait_ *wait)
{
    /* Not by a lock: who asks whether there is something does not get into the way of who takes
     * it. */
    struct many_ring_shared_ *shared = ring->shared;
    many_park_wait_ waiting;
    int ending = 0;

    ring_wait_begin(&waiting, wait);
    waiting.word = &shared->tail.word;
    for (;;) {
        const uint32_t shut = atomic_load_explicit(&shared->shut, memory_order_acquire);

        if (!ring_looks_empty(shared, &waiting.seen) && !ring_is_hollow(ring))
            break;
        if (shut)
            ending = -EPIPE;
        if (ending == 0)
            ending = many_park_wait_for_(&shared->filled, &ring->get_habit, &waiting);
        else
            break;
    }
    if (waiting.woken)
        many_park_wake_(&shared->filled); /* it took nothing */
    if (!ring_looks_empty(shared, &waiting.seen) && !ring_is_hollow(ring))
        return 0;
    if (ring_is_restless(shared) && many_ring_try_(shared, &shared->get_lock) == 0) {
        if (ring_looks_empty(shared, &waiting.seen))
            ring_rest(ring);
        (void)many_lock_give_(&shared->get_lock);
    }
    return ending;
}
