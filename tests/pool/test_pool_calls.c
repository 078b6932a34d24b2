/* SPDX-License-Identifier: MIT */
/* test_pool_calls.c - what every pool does, whoever its workers are: a backend that the test plays */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/self.h"
#include "pool/pool.h"

typedef struct fake_pool {
    many_pool head;
    char called[256]; /* names of the backend's calls, each with a blank behind it */
    int submit_code, join_code, inside, frees, handlers;
    int64_t deadline_ns;
    char *reply;
    int held; /* 1: tasks stay pending */
} fake_pool;

static fake_pool *pool_of(const many_pool *pool)
{
    return (fake_pool *)(uintptr_t)pool;
}

static void note(many_pool *pool, const char *call)
{
    strcat(strcat(pool_of(pool)->called, call), " ");
}

/* A task is a future set by hand: it is run at once, here. */
static int fake_submit(many_pool *pool, const many_submit_ *submit, many_future **future)
{
    const many_submit_options *option = submit->option;
    char *result = option->result_bytes == 0 ? NULL : malloc(option->result_bytes);
    int code;

    note(pool, "submit");
    if (pool_of(pool)->submit_code < 0) {
        free(result);
        return many_fail(pool_of(pool)->submit_code, "%s: as the test wants", submit->function);
    }
    CHECK_CODE(many_future_open(future, .name = "the task"), 0);
    if (option->on_done != NULL)
        CHECK_CODE(many_future_prepare_callback_(*future, option->on_done, option->on_done_context),
                   0);
    if (!pool_of(pool)->held) {
        many_pool_enter_(pool);
        code = option->fn(option->arg, result, option->context);
        many_pool_enter_(NULL);
        if (code == 0)
            many_future_set_result(*future, result, option->result_bytes);
        else
            many_future_set_failure(*future, -MANY_ETASK, "the task said no");
    }
    free(result);
    return 0;
}

static void fake_finish(many_pool *pool)
{
    note(pool, "finish");
}

static int fake_join(many_pool *pool, int64_t deadline_ns, int handlers)
{
    note(pool, "join");
    pool_of(pool)->deadline_ns = deadline_ns;
    pool_of(pool)->handlers = handlers;
    return pool_of(pool)->join_code;
}

static ssize_t fake_cancel_waiting(many_pool *pool)
{
    note(pool, "cancel_waiting");
    return 3;
}

static void fake_terminate(many_pool *pool)
{
    note(pool, "terminate");
}

static void fake_stop(many_pool *pool)
{
    note(pool, "stop");
}

static void fake_free(many_pool *pool)
{
    note(pool, "free");
    pool_of(pool)->frees++;
}

static void fake_forget(many_pool *pool)
{
    note(pool, "forget");
}

static int fake_inside(const many_pool *pool)
{
    return pool_of(pool)->inside;
}

static int fake_reply(many_pool *pool, const void *bytes, size_t count)
{
    free(pool_of(pool)->reply);
    pool_of(pool)->reply = calloc(1, count + 1);
    CHECK(pool_of(pool)->reply != NULL);
    if (count > 0)
        memcpy(pool_of(pool)->reply, bytes, count);
    return 0;
}

static const many_backend_ fake_backend = {
    .submit = fake_submit,
    .finish = fake_finish,
    .join = fake_join,
    .cancel_waiting = fake_cancel_waiting,
    .terminate = fake_terminate,
    .stop = fake_stop,
    .free = fake_free,
    .forget = fake_forget,
    .inside = fake_inside,
    .reply = fake_reply,
};

static many_pool *fake_open(fake_pool *pool)
{
    memset(pool, 0, sizeof *pool);
    pool->head.process = many_self_process_();
    pool->head.backend = &fake_backend;
    pool->head.workers = 3;
    snprintf(pool->head.name, sizeof pool->head.name, "fake");
    atomic_init(&pool->head.references, 1);
    pthread_mutex_init(&pool->head.lock, NULL);
    return &pool->head;
}

static int twice(const void *item, void *result, void *context)
{
    *(int *)result = 2 * *(const int *)item;
    CHECK(many_pool_current() != NULL);
    return context == NULL ? 0 : *(int *)context;
}

/* ---- tasks ---- */

TEST(submit_hands_out_the_future)
{
    fake_pool fake;
    many_pool *pool = fake_open(&fake);
    many_future *future = NULL;
    int item = 21, result = 0;

    CHECK_CODE(many_pool_submit(pool, twice, &item, &future, .arg_bytes = sizeof item,
                                .result_bytes = sizeof result),
               0);
    CHECK_CODE(many_future_result(future, &result, sizeof result, MANY_FOREVER), sizeof result);
    CHECK_EQUAL(result, 42);
    many_future_close(future);
    fake.submit_code = -ESHUTDOWN;
    CHECK_CODE(many_pool_submit(pool, twice, &item, &future, .result_bytes = sizeof result),
               -ESHUTDOWN);
    CHECK(future == NULL);
    CHECK(many_pool_current() == NULL);
}

static int count_it(many_future *future, void *context)
{
    CHECK_EQUAL(many_future_done(future), 1);
    ++*(int *)context;
    return 0;
}

TEST(a_future_that_nobody_wants_is_closed_after_its_callback)
{
    fake_pool fake;
    many_pool *pool = fake_open(&fake);
    test_census before = test_census_take();
    int item = 21, count = 0;

    for (int i = 0; i < 10000; i++) {
        CHECK_CODE(many_pool_submit(pool, twice, &item, NULL, .result_bytes = sizeof item,
                                    .on_done = count_it, .on_done_context = &count),
                   0);
        fake.called[0] = '\0';
    }
    CHECK_EQUAL(count, 10000);
    CHECK_CENSUS(before);
}

TEST(apply_gives_the_result_or_the_failure)
{
    fake_pool fake;
    many_pool *pool = fake_open(&fake);
    many_submit_options options = {.size = sizeof options};
    int item = 4, result = 0, fail = 7;

    CHECK_CODE(many_pool_apply(pool, twice, &item, &result), 0);
    CHECK_EQUAL(result, 8);
    options.context = &fail;
    CHECK_CODE(
        many_pool_apply_with(pool, twice, &item, sizeof item, &result, sizeof result, &options),
        -MANY_ETASK);
    CHECK_CONTAINS(many_error_message(), "the task said no");
    options.priority = 9;
    CHECK_CODE(
        many_pool_apply_with(pool, twice, &item, sizeof item, &result, sizeof result, &options),
        -EINVAL);
    CHECK_CONTAINS(many_error_message(), "many_pool_apply: .priority is 9");
    CHECK_CODE(many_pool_apply_with(pool, twice, &item, sizeof item, NULL, 4, NULL), -EINVAL);
    CHECK_CODE(many_pool_apply_with(pool, twice, &item, sizeof item, &result, 0, NULL), -EINVAL);
    CHECK_CODE(many_pool_apply(NULL, twice, &item, &result), -EINVAL);
    CHECK_CODE(many_pool_apply(pool, NULL, &item, &result), -EINVAL);
    fake.submit_code = -MANY_EBROKEN;
    CHECK_CODE(many_pool_apply(pool, twice, &item, &result), -MANY_EBROKEN);
}

static int answer(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    CHECK_CODE(many_reply(NULL, 1), -EINVAL);
    CHECK_CODE(many_reply("no", 2), 0);
    CHECK_CODE(many_reply("yes", 3), 0);
    return 0;
}

TEST(a_reply_is_for_tasks_alone)
{
    fake_pool fake;
    many_pool *pool = fake_open(&fake);

    CHECK_CODE(many_reply("x", 1), -EINVAL);
    CHECK_CODE(many_pool_submit(pool, answer, NULL, NULL), 0);
    CHECK_STRING(fake.reply, "yes");
    free(fake.reply);
}

/* ---- callbacks that fail ---- */

static int refuse(many_future *future, void *context)
{
    (void)future;
    return many_fail(*(int *)context, "no paper");
}

static void fail_callback(fake_pool *fake, int code)
{
    many_future *future = NULL;

    CHECK_CODE(many_future_open(&future, .name = "letter 3"), 0);
    CHECK_CODE(many_future_on_done(future, refuse, &code), 0);
    many_future_set_result(future, NULL, 0);
    future->home = fake; /* as the engine of a pool's future would, from its hook */
    many_pool_callback_failed_(future, code);
    many_future_close(future);
}

TEST(a_callback_that_failed_is_reported_once_by_join)
{
    fake_pool fake;
    many_pool *pool = fake_open(&fake);

    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    fail_callback(&fake, -EIO);
    fail_callback(&fake, -EPERM); /* the first one counts */
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), -EIO);
    CHECK_CONTAINS(many_error_message(), "many_pool_join: the callback of 'letter 3' failed with "
                                         "-5: ");
    CHECK_CONTAINS(many_error_message(), "no paper");
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    fail_callback(&fake, 12);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), -MANY_ETASK);
    CHECK_CONTAINS(many_error_message(), "failed with 12");
    fail_callback(&fake, -EIO);
    fake.join_code = -ETIMEDOUT; /* it stays for when all is done */
    CHECK_CODE(many_pool_join(pool, 0), -ETIMEDOUT);
    CHECK_CONTAINS(many_error_message(), "'fake' still has something to do");
    fake.join_code = 0;
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), -EIO);
    CHECK_CONTAINS(many_error_message(), "many_pool_close: the callback of 'letter 3'");
}

/* ---- its end ---- */

TEST(close_finishes_waits_stops_and_frees)
{
    fake_pool fake;
    many_pool *pool = fake_open(&fake);

    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    CHECK_STRING(fake.called, "finish join stop free ");
    CHECK_EQUAL(fake.deadline_ns, INT64_MAX);
    CHECK_EQUAL(fake.handlers, 0); /* a handler does not end it */
    CHECK_CODE(many_pool_close(NULL, 0), 0);
}

TEST(a_grace_that_makes_no_sense_is_none)
{
    const double graces[] = {0, -5, NAN};

    for (int i = 0; i < 3; i++) {
        fake_pool fake;
        many_pool *pool = fake_open(&fake);

        fake.join_code = -ETIMEDOUT;
        CHECK_CODE(many_pool_close(pool, graces[i]), -ETIMEDOUT);
        CHECK_CONTAINS(many_error_message(), "was cut off");
        CHECK(fake.deadline_ns < INT64_MAX);
        CHECK_STRING(fake.called, "finish join stop free ");
    }
}

TEST(the_memory_of_a_pool_goes_with_its_last_future)
{
    fake_pool fake;
    many_pool *pool = fake_open(&fake);

    many_pool_hold_(pool);
    many_pool_hold_(pool);
    CHECK_CODE(many_pool_close(pool, 0), 0);
    CHECK_EQUAL(fake.frees, 0);
    many_pool_let_go_(pool);
    CHECK_EQUAL(fake.frees, 0);
    many_pool_let_go_(pool);
    CHECK_EQUAL(fake.frees, 1);
}

TEST(a_task_cannot_wait_for_its_own_pool_nor_close_it)
{
    fake_pool fake;
    many_pool *pool = fake_open(&fake);

    fake.inside = 1;
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), -EDEADLK);
    CHECK_CONTAINS(many_error_message(), "'fake'");
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), -EDEADLK);
    CHECK_STRING(fake.called, "");
    fake.inside = 0;
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(leaving_a_block_closes_its_pool)
{
    fake_pool fake;

    fake_open(&fake);
#if defined(__GNUC__)
    {
        MANY_POOL_SCOPE many_pool *pool = &fake.head;
        (void)pool;
    }
#else
    {
        many_pool *pool = &fake.head;
        many_pool_leave(&pool);
        CHECK(pool == NULL);
    }
#endif
    CHECK_STRING(fake.called, "finish join stop free ");
    CHECK_EQUAL(fake.deadline_ns, INT64_MAX);
    many_pool_leave(NULL);
    many_pool_leave(&(many_pool *){NULL});
}

TEST(calls_without_a_pool_are_refused)
{
    CHECK_CODE(many_pool_finish(NULL), -EINVAL);
    CHECK_CODE(many_pool_join(NULL, 0), -EINVAL);
    CHECK_CODE(many_pool_cancel_waiting(NULL), -EINVAL);
    CHECK_CODE(many_pool_terminate(NULL), -EINVAL);
    CHECK_CODE(many_pool_workers(NULL), -EINVAL);
    CHECK_STRING(many_pool_name(NULL), "");
}

TEST(calls_reach_the_backend)
{
    fake_pool fake;
    many_pool *pool = fake_open(&fake);

    CHECK_CODE(many_pool_finish(pool), 0);
    CHECK_CODE(many_pool_cancel_waiting(pool), 3);
    CHECK_CODE(many_pool_terminate(pool), 0);
    CHECK_CODE(many_pool_join(pool, 1), 0);
    CHECK_EQUAL(fake.handlers, 1);
    CHECK_CODE(many_pool_join(pool, -2), -EINVAL);
    CHECK_CODE(many_pool_join(pool, NAN), -EINVAL);
    CHECK_STRING(fake.called, "finish cancel_waiting terminate join ");
    CHECK_STRING(many_pool_name(pool), "fake");
    CHECK_EQUAL(many_pool_workers(pool), 3);
}

static void ask_in_child(void *argument)
{
    fake_pool *fake = argument;
    many_pool *pool = &fake->head;
    many_future *future = NULL;
    int item = 1, result = 0;

    CHECK_CODE(many_pool_submit(pool, twice, &item, &future), -MANY_EFORKED);
    CHECK_CODE(many_pool_apply(pool, twice, &item, &result), -MANY_EFORKED);
    CHECK_CODE(many_pool_finish(pool), -MANY_EFORKED);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), -MANY_EFORKED);
    CHECK_CODE(many_pool_cancel_waiting(pool), -MANY_EFORKED);
    CHECK_CODE(many_pool_terminate(pool), -MANY_EFORKED);
    CHECK_STRING(many_pool_name(pool), "fake");
    CHECK_EQUAL(many_pool_workers(pool), 3);
    CHECK(many_pool_current() == NULL); /* though the thread that forked was in a task */
    CHECK_CODE(many_reply("x", 1), -EINVAL);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), -MANY_EFORKED);
    CHECK_STRING(fake->called, "forget ");
}

TEST(a_child_is_told_that_the_pool_is_not_its_own)
{
    fake_pool fake;
    many_pool *pool = fake_open(&fake);

    many_pool_enter_(pool);
    CHECK(many_pool_current() == pool);
    CHECK_EQUAL(test_in_child(ask_in_child, &fake), 0);
    many_pool_enter_(NULL);
    CHECK(many_pool_current() == NULL);
}
