/* SPDX-License-Identifier: MIT */
/* signal.c - block signals around a fork, and give the child clean ones; see os/signal.h */
#include "os/signal.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

void many_signal_block_(many_signal_state_ *state)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &state->mask);
}

void many_signal_block_for_thread_(many_signal_state_ *state)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigset_t most;

    sigfillset(&most);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&most, faults[i]);
    pthread_sigmask(SIG_SETMASK, &most, &state->mask);
}

void many_signal_unblock_(const many_signal_state_ *state)
{
    pthread_sigmask(SIG_SETMASK, &state->mask, NULL);
}

void many_signal_reset_(const many_signal_state_ *state)
{
    struct sigaction action, old;

    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    for (int signal = 1; signal < NSIG; signal++) {
        if (signal == SIGKILL || signal == SIGSTOP || sigaction(signal, NULL, &old) != 0)
            continue;
        action.sa_handler = signal == SIGINT ? SIG_IGN : SIG_DFL;
        if (signal == SIGINT || (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN))
            sigaction(signal, &action, NULL);
    }
    pthread_sigmask(SIG_SETMASK, &state->mask, NULL);
}
