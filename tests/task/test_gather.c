/* SPDX-License-Identifier: MIT */
/* test_gather.c - several futures: concurrent.futures.wait and as_completed */
#include "test.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <many/future.h>

#define COUNT 5

typedef struct several {
    many_future *futures[COUNT];
    int over[COUNT];
} several;

static void open_all(several *all)
{
    memset(all, 0, sizeof *all);
    for (int i = 0; i < COUNT; i++)
        CHECK_CODE(many_future_open(&all->futures[i]), 0);
}

static void close_all(several *all)
{
    for (int i = 0; i < COUNT; i++)
        many_future_close(all->futures[i]);
}

static void set(several *all, int i)
{
    CHECK_CODE(many_future_set_result(all->futures[i], &i, sizeof i), 0);
}

static ssize_t wait_all(several *all, int wait_for, double timeout_s)
{
    memset(all->over, 0xFF, sizeof all->over);
    return many_futures_wait(all->futures, COUNT, wait_for, all->over, timeout_s);
}

/* Flags as "01100". */
static const char *flags(const several *all)
{
    static char text[COUNT + 1];

    for (int i = 0; i < COUNT; i++)
        text[i] = all->over[i] == 0 ? '0' : all->over[i] == 1 ? '1' : '?';
    return text;
}

TEST(all_completed_means_all_however_they_ended)
{
    several all;

    open_all(&all);
    CHECK_CODE(wait_all(&all, MANY_ALL_COMPLETED, 0), -ETIMEDOUT);
    CHECK_STRING(flags(&all), "00000");
    set(&all, 1);
    CHECK_CODE(many_future_set_failure(all.futures[3], -EIO, NULL), 0);
    CHECK_CODE(wait_all(&all, MANY_ALL_COMPLETED, 0.01), -ETIMEDOUT);
    CHECK_STRING(flags(&all), "01010");
    CHECK_CONTAINS(many_error_message(), "2 of 5 are over after 0.01 s");
    CHECK_EQUAL(many_future_cancel(all.futures[0]), 1);
    set(&all, 2);
    set(&all, 4);
    CHECK_CODE(wait_all(&all, MANY_ALL_COMPLETED, 0), 5);
    CHECK_STRING(flags(&all), "11111");
    CHECK_CODE(wait_all(&all, MANY_ALL_COMPLETED, MANY_FOREVER), 5);
    close_all(&all);
}

TEST(first_completed_means_any)
{
    several all;

    open_all(&all);
    CHECK_CODE(wait_all(&all, MANY_FIRST_COMPLETED, 0), -ETIMEDOUT);
    CHECK_CODE(wait_all(&all, MANY_FIRST_COMPLETED, 0.01), -ETIMEDOUT);
    CHECK_STRING(flags(&all), "00000");
    set(&all, 3);
    CHECK_CODE(wait_all(&all, MANY_FIRST_COMPLETED, 0), 1);
    CHECK_STRING(flags(&all), "00010");
    CHECK_EQUAL(many_future_cancel(all.futures[0]), 1);
    CHECK_CODE(wait_all(&all, MANY_FIRST_COMPLETED, MANY_FOREVER), 2);
    CHECK_STRING(flags(&all), "10010");
    close_all(&all);
}

TEST(first_exception_means_the_first_failure_or_all)
{
    several all;

    for (int how = 0; how < 3; how++) {
        open_all(&all);
        set(&all, 0);
        CHECK_CODE(wait_all(&all, MANY_FIRST_EXCEPTION, 0), -ETIMEDOUT);
        CHECK_STRING(flags(&all), "10000");
        CHECK_CODE(wait_all(&all, MANY_FIRST_EXCEPTION, 0.01), -ETIMEDOUT);
        if (how == 0) {
            CHECK_CODE(many_future_set_failure(all.futures[2], -EIO, NULL), 0);
            CHECK_CODE(wait_all(&all, MANY_FIRST_EXCEPTION, MANY_FOREVER), 2);
            CHECK_STRING(flags(&all), "10100");
        } else if (how == 1) { /* a cancelled one has not failed */
            CHECK_EQUAL(many_future_cancel(all.futures[4]), 1);
            CHECK_CODE(wait_all(&all, MANY_FIRST_EXCEPTION, 0.01), -ETIMEDOUT);
            CHECK_STRING(flags(&all), "10001");
            CHECK_CODE(many_future_set_failure(all.futures[1], -EIO, NULL), 0);
            CHECK_CODE(wait_all(&all, MANY_FIRST_EXCEPTION, MANY_FOREVER), 3);
            CHECK_STRING(flags(&all), "11001");
        } else { /* none fails */
            for (int i = 1; i < COUNT; i++)
                set(&all, i);
            CHECK_CODE(wait_all(&all, MANY_FIRST_EXCEPTION, MANY_FOREVER), COUNT);
        }
        close_all(&all);
    }
}

typedef struct setter {
    pthread_t thread;
    several *all;
    const int *order; /* ends with -1 */
    int fail;         /* this one fails; -1 */
} setter;

static void *set_in_order(void *argument)
{
    setter *self = argument;

    for (const int *i = self->order; *i >= 0; i++)
        if (*i == self->fail)
            CHECK_CODE(many_future_set_failure(self->all->futures[*i], -EIO, NULL), 0);
        else
            set(self->all, *i);
    return NULL;
}

static void set_elsewhere(setter *self, several *all, const int *order, int fail)
{
    *self = (setter){.all = all, .order = order, .fail = fail};
    CHECK_EQUAL(pthread_create(&self->thread, NULL, set_in_order, self), 0);
}

TEST(a_wait_is_woken_by_what_it_waits_for)
{
    static const int one[] = {2, -1}, every[] = {4, 0, 2, 1, 3, -1};

    for (int round = 0; round < 50; round++) {
        several all;
        setter other;

        open_all(&all);
        set_elsewhere(&other, &all, one, -1);
        CHECK_CODE(wait_all(&all, MANY_FIRST_COMPLETED, MANY_FOREVER), 1);
        CHECK_STRING(flags(&all), "00100");
        pthread_join(other.thread, NULL);
        close_all(&all);

        open_all(&all);
        set_elsewhere(&other, &all, every, -1);
        CHECK_CODE(wait_all(&all, MANY_ALL_COMPLETED, MANY_FOREVER), COUNT);
        pthread_join(other.thread, NULL);
        close_all(&all);

        open_all(&all);
        set_elsewhere(&other, &all, every, 2);
        CHECK(wait_all(&all, MANY_FIRST_EXCEPTION, MANY_FOREVER) >= 3);
        CHECK_EQUAL(all.over[2], 1);
        pthread_join(other.thread, NULL);
        close_all(&all);
    }
}

TEST(a_wait_ends_at_its_deadline)
{
    several all;

    open_all(&all);
    for (int wait_for = MANY_ALL_COMPLETED; wait_for <= MANY_FIRST_EXCEPTION; wait_for++) {
        double begin = test_seconds();

        CHECK_CODE(wait_all(&all, wait_for, 0.05), -ETIMEDOUT);
        CHECK(test_seconds() - begin >= 0.05);
    }
    close_all(&all);
}

TEST(nulls_and_duplicates_and_nothing_are_fine)
{
    several all;
    many_future *list[4];
    int over[4];

    open_all(&all);
    CHECK_CODE(many_futures_wait(NULL, 0, MANY_ALL_COMPLETED, NULL, MANY_FOREVER), 0);
    memset(list, 0, sizeof list);
    CHECK_CODE(many_futures_wait(list, 4, MANY_FIRST_COMPLETED, over, MANY_FOREVER), 0);
    list[1] = list[3] = all.futures[0];
    CHECK_CODE(many_futures_wait(list, 4, MANY_FIRST_COMPLETED, over, 0.01), -ETIMEDOUT);
    set(&all, 0);
    CHECK_CODE(many_futures_wait(list, 4, MANY_FIRST_EXCEPTION, over, MANY_FOREVER), 2);
    CHECK_EQUAL(over[0] + 10 * over[1] + 100 * over[2] + 1000 * over[3], 1010);
    close_all(&all);
}

TEST(arguments_that_make_no_sense_are_refused)
{
    several all;
    many_completed *completed = NULL;
    many_future *future = NULL;

    open_all(&all);
    CHECK_CODE(many_futures_wait(NULL, 1, MANY_ALL_COMPLETED, NULL, 0), -EINVAL);
    CHECK_CODE(many_futures_wait(all.futures, COUNT, 3, NULL, 0), -EINVAL);
    CHECK_CODE(many_futures_wait(all.futures, COUNT, -1, NULL, 0), -EINVAL);
    CHECK_CODE(many_futures_wait(all.futures, COUNT, MANY_ALL_COMPLETED, NULL, NAN), -EINVAL);
    CHECK_CODE(many_futures_wait(all.futures, COUNT, MANY_ALL_COMPLETED, NULL, -2), -EINVAL);
    CHECK_CODE(many_completed_open(NULL, all.futures, COUNT), -EINVAL);
    CHECK_CODE(many_completed_open(&completed, NULL, 1), -EINVAL);
    CHECK(completed == NULL);
    CHECK_CODE(many_completed_open(&completed, all.futures, COUNT), 0);
    CHECK_CODE(many_completed_next(NULL, &future, 0), -EINVAL);
    CHECK_CODE(many_completed_next(completed, NULL, 0), -EINVAL);
    CHECK_CODE(many_completed_next(completed, &future, NAN), -EINVAL);
    many_completed_close(completed);
    many_completed_close(NULL);
    close_all(&all);
}

/* ---- as completed ---- */

static int number_of(const several *all, const many_future *future)
{
    for (int i = 0; i < COUNT; i++)
        if (all->futures[i] == future)
            return i;
    return -1;
}

TEST(as_completed_hands_out_in_the_order_of_the_ends)
{
    static const int order[] = {3, 0, 4, 1, 2};
    several all;
    many_completed *completed = NULL;
    many_future *future = NULL;

    open_all(&all);
    set(&all, order[0]); /* over before: comes first */
    CHECK_CODE(many_completed_open(&completed, all.futures, COUNT), 0);
    for (int i = 1; i < COUNT; i++)
        set(&all, order[i]);
    for (int i = 0; i < COUNT; i++) {
        CHECK_CODE(many_completed_next(completed, &future, i % 2 == 0 ? 0 : MANY_FOREVER), 1);
        CHECK_EQUAL(number_of(&all, future), order[i]);
    }
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 0);
    CHECK(future == NULL);
    CHECK_CODE(many_completed_next(completed, &future, 0), 0);
    many_completed_close(completed);
    close_all(&all);
}

TEST(as_completed_waits_and_can_be_asked_again_after_its_time)
{
    static const int order[] = {1, 3, 0, 2, 4, -1};
    several all;
    many_completed *completed = NULL;
    many_future *future = NULL;
    setter other;
    double begin;

    open_all(&all);
    CHECK_CODE(many_completed_open(&completed, all.futures, COUNT), 0);
    CHECK_CODE(many_completed_next(completed, &future, 0), -ETIMEDOUT);
    CHECK(future == NULL);
    begin = test_seconds();
    CHECK_CODE(many_completed_next(completed, &future, 0.03), -ETIMEDOUT);
    CHECK(test_seconds() - begin >= 0.03);
    CHECK_CONTAINS(many_error_message(), "none of 5 is over after 0.03 s");
    set_elsewhere(&other, &all, order, 3);
    for (int i = 0; i < COUNT; i++) {
        CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
        CHECK_EQUAL(number_of(&all, future), order[i]);
        CHECK_EQUAL(many_future_done(future), 1);
        CHECK_EQUAL(many_future_successful(future), order[i] != 3);
    }
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 0);
    pthread_join(other.thread, NULL);
    many_completed_close(completed);
    close_all(&all);
}

TEST(as_completed_hands_out_each_handle_once)
{
    several all;
    many_completed *completed = NULL;
    many_future *list[12], *future = NULL;
    int seen[COUNT] = {0};

    open_all(&all);
    for (int i = 0; i < 12; i++)
        list[i] = i % 6 == 5 ? NULL : all.futures[i % 6];
    CHECK_CODE(many_completed_open(&completed, list, 12), 0);
    memset(list, 0, sizeof list); /* the array was copied */
    for (int i = 0; i < COUNT; i++)
        set(&all, i);
    while (many_completed_next(completed, &future, 0) == 1)
        seen[number_of(&all, future)]++;
    for (int i = 0; i < COUNT; i++)
        CHECK_EQUAL(seen[i], 1);
    many_completed_close(completed);
    close_all(&all);

    CHECK_CODE(many_completed_open(&completed, NULL, 0), 0);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 0);
    many_completed_close(completed);
}

TEST(a_future_may_be_closed_after_it_was_handed_out_and_the_iterator_was_closed)
{
    several all;
    many_completed *completed = NULL;
    many_future *future = NULL;

    open_all(&all);
    CHECK_CODE(many_completed_open(&completed, all.futures, COUNT), 0);
    set(&all, 2);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
    many_completed_close(completed); /* early: the others are as they were */
    for (int i = 0; i < COUNT; i++)
        if (i != 2)
            set(&all, i);
    close_all(&all);
}

static void ask_in_child(void *argument)
{
    many_completed *completed = argument;
    many_future *future = NULL;

    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), -MANY_EFORKED);
    many_completed_close(completed);
}

TEST(an_iterator_stays_with_its_process)
{
    several all;
    many_completed *completed = NULL;
    many_future *future = NULL;

    open_all(&all);
    CHECK_CODE(many_completed_open(&completed, all.futures, COUNT), 0);
    CHECK_EQUAL(test_in_child(ask_in_child, completed), 0);
    set(&all, 1);
    CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
    many_completed_close(completed);
    close_all(&all);
}

TEST(ten_thousand_are_as_good_as_ten)
{
    enum { MANY = 10000 };
    many_future **futures = calloc(MANY, sizeof(many_future *));
    many_completed *completed = NULL;
    many_future *future = NULL;
    int count = 0;

    CHECK(futures != NULL);
    for (int i = 0; i < MANY; i++)
        CHECK_CODE(many_future_open(&futures[i]), 0);
    CHECK_CODE(many_completed_open(&completed, futures, MANY), 0);
    for (int i = 0; i < MANY; i++)
        CHECK_CODE(many_future_set_result(futures[(i * 7919) % MANY], NULL, 0), 0);
    while (many_completed_next(completed, &future, MANY_FOREVER) == 1) {
        CHECK(future == futures[(count * 7919) % MANY]);
        count++;
    }
    CHECK_EQUAL(count, MANY);
    many_completed_close(completed);
    CHECK_CODE(many_futures_wait(futures, MANY, MANY_ALL_COMPLETED, NULL, MANY_FOREVER), MANY);
    for (int i = 0; i < MANY; i++)
        many_future_close(futures[i]);
    free(futures);
}

TEST(nothing_is_left_behind)
{
    test_census before = test_census_take();

    for (int i = 0; i < 2000; i++) {
        several all;
        many_completed *completed = NULL;
        many_future *future = NULL;

        open_all(&all);
        CHECK_CODE(wait_all(&all, MANY_FIRST_COMPLETED, 1e-6), -ETIMEDOUT);
        CHECK_CODE(many_completed_open(&completed, all.futures, COUNT), 0);
        set(&all, i % COUNT);
        CHECK_CODE(many_completed_next(completed, &future, MANY_FOREVER), 1);
        CHECK_CODE(wait_all(&all, MANY_FIRST_COMPLETED, MANY_FOREVER), 1);
        many_completed_close(completed);
        close_all(&all);
    }
    CHECK_CENSUS(before);
}
