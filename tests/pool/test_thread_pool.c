/* SPDX-License-Identifier: MIT */
/*
 * test_thread_pool.c - what pools of threads promise: each task once, in order, within bounds. How they end is in
 *                      test_thread_pool_ends.c, waiting for one another in test_thread_circle.c.
 */
#include "thread_cases.h"

TEST(thread_pool_runs_a_task_and_gives_its_result)
{
    many_pool *pool = open_pool(2);
    many_future *future = NULL;
    long x = 12, y = 0;

    CHECK_CODE(many_pool_submit(pool, square, &x, &future, .arg_bytes = sizeof x,
                                .result_bytes = sizeof y),
               0);
    x = 0; /* the task has a copy */
    CHECK_EQUAL(many_future_result(future, &y, sizeof y, MANY_FOREVER), sizeof y);
    CHECK_EQUAL(y, 144);
    CHECK_EQUAL(many_future_done(future), 1);
    CHECK_EQUAL(many_future_successful(future), 1);
    CHECK_EQUAL(many_future_running(future), 0);
    CHECK_EQUAL(many_future_cancel(future), 0);
    CHECK_EQUAL(many_future_result(future, &y, sizeof y, 0), sizeof y);
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

typedef struct large {
    unsigned char bytes[100000];
} large;

static int turn_over(const void *item, void *result, void *context)
{
    const large *from = item;
    large *to = result;

    for (size_t k = 0; k < sizeof from->bytes; k++)
        to->bytes[k] = (unsigned char)(from->bytes[k] ^ *(const unsigned char *)context);
    return 0;
}

TEST(thread_pool_copies_large_arguments_contexts_and_results)
{
    many_pool *pool = open_pool(2);
    many_future *future = NULL;
    large *from = malloc(sizeof *from), *to = malloc(sizeof *to);
    unsigned char mask = 0x5a;

    for (size_t k = 0; k < sizeof from->bytes; k++)
        from->bytes[k] = (unsigned char)(k * 7);
    CHECK_CODE(many_pool_submit(pool, turn_over, from, &future, .arg_bytes = sizeof *from,
                                .result_bytes = sizeof *to, .context = &mask, .context_bytes = 1),
               0);
    memset(from, 0, sizeof *from);
    mask = 0;
    CHECK_EQUAL(many_future_result(future, to, sizeof *to, MANY_FOREVER), sizeof *to);
    for (size_t k = 0; k < sizeof to->bytes; k++)
        CHECK(to->bytes[k] == (unsigned char)((k * 7) ^ 0x5a));
    CHECK_EQUAL(many_future_result(future, to, 10, MANY_FOREVER), -EMSGSIZE);
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    free(from);
    free(to);
}

/* ---- failures ---- */

static int refuse(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    return many_fail(-5, "the printer is on fire");
}

TEST(thread_pool_failed_task_has_its_code_words_and_worker)
{
    many_pool *pool = open_pool(1);
    many_future *future = NULL;
    many_cause cause;

    CHECK_CODE(many_pool_submit(pool, refuse, NULL, &future, .name = "page 3"), 0);
    CHECK_CODE(many_future_wait(future, MANY_FOREVER), 0);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -MANY_ETASK);
    CHECK_CODE(many_future_cause(future, &cause), 0);
    CHECK_EQUAL(cause.code, -5);
    CHECK_EQUAL(cause.worker, 0);
    CHECK_EQUAL(cause.item, 0);
    CHECK_CONTAINS(cause.text, "page 3");
    CHECK_CONTAINS(cause.text, "the printer is on fire");
    CHECK_EQUAL(many_future_done(future), 1);
    CHECK_EQUAL(many_future_successful(future), 0);
    CHECK_EQUAL(many_future_cancelled(future), 0);
    many_future_close(future);
    CHECK_EQUAL(look(pool).failed, 1);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* Fails as often as its item says. */
static int fail_at_first(const void *item, void *result, void *context)
{
    _Atomic int *tries = context;

    (void)result;
    return atomic_fetch_add(tries, 1) < *(const int *)item ? 77 : 0;
}

TEST(thread_pool_retries_as_often_as_allowed)
{
    many_pool *pool = open_pool(2);
    many_future *future = NULL;
    _Atomic int tries = 0;
    int failures = 3;
    many_cause cause;

    CHECK_CODE(many_pool_submit(pool, fail_at_first, &failures, &future,
                                .arg_bytes = sizeof failures, .retries = 3, .context = &tries),
               0);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&tries), 4);
    many_future_close(future);

    atomic_store(&tries, 0);
    CHECK_CODE(many_pool_submit(pool, fail_at_first, &failures, &future,
                                .arg_bytes = sizeof failures, .retries = 2, .context = &tries),
               0);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -MANY_ETASK);
    CHECK_EQUAL(atomic_load(&tries), 3);
    CHECK_CODE(many_future_cause(future, &cause), 0);
    CHECK_EQUAL(cause.code, 77);
    CHECK_EQUAL(cause.tries, 3);
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int until_cancelled(const void *item, void *result, void *context)
{
    gate *at = (gate *)(uintptr_t)item;

    (void)result;
    (void)context;
    if (at != NULL)
        atomic_fetch_add(&at->entered, 1);
    UNTIL(many_cancelled());
    return 0;
}

TEST(thread_pool_task_over_its_limit_is_told_and_counts_as_timed_out)
{
    many_pool *pool = open_pool(1);
    many_future *future = NULL;
    many_cause cause;

    CHECK_CODE(many_pool_submit(pool, until_cancelled, NULL, &future, .item_limit_s = 0.02), 0);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -ETIMEDOUT);
    CHECK_EQUAL(many_future_done(future), 1);
    CHECK_CODE(many_future_cause(future, &cause), 0);
    CHECK_EQUAL(cause.over_limit, 1);
    CHECK_EQUAL(cause.code, -ETIMEDOUT);
    CHECK(cause.seconds >= 0.02);
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(thread_pool_limit_of_the_pool_holds_for_each_task_unless_it_has_its_own)
{
    many_pool *pool = NULL;
    many_future *future = NULL;

    CHECK_CODE(many_pool_open(&pool, .workers = 1, .item_limit_s = 0.01), 0);
    CHECK_CODE(many_pool_submit(pool, until_cancelled, NULL, &future), 0);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -ETIMEDOUT);
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- replies ---- */

static int spell(const void *item, void *result, void *context)
{
    char text[2000];
    const int n = *(const int *)item;

    (void)context;
    CHECK(result == NULL);
    CHECK_CODE(many_reply("not this", 8), 0);
    memset(text, 'a' + n % 26, sizeof text);
    return many_reply(text, (size_t)n);
}

TEST(thread_pool_reply_of_any_length_is_the_result)
{
    many_pool *pool = open_pool(2);
    static const int lengths[] = {0, 1, 31, 32, 33, 2000};

    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
        many_future *future = NULL;
        char text[2000] = "";

        CHECK_CODE(many_pool_submit(pool, spell, &lengths[k], &future, .arg_bytes = sizeof(int)),
                   0);
        CHECK_EQUAL(many_future_result(future, text, sizeof text, MANY_FOREVER), lengths[k]);
        CHECK_EQUAL(many_future_result_bytes(future), lengths[k]);
        for (int i = 0; i < lengths[k]; i++)
            CHECK_EQUAL(text[i], 'a' + lengths[k] % 26);
        many_future_close(future);
    }
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int reply_with_result(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    return many_reply("x", 1) == -EINVAL ? 0 : 1;
}

TEST(thread_pool_reply_of_a_task_with_a_fixed_result_or_of_none_is_refused)
{
    many_pool *pool = open_pool(1);
    long y;

    CHECK_CODE(many_pool_apply(pool, reply_with_result, &y, &y), 0);
    CHECK_CODE(many_reply("x", 1), -EINVAL);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- order ---- */

static _Atomic int written;
static int order[1000];

static int write_down(const void *item, void *result, void *context)
{
    (void)result;
    (void)context;
    order[atomic_fetch_add(&written, 1)] = *(const int *)item;
    return 0;
}

TEST(thread_pool_of_one_begins_tasks_in_order_of_submission_whoever_waits_for_which)
{
    many_pool *pool = open_pool(1);

    for (int round = 0; round < 50; round++) {
        many_future *future[20];

        atomic_store(&written, 0);
        for (int k = 0; k < 20; k++)
            CHECK_CODE(many_pool_submit(pool, write_down, &k, &future[k], .arg_bytes = sizeof k),
                       0);
        CHECK_CODE(many_future_wait(future[19], MANY_FOREVER), 0);
        for (int k = 0; k < 20; k++) {
            CHECK_EQUAL(order[k], k);
            many_future_close(future[k]);
        }
    }
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(thread_pool_begins_higher_priorities_first_and_equal_ones_in_order)
{
    many_pool *pool = open_pool(1);
    many_future *held, *last = NULL;
    gate at = {0};

    atomic_store(&written, 0);
    hold_all(pool, &at, &held);
    for (int k = 0; k < 70; k++) {
        const int priority = k % 7 + MANY_PRIORITY_LOWEST;

        CHECK_CODE(many_pool_submit(pool, write_down, &k, NULL, .arg_bytes = sizeof k,
                                    .priority = priority),
                   0);
    }
    CHECK_CODE(many_pool_submit(pool, write_down, &(int){70}, &last, .arg_bytes = sizeof(int),
                                .priority = MANY_PRIORITY_LOWEST),
               0);
    let_go(&at, &held, 1);
    CHECK_CODE(many_future_wait(last, MANY_FOREVER), 0);
    many_future_close(last);
    for (int k = 0; k < 70; k++)
        CHECK_EQUAL(order[k], k % 10 * 7 + (6 - k / 10));
    CHECK_EQUAL(order[70], 70);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* Item k shows itself, and stays until its gate is opened. */
static gate gates[20];

static int pass_own(const void *item, void *result, void *context)
{
    gate *at = &gates[*(const int *)item];

    (void)result;
    (void)context;
    atomic_store(&at->entered, 1);
    UNTIL(atomic_load(&at->open));
    return 0;
}

static int entered(void)
{
    int sum = 0;

    for (int k = 0; k < 20; k++)
        sum += atomic_load(&gates[k].entered);
    return sum;
}

TEST(thread_pool_of_two_begins_long_tasks_in_order_of_submission)
{
    many_pool *pool = open_pool(2);

    memset(gates, 0, sizeof gates);
    for (int k = 0; k < 20; k++)
        CHECK_CODE(many_pool_submit(pool, pass_own, &k, NULL, .arg_bytes = sizeof k), 0);
    for (int k = 0; k < 20; k++) {
        const int due = k + 2 < 20 ? k + 2 : 20;

        UNTIL(entered() == due);
        for (int i = 0; i < due; i++)
            CHECK_EQUAL(atomic_load(&gates[i].entered), 1);
        usleep(300); /* it is a long one */
        atomic_store(&gates[k].open, 1);
    }
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int submit_children(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    for (int k = 1; k <= 10; k++)
        CHECK_CODE(
            many_pool_submit(many_pool_current(), write_down, &k, NULL, .arg_bytes = sizeof k), 0);
    return 0;
}

TEST(thread_pool_of_one_begins_tasks_of_a_task_in_order_of_submission)
{
    many_pool *pool = open_pool(1);

    atomic_store(&written, 0);
    CHECK_CODE(many_pool_submit(pool, submit_children, NULL, NULL), 0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&written), 10);
    for (int k = 0; k < 10; k++)
        CHECK_EQUAL(order[k], k + 1);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* Tasks that submit themselves for ever must not keep others from running. */
static int go_on(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    if (atomic_load((_Atomic int *)context) == 0)
        CHECK_CODE(many_pool_submit(many_pool_current(), go_on, NULL, NULL, .context = context), 0);
    return 0;
}

static int set_flag(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    atomic_store((_Atomic int *)context, 1);
    return 0;
}

TEST(thread_pool_of_one_runs_what_comes_from_outside_beside_a_task_that_goes_on_for_ever)
{
    many_pool *pool = open_pool(1);
    _Atomic int flag = 0;

    CHECK_CODE(many_pool_submit(pool, go_on, NULL, NULL, .context = &flag), 0);
    CHECK_CODE(many_pool_submit(pool, set_flag, NULL, NULL, .context = &flag), 0);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&flag), 1);
}

/* ---- who runs it ---- */

static _Atomic int at_a_time, most_at_a_time;
static _Atomic int in_use[8];

static int be_alone(const void *item, void *result, void *context)
{
    const int w = many_worker_index();
    const int now = atomic_fetch_add(&at_a_time, 1) + 1;
    int most = atomic_load(&most_at_a_time);

    (void)item;
    (void)result;
    CHECK(w >= 0 && w < *(const int *)context);
    CHECK_EQUAL(atomic_fetch_add(&in_use[w], 1), 0);
    while (now > most && !atomic_compare_exchange_weak(&most_at_a_time, &most, now))
        ;
    sched_yield();
    atomic_fetch_sub(&in_use[w], 1);
    atomic_fetch_sub(&at_a_time, 1);
    return 0;
}

static void *submit_and_wait(void *argument)
{
    many_pool *pool = argument;
    int workers = many_pool_workers(pool);

    for (int k = 0; k < 2000; k++) {
        many_future *future = NULL;

        CHECK_CODE(many_pool_submit(pool, be_alone, NULL, &future, .context = &workers), 0);
        CHECK_CODE(many_future_wait(future, k % 3 == 0 ? 100.0 : MANY_FOREVER), 0);
        many_future_close(future);
    }
    return NULL;
}

static void outsiders_and_workers(int workers)
{
    many_pool *pool = open_pool(workers);
    pthread_t threads[4];

    atomic_store(&most_at_a_time, 0);
    for (int k = 0; k < 4; k++)
        CHECK_EQUAL(pthread_create(&threads[k], NULL, submit_and_wait, pool), 0);
    for (int k = 0; k < 4; k++)
        pthread_join(threads[k], NULL);
    CHECK(atomic_load(&most_at_a_time) <= workers);
    CHECK_EQUAL(look(pool).done, 8000);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(thread_pool_of_one_never_runs_two_tasks_at_a_time_even_with_outsiders_who_help)
{
    outsiders_and_workers(1);
}

TEST(thread_pool_of_three_never_gives_a_number_twice_at_a_time)
{
    outsiders_and_workers(3);
}

typedef struct who {
    size_t index;
    int worker, cancelled, inside;
} who;

static int tell(const void *item, void *result, void *context)
{
    who *self = result;

    (void)item;
    self->index = many_item_index();
    self->worker = many_worker_index();
    self->cancelled = many_cancelled();
    self->inside = many_pool_current() == context;
    return 0;
}

TEST(thread_pool_task_knows_its_number_worker_and_pool)
{
    many_pool *pool = open_pool(1);

    CHECK(many_pool_current() == NULL);
    for (size_t k = 0; k < 3; k++) {
        many_future *future = NULL;
        who self;

        CHECK_CODE(many_pool_submit(pool, tell, NULL, &future, .result_bytes = sizeof self,
                                    .context = pool),
                   0);
        CHECK_EQUAL(many_future_result(future, &self, sizeof self, k == 1 ? 100 : MANY_FOREVER),
                    sizeof self);
        CHECK_EQUAL(self.index, k);
        CHECK_EQUAL(self.worker, 0);
        CHECK_EQUAL(self.cancelled, 0);
        CHECK_EQUAL(self.inside, 1);
        many_future_close(future);
    }
    CHECK(many_pool_current() == NULL);
    CHECK_EQUAL(many_worker_index(), -1);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- bounds ---- */

TEST(thread_pool_with_as_many_waiting_as_may_refuses_or_waits)
{
    many_pool *pool = NULL;
    many_future *held[2];
    many_future *future = NULL;
    gate at = {0};
    _Atomic int ran = 0;

    CHECK_CODE(many_pool_open(&pool, .workers = 2, .waiting_most = 3), 0);
    hold_all(pool, &at, held);
    for (int k = 0; k < 3; k++)
        CHECK_CODE(many_pool_submit(pool, count, NULL, NULL, .context = &ran, .no_wait = 1), 0);
    CHECK_CODE(many_pool_submit(pool, count, NULL, &future, .context = &ran, .no_wait = 1),
               -EAGAIN);
    CHECK(future == NULL);
    CHECK_EQUAL(look(pool).waiting, 3);
    CHECK_EQUAL(many_pool_cancel_waiting(pool), 3);
    CHECK_CODE(many_pool_submit(pool, count, NULL, NULL, .context = &ran, .no_wait = 1), 0);
    let_go(&at, held, 2);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&ran), 1);
}

static void *submit_many(void *argument)
{
    for (int k = 0; k < 3000; k++)
        CHECK_CODE(many_pool_submit(argument, count, NULL, NULL, .context = &at_a_time), 0);
    return NULL;
}

TEST(thread_pool_submitters_wait_for_room_and_all_get_it)
{
    many_pool *pool = NULL;
    pthread_t threads[3];

    atomic_store(&at_a_time, 0);
    CHECK_CODE(many_pool_open(&pool, .workers = 2, .waiting_most = 2), 0);
    for (int k = 0; k < 3; k++)
        CHECK_EQUAL(pthread_create(&threads[k], NULL, submit_many, pool), 0);
    for (int k = 0; k < 3; k++)
        pthread_join(threads[k], NULL);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&at_a_time), 9000);
}

TEST(thread_pool_exactly_as_many_wait_as_may_also_where_workers_take_several_at_a_time)
{
    enum { MOST = 2000 };
    many_pool *pool = NULL;
    many_future *held[2], *future = NULL;
    gate at = {0};
    _Atomic int ran = 0;
    int waiting = 0;

    CHECK_CODE(many_pool_open(&pool, .workers = 2, .waiting_most = MOST), 0);
    hold_all(pool, &at, held);
    while (many_pool_submit(pool, count, NULL, NULL, .context = &ran, .no_wait = 1) == 0)
        waiting++;
    CHECK_EQUAL(waiting, MOST);
    CHECK_EQUAL(look(pool).waiting, MOST);
    atomic_store(&at.open, 1);
    /* Waits for room, of which there is soon enough. */
    CHECK_CODE(many_pool_submit(pool, count, NULL, &future, .context = &ran), 0);
    many_future_close(future);
    let_go(&at, held, 2);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&ran), MOST + 1);
}

static void *submit_one_more(void *argument)
{
    return (void *)(intptr_t)many_pool_submit(argument, count, NULL, NULL, .context = &at_a_time);
}

TEST(thread_pool_that_ends_sends_those_away_who_wait_for_room)
{
    for (int terminated = 0; terminated < 2; terminated++) {
        many_pool *pool = NULL;
        many_future *held;
        gate at = {0};
        pthread_t thread;
        void *code;

        CHECK_CODE(many_pool_open(&pool, .workers = 1, .waiting_most = 1), 0);
        hold_all(pool, &at, &held);
        CHECK_CODE(many_pool_submit(pool, count, NULL, NULL, .context = &at_a_time), 0);
        CHECK_EQUAL(pthread_create(&thread, NULL, submit_one_more, pool), 0);
        for (int k = 0; k < 100; k++)
            sched_yield();
        CHECK_CODE(terminated ? many_pool_terminate(pool) : many_pool_finish(pool), 0);
        pthread_join(thread, &code);
        CHECK_CODE((intptr_t)code, -ESHUTDOWN);
        let_go(&at, &held, 1);
        CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    }
}
