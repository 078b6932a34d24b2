/* SPDX-License-Identifier: MIT */
/*
 * test_range.c - the range form: runs of items that cover all of them once, in one piece each
 */
#include "kind.h"

#include <stdlib.h>

typedef struct range_scene {
    size_t chunk;   /* as given; 0: any run will do */
    size_t n;       /* items of the map */
    const long *in; /* where item 0 lies, or NULL */
    size_t fail_at; /* the run with this item fails; SIZE_MAX: none */
    int code;
    uint32_t good_try;      /* of that run; 0: none succeeds */
    _Atomic uint32_t wrong; /* runs that were not as promised */
    _Atomic uint32_t runs;
    _Atomic uint64_t sum;       /* of the lengths */
    _Atomic uint64_t index_sum; /* of the first indexes */
    _Atomic uint32_t entered[];
} range_scene;

static range_scene *range_scene_of(size_t n, size_t chunk)
{
    range_scene *scene = test_shared(sizeof *scene + n * sizeof(_Atomic uint32_t));

    scene->n = n;
    scene->chunk = chunk;
    scene->fail_at = SIZE_MAX;
    return scene;
}

static int range_square(const void *items, void *results, size_t n, void *context)
{
    range_scene *scene = context;
    const long *x = items;
    long *y = results;
    size_t first = many_item_index();
    uint32_t tries = 0;

    if (n == 0 || first + n > scene->n || (scene->chunk > 0 && n > scene->chunk) ||
        (scene->in != NULL ? x != scene->in + first : x != NULL) || many_worker_index() < 0)
        atomic_fetch_add(&scene->wrong, 1);
    atomic_fetch_add(&scene->runs, 1);
    for (size_t i = 0; i < n; i++) {
        tries = atomic_fetch_add(&scene->entered[first + i], 1) + 1;
        if (y != NULL)
            y[i] = x != NULL ? x[i] * x[i] : (long)(first + i);
    }
    if (first <= scene->fail_at && scene->fail_at < first + n &&
        (scene->good_try == 0 || tries < scene->good_try))
        return many_fail(scene->code, "a run of %zu", n);
    return 0;
}

BOTH(runs_cover_every_item_once)
{
    static const size_t counts[] = {1, 2, 63, 1000, 100000}, chunks[] = {0, 1, 10, 999, 1000000};
    long *in = malloc(100000 * sizeof *in), *out = malloc(100000 * sizeof *out);

    CHECK(in != NULL && out != NULL);
    for (size_t i = 0; i < 100000; i++)
        in[i] = (long)i;
    for (size_t c = 0; c < 5; c++)
        for (size_t k = 0; k < 5; k++) {
            size_t n = counts[c];
            range_scene *scene = range_scene_of(n, chunks[k]);

            scene->in = in;
            memset(out, 0xAA, n * sizeof *out);
            CHECK_CODE(MAP_RANGE(kind, range_square, in, out, n, .workers = 3, .chunk = chunks[k],
                                 .context = scene),
                       0);
            CHECK_EQUAL(atomic_load(&scene->wrong), 0);
            for (size_t i = 0; i < n; i++)
                if (out[i] != (long)(i * i) || atomic_load(&scene->entered[i]) != 1)
                    CHECK_EQUAL(i, SIZE_MAX);
        }
    free(in);
    free(out);
}

BOTH(runs_grow_for_items_that_take_no_time)
{
    range_scene *scene = range_scene_of(200000, 0);

    CHECK_CODE(MAP_RANGE(kind, range_square, (long *)NULL, (long *)NULL, 200000, .workers = 2,
                         .context = scene),
               0);
    CHECK_EQUAL(atomic_load(&scene->wrong), 0);
    CHECK_EQUAL(pool_sum(scene->entered, 200000), 200000);
    CHECK(atomic_load(&scene->runs) < 20000);
}

BOTH(a_run_of_a_given_length_is_cut_only_at_the_end_of_a_range)
{
    range_scene *scene = range_scene_of(1000, 10);

    CHECK_CODE(MAP_RANGE(kind, range_square, (long *)NULL, (long *)NULL, 1000, .workers = 1,
                         .chunk = 10, .context = scene),
               0);
    CHECK_EQUAL(atomic_load(&scene->runs), 100);
    CHECK_EQUAL(atomic_load(&scene->wrong), 0);
}

BOTH(no_items_are_no_run)
{
    range_scene *scene = range_scene_of(1, 0);

    CHECK_CODE(MAP_RANGE(kind, range_square, (long *)NULL, (long *)NULL, 0, .context = scene), 0);
    CHECK_EQUAL(atomic_load(&scene->runs), 0);
}

BOTH(a_failed_run_fails_all_its_items_and_no_others)
{
    range_scene *scene = range_scene_of(300, 7);
    many_cause cause;
    int codes[300];

    scene->fail_at = 100; /* in the run from 98 to 104 */
    scene->code = -EIO;
    CHECK_CODE(MAP_RANGE(kind, range_square, (long *)NULL, (long *)NULL, 300, .workers = 1,
                         .chunk = 7, .on_error = MANY_GO_ON, .codes = codes, .cause = &cause,
                         .context = scene),
               7);
    for (size_t i = 0; i < 300; i++) {
        CHECK_EQUAL(codes[i], i >= 98 && i < 105 ? -EIO : 0);
        CHECK_EQUAL(atomic_load(&scene->entered[i]), 1);
    }
    CHECK_EQUAL(cause.item, 98);
    CHECK_CONTAINS(cause.text, "item 98 failed with -5: a run of 7");
}

BOTH(a_failed_run_stops_the_map)
{
    range_scene *scene = range_scene_of(300, 7);
    int codes[300];

    scene->fail_at = 100;
    scene->code = 5;
    CHECK_CODE(MAP_RANGE(kind, range_square, (long *)NULL, (long *)NULL, 300, .workers = 1,
                         .chunk = 7, .codes = codes, .context = scene),
               -MANY_ETASK);
    CHECK_CONTAINS(many_error_message(), kind->range_name);
    for (size_t i = 0; i < 300; i++) {
        CHECK_EQUAL(codes[i], i < 98 ? 0 : i < 105 ? 5 : -ECANCELED);
        CHECK_EQUAL(atomic_load(&scene->entered[i]), i < 105);
    }
}

BOTH(a_retry_repeats_the_run)
{
    range_scene *scene = range_scene_of(300, 7);
    long out[300] = {0};

    scene->fail_at = 100;
    scene->code = -EIO;
    scene->good_try = 3;
    CHECK_CODE(MAP_RANGE(kind, range_square, (long *)NULL, out, 300, .workers = 2, .chunk = 7,
                         .retries = 2, .context = scene),
               0);
    for (size_t i = 0; i < 300; i++) {
        uint32_t entered = atomic_load(&scene->entered[i]);

        CHECK(i == 100 ? entered == 3 : entered == 1 || (entered == 3 && i > 93 && i < 107));
        CHECK_EQUAL(out[i], (long)i);
    }
    CHECK_EQUAL(pool_sum(scene->entered, 300), 300 + 2 * 7);
}

/* ---- more items than one round holds ---- */

#define RANGE_ROUND ((size_t)1 << 30) /* items of one round: range words have 32 bits */

static int range_count(const void *items, void *results, size_t n, void *context)
{
    range_scene *scene = context;

    (void)items;
    (void)results;
    atomic_fetch_add(&scene->runs, 1);
    atomic_fetch_add(&scene->sum, n);
    atomic_fetch_add(&scene->index_sum, many_item_index());
    if (many_item_index() + n > scene->n)
        atomic_fetch_add(&scene->wrong, 1);
    return 0;
}

BOTH(more_items_than_a_round_holds_are_done_in_rounds)
{
    const size_t n = RANGE_ROUND + 12345, chunk = 32768;
    range_scene *scene = range_scene_of(0, 0);

    scene->n = n;
    CHECK_CODE(MAP_RANGE(kind, range_count, (char *)NULL, (char *)NULL, n, .workers = 1,
                         .chunk = chunk, .context = scene),
               0);
    CHECK_EQUAL(atomic_load(&scene->sum), n);
    CHECK_EQUAL(atomic_load(&scene->wrong), 0);
    CHECK_EQUAL(atomic_load(&scene->runs), RANGE_ROUND / chunk + 1);
    /* 0, chunk, 2 * chunk, ... and the first item of the second round */
    CHECK(atomic_load(&scene->index_sum) ==
          chunk * (RANGE_ROUND / chunk * (RANGE_ROUND / chunk - 1) / 2) + RANGE_ROUND);
}
