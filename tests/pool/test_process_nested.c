/* SPDX-License-Identifier: MIT */
/* test_process_nested.c - tasks of processes that submit tasks, wait for them, and know others by their ids */
#include <pthread.h>

#include "supervised.h"

static many_pool *pool_of(int workers, int callback_thread)
{
    many_pool *pool = NULL;

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = workers,
                              .callback_thread = callback_thread),
               0);
    return pool;
}

static many_future *submit_stay(many_pool *pool, supervised_word *word)
{
    many_future *future = NULL;
    const int begun = atomic_load(&word->begun);

    CHECK_CODE(many_pool_submit(pool, supervised_stay, NULL, &future, .context = word,
                                .name = "the long one"),
               0);
    UNTIL(atomic_load(&word->begun) == begun + 1);
    return future;
}

static many_future *submit_square(many_pool *pool, long number)
{
    many_future *future = NULL;

    CHECK_CODE(many_pool_submit(pool, supervised_square, &number, &future,
                                .arg_bytes = sizeof number, .result_bytes = sizeof number),
               0);
    return future;
}

static long square_of(many_future *future)
{
    long result = -1;

    CHECK_CODE(many_future_result(future, &result, sizeof result, MANY_FOREVER),
               (long)sizeof result);
    return result;
}

typedef struct called {
    _Atomic int count;
    _Atomic int over;
    pthread_t thread;
} called;

static int call(many_future *future, void *context)
{
    called *self = context;

    self->thread = pthread_self();
    if (many_future_done(future) == 1)
        atomic_fetch_add(&self->over, 1);
    atomic_fetch_add(&self->count, 1);
    return 0;
}

/* ---- in tasks ---- */

static int fib(const void *item, void *result, void *context)
{
    const long n = *(const long *)item;
    many_future *future = NULL;
    long one = n - 1, other = n - 2, first = 0, second = 0;
    ssize_t got;
    int code;

    if (n < 2) {
        *(long *)result = n;
        return 0;
    }
    code = many_pool_submit(many_pool_current(), fib, &one, &future, .arg_bytes = sizeof one,
                            .result_bytes = sizeof one);
    if (code < 0)
        return code;
    code = fib(&other, &second, context);
    got = many_future_result(future, &first, sizeof first, MANY_FOREVER);
    many_future_close(future);
    *(long *)result = first + second;
    return got < 0 ? (int)got : code;
}

TEST(tasks_submit_and_wait_for_tasks_also_in_a_pool_of_one)
{
    for (int workers = 1; workers <= 3; workers++) {
        many_pool *pool = pool_of(workers, 0);
        long n = 18, result = 0;

        CHECK_CODE(many_pool_apply(pool, fib, &n, &result), 0);
        CHECK_EQUAL(result, 2584);
        CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    }
}

static int count_slot(const void *item, void *result, void *context)
{
    (void)result;
    atomic_fetch_add(&((supervised_word *)context)->count[*(const int *)item], 1);
    return 0;
}

static int scatter(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    for (int i = 0; i < 1000; i++) {
        const int slot = i % 64;
        int code;

        /* Some are let go of at once, some have a callback, and nobody waits for any. */
        code = many_pool_submit(many_pool_current(), count_slot, &slot, NULL,
                                .arg_bytes = sizeof slot, .context = context);
        if (code < 0)
            return code;
    }
    return 0;
}

TEST(a_join_waits_for_what_tasks_have_submitted_and_left_alone)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = pool_of(2, 0);
    int sum = 0;

    for (int i = 0; i < 5; i++)
        CHECK_CODE(many_pool_submit(pool, scatter, NULL, NULL, .context = word), 0);
    CHECK_CODE(many_pool_finish(pool), 0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    for (int slot = 0; slot < 64; slot++)
        sum += atomic_load(&word->count[slot]);
    CHECK_EQUAL(sum, 5000);
    CHECK_CODE(many_pool_close(pool, 1.0), 0);
}

static int gather(const void *item, void *result, void *context)
{
    many_future *futures[20] = {NULL}, *future;
    many_completed *completed = NULL;
    called self = {0};
    long sum = 0, got;
    int code = 0;

    (void)item;
    (void)context;
    for (long i = 0; i < 20 && code == 0; i++)
        code = many_pool_submit(many_pool_current(), supervised_square, &i, &futures[i],
                                .arg_bytes = sizeof i, .result_bytes = sizeof i, .on_done = call,
                                .on_done_context = &self);
    if (code == 0)
        code = many_completed_open(&completed, futures, 20);
    while (code == 0 && many_completed_next(completed, &future, MANY_FOREVER) > 0) {
        if (many_future_result(future, &got, sizeof got, 0) == (long)sizeof got)
            sum += got;
    }
    many_completed_close(completed);
    for (int i = 0; i < 20; i++)
        many_future_close(futures[i]);
    *(long *)result = atomic_load(&self.count) == 20 ? sum : -1;
    return code;
}

TEST(a_task_goes_through_its_tasks_as_they_complete_and_has_their_callbacks_called)
{
    many_pool *pool = pool_of(2, 0);
    long nothing = 0, result = 0;

    CHECK_CODE(many_pool_apply(pool, gather, &nothing, &result), 0);
    CHECK_EQUAL(result, 2470);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- ids ---- */

typedef struct named {
    uint64_t id;
    long result;
    int code;
    char name[64];
} named;

static int wait_by_id(const void *item, void *result, void *context)
{
    const named *in = item;
    named *out = result;
    many_future *future = NULL;

    (void)context;
    *out = *in;
    out->code = many_future_from_id(&future, in->id);
    if (out->code < 0)
        return 0;
    many_future_name(future, out->name, sizeof out->name);
    out->code = (int)many_future_result(future, &out->result, sizeof out->result, MANY_FOREVER);
    many_future_close(future);
    return 0;
}

TEST(a_task_waits_for_another_one_by_its_id)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = pool_of(1, 0);
    many_future *stays = submit_stay(pool, word), *future = NULL, *same = NULL;
    named in = {0}, out = {0};
    long number = 12;

    CHECK_CODE(many_pool_submit(pool, supervised_square, &number, &future,
                                .arg_bytes = sizeof number, .result_bytes = sizeof number,
                                .name = "twelve"),
               0);
    in.id = many_future_id(future);
    CHECK(in.id != 0);
    CHECK_CODE(many_future_from_id(&same, in.id), 0);
    CHECK_CODE(many_future_wait(same, 0), -ETIMEDOUT);
    atomic_store(&word->gate, 1);
    CHECK_CODE(many_pool_apply(pool, wait_by_id, &in, &out), 0);
    CHECK_CODE(out.code, (long)sizeof(long));
    CHECK_EQUAL(out.result, 144);
    CHECK_STRING(out.name, "twelve");
    CHECK_EQUAL(square_of(same), 144);
    CHECK_EQUAL(square_of(future), 144);
    many_future_close(future);
    CHECK_EQUAL(square_of(same), 144);
    many_future_close(same);
    CHECK_CODE(many_future_from_id(&same, in.id), -ENOENT);
    CHECK_CODE(many_pool_apply(pool, wait_by_id, &in, &out), 0);
    CHECK_CODE(out.code, -ENOENT);
    many_future_close(stays);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(who_waits_by_an_id_hears_that_its_future_was_closed)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = pool_of(1, 0);
    many_future *stays = submit_stay(pool, word), *future = submit_square(pool, 1), *same = NULL;
    called self = {0};

    CHECK_CODE(many_future_from_id(&same, many_future_id(future)), 0);
    CHECK_CODE(many_future_cancel(future), 1);
    many_future_close(future);
    CHECK_CODE(many_future_wait(same, MANY_FOREVER), -ENOENT);
    CHECK_CODE(many_future_done(same), 0);
    many_future_close(same);
    future = submit_square(pool, 1);
    CHECK_CODE(many_future_from_id(&same, many_future_id(future)), 0);
    CHECK_CODE(many_future_on_done(same, call, &self), 0);
    atomic_store(&word->gate, 1);
    CHECK_EQUAL(square_of(future), 1);
    CHECK_EQUAL(square_of(same), 1);
    CHECK_EQUAL(atomic_load(&self.count), 1);
    many_future_close(future);
    many_future_close(same);
    many_future_close(stays);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(ids_that_never_were_are_refused)
{
    many_pool *pool = pool_of(2, 0);
    many_future *future = submit_square(pool, 1), *same = NULL;
    const uint64_t id = many_future_id(future);

    for (int bit = 0; bit < 64; bit++) {
        CHECK_CODE(many_future_from_id(&same, id ^ UINT64_C(1) << bit), -ENOENT);
        CHECK(same == NULL);
    }
    CHECK_CODE(many_future_from_id(&same, 0), -ENOENT);
    CHECK_CODE(many_future_from_id(NULL, id), -EINVAL);
    CHECK_EQUAL(many_future_id(NULL), 0);
    CHECK_EQUAL(square_of(future), 1);
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}
