/* SPDX-License-Identifier: MIT */
/* test_process_future.c - futures of tasks of processes: asked, cancelled, watched, named by their ids */
#include <pthread.h>
#include <sys/wait.h>

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

TEST(a_future_is_pending_then_running_then_done)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = pool_of(1, 0);
    many_future *first = submit_stay(pool, word), *second = submit_square(pool, 3);
    char name[64];

    CHECK_CODE(many_future_running(first), 1);
    CHECK_CODE(many_future_running(second), 0);
    CHECK_CODE(many_future_done(first), 0);
    CHECK_CODE(many_future_result(second, NULL, 0, 0), -ETIMEDOUT);
    CHECK_CODE(many_future_wait(second, 0.01), -ETIMEDOUT);
    CHECK_STRING(many_future_name(first, name, sizeof name), "the long one");
    CHECK_STRING(many_future_name(second, name, sizeof name), "task 1");
    atomic_store(&word->gate, 1);
    CHECK_EQUAL(square_of(second), 9);
    CHECK_CODE(many_future_successful(second), 1);
    CHECK_CODE(many_future_running(second), 0);
    CHECK_CODE(many_future_wait(first, MANY_FOREVER), 0);
    many_future_close(first);
    many_future_close(second);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int say_no(const void *item, void *result, void *context)
{
    (void)result;
    (void)context;
    return many_fail(*(const int *)item, "no, it is %d", *(const int *)item);
}

TEST(a_task_that_returns_a_code_fails_with_it_and_its_words)
{
    const int codes[] = {-EPERM, 7, -ETIMEDOUT, -ECANCELED, INT32_MIN};
    many_pool *pool = pool_of(1, 0);

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        many_future *future = NULL;
        many_cause cause;
        char words[32];

        CHECK_CODE(many_pool_submit(pool, say_no, &codes[i], &future, .arg_bytes = sizeof(int),
                                    .name = "no"),
                   0);
        CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -MANY_ETASK);
        CHECK_CODE(many_future_cancelled(future), 0);
        CHECK_CODE(many_future_successful(future), 0);
        CHECK_CODE(many_future_cause(future, &cause), 0);
        CHECK_EQUAL(cause.code, codes[i]);
        CHECK_EQUAL(cause.item, i);
        CHECK_EQUAL(cause.worker, 0);
        CHECK_CONTAINS(cause.text, "'no'");
        if (codes[i] < 0) {
            snprintf(words, sizeof words, "no, it is %d", codes[i]);
            CHECK_CONTAINS(cause.text, words);
        }
        many_future_close(future);
    }
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(what_waits_can_be_cancelled_and_what_runs_cannot)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = pool_of(1, 0);
    many_future *running = submit_stay(pool, word), *waiting = submit_square(pool, 3);
    many_future *after = submit_square(pool, 4);
    many_cause cause;

    CHECK_CODE(many_future_cancel(running), 0);
    CHECK_CODE(many_future_cancel(waiting), 1);
    CHECK_CODE(many_future_cancel(waiting), 1);
    CHECK_CODE(many_future_cancelled(waiting), 1);
    CHECK_CODE(many_future_cause(waiting, &cause), 0);
    CHECK_CONTAINS(cause.text, "task 1 was cancelled");
    atomic_store(&word->gate, 1);
    CHECK_EQUAL(square_of(after), 16);
    CHECK_CODE(many_future_cancel(after), 0);
    CHECK_CODE(many_future_result(running, NULL, 0, MANY_FOREVER), 0);
    many_future_close(running);
    many_future_close(waiting);
    many_future_close(after);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- callbacks ---- */

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

TEST(callbacks_are_called_by_who_waits_for_anything_of_the_pool)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = pool_of(2, 0);
    many_future *stays = submit_stay(pool, word), *watched;
    called self = {0};

    watched = submit_square(pool, 2);
    CHECK_CODE(many_future_on_done(watched, call, &self), 0);
    /* Whoever waits for another one calls it, and while it waits. */
    while (atomic_load(&self.count) == 0)
        CHECK_CODE(many_future_wait(stays, 0.05), -ETIMEDOUT);
    CHECK_EQUAL(atomic_load(&self.over), 1);
    CHECK(pthread_equal(self.thread, pthread_self()));
    CHECK_CODE(many_future_on_done(watched, call, &self), 0);
    CHECK_EQUAL(atomic_load(&self.count), 2);
    atomic_store(&word->gate, 1);
    many_future_close(watched);
    many_future_close(stays);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(the_pools_own_thread_calls_callbacks_at_once)
{
    many_pool *pool = pool_of(2, 1);
    called self = {0};

    for (long i = 0; i < 50; i++)
        CHECK_CODE(many_pool_submit(pool, supervised_square, &i, NULL, .arg_bytes = sizeof i,
                                    .result_bytes = sizeof i, .on_done = call,
                                    .on_done_context = &self),
                   0);
    UNTIL(atomic_load(&self.count) == 50);
    CHECK(!pthread_equal(self.thread, pthread_self()));
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(a_join_calls_all_callbacks_and_says_that_one_failed)
{
    many_pool *pool = pool_of(2, 0);
    called self = {0};

    for (long i = 0; i < 500; i++)
        CHECK_CODE(many_pool_submit(pool, supervised_square, &i, NULL, .arg_bytes = sizeof i,
                                    .result_bytes = sizeof i, .on_done = call,
                                    .on_done_context = &self),
                   0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&self.count), 500);
    CHECK_EQUAL(atomic_load(&self.over), 500);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int refuse(many_future *future, void *context)
{
    (void)future;
    (void)context;
    return many_fail(-EPROTO, "not today");
}

TEST(a_callback_that_fails_is_told_by_the_next_join_once)
{
    many_pool *pool = pool_of(1, 0);
    called self = {0};
    long number = 1;

    for (int i = 0; i < 3; i++)
        CHECK_CODE(many_pool_submit(pool, supervised_square, &number, NULL,
                                    .arg_bytes = sizeof number, .result_bytes = sizeof number,
                                    .on_done = i == 1 ? refuse : call, .on_done_context = &self),
                   0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), -EPROTO);
    CHECK_CONTAINS(many_error_message(), "not today");
    CHECK_EQUAL(atomic_load(&self.count), 2);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

typedef struct chain {
    many_pool *pool;
    _Atomic int left;
    int refused;
} chain;

/* Submits the next one, and waits for something else, in the callback. */
static int go_on(many_future *future, void *context)
{
    chain *self = context;
    long number = 5, result = 0;

    (void)future;
    self->refused += many_pool_join(self->pool, 0) == -EDEADLK;
    if (many_pool_apply(self->pool, supervised_square, &number, &result) < 0 || result != 25)
        return -EBADMSG;
    if (atomic_fetch_sub(&self->left, 1) <= 1)
        return 0;
    return many_pool_submit(self->pool, supervised_square, &number, NULL,
                            .arg_bytes = sizeof number, .result_bytes = sizeof number,
                            .on_done = go_on, .on_done_context = self);
}

TEST(a_callback_may_use_the_pool_but_not_wait_for_all_of_it)
{
    for (int thread = 0; thread <= 1; thread++) {
        chain self = {pool_of(2, thread), 20, 0};
        long number = 5;

        CHECK_CODE(many_pool_submit(self.pool, supervised_square, &number, NULL,
                                    .arg_bytes = sizeof number, .result_bytes = sizeof number,
                                    .on_done = go_on, .on_done_context = &self),
                   0);
        CHECK_CODE(many_pool_join(self.pool, MANY_FOREVER), 0);
        CHECK_EQUAL(atomic_load(&self.left), 0);
        CHECK_EQUAL(self.refused, 20);
        CHECK_CODE(many_pool_close(self.pool, MANY_FOREVER), 0);
    }
}

TEST(callbacks_of_cancelled_tasks_are_called_too)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = pool_of(1, 0);
    many_future *stays = submit_stay(pool, word);
    called self = {0};
    long number = 1;

    for (int i = 0; i < 10; i++)
        CHECK_CODE(many_pool_submit(pool, supervised_square, &number, NULL,
                                    .arg_bytes = sizeof number, .result_bytes = sizeof number,
                                    .on_done = call, .on_done_context = &self),
                   0);
    CHECK_CODE(many_pool_cancel_waiting(pool), 10);
    CHECK_EQUAL(atomic_load(&self.count), 10);
    many_future_close(stays);
    CHECK_CODE(many_pool_terminate(pool), 0);
    CHECK_CODE(many_pool_close(pool, 0), 0);
}

/* ---- several ---- */

static int echo(const void *item, void *result, void *context)
{
    (void)context;
    *(long *)result = *(const long *)item;
    return 0;
}

TEST(futures_come_as_they_complete_also_when_there_are_more_than_news_have_room)
{
    enum { COUNT = 10000 };
    many_pool *pool = pool_of(2, 0);
    many_future **futures = malloc(COUNT * sizeof(many_future *)), *future;
    many_completed *completed = NULL;
    char *seen = calloc(COUNT, 1);
    int count = 0, code;

    CHECK(futures != NULL && seen != NULL);
    for (long i = 0; i < COUNT; i++)
        CHECK_CODE(many_pool_submit(pool, echo, &i, &futures[i], .arg_bytes = sizeof i,
                                    .result_bytes = sizeof i),
                   0);
    CHECK_CODE(many_completed_open(&completed, futures, COUNT), 0);
    while ((code = many_completed_next(completed, &future, MANY_FOREVER)) > 0) {
        long result = -1;

        CHECK_CODE(many_future_result(future, &result, sizeof result, 0), (long)sizeof result);
        CHECK(result >= 0 && result < COUNT);
        CHECK_EQUAL(seen[result], 0);
        seen[result] = 1;
        count++;
    }
    CHECK_CODE(code, 0);
    CHECK_EQUAL(count, COUNT);
    many_completed_close(completed);
    for (int i = 0; i < COUNT; i++)
        many_future_close(futures[i]);
    free(futures);
    free(seen);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(a_descriptor_turns_readable)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = pool_of(2, 0);
    many_future *first = submit_stay(pool, word), *second = submit_square(pool, 3);
    struct pollfd polled[2] = {{many_future_descriptor(first), POLLIN, 0},
                               {many_future_descriptor(second), POLLIN, 0}};

    CHECK(polled[0].fd >= 0 && polled[1].fd >= 0);
    while (many_future_done(second) == 0)
        CHECK(poll(&polled[1], 1, -1) == 1);
    CHECK_CODE(many_future_done(first), 0);
    atomic_store(&word->gate, 1);
    while (many_future_done(first) == 0)
        CHECK(poll(&polled[0], 1, -1) == 1);
    many_future_close(first);
    many_future_close(second);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static pid_t supervisor_of(pid_t worker)
{
    char path[64];
    int parent = -1;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)worker);
    file = fopen(path, "re");
    CHECK(file != NULL);
    CHECK_EQUAL(fscanf(file, "%*d (%*[^)]) %*c %d", &parent), 1);
    fclose(file);
    return parent;
}

/* Readable in time, though nothing but a descriptor tells of it: the poll has no limit but the test's. */
TEST(a_descriptor_turns_readable_when_the_supervisor_was_killed)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = pool_of(1, 0);
    many_future *future = submit_stay(pool, word);
    struct pollfd polled = {many_future_descriptor(future), POLLIN, 0};
    pid_t supervisor;
    many_cause cause;

    CHECK(polled.fd >= 0);
    CHECK_CODE(many_future_done(future), 0);
    supervisor = supervisor_of(atomic_load(&word->pid));
    CHECK(supervisor > 1 && supervisor != getpid());
    CHECK(kill(supervisor, SIGKILL) == 0);
    while (many_future_done(future) == 0)
        CHECK(poll(&polled, 1, -1) == 1);
    CHECK_CODE(many_future_result(future, NULL, 0, 0), -MANY_EDIED);
    CHECK_CODE(many_future_cause(future, &cause), 0);
    many_future_close(future);
    CHECK_EQUAL(square_of(future = submit_square(pool, 4)), 16);
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}
