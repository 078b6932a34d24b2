/* SPDX-License-Identifier: MIT */
/*
 * test_thread_batch.c - batches of a pool of threads: every item has its outcome, whatever happens to the batch
 *
 * They are what maps and iterators stand on, which have tests of their own.
 */
#include "pool/batch.h"
#include "pool/pool.h"
#include "thread_cases.h"

static many_batch_ *open_batch(many_pool *pool, const many_batch_plan_ *plan)
{
    many_batch_ *batch = NULL;

    CHECK_CODE(pool->backend->batch_open(pool, plan, &batch), 0);
    return batch;
}

static void wait_over(many_batch_ *batch)
{
    CHECK_CODE(many_future_wait(batch->future, MANY_FOREVER), 0);
}

static many_batch_outcome_ outcome(many_batch_ *batch, size_t i)
{
    many_batch_outcome_ one;

    memset(&one, 0xff, sizeof one);
    batch->ops->outcome(batch, i, &one);
    return one;
}

TEST(thread_batch_is_filled_run_and_read_again_and_again)
{
    many_pool *pool = open_pool(2);
    const many_batch_plan_ plan = {.function = "test",
                                   .fn = square,
                                   .item_bytes = sizeof(long),
                                   .result_bytes = sizeof(long),
                                   .room = 10};
    many_batch_ *batch = open_batch(pool, &plan);

    for (long round = 0; round < 1000; round++) {
        const size_t n = (size_t)(round % 10) + 1;

        for (size_t i = 0; i < n; i++)
            memcpy(batch->ops->item(batch, i), &(long){round + (long)i}, sizeof(long));
        CHECK_CODE(batch->ops->submit(batch, (uint64_t)round * 10, n), 0);
        wait_over(batch);
        CHECK_EQUAL(batch->ops->failed(batch), 0);
        CHECK(batch->ops->spent_ns(batch) >= 0);
        for (size_t i = 0; i < n; i++) {
            many_batch_outcome_ one = outcome(batch, i);
            long y;

            CHECK_EQUAL(one.code, 0);
            CHECK_EQUAL(one.result_bytes, sizeof y);
            memcpy(&y, one.result, sizeof y);
            CHECK_EQUAL(y, (round + (long)i) * (round + (long)i));
        }
    }
    batch->ops->close(batch);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(thread_batch_reads_and_writes_the_caller_s_arrays_where_they_lie)
{
    many_pool *pool = open_pool(2);
    long in[100], out[100];
    const many_batch_plan_ plan = {.function = "test",
                                   .fn = square,
                                   .item_bytes = sizeof(long),
                                   .result_bytes = sizeof(long),
                                   .in = (const char *)in,
                                   .out = (char *)out,
                                   .room = 25};
    many_batch_ *batch[4];

    for (int k = 0; k < 100; k++)
        in[k] = k;
    for (size_t b = 0; b < 4; b++) {
        batch[b] = open_batch(pool, &plan);
        CHECK_CODE(batch[b]->ops->submit(batch[b], b * 25, 25), 0);
    }
    for (size_t b = 0; b < 4; b++) {
        wait_over(batch[b]);
        CHECK(outcome(batch[b], 3).result == &out[b * 25 + 3]);
        batch[b]->ops->close(batch[b]);
    }
    for (int k = 0; k < 100; k++)
        CHECK_EQUAL(out[k], (long)k * k);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int add(const void *item, void *result, void *context)
{
    const void *const *parts = item;
    const long sum = *(const long *)parts[0] + *(const short *)parts[1];

    (void)context;
    memcpy(result, &sum, sizeof sum);
    return 0;
}

TEST(thread_batch_zips_its_inputs)
{
    many_pool *pool = open_pool(1);
    const long left[4] = {10, 20, 30, 40};
    const short right[4] = {1, 2, 3, 4};
    const many_input inputs[2] = {{left, sizeof left[0]}, {right, sizeof right[0]}};
    const many_batch_plan_ plan = {.function = "test",
                                   .fn = add,
                                   .result_bytes = sizeof(long),
                                   .inputs = inputs,
                                   .inputs_count = 2,
                                   .room = 4};
    many_batch_ *batch = open_batch(pool, &plan);
    long y;

    CHECK_CODE(batch->ops->submit(batch, 1, 3), 0);
    wait_over(batch);
    for (size_t i = 0; i < 3; i++) {
        memcpy(&y, outcome(batch, i).result, sizeof y);
        CHECK_EQUAL(y, left[i + 1] + right[i + 1]);
    }
    batch->ops->close(batch);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* Item k fails with k if it is odd; says its index. */
static int odd_fails(const void *item, void *result, void *context)
{
    const size_t index = many_item_index();

    (void)item;
    (void)result;
    (void)context;
    return index % 2 == 0 ? 0 : many_fail((int)index, "item %zu is odd", index);
}

TEST(thread_batch_each_failed_item_has_its_own_cause)
{
    many_pool *pool = open_pool(1);
    const many_batch_plan_ plan = {.function = "test", .fn = odd_fails, .room = 10};
    many_batch_ *batch = open_batch(pool, &plan);

    CHECK_CODE(batch->ops->submit(batch, 100, 10), 0);
    wait_over(batch);
    CHECK_EQUAL(batch->ops->failed(batch), 5);
    for (size_t i = 0; i < 10; i++) {
        many_cause cause;
        char words[64];

        CHECK_EQUAL(outcome(batch, i).code, i % 2 == 0 ? 0 : 100 + (int)i);
        if (i % 2 == 0)
            continue;
        batch->ops->cause(batch, i, &cause);
        CHECK_EQUAL(cause.item, 100 + i);
        CHECK_EQUAL(cause.code, 100 + (int)i);
        CHECK_EQUAL(cause.cancelled, 0);
        snprintf(words, sizeof words, "item %zu is odd", 100 + i);
        CHECK_CONTAINS(cause.text, words);
    }
    batch->ops->close(batch);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(thread_batch_that_stops_at_a_failure_begins_no_more_items)
{
    many_pool *pool = open_pool(1);
    const many_batch_plan_ plan = {
        .function = "test", .fn = odd_fails, .room = 10, .stop_at_failure = 1};
    many_batch_ *batch = open_batch(pool, &plan);
    many_cause cause;

    CHECK_CODE(batch->ops->submit(batch, 0, 10), 0);
    wait_over(batch);
    CHECK_EQUAL(outcome(batch, 0).code, 0);
    CHECK_EQUAL(outcome(batch, 1).code, 1);
    for (size_t i = 2; i < 10; i++)
        CHECK_EQUAL(outcome(batch, i).code, -ECANCELED);
    batch->ops->cause(batch, 5, &cause);
    CHECK_EQUAL(cause.cancelled, 1);
    CHECK_EQUAL(cause.worker, -1);
    CHECK_EQUAL(batch->ops->failed(batch), 9);
    batch->ops->close(batch);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int first_try_fails(const void *item, void *result, void *context)
{
    _Atomic int *tries = context;

    (void)item;
    (void)result;
    return atomic_fetch_add(&tries[many_item_index()], 1) == 0 ? 9 : 0;
}

TEST(thread_batch_tries_failed_items_again)
{
    many_pool *pool = open_pool(1);
    _Atomic int tries[5] = {0};
    const many_batch_plan_ plan = {.function = "test",
                                   .fn = first_try_fails,
                                   .context = (void *)tries,
                                   .room = 5,
                                   .retries = 1};
    many_batch_ *batch = open_batch(pool, &plan);

    CHECK_CODE(batch->ops->submit(batch, 0, 5), 0);
    wait_over(batch);
    for (size_t i = 0; i < 5; i++) {
        CHECK_EQUAL(outcome(batch, i).code, 0);
        CHECK_EQUAL(atomic_load(&tries[i]), 2);
    }
    batch->ops->close(batch);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int second_hangs(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    if (many_item_index() == 1)
        UNTIL(many_cancelled());
    return 0;
}

TEST(thread_batch_limit_is_for_each_item)
{
    many_pool *pool = open_pool(1);
    const many_batch_plan_ plan = {
        .function = "test", .fn = second_hangs, .room = 3, .limit_ns = 10000000};
    many_batch_ *batch = open_batch(pool, &plan);
    many_cause cause;

    CHECK_CODE(batch->ops->submit(batch, 0, 3), 0);
    wait_over(batch);
    CHECK_EQUAL(outcome(batch, 1).code, -ETIMEDOUT);
    batch->ops->cause(batch, 1, &cause);
    CHECK_EQUAL(cause.over_limit, 1);
    batch->ops->close(batch);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int reply_index(const void *item, void *result, void *context)
{
    char text[100];
    const size_t index = many_item_index();

    (void)item;
    (void)result;
    (void)context;
    memset(text, (int)('a' + index), sizeof text);
    return index == 3 ? 0 : many_reply(text, index * 7);
}

TEST(thread_batch_items_reply_with_any_length)
{
    many_pool *pool = open_pool(2);
    const many_batch_plan_ plan = {.function = "test", .fn = reply_index, .replies = 1, .room = 12};
    many_batch_ *batch = open_batch(pool, &plan);

    for (int round = 0; round < 3; round++) {
        CHECK_CODE(batch->ops->submit(batch, 0, 12), 0);
        wait_over(batch);
        for (size_t i = 0; i < 12; i++) {
            many_batch_outcome_ one = outcome(batch, i);

            CHECK_EQUAL(one.code, 0);
            CHECK_EQUAL(one.result_bytes, i == 3 ? 0 : i * 7);
            if (one.result_bytes > 0)
                CHECK_EQUAL(((const char *)one.result)[one.result_bytes - 1], (int)('a' + i));
        }
    }
    batch->ops->close(batch);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static gate batch_gate;

static int pass_gate(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    atomic_fetch_add(&batch_gate.entered, 1);
    UNTIL(atomic_load(&batch_gate.open) || many_cancelled());
    return 0;
}

TEST(thread_batch_cancelled_softly_ends_after_the_item_that_runs)
{
    many_pool *pool = open_pool(1);
    const many_batch_plan_ plan = {.function = "test", .fn = pass_gate, .room = 5};
    many_batch_ *batch = open_batch(pool, &plan);

    memset(&batch_gate, 0, sizeof batch_gate);
    CHECK_CODE(batch->ops->submit(batch, 0, 5), 0);
    UNTIL(atomic_load(&batch_gate.entered) == 1);
    batch->ops->cancel(batch, 0);
    CHECK_EQUAL(many_future_done(batch->future), 0);
    atomic_store(&batch_gate.open, 1);
    wait_over(batch);
    CHECK_EQUAL(outcome(batch, 0).code, 0);
    for (size_t i = 1; i < 5; i++)
        CHECK_EQUAL(outcome(batch, i).code, -ECANCELED);
    CHECK_EQUAL(atomic_load(&batch_gate.entered), 1);
    batch->ops->close(batch);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(thread_batch_closed_while_it_runs_is_told_and_waited_for)
{
    many_pool *pool = open_pool(1);
    const many_batch_plan_ plan = {.function = "test", .fn = pass_gate, .room = 5};
    many_batch_ *batch = open_batch(pool, &plan), *waits = open_batch(pool, &plan);

    memset(&batch_gate, 0, sizeof batch_gate);
    CHECK_CODE(batch->ops->submit(batch, 0, 5), 0);
    CHECK_CODE(waits->ops->submit(waits, 5, 5), 0);
    UNTIL(atomic_load(&batch_gate.entered) == 1);
    waits->ops->close(waits);
    batch->ops->close(batch);
    CHECK_EQUAL(atomic_load(&batch_gate.entered), 1);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(thread_batch_of_a_pool_that_is_terminated_is_cancelled)
{
    many_pool *pool = open_pool(1);
    const many_batch_plan_ plan = {.function = "test", .fn = pass_gate, .room = 5};
    many_batch_ *batch = open_batch(pool, &plan), *waits = open_batch(pool, &plan);

    memset(&batch_gate, 0, sizeof batch_gate);
    CHECK_CODE(batch->ops->submit(batch, 0, 5), 0);
    CHECK_CODE(waits->ops->submit(waits, 5, 5), 0);
    UNTIL(atomic_load(&batch_gate.entered) == 1);
    CHECK_CODE(many_pool_terminate(pool), 0);
    wait_over(batch);
    wait_over(waits);
    for (size_t i = 0; i < 5; i++) {
        CHECK_EQUAL(outcome(batch, i).code, -ECANCELED);
        CHECK_EQUAL(outcome(waits, i).code, -ECANCELED);
    }
    CHECK_CODE(batch->ops->submit(batch, 0, 5), -ESHUTDOWN);
    CHECK(batch->future == NULL);
    batch->ops->close(batch);
    waits->ops->close(waits);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- maps inside maps, on one worker ---- */

static int inner(const void *item, void *result, void *context)
{
    return square(item, result, context);
}

static int outer(const void *item, void *result, void *context)
{
    long in[5], out[5], sum = 0;

    (void)context;
    for (int k = 0; k < 5; k++)
        in[k] = *(const long *)item + k;
    if (many_pool_map(many_pool_current(), inner, in, out, 5) < 0)
        return many_fail(-1, "inner: %s", many_error_message());
    for (int k = 0; k < 5; k++)
        sum += out[k];
    memcpy(result, &sum, sizeof sum);
    return 0;
}

TEST(thread_pool_maps_inside_maps_end_on_any_number_of_workers)
{
    for (int workers = 1; workers <= 3; workers++) {
        many_pool *pool = open_pool(workers);
        long in[30], out[30];

        for (int k = 0; k < 30; k++)
            in[k] = k;
        CHECK_CODE(many_pool_map(pool, outer, in, out, 30), 0);
        for (long k = 0; k < 30; k++)
            CHECK_EQUAL(out[k], 5 * k * k + 20 * k + 30);
        CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    }
}
