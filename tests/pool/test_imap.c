/* SPDX-License-Identifier: MIT */
/*
 * test_imap.c - results one by one: in order or not, each once, as far as the source has items
 *
 * What iterators do when things go wrong is in test_imap_failures.c, what they keep where in test_imap_memory.c.
 */
#include "each_kind.h"

#define IMAP(pool, it, fn, source, ...)                                                            \
    CHECK_CODE(many_pool_imap((pool), (it), (fn), kind_next, (source),                             \
                              .item_bytes = sizeof(size_t), .result_bytes = sizeof(size_t),        \
                              __VA_ARGS__),                                                        \
               0)

BOTH(results_come_in_the_order_of_the_source)
{
    static const size_t counts[] = {0, 1, 2, 7, 1000, 30000};

    for (int workers = 1; workers <= 3; workers += 2)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            size_t y = 0, bytes = 0, n = counts[c];
            kind_words *words = kind_words_of(n);
            many_pool *pool = kind_pool(kind, workers);
            kind_source source = {.end = n};
            many_imap *it = NULL;

            IMAP(pool, &it, kind_square, &source, .context = words);
            CHECK_EQUAL(source.pulled, 0); /* nothing before the first next */
            for (size_t i = 0; i < n; i++) {
                CHECK_CODE(many_imap_next(it, &y, sizeof y, &bytes, MANY_FOREVER), 1);
                CHECK(y == i * i && bytes == sizeof y && many_imap_index(it) == i);
                CHECK_EQUAL(many_imap_failed(it), 0);
            }
            for (int again = 0; again < 2; again++)
                CHECK_CODE(many_imap_next(it, &y, sizeof y, &bytes, MANY_FOREVER), 0);
            CHECK(source.calls_after_end <= 1);
            many_imap_close(it);
            for (size_t i = 0; i < n; i++)
                CHECK_EQUAL(atomic_load(&words->count[i]), 1);
            kind_close(pool);
        }
}

BOTH(unordered_results_come_each_once)
{
    const size_t n = 20000;
    kind_words *words = kind_words_of(n);
    many_pool *pool = kind_pool(kind, 3);
    kind_source source = {.end = n};
    many_imap *it = NULL;
    char *seen = calloc(n, 1);
    size_t y;

    IMAP(pool, &it, kind_square, &source, .context = words, .unordered = 1);
    for (size_t i = 0; i < n; i++) {
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
        CHECK(many_imap_index(it) < n && !seen[many_imap_index(it)]);
        CHECK(y == many_imap_index(it) * many_imap_index(it));
        seen[many_imap_index(it)] = 1;
    }
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
    many_imap_close(it);
    free(seen);
    kind_close(pool);
}

BOTH(a_slow_item_holds_back_nobody_when_unordered)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    kind_source source = {.end = 500};
    many_imap *it = NULL;
    size_t y;

    IMAP(pool, &it, kind_first_waits, &source, .context = words, .unordered = 1, .chunk = 1);
    for (size_t i = 1; i < 500; i++) {
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
        CHECK(many_imap_index(it) != 0);
    }
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, 0.01), -ETIMEDOUT);
    CHECK_EQUAL(many_imap_failed(it), 0);
    atomic_store(&words->gate, 1);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
    CHECK_EQUAL(many_imap_index(it), 0);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
    many_imap_close(it);
    kind_close(pool);
}

BOTH(an_array_needs_no_source)
{
    many_pool *pool = kind_pool(kind, 2);
    many_imap *it = NULL;
    size_t items[1000], y;

    for (size_t i = 0; i < 1000; i++)
        items[i] = i;
    CHECK_CODE(many_pool_imap(pool, &it, kind_square, NULL, NULL, .items = items, .n = 1000,
                              .item_bytes = sizeof(size_t), .result_bytes = sizeof(size_t)),
               0);
    for (size_t i = 0; i < 1000; i++) {
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
        CHECK_EQUAL(y, i * i);
    }
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
    many_imap_close(it);
    kind_close(pool);
}

static int index_of(const void *item, void *result, void *context)
{
    (void)context;
    *(size_t *)result = many_item_index();
    return item == NULL ? 0 : 1;
}

BOTH(items_may_be_nothing_but_numbers)
{
    many_pool *pool = kind_pool(kind, 2);
    many_imap *it = NULL;
    size_t y;

    CHECK_CODE(
        many_pool_imap(pool, &it, index_of, NULL, NULL, .n = 300, .result_bytes = sizeof(size_t)),
        0);
    for (size_t i = 0; i < 300; i++) {
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
        CHECK_EQUAL(y, i);
    }
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
    many_imap_close(it);
    kind_close(pool);
}

BOTH(n_is_the_most_that_is_pulled)
{
    many_pool *pool = kind_pool(kind, 2);
    kind_source source = {.end = SIZE_MAX};
    many_imap *it = NULL;
    size_t y;

    IMAP(pool, &it, kind_square, &source, .n = 250);
    for (size_t i = 0; i < 250; i++)
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
    CHECK_EQUAL(source.pulled, 250);
    many_imap_close(it);
    kind_close(pool);
}

static int add(const void *item, void *result, void *context)
{
    *(size_t *)result = *(const size_t *)item + *(size_t *)context;
    return 0;
}

BOTH(context_bytes_are_copied_at_the_call)
{
    many_pool *pool = kind_pool(kind, 2);
    kind_source source = {.end = 5000};
    size_t seven = 7, y;
    many_imap *it = NULL;

    IMAP(pool, &it, add, &source, .context = &seven, .context_bytes = sizeof seven);
    seven = 8;
    for (size_t i = 0; i < 5000; i++) {
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
        CHECK_EQUAL(y, i + 7);
    }
    many_imap_close(it);
    kind_close(pool);
}

/* item's last digit times a thousand bytes, each of which says whose it is; some megabytes for 77 */
static int reply_of_any_length(const void *item, void *result, void *context)
{
    size_t x = *(const size_t *)item, bytes = x == 77 ? 3 << 20 : x % 10 * 1000;
    char *reply = malloc(bytes + 1);
    int code;

    (void)context;
    memset(reply, (int)(x % 100), bytes + 1);
    code = x % 10 == 9 ? 0 : many_reply(reply, bytes);
    free(reply);
    return result == NULL ? code : 1;
}

BOTH(results_may_have_any_length)
{
    char *room = malloc(4 << 20);

    for (int unordered = 0; unordered < 2; unordered++) {
        many_pool *pool = kind_pool(kind, 2);
        kind_source source = {.end = 200};
        many_imap *it = NULL;
        size_t bytes;

        CHECK_CODE(many_pool_imap(pool, &it, reply_of_any_length, kind_next, &source,
                                  .item_bytes = sizeof(size_t), .unordered = unordered),
                   0);
        for (size_t i = 0; i < 200; i++) {
            size_t x, wanted;

            CHECK_CODE(many_imap_next(it, room, 4 << 20, &bytes, MANY_FOREVER), 1);
            x = many_imap_index(it);
            wanted = x == 77 ? 3 << 20 : x % 10 == 9 ? 0 : x % 10 * 1000;
            CHECK(unordered || x == i);
            CHECK_EQUAL(bytes, wanted);
            for (size_t k = 0; k < bytes; k += 997)
                CHECK_EQUAL(room[k], x % 100);
        }
        CHECK_CODE(many_imap_next(it, room, 4 << 20, &bytes, MANY_FOREVER), 0);
        many_imap_close(it);
        kind_close(pool);
    }
    free(room);
}

BOTH(a_result_that_is_too_long_stays_the_next)
{
    many_pool *pool = kind_pool(kind, 1);
    kind_source source = {.end = 3};
    many_imap *it = NULL;
    char room[1000];
    size_t bytes;

    CHECK_CODE(many_pool_imap(pool, &it, reply_of_any_length, kind_next, &source,
                              .item_bytes = sizeof(size_t)),
               0);
    CHECK_CODE(many_imap_next(it, room, sizeof room, &bytes, MANY_FOREVER), 1);
    CHECK_EQUAL(bytes, 0);
    for (int again = 0; again < 2; again++) {
        CHECK_CODE(many_imap_next(it, room, 999, &bytes, MANY_FOREVER), -EMSGSIZE);
        CHECK_EQUAL(bytes, 1000);
        CHECK_EQUAL(many_imap_index(it), 1);
        CHECK_EQUAL(many_imap_failed(it), 0);
    }
    CHECK_CODE(many_imap_next(it, room, 1000, &bytes, MANY_FOREVER), 1);
    CHECK_EQUAL(room[999], 1);
    CHECK_CODE(many_imap_next(it, NULL, 0, &bytes, MANY_FOREVER), 1); /* not wanted */
    CHECK_EQUAL(bytes, 2000);
    CHECK_CODE(many_imap_next(it, NULL, 0, &bytes, MANY_FOREVER), 0);
    many_imap_close(it);
    kind_close(pool);
}

BOTH(a_source_that_has_nothing_now_is_asked_again)
{
    for (int unordered = 0; unordered < 2; unordered++) {
        many_pool *pool = kind_pool(kind, 2);
        kind_source source = {.end = 60, .not_now = 2};
        many_imap *it = NULL;
        size_t y, sum = 0;

        IMAP(pool, &it, kind_square, &source, .unordered = unordered);
        for (size_t i = 0; i < 60; i++) {
            CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
            sum += many_imap_index(it);
        }
        CHECK_EQUAL(sum, 59 * 60 / 2);
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
        many_imap_close(it);
        kind_close(pool);
    }
}

static int never(void *item, void *context)
{
    (void)item;
    ++*(size_t *)context;
    return -EAGAIN;
}

BOTH(a_source_that_never_has_anything_times_out)
{
    many_pool *pool = kind_pool(kind, 1);
    size_t asked = 0, y;
    many_imap *it = NULL;

    CHECK_CODE(many_pool_imap(pool, &it, kind_square, never, &asked, .item_bytes = sizeof(size_t),
                              .result_bytes = sizeof(size_t)),
               0);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, 0), -ETIMEDOUT);
    CHECK_EQUAL(asked, 1);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, 0.05), -ETIMEDOUT);
    CHECK(asked > 1);
    many_imap_close(it);
    kind_close(pool);
}

BOTH(what_was_pulled_from_a_slow_source_is_not_kept_back)
{
    kind_words *words = kind_words_of(100);
    many_pool *pool = kind_pool(kind, 1);
    kind_source source = {.end = 20, .slow_ms = 5, .opens = words, .opens_at = 20};
    many_imap *it = NULL;
    size_t y;

    /* One worker takes them in order: the first is over, and handed out, while others are not even
     * pulled. */
    IMAP(pool, &it, kind_square, &source, .context = words);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
    CHECK_EQUAL(atomic_load(&words->gate), 0);
    for (size_t i = 1; i < 20; i++)
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
    many_imap_close(it);
    kind_close(pool);
}

BOTH(many_iterators_share_a_pool)
{
    many_pool *pool = kind_pool(kind, 2);
    kind_source source[5];
    many_imap *it[5];
    size_t y;

    for (int k = 0; k < 5; k++) {
        source[k] = (kind_source){.end = SIZE_MAX};
        IMAP(pool, &it[k], kind_square, &source[k], .unordered = 0);
    }
    for (size_t i = 0; i < 2000; i++)
        for (int k = 0; k < 5; k++) {
            CHECK_CODE(many_imap_next(it[k], &y, sizeof y, NULL, MANY_FOREVER), 1);
            CHECK_EQUAL(y, i * i);
        }
    for (int k = 0; k < 5; k++)
        many_imap_close(it[k]);
    kind_close(pool);
}

/* The sum of the squares below n, by an iterator over the pool that this task runs in. */
static int sum_inside(const void *item, void *result, void *context)
{
    kind_source source = {.end = *(const size_t *)item};
    many_imap *it = NULL;
    size_t y, sum = 0;
    int code = many_pool_imap(many_pool_current(), &it, kind_square, kind_next, &source,
                              .item_bytes = sizeof(size_t), .result_bytes = sizeof(size_t),
                              .unordered = context != NULL);

    if (code < 0)
        return code;
    while ((code = many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER)) == 1)
        sum += y;
    many_imap_close(it);
    *(size_t *)result = sum;
    return code;
}

BOTH(iterators_nest_on_a_pool_of_one)
{
    for (int workers = 1; workers <= 2; workers++) {
        many_pool *pool = kind_pool(kind, workers);
        kind_source source = {.end = 30};
        many_imap *it = NULL;
        size_t y, sum = 0;

        IMAP(pool, &it, sum_inside, &source, .chunk = 3);
        for (size_t i = 0; i < 30; i++) {
            CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
            CHECK_EQUAL(y, sum);
            sum += i * i;
        }
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
        many_imap_close(it);
        kind_close(pool);
    }
}

BOTH(what_makes_no_sense_is_refused_with_words)
{
    many_pool *pool = kind_pool(kind, 1);
    kind_source source = {.end = 3};
    many_imap *it = NULL;
    size_t items[3], y;

#define REFUSED(words, ...)                                                                        \
    do {                                                                                           \
        CHECK_CODE(many_pool_imap(__VA_ARGS__), -EINVAL);                                          \
        CHECK_CONTAINS(many_error_message(), words);                                               \
        CHECK(it == NULL);                                                                         \
    } while (0)
    REFUSED("pool is NULL", NULL, &it, kind_square, kind_next, &source, .item_bytes = 8);
    REFUSED("it is NULL", pool, NULL, kind_square, kind_next, &source, .item_bytes = 8);
    REFUSED("fn is NULL", pool, &it, NULL, kind_next, &source, .item_bytes = 8);
    REFUSED(".item_bytes is 0", pool, &it, kind_square, kind_next, &source);
    REFUSED("next is NULL", pool, &it, kind_square, NULL, &source);
    REFUSED("both given", pool, &it, kind_square, kind_next, &source, .items = items, .n = 3,
            .item_bytes = 8);
    REFUSED(".unordered is 2", pool, &it, kind_square, kind_next, &source, .item_bytes = 8,
            .unordered = 2);
    REFUSED(".retries is -1", pool, &it, kind_square, kind_next, &source, .item_bytes = 8,
            .retries = -1);
    REFUSED(".priority is 4", pool, &it, kind_square, kind_next, &source, .item_bytes = 8,
            .priority = 4);
    REFUSED(".reserved is 1", pool, &it, kind_square, kind_next, &source, .item_bytes = 8,
            .reserved = 1);
    REFUSED(".item_limit_s is -1", pool, &it, kind_square, kind_next, &source, .item_bytes = 8,
            .item_limit_s = -1);
    REFUSED(".context is NULL", pool, &it, kind_square, kind_next, &source, .item_bytes = 8,
            .context_bytes = 1);
    if (kind == MANY_THREADS)
        REFUSED(".item_limit_bytes is for processes", pool, &it, kind_square, kind_next, &source,
                .item_bytes = 8, .item_limit_bytes = 1 << 20);
    CHECK_CODE(many_pool_imap_with(NULL), -EINVAL);

    IMAP(pool, &it, kind_square, &source, .unordered = 0);
    CHECK_EQUAL(many_imap_index(it), SIZE_MAX);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, -2.0), -EINVAL);
    CHECK_CODE(many_imap_next(it, NULL, sizeof y, NULL, 1.0), -EINVAL);
    CHECK_CODE(many_imap_next(NULL, &y, sizeof y, NULL, 1.0), -EINVAL);
    CHECK_CODE(many_imap_failed(NULL), -EINVAL);
    many_imap_close(it);
    many_imap_close(NULL);
    kind_close(pool);
}
