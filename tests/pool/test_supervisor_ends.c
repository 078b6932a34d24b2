/* SPDX-License-Identifier: MIT */
/* test_supervisor_ends.c - workers come and go, and so does what makes them; tasks that do what they should not */
#include "pool/supervised.h"

#include <fcntl.h>
#include <signal.h>

/* ---- recycling and initializers ---- */

TEST(a_worker_is_replaced_after_its_share_of_tasks)
{
    many_pool *pool = NULL;
    many_pool_status status;
    pid_t last = 0;
    int same = 0;

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 1, .tasks_per_worker = 3),
               0);
    for (int i = 0; i < 30; i++) {
        supervised_who who;
        const char none = 0;

        CHECK_CODE(many_pool_apply(pool, supervised_tell, &none, &who), 0);
        same = who.pid == last ? same + 1 : 1;
        CHECK(same <= 3);
        last = who.pid;
    }
    UNTIL((many_pool_look(pool, &status, NULL, 0), status.replaced) == 10);
    CHECK_EQUAL(status.died, 0);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static long supervisor_number; /* of each worker's own memory */

static int supervisor_set(void *argument)
{
    supervisor_number = *(const long *)argument;
    return 0;
}

static int supervisor_get(const void *item, void *result, void *context)
{
    (void)item;
    (void)context;
    *(long *)result = supervisor_number;
    return 0;
}

TEST(the_initializer_runs_in_each_worker_before_its_first_task)
{
    long number = 4711;
    many_pool *pool = NULL;

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 3,
                              .initializer = supervisor_set, .initializer_argument = &number,
                              .initializer_bytes = sizeof number, .tasks_per_worker = 2),
               0);
    number = 0;
    for (int i = 0; i < 30; i++) {
        const char none = 0;
        long got = 0;

        CHECK_CODE(many_pool_apply(pool, supervisor_get, &none, &got), 0);
        CHECK_EQUAL(got, 4711);
    }
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(supervisor_number, 0);
}

static int supervisor_fail(void *argument)
{
    (void)argument;
    return many_fail(-EACCES, "the oven is locked");
}

static int supervisor_crash(void *argument)
{
    (void)argument;
    raise(SIGSEGV);
    return 0;
}

static void supervisor_check_broken(many_initializer_fn *initializer, const char *words)
{
    many_pool *pool = NULL;
    many_future *future = NULL;
    many_pool_status status;
    int code;

    CHECK_CODE(
        many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2, .initializer = initializer), 0);
    /* It may be broken by now. */
    code = many_pool_submit(pool, supervised_tell, NULL, &future, .result_bytes = 64);
    if (code == 0)
        CHECK_CODE((long)many_future_result(future, NULL, 0, MANY_FOREVER), -MANY_EBROKEN);
    else
        CHECK_CODE(code, -MANY_EBROKEN);
    many_future_close(future);
    CHECK_CODE(many_pool_submit(pool, supervised_tell, NULL, &future, .result_bytes = 64),
               -MANY_EBROKEN);
    CHECK_CONTAINS(many_error_message(), words);
    CHECK(many_pool_look(pool, &status, NULL, 0) == 2);
    CHECK_EQUAL(status.broken, -MANY_EBROKEN);
    many_pool_close(pool, MANY_FOREVER);
}

TEST(a_pool_whose_initializer_fails_is_broken_and_says_why)
{
    supervisor_check_broken(supervisor_fail, "the oven is locked");
    supervisor_check_broken(supervisor_crash, "SIGSEGV");
}

/* Fails in the first two workers; the argument is a supervised_word. */
static int supervisor_fail_twice(void *argument)
{
    supervised_word *word = argument;

    return atomic_fetch_add(&word->count[1], 1) < 2 ? -1 : 0;
}

TEST(an_initializer_that_fails_now_and_then_breaks_nothing)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = NULL;

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2,
                              .initializer = supervisor_fail_twice, .initializer_argument = word),
               0);
    supervised_check_whole(pool, 2);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- the supervisor's own death, and the owner's ---- */

TEST(the_death_of_the_supervisor_costs_what_runs_and_nothing_else)
{
    supervised_word *word = test_shared(sizeof *word);
    test_census before = test_census_take();
    many_pool *pool = supervised_open(2);

    for (int round = 0; round < 5; round++) {
        pid_t supervisor = supervised_by(pool);
        many_future *running = supervised_begin(pool, word, supervised_stay), *waiting[20];

        for (long i = 0; i < 20; i++)
            CHECK_CODE(many_pool_submit(pool, supervised_square, &i, &waiting[i],
                                        .arg_bytes = sizeof i, .result_bytes = sizeof i,
                                        .retries = 1),
                       0);
        CHECK(kill(supervisor, SIGKILL) == 0);
        CHECK_CODE((long)many_future_result(running, NULL, 0, MANY_FOREVER), -MANY_EDIED);
        many_future_close(running);
        for (long i = 0; i < 20; i++) {
            long square = -1;

            CHECK_CODE(many_future_result(waiting[i], &square, sizeof square, MANY_FOREVER),
                       sizeof square);
            CHECK_EQUAL(square, i * i);
            many_future_close(waiting[i]);
        }
        CHECK(supervised_by(pool) != supervisor);
        supervised_check_whole(pool, 2);
    }
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    CHECK_CENSUS(before);
}

TEST(a_pool_whose_supervisor_is_dead_is_closed_all_the_same)
{
    for (int cut = 0; cut < 2; cut++) {
        supervised_word *word = test_shared(sizeof *word);
        many_pool *pool = supervised_open(2);
        many_future *future = supervised_begin(pool, word, supervised_stay);
        pid_t worker = atomic_load(&word->pid);

        CHECK(kill(supervised_by(pool), SIGKILL) == 0);
        many_pool_close(pool, cut ? 0 : 1000);
        CHECK(supervised_gone(worker));
        CHECK((long)many_future_result(future, NULL, 0, 0) < 0);
        many_future_close(future);
    }
}

TEST(a_supervisor_that_was_stopped_goes_on)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = supervised_open(1);
    pid_t supervisor = supervised_by(pool);
    int signal = SIGKILL;
    many_future *future = NULL;
    many_cause cause;

    (void)word;
    CHECK(kill(supervisor, SIGSTOP) == 0);
    CHECK_CODE(many_pool_submit(pool, supervised_die, &signal, &future, .arg_bytes = sizeof signal),
               0);
    CHECK_CODE(supervised_cause(future, &cause), -MANY_EDIED);
    CHECK(kill(supervisor, SIGSTOP) == 0);
    CHECK_CODE(many_pool_close(pool, 0.5), 0);
    CHECK(supervised_gone(supervisor));
}

static void supervisor_own_one(void *argument)
{
    supervised_word *word = argument;
    many_pool *pool = supervised_open(3);

    atomic_store(&word->child, (int)supervised_by(pool));
    for (int i = 0; i < 3; i++) {
        supervised_begin(pool, word, supervised_be_stubborn);
        atomic_store(&word->count[i], atomic_load(&word->pid));
    }
    raise(SIGKILL);
}

TEST(nothing_is_left_of_a_pool_whose_owner_is_killed)
{
    supervised_word *word = test_shared(sizeof *word);

    CHECK_EQUAL(test_in_child(supervisor_own_one, word), SIGKILL);
    for (int i = 0; i < 3; i++)
        UNTIL(supervised_gone(atomic_load(&word->count[i])));
    UNTIL(supervised_gone(atomic_load(&word->child)));
}

/* ---- tasks that do what they should not ---- */

static int supervisor_close_all(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    return 0;
}

static int supervisor_block_all(const void *item, void *result, void *context)
{
    sigset_t set;

    (void)item;
    (void)result;
    (void)context;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return 0;
}

/* The child comes back out of the task, as one whose exec has failed. */
static int supervisor_twin(const void *item, void *result, void *context)
{
    supervised_word *word = context;
    pid_t child = fork();

    (void)item;
    (void)result;
    if (child != 0) {
        atomic_store(&word->child, (int)child);
        waitpid(child, NULL, 0);
    }
    atomic_fetch_add(&word->count[2], 1);
    return 0;
}

TEST(a_task_may_close_descriptors_block_signals_and_fork)
{
    static many_fn *const tasks[] = {supervisor_close_all, supervisor_block_all, supervisor_twin};
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = supervised_open(1);

    for (size_t k = 0; k < sizeof tasks / sizeof tasks[0]; k++) {
        many_future *future = NULL;
        many_cause cause;
        const int signal = SIGKILL;

        CHECK_CODE(many_pool_submit(pool, tasks[k], NULL, &future, .context = word), 0);
        CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), 0);
        many_future_close(future);
        supervised_check_whole(pool, 1);
        future = supervised_begin(pool, word, supervised_stay);
        CHECK_CODE(many_future_terminate(future, 0.01), 1);
        CHECK_CODE((long)many_future_result(future, NULL, 0, MANY_FOREVER), -ECANCELED);
        many_future_close(future);
        CHECK_CODE(many_pool_submit(pool, tasks[k], NULL, &future, .context = word), 0);
        many_future_close(future);
        CHECK_CODE(many_pool_submit(pool, supervised_stay, NULL, &future, .context = word,
                                    .item_limit_s = 0.02),
                   0);
        CHECK_CODE(supervised_cause(future, &cause), -ETIMEDOUT);
        CHECK_CODE(
            many_pool_submit(pool, supervised_die, &signal, &future, .arg_bytes = sizeof signal),
            0);
        CHECK_CODE(supervised_cause(future, &cause), -MANY_EDIED);
    }
    CHECK_EQUAL(atomic_load(&word->count[2]), 4); /* twice, each by the worker and by its twin */
    supervised_check_whole(pool, 1);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int supervisor_print(const void *item, void *result, void *context)
{
    (void)result;
    (void)context;
    printf("loaf %ld;", *(const long *)item);
    return 0;
}

static void supervisor_read_along(void *argument)
{
    many_pool *pool = NULL;
    int pipe_ends[2], spare;

    (void)argument;
    CHECK(pipe(pipe_ends) == 0);
    fflush(stdout);
    spare = dup(STDOUT_FILENO);
    CHECK(dup2(pipe_ends[1], STDOUT_FILENO) == STDOUT_FILENO);
    pool = supervised_open(1);
    CHECK(dup2(spare, STDOUT_FILENO) == STDOUT_FILENO);
    CHECK(fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK) == 0);
    for (long i = 0; i < 5; i++) {
        char text[64] = "", expected[64];
        long none = 0;

        snprintf(expected, sizeof expected, "loaf %ld;", i);
        CHECK_CODE(many_pool_apply_with(pool, supervisor_print, &i, sizeof i, NULL, 0, NULL), 0);
        (void)none;
        CHECK(read(pipe_ends[0], text, sizeof text - 1) > 0);
        CHECK_STRING(text, expected);
    }
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(what_a_task_prints_is_out_before_its_future_is_over)
{
    CHECK_EQUAL(test_in_child(supervisor_read_along, NULL), 0);
}
