/* SPDX-License-Identifier: MIT */
/*
 * test_limits.c - a hung item is ended by its limit, and no other item is
 *
 * Never before the limit: that is asserted to the nanosecond. Not long after it: the promise is
 * 1.25 x limit + 50 ms; a machine that is busy with other things gets LIMITS_SLACK_S more. Such a
 * machine may also keep an item that does nothing from its core for longer than the limit. Then
 * that one was over it, too, and the test tries again with a limit twice as long.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <many/map.h>

#include "base/fault.h"
#include "kill/ledger.h"
#include "test.h"

#define LIMITS_SLACK_S (30.0 * test_slowness())
#define LIMITS_MOST_S  20.0
#define LIMITS_ITEMS   30
#define LIMITS_ITEM    17 /* the one that hangs */

typedef void limits_way(void);

/* In shared memory. */
typedef struct limits_job {
    limits_way *hang;
    double limit_s;
    double begun[256]; /* when each item was entered last */
    double ended;      /* when the outcome of LIMITS_ITEM was seen */
    _Atomic uint32_t entered[256];
    _Atomic uint32_t over; /* outcomes of -ETIMEDOUT */
} limits_job;

static int limits_task(const void *item, void *result, void *context)
{
    limits_job *job = context;
    size_t i = many_item_index();

    (void)item;
    (void)result;
    job->begun[i] = test_seconds();
    atomic_fetch_add(&job->entered[i], 1);
    if (i == LIMITS_ITEM)
        job->hang();
    return 0;
}

static void limits_pause(void)
{
    for (;;)
        pause();
}

static void limits_spin(void)
{
    for (volatile int forever = 1; forever;) {
    }
}

/* A stopped process does not run even to die of most signals. */
static void limits_stop(void)
{
    for (;;)
        raise(SIGSTOP);
}

static void limits_block_all(void)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    limits_pause();
}

/* Was another item over its limit than the one that hangs? Or was a try of that over before it
 * began? Nobody was without having been in fn, or kept from it, for so long. */
static int limits_disturbed(const limits_job *job, const int *codes, uint32_t tries)
{
    const double now = test_seconds();
    int disturbed = 0;

    for (int i = 0; i < LIMITS_ITEMS; i++) {
        CHECK(job->entered[i] <= tries);
        if (i == LIMITS_ITEM) {
            disturbed = disturbed || job->entered[i] < tries;
        } else if (codes[i] == -ETIMEDOUT || job->entered[i] > 1) {
            CHECK(job->entered[i] == 0 || now - job->begun[i] >= job->limit_s ||
                  (codes[i] == 0 && job->entered[i] > 1));
            disturbed = 1;
        }
    }
    return disturbed;
}

static int limits_hang_once(limits_job *job, double limit_s, int retries, size_t chunk)
{
    many_cause cause = {.code = 0};
    int codes[LIMITS_ITEMS], in[LIMITS_ITEMS] = {0}, code;
    double after;
    test_census census = test_census_take();

    job->limit_s = limit_s;
    memset(job->entered, 0, sizeof job->entered);
    code = many_process_each(limits_task, in, LIMITS_ITEMS, .workers = 3, .chunk = chunk,
                             .context = job, .codes = codes, .cause = &cause, .retries = retries,
                             .on_error = MANY_GO_ON, .item_limit_s = limit_s);
    after = test_seconds() - job->begun[LIMITS_ITEM];
    CHECK_CODE(codes[LIMITS_ITEM], -ETIMEDOUT);
    CHECK_CENSUS(census);
    if (limits_disturbed(job, codes, 1 + (uint32_t)retries))
        return 0;
    CHECK_CODE(code, 1);
    for (int i = 0; i < LIMITS_ITEMS; i++) {
        CHECK_CODE(codes[i], i == LIMITS_ITEM ? -ETIMEDOUT : 0);
        CHECK_EQUAL(job->entered[i], i == LIMITS_ITEM ? 1 + retries : 1);
    }
    CHECK(after >= limit_s);
    CHECK(after <= 1.25 * limit_s + 0.05 + LIMITS_SLACK_S);
    CHECK_EQUAL(cause.item, LIMITS_ITEM);
    CHECK_CODE(cause.code, -ETIMEDOUT);
    CHECK_EQUAL(cause.signal, SIGKILL);
    CHECK_EQUAL(cause.tries, 1 + retries);
    CHECK(cause.seconds >= limit_s);
    CHECK_CONTAINS(cause.text, "over its limit");
    return 1;
}

/* chunk: 1, or several, so that the one that hangs has neighbours before and after it. */
static void limits_hang(limits_way *hang, double limit_s, int retries, size_t chunk)
{
    limits_job *job = test_shared(sizeof *job);

    job->hang = hang;
    for (; !limits_hang_once(job, limit_s, retries, chunk); limit_s *= 2)
        CHECK(limit_s < LIMITS_MOST_S);
}

TEST(item_that_sleeps_for_ever_is_ended_by_its_limit)
{
    limits_hang(limits_pause, 0.2, 0, 1);
    limits_hang(limits_pause, 0.2, 0, 10);
}

TEST(item_that_spins_for_ever_is_ended_by_its_limit)
{
    limits_hang(limits_spin, 0.1, 0, 0);
}

TEST(item_that_is_stopped_is_ended_by_its_limit)
{
    limits_hang(limits_stop, 0.1, 0, 5);
}

TEST(item_that_blocks_all_signals_is_ended_by_its_limit)
{
    limits_hang(limits_block_all, 0.1, 0, 5);
}

TEST(limit_counts_for_each_try)
{
    limits_hang(limits_pause, 0.1, 2, 3);
}

TEST(limit_of_a_millisecond_is_a_limit)
{
    limits_hang(limits_pause, 0.001, 0, 10);
}

static int limits_no_pidfd(const char *point)
{
    return strcmp(point, "pidfd.open") == 0 ? -ENOSYS : 0;
}

TEST(limit_acts_where_there_are_no_pidfds)
{
    many_fault_hook_ = limits_no_pidfd;
    limits_hang(limits_spin, 0.05, 0, 4);
    many_fault_hook_ = NULL;
}

TEST(hung_item_stops_a_map_that_is_to_stop)
{
    limits_job *job = test_shared(sizeof *job);
    int codes[LIMITS_ITEMS], in[LIMITS_ITEMS] = {0};
    double limit_s = 0.1;
    char words[64];

    job->hang = limits_pause;
    for (;; limit_s *= 2) {
        CHECK(limit_s < LIMITS_MOST_S);
        CHECK_CODE(many_process_each(limits_task, in, LIMITS_ITEMS, .workers = 2, .context = job,
                                     .codes = codes, .item_limit_s = limit_s),
                   -ETIMEDOUT);
        if (codes[LIMITS_ITEM] != -ECANCELED && strstr(many_error_message(), "item 17 ") != NULL)
            break; /* else another item was over it, on a busy machine */
    }
    snprintf(words, sizeof words, "item 17 was over its limit of %g s", limit_s);
    CHECK_CONTAINS(many_error_message(), words);
    CHECK_CODE(codes[LIMITS_ITEM], -ETIMEDOUT);
}

/* ---- who is below the limit ---- */

static int limits_some_time(const void *item, void *result, void *context)
{
    limits_job *job = context;
    size_t i = many_item_index();

    (void)result;
    job->begun[i] = test_seconds();
    ledger_spin(*(const double *)item);
    return 0;
}

static double limits_short, limits_long; /* how long items are, in parts of the limit */
static size_t limits_given, limits_give;

static int limits_next(void *item, void *context)
{
    const limits_job *job = context;
    double part = (double)(ledger_hash(limits_given) % 1000) / 1000;

    if (limits_given == limits_give)
        return 0;
    *(double *)item = job->limit_s * (limits_short + part * (limits_long - limits_short));
    limits_given++;
    return 1;
}

/* Who is said to have been over the limit, was. */
static int limits_take(const many_outcome *outcome, void *context)
{
    limits_job *job = context;
    double after = test_seconds() - job->begun[outcome->index];

    if (outcome->code == 0)
        return 0;
    CHECK_CODE(outcome->code, -ETIMEDOUT);
    CHECK(after >= job->limit_s);
    atomic_fetch_add(&job->over, 1);
    return 0;
}

static void limits_stream(int workers, size_t window, double limit_s, size_t items, double least,
                          double most)
{
    limits_job *job = test_shared(sizeof *job);
    int code;

    CHECK(items <= 256);
    job->limit_s = limit_s;
    limits_short = least;
    limits_long = most;
    limits_given = 0;
    limits_give = items;
    code = many_process_map(limits_some_time, (double *)NULL, (char *)NULL, 0, .workers = workers,
                            .window = window, .item_limit_s = limit_s, .next = limits_next,
                            .next_context = job, .on_result = limits_take, .on_result_context = job,
                            .context = job, .on_error = MANY_GO_ON);
    CHECK_CODE(code, (long)atomic_load(&job->over));
    if (least > 1.25)
        CHECK(atomic_load(&job->over) > 0);
}

TEST(items_below_the_limit_are_left_alone)
{
    /* Some hundred limits long, through one slot, two, and many: nobody's age is another's. */
    limits_stream(1, 1, 0.02, 250, 0.02, 0.3);
    limits_stream(1, 2, 0.01, 250, 0.1, 0.1);
    limits_stream(2, 2, 0.02, 250, 0.02, 0.3);
    limits_stream(3, 0, 0.02, 250, 0.02, 0.3);
}

TEST(items_around_the_limit_are_ended_not_before_it)
{
    limits_stream(2, 3, 0.01, 100, 0.5, 3);
    limits_stream(3, 0, 0.01, 100, 0.5, 3);
}

/* ---- one slot, one worker, one item after another ---- */

static limits_job *limits_shared;
static _Atomic uint32_t *limits_marks; /* items whose outcome is in their slot */

static int limits_count_marks(const char *point)
{
    if (strcmp(point, "done-mark") == 0)
        atomic_fetch_add(limits_marks, 1);
    return 0;
}

/* Odd items end when the outcome of the one before is being handed out. */
static int limits_in_step(const void *item, void *result, void *context)
{
    limits_job *job = context;
    size_t i = many_item_index();

    (void)item;
    (void)result;
    job->begun[i] = test_seconds();
    if (i == 0)
        ledger_spin(0.005); /* the supervisor sleeps by then, and is woken */
    if (i % 2 == 1)
        UNTIL(atomic_load(&job->entered[i - 1]) > 0);
    return 0;
}

static int limits_next_in_step(void *item, void *context)
{
    const double end = test_seconds() + limits_shared->limit_s;

    (void)context;
    if (limits_given == limits_give)
        return 0;
    /* Out of step is an item that was over its limit, because nobody had a core for it. */
    if (limits_given % 2 == 1 && limits_given > 1)
        UNTIL(atomic_load(limits_marks) >= limits_given || test_seconds() > end);
    *(char *)item = 0;
    limits_given++;
    return 1;
}

static int limits_take_in_step(const many_outcome *outcome, void *context)
{
    limits_job *job = context;

    atomic_store(&job->entered[outcome->index], 1);
    if (outcome->code != 0)
        atomic_fetch_add(limits_marks, 1); /* and in step again */
    if (outcome->code == 0 && outcome->index % 2 == 0) {
        double end = test_seconds() + job->limit_s / 3; /* it may have been ended, wrongly */

        UNTIL(atomic_load(limits_marks) >= outcome->index + 2 || test_seconds() > end);
    }
    return limits_take(outcome, context);
}

/*
 * Two slots and one worker, held in step so that whenever the supervisor looks, the worker runs an
 * item in the second slot, each time another one. Their ages must not add up.
 */
TEST(limit_does_not_add_up_over_the_items_of_a_slot)
{
    int code;

    limits_shared = test_shared(sizeof *limits_shared);
    limits_marks = test_shared(sizeof *limits_marks);
    limits_shared->limit_s = 0.15;
    limits_given = 0;
    limits_give = 250; /* 2 ms, the nap of the supervisor, each two of them */
    many_fault_hook_ = limits_count_marks;
    code =
        many_process_map(limits_in_step, (char *)NULL, (char *)NULL, 0, .workers = 1, .window = 2,
                         .item_limit_s = limits_shared->limit_s, .next = limits_next_in_step,
                         .on_result = limits_take_in_step, .on_result_context = limits_shared,
                         .context = limits_shared, .on_error = MANY_GO_ON);
    many_fault_hook_ = NULL;
    CHECK_CODE(code, (long)atomic_load(&limits_shared->over));
}
