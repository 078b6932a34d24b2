/* SPDX-License-Identifier: MIT */
/*
 * test_stream.c - items from a source: pulled as fast as they are worked off, each once, in order
 *
 * What .on_result gets is in test_on_result.c.
 */
#include "kind.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A source that counts; what it says at its turn is up to the test. */
typedef struct stream_source {
    size_t pulled;
    size_t end;          /* it has so many; SIZE_MAX: no end */
    int end_code;        /* what it says then: 0 or a negative code */
    size_t not_now;      /* says -EAGAIN so many times before each item */
    size_t not_now_left; /* of this item */
    size_t calls_after_end;
    size_t delivered;
    size_t most_ahead; /* pulled and not delivered, at most so far */
    pthread_t thread;  /* that called it */
    size_t other_threads;
} stream_source;

static int stream_next(void *item, void *context)
{
    stream_source *source = context;

    if (!pthread_equal(source->thread, pthread_self()))
        source->other_threads++;
    if (source->pulled == source->end) {
        source->calls_after_end++;
        return source->end_code;
    }
    if (source->not_now_left > 0) {
        source->not_now_left--;
        return -EAGAIN;
    }
    source->not_now_left = source->not_now;
    *(size_t *)item = source->pulled++;
    if (source->pulled - source->delivered > source->most_ahead)
        source->most_ahead = source->pulled - source->delivered;
    return 1;
}

static stream_source stream_of(size_t end)
{
    stream_source source = {.end = end, .thread = pthread_self()};

    return source;
}

static int stream_square(const void *item, void *result, void *context)
{
    const size_t *x = item;
    size_t *y = result;

    if (*x != many_item_index())
        return 1;
    if (context != NULL)
        atomic_fetch_add(&((_Atomic uint32_t *)context)[*x], 1);
    if (y != NULL)
        *y = *x * *x;
    return 0;
}

#define STREAM_TYPE ((size_t *)NULL) /* in only carries the type */

BOTH(items_of_a_source_end_in_arrays_in_order)
{
    static const size_t counts[] = {0, 1, 2, 63, 64, 65, 1000, 20000};
    static size_t out[20000];
    static int codes[20000];

    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
        for (int workers = 1; workers <= 4; workers += 3) {
            size_t n = counts[c];
            stream_source source = stream_of(n);
            _Atomic uint32_t *entered = pool_counters(n);

            memset(out, 0, sizeof out);
            memset(codes, 0x11, sizeof codes);
            CHECK_CODE(MAP(kind, stream_square, STREAM_TYPE, out, 20000, .workers = workers,
                           .codes = codes, .next = stream_next, .next_context = &source,
                           .context = (void *)entered),
                       0);
            CHECK_EQUAL(source.pulled, n);
            CHECK(source.calls_after_end <= 1); /* it is not asked again */
            CHECK_EQUAL(source.other_threads, 0);
            for (size_t i = 0; i < n; i++)
                CHECK(out[i] == i * i && codes[i] == 0 && atomic_load(&entered[i]) == 1);
        }
}

BOTH(n_is_the_most_that_is_pulled)
{
    stream_source source = stream_of(SIZE_MAX);
    size_t out[101] = {0};
    int codes[101];

    out[100] = 77;
    codes[100] = 77;
    CHECK_CODE(MAP(kind, stream_square, STREAM_TYPE, out, 100, .workers = 3, .codes = codes,
                   .next = stream_next, .next_context = &source),
               0);
    CHECK_EQUAL(source.pulled, 100);
    CHECK(out[99] == 99 * 99 && out[100] == 77);
    CHECK(codes[99] == 0 && codes[100] == 77);
    source = stream_of(SIZE_MAX); /* nothing to write to: n is a number all the same */
    CHECK_CODE(EACH(kind, stream_square, STREAM_TYPE, 250, .workers = 2, .next = stream_next,
                    .next_context = &source),
               0);
    CHECK_EQUAL(source.pulled, 250);
}

BOTH(a_source_may_be_late)
{
    stream_source source = stream_of(20);
    size_t out[20] = {0};

    source.not_now = source.not_now_left = 2;
    CHECK_CODE(MAP(kind, stream_square, STREAM_TYPE, out, 20, .workers = 2, .next = stream_next,
                   .next_context = &source),
               0);
    CHECK_EQUAL(source.pulled, 20);
    CHECK(out[19] == 19 * 19);
}

/* ---- a source with a descriptor ---- */

typedef struct stream_pipe {
    int ends[2];
    size_t asked; /* how often next was called */
    _Atomic uint32_t entered;
} stream_pipe;

static int stream_next_from_pipe(void *item, void *context)
{
    stream_pipe *pipe = context;
    ssize_t got = read(pipe->ends[0], item, sizeof(size_t));

    pipe->asked++;
    if (got == (ssize_t)sizeof(size_t))
        return *(size_t *)item != SIZE_MAX;
    return got < 0 ? -errno : -EPIPE;
}

static int stream_answer(const void *item, void *result, void *context)
{
    stream_pipe *pipe = context;

    (void)item;
    (void)result;
    atomic_fetch_add(&pipe->entered, 1);
    return 0;
}

/* Writes an item, waits until it was run, writes the next: each comes while the map sleeps. The end
 * is an item, too: worker processes hold the pipe's other end as well. */
static void *stream_feed(void *argument)
{
    stream_pipe *pipe = argument;
    size_t last = SIZE_MAX;

    for (size_t i = 0; i < 50; i++) {
        CHECK(write(pipe->ends[1], &i, sizeof i) == sizeof i);
        UNTIL(atomic_load(&pipe->entered) == i + 1);
    }
    CHECK(write(pipe->ends[1], &last, sizeof last) == sizeof last);
    return NULL;
}

BOTH(a_source_with_a_descriptor_is_asked_when_that_is_readable)
{
    stream_pipe *pipe = test_shared(sizeof *pipe);
    pthread_t feeder;

    CHECK(pipe2(pipe->ends, O_NONBLOCK | O_CLOEXEC) == 0);
    CHECK(pthread_create(&feeder, NULL, stream_feed, pipe) == 0);
    CHECK_CODE(EACH(kind, stream_answer, STREAM_TYPE, 0, .workers = 2,
                    .next = stream_next_from_pipe, .next_context = pipe, .next_fd = &pipe->ends[0],
                    .context = pipe),
               0);
    CHECK(pthread_join(feeder, NULL) == 0);
    CHECK_EQUAL(atomic_load(&pipe->entered), 50);
    /* Once or twice an item, and not by a clock: it slept in between. */
    CHECK(pipe->asked < 50 * 20);
    close(pipe->ends[0]);
    close(pipe->ends[1]);
}

static void *stream_cancel(void *argument)
{
    stream_pipe *pipe = argument;

    UNTIL(atomic_load(&pipe->entered) == 1);
    many_cancel_set((many_cancel *)(pipe + 1));
    return NULL;
}

BOTH(a_map_that_waits_for_its_source_can_be_cancelled)
{
    for (int with_fd = 0; with_fd < 2; with_fd++) {
        stream_pipe *pipe = test_shared(sizeof *pipe + sizeof(many_cancel));
        many_cancel *token = (many_cancel *)(pipe + 1);
        pthread_t canceller;
        size_t first = 0;

        CHECK(pipe2(pipe->ends, O_NONBLOCK | O_CLOEXEC) == 0);
        CHECK(write(pipe->ends[1], &first, sizeof first) == sizeof first);
        CHECK(pthread_create(&canceller, NULL, stream_cancel, pipe) == 0);
        CHECK_CODE(EACH(kind, stream_answer, STREAM_TYPE, 0, .workers = 2, .cancel = token,
                        .next = stream_next_from_pipe, .next_context = pipe,
                        .next_fd = with_fd ? &pipe->ends[0] : NULL, .context = pipe),
                   -ECANCELED);
        CHECK(pthread_join(canceller, NULL) == 0);
        close(pipe->ends[0]);
        close(pipe->ends[1]);
    }
}

BOTH(a_token_that_is_set_already_pulls_nothing)
{
    stream_source source = stream_of(100);
    many_cancel token = {0};
    int codes[100];

    many_cancel_set(&token);
    CHECK_CODE(EACH(kind, stream_square, STREAM_TYPE, 100, .workers = 2, .codes = codes,
                    .cancel = &token, .next = stream_next, .next_context = &source),
               -ECANCELED);
    CHECK_EQUAL(source.pulled, 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQUAL(codes[i], -ECANCELED);
}

/* ---- a source that fails ---- */

BOTH(a_source_that_fails_ends_the_map_after_what_it_had_given)
{
    static const int codes_of_sources[] = {-EIO, -ENOENT, -31337, 2};

    for (size_t c = 0; c < 4; c++)
        for (size_t n = 0; n <= 300; n += 150) {
            stream_source source = stream_of(n);
            size_t out[400] = {0};
            int codes[400];

            source.end_code = codes_of_sources[c];
            CHECK_CODE(MAP(kind, stream_square, STREAM_TYPE, out, 400, .workers = 3, .codes = codes,
                           .next = stream_next, .next_context = &source),
                       codes_of_sources[c] < 0 ? codes_of_sources[c] : -EINVAL);
            CHECK_CONTAINS(many_error_message(), kind->map_name);
            CHECK_CONTAINS(many_error_message(), ".next");
            for (size_t i = 0; i < n; i++)
                CHECK(out[i] == i * i && codes[i] == 0);
        }
}

/* ---- the window ---- */

static int stream_count(const many_outcome *outcome, void *context)
{
    stream_source *source = context;

    (void)outcome;
    source->delivered++;
    return 0;
}

BOTH(no_more_than_the_window_is_pulled_and_not_handed_out)
{
    static const size_t windows[] = {1, 2, 3, 10, 100, 1000};

    for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++)
        for (int workers = 1; workers <= 4; workers += 3) {
            stream_source source = stream_of(300);

            CHECK_CODE(EACH(kind, stream_square, STREAM_TYPE, 0, .workers = workers,
                            .window = windows[w], .next = stream_next, .next_context = &source,
                            .on_result = stream_count, .on_result_context = &source),
                       0);
            CHECK_EQUAL(source.delivered, 300);
            CHECK(source.most_ahead <= windows[w]);
        }
}

BOTH(the_chosen_window_is_small)
{
    stream_source source = stream_of(20000);

    CHECK_CODE(EACH(kind, stream_square, STREAM_TYPE, 0, .workers = 2, .next = stream_next,
                    .next_context = &source, .on_result = stream_count,
                    .on_result_context = &source),
               0);
    CHECK_EQUAL(source.delivered, 20000);
    CHECK(source.most_ahead <= 64);
}

/* Peak resident size in kilobytes; -1 where /proc does not tell. */
static long stream_peak_kb(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long kb = -1;

    while (file != NULL && kb < 0 && fgets(line, sizeof line, file) != NULL)
        sscanf(line, "VmHWM: %ld", &kb);
    if (file != NULL)
        fclose(file);
    return kb;
}

static void stream_million(void *argument)
{
    const pool_kind *kind = argument;
    stream_source source = stream_of(1000);
    long before;

    CHECK_CODE(EACH(kind, stream_square, STREAM_TYPE, 0, .workers = 2, .next = stream_next,
                    .next_context = &source),
               0);
    before = stream_peak_kb();
    CHECK(before > 0);
    source = stream_of(TEST_ASAN || TEST_TSAN ? 100000 : 1000000);
    CHECK_CODE(EACH(kind, stream_square, STREAM_TYPE, 0, .workers = 2, .next = stream_next,
                    .next_context = &source),
               0);
    CHECK_EQUAL(source.pulled, source.end);
    /* A million items of 8 bytes would be 8 MB; a code each, 4. A sanitizer's own memory grows, and
     * the kernel counts by and by on each core. */
    CHECK(TEST_ASAN || TEST_TSAN || stream_peak_kb() - before < 2048);
}

BOTH(a_million_items_need_no_more_memory_than_a_thousand)
{
    CHECK_EQUAL(test_in_child(stream_million, (void *)kind), 0);
}

/* ---- large items ---- */

#define STREAM_LARGE 1000000

static int stream_next_large(void *item, void *context)
{
    size_t *next = context;

    if (*next == 12)
        return 0;
    memset(item, (int)*next + 1, STREAM_LARGE);
    (*next)++;
    return 1;
}

static int stream_copy_large(const void *item, void *result, void *context)
{
    (void)context;
    memcpy(result, item, STREAM_LARGE);
    return 0;
}

BOTH(items_and_results_of_a_megabyte_flow)
{
    char *out = malloc(12 * STREAM_LARGE);
    size_t next = 0;

    CHECK(out != NULL);
    CHECK_CODE(kind->map(stream_copy_large, NULL, 0, out, 0,
                         MANY_MAP_OPTIONS_(12, .workers = 3, .item_bytes = STREAM_LARGE,
                                           .result_bytes = STREAM_LARGE, .window = 2,
                                           .next = stream_next_large, .next_context = &next)),
               0);
    for (int i = 0; i < 12; i++)
        CHECK(out[i * STREAM_LARGE] == i + 1 && out[(i + 1) * STREAM_LARGE - 1] == i + 1);
    free(out);
}

/* ---- order ---- */

typedef struct stream_order {
    _Atomic uint32_t at;
    _Atomic uint32_t wrong;
} stream_order;

static int stream_check_order(const void *item, void *result, void *context)
{
    stream_order *order = context;

    (void)result;
    if (atomic_fetch_add(&order->at, 1) != *(const size_t *)item)
        atomic_fetch_add(&order->wrong, 1);
    return 0;
}

BOTH(one_worker_takes_items_in_the_order_of_the_source)
{
    for (size_t window = 0; window <= 70; window += 7) {
        stream_order *order = test_shared(sizeof *order);
        stream_source source = stream_of(1000);

        CHECK_CODE(EACH(kind, stream_check_order, STREAM_TYPE, 0, .workers = 1, .window = window,
                        .next = stream_next, .next_context = &source, .context = order),
                   0);
        CHECK_EQUAL(atomic_load(&order->wrong), 0);
        CHECK_EQUAL(atomic_load(&order->at), 1000);
    }
}

typedef struct stream_places {
    _Atomic uint32_t busy[4];
    _Atomic uint32_t inside; /* so many are there already */
    _Atomic uint32_t wrong;
} stream_places;

/* The first four items wait for one another: so they have four workers. */
static int stream_take_place(const void *item, void *result, void *context)
{
    stream_places *places = context;
    int worker = many_worker_index();

    (void)item;
    (void)result;
    if (worker < 0 || worker >= 4 || atomic_exchange(&places->busy[worker], 1) != 0) {
        atomic_fetch_add(&places->wrong, 1);
        return 1;
    }
    if (atomic_fetch_add(&places->inside, 1) < 4)
        UNTIL(atomic_load(&places->inside) >= 4);
    atomic_store(&places->busy[worker], 0);
    return 0;
}

BOTH(no_two_items_of_a_source_that_run_share_a_worker_number)
{
    stream_places *places = test_shared(sizeof *places);
    stream_source source = stream_of(2000);

    CHECK_CODE(EACH(kind, stream_take_place, STREAM_TYPE, 0, .workers = 4, .next = stream_next,
                    .next_context = &source, .context = places),
               0);
    CHECK_EQUAL(atomic_load(&places->wrong), 0);
    CHECK_EQUAL(atomic_load(&places->inside), 2000);
}

/* The range form takes a source, too: in runs of one. */
static int stream_range(const void *items, void *results, size_t n, void *context)
{
    (void)context;
    if (n != 1 || *(const size_t *)items != many_item_index())
        return 1;
    *(size_t *)results = *(const size_t *)items + 1;
    return 0;
}

BOTH(the_range_form_takes_a_source_one_item_at_a_time)
{
    stream_source source = stream_of(500);
    size_t out[500] = {0};

    CHECK_CODE(MAP_RANGE(kind, stream_range, STREAM_TYPE, out, 500, .workers = 2,
                         .next = stream_next, .next_context = &source),
               0);
    for (size_t i = 0; i < 500; i++)
        CHECK(out[i] == i + 1);
}
