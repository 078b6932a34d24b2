/* SPDX-License-Identifier: MIT */
/* test_future.c - one future, set by hand: what concurrent.futures.Future promises */
#include "test.h"

#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>

#include <many/future.h>

static many_future *pending(void)
{
    many_future *future = NULL;

    CHECK_CODE(many_future_open(&future), 0);
    CHECK(future != NULL);
    return future;
}

TEST(a_new_future_is_pending)
{
    many_future *future = pending();
    many_cause cause;
    char name[64];
    int result = 7;

    CHECK_EQUAL(many_future_done(future), 0);
    CHECK_EQUAL(many_future_running(future), 0);
    CHECK_EQUAL(many_future_cancelled(future), 0);
    CHECK_EQUAL(many_future_successful(future), 0);
    CHECK_CODE(many_future_wait(future, 0), -ETIMEDOUT);
    CHECK_CODE(many_future_wait(future, 0.01), -ETIMEDOUT);
    CHECK_CONTAINS(many_error_message(), "many_future_wait: 'future' is not over after 0.01 s");
    CHECK_CODE(many_future_result(future, &result, sizeof result, 0), -ETIMEDOUT);
    CHECK_EQUAL(result, 7);
    CHECK_CODE(many_future_result_bytes(future), -EAGAIN);
    CHECK_CODE(many_future_cause(future, &cause), -EAGAIN);
    CHECK_EQUAL(many_future_id(future), 0);
    CHECK_STRING(many_future_name(future, name, sizeof name), "future");
    many_future_close(future);
}

TEST(a_result_that_was_set_can_be_had_again_and_again)
{
    many_future *future = pending();
    const int set = 42;
    many_cause cause;

    CHECK_CODE(many_future_set_result(future, &set, sizeof set), 0);
    CHECK_EQUAL(many_future_done(future), 1);
    CHECK_EQUAL(many_future_running(future), 0);
    CHECK_EQUAL(many_future_cancelled(future), 0);
    CHECK_EQUAL(many_future_successful(future), 1);
    CHECK_CODE(many_future_result_bytes(future), sizeof set);
    for (int i = 0; i < 3; i++) {
        int result = 0;

        CHECK_CODE(many_future_wait(future, i == 0 ? 0 : MANY_FOREVER), 0);
        CHECK_CODE(many_future_result(future, &result, sizeof result, i == 0 ? 0 : MANY_FOREVER),
                   sizeof set);
        CHECK_EQUAL(result, 42);
    }
    memset(&cause, 0xFF, sizeof cause);
    CHECK_CODE(many_future_cause(future, &cause), 0);
    CHECK_STRING(cause.text, "");
    CHECK_EQUAL(cause.code, 0);
    many_future_close(future);
}

TEST(a_result_too_long_for_its_room_stays)
{
    many_future *future = pending();
    char big[1000], room[1000];

    memset(big, 'x', sizeof big);
    memset(room, 'r', sizeof room);
    CHECK_CODE(many_future_set_result(future, big, sizeof big), 0);
    memset(big, 'y', sizeof big); /* it was copied */
    CHECK_CODE(many_future_result(future, room, 999, 0), -EMSGSIZE);
    CHECK_CONTAINS(many_error_message(), "1000 bytes, room is 999");
    CHECK_EQUAL(room[0], 'r');
    CHECK_CODE(many_future_result(future, NULL, 0, 0), 1000);
    CHECK_CODE(many_future_result(future, room, 0, 0), 1000);
    CHECK_EQUAL(room[0], 'r');
    CHECK_CODE(many_future_result_bytes(future), 1000);
    CHECK_CODE(many_future_result(future, room, sizeof room, 0), 1000);
    CHECK_EQUAL(room[0], 'x');
    CHECK_EQUAL(room[999], 'x');
    many_future_close(future);
}

TEST(a_result_may_be_nothing)
{
    many_future *future = pending();
    int room = 5;

    CHECK_CODE(many_future_set_result(future, NULL, 0), 0);
    CHECK_CODE(many_future_result(future, &room, sizeof room, MANY_FOREVER), 0);
    CHECK_EQUAL(room, 5);
    CHECK_CODE(many_future_result(future, NULL, 0, 0), 0);
    CHECK_EQUAL(many_future_successful(future), 1);
    many_future_close(future);
}

TEST(a_failure_comes_back_with_its_words)
{
    many_future *future = pending();
    many_cause cause;
    int room = 5;

    CHECK_CODE(many_future_set_failure(future, -EIO, "the printer is on fire"), 0);
    CHECK_CODE(many_future_wait(future, MANY_FOREVER), 0);
    CHECK_CODE(many_future_result(future, &room, sizeof room, MANY_FOREVER), -EIO);
    CHECK_CONTAINS(many_error_message(), "the printer is on fire");
    CHECK_CODE(many_future_result_bytes(future), -EIO);
    CHECK_EQUAL(room, 5);
    CHECK_CODE(many_future_cause(future, &cause), 0);
    CHECK_EQUAL(cause.code, -EIO);
    CHECK_EQUAL(cause.cancelled, 0);
    CHECK_EQUAL(cause.worker, -1);
    CHECK_STRING(cause.text, "the printer is on fire");
    CHECK_EQUAL(many_future_done(future), 1);
    CHECK_EQUAL(many_future_successful(future), 0);
    CHECK_EQUAL(many_future_cancelled(future), 0);
    many_future_close(future);

    future = pending();
    CHECK_CODE(many_future_set_failure(future, -MANY_EDIED, NULL), 0);
    CHECK_CODE(many_future_cause(future, &cause), 0);
    CHECK_STRING(cause.text, many_strerror(MANY_EDIED));
    many_future_close(future);
}

TEST(words_of_any_length_are_cut_and_not_overrun)
{
    many_future *future = pending();
    char words[2000];
    many_cause cause;

    memset(words, 'w', sizeof words);
    words[sizeof words - 1] = '\0';
    CHECK_CODE(many_future_set_failure(future, -EIO, words), 0);
    CHECK_CODE(many_future_cause(future, &cause), 0);
    CHECK_EQUAL(strlen(cause.text), sizeof cause.text - 1);
    CHECK_CODE(many_future_result(future, NULL, 0, 0), -EIO);
    many_future_close(future);
}

TEST(the_first_who_sets_it_wins)
{
    many_future *future = pending();
    int first = 1, second = 2, result = 0;

    CHECK_CODE(many_future_set_result(future, &first, sizeof first), 0);
    CHECK_CODE(many_future_set_result(future, &second, sizeof second), -EBUSY);
    CHECK_CONTAINS(many_error_message(), "'future' was set before");
    CHECK_CODE(many_future_set_failure(future, -EIO, NULL), -EBUSY);
    CHECK_CODE(many_future_set_running(future), -EBUSY);
    CHECK_EQUAL(many_future_cancel(future), 0);
    CHECK_EQUAL(many_future_terminate(future, 0), 0);
    CHECK_CODE(many_future_result(future, &result, sizeof result, 0), sizeof result);
    CHECK_EQUAL(result, 1);
    many_future_close(future);

    future = pending();
    CHECK_CODE(many_future_set_failure(future, -EIO, NULL), 0);
    CHECK_CODE(many_future_set_result(future, &second, sizeof second), -EBUSY);
    CHECK_CODE(many_future_result(future, &result, sizeof result, 0), -EIO);
    many_future_close(future);
}

TEST(what_has_not_begun_can_be_cancelled)
{
    many_future *future = pending();
    many_cause cause;
    int result = 3;

    CHECK_EQUAL(many_future_cancel(future), 1);
    CHECK_EQUAL(many_future_cancel(future), 1); /* was already */
    CHECK_EQUAL(many_future_cancelled(future), 1);
    CHECK_EQUAL(many_future_done(future), 1);
    CHECK_EQUAL(many_future_running(future), 0);
    CHECK_EQUAL(many_future_successful(future), 0);
    CHECK_CODE(many_future_wait(future, MANY_FOREVER), 0);
    CHECK_CODE(many_future_result(future, &result, sizeof result, MANY_FOREVER), -ECANCELED);
    CHECK_CODE(many_future_cause(future, &cause), 0);
    CHECK_EQUAL(cause.code, -ECANCELED);
    CHECK_EQUAL(cause.cancelled, 1);
    CHECK_CONTAINS(cause.text, "was cancelled");
    CHECK_CODE(many_future_set_running(future), -ECANCELED);
    CHECK_CODE(many_future_set_result(future, &result, sizeof result), -ECANCELED);
    CHECK_CODE(many_future_set_failure(future, -EIO, NULL), -ECANCELED);
    CHECK_EQUAL(many_future_terminate(future, 1), 0);
    many_future_close(future);
}

TEST(what_has_begun_can_no_longer_be_cancelled)
{
    many_future *future = pending();
    int set = 9, result = 0;

    CHECK_CODE(many_future_set_running(future), 0);
    CHECK_EQUAL(many_future_running(future), 1);
    CHECK_EQUAL(many_future_done(future), 0);
    CHECK_CODE(many_future_set_running(future), -EBUSY);
    CHECK_EQUAL(many_future_cancel(future), 0);
    CHECK_EQUAL(many_future_cancelled(future), 0);
    CHECK_CODE(many_future_set_result(future, &set, sizeof set), 0);
    CHECK_EQUAL(many_future_running(future), 0);
    CHECK_CODE(many_future_result(future, &result, sizeof result, 0), sizeof set);
    CHECK_EQUAL(result, 9);
    many_future_close(future);
}

TEST(what_runs_can_be_terminated)
{
    many_future *future = pending();

    CHECK_CODE(many_future_set_running(future), 0);
    CHECK_EQUAL(many_future_terminate(future, 0.5), 1);
    CHECK_EQUAL(many_future_cancelled(future), 1);
    CHECK_CODE(many_future_set_result(future, NULL, 0), -ECANCELED);
    CHECK_CODE(many_future_result(future, NULL, 0, 0), -ECANCELED);
    many_future_close(future);
    future = pending();
    CHECK_EQUAL(many_future_terminate(future, 0), 1);
    CHECK_EQUAL(many_future_terminate(future, 0), 0);
    many_future_close(future);
}

TEST(arguments_that_make_no_sense_are_refused)
{
    many_future *future = pending();
    many_future_options options = {.size = sizeof options, .future = NULL};
    many_cause cause;
    char name[8];
    int room = 0;

    CHECK_CODE(many_future_wait(NULL, 0), -EINVAL);
    CHECK_CODE(many_future_result(NULL, NULL, 0, 0), -EINVAL);
    CHECK_CODE(many_future_result_bytes(NULL), -EINVAL);
    CHECK_CODE(many_future_cause(NULL, &cause), -EINVAL);
    CHECK_CODE(many_future_cause(future, NULL), -EINVAL);
    CHECK_CODE(many_future_done(NULL), -EINVAL);
    CHECK_CODE(many_future_running(NULL), -EINVAL);
    CHECK_CODE(many_future_cancelled(NULL), -EINVAL);
    CHECK_CODE(many_future_successful(NULL), -EINVAL);
    CHECK_CODE(many_future_cancel(NULL), -EINVAL);
    CHECK_CODE(many_future_terminate(NULL, 0), -EINVAL);
    CHECK_CODE(many_future_terminate(future, -1), -EINVAL);
    CHECK_CODE(many_future_terminate(future, NAN), -EINVAL);
    CHECK_CODE(many_future_on_done(NULL, NULL, NULL), -EINVAL);
    CHECK_CODE(many_future_on_done(future, NULL, NULL), -EINVAL);
    CHECK_CODE(many_future_descriptor(NULL), -EINVAL);
    CHECK_EQUAL(many_future_id(NULL), 0);
    CHECK_STRING(many_future_name(NULL, name, sizeof name), "");
    CHECK_CODE(many_future_set_running(NULL), -EINVAL);
    CHECK_CODE(many_future_set_result(NULL, NULL, 0), -EINVAL);
    CHECK_CODE(many_future_set_result(future, NULL, 1), -EINVAL);
    CHECK_CODE(many_future_set_failure(future, 0, NULL), -EINVAL);
    CHECK_CODE(many_future_set_failure(future, EIO, NULL), -EINVAL);
    CHECK_CODE(many_future_result(future, NULL, 4, 0), -EINVAL);
    CHECK_CODE(many_future_wait(future, -2), -EINVAL);
    CHECK_CODE(many_future_wait(future, NAN), -EINVAL);
    CHECK_CODE(many_future_open_with(NULL), -EINVAL);
    CHECK_CODE(many_future_open_with(&options), -EINVAL);
    CHECK_EQUAL(many_future_done(future), 0); /* nothing of that has touched it */
    CHECK_CODE(many_future_set_result(future, NULL, 0), 0);
    CHECK_CODE(many_future_wait(future, NAN), -EINVAL); /* though it is over */
    CHECK_CODE(many_future_result(future, &room, sizeof room, -3), -EINVAL);
    many_future_close(future);
    many_future_close(NULL);
}

TEST(a_result_too_large_for_memory_leaves_it_pending)
{
    many_future *future = pending();
    char byte = 0;

    CHECK_CODE(many_future_set_result(future, &byte, SIZE_MAX / 2 + 1), -ENOMEM);
    CHECK_EQUAL(many_future_done(future), 0);
    CHECK_EQUAL(many_future_cancel(future), 1);
    many_future_close(future);
}

TEST(its_name_is_what_it_was_given_cut_at_a_character)
{
    many_future *future = NULL;
    char text[64], small[4];

    CHECK_CODE(many_future_open(&future, .name = "reply from the printer"), 0);
    CHECK_STRING(many_future_name(future, text, sizeof text), "reply from the printer");
    CHECK_STRING(many_future_name(future, small, sizeof small), "rep");
    CHECK_STRING(many_future_name(future, NULL, 0), "");
    CHECK_CODE(many_future_result(future, NULL, 0, 0), -ETIMEDOUT);
    CHECK_CONTAINS(many_error_message(), "'reply from the printer'");
    CHECK_EQUAL(many_future_cancel(future), 1);
    CHECK_CODE(many_future_result(future, NULL, 0, 0), -ECANCELED);
    CHECK_CONTAINS(many_error_message(), "'reply from the printer' was cancelled");
    many_future_close(future);

    CHECK_CODE(many_future_open(&future, .name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                                 "aaaaaaaaaaaaaa\xc3\xa4"),
               0);
    many_future_name(future, text, sizeof text);
    CHECK_EQUAL(strlen(text), 62); /* the two bytes of the last character do not both fit */
    many_future_close(future);
}

/* ---- waiting ---- */

static void *set_it(void *argument)
{
    const int set = 11;

    CHECK_CODE(many_future_set_result(argument, &set, sizeof set), 0);
    return NULL;
}

typedef struct waiter {
    pthread_t thread;
    many_future *future;
    _Atomic int *waiting;
    int result;
} waiter;

static void *wait_for_it(void *argument)
{
    waiter *self = argument;

    atomic_fetch_add(self->waiting, 1);
    CHECK_CODE(many_future_result(self->future, &self->result, sizeof self->result, MANY_FOREVER),
               sizeof self->result);
    return NULL;
}

TEST(all_who_wait_are_woken_by_its_end)
{
    for (int round = 0; round < 20; round++) {
        many_future *future = pending();
        _Atomic int waiting = 0;
        waiter waiters[4];
        pthread_t setter;

        for (int i = 0; i < 4; i++) {
            waiters[i] = (waiter){.future = future, .waiting = &waiting};
            CHECK_EQUAL(pthread_create(&waiters[i].thread, NULL, wait_for_it, &waiters[i]), 0);
        }
        if (round % 2 == 0)
            UNTIL(atomic_load(&waiting) == 4);
        CHECK_EQUAL(pthread_create(&setter, NULL, set_it, future), 0);
        for (int i = 0; i < 4; i++) {
            pthread_join(waiters[i].thread, NULL);
            CHECK_EQUAL(waiters[i].result, 11);
        }
        pthread_join(setter, NULL);
        many_future_close(future);
    }
}

TEST(a_wait_ends_at_its_deadline_and_not_before)
{
    many_future *future = pending();
    const double timeouts[] = {0.001, 0.02, 0.12};

    for (int i = 0; i < 3; i++) {
        double begin = test_seconds();

        CHECK_CODE(many_future_wait(future, timeouts[i]), -ETIMEDOUT);
        CHECK(test_seconds() - begin >= timeouts[i]);
    }
    many_future_close(future);
}

static void heard(int signal)
{
    (void)signal;
}

TEST(a_signal_handler_ends_a_wait)
{
    struct sigaction action, found;
    const struct itimerval every = {{0, 10000}, {0, 10000}}, never = {{0, 0}, {0, 0}};
    many_future *future = pending(), *list[1] = {future};

    memset(&action, 0, sizeof action);
    action.sa_handler = heard;
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, &found);
    setitimer(ITIMER_REAL, &every, NULL);
    CHECK_CODE(many_future_wait(future, MANY_FOREVER), -EINTR);
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -EINTR);
    CHECK_CODE(many_futures_wait(list, 1, MANY_ALL_COMPLETED, NULL, MANY_FOREVER), -EINTR);
    CHECK_CODE(many_futures_wait(list, 1, MANY_FIRST_COMPLETED, NULL, MANY_FOREVER), -EINTR);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &found, NULL);
    CHECK_EQUAL(many_future_done(future), 0);
    many_future_close(future);
}

/* ---- a forked child ---- */

static int never_called(many_future *future, void *context)
{
    (void)future;
    (void)context;
    CHECK_STRING("called", "never called");
    return 0;
}

static void ask_in_child(void *argument)
{
    many_future *future = argument, *own = NULL, *list[1] = {future};
    many_completed *completed = NULL;
    many_cause cause;
    char name[64];

    CHECK_CODE(many_future_wait(future, MANY_FOREVER), -MANY_EFORKED);
    CHECK_CONTAINS(many_error_message(), "belongs to the process");
    CHECK_CODE(many_future_result(future, NULL, 0, MANY_FOREVER), -MANY_EFORKED);
    CHECK_CODE(many_future_result_bytes(future), -MANY_EFORKED);
    CHECK_CODE(many_future_cause(future, &cause), -MANY_EFORKED);
    CHECK_CODE(many_future_done(future), -MANY_EFORKED);
    CHECK_CODE(many_future_running(future), -MANY_EFORKED);
    CHECK_CODE(many_future_cancelled(future), -MANY_EFORKED);
    CHECK_CODE(many_future_successful(future), -MANY_EFORKED);
    CHECK_CODE(many_future_cancel(future), -MANY_EFORKED);
    CHECK_CODE(many_future_terminate(future, 0), -MANY_EFORKED);
    CHECK_CODE(many_future_on_done(future, never_called, NULL), -MANY_EFORKED);
    CHECK_CODE(many_future_descriptor(future), -MANY_EFORKED);
    CHECK_CODE(many_future_set_running(future), -MANY_EFORKED);
    CHECK_CODE(many_future_set_result(future, NULL, 0), -MANY_EFORKED);
    CHECK_CODE(many_future_set_failure(future, -EIO, NULL), -MANY_EFORKED);
    CHECK_CODE(many_futures_wait(list, 1, MANY_ALL_COMPLETED, NULL, 0), -MANY_EFORKED);
    CHECK_CODE(many_completed_open(&completed, list, 1), -MANY_EFORKED);
    CHECK_STRING(many_future_name(future, name, sizeof name), "future");
    many_future_close(future);
    CHECK_CODE(many_future_open(&own), 0);
    CHECK_EQUAL(many_future_cancel(own), 1);
    many_future_close(own);
}

TEST(a_child_is_told_that_it_is_not_its_own)
{
    many_future *future = pending(), *over = pending();

    CHECK_CODE(many_future_set_result(over, NULL, 0), 0);
    CHECK_EQUAL(test_in_child(ask_in_child, future), 0);
    CHECK_EQUAL(test_in_child(ask_in_child, over), 0);
    CHECK_EQUAL(many_future_done(future), 0);
    CHECK_CODE(many_future_set_result(future, NULL, 0), 0);
    many_future_close(future);
    many_future_close(over);
}

TEST(nothing_is_left_behind)
{
    test_census before = test_census_take();

    for (int i = 0; i < 20000; i++) {
        many_future *future = pending();
        char bytes[100] = "";

        if (i % 4 == 0)
            CHECK_CODE(many_future_set_result(future, bytes, sizeof bytes), 0);
        else if (i % 4 == 1)
            CHECK_CODE(many_future_set_failure(future, -EIO, "no"), 0);
        else if (i % 4 == 2)
            CHECK_EQUAL(many_future_cancel(future), 1);
        many_future_close(future); /* one of four before it is over */
    }
    CHECK_CENSUS(before);
}
