/* SPDX-License-Identifier: MIT */
/*
 * signal.h - block signals around a fork, and give the child clean ones
 */
#ifndef MANY_OS_SIGNAL_H
#define MANY_OS_SIGNAL_H

#include <signal.h>
#include <stdint.h>

typedef struct many_signal_state_ {
    sigset_t mask; /* of the caller */
} many_signal_state_;

/* Block every signal in this thread. */
void many_signal_block_(many_signal_state_ *state);

/* Block all but those of a fault in the thread itself (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
 * SIGSYS, SIGABRT). */
void many_signal_block_for_thread_(many_signal_state_ *state);

/* The mask as it was. */
void many_signal_unblock_(const many_signal_state_ *state);

/* In a forked child, signals blocked: caught ones to default, SIGINT ignored, then the mask as it
 * was. */
void many_signal_reset_(const many_signal_state_ *state);

#endif
