/* SPDX-License-Identifier: MIT */
/* test_ring.c - the ring under queue and pipe: size, places, watches, areas */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel/ring.h"
#include "channel/ring_parts.h"
#include "os/clock.h"
#include "os/memory.h"

static const many_ring_wait_ now = {.deadline_ns = 0};
static const many_ring_wait_ ever = {.deadline_ns = MANY_NEVER_NS};

typedef struct one_ring {
    many_ring_area_ area;
    many_ring_ ring;
} one_ring;

static void open_one(one_ring *one, many_ring_limits_ limits)
{
    CHECK_CODE(many_ring_area_open_(&one->area, 100, &one->ring, 1, &limits), 0);
}

static uint64_t size_of(const one_ring *one)
{
    return one->ring.shared->size;
}

/* Bytes of memory that the area takes. */
static uint64_t memory_of(const one_ring *one)
{
    struct stat status;

    CHECK_EQUAL(fstat(one->area.fd, &status), 0);
    return (uint64_t)status.st_blocks * 512;
}

static void fill(unsigned char *bytes, size_t n, uint64_t seed)
{
    for (size_t k = 0; k < n; k++)
        bytes[k] = (unsigned char)((k + seed) * 2654435761u >> 13);
}

/* ---- size ---- */

TEST(an_unbounded_ring_grows_with_what_it_holds_and_comes_out_in_order)
{
    enum { MESSAGES = 300, MOST = 9000 };
    static unsigned char in[MOST], out[MOST];
    one_ring one;

    open_one(&one, (many_ring_limits_){0});
    /* From every place of the first ring, so that what is spread lies on both sides of the end. */
    for (size_t shift = 0; shift < 40; shift++) {
        for (size_t k = 0; k < shift; k++) {
            CHECK_CODE(many_ring_put_(&one.ring, in, MOST, &now), 0);
            CHECK_EQUAL(many_ring_get_(&one.ring, out, MOST, &now), MOST);
        }
        for (size_t k = 0; k < MESSAGES; k++) {
            size_t bytes = (k * 7919 + shift) % MOST;

            fill(in, bytes, k + shift);
            CHECK_CODE(many_ring_put_(&one.ring, in, bytes, &now), 0);
        }
        CHECK(size_of(&one) > RING_FIRST_BYTES);
        for (size_t k = 0; k < MESSAGES; k++) {
            size_t bytes = (k * 7919 + shift) % MOST;

            fill(in, bytes, k + shift);
            CHECK_EQUAL(many_ring_get_(&one.ring, out, MOST, &now), bytes);
            CHECK_BYTES(out, in, bytes);
        }
        many_ring_area_close_(&one.area);
        open_one(&one, (many_ring_limits_){0});
    }
    many_ring_area_close_(&one.area);
}

TEST(a_hundred_megabytes_go_in_and_out_and_the_memory_comes_back)
{
    enum { MESSAGE = 1 << 20, MESSAGES = 100 };
    unsigned char *in = malloc(MESSAGE), *out = malloc(MESSAGE);
    one_ring one;

    CHECK(in != NULL && out != NULL);
    open_one(&one, (many_ring_limits_){0});
    for (uint64_t k = 0; k < MESSAGES; k++) {
        fill(in, MESSAGE, k);
        CHECK_CODE(many_ring_put_(&one.ring, in, MESSAGE - k, &now), 0);
    }
    CHECK(memory_of(&one) >= (uint64_t)MESSAGE * MESSAGES);
    for (uint64_t k = 0; k < MESSAGES; k++) {
        fill(in, MESSAGE, k);
        CHECK_EQUAL(many_ring_get_(&one.ring, out, MESSAGE, &now), MESSAGE - k);
        CHECK(memcmp(in, out, MESSAGE - k) == 0);
    }
    /* Not at once: what was needed just now may be needed again. */
    UNTIL(many_ring_get_(&one.ring, out, MESSAGE, &now) == -ETIMEDOUT &&
          size_of(&one) == RING_FIRST_BYTES);
    CHECK(memory_of(&one) < (uint64_t)1 << 20);
    fill(in, MESSAGE, 5);
    CHECK_CODE(many_ring_put_(&one.ring, in, MESSAGE, &now), 0);
    CHECK_EQUAL(many_ring_get_(&one.ring, out, MESSAGE, &now), MESSAGE);
    CHECK(memcmp(in, out, MESSAGE) == 0);
    many_ring_area_close_(&one.area);
    free(in);
    free(out);
}

TEST(a_bounded_ring_takes_no_more_memory_than_it_may_hold)
{
    static char message[1000];
    one_ring one;

    open_one(&one, (many_ring_limits_){.bytes = 100000});
    for (int k = 0; k < 20000; k++) {
        while (many_ring_put_(&one.ring, message, sizeof message, &now) == 0) {
        }
        CHECK_EQUAL(many_ring_get_(&one.ring, message, sizeof message, &now), sizeof message);
    }
    CHECK_EQUAL(size_of(&one), RING_FIRST_BYTES);
    many_ring_area_close_(&one.area);
}

/* What the putters had seen of head is as old as the ring was large then. */
TEST(a_ring_that_became_small_again_overwrites_nothing)
{
    enum { MESSAGES = 3000 };
    static unsigned char in[1000], out[1000];
    one_ring one;

    open_one(&one, (many_ring_limits_){0});
    for (int k = 0; k < MESSAGES; k++)
        CHECK_CODE(many_ring_put_(&one.ring, in, sizeof in, &now), 0);
    for (int k = 0; k < MESSAGES; k++)
        CHECK_EQUAL(many_ring_get_(&one.ring, out, sizeof out, &now), sizeof in);
    UNTIL(many_ring_get_(&one.ring, out, sizeof out, &now) == -ETIMEDOUT &&
          size_of(&one) == RING_FIRST_BYTES);
    for (uint64_t k = 0; k < MESSAGES; k++) {
        fill(in, sizeof in, k);
        CHECK_CODE(many_ring_put_(&one.ring, in, sizeof in, &now), 0);
    }
    for (uint64_t k = 0; k < MESSAGES; k++) {
        fill(in, sizeof in, k);
        CHECK_EQUAL(many_ring_get_(&one.ring, out, sizeof out, &now), sizeof in);
        CHECK_BYTES(out, in, sizeof in);
    }
    many_ring_area_close_(&one.area);
}

TEST(a_ring_bounded_in_bytes_holds_no_end_of_empty_messages_either)
{
    one_ring one;
    int held = 0;

    open_one(&one, (many_ring_limits_){.bytes = 100000});
    while (held <= 100000 && many_ring_put_(&one.ring, NULL, 0, &now) == 0)
        held++;
    CHECK_EQUAL(held, 100000);
    CHECK(many_ring_full_(&one.ring));
    CHECK(size_of(&one) <= (uint64_t)1 << 20);
    many_ring_area_close_(&one.area);
}

TEST(a_ring_of_little_address_space_says_what_does_not_fit)
{
    static char message[1 << 20];
    one_ring one;
    int code = 0, held = 0;

    open_one(&one, (many_ring_limits_){.messages = 8, .longest = 1 << 20});
    CHECK(one.ring.reserve <= 16 << 20);
    CHECK_CODE(many_ring_put_(&one.ring, message, (1 << 20) + 1, &now), -EMSGSIZE);
    while ((code = many_ring_put_(&one.ring, message, sizeof message, &now)) == 0)
        held++;
    CHECK_CODE(code, -ETIMEDOUT);
    CHECK_EQUAL(held, 8);
    one.ring.shared->limits.longest = UINT64_MAX;
    CHECK_CODE(many_ring_put_(&one.ring, message, 32 << 20, &now), -ENOMEM);
    many_ring_area_close_(&one.area);
}

static void in_little_address_space(void *argument)
{
    struct rlimit limit = {(rlim_t)1 << 30, (rlim_t)1 << 30};
    one_ring one;
    char got[10];

    (void)argument;
    CHECK_EQUAL(setrlimit(RLIMIT_AS, &limit), 0);
    open_one(&one, (many_ring_limits_){0});
    CHECK(one.ring.reserve <= 64 << 20);
    CHECK_CODE(many_ring_put_(&one.ring, "still", 6, &now), 0);
    CHECK_EQUAL(many_ring_get_(&one.ring, got, sizeof got, &now), 6);
    many_ring_area_close_(&one.area);
}

TEST(a_limit_on_the_address_space_makes_the_reserve_smaller)
{
    if (TEST_ASAN || TEST_TSAN)
        test_skip("a sanitizer needs the address space");
    CHECK_EQUAL(test_in_child(in_little_address_space, NULL), 0);
}

static void with_short_files(void *argument)
{
    struct rlimit limit = {(rlim_t)8 << 20, (rlim_t)8 << 20};
    static char message[6 << 20];
    one_ring one;

    (void)argument;
    CHECK_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
    open_one(&one, (many_ring_limits_){0});
    CHECK_CODE(many_ring_put_(&one.ring, message, 1 << 20, &now), 0);
    CHECK_CODE(many_ring_put_(&one.ring, message, sizeof message, &now), -ENOMEM);
    CHECK_EQUAL(many_ring_get_(&one.ring, message, sizeof message, &now), 1 << 20);
    many_ring_area_close_(&one.area);
}

TEST(a_limit_on_the_size_of_files_makes_the_reserve_smaller_and_kills_nobody)
{
    CHECK_EQUAL(test_in_child(with_short_files, NULL), 0);
}

/* ---- batches ---- */

static int put_while_it_waits(void *argument)
{
    one_ring *one = argument;

    return many_ring_put_(&one->ring, "late", 4, &now);
}

TEST(a_batch_waits_for_its_first_message_alone)
{
    char bytes[10][4];
    many_message out[10];
    one_ring one;
    const many_ring_wait_ wait = {MANY_NEVER_NS, put_while_it_waits, &one};

    open_one(&one, (many_ring_limits_){0});
    for (int k = 0; k < 10; k++)
        out[k] = (many_message){bytes[k], sizeof bytes[k]};
    for (int k = 0; k < 3; k++)
        CHECK_CODE(many_ring_put_(&one.ring, &k, sizeof k, &now), 0);
    CHECK_EQUAL(many_ring_get_batch_(&one.ring, out, 10, &wait), 3);
    for (int k = 0; k < 3; k++)
        CHECK_BYTES(bytes[k], &k, sizeof k);
    CHECK(many_ring_empty_(&one.ring));
    many_ring_area_close_(&one.area);
}

/* ---- places ---- */

static void *place_exactly(void *argument, size_t bytes)
{
    void **memory = argument;

    free(*memory);
    *memory = malloc(bytes > 0 ? bytes : 1);
    return *memory;
}

static void *place_nowhere(void *argument, size_t bytes)
{
    (void)argument;
    (void)bytes;
    return NULL;
}

TEST(a_place_is_asked_for_when_the_length_is_known)
{
    static unsigned char in[200000];
    void *out = NULL;
    one_ring one;

    open_one(&one, (many_ring_limits_){0});
    fill(in, sizeof in, 3);
    for (size_t bytes = 0; bytes <= sizeof in; bytes += 50000) {
        CHECK_CODE(many_ring_put_(&one.ring, in, bytes, &now), 0);
        CHECK_CODE(many_ring_get_placed_(&one.ring, place_nowhere, NULL, &now), -ENOMEM);
        CHECK_EQUAL(many_ring_get_placed_(&one.ring, place_exactly, &out, &now), bytes);
        CHECK_BYTES(out, in, bytes);
    }
    free(out);
    many_ring_area_close_(&one.area);
}

/* ---- waiting ---- */

static int say_gone(void *argument)
{
    _Atomic int *asked = argument;

    return ++*asked < 3 ? 0 : -EPIPE;
}

TEST(a_watch_ends_a_wait)
{
    _Atomic int asked = 0;
    many_ring_wait_ watched = {MANY_NEVER_NS, say_gone, &asked};
    one_ring one;
    char byte;

    open_one(&one, (many_ring_limits_){.messages = 1});
    CHECK_CODE(many_ring_get_(&one.ring, &byte, 1, &watched), -EPIPE);
    CHECK_EQUAL(asked, 3);
    CHECK_CODE(many_ring_put_(&one.ring, "x", 1, &watched), 0);
    asked = 0;
    CHECK_CODE(many_ring_put_(&one.ring, "y", 1, &watched), -EPIPE);
    CHECK_EQUAL(asked, 3);
    /* The message that is there counts more than what the watch says. */
    asked = 2;
    CHECK_EQUAL(many_ring_get_(&one.ring, &byte, 1, &watched), 1);
    CHECK_CODE(many_ring_poll_(&one.ring, &watched), -EPIPE);
    many_ring_area_close_(&one.area);
}

static int say_what_is_said(void *argument)
{
    return *(_Atomic int *)argument;
}

typedef struct sleeper {
    one_ring *one;
    _Atomic int said;
    _Atomic int result;
} sleeper;

static void *sleep_until_gone(void *argument)
{
    sleeper *self = argument;
    many_ring_wait_ watched = {MANY_NEVER_NS, say_what_is_said, &self->said};

    self->result = (int)many_ring_get_(&self->one->ring, NULL, 0, &watched);
    return NULL;
}

TEST(a_wake_makes_everybody_ask_its_watch)
{
    enum { SLEEPERS = 4 };
    sleeper sleepers[SLEEPERS];
    pthread_t threads[SLEEPERS];
    one_ring one;

    open_one(&one, (many_ring_limits_){0});
    for (int k = 0; k < SLEEPERS; k++) {
        sleepers[k] = (sleeper){.one = &one, .result = 1};
        CHECK_EQUAL(pthread_create(&threads[k], NULL, sleep_until_gone, &sleepers[k]), 0);
    }
    for (int k = 0; k < SLEEPERS; k++)
        sleepers[k].said = -ESRCH;
    many_ring_wake_(&one.ring);
    for (int k = 0; k < SLEEPERS; k++) {
        pthread_join(threads[k], NULL);
        CHECK_CODE(sleepers[k].result, -ESRCH);
    }
    many_ring_area_close_(&one.area);
}

TEST(poll_tells_and_takes_nothing)
{
    one_ring one;
    char byte;

    open_one(&one, (many_ring_limits_){0});
    CHECK_CODE(many_ring_poll_(&one.ring, &now), -ETIMEDOUT);
    CHECK_CODE(many_ring_put_(&one.ring, "x", 1, &now), 0);
    CHECK_CODE(many_ring_poll_(&one.ring, &ever), 0);
    CHECK_CODE(many_ring_shut_(&one.ring, 0), 0);
    CHECK_CODE(many_ring_poll_(&one.ring, &ever), 0);
    CHECK_EQUAL(many_ring_get_(&one.ring, &byte, 1, &ever), 1);
    CHECK_CODE(many_ring_poll_(&one.ring, &ever), -EPIPE);
    many_ring_area_close_(&one.area);
}

/* ---- long messages, read while they are written ---- */

enum { LONG_BYTES = 700001, LONG_MESSAGES = 300 };

static void *write_long(void *argument)
{
    one_ring *one = argument;
    unsigned char *in = malloc(LONG_BYTES);

    for (uint64_t k = 0; k < LONG_MESSAGES; k++) {
        fill(in, 4096, k);
        memcpy(in + LONG_BYTES - 4096, in, 4096);
        memcpy(in + LONG_BYTES / 2, &k, sizeof k);
        CHECK_CODE(many_ring_put_(&one->ring, in, LONG_BYTES - k, &ever), 0);
    }
    free(in);
    return NULL;
}

static void expect_long(const unsigned char *out, uint64_t k)
{
    unsigned char first[4096];
    uint64_t middle;

    fill(first, sizeof first, k);
    CHECK_BYTES(out, first, sizeof first);
    CHECK_BYTES(out + LONG_BYTES - 4096, first, 4096 - k);
    memcpy(&middle, out + LONG_BYTES / 2, sizeof middle);
    CHECK_EQUAL(middle, k);
}

TEST(long_messages_come_out_whole_while_the_next_is_written)
{
    unsigned char *out = malloc(LONG_BYTES);
    void *placed = NULL;
    pthread_t thread;
    one_ring one;

    open_one(&one, (many_ring_limits_){.bytes = 2 * LONG_BYTES});
    CHECK_EQUAL(pthread_create(&thread, NULL, write_long, &one), 0);
    for (uint64_t k = 0; k < LONG_MESSAGES; k++) {
        if (k % 3 == 0) {
            CHECK_EQUAL(many_ring_get_placed_(&one.ring, place_exactly, &placed, &ever),
                        LONG_BYTES - k);
            expect_long(placed, k);
        } else {
            if (k % 3 == 1)
                CHECK_CODE(many_ring_get_(&one.ring, out, 100, &ever), -EMSGSIZE);
            CHECK_EQUAL(many_ring_get_(&one.ring, out, LONG_BYTES, &ever), LONG_BYTES - k);
            expect_long(out, k);
        }
    }
    pthread_join(thread, NULL);
    free(out);
    free(placed);
    many_ring_area_close_(&one.area);
}

/* ---- areas ---- */

TEST(two_rings_in_one_area_do_not_touch)
{
    const many_ring_limits_ limits[2] = {{.messages = 3}, {.bytes = 1000000}};
    many_ring_area_ area;
    many_ring_ rings[2];
    static char message[500000], got[500000];

    CHECK_CODE(many_ring_area_open_(&area, 5000, rings, 2, limits), 0);
    memset(area.memory, 0xAA, 5000);
    memset(message, 'b', sizeof message);
    CHECK_CODE(many_ring_put_(&rings[1], message, sizeof message, &now), 0);
    for (int k = 0; k < 3; k++)
        CHECK_CODE(many_ring_put_(&rings[0], "a", 1, &now), 0);
    CHECK_CODE(many_ring_put_(&rings[0], "a", 1, &now), -ETIMEDOUT);
    CHECK_CODE(many_ring_put_(&rings[1], message, sizeof message, &now), 0);
    CHECK_EQUAL(many_ring_get_(&rings[1], got, sizeof got, &now), sizeof got);
    CHECK_BYTES(got, message, sizeof got);
    CHECK_EQUAL(many_ring_get_(&rings[0], got, sizeof got, &now), 1);
    CHECK_EQUAL(area.memory[4999], 0xAA);
    many_ring_area_close_(&area);
}

TEST(an_adopted_area_shares_the_rings)
{
    const many_ring_limits_ limits[2] = {{0}, {0}};
    many_ring_area_ area, other;
    many_ring_ rings[2], others[2];
    static char message[900000], got[900000];

    CHECK_CODE(many_ring_area_open_(&area, 64, rings, 2, limits), 0);
    CHECK_CODE(many_ring_area_adopt_(&other, 64, others, 2, dup(area.fd)), 0);
    CHECK(other.memory != area.memory);
    memset(message, 'm', sizeof message);
    CHECK_CODE(many_ring_put_(&rings[1], message, sizeof message, &now), 0); /* grows */
    CHECK_EQUAL(many_ring_get_(&others[1], got, sizeof got, &now), sizeof got);
    CHECK_BYTES(got, message, sizeof got);
    CHECK_CODE(many_ring_put_(&others[0], "back", 5, &now), 0);
    CHECK_EQUAL(many_ring_get_(&rings[0], got, sizeof got, &now), 5);
    many_ring_area_close_(&other);
    CHECK_CODE(many_ring_put_(&rings[0], "on", 3, &now), 0);
    many_ring_area_close_(&area);
}

TEST(what_is_no_area_is_refused)
{
    const many_ring_limits_ limits = {0};
    many_ring_area_ area, other;
    many_ring_ ring, rings[2];
    int wrong;

    CHECK_CODE(many_ring_area_open_(&area, 64, &ring, 1, &limits), 0);
    CHECK_CODE(many_ring_area_adopt_(&other, 64, rings, 2, area.fd), -EBADMSG);
    CHECK_CODE(many_ring_area_adopt_(&other, 64000, rings, 1, area.fd), -EBADMSG);
    wrong = many_memory_file_open_("test", 300000);
    CHECK(wrong > STDERR_FILENO);
    CHECK_CODE(many_ring_area_adopt_(&other, 64, rings, 1, wrong), -EBADMSG);
    close(wrong);
    wrong = memfd_create("test", MFD_CLOEXEC); /* it may shrink */
    CHECK_EQUAL(ftruncate(wrong, (off_t)area.bytes), 0);
    CHECK_CODE(many_ring_area_adopt_(&other, 64, rings, 1, wrong), -EBADMSG);
    close(wrong);
    CHECK_CODE(many_ring_area_adopt_(&other, 64, rings, 1, -1), -EBADF);
    ring.shared->version++;
    CHECK_CODE(many_ring_area_adopt_(&other, 64, rings, 1, area.fd), -EBADMSG);
    ring.shared->version--;
    ring.shared->size = 12345;
    CHECK_CODE(many_ring_area_adopt_(&other, 64, rings, 1, area.fd), -EBADMSG);
    many_ring_area_close_(&area);
}

TEST(a_message_that_is_damaged_is_not_followed)
{
    one_ring one;
    char got[64];

    open_one(&one, (many_ring_limits_){0});
    CHECK_CODE(many_ring_put_(&one.ring, "good", 5, &now), 0);
    *(uint64_t *)(void *)one.ring.bytes += 1000;
    CHECK_CODE(many_ring_get_(&one.ring, got, sizeof got, &now), -EBADMSG);
    *(uint64_t *)(void *)one.ring.bytes = 0;
    CHECK_CODE(many_ring_get_(&one.ring, got, sizeof got, &now), -EBADMSG);
    many_ring_area_close_(&one.area);
}

TEST(sizes_are_of_one_instant)
{
    one_ring one;
    uint64_t messages, bytes;

    open_one(&one, (many_ring_limits_){0});
    CHECK_CODE(many_ring_put_(&one.ring, "12345", 5, &now), 0);
    CHECK_CODE(many_ring_put_(&one.ring, "123", 3, &now), 0);
    many_ring_held_(&one.ring, &messages, &bytes);
    CHECK_EQUAL(messages, 2);
    CHECK_EQUAL(bytes, 8);
    CHECK_CODE(many_ring_shut_(&one.ring, 1), 0);
    many_ring_held_(&one.ring, &messages, &bytes);
    CHECK_EQUAL(messages, 0);
    CHECK_EQUAL(bytes, 0);
    CHECK_EQUAL(many_ring_puts_(&one.ring), 2);
    CHECK_EQUAL(many_ring_gets_(&one.ring), 2);
    CHECK_EQUAL(many_ring_drops_(&one.ring), 2);
    many_ring_area_close_(&one.area);
}
