/* SPDX-License-Identifier: MIT */
/* test_thread.c - a thread as an object: start, join, ask, let go */
#include "process_cases.h"

#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#include <many/map.h>

static int stay_until(void *argument)
{
    _Atomic int *gate = argument;

    UNTIL(atomic_load(gate) != 0);
    return atomic_load(gate);
}

static int until_cancelled(void *argument)
{
    _Atomic int *ready = argument;

    if (ready != NULL)
        atomic_store(ready, 1);
    UNTIL(many_cancelled());
    return 99;
}

static int thread_exit_code(many_thread *thread)
{
    int code = -12345;

    CHECK_CODE(many_thread_exit_code(thread, &code), 0);
    return code;
}

TEST(a_thread_runs_its_function_and_its_exit_code_is_what_that_returned_whole)
{
    test_census before = case_census();
    many_thread *thread;

    CHECK_CODE(many_thread_start(&thread, case_return, case_number(-70000)), 0);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    CHECK_EQUAL(thread_exit_code(thread), -70000);
    CHECK_EQUAL(many_thread_is_alive(thread), 0);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    CHECK_CODE(many_thread_join(thread, 0), 0);
    CHECK_CODE(many_thread_terminate(thread), 0);
    many_thread_close(thread);
    CHECK_CENSUS(before);
}

TEST(before_its_end_a_thread_is_alive_and_a_join_gives_up_after_its_timeout)
{
    _Atomic int gate = 0;
    many_thread *thread;
    double begin;
    int code = 7;

    CHECK_CODE(many_thread_start(&thread, stay_until, &gate), 0);
    CHECK_EQUAL(many_thread_is_alive(thread), 1);
    CHECK_CODE(many_thread_exit_code(thread, &code), -EAGAIN);
    CHECK_EQUAL(code, 7);
    CHECK_CODE(many_thread_join(thread, 0), -ETIMEDOUT);
    begin = test_seconds();
    CHECK_CODE(many_thread_join(thread, 0.05), -ETIMEDOUT);
    CHECK(test_seconds() - begin >= 0.05);
    CHECK_CODE(many_thread_join(thread, -2), -EINVAL);
    CHECK_CODE(many_thread_join(thread, (double)NAN), -EINVAL);
    atomic_store(&gate, 3);
    UNTIL(many_thread_is_alive(thread) == 0);
    CHECK_CODE(many_thread_join(thread, 0), 0);
    CHECK_EQUAL(thread_exit_code(thread), 3);
    many_thread_close(thread);
}

static int join_itself(void *argument)
{
    many_thread *_Atomic *self = argument;

    UNTIL(atomic_load(self) != NULL);
    return many_thread_current() == atomic_load(self) ? many_thread_join(atomic_load(self), 1) : 1;
}

TEST(a_thread_cannot_join_itself)
{
    many_thread *_Atomic self = NULL;
    many_thread *thread;

    CHECK(many_thread_current() == NULL);
    CHECK_CODE(many_thread_start(&thread, join_itself, &self), 0);
    atomic_store(&self, thread);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    CHECK_EQUAL(thread_exit_code(thread), -EDEADLK);
    many_thread_close(thread);
}

static int leave_by_pthread_exit(void *argument)
{
    (void)argument;
    pthread_exit(NULL);
}

static int wait_to_be_cancelled(void *argument)
{
    _Atomic pthread_t *self = argument;

    atomic_store(self, pthread_self());
    for (;;)
        pause();
    return 0;
}

TEST(a_thread_that_leaves_by_pthread_exit_or_is_cancelled_has_ended_too)
{
    test_census before = case_census();
    _Atomic pthread_t self = 0;
    many_thread *thread;

    CHECK_CODE(many_thread_start(&thread, leave_by_pthread_exit, NULL), 0);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    CHECK_EQUAL(thread_exit_code(thread), MANY_EXIT_UNKNOWN);
    many_thread_close(thread);

    /* The thread sanitizer loses sight of a thread that leaves one of its calls so. */
    if (TEST_TSAN)
        return;
    CHECK_CODE(many_thread_start(&thread, wait_to_be_cancelled, &self), 0);
    UNTIL(atomic_load(&self) != 0);
    CHECK(pthread_cancel(atomic_load(&self)) == 0);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    CHECK_EQUAL(thread_exit_code(thread), MANY_EXIT_UNKNOWN);
    many_thread_close(thread);
    CHECK_CENSUS(before);
}

TEST(terminate_is_seen_by_many_cancelled_in_that_thread_alone)
{
    _Atomic int ready = 0, other_ready = 0;
    many_thread *thread, *other;

    CHECK_CODE(many_thread_start(&thread, until_cancelled, &ready), 0);
    CHECK_CODE(many_thread_start(&other, until_cancelled, &other_ready), 0);
    UNTIL(atomic_load(&ready) && atomic_load(&other_ready));
    CHECK_EQUAL(many_cancelled(), 0);
    CHECK_CODE(many_thread_terminate(thread), 0);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    CHECK_EQUAL(thread_exit_code(thread), 99);
    CHECK_EQUAL(many_thread_is_alive(other), 1);
    many_thread_close(thread);
    many_thread_close(other); /* asks it to end, and waits */
}

static int see_no_task(void *argument)
{
    (void)argument;
    return many_item_index() == (size_t)-1 && many_worker_index() == -1 && !many_cancelled() ? 0
                                                                                             : 1;
}

static int see_the_item(const void *item, void *result, void *context)
{
    (void)context;
    *(int *)result = *(const int *)item == (int)many_item_index() && many_worker_index() >= 0;
    return 0;
}

static int map_in_a_thread(void *argument)
{
    int in[50], out[50], right = 0;

    (void)argument;
    for (int i = 0; i < 50; i++)
        in[i] = i;
    if (many_thread_map(see_the_item, in, out, 50, .workers = 3) != 0)
        return -1;
    for (int i = 0; i < 50; i++)
        right += out[i];
    return right == 50 ? see_no_task(NULL) : -2;
}

TEST(a_thread_is_in_no_task_and_may_run_maps)
{
    many_thread *thread;

    CHECK_CODE(many_thread_start(&thread, see_no_task, NULL), 0);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    CHECK_EQUAL(thread_exit_code(thread), 0);
    many_thread_close(thread);
    CHECK_CODE(many_thread_start(&thread, map_in_a_thread, NULL), 0);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    CHECK_EQUAL(thread_exit_code(thread), 0);
    many_thread_close(thread);
}

static int read_system_name(void *argument)
{
    char name[32];

    (void)argument;
    return pthread_getname_np(pthread_self(), name, sizeof name) == 0 &&
                   strcmp(name, "a rather long n") == 0
               ? (int)many_thread_id(many_thread_current())
               : -1;
}

TEST(names_are_given_or_counted_and_the_system_shows_them)
{
    many_thread *thread, *first, *second;
    int number;

    CHECK_CODE(many_thread_start(&thread, read_system_name, NULL, .name = "a rather long name"), 0);
    CHECK_STRING(many_thread_name(thread), "a rather long name");
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    CHECK_EQUAL(thread_exit_code(thread), many_thread_id(thread));
    CHECK(many_thread_id(thread) != getpid());
    many_thread_close(thread);

    CHECK_CODE(many_thread_start(&first, case_return, NULL), 0);
    CHECK_CODE(many_thread_start(&second, case_return, NULL), 0);
    CHECK_EQUAL(sscanf(many_thread_name(first), "Thread-%d", &number), 1);
    CHECK_EQUAL(atoi(many_thread_name(second) + strlen("Thread-")), number + 1);
    many_thread_close(first);
    many_thread_close(second);
    CHECK_CODE(many_thread_id(NULL), -EINVAL);
    CHECK_STRING(many_thread_name(NULL), "");
}

static int is_thread_listed(const many_thread *thread)
{
    many_thread *list[64];
    ssize_t count = many_thread_list(list, 64);

    for (ssize_t i = 0; i < count; i++)
        if (list[i] == thread)
            return 1;
    return 0;
}

TEST(the_list_of_threads_has_those_that_run)
{
    ssize_t before = many_thread_list(NULL, 0);
    _Atomic int gate = 0, ready = 0;
    many_thread *one, *other, *place;

    CHECK_CODE(many_thread_start(&one, stay_until, &gate), 0);
    CHECK_CODE(many_thread_start(&other, until_cancelled, &ready), 0);
    CHECK_EQUAL(many_thread_list(NULL, 0), before + 2);
    CHECK_EQUAL(many_thread_list(&place, 1), before + 2);
    CHECK(place == one || place == other);
    CHECK(is_thread_listed(one) && is_thread_listed(other));
    atomic_store(&gate, 1);
    CHECK_CODE(many_thread_join(one, MANY_FOREVER), 0);
    CHECK(!is_thread_listed(one) && is_thread_listed(other));
    many_thread_close(other);
    CHECK_EQUAL(many_thread_list(NULL, 0), before);
    many_thread_close(one);
}

TEST(a_descriptor_of_a_thread_turns_readable_at_its_end)
{
    test_census before = case_census();
    _Atomic int gate = 0;
    struct pollfd poller;
    many_thread *thread;

    CHECK_CODE(many_thread_start(&thread, stay_until, &gate), 0);
    poller = (struct pollfd){many_thread_descriptor(thread), POLLIN, 0};
    CHECK(poller.fd > 2);
    CHECK_EQUAL(many_thread_descriptor(thread), poller.fd);
    CHECK_EQUAL(poll(&poller, 1, 0), 0);
    atomic_store(&gate, 1);
    CHECK_EQUAL(poll(&poller, 1, -1), 1);
    many_thread_close(thread);

    CHECK_CODE(many_thread_start(&thread, case_return, NULL), 0);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    poller = (struct pollfd){many_thread_descriptor(thread), POLLIN, 0};
    CHECK_EQUAL(poll(&poller, 1, 0), 1); /* made after the end */
    many_thread_close(thread);
    CHECK_CENSUS(before);
}

static int count_down(void *argument)
{
    _Atomic int *left = argument;

    UNTIL(many_cancelled());
    atomic_fetch_sub(left, 1);
    return 0;
}

TEST(close_of_a_daemon_does_not_wait_and_the_daemon_is_asked_to_end)
{
    test_census before = case_census();
    _Atomic int left = 1;
    many_thread *thread;

    CHECK_CODE(many_thread_start(&thread, count_down, &left, .daemon = 1), 0);
    CHECK(many_thread_descriptor(thread) > 2);
    many_thread_close(thread);
    CHECK(!is_thread_listed(thread));
    UNTIL(atomic_load(&left) == 0);
    CHECK_CENSUS(before);
}

static int close_itself(void *argument)
{
    many_thread *_Atomic *self = argument;

    UNTIL(atomic_load(self) != NULL);
    many_thread_close(many_thread_current());
    atomic_store(self, NULL);
    return many_cancelled();
}

TEST(a_thread_may_close_its_own_handle)
{
    test_census before = case_census();
    many_thread *_Atomic self = NULL;
    many_thread *thread;

    CHECK_CODE(many_thread_start(&thread, close_itself, &self), 0);
    atomic_store(&self, thread);
    UNTIL(atomic_load(&self) == NULL);
    many_thread_close(NULL);
    CHECK_CENSUS(before);
}

static int close_itself_at_once(void *argument)
{
    many_thread_close(many_thread_current());
    atomic_fetch_add((_Atomic int *)argument, 1);
    return 0;
}

/* Nobody keeps the handle: it may be gone before its start has returned. */
TEST(a_thread_that_closes_its_own_handle_at_once_does_its_start_no_harm)
{
    test_census before = case_census();
    test_signals signals;
    _Atomic int ends = 0;
    many_thread *thread;

    test_signals_take(&signals);
    for (int i = 0; i < 500; i++)
        CHECK_CODE(many_thread_start(&thread, close_itself_at_once, &ends), 0);
    CHECK_SIGNALS(signals);
    UNTIL(atomic_load(&ends) == 500);
    UNTIL(many_thread_list(NULL, 0) == 0);
    CHECK_CENSUS(before);
}

static int tell_the_mask(void *argument)
{
    sigset_t mask;

    (void)argument;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, SIGUSR1) | sigismember(&mask, SIGTERM) << 1 |
           sigismember(&mask, SIGSEGV) << 2 | sigismember(&mask, SIGHUP) << 3;
}

TEST(no_handler_of_the_program_runs_in_a_thread_unless_it_is_to)
{
    test_signals before;
    many_thread *thread;
    sigset_t mask, old;

    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    CHECK(pthread_sigmask(SIG_BLOCK, &mask, &old) == 0);
    test_signals_take(&before);
    CHECK_CODE(many_thread_start(&thread, tell_the_mask, NULL), 0);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    CHECK_EQUAL(thread_exit_code(thread), 1 | 2 | 8);
    many_thread_close(thread);
    CHECK_CODE(many_thread_start(&thread, tell_the_mask, NULL, .signals = 1), 0);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    CHECK_EQUAL(thread_exit_code(thread), 8);
    many_thread_close(thread);
    CHECK_SIGNALS(before);
    CHECK(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
}

static int use_stack(void *argument)
{
    volatile char bytes[3 << 20];

    (void)argument;
    for (size_t i = 0; i < sizeof bytes; i += 1024)
        bytes[i] = 1;
    return bytes[2048];
}

TEST(a_stack_is_as_large_as_was_asked_for)
{
    many_thread *thread;

    CHECK_CODE(many_thread_start(&thread, use_stack, NULL, .stack_bytes = 4 << 20), 0);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    CHECK_EQUAL(thread_exit_code(thread), 1);
    many_thread_close(thread);
    CHECK_CODE(many_thread_start(&thread, case_return, case_number(2), .stack_bytes = 1), 0);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    CHECK_EQUAL(thread_exit_code(thread), 2);
    many_thread_close(thread);
    CHECK(many_thread_start(&thread, case_return, NULL, .stack_bytes = SIZE_MAX / 2) < 0);
    CHECK(thread == NULL);
    CHECK_CONTAINS(many_error_message(), "stack_bytes");
}

static void note(int signal)
{
    (void)signal;
}

typedef struct pest {
    pthread_t victim;
    _Atomic int stop;
} pest;

static int send_signals(void *argument)
{
    pest *pest_one = argument;

    while (!atomic_load(&pest_one->stop)) {
        pthread_kill(pest_one->victim, SIGUSR1);
        test_pause_(200);
    }
    return 0;
}

TEST(a_handler_of_a_signal_ends_a_join_of_a_thread)
{
    struct sigaction action, old;
    pest one = {pthread_self(), 0};
    many_thread *thread;

    memset(&action, 0, sizeof action);
    action.sa_handler = note;
    action.sa_flags = SA_RESTART;
    CHECK(sigaction(SIGUSR1, &action, &old) == 0);
    CHECK_CODE(many_thread_start(&thread, send_signals, &one), 0);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), -EINTR);
    atomic_store(&one.stop, 1);
    many_thread_close(thread);
    CHECK(sigaction(SIGUSR1, &old, NULL) == 0);
}

static void *join_in_thread(void *argument)
{
    return case_number(many_thread_join(argument, MANY_FOREVER));
}

TEST(several_threads_may_join_the_same_thread)
{
    enum { JOINERS = 6 };
    test_census before = case_census();

    for (int turn = 0; turn < 30; turn++) {
        pthread_t joiners[JOINERS];
        _Atomic int gate = 0;
        many_thread *thread;

        CHECK_CODE(many_thread_start(&thread, stay_until, &gate), 0);
        for (int i = 0; i < JOINERS; i++)
            CHECK(pthread_create(&joiners[i], NULL, join_in_thread, thread) == 0);
        atomic_store(&gate, 1);
        for (int i = 0; i < JOINERS; i++) {
            void *result = thread;

            CHECK(pthread_join(joiners[i], &result) == 0);
            CHECK_CODE((int)(intptr_t)result, 0);
        }
        many_thread_close(thread);
    }
    CHECK_CENSUS(before);
}

static _Atomic int destructor_gate;

static void last_for_long(void *value)
{
    (void)value;
    UNTIL(atomic_load(&destructor_gate));
}

static int have_a_destructor(void *argument)
{
    CHECK(pthread_setspecific(*(pthread_key_t *)argument, argument) == 0);
    return 0;
}

TEST(a_destructor_of_the_callers_that_lasts_does_not_hold_up_a_join_with_a_timeout)
{
    many_thread *thread;
    pthread_key_t key;

    atomic_store(&destructor_gate, 0);
    CHECK(pthread_key_create(&key, last_for_long) == 0);
    CHECK_CODE(many_thread_start(&thread, have_a_destructor, &key), 0);
    CHECK_CODE(many_thread_join(thread, 20), 0); /* the watchdog would end a join without limit */
    CHECK_EQUAL(many_thread_is_alive(thread), 0);
    atomic_store(&destructor_gate, 1);
    many_thread_close(thread);
    CHECK(pthread_key_delete(key) == 0);
}

static void use_the_parents_thread(void *argument)
{
    many_thread *thread = argument;
    int code;

    CHECK_CODE(many_thread_join(thread, 0), -MANY_EFORKED);
    CHECK_CODE(many_thread_is_alive(thread), -MANY_EFORKED);
    CHECK_CODE(many_thread_exit_code(thread, &code), -MANY_EFORKED);
    CHECK_CODE(many_thread_terminate(thread), -MANY_EFORKED);
    CHECK_CODE(many_thread_descriptor(thread), -MANY_EFORKED);
    CHECK(many_thread_id(thread) > 0);
    CHECK_EQUAL(many_thread_list(NULL, 0), 0);
    many_thread_close(thread);
}

static int fork_in_a_thread(void *argument)
{
    many_thread *_Atomic *self = argument;

    UNTIL(atomic_load(self) != NULL);
    if (test_in_child(use_the_parents_thread, atomic_load(self)) != 0)
        return 1;
    return many_thread_current() == atomic_load(self) ? 0 : 2;
}

TEST(a_thread_is_not_in_a_forked_child)
{
    many_thread *_Atomic self = NULL;
    many_thread *thread;

#if TEST_TSAN
    test_skip("a child of a thread under the thread sanitizer");
#endif
    CHECK_CODE(many_thread_start(&thread, fork_in_a_thread, &self), 0);
    CHECK(many_thread_id(thread) > 0);
    CHECK_EQUAL(test_in_child(use_the_parents_thread, thread), 0);
    atomic_store(&self, thread);
    CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
    CHECK_EQUAL(thread_exit_code(thread), 0);
    many_thread_close(thread);
}

TEST(a_thousand_threads_leave_nothing)
{
    test_census before = case_census();
    int times = 1000 / test_slowness();
    many_thread *thread;

    for (int i = 0; i < times; i++) {
        CHECK_CODE(many_thread_start(&thread, case_return, case_number(i), .daemon = i % 5 == 0),
                   0);
        if (i % 2 == 0)
            CHECK_CODE(many_thread_join(thread, MANY_FOREVER), 0);
        many_thread_close(thread);
    }
    CHECK_CENSUS(before);
}

TEST(what_makes_no_sense_is_refused_with_words)
{
    many_thread *thread = (many_thread *)&thread;
    int code;

    CHECK_CODE(many_thread_start_with(NULL), -EINVAL);
    CHECK_CODE(many_thread_start(&thread, NULL, NULL), -EINVAL);
    CHECK(thread == NULL);
    CHECK_CONTAINS(many_error_message(), "fn is NULL");
    CHECK_CODE(many_thread_join(NULL, 0), -EINVAL);
    CHECK_CODE(many_thread_is_alive(NULL), -EINVAL);
    CHECK_CODE(many_thread_exit_code(NULL, &code), -EINVAL);
    CHECK_CODE(many_thread_terminate(NULL), -EINVAL);
    CHECK_CODE(many_thread_descriptor(NULL), -EINVAL);
}
