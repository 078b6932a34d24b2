/* SPDX-License-Identifier: MIT */
/*
 * queue_spsc_limit.c - the limit: a ring of bytes made by hand, for one producer and one consumer
 * that never sleep and never die
 *
 * No lock, no wake-up, no count, no fence. A message is its length and its bytes, rounded up to
 * 8. A long one streams through the ring in pieces, so that the reader copies out what is still
 * in the writer's cache; nobody could take back half a message. Ring and piece are the best of
 * those tried on a machine with 2 MiB of second-level cache a core.
 */
#include "queue.h"

#include <stdatomic.h>
#include <string.h>

#define LIMIT_RING  ((uint64_t)1 << 18)
#define LIMIT_PIECE ((uint64_t)1 << 14)

typedef struct limit_ring {
    _Alignas(128) _Atomic uint64_t tail;
    _Alignas(128) uint64_t put; /* the writer's own: where it is */
    uint64_t seen_head;
    _Alignas(128) _Atomic uint64_t head;
    _Alignas(128) uint64_t got; /* the reader's own */
    uint64_t seen_tail;
    _Alignas(128) unsigned char bytes[LIMIT_RING];
} limit_ring;

static limit_ring *limit_rings[2];

static inline void limit_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void limit_open(size_t bytes)
{
    (void)bytes;
    for (int k = 0; k < 2; k++)
        limit_rings[k] = bench_memory(sizeof *limit_rings[k], 1);
}

static void limit_write(limit_ring *ring, const unsigned char *from, uint64_t bytes)
{
    uint64_t at = ring->put & (LIMIT_RING - 1);
    uint64_t first = bytes < LIMIT_RING - at ? bytes : LIMIT_RING - at;

    while (LIMIT_RING - (ring->put - ring->seen_head) < bytes) {
        ring->seen_head = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (LIMIT_RING - (ring->put - ring->seen_head) < bytes)
            limit_pause();
    }
    memcpy(ring->bytes + at, from, first);
    if (first < bytes)
        memcpy(ring->bytes, from + first, bytes - first);
    ring->put += (bytes + 7) & ~(uint64_t)7;
}

static void limit_read(limit_ring *ring, unsigned char *to, uint64_t bytes)
{
    uint64_t at = ring->got & (LIMIT_RING - 1);
    uint64_t first = bytes < LIMIT_RING - at ? bytes : LIMIT_RING - at;

    while (ring->seen_tail - ring->got < bytes) {
        ring->seen_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (ring->seen_tail - ring->got < bytes)
            limit_pause();
    }
    memcpy(to, ring->bytes + at, first);
    if (first < bytes)
        memcpy(to + first, ring->bytes, bytes - first);
    ring->got += (bytes + 7) & ~(uint64_t)7;
}

static void limit_send(int direction, const void *message, size_t bytes)
{
    limit_ring *ring = limit_rings[direction];
    const unsigned char *from = message;
    uint64_t length = bytes;

    limit_write(ring, (const unsigned char *)&length, sizeof length);
    for (uint64_t done = 0; done < bytes; done += LIMIT_PIECE) {
        limit_write(ring, from + done, bytes - done < LIMIT_PIECE ? bytes - done : LIMIT_PIECE);
        atomic_store_explicit(&ring->tail, ring->put, memory_order_release);
    }
}

static void limit_receive(int direction, void *message, size_t bytes)
{
    limit_ring *ring = limit_rings[direction];
    unsigned char *to = message;
    uint64_t length;

    limit_read(ring, (unsigned char *)&length, sizeof length);
    if (length != bytes)
        bench_die("a message of %llu bytes, not %zu", (unsigned long long)length, bytes);
    for (uint64_t done = 0; done < bytes; done += LIMIT_PIECE) {
        limit_read(ring, to + done, bytes - done < LIMIT_PIECE ? bytes - done : LIMIT_PIECE);
        atomic_store_explicit(&ring->head, ring->got, memory_order_release);
    }
}

int main(int argc, char **argv)
{
    static const bench_passage limit = {
        .name = "spsc-limit", .open = limit_open, .send = limit_send, .receive = limit_receive};

    return bench_queue_main(argc, argv, &limit, 1);
}
