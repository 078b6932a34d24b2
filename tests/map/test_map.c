/* SPDX-License-Identifier: MIT */
/*
 * test_map.c - what a map does when nothing goes wrong: every item once, every result at its place
 *
 * The conformance suite of both kinds; failures are in test_failures.c, sources in test_stream.c,
 * the range form in test_range.c.
 */
#include "kind.h"

#include <stdlib.h>

#define MAP_MOST 1000000

static int map_square(const void *item, void *result, void *context)
{
    const long *x = item;
    long *y = result;

    (void)context;
    *y = *x * *x;
    return 0;
}

static long *map_numbers(size_t n)
{
    long *numbers = malloc((n > 0 ? n : 1) * sizeof *numbers);

    CHECK(numbers != NULL);
    for (size_t i = 0; i < n; i++)
        numbers[i] = (long)i - 7;
    return numbers;
}

BOTH(results_are_in_order_whatever_the_number_of_items_and_workers)
{
    static const size_t counts[] = {1, 2, 3, 7, 100, 4097, 100000, MAP_MOST};
    static const int workers[] = {1, 2, 3, 8};
    long *in = map_numbers(MAP_MOST), *out = malloc(MAP_MOST * sizeof *out);

    CHECK(out != NULL);
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
        for (size_t w = 0; w < sizeof workers / sizeof workers[0]; w++) {
            memset(out, 0xAA, counts[c] * sizeof *out);
            CHECK_CODE(MAP(kind, map_square, in, out, counts[c], .workers = workers[w]), 0);
            for (size_t i = 0; i < counts[c]; i++)
                if (out[i] != in[i] * in[i])
                    CHECK_EQUAL(out[i], in[i] * in[i]);
        }
    free(in);
    free(out);
}

BOTH(no_items_are_no_work)
{
    test_census before = pool_census();
    long in[1] = {3}, out[1] = {-1};
    int codes[1] = {77};
    many_cause cause;

    memset(&cause, 0x55, sizeof cause);
    CHECK_CODE(MAP(kind, map_square, in, out, 0, .workers = 4, .codes = codes, .cause = &cause), 0);
    CHECK_EQUAL(out[0], -1);
    CHECK_EQUAL(codes[0], 77);
    CHECK_EQUAL(cause.code, 0x55555555);
    CHECK_CODE(MAP(kind, map_square, (const long *)NULL, (long *)NULL, 0), 0);
    CHECK_CENSUS(before);
}

BOTH(the_default_number_of_workers_does_the_same)
{
    long in[100], out[100] = {0};

    for (int i = 0; i < 100; i++)
        in[i] = i;
    CHECK_CODE(MAP(kind, map_square, in, out, 100), 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQUAL(out[i], (long)i * i);
}

TEST(the_public_macros_compile_as_the_headers_show_them)
{
    static long in[1000], out[1000];

    for (int i = 0; i < 1000; i++)
        in[i] = i;
    CHECK_CODE(many_thread_map(map_square, in, out, 1000), 0);
    CHECK_EQUAL(out[999], 998001);
    CHECK_CODE(many_thread_map(map_square, in, out, 1000, .workers = 4, .chunk = 10), 0);
    CHECK_CODE(many_thread_each(map_square, in, 0), 0);
#if !TEST_TSAN
    memset(out, 0, sizeof out);
    CHECK_CODE(many_process_map(map_square, in, out, 1000, .workers = 4), 0);
    CHECK_EQUAL(out[999], 998001);
    CHECK_CODE(many_process_map(map_square, in, out, 1000), 0);
    CHECK_CODE(many_process_each(map_square, in, 0), 0);
#endif
}

/* ---- sizes ---- */

typedef struct map_sizes {
    size_t item_bytes, result_bytes;
    const char *in;            /* where item 0 lies */
    _Atomic uint32_t *entered; /* [n] */
} map_sizes;

static unsigned char map_byte(size_t item, size_t at)
{
    return (unsigned char)(item * 31 + at * 7 + (at >> 8) + 1);
}

/* Check that the item is the right one, whole, and fill the result with what belongs to it. */
static int map_fill(const void *item, void *result, void *context)
{
    const map_sizes *sizes = context;
    const unsigned char *from = item;
    unsigned char *to = result;
    size_t index = many_item_index();

    if ((const char *)item != sizes->in + index * sizes->item_bytes)
        return 1;
    for (size_t at = 0; at < sizes->item_bytes; at++)
        if (from[at] != map_byte(index, at))
            return 2;
    if ((sizes->result_bytes == 0) != (result == NULL))
        return 3;
    for (size_t at = 0; at < sizes->result_bytes; at++)
        to[at] = map_byte(index + 5, at);
    atomic_fetch_add(&sizes->entered[index], 1);
    return 0;
}

static void map_check_sizes(const pool_kind *kind, size_t item_bytes, size_t result_bytes, size_t n,
                            int workers)
{
    char *in = malloc(n * item_bytes), *out = malloc(n * result_bytes + 1);
    map_sizes sizes = {item_bytes, result_bytes, in, pool_counters(n)};

    CHECK(in != NULL && out != NULL);
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; at < item_bytes; at++)
            in[i * item_bytes + at] = (char)map_byte(i, at);
    memset(out, 0, n * result_bytes + 1);
    CHECK_CODE(kind->map(map_fill, in, item_bytes, result_bytes > 0 ? out : NULL, result_bytes,
                         MANY_MAP_OPTIONS_(n, .workers = workers, .context = &sizes)),
               0);
    for (size_t i = 0; i < n; i++)
        CHECK_EQUAL(atomic_load(&sizes.entered[i]), 1);
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; at < result_bytes; at++)
            if ((unsigned char)out[i * result_bytes + at] != map_byte(i + 5, at))
                CHECK_EQUAL(i, (size_t)-1);
    CHECK_EQUAL(out[n * result_bytes], 0); /* not a byte too far */
    free(in);
    free(out);
}

BOTH(items_and_results_of_any_size_come_whole)
{
    static const size_t items[] = {1, 24, 1000000}, results[] = {0, 1, 24, 1000000};

    for (size_t i = 0; i < 3; i++)
        for (size_t r = 0; r < 4; r++)
            map_check_sizes(kind, items[i], results[r],
                            items[i] == 1000000 || results[r] == 1000000 ? 9 : 5000, 3);
}

BOTH(sizes_that_fit_no_power_of_two_and_no_buffer_come_whole)
{
    map_check_sizes(kind, 13, 131073, 40, 4); /* a result one byte larger than a worker's buffer */
    map_check_sizes(kind, 3, 43691, 100, 2);  /* nearly three fill it */
    map_check_sizes(kind, 7, 4097, 300, 5);
}

typedef struct map_point {
    double x, y, z;
} map_point;

static int map_mirror(const void *item, void *result, void *context)
{
    const map_point *in = item;
    map_point *out = result;
    const double *scale = context;

    *out = (map_point){in->z * *scale, in->y * *scale, in->x * *scale};
    return 0;
}

BOTH(structs_are_items_and_context_is_the_same_for_all)
{
    map_point in[500], out[500] = {{0, 0, 0}};
    double scale = 2;

    for (int i = 0; i < 500; i++)
        in[i] = (map_point){i, i + 1, i + 2};
    CHECK_CODE(MAP(kind, map_mirror, in, out, 500, .workers = 3, .context = &scale), 0);
    for (int i = 0; i < 500; i++)
        CHECK(out[i].x == 2.0 * (i + 2) && out[i].y == 2.0 * (i + 1) && out[i].z == 2.0 * i);
}

BOTH(sizes_can_be_given_where_types_are_void)
{
    long in[300], out[300] = {0};
    const void *from = in;
    void *to = out;

    for (int i = 0; i < 300; i++)
        in[i] = i;
    CHECK_CODE(kind->map(map_square, from, 0, to, 0,
                         MANY_MAP_OPTIONS_(300, .workers = 2, .item_bytes = sizeof(long),
                                           .result_bytes = sizeof(long))),
               0);
    for (int i = 0; i < 300; i++)
        CHECK_EQUAL(out[i], (long)i * i);
    memset(out, 0, sizeof out); /* they stand above the sizes of the types that were passed */
    CHECK_CODE(MAP(kind, map_square, (const char *)in, (short *)to, 300, .workers = 2,
                   .item_bytes = sizeof(long), .result_bytes = sizeof(long)),
               0);
    CHECK_EQUAL(out[299], 299 * 299);
}

/* ---- without inputs, with several ---- */

static int map_index(const void *item, void *result, void *context)
{
    size_t *index = result;

    (void)context;
    *index = many_item_index();
    return item != NULL;
}

BOTH(without_inputs_the_task_works_from_its_index)
{
    static size_t out[100000];

    CHECK_CODE(MAP(kind, map_index, POOL_NOTHING, out, 100000, .workers = 3), 0);
    for (size_t i = 0; i < 100000; i++)
        CHECK(out[i] == i);
}

static int map_zip(const void *item, void *result, void *context)
{
    const void *const *zip = item;
    const int *a = zip[0];
    const double *b = zip[1];
    double *sum = result;

    (void)context;
    *sum = *a + *b;
    return 0;
}

static int map_zip_three(const void *item, void *result, void *context)
{
    const void *const *zip = item;
    const char *letter = zip[2];

    (void)context;
    if (map_zip(item, result, NULL) != 0)
        return 1;
    *(double *)result += *letter;
    return 0;
}

BOTH(several_inputs_are_zipped)
{
    int a[1000];
    double b[1000], out[1000] = {0};
    char c[1000];
    const many_input inputs[] = {{a, sizeof *a}, {b, sizeof *b}, {c, sizeof *c}};

    for (int i = 0; i < 1000; i++) {
        a[i] = i;
        b[i] = i * 0.5;
        c[i] = (char)(i % 100);
    }
    CHECK_CODE(MAP(kind, map_zip, POOL_NOTHING, out, 1000, .workers = 3, .inputs = inputs,
                   .inputs_count = 2),
               0);
    for (int i = 0; i < 1000; i++)
        CHECK(out[i] == i * 1.5);
    CHECK_CODE(MAP(kind, map_zip_three, POOL_NOTHING, out, 1000, .workers = 3, .inputs = inputs,
                   .inputs_count = 3),
               0);
    for (int i = 0; i < 1000; i++)
        CHECK(out[i] == i * 1.5 + i % 100);
}

/* ---- how work is handed out ---- */

static int map_enter(const void *item, void *result, void *context)
{
    _Atomic uint32_t *entered = context;

    (void)item;
    (void)result;
    atomic_fetch_add(&entered[many_item_index()], 1);
    return 0;
}

BOTH(every_item_is_entered_exactly_once_whatever_the_chunk)
{
    static const size_t chunks[] = {0, 1, 7, 1000, 32768, 32769, SIZE_MAX};
    const size_t n = 40000;
    _Atomic uint32_t *entered = pool_counters(n);

    for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++) {
        memset((void *)entered, 0, n * sizeof *entered);
        CHECK_CODE(EACH(kind, map_enter, POOL_NOTHING, n, .workers = 4, .chunk = chunks[c],
                        .context = (void *)entered),
                   0);
        for (size_t i = 0; i < n; i++)
            if (atomic_load(&entered[i]) != 1)
                CHECK_EQUAL(atomic_load(&entered[i]), 1);
    }
}

/* A few items take long, and they are the last of one worker's range: others have to help. */
static int map_uneven(const void *item, void *result, void *context)
{
    size_t index = many_item_index();
    volatile uint64_t sum = 0;

    for (size_t i = 0, end = index % 1000 >= 990 ? 20000 : 10; i < end; i++)
        sum = sum + i;
    return map_enter(item, result, context);
}

BOTH(uneven_items_are_entered_exactly_once)
{
    const size_t n = 20000;
    _Atomic uint32_t *entered = pool_counters(n);

    for (int workers = 2; workers <= 8; workers *= 2) {
        memset((void *)entered, 0, n * sizeof *entered);
        CHECK_CODE(
            EACH(kind, map_uneven, POOL_NOTHING, n, .workers = workers, .context = (void *)entered),
            0);
        for (size_t i = 0; i < n; i++)
            if (atomic_load(&entered[i]) != 1)
                CHECK_EQUAL(atomic_load(&entered[i]), 1);
    }
}

typedef struct map_places {
    _Atomic uint32_t busy[8];
    _Atomic uint32_t wrong;
    _Atomic uint32_t seen; /* bits: workers that ran something */
    _Atomic uint32_t waiting;
    int workers;
} map_places;

static int map_take_place(const void *item, void *result, void *context)
{
    map_places *places = context;
    int worker = many_worker_index();

    (void)item;
    (void)result;
    if (worker < 0 || worker >= places->workers) {
        atomic_fetch_add(&places->wrong, 1);
        return 1;
    }
    if (atomic_exchange(&places->busy[worker], 1) != 0)
        atomic_fetch_add(&places->wrong, 1);
    if (atomic_fetch_or(&places->seen, 1U << worker) != (1U << places->workers) - 1)
        UNTIL(atomic_load(&places->seen) == (1U << places->workers) - 1);
    atomic_store(&places->busy[worker], 0);
    return 0;
}

BOTH(no_two_items_that_run_share_a_worker_number)
{
    map_places *places = test_shared(sizeof *places);

    for (int workers = 1; workers <= 8; workers++) {
        memset(places, 0, sizeof *places);
        places->workers = workers;
        /* The first item of each waits for the others: so all of them are there at once. */
        CHECK_CODE(
            EACH(kind, map_take_place, POOL_NOTHING, 2000, .workers = workers, .context = places),
            0);
        CHECK_EQUAL(atomic_load(&places->wrong), 0);
        CHECK_EQUAL(atomic_load(&places->seen), (1U << workers) - 1);
    }
}

BOTH(there_are_no_more_workers_than_items)
{
    map_places *places = test_shared(sizeof *places);

    places->workers = 3;
    CHECK_CODE(EACH(kind, map_take_place, POOL_NOTHING, 3, .workers = 100, .context = places), 0);
    CHECK_EQUAL(atomic_load(&places->wrong), 0);
}

typedef struct map_balance {
    uint32_t wait_for; /* item 0 waits until so many others were entered */
    double busy_s;     /* what an item takes */
    _Atomic uint32_t entered;
    _Atomic uint32_t worker[100]; /* + 1, of each item */
} map_balance;

static int map_hold_up(const void *item, void *result, void *context)
{
    map_balance *balance = context;
    size_t index = many_item_index();
    const double until = test_seconds() + balance->busy_s;

    (void)item;
    (void)result;
    atomic_store(&balance->worker[index], (uint32_t)many_worker_index() + 1);
    if (index == 0)
        UNTIL(atomic_load(&balance->entered) >= balance->wait_for);
    while (test_seconds() < until)
        ;
    atomic_fetch_add(&balance->entered, 1);
    return 0;
}

BOTH(what_is_left_in_a_range_is_taken_over_while_its_worker_is_held_up)
{
    map_balance *balance = test_shared(sizeof *balance);

    balance->wait_for = 99; /* all others, and 49 of them are in its worker's range */
    CHECK_CODE(
        EACH(kind, map_hold_up, POOL_NOTHING, 100, .workers = 2, .chunk = 1, .context = balance),
        0);
    CHECK_EQUAL(atomic_load(&balance->entered), 100);
}

/* The first half is one chunk; who has it hears after some item that the other has nothing to do.
 */
BOTH(what_is_left_in_a_chunk_is_given_back_when_others_have_nothing_to_do)
{
    map_balance *balance = test_shared(sizeof *balance);
    uint32_t helped = 0;

    /* On a busy machine the other may take long to say so: then with longer items. */
    for (double busy_s = 0.001; helped == 0; busy_s *= 4) {
        CHECK(busy_s < 1);
        memset(balance, 0, sizeof *balance);
        balance->wait_for = 50; /* the other's half */
        balance->busy_s = busy_s;
        CHECK_CODE(EACH(kind, map_hold_up, POOL_NOTHING, 100, .workers = 2, .chunk = 50,
                        .context = balance),
                   0);
        for (int i = 1; i < 50; i++)
            helped += atomic_load(&balance->worker[i]) != atomic_load(&balance->worker[0]);
    }
}

/* ---- codes on success ---- */

BOTH(codes_of_done_items_are_zero_whatever_was_there)
{
    const size_t n = 3000;
    int *codes = malloc(n * sizeof *codes);
    _Atomic uint32_t *entered = pool_counters(n);

    CHECK(codes != NULL);
    memset(codes, 0xFF, n * sizeof *codes);
    CHECK_CODE(EACH(kind, map_enter, POOL_NOTHING, n, .workers = 3, .codes = codes,
                    .context = (void *)entered),
               0);
    for (size_t i = 0; i < n; i++)
        CHECK_EQUAL(codes[i], 0);
    free(codes);
}
