/* SPDX-License-Identifier: MIT */
/* test_cancel.c - tokens wake who waits, in one process only, and leave no descriptor behind */
#include "test.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "task/cancel.h"

static int cancel_readable(int bell, int timeout_ms)
{
    struct pollfd poller = {bell, POLLIN, 0};

    return poll(&poller, 1, timeout_ms) == 1 && (poller.revents & POLLIN) != 0;
}

TEST(a_zero_token_is_not_set_and_no_token_never_is)
{
    many_cancel token = {0};

    CHECK_EQUAL(many_cancel_is_set(&token), 0);
    CHECK_EQUAL(many_cancel_is_set(NULL), 0);
    many_cancel_set(NULL);
    many_cancel_set(&token);
    CHECK_EQUAL(many_cancel_is_set(&token), 1);
    many_cancel_set(&token);
    CHECK_EQUAL(many_cancel_is_set(&token), 1);
    CHECK_EQUAL(many_cancel_is_set(NULL), 0);
}

TEST(a_watch_becomes_readable_when_the_token_is_set)
{
    test_census before = test_census_take();
    many_cancel token = {0};
    int bell = many_cancel_watch_(&token);

    CHECK(bell > STDERR_FILENO);
    CHECK(!cancel_readable(bell, 0));
    many_cancel_set(&token);
    CHECK(cancel_readable(bell, 0));
    CHECK(cancel_readable(bell, 0)); /* it stays so: everybody who waits has to see it */
    many_cancel_unwatch_(&token);
    CHECK_CENSUS(before);
    CHECK_EQUAL(many_cancel_is_set(&token), 1);
}

TEST(who_waits_together_shares_a_bell_that_the_last_takes_away)
{
    test_census before = test_census_take();
    many_cancel token = {0};
    int first = many_cancel_watch_(&token), second = many_cancel_watch_(&token);

    CHECK_EQUAL(first, second);
    many_cancel_unwatch_(&token);
    CHECK(!cancel_readable(first, 0));
    many_cancel_set(&token);
    CHECK(cancel_readable(first, 0));
    many_cancel_unwatch_(&token);
    CHECK_CENSUS(before);
    many_cancel_unwatch_(&token); /* one too many does no harm */
    CHECK_CENSUS(before);
}

TEST(without_a_token_there_is_nothing_to_watch)
{
    CHECK_EQUAL(many_cancel_watch_(NULL), -1);
}

TEST(a_token_that_was_zeroed_serves_again)
{
    many_cancel token = {0};

    for (int round = 0; round < 3; round++) {
        int bell = many_cancel_watch_(&token);

        CHECK(bell >= 0);
        CHECK(!cancel_readable(bell, 0));
        many_cancel_set(&token);
        CHECK(cancel_readable(bell, 0));
        many_cancel_unwatch_(&token);
        memset(&token, 0, sizeof token);
    }
}

static void cancel_watch_without_descriptors(void *argument)
{
    const struct rlimit none = {3, 3};
    many_cancel token = {0};

    (void)argument;
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK_CODE(many_cancel_watch_(&token), -EMFILE);
    many_cancel_set(&token); /* nobody watches: nothing to ring */
    CHECK_EQUAL(many_cancel_is_set(&token), 1);
}

TEST(a_watch_without_descriptors_says_so)
{
    CHECK_EQUAL(test_in_child(cancel_watch_without_descriptors, NULL), 0);
}

/* ---- other processes ---- */

static void cancel_set_in_child(void *argument)
{
    many_cancel *token = argument;

    many_cancel_set(token);
    CHECK_EQUAL(many_cancel_is_set(token), 1);
}

static void cancel_watch_in_child(void *argument)
{
    many_cancel *token = argument;
    int bell = many_cancel_watch_(token);

    CHECK(bell >= 0);
    many_cancel_set(token);
    CHECK(cancel_readable(bell, 0));
    many_cancel_unwatch_(token);
}

TEST(a_childs_copy_of_a_token_says_nothing_to_the_parent)
{
    many_cancel token = {0};
    int bell = many_cancel_watch_(&token);

    CHECK_EQUAL(test_in_child(cancel_set_in_child, &token), 0);
    CHECK_EQUAL(test_in_child(cancel_watch_in_child, &token), 0);
    CHECK_EQUAL(many_cancel_is_set(&token), 0);
    CHECK(!cancel_readable(bell, 0));
    many_cancel_unwatch_(&token);
}

/* ---- at the same time ---- */

#define CANCEL_ROUNDS 2000

typedef struct cancel_pair {
    many_cancel token;
    pthread_barrier_t barrier;
    int rounds;
    int over; /* written and read on either side of the barrier */
} cancel_pair;

static void *cancel_nothing(void *argument)
{
    return argument;
}

/* The first thread of a program brings what stays: a sanitizer's own thread, libc's stacks. One that
 * was joined may take the kernel a moment to forget. */
static test_census cancel_census(void)
{
    test_census census;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, cancel_nothing, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    UNTIL((census = test_census_take()).threads <= 1 + TEST_TSAN);
    return census;
}

static void *cancel_setter(void *argument)
{
    cancel_pair *pair = argument;

    for (;;) {
        pthread_barrier_wait(&pair->barrier);
        if (pair->over)
            return NULL;
        many_cancel_set(&pair->token);
        pthread_barrier_wait(&pair->barrier);
    }
}

/* Whatever the order of watch, set and unwatch: who looks and then sleeps is woken, and the bell is
 * neither leaked nor rung after it was closed. */
TEST(no_order_of_watch_and_set_loses_a_wake_up)
{
    test_census before = cancel_census();
    cancel_pair pair = {.rounds = CANCEL_ROUNDS / test_slowness()};
    const double end = test_seconds() + 10; /* threads that wait for a core meet slowly */
    pthread_t setters[2];

    CHECK(pthread_barrier_init(&pair.barrier, NULL, 3) == 0);
    for (int s = 0; s < 2; s++)
        CHECK(pthread_create(&setters[s], NULL, cancel_setter, &pair) == 0);
    for (int round = 0; round < pair.rounds && (round < 100 || test_seconds() < end); round++) {
        int bell;

        pthread_barrier_wait(&pair.barrier);
        bell = many_cancel_watch_(&pair.token);
        CHECK(bell >= 0);
        CHECK(many_cancel_is_set(&pair.token) || cancel_readable(bell, -1));
        many_cancel_unwatch_(&pair.token);
        pthread_barrier_wait(&pair.barrier); /* the setters wait: the token is ours again */
        memset(&pair.token, 0, sizeof pair.token);
    }
    pair.over = 1;
    pthread_barrier_wait(&pair.barrier);
    for (int s = 0; s < 2; s++)
        pthread_join(setters[s], NULL);
    pthread_barrier_destroy(&pair.barrier);
    CHECK_CENSUS(before);
}

static void *cancel_watcher(void *argument)
{
    cancel_pair *pair = argument;

    for (int round = 0; round < pair->rounds; round++) {
        int bell = many_cancel_watch_(&pair->token);

        CHECK(bell >= 0);
        CHECK(!cancel_readable(bell, 0));
        many_cancel_unwatch_(&pair->token);
    }
    return NULL;
}

TEST(watches_come_and_go_in_many_threads_without_losing_a_descriptor)
{
    test_census before = cancel_census();
    cancel_pair pair = {.rounds = CANCEL_ROUNDS / test_slowness()};
    pthread_t watchers[4];

    for (int w = 0; w < 4; w++)
        CHECK(pthread_create(&watchers[w], NULL, cancel_watcher, &pair) == 0);
    for (int w = 0; w < 4; w++)
        pthread_join(watchers[w], NULL);
    CHECK_EQUAL(pair.token.watch, 0);
    CHECK_CENSUS(before);
}

/* ---- signals ---- */

static many_cancel cancel_first, cancel_second;

TEST(a_signal_sets_its_token_and_is_given_back)
{
    test_signals before;
    int bell;

    memset(&cancel_first, 0, sizeof cancel_first);
    signal(SIGUSR1, SIG_DFL); /* libc marks what was set once (SA_RESTORER): not our change */
    test_signals_take(&before);
    CHECK_CODE(many_cancel_on_signal(&cancel_first, SIGUSR1), 0);
    CHECK_CODE(many_cancel_on_signal(&cancel_first, SIGUSR1), 0); /* once more is no mistake */
    bell = many_cancel_watch_(&cancel_first);
    CHECK(!cancel_readable(bell, 0));
    errno = EXDEV;
    raise(SIGUSR1);
    CHECK_EQUAL(errno, EXDEV);
    CHECK_EQUAL(many_cancel_is_set(&cancel_first), 1);
    CHECK(cancel_readable(bell, 0));
    many_cancel_unwatch_(&cancel_first);
    CHECK_CODE(many_cancel_on_signal(NULL, SIGUSR1), 0);
    CHECK_SIGNALS(before);
    CHECK_CODE(many_cancel_on_signal(NULL, SIGUSR1), 0); /* nothing to give back */
    CHECK_SIGNALS(before);
}

static volatile sig_atomic_t cancel_found; /* how often the caller's own handler ran */

static void cancel_own_handler(int signal)
{
    (void)signal;
    cancel_found++;
}

TEST(the_callers_own_handler_comes_back_as_it_was)
{
    struct sigaction own, old;
    test_signals before;

    memset(&own, 0, sizeof own);
    own.sa_handler = cancel_own_handler;
    own.sa_flags = SA_RESTART | SA_NODEFER;
    sigaddset(&own.sa_mask, SIGUSR2);
    CHECK(sigaction(SIGUSR1, &own, &old) == 0);
    memset(&cancel_first, 0, sizeof cancel_first);
    cancel_found = 0;
    test_signals_take(&before);
    CHECK_CODE(many_cancel_on_signal(&cancel_first, SIGUSR1), 0);
    raise(SIGUSR1);
    CHECK_EQUAL(cancel_found, 0);
    CHECK_CODE(many_cancel_on_signal(NULL, SIGUSR1), 0);
    CHECK_SIGNALS(before);
    raise(SIGUSR1);
    CHECK_EQUAL(cancel_found, 1);
    CHECK(sigaction(SIGUSR1, &old, NULL) == 0);
}

TEST(the_second_signal_acts_as_if_the_first_had_found_no_token)
{
    struct sigaction own, old;

    memset(&own, 0, sizeof own);
    own.sa_handler = cancel_own_handler;
    CHECK(sigaction(SIGUSR1, &own, &old) == 0);
    memset(&cancel_first, 0, sizeof cancel_first);
    cancel_found = 0;
    CHECK_CODE(many_cancel_on_signal(&cancel_first, SIGUSR1), 0);
    raise(SIGUSR1);
    CHECK_EQUAL(cancel_found, 0);
    raise(SIGUSR1);
    CHECK_EQUAL(cancel_found, 1);
    raise(SIGUSR1);
    CHECK_EQUAL(cancel_found, 2);
    CHECK_CODE(many_cancel_on_signal(NULL, SIGUSR1), 0);
    CHECK(sigaction(SIGUSR1, &old, NULL) == 0);
}

static void cancel_raise_twice(void *argument)
{
    (void)argument;
    memset(&cancel_first, 0, sizeof cancel_first);
    CHECK_CODE(many_cancel_on_signal(&cancel_first, SIGINT), 0);
    raise(SIGINT);
    CHECK_EQUAL(many_cancel_is_set(&cancel_first), 1);
    raise(SIGINT);
    _exit(1); /* not reached */
}

TEST(ctrl_c_twice_ends_a_program_that_does_not_end_itself)
{
    CHECK_EQUAL(test_in_child(cancel_raise_twice, NULL), SIGINT);
}

TEST(a_signal_has_one_token_at_a_time)
{
    memset(&cancel_first, 0, sizeof cancel_first);
    memset(&cancel_second, 0, sizeof cancel_second);
    CHECK_CODE(many_cancel_on_signal(&cancel_first, SIGUSR1), 0);
    CHECK_CODE(many_cancel_on_signal(&cancel_second, SIGUSR1), -EALREADY);
    CHECK_STRING(many_error_message(),
                 "many_cancel_on_signal: signal 10 sets another token: give it back first with "
                 "many_cancel_on_signal(NULL, 10)");
    CHECK_CODE(many_cancel_on_signal(&cancel_first, SIGUSR2), 0); /* a token may have several */
    raise(SIGUSR1);
    CHECK_EQUAL(many_cancel_is_set(&cancel_first), 1);
    CHECK_EQUAL(many_cancel_is_set(&cancel_second), 0);
    CHECK_CODE(many_cancel_on_signal(NULL, SIGUSR1), 0);
    CHECK_CODE(many_cancel_on_signal(&cancel_second, SIGUSR1), 0);
    CHECK_CODE(many_cancel_on_signal(NULL, SIGUSR1), 0);
    CHECK_CODE(many_cancel_on_signal(NULL, SIGUSR2), 0);
}

TEST(signals_that_cannot_be_caught_are_refused_with_words)
{
    static const int signals[] = {SIGKILL, SIGSTOP, 0, -1, NSIG, 1000};
    test_signals before;

    memset(&cancel_first, 0, sizeof cancel_first);
    test_signals_take(&before);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        CHECK_CODE(many_cancel_on_signal(&cancel_first, signals[i]), -EINVAL);
        CHECK_CONTAINS(many_error_message(), "many_cancel_on_signal: signal ");
        CHECK_CONTAINS(many_error_message(), "cannot be caught");
        CHECK_CODE(many_cancel_on_signal(NULL, signals[i]), -EINVAL);
    }
    CHECK_SIGNALS(before);
}

/* A blocking read goes on after the signal: the caller did not ask for -EINTR everywhere. */
static void *cancel_signal_reader(void *argument)
{
    const int *end = argument;
    char byte;

    CHECK(read(*end, &byte, 1) == 1);
    return NULL;
}

TEST(a_signal_with_a_token_does_not_interrupt_system_calls)
{
    pthread_t reader;
    int ends[2];

    if (TEST_TSAN)
        test_skip("the thread sanitizer holds signals back while a thread sits in read()");
    memset(&cancel_first, 0, sizeof cancel_first);
    CHECK(pipe(ends) == 0);
    CHECK_CODE(many_cancel_on_signal(&cancel_first, SIGUSR1), 0);
    CHECK(pthread_create(&reader, NULL, cancel_signal_reader, &ends[0]) == 0);
    CHECK(pthread_kill(reader, SIGUSR1) == 0);
    UNTIL(many_cancel_is_set(&cancel_first));
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK(pthread_join(reader, NULL) == 0);
    CHECK_CODE(many_cancel_on_signal(NULL, SIGUSR1), 0);
    close(ends[0]);
    close(ends[1]);
}
