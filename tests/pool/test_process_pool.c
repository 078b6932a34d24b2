/* SPDX-License-Identifier: MIT */
/* test_process_pool.c - tasks of processes: what goes there, what comes back, and how a pool of them ends */
#include <pthread.h>
#include <sys/stat.h>

#include "supervised.h"

static many_pool *pool_of(int workers)
{
    many_pool *pool = NULL;

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = workers), 0);
    return pool;
}

static void submit_square(many_pool *pool, long number, many_future **future)
{
    CHECK_CODE(many_pool_submit(pool, supervised_square, &number, future,
                                .arg_bytes = sizeof number, .result_bytes = sizeof number),
               0);
}

static int count_slot(const void *item, void *result, void *context)
{
    (void)result;
    atomic_fetch_add(&((supervised_word *)context)->count[*(const int *)item], 1);
    return 0;
}

/* Pages of the shared memory of the one pool that is open. */
static long pool_pages(void)
{
    for (int fd = 3; fd < 200; fd++) {
        char path[64], name[64] = "";
        struct stat status;

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, name, sizeof name - 1) > 0 && strstr(name, "many-pool") != NULL &&
            fstat(fd, &status) == 0)
            return (long)(status.st_blocks / 8);
    }
    return -1;
}

static long take_square(many_future *future)
{
    long result = -1;

    CHECK_CODE(many_future_result(future, &result, sizeof result, MANY_FOREVER),
               (long)sizeof result);
    many_future_close(future);
    return result;
}

TEST(each_task_gets_its_argument_and_gives_its_result)
{
    many_pool *pool = pool_of(3);
    many_future *future[500];

    for (long i = 0; i < 500; i++)
        submit_square(pool, i, &future[i]);
    for (long i = 499; i >= 0; i--)
        CHECK_EQUAL(take_square(future[i]), i * i);
    CHECK_CODE(many_pool_close(pool, 5.0), 0);
}

TEST(each_task_is_done_exactly_once)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = pool_of(3);
    const int tasks = 20000 / test_slowness();

    for (int i = 0; i < tasks; i++) {
        const int slot = i % 64;

        CHECK_CODE(many_pool_submit(pool, count_slot, &slot, NULL, .arg_bytes = sizeof slot,
                                    .context = word),
                   0);
    }
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    for (int slot = 0; slot < 64; slot++)
        CHECK_EQUAL(atomic_load(&word->count[slot]), tasks / 64 + (slot < tasks % 64));
    CHECK_CODE(many_pool_close(pool, 5.0), 0);
}

typedef struct block {
    long number[200];
} block;

static int fill_block(const void *item, void *result, void *context)
{
    const block *in = item;
    block *out = result;

    (void)context;
    if ((uintptr_t)result % 16 != 0 || (uintptr_t)item % 16 != 0)
        return -EFAULT;
    for (size_t i = 0; i < 200; i++)
        out->number[i] = in->number[i] + (long)i;
    return 0;
}

static int reply_thrice(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    if (many_reply("first, and longer than what is inline", 37) < 0 || many_reply(NULL, 0) < 0)
        return -EINVAL;
    return many_reply("last", 4);
}

static int reply_not(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    return 0;
}

/* ---- order ---- */

typedef struct order {
    _Atomic int at;
    int seen[64];
} order;

static int note(const void *item, void *result, void *context)
{
    order *noted = context;

    (void)result;
    noted->seen[atomic_fetch_add(&noted->at, 1)] = *(const int *)item;
    return 0;
}

TEST(higher_priorities_begin_first_and_equals_in_order_of_submission)
{
    supervised_word *word = test_shared(sizeof *word);
    order *noted = test_shared(sizeof *noted);
    many_pool *pool = pool_of(1);

    CHECK_CODE(many_pool_submit(pool, supervised_stay, NULL, NULL, .context = word), 0);
    UNTIL(atomic_load(&word->begun) == 1);
    for (int i = 0; i < 28; i++) {
        const int priority = i % 7 + MANY_PRIORITY_LOWEST;
        const int item = (MANY_PRIORITY_HIGHEST - priority) * 4 + i / 7;

        CHECK_CODE(many_pool_submit(pool, note, &item, NULL, .arg_bytes = sizeof item,
                                    .priority = priority, .context = noted),
                   0);
    }
    atomic_store(&word->gate, 1);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    for (int i = 0; i < 28; i++)
        CHECK_EQUAL(noted->seen[i], i);
    CHECK_CODE(many_pool_close(pool, 5.0), 0);
}

/* ---- room ---- */

TEST(a_full_pool_refuses_who_does_not_wait_until_something_ends_or_is_cancelled)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = NULL;
    many_future *running = NULL, *waiting[4];

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 1, .waiting_most = 4), 0);
    CHECK_CODE(many_pool_submit(pool, supervised_stay, NULL, &running, .context = word), 0);
    UNTIL(atomic_load(&word->begun) == 1);
    for (int i = 0; i < 4; i++)
        CHECK_CODE(many_pool_submit(pool, reply_not, NULL, &waiting[i]), 0);
    CHECK_CODE(many_pool_submit(pool, reply_not, NULL, NULL, .no_wait = 1), -EAGAIN);
    CHECK_CODE(many_future_cancel(waiting[2]), 1);
    CHECK_CODE(many_pool_submit(pool, reply_not, NULL, NULL, .no_wait = 1), 0);
    CHECK_CODE(many_pool_submit(pool, reply_not, NULL, NULL, .no_wait = 1), -EAGAIN);
    atomic_store(&word->gate, 1);
    for (int i = 0; i < 4; i++) {
        CHECK_CODE(many_future_wait(waiting[i], MANY_FOREVER), 0);
        many_future_close(waiting[i]);
    }
    many_future_close(running);
    CHECK_CODE(many_pool_submit(pool, reply_not, NULL, NULL), 0);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

typedef struct submitter {
    many_pool *pool;
    _Atomic int submitted;
} submitter;

static void *submit_all(void *argument)
{
    submitter *self = argument;

    for (int i = 0; i < 64; i++) {
        if (many_pool_submit(self->pool, reply_not, NULL, NULL) < 0)
            break;
        atomic_fetch_add(&self->submitted, 1);
    }
    return NULL;
}

TEST(a_submit_waits_for_room)
{
    supervised_word *word = test_shared(sizeof *word);
    submitter self = {NULL, 0};
    pthread_t thread;

    CHECK_CODE(many_pool_open(&self.pool, .kind = MANY_PROCESSES, .workers = 1, .waiting_most = 8),
               0);
    CHECK_CODE(many_pool_submit(self.pool, supervised_stay, NULL, NULL, .context = word), 0);
    UNTIL(atomic_load(&word->begun) == 1);
    CHECK(pthread_create(&thread, NULL, submit_all, &self) == 0);
    UNTIL(atomic_load(&self.submitted) == 8);
    poll(NULL, 0, 20); /* time to go on, if it did not wait */
    CHECK_EQUAL(atomic_load(&self.submitted), 8);
    atomic_store(&word->gate, 1);
    pthread_join(thread, NULL);
    CHECK_EQUAL(atomic_load(&self.submitted), 64);
    CHECK_CODE(many_pool_close(self.pool, MANY_FOREVER), 0);
}

TEST(a_pool_that_ends_ends_the_wait_for_room)
{
    supervised_word *word = test_shared(sizeof *word);
    submitter self = {NULL, 0};
    pthread_t thread;

    CHECK_CODE(many_pool_open(&self.pool, .kind = MANY_PROCESSES, .workers = 1, .waiting_most = 8),
               0);
    CHECK_CODE(many_pool_submit(self.pool, supervised_stay, NULL, NULL, .context = word), 0);
    UNTIL(atomic_load(&word->begun) == 1);
    CHECK(pthread_create(&thread, NULL, submit_all, &self) == 0);
    UNTIL(atomic_load(&self.submitted) == 8);
    CHECK_CODE(many_pool_terminate(self.pool), 0);
    pthread_join(thread, NULL);
    CHECK_CODE(many_pool_close(self.pool, 0), 0);
}

/* ---- the end ---- */

TEST(a_finished_pool_takes_no_more_and_does_what_is_there)
{
    many_pool *pool = pool_of(2);
    many_future *future[100];

    for (long i = 0; i < 100; i++)
        submit_square(pool, i, &future[i]);
    CHECK_CODE(many_pool_finish(pool), 0);
    CHECK_CODE(many_pool_submit(pool, reply_not, NULL, NULL), -ESHUTDOWN);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    for (long i = 0; i < 100; i++)
        CHECK_EQUAL(take_square(future[i]), i * i);
    CHECK_CODE(many_pool_close(pool, 5.0), 0);
}

TEST(a_pool_can_be_joined_and_used_again_and_a_join_may_end_in_time)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = pool_of(2);
    many_future *future = NULL;

    CHECK_CODE(many_pool_join(pool, 0), 0);
    CHECK_CODE(many_pool_submit(pool, supervised_stay, NULL, &future, .context = word), 0);
    CHECK_CODE(many_pool_join(pool, 0), -ETIMEDOUT);
    CHECK_CODE(many_pool_join(pool, 0.02), -ETIMEDOUT);
    CHECK_CODE(many_future_done(future), 0);
    atomic_store(&word->gate, 1);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_CODE(many_future_done(future), 1);
    many_future_close(future);
    submit_square(pool, 7, &future);
    CHECK_EQUAL(take_square(future), 49);
    CHECK_CODE(many_pool_close(pool, 5.0), 0);
}

TEST(what_waits_can_be_cancelled_all_together)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = pool_of(1);
    many_future *running = NULL, *waiting[50];
    many_cause cause;

    CHECK_CODE(many_pool_submit(pool, supervised_stay, NULL, &running, .context = word), 0);
    UNTIL(atomic_load(&word->begun) == 1);
    for (long i = 0; i < 50; i++)
        submit_square(pool, i, &waiting[i]);
    CHECK_CODE(many_pool_cancel_waiting(pool), 50);
    CHECK_CODE(many_pool_cancel_waiting(pool), 0);
    for (int i = 0; i < 50; i++) {
        CHECK_CODE(many_future_cancelled(waiting[i]), 1);
        CHECK_CODE(many_future_result(waiting[i], NULL, 0, 0), -ECANCELED);
        CHECK_CODE(many_future_cause(waiting[i], &cause), 0);
        CHECK_EQUAL(cause.code, -ECANCELED);
        CHECK_EQUAL(cause.cancelled, 1);
        many_future_close(waiting[i]);
    }
    CHECK_CODE(many_future_done(running), 0);
    atomic_store(&word->gate, 1);
    CHECK_CODE(many_future_result(running, NULL, 0, MANY_FOREVER), 0);
    many_future_close(running);
    CHECK_CODE(many_pool_close(pool, 5.0), 0);
}

TEST(a_close_without_grace_cuts_off_what_is_there_and_futures_outlive_it)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = pool_of(2);
    many_future *done = NULL, *running = NULL, *waiting[3];
    long result = 0;

    submit_square(pool, 9, &done);
    CHECK_CODE(many_future_wait(done, MANY_FOREVER), 0);
    for (int i = 0; i < 2; i++)
        CHECK_CODE(many_pool_submit(pool, supervised_stay, NULL, i == 0 ? &running : NULL,
                                    .context = word),
                   0);
    UNTIL(atomic_load(&word->begun) == 2);
    for (int i = 0; i < 3; i++)
        submit_square(pool, i, &waiting[i]);
    CHECK_CODE(many_pool_close(pool, 0.01), -ETIMEDOUT);
    CHECK_CODE(many_future_result(running, NULL, 0, 0), -ECANCELED);
    many_future_close(running);
    for (int i = 0; i < 3; i++) {
        CHECK_CODE(many_future_result(waiting[i], NULL, 0, 0), -ECANCELED);
        many_future_close(waiting[i]);
    }
    CHECK_CODE(many_future_result(done, &result, sizeof result, 0), (long)sizeof result);
    CHECK_EQUAL(result, 81);
    many_future_close(done);
}

TEST(many_pools_leave_nothing_behind)
{
    test_census before = test_census_take();

    for (int round = 0; round < 30; round++) {
        many_pool *pool = NULL;
        many_future *future[20];

        CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2,
                                  .callback_thread = round % 2),
                   0);
        for (long i = 0; i < 20; i++)
            submit_square(pool, i, &future[i]);
        if (round % 3 == 0)
            CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
        for (long i = 0; i < 20; i++)
            CHECK_EQUAL(take_square(future[i]), i * i);
        if (round % 3 != 0)
            CHECK_CODE(many_pool_close(pool, 5.0), 0);
    }
    CHECK_CENSUS(before);
}

static int refuse(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    return many_fail(-EPERM, "no");
}

TEST(memory_does_not_grow_with_the_number_of_tasks)
{
    const int rounds = 100000 / test_slowness();
    many_pool *pool = pool_of(2);
    block in = {{0}}, out;
    long before = 0;

    /* Small ones, large ones, replies, failures, and those that nobody waits for. */
    for (int i = 0; i < rounds; i++) {
        many_future *future = NULL;
        long number = i;

        if (i == rounds / 4)
            before = pool_pages();
        if (i % 10 == 0)
            CHECK_CODE(many_pool_apply(pool, fill_block, &in, &out), 0);
        if (i % 10 == 1)
            CHECK_CODE(many_pool_submit(pool, reply_thrice, NULL, NULL), 0);
        if (i % 50 == 2)
            CHECK_CODE(many_pool_submit(pool, refuse, NULL, NULL), 0);
        CHECK_CODE(many_pool_submit(pool, supervised_square, &number, &future,
                                    .arg_bytes = sizeof number, .result_bytes = sizeof number),
                   0);
        if (i % 3 == 0)
            many_future_close(future);
        else
            CHECK_EQUAL(take_square(future), number * number);
    }
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK(before > 0);
    CHECK(pool_pages() <= before + before / 2 + 256);
    CHECK_CODE(many_pool_close(pool, 5.0), 0);
}

/* ---- others who have the handle ---- */

static void use_in_child(void *argument)
{
    many_pool *pool = ((void **)argument)[0];
    many_future *future = ((void **)argument)[1];

    CHECK_CODE(many_pool_submit(pool, reply_not, NULL, NULL), -MANY_EFORKED);
    CHECK_CODE(many_pool_join(pool, 0), -MANY_EFORKED);
    CHECK_CODE(many_pool_finish(pool), -MANY_EFORKED);
    CHECK_CODE(many_future_done(future), -MANY_EFORKED);
    CHECK_CODE(many_pool_close(pool, 0), -MANY_EFORKED);
    CHECK_CODE(many_future_wait(future, MANY_FOREVER), -MANY_EFORKED);
    many_future_close(future);
}

TEST(a_forked_child_is_refused_and_harms_nothing)
{
    many_pool *pool = pool_of(2);
    many_future *future = NULL;
    void *argument[2];

    submit_square(pool, 5, &future);
    argument[0] = pool;
    argument[1] = future;
    CHECK_EQUAL(test_in_child(use_in_child, argument), 0);
    CHECK_EQUAL(take_square(future), 25);
    submit_square(pool, 6, &future);
    CHECK_EQUAL(take_square(future), 36);
    CHECK_CODE(many_pool_close(pool, 5.0), 0);
}

typedef struct crowd {
    many_pool *pool;
    long base;
    int wrong;
} crowd;

static void *use_with_others(void *argument)
{
    crowd *self = argument;

    for (long i = 0; i < 300; i++) {
        many_future *future[8];
        long number, result = 0;

        for (long k = 0; k < 8; k++) {
            number = self->base + i * 8 + k;
            if (many_pool_submit(self->pool, supervised_square, &number, &future[k],
                                 .arg_bytes = sizeof number, .result_bytes = sizeof number) < 0)
                future[k] = NULL;
        }
        for (long k = 0; k < 8; k++) {
            number = self->base + i * 8 + k;
            if (many_future_result(future[k], &result, sizeof result, MANY_FOREVER) < 0 ||
                result != number * number)
                self->wrong++;
            many_future_close(future[k]);
        }
    }
    return NULL;
}

TEST(several_threads_submit_and_wait_at_the_same_time)
{
    many_pool *pool = pool_of(2);
    pthread_t thread[4];
    crowd self[4];

    for (int k = 0; k < 4; k++) {
        self[k] = (crowd){pool, k * 100000, 0};
        CHECK(pthread_create(&thread[k], NULL, use_with_others, &self[k]) == 0);
    }
    for (int k = 0; k < 4; k++) {
        pthread_join(thread[k], NULL);
        CHECK_EQUAL(self[k].wrong, 0);
    }
    CHECK_CODE(many_pool_close(pool, 5.0), 0);
}
