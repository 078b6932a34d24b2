/* SPDX-License-Identifier: MIT */
/*
 * test_executor_futures.c - what Python documents of callbacks, cancel, wait() and as_completed() in
 *                           concurrent.futures, with threads and with processes, as far as
 *                           test_pool_futures.c has not said it
 */
#include "executor.h"

#include <pthread.h>

/* ---- callbacks ---- */

typedef struct executor_calls {
    many_future *future;
    pid_t process;
    int count, order[8];
    int wrong;
} executor_calls;

typedef struct executor_call {
    executor_calls *calls;
    int number, code;
} executor_call;

static int executor_called(many_future *future, void *context)
{
    const executor_call *call = context;
    executor_calls *calls = call->calls;

    if (future != calls->future || getpid() != calls->process || many_future_done(future) != 1)
        calls->wrong++;
    calls->order[calls->count++] = call->number;
    return call->code;
}

/* Callbacks come in the order they were added, in the process that added them; what one of them
 * raises is nothing to the others. Here the join says it. */
BOTH(callbacks_come_in_order_here_and_one_that_fails_stops_no_other)
{
    for (int x = UNLUCKY - 1; x <= UNLUCKY; x++) {
        kind_words *words = kind_words_of(0);
        many_pool *pool = kind_pool(kind, 2);
        executor_calls calls = {.process = getpid()};
        executor_call call[6];

        calls.future = executor_submit(pool, words, x);
        for (int i = 0; i < 6; i++) {
            call[i] = (executor_call){&calls, i, i == 1 ? -EIO : i == 3 ? 7 : 0};
            if (i < 5)
                CHECK_CODE(many_future_on_done(calls.future, executor_called, &call[i]), 0);
        }
        atomic_store(&words->gate, 1);
        CHECK_CODE(many_pool_join(pool, MANY_FOREVER), -EIO);
        CHECK_EQUAL(calls.count, 5);
        CHECK_CODE(many_future_on_done(calls.future, executor_called, &call[5]), 0);
        CHECK_EQUAL(calls.count, 6); /* at once */
        for (int i = 0; i < 6; i++)
            CHECK_EQUAL(calls.order[i], i);
        CHECK_EQUAL(calls.wrong, 0);
        many_future_close(calls.future);
        CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
        kind_close(pool);
    }
}

/* A cancelled future calls them, too, and it is cancel that does. */
BOTH(cancel_calls_the_callbacks)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 1);
    many_future *runs = executor_submit(pool, words, 1);
    executor_calls calls = {.process = getpid()};
    executor_call call[2] = {{&calls, 0, 0}, {&calls, 1, 0}};

    UNTIL(atomic_load(&words->begun) == 1);
    calls.future = executor_submit(pool, words, 2);
    CHECK_CODE(many_future_on_done(calls.future, executor_called, &call[0]), 0);
    CHECK_CODE(many_future_on_done(calls.future, executor_called, &call[1]), 0);
    CHECK_EQUAL(many_future_cancel(calls.future), 1);
    CHECK_EQUAL(calls.count, 2);
    CHECK_EQUAL(many_future_cancel(calls.future), 1);
    CHECK_EQUAL(calls.count, 2);
    CHECK_EQUAL(calls.order[0], 0);
    CHECK_EQUAL(calls.order[1], 1);
    CHECK_EQUAL(calls.wrong, 0);
    many_future_close(calls.future);
    atomic_store(&words->gate, 1);
    executor_expect(runs, 1);
    kind_close(pool);
}

/* ---- several at once ---- */

typedef struct executor_waiter {
    pthread_t thread;
    many_future *future;
    int way;
    long code;
} executor_waiter;

static void *executor_wait(void *argument)
{
    executor_waiter *self = argument;
    many_completed *completed = NULL;
    many_future *over = NULL;
    struct pollfd one;

    switch (self->way) {
    case 0:
        self->code = many_future_wait(self->future, MANY_FOREVER);
        break;
    case 1:
        self->code = many_future_result(self->future, NULL, 0, MANY_FOREVER) == -ECANCELED ? 0 : 1;
        break;
    case 2:
    case 3:
        self->code = many_futures_wait(&self->future, 1,
                                       self->way == 2 ? MANY_ALL_COMPLETED : MANY_FIRST_COMPLETED,
                                       NULL, MANY_FOREVER) == 1
                         ? 0
                         : 1;
        break;
    case 4:
        self->code = many_completed_open(&completed, &self->future, 1);
        if (self->code == 0 && (many_completed_next(completed, &over, MANY_FOREVER) != 1 ||
                                many_completed_next(completed, &over, MANY_FOREVER) != 0))
            self->code = 1;
        many_completed_close(completed);
        break;
    default:
        one = (struct pollfd){many_future_descriptor(self->future), POLLIN, 0};
        while (many_future_done(self->future) == 0)
            poll(&one, 1, -1);
    }
    return NULL;
}

/* Who waits for a future by any call is woken when it is cancelled. */
BOTH(all_who_wait_for_a_cancelled_future_are_woken)
{
    kind_words *words = kind_words_of(0);

    for (int how = 0; how < 4; how++) {
        many_pool *pool = kind_pool(kind, 1);
        many_future *runs = executor_submit(pool, words, 1);
        executor_waiter waiters[6];

        UNTIL(atomic_load(&words->begun) == (size_t)how + 1);
        for (int i = 0; i < 6; i++) {
            waiters[i] =
                (executor_waiter){.future = executor_submit(pool, words, i), .way = i, .code = 0};
            CHECK(pthread_create(&waiters[i].thread, NULL, executor_wait, &waiters[i]) == 0);
        }
        if (how == 0)
            for (int i = 0; i < 6; i++)
                CHECK_EQUAL(many_future_cancel(waiters[i].future), 1);
        else if (how == 1)
            CHECK_CODE(many_pool_cancel_waiting(pool), 6);
        else if (how == 2)
            CHECK_CODE(many_pool_terminate(pool), 0);
        else
            CHECK_CODE(many_pool_close(pool, 0), -ETIMEDOUT);
        for (int i = 0; i < 6; i++) {
            pthread_join(waiters[i].thread, NULL);
            CHECK_CODE(waiters[i].code, 0);
            CHECK_EQUAL(many_future_cancelled(waiters[i].future), 1);
            many_future_close(waiters[i].future);
        }
        if (how < 2) {
            CHECK_EQUAL(many_future_done(runs), 0);
            CHECK_EQUAL(many_future_terminate(runs, 0), 1);
        }
        CHECK_CODE(many_future_result(runs, NULL, 0, MANY_FOREVER), -ECANCELED);
        many_future_close(runs);
        if (how < 3)
            CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    }
}

/* FIRST_COMPLETED counts a cancelled one; FIRST_EXCEPTION does not, and waits for all if none
 * fails. */
BOTH(a_cancelled_future_is_completed_and_no_exception)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 1);
    many_future *futures[4];
    int over[4];

    futures[0] = executor_submit(pool, words, 1);
    UNTIL(atomic_load(&words->begun) == 1);
    for (int i = 1; i < 4; i++)
        futures[i] = executor_submit(pool, words, 1);
    CHECK_CODE(many_futures_wait(futures, 4, MANY_FIRST_COMPLETED, over, 0.01), -ETIMEDOUT);
    CHECK_EQUAL(many_future_cancel(futures[2]), 1);
    CHECK_CODE(many_futures_wait(futures, 4, MANY_FIRST_COMPLETED, over, MANY_FOREVER), 1);
    CHECK_EQUAL(over[0] + over[1] + over[3], 0);
    CHECK_EQUAL(over[2], 1);
    CHECK_CODE(many_futures_wait(futures, 4, MANY_FIRST_EXCEPTION, over, 0.01), -ETIMEDOUT);
    CHECK_EQUAL(over[2], 1);
    atomic_store(&words->gate, 1);
    CHECK_CODE(many_futures_wait(futures, 4, MANY_FIRST_EXCEPTION, over, MANY_FOREVER), 4);
    CHECK_CODE(many_futures_wait(futures, 4, MANY_ALL_COMPLETED, over, 0), 4);
    executor_close_all(futures, 4);
    kind_close(pool);
}

/* Duplicates come once, and what was over before comes first. */
BOTH(as_completed_gives_each_once_and_first_what_is_over)
{
    kind_words *words = kind_words_of(0);
    many_pool *pool = kind_pool(kind, 1);
    many_future *done = executor_submit(pool, NULL, 1), *failed = executor_submit(pool, NULL, 13);
    many_future *runs, *cancelled, *future = NULL;
    many_completed *completed = NULL;

    CHECK_CODE(many_future_wait(done, MANY_FOREVER), 0);
    CHECK_CODE(many_future_wait(failed, MANY_FOREVER), 0);
    runs = executor_submit(pool, words, 3);
    UNTIL(atomic_load(&words->begun) == 1);
    cancelled = executor_submit(pool, words, 4);
    CHECK_EQUAL(many_future_cancel(cancelled), 1);
    {
        many_future *all[] = {runs, done, runs, cancelled, failed, done, NULL, runs};
        int seen[3] = {0};

        CHECK_CODE(many_completed_open(&completed, all, 8), 0);
        for (int i = 0; i < 3; i++) {
            CHECK_CODE(many_completed_next(completed, &future, 0), 1);
            CHECK(future != runs);
            seen[future == done ? 0 : future == failed ? 1 : 2]++;
        }
        CHECK(seen[0] == 1 && seen[1] == 1 && seen[2] == 1);
    }
    CHECK_CODE(many_completed_next(completed, &future, 0.01), -ETIMEDOUT);
    CHECK(future == NULL);
    atomic_store(&words->gate, 1);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
    CHECK(future == runs);
    CHECK_CODE(many_completed_next(completed, &future, 0), 0);
    CHECK(future == NULL);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 0);
    many_completed_close(completed);
    many_future_close(done);
    many_future_close(failed);
    many_future_close(runs);
    many_future_close(cancelled);
    kind_close(pool);
}
