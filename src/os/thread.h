/* SPDX-License-Identifier: MIT */
/*
 * thread.h - start a thread with signals blocked, name it, wait for its end
 */
#ifndef MANY_OS_THREAD_H
#define MANY_OS_THREAD_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/signal.h"

typedef void *many_thread_body_(void *argument);

/* All signals but those of a fault are blocked in it. 0, or -EAGAIN when there is no thread to be
 * had. */
int many_thread_start_(pthread_t *thread, many_thread_body_ *body, void *argument);

/*
 * The same, with a stack of at least so many bytes (0: the system's default), and what the mask of the
 * caller was, for a thread that wants it: many_signal_unblock_().
 */
int many_thread_start_with_(pthread_t *thread, many_thread_body_ *body, void *argument,
                            size_t stack_bytes, many_signal_state_ *caller);

void many_thread_join_(pthread_t thread);

/* 0: joined; -ETIMEDOUT: it has not ended by then. One caller at a time. */
int many_thread_join_by_(pthread_t thread, int64_t deadline_ns);

/* Nobody will join it. */
void many_thread_detach_(pthread_t thread);

/* The name of the calling thread, as the system shows it: what does not fit into 15 bytes is cut
 * before a character. */
void many_thread_call_(const char *name);

/* The calling thread's id, as the system shows it. */
pid_t many_thread_number_(void);

/* From here to there pthread_cancel() of this thread waits. hold gives what let_go wants. */
int many_thread_hold_(void);
void many_thread_let_go_(int held);

#endif
