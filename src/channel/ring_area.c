/* SPDX-License-Identifier: MIT */
/*
 * ring_area.c - one memfd with the bytes of its user and rings in it; their states
 *
 *   the user's own bytes | the rings' headers | the bytes of ring 0 | of ring 1 ...
 *
 * each from a page on. The file is as long as everything together from the beginning, and can
 * never be shorter; only what is used takes memory. Addresses are each process's own, so nothing
 * in it is one.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "channel/ring_parts.h"
#include "os/clock.h"
#include "os/memory.h"

/* A holder of a lock who is stopped, by a debugger or a terminal, is not waited for longer. */
#define AREA_PATIENCE_NS (2 * MANY_SECOND_NS)

static size_t area_round(size_t bytes)
{
    const size_t page = many_memory_page_();

    return (bytes + page - 1) / page * page;
}

static size_t area_heads(size_t own_bytes, size_t count)
{
    return area_round(own_bytes) + count * area_round(sizeof(struct many_ring_shared_));
}

/* The ring's view, in an area that is mapped. */
static void area_view(many_ring_area_ *area, size_t own_bytes, many_ring_ *rings, size_t count,
                      uint64_t reserve)
{
    unsigned char *at = area->memory + area_round(own_bytes);
    unsigned char *bytes = area->memory + area_heads(own_bytes, count);

    for (size_t k = 0; k < count; k++) {
        memset(&rings[k], 0, sizeof rings[k]);
        rings[k].shared =
            (struct many_ring_shared_ *)(void *)(at +
                                                 k * area_round(sizeof(struct many_ring_shared_)));
        rings[k].bytes = bytes + k * reserve;
        rings[k].area = area;
        rings[k].reserve = reserve;
    }
}

static uint64_t area_limit(uint64_t limit)
{
    return limit == 0 ? MANY_RING_NO_LIMIT_ : limit;
}

/* How large a ring can ever become. Only bounds of number and length together bound it. */
static uint64_t area_reserve(const many_ring_limits_ *limits, size_t count)
{
    const uint64_t ram = many_memory_ram_();
    uint64_t most = RING_FIRST_BYTES, reserve = RING_FIRST_BYTES;

    for (size_t k = 0; k < count; k++) {
        uint64_t each = limits[k].longest + 24; /* with its words, rounded up */
        uint64_t need = ram;

        if (limits[k].longest != 0 && limits[k].longest < ram && limits[k].messages != 0 &&
            limits[k].messages < ram / each)
            need = limits[k].messages * each;
        most = need > most ? need : most;
    }
    while (reserve < most)
        reserve *= 2;
    while (reserve > RING_FIRST_BYTES && reserve > many_memory_room_() / count)
        reserve /= 2;
    return reserve;
}

/* A file and a mapping of it. 0 or negative. */
static int area_try(many_ring_area_ *area, size_t heads, uint64_t reserve, size_t count)
{
    struct stat status = {0};
    void *memory;
    int code;

    area->bytes = heads + (size_t)reserve * count;
    area->fd = many_memory_file_open_("many", area->bytes);
    if (area->fd < 0)
        return area->fd;
    code = many_memory_file_map_(&memory, area->fd, area->bytes);
    if (code == 0 && fstat(area->fd, &status) != 0)
        code = -ENOMEM;
    if (code < 0) {
        many_memory_unmap_(memory, area->bytes);
        close(area->fd);
        return code;
    }
    many_memory_undumped_(memory, area->bytes);
    area->memory = memory;
    area->inode = (uint64_t)status.st_ino;
    return 0;
}

int many_ring_area_open_(many_ring_area_ *area, size_t own_bytes, many_ring_ *rings, size_t count,
                         const many_ring_limits_ *limits)
{
    const size_t heads = area_heads(own_bytes, count);
    uint64_t reserve = area_reserve(limits, count);
    int code;

    memset(area, 0, sizeof *area);
    /* Less address space, or shorter files, than there is memory: as much as there is. */
    while ((code = area_try(area, heads, reserve, count)) == -ENOMEM || code == -EFBIG) {
        if (reserve == RING_FIRST_BYTES)
            return -ENOMEM;
        reserve /= 2;
    }
    if (code < 0)
        return code;
    area_view(area, own_bytes, rings, count, reserve);
    code = many_memory_file_grow_(area->fd, 0, heads);
    for (size_t k = 0; k < count && code == 0; k++) {
        const size_t offset = (size_t)(rings[k].bytes - area->memory);

        code = many_memory_file_grow_(area->fd, offset, offset + RING_FIRST_BYTES);
    }
    if (code < 0) {
        many_ring_area_close_(area);
        return -ENOMEM;
    }
    for (size_t k = 0; k < count; k++) {
        struct many_ring_shared_ *shared = rings[k].shared;

        shared->magic = RING_MAGIC;
        shared->version = RING_VERSION;
        shared->reserve = reserve;
        shared->limits.bytes = area_limit(limits[k].bytes);
        /* Each message takes memory, also an empty one: of those there may be no more than of one
         * byte. */
        shared->limits.messages = area_limit(limits[k].messages);
        if (shared->limits.messages > shared->limits.bytes)
            shared->limits.messages = shared->limits.bytes;
        shared->limits.longest = area_limit(limits[k].longest);
        atomic_store_explicit(&shared->size, RING_FIRST_BYTES, memory_order_relaxed);
    }
    return 0;
}

/* Is this a ring as we make them, and can all of it be reached? */
static int area_is_ring(const struct many_ring_shared_ *shared, uint64_t reserve)
{
    const uint64_t size = atomic_load_explicit(&shared->size, memory_order_relaxed);

    return shared->magic == RING_MAGIC && shared->version == RING_VERSION &&
           shared->reserve == reserve && size >= RING_FIRST_BYTES && size <= reserve &&
           (size & (size - 1)) == 0;
}

int many_ring_area_adopt_(many_ring_area_ *area, size_t own_bytes, many_ring_ *rings, size_t count,
                          int fd)
{
    const size_t heads = area_heads(own_bytes, count);
    struct stat status;
    uint64_t reserve;
    void *memory;
    size_t bytes;
    int code;

    memset(area, 0, sizeof *area);
    area->fd = -1;
    code = many_memory_file_check_(fd, &bytes);
    if (code < 0)
        return code;
    reserve = bytes > heads ? (bytes - heads) / count : 0;
    if (reserve < RING_FIRST_BYTES || (reserve & (reserve - 1)) != 0 ||
        bytes != heads + reserve * count || fstat(fd, &status) != 0)
        return -EBADMSG;
    code = many_memory_file_map_(&memory, fd, bytes);
    if (code < 0)
        return code;
    many_memory_undumped_(memory, bytes);
    area->memory = memory;
    area->bytes = bytes;
    area->inode = (uint64_t)status.st_ino;
    area_view(area, own_bytes, rings, count, reserve);
    for (size_t k = 0; k < count; k++)
        if (!area_is_ring(rings[k].shared, reserve))
            code = -EBADMSG;
    if (code == 0)
        area->fd = fd;
    else
        many_ring_area_close_(area);
    return code;
}

void many_ring_area_close_(many_ring_area_ *area)
{
    struct stat status;

    many_memory_unmap_(area->memory, area->bytes);
    if (area->fd >= 0 && fstat(area->fd, &status) == 0 && status.st_ino == area->inode)
        close(area->fd);
    memset(area, 0, sizeof *area);
    area->fd = -1;
}

/* ---- states ---- */

typedef struct area_sum {
    uint64_t messages;
    uint64_t bytes;
    uint64_t dropped;
} area_sum;

/* What belongs to the word of a mark; the word may have moved on since. */
static area_sum area_total(const ring_mark *mark, uint64_t word)
{
    const ring_total *total = &mark->totals[word & 1];

    return (area_sum){
        .messages = atomic_load_explicit(&total->messages, memory_order_acquire),
        .bytes = atomic_load_explicit(&total->bytes, memory_order_acquire),
        .dropped = atomic_load_explicit(&total->dropped, memory_order_acquire),
    };
}

static area_sum area_read(const ring_mark *mark)
{
    for (;;) {
        const uint64_t word = atomic_load_explicit(&mark->word, memory_order_acquire);
        const area_sum sum = area_total(mark, word);

        if (atomic_load_explicit(&mark->word, memory_order_relaxed) == word)
            return sum;
    }
}

void many_ring_held_(const many_ring_ *ring, uint64_t *messages, uint64_t *bytes)
{
    const struct many_ring_shared_ *shared = ring->shared;

    for (;;) {
        const uint64_t head = atomic_load_explicit(&shared->head.word, memory_order_acquire);
        const uint64_t tail = atomic_load_explicit(&shared->tail.word, memory_order_acquire);
        const area_sum got = area_total(&shared->head, head);
        const area_sum put = area_total(&shared->tail, tail);

        if (atomic_load_explicit(&shared->head.word, memory_order_acquire) != head ||
            atomic_load_explicit(&shared->tail.word, memory_order_acquire) != tail)
            continue;
        *messages = put.messages - got.messages;
        *bytes = put.bytes - got.bytes;
        return;
    }
}

int many_ring_empty_(const many_ring_ *ring)
{
    const struct many_ring_shared_ *shared = ring->shared;
    const uint64_t head = atomic_load_explicit(&shared->head.word, memory_order_acquire);
    const uint64_t tail = atomic_load_explicit(&shared->tail.word, memory_order_acquire);
    uint64_t messages, bytes;

    if (RING_POSITION(head) == RING_POSITION(tail))
        return 1;
    many_ring_held_(ring, &messages, &bytes); /* there may be bytes to skip, and no message */
    return messages == 0;
}

int many_ring_full_(const many_ring_ *ring)
{
    uint64_t messages, bytes;

    many_ring_held_(ring, &messages, &bytes);
    return messages >= ring->shared->limits.messages ||
           (messages > 0 && bytes >= ring->shared->limits.bytes);
}

uint64_t many_ring_puts_(const many_ring_ *ring)
{
    return area_read(&ring->shared->tail).messages;
}

uint64_t many_ring_gets_(const many_ring_ *ring)
{
    return area_read(&ring->shared->head).messages;
}

uint64_t many_ring_drops_(const many_ring_ *ring)
{
    return area_read(&ring->shared->head).dropped;
}

void many_ring_wake_(many_ring_ *ring)
{
    many_park_wake_all_(&ring->shared->filled);
    many_park_wake_all_(&ring->shared->emptied);
}

/* A lock, whatever signals come; -ETIMEDOUT. */
static int area_insist(struct many_ring_shared_ *shared, many_lock *lock)
{
    const int64_t deadline_ns = many_clock_ns_() + AREA_PATIENCE_NS;
    int code;

    do
        code = many_ring_take_(shared, lock, deadline_ns);
    while (code == -EINTR);
    return code;
}

int many_ring_shut_(many_ring_ *ring, int drop)
{
    struct many_ring_shared_ *shared = ring->shared;
    const int locked = area_insist(shared, &shared->put_lock) == 0;
    int code = locked ? 0 : -ETIMEDOUT;

    /* First heard, then true: who is killed in between has rung for nothing. */
    if (atomic_load_explicit(&shared->polled, memory_order_relaxed) && ring->announce != NULL) {
        ring->announce(ring->argument);
        atomic_store_explicit(&shared->announced, RING_ANNOUNCED, memory_order_relaxed);
    }
    MANY_FAULT_POINT("ring.shut.announced");
    atomic_store_explicit(&shared->shut, 1, memory_order_release);
    MANY_FAULT_POINT("ring.shut.done");
    if (drop && locked) {
        code = area_insist(shared, &shared->get_lock);
        if (code == 0) {
            many_ring_drop_(shared);
            MANY_FAULT_POINT("ring.shut.dropped");
            (void)many_lock_give_(&shared->get_lock);
        }
    }
    if (locked)
        (void)many_lock_give_(&shared->put_lock);
    many_ring_wake_(ring);
    return code;
}

int many_ring_is_shut_(const many_ring_ *ring)
{
    return (int)atomic_load_explicit(&ring->shared->shut, memory_order_acquire);
}

int many_ring_polled_(many_ring_ *ring)
{
    struct many_ring_shared_ *shared = ring->shared;
    int code = area_insist(shared, &shared->put_lock);
    int silent;

    if (code < 0)
        return code;
    atomic_store_explicit(&shared->polled, 1, memory_order_relaxed);
    MANY_FAULT_POINT("ring.polled.set");
    if (ring->announce != NULL && (!many_ring_empty_(ring) || many_ring_is_shut_(ring))) {
        ring->announce(ring->argument);
        atomic_store_explicit(&shared->announced, RING_ANNOUNCED, memory_order_relaxed);
    }
    silent = atomic_load_explicit(&shared->announced, memory_order_relaxed) != RING_ANNOUNCED;
    (void)many_lock_give_(&shared->put_lock);
    MANY_FAULT_POINT("ring.polled.told");
    return silent;
}
