/* SPDX-License-Identifier: MIT */
/*
 * thread.h - start a thread with signals blocked, wait for its end
 */
#ifndef MANY_OS_THREAD_H
#define MANY_OS_THREAD_H

#include <pthread.h>

typedef void *many_thread_body_(void *argument);

/* All signals but those of a fault are blocked in it. 0, or -EAGAIN when there is no thread to be
 * had. */
int many_thread_start_(pthread_t *thread, many_thread_body_ *body, void *argument);

void many_thread_join_(pthread_t thread);

/* From here to there pthread_cancel() of this thread waits. hold gives what let_go wants. */
int many_thread_hold_(void);
void many_thread_let_go_(int held);

#endif
