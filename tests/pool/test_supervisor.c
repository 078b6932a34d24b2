/* SPDX-License-Identifier: MIT */
/* test_supervisor.c - the processes of a pool: made, limited, ended, replaced */
#include "pool/supervised.h"

#include <signal.h>
#include <sys/mman.h>

#include <many/pool_map.h>

/* ---- who is who ---- */

TEST(workers_are_children_of_one_small_process_and_lead_their_own_groups)
{
    test_census before = test_census_take();
    many_pool *pool = supervised_open(2);
    pid_t supervisor = supervised_by(pool);

    CHECK(supervisor != getpid() && !supervised_gone(supervisor));
    for (int i = 0; i < 50; i++) {
        supervised_who who;
        const char none = 0;

        CHECK_CODE(many_pool_apply(pool, supervised_tell, &none, &who), 0);
        CHECK_EQUAL(who.parent, supervisor);
        CHECK_EQUAL(who.group, who.pid);
        CHECK(who.worker == 0 || who.worker == 1);
    }
    CHECK_EQUAL(many_process_children(NULL, 0), 0);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    CHECK(supervised_gone(supervisor));
    CHECK_CENSUS(before);
}

static int supervisor_name(const void *item, void *result, void *context)
{
    (void)item;
    (void)context;
    snprintf(result, 80, "%s of %s", many_process_name(many_process_current()),
             many_process_name(many_process_parent()));
    return many_process_pid(many_process_parent()) == *(const pid_t *)item ? 0 : -1;
}

TEST(workers_know_their_names_and_that_the_owner_is_their_parent)
{
    many_pool *pool = NULL;
    const pid_t me = getpid();
    char name[80];

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 1, .name = "bakers"), 0);
    CHECK_CODE(many_pool_apply_with(pool, supervisor_name, &me, sizeof me, name, sizeof name, NULL),
               0);
    CHECK_STRING(name, "bakers worker 0 of MainProcess");
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- deaths ---- */

TEST(a_worker_that_dies_fails_its_task_alone_and_is_replaced)
{
    static const int signals[] = {SIGSEGV, SIGKILL, SIGABRT, SIGTERM};
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = supervised_open(2);
    many_future *other = supervised_begin(pool, word, supervised_stay);
    const size_t count = sizeof signals / sizeof signals[0];

    for (size_t i = 0; i < count; i++) {
        many_future *future = NULL;
        many_cause cause;

        CHECK_CODE(many_pool_submit(pool, supervised_die, &signals[i], &future,
                                    .arg_bytes = sizeof signals[i], .name = "doomed"),
                   0);
        CHECK_CODE(supervised_cause(future, &cause), -MANY_EDIED);
        CHECK_EQUAL(cause.signal, signals[i]);
        CHECK_EQUAL(cause.exit_status, -1);
        CHECK(cause.pid > 0 && cause.worker >= 0);
        CHECK_CONTAINS(cause.text, "task 'doomed' (");
        CHECK_CONTAINS(cause.text, "died of SIG");
    }
    atomic_store(&word->gate, 1);
    CHECK_CODE(many_future_result(other, NULL, 0, MANY_FOREVER), 0);
    many_future_close(other);
    supervised_check_whole(pool, 2);
    CHECK_EQUAL(supervised_died(pool), count);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(a_task_that_exits_fails_with_its_status)
{
    many_pool *pool = supervised_open(1);

    for (int status = 0; status < 3; status++) {
        many_future *future = NULL;
        many_cause cause;

        CHECK_CODE(
            many_pool_submit(pool, supervised_exit, &status, &future, .arg_bytes = sizeof status),
            0);
        CHECK_CODE(supervised_cause(future, &cause), -MANY_EDIED);
        CHECK_EQUAL(cause.exit_status, status);
        CHECK_EQUAL(cause.signal, 0);
        CHECK_CONTAINS(cause.text, "its worker exited with");
    }
    supervised_check_whole(pool, 1);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* item: how often it dies before it does not; context: a supervised_word that counts. */
static int supervisor_die_so_often(const void *item, void *result, void *context)
{
    supervised_word *word = context;

    if (atomic_fetch_add(&word->count[0], 1) < *(const int *)item)
        raise(SIGKILL);
    *(int *)result = atomic_load(&word->count[0]);
    return 0;
}

TEST(a_task_is_tried_again_after_a_death_as_often_as_it_may_be)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = supervised_open(2);
    many_future *future = NULL;
    many_cause cause;
    int deaths = 3, tries = 0;

    CHECK_CODE(many_pool_submit(pool, supervisor_die_so_often, &deaths, &future,
                                .arg_bytes = sizeof deaths, .result_bytes = sizeof tries,
                                .context = word, .retries = 3),
               0);
    CHECK_CODE(many_future_result(future, &tries, sizeof tries, MANY_FOREVER), sizeof tries);
    CHECK_EQUAL(tries, 4);
    many_future_close(future);

    atomic_store(&word->count[0], 0);
    CHECK_CODE(many_pool_submit(pool, supervisor_die_so_often, &deaths, &future,
                                .arg_bytes = sizeof deaths, .result_bytes = sizeof tries,
                                .context = word, .retries = 2),
               0);
    CHECK_CODE(supervised_cause(future, &cause), -MANY_EDIED);
    CHECK_EQUAL(cause.tries, 3);
    CHECK_CONTAINS(cause.text, "try 3");
    CHECK_EQUAL(atomic_load(&word->count[0]), 3);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- limits ---- */

TEST(a_task_over_its_limit_of_time_is_ended_and_not_before)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = supervised_open(2);
    const double began = test_seconds();
    many_future *future = NULL;
    many_cause cause;

    CHECK_CODE(many_pool_submit(pool, supervised_stay, NULL, &future, .context = word,
                                .name = "slow", .item_limit_s = 0.1),
               0);
    CHECK_CODE(supervised_cause(future, &cause), -ETIMEDOUT);
    CHECK(test_seconds() - began >= 0.1);
    CHECK(cause.over_limit && cause.code == -ETIMEDOUT);
    CHECK_CONTAINS(cause.text, "task 'slow' (");
    CHECK_CONTAINS(cause.text, "was over its limit of 0.1 s");
    supervised_check_whole(pool, 2);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(the_limit_of_a_pool_holds_for_each_task_and_a_task_may_have_its_own)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = NULL;
    many_future *future = NULL, *longer = NULL;
    many_cause cause;

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2, .item_limit_s = 0.05),
               0);
    CHECK_CODE(many_pool_submit(pool, supervised_stay, NULL, &longer, .context = word,
                                .item_limit_s = 1000),
               0);
    UNTIL(atomic_load(&word->begun) == 1);
    CHECK_CODE(many_pool_submit(pool, supervised_stay, NULL, &future, .context = word), 0);
    CHECK_CODE(supervised_cause(future, &cause), -ETIMEDOUT);
    CHECK_EQUAL(many_future_done(longer), 0);
    atomic_store(&word->gate, 1);
    CHECK_CODE(many_future_result(longer, NULL, 0, MANY_FOREVER), 0);
    many_future_close(longer);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(many_short_tasks_with_a_limit_are_all_done)
{
    many_pool *pool = supervised_open(2);

    for (long i = 0; i < 2000; i++) {
        many_future *future = NULL;
        long square = -1;

        CHECK_CODE(many_pool_submit(pool, supervised_square, &i, &future, .arg_bytes = sizeof i,
                                    .result_bytes = sizeof square, .item_limit_s = 100),
                   0);
        CHECK_CODE(many_future_result(future, &square, sizeof square, MANY_FOREVER), sizeof square);
        CHECK_EQUAL(square, i * i);
        many_future_close(future);
    }
    CHECK_EQUAL(supervised_died(pool), 0);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* item: bytes. */
static int supervisor_swell(const void *item, void *result, void *context)
{
    const size_t bytes = *(const size_t *)item;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return -ENOMEM;
    memset(memory, 1, bytes);
    return supervised_stay(item, result, context);
}

TEST(a_task_over_its_limit_of_memory_is_ended_with_its_peak_in_words)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = supervised_open(2);
    size_t bytes = (size_t)96 << 20;
    many_future *future = NULL;
    many_cause cause;

    CHECK_CODE(many_pool_submit(pool, supervisor_swell, &bytes, &future, .arg_bytes = sizeof bytes,
                                .context = word, .item_limit_bytes = (uint64_t)64 << 20),
               0);
    CHECK_CODE(supervised_cause(future, &cause), -ENOMEM);
    CHECK_EQUAL(cause.code, -ENOMEM);
    CHECK(cause.peak_bytes > (uint64_t)64 << 20);
    CHECK_CONTAINS(cause.text, "was over its limit of 64.0 MiB and was killed");
    CHECK_CONTAINS(cause.text, "at most ");
    atomic_store(&word->gate, 1);
    bytes = (size_t)8 << 20;
    CHECK_CODE(many_pool_submit(pool, supervisor_swell, &bytes, &future, .arg_bytes = sizeof bytes,
                                .context = word, .item_limit_bytes = (uint64_t)1 << 30),
               0);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), 0);
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* Item 5 of context's counters stays; all count. */
static int supervisor_stay_at_five(const void *item, void *result, void *context)
{
    supervised_word *word = context;
    const int number = *(const int *)item;

    atomic_fetch_add(&word->count[number], 1);
    if (number == 5)
        return supervised_stay(item, NULL, context);
    *(int *)result = number;
    return 0;
}

TEST(an_item_of_a_map_over_its_limit_is_ended_alone)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = supervised_open(2);
    int in[20], out[20], codes[20];
    many_cause cause;

    for (int i = 0; i < 20; i++)
        in[i] = i;
    CHECK_CODE(many_pool_map(pool, supervisor_stay_at_five, in, out, 20, .chunk = 10,
                             .context = word, .codes = codes, .cause = &cause,
                             .on_error = MANY_GO_ON, .item_limit_s = 0.05),
               1);
    for (int i = 0; i < 20; i++) {
        CHECK_EQUAL(atomic_load(&word->count[i]), 1);
        CHECK_EQUAL(codes[i], i == 5 ? -ETIMEDOUT : 0);
        CHECK(i == 5 || out[i] == i);
    }
    CHECK_EQUAL(cause.item, 5);
    CHECK_CONTAINS(cause.text, "item 5 was over its limit of 0.05 s and was killed");
    supervised_check_whole(pool, 2);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- terminate ---- */

static int supervisor_listen(const void *item, void *result, void *context)
{
    supervised_word *word = context;

    (void)item;
    (void)result;
    atomic_fetch_add(&word->begun, 1);
    while (!many_cancelled())
        poll(NULL, 0, 1);
    atomic_fetch_add(&word->count[0], 1);
    return 0;
}

TEST(a_terminated_task_that_asks_may_come_to_its_own_end)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = supervised_open(1);
    many_future *future = supervised_begin(pool, word, supervisor_listen);

    CHECK_CODE(many_future_terminate(future, 1000), 1);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -ECANCELED);
    CHECK_EQUAL(many_future_cancelled(future), 1);
    CHECK_EQUAL(atomic_load(&word->count[0]), 1);
    CHECK_CODE(many_future_terminate(future, 0), 0);
    many_future_close(future);
    CHECK_EQUAL(supervised_died(pool), 0);
    supervised_check_whole(pool, 1);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static void supervisor_count_signal(int signal)
{
    (void)signal;
    raise(SIGUSR1); /* at its default: the end, and another one than that of SIGTERM */
}

static int supervisor_catch(const void *item, void *result, void *context)
{
    signal(SIGTERM, supervisor_count_signal);
    return supervised_stay(item, result, context);
}

TEST(a_terminated_task_gets_sigterm_after_its_grace)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = supervised_open(1);
    many_future *future = supervised_begin(pool, word, supervisor_catch);
    const pid_t pid = atomic_load(&word->pid);

    CHECK_CODE(many_future_terminate(future, 0.02), 1);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -ECANCELED);
    CHECK(supervised_gone(pid));
    many_future_close(future);
    supervised_check_whole(pool, 1);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(a_terminated_task_that_ignores_sigterm_is_killed_after_a_second_grace)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = supervised_open(1);
    many_future *future = supervised_begin(pool, word, supervised_be_stubborn);
    many_cause cause;

    CHECK_CODE(many_future_terminate(future, 0.02), 1);
    CHECK_CODE(supervised_cause(future, &cause), -ECANCELED);
    CHECK_EQUAL(cause.cancelled, 1);
    CHECK_CONTAINS(cause.text, "was cancelled");
    supervised_check_whole(pool, 1);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

static int supervisor_have_child(const void *item, void *result, void *context)
{
    supervised_word *word = context;
    pid_t child = fork();

    if (child == 0) {
        atomic_store(&word->child, (int)getpid());
        for (;;)
            pause();
    }
    UNTIL(atomic_load(&word->child) != 0);
    return supervised_stay(item, result, context);
}

TEST(what_a_terminated_task_has_started_ends_with_it)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = supervised_open(1);
    many_future *future = supervised_begin(pool, word, supervisor_have_child);

    CHECK(!supervised_gone(atomic_load(&word->child)));
    CHECK_CODE(many_future_terminate(future, 0), 1);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -ECANCELED);
    many_future_close(future);
    UNTIL(supervised_gone(atomic_load(&word->child)));
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(to_terminate_a_task_hurts_no_other)
{
    supervised_word *word = test_shared(sizeof *word);
    many_pool *pool = supervised_open(2);
    many_future *other = supervised_begin(pool, word, supervised_stay);

    for (int i = 0; i < 20; i++) {
        many_future *future = supervised_begin(pool, word, supervised_stay);

        CHECK_CODE(many_future_terminate(future, 0), 1);
        CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -ECANCELED);
        many_future_close(future);
    }
    CHECK_EQUAL(many_future_done(other), 0);
    atomic_store(&word->gate, 1);
    CHECK_CODE(many_future_result(other, NULL, 0, MANY_FOREVER), 0);
    many_future_close(other);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(a_pool_that_is_terminated_cancels_all_and_leaves_no_process)
{
    supervised_word *word = test_shared(sizeof *word);
    test_census before = test_census_take();
    many_pool *pool = supervised_open(2);
    many_future *futures[10];
    pid_t supervisor = supervised_by(pool);

    futures[0] = supervised_begin(pool, word, supervised_be_stubborn);
    futures[1] = supervised_begin(pool, word, supervised_be_stubborn);
    for (int i = 2; i < 10; i++)
        CHECK_CODE(many_pool_submit(pool, supervised_stay, NULL, &futures[i], .context = word), 0);
    CHECK_CODE(many_pool_terminate(pool), 0);
    CHECK(supervised_gone(supervisor));
    CHECK(supervised_gone(atomic_load(&word->pid)));
    for (int i = 0; i < 10; i++) {
        CHECK_CODE(many_future_result(futures[i], NULL, 0, 0), -ECANCELED);
        many_future_close(futures[i]);
    }
    CHECK_CODE(many_pool_submit(pool, supervised_stay, NULL, &futures[0], .context = word),
               -ESHUTDOWN);
    CHECK_CODE(many_pool_close(pool, 0), 0);
    CHECK_CENSUS(before);
}
