/* SPDX-License-Identifier: MIT */
/* test_signal.c - blocking signals around a fork, and clean ones in the child */
#include "test.h"

#include <pthread.h>
#include <string.h>

#include "os/signal.h"

static volatile sig_atomic_t handled;

static void on_signal(int signal)
{
    handled = signal;
}

static void catch_signal(int signal, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    CHECK(sigaction(signal, &action, NULL) == 0);
}

TEST(a_blocked_signal_waits_until_the_mask_is_back)
{
    many_signal_state_ state;
    test_signals before;

    catch_signal(SIGUSR1, on_signal);
    test_signals_take(&before);
    handled = 0;
    many_signal_block_(&state);
    raise(SIGUSR1);
    CHECK_EQUAL(handled, 0);
    many_signal_unblock_(&state);
    CHECK_EQUAL(handled, SIGUSR1);
    CHECK_SIGNALS(before);
    catch_signal(SIGUSR1, SIG_DFL);
}

TEST(a_mask_of_the_callers_stays_blocked_after_unblocking)
{
    many_signal_state_ state;
    sigset_t hangup, now;

    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    CHECK(pthread_sigmask(SIG_BLOCK, &hangup, NULL) == 0);
    many_signal_block_(&state);
    many_signal_unblock_(&state);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    CHECK(sigismember(&now, SIGHUP));
    CHECK(!sigismember(&now, SIGUSR1));
    pthread_sigmask(SIG_UNBLOCK, &hangup, NULL);
}

TEST(a_thread_of_ours_still_gets_the_signals_of_its_own_faults)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    many_signal_state_ state;
    sigset_t now;

    many_signal_block_for_thread_(&state);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        CHECK(!sigismember(&now, faults[i]));
    CHECK(sigismember(&now, SIGINT) && sigismember(&now, SIGTERM) && sigismember(&now, SIGCHLD));
    CHECK(sigismember(&now, SIGUSR1) && sigismember(&now, SIGALRM) && sigismember(&now, SIGPIPE));
    many_signal_unblock_(&state);
}

static void reset_and_look(void *argument)
{
    many_signal_state_ state;
    struct sigaction action;
    sigset_t hangup, now;

    (void)argument;
    catch_signal(SIGUSR1, on_signal);
    catch_signal(SIGTERM, on_signal);
    catch_signal(SIGRTMIN, on_signal);
    catch_signal(SIGUSR2, SIG_IGN);
    catch_signal(SIGINT, on_signal);
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &hangup, NULL);

    many_signal_block_(&state);
    many_signal_reset_(&state);

    const int defaults[] = {SIGUSR1, SIGTERM, SIGRTMIN, SIGALRM};
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        sigaction(defaults[i], NULL, &action);
        CHECK(action.sa_handler == SIG_DFL);
    }
    sigaction(SIGUSR2, NULL, &action);
    CHECK(action.sa_handler == SIG_IGN);
    sigaction(SIGINT, NULL, &action);
    CHECK(action.sa_handler == SIG_IGN);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    CHECK(sigismember(&now, SIGHUP));
    CHECK(!sigismember(&now, SIGTERM));
    raise(SIGTERM);
}

TEST(reset_gives_caught_signals_their_default_and_keeps_ignored_ones_and_the_mask)
{
    CHECK_EQUAL(test_in_child(reset_and_look, NULL), SIGTERM);
}
