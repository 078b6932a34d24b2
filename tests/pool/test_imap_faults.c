/* SPDX-License-Identifier: MIT */
/*
 * test_imap_faults.c - iterators whose spill file, or whose pool's memory, fails now and then
 */
#include "each_kind.h"

#include "base/fault.h"

#define IMAP(pool, it, fn, source, ...)                                                            \
    CHECK_CODE(many_pool_imap((pool), (it), (fn), kind_next, (source),                             \
                              .item_bytes = sizeof(size_t), .result_bytes = sizeof(size_t),        \
                              __VA_ARGS__),                                                        \
               0)

static const char *_Atomic failing;           /* the point that fails */
static _Atomic int failing_code, failing_nth; /* with this code, each so many times */
static _Atomic int reached;

static int fails_there(const char *point)
{
    const char *wanted = failing;

    if (wanted == NULL || strcmp(point, wanted) != 0)
        return 0;
    return atomic_fetch_add(&reached, 1) % failing_nth == failing_nth - 1 ? failing_code : 0;
}

/* From now on, in this process; workers are forked before. */
static void fail(const char *point, int nth, int code)
{
    failing = point;
    failing_nth = nth;
    failing_code = code;
    atomic_store(&reached, 0);
    many_fault_hook_ = point == NULL ? NULL : fails_there;
}

BOTH(results_that_cannot_be_read_back_fail_and_the_others_come)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    kind_source source = {.end = 5000, .opens = words, .opens_at = 4000};
    size_t y, lost = 0, done = 0;
    many_imap *it = NULL;
    many_cause cause;

    IMAP(pool, &it, kind_first_waits, &source, .context = words, .window = 20);
    fail("spill.read", 3, -EIO);
    for (size_t i = 0; i < 5000; i++) {
        int code = many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER);

        CHECK_EQUAL(many_imap_index(it), i);
        CHECK(code == 1 || code == -EIO);
        CHECK_EQUAL(many_imap_failed(it), code < 0);
        CHECK(code < 0 || y == i * i);
        CHECK_CODE(many_imap_cause(it, &cause), 0);
        CHECK_EQUAL(cause.code, code < 0 ? -EIO : 0);
        if (code < 0)
            CHECK_CONTAINS(cause.text, "could not be read back");
        lost += code < 0;
        done += code == 1;
    }
    fail(NULL, 0, 0);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
    CHECK(lost > 0 && done > 0);
    many_imap_close(it);
    kind_close(pool);
}

BOTH(a_file_that_cannot_be_written_all_the_time_loses_nothing)
{
    static const char *const points[] = {"spill.open", "spill.write"};

    for (int p = 0; p < 2; p++)
        for (int nth = 1; nth <= 7; nth += 3) {
            kind_words *words = kind_words_of(0);
            many_pool *pool = kind_pool(kind, 2);
            kind_source source = {.end = 3000};
            many_imap *it = NULL;
            size_t y;

            IMAP(pool, &it, kind_first_waits, &source, .context = words, .window = 20, .chunk = 2);
            fail(points[p], nth, -EIO);
            CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, 0.02), -ETIMEDOUT);
            atomic_store(&words->gate, 1);
            for (size_t i = 0; i < 3000; i++) {
                CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
                CHECK_EQUAL(y, i * i);
            }
            fail(NULL, 0, 0);
            CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
            many_imap_close(it);
            kind_close(pool);
        }
}

BOTH(a_pool_without_memory_now_and_then_loses_nothing)
{
    static const char *const points[] = {"imap.slot", "imap.submit"};

    for (int p = 0; p < 2; p++)
        for (int unordered = 0; unordered < 2; unordered++) {
            many_pool *pool = kind_pool(kind, 2);
            kind_source source = {.end = 3000};
            size_t y, sum = 0;
            many_imap *it = NULL;

            IMAP(pool, &it, kind_square, &source, .chunk = 2, .unordered = unordered);
            /* The very first batch must not be refused: no other one is on its way. */
            CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
            sum += many_imap_index(it);
            fail(points[p], 50, -ENOMEM);
            for (size_t i = 1; i < 3000; i++) {
                CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
                sum += many_imap_index(it);
            }
            fail(NULL, 0, 0);
            CHECK_EQUAL(sum, 2999 * 3000 / 2);
            many_imap_close(it);
            kind_close(pool);
        }
}

/* No bell, no memory to watch with: the others are looked at now and then. */
BOTH(without_a_descriptor_it_waits_all_the_same)
{
    static const char *const points[] = {"bell.open", "future.watch"};

    for (int p = 0; p < 2; p++) {
        kind_words *words = kind_words_of(0);
        many_pool *pool = kind_pool(kind, 2);
        kind_source source = {.end = 500};
        many_imap *it = NULL;
        size_t y;

        IMAP(pool, &it, kind_first_waits, &source, .context = words, .unordered = 1, .chunk = 1);
        fail(points[p], 1, -EMFILE);
        for (size_t i = 1; i < 500; i++)
            CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, 0.05), -ETIMEDOUT);
        atomic_store(&words->gate, 1);
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
        CHECK_EQUAL(many_imap_index(it), 0);
        fail(NULL, 0, 0);
        many_imap_close(it);
        kind_close(pool);
    }
}

BOTH(an_async_map_that_cannot_be_watched_ends_all_the_same)
{
    many_pool *pool = kind_pool(kind, 2);
    size_t in[300], out[300];
    many_future *future = NULL;

    for (size_t i = 0; i < 300; i++)
        in[i] = i;
    fail("future.watch", 2, -ENOMEM);
    CHECK_CODE(many_pool_map_async(pool, kind_square, in, out, 300, .future = &future), 0);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), sizeof(size_t));
    fail(NULL, 0, 0);
    for (size_t i = 0; i < 300; i++)
        CHECK_EQUAL(out[i], i * i);
    many_future_close(future);
    kind_close(pool);
}

/* In a worker nothing is told without memory: it looks by itself, and does what nobody else will. */
static int map_unwatched(const void *item, void *result, void *context)
{
    many_future *future = NULL;
    size_t in[30], out[30];

    (void)item;
    (void)context;
    for (size_t i = 0; i < 30; i++)
        in[i] = i;
    fail("future.watch", 1, -ENOMEM);
    if (many_pool_map_async(many_pool_current(), kind_square, in, out, 30, .future = &future) < 0)
        return 98;
    fail(NULL, 0, 0);
    *(int *)result = (int)many_future_result(future, NULL, 0, MANY_FOREVER);
    many_future_close(future);
    return out[29] == 29 * 29 ? 0 : 97;
}

BOTH(an_async_map_of_a_task_that_cannot_be_watched_ends_on_a_pool_of_one)
{
    many_pool *pool = kind_pool(kind, 1);
    int bytes = 0;
    many_future *future = NULL;

    CHECK_CODE(many_pool_submit(pool, map_unwatched, NULL, &future, .result_bytes = sizeof bytes),
               0);
    CHECK_CODE(many_future_result(future, &bytes, sizeof bytes, 60.0), sizeof bytes);
    CHECK_EQUAL(bytes, sizeof(size_t));
    many_future_close(future);
    kind_close(pool);
}
