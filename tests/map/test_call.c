/* SPDX-License-Identifier: MIT */
/*
 * test_call.c - a call that makes no sense runs nothing, returns -EINVAL or -E2BIG, and says why
 *
 * The words name the function and the argument, so that nobody has to guess.
 */
#include "kind.h"

#include <math.h>
#include <stdint.h>

#include "map/call.h"

static _Atomic int call_entered;

static int call_task(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    atomic_fetch_add(&call_entered, 1);
    return 0;
}

static int call_range_task(const void *items, void *results, size_t n, void *context)
{
    (void)n;
    return call_task(items, results, context);
}

static int call_next(void *item, void *context)
{
    (void)item;
    (void)context;
    atomic_fetch_add(&call_entered, 1);
    return 0;
}

static int call_take(const many_outcome *outcome, void *context)
{
    (void)outcome;
    (void)context;
    atomic_fetch_add(&call_entered, 1);
    return 0;
}

static int call_in[4], call_out[4], call_codes[4];
static const int call_fd = 0;
static const many_input call_inputs[] = {{call_in, sizeof *call_in}, {call_in, sizeof *call_in}};
static const many_input call_broken_inputs[] = {{call_in, sizeof *call_in}, {NULL, 4}};

/* Every way to be wrong that has nothing to do with the kind: the options, the words. */
static const struct call_mistake {
    many_map_options options;
    int without_in; /* 1: in is NULL */
    const char *words;
} call_mistakes[] = {
#define CALL(...)                                                                                  \
    {                                                                                              \
        .size = sizeof(many_map_options), .n = __VA_ARGS__                                         \
    }
    {CALL(4, .workers = -1), 0, ".workers is -1"},
    {CALL(4, .workers = MANY_WORKERS_MOST_ + 1), 0, ".workers is 4097: 1 to 4096"},
    {CALL(4, .retries = -1), 0, ".retries is -1"},
    {CALL(4, .retries = MANY_RETRIES_MOST_ + 1), 0, ".retries is 65001"},
    {CALL(4, .on_error = (many_on_error)2), 0, ".on_error is 2: MANY_STOP or MANY_GO_ON"},
    {CALL(4, .item_limit_s = -1), 0, ".item_limit_s is -1"},
    {CALL(4, .item_limit_s = (double)NAN), 0, ".item_limit_s is "},
    {CALL(4, .in_place = 2), 0, ".in_place is 2"},
    {CALL(4, .on_result_context = call_in), 0, ".on_result_context needs .on_result"},
    {CALL(4, .next_context = call_in), 0, ".next_context need .next"},
    {CALL(4, .next_fd = &call_fd), 0, ".next_fd and"},
    {CALL(SIZE_MAX / 4), 0, "do not fit into memory"},
    {CALL(4, .inputs_count = 2), 1, ".inputs_count is 2 but .inputs is NULL"},
    {CALL(4, .inputs = call_inputs, .inputs_count = 2), 0, "in and .inputs are both given"},
    {CALL(4, .inputs = call_inputs), 1, ".inputs_count is 0"},
    {CALL(4, .inputs = call_inputs, .inputs_count = MANY_INPUTS_MOST_ + 1), 1,
     ".inputs_count is 65: 1 to 64"},
    {CALL(4, .inputs = call_broken_inputs, .inputs_count = 2), 1, ".inputs[1].items is NULL"},
    {CALL(4, .inputs = call_inputs, .inputs_count = 2, .next = call_next), 1,
     ".inputs and .next are both given"},
    {CALL(0, .next = call_next), 0, "out and .codes need n"},
    {CALL(4, .next = call_next, .window = (1U << 20) + 1), 0, ".window is 1048577: at most"},
    {CALL(4, .on_result = call_take, .window = (1U << 20) + 1), 0, ".window is 1048577: at most"},
    {CALL(4, .on_result = call_take, .window = (size_t)1 << 32), 0, ".window is 4294967296"},
    {CALL(4, .named_ = (struct many_named_ *)call_in), 0, "without a name"},
#undef CALL
};

static void call_check_refused(int code, int expected, const char *function, const char *words)
{
    CHECK_CODE(code, expected);
    CHECK_CONTAINS(many_error_message(), function);
    CHECK_CONTAINS(many_error_message(), words);
    CHECK_EQUAL(atomic_load(&call_entered), 0);
}

BOTH(what_makes_no_sense_is_refused_with_words)
{
    test_census before = pool_census();

    for (size_t m = 0; m < sizeof call_mistakes / sizeof call_mistakes[0]; m++) {
        const struct call_mistake *mistake = &call_mistakes[m];

        many_fail(-EIO, "nothing said");
        call_check_refused(kind->map(call_task, mistake->without_in ? NULL : call_in, sizeof(int),
                                     call_out, sizeof(int), &mistake->options),
                           -EINVAL, kind->map_name, mistake->words);
    }
    CHECK_CENSUS(before);
}

BOTH(a_call_without_what_it_needs_is_refused)
{
    const many_map_options four = {.size = sizeof four, .n = 4};
    many_map_options empty;

    memset(&empty, 0, sizeof empty);
    call_check_refused(kind->map(NULL, call_in, sizeof(int), NULL, 0, &four), -EINVAL,
                       kind->map_name, "fn is NULL");
    call_check_refused(kind->map_range(NULL, call_in, sizeof(int), NULL, 0, &four), -EINVAL,
                       kind->range_name, "fn is NULL");
    call_check_refused(kind->map(call_task, call_in, sizeof(int), NULL, 0, NULL), -EINVAL,
                       kind->map_name, "options is NULL");
    call_check_refused(kind->map(call_task, call_in, sizeof(int), NULL, 0, &empty), -EINVAL,
                       kind->map_name, "options.size is 0");
    call_check_refused(kind->map(call_task, call_in, SIZE_MAX / 4, NULL, 0, &four), -EINVAL,
                       kind->map_name, "does not fit into memory");
    call_check_refused(
        EACH(kind, call_task, (char *)NULL, 0, .next = call_next, .codes = call_codes), -EINVAL,
        kind->map_name, "out and .codes need n");
    call_check_refused(kind->map(call_task, NULL, SIZE_MAX - 100, NULL, 0,
                                 MANY_MAP_OPTIONS_(0, .next = call_next)),
                       -EINVAL, kind->map_name, "does not fit into memory");
}

static int call_same_address(const void *item, void *result, void *context)
{
    (void)result;
    return item == context ? 0 : -EIO;
}

BOTH(items_of_no_bytes_are_all_at_one_address)
{
    CHECK_CODE(kind->map(call_same_address, call_in, 0, NULL, 0,
                         MANY_MAP_OPTIONS_(100, .context = call_in)),
               0);
}

BOTH(the_range_form_has_its_name_in_its_words)
{
    call_check_refused(MAP_RANGE(kind, call_range_task, call_in, call_out, 4, .workers = -7),
                       -EINVAL, kind->range_name, ".workers is -7");
    call_check_refused(MAP_RANGE(kind, call_range_task, (int *)NULL, call_out, 4,
                                 .inputs = call_inputs, .inputs_count = 2),
                       -EINVAL, kind->range_name, "does not go with the range form");
}

BOTH(the_largest_numbers_that_make_sense_are_taken)
{
    CHECK_CODE(MAP(kind, call_task, call_in, call_out, 4, .workers = MANY_WORKERS_MOST_,
                   .retries = MANY_RETRIES_MOST_, .chunk = SIZE_MAX, .window = SIZE_MAX),
               0);
    CHECK_CODE(MAP(kind, call_task, call_in, call_out, 4, .workers = 2, .window = 1U << 20,
                   .on_result = call_take),
               0);
    atomic_store(&call_entered, 0);
}

/* ---- programs that are older or newer than the library ---- */

typedef struct call_newer {
    many_map_options options;
    uint64_t news[2]; /* options of a later version */
} call_newer;

BOTH(an_option_of_a_newer_version_is_refused_and_its_absence_is_not)
{
    call_newer newer;

    memset(&newer, 0, sizeof newer);
    newer.options.size = sizeof newer;
    newer.options.n = 4;
    newer.options.workers = 2;
    CHECK_CODE(kind->map(call_task, call_in, sizeof(int), NULL, 0, &newer.options), 0);
    atomic_store(&call_entered, 0);
    newer.news[1] = 1;
    call_check_refused(kind->map(call_task, call_in, sizeof(int), NULL, 0, &newer.options), -E2BIG,
                       kind->map_name, "needs a newer libmany");
}

BOTH(a_program_that_knows_fewer_options_gets_the_defaults)
{
    many_map_options older;

    /* Only size, n, named_ and workers are there; what lies behind is not the caller's. */
    memset(&older, 0xFF, sizeof older);
    older.size = offsetof(many_map_options, retries);
    older.n = 4;
    older.named_ = NULL;
    older.workers = 2;
    CHECK_CODE(kind->map(call_task, call_in, sizeof(int), NULL, 0, &older), 0);
    atomic_store(&call_entered, 0);
}

/* ---- what a call becomes ---- */

TEST(a_call_is_read_into_what_the_engines_start_from)
{
    many_call_ call = {.function = "f",
                       .fn = call_task,
                       .in = (const char *)call_in,
                       .in_bytes = sizeof(int),
                       .out = (char *)call_out,
                       .out_bytes = sizeof(int)};

    CHECK_CODE(many_call_read_(&call, MANY_MAP_OPTIONS_(4, .workers = 9, .item_limit_s = 0.5)), 0);
    CHECK_EQUAL(call.workers, 4);
    CHECK_EQUAL(call.limit_ns, 500000000);
    CHECK(many_call_item_(&call, 3) == &call_in[3]);
    CHECK_CODE(many_call_read_(&call, MANY_MAP_OPTIONS_(0, .item_limit_s = 1e-300)), 0);
    CHECK_EQUAL(call.workers, 1);
    CHECK_EQUAL(call.limit_ns, 1); /* the smallest limit is one */
    CHECK_CODE(many_call_read_(&call, MANY_MAP_OPTIONS_(1000000)), 0);
    CHECK_EQUAL(call.workers, many_usable_cpus());
    call.out = NULL;
    CHECK_CODE(many_call_read_(&call, MANY_MAP_OPTIONS_(4)), 0);
    CHECK_EQUAL(call.out_bytes, 0); /* nowhere to put them: no results */
}

TEST(a_zip_points_into_each_input)
{
    const short shorts[3] = {1, 2, 3};
    const double doubles[3] = {1, 2, 3};
    const many_input inputs[] = {{shorts, sizeof *shorts}, {doubles, sizeof *doubles}};
    many_call_ call = {.function = "f", .fn = call_task};
    const void *zip[2];

    CHECK_CODE(many_call_read_(&call, MANY_MAP_OPTIONS_(3, .inputs = inputs, .inputs_count = 2)),
               0);
    many_call_zip_(&call, 2, zip);
    CHECK(zip[0] == &shorts[2] && zip[1] == &doubles[2]);
}
