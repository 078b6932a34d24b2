/* SPDX-License-Identifier: MIT */
/*
 * test_imap_batches.c - what iterators and maps make of the batches of a pool that does strange things: takes no
 * more, has no memory, ends them when the test says so
 */
#include "fake_batch.h"

#include <unistd.h>

#include <many/imap.h>
#include <many/pool_map.h>

typedef struct source {
    size_t pulled, end;
    int slow_ms;
} source;

static int source_next(void *item, void *context)
{
    source *from = context;

    if (from->pulled == from->end)
        return 0;
    if (from->slow_ms > 0)
        usleep((useconds_t)from->slow_ms * 1000);
    *(size_t *)item = from->pulled++;
    return 1;
}

static int square(const void *item, void *result, void *context)
{
    const size_t *x = item;

    (void)context;
    *(size_t *)result = *x * *x;
    return *x == many_item_index() ? 0 : 1;
}

/* In place, as threads do it, and copied, as processes do. */
#define FAKE_BOTH(name)                                                                            \
    static void name(int kind);                                                                    \
    TEST(name##_in_place)                                                                          \
    {                                                                                              \
        name(MANY_THREADS);                                                                        \
    }                                                                                              \
    TEST(name##_copied)                                                                            \
    {                                                                                              \
        name(MANY_PROCESSES);                                                                      \
    }                                                                                              \
    static void name(int kind)

#define IMAP(fake, it, from, ...)                                                                  \
    CHECK_CODE(many_pool_imap(&(fake)->pool, (it), square, source_next, (from),                    \
                              .item_bytes = sizeof(size_t), .result_bytes = sizeof(size_t),        \
                              __VA_ARGS__),                                                        \
               0)

FAKE_BOTH(results_come_in_order)
{
    fake_pool *fake = fake_pool_open(2, kind);
    source from = {.end = 10000};
    many_imap *it = NULL;
    size_t y, i;

    IMAP(fake, &it, &from, .unordered = 0);
    for (i = 0; i < 10000; i++) {
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
        CHECK_EQUAL(y, i * i);
    }
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
    many_imap_close(it);
    fake_pool_close(fake);
}

FAKE_BOTH(a_map_fills_its_results)
{
    fake_pool *fake = fake_pool_open(2, kind);
    static size_t in[20000], out[20000];
    static int codes[20000];

    for (size_t i = 0; i < 20000; i++)
        in[i] = i;
    memset(out, 0, sizeof out);
    CHECK_CODE(many_pool_map(&fake->pool, square, in, out, 20000, .codes = codes), 0);
    for (size_t i = 0; i < 20000; i++)
        CHECK(out[i] == i * i && codes[i] == 0);
    fake_pool_close(fake);
}

/* ---- a pool that takes no more ---- */

FAKE_BOTH(what_was_pulled_has_an_outcome_when_the_pool_takes_no_more)
{
    for (int unordered = 0; unordered < 2; unordered++) {
        fake_pool *fake = fake_pool_open(2, kind);
        source from = {.end = SIZE_MAX};
        size_t y, i = 0, done = 0, lost = 0;
        many_imap *it = NULL;
        many_cause cause;
        int code;

        IMAP(fake, &it, &from, .unordered = unordered, .chunk = 3);
        atomic_store(&fake->submits_left, 20);
        atomic_store(&fake->submit_fails, -ESHUTDOWN);
        while ((code = many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER)) == 1 ||
               many_imap_failed(it)) {
            CHECK(unordered || many_imap_index(it) == i);
            i++;
            done += code == 1;
            if (code == 1)
                continue;
            CHECK_CODE(code, -ECANCELED);
            CHECK_CODE(many_imap_cause(it, &cause), 0);
            CHECK(cause.cancelled == 1 && cause.item == many_imap_index(it) && cause.worker == -1);
            lost++;
        }
        CHECK_CODE(code, -ESHUTDOWN);
        CHECK_EQUAL(done + lost, from.pulled);
        CHECK(done >= 20 && done <= 60);
        CHECK(lost >= 1 && lost <= 3); /* the batch that was pulled before it was known */
        for (int again = 0; again < 2; again++)
            CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
        many_imap_close(it);
        fake_pool_close(fake);
    }
}

FAKE_BOTH(a_map_that_the_pool_takes_no_more_of_says_so)
{
    fake_pool *fake = fake_pool_open(2, kind);
    size_t in[100], out[100], cancelled = 0;
    int codes[100];

    for (size_t i = 0; i < 100; i++)
        in[i] = i;
    atomic_store(&fake->submits_left, 20);
    atomic_store(&fake->submit_fails, -MANY_EBROKEN);
    CHECK_CODE(many_pool_map(&fake->pool, square, in, out, 100, .codes = codes, .chunk = 1),
               -MANY_EBROKEN);
    CHECK_CONTAINS(many_error_message(), "the fake pool fails");
    for (size_t i = 0; i < 100; i++) {
        CHECK(codes[i] == 0 || codes[i] == -ECANCELED);
        CHECK(codes[i] != 0 || (i < 20 && out[i] == i * i));
        cancelled += codes[i] != 0;
    }
    CHECK(cancelled >= 80);
    fake_pool_close(fake);
}

/* ---- a pool without memory ---- */

FAKE_BOTH(no_memory_for_a_batch_is_only_a_wait_while_others_are_on_their_way)
{
    fake_pool *fake = fake_pool_open(2, kind);
    static size_t in[2000], out[2000];
    source from;
    many_imap *it = NULL;
    size_t y, i;

    for (i = 0; i < 2000; i++)
        in[i] = i;
    for (int busy_most = 1; busy_most <= 3; busy_most++)
        for (int unordered = 0; unordered < 2; unordered++) {
            from = (source){.end = 2000};
            IMAP(fake, &it, &from, .chunk = 2, .unordered = unordered);
            atomic_store(&fake->busy_most, busy_most);
            atomic_store(&fake->open_fails, busy_most == 2 ? -ENOMEM : 0);
            for (i = 0; i < 2000; i++) {
                CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
                CHECK(unordered || y == i * i);
            }
            CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
            many_imap_close(it);
            atomic_store(&fake->open_fails, 0);
            memset(out, 0, sizeof out);
            CHECK_CODE(many_pool_map(&fake->pool, square, in, out, 2000, .chunk = 3), 0);
            for (i = 0; i < 2000; i++)
                CHECK_EQUAL(out[i], i * i);
            atomic_store(&fake->busy_most, 0);
        }

    atomic_store(&fake->submit_fails, -ENOMEM);
    atomic_store(&fake->submits_left, 1);
    CHECK_CODE(many_pool_map(&fake->pool, square, in, out, 1, .chunk = 1), 0);
    /* None is on its way: an end. */
    CHECK_CODE(many_pool_map(&fake->pool, square, in, out, 100, .chunk = 1), -ENOMEM);
    from = (source){.end = 10};
    IMAP(fake, &it, &from, .chunk = 2);
    for (i = 0; i < from.pulled || i == 0; i++)
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), -ECANCELED);
    CHECK(i >= 1 && i <= 2);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), -ENOMEM);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
    many_imap_close(it);

    atomic_store(&fake->open_fails, -ENOMEM);
    CHECK_CODE(many_pool_map(&fake->pool, square, in, out, 100), -ENOMEM);
    CHECK_CODE(
        many_pool_imap(&fake->pool, &it, square, source_next, &from, .item_bytes = sizeof(size_t)),
        -ENOMEM);
    CHECK(it == NULL);
    fake_pool_close(fake);
}

FAKE_BOTH(an_async_map_that_runs_out_of_memory_ends)
{
    for (int sent = 0; sent < 10; sent += 3) {
        fake_pool *fake = fake_pool_open(2, kind);
        size_t in[100], out[100];
        many_future *future = NULL;
        int code, codes[100];

        for (size_t i = 0; i < 100; i++)
            in[i] = i;
        atomic_store(&fake->submits_left, sent);
        atomic_store(&fake->submit_fails, -ENOMEM);
        code = many_pool_map_async(&fake->pool, square, in, out, 100, .future = &future, .chunk = 1,
                                   .codes = codes);
        CHECK_CODE(code, sent == 0 ? -ENOMEM : 0);
        CHECK((future == NULL) == (sent == 0));
        if (future != NULL) {
            CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -ENOMEM);
            for (int i = 0; i < 100; i++)
                CHECK(codes[i] == -ECANCELED || (i < sent && codes[i] == 0));
            many_future_close(future);
        }
        fake_pool_close(fake);
    }
}

/* ---- how much at a time ---- */

FAKE_BOTH(chunks_grow_for_short_items_and_not_for_long_ones)
{
    for (int spent = 20; spent <= 2000000; spent *= 100) {
        fake_pool *fake = fake_pool_open(2, kind);
        source from = {.end = 30000};
        many_imap *it = NULL;
        size_t y;

        atomic_store(&fake->spent_ns, spent);
        IMAP(fake, &it, &from, .unordered = 0);
        for (size_t i = 0; i < (spent > 100000 ? 300 : 30000); i++)
            CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
        if (spent == 20) /* 50 us of them would be 2500 */
            CHECK(atomic_load(&fake->largest) > 100 || test_slowness() > 1);
        else if (spent == 2000)
            CHECK(atomic_load(&fake->largest) <= 25);
        else
            CHECK_EQUAL(atomic_load(&fake->largest), 1);
        many_imap_close(it);
        fake_pool_close(fake);
    }
}

FAKE_BOTH(an_item_of_a_slow_source_is_sent_by_itself)
{
    fake_pool *fake = fake_pool_open(2, kind);
    source from = {.end = 30, .slow_ms = 1};
    many_imap *it = NULL;
    size_t y;

    atomic_store(&fake->spent_ns, 10);
    IMAP(fake, &it, &from, .chunk = 10);
    for (size_t i = 0; i < 30; i++)
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
    CHECK_EQUAL(atomic_load(&fake->submits), 30);
    many_imap_close(it);
    fake_pool_close(fake);
}

/* ---- a pool that does not begin ---- */

FAKE_BOTH(nothing_is_pulled_beyond_what_flies_while_nothing_begins)
{
    fake_pool *fake = fake_pool_open(2, kind);
    source from = {.end = SIZE_MAX};
    many_imap *it = NULL;
    size_t y;

    fake_hold(fake, 1);
    IMAP(fake, &it, &from, .unordered = 0);
    for (int again = 0; again < 5; again++)
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, 0.001), -ETIMEDOUT);
    CHECK(from.pulled >= 2 && from.pulled <= 32); /* one at a time, before anything was measured */
    fake_hold(fake, 0);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
    fake_hold(fake, 1);
    many_imap_close(it); /* what waits is cancelled */
    fake_pool_close(fake);
}

FAKE_BOTH(a_cancelled_async_map_that_has_not_begun_is_over_at_once)
{
    fake_pool *fake = fake_pool_open(1, kind);
    many_future *future = NULL;
    size_t in[10] = {0}, out[10];
    int codes[10];

    fake_hold(fake, 1);
    CHECK_CODE(
        many_pool_map_async(&fake->pool, square, in, out, 10, .future = &future, .codes = codes),
        0);
    CHECK_CODE(many_future_cancel(future), 1);
    CHECK_EQUAL(many_future_cancelled(future), 1);
    for (int i = 0; i < 10; i++)
        CHECK_EQUAL(codes[i], -ECANCELED);
    many_future_close(future);
    fake_pool_close(fake);
}
