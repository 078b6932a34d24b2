/* SPDX-License-Identifier: MIT */
/*
 * test_imap_memory.c - what an iterator keeps: a window in memory, then a file, and never more than that
 */
#include "each_kind.h"

#include <dirent.h>
#include <sys/resource.h>

#define IMAP(pool, it, fn, source, ...)                                                            \
    CHECK_CODE(many_pool_imap((pool), (it), (fn), kind_next, (source),                             \
                              .item_bytes = sizeof(size_t), .result_bytes = sizeof(size_t),        \
                              __VA_ARGS__),                                                        \
               0)

/* Take n results that have to be the next squares from *i on. */
static void take(many_imap *it, kind_source *source, size_t n)
{
    size_t y;

    while (n-- > 0) {
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 1);
        CHECK_EQUAL(y, source->taken * source->taken);
        source->taken++;
    }
}

BOTH(no_more_is_pulled_than_the_window_allows)
{
    static const size_t windows[] = {1, 2, 16, 300};

    for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++) {
        many_pool *pool = kind_pool(kind, 3);
        kind_source source = {.end = SIZE_MAX};
        many_imap *it = NULL;

        IMAP(pool, &it, kind_square, &source, .window = windows[w], .spill_bytes = 1);
        take(it, &source, 3000);
        /* The one that is being handed out was counted by the source, and not yet by us. */
        CHECK(source.most_ahead <= windows[w] + 1);
        many_imap_close(it);
        kind_close(pool);
    }
}

BOTH(without_a_window_a_source_is_not_emptied_at_once)
{
    many_pool *pool = kind_pool(kind, 2);
    kind_source source = {.end = SIZE_MAX};
    many_imap *it = NULL;

    IMAP(pool, &it, kind_square, &source, .unordered = 0);
    take(it, &source, 1);
    CHECK(source.pulled < 400000);
    take(it, &source, 1000);
    many_imap_close(it);
    kind_close(pool);
}

BOTH(a_slow_item_stops_nobody_for_the_others_are_spilled)
{
    enum { MANY = 20000 };

    for (int chunk = 1; chunk <= 7; chunk += 6) {
        kind_words *words = kind_words_of(0);
        many_pool *pool = kind_pool(kind, 2);
        kind_source source = {.end = MANY + 100, .opens = words, .opens_at = MANY};
        many_imap *it = NULL;
        size_t y;

        /* The first item waits until thousands more were pulled: in memory are 20 of them at most. */
        IMAP(pool, &it, kind_first_waits, &source, .context = words, .window = 20,
             .chunk = (size_t)chunk);
        take(it, &source, MANY + 100);
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
        many_imap_close(it);
        kind_close(pool);
    }
}

/* Several slow ones, so that what is spilled has gaps; it is handed out in order all the same. */
static int some_wait(const void *item, void *result, void *context)
{
    size_t x = *(const size_t *)item;
    kind_words *words = context;

    if (x == 0 || x == 500 || x == 501 || x == 1200)
        kind_wait(words);
    if (x % 100 == 3)
        return many_fail(-EDOM, "no square of %zu", x);
    return kind_square(item, result, NULL);
}

BOTH(what_is_spilled_around_several_slow_items_comes_in_order)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 5);
    kind_source source = {.end = 6000, .opens = words, .opens_at = 5000};
    many_imap *it = NULL;
    many_cause cause;
    size_t y;

    IMAP(pool, &it, some_wait, &source, .context = words, .window = 30, .chunk = 1);
    for (size_t i = 0; i < 6000; i++) {
        int code = many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER);

        CHECK_EQUAL(many_imap_index(it), i);
        CHECK_CODE(code, i % 100 == 3 ? -MANY_ETASK : 1);
        CHECK(code < 0 || y == i * i);
        CHECK_CODE(many_imap_cause(it, &cause), 0);
        CHECK_EQUAL(cause.code, code < 0 ? -EDOM : 0);
        if (code < 0)
            CHECK_CONTAINS(cause.text, "no square of");
    }
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
    many_imap_close(it);
    kind_close(pool);
}

static int long_reply(const void *item, void *result, void *context)
{
    size_t x = *(const size_t *)item, bytes = x % 3 == 0 ? 100000 : x % 50;
    char *reply = malloc(bytes + 1);
    int code;

    (void)result;
    if (x == 0)
        kind_wait(context);
    memset(reply, (int)(x % 100), bytes + 1);
    code = many_reply(reply, bytes);
    free(reply);
    return code;
}

BOTH(results_of_any_length_are_spilled_too)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    kind_source source = {.end = 400, .opens = words, .opens_at = 350};
    static char room[100000];
    many_imap *it = NULL;
    size_t bytes;

    CHECK_CODE(many_pool_imap(pool, &it, long_reply, kind_next, &source,
                              .item_bytes = sizeof(size_t), .context = words, .window = 10,
                              .chunk = 2),
               0);
    for (size_t i = 0; i < 400; i++) {
        size_t wanted = i % 3 == 0 ? 100000 : i % 50;

        if (wanted > 10)
            CHECK_CODE(many_imap_next(it, room, 10, &bytes, MANY_FOREVER), -EMSGSIZE);
        CHECK_CODE(many_imap_next(it, room, sizeof room, &bytes, MANY_FOREVER), 1);
        CHECK_EQUAL(bytes, wanted);
        for (size_t k = 0; k < bytes; k += 499)
            CHECK_EQUAL(room[k], i % 100);
    }
    CHECK_CODE(many_imap_next(it, room, sizeof room, &bytes, MANY_FOREVER), 0);
    many_imap_close(it);
    kind_close(pool);
}

/* Whatever keeps the file from growing beyond most bytes: the input waits, and nothing fails. */
static void input_waits(many_pool *pool, kind_words *words, size_t spill_bytes, const char *folder,
                        size_t most)
{
    kind_source source = {.end = 3000};
    many_imap *it = NULL;
    size_t y;

    IMAP(pool, &it, kind_first_waits, &source, .context = words, .window = 25, .chunk = 2,
         .spill_bytes = spill_bytes, .spill_folder = folder);
    for (int again = 0; again < 3; again++)
        CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, 0.05), -ETIMEDOUT);
    CHECK(source.pulled <= 25 + most / sizeof y);
    atomic_store(&words->gate, 1);
    take(it, &source, 3000);
    CHECK_CODE(many_imap_next(it, &y, sizeof y, NULL, MANY_FOREVER), 0);
    many_imap_close(it);
    atomic_store(&words->gate, 0);
}

BOTH(when_the_file_is_full_the_input_waits)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);

    input_waits(pool, words, 1, NULL, 0);
    input_waits(pool, words, 5000, NULL, 5000);
    kind_close(pool);
}

BOTH(where_there_is_no_file_the_input_waits)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);

    input_waits(pool, words, 0, "/nonexistent/folder", 0);
    input_waits(pool, words, 0, "/proc", 0);
    kind_close(pool);
}

/* The memory of process pools is a file, too, and has to grow. */
TEST(a_file_that_may_not_grow_kills_nobody)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(MANY_THREADS, 2);
    struct rlimit limit, small;

    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    small = limit;
    small.rlim_cur = 3000;
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    input_waits(pool, words, 0, NULL, 3000);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    kind_close(pool);
}

/* Descriptors of this process whose files lie, or lay, in folder. */
static int descriptors_in(const char *folder)
{
    DIR *descriptors = opendir("/proc/self/fd");
    struct dirent *entry;
    int count = 0;

    CHECK(descriptors != NULL);
    while ((entry = readdir(descriptors)) != NULL) {
        char path[300], target[4096];
        ssize_t length;

        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        length = readlink(path, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        count += strncmp(target, folder, strlen(folder)) == 0;
    }
    closedir(descriptors);
    return count;
}

BOTH(the_file_has_no_name_and_goes_with_the_iterator)
{
    const char *folder = test_directory();
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 2);
    kind_source source = {.end = 2000, .opens = words, .opens_at = 1000};
    many_imap *it = NULL;

    IMAP(pool, &it, kind_first_waits, &source, .context = words, .window = 10,
         .spill_folder = folder);
    take(it, &source, 1500);
    CHECK_EQUAL(descriptors_in(folder), 1);
    CHECK(rmdir(folder) == 0); /* it is empty */
    take(it, &source, 500);
    many_imap_close(it);
    CHECK_EQUAL(descriptors_in(folder), 0);
    kind_close(pool);
}

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages, resident = 0;

    CHECK(file != NULL && fscanf(file, "%lu %lu", &pages, &resident) == 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

typedef struct record {
    size_t x;
    char rest[56];
} record;

static int next_record(void *item, void *context)
{
    record *next = item;

    memset(next, 0, sizeof *next);
    next->x = (*(size_t *)context)++;
    return 1;
}

static int same_record(const void *item, void *result, void *context)
{
    (void)context;
    memcpy(result, item, sizeof(record));
    return 0;
}

BOTH(memory_stays_the_same_however_long_the_input)
{
    const size_t n = 1000000 / (size_t)test_slowness();

    for (int unordered = 0; unordered < 2; unordered++) {
        many_pool *pool = kind_pool(kind, 2);
        size_t pulled = 0, early = 0, late;
        many_imap *it = NULL;
        record got;

        CHECK_CODE(many_pool_imap(pool, &it, same_record, next_record, &pulled,
                                  .item_bytes = sizeof(record), .result_bytes = sizeof(record),
                                  .unordered = unordered),
                   0);
        for (size_t i = 0; i < n; i++) {
            CHECK_CODE(many_imap_next(it, &got, sizeof got, NULL, MANY_FOREVER), 1);
            CHECK_EQUAL(got.x, many_imap_index(it));
            if (i == n / 10)
                early = resident_bytes();
        }
        late = resident_bytes();
        /* All the batches that there may be at a time have some MiB; they may be touched late. */
        CHECK(TEST_ASAN || TEST_TSAN || late < early + (32U << 20));
        many_imap_close(it);
        kind_close(pool);
    }
}
