/* SPDX-License-Identifier: MIT */
/*
 * thread.h - a thread of many_thread_start(), as the timer uses it
 */
#ifndef MANY_PROCESS_THREAD_H
#define MANY_PROCESS_THREAD_H

#include <many/process.h>

/* As many_thread_join(), with words for function. */
int many_thread_wait_(many_thread *thread, double timeout_s, const char *function);

#endif
